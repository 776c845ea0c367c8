//! Tests of logs that are cleaned up while workers sleep.

use std::collections::BTreeMap;

use chrono::Utc;
use domain::Day;

use crate::log::cleanup::LogRetention;
use crate::log::paths::{checkpoint_path, entry_path};
use crate::tests::{advance, def, options, rows};
use crate::{AppendOutcome, Appender, Lake, LakeError, PartitionId, PendingFile, PositionAdvance};

const TABLE: &str = "raw/things";

struct Worker {
    lake: Lake,
    table: Appender,
    id: PartitionId,
}

impl Worker {
    async fn open(dir: &tempfile::TempDir) -> Self {
        let lake = Lake::open_or_create(&options(dir)).await.expect("a lake");
        let table = Appender::open(&lake, def()).await.expect("a table");
        Self { lake, table, id: PartitionId::kafka("c", "things", "t", 0) }
    }

    async fn file(&self) -> PendingFile {
        let (day, tags) = (Some(Day(20_000)), BTreeMap::new());
        self.lake.write_file(&def(), day, &[rows(&[1])], tags).await.expect("a file")
    }

    /// Appends one row from the position that this worker knows.
    async fn step(&mut self) -> AppendOutcome {
        let file = self.file().await;
        let from = self.table.position(&self.id).map(|p| p.next);
        let advance: PositionAdvance = advance(&self.id, from, from.unwrap_or(0) + 1);
        self.table.append(&[advance], &[file]).await.expect("an answer")
    }

    async fn steps(&mut self, n: u64) {
        for _ in 0..n {
            assert!(matches!(self.step().await, AppendOutcome::Committed { .. }));
            // Waiting here makes sure that no checkpoint is skipped because another one is written.
            crate::wait_for_background_work().await;
        }
    }

    /// Returns rows and position of the table, as this worker's lake follows it.
    async fn followed(&self) -> (u64, i64) {
        let snapshot = self.lake.snapshot(TABLE, None).await.expect("read").expect("there");
        let next = crate::partitions(&snapshot.txns).map(|(_, position)| position.next);
        (snapshot.rows(), next.sum())
    }

    async fn clean(&self) -> usize {
        self.lake.clean_up(TABLE, LogRetention::NOTHING, Utc::now()).await.expect("cleaned up")
    }
}

/// Returns rows and position of the table, as a newly opened lake reads them.
async fn read_anew(dir: &tempfile::TempDir) -> (u64, Option<i64>) {
    let worker = Worker::open(dir).await;
    let snapshot = worker.lake.snapshot(TABLE, None).await.expect("read").expect("there");
    (snapshot.rows(), worker.table.position(&worker.id).map(|p| p.next))
}

fn log_path(dir: &tempfile::TempDir, version: u64) -> std::path::PathBuf {
    dir.path().join("lake").join(TABLE).join(entry_path(version))
}

#[tokio::test]
async fn a_worker_that_slept_through_a_clean_up_commits_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut live = Worker::open(&dir).await;
    live.steps(10).await;
    let (mut sleepers, mut readers) = (Vec::new(), Vec::new());
    for index in 0..3 {
        sleepers.push(Worker::open(&dir).await);
        sleepers.push(Worker::open(&dir).await);
        readers.push(Worker::open(&dir).await);
        assert_eq!(readers[index].followed().await, (10 + index as u64, 10 + index as i64));
        live.steps(1).await;
    }
    live.steps(99).await;
    assert!(live.clean().await >= 100);
    assert!(!log_path(&dir, 11).exists(), "the entry after the first sleeper's");
    live.steps(2).await;
    assert_eq!(
        readers.remove(0).followed().await,
        (114, 114),
        "the entries that it had read are gone"
    );
    // The witness would tell the sleepers that the log went on, but it may lag: here it is gone.
    let witness = dir.path().join("lake").join(TABLE).join("_witness/newest");
    std::fs::remove_file(witness).expect("a witness");
    // Each sleeper puts its entry into the gap, beside or after those of the others.
    for (index, sleeper) in sleepers.iter_mut().enumerate() {
        assert_eq!(
            sleeper.step().await,
            AppendOutcome::PositionsMoved(vec![sleeper.id.clone()]),
            "{index}"
        );
    }
    assert!(log_path(&dir, 11).exists(), "an entry that nobody reads");
    assert_eq!(read_anew(&dir).await, (114, Some(114)));
    for reader in &readers {
        assert_eq!(
            reader.followed().await,
            (114, 114),
            "neither an entry of the gap nor the old state"
        );
    }
    // From its new position a sleeper goes on like every other worker.
    sleepers[0].steps(1).await;
    assert_eq!(live.step().await, AppendOutcome::PositionsMoved(vec![live.id.clone()]));
    live.steps(100).await;
    assert_eq!(read_anew(&dir).await, (215, Some(215)));
    assert_eq!(readers[0].followed().await, (215, 215));

    let old = live.lake.snapshot(TABLE, Some(12)).await;
    assert!(matches!(old, Err(LakeError::NoSuchVersion { version: 12, .. })), "{old:?}");
    let removed = live.clean().await;
    assert!(removed > 100 && !log_path(&dir, 11).exists(), "{removed}");
    assert_eq!(read_anew(&dir).await, (215, Some(215)));
}

#[tokio::test]
async fn deleting_the_log_before_a_version_spares_what_came_after_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut live = Worker::open(&dir).await;
    for version in [3, 6] {
        live.steps(3).await;
        live.lake.checkpoint(TABLE, version).await.expect("a checkpoint");
    }
    live.lake.delete_log_before(TABLE, 3).await.expect("deleted");
    let left: Vec<u64> = (0..=6).filter(|version| log_path(&dir, *version).exists()).collect();
    assert_eq!(left, [3, 4, 5, 6], "the newest checkpoint replaces 3 to 5, too");
    assert_eq!(read_anew(&dir).await, (6, Some(6)));
}

#[tokio::test]
async fn an_interrupted_clean_up_and_an_old_hint_do_no_harm() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut live = Worker::open(&dir).await;
    live.steps(100).await;
    let hint = dir.path().join("lake").join(TABLE).join("_delta_log/_last_checkpoint");
    let behind = std::fs::read(&hint).expect("a hint");
    live.steps(105).await;
    let whole = (205, Some(205));
    for version in 0..3 {
        std::fs::remove_file(log_path(&dir, version)).expect("an entry");
        assert_eq!(read_anew(&dir).await, whole, "without the entries up to {version}");
    }
    // The checkpoint of a slow worker may be written after a newer one.
    std::fs::write(&hint, &behind).expect("written");
    assert_eq!(read_anew(&dir).await, whole);
    live.clean().await;
    std::fs::write(&hint, &behind).expect("written");
    let gone = dir.path().join("lake").join(TABLE).join(checkpoint_path(100).as_ref());
    assert!(!gone.exists());
    assert_eq!(read_anew(&dir).await, whole);
    std::fs::remove_file(&hint).expect("removed");
    assert_eq!(read_anew(&dir).await, whole, "without a hint");
    live.steps(1).await;
}

/// A log that lost its newest entry is damaged, also where a checkpoint stands for that entry.
#[tokio::test]
async fn a_lost_newest_entry_is_damage() {
    for newest in [1, 9, 10, 11, 20] {
        let dir = tempfile::tempdir().expect("a folder");
        Worker::open(&dir).await.steps(newest).await;
        std::fs::remove_file(log_path(&dir, newest)).expect("an entry");
        let lake = Lake::open_or_create(&options(&dir)).await.expect("a lake");
        let error = lake.snapshot(TABLE, None).await.expect_err("damaged");
        let names_the_log = error.to_string().contains("raw/things/_delta_log");
        assert!(matches!(error, LakeError::Damaged(_)) && names_the_log, "{newest}: {error}");
    }
}
