//! `rapport lake compact`: merges the small files of closed days into large sorted ones, and drops
//! duplicate events.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Day, Stream, counted, thousands};
use lake::{LakeError, TableSnapshot, schema};

use crate::output::print_line;
use crate::progress::Spinner;
use crate::project::Project;

/// The most days, and bytes of files, in one commit: a conflict repeats the work of a whole commit.
const GROUP_DAYS: usize = 32;
const GROUP_BYTES: u64 = 256 << 20;

/// How often a group is tried where other processes rewrite one of its days.
const ATTEMPTS: usize = 5;

/// What was done so far.
#[derive(Default)]
struct CompactionTotals {
    days: u64,
    old_files: u64,
    new_files: u64,
    dropped: u64,
}

/// Compacts the closed days of the raw tables, or those before a day.
pub(crate) async fn run(project: &Project, before: Option<Day>) -> anyhow::Result<()> {
    let spinner = Spinner::start("compact", project.quiet);
    let mut totals = CompactionTotals::default();
    for stream in Stream::ALL {
        let def = schema::raw(stream);
        let Some(snapshot) = project.lake.snapshot(&def.name, None).await? else { continue };
        // A day is closed once the watermark of its own stream has passed it.
        let closed = lake::watermark_of(&snapshot.txns).map(Day::of_micros);
        let Some(end) = before.into_iter().chain(closed).min() else { continue };
        for days in groups(&snapshot, end) {
            spinner.set_message(format!(
                "{stream} {}, {} into {}",
                days[0],
                counted(totals.old_files, "file"),
                thousands(totals.new_files)
            ));
            compact_group(project, stream, &days, &mut totals).await?;
        }
    }
    drop(spinner);
    print_line(&format!(
        "{}: {} into {}, {} dropped",
        counted(totals.days, "day"),
        counted(totals.old_files, "file"),
        thousands(totals.new_files),
        counted(totals.dropped, "copy")
    ))
}

/// Returns the days to compact, in groups that are committed together.
fn groups(snapshot: &TableSnapshot, end: Day) -> Vec<Vec<Day>> {
    let mut bytes: BTreeMap<Day, u64> = BTreeMap::new();
    for file in &snapshot.files {
        if let Some(day) = file.day.filter(|day| *day < end) {
            *bytes.entry(day).or_default() += file.size;
        }
    }
    let mut groups: Vec<Vec<Day>> = Vec::new();
    let mut filled = GROUP_BYTES;
    for (day, size) in bytes.into_iter().filter(|(day, _)| !is_compacted(snapshot, *day)) {
        let full = groups.last().is_none_or(|group| group.len() >= GROUP_DAYS);
        if full || filled + size > GROUP_BYTES {
            groups.push(Vec::new());
            filled = 0;
        }
        filled += size;
        if let Some(group) = groups.last_mut() {
            group.push(day);
        }
    }
    groups
}

/// Returns whether every file of the day was written by a compaction.
fn is_compacted(snapshot: &TableSnapshot, day: Day) -> bool {
    let mut files = snapshot.of_day(day);
    files.all(|f| f.tags.contains_key(lake::DROPPED_COPIES_TAG))
}

/// Compacts days in one commit. After a conflict with another process it takes them one by one.
async fn compact_group(
    project: &Project,
    stream: Stream,
    days: &[Day],
    totals: &mut CompactionTotals,
) -> anyhow::Result<()> {
    for attempt in 0..ATTEMPTS {
        let size = if attempt == 0 { days.len() } else { 1 };
        let mut conflict = false;
        for days in days.chunks(size) {
            match compact_days(project, stream, days, totals).await {
                Err(error) if is_conflict(&error) => conflict = true,
                other => other?,
            }
        }
        if !conflict {
            return Ok(());
        }
    }
    let first = days[0];
    anyhow::bail!("{stream} {first}: other processes keep rewriting the day; run the command again")
}

fn is_conflict(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<LakeError>(), Some(LakeError::Conflict { .. }))
}

async fn compact_days(
    project: &Project,
    stream: Stream,
    days: &[Day],
    totals: &mut CompactionTotals,
) -> anyhow::Result<()> {
    let def = schema::raw(stream);
    let Some(base) = project.lake.snapshot(&def.name, None).await? else { return Ok(()) };
    let mut of_group = CompactionTotals::default();
    let mut new = Vec::new();
    let open: BTreeSet<Day> =
        days.iter().copied().filter(|day| !is_compacted(&base, *day)).collect();
    for day in open {
        let (compacted, dropped) = project.engine.compact_day(stream, &base, day).await?;
        of_group.days += 1;
        of_group.old_files += base.of_day(day).count() as u64;
        of_group.new_files += compacted.files.len() as u64;
        of_group.dropped += dropped;
        new.push(compacted);
    }
    if new.is_empty() {
        return Ok(());
    }
    project.lake.compact_days(&def, &base, new).await?;
    totals.days += of_group.days;
    totals.old_files += of_group.old_files;
    totals.new_files += of_group.new_files;
    totals.dropped += of_group.dropped;
    Ok(())
}
