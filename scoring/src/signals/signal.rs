//! What a signal is: what it is given, what it answers, and what it declares of itself.

use std::collections::BTreeMap;

use domain::{AsOf, Day};
use polars::prelude::DataFrame;
use serde::de::DeserializeOwned;

use crate::input::{DayCalls, Partner, ScoreError};
use crate::value_check::ValueCheck;
use crate::windows::Windows;

/// A health signal. Each is an empty type in a file of its own, and is registered in `mod.rs`.
pub(crate) trait Signal {
    /// Its table of the scoring policy.
    type Parameters: DeserializeOwned;
    /// What it keeps of the rows of its metrics.
    type Data: Default;

    /// The metrics whose rows it reads.
    const METRICS: &'static [&'static str] = &[];

    /// Checks the values of its table.
    fn checks(parameters: &Self::Parameters, windows: &Windows) -> Vec<ValueCheck>;

    /// Reads the rows of its metrics, for all partners.
    ///
    /// # Errors
    /// Names the column that is missing or of another type.
    fn load(_metrics: &MetricFrames<'_>) -> Result<Self::Data, ScoreError> {
        Ok(Self::Data::default())
    }

    /// Measures a partner.
    fn read(
        context: &SignalContext<'_>,
        parameters: &Self::Parameters,
        data: &Self::Data,
    ) -> Reading;
}

/// The rows of metrics that signals read.
#[derive(Clone, Copy)]
pub(crate) struct MetricFrames<'a> {
    /// By the name of the metric; a metric that is held back has no entry.
    pub frames: &'a BTreeMap<String, DataFrame>,
    /// Every partner by its id.
    pub partners: &'a BTreeMap<String, Partner>,
    /// Rows of this day and later are not seen.
    pub as_of: AsOf,
}

/// What a signal says of a partner.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading {
    /// The signal does not apply to this partner.
    NotApplicable,
    /// The signal applies, but there is too little to measure; the text says why.
    Missing(String),
    Measured(Measurement),
}

/// A measured signal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measurement {
    /// The raw value, in the unit of the signal.
    pub value: f64,
    /// 0–100.
    pub score: f64,
    /// How many observations the value rests on.
    pub n: i64,
    /// The value as a sentence.
    pub reason: String,
}

/// The median coefficient of variation (cv) of the daily calls of a segment's partners, by segment.
pub(crate) type SegmentCv<'a> = BTreeMap<Option<&'a str>, f64>;

/// What every signal is given: a partner, and the day from which it is looked at.
#[derive(Clone, Copy)]
pub(crate) struct SignalContext<'a> {
    pub partner: &'a Partner,
    /// The first day that is not seen; the recent window W ends with the day before.
    pub day: Day,
    /// The day of the whole run, which is later than `day` for a frozen score.
    pub run_day: Day,
    pub windows: &'a Windows,
    pub segment_cv: &'a SegmentCv<'a>,
}

impl<'a> SignalContext<'a> {
    /// Returns the days with calls from `from` to the day before `to`.
    pub(crate) fn calls(&self, from: Day, to: Day) -> &'a [DayCalls] {
        between(&self.partner.days, |d| d.day, from, to)
    }

    /// Returns the first day of W.
    pub(crate) fn recent_start(&self) -> Day {
        self.windows.recent_start(self.day)
    }

    /// Returns the first day of B.
    pub(crate) fn baseline_start(&self) -> Day {
        self.windows.baseline_start(self.day)
    }

    /// Returns the first whole day on which the partner was live.
    pub(crate) fn first_live_day(&self) -> Option<Day> {
        let live = self.partner.live_at?;
        let day = Day::of_micros(live);
        Some(if day.start_micros() == live { day } else { day.plus(1) })
    }
}

/// Returns the part of a list sorted by day that falls into [from, to).
pub(crate) fn between<T>(sorted: &[T], day: impl Fn(&T) -> Day, from: Day, to: Day) -> &[T] {
    let start = sorted.partition_point(|item| day(item) < from);
    let end = sorted.partition_point(|item| day(item) < to);
    sorted.get(start..end).unwrap_or_default()
}
