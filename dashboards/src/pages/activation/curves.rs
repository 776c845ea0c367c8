//! The share of partners that have reached a milestone by each day, and the same as a table.

use chrono::NaiveDate;
use domain::format;
use maud::{Markup, html};

use crate::charts::steps::{StepChart, StepCurve, step_chart};
use crate::charts::{ChartFrame, NARROW, last};
use crate::components::cohorts::{SMALL_COHORT, matures_on};
use crate::components::shell::{Page, Section, empty_state, wide_and_narrow};
use crate::components::table::{Column, HistoryTable, Row, bar, header_cell, table};
use crate::input::ReportInput;
use crate::metric_rows::{TimeToFirstCallRow, TimeToProductionRow};
use crate::theme::{BAD, ColourRole, NEGATIVE, SERIES, SERIES_2, SERIES_2_LABEL, SERIES_LABEL};

/// The number of cohorts that are drawn beside the curve of all.
const COHORTS: usize = 2;
/// The length of a day in seconds.
const DAY: f64 = 86_400.0;

/// A milestone of onboarding: the metric that measures the way to it.
pub(super) struct Milestone {
    id: &'static str,
    within_id: &'static str,
    title: &'static str,
    within_title: &'static str,
    subtitle: &'static str,
    /// In words: where the points of its curves are known.
    known: &'static str,
    metric: &'static str,
    spans: &'static [(&'static str, f64)],
    ticks: &'static [f64],
}

pub(super) const FIRST_CALL: Milestone = Milestone {
    id: "first-call",
    within_id: "within",
    title: "Time to first call",
    within_title: "First call within",
    subtitle: "Share of partners that have made a first successful call, by days since registration (Kaplan–Meier)",
    known: "at thirty minutes, one, seven and thirty days, at the median and at p90",
    metric: "time_to_first_call",
    spans: &[("30 minutes", 1.0 / 48.0), ("1 day", 1.0), ("7 days", 7.0), ("30 days", 30.0)],
    ticks: &[0.0, 7.0, 14.0, 21.0, 30.0],
};

pub(super) const PRODUCTION: Milestone = Milestone {
    id: "production",
    within_id: "live-within",
    title: "Time to production",
    within_title: "Live within",
    subtitle: "Share of partners with a first success in production, by days since registration (Kaplan–Meier)",
    known: "at one, seven, thirty and ninety days, at the median and at p90",
    metric: "time_to_production",
    spans: &[("1 day", 1.0), ("7 days", 7.0), ("30 days", 30.0), ("90 days", 90.0)],
    ticks: &[0.0, 14.0, 30.0, 60.0, 90.0],
};

/// A cohort on its way to a milestone. `cohort` is `None` for all partners together.
pub(super) struct Progress {
    pub(super) cohort: Option<NaiveDate>,
    pub(super) partners: i64,
    pub(super) reached: i64,
    pub(super) median_seconds: Option<f64>,
    pub(super) p90_seconds: Option<f64>,
    /// The share that got there within each span of the milestone.
    pub(super) within: [Option<f64>; 4],
}

impl From<&TimeToFirstCallRow> for Progress {
    fn from(row: &TimeToFirstCallRow) -> Self {
        Self {
            cohort: row.cohort_month,
            partners: row.partners,
            reached: row.reached,
            median_seconds: row.median_seconds,
            p90_seconds: row.p90_seconds,
            within: [row.within_30m, row.within_1d, row.within_7d, row.within_30d],
        }
    }
}

impl From<&TimeToProductionRow> for Progress {
    fn from(row: &TimeToProductionRow) -> Self {
        Self {
            cohort: row.cohort_month,
            partners: row.partners,
            reached: row.reached,
            median_seconds: row.median_seconds,
            p90_seconds: row.p90_seconds,
            within: [row.within_1d, row.within_7d, row.within_30d, row.within_90d],
        }
    }
}

/// Returns all partners together, and the cohorts that are large and old enough to compare.
fn shown(rows: &[Progress], as_of: NaiveDate) -> Option<(&Progress, Vec<&Progress>)> {
    let all = rows.iter().find(|row| row.cohort.is_none() && row.partners > 0)?;
    let cohorts: Vec<&Progress> = rows
        .iter()
        .filter(|row| {
            let is_mature = row.cohort.is_some_and(|month| matures_on(month) <= as_of);
            is_mature && row.partners >= SMALL_COHORT
        })
        .collect();
    Some((all, cohorts))
}

impl Milestone {
    fn empty(&self) -> Markup {
        let sentence = match self.metric {
            "time_to_first_call" => {
                "Nobody has registered yet. Load partner events, then run rapport report again."
            }
            _ => "Nobody has registered yet, so nobody is on the way to production.",
        };
        empty_state(sentence)
    }

    /// Returns the section with the curves.
    pub(super) fn section(&self, page: &Page, rows: &[Progress]) -> Markup {
        let mut section = Section {
            subtitle: html! { (self.subtitle) },
            ..Section::new(self.id, self.title, 8, self.metric)
        };
        let Some((all, cohorts)) = shown(rows, page.context.input.as_of) else {
            return page.section(&section, &self.empty());
        };
        let drawn = last(&cohorts, COHORTS);
        section.table = Some(self.numbers(all, drawn));
        section.note = Some(html! {
            "The curves are known " (self.known) "; between these points each stands at the last one, so the true curve is never below it. "
            "A partner that is not there yet counts for as long as it has been observed. "
            "A hollow dot ends the curve of a cohort that is still observed."
        });
        let wide = self.draw(page.context.input, all, drawn, (763.0, 330.0));
        let narrow = self.draw(page.context.input, all, drawn, (NARROW, 280.0));
        page.section(&section, &wide_and_narrow(wide, narrow))
    }

    fn draw(
        &self,
        input: &ReportInput,
        all: &Progress,
        cohorts: &[&Progress],
        size: (f64, f64),
    ) -> String {
        let wide = size.0 > NARROW;
        let mut curves = vec![self.curve(input, all, (SERIES, SERIES_LABEL), wide)];
        let roles = [(NEGATIVE, BAD), (SERIES_2, SERIES_2_LABEL)];
        // The newest cohort is the one to look at, so it has the stronger colour.
        for (cohort, roles) in cohorts.iter().rev().zip(roles) {
            curves.push(self.curve(input, cohort, roles, wide));
        }
        curves.retain(|curve| !curve.points.is_empty());
        let median = all
            .median_seconds
            .map(|seconds| (seconds / DAY, format!("Half within {}", format::duration(seconds))));
        let desc = match &median {
            Some((_, label)) => format!("{label} of all partners"),
            None => "Fewer than half of all partners have got there".to_owned(),
        };
        let chart = StepChart {
            curves: &curves,
            ticks: self.ticks,
            axis_title: "days since registration",
            median: median.as_ref().map(|(days, label)| (*days, label.as_str())),
        };
        step_chart(&ChartFrame { size, title: self.title, desc: &desc, marks: &[] }, chart)
    }

    fn curve(
        &self,
        input: &ReportInput,
        row: &Progress,
        (role, text): (ColourRole, ColourRole),
        wide: bool,
    ) -> StepCurve {
        let points = self.points(row);
        let end = points.last().map(|(_, share)| format::percent(*share)).unwrap_or_default();
        let name = cohort_name(row.cohort);
        let partners = format::counted(row.partners, "partner");
        StepCurve {
            label: if wide { format!("{end} {name}, {partners}") } else { format!("{end} {name}") },
            points,
            role,
            text,
            is_main: row.cohort.is_none(),
            is_maturing: row.cohort.is_some_and(|month| self.matures_on(month) > input.as_of),
        }
    }

    /// Returns the day on which the last partner of a month has been observed for the longest span.
    fn matures_on(&self, month: NaiveDate) -> NaiveDate {
        let longest = self.spans.last().map_or(30.0, |(_, days)| *days);
        matures_on(month) + chrono::Days::new((longest - 30.0).max(0.0) as u64)
    }

    /// Returns the known points of a curve in order of time, none of them below the one before.
    fn points(&self, row: &Progress) -> Vec<(f64, f64)> {
        let spans = self.spans.iter().zip(row.within);
        let mut points: Vec<(f64, f64)> =
            spans.filter_map(|((_, days), share)| Some((*days, share?))).collect();
        let end = points.last().map_or(0.0, |(days, _)| *days);
        let quantiles = [(row.median_seconds, 0.5), (row.p90_seconds, 0.9)];
        let known =
            quantiles.into_iter().filter_map(|(seconds, share)| Some((seconds? / DAY, share)));
        points.extend(known.filter(|(days, _)| *days <= end));
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut highest = 0.0_f64;
        for (_, share) in &mut points {
            highest = highest.max(*share);
            *share = highest;
        }
        points
    }

    fn numbers(&self, all: &Progress, cohorts: &[&Progress]) -> HistoryTable {
        let mut columns = vec![
            Column::Text("Registered"),
            Column::Number("Partners"),
            Column::Number("Reached"),
            Column::Number("Median"),
            Column::Number("p90"),
        ];
        columns.extend(self.spans.iter().map(|(name, _)| Column::Number(name)));
        let time = |s: Option<f64>| s.map_or_else(|| "not reached".to_owned(), format::duration);
        let line = |row: &Progress| {
            let mut cells = vec![
                cohort_name(row.cohort),
                format::thousands(row.partners),
                format::thousands(row.reached),
                time(row.median_seconds),
                time(row.p90_seconds),
            ];
            cells.extend(row.within.map(share));
            Row { cells, is_incomplete: false, is_total: row.cohort.is_none() }
        };
        let rows: Vec<Row> = cohorts.iter().map(|row| line(row)).chain([line(all)]).collect();
        HistoryTable { table: table(&columns, &rows), earlier_rows: 0 }
    }

    /// Returns the section with the shares within each span, as a table with bars.
    pub(super) fn within_section(&self, page: &Page, rows: &[Progress]) -> Markup {
        let section = Section {
            subtitle: html! { "Share of partners, by time since registration" },
            ..Section::new(self.within_id, self.within_title, 4, self.metric)
        };
        let Some((all, cohorts)) = shown(rows, page.context.input.as_of) else {
            return page.section(&section, &self.empty());
        };
        let shown = last(&cohorts, COHORTS);
        let body = html! {
            table.within {
                thead { tr {
                    (header_cell(Column::Text("Within"))) td.grow {} (header_cell(Column::Number("All")))
                    @for row in shown { th.num scope="col" { (row.cohort.map_or_else(String::new, format::month)) } }
                } }
                tbody { @for (i, (name, _)) in self.spans.iter().enumerate() {
                    tr {
                        td { (name) }
                        td.grow { (bar(all.within[i].unwrap_or(0.0), "series", true)) }
                        td.num { b { (share(all.within[i])) } }
                        @for row in shown { td.num { (share(row.within[i])) } }
                    }
                } }
            }
        };
        page.section(&section, &body)
    }
}

fn share(share: Option<f64>) -> String {
    format::known_or_unknown(share, |r| format::percent_with_places(r, 1))
}

fn cohort_name(cohort: Option<NaiveDate>) -> String {
    cohort.map_or_else(|| "All".to_owned(), format::month_year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_rise_and_end_at_the_last_known_span() {
        let row = Progress {
            cohort: None,
            partners: 20,
            reached: 15,
            median_seconds: Some(3.0 * DAY),
            p90_seconds: Some(200.0 * DAY),
            within: [Some(0.1), Some(0.3), Some(0.6), None],
        };
        let points = FIRST_CALL.points(&row);
        assert_eq!(points, [(1.0 / 48.0, 0.1), (1.0, 0.3), (3.0, 0.5), (7.0, 0.6)]);
    }
}
