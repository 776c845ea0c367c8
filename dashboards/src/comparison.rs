//! What the tiles compare their figures with.

use chrono::{Months, NaiveDate};
use domain::format;

use crate::months;

/// What a figure of a complete period is compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Comparison {
    /// The period before.
    #[default]
    Previous,
    /// The same period of last year.
    LastYear,
    /// The goal that the project sets, where it sets one.
    Target,
}

impl Comparison {
    /// Every comparison, in the order of the menu.
    pub const ALL: [Self; 3] = [Self::Previous, Self::LastYear, Self::Target];

    /// Returns the name in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Previous => "previous",
            Self::LastYear => "last_year",
            Self::Target => "target",
        }
    }

    /// Returns the comparison of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|comparison| comparison.name() == name)
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Previous => "Previous period",
            Self::LastYear => "Same period last year",
            Self::Target => "Target",
        }
    }

    /// Returns the row of the month that a month is compared with. Months without a row are missing,
    /// so the row before may belong to an earlier month. A target has no month.
    pub(crate) fn base<T>(
        self,
        rows: &[T],
        month: NaiveDate,
        month_of: impl Fn(&T) -> NaiveDate,
    ) -> Option<&T> {
        let is_base = |then: NaiveDate| match self {
            Self::Previous => months::next_month(then) == month,
            Self::LastYear => then.checked_add_months(Months::new(12)) == Some(month),
            Self::Target => false,
        };
        rows.iter().find(|row| is_base(month_of(row)))
    }

    /// Returns how a month stands behind a change: `on Sep`, `on Oct 2025`.
    pub(crate) fn on(self, month: NaiveDate) -> String {
        match self {
            Self::LastYear => format!("on {}", format::month_year(month)),
            _ => format!("on {}", format::month(month)),
        }
    }

    /// Returns why a figure of a month has no change, if the comparison was chosen.
    pub(crate) fn missing(self, month: Option<NaiveDate>) -> Option<String> {
        match self {
            Self::Previous => None,
            Self::LastYear => {
                let then = month?.checked_sub_months(Months::new(12))?;
                Some(format!("No figure of {}", format::month_year(then)))
            }
            Self::Target => Some("No target".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_compared_with_that_month_and_no_other() {
        let date = |text: &str| text.parse::<NaiveDate>().expect("a date");
        let rows = [date("2025-02-01"), date("2025-12-01"), date("2026-01-01"), date("2026-02-01")];
        let base = |comparison: Comparison, month: &str| {
            comparison.base(&rows, date(month), |row| *row).map(ToString::to_string)
        };
        assert_eq!(base(Comparison::Previous, "2026-02-01").as_deref(), Some("2026-01-01"));
        assert_eq!(base(Comparison::Previous, "2025-12-01"), None);
        assert_eq!(base(Comparison::LastYear, "2026-02-01").as_deref(), Some("2025-02-01"));
        assert_eq!(base(Comparison::LastYear, "2026-01-01"), None);
        assert_eq!(base(Comparison::Target, "2026-02-01"), None);
        for comparison in Comparison::ALL {
            assert_eq!(Comparison::parse(comparison.name()), Some(comparison));
        }
        assert_eq!(Comparison::parse("yesterday"), None);
    }
}
