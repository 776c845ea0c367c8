//! `rapport lake`: `verify`, `repair`, `vacuum`, `upgrade` and `rotate-key`. The other subcommands
//! have files of their own.

use std::time::Duration;

use domain::{counted, printable};
use lake::{FORMAT_VERSION, Lake, RecomputeScope, RepairReport, schema};

use crate::args::LakeCommand;
use crate::commands::{backup, compact, erase, retain, status};
use crate::config::Config;
use crate::errors::CheckFailed;
use crate::output::print_line;
use crate::progress::Spinner;
use crate::project::Project;

/// Runs a subcommand.
pub(crate) async fn run(
    command: &LakeCommand,
    mut config: Config,
    quiet: bool,
) -> anyhow::Result<()> {
    match command {
        LakeCommand::RotateKey => return rotate_key(&config).await,
        LakeCommand::Upgrade => return upgrade(&config).await,
        LakeCommand::Verify => {
            return verify(&Lake::open_damaged(&config.lake()).await?, quiet).await;
        }
        LakeCommand::Repair => return repair(config, quiet).await,
        LakeCommand::Backup { destination } => {
            return backup::backup(&config, destination, quiet).await;
        }
        LakeCommand::Restore { backup } => return backup::restore(&config, backup, quiet).await,
        _ => {}
    }
    let lake = Lake::open(&config.lake()).await?;
    match command {
        LakeCommand::RotateKey
        | LakeCommand::Upgrade
        | LakeCommand::Verify
        | LakeCommand::Repair
        | LakeCommand::Backup { .. }
        | LakeCommand::Restore { .. } => Ok(()),
        LakeCommand::Status { format } => {
            status::run(&lake, *format, chrono::Utc::now().timestamp_micros()).await
        }
        LakeCommand::Compact(options) => {
            config.set_cluster(options.cluster.scheduler.as_deref());
            compact::run(&Project::with_lake(config, lake, quiet)?, options).await
        }
        LakeCommand::Retain { dry_run } => {
            retain::run(&Project::with_lake(config, lake, quiet)?, *dry_run).await
        }
        LakeCommand::Vacuum { retention_hours, dry_run } => {
            vacuum(&lake, Duration::from_secs(retention_hours * 3_600), *dry_run).await
        }
        LakeCommand::Erase(options) => erase::run(config, lake, options, quiet).await,
    }
}

async fn rotate_key(config: &Config) -> anyhow::Result<()> {
    let options = config.lake();
    let id = Lake::rotate_key(&options).await?;
    print_line(&format!("The key in use has the fingerprint {id} from now on"))?;
    print_line(&format!(
        "Copy {} to every machine that runs Rapport and into your backup, then restart the workers",
        options.key_file.display()
    ))
}

async fn upgrade(config: &Config) -> anyhow::Result<()> {
    match Lake::upgrade(&config.lake()).await? {
        FORMAT_VERSION => print_line(&format!("The lake has format {FORMAT_VERSION} already")),
        found => print_line(&format!("The lake had format {found} and has {FORMAT_VERSION} now")),
    }
}

async fn vacuum(lake: &Lake, retention: Duration, dry: bool) -> anyhow::Result<()> {
    let mut files = 0;
    for table in lake.tables().await? {
        if let Some(done) = lake.vacuum(&table, retention, dry).await? {
            files += done.files;
        }
    }
    let verb = if dry { "would be deleted" } else { "deleted" };
    print_line(&format!("{} {verb}", counted(files, "file")))
}

async fn verify(lake: &Lake, quiet: bool) -> anyhow::Result<()> {
    let spinner = Spinner::start("verify", quiet);
    let found = lake.verify().await?;
    drop(spinner);
    for finding in &found.findings {
        print_line(&printable(&format!("{}: {}", finding.table, finding.what)))?;
    }
    print_line(&format!(
        "{}, {}, {} looked at, {}",
        counted(found.tables, "table"),
        counted(found.files, "file"),
        counted(found.rows, "row"),
        counted(found.findings.len(), "finding")
    ))?;
    if found.unchecked > 0 {
        let files = counted(found.unchecked, "file");
        print_line(&format!(
            "{files} of an older program without checksums, in which changed bytes are not seen: \
             `rapport lake upgrade` adds them, once no worker of it runs any longer"
        ))?;
    }
    if found.findings.is_empty() {
        return Ok(());
    }
    Err(CheckFailed(format!("the lake has {}", counted(found.findings.len(), "fault"))).into())
}

/// Returns whether the rows of a table come from commands that can be run again. Models are not such
/// rows: a person adopted some of them.
fn is_reproducible(table: &str) -> bool {
    let tables = [
        schema::partner_health(),
        schema::partner_signals(),
        schema::evaluations(),
        schema::runs(),
    ];
    tables.iter().any(|def| def.name == table)
}

/// Repairs every table, inputs before what is computed from them, and refreshes the rollups.
async fn repair(config: Config, quiet: bool) -> anyhow::Result<()> {
    let lake = Lake::open_damaged(&config.lake()).await?;
    let project = Project::with_lake(config, lake, quiet)?;
    let mut repaired = RepairReport::default();
    for table in project.lake.tables_to_repair().await? {
        let spinner = Spinner::start("repair", quiet);
        spinner.set_message(table.clone());
        let again = match &table {
            rollup if rollup.starts_with("rollup/") => {
                // While its inputs can't be read, it can't be computed again.
                project
                    .engine
                    .recomputable_from(rollup)
                    .await
                    .map_or(RecomputeScope::Nothing, RecomputeScope::Days)
            }
            other if is_reproducible(other) => RecomputeScope::Rows,
            _ => RecomputeScope::Nothing,
        };
        project.lake.repair(&table, again, &mut repaired).await?;
    }
    for done in &repaired.repaired {
        print_line(&printable(&format!("{}: {}", done.table, done.what)))?;
    }
    for left in &repaired.unrepaired {
        print_line(&printable(&format!("{}: {}", left.table, left.what)))?;
    }
    if !repaired.unrepaired.is_empty() {
        let left = counted(repaired.unrepaired.len(), "fault");
        return Err(CheckFailed(format!("{left} left: what is said above is yours to do")).into());
    }
    if repaired.repaired.is_empty() {
        return print_line("Nothing is damaged");
    }
    project.refresh().await?;
    print_line("The lake is whole again, and the rollups are up to date")
}
