//! The results of the checks of `rapport doctor`.

use crate::secret_settings::redact_secrets;

/// The state of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckState {
    Ok,
    Warn,
    Fail,
}

impl CheckState {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// The result of one check.
#[derive(Debug)]
pub(super) struct CheckResult {
    pub(super) name: &'static str,
    pub(super) state: CheckState,
    pub(super) found: String,
    /// What to do; empty where nothing needs to be done.
    pub(super) advice: String,
}

/// The results so far, in the order of the checks.
#[derive(Default)]
pub(super) struct CheckList(pub(super) Vec<CheckResult>);

impl CheckList {
    pub(super) fn ok(&mut self, name: &'static str, found: impl Into<String>) {
        self.add(name, CheckState::Ok, found, "");
    }

    pub(super) fn warn(
        &mut self,
        name: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(name, CheckState::Warn, found, advice);
    }

    pub(super) fn fail(
        &mut self,
        name: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(name, CheckState::Fail, found, advice);
    }

    pub(super) fn add(
        &mut self,
        name: &'static str,
        state: CheckState,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        // A server may quote a secret that it was sent.
        let (found, advice) = (redact_secrets(&found.into()), redact_secrets(&advice.into()));
        self.0.push(CheckResult { name, state, found, advice });
    }

    /// Adds an `ok` with what was found, or a `fail`: the error itself says what to do.
    pub(super) fn result<T>(
        &mut self,
        name: &'static str,
        result: anyhow::Result<T>,
        found: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.ok(name, found(&value));
                Some(value)
            }
            Err(error) => {
                self.fail(name, format!("{error:#}"), "");
                None
            }
        }
    }

    /// Returns whether any check has this state.
    pub(super) fn any(&self, state: CheckState) -> bool {
        self.0.iter().any(|check| check.state == state)
    }
}
