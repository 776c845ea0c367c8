//! One thing that is wrong in a query file: where, what, and what to do about it.

use std::fmt::Write as _;

use datafusion::sql::sqlparser::tokenizer::Span;
use lake_types::{columns, printable, printable_lines};
use serde::Serialize;

/// A place in a file, from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// The place of a byte of a text.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// Some characters of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub place: Place,
    pub width: usize,
}

impl Area {
    /// From a byte to the end of its line.
    pub(crate) fn line_from(text: &str, offset: usize) -> Self {
        let rest = text.get(offset..).unwrap_or_default();
        let rest = rest.lines().next().unwrap_or_default();
        Self { place: Place::of(text, offset), width: rest.trim_end().chars().count() }
    }

    pub(crate) fn of_span(span: Span) -> Option<Self> {
        if span == Span::empty() {
            return None;
        }
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let place = Place { line: number(span.start.line), column: number(span.start.column) };
        let one_line = span.start.line == span.end.line;
        let width = if one_line { number(span.end.column) - place.column } else { usize::MAX };
        Some(Self { place, width })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The query can't be computed, or not the same twice.
    Error,
    Warning,
}

/// What is wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    pub file: String,
    #[serde(flatten)]
    pub place: Place,
    pub severity: Level,
    /// The rule: `unknown_column`, `float_sum` …
    pub code: &'static str,
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The query's name.
    pub query: String,
    /// The line of the file.
    #[serde(skip)]
    pub source: String,
    /// How many characters of it are meant.
    #[serde(skip)]
    pub width: usize,
}

impl Mistake {
    /// `file:line:column: message`, without the line itself.
    pub fn headline(&self) -> String {
        let warning = if self.severity == Level::Warning { "warning: " } else { "" };
        let (line, column) = (self.place.line, self.place.column);
        format!("{}:{line}:{column}: {warning}{}", self.file, self.message)
    }

    /// The headline with what to do, on one line.
    pub fn told(&self) -> String {
        let help = self.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{}{help}", self.headline())
    }

    /// The headline, the line with a caret under the place, and the help.
    pub fn render(&self, colour: bool) -> String {
        let paint = |code: &str, text: &str| {
            if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
        };
        let main = if self.severity == Level::Error { "1;31" } else { "1;33" };
        let mut text = paint(main, &printable_lines(&self.headline()));
        let number = self.place.line.to_string();
        let margin = " ".repeat(number.len());
        let source = self.source.replace('\t', " ");
        // Characters that the line shows written out, or that take two columns, move the caret.
        let part = |from: usize, count: usize| -> String {
            source.chars().skip(from).take(count).collect()
        };
        let shown = |part: &str| columns(&printable(part));
        let before = self.place.column - 1;
        let width = shown(&part(before, self.width)).max(1);
        let before = shown(&part(0, before));
        let source = printable(&source);
        let bar = paint("34", "|");
        let caret = format!("{}{}", " ".repeat(before), paint(main, &"^".repeat(width)));
        let _ = write!(text, "\n {} {bar} {source}\n {margin} {bar} {caret}", paint("34", &number));
        if let Some(help) = &self.help {
            let help = printable_lines(help);
            let _ = write!(text, "\n {margin} {} {help}", paint("1;32", "help:"));
        }
        text
    }
}

/// The mistakes of one file.
#[derive(Debug)]
pub(crate) struct Mistakes<'a> {
    pub file: &'a str,
    pub query: &'a str,
    pub text: &'a str,
    pub found: Vec<Mistake>,
}

impl<'a> Mistakes<'a> {
    pub(crate) fn new(file: &'a str, query: &'a str, text: &'a str) -> Self {
        Self { file, query, text, found: Vec::new() }
    }

    pub(crate) fn error(
        &mut self,
        code: &'static str,
        area: Area,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.add(Level::Error, code, area, message.into(), help.into());
    }

    pub(crate) fn warning(
        &mut self,
        code: &'static str,
        area: Area,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.add(Level::Warning, code, area, message.into(), help.into());
    }

    fn add(
        &mut self,
        severity: Level,
        code: &'static str,
        area: Area,
        message: String,
        help: Option<String>,
    ) {
        let source = self.text.lines().nth(area.place.line.saturating_sub(1)).unwrap_or_default();
        let mistake = Mistake {
            file: self.file.to_owned(),
            place: area.place,
            severity,
            code,
            message,
            help,
            query: self.query.to_owned(),
            source: source.to_owned(),
            width: area.width,
        };
        if !self.found.contains(&mistake) {
            self.found.push(mistake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_shows_its_line() {
        let text = "SELECT a,\n  partnr_id\nFROM b";
        let mut mistakes = Mistakes::new("q/metrics/m.sql", "m", text);
        let area = Area { place: Place::of(text, 12), width: 9 };
        mistakes.error("unknown_column", area, "no `partnr_id`", "did you mean it?".to_owned());
        assert_eq!(
            mistakes.found[0].render(false),
            "q/metrics/m.sql:2:3: no `partnr_id`\n 2 |   partnr_id\n   |   ^^^^^^^^^\n   help: did you mean it?"
        );
        let text = "SELECT '株\u{1b}[2J', x";
        let mut mistakes = Mistakes::new("q/metrics/m.sql", "m", text);
        let area = Area { place: Place::of(text, text.len() - 1), width: 1 };
        mistakes.error("unknown_column", area, "no `x`", None);
        assert_eq!(
            mistakes.found[0].render(false),
            format!(
                "q/metrics/m.sql:1:17: no `x`\n 1 | SELECT '株\\u{{1b}}[2J', x\n   | {}^",
                " ".repeat("SELECT '".len() + 2 + "\\u{1b}[2J', ".len())
            )
        );
    }

    #[test]
    fn a_mistake_has_colours() {
        let text = "SELECT a,\n  partnr_id\nFROM b";
        let mut mistakes = Mistakes::new("q/metrics/m.sql", "m", text);
        let area = Area { place: Place::of(text, 12), width: 9 };
        mistakes.error("unknown_column", area, "no `partnr_id`", None);
        assert!(mistakes.found[0].render(true).contains("\u{1b}[1;31m^^^^^^^^^\u{1b}[0m"));
    }

    #[test]
    fn places_count_characters() {
        let text = "é\n–x";
        assert_eq!(Place::of(text, text.len() - 1), Place { line: 2, column: 2 });
        assert_eq!(Area::line_from("ab cd  \nef", 3).width, 2);
    }
}
