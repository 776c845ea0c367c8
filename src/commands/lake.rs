//! `rapport lake …`: `verify`, `repair`, `vacuum`, `upgrade` and `rotate-key`; the others have files of
//! their own.

use std::time::Duration;

use lake::{Again, FORMAT_VERSION, Lake, Repaired, schema};
use lake_types::{counted, printable};

use crate::args::LakeCommand;
use crate::commands::{compact, erase, retain, status};
use crate::config::Config;
use crate::failure::Found;
use crate::output::line;
use crate::progress::Stage;
use crate::project::Project;

pub(crate) async fn run(command: &LakeCommand, config: Config, quiet: bool) -> anyhow::Result<()> {
    match command {
        LakeCommand::RotateKey => return rotate_key(&config).await,
        LakeCommand::Upgrade => return upgrade(&config).await,
        LakeCommand::Verify => {
            return verify(&Lake::open_damaged(&config.lake()).await?, quiet).await;
        }
        LakeCommand::Repair => return repair(config, quiet).await,
        _ => {}
    }
    let lake = Lake::open(&config.lake()).await?;
    match command {
        LakeCommand::RotateKey
        | LakeCommand::Upgrade
        | LakeCommand::Verify
        | LakeCommand::Repair => Ok(()),
        LakeCommand::Status { format } => {
            status::run(&lake, *format, chrono::Utc::now().timestamp_micros()).await
        }
        LakeCommand::Compact { before } => {
            compact::run(&Project::with(config, lake, quiet)?, *before).await
        }
        LakeCommand::Retain { dry_run } => {
            retain::run(&Project::with(config, lake, quiet)?, *dry_run).await
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
    line(&format!("The key in use has the fingerprint {id} from now on"))?;
    line(&format!(
        "Copy {} to every machine that runs Rapport and into your backup, then restart the workers",
        options.key_file.display()
    ))
}

async fn upgrade(config: &Config) -> anyhow::Result<()> {
    match Lake::upgrade(&config.lake()).await? {
        FORMAT_VERSION => line(&format!("The lake has format {FORMAT_VERSION} already")),
        found => line(&format!("The lake had format {found} and has {FORMAT_VERSION} now")),
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
    line(&format!("{} {verb}", counted(files, "file")))
}

async fn verify(lake: &Lake, quiet: bool) -> anyhow::Result<()> {
    let stage = Stage::begin("verify", quiet);
    let found = lake.verify().await?;
    drop(stage);
    for finding in &found.findings {
        line(&printable(&format!("{}: {}", finding.table, finding.what)))?;
    }
    line(&format!(
        "{}, {}, {} looked at, {}",
        counted(found.tables, "table"),
        counted(found.files, "file"),
        counted(found.rows, "row"),
        counted(found.findings.len(), "finding")
    ))?;
    if found.unchecked > 0 {
        let files = counted(found.unchecked, "file");
        line(&format!(
            "{files} of an older program without checksums, in which changed bytes are not seen: \
             `rapport lake upgrade` adds them, once no worker of it runs any longer"
        ))?;
    }
    if found.findings.is_empty() {
        return Ok(());
    }
    Err(Found(format!("the lake has {}", counted(found.findings.len(), "fault"))).into())
}

/// Whether a table's rows are those of commands that can be run once more.
fn is_written_again(table: &str) -> bool {
    let tables = [schema::partner_health(), schema::partner_signals(), schema::runs()];
    tables.iter().any(|def| def.name == table)
}

/// Repairs every table, what others are computed from first, and computes the rollups anew.
async fn repair(config: Config, quiet: bool) -> anyhow::Result<()> {
    let lake = Lake::open_damaged(&config.lake()).await?;
    let project = Project::with(config, lake, quiet)?;
    let mut repaired = Repaired::default();
    for table in project.lake.tables_to_repair().await? {
        let stage = Stage::begin("repair", quiet);
        stage.say(table.clone());
        let again = match &table {
            rollup if rollup.starts_with("rollup/") => {
                // Where what it is made of can't be read, nothing of it can be had again yet.
                project.engine.recomputable_from(rollup).await.map_or(Again::Never, Again::Days)
            }
            // What a person wrote is not among these.
            other if is_written_again(other) => Again::Rows,
            _ => Again::Never,
        };
        project.lake.repair(&table, again, &mut repaired).await?;
    }
    for done in &repaired.done {
        line(&printable(&format!("{}: {}", done.table, done.what)))?;
    }
    for left in &repaired.left {
        line(&printable(&format!("{}: {}", left.table, left.what)))?;
    }
    if !repaired.left.is_empty() {
        let left = counted(repaired.left.len(), "fault");
        return Err(Found(format!("{left} left: what is said above is yours to do")).into());
    }
    if repaired.done.is_empty() {
        return line("Nothing is damaged");
    }
    project.refresh().await?;
    line("The lake is whole again, and the rollups are up to date")
}
