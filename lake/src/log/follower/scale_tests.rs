//! The cost of a commit on a table of many commits and files, and of many workers that commit
//! concurrently.
//!
//! `RAPPORT_LARGE=1` runs the tests at full size and prints the measurements.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use chrono::Utc;
use domain::Day;

use super::LogFollower;
use crate::integrity::block_checksum::BlockChecksums;
use crate::log::cleanup::LogRetention;
use crate::log::paths::entry_path;
use crate::tests::{advance, def, options, rows};
use crate::{AppendOutcome, Appender, Lake, PartitionId};

const TABLE: &str = "raw/things";
/// The number of commits whose median is taken.
const MEASURED: u32 = 30;

fn large() -> bool {
    std::env::var_os("RAPPORT_LARGE").is_some()
}

#[expect(clippy::print_stdout, reason = "the test prints its measurements")]
fn report(what: &str) {
    println!("{what}");
}

/// A worker with a partition of its own.
struct Worker {
    lake: Lake,
    table: Appender,
    id: PartitionId,
}

impl Worker {
    async fn open(dir: &tempfile::TempDir, partition: i32) -> Self {
        let lake = Lake::open_or_create(&options(dir)).await.expect("a lake");
        let table = Appender::open(&lake, def()).await.expect("a table");
        Self { lake, table, id: PartitionId::kafka("c", "things", "t", partition) }
    }

    async fn commit(&mut self) {
        let (day, tags) = (Some(Day(20_000)), BTreeMap::new());
        let file = self.lake.write_file(&def(), day, &[rows(&[1])], tags).await.expect("a file");
        let from = self.table.position(&self.id).map(|p| p.next);
        let step = [advance(&self.id, from, from.unwrap_or(0) + 1)];
        let done = self.table.append(&step, &[file]).await.expect("an answer");
        assert!(matches!(done, AppendOutcome::Committed { .. }));
    }

    /// Makes a commit without a file, and returns its duration.
    async fn timed_commit(&mut self) -> Duration {
        let from = self.table.position(&self.id).map(|p| p.next);
        let step = [advance(&self.id, from, from.unwrap_or(0) + 1)];
        let began = Instant::now();
        self.table.append(&step, &[]).await.expect("an answer");
        began.elapsed()
    }
}

/// Returns the median duration of a commit of both workers, which commit in turns, so that other
/// load of the machine falls on both.
async fn compare(one: &mut Worker, other: &mut Worker) -> [Duration; 2] {
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..MEASURED {
        took[0].push(one.timed_commit().await);
        took[1].push(other.timed_commit().await);
    }
    took.map(|mut all| {
        all.sort();
        all[all.len() / 2]
    })
}

/// Writes log entries as commits would, from the table's next version on. Each one moves a position
/// and adds `files` files. Returns the newest version.
async fn grow(dir: &tempfile::TempDir, commits: u64, files: u64) -> u64 {
    let lake = Lake::open(&options(dir)).await.expect("the lake");
    let log = lake.log_store(TABLE);
    let follower = LogFollower::load(log.as_ref(), TABLE, None).await.expect("a log");
    let folder = dir.path().join("lake").join(TABLE);
    for version in follower.version + 1..=follower.version + commits {
        let mut text = format!(
            "{{\"commitInfo\":{{\"timestamp\":{version},\"operation\":\"WRITE\"}}}}\n\
             {{\"txn\":{{\"appId\":\"c/things/t/9\",\"version\":{version}}}}}\n"
        );
        for file in 0..files {
            let stats = "{\\\"numRecords\\\":1,\\\"minValues\\\":{\\\"partner_id\\\":\\\"p-0\\\"},\
                         \\\"maxValues\\\":{\\\"partner_id\\\":\\\"p-9\\\"},\\\"nullCount\\\":{}}";
            writeln!(
                text,
                "{{\"add\":{{\"path\":\"event_date=2024-10-04/part-{version}-{file}.parquet\",\
                 \"partitionValues\":{{\"event_date\":\"2024-10-04\"}},\"size\":1000,\
                 \"modificationTime\":1,\"dataChange\":true,\"stats\":\"{stats}\"}}}}"
            )
            .expect("text");
        }
        std::fs::write(folder.join(entry_path(version)), text).expect("an entry");
    }
    follower.version + commits
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_costs_the_same_on_a_long_log_and_on_many_files() {
    let (commits, files) = if large() { (100_000, 100_000) } else { (3_000, 5_000) };
    let (small_dir, dir) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("another"));
    let mut small = Worker::open(&small_dir, 0).await;
    grow(&small_dir, 60, 1).await;
    drop(Worker::open(&dir, 0).await);

    let version = grow(&dir, commits, 0).await;
    small.lake.checkpoint(TABLE, 60).await.expect("a checkpoint");
    let lake = Lake::open(&options(&dir)).await.expect("the lake");
    lake.checkpoint(TABLE, version).await.expect("a checkpoint");
    let began = Instant::now();
    let mut late = Worker::open(&dir, 1).await;
    let opened = began.elapsed();
    let long = compare(&mut small, &mut late).await;
    crate::wait_for_background_work().await;

    let began = Instant::now();
    // As if the entries were days old.
    let retention = LogRetention { max_age: Duration::from_secs(1), max_entries: 50 };
    let later = Utc::now() + chrono::Duration::days(2);
    let mut cleaned = 0;
    while let n @ 1.. = late.lake.clean_up(TABLE, retention, later).await.expect("cleaned up") {
        cleaned += n;
    }
    let cleaning = began.elapsed();

    let version = grow(&dir, 100, files / 100).await;
    let began = Instant::now();
    late.lake.checkpoint(TABLE, version).await.expect("a checkpoint");
    let checkpoint = began.elapsed();
    let began = Instant::now();
    let mut later = Worker::open(&dir, 2).await;
    let reopened = began.elapsed();
    let many = compare(&mut small, &mut later).await;
    // These commits include a checkpoint, which is written in the background.
    let mut slowest = Duration::ZERO;
    for _ in 0..120 {
        let began = Instant::now();
        later.table.append(&[], &[]).await.expect("an answer");
        slowest = slowest.max(began.elapsed());
    }
    crate::wait_for_background_work().await;
    report(&format!(
        "a commit at the hundredth and after {commits}: {long:?}; on few files and on {files}: \
         {many:?}, the slowest of 120 {slowest:?}\n\
         opening: {opened:?} after {commits} commits, {reopened:?} on {files} files\n\
         checkpoint of {files} files: {checkpoint:?}; {cleaned} files of the log cleaned up in \
         {cleaning:?}"
    ));
    assert!(cleaned as u64 > commits - 1_000, "{cleaned}");
    for [few, many] in [long, many] {
        assert!(many < few * 3 + Duration::from_millis(10), "{few:?}, {many:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_concurrent_workers_lose_no_commit() {
    const WORKERS: i32 = 16;
    let (rounds, pause) =
        if large() { (60, Duration::from_secs(1)) } else { (6, Duration::from_millis(50)) };
    let dir = tempfile::tempdir().expect("a folder");
    drop(Worker::open(&dir, 0).await);
    let mut running = tokio::task::JoinSet::new();
    for partition in 0..WORKERS {
        let mut worker = Worker::open(&dir, partition).await;
        running.spawn(async move {
            let mut ticks = tokio::time::interval(pause);
            let mut slowest = Duration::ZERO;
            for _ in 0..rounds {
                ticks.tick().await;
                let began = Instant::now();
                worker.commit().await;
                slowest = slowest.max(began.elapsed());
            }
            crate::wait_for_background_work().await;
            slowest
        });
    }
    let slowest = running.join_all().await.into_iter().max().unwrap_or_default();
    report(&format!("{WORKERS} workers, {rounds} commits each: the slowest took {slowest:?}"));
    let lake = Lake::open(&options(&dir)).await.expect("the lake");
    let snapshot = lake.snapshot(TABLE, None).await.expect("read").expect("there");
    let expected = u64::from(WORKERS.unsigned_abs()) * rounds;
    assert_eq!((snapshot.version, snapshot.rows()), (expected, expected));
    let positions = crate::partitions(&snapshot.txns).map(|(_, p)| p.next);
    assert!(positions.into_iter().all(|next| next == rounds as i64));
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_and_the_witness_add_little_to_a_commit() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut worker = Worker::open(&dir, 0).await;
    let (mut commits, mut witnesses) = (Vec::new(), Vec::new());
    for _ in 0..MEASURED {
        commits.push(worker.timed_commit().await);
        let log = worker.lake.log_store(TABLE);
        let version = LogFollower::load(log.as_ref(), TABLE, None).await.expect("a log").version;
        let began = Instant::now();
        worker.lake.record_commit(TABLE, version).await;
        witnesses.push(began.elapsed());
    }
    let median = |mut took: Vec<Duration>| {
        took.sort();
        took[took.len() / 2]
    };
    let (commit, witness) = (median(commits), median(witnesses));
    let bytes: Vec<u8> =
        (0..64u32 << 20).map(|n| (n.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect();
    let began = Instant::now();
    let checksums = BlockChecksums::of(&bytes);
    let took = began.elapsed();
    report(&format!(
        "a commit without files {commit:?}, of it the witness {witness:?}; checksums of 64 MiB {took:?}"
    ));
    assert!(checksums.matches(0, &bytes));
    assert!(witness < commit, "{witness:?} of {commit:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}
