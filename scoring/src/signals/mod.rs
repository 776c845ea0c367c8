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

/// A signal of the score, in the order of the table in the documentation and of the columns.
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

impl Signal {
    pub const ALL: [Self; 10] = [
        Self::Onboarding,
        Self::Errors,
        Self::Steadiness,
        Self::Growth,
        Self::Revenue,
        Self::Dormancy,
        Self::Throttling,
        Self::Latency,
        Self::Deprecated,
        Self::Support,
    ];

    /// Those this version computes; the others have null columns and count for nothing.
    pub const BUILT: [Self; 4] = [Self::Onboarding, Self::Errors, Self::Steadiness, Self::Growth];

    /// The name in the policy and the prefix of its columns.
    pub fn name(self) -> &'static str {
        match self {
            Self::Onboarding => "onboarding",
            Self::Errors => "errors",
            Self::Steadiness => "steadiness",
            Self::Growth => "growth",
            Self::Revenue => "revenue",
            Self::Dormancy => "dormancy",
            Self::Throttling => "throttling",
            Self::Latency => "latency",
            Self::Deprecated => "deprecated",
            Self::Support => "support",
        }
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

/// The readings of all signals that are built, in their order.
pub(crate) fn read_all(question: &Question<'_>) -> Vec<(Signal, Reading)> {
    Signal::BUILT
        .into_iter()
        .map(|signal| {
            let reading = match signal {
                Signal::Onboarding => onboarding::read(question),
                Signal::Errors => errors::read(question),
                Signal::Steadiness => steadiness::read(question),
                Signal::Growth => growth::read(question),
                _ => Reading::NotApplicable,
            };
            (signal, reading)
        })
        .collect()
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
