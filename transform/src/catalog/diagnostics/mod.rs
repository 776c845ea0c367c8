//! Diagnostics of queries: position, message and help, as `rapport metrics check` prints them.
//!
//! - `source_text`: the tokens of a query's text and the spans of its words
//! - `suggestion`: the suggestion for an unknown name
//! - `parse_error`: the error of a header or of a file of test cases
//! - `planner_errors`: the errors of DataFusion's planner as diagnostics
//! - `ast`: lints of the syntax tree

pub(crate) mod ast;
pub(crate) mod parse_error;
pub(crate) mod planner_errors;
pub(crate) mod source_text;
pub(crate) mod suggestion;

use std::fmt::Write as _;

use datafusion::sql::sqlparser::tokenizer::Span as SqlSpan;
use domain::{Position, display_width, printable, printable_lines};
use serde::Serialize;

/// Some characters of one line of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: Position,
    /// The number of characters; a width beyond the line's end means the rest of the line.
    pub width: usize,
}

impl Span {
    /// The first character of a text.
    pub(crate) const START: Self = Self { start: Position { line: 1, column: 1 }, width: 1 };

    /// Returns the span from a byte to the end of its line.
    pub(crate) fn to_line_end(text: &str, offset: usize) -> Self {
        let rest = text.get(offset..).unwrap_or_default();
        let rest = rest.lines().next().unwrap_or_default();
        Self { start: Position::at_offset(text, offset), width: rest.trim_end().chars().count() }
    }

    /// Returns the span from a position to the end of its line.
    pub(crate) fn from_position(start: Position) -> Self {
        Self { start, width: usize::MAX }
    }

    /// Returns a span of the SQL parser; `None` for its empty span. One over several lines ends
    /// with its first line.
    pub(crate) fn from_sql(span: SqlSpan) -> Option<Self> {
        if span == SqlSpan::empty() {
            return None;
        }
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let start = Position { line: number(span.start.line), column: number(span.start.column) };
        let one_line = span.start.line == span.end.line;
        let width = if one_line { number(span.end.column) - start.column } else { usize::MAX };
        Some(Self { start, width })
    }
}

/// Whether a diagnostic makes a query unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The query cannot be computed, or two runs over the same rows may give different results.
    Error,
    Warning,
}

/// One problem at one position of a query file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub file: String,
    #[serde(flatten)]
    pub position: Position,
    pub severity: Severity,
    /// The rule that is broken: `unknown_column`, `float_sum` …
    pub code: &'static str,
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
    /// The name of the query.
    pub query: String,
    /// The line of the file that the position is in.
    #[serde(skip)]
    pub source_line: String,
    /// The number of characters of that line that the diagnostic is about.
    #[serde(skip)]
    pub width: usize,
}

impl Diagnostic {
    /// Returns `file:line:column: message`.
    pub fn headline(&self) -> String {
        let warning = if self.severity == Severity::Warning { "warning: " } else { "" };
        let (line, column) = (self.position.line, self.position.column);
        format!("{}:{line}:{column}: {warning}{}", self.file, self.message)
    }

    /// Returns the headline and the help on one line.
    pub fn one_line(&self) -> String {
        let help = self.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{}{help}", self.headline())
    }

    /// Returns the headline, the source line with carets under the span, and the help.
    pub fn render(&self, colour: bool) -> String {
        let paint = |code: &str, text: &str| {
            if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
        };
        let main = if self.severity == Severity::Error { "1;31" } else { "1;33" };
        let mut text = paint(main, &printable_lines(&self.headline()));
        let number = self.position.line.to_string();
        let margin = " ".repeat(number.len());
        let source = self.source_line.replace('\t', " ");
        // Control characters are printed as escapes and some characters are two columns wide, so
        // the carets are placed by display width.
        let part = |from: usize, count: usize| -> String {
            source.chars().skip(from).take(count).collect()
        };
        let shown = |part: &str| display_width(&printable(part));
        let before = self.position.column - 1;
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

/// Collects the diagnostics of one file, each once.
#[derive(Debug)]
pub(crate) struct Diagnostics<'a> {
    pub file: &'a str,
    pub query: &'a str,
    pub text: &'a str,
    pub found: Vec<Diagnostic>,
}

impl<'a> Diagnostics<'a> {
    pub(crate) fn new(file: &'a str, query: &'a str, text: &'a str) -> Self {
        Self { file, query, text, found: Vec::new() }
    }

    pub(crate) fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.add(Severity::Error, code, span, message.into(), help.into());
    }

    pub(crate) fn warning(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.add(Severity::Warning, code, span, message.into(), help.into());
    }

    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        span: Span,
        message: String,
        help: Option<String>,
    ) {
        let source = self.text.lines().nth(span.start.line.saturating_sub(1)).unwrap_or_default();
        let diagnostic = Diagnostic {
            file: self.file.to_owned(),
            position: span.start,
            severity,
            code,
            message,
            help,
            query: self.query.to_owned(),
            source_line: source.to_owned(),
            width: span.width,
        };
        if !self.found.contains(&diagnostic) {
            self.found.push(diagnostic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_shows_its_line() {
        let text = "SELECT a,\n  partnr_id\nFROM b";
        let mut diagnostics = Diagnostics::new("q/metrics/m.sql", "m", text);
        let span = Span { start: Position::at_offset(text, 12), width: 9 };
        diagnostics.error("unknown_column", span, "no `partnr_id`", "did you mean it?".to_owned());
        assert_eq!(
            diagnostics.found[0].render(false),
            "q/metrics/m.sql:2:3: no `partnr_id`\n 2 |   partnr_id\n   |   ^^^^^^^^^\n   help: did you mean it?"
        );
        let text = "SELECT '株\u{1b}[2J', x";
        let mut diagnostics = Diagnostics::new("q/metrics/m.sql", "m", text);
        let span = Span { start: Position::at_offset(text, text.len() - 1), width: 1 };
        diagnostics.error("unknown_column", span, "no `x`", None);
        assert_eq!(
            diagnostics.found[0].render(false),
            format!(
                "q/metrics/m.sql:1:17: no `x`\n 1 | SELECT '株\\u{{1b}}[2J', x\n   | {}^",
                " ".repeat("SELECT '".len() + 2 + "\\u{1b}[2J', ".len())
            )
        );
    }

    #[test]
    fn a_diagnostic_has_colours() {
        let text = "SELECT a,\n  partnr_id\nFROM b";
        let mut diagnostics = Diagnostics::new("q/metrics/m.sql", "m", text);
        let span = Span { start: Position::at_offset(text, 12), width: 9 };
        diagnostics.error("unknown_column", span, "no `partnr_id`", None);
        assert!(diagnostics.found[0].render(true).contains("\u{1b}[1;31m^^^^^^^^^\u{1b}[0m"));
    }

    #[test]
    fn a_span_ends_at_the_last_character_of_its_line() {
        assert_eq!(Span::to_line_end("ab cd  \nef", 3).width, 2);
    }
}
