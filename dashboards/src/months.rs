//! Calendar months: their first days, and their notes on the axis of a chart.

use chrono::{Datelike, NaiveDate};
use domain::{Day, format};

/// Returns the first day of the month of a date.
pub(crate) fn month_start(date: NaiveDate) -> NaiveDate {
    domain::month_of(Day::of_date(date)).date()
}

/// Returns the first day of the month after that of a date.
pub(crate) fn next_month(date: NaiveDate) -> NaiveDate {
    domain::next_month(Day::of_date(date)).date()
}

/// Returns the first day of a month and the first day after it.
pub(crate) fn days(month: NaiveDate) -> (NaiveDate, NaiveDate) {
    (month_start(month), next_month(month))
}

/// Returns the note under the label of a month on an axis: how many of its days have passed, or its
/// year if that is not the year of the previous month on the axis.
pub(crate) fn axis_note(
    previous: Option<NaiveDate>,
    month: NaiveDate,
    as_of: NaiveDate,
) -> Option<String> {
    let is_new_year = previous.is_none_or(|previous| previous.year() != month.year());
    format::elapsed_days_of_month(month, as_of).or(is_new_year.then(|| month.year().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_on_their_first_day() {
        let date = |text: &str| text.parse::<NaiveDate>().expect("a date");
        assert_eq!(month_start(date("2026-12-31")), date("2026-12-01"));
        assert_eq!(next_month(date("2026-12-31")), date("2027-01-01"));
    }
}
