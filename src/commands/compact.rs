//! `rapport lake compact`: merges the small files of closed days into large sorted ones, and drops
//! duplicate events.

use std::collections::BTreeMap;
use std::num::NonZero;

use domain::{Day, Stream, counted, thousands};
use lake::{LakeError, TableSnapshot, schema};

use crate::args::CompactArgs;
use crate::memory_limit::QUERY_MEMORY;
use crate::output::print_line;
use crate::progress::Spinner;
use crate::project::Project;
use crate::resource_usage;

/// The most days in one commit, and the bytes of files for each unit that runs at once: a conflict
/// repeats the work of a whole commit.
const GROUP_DAYS: usize = 32;
const GROUP_BYTES: u64 = 256 << 20;

/// For how many units at once a commit has work on a cluster, whose executors this process does not
/// know.
const CLUSTER_UNITS: usize = 64;

/// What a unit needs, bytes: the memory of its sort, the file that it writes and what it reads.
const UNIT_MEMORY: u64 = QUERY_MEMORY as u64 + (256 << 20);

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
pub(crate) async fn run(project: &Project, options: &CompactArgs) -> anyhow::Result<()> {
    let at_once = match (project.config.cluster(), options.units) {
        (Some(_), _) => CLUSTER_UNITS,
        (None, Some(units)) => units.get(),
        (None, None) => units_at_once(
            std::thread::available_parallelism().map_or(1, NonZero::get),
            resource_usage::machine_memory(),
        ),
    };
    let spinner = Spinner::start("compact", project.quiet);
    let mut totals = CompactionTotals::default();
    for stream in Stream::ALL {
        let def = schema::raw(stream);
        let Some(snapshot) = project.lake.snapshot(&def.name, None).await? else { continue };
        // A day is closed once the watermark of its own stream has passed it.
        let closed = lake::watermark_of(&snapshot.txns).map(Day::of_micros);
        let Some(end) = options.before.into_iter().chain(closed).min() else { continue };
        for days in groups(&snapshot, end, GROUP_BYTES.saturating_mul(at_once as u64)) {
            spinner.set_message(format!(
                "{stream} {}, {} into {}",
                days[0],
                counted(totals.old_files, "file"),
                thousands(totals.new_files)
            ));
            compact_group(project, stream, &days, at_once, &mut totals).await?;
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

/// Returns how many units run at once: one on each core, as far as nine tenths of the memory go.
fn units_at_once(cores: usize, memory: Option<u64>) -> usize {
    let fit = memory.map_or(u64::MAX, |memory| memory / 10 * 9 / UNIT_MEMORY);
    usize::try_from(fit).unwrap_or(usize::MAX).min(cores).max(1)
}

/// Returns the days to compact, in groups that are committed together, of at most so many bytes but at
/// least one day.
fn groups(snapshot: &TableSnapshot, end: Day, max_bytes: u64) -> Vec<Vec<Day>> {
    let mut bytes: BTreeMap<Day, u64> = BTreeMap::new();
    for file in snapshot.files.iter() {
        if let Some(day) = file.day.filter(|day| *day < end) {
            *bytes.entry(day).or_default() += file.size;
        }
    }
    let mut groups: Vec<Vec<Day>> = Vec::new();
    let mut filled = 0;
    for (day, size) in bytes.into_iter().filter(|(day, _)| !is_compacted(snapshot, *day)) {
        let full = groups.last().is_none_or(|group| group.len() >= GROUP_DAYS);
        if full || filled + size > max_bytes {
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
    at_once: usize,
    totals: &mut CompactionTotals,
) -> anyhow::Result<()> {
    for attempt in 0..ATTEMPTS {
        let size = if attempt == 0 { days.len() } else { 1 };
        let mut conflict = false;
        for days in days.chunks(size) {
            match compact_days(project, stream, days, at_once, totals).await {
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
    at_once: usize,
    totals: &mut CompactionTotals,
) -> anyhow::Result<()> {
    let def = schema::raw(stream);
    let Some(base) = project.lake.snapshot(&def.name, None).await? else { return Ok(()) };
    let mut of_group = CompactionTotals::default();
    let mut new = Vec::new();
    let open: Vec<Day> = days.iter().copied().filter(|day| !is_compacted(&base, *day)).collect();
    for (compacted, dropped) in project.engine.compact_days(stream, &base, &open, at_once).await? {
        of_group.days += 1;
        of_group.old_files += base.of_day(compacted.day).count() as u64;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_units_run_at_once_as_the_memory_holds() {
        const GIB: u64 = 1 << 30;
        assert_eq!(units_at_once(2, None), 2);
        assert_eq!(units_at_once(64, Some(256 * GIB)), 64);
        assert_eq!(units_at_once(64, Some(16 * GIB)), 11);
        assert_eq!(units_at_once(4, Some(GIB)), 1, "a sort spills what does not fit");
    }
}
