//! What a program says that is built without the feature `cluster`.

use std::time::Duration;

use transform::Engine;

use crate::args::{ExecutorArgs, SchedulerArgs};
use crate::config::Config;
use crate::errors::usage_error;

/// Refuses to work on a cluster.
pub(crate) fn on_cluster(
    _engine: &Engine,
    scheduler: &str,
    _executor_wait: Duration,
) -> anyhow::Result<Engine> {
    Err(unavailable(&format!("nothing can be computed on the cluster at {scheduler}")))
}

/// Refuses to be a scheduler.
pub(crate) async fn run_scheduler(_options: &SchedulerArgs) -> anyhow::Result<()> {
    Err(unavailable("it can't be a scheduler"))
}

/// Refuses to be an executor.
pub(crate) async fn run_executor(
    _config: Config,
    _options: &ExecutorArgs,
    _quiet: bool,
) -> anyhow::Result<()> {
    Err(unavailable("it can't be an executor"))
}

fn unavailable(what: &str) -> anyhow::Error {
    usage_error(format!(
        "this program was built without clusters, so {what}; build it with `cargo build --features cluster`"
    ))
}
