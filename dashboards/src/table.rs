//! Tables: text left, numbers right, hairlines between rows, italics for what is incomplete.

use maud::{Markup, html};

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Text(&'static str),
    Number(&'static str),
}

/// One row; `running` rows are set in italics, `total` rows under a rule.
pub(crate) struct Row {
    pub cells: Vec<String>,
    pub running: bool,
    pub total: bool,
}

impl Row {
    pub(crate) fn new(cells: Vec<String>) -> Self {
        Self { cells, running: false, total: false }
    }

    pub(crate) fn running(cells: Vec<String>, running: bool) -> Self {
        Self { cells, running, total: false }
    }
}

/// Periods of a history that a page shows; earlier ones are in the CSV.
pub(crate) const HISTORY: usize = 36;

/// The numbers of a history: the newest rows as a table, and how many before are in the CSV only.
pub(crate) struct Numbers {
    pub table: Markup,
    pub earlier: usize,
}

/// A table of a history, oldest first; rows of all periods together stand at its end and stay.
pub(crate) fn history(columns: &[Column], rows: &[Row]) -> Numbers {
    let (table, earlier) = newest(rows, HISTORY);
    Numbers { table: self::table(columns, table), earlier }
}

/// The newest `most` rows that are no total with the totals after them, and how many came before.
pub(crate) fn newest(rows: &[Row], most: usize) -> (&[Row], usize) {
    let periods = rows.iter().filter(|row| !row.total).count();
    let earlier = periods.saturating_sub(most);
    (&rows[earlier..], earlier)
}

/// A plain table of numbers.
pub(crate) fn table(columns: &[Column], rows: &[Row]) -> Markup {
    html! {
        table {
            thead { tr { @for column in columns { (head(*column)) } } }
            tbody {
                @for row in rows {
                    tr.running[row.running].total[row.total] {
                        @for (cell, column) in row.cells.iter().zip(columns) {
                            td.num[matches!(column, Column::Number(_))] { (cell) }
                        }
                    }
                }
            }
        }
    }
}

pub(crate) fn head(column: Column) -> Markup {
    match column {
        Column::Text(word) => html! { th scope="col" { (word) } },
        Column::Number(word) => html! { th.num scope="col" { (word) } },
    }
}

/// A bar on a track in a cell: `share` of the track's width, in a role of the stylesheet.
pub(crate) fn bar(share: f64, role: &str, track: bool) -> Markup {
    let width = (share.clamp(0.0, 1.0) * 1000.0).round() / 10.0;
    html! {
        span.bar.track[track] aria-hidden="true" {
            @if width > 0.0 { span class=(role) style={ "width:" (width) "%" } {} }
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
            let (newest, before) = newest(rows, 2);
            assert_eq!((newest.len(), before), (kept, earlier));
        }
        let row = |total: bool| Row { cells: vec![String::new()], running: false, total };
        check(&[], 0, 0);
        check(&[row(false), row(true)], 2, 0);
        check(&[row(false), row(false), row(false), row(true)], 3, 1);
    }
}
