//! From readings to a score: coverage, the weighted mean, the tier, and the median scores of a
//! segment.

use std::collections::BTreeMap;

use domain::{SignalName, Tier};

use crate::policy::Policy;
use crate::robust_statistics::median;
use crate::signals::Reading;

/// The weighted mean of the signals that were measured, and how much of the weight that is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WeightedScore {
    /// Σ wᵢsᵢ / Σ wᵢ over the signals measured; `None` if none was.
    pub mean: Option<f64>,
    /// Σ weights measured / Σ weights applicable; 0 if no signal applies.
    pub coverage: f64,
    /// Σ weights measured.
    pub weight: f64,
}

/// Weighs the readings of one partner.
pub(crate) fn weighted_score(readings: &[(SignalName, Reading)], policy: &Policy) -> WeightedScore {
    let (mut applicable, mut weight, mut points) = (0.0, 0.0, 0.0);
    for (signal, reading) in readings {
        let w = policy.weight(signal);
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
    WeightedScore {
        mean: (weight > 0.0).then(|| points / weight),
        coverage: if applicable > 0.0 { weight / applicable } else { 0.0 },
        weight,
    }
}

impl WeightedScore {
    /// Returns the score, which is the mean, capped while coverage is partial, or `None` with too
    /// little evidence.
    pub(crate) fn score(&self, policy: &Policy) -> Option<f64> {
        if self.coverage < policy.evidence.min_coverage {
            return None;
        }
        let cap = policy.evidence.partial_coverage_cap;
        self.mean.map(|mean| if self.coverage < 1.0 { mean.min(cap) } else { mean })
    }
}

/// Returns the tier of the score of a live partner.
pub(crate) fn tier_of_score(score: Option<f64>, policy: &Policy) -> Tier {
    match score {
        None => Tier::InsufficientEvidence,
        Some(s) if s < policy.tiers.at_risk_below => Tier::AtRisk,
        Some(s) if s > policy.tiers.healthy_above => Tier::Healthy,
        Some(_) => Tier::Watch,
    }
}

/// The median score of each signal in each segment.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SegmentMedians<'a>(BTreeMap<Option<&'a str>, BTreeMap<SignalName, f64>>);

impl<'a> SegmentMedians<'a> {
    /// Takes the medians over these partners, each given by its segment and its readings.
    pub(crate) fn of(
        partners: impl Iterator<Item = (Option<&'a str>, &'a [(SignalName, Reading)])>,
    ) -> Self {
        let mut scores: BTreeMap<Option<&str>, BTreeMap<&SignalName, Vec<f64>>> = BTreeMap::new();
        for (segment, readings) in partners {
            for (signal, reading) in readings {
                if let Reading::Measured(measured) = reading {
                    let of_segment = scores.entry(segment).or_default();
                    of_segment.entry(signal).or_default().push(measured.score);
                }
            }
        }
        let medians = |scores: BTreeMap<&SignalName, Vec<f64>>| {
            let medians = scores.into_iter();
            medians.filter_map(|(signal, s)| Some((signal.clone(), median(&s)?))).collect()
        };
        Self(scores.into_iter().map(|(segment, scores)| (segment, medians(scores))).collect())
    }

    /// Returns the median score of a signal in a segment.
    pub(crate) fn get(&self, segment: Option<&str>, signal: &SignalName) -> Option<f64> {
        self.0.get(&segment)?.get(signal).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::Measurement;
    use crate::test_input::default_policy;

    fn measured(score: f64) -> Reading {
        Reading::Measured(Measurement { value: 0.0, score, n: 1, reason: String::new() })
    }

    fn missing() -> Reading {
        Reading::Missing(String::new())
    }

    #[test]
    fn coverage_and_score() {
        /// Onboarding 10, errors 20, steadiness 15, growth 10.
        #[track_caller]
        fn check(readings: [Reading; 4], coverage: f64, score: Option<f64>, tier_name: &str) {
            let names = ["onboarding", "errors", "steadiness", "growth"].map(SignalName::new);
            let readings: Vec<_> = names.into_iter().zip(readings).collect();
            let policy = default_policy();
            let weighted = weighted_score(&readings, &policy);
            assert!((weighted.coverage - coverage).abs() < 1e-12, "{}", weighted.coverage);
            assert_eq!(weighted.score(&policy), score);
            assert_eq!(tier_of_score(weighted.score(&policy), &policy).name(), tier_name);
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
        // A signal that does not apply leaves coverage as it is; a missing one lowers it and caps
        // at 80.
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
    fn a_segments_median_is_over_its_own_partners() {
        let (errors, growth) = (SignalName::new("errors"), SignalName::new("growth"));
        let of = |score| vec![(errors.clone(), measured(score)), (growth.clone(), missing())];
        let (a, b, c, other) = (of(10.0), of(90.0), of(70.0), of(5.0));
        let shop = Some("shops");
        let rows = [(shop, &a), (shop, &b), (shop, &c), (None, &other)];
        let medians = SegmentMedians::of(rows.iter().map(|(s, r)| (*s, r.as_slice())));
        assert_eq!(medians.get(None, &errors), Some(5.0));
        assert_eq!(medians.get(shop, &errors), Some(70.0));
        assert_eq!(medians.get(shop, &growth), None);
    }
}
