//! The scoring policy, read from `scoring.toml` and checked; errors name the line.

use std::collections::BTreeMap;

use domain::{Position, SignalName, toml_error};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::de::{DeTable, DeValue};

use crate::gates::GatePolicy;
use crate::signals::{SignalParameters, candidates, is_candidate, signal_names, signal_tables};
use crate::tier::TierPolicy;
use crate::value_check::{ValueCheck, value_check};

/// The policy shipped with the binary, with a comment for every key.
pub const DEFAULT_POLICY: &str = include_str!("../default_policy.toml");

/// A checked policy; [`Policy::parse`] makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub version: String,
    weights: Weights,
    pub evidence: MinimumEvidence,
    pub tiers: TierPolicy,
    pub(crate) gates: GatePolicy,
    pub(crate) signals: SignalParameters,
}

/// The tables of the policy that belong to no single signal.
#[derive(Deserialize)]
struct GeneralTables {
    version: String,
    weights: Weights,
    evidence: MinimumEvidence,
    tiers: TierPolicy,
    gates: GatePolicy,
}

/// The keys of [`GeneralTables`].
const GENERAL_TABLES: [&str; 5] = ["version", "weights", "evidence", "tiers", "gates"];

/// The weight of every signal.
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
    /// The highest score at the minimum coverage; it rises to 100 at full coverage.
    pub cap_at_min_coverage: f64,
}

/// Why a scoring policy was refused, with line and column (`5:1`); the caller knows its file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("{at}: {message}")]
    Toml { at: Position, message: String },
    #[error("{at}: {key} = {given} must be {expected}")]
    Value { key: String, at: Position, given: String, expected: &'static str },
    #[error("{at}: all weights are 0; give at least one of {names}")]
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
        let GeneralTables { version, weights, evidence, tiers, gates } = general;
        let signals = parse_toml(&with_candidate_tables(text)?)?;
        let policy = Self { version, weights, evidence, tiers, gates, signals };
        let checks = [
            policy.general_checks(),
            policy.tiers.checks(),
            policy.gates.checks(),
            policy.signals.checks(),
        ];
        if let Some(refused) = checks.into_iter().flatten().find(|check| !check.is_allowed) {
            let ValueCheck { key, given, expected, .. } = refused;
            return Err(PolicyError::Value { at: key_position(text, &key), key, given, expected });
        }
        let at = key_position(text, "weights");
        let is_missing =
            |signal: &SignalName| policy.given_weight(signal).is_none() && !is_candidate(signal);
        if let Some(signal) = signal_names().find(is_missing) {
            return Err(PolicyError::MissingWeight { at, signal });
        }
        if signal_names().all(|signal| policy.weight(&signal) == 0.0) {
            let names = joined(signal_names());
            return Err(PolicyError::AllWeightsZero { at, names });
        }
        Ok(policy)
    }

    /// Returns whether a signal belongs to the scores: all do but candidates without a weight.
    pub fn has_signal(&self, signal: &SignalName) -> bool {
        self.weight(signal) > 0.0 || !is_candidate(signal)
    }

    /// Returns the weight of a signal; 0 leaves the signal out.
    pub fn weight(&self, signal: &SignalName) -> f64 {
        self.given_weight(signal).unwrap_or_default()
    }

    fn given_weight(&self, signal: &SignalName) -> Option<f64> {
        self.weights.0.get(&RegisteredSignal(signal.clone())).copied()
    }

    /// Checks the values of the tables that belong to neither signals, tiers nor gates.
    fn general_checks(&self) -> Vec<ValueCheck> {
        let evidence = &self.evidence;
        let (coverage, cap) = (evidence.min_coverage, evidence.cap_at_min_coverage);
        let live = evidence.min_live_days;
        let is_version = !self.version.trim().is_empty();
        let is_share = (0.0..=1.0).contains(&coverage);
        let is_score = (0.0..=100.0).contains(&cap);
        let mut checks = vec![
            value_check("version", &self.version, "a name", is_version),
            value_check("evidence.min_coverage", &coverage, "0 to 1", is_share),
            value_check("evidence.min_live_days", &live, "0 or more", live >= 0),
            value_check("evidence.cap_at_min_coverage", &cap, "0 to 100", is_score),
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

/// Returns the text with the built-in tables of the candidates that it does not name, at its end:
/// policies are older than candidates.
fn with_candidate_tables(text: &str) -> Result<String, PolicyError> {
    let given: BTreeMap<String, toml::Value> = parse_toml(text)?;
    let mut whole = text.to_owned();
    for candidate in candidates().filter(|candidate| !given.contains_key(candidate.name)) {
        let header = format!("[{}]", candidate.name);
        let mut lines = DEFAULT_POLICY.lines().skip_while(|line| *line != header);
        let table = lines.next().into_iter().chain(lines.take_while(|line| !line.starts_with('[')));
        for line in table {
            whole.push('\n');
            whole.push_str(line);
        }
    }
    Ok(whole)
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
        assert_eq!(["onboarding", "errors", "dormancy"].map(weight), [5.0, 20.0, 20.0]);
        assert_eq!((policy.tiers.at_risk_below, policy.tiers.healthy_above), (40.0, 75.0));
        assert_eq!((policy.evidence.min_coverage, policy.evidence.min_live_days), (0.6, 28));
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
        check("growth = 15", "growth = -1", &[&line("growth"), "weights.growth = -1", "0 or more"]);
        let fall = line("zero_fall");
        check("zero_fall = 0.5", "zero_fall = nan", &[&fall, "growth.zero_fall", "more than 0"]);
        check("healthy_above = 75", "healthy_above = 30", &["tiers.healthy_", " = "]);
        check("errors = 20", "error = 20", &["unknown signal `error`; did you mean `errors`?"]);
        check("errors = 20\n", "", &["[weights] lacks `errors`; errors = 0 leaves it out"]);
        let value = line("alarm_days").replace(":1: ", ":14: ");
        check("alarm_days = 7", "alarm_days = seven", &[&value, "string values must be quoted"]);
        check("alarm_days = 7", "alarm_days = \"seven\"", &["invalid type: text, expected f64"]);
        check("version = \"3\"", "version = \"\"", &["5:1: version", "a name"]);
        let table = line("[growth]").replace(":1: ", ":2: ");
        let meant = "unknown field `grwth`; did you mean `growth`?";
        check("[growth]", "[grwth]", &[&table, meant]);
        check("min_weeks_before = 4", "min_week_before = 4", &["did you mean `min_weeks_before`?"]);
        check("min_live_weeks = 8\n", "", &["missing field `min_live_weeks`"]);
    }

    #[test]
    fn a_policy_may_leave_out_candidates() {
        let tables = DEFAULT_POLICY.find("[breadth]").expect("the first table of a candidate");
        let lines = DEFAULT_POLICY[..tables].lines();
        let older: Vec<&str> = lines.filter(|line| !line.ends_with("breadth = 0")).collect();
        let older = older.join("\n").replace("credentials = 0\n", "").replace("payments = 0\n", "");
        let whole = Policy::parse(DEFAULT_POLICY).expect("the shipped policy");
        assert_eq!(Policy::parse(&older).expect("a policy").signals, whole.signals);
        // A weight alone takes the built-in table, and a table must be whole.
        let weighed = older.replace("support = 5", "support = 5\nbreadth = 7");
        let weighed = Policy::parse(&weighed).expect("a policy");
        let breadth = SignalName::new("breadth");
        assert_eq!((weighed.weight(&breadth), weighed.has_signal(&breadth)), (7.0, true));
        assert!(!whole.has_signal(&breadth) && whole.has_signal(&SignalName::new("errors")));
        let unset = format!("{older}\n[breadth]\nmin_live_days = 9\n");
        let error = Policy::parse(&unset).expect_err("a key is missing").to_string();
        assert!(error.contains("missing field `max_cadence_days`"), "{error}");
    }

    #[test]
    fn some_weight_must_be_left() {
        let (general, weights) = DEFAULT_POLICY.split_once("[weights]\n").expect("weights");
        let (_, rest) = weights.split_once("\n\n").expect("the next table");
        let zero: String = signal_names().map(|signal| format!("{signal} = 0\n")).collect();
        let error = Policy::parse(&format!("{general}[weights]\n{zero}\n{rest}"));
        let error = error.expect_err("no weight").to_string();
        assert!(error.contains("onboarding, errors, steadiness, growth, revenue"), "{error}");
    }
}
