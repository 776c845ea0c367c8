//! Work on a lake's logs that no commit waits for.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;

/// The jobs of one open lake.
#[derive(Default)]
pub(crate) struct BackgroundJobs(Mutex<JobState>);

#[derive(Default)]
pub(crate) struct JobState {
    /// The tables that a checkpoint job works on.
    pub(crate) busy: BTreeSet<String>,
    /// A clean-up of a log may take minutes, and may stop anywhere.
    pub(crate) clean_up: JoinSet<()>,
}

impl BackgroundJobs {
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut JobState) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
