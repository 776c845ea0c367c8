//! The ratios that a whole run of the benchmarks found, and how they differ from those of another
//! run.

use serde::{Deserialize, Serialize};

use super::report::{median, sorted};

/// A cost beside that of its peer in the same run: the less, the better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ratio {
    pub(super) name: String,
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) greatest: f64,
}

/// What `rapport bench all` writes and compares with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RatioReport {
    /// The version of the program.
    pub(super) program: String,
    pub(super) cores: usize,
    pub(super) rounds: u32,
    pub(super) ratios: Vec<Ratio>,
    /// What was not measured, and why.
    pub(super) left_out: Vec<String>,
}

/// How a ratio differs from that of another run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The ranges of both runs overlap: a difference is within the noise.
    Same,
    Better,
    Worse,
    /// The other run has no such ratio.
    New,
}

impl Ratio {
    /// Returns the ratio of some rounds; `None` without a round.
    pub(super) fn of(name: impl Into<String>, rounds: Vec<f64>) -> Option<Self> {
        let rounds = sorted(rounds);
        let (least, greatest) = (*rounds.first()?, *rounds.last()?);
        Some(Self { name: name.into(), median: median(&rounds), least, greatest })
    }

    /// Compares the ratio with that of an earlier run.
    pub(super) fn against(&self, earlier: Option<&Self>) -> Verdict {
        match earlier {
            None => Verdict::New,
            Some(earlier) if self.least > earlier.greatest => Verdict::Worse,
            Some(earlier) if self.greatest < earlier.least => Verdict::Better,
            Some(_) => Verdict::Same,
        }
    }
}

impl Verdict {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "within the noise",
            Self::Better => "better",
            Self::Worse => "WORSE",
            Self::New => "new",
        }
    }
}

impl RatioReport {
    /// Returns the ratio of a name.
    pub(super) fn ratio(&self, name: &str) -> Option<&Ratio> {
        self.ratios.iter().find(|ratio| ratio.name == name)
    }

    /// Returns the names of the ratios of an earlier run that this one did not measure.
    pub(super) fn missing<'a>(&self, earlier: &'a Self) -> Vec<&'a str> {
        let names = earlier.ratios.iter().map(|ratio| ratio.name.as_str());
        names.filter(|name| self.ratio(name).is_none()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(rounds: &[f64]) -> Ratio {
        Ratio::of("a", rounds.to_vec()).expect("rounds")
    }

    #[test]
    fn a_ratio_is_worse_only_beyond_the_range_of_both_runs() {
        #[track_caller]
        fn check(now: &[f64], before: &[f64], expected: Verdict) {
            assert_eq!(ratio(now).against(Some(&ratio(before))), expected);
        }
        check(&[1.0, 1.2, 1.4], &[0.9, 1.0, 1.1], Verdict::Same);
        check(&[1.11, 1.2, 1.4], &[0.9, 1.0, 1.1], Verdict::Worse);
        check(&[0.8, 0.7, 0.89], &[0.9, 1.0, 1.1], Verdict::Better);
        check(&[1.1], &[1.1], Verdict::Same);
        assert_eq!(ratio(&[1.0]).against(None), Verdict::New);
    }

    #[test]
    fn rounds_have_a_median_and_a_range() {
        let found = ratio(&[3.0, 1.0, 2.0, 9.0]);
        assert_eq!((found.least, found.median, found.greatest), (1.0, 2.5, 9.0));
        assert_eq!(Ratio::of("a", Vec::new()), None);
    }
}
