//! What can go wrong between a query file and its rows, each with where and what to do.

use datafusion::error::DataFusionError;
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
    #[error("{place}: {source}")]
    Sql { place: String, source: Box<DataFusionError> },
    #[error("only one SELECT (or EXPLAIN of one) can be run here, and this is {0}; the lake is read-only")]
    ReadOnly(String),
    #[error(
        "no exchange rate for {currency} on {day}, and a billing event of that day needs one; add a row `{day},{currency},RATE` (or an earlier date) to the rates file"
    )]
    NoRate { currency: String, day: Day },
    #[error("{file}: the query gives other columns than its header says\n{difference}")]
    Columns { file: String, difference: String },
    #[error(transparent)]
    Lake(#[from] lake::LakeError),
    #[error("{table} was rewritten by someone else {attempts} times in a row; run this again when the other run is done")]
    Contended { table: String, attempts: usize },
}

impl TransformError {
    /// Puts a place (a file, "this query") in front of what DataFusion says.
    pub(crate) fn sql(place: &str) -> impl FnOnce(DataFusionError) -> Self + '_ {
        move |source| Self::Sql { place: place.to_owned(), source: Box::new(source) }
    }
}

pub type Result<T> = std::result::Result<T, TransformError>;
