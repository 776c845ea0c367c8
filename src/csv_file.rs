//! Reads the small CSV files of a project row by row; errors give file, line and column.

use std::fmt::Display;
use std::path::Path;

use domain::{Day, Position, closest_name, printable};

use crate::errors::usage_error;
use crate::text_file::without_bom;

/// A row with its cells in the order that the caller asks for, which may not be that of the file.
pub(crate) struct Row<'f, const N: usize> {
    columns: [&'static str; N],
    cells: [Cell<'f>; N],
    line: usize,
}

#[derive(Clone, Copy)]
struct Cell<'f> {
    text: &'f str,
    /// The byte of the file where the cell starts.
    start: usize,
}

/// What is wrong with a cell, and at which byte of the file.
pub(crate) struct CellError {
    start: usize,
    message: String,
}

/// The years that a file may name; other years are typing errors.
const FIRST_YEAR: i32 = 1970;
const LAST_YEAR: i32 = 2199;

/// How many characters of a cell a message quotes.
const MAX_QUOTED: usize = 40;

impl<'f, const N: usize> Row<'f, N> {
    /// Returns the text of a column.
    pub(crate) fn text(&self, column: usize) -> &'f str {
        self.cells[column].text
    }

    /// Returns the line where the row starts, from 1.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// Returns an error of a cell: `target "x": what`.
    pub(crate) fn cell_error(&self, column: usize, what: impl Display) -> CellError {
        let cell = self.cells[column];
        let shown = printable(cell.text);
        let quoted: String = shown.chars().take(MAX_QUOTED).collect();
        let cut = if quoted.len() < shown.len() { "…" } else { "" };
        let name = self.columns[column];
        CellError { start: cell.start, message: format!("{name} \"{quoted}{cut}\": {what}") }
    }

    /// Returns an error of a cell that holds a secret, without its text: `key: what`.
    pub(crate) fn secret_cell_error(&self, column: usize, what: impl Display) -> CellError {
        let name = self.columns[column];
        CellError { start: self.cells[column].start, message: format!("{name}: {what}") }
    }

    /// Returns a text that must not be empty.
    pub(crate) fn name(&self, column: usize) -> Result<&'f str, CellError> {
        match self.text(column) {
            "" => Err(self.cell_error(column, "a name is due; write it, or remove the row")),
            text => Ok(text),
        }
    }

    /// Returns a date, written 2026-01-31.
    pub(crate) fn day(&self, column: usize) -> Result<Day, CellError> {
        let text = self.text(column);
        let shape = text.len() == 10
            && text.bytes().enumerate().all(|(index, byte)| match index {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !shape {
            return Err(self.cell_error(column, "is no date; write 2026-01-31"));
        }
        let day: Day = text
            .parse()
            .map_err(|_| self.cell_error(column, "there is no such day in the calendar"))?;
        let year = text[..4].parse().unwrap_or(0);
        if !(FIRST_YEAR..=LAST_YEAR).contains(&year) {
            let range = format!("the year must lie in {FIRST_YEAR} to {LAST_YEAR}");
            return Err(self.cell_error(column, range));
        }
        Ok(day)
    }

    /// Returns a number above 0 and at most `max`, or `None` where the cell is empty. For the
    /// message `what` says in words which numbers are allowed, and `suggest` returns the number
    /// that was probably meant in place of a larger one.
    pub(crate) fn number(
        &self,
        column: usize,
        max: f64,
        what: &str,
        suggest: impl Fn(f64) -> Option<String>,
    ) -> Result<Option<f64>, CellError> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        let found = text.parse::<f64>().ok();
        if let Some(number) = found.filter(|number| *number > 0.0 && *number <= max) {
            return Ok(Some(number));
        }
        // The text may have a percent sign, or a comma in place of the point.
        let plain = text.trim_end_matches('%').trim_end().replace(',', ".");
        let guess = plain.parse::<f64>().ok().filter(|guess| guess.is_finite() && *guess > 0.0);
        let suggestion = match guess {
            Some(guess) if text.ends_with('%') || guess > max => suggest(guess),
            Some(_) if found.is_none() => Some(plain),
            _ => None,
        };
        let suggestion = suggestion
            .map_or_else(String::new, |suggestion| format!("; did you mean {suggestion}?"));
        Err(self.cell_error(column, format!("{what} is due{suggestion}")))
    }
}

/// Reads a file with these columns; its first line names them. `take` gets each row.
///
/// # Errors
/// A usage error for a file that can't be read, for other columns, and for what `take` refuses.
pub(crate) fn read<const N: usize>(
    path: &Path,
    columns: [&'static str; N],
    take: impl FnMut(&Row<'_, N>) -> Result<(), CellError>,
) -> anyhow::Result<()> {
    let bytes = std::fs::read(path).map_err(|e| {
        usage_error(format!(
            "{} can't be read: {e}; [metrics] in rapport.toml names it",
            path.display()
        ))
    })?;
    parse(path, &bytes, columns, take)
}

/// Reads the content of a file as [`read`] does.
///
/// # Errors
/// A usage error for other columns, and for what `take` refuses.
pub(crate) fn parse<const N: usize>(
    path: &Path,
    bytes: &[u8],
    columns: [&'static str; N],
    mut take: impl FnMut(&Row<'_, N>) -> Result<(), CellError>,
) -> anyhow::Result<()> {
    let error_at =
        |at: Position, what: &str| usage_error(format!("{}:{at}: {what}", path.display()));
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let before = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
        error_at(
            Position::at_offset(&before, before.len()),
            "this is no UTF-8; save the file as UTF-8",
        )
    })?;
    let text = without_bom(text);
    records(text, columns, &mut take)
        .map_err(|error| error_at(Position::at_offset(text, error.start), &error.message))
}

fn records<const N: usize>(
    text: &str,
    columns: [&'static str; N],
    take: &mut dyn FnMut(&Row<'_, N>) -> Result<(), CellError>,
) -> Result<(), CellError> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut order: Option<[usize; N]> = None;
    let mut record = csv::StringRecord::new();
    let (mut line, mut counted) = (1, 0);
    let csv_error = |start, error: csv::Error| CellError { start, message: error.to_string() };
    while reader.read_record(&mut record).map_err(|e| csv_error(counted, e))? {
        let start = start_of(text, &record);
        line += text[counted..start].matches('\n').count();
        counted = start;
        let cells = cells(text, start, &record);
        match order {
            None => order = Some(header(&cells, columns)?),
            Some(order) => take(&row(&cells, columns, order, line)?)?,
        }
    }
    if order.is_some() {
        return Ok(());
    }
    let message = format!("the file is empty; its first line is {}", columns.join(","));
    Err(CellError { start: 0, message })
}

/// Returns the index in the file of each column.
fn header<const N: usize>(
    cells: &[Cell<'_>],
    columns: [&'static str; N],
) -> Result<[usize; N], CellError> {
    let expected = columns.join(",");
    let first = cells.first().map_or(0, |cell| cell.start);
    let unknown = cells.iter().find(|cell| !columns.contains(&cell.text));
    if let Some(cell) = unknown {
        let shown = printable(cell.text);
        let help = match closest_name(cell.text, columns) {
            _ if cells.len() == 1 && cell.text.contains([';', '\t']) => {
                "; columns are separated by commas".to_owned()
            }
            Some(column) => format!("; did you mean \"{column}\"?"),
            None => String::new(),
        };
        let message =
            format!("the first line must be {expected}, and \"{shown}\" is no column{help}");
        return Err(CellError { start: cell.start, message });
    }
    let mut order = [0; N];
    for (index, column) in order.iter_mut().zip(columns) {
        let mut found = (0..cells.len()).filter(|at| cells[*at].text == column);
        let what = match (found.next(), found.next()) {
            (Some(at), None) => {
                *index = at;
                continue;
            }
            (None, _) => "is missing",
            (Some(_), Some(_)) => "stands there twice",
        };
        let message = format!("the first line must be {expected}, and \"{column}\" {what}");
        return Err(CellError { start: first, message });
    }
    Ok(order)
}

fn row<'f, const N: usize>(
    cells: &[Cell<'f>],
    columns: [&'static str; N],
    order: [usize; N],
    line: usize,
) -> Result<Row<'f, N>, CellError> {
    if cells.len() != N {
        let (found, expected) = (cells.len(), columns.join(","));
        let s = if found == 1 { "" } else { "s" };
        let message = format!(
            "{found} column{s}, and {N} are due ({expected}); an empty one is written as nothing between \
             commas, a number with a point"
        );
        return Err(CellError { start: cells[0].start, message });
    }
    Ok(Row { columns, cells: order.map(|index| cells[index]), line })
}

/// Returns the byte where a record starts. The reader's position may be that of empty lines before.
fn start_of(text: &str, record: &csv::StringRecord) -> usize {
    let from = record.position().map_or(0, |at| usize::try_from(at.byte()).unwrap_or(0));
    let rest = &text[from..];
    from + rest.len() - rest.trim_start_matches(['\n', '\r']).len()
}

/// Returns the cells of the record that starts here, without the space around them.
fn cells<'f>(text: &str, start: usize, record: &'f csv::StringRecord) -> Vec<Cell<'f>> {
    let mut starts = Vec::with_capacity(record.len());
    let mut from = start;
    let mut quoted = false;
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match byte {
            b'"' if quoted || at == from => quoted = !quoted,
            b',' if !quoted => {
                starts.push(from);
                from = at + 1;
            }
            b'\n' | b'\r' if !quoted => break,
            _ => {}
        }
    }
    starts.push(from);
    let starts = starts.into_iter().chain(std::iter::repeat(start));
    record
        .iter()
        .zip(starts)
        .map(|(cell, from)| {
            let space = text[from..].len() - text[from..].trim_start_matches([' ', '\t']).len();
            Cell { text: cell.trim(), start: from + space }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the rows of a file of two columns as `name@line=number`, or the error.
    fn rows(bytes: &[u8]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.csv");
        std::fs::write(&path, bytes).expect("written");
        let mut rows = Vec::new();
        let read = read(&path, ["name", "share"], |row| {
            let percent = |share: f64| Some(format!("{}", share / 100.0));
            let share = row.number(1, 1.0, "a share above 0 and at most 1", percent)?;
            rows.push(format!("{}@{}={share:?}", row.name(0)?, row.line()));
            Ok(())
        });
        match read {
            Ok(()) => Ok(rows),
            Err(error) => {
                let text = error.to_string();
                Err(text.rsplit_once("x.csv:").map_or(text.clone(), |(_, rest)| rest.to_owned()))
            }
        }
    }

    #[test]
    fn rows_have_their_lines() {
        #[track_caller]
        fn check(text: &str, expected: &[&str]) {
            let expected = expected.iter().map(|row| (*row).to_owned()).collect();
            assert_eq!(rows(text.as_bytes()), Ok(expected), "{text:?}");
        }
        check("name,share\n", &[]);
        check("\u{feff}share , name\r\n\r\n 0.5, a\r\n", &["a@3=Some(0.5)"]);
        check("name,share\n\n\n\"é, b\",1\nc,\n", &["é, b@4=Some(1.0)", "c@5=None"]);
        check("name,share\n\"a \"\"b\"\"\",0.1", &["a \"b\"@2=Some(0.1)"]);
        check("name,share\na\"b,0.1", &["a\"b@2=Some(0.1)"]);
    }

    #[test]
    fn errors_have_positions() {
        #[track_caller]
        fn check(text: &[u8], expected: &str) {
            let error = rows(text).expect_err(expected);
            assert!(error.starts_with(expected), "{error:?} for {expected:?}");
        }
        check(b"", "1:1: the file is empty; its first line is name,share");
        check(
            b"name;share\n",
            "1:1: the first line must be name,share, and \"name;share\" is no column; columns are separated by commas",
        );
        check(
            b"name,shares\n",
            "1:6: the first line must be name,share, and \"shares\" is no column; did you mean \"share\"?",
        );
        check(
            b"name,name\n",
            "1:1: the first line must be name,share, and \"name\" stands there twice",
        );
        check(b"name\n", "1:1: the first line must be name,share, and \"share\" is missing");
        check(b"name,share\na\n", "2:1: 1 column, and 2 are due");
        check(b"name,share\na,0,5\n", "2:1: 3 columns, and 2 are due");
        check(
            "name,share\né,99.9\n".as_bytes(),
            "2:3: share \"99.9\": a share above 0 and at most 1 is due; did you mean 0.9990000000000001?",
        );
        check(
            b"name,share\na,50%\n",
            "2:3: share \"50%\": a share above 0 and at most 1 is due; did you mean 0.5?",
        );
        check(
            b"name,share\na,\"0,5\"\n",
            "2:3: share \"0,5\": a share above 0 and at most 1 is due; did you mean 0.5?",
        );
        for wrong in ["NaN", "-1", "0", "inf", "-inf", "1e999", "-0", "x"] {
            let expected = format!("2:3: share \"{wrong}\": a share above 0 and at most 1 is due");
            check(format!("name,share\na,{wrong}\n").as_bytes(), &expected);
        }
        check(b"name,share\n,1\n", "2:1: name \"\": a name is due");
        check(b"name,share\n\x1b[2J,x\n", "2:6: share \"x\"");
        check(b"name,share\na\xff,1\n", "2:2: this is no UTF-8");
    }
}
