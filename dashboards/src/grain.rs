//! The grain of charts over time: days, weeks or months.

use chrono::{NaiveDate, Weekday};

use crate::months;

/// How long the periods of a chart are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Grain {
    Day,
    /// ISO weeks (ISO 8601), which start on Monday.
    Week,
    Month,
}

/// A period: its first day, and the first one after it.
pub(crate) type Days = (NaiveDate, NaiveDate);

/// The tables with the same sums by day, week and month. An average, a percentile or a count of
/// distinct partners has one grain only: its days do not add up.
const TABLES: [[&str; 3]; 2] = [
    ["partner_traffic", "partner_traffic_week", "partner_traffic_month"],
    ["revenue_day", "revenue_week", "revenue_summary"],
];

impl Grain {
    /// Every grain, in the order of the menu.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// Returns the name in a URL, which is the noun in a sentence too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// Returns the grain of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grain| grain.name() == name)
    }

    /// Returns the table of this grain that has the sums of a table, or `None` where other grains
    /// have no correct rows.
    pub fn table(self, name: &str) -> Option<&'static str> {
        let family = TABLES.into_iter().find(|family| family.contains(&name))?;
        Some(match self {
            Self::Day => family[0],
            Self::Week => family[1],
            Self::Month => family[2],
        })
    }

    /// Returns the period that holds a day.
    pub(crate) fn period(self, day: NaiveDate) -> Days {
        let next = |day: NaiveDate| day.succ_opt().unwrap_or(day);
        match self {
            Self::Day => (day, next(day)),
            Self::Week => {
                let week = day.week(Weekday::Mon);
                (week.first_day(), next(week.last_day()))
            }
            Self::Month => months::days(day),
        }
    }

    /// Returns the newest `n` periods before `as_of`, in order of time. The last one may not be over.
    pub(crate) fn periods(self, as_of: NaiveDate, n: usize) -> Vec<Days> {
        let before = |day: NaiveDate| day.pred_opt().unwrap_or(day);
        let newest = self.period(before(as_of));
        let mut periods: Vec<Days> =
            std::iter::successors(Some(newest), |later| Some(self.period(before(later.0))))
                .take(n)
                .collect();
        periods.reverse();
        periods
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    #[test]
    fn weeks_start_on_monday_and_months_on_their_first_day() {
        #[track_caller]
        fn check(grain: Grain, day: &str, first: &str, after: &str) {
            assert_eq!(grain.period(date(day)), (date(first), date(after)));
        }
        check(Grain::Day, "2026-03-01", "2026-03-01", "2026-03-02");
        check(Grain::Week, "2026-03-01", "2026-02-23", "2026-03-02");
        check(Grain::Week, "2026-03-02", "2026-03-02", "2026-03-09");
        // The first ISO week of 2021 starts in January, and the last one of 2020 ends there.
        check(Grain::Week, "2021-01-03", "2020-12-28", "2021-01-04");
        check(Grain::Month, "2026-12-31", "2026-12-01", "2027-01-01");
    }

    #[test]
    fn the_last_period_is_that_of_the_day_before_as_of() {
        #[track_caller]
        fn check(grain: Grain, as_of: &str, first: &str, after: &str) {
            let periods = grain.periods(date(as_of), 3);
            assert_eq!((periods.len(), periods[0].0, periods[2].1), (3, date(first), date(after)));
            assert!(periods.windows(2).all(|pair| pair[0].1 == pair[1].0), "{periods:?}");
        }
        check(Grain::Day, "2026-03-02", "2026-02-27", "2026-03-02");
        check(Grain::Week, "2026-03-02", "2026-02-09", "2026-03-02");
        check(Grain::Week, "2026-03-03", "2026-02-16", "2026-03-09");
        check(Grain::Month, "2026-03-01", "2025-12-01", "2026-03-01");
    }

    #[test]
    fn only_sums_have_other_grains() {
        assert_eq!(Grain::Week.table("partner_traffic"), Some("partner_traffic_week"));
        assert_eq!(Grain::Day.table("partner_traffic_month"), Some("partner_traffic"));
        assert_eq!(Grain::Week.table("revenue_summary"), Some("revenue_week"));
        assert_eq!(Grain::Week.table("growth"), None);
        for grain in Grain::ALL {
            assert_eq!(Grain::parse(grain.name()), Some(grain));
        }
        assert_eq!(Grain::parse("quarter"), None);
    }
}
