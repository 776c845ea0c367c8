//! The days of a table that one day of a rollup may read, as `reads` of a header declares them.

use domain::Day;

/// The days of a table that one day of a rollup may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayRange {
    /// That day alone.
    Same,
    /// That day and this many days before it.
    Lookback(i32),
    /// That day and every day before it.
    UpTo,
    All,
}

impl DayRange {
    /// Returns whether the range begins with the first day of the table.
    pub fn is_endless(self) -> bool {
        matches!(self, Self::UpTo | Self::All)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "same" => Self::Same,
            "upto" => Self::UpTo,
            "all" => Self::All,
            _ => Self::Lookback(text.strip_prefix("lookback ")?.trim().parse().ok()?),
        })
    }

    /// Returns the range as a header writes it.
    pub fn text(self) -> String {
        match self {
            Self::Same => "same".to_owned(),
            Self::Lookback(days) => format!("lookback {days}"),
            Self::UpTo => "upto".to_owned(),
            Self::All => "all".to_owned(),
        }
    }

    /// Returns whether the day `day` of the rollup may read the day `input` of the table.
    pub fn covers(self, day: Day, input: Day) -> bool {
        match self {
            Self::Same => input == day,
            Self::Lookback(days) => input <= day && input >= day.plus(-days),
            Self::UpTo => input <= day,
            Self::All => true,
        }
    }
}
