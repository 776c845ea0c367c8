//! The signals: what each says of a partner on a day, on what evidence, in which words.

mod errors;
mod growth;
mod onboarding;
mod steadiness;

use std::collections::BTreeMap;

use lake_types::Day;

use crate::input::{DayCalls, Partner};
use crate::policy::Policy;

/// Days the metric `error_trend` goes back; before them its silence says nothing.
pub(crate) const TREND_DAYS: i32 = 90;

/// A signal of the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    Onboarding,
    Errors,
    Steadiness,
    Growth,
    Revenue,
    Dormancy,
    Throttling,
    Latency,
    Deprecated,
    Support,
}

/// Reads a signal off what is known of a partner.
type Read = fn(&Question<'_>) -> Reading;

/// The one list of signals, in the order they are shown: each with its name in the policy and in
/// `partner_signals`, and how it is read; one without counts for nothing in this version.
const REGISTRY: [(Signal, &str, Option<Read>); 10] = [
    (Signal::Onboarding, "onboarding", Some(onboarding::read)),
    (Signal::Errors, "errors", Some(errors::read)),
    (Signal::Steadiness, "steadiness", Some(steadiness::read)),
    (Signal::Growth, "growth", Some(growth::read)),
    (Signal::Revenue, "revenue", None),
    (Signal::Dormancy, "dormancy", None),
    (Signal::Throttling, "throttling", None),
    (Signal::Latency, "latency", None),
    (Signal::Deprecated, "deprecated", None),
    (Signal::Support, "support", None),
];

impl Signal {
    /// Every signal that a policy weighs.
    pub fn all() -> impl Iterator<Item = Self> {
        REGISTRY.iter().map(|(signal, ..)| *signal)
    }

    /// Those that this version computes.
    pub fn computed() -> impl Iterator<Item = Self> {
        REGISTRY.iter().filter(|(.., read)| read.is_some()).map(|(signal, ..)| *signal)
    }

    /// The signal of that name.
    pub fn named(name: &str) -> Option<Self> {
        REGISTRY.iter().find(|(_, known, _)| *known == name).map(|(signal, ..)| *signal)
    }

    /// The name in the policy and in `partner_signals`.
    pub fn name(self) -> &'static str {
        REGISTRY.iter().find(|(signal, ..)| *signal == self).map_or("", |(_, name, _)| name)
    }
}

/// What a signal says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading {
    /// It cannot be asked of this partner.
    NotApplicable,
    /// It could be asked, but there is too little to answer from; why.
    Missing(String),
    Measured(Measured),
}

/// An answer: the raw value, 0–100, what it rests on, and the sentence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    pub value: f64,
    pub score: f64,
    pub n: i64,
    pub reason: String,
}

/// What is usual in a segment on a day: the median cv of its partners' daily calls.
pub(crate) type SegmentCv<'a> = BTreeMap<Option<&'a str>, f64>;

/// Everything a signal is asked with: the partner, the first day not seen, and the policy.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub partner: &'a Partner,
    /// W ends with the day before.
    pub day: Day,
    /// As of when the whole run looks, which is later for a frozen score.
    pub run_day: Day,
    pub policy: &'a Policy,
    pub segment_cv: &'a SegmentCv<'a>,
}

impl<'a> Question<'a> {
    /// Days with calls from `from` to the day before `to`.
    pub(crate) fn calls(&self, from: Day, to: Day) -> &'a [DayCalls] {
        between(&self.partner.days, |d| d.day, from, to)
    }

    /// The first day of W.
    pub(crate) fn recent_from(&self) -> Day {
        self.day.plus(-self.policy.windows.recent_days)
    }

    /// The first day of B.
    pub(crate) fn baseline_from(&self) -> Day {
        self.recent_from().plus(-self.policy.windows.baseline_days)
    }

    /// The first whole day the partner was live, on or after its go-live.
    pub(crate) fn first_live_day(&self) -> Option<Day> {
        let live = self.partner.live_at?;
        let day = Day::of_micros(live);
        Some(if day.start_micros() == live { day } else { day.plus(1) })
    }
}

/// The readings of all signals that are computed, in their order.
pub(crate) fn read_all(question: &Question<'_>) -> Vec<(Signal, Reading)> {
    let computed = REGISTRY.iter().filter_map(|(signal, _, read)| Some((*signal, (*read)?)));
    computed.map(|(signal, read)| (signal, read(question))).collect()
}

/// The median cv of each segment over its partners with a success in W.
pub(crate) fn segment_cv<'a>(
    partners: impl Iterator<Item = &'a Partner>,
    day: Day,
    policy: &Policy,
) -> SegmentCv<'a> {
    steadiness::segment_cv(partners, day, policy)
}

/// The part of a sorted list that falls into [from, to).
pub(crate) fn between<T>(sorted: &[T], day: impl Fn(&T) -> Day, from: Day, to: Day) -> &[T] {
    let start = sorted.partition_point(|item| day(item) < from);
    let end = sorted.partition_point(|item| day(item) < to);
    sorted.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_is_registered_once_under_a_name_of_its_own() {
        let all: Vec<Signal> = Signal::all().collect();
        assert!(all.is_sorted_by(|a, b| a < b), "as declared, none twice");
        assert_eq!(all.last(), Some(&Signal::Support), "the last one declared");
        for signal in all {
            assert_eq!(Signal::named(signal.name()), Some(signal));
        }
        assert_eq!(Signal::named("error"), None);
        assert_eq!(Signal::computed().count(), 4);
    }
}
