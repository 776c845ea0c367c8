//! The errors of this crate. Each message says what went wrong, where, and what to do.

use std::io::ErrorKind;

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use domain::Day;

use crate::catalog::diagnostics::Diagnostic;
use crate::engine::memory_pool::is_exhausted;

/// An error of a query, of the catalog or of the engine.
#[derive(Debug, thiserror::Error)]
pub enum TransformError {
    /// A query file or a file of test cases is wrong.
    #[error("{file}:{line}: {message}")]
    File { file: String, line: usize, message: String },
    #[error("can't read {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("no query is called \"{name}\"; {hint}")]
    UnknownQuery { name: String, hint: String },
    #[error("{0}: these queries read each other in a circle; break it at one of them")]
    Cycle(String),
    /// `message` is that of `source`, without the prefixes and Rust values that DataFusion adds.
    #[error("{location}: {message}")]
    Sql { location: String, message: String, source: Box<DataFusionError> },
    #[error("{location}: there is no table \"{name}\"; {hint}")]
    UnknownTable { location: String, name: String, hint: String },
    /// A query of the catalog is not available in this session.
    #[error("{name} is left out: {reason}")]
    QueryUnavailable { name: String, reason: String },
    /// A query reads a table of all partners in a session over some of the partners.
    #[error(
        "{location} reads {table}, which holds every partner: to be looked at for some of them, it must read partners through views (partners, usage_day, money_day …)"
    )]
    BypassesViews { location: String, table: String },
    /// The condition of `--where` is wrong.
    #[error("{}", .0.render(false))]
    InvalidCondition(Box<Diagnostic>),
    /// `known` lists the dimensions that partners can be selected by.
    #[error("partners can't be told apart by \"{name}\"; by {known}")]
    UnknownDimension { name: String, known: String },
    #[error(
        "only one SELECT (or EXPLAIN of one) can be run here, and this is {0}; the lake is read-only"
    )]
    ReadOnly(String),
    #[error(
        "\"{0}\" is not answered here: SHOW TABLES, SHOW COLUMNS FROM x and DESCRIBE x are, and `rapport metrics functions` lists functions"
    )]
    UnsupportedShow(String),
    #[error(
        "no exchange rate for {currency} on {day}, and a billing event of that day needs one; add a row `{day},{currency},RATE` (or an earlier date) to the rates file"
    )]
    MissingExchangeRate { currency: String, day: Day },
    /// The columns of a result are not those of the header.
    #[error("{file}: the query gives other columns than its header says\n{difference}")]
    Columns { file: String, difference: String },
    #[cfg(feature = "postgres")]
    #[error(
        "a query reads the system catalog or the lake, and this one reads both; ask for one after the other"
    )]
    MixedCatalog,
    #[cfg(feature = "postgres")]
    #[error("there is no parameter ${number}: their numbers go from 1 to 65535")]
    UnknownParameter { number: usize },
    #[error(transparent)]
    Lake(#[from] lake::LakeError),
    #[error(
        "{table} was rewritten by someone else {attempts} times in a row; run this again when the other run is done"
    )]
    WriteConflict { table: String, attempts: usize },
    /// A unit of work was sent to a process with other queries.
    #[error(
        "{rollup}: this process has another query of that name, or another version of the program, than the one that sent the work; give both the same program and the same queries/"
    )]
    OtherQuery { rollup: String },
    /// A unit of work came back with files that it was not asked for.
    #[error("{rollup}: {what}; nothing was committed, run the command again")]
    UnitOutput { rollup: String, what: String },
    /// The cluster failed; the message says how.
    #[error("{0}")]
    Cluster(String),
}

impl TransformError {
    /// Returns a diagnostic of a file as an error.
    pub(crate) fn from_diagnostic(diagnostic: &Diagnostic) -> Self {
        let help = diagnostic.help.as_deref().map(|help| format!("; {help}")).unwrap_or_default();
        Self::File {
            file: diagnostic.file.clone(),
            line: diagnostic.position.line,
            message: format!("{}{help}", diagnostic.message),
        }
    }

    /// Returns whether the query itself is wrong: it is no SELECT, or it uses an unknown name.
    pub fn is_invalid_query(&self) -> bool {
        match self {
            Self::ReadOnly(_)
            | Self::UnsupportedShow(_)
            | Self::UnknownTable { .. }
            | Self::BypassesViews { .. }
            | Self::InvalidCondition(_)
            | Self::UnknownDimension { .. } => true,
            Self::Sql { source, .. } => matches!(
                source.find_root(),
                DataFusionError::SQL(..)
                    | DataFusionError::Plan(_)
                    | DataFusionError::SchemaError(..)
            ),
            _ => false,
        }
    }

    /// Returns whether a file is missing that a version of a table contains.
    pub fn is_missing_file(&self) -> bool {
        let Self::Sql { source, .. } = self else { return false };
        let text = damage_in(source).unwrap_or_else(|| source.to_string());
        text.contains(" is damaged: it is gone;")
            || (text.contains("Object at location") && text.contains(" not found"))
    }

    /// Returns whether the store or the network failed in a way that may pass, so that the same work
    /// is worth another attempt.
    pub fn is_transient(&self) -> bool {
        let mut causes = lake::error_chain(self);
        let lasting = [
            ErrorKind::PermissionDenied,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::StorageFull,
            ErrorKind::QuotaExceeded,
            ErrorKind::NotFound,
        ];
        let lasts = |error: &std::io::Error| lasting.contains(&error.kind());
        let mut of_store = false;
        let passes = causes.all(|cause| {
            of_store |= matches!(cause.downcast_ref(), Some(object_store::Error::Generic { .. }));
            !cause.is::<lake::Damage>() && !cause.downcast_ref().is_some_and(lasts)
        });
        of_store && passes
    }

    /// Returns whether the error concerns one query only, so that other queries can still run.
    pub(crate) fn is_query_error(&self) -> bool {
        self.is_invalid_query()
            || matches!(
                self,
                Self::File { .. }
                    | Self::Columns { .. }
                    | Self::Cycle(_)
                    | Self::QueryUnavailable { .. }
                    | Self::Lake(lake::LakeError::SchemaChanged { .. })
            )
    }

    /// Returns a function that wraps an error of DataFusion. The location (a file, "your query")
    /// stands before its message, with the line where DataFusion knows one.
    pub(crate) fn sql(location: &str) -> impl FnOnce(DataFusionError) -> Self + '_ {
        move |source| {
            let span = source.diagnostic().and_then(|diagnostic| diagnostic.span);
            let location = match span.map(|span| span.start.line) {
                Some(line) if line > 0 => format!("{location}, line {line}"),
                _ => location.to_owned(),
            };
            let message = message_of(&source);
            Self::Sql { location, message, source: Box::new(source) }
        }
    }
}

/// What an error of the memory pool says first.
const EXHAUSTED: &str = "it takes more memory than a query gets, and could not go on from disk; read fewer days \
    or columns, or group before a join";

/// Returns the message of the root error, without the prefixes and Rust values of DataFusion.
pub(crate) fn message_of(error: &DataFusionError) -> String {
    without_dump(root_message(error))
}

/// Cuts a text before the first Rust value that DataFusion prints in it and keeps its name:
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
        DataFusionError::ResourcesExhausted(text) if is_exhausted(error) => {
            format!("{EXHAUSTED} ({text})")
        }
        // DataFusion reports a call with wrong argument types as an internal error.
        DataFusionError::Internal(text) => match text.find("No function matches") {
            Some(at) => text[at..].to_owned(),
            None => error.strip_backtrace(),
        },
        _ => error.strip_backtrace(),
    }
}

/// Returns the lake's message about a damaged file. While a footer is read, this message arrives
/// only as text inside an error of the Parquet reader.
fn damage_in(error: &DataFusionError) -> Option<String> {
    if let Some(damage) = lake::Damage::in_chain(error) {
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
    fn only_errors_that_may_pass_are_transient() {
        let of_store = |source: Box<dyn std::error::Error + Send + Sync>| {
            let error = object_store::Error::Generic { store: "S3", source };
            TransformError::sql("a query")(DataFusionError::ObjectStore(Box::new(error)))
        };
        assert!(of_store("connection reset".into()).is_transient());
        let full = std::io::Error::from(ErrorKind::StorageFull);
        assert!(!of_store(Box::new(full)).is_transient());
        assert!(!TransformError::Cluster("no executor".to_owned()).is_transient());
    }

    #[test]
    fn exhausted_memory_says_what_to_do() {
        let exhausted = |text: &str| {
            let error = DataFusionError::ResourcesExhausted(text.to_owned());
            message_of(&error.context("Consider increasing the memory limit config"))
        };
        let memory = exhausted("Failed to allocate additional 2 MB for HashJoinInput[1]");
        assert!(memory.starts_with(EXHAUSTED) && memory.ends_with("HashJoinInput[1])"), "{memory}");
        let disk = exhausted("The used disk space has exceeded the allowable limit");
        assert!(!disk.contains(EXHAUSTED), "{disk}");
    }

    #[test]
    fn rust_values_are_cut_out() {
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
