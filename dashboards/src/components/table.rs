//! Tables: text is left-aligned, numbers are right-aligned, incomplete periods are in italics.

use maud::{Markup, html};

/// A column with its heading, and the alignment of its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Text(&'static str),
    Number(&'static str),
}

/// A row of a table.
pub(crate) struct Row {
    pub cells: Vec<String>,
    /// Whether the period is incomplete: the row is set in italics.
    pub is_incomplete: bool,
    /// Whether the row sums up all periods: it is set under a rule.
    pub is_total: bool,
}

impl Row {
    /// Returns a row without a period.
    pub(crate) fn new(cells: Vec<String>) -> Self {
        Self { cells, is_incomplete: false, is_total: false }
    }

    /// Returns the row of a period.
    pub(crate) fn period(cells: Vec<String>, is_complete: bool) -> Self {
        Self { cells, is_incomplete: !is_complete, is_total: false }
    }
}

/// The number of periods of a history that a page shows. Earlier ones are in the CSV.
pub(crate) const HISTORY_PERIODS: usize = 36;

/// A table of the newest periods, and the number of earlier rows that are in the CSV only.
pub(crate) struct HistoryTable {
    pub table: Markup,
    pub earlier_rows: usize,
}

/// Returns the table of a history. The rows are in order of time; totals stand at the end.
pub(crate) fn history_table(columns: &[Column], rows: &[Row]) -> HistoryTable {
    let (newest, earlier_rows) = newest_periods(rows, HISTORY_PERIODS);
    HistoryTable { table: table(columns, newest), earlier_rows }
}

/// Returns the rows of the newest `most` periods with the totals after them, and the number of
/// rows before them.
fn newest_periods(rows: &[Row], most: usize) -> (&[Row], usize) {
    let periods = rows.iter().filter(|row| !row.is_total).count();
    let earlier = periods.saturating_sub(most);
    (&rows[earlier..], earlier)
}

/// Returns a plain table.
pub(crate) fn table(columns: &[Column], rows: &[Row]) -> Markup {
    html! {
        table {
            thead { tr { @for column in columns { (header_cell(*column)) } } }
            tbody {
                @for row in rows {
                    tr.running[row.is_incomplete].total[row.is_total] {
                        @for (cell, column) in row.cells.iter().zip(columns) {
                            td.num[matches!(column, Column::Number(_))] { (cell) }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the heading of a column.
pub(crate) fn header_cell(column: Column) -> Markup {
    match column {
        Column::Text(heading) => html! { th scope="col" { (heading) } },
        Column::Number(heading) => html! { th.num scope="col" { (heading) } },
    }
}

/// Returns a bar for a cell: `share` of the full width, in the colour of a CSS class. A track shows
/// the full width behind it.
pub(crate) fn bar(share: f64, class: &str, track: bool) -> Markup {
    let width = (share.clamp(0.0, 1.0) * 1000.0).round() / 10.0;
    html! {
        span.bar.track[track] aria-hidden="true" {
            // A width that is an attribute needs no style, which the content policy of served pages
            // forbids.
            @if width > 0.0 { svg aria-hidden="true" class=(class) width={ (width) "%" } {} }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_history_ends_with_its_newest() {
        #[track_caller]
        fn check(rows: &[Row], kept: usize, earlier: usize) {
            let (newest, before) = newest_periods(rows, 2);
            assert_eq!((newest.len(), before), (kept, earlier));
        }
        let row =
            |is_total: bool| Row { cells: vec![String::new()], is_incomplete: false, is_total };
        check(&[], 0, 0);
        check(&[row(false), row(true)], 2, 0);
        check(&[row(false), row(false), row(false), row(true)], 3, 1);
    }
}
