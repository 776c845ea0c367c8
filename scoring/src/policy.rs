//! The scoring policy, read from `scoring.toml` and checked; errors name the line.

use std::collections::BTreeMap;

use domain::{Position, SignalName, toml_error};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::de::{DeTable, DeValue};

use crate::signals::{
    ERROR_TREND_DAYS, SignalParameters, computed_signal_names, signal_names, signal_tables,
};
use crate::value_check::{ValueCheck, value_check};
use crate::windows::Windows;

/// Days of traffic that are read beyond the windows, so that a lake without traffic on some days is
/// not taken for a young one.
const SPARE_DAYS: i32 = 112;

/// The policy shipped with the binary, with a comment for every key.
pub const DEFAULT_POLICY: &str = include_str!("../default_policy.toml");

/// A checked policy; [`Policy::parse`] makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub version: String,
    pub windows: Windows,
    weights: Weights,
    pub evidence: MinimumEvidence,
    pub tiers: TierThresholds,
    pub(crate) signals: SignalParameters,
}

/// The tables of the policy that belong to no single signal.
#[derive(Deserialize)]
struct GeneralTables {
    version: String,
    windows: Windows,
    weights: Weights,
    evidence: MinimumEvidence,
    tiers: TierThresholds,
}

/// The keys of [`GeneralTables`].
const GENERAL_TABLES: [&str; 5] = ["version", "windows", "weights", "evidence", "tiers"];

/// The weight of every signal, those that this version does not compute included.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
struct Weights(BTreeMap<RegisteredSignal, f64>);

/// The name of a signal that the registry has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RegisteredSignal(SignalName);

impl<'de> Deserialize<'de> for RegisteredSignal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = SignalName::from(String::deserialize(from)?);
        if signal_names().any(|known| known == name) {
            return Ok(Self(name));
        }
        let known = joined(signal_names());
        Err(D::Error::custom(format!("unknown signal `{name}`, expected one of {known}")))
    }
}

/// The evidence below which a partner has no score.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinimumEvidence {
    /// 0–1.
    pub min_coverage: f64,
    pub min_live_days: i32,
    /// The highest score while coverage is below 1.
    pub partial_coverage_cap: f64,
}

/// The scores at which a tier is entered, 0–100.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierThresholds {
    pub at_risk_below: f64,
    pub healthy_above: f64,
}

/// Why a scoring policy was refused, with line and column (`5:1`); the caller knows its file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("{at}: {message}")]
    Toml { at: Position, message: String },
    #[error("{at}: {key} = {given} must be {expected}")]
    Value { key: String, at: Position, given: String, expected: &'static str },
    #[error("{at}: all weights of signals that are computed are 0; give at least one of {names}")]
    AllWeightsZero { at: Position, names: String },
    #[error("{at}: [weights] lacks `{signal}`; {signal} = 0 leaves it out")]
    MissingWeight { at: Position, signal: SignalName },
}

fn joined(signals: impl Iterator<Item = SignalName>) -> String {
    signals.map(|signal| signal.to_string()).collect::<Vec<_>>().join(", ")
}

impl Policy {
    /// Reads a policy from the text of `scoring.toml`.
    ///
    /// # Errors
    /// Names the key and its position: no TOML, a key that is unknown or missing, a value out of
    /// its range.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        check_tables(text)?;
        let general: GeneralTables = parse_toml(text)?;
        let GeneralTables { version, windows, weights, evidence, tiers } = general;
        let signals = parse_toml(text)?;
        let policy = Self { version, windows, weights, evidence, tiers, signals };
        let checks = [policy.general_checks(), policy.signals.checks(&policy.windows)];
        if let Some(refused) = checks.into_iter().flatten().find(|check| !check.is_allowed) {
            let ValueCheck { key, given, expected, .. } = refused;
            return Err(PolicyError::Value { at: key_position(text, &key), key, given, expected });
        }
        let at = key_position(text, "weights");
        if let Some(signal) = signal_names().find(|signal| policy.given_weight(signal).is_none()) {
            return Err(PolicyError::MissingWeight { at, signal });
        }
        if computed_signal_names().all(|signal| policy.weight(&signal) == 0.0) {
            let names = joined(computed_signal_names());
            return Err(PolicyError::AllWeightsZero { at, names });
        }
        Ok(policy)
    }

    /// Returns the weight of a signal; 0 leaves the signal out.
    pub fn weight(&self, signal: &SignalName) -> f64 {
        self.given_weight(signal).unwrap_or_default()
    }

    fn given_weight(&self, signal: &SignalName) -> Option<f64> {
        self.weights.0.get(&RegisteredSignal(signal.clone())).copied()
    }

    /// Returns how many days of traffic a run reads, those for partners that churned lately
    /// included.
    pub fn lookback_days(&self) -> i32 {
        let windows = &self.windows;
        ERROR_TREND_DAYS.max(windows.recent_days) + windows.baseline_days + SPARE_DAYS
    }

    /// Checks every value outside the tables of signals.
    fn general_checks(&self) -> Vec<ValueCheck> {
        let (windows, evidence, tiers) = (&self.windows, &self.evidence, &self.tiers);
        let is_weeks = |days: i32, most: i32| (7..=most).contains(&days) && days % 7 == 0;
        // The metric `error_trend` has no alarms from longer ago.
        let recent_weeks = "whole weeks in days, 7 to 84";
        let whole_weeks = "whole weeks in days, 7 to 3650";
        let is_score = |value: f64| (0.0..=100.0).contains(&value);
        let (recent, baseline) = (windows.recent_days, windows.baseline_days);
        let (low, high) = (tiers.at_risk_below, tiers.healthy_above);
        let (coverage, cap) = (evidence.min_coverage, evidence.partial_coverage_cap);
        let live = evidence.min_live_days;
        let is_version = !self.version.trim().is_empty();
        let are_ordered = is_score(high) && high >= low;
        let is_recent = is_weeks(recent, ERROR_TREND_DAYS);
        let is_share = (0.0..=1.0).contains(&coverage);
        let mut checks = vec![
            value_check("version", &self.version, "a name", is_version),
            value_check("windows.recent_days", &recent, recent_weeks, is_recent),
            value_check("windows.baseline_days", &baseline, whole_weeks, is_weeks(baseline, 3_650)),
            value_check("evidence.min_coverage", &coverage, "0 to 1", is_share),
            value_check("evidence.min_live_days", &live, "0 or more", live >= 0),
            value_check("evidence.partial_coverage_cap", &cap, "0 to 100", is_score(cap)),
            value_check("tiers.at_risk_below", &low, "0 to 100", is_score(low)),
            value_check("tiers.healthy_above", &high, "at_risk_below to 100", are_ordered),
        ];
        checks.extend(signal_names().map(|signal| {
            let weight = self.weight(&signal);
            let is_weight = weight.is_finite() && weight >= 0.0;
            value_check(&format!("weights.{signal}"), &weight, "0 or more", is_weight)
        }));
        checks
    }
}

fn parse_toml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, PolicyError> {
    toml::from_str(text).map_err(|e| {
        let (at, message) = toml_error(text, e.span(), e.message());
        PolicyError::Toml { at, message }
    })
}

/// Refuses a text that is no TOML or has a table that is unknown.
fn check_tables(text: &str) -> Result<(), PolicyError> {
    let refused = |span, message: &str| {
        let (at, message) = toml_error(text, span, message);
        PolicyError::Toml { at, message }
    };
    let root = DeTable::parse(text).map_err(|e| refused(e.span(), e.message()))?;
    let known: Vec<&str> = GENERAL_TABLES.into_iter().chain(signal_tables()).collect();
    for key in root.get_ref().keys() {
        if !known.contains(&key.get_ref().as_ref()) {
            let list = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let message = format!("unknown field `{}`, expected one of {list}", key.get_ref());
            return Err(refused(Some(key.span()), &message));
        }
    }
    Ok(())
}

/// Returns the position of a key written as `table.key`, or the beginning if it is not there.
fn key_position(text: &str, path: &str) -> Position {
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
    Position::at_offset(text, find().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_has_every_weight_and_table() {
        let policy = Policy::parse(DEFAULT_POLICY).expect("the shipped policy");
        let weight = |name| policy.weight(&SignalName::new(name));
        assert_eq!(["onboarding", "errors", "dormancy"].map(weight), [10.0, 20.0, 20.0]);
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
        let table = line("[growth]").replace(":1: ", ":2: ");
        let meant = "unknown field `grwth`; did you mean `growth`?";
        check("[growth]", "[grwth]", &[&table, meant]);
        check("shrink_weeks = 4", "shrink_week = 4", &["did you mean `shrink_weeks`?"]);
        check("scale = 0.25", "", &["missing field `scale`"]);
    }

    #[test]
    fn some_weight_must_be_left() {
        let (general, weights) = DEFAULT_POLICY.split_once("[weights]\n").expect("weights");
        let (_, rest) = weights.split_once("\n\n").expect("the next table");
        let zero: String = signal_names().map(|signal| format!("{signal} = 0\n")).collect();
        let error = Policy::parse(&format!("{general}[weights]\n{zero}\n{rest}"));
        let error = error.expect_err("no weight").to_string();
        assert!(error.contains("onboarding, errors, steadiness, growth"), "{error}");
    }
}
