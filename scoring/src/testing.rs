//! What the tests of this room share: small partners, days, and questions put to one signal.

use lake_types::{Day, parse_instant};

use crate::input::{DayCalls, Partner};
use crate::policy::{DEFAULT_POLICY, Policy};
use crate::signals::{Measured, Question, Reading, SegmentCv};

pub(crate) fn default_policy() -> Policy {
    Policy::parse(DEFAULT_POLICY).expect("the shipped policy")
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

/// Days with calls, all of them successes.
pub(crate) fn traffic(days: impl Iterator<Item = (Day, i64)>) -> Vec<DayCalls> {
    let called = days.filter(|(_, calls)| *calls > 0);
    called.map(|(day, calls)| DayCalls { day, calls, successes: calls }).collect()
}

pub(crate) fn asked(
    partner: &Partner,
    as_of: &str,
    read: impl Fn(&Question<'_>) -> Reading,
) -> Reading {
    asked_with(partner, as_of, &SegmentCv::new(), read)
}

pub(crate) fn asked_with(
    partner: &Partner,
    as_of: &str,
    segment_cv: &SegmentCv<'_>,
    read: impl Fn(&Question<'_>) -> Reading,
) -> Reading {
    let (day, policy) = (day(as_of), default_policy());
    read(&Question { partner, day, run_day: day, policy: &policy, segment_cv })
}

#[track_caller]
pub(crate) fn measured(reading: Reading) -> Measured {
    match reading {
        Reading::Measured(measured) => measured,
        other => panic!("not measured: {other:?}"),
    }
}
