//! The scoring policy: `scoring.toml`, read whole and checked, with the line of what is wrong.

use std::collections::BTreeMap;

use lake_types::{Position, toml_mistake};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::de::{DeTable, DeValue};

use crate::signals::{Signal, TREND_DAYS};

/// Days beyond the windows, so that a lake without traffic on some days is not taken for a young one.
const SPARE_DAYS: i32 = 112;

/// The policy shipped with the binary, with a comment for every key.
pub const DEFAULT_POLICY: &str = include_str!("../default.toml");

/// A checked policy; `Policy::parse` makes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub version: String,
    pub windows: Windows,
    pub weights: Weights,
    pub evidence: EvidenceNeeded,
    pub tiers: Tiers,
    pub onboarding: Onboarding,
    pub errors: Errors,
    pub steadiness: Steadiness,
    pub growth: Growth,
}

/// W and B, in days.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    pub recent_days: i32,
    pub baseline_days: i32,
}

/// The weight of every signal, those not computed yet included.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Weights(BTreeMap<Signal, f64>);

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Self::named(&name).ok_or_else(|| {
            D::Error::custom(format!(
                "unknown signal `{name}`, expected one of {}",
                names(Self::all())
            ))
        })
    }
}

/// Below these a partner has no score.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceNeeded {
    pub min_coverage: f64,
    pub min_live_days: i32,
    pub partial_coverage_cap: f64,
}

/// Where a tier is entered.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tiers {
    pub at_risk_below: f64,
    pub healthy_above: f64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Onboarding {
    pub fast_minutes: f64,
    pub slow_days: f64,
    pub counts_days: i32,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errors {
    pub alarm_days: i32,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steadiness {
    pub pattern_days: i32,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    pub min_weeks: i32,
    pub max_weeks: i32,
    pub shrink_weeks: f64,
    pub scale: f64,
}

/// Why a scoring policy was refused, by its place (`5:1`, line and column); the caller knows its
/// file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("{at}: {what}")]
    Toml { at: Position, what: String },
    #[error("{at}: {key} = {given} must be {expected}")]
    Value { key: String, at: Position, given: String, expected: &'static str },
    #[error("{at}: all weights of signals that are computed are 0; give at least one of {names}")]
    NoWeight { at: Position, names: String },
    #[error("{at}: [weights] lacks `{signal}`; {signal} = 0 leaves it out")]
    NoSuchWeight { at: Position, signal: &'static str },
}

fn names(signals: impl Iterator<Item = Signal>) -> String {
    signals.map(Signal::name).collect::<Vec<_>>().join(", ")
}

impl Policy {
    /// Reads a policy from the text of `scoring.toml`.
    ///
    /// # Errors
    /// Names the key and its place: no TOML, a key that is unknown or missing, a value out of range.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self = toml::from_str(text).map_err(|e| {
            let (at, what) = toml_mistake(text, e.span(), e.message());
            PolicyError::Toml { at, what }
        })?;
        if let Some(wrong) = policy.ranges().into_iter().find(|range| !range.holds) {
            let Range { key, given, expected, .. } = wrong;
            return Err(PolicyError::Value { at: place_of(text, &key), key, given, expected });
        }
        let at = place_of(text, "weights");
        let given = |signal: &Signal| policy.weights.0.contains_key(signal);
        if let Some(missing) = Signal::all().find(|signal| !given(signal)) {
            return Err(PolicyError::NoSuchWeight { at, signal: missing.name() });
        }
        if Signal::computed().all(|signal| policy.weight(signal) == 0.0) {
            return Err(PolicyError::NoWeight { at, names: names(Signal::computed()) });
        }
        Ok(policy)
    }

    /// The weight of a signal; 0 leaves it out.
    pub fn weight(&self, signal: Signal) -> f64 {
        self.weights.0.get(&signal).copied().unwrap_or_default()
    }

    /// Days of traffic that scores look back at, those of partners that churned lately included.
    pub fn looks_back_days(&self) -> i32 {
        let windows = &self.windows;
        TREND_DAYS.max(windows.recent_days) + windows.baseline_days + SPARE_DAYS
    }

    /// Every value with what it must be.
    fn ranges(&self) -> Vec<Range> {
        let (windows, evidence, tiers) = (&self.windows, &self.evidence, &self.tiers);
        let weeks = |days: i32, most: i32| (7..=most).contains(&days) && days % 7 == 0;
        // The metric `error_trend` knows no alarms from longer ago.
        let recent_weeks = "whole weeks in days, 7 to 84";
        let whole_weeks = "whole weeks in days, 7 to 3650";
        let score = |value: f64| (0.0..=100.0).contains(&value);
        let (recent, baseline) = (windows.recent_days, windows.baseline_days);
        let (low, high) = (tiers.at_risk_below, tiers.healthy_above);
        let (share, cap) = (evidence.min_coverage, evidence.partial_coverage_cap);
        let live = evidence.min_live_days;
        let mut rows = vec![
            range("version", &self.version, "a name", !self.version.trim().is_empty()),
            range("windows.recent_days", &recent, recent_weeks, weeks(recent, TREND_DAYS)),
            range("windows.baseline_days", &baseline, whole_weeks, weeks(baseline, 3_650)),
            range("evidence.min_coverage", &share, "0 to 1", (0.0..=1.0).contains(&share)),
            range("evidence.min_live_days", &live, "0 or more", live >= 0),
            range("evidence.partial_coverage_cap", &cap, "0 to 100", score(cap)),
            range("tiers.at_risk_below", &low, "0 to 100", score(low)),
            range("tiers.healthy_above", &high, "at_risk_below to 100", score(high) && high >= low),
        ];
        rows.extend(Signal::all().map(|signal| {
            let weight = self.weight(signal);
            let holds = weight.is_finite() && weight >= 0.0;
            range(&format!("weights.{}", signal.name()), &weight, "0 or more", holds)
        }));
        rows.extend(self.signal_ranges());
        rows
    }

    /// The same of the tables that belong to one signal.
    fn signal_ranges(&self) -> Vec<Range> {
        let (onboarding, growth) = (&self.onboarding, &self.growth);
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let (fast, slow) = (onboarding.fast_minutes, onboarding.slow_days);
        let slower = positive(slow) && slow * 1_440.0 > fast;
        let (counts, alarms) = (onboarding.counts_days, self.errors.alarm_days);
        let (pattern, baseline) = (self.steadiness.pattern_days, self.windows.baseline_days);
        let (fewest, most) = (growth.min_weeks, growth.max_weeks);
        let held = (fewest..=(self.windows.recent_days + baseline) / 7).contains(&most);
        let (shrink, scale) = (growth.shrink_weeks, growth.scale);
        let shrinks = shrink.is_finite() && shrink >= 0.0;
        vec![
            range("onboarding.fast_minutes", &fast, "more than 0", positive(fast)),
            range("onboarding.slow_days", &slow, "longer than fast_minutes", slower),
            range("onboarding.counts_days", &counts, "0 or more", counts >= 0),
            range("errors.alarm_days", &alarms, "1 or more", alarms >= 1),
            range(
                "steadiness.pattern_days",
                &pattern,
                "7 to windows.baseline_days",
                (7..=baseline).contains(&pattern),
            ),
            range("growth.min_weeks", &fewest, "2 or more", fewest >= 2),
            range("growth.max_weeks", &most, "min_weeks to the weeks of both windows", held),
            range("growth.shrink_weeks", &shrink, "0 or more", shrinks),
            range("growth.scale", &scale, "more than 0", positive(scale)),
        ]
    }
}

/// A value of the policy and whether it is what it must be.
struct Range {
    key: String,
    given: String,
    expected: &'static str,
    holds: bool,
}

fn range(key: &str, given: &dyn ToString, expected: &'static str, holds: bool) -> Range {
    Range { key: key.to_owned(), given: given.to_string(), expected, holds }
}

/// The place of a key written as `table.key`; the beginning when it is not there.
fn place_of(text: &str, path: &str) -> Position {
    let find = || {
        let root = DeTable::parse(text).ok()?;
        let mut table = root.get_ref();
        let mut start = 0;
        for part in path.split('.') {
            let (key, value) = table.get_key_value(part)?;
            start = key.span().start;
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
        Some(start)
    };
    Position::of(text, find().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_design() {
        let policy = Policy::parse(DEFAULT_POLICY).expect("the shipped policy");
        let weights: Vec<f64> = Signal::all().map(|s| policy.weight(s)).collect();
        assert_eq!(weights, [10.0, 20.0, 15.0, 10.0, 10.0, 20.0, 5.0, 5.0, 5.0, 5.0]);
        assert_eq!((policy.windows.recent_days, policy.windows.baseline_days), (28, 84));
        assert_eq!((policy.tiers.at_risk_below, policy.tiers.healthy_above), (40.0, 75.0));
    }

    #[test]
    fn an_error_names_key_and_line() {
        #[track_caller]
        fn check(from: &str, to: &str, parts: &[&str]) {
            assert!(DEFAULT_POLICY.contains(from), "{from}");
            let text = DEFAULT_POLICY.replacen(from, to, 1);
            let error = Policy::parse(&text).expect_err(to).to_string();
            for part in parts {
                assert!(error.contains(part), "{error:?} lacks {part:?}");
            }
        }
        let line = |key: &str| {
            let at = DEFAULT_POLICY.lines().position(|l| l.starts_with(key)).expect("a key");
            format!("{}:1: ", at + 1)
        };
        check("growth = 10", "growth = -1", &[&line("growth"), "weights.growth = -1", "0 or more"]);
        check("scale = 0.25", "scale = nan", &[&line("scale"), "growth.scale", "more than 0"]);
        check("recent_days = 28", "recent_days = 30", &[&line("recent_days"), "whole weeks"]);
        check("recent_days = 28", "recent_days = 91", &[&line("recent_days"), "7 to 84"]);
        check("healthy_above = 75", "healthy_above = 30", &["tiers.healthy_above = 30"]);
        check("errors = 20", "error = 20", &["unknown signal `error`; did you mean `errors`?"]);
        check("errors = 20\n", "", &["[weights] lacks `errors`; errors = 0 leaves it out"]);
        let value = line("alarm_days").replace(":1: ", ":14: ");
        check("alarm_days = 7", "alarm_days = seven", &[&value, "string values must be quoted"]);
        check("alarm_days = 7", "alarm_days = \"seven\"", &["invalid type: text, expected i32"]);
        check("version = \"1\"", "version = \"\"", &["5:1: version", "a name"]);
    }

    #[test]
    fn some_weight_must_be_left() {
        let mut text = DEFAULT_POLICY.to_owned();
        for signal in ["onboarding = 10", "errors = 20", "steadiness = 15", "growth = 10"] {
            let zero = format!("{} = 0", signal.split(' ').next().expect("a name"));
            text = text.replacen(signal, &zero, 1);
        }
        let error = Policy::parse(&text).expect_err("no weight").to_string();
        assert!(error.contains("onboarding, errors, steadiness, growth"), "{error}");
    }
}
