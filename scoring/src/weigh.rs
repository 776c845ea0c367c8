//! From readings to a score: coverage, the weighted mean, the tier, and what each signal adds.

use std::collections::BTreeMap;

use crate::policy::Policy;
use crate::robust::median;
use crate::signals::{Reading, Signal};

/// How a partner does; before go-live and after churn its stage stands in the tier's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    Healthy,
    Watch,
    AtRisk,
    InsufficientEvidence,
    Onboarding,
    Stuck,
    Churned,
}

impl Tier {
    /// The name in the column `tier`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Watch => "watch",
            Self::AtRisk => "at_risk",
            Self::InsufficientEvidence => "insufficient_evidence",
            Self::Onboarding => "onboarding",
            Self::Stuck => "stuck",
            Self::Churned => "churned",
        }
    }
}

/// The weighted mean of what is there, and how much of what could be there that is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weighed {
    /// Σ wᵢsᵢ / Σ wᵢ over the signals measured; `None` of none.
    pub mean: Option<f64>,
    /// Σ weights measured / Σ weights applicable; 0 when nothing is applicable.
    pub coverage: f64,
    /// Σ weights measured.
    pub weight: f64,
}

pub(crate) fn weigh(readings: &[(Signal, Reading)], policy: &Policy) -> Weighed {
    let (mut applicable, mut weight, mut points) = (0.0, 0.0, 0.0);
    for (signal, reading) in readings {
        let w = policy.weight(*signal);
        match reading {
            Reading::NotApplicable => {}
            Reading::Missing(_) => applicable += w,
            Reading::Measured(measured) => {
                applicable += w;
                weight += w;
                points += w * measured.score;
            }
        }
    }
    Weighed {
        mean: (weight > 0.0).then(|| points / weight),
        coverage: if applicable > 0.0 { weight / applicable } else { 0.0 },
        weight,
    }
}

impl Weighed {
    /// The score: the mean, held under the cap while coverage is partial; `None` under too little
    /// evidence.
    pub(crate) fn score(&self, policy: &Policy) -> Option<f64> {
        if self.coverage < policy.evidence.min_coverage {
            return None;
        }
        let cap = policy.evidence.partial_coverage_cap;
        self.mean.map(|mean| if self.coverage < 1.0 { mean.min(cap) } else { mean })
    }
}

/// The tier of a score.
pub(crate) fn tier(score: Option<f64>, policy: &Policy) -> Tier {
    match score {
        None => Tier::InsufficientEvidence,
        Some(s) if s < policy.tiers.at_risk_below => Tier::AtRisk,
        Some(s) if s > policy.tiers.healthy_above => Tier::Healthy,
        Some(_) => Tier::Watch,
    }
}

/// A segment's usual score of each signal.
pub(crate) type Usual<'a> = BTreeMap<(Option<&'a str>, Signal), f64>;

/// The median score of each signal by segment, over the partners given.
pub(crate) fn usual<'a>(
    partners: impl Iterator<Item = (Option<&'a str>, &'a [(Signal, Reading)])>,
) -> Usual<'a> {
    let mut scores: BTreeMap<(Option<&str>, Signal), Vec<f64>> = BTreeMap::new();
    for (segment, readings) in partners {
        for (signal, reading) in readings {
            if let Reading::Measured(measured) = reading {
                scores.entry((segment, *signal)).or_default().push(measured.score);
            }
        }
    }
    scores.into_iter().filter_map(|(key, scores)| Some((key, median(&scores)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::Measured;
    use crate::testing::default_policy;

    fn measured(score: f64) -> Reading {
        Reading::Measured(Measured { value: 0.0, score, n: 1, reason: String::new() })
    }

    fn missing() -> Reading {
        Reading::Missing(String::new())
    }

    #[test]
    fn coverage_and_score() {
        /// Onboarding 10, errors 20, steadiness 15, growth 10.
        #[track_caller]
        fn check(readings: [Reading; 4], coverage: f64, score: Option<f64>, tier_name: &str) {
            let readings: Vec<_> = Signal::computed().zip(readings).collect();
            let policy = default_policy();
            let weighed = weigh(&readings, &policy);
            assert!((weighed.coverage - coverage).abs() < 1e-12, "{}", weighed.coverage);
            assert_eq!(weighed.score(&policy), score);
            assert_eq!(tier(weighed.score(&policy), &policy).name(), tier_name);
        }
        let none = || Reading::NotApplicable;
        let all = |s| [measured(s), measured(s), measured(s), measured(s)];
        check(all(100.0), 1.0, Some(100.0), "healthy");
        check(all(75.0), 1.0, Some(75.0), "watch");
        check(all(40.0), 1.0, Some(40.0), "watch");
        check(all(39.0), 1.0, Some(39.0), "at_risk");
        check(all(0.0), 1.0, Some(0.0), "at_risk");
        // 10·40 + 20·100 + 15·80 + 10·50 over 55.
        let mixed = [measured(40.0), measured(100.0), measured(80.0), measured(50.0)];
        check(mixed, 1.0, Some(4_100.0 / 55.0), "watch");
        // What cannot be asked does not lower coverage; what is missing does, and caps at 80.
        let at_100 = |first, last| [first, measured(100.0), measured(100.0), last];
        check(at_100(none(), measured(100.0)), 1.0, Some(100.0), "healthy");
        check(at_100(none(), missing()), 35.0 / 45.0, Some(80.0), "healthy");
        check(at_100(missing(), missing()), 35.0 / 55.0, Some(80.0), "healthy");
        check(
            [none(), measured(30.0), measured(30.0), missing()],
            35.0 / 45.0,
            Some(30.0),
            "at_risk",
        );
        let thin = "insufficient_evidence";
        check([measured(100.0), measured(100.0), missing(), missing()], 30.0 / 55.0, None, thin);
        check([none(), none(), none(), none()], 0.0, None, thin);
        check([none(), missing(), missing(), missing()], 0.0, None, thin);
    }

    #[test]
    fn what_is_usual_is_the_segments_median() {
        let of = |score| vec![(Signal::Errors, measured(score)), (Signal::Growth, missing())];
        let (a, b, c, other) = (of(10.0), of(90.0), of(70.0), of(5.0));
        let shop = Some("shops");
        let rows = [(shop, &a), (shop, &b), (shop, &c), (None, &other)];
        let usual = usual(rows.iter().map(|(segment, r)| (*segment, r.as_slice())));
        let expected = [((None, Signal::Errors), 5.0), ((shop, Signal::Errors), 70.0)];
        assert_eq!(usual, expected.into());
    }
}
