//! Sections on go-live cohorts: the retention heatmap, and the revenue of each cohort.

use std::collections::BTreeMap;

use chrono::{Months, NaiveDate};
use domain::format;
use maud::{Markup, html};

use crate::charts::heatmap::{Heatmap, HeatmapCell, HeatmapRow, heatmap, height};
use crate::charts::{ChartFrame, NARROW, last};
use crate::components::cohorts::SMALL_COHORT;
use crate::components::figure::Figure;
use crate::components::shell::{Page, Section, empty_state, wide_and_narrow};
use crate::components::table::{Column, HistoryTable, Row, table};
use crate::input::ReportInput;
use crate::metric_rows::CohortRetentionRow;
use crate::months;

/// The number of cohorts in a wide drawing.
const WIDE_COHORTS: usize = 12;
/// The number of cohorts and months in a narrow drawing.
const NARROW_COHORTS: usize = 8;
const NARROW_MONTHS: usize = 4;
/// The number of rows in the table of all cells. The cohorts of two years have 300 cells.
const TABLE_ROWS: usize = 330;

/// The rows of each cohort by its month, in order of months since go-live.
type Cohorts<'a> = BTreeMap<NaiveDate, Vec<&'a CohortRetentionRow>>;

fn cohorts(input: &ReportInput) -> Cohorts<'_> {
    let mut cohorts = Cohorts::new();
    for row in &input.cohort_retention {
        cohorts.entry(row.cohort_month).or_default().push(row);
    }
    cohorts.values_mut().for_each(|rows| rows.sort_by_key(|row| row.months_since));
    cohorts
}

fn cohort_size(rows: &[&CohortRetentionRow]) -> i64 {
    rows.first().map_or(0, |row| row.cohort_size)
}

/// Returns a sentence on the cohort that keeps the fewest partners after three complete months.
pub(crate) fn weakest_cohort(input: &ReportInput) -> Option<Markup> {
    let at_three = |row: &&CohortRetentionRow| {
        row.months_since == 3 && row.complete && row.cohort_size >= SMALL_COHORT
    };
    let rows: Vec<_> = input.cohort_retention.iter().filter(at_three).collect();
    if rows.len() < 2 {
        return None;
    }
    let (row, kept) = rows
        .iter()
        .filter_map(|row| Some((row, row.retention?)))
        .min_by(|a, b| a.1.total_cmp(&b.1))?;
    let query = format!(
        "SELECT retention FROM cohort_retention WHERE cohort_month = '{}' AND months_since = 3",
        row.cohort_month
    );
    Some(html! {
        "The " (format::long_month(row.cohort_month)) " cohort keeps the fewest: "
        b { (Figure::percent(kept, query)) } " after three months."
    })
}

/// Returns the section with the heatmap.
pub(crate) fn heatmap_section(page: &Page) -> Markup {
    let input = page.context.input;
    let all = cohorts(input);
    let mut section = Section {
        subtitle: html! { "Share of the cohort with a successful production call in that month" },
        ..Section::new("retention", "Retention by go-live cohort", 8, "cohort_retention")
    };
    let large: Vec<_> = all
        .iter()
        .filter(|(_, rows)| cohort_size(rows) >= SMALL_COHORT)
        .map(|(m, rows)| (*m, rows))
        .collect();
    if large.is_empty() {
        let advice = "No cohort of ten or more has gone live yet; smaller ones are in the table.";
        section.table = (!all.is_empty()).then(|| cell_table(&all));
        return page.section(&section, &empty_state(advice));
    }
    let small = all.len() - large.len();
    let of_small = format!(
        "SELECT count(DISTINCT cohort_month) FROM cohort_retention WHERE cohort_size < {SMALL_COHORT}"
    );
    let hidden = large.len().saturating_sub(WIDE_COHORTS);
    section.table = Some(cell_table(&all));
    section.note = Some(html! {
        @if let Some(month) = input.incomplete_month() {
            "Hatched cells hold " (format::long_month(month)) ", which is not finished; they can only rise. "
        }
        @if hidden > 0 { (format::counted(hidden, "earlier cohort")) " " (format::agree(hidden, "is", "are")) " in the table only. " }
        @if small > 0 { (Figure::counted(small as i64, "cohort", of_small)) " of fewer than " (SMALL_COHORT) " partners " (format::agree(small, "is", "are")) " in the table only." }
    });
    let wide = draw_heatmap(input, last(&large, WIDE_COHORTS), 763.0, WIDE_COHORTS - 1);
    let narrow = draw_heatmap(input, last(&large, NARROW_COHORTS), NARROW, NARROW_MONTHS);
    page.section(&section, &wide_and_narrow(wide, narrow))
}

/// Draws the heatmap with at most `most` months of each cohort.
fn draw_heatmap(
    input: &ReportInput,
    shown: &[(NaiveDate, &Vec<&CohortRetentionRow>)],
    width: f64,
    most: usize,
) -> String {
    let cells = |rows: &[&CohortRetentionRow]| -> Vec<Option<HeatmapCell>> {
        let later = rows.iter().filter(|row| row.months_since > 0).take(most);
        let cell = |row: &&CohortRetentionRow| {
            Some(HeatmapCell { share: row.retention?, complete: row.complete })
        };
        later.map(cell).collect()
    };
    let cohorts: Vec<HeatmapRow> = shown
        .iter()
        .map(|(month, rows)| {
            let cells = cells(rows);
            let note = cells.is_empty().then(|| first_month_note(*month));
            let (label, size) = (format::month_year(*month), cohort_size(rows));
            HeatmapRow { label, size, cells, note }
        })
        .collect();
    let columns = cohorts.iter().map(|c| c.cells.len()).max().unwrap_or(0).max(1);
    let all: Vec<Option<f64>> =
        (1..=columns).map(|since| overall_retention(shown, since as i64)).collect();
    let desc = format!(
        "{} cohorts; as of {} the newest whole months read from the last line",
        cohorts.len(),
        format::date_with_year(input.as_of)
    );
    let frame = ChartFrame {
        size: (width, height(cohorts.len())),
        title: "Retention by go-live cohort",
        desc: &desc,
        marks: &[],
    };
    let chart = Heatmap {
        rows: &cohorts,
        columns,
        overall: &all,
        row_titles: ("Went live", if width < 500.0 { "" } else { "Partners" }),
        column_title: "Months after going live",
    };
    heatmap(&frame, &chart)
}

fn first_month_note(month: NaiveDate) -> String {
    let first = months::next_month(month);
    let end = months::next_month(first).pred_opt().unwrap_or(first);
    format!("First month ends on {}", format::long_date(end))
}

/// Returns the partners that are active in the nth month after go-live, as a share of the partners
/// of all cohorts that have completed that month.
fn overall_retention(shown: &[(NaiveDate, &Vec<&CohortRetentionRow>)], since: i64) -> Option<f64> {
    let rows = shown.iter().flat_map(|(_, rows)| rows.iter());
    let rows: Vec<_> = rows.filter(|row| row.months_since == since && row.complete).collect();
    let partners: i64 = rows.iter().map(|row| row.cohort_size).sum();
    let active: i64 = rows.iter().map(|row| row.active).sum();
    (partners > 0).then(|| active as f64 / partners as f64)
}

fn cell_table(all: &Cohorts) -> HistoryTable {
    let columns = [
        Column::Text("Went live"),
        Column::Number("Partners"),
        Column::Number("Month"),
        Column::Number("Active"),
        Column::Number("Retention"),
        Column::Number("Churned"),
    ];
    let line = |row: &&CohortRetentionRow| {
        let cells = vec![
            format::month_year(row.cohort_month),
            format::thousands(row.cohort_size),
            format::thousands(row.months_since),
            format::thousands(row.active),
            format::known_or_unknown(row.retention, |r| format::percent_with_places(r, 1)),
            format::thousands(row.churned),
        ];
        Row::period(cells, row.complete)
    };
    let rows: Vec<Row> = all.values().flatten().map(line).collect();
    let shown = last(&rows, TABLE_ROWS);
    HistoryTable { table: table(&columns, shown), earlier_rows: rows.len() - shown.len() }
}

/// Returns the section with the gross revenue of each cohort, in the last complete month and in all
/// months.
pub(crate) fn worth_section(page: &Page) -> Markup {
    let input = page.context.input;
    let all = cohorts(input);
    let month_of = |row: &CohortRetentionRow| {
        row.cohort_month + Months::new(u32::try_from(row.months_since).unwrap_or(0))
    };
    // What has not been charged yet is no worth of 0.
    let unbilled = input.unbilled_month();
    let is_counted = |row: &&CohortRetentionRow| {
        row.complete && unbilled.is_none_or(|unbilled| month_of(row) < unbilled)
    };
    let newest = input.cohort_retention.iter().filter(is_counted).map(month_of).max();
    let mut section = Section {
        subtitle: html! { "Gross by the month its partners went live" },
        ..Section::new("worth", "What the cohorts are worth", 4, "cohort_retention")
    };
    let Some(newest) = newest else {
        return page.section(&section, &empty_state("No whole month since the first go-live yet."));
    };
    section.note = Some(
        html! { "To date counts " (format::long_month_year(newest)) " and before, whole months only." },
    );
    let rows: Vec<Row> = all
        .iter()
        .filter_map(|(month, rows)| {
            let counted: Vec<_> = rows.iter().copied().filter(|row| is_counted(row)).collect();
            let now = counted.iter().find(|row| month_of(row) == newest)?;
            let total: f64 = counted.iter().map(|row| row.gross).sum();
            Some(Row::new(vec![
                format::month_year(*month),
                format::thousands(now.active),
                format::money(now.gross, &input.currency),
                format::money(total, &input.currency),
            ]))
        })
        .collect();
    let columns = [
        Column::Text("Went live"),
        Column::Number("Active"),
        Column::Number("Gross, month"),
        Column::Number("To date"),
    ];
    page.section(&section, &table(&columns, last(&rows, WIDE_COHORTS)))
}
