//! Tests of copies: of a lake that is written, brought up to date, interrupted and restored.

use std::collections::BTreeMap;

use super::*;
use crate::delta_runtime::wait_for_background_work;
use crate::log::cleanup::LogRetention;
use crate::tests::{advance, def, options, rows};
use crate::{Appender, PartitionId};
use domain::Day;

/// Returns the options of another root with the same key.
fn at(dir: &tempfile::TempDir, name: &str) -> LakeOptions {
    LakeOptions { root: dir.path().join(name).display().to_string(), ..options(dir) }
}

/// Commits so many files of one day, each with the next record of a partition.
async fn append(lake: &Lake, commits: i64) {
    let mut table = Appender::open(lake, def()).await.expect("a table");
    let id = PartitionId::kafka("c", "t", "i", 0);
    for _ in 0..commits {
        let from = table.position(&id).map(|position| position.next);
        let next = from.unwrap_or_default() + 1;
        let rows = [rows(&[next])];
        let file = lake.write_file(&def(), Some(Day(1)), &rows, BTreeMap::new()).await;
        let file = file.expect("a file");
        table.append(&[advance(&id, from, next)], &[file]).await.expect("a commit");
    }
    wait_for_background_work().await;
}

async fn backup(lake: &Lake, to: &LakeOptions) -> Result<CopiedLake, LakeError> {
    lake.backup(&to.root, to, &mut |_| {}).await
}

/// Checks that a lake is whole, and returns how far it has read and how many rows it has.
async fn state(options: &LakeOptions) -> (i64, u64) {
    let lake = Lake::open(options).await.expect("a lake");
    let found = lake.verify().await.expect("read");
    assert!(found.findings.is_empty(), "{}: {:?}", options.root, found.findings);
    let table = Appender::open(&lake, def()).await.expect("the table");
    let position = table.position(&PartitionId::kafka("c", "t", "i", 0)).expect("a position");
    let snapshot = lake.snapshot(&def().name, None).await.expect("read").expect("the table");
    (position.next, snapshot.rows())
}

#[tokio::test]
async fn a_copy_is_a_lake_that_is_brought_up_to_date() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    let copy = at(&dir, "copy");
    append(&lake, 3).await;
    let done = backup(&lake, &copy).await.expect("a copy");
    assert_eq!((done.tables, done.files, done.kept), (2, 3, 0));
    assert_eq!(state(&copy).await, (3, 3));

    // Past several checkpoints, and past entries that the lake has deleted.
    append(&lake, 20).await;
    let done = backup(&lake, &copy).await.expect("up to date");
    assert_eq!((done.files, done.kept, done.deleted), (20, 3, 0));
    assert_eq!(state(&copy).await, (23, 23));
    append(&lake, 20).await;
    let retention = LogRetention::NOTHING;
    lake.clean_up(&def().name, retention, chrono::Utc::now()).await.expect("cleaned up");
    backup(&lake, &copy).await.expect("up to date");
    assert_eq!(state(&copy).await, (43, 43));

    // What the lake no longer uses leaves the copy.
    let base = lake.snapshot(&def().name, None).await.expect("read").expect("a table");
    let file = lake.write_file(&def(), Some(Day(1)), &[rows(&[9])], BTreeMap::new()).await;
    let day = (Day(1), vec![file.expect("a file")]);
    lake.replace_days(&def(), &base, vec![day]).await.expect("a commit");
    let done = backup(&lake, &copy).await.expect("up to date");
    assert_eq!((done.files, done.kept, done.deleted), (1, 0, 43));
    assert_eq!(state(&copy).await, (43, 1));
    assert_eq!(backup(&lake, &copy).await.expect("nothing new").files, 0);
}

#[tokio::test]
async fn a_restored_lake_goes_on_where_the_backup_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    let (copy, back) = (at(&dir, "copy"), at(&dir, "back"));
    append(&lake, 12).await;
    backup(&lake, &copy).await.expect("a copy");
    append(&lake, 2).await;
    Lake::restore(&copy.root, &back, &mut |_| {}).await.expect("restored");
    assert_eq!(state(&back).await, (12, 12));
    append(&Lake::open(&back).await.expect("the lake"), 15).await;
    assert_eq!(state(&back).await, (27, 27));

    let refused = Lake::restore(&copy.root, &back, &mut |_| {}).await.expect_err("in use");
    assert!(refused.to_string().contains("there is a lake"), "{refused}");
    // One that was interrupted goes on.
    std::fs::write(dir.path().join("back").join(UNDER_WAY), "").expect("written");
    let refused = Lake::restore(&copy.root, &back, &mut |_| {}).await.expect_err("ahead");
    assert!(refused.to_string().contains("went another way"), "{refused}");
    let again = at(&dir, "again");
    let stopped = dir.path().join("again");
    std::fs::create_dir_all(stopped.join("raw/things")).expect("a folder");
    std::fs::write(stopped.join(UNDER_WAY), "").expect("written");
    Lake::restore(&copy.root, &again, &mut |_| {}).await.expect("restored");
    assert_eq!(state(&again).await, (12, 12));
    assert!(!stopped.join(UNDER_WAY).exists());
}

#[tokio::test]
async fn a_copy_goes_nowhere_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    append(&lake, 2).await;
    let check = async |to: &str, words: &str| {
        let error = backup(&lake, &at(&dir, to)).await.expect_err(to);
        assert!(matches!(error, LakeError::BackupRefused { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    check("lake", "lie in each other").await;
    check("lake/copy", "lie in each other").await;
    std::fs::create_dir_all(dir.path().join("home/letters")).expect("a folder");
    check("home", "it holds letters").await;

    // A copy that was written as a lake of its own.
    backup(&lake, &at(&dir, "copy")).await.expect("a copy");
    append(&Lake::open(&at(&dir, "copy")).await.expect("the copy"), 1).await;
    check("copy", "went another way").await;
    append(&lake, 2).await;
    check("copy", "went another way").await;
}

#[tokio::test]
async fn damage_is_not_copied() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    append(&lake, 2).await;
    let snapshot = lake.snapshot(&def().name, None).await.expect("read").expect("a table");
    let path = dir.path().join("lake").join(&snapshot.files[0].path);
    let mut bytes = std::fs::read(&path).expect("a file");
    bytes[9] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let error = backup(&lake, &at(&dir, "copy")).await.expect_err("damaged");
    assert!(matches!(error, LakeError::Damaged(_)), "{error}");
    std::fs::remove_file(&path).expect("removed");
    let error = backup(&lake, &at(&dir, "copy")).await.expect_err("gone");
    assert!(matches!(error, LakeError::Damaged(_)), "{error}");
}
