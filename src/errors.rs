//! The errors that have an exit code of their own.

use std::fmt;
use std::io::ErrorKind;

use dashboards::ReportError;

/// The call or the configuration is wrong: exit code 2.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

/// A check failed, and what it found has been printed: exit code 3.
#[derive(Debug)]
pub(crate) struct CheckFailed(pub(crate) String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CheckFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}
impl std::error::Error for CheckFailed {}

/// Returns a [`UsageError`].
pub(crate) fn usage_error(text: impl Into<String>) -> anyhow::Error {
    UsageError(text.into()).into()
}

/// Returns an error of the report. A folder that holds something else is a wrong `--out`.
pub(crate) fn report_refusal(error: ReportError) -> anyhow::Error {
    match error {
        ReportError::NotAReport { .. } | ReportError::NoParentFolder { .. } => {
            usage_error(error.to_string())
        }
        other => other.into(),
    }
}

/// Returns whether the reader of the output went away, as `head` does.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    })
}
