//! Sections on go-live cohorts: the retention heatmap, and what each cohort is worth.

use std::collections::BTreeMap;

use chrono::{Months, NaiveDate};
use maud::{Markup, html};

use crate::charts::heatmap::{Cell, Cohort, Heatmap, heatmap, height};
use crate::charts::{Frame, NARROW, last};
use crate::figure::Figure;
use crate::input::ReportInput;
use crate::overview::SMALL_COHORT;
use crate::page::{Page, Section, drawings, empty};
use crate::rows::CohortRetentionRow;
use crate::table::{Column, Numbers, Row, table};
use crate::words;

/// Cohorts of a wide drawing; months of a narrow one.
const COHORTS: usize = 12;
const NARROW_MONTHS: usize = 4;
/// Rows of the table of all cells: the newest cohorts of two years have 300.
const ROWS: usize = 330;

type Cohorts<'a> = BTreeMap<NaiveDate, Vec<&'a CohortRetentionRow>>;

fn cohorts(input: &ReportInput) -> Cohorts<'_> {
    let mut cohorts = Cohorts::new();
    for row in &input.cohort_retention {
        cohorts.entry(row.cohort_month).or_default().push(row);
    }
    cohorts.values_mut().for_each(|rows| rows.sort_by_key(|row| row.months_since));
    cohorts
}

fn size(rows: &[&CohortRetentionRow]) -> i64 {
    rows.first().map_or(0, |row| row.cohort_size)
}

/// The cohort that keeps the fewest partners after three whole months.
pub(crate) fn weakest(input: &ReportInput) -> Option<Markup> {
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
        "The " (words::long_month(row.cohort_month)) " cohort keeps the fewest: "
        b { (Figure::percent(kept, query)) } " after three months."
    })
}

pub(crate) fn heatmap_section(page: &Page) -> Markup {
    let input = page.input;
    let all = cohorts(input);
    let mut section = Section {
        subtitle: html! { "Share of the cohort with a successful production call in that month" },
        ..Section::new("retention", "Retention by go-live cohort", 8, "cohort_retention")
    };
    let large: Vec<_> = all
        .iter()
        .filter(|(_, rows)| size(rows) >= SMALL_COHORT)
        .map(|(m, rows)| (*m, rows))
        .collect();
    if large.is_empty() {
        let advice = "No cohort of ten or more has gone live yet; smaller ones are in the table.";
        section.table = (!all.is_empty()).then(|| numbers(&all));
        return page.section(&section, &empty(advice));
    }
    let small = all.len() - large.len();
    let of_small = format!(
        "SELECT count(DISTINCT cohort_month) FROM cohort_retention WHERE cohort_size < {SMALL_COHORT}"
    );
    let hidden = large.len().saturating_sub(COHORTS);
    let running = input.running_month();
    section.table = Some(numbers(&all));
    section.note = Some(html! {
        @if let Some(month) = running {
            "Hatched cells hold " (words::long_month(month)) ", which is not finished; they can only rise. "
        }
        @if hidden > 0 { (words::counted(hidden, "earlier cohort")) " " (words::agree(hidden, "is", "are")) " in the table only. " }
        @if small > 0 { (Figure::counted(small as i64, "cohort", of_small)) " of fewer than " (SMALL_COHORT) " partners " (words::agree(small, "is", "are")) " in the table only." }
    });
    let shown = last(&large, COHORTS);
    let wide = drawn(input, shown, 763.0, COHORTS - 1);
    let narrow = drawn(input, last(&large, 8), NARROW, NARROW_MONTHS);
    page.section(&section, &drawings(wide, narrow))
}

fn drawn(
    input: &ReportInput,
    shown: &[(NaiveDate, &Vec<&CohortRetentionRow>)],
    width: f64,
    most: usize,
) -> String {
    let cells = |rows: &[&CohortRetentionRow]| -> Vec<Option<Cell>> {
        let later = rows.iter().filter(|row| row.months_since > 0).take(most);
        later.map(|row| row.retention.map(|share| Cell { share, complete: row.complete })).collect()
    };
    let cohorts: Vec<Cohort> = shown
        .iter()
        .map(|(month, rows)| {
            let cells = cells(rows);
            let note = cells.is_empty().then(|| first_month_note(*month));
            Cohort { label: words::month_year(*month), size: size(rows), cells, note }
        })
        .collect();
    let columns = cohorts.iter().map(|c| c.cells.len()).max().unwrap_or(0).max(1);
    let all: Vec<Option<f64>> = (1..=columns).map(|since| together(shown, since as i64)).collect();
    let desc = format!(
        "{} cohorts; as of {} the newest whole months read from the last line",
        cohorts.len(),
        words::day_year(input.as_of)
    );
    let frame = Frame {
        size: (width, height(cohorts.len())),
        title: "Retention by go-live cohort",
        desc: &desc,
    };
    let over = "Months after going live";
    let chart = Heatmap {
        cohorts: &cohorts,
        columns,
        all: &all,
        corner: ("Went live", if width < 500.0 { "" } else { "Partners" }),
        over,
    };
    heatmap(&frame, &chart)
}

fn first_month_note(month: NaiveDate) -> String {
    let first = words::next_month(month);
    let end = words::next_month(first).pred_opt().unwrap_or(first);
    format!("First month ends on {}", words::long_day(end))
}

/// Partners active in the nth month over partners of the cohorts that have completed it.
fn together(shown: &[(NaiveDate, &Vec<&CohortRetentionRow>)], since: i64) -> Option<f64> {
    let rows = shown.iter().flat_map(|(_, rows)| rows.iter());
    let rows: Vec<_> = rows.filter(|row| row.months_since == since && row.complete).collect();
    let partners: i64 = rows.iter().map(|row| row.cohort_size).sum();
    let active: i64 = rows.iter().map(|row| row.active).sum();
    (partners > 0).then(|| active as f64 / partners as f64)
}

fn numbers(all: &Cohorts) -> Numbers {
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
            words::month_year(row.cohort_month),
            words::count(row.cohort_size),
            words::count(row.months_since),
            words::count(row.active),
            words::known(row.retention, words::percent_1),
            words::count(row.churned),
        ];
        Row::running(cells, !row.complete)
    };
    let recent: Vec<Row> = all.values().flatten().map(line).collect();
    let shown = last(&recent, ROWS);
    Numbers { table: table(&columns, shown), earlier: recent.len() - shown.len() }
}

/// Gross of the last whole month, and of all months, by cohort.
pub(crate) fn worth_section(page: &Page) -> Markup {
    let input = page.input;
    let all = cohorts(input);
    let whole = input.cohort_retention.iter().filter(|row| row.complete);
    let month_of = |row: &CohortRetentionRow| {
        row.cohort_month + Months::new(u32::try_from(row.months_since).unwrap_or(0))
    };
    let newest = whole.map(month_of).max();
    let mut section = Section {
        subtitle: html! { "Gross by the month its partners went live" },
        ..Section::new("worth", "What the cohorts are worth", 4, "cohort_retention")
    };
    let Some(newest) = newest else {
        return page.section(&section, &empty("No whole month since the first go-live yet."));
    };
    section.note = Some(
        html! { "To date counts " (words::long_month_year(newest)) " and before, whole months only." },
    );
    let rows: Vec<Row> = all
        .iter()
        .filter_map(|(month, rows)| {
            let counted: Vec<_> = rows.iter().filter(|row| row.complete).collect();
            let now = counted.iter().find(|row| month_of(row) == newest)?;
            let total: f64 = counted.iter().map(|row| row.gross).sum();
            Some(Row::new(vec![
                words::month_year(*month),
                words::count(now.active),
                words::money(now.gross, &input.currency),
                words::money(total, &input.currency),
            ]))
        })
        .collect();
    let columns = [
        Column::Text("Went live"),
        Column::Number("Active"),
        Column::Number("Gross, month"),
        Column::Number("To date"),
    ];
    page.section(&section, &table(&columns, last(&rows, COHORTS)))
}
