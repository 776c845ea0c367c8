//! Exit codes: 1 it failed, 2 the call or the configuration is wrong, 3 a check found something.

use std::fmt;
use std::process::ExitCode;

use ingest::IngestError;
use lake::LakeError;
use transform::TransformError;

/// The call or the configuration is wrong.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

/// A check found something; what it found has been printed.
#[derive(Debug)]
pub(crate) struct Found(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
impl std::error::Error for Found {}

/// A wrong call, as an error.
pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
    Usage(text.into()).into()
}

/// Says on stderr what went wrong, once, and gives the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    say(error);
    let wrong_root = matches!(error.downcast_ref(), Some(LakeError::Root { .. }));
    let kafka = error.downcast_ref();
    let wrong_kafka = matches!(kafka, Some(IngestError::Setting(_) | IngestError::NoStreams));
    if error.downcast_ref::<Found>().is_some() {
        ExitCode::from(3)
    } else if wrong_root || wrong_kafka || error.downcast_ref::<Usage>().is_some() {
        ExitCode::from(2)
    } else {
        ExitCode::from(1)
    }
}

/// Says on stderr what went wrong, each cause once.
pub(crate) fn say(error: &anyhow::Error) {
    let mut said = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // Many libraries repeat their cause in their own message.
        if !said.contains(&text) {
            if !said.is_empty() {
                said.push_str(": ");
            }
            said.push_str(&text);
        }
        // Says what its cause says, without the words around it.
        if let Some(TransformError::Sql { .. }) = cause.downcast_ref() {
            break;
        }
    }
    crate::output::message(&format!("rapport: {said}"));
}

/// The reader of our output went away (`rapport … | head`): nothing went wrong.
pub(crate) fn broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
