//! Exit codes: 0 for success, 1 for a failure, 2 for a wrong call or configuration, 3 for a check
//! that failed.

use std::process::ExitCode;

use ingest::IngestError;
use lake::LakeError;
use transform::TransformError;

use crate::errors::{CheckFailed, UsageError, is_broken_pipe};
use crate::output::print_message;

/// Prints an error on stderr and returns its exit code.
pub(crate) fn report_error(error: &anyhow::Error) -> ExitCode {
    // `rapport … | head` is no failure.
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    print_error(error);
    ExitCode::from(of(error))
}

/// The exit code of a wrong call or configuration.
pub(crate) const USAGE: u8 = 2;

/// Returns the exit code of an error.
pub(crate) fn of(error: &anyhow::Error) -> u8 {
    let lake = error.downcast_ref();
    let is_wrong_root =
        matches!(lake, Some(LakeError::Root { .. } | LakeError::BackupRefused { .. }));
    let ingest = error.downcast_ref();
    let is_wrong_kafka = matches!(ingest, Some(IngestError::Setting(_) | IngestError::NoStreams));
    if error.downcast_ref::<CheckFailed>().is_some() {
        3
    } else if is_wrong_root || is_wrong_kafka || error.downcast_ref::<UsageError>().is_some() {
        USAGE
    } else {
        1
    }
}

/// Prints an error on stderr with its causes, each once.
pub(crate) fn print_error(error: &anyhow::Error) {
    let mut message = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // Many libraries repeat their cause in their own message.
        if !message.contains(&text) {
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&text);
        }
        // Its message is that of its cause, reworded.
        if let Some(TransformError::Sql { .. }) = cause.downcast_ref() {
            break;
        }
    }
    print_message(&format!("rapport: {message}"));
}
