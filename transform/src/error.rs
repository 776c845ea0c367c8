//! What can go wrong between a query file and its rows, each with where and what to do.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use lake_types::Day;

use crate::mistake::Mistake;

#[derive(Debug, thiserror::Error)]
pub enum TransformError {
    #[error("{file}:{line}: {message}")]
    File { file: String, line: usize, message: String },
    #[error("can't read {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("no query is called \"{name}\"; {hint}")]
    UnknownQuery { name: String, hint: String },
    #[error("{0}: these queries read each other in a circle; break it at one of them")]
    Cycle(String),
    /// `message` is what the source says, without the words it wraps around it.
    #[error("{place}: {message}")]
    Sql { place: String, message: String, source: Box<DataFusionError> },
    #[error("{place}: there is no table \"{name}\"; {hint}")]
    UnknownTable { place: String, name: String, hint: String },
    #[error("{name} is left out: {why}")]
    LeftOut { name: String, why: String },
    #[error(
        "{place} reads {table}, which holds every partner: to be looked at for some of them, it must read partners through views (partners, usage_day, money_day …)"
    )]
    PastTheViews { place: String, table: String },
    /// What is wrong with the condition of `--where`, at its place.
    #[error("{}", .0.render(false))]
    Condition(Box<Mistake>),
    #[error("partners can't be told apart by \"{0}\"; by {known}", known = crate::slice::DIMENSIONS.join(", "))]
    NoDimension(String),
    #[error(
        "only one SELECT (or EXPLAIN of one) can be run here, and this is {0}; the lake is read-only"
    )]
    ReadOnly(String),
    #[error(
        "\"{0}\" is not answered here: SHOW TABLES, SHOW COLUMNS FROM x and DESCRIBE x are, and `rapport metrics functions` lists functions"
    )]
    NoShow(String),
    #[error(
        "no exchange rate for {currency} on {day}, and a billing event of that day needs one; add a row `{day},{currency},RATE` (or an earlier date) to the rates file"
    )]
    NoRate { currency: String, day: Day },
    #[error("{file}: the query gives other columns than its header says\n{difference}")]
    Columns { file: String, difference: String },
    #[error(transparent)]
    Lake(#[from] lake::LakeError),
    #[error(
        "{table} was rewritten by someone else {attempts} times in a row; run this again when the other run is done"
    )]
    Contended { table: String, attempts: usize },
}

impl TransformError {
    /// What is wrong in a file, as an error.
    pub(crate) fn of_file(mistake: &Mistake) -> Self {
        let help = mistake.help.as_deref().map(|help| format!("; {help}")).unwrap_or_default();
        Self::File {
            file: mistake.file.clone(),
            line: mistake.place.line,
            message: format!("{}{help}", mistake.message),
        }
    }

    /// Whether the query itself is wrong: text that is no SELECT, a name that does not exist.
    pub fn is_wrong_query(&self) -> bool {
        match self {
            Self::ReadOnly(_)
            | Self::NoShow(_)
            | Self::UnknownTable { .. }
            | Self::PastTheViews { .. }
            | Self::Condition(_)
            | Self::NoDimension(_) => true,
            Self::Sql { source, .. } => matches!(
                source.find_root(),
                DataFusionError::SQL(..)
                    | DataFusionError::Plan(_)
                    | DataFusionError::SchemaError(..)
            ),
            _ => false,
        }
    }

    /// Whether a file is gone that the tables' versions name.
    pub fn is_missing_file(&self) -> bool {
        let Self::Sql { source, .. } = self else { return false };
        let text = damage_in(source).unwrap_or_else(|| source.to_string());
        text.contains(" is damaged: it is gone;")
            || (text.contains("Object at location") && text.contains(" not found"))
    }

    /// Whether it is one query's, and no hindrance to the others.
    pub(crate) fn is_of_a_query(&self) -> bool {
        self.is_wrong_query()
            || matches!(
                self,
                Self::File { .. }
                    | Self::Columns { .. }
                    | Self::Cycle(_)
                    | Self::LeftOut { .. }
                    | Self::Lake(lake::LakeError::SchemaChanged { .. })
            )
    }

    /// Puts a place (a file, "your query") in front of what DataFusion says, with the line where
    /// it knows one.
    pub(crate) fn sql(place: &str) -> impl FnOnce(DataFusionError) -> Self + '_ {
        move |source| {
            let span = source.diagnostic().and_then(|diagnostic| diagnostic.span);
            let place = match span.map(|span| span.start.line) {
                Some(line) if line > 0 => format!("{place}, line {line}"),
                _ => place.to_owned(),
            };
            let message = message_of(&source);
            Self::Sql { place, message, source: Box::new(source) }
        }
    }
}

/// What went wrong, without the words that DataFusion wraps around it and without its innards.
pub(crate) fn message_of(error: &DataFusionError) -> String {
    without_dump(root_message(error))
}

/// A text up to the Rust value that DataFusion prints in it, of which the name is kept:
/// `… expression AggregateFunction(AggregateFunction { func: …` → `… expression AggregateFunction`.
fn without_dump(mut text: String) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let is_field = |after: &str| {
        let name = after.trim_start_matches(is_word);
        name.len() < after.len() && name.starts_with(": ")
    };
    let mut braces = text.match_indices(" { ").filter(|(at, brace)| {
        let name = text[..*at].rsplit(|c| !is_word(c)).next().unwrap_or_default();
        name.starts_with(char::is_uppercase) && is_field(&text[at + brace.len()..])
    });
    let Some((brace, _)) = braces.next() else { return text };
    let chain = |c: char| is_word(c) || matches!(c, '(' | '[' | ':');
    let start = text[..brace].trim_end_matches(chain).len();
    let name = text[start..].find(|c: char| !is_word(c)).unwrap_or_default();
    text.truncate(start + name);
    text
}

fn root_message(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::SQL(parser, _) => match parser.as_ref() {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.clone(),
            other => other.to_string(),
        },
        DataFusionError::Plan(text) | DataFusionError::Execution(text) => text.clone(),
        DataFusionError::ArrowError(arrow, _) => arrow.to_string(),
        DataFusionError::ParquetError(_) | DataFusionError::ObjectStore(_) => damage_in(error)
            .unwrap_or_else(|| {
                format!(
                    "a file of the lake can't be read: {}; `rapport lake verify` looks whether it is damaged",
                    error.strip_backtrace()
                )
            }),
        // A call with the wrong types is reported as a defect of DataFusion, which it is not.
        DataFusionError::Internal(text) => match text.find("No function matches") {
            Some(at) => text[at..].to_owned(),
            None => error.strip_backtrace(),
        },
        _ => error.strip_backtrace(),
    }
}

/// What the lake says of a damaged file. That of a file whose footer is read comes as text of the
/// Parquet reader.
fn damage_in(error: &DataFusionError) -> Option<String> {
    if let Some(damage) = lake::Damage::behind(error) {
        return Some(damage.to_string());
    }
    let text = error.strip_backtrace();
    let start = text.find("the file ").filter(|_| text.contains(" of the lake is damaged: "))?;
    Some(text[start..].to_owned())
}

pub type Result<T> = std::result::Result<T, TransformError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_rust_are_left_out() {
        let check = |text: &str, kept: &str| {
            assert_eq!(without_dump(text.to_owned()), kept);
            let error = DataFusionError::NotImplemented(text.to_owned());
            assert!(message_of(&error).ends_with(kept));
        };
        check(
            "Physical plan does not support logical expression AggregateFunction(AggregateFunction { func: AggregateUDF { inner: Count { name: \"count\" } } })",
            "Physical plan does not support logical expression AggregateFunction",
        );
        check("Unsupported ast node: Some(Value { value: 1 })", "Unsupported ast node: Some");
        check("no column a { b }, there is { a: 1 }", "no column a { b }, there is { a: 1 }");
        check(
            "Cannot cast string 'x' to value of Int32 type",
            "Cannot cast string 'x' to value of Int32 type",
        );
    }
}
