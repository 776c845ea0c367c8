//! Tables for people: aligned columns that are fitted to the terminal, where there is one. What a
//! cell holds stays in its row: line breaks and characters that command the terminal are written
//! out.

use std::io::{IsTerminal, stdout};

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, TableComponent, Width, presets,
};
use lake_types::{columns, into_printable};

/// A column of text is wrapped before the table is broken, but not below this many characters.
const NARROW: u16 = 24;
/// Between two columns: the padding of the first and the line that separates them.
const GAP: u16 = 2;

/// Heads and cells as text.
pub(crate) struct Table {
    heads: Vec<String>,
    /// Whether a column's cells stand to the right, as numbers do.
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows; the columns of these places hold numbers.
    pub(crate) fn new<H: Into<String>>(
        heads: impl IntoIterator<Item = H>,
        numbers: &[usize],
    ) -> Self {
        let heads: Vec<String> =
            heads.into_iter().map(|text| into_printable(text.into())).collect();
        let right = (0..heads.len()).map(|column| numbers.contains(&column)).collect();
        Self { heads, right, rows: Vec::new() }
    }

    pub(crate) fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(|text| into_printable(text.into())).collect());
    }

    /// As lines for standard output, the last one ended too.
    pub(crate) fn text(&self) -> String {
        self.fitted(terminal_width())
    }

    /// As lines of at most this width, where that can be had: long text is wrapped, and what is
    /// wider still goes on below, in blocks that each begin with the first column.
    fn fitted(&self, width: Option<u16>) -> String {
        let all: Vec<usize> = (0..self.heads.len()).collect();
        let Some(width) = width else { return self.drawn(&all, &self.natural(&all)) };
        let mut text = String::new();
        for block in self.blocks(&all, width) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&self.drawn(&block, &self.squeezed(&block, width)));
        }
        text
    }

    /// The columns by the block they stand in: as many as fit when they are as narrow as can be.
    fn blocks(&self, columns: &[usize], width: u16) -> Vec<Vec<usize>> {
        let mut blocks: Vec<Vec<usize>> = Vec::new();
        for column in columns {
            let fits = blocks.last().is_some_and(|block| {
                let with: Vec<usize> = block.iter().chain([column]).copied().collect();
                total(&with.iter().map(|c| self.least(*c)).collect::<Vec<_>>()) <= width
            });
            match blocks.last_mut() {
                Some(block) if fits => block.push(*column),
                Some(_) => blocks.push(vec![columns[0], *column]),
                None => blocks.push(vec![*column]),
            }
        }
        blocks
    }

    /// The widths of a block's columns, the widest text made narrower until it fits.
    fn squeezed(&self, block: &[usize], width: u16) -> Vec<u16> {
        let mut widths = self.natural(block);
        while total(&widths) > width {
            let places = (0..block.len()).filter(|p| widths[*p] > self.longest_word(block[*p]));
            let Some(widest) = places.max_by_key(|p| widths[*p]) else { break };
            widths[widest] -= 1;
        }
        widths
    }

    fn natural(&self, columns: &[usize]) -> Vec<u16> {
        columns.iter().map(|c| self.cells(*c).map(length).max().unwrap_or(0)).collect()
    }

    /// How narrow a column may be beside others: of text some words.
    fn least(&self, column: usize) -> u16 {
        let whole = self.cells(column).map(length).max().unwrap_or(0);
        self.longest_word(column).max(NARROW.min(whole))
    }

    fn longest_word(&self, column: usize) -> u16 {
        let words = self.cells(column).flat_map(|cell| cell.split(' '));
        words.map(length).max().unwrap_or(0)
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        let rows = self.rows.iter().map(move |row| row[column].as_str());
        rows.chain([self.heads[column].as_str()])
    }

    fn drawn(&self, columns: &[usize], widths: &[u16]) -> String {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if self.heads.iter().any(|head| !head.is_empty()) {
            table.set_style(TableComponent::HeaderLines, '─');
            table.set_style(TableComponent::MiddleHeaderIntersections, ' ');
            table.set_header(columns.iter().map(|c| &self.heads[*c]));
        }
        for row in &self.rows {
            // A line must not begin with the sign of the number that ended the one above.
            table.add_row(columns.iter().map(|c| row[*c].replace(" %", "\u{a0}%")));
        }
        for (place, column) in columns.iter().enumerate() {
            let Some(drawn) = table.column_mut(place) else { continue };
            drawn.set_padding((0, 1));
            drawn.set_constraint(ColumnConstraint::Absolute(Width::Fixed(widths[place] + 1)));
            if self.right[*column] {
                drawn.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.lines().map(|line| format!("{}\n", line.trim_end().replace('\u{a0}', " "))).collect()
    }
}

fn total(widths: &[u16]) -> u16 {
    widths.iter().fold(0_u16, |sum, width| sum.saturating_add(width + GAP)).saturating_sub(GAP)
}

fn length(text: &str) -> u16 {
    u16::try_from(columns(text)).unwrap_or(u16::MAX - 2 * GAP)
}

/// Columns of the terminal that standard output is, if it is one.
fn terminal_width() -> Option<u16> {
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
