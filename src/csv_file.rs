//! The small CSV files that people keep beside a project, read row by row: whatever is wrong is
//! told with its file, line and column.

use std::fmt::Display;
use std::path::Path;

use lake_types::{Day, Position, nearest, printable};

use crate::failure::usage;

/// Rows of a file have these columns, in the order of their names here, not of the file's.
pub(crate) struct Row<'f, const N: usize> {
    columns: [&'static str; N],
    cells: [Cell<'f>; N],
    line: usize,
}

#[derive(Clone, Copy)]
struct Cell<'f> {
    text: &'f str,
    /// The byte of the file that it begins at.
    at: usize,
}

/// What is wrong, and at which byte of the file.
pub(crate) struct Wrong {
    at: usize,
    what: String,
}

/// The first and the last day that a file may name: others are slips of the keyboard.
const FIRST_YEAR: i32 = 1970;
const LAST_YEAR: i32 = 2199;

/// Characters of a cell that a message repeats.
const QUOTED: usize = 40;

impl<'f, const N: usize> Row<'f, N> {
    /// The cell of a column; empty where it is.
    pub(crate) fn text(&self, column: usize) -> &'f str {
        self.cells[column].text
    }

    /// The line it begins on.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// A mistake in a column's cell: `target "x": what`.
    pub(crate) fn wrong(&self, column: usize, what: impl Display) -> Wrong {
        let cell = self.cells[column];
        let shown = printable(cell.text);
        let quoted: String = shown.chars().take(QUOTED).collect();
        let cut = if quoted.len() < shown.len() { "…" } else { "" };
        let name = self.columns[column];
        Wrong { at: cell.at, what: format!("{name} \"{quoted}{cut}\": {what}") }
    }

    /// A text that must be there.
    pub(crate) fn name(&self, column: usize) -> Result<&'f str, Wrong> {
        match self.text(column) {
            "" => Err(self.wrong(column, "a name is due; write it, or remove the row")),
            text => Ok(text),
        }
    }

    /// A date, written 2026-01-31.
    pub(crate) fn day(&self, column: usize) -> Result<Day, Wrong> {
        let text = self.text(column);
        let shape = text.len() == 10
            && text.bytes().enumerate().all(|(place, byte)| match place {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !shape {
            return Err(self.wrong(column, "is no date; write 2026-01-31"));
        }
        let day: Day =
            text.parse().map_err(|_| self.wrong(column, "there is no such day in the calendar"))?;
        let year = text[..4].parse().unwrap_or(0);
        if !(FIRST_YEAR..=LAST_YEAR).contains(&year) {
            let range = format!("the year must lie in {FIRST_YEAR} to {LAST_YEAR}");
            return Err(self.wrong(column, range));
        }
        Ok(day)
    }

    /// A number above 0 and at most `most`, or `None` where the cell is empty; `what` says that in
    /// words, and `meant` gives the number that was probably meant for one that is not it.
    pub(crate) fn number(
        &self,
        column: usize,
        most: f64,
        what: &str,
        meant: impl Fn(f64) -> Option<String>,
    ) -> Result<Option<f64>, Wrong> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        let found = text.parse::<f64>().ok();
        if let Some(number) = found.filter(|number| *number > 0.0 && *number <= most) {
            return Ok(Some(number));
        }
        // A percent sign, or a comma for the point.
        let plain = text.trim_end_matches('%').trim_end().replace(',', ".");
        let guess = plain.parse::<f64>().ok().filter(|guess| guess.is_finite() && *guess > 0.0);
        let meant = match guess {
            Some(guess) if text.ends_with('%') || guess > most => meant(guess),
            Some(_) if found.is_none() => Some(plain),
            _ => None,
        };
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
        Err(self.wrong(column, format!("{what} is due{meant}")))
    }
}

/// Reads a file of these columns; the first line names them.
///
/// # Errors
/// As a wrong configuration: a file that can't be read, columns other than these, and what `take`
/// finds wrong.
pub(crate) fn read<const N: usize>(
    path: &Path,
    columns: [&'static str; N],
    mut take: impl FnMut(&Row<'_, N>) -> Result<(), Wrong>,
) -> anyhow::Result<()> {
    let bytes = std::fs::read(path).map_err(|e| {
        usage(format!("{} can't be read: {e}; [metrics] in rapport.toml names it", path.display()))
    })?;
    let wrong = |at: Position, what: &str| usage(format!("{}:{at}: {what}", path.display()));
    let text = std::str::from_utf8(&bytes).map_err(|e| {
        let before = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
        wrong(Position::of(&before, before.len()), "this is no UTF-8; save the file as UTF-8")
    })?;
    // What spreadsheets put in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    records(text, columns, &mut take)
        .map_err(|found| wrong(Position::of(text, found.at), &found.what))
}

fn records<const N: usize>(
    text: &str,
    columns: [&'static str; N],
    take: &mut dyn FnMut(&Row<'_, N>) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut places: Option<[usize; N]> = None;
    let mut record = csv::StringRecord::new();
    let (mut line, mut counted) = (1, 0);
    while reader.read_record(&mut record).map_err(|e| Wrong { at: counted, what: e.to_string() })? {
        let start = start_of(text, &record);
        line += text[counted..start].matches('\n').count();
        counted = start;
        let cells = cells(text, start, &record);
        match places {
            None => places = Some(header(&cells, columns)?),
            Some(places) => take(&row(&cells, columns, places, line)?)?,
        }
    }
    if places.is_some() {
        return Ok(());
    }
    let what = format!("the file is empty; its first line is {}", columns.join(","));
    Err(Wrong { at: 0, what })
}

/// Where each column stands in the file.
fn header<const N: usize>(
    cells: &[Cell<'_>],
    columns: [&'static str; N],
) -> Result<[usize; N], Wrong> {
    let due = columns.join(",");
    let first = cells.first().map_or(0, |cell| cell.at);
    let unknown = cells.iter().find(|cell| !columns.contains(&cell.text));
    if let Some(cell) = unknown {
        let shown = printable(cell.text);
        let help = match nearest(cell.text, columns) {
            _ if cells.len() == 1 && cell.text.contains([';', '\t']) => {
                "; columns are separated by commas".to_owned()
            }
            Some(column) => format!("; did you mean \"{column}\"?"),
            None => String::new(),
        };
        let what = format!("the first line must be {due}, and \"{shown}\" is no column{help}");
        return Err(Wrong { at: cell.at, what });
    }
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        let mut found = (0..cells.len()).filter(|at| cells[*at].text == column);
        let what = match (found.next(), found.next()) {
            (Some(at), None) => {
                *place = at;
                continue;
            }
            (None, _) => "is missing",
            (Some(_), Some(_)) => "stands there twice",
        };
        let what = format!("the first line must be {due}, and \"{column}\" {what}");
        return Err(Wrong { at: first, what });
    }
    Ok(places)
}

fn row<'f, const N: usize>(
    cells: &[Cell<'f>],
    columns: [&'static str; N],
    places: [usize; N],
    line: usize,
) -> Result<Row<'f, N>, Wrong> {
    if cells.len() != N {
        let (found, due) = (cells.len(), columns.join(","));
        let s = if found == 1 { "" } else { "s" };
        let what = format!(
            "{found} column{s}, and {N} are due ({due}); an empty one is written as nothing between \
             commas, a number with a point"
        );
        return Err(Wrong { at: cells[0].at, what });
    }
    Ok(Row { columns, cells: places.map(|place| cells[place]), line })
}

/// The byte that a record begins at; its position may be that of empty lines before it.
fn start_of(text: &str, record: &csv::StringRecord) -> usize {
    let from = record.position().map_or(0, |at| usize::try_from(at.byte()).unwrap_or(0));
    let rest = &text[from..];
    from + rest.len() - rest.trim_start_matches(['\n', '\r']).len()
}

/// The cells of the record that begins here, without the space around them.
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
            Cell { text: cell.trim(), at: from + space }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a file of two columns as `name@position=number`, or what is wrong.
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
    fn rows_with_their_positions() {
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
    fn mistakes_with_their_places() {
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
