//! The registry of health signals.
//!
//! A new signal is a file of this folder with its tests, its `mod` line and its line in the
//! registry below, its weight and table in `default_policy.toml`, and its query under
//! `queries/scoring/`.
//!
//! - `signal`: what a signal is given, and what it answers
//! - `onboarding`: how long from registration to the first production success
//! - `errors`: errors that the partner itself causes: alarms, and their lasting level
//! - `steadiness`: the days it called of those its weekday pattern expects
//! - `growth`: its weekly calls beside those before
//! - `revenue`: its gross beside that before
//! - `dormancy`: the probability that it calls again
//! - `throttling`: the share of its calls that its quota stopped
//! - `service`: what the platform does to it: latency and server errors
//! - `deprecated`: its calls to versions that end
//! - `support`: its tickets for each ten thousand calls
//!
//! Candidates, which have no weight by default:
//!
//! - `breadth`: its products and endpoints in use
//! - `credentials`: its calls with old credentials
//! - `payments`: its failed payments that none has followed

mod breadth;
mod credentials;
mod deprecated;
mod dormancy;
mod errors;
mod growth;
mod onboarding;
mod payments;
mod revenue;
mod service;
mod signal;
mod steadiness;
mod support;
mod throttling;

use std::collections::BTreeSet;

use domain::SignalName;
use serde::Deserialize;

use crate::frames::ScoreError;
use crate::sentences::Sentences;
use crate::value_check::ValueCheck;

pub(crate) use signal::{Measured, Signal, SignalInput};

/// Makes the registry: from each line `name: Type`, a table of the policy and the signal's place in
/// every list.
macro_rules! registry {
    ($($name:ident: $signal:ty,)+) => {
        /// The tables of the scoring policy that belong to one signal each.
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        pub(crate) struct SignalParameters {
            $(pub(crate) $name: <$signal as Signal>::Parameters,)+
        }

        impl SignalParameters {
            /// Checks the values of all tables.
            pub(crate) fn checks(&self) -> Vec<ValueCheck> {
                let checks = [$(<$signal>::checks(&self.$name)),+];
                checks.into_iter().flatten().collect()
            }
        }

        /// The names of the signals, in the order they are shown.
        const NAMES: &[&str] = &[$(stringify!($name)),+];

        /// The registered signals, in the order of [`NAMES`].
        pub(crate) const SIGNALS: &[RegisteredSignal] = &[$(RegisteredSignal {
            name: stringify!($name),
            input: <$signal as Signal>::INPUT,
            by_week: <$signal as Signal>::BY_WEEK,
            details: <$signal as Signal>::DETAILS,
            is_candidate: <$signal as Signal>::CANDIDATE,
            measure: |input, parameters| <$signal>::measure(input, &parameters.$name),
            reasons: |input, measured, parameters| {
                <$signal>::reasons(input, measured, &parameters.$name)
            },
        }),+];
    };
}

registry! {
    onboarding: onboarding::Onboarding,
    errors: errors::Errors,
    steadiness: steadiness::Steadiness,
    growth: growth::Growth,
    revenue: revenue::Revenue,
    dormancy: dormancy::Dormancy,
    throttling: throttling::Throttling,
    service: service::Service,
    deprecated: deprecated::Deprecated,
    support: support::Support,
    breadth: breadth::Breadth,
    credentials: credentials::Credentials,
    payments: payments::Payments,
}

/// Measures every partner by one signal.
type Measure = fn(&SignalInput<'_>, &SignalParameters) -> Result<Measured, ScoreError>;

/// Returns the sentences of one signal.
type Reasons = fn(&SignalInput<'_>, &Measured, &SignalParameters) -> Result<Sentences, ScoreError>;

/// A signal as the evaluation uses it.
pub(crate) struct RegisteredSignal {
    pub name: &'static str,
    pub input: &'static str,
    pub by_week: bool,
    pub details: &'static [&'static str],
    pub is_candidate: bool,
    pub measure: Measure,
    pub reasons: Reasons,
}

/// Returns the names of all signals, in the order they are shown.
pub fn signal_names() -> impl Iterator<Item = SignalName> {
    NAMES.iter().map(|name| SignalName::new(name))
}

/// Returns the candidates among the signals, in their order.
pub(crate) fn candidates() -> impl Iterator<Item = &'static RegisteredSignal> {
    SIGNALS.iter().filter(|signal| signal.is_candidate)
}

/// Returns whether a signal is a candidate.
pub(crate) fn is_candidate(name: &SignalName) -> bool {
    candidates().any(|signal| signal.name == name.as_str())
}

/// Returns the queries whose rows some signals read, besides those of the partners themselves.
pub(crate) fn queries_of(
    signals: impl Iterator<Item = &'static RegisteredSignal>,
) -> BTreeSet<&'static str> {
    signals.flat_map(|signal| signal.details.iter().copied().chain([signal.input])).collect()
}

/// Returns the tables of the policy that belong to one signal each.
pub(crate) fn signal_tables() -> impl Iterator<Item = &'static str> {
    NAMES.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_registered_once() {
        let all: Vec<SignalName> = signal_names().collect();
        let distinct: BTreeSet<&SignalName> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:?}");
    }

    #[test]
    fn every_file_of_the_folder_is_registered() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/signals");
        let files = std::fs::read_dir(folder).expect("the folder of signals");
        let names = files.map(|file| file.expect("a file").path());
        let names = names.map(|path| path.file_stem().expect("a name").to_string_lossy().into());
        let mut found: BTreeSet<String> = names.collect();
        for other in ["mod", "signal"] {
            found.remove(other);
        }
        let registered: BTreeSet<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(found, registered, "files of signals, and lines of the registry");
    }
}
