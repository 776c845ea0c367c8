//! `rapport cluster`: the scheduler and the executors of a cluster, a rebuild on it, and a comparison of
//! what is stored with what this process computes.

use anyhow::Context;
use domain::counted;
use lake::{Lake, LakeOptions};

use crate::args::{ClusterArgs, ClusterCommand};
use crate::cluster::{run_executor, run_scheduler};
use crate::config::Config;
use crate::errors::CheckFailed;
use crate::output::print_line;
use crate::progress::Spinner;
use crate::project::{Project, limit_memory, refresh_summary};
use crate::scratch_folder;

/// The most days that a comparison names.
const MAX_NAMED_DAYS: usize = 5;

/// Runs a subcommand.
pub(crate) async fn run(
    command: &ClusterCommand,
    config: &dyn Fn() -> anyhow::Result<Config>,
    quiet: bool,
) -> anyhow::Result<()> {
    match command {
        ClusterCommand::Scheduler(options) => run_scheduler(options).await,
        ClusterCommand::Executor(options) => run_executor(config()?, options, quiet).await,
        ClusterCommand::Rebuild(options) => rebuild(config()?, options, quiet).await,
        ClusterCommand::Compare => compare(config()?, quiet).await,
    }
}

async fn rebuild(mut config: Config, options: &ClusterArgs, quiet: bool) -> anyhow::Result<()> {
    config.set_cluster(options.scheduler.as_deref());
    let place = match config.cluster() {
        Some(scheduler) => format!("on the cluster at {scheduler}"),
        None => "in this process".to_owned(),
    };
    let project = Project::open(config, quiet).await?;
    limit_memory();
    let report = project.refresh_by(&project.engine.recomputing_all()).await?;
    print_line(&format!("{} {place}", refresh_summary(&report)))?;
    if report.failed.is_empty() {
        return Ok(());
    }
    let failed = counted(report.failed.len(), "rollup");
    Err(CheckFailed(format!("{failed} could not be computed")).into())
}

async fn compare(config: Config, quiet: bool) -> anyhow::Result<()> {
    let key_file = config.lake().key_file;
    let project = Project::open(config, quiet).await?;
    limit_memory();
    let folder = scratch_folder::folder().context("a folder for what is computed")?;
    let root = folder.join("lake").display().to_string();
    let options = LakeOptions { root, key_file, store: lake::StoreOptions::default() };
    let scratch = Lake::open_or_create(&options).await?;
    let spinner = Spinner::start("compare", quiet);
    let comparisons = project.engine.compare_rollups(&scratch).await?;
    drop(spinner);
    let mut different = 0;
    for rollup in &comparisons {
        let named: Vec<String> =
            rollup.different.iter().take(MAX_NAMED_DAYS).map(ToString::to_string).collect();
        if !named.is_empty() {
            let days = counted(rollup.different.len(), "day");
            print_line(&format!("{}: {days} differ: {} …", rollup.name, named.join(", ")))?;
        }
        different += rollup.different.len();
    }
    let days: usize = comparisons.iter().map(|rollup| rollup.days).sum();
    let same_bytes: usize = comparisons.iter().map(|rollup| rollup.same_bytes).sum();
    print_line(&format!(
        "{}, {}: {different} differ, {same_bytes} are the same byte for byte",
        counted(comparisons.len(), "rollup"),
        counted(days, "day")
    ))?;
    if different == 0 {
        return Ok(());
    }
    Err(CheckFailed(format!(
        "{} differ from what this process computes",
        counted(different, "day")
    ))
    .into())
}
