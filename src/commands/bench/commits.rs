//! `rapport bench commits`: how many commits a second workers reach on one table at once.

use std::path::Path;
use std::time::{Duration, Instant};

use domain::{Stream, counted};
use futures::future::try_join_all;
use lake::{
    AppendOutcome, Appender, Lake, LakeOptions, PartitionId, PositionAdvance, StoreOptions,
    TemporaryLake, schema,
};
use serde::Serialize;

use super::latencies::Latencies;
use crate::args::{BenchCommitsArgs, ReportFormat};
use crate::config::Config;
use crate::output::{print_line, print_table, print_verbatim};
use crate::progress::Spinner;
use crate::scratch_folder;
use crate::table::Table;

/// About the size of a log entry of one flush.
const ENTRY_BYTES: usize = 1_000;

/// What some workers reached.
#[derive(Debug, Serialize)]
struct Round {
    workers: usize,
    commits: Latencies,
    /// The fewest commits of a worker over those of the median worker: 1 is fair.
    fairness: f64,
    /// Commits a second over the puts a second of one writer without a log.
    ratio: f64,
}

/// The curve of commits over workers.
#[derive(Debug, Serialize)]
struct CommitsReport {
    /// Objects of the size of a log entry that one writer puts one after the other, each unless it
    /// exists: what the store can do.
    floor: Latencies,
    rounds: Vec<Round>,
}

/// Runs the benchmark and prints its results.
pub(crate) async fn commits(
    config: Option<&Config>,
    options: &BenchCommitsArgs,
    quiet: bool,
) -> anyhow::Result<()> {
    let spinner = Spinner::start("bench", quiet);
    let seconds = Duration::from_secs(u64::from(options.seconds));
    let keys = tempfile::Builder::new().prefix("bench-").tempdir_in(scratch_folder::folder()?)?;
    let lakes = RoundLakes {
        parent: match &options.lake {
            Some(parent) => parent.clone(),
            None => keys.path().display().to_string(),
        },
        keys: keys.path(),
        store: config.map(|config| config.lake().store).unwrap_or_default(),
    };
    spinner.set_message("the store alone".to_owned());
    let lake = lakes.create().await?;
    let floor = puts(&lake, seconds).await;
    lake.remove().await?;
    let floor = floor?;
    let mut rounds = Vec::new();
    for workers in options.workers.iter().map(|workers| usize::from(*workers)) {
        spinner.set_message(counted(workers, "worker"));
        // Each round has a log of its own, so that none reads what the one before it left.
        let lake = lakes.create().await?;
        let round = round(&lake.options, workers, seconds, floor.per_second).await;
        lake.remove().await?;
        rounds.push(round?);
    }
    drop(spinner);
    let report = CommitsReport { floor, rounds };
    match options.format {
        ReportFormat::Json => print_verbatim(&serde_json::to_string_pretty(&report)?),
        ReportFormat::Table => print(&report),
    }
}

/// Makes the lake of each round.
struct RoundLakes<'a> {
    /// A folder or a bucket.
    parent: String,
    keys: &'a Path,
    store: StoreOptions,
}

impl RoundLakes<'_> {
    async fn create(&self) -> anyhow::Result<TemporaryLake> {
        let store = self.store.clone();
        Ok(TemporaryLake::create(&self.parent, self.keys, store).await?)
    }
}

/// Puts objects one after the other.
async fn puts(lake: &TemporaryLake, seconds: Duration) -> anyhow::Result<Latencies> {
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < seconds {
        let put = Instant::now();
        lake.put_new(&format!("puts/{:020}.json", took.len()), vec![b' '; ENTRY_BYTES]).await?;
        took.push(put.elapsed());
    }
    Ok(Latencies::of(took, began.elapsed()))
}

/// Lets workers commit to one table at once. Each has a lake of its own, as processes do.
async fn round(
    options: &LakeOptions,
    workers: usize,
    seconds: Duration,
    floor: f64,
) -> anyhow::Result<Round> {
    let mut appenders = Vec::new();
    for _ in 0..workers {
        let lake = Lake::open(options).await?;
        appenders.push(Appender::open(&lake, schema::raw(Stream::ApiCalls)).await?);
    }
    let began = Instant::now();
    let end = began + seconds;
    let committing = appenders.into_iter().enumerate().map(|(worker, appender)| async move {
        tokio::spawn(commits_until(appender, worker, end)).await?
    });
    let took = try_join_all(committing).await?;
    let elapsed = began.elapsed();
    let mut counts: Vec<usize> = took.iter().map(Vec::len).collect();
    counts.sort_unstable();
    let fewest = counts.first().copied().unwrap_or_default();
    let median = counts.get(counts.len() / 2).copied().unwrap_or_default();
    let commits = Latencies::of(took.concat(), elapsed);
    Ok(Round {
        workers,
        fairness: fewest as f64 / median.max(1) as f64,
        ratio: commits.per_second / floor.max(1e-9),
        commits,
    })
}

/// Commits the positions of a worker's own partition, one after the other.
async fn commits_until(
    mut appender: Appender,
    worker: usize,
    end: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let partition = i32::try_from(worker).unwrap_or(i32::MAX);
    let id = PartitionId::kafka("bench", "bench", "bench", partition);
    let (mut from, mut took) = (None, Vec::new());
    while Instant::now() < end {
        let began = Instant::now();
        let to = from.unwrap_or_default() + 1;
        let advance = PositionAdvance::of_position(id.clone(), from, to);
        let outcome = appender.append(&[advance], &[]).await?;
        anyhow::ensure!(
            matches!(outcome, AppendOutcome::Committed { .. }),
            "another process writes to the table of the benchmark"
        );
        from = Some(to);
        took.push(began.elapsed());
    }
    Ok(took)
}

fn print(report: &CommitsReport) -> anyhow::Result<()> {
    let mut table = Table::new(
        [
            "workers",
            "commits/s",
            "p50 ms",
            "p99 ms",
            "max ms",
            "fewest/median",
            "over the store alone",
        ],
        &[0, 1, 2, 3, 4, 5, 6],
    );
    let row = |name: String, latencies: &Latencies, fairness: String, ratio: String| {
        let [p50, p99, max] = [latencies.p50_ms, latencies.p99_ms, latencies.max_ms]
            .map(|milliseconds| format!("{milliseconds:.1}"));
        [name, format!("{:.0}", latencies.per_second), p50, p99, max, fairness, ratio]
    };
    for round in &report.rounds {
        table.row(row(
            round.workers.to_string(),
            &round.commits,
            format!("{:.2}", round.fairness),
            format!("{:.2}", round.ratio),
        ));
    }
    table.row(row("store alone".to_owned(), &report.floor, String::new(), "1.00".to_owned()));
    print_table(&table)?;
    print_line("A commit writes positions only; data files are written before it, side by side")
}
