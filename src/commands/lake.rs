//! `rapport lake …`: `verify`, `vacuum`, `upgrade` and `rotate-key`; the others have files of their
//! own.

use lake_types::{counted, printable};
use std::time::Duration;

use lake::{FORMAT_VERSION, Lake};

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
        _ => {}
    }
    let lake = Lake::open(&config.lake()).await?;
    match command {
        LakeCommand::RotateKey | LakeCommand::Upgrade => Ok(()),
        LakeCommand::Verify => verify(&lake, quiet).await,
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
    if found.findings.is_empty() {
        return Ok(());
    }
    Err(Found(format!("the lake has {}", counted(found.findings.len(), "fault"))).into())
}
