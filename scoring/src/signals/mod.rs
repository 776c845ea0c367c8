//! The registry of health signals.
//!
//! A new signal is a file of this folder with its tests, its `mod` line and its line in the
//! registry below, and its weight and table in `default_policy.toml`.
//!
//! - `signal`: what a signal is given, and what it answers
//! - `onboarding`: how long from registration to the first production success
//! - `errors`: days on which the partner's own errors raised the alarm
//! - `steadiness`: the days it called of those its weekday pattern expects
//! - `growth`: the trend of its weekly calls

mod errors;
mod growth;
mod onboarding;
mod signal;
mod steadiness;

use std::collections::BTreeSet;

use domain::SignalName;
use serde::Deserialize;

use crate::input::ScoreError;
use crate::value_check::ValueCheck;
use crate::windows::Windows;

pub(crate) use errors::ERROR_TREND_DAYS;
pub(crate) use signal::{MetricFrames, Reading, SegmentCv, Signal, SignalContext};
pub(crate) use steadiness::segment_cv;

#[cfg(test)]
pub(crate) use signal::Measurement;

/// Makes the registry: from each line `name: Type`, a table of the policy, the signal's data, and
/// its place in every list.
macro_rules! registry {
    ($($name:ident: $signal:ty,)+) => {
        /// The tables of the scoring policy that belong to one signal each.
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        pub(crate) struct SignalParameters {
            $(pub(crate) $name: <$signal as Signal>::Parameters,)+
        }

        impl SignalParameters {
            /// Checks the values of all tables.
            pub(crate) fn checks(&self, windows: &Windows) -> Vec<ValueCheck> {
                let checks = [$(<$signal>::checks(&self.$name, windows)),+];
                checks.into_iter().flatten().collect()
            }
        }

        /// What the signals keep of the rows of their metrics.
        pub(crate) struct SignalData {
            $($name: <$signal as Signal>::Data,)+
        }

        impl SignalData {
            /// Reads the rows of all metrics that signals read.
            pub(crate) fn load(metrics: &MetricFrames<'_>) -> Result<Self, ScoreError> {
                Ok(Self { $($name: <$signal>::load(metrics)?,)+ })
            }
        }

        /// Measures a partner by every signal that this version computes, in their order.
        pub(crate) fn read_all(
            context: &SignalContext<'_>,
            parameters: &SignalParameters,
            data: &SignalData,
        ) -> Vec<(SignalName, Reading)> {
            vec![$((
                SignalName::new(stringify!($name)),
                <$signal>::read(context, &parameters.$name, &data.$name),
            )),+]
        }

        /// The signals that this version computes, in the order they are shown.
        const COMPUTED: &[&str] = &[$(stringify!($name)),+];

        /// The metrics of each signal.
        const METRICS: &[&[&str]] = &[$(<$signal as Signal>::METRICS),+];
    };
}

registry! {
    onboarding: onboarding::Onboarding,
    errors: errors::Errors,
    steadiness: steadiness::Steadiness,
    growth: growth::Growth,
}

/// Signals that a policy weighs and that this version does not compute: they neither raise nor
/// lower a score.
const NOT_COMPUTED: [&str; 6] =
    ["revenue", "dormancy", "throttling", "latency", "deprecated", "support"];

/// Returns the names of all signals that a policy weighs, in the order they are shown.
pub fn signal_names() -> impl Iterator<Item = SignalName> {
    computed_signal_names().chain(NOT_COMPUTED.iter().map(|name| SignalName::new(name)))
}

/// Returns the metrics whose rows signals read, for [`crate::ScoreInput::metrics`].
pub fn signal_metrics() -> BTreeSet<&'static str> {
    METRICS.iter().flat_map(|metrics| metrics.iter().copied()).collect()
}

/// Returns the names of the signals that this version computes.
pub(crate) fn computed_signal_names() -> impl Iterator<Item = SignalName> {
    COMPUTED.iter().map(|name| SignalName::new(name))
}

/// Returns the tables of the policy that belong to one signal each.
pub(crate) fn signal_tables() -> impl Iterator<Item = &'static str> {
    COMPUTED.iter().copied()
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
        let registered: BTreeSet<String> = COMPUTED.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(found, registered, "files of signals, and lines of the registry");
    }
}
