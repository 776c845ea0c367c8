//! Tables for people: aligned columns that are fitted to the terminal, where there is one.
//!
//! Line breaks and control characters of a cell are escaped, so that a cell stays in its row. The
//! widths are computed here and not by comfy-table's arrangement, which can't split a table that is
//! too wide into several, and which makes a wrapped column only as wide as its longest line.

use std::io::{IsTerminal, stdout};

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, TableComponent, Width, presets,
};
use domain::{display_width, into_printable};

/// How far a column of text is narrowed before the table is split, in terminal columns.
const MIN_TEXT_WIDTH: u16 = 24;
/// The width between two columns: the padding of the first one, and a separator.
const GAP: u16 = 2;

/// A header and rows of text.
pub(crate) struct Table {
    header: Vec<String>,
    /// Whether the cells of a column are aligned right, as numbers are.
    aligned_right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table without rows. `numbers` are the indexes of the columns with numbers.
    pub(crate) fn new<H: Into<String>>(
        header: impl IntoIterator<Item = H>,
        numbers: &[usize],
    ) -> Self {
        let header: Vec<String> =
            header.into_iter().map(|text| into_printable(text.into())).collect();
        let aligned_right = (0..header.len()).map(|column| numbers.contains(&column)).collect();
        Self { header, aligned_right, rows: Vec::new() }
    }

    /// Appends a row.
    pub(crate) fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(|text| into_printable(text.into())).collect());
    }

    /// Returns the table as lines for stdout, each with its line break.
    pub(crate) fn text(&self) -> String {
        self.fitted(terminal_width())
    }

    /// Returns the table as lines of at most this width, where that is possible. Long text is
    /// wrapped. Columns that still do not fit follow below, in blocks that each start with the
    /// first column.
    fn fitted(&self, width: Option<u16>) -> String {
        let all: Vec<usize> = (0..self.header.len()).collect();
        let Some(width) = width else { return self.render(&all, &self.natural_widths(&all)) };
        let mut text = String::new();
        for block in self.blocks(&all, width) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&self.render(&block, &self.narrowed_widths(&block, width)));
        }
        text
    }

    /// Splits the columns into blocks: each has as many as fit at their least widths.
    fn blocks(&self, columns: &[usize], width: u16) -> Vec<Vec<usize>> {
        let mut blocks: Vec<Vec<usize>> = Vec::new();
        for column in columns {
            let fits = blocks.last().is_some_and(|block| {
                let with: Vec<usize> = block.iter().chain([column]).copied().collect();
                total_width(&with.iter().map(|c| self.least_width(*c)).collect::<Vec<_>>()) <= width
            });
            match blocks.last_mut() {
                Some(block) if fits => block.push(*column),
                Some(_) => blocks.push(vec![columns[0], *column]),
                None => blocks.push(vec![*column]),
            }
        }
        blocks
    }

    /// Returns the widths of a block's columns, narrowing the widest text until the block fits.
    fn narrowed_widths(&self, block: &[usize], width: u16) -> Vec<u16> {
        let mut widths = self.natural_widths(block);
        while total_width(&widths) > width {
            let wrappable = (0..block.len()).filter(|i| widths[*i] > self.longest_word(block[*i]));
            let Some(widest) = wrappable.max_by_key(|i| widths[*i]) else { break };
            widths[widest] -= 1;
        }
        widths
    }

    fn natural_widths(&self, columns: &[usize]) -> Vec<u16> {
        columns.iter().map(|c| self.cells(*c).map(text_width).max().unwrap_or(0)).collect()
    }

    /// Returns how far a column may be narrowed beside others.
    fn least_width(&self, column: usize) -> u16 {
        let whole = self.cells(column).map(text_width).max().unwrap_or(0);
        self.longest_word(column).max(MIN_TEXT_WIDTH.min(whole))
    }

    fn longest_word(&self, column: usize) -> u16 {
        let words = self.cells(column).flat_map(|cell| cell.split(' '));
        words.map(text_width).max().unwrap_or(0)
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        let rows = self.rows.iter().map(move |row| row[column].as_str());
        rows.chain([self.header[column].as_str()])
    }

    fn render(&self, columns: &[usize], widths: &[u16]) -> String {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if self.header.iter().any(|name| !name.is_empty()) {
            table.set_style(TableComponent::HeaderLines, '─');
            table.set_style(TableComponent::MiddleHeaderIntersections, ' ');
            table.set_header(columns.iter().map(|c| &self.header[*c]));
        }
        for row in &self.rows {
            // A wrapped line must not start with the percent sign of a number above it.
            table.add_row(columns.iter().map(|c| row[*c].replace(" %", "\u{a0}%")));
        }
        for (index, column) in columns.iter().enumerate() {
            let Some(layout) = table.column_mut(index) else { continue };
            layout.set_padding((0, 1));
            layout.set_constraint(ColumnConstraint::Absolute(Width::Fixed(widths[index] + 1)));
            if self.aligned_right[*column] {
                layout.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.lines().map(|line| format!("{}\n", line.trim_end().replace('\u{a0}', " "))).collect()
    }
}

fn total_width(widths: &[u16]) -> u16 {
    widths.iter().fold(0_u16, |sum, width| sum.saturating_add(width + GAP)).saturating_sub(GAP)
}

fn text_width(text: &str) -> u16 {
    u16::try_from(display_width(text)).unwrap_or(u16::MAX - 2 * GAP)
}

/// Returns the width of the terminal, where stdout is one.
pub(crate) fn terminal_width() -> Option<u16> {
    if !stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| width.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        let mut table = Table::new(["partner", "score"], &[1]);
        table.row(["株式会社", "7"]);
        table.row(["p\n9  100", "85"]);
        let text = "\
partner    score
────────── ──────
株式会社       7
p\\n9  100     85
";
        assert_eq!(table.fitted(None), text);
        assert_eq!(table.fitted(Some(80)), text);
    }

    #[test]
    fn columns_are_fitted_to_the_width() {
        let mut table = Table::new(["partner", "score", "why"], &[1]);
        table.row(["p-1", "7", "Called on 5 of 28 expected days, twice throttled"]);
        table.row(["p-22", "85", "Nothing stands out"]);
        let check = |width: Option<u16>, text: &str| assert_eq!(table.fitted(width), text);
        check(
            None,
            "\
partner  score  why
──────── ────── ─────────────────────────────────────────────────
p-1          7  Called on 5 of 28 expected days, twice throttled
p-22        85  Nothing stands out
",
        );
        check(
            Some(48),
            "\
partner  score  why
──────── ────── ─────────────────────────────────
p-1          7  Called on 5 of 28 expected days,
                twice throttled
p-22        85  Nothing stands out
",
        );
        check(
            Some(30),
            "\
partner  score
──────── ──────
p-1          7
p-22        85

partner  why
──────── ──────────────────────
p-1      Called on 5 of 28
         expected days, twice
         throttled
p-22     Nothing stands out
",
        );
    }
}
