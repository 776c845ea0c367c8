//! Errors as clients get them: a message, and a code of SQLSTATE
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use std::time::Duration;

use transform::TransformError;
use transform::postgres::sql_state;

/// Why something is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Whether the connection ends.
    pub(super) is_fatal: bool,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), is_fatal: false }
    }

    pub(super) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), is_fatal: true }
    }

    pub(super) fn took_too_long(limit: Duration) -> Self {
        let seconds = limit.as_secs_f64();
        let why = format!("the query took more than {seconds} s: ask for fewer days or partners");
        Self::new("57014", why)
    }

    pub(super) fn given_up() -> Self {
        Self::new("57014", "the query was given up by the client")
    }

    pub(super) fn in_failed_transaction() -> Self {
        let why = "an error came before in this transaction: send ROLLBACK first";
        Self::new("25P02", why)
    }
}

impl From<TransformError> for Refusal {
    fn from(error: TransformError) -> Self {
        Self::new(sql_state(&error), error.to_string())
    }
}

impl From<arrow::error::ArrowError> for Refusal {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::new("XX000", error.to_string())
    }
}

/// Errors of the connection itself, after which it ends.
impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::fatal("08006", format!("{error:#}"))
    }
}
