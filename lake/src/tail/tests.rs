//! A log that is cleaned up, and those who slept meanwhile.

use std::collections::BTreeMap;

use chrono::Utc;
use lake_types::Day;

use super::{checkpoint_path, version_of};
use crate::cleanup::Keep;
use crate::log::entry_path;
use crate::tests::{advance, def, options, rows};
use crate::{Advance, Appended, Appender, Lake, LakeError, PartitionId, PendingFile};

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

    /// One row more, from the position that this worker knows.
    async fn step(&mut self) -> Appended {
        let file = self.file().await;
        let from = self.table.position(&self.id).map(|p| p.next);
        let advance: Advance = advance(&self.id, from, from.unwrap_or(0) + 1);
        self.table.append(&[advance], &[file]).await.expect("an answer")
    }

    async fn steps(&mut self, n: u64) {
        for _ in 0..n {
            assert!(matches!(self.step().await, Appended::Done { .. }));
            // No checkpoint is left out because somebody is at the one before it.
            crate::settle().await;
        }
    }

    /// Rows and position of the table, as this process reads it on.
    async fn known(&self) -> (u64, i64) {
        let snapshot = self.lake.snapshot(TABLE, None).await.expect("read").expect("there");
        let next = crate::partitions(&snapshot.txns).map(|(_, position)| position.next);
        (snapshot.rows(), next.sum())
    }

    async fn clean(&self) -> usize {
        self.lake.clean_up(TABLE, Keep::NOTHING, Utc::now()).await.expect("cleaned up")
    }
}

/// Rows and position of the table, as somebody new sees them.
async fn seen(dir: &tempfile::TempDir) -> (u64, Option<i64>) {
    let worker = Worker::open(dir).await;
    let snapshot = worker.lake.snapshot(TABLE, None).await.expect("read").expect("there");
    (snapshot.rows(), worker.table.position(&worker.id).map(|p| p.next))
}

fn log_path(dir: &tempfile::TempDir, version: u64) -> std::path::PathBuf {
    dir.path().join("lake").join(TABLE).join(entry_path(version))
}

#[tokio::test]
async fn who_slept_through_a_clean_up_commits_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut live = Worker::open(&dir).await;
    live.steps(10).await;
    let (mut sleepers, mut readers) = (Vec::new(), Vec::new());
    for index in 0..3 {
        sleepers.push(Worker::open(&dir).await);
        sleepers.push(Worker::open(&dir).await);
        readers.push(Worker::open(&dir).await);
        assert_eq!(readers[index].known().await, (10 + index as u64, 10 + index as i64));
        live.steps(1).await;
    }
    live.steps(99).await;
    assert!(live.clean().await >= 100);
    assert!(!log_path(&dir, 11).exists(), "the entry after the first sleeper's");
    live.steps(2).await;
    assert_eq!(readers.remove(0).known().await, (114, 114), "what it knew is gone from the log");
    // The witness would tell them that the log went on; it may lag, and then nothing does.
    let witness = dir.path().join("lake").join(TABLE).join("_witness/newest");
    std::fs::remove_file(witness).expect("a witness");
    // Each puts its entry into the gap, beside or after those of the others.
    for (index, sleeper) in sleepers.iter_mut().enumerate() {
        assert_eq!(sleeper.step().await, Appended::Moved(vec![sleeper.id.clone()]), "{index}");
    }
    assert!(log_path(&dir, 11).exists(), "an entry that nobody reads");
    assert_eq!(seen(&dir).await, (114, Some(114)));
    for reader in &readers {
        assert_eq!(reader.known().await, (114, 114), "no entry of the gap, and not what it knew");
    }
    // From the position it knows now, a sleeper goes on like everybody else.
    sleepers[0].steps(1).await;
    assert_eq!(live.step().await, Appended::Moved(vec![live.id.clone()]));
    live.steps(100).await;
    assert_eq!(seen(&dir).await, (215, Some(215)));
    assert_eq!(readers[0].known().await, (215, 215));

    let old = live.lake.snapshot(TABLE, Some(12)).await;
    assert!(matches!(old, Err(LakeError::NoSuchVersion { version: 12, .. })), "{old:?}");
    let removed = live.clean().await;
    assert!(removed > 100 && !log_path(&dir, 11).exists(), "{removed}");
    assert_eq!(seen(&dir).await, (215, Some(215)));
}

#[tokio::test]
async fn a_clean_up_that_was_killed_and_a_hint_that_is_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut live = Worker::open(&dir).await;
    live.steps(100).await;
    let hint = dir.path().join("lake").join(TABLE).join("_delta_log/_last_checkpoint");
    let behind = std::fs::read(&hint).expect("a hint");
    live.steps(105).await;
    let whole = (205, Some(205));
    for version in 0..3 {
        std::fs::remove_file(log_path(&dir, version)).expect("an entry");
        assert_eq!(seen(&dir).await, whole, "without the entries up to {version}");
    }
    // A slow worker's checkpoint may come after a newer one.
    std::fs::write(&hint, &behind).expect("written");
    assert_eq!(seen(&dir).await, whole);
    live.clean().await;
    std::fs::write(&hint, &behind).expect("written");
    let gone = dir.path().join("lake").join(TABLE).join(checkpoint_path(100).as_ref());
    assert!(!gone.exists());
    assert_eq!(seen(&dir).await, whole);
    std::fs::remove_file(&hint).expect("removed");
    assert_eq!(seen(&dir).await, whole, "without a hint");
    live.steps(1).await;
}

#[test]
fn files_of_a_log() {
    let check = |name: &str, expected: Option<(u64, bool)>| {
        assert_eq!(version_of(&object_store::path::Path::from(name)), expected, "{name}");
    };
    check(&entry_path(7), Some((7, false)));
    check(checkpoint_path(7).as_ref(), Some((7, true)));
    check("_delta_log/_last_checkpoint", None);
    check("_delta_log/00000000000000000007.crc", None);
    check("_delta_log/0000000000000000000x.json", None);
}
