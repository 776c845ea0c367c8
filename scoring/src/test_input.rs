//! Small partners and days for the tests of this crate, and readings of one signal.

use domain::{Day, parse_instant};

use crate::input::{DayCalls, Partner};
use crate::policy::{DEFAULT_POLICY, Policy};
use crate::signals::{Measurement, Reading, SegmentCv, Signal, SignalContext};

/// The shipped policy.
pub(crate) fn default_policy() -> Policy {
    Policy::parse(DEFAULT_POLICY).expect("the shipped policy")
}

/// The shipped policy with the weights of four signals only, so that the tests of whole runs stay
/// as they are when a signal is added.
pub(crate) fn four_signal_policy() -> Policy {
    let (general, weights) = DEFAULT_POLICY.split_once("[weights]\n").expect("weights");
    let (weights, rest) = weights.split_once("\n\n").expect("the next table");
    let weights = weights.lines().map(|line| match line.split_once(" = ") {
        Some(("onboarding", _)) => "onboarding = 10\n".to_owned(),
        Some(("errors", _)) => "errors = 20\n".to_owned(),
        Some(("steadiness", _)) => "steadiness = 15\n".to_owned(),
        Some(("growth", _)) => "growth = 10\n".to_owned(),
        Some((other, _)) => format!("{other} = 0\n"),
        None => format!("{line}\n"),
    });
    let weights: String = weights.collect();
    let text = format!("{general}[weights]\n{weights}\n{rest}");
    Policy::parse(&text).expect("the shipped policy with other weights")
}

pub(crate) fn day(text: &str) -> Day {
    text.parse().expect("a date")
}

pub(crate) fn at(text: &str) -> i64 {
    parse_instant(text).expect("an instant")
}

pub(crate) fn partner(id: &str) -> Partner {
    Partner { id: id.to_owned(), ..Partner::default() }
}

/// Makes days with calls, all of them successes.
pub(crate) fn traffic(days: impl Iterator<Item = (Day, i64)>) -> Vec<DayCalls> {
    let called = days.filter(|(_, calls)| *calls > 0);
    called.map(|(day, calls)| DayCalls { day, calls, successes: calls }).collect()
}

/// Reads a signal of a partner as of a day.
pub(crate) fn read_signal<S: Signal>(
    partner: &Partner,
    as_of: &str,
    parameters: &S::Parameters,
    data: &S::Data,
) -> Reading {
    read_signal_with_cv::<S>(partner, as_of, &SegmentCv::new(), parameters, data)
}

/// Reads a signal of a partner as of a day, with the cv of its segment.
pub(crate) fn read_signal_with_cv<S: Signal>(
    partner: &Partner,
    as_of: &str,
    segment_cv: &SegmentCv<'_>,
    parameters: &S::Parameters,
    data: &S::Data,
) -> Reading {
    let (day, windows) = (day(as_of), default_policy().windows);
    let context = SignalContext { partner, day, run_day: day, windows: &windows, segment_cv };
    S::read(&context, parameters, data)
}

#[track_caller]
pub(crate) fn measured(reading: Reading) -> Measurement {
    match reading {
        Reading::Measured(measured) => measured,
        other => panic!("not measured: {other:?}"),
    }
}
