//! Recognizes CSV and its kin, and the names of their columns.

use super::is_heading;

/// The lines that are looked at.
const LINES: usize = 20;

/// A text of columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delimited {
    pub delimiter: char,
    /// The names in its header line; none where the first line may hold values.
    pub columns: Vec<String>,
    /// The number of columns.
    pub width: usize,
}

impl Delimited {
    /// Returns the columns of a text with these first lines, or `None` where it has none.
    pub(super) fn of(lines: &[&str]) -> Option<Self> {
        let lines = &lines[..lines.len().min(LINES)];
        let of_delimiter = |delimiter| {
            let rows: Vec<Vec<String>> = lines.iter().map(|line| cells(line, delimiter)).collect();
            let width = rows.first()?.len();
            let same = rows.iter().filter(|row| row.len() == width).count();
            let columns = header(&rows);
            // One line alone is taken for a table only where it reads like a header.
            let least = if rows.len() == 1 { 3 } else { 2 };
            let is_table = width >= least
                && same * 10 >= rows.len() * 9
                && (rows.len() > 1 || !columns.is_empty());
            is_table.then_some(Self { delimiter, columns, width })
        };
        [',', ';', '\t', '|'].into_iter().filter_map(of_delimiter).max_by_key(|found| found.width)
    }
}

/// Returns the names of the first row where it is a header: its cells are headings, and where there
/// is a second row, that one has a number where the header has a name.
fn header(rows: &[Vec<String>]) -> Vec<String> {
    let Some((first, rest)) = rows.split_first() else { return Vec::new() };
    let mut names: Vec<&String> = first.iter().collect();
    names.sort();
    names.dedup();
    let are_names = first.iter().all(|cell| is_heading(cell)) && names.len() == first.len();
    let starts_with_digit = |cell: &String| cell.starts_with(|c: char| c.is_ascii_digit());
    let differs = rest.first().is_none_or(|second| second.iter().any(starts_with_digit));
    if are_names && differs { first.clone() } else { Vec::new() }
}

/// Splits a line at a delimiter. A cell in double quotes may hold the delimiter, and quotes as two.
fn cells(line: &str, delimiter: char) -> Vec<String> {
    let mut cells = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    for c in line.trim_end_matches('\r').chars() {
        match c {
            '"' => quoted = !quoted,
            c if c == delimiter && !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}
