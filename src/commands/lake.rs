//! `rapport lake verify | status | compact | vacuum`; `status` and `erase` have files of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use lake::{FileWriter, Lake, LakeError, TableSnapshot, schema};
use lake_types::{Day, Stream};

use crate::args::LakeCommand;
use crate::commands::{erase, status};
use crate::config::Config;
use crate::failure::Found;
use crate::output::line;
use crate::progress::{Stage, count};
use crate::project::Project;

pub(crate) async fn run(command: &LakeCommand, config: Config, quiet: bool) -> anyhow::Result<()> {
    let lake = Lake::open(&config.lake()).await?;
    match command {
        LakeCommand::Verify => verify(&lake, quiet).await,
        LakeCommand::Status { format } => {
            status::run(&lake, *format, chrono::Utc::now().timestamp_micros()).await
        }
        LakeCommand::Compact { before } => {
            compact(&Project::with(config, lake, quiet)?, *before).await
        }
        LakeCommand::Vacuum { retention_hours, dry_run } => {
            vacuum(&lake, Duration::from_secs(retention_hours * 3_600), *dry_run).await
        }
        LakeCommand::Erase(options) => erase::run(config, lake, options, quiet).await,
    }
}

/// Compacted files are about this large.
const FILE_BYTES: usize = 128 << 20;

/// Starts over after another process rewrote the day.
const ATTEMPTS: usize = 5;

async fn compact(project: &Project, before: Option<Day>) -> anyhow::Result<()> {
    let stage = Stage::begin("compact", project.quiet);
    let (mut days, mut old_files, mut new_files, mut dropped) = (0, 0, 0, 0);
    for stream in Stream::ALL {
        let def = schema::raw(stream);
        let Some(snapshot) = project.lake.snapshot(&def.name, None).await? else { continue };
        // A day is closed when the watermark of its own stream has passed it.
        let closed = lake::watermark_of(&snapshot.txns).map(Day::of_micros);
        let Some(end) = before.into_iter().chain(closed).min() else { continue };
        let all: BTreeSet<Day> = snapshot.files.iter().filter_map(|f| f.day).collect();
        for day in all.into_iter().filter(|day| *day < end) {
            if compacted(&snapshot, day) {
                continue;
            }
            stage.say(format!(
                "{stream} {day}, {} files into {}",
                count(old_files),
                count(new_files)
            ));
            if let Some(done) = compact_day(project, stream, day).await? {
                days += 1;
                old_files += done.old_files;
                new_files += done.new_files;
                dropped += done.dropped;
            }
        }
    }
    drop(stage);
    line(&format!(
        "{} days: {} files into {}, {} copies dropped",
        count(days),
        count(old_files),
        count(new_files),
        count(dropped)
    ))
}

/// Whether nothing came for the day since it was compacted; one file may hold copies too.
fn compacted(snapshot: &TableSnapshot, day: Day) -> bool {
    let mut files = snapshot.of_day(day);
    files.all(|f| f.tags.contains_key(lake::COPIES))
}

struct DayCompacted {
    old_files: u64,
    new_files: u64,
    dropped: u64,
}

async fn compact_day(
    project: &Project,
    stream: Stream,
    day: Day,
) -> anyhow::Result<Option<DayCompacted>> {
    for _ in 0..ATTEMPTS {
        match try_compact_day(project, stream, day).await {
            Err(error) if is_conflict(&error) => {}
            other => return other,
        }
    }
    anyhow::bail!("{stream} {day}: other processes keep rewriting the day; run the command again")
}

fn is_conflict(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<LakeError>(), Some(LakeError::Conflict { .. }))
}

async fn try_compact_day(
    project: &Project,
    stream: Stream,
    day: Day,
) -> anyhow::Result<Option<DayCompacted>> {
    let def = schema::raw(stream);
    let Some(base) = project.lake.snapshot(&def.name, None).await? else { return Ok(None) };
    if compacted(&base, day) {
        return Ok(None);
    }
    let old: Vec<_> = base.of_day(day).collect();
    let rows_before: u64 = old.iter().map(|f| f.rows).sum();
    let dropped_before: u64 =
        old.iter().filter_map(|f| f.tags.get(lake::COPIES)?.parse::<u64>().ok()).sum();
    let mut rows = project.engine.events_of_day(stream, &base, day).await?;
    let mut full = Vec::new();
    let mut writer = project.lake.file_writer(&def, Some(day))?;
    while let Some(batch) = rows.next().await {
        writer.write(&batch?)?;
        if writer.bytes() >= FILE_BYTES {
            let next = project.lake.file_writer(&def, Some(day))?;
            full.push(std::mem::replace(&mut writer, next));
        }
    }
    full.push(writer);
    let rows_after: usize = full.iter().map(FileWriter::rows).sum();
    let dropped = rows_before - rows_after as u64;
    let mut tags = BTreeMap::new();
    if dropped == 0 {
        tags.insert(lake::STANDS_FOR.to_owned(), lake::identity(old.iter().copied()));
    }
    let mut files = Vec::new();
    for (index, writer) in full.into_iter().enumerate() {
        let mut tags = tags.clone();
        // The count is of the day; the first file keeps it.
        let copies = if index == 0 { dropped_before + dropped } else { 0 };
        tags.insert(lake::COPIES.to_owned(), copies.to_string());
        files.push(writer.finish(tags).await?);
    }
    let done = DayCompacted { old_files: old.len() as u64, new_files: files.len() as u64, dropped };
    project.lake.compact_day(&def, &base, day, files, dropped).await?;
    Ok(Some(done))
}

async fn vacuum(lake: &Lake, retention: Duration, dry: bool) -> anyhow::Result<()> {
    let mut files = 0;
    for table in lake.tables().await? {
        if let Some(done) = lake.vacuum(&table, retention, dry).await? {
            files += done.files;
        }
    }
    let verb = if dry { "would be deleted" } else { "deleted" };
    line(&format!("{} files {verb}", count(files as u64)))
}

async fn verify(lake: &Lake, quiet: bool) -> anyhow::Result<()> {
    let stage = Stage::begin("verify", quiet);
    let found = lake.verify().await?;
    drop(stage);
    for finding in &found.findings {
        line(&format!("{}: {}", finding.table, finding.what))?;
    }
    line(&format!(
        "{} tables, {} files, {} rows looked at, {} findings",
        found.tables,
        count(found.files as u64),
        count(found.rows),
        found.findings.len()
    ))?;
    if found.findings.is_empty() {
        return Ok(());
    }
    Err(Found(format!("the lake has {} faults", found.findings.len())).into())
}
