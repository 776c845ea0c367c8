//! The days of its inputs that one day of a rollup reads, as the plan shows them, against those
//! that the header declares.
//!
//! - `table_reads`: the day of an output row, followed down to the tables
//! - `day`: expressions that are a day, and the days between which a column lies
//! - `equal_columns`: columns that contain the same day
//! - `window`: the days that a window function reads around the day of a row

mod day;
mod equal_columns;
mod table_reads;
mod window;

use datafusion::logical_expr::LogicalPlan;
use domain::counted;

use crate::catalog::Query;
use crate::catalog::header::DayRange;
use table_reads::table_reads;

/// The column with the day of a row, in tables of events and in rollups.
const DAY: &str = "event_date";

/// The days that are read for one day, as offsets from it; `None` has no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DayOffsets {
    from: Option<i32>,
    to: Option<i32>,
}

impl DayOffsets {
    /// The day itself.
    const SAME: Self = Self { from: Some(0), to: Some(0) };
    const ALL: Self = Self { from: None, to: None };

    fn plus(self, other: Self) -> Self {
        Self {
            from: self.from.zip(other.from).map(|(a, b)| a.saturating_add(b)),
            to: self.to.zip(other.to).map(|(a, b)| a.saturating_add(b)),
        }
    }

    /// Returns the smallest offsets that contain both.
    fn hull(self, other: Self) -> Self {
        Self {
            from: self.from.zip(other.from).map(|(a, b)| a.min(b)),
            to: self.to.zip(other.to).map(|(a, b)| a.max(b)),
        }
    }

    /// Returns the narrowest range of a header that contains these days.
    fn day_range(self) -> DayRange {
        match (self.from, self.to) {
            (Some(from), Some(to)) if from >= 0 && to <= 0 => DayRange::Same,
            (Some(from), Some(to)) if to <= 0 => DayRange::Lookback(-from),
            (_, Some(to)) if to <= 0 => DayRange::UpTo,
            _ => DayRange::All,
        }
    }

    fn is_within(self, range: DayRange) -> bool {
        let past = self.to.is_some_and(|to| to <= 0);
        match range {
            DayRange::Same => self == Self::SAME,
            DayRange::Lookback(days) => past && self.from.is_some_and(|from| from >= -days),
            DayRange::UpTo => past,
            DayRange::All => true,
        }
    }

    fn text(self) -> String {
        match (self.from, self.to) {
            (Some(0), Some(0)) => "that day alone".to_owned(),
            (Some(-1), Some(-1)) => "the day before it".to_owned(),
            (Some(-1), Some(..=0)) => "the day before it too".to_owned(),
            (Some(from), Some(0)) => format!("the {} before it too", days(-from)),
            (Some(from), Some(..=-1)) => format!("the {} before it", days(-from)),
            (None, Some(..=0)) => "every day before it too".to_owned(),
            _ => "any day".to_owned(),
        }
    }
}

/// Returns a number of days with its noun.
fn days(n: i32) -> String {
    counted(n, "day")
}

/// The days of a table that one day of the output reads, and the step of the query that causes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TableRead {
    days: DayOffsets,
    reason: String,
}

/// A table of which a rollup reads more days than its header declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UndeclaredRead {
    pub message: String,
    pub help: String,
}

/// Returns the tables of which the plan of a rollup reads more days than its header declares.
pub(crate) fn undeclared_reads(query: &Query, plan: &LogicalPlan) -> Vec<UndeclaredRead> {
    let mut undeclared = Vec::new();
    for (table, read) in table_reads(plan) {
        let plain = table.strip_prefix("raw.").unwrap_or(&table);
        let narrowest = read.days.day_range().text();
        let Some(declared) = query.header.reads.get(plain) else {
            undeclared.push(UndeclaredRead {
                message: format!("the header does not say which days of {plain} it reads"),
                help: format!("write reads = {{ {plain} = \"{narrowest}\" }}"),
            });
            continue;
        };
        if read.days.is_within(*declared) {
            continue;
        }
        undeclared.push(UndeclaredRead {
            message: format!(
                "a day of it may read {} of {plain}, and the header says \"{}\": {}",
                read.days.text(),
                declared.text(),
                read.reason
            ),
            help: format!("write {plain} = \"{narrowest}\", or keep the days apart in the query"),
        });
    }
    undeclared
}

#[cfg(test)]
mod tests;
