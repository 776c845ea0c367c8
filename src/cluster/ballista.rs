//! The cluster by Apache DataFusion Ballista: who runs units of work, and the two processes of a cluster.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use ::cluster::{ClusterError, ClusterRunner, ExecutorSettings, SchedulerSettings};
use anyhow::Context;
use transform::{Engine, UnitExecutor};

use crate::args::{ExecutorArgs, SchedulerArgs};
use crate::config::Config;
use crate::errors::usage_error;
use crate::output::print_note;
use crate::project::{Project, limit_memory};
use crate::scratch_folder;

/// The version of this program, which every machine of a cluster must have.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// The scheduler where neither the command line nor the configuration names one.
const DEFAULT_SCHEDULER: &str = "127.0.0.1:50050";

/// Returns an engine whose refreshes and compactions run on the cluster of a scheduler. They wait for an
/// executor as long as `executor_wait`.
pub(crate) fn on_cluster(
    engine: &Engine,
    scheduler: &str,
    executor_wait: Duration,
) -> anyhow::Result<Engine> {
    let runner = ClusterRunner::new(scheduler, PROGRAM, executor_wait).map_err(named)?;
    Ok(engine.with_unit_runner(Arc::new(runner)))
}

/// Runs a scheduler until a signal ends it.
pub(crate) async fn run_scheduler(options: &SchedulerArgs) -> anyhow::Result<()> {
    let settings = SchedulerSettings {
        listen: options.listen.clone(),
        program: PROGRAM.to_owned(),
        executor_timeout_seconds: options.executor_timeout,
    };
    let ready = |address| print_note(&format!("The scheduler listens on {address}"));
    ::cluster::run_scheduler(settings, ready).await.map_err(named)
}

/// Runs an executor on the lake of a project until a signal ends it.
pub(crate) async fn run_executor(
    config: Config,
    options: &ExecutorArgs,
    quiet: bool,
) -> anyhow::Result<()> {
    let configured = config.cluster().unwrap_or(DEFAULT_SCHEDULER).to_owned();
    let project = Project::open(config, quiet).await?;
    limit_memory();
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let folder = scratch_folder::folder().context("a folder for replies")?.join("replies");
    std::fs::create_dir_all(&folder).context("a folder for replies")?;
    let settings = ExecutorSettings {
        scheduler: options.scheduler.clone().unwrap_or(configured),
        listen: options.listen.clone(),
        advertise: options.advertise.clone(),
        units: options.units.map_or_else(cores, NonZero::get),
        folder,
        program: PROGRAM.to_owned(),
    };
    print_note(&format!("The executor {} takes work from {}", settings.listen, settings.scheduler));
    let executor = UnitExecutor::new(project.engine.clone());
    ::cluster::run_executor(settings, executor).await.map_err(named)
}

/// An address that is none is a wrong call.
fn named(error: ClusterError) -> anyhow::Error {
    match error {
        ClusterError::Address { .. } | ClusterError::Listen { .. } => {
            usage_error(error.to_string())
        }
        other => other.into(),
    }
}
