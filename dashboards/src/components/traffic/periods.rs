//! The calls of each period of the charts.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::grain::{Days, Grain};
use crate::health_rows::TrafficRow;

/// The calls of the newest periods before `as_of`.
pub(super) struct Traffic<'a> {
    pub grain: Grain,
    pub as_of: NaiveDate,
    pub periods: Vec<Days>,
    /// The row of each period. `None`: no call was made in it.
    pub rows: Vec<Option<&'a TrafficRow>>,
}

impl<'a> Traffic<'a> {
    /// Takes rows of a grain in order of time.
    pub(super) fn new(grain: Grain, as_of: NaiveDate, rows: &[&'a TrafficRow]) -> Self {
        let periods = grain.periods(as_of, shown(grain));
        let row = |(first, _): &Days| {
            rows.binary_search_by_key(first, |row| row.start).ok().map(|i| rows[i])
        };
        let rows = periods.iter().map(row).collect();
        Self { grain, as_of, periods, rows }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.iter().all(Option::is_none)
    }

    /// Returns whether the last period is not over.
    pub(super) fn is_last_running(&self) -> bool {
        self.periods.last().is_some_and(|(_, after)| *after > self.as_of)
    }

    /// Returns the number of periods that are over.
    pub(super) fn whole(&self) -> usize {
        self.periods.len() - usize::from(self.is_last_running())
    }

    /// Returns how many days of the last period have passed, and how many it has.
    pub(super) fn elapsed(&self) -> Option<(i64, i64)> {
        let (first, after) = self.periods.last()?;
        Some(((self.as_of - *first).num_days(), (*after - *first).num_days()))
    }
}

/// Returns how many periods the charts show. The queries go back as far.
fn shown(grain: Grain) -> usize {
    match grain {
        Grain::Day => 60,
        Grain::Week | Grain::Month => 13,
    }
}

/// Returns the traffic of all partners in each period, in order of time.
pub(super) fn of_all_partners(rows: &[TrafficRow]) -> Vec<TrafficRow> {
    let mut periods: BTreeMap<NaiveDate, TrafficRow> = BTreeMap::new();
    for row in rows {
        let sum = periods
            .entry(row.start)
            .or_insert_with(|| TrafficRow { start: row.start, ..TrafficRow::default() });
        sum.add(row);
    }
    periods.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_week_is_told_from_whole_ones() {
        let date = |text: &str| text.parse::<NaiveDate>().expect("a date");
        let row =
            |start: &str| TrafficRow { start: date(start), calls: 3, ..TrafficRow::default() };
        let rows = [row("2026-03-16"), row("2026-03-30")];
        let rows: Vec<&TrafficRow> = rows.iter().collect();
        let traffic = Traffic::new(Grain::Week, date("2026-04-02"), &rows);
        let calls: Vec<i64> =
            traffic.rows[10..].iter().map(|row| row.map_or(0, |row| row.calls)).collect();
        assert_eq!(calls, [3, 0, 3]);
        assert_eq!((traffic.whole(), traffic.elapsed()), (12, Some((3, 7))));
        let traffic = Traffic::new(Grain::Week, date("2026-04-06"), &rows);
        assert!(!traffic.is_last_running() && traffic.whole() == 13);
    }
}
