//! Which days of its inputs one day of a rollup depends on, shown from the plan.
//!
//! Reading order: here what a header promises against what a plan reads; `follow` (the day of an
//! output row, followed down to the tables), `day` (expressions that are a day), `same` (columns
//! that hold the same day), `window` (the days around its own that a window function looks at).

mod day;
mod follow;
mod same;
mod window;

use datafusion::logical_expr::LogicalPlan;
use lake_types::counted;

use crate::catalog::Query;
use crate::header::Reach;
use follow::reads_of;

/// The column that a table of events and a rollup have their day in.
const DAY: &str = "event_date";

/// Days read for one day, counted from it; `None`: without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Days {
    pub from: Option<i32>,
    pub to: Option<i32>,
}

impl Days {
    const SAME: Self = Self { from: Some(0), to: Some(0) };
    const ALL: Self = Self { from: None, to: None };

    fn plus(self, other: Self) -> Self {
        Self {
            from: self.from.zip(other.from).map(|(a, b)| a.saturating_add(b)),
            to: self.to.zip(other.to).map(|(a, b)| a.saturating_add(b)),
        }
    }

    fn hull(self, other: Self) -> Self {
        Self {
            from: self.from.zip(other.from).map(|(a, b)| a.min(b)),
            to: self.to.zip(other.to).map(|(a, b)| a.max(b)),
        }
    }

    /// The least that a header may say for them.
    fn reach(self) -> Reach {
        match (self.from, self.to) {
            (Some(from), Some(to)) if from >= 0 && to <= 0 => Reach::Same,
            (Some(from), Some(to)) if to <= 0 => Reach::Lookback(-from),
            (_, Some(to)) if to <= 0 => Reach::UpTo,
            _ => Reach::All,
        }
    }

    fn is_within(self, reach: Reach) -> bool {
        let past = self.to.is_some_and(|to| to <= 0);
        match reach {
            Reach::Same => self == Self::SAME,
            Reach::Lookback(days) => past && self.from.is_some_and(|from| from >= -days),
            Reach::UpTo => past,
            Reach::All => true,
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

/// A number of days, in words.
fn days(n: i32) -> String {
    counted(n, "day")
}

/// What is read of one table, and what makes it so much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub days: Days,
    pub why: String,
}

/// A header that promises less than the plan reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub message: String,
    pub help: String,
}

/// Holds what the header says against the plan.
pub(crate) fn verify(query: &Query, plan: &LogicalPlan) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (table, read) in reads_of(plan) {
        let plain = table.strip_prefix("raw.").unwrap_or(&table);
        let least = read.days.reach().text();
        let Some(claimed) = query.header.reads.get(plain) else {
            broken.push(Broken {
                message: format!("the header does not say which days of {plain} it reads"),
                help: format!("write reads = {{ {plain} = \"{least}\" }}"),
            });
            continue;
        };
        if read.days.is_within(*claimed) {
            continue;
        }
        broken.push(Broken {
            message: format!(
                "a day of it may read {} of {plain}, and the header says \"{}\": {}",
                read.days.text(),
                claimed.text(),
                read.why
            ),
            help: format!("write {plain} = \"{least}\", or keep the days apart in the query"),
        });
    }
    broken
}

#[cfg(test)]
mod tests;
