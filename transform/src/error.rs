//! What can go wrong between a query file and its rows, each with where and what to do.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use lake_types::Day;

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
    #[error("partners can't be told apart by \"{0}\"; by {known}", known = crate::slice::DIMENSIONS.join(", "))]
    NoDimension(String),
    #[error(
        "only one SELECT (or EXPLAIN of one) can be run here, and this is {0}; the lake is read-only"
    )]
    ReadOnly(String),
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
    pub(crate) fn of_file(mistake: &crate::mistake::Mistake) -> Self {
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
            | Self::UnknownTable { .. }
            | Self::PastTheViews { .. }
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
        // A file that is gone when its footer is read comes as text of the Parquet reader.
        let text = source.to_string();
        text.contains("Object at location") && text.contains(" not found")
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

/// What went wrong, without the words that DataFusion wraps around it.
pub(crate) fn message_of(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::SQL(parser, _) => match parser.as_ref() {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.clone(),
            other => other.to_string(),
        },
        DataFusionError::Plan(text) | DataFusionError::Execution(text) => text.clone(),
        DataFusionError::ArrowError(arrow, _) => arrow.to_string(),
        DataFusionError::ParquetError(_) | DataFusionError::ObjectStore(_) => format!(
            "a file of the lake can't be read: {}; put it back from a copy, or remove its day and load that again",
            error.strip_backtrace()
        ),
        // A call with the wrong types is reported as a defect of DataFusion, which it is not.
        DataFusionError::Internal(text) => match text.find("No function matches") {
            Some(at) => text[at..].to_owned(),
            None => error.strip_backtrace(),
        },
        _ => error.strip_backtrace(),
    }
}

pub type Result<T> = std::result::Result<T, TransformError>;
