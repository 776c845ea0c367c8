//! What the sentences about errors are made from: the days of partners with alarms, and the status
//! and endpoint that most client errors of a partner come from.

use std::collections::HashMap;
use std::ops::Range;

use domain::Day;
use polars::prelude::{BooleanChunked, Float64Chunked, Int32Chunked, Int64Chunked, StringChunked};

use crate::frames::{InputFrame, Keys, ScoreError};
use crate::incident::ErrorDay;

/// The query with the days of partners with alarms: day, partner_id, event_date, calls,
/// client_error_rate?, baseline_rate?, alarm, ordered by the first three.
pub const ERROR_DAYS: &str = "scoring_error_days";
/// The query with what most client errors of a partner come from: day, partner_id, status, method?,
/// endpoint?, share.
pub(crate) const ERROR_CAUSE: &str = "scoring_error_cause";

/// The share of a partner's client errors from which a cause is named.
const MOST: f64 = 0.5;

/// The rows of [`ERROR_DAYS`].
pub(crate) struct ErrorDays<'a> {
    dates: &'a Int32Chunked,
    calls: &'a Int64Chunked,
    rates: &'a Float64Chunked,
    baselines: &'a Float64Chunked,
    alarms: &'a BooleanChunked,
    /// The rows of each partner and evaluated day.
    rows: HashMap<(Day, &'a str), Range<usize>>,
}

impl<'a> ErrorDays<'a> {
    pub(crate) fn of(frame: &'a InputFrame) -> Result<Self, ScoreError> {
        let (days, ids) = (frame.i32("day")?, frame.str("partner_id")?);
        let mut rows: HashMap<(Day, &str), Range<usize>> = HashMap::new();
        for (row, (day, id)) in days.iter().zip(ids.iter()).enumerate() {
            let day = Day(frame.required("day", row, day)?);
            let id = frame.required("partner_id", row, id)?;
            let range = rows.entry((day, id)).or_insert(row..row);
            if range.end != row {
                return Err(ScoreError::Unordered { frame: frame.name.clone(), row });
            }
            range.end = row + 1;
        }
        Ok(Self {
            dates: frame.i32("event_date")?,
            calls: frame.i64("calls")?,
            rates: frame.f64("client_error_rate")?,
            baselines: frame.f64("baseline_rate")?,
            alarms: frame.bool("alarm")?,
            rows,
        })
    }

    /// Returns the days of a partner as of a day, oldest first; none for a partner without alarms.
    pub(crate) fn of_partner(&self, day: Day, id: &str) -> Vec<ErrorDay> {
        let rows = self.rows.get(&(day, id)).cloned().unwrap_or(0..0);
        rows.filter_map(|row| {
            Some(ErrorDay {
                day: Day(self.dates.get(row)?),
                calls: self.calls.get(row)?,
                client_error_rate: self.rates.get(row),
                baseline_rate: self.baselines.get(row),
                alarm: self.alarms.get(row)?,
            })
        })
        .collect()
    }
}

/// The rows of [`ERROR_CAUSE`], aligned with the partners.
pub(crate) struct ErrorCauses {
    statuses: Int64Chunked,
    methods: StringChunked,
    endpoints: StringChunked,
    shares: Float64Chunked,
}

impl ErrorCauses {
    pub(crate) fn of(frame: &InputFrame, keys: &Keys) -> Result<Self, ScoreError> {
        let frame = frame.aligned(keys)?;
        Ok(Self {
            statuses: frame.i64("status")?.clone(),
            methods: frame.str("method")?.clone(),
            endpoints: frame.str("endpoint")?.clone(),
            shares: frame.f64("share")?.clone(),
        })
    }

    /// Returns the cause of most client errors of a partner: `422 on POST /v2/charges`. `None` where
    /// no cause has half of them.
    pub(crate) fn of_row(&self, row: usize) -> Option<String> {
        let status = self.statuses.get(row)?;
        self.shares.get(row).filter(|share| *share >= MOST)?;
        Some(match (self.methods.get(row), self.endpoints.get(row)) {
            (Some(method), Some(endpoint)) => format!("{status} on {method} {endpoint}"),
            (None, Some(endpoint)) => format!("{status} on {endpoint}"),
            (_, None) => status.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;

    fn frame(ids: &[&str], dates: &[i32]) -> InputFrame {
        let rows = ids.len();
        let frame = df!(
            "day" => vec![100; rows],
            "partner_id" => ids,
            "event_date" => dates,
            "calls" => vec![10_i64; rows],
            "client_error_rate" => vec![0.1; rows],
            "baseline_rate" => vec![None::<f64>; rows],
            "alarm" => vec![true; rows],
        );
        InputFrame::new(ERROR_DAYS, frame.expect("a frame"))
    }

    #[test]
    fn days_are_found_by_partner_and_day() {
        let frame = frame(&["a", "a", "b"], &[98, 99, 97]);
        let days = ErrorDays::of(&frame).expect("days");
        let dates = |day, id| -> Vec<i32> {
            days.of_partner(Day(day), id).iter().map(|day| day.day.0).collect()
        };
        assert_eq!(dates(100, "a"), [98, 99]);
        assert_eq!(dates(100, "b"), [97]);
        assert!(dates(100, "c").is_empty());
        assert!(dates(99, "a").is_empty());
    }

    #[test]
    fn the_rows_of_a_partner_must_stand_together() {
        let frame = frame(&["a", "b", "a"], &[98, 99, 97]);
        let error = ErrorDays::of(&frame).err().expect("an error").to_string();
        assert!(error.contains("`scoring_error_days`") && error.contains("row 2"), "{error}");
    }
}
