//! `rapport lake compact`: the small files of closed days into large sorted ones, copies dropped.

use std::collections::{BTreeMap, BTreeSet};

use lake::{LakeError, TableSnapshot, schema};
use lake_types::{Day, Stream, counted};

use crate::output::line;
use crate::progress::{Stage, count};
use crate::project::Project;

/// Days are committed together, up to so many and so many bytes of files: what a conflict does over
/// again.
const GROUP_DAYS: usize = 32;
const GROUP_BYTES: u64 = 256 << 20;

/// Starts over after another process rewrote a day.
const ATTEMPTS: usize = 5;

#[derive(Default)]
struct Done {
    days: u64,
    old_files: u64,
    new_files: u64,
    dropped: u64,
}

pub(crate) async fn run(project: &Project, before: Option<Day>) -> anyhow::Result<()> {
    let stage = Stage::begin("compact", project.quiet);
    let mut done = Done::default();
    for stream in Stream::ALL {
        let def = schema::raw(stream);
        let Some(snapshot) = project.lake.snapshot(&def.name, None).await? else { continue };
        // A day is closed when the watermark of its own stream has passed it.
        let closed = lake::watermark_of(&snapshot.txns).map(Day::of_micros);
        let Some(end) = before.into_iter().chain(closed).min() else { continue };
        for days in groups(&snapshot, end) {
            stage.say(format!(
                "{stream} {}, {} into {}",
                days[0],
                counted(done.old_files, "file"),
                count(done.new_files)
            ));
            compact_group(project, stream, &days, &mut done).await?;
        }
    }
    drop(stage);
    line(&format!(
        "{}: {} into {}, {} dropped",
        counted(done.days, "day"),
        counted(done.old_files, "file"),
        count(done.new_files),
        counted(done.dropped, "copy")
    ))
}

/// The days to compact, in groups that are committed together.
fn groups(snapshot: &TableSnapshot, end: Day) -> Vec<Vec<Day>> {
    let mut bytes: BTreeMap<Day, u64> = BTreeMap::new();
    for file in &snapshot.files {
        if let Some(day) = file.day.filter(|day| *day < end) {
            *bytes.entry(day).or_default() += file.size;
        }
    }
    let mut groups: Vec<Vec<Day>> = Vec::new();
    let mut filled = GROUP_BYTES;
    for (day, size) in bytes.into_iter().filter(|(day, _)| !compacted(snapshot, *day)) {
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

/// Whether nothing came for the day since it was compacted; one file may hold copies too.
fn compacted(snapshot: &TableSnapshot, day: Day) -> bool {
    let mut files = snapshot.of_day(day);
    files.all(|f| f.tags.contains_key(lake::COPIES))
}

/// Compacts days in one commit; where other processes rewrote one of them, one after the other.
async fn compact_group(
    project: &Project,
    stream: Stream,
    days: &[Day],
    done: &mut Done,
) -> anyhow::Result<()> {
    for attempt in 0..ATTEMPTS {
        let size = if attempt == 0 { days.len() } else { 1 };
        let mut conflict = false;
        for days in days.chunks(size) {
            match compact_days(project, stream, days, done).await {
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
    done: &mut Done,
) -> anyhow::Result<()> {
    let def = schema::raw(stream);
    let Some(base) = project.lake.snapshot(&def.name, None).await? else { return Ok(()) };
    let mut of_group = Done::default();
    let mut new = Vec::new();
    let open: BTreeSet<Day> = days.iter().copied().filter(|day| !compacted(&base, *day)).collect();
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
    done.days += of_group.days;
    done.old_files += of_group.old_files;
    done.new_files += of_group.new_files;
    done.dropped += of_group.dropped;
    Ok(())
}
