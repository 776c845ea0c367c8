//! Tests of the lake through its public interface, often with two handles on one folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use domain::Day;
use parquet::file::metadata::ParquetMetaDataReader;

use crate::{
    AppendOutcome, Appender, COMPACTED_FROM_TAG, CompactedDay, DROPPED_COPIES_TAG, Lake, LakeError,
    LakeOptions, PartitionId, PositionAdvance, TableDef, TableSnapshot, content_identity,
};

pub(crate) fn options(dir: &tempfile::TempDir) -> LakeOptions {
    LakeOptions {
        root: dir.path().join("lake").display().to_string(),
        key_file: dir.path().join("lake.key"),
        store: crate::StoreOptions::default(),
    }
}

pub(crate) fn def() -> TableDef {
    TableDef {
        name: "raw/things".into(),
        schema: Arc::new(Schema::new(vec![
            Field::new("partner_id", DataType::Utf8, false),
            Field::new("calls", DataType::Int64, true),
            Field::new("event_date", DataType::Date32, false),
        ])),
        partition_by: Some("event_date".into()),
    }
}

pub(crate) fn rows(calls: &[i64]) -> RecordBatch {
    let ids: Vec<String> = (0..calls.len()).map(|i| format!("p-{i}")).collect();
    RecordBatch::try_new(
        def().file_schema(),
        vec![Arc::new(StringArray::from(ids)), Arc::new(Int64Array::from(calls.to_vec()))],
    )
    .expect("rows of the table")
}

pub(crate) fn advance(id: &PartitionId, from: Option<i64>, to: i64) -> PositionAdvance {
    PositionAdvance {
        newest: Some(to * 10),
        reached: Some(to * 5),
        ..PositionAdvance::of_position(id.clone(), from, to)
    }
}

async fn newest(lake: &Lake) -> TableSnapshot {
    lake.snapshot("raw/things", None).await.expect("read").expect("there")
}

#[tokio::test]
async fn a_stale_worker_commits_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    let other = Lake::open(&options(&dir)).await.expect("the same lake");
    let mut ours = Appender::open(&lake, def()).await.expect("a table");
    let mut theirs = Appender::open(&other, def()).await.expect("the same table");
    let id = PartitionId::kafka("c", "things", "t1", 0);
    let day = Day(20_000);

    let file = lake
        .write_file(&def(), Some(day), &[rows(&[1, 2])], BTreeMap::new())
        .await
        .expect("a file");
    let done = ours.append(&[advance(&id, None, 2)], &[file]).await.expect("a commit");
    assert_eq!(done, AppendOutcome::Committed { version: 1 });

    // The stale worker has read from the beginning, and refreshes before it commits.
    let file = other
        .write_file(&def(), Some(day), &[rows(&[1, 2])], BTreeMap::new())
        .await
        .expect("a file");
    let moved = theirs.append(&[advance(&id, None, 2)], &[file]).await.expect("an answer");
    assert_eq!(moved, AppendOutcome::PositionsMoved(vec![id.clone()]));
    let position = theirs.position(&id).expect("a position");
    assert_eq!((position.next, position.newest, position.reached), (2, Some(20), Some(10)));

    // From the table's position it may go on; the instants never go back.
    let mut next = advance(&id, Some(2), 3);
    next.newest = Some(1);
    theirs.append(&[next], &[]).await.expect("a commit");
    ours.refresh().await.expect("the log");
    assert_eq!(ours.position(&id).expect("a position").newest, Some(20));

    let snapshot = lake.snapshot("raw/things", None).await.expect("read").expect("there");
    assert_eq!((snapshot.version, snapshot.rows(), snapshot.files.len()), (2, 2, 1));
    assert_eq!(snapshot.files[0].day, Some(day));
    let read = lake.read_file(&snapshot.files[0].path, &["calls"]).await.expect("its rows");
    assert_eq!(read[0].num_rows(), 2);
}

#[tokio::test]
async fn days_are_replaced_whole_or_not_at_all() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    let empty = lake.ensure_table(&def()).await.expect("a table");
    let tags = BTreeMap::from([("inputs".to_owned(), "abc".to_owned())]);
    let (one, two) = (Day(1), Day(2));
    let write = async |calls: &[i64], day| {
        lake.write_file(&def(), Some(day), &[rows(calls)], tags.clone()).await.expect("a file")
    };
    let days = vec![(one, vec![write(&[1], one).await]), (two, vec![write(&[2, 3], two).await])];
    lake.replace_days(&def(), &empty, days).await.expect("a commit");
    let base = newest(&lake).await;
    assert_eq!((base.rows(), base.files.len()), (3, 2));
    assert_eq!(base.files[0].tags, tags);

    // A second rewrite from the same base is refused; a rewrite of another day is not.
    let day_one = vec![(one, vec![write(&[4, 5], one).await])];
    lake.replace_days(&def(), &base, day_one.clone()).await.expect("a commit");
    let after = newest(&lake).await;
    assert_eq!(after.rows(), 4);
    let again = lake.replace_days(&def(), &base, day_one).await;
    assert!(matches!(again, Err(LakeError::Conflict { .. })), "{again:?}");
    lake.replace_days(&def(), &base, vec![(two, vec![])]).await.expect("a commit");
    let emptied = newest(&lake).await;
    assert_eq!(emptied.rows(), 2);

    let old = lake.snapshot("raw/things", Some(base.version)).await.expect("read").expect("there");
    assert_eq!(old.files, base.files);
    let beyond = lake.snapshot("raw/things", Some(99)).await;
    assert!(matches!(beyond, Err(LakeError::NoSuchVersion { newest: 3, .. })), "{beyond:?}");
}

#[tokio::test]
async fn columns_are_replaced_with_all_days() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    let empty = lake.ensure_table(&def()).await.expect("a table");
    let file = async |def: &TableDef, rows: RecordBatch, day| {
        lake.write_file(def, Some(day), &[rows], BTreeMap::new()).await.expect("a file")
    };
    let (one, two, three) = (Day(1), Day(2), Day(3));
    let days = vec![
        (one, vec![file(&def(), rows(&[1]), one).await]),
        (two, vec![file(&def(), rows(&[2, 3]), two).await]),
    ];
    lake.replace_days(&def(), &empty, days).await.expect("a commit");
    let base = newest(&lake).await;

    let schema = Arc::new(Schema::new(vec![
        Field::new("seen", DataType::Utf8, true),
        Field::new("event_date", DataType::Date32, false),
    ]));
    let other = TableDef { schema, ..def() };
    let refused = lake.ensure_table(&other).await;
    assert!(matches!(refused, Err(LakeError::SchemaChanged { .. })), "{refused:?}");
    let seen = RecordBatch::try_new(
        other.file_schema(),
        vec![Arc::new(StringArray::from(vec!["x", "y", "z"]))],
    );
    let days = vec![(two, vec![file(&other, seen.expect("rows"), two).await])];
    let of_days = |days: &[(Day, Vec<crate::PendingFile>)]| -> Vec<_> {
        days.iter().map(|(day, files)| (Some(*day), files.clone())).collect()
    };
    lake.replace_columns(&other, &base, of_days(&days)).await.expect("a commit");
    let after = newest(&lake).await;
    assert_eq!((after.rows(), after.files.len(), after.version), (3, 1, base.version + 1));
    assert_eq!(lake.ensure_table(&other).await.expect("the table").version, after.version);
    let before = lake.snapshot("raw/things", Some(base.version)).await.expect("read");
    let before = before.expect("there");
    assert_eq!((&before.schema, &before.files), (&base.schema, &base.files));

    // Rewrites that began before it start over, also those of a new day.
    let again = lake.replace_columns(&other, &base, of_days(&days)).await;
    assert!(matches!(again, Err(LakeError::Conflict { .. })), "{again:?}");
    let late = vec![(one, vec![file(&def(), rows(&[9]), one).await])];
    let late = lake.replace_days(&def(), &base, late).await;
    assert!(matches!(late, Err(LakeError::Conflict { .. })), "{late:?}");
    let new = vec![(three, vec![file(&def(), rows(&[9]), three).await])];
    let new = lake.replace_days(&def(), &base, new).await;
    assert!(matches!(new, Err(LakeError::Conflict { .. })), "{new:?}");
    let reopened = Lake::open(&options(&dir)).await.expect("the lake");
    let now = newest(&reopened).await;
    assert_eq!((&now.schema, &now.files), (&after.schema, &after.files));
}

#[tokio::test]
async fn an_append_adds_optional_columns_at_the_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    let table = |fields: Vec<Field>| TableDef {
        name: "scores/things".into(),
        schema: Arc::new(Schema::new(fields)),
        partition_by: None,
    };
    let calls = || Field::new("calls", DataType::Int64, false);
    let number = |def: &TableDef, columns: usize| {
        let column = || Arc::new(Int64Array::from(vec![1])) as _;
        RecordBatch::try_new(def.file_schema(), (0..columns).map(|_| column()).collect())
    };
    let append = async |def: &TableDef| {
        let rows = number(def, def.schema.fields().len()).expect("rows");
        lake.append(def, &[rows]).await
    };
    let old = table(vec![calls()]);
    append(&old).await.expect("a new table");
    let new = table(vec![calls(), Field::new("errors", DataType::Int64, true)]);
    append(&new).await.expect("one column more");
    let snapshot = lake.snapshot("scores/things", None).await.expect("read").expect("there");
    assert!(Lake::has_columns(&snapshot, &new).expect("columns"));
    assert_eq!(snapshot.files.len(), 2, "no file was written again");
    // An older program, a column that is due in every row, one of another type, another order.
    let required = table(vec![
        calls(),
        Field::new("errors", DataType::Int64, true),
        Field::new("x", DataType::Int64, false),
    ]);
    let wider = table(vec![
        Field::new("calls", DataType::Int64, false),
        Field::new("errors", DataType::Int64, true),
        Field::new("calls_again", DataType::Int64, true),
    ]);
    let swapped = table(vec![Field::new("errors", DataType::Int64, true), calls()]);
    for refused in [&old, &required, &swapped] {
        let error = append(refused).await.expect_err("a refusal");
        assert!(matches!(error, LakeError::SchemaChanged { .. }), "{error:?}");
    }
    append(&wider).await.expect("one column more again");
}

#[tokio::test]
async fn positions_survive_checkpoints() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    let mut table = Appender::open(&lake, def()).await.expect("a table");
    let ids: Vec<_> = (0..3).map(|p| PartitionId::kafka("c", "t", "i", p)).collect();
    for step in 0..105i64 {
        let id = &ids[usize::try_from(step % 3).expect("small")];
        let from = table.position(id).map(|p| p.next);
        table.append(&[advance(id, from, step + 1)], &[]).await.expect("a commit");
        if step == 95 {
            // No earlier checkpoint is being written when the hundredth commit comes.
            crate::wait_for_background_work().await;
        }
    }
    crate::wait_for_background_work().await;
    let checkpoint =
        dir.path().join("lake/raw/things/_delta_log/00000000000000000100.checkpoint.parquet");
    assert!(checkpoint.exists());
    let fresh = Lake::open(&options(&dir)).await.expect("the same lake");
    assert_eq!(&fresh.transactions("raw/things").await.expect("ids"), table.transactions());
    assert_eq!(fresh.transactions("raw/nothing").await.expect("none").len(), 0);
}

#[tokio::test]
async fn a_checkpoint_whose_writer_died_is_marked_before_the_next_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    let mut table = Appender::open(&lake, def()).await.expect("a table");
    let id = PartitionId::kafka("c", "t", "i", 0);
    let folder = dir.path().join("lake/raw/things");
    let marker = folder.join("_witness/checkpoint.00000000000000000010");
    for step in 0..20_i64 {
        let from = table.position(&id).map(|p| p.next);
        table.append(&[advance(&id, from, step + 1)], &[]).await.expect("a commit");
        if step == 9 {
            crate::wait_for_background_work().await;
            // It was killed after the checkpoint, before the marker and the hint.
            std::fs::remove_file(&marker).expect("a marker");
            std::fs::remove_file(folder.join("_delta_log/_last_checkpoint")).expect("a hint");
        }
    }
    crate::wait_for_background_work().await;
    assert!(folder.join("_witness/checkpoint.00000000000000000020").exists());
    assert!(marker.exists());
    let fresh = Lake::open(&options(&dir)).await.expect("the same lake");
    assert_eq!(fresh.verify().await.expect("verified").findings, []);
}

#[tokio::test]
async fn the_first_checkpoint_may_be_without_its_hint() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    let mut table = Appender::open(&lake, def()).await.expect("a table");
    let id = PartitionId::kafka("c", "t", "i", 0);
    let hint = dir.path().join("lake/raw/things/_delta_log/_last_checkpoint");
    let mut findings = Vec::new();
    for step in 0..20_i64 {
        let from = table.position(&id).map(|p| p.next);
        table.append(&[advance(&id, from, step + 1)], &[]).await.expect("a commit");
        if step % 10 == 9 {
            crate::wait_for_background_work().await;
            // After the first checkpoint, its writer was killed before the hint.
            std::fs::remove_file(&hint).expect("a hint");
            let fresh = Lake::open(&options(&dir)).await.expect("the same lake");
            findings.push(fresh.verify().await.expect("verified").findings.len());
        }
    }
    assert_eq!(findings, [0, 1]);
}

#[tokio::test]
async fn another_key_and_a_missing_lake_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let missing = Lake::open(&options(&dir)).await.err();
    assert!(matches!(missing, Some(LakeError::Missing { .. })), "{missing:?}");
    Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    std::fs::remove_file(dir.path().join("lake.key")).expect("removed");
    assert!(matches!(Lake::open(&options(&dir)).await.err(), Some(LakeError::Key { .. })));
    crate::LakeKey::create(&dir.path().join("lake.key")).expect("another key");
    let other = Lake::open_or_create(&options(&dir)).await.err();
    assert!(matches!(other, Some(LakeError::OtherKey { .. })), "{other:?}");
}

#[tokio::test]
async fn a_compacted_day_keeps_its_identity() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    let mut table = Appender::open(&lake, def()).await.expect("a table");
    let day = Day(7);
    let add = async |table: &mut Appender, calls: &[i64]| {
        let tags = BTreeMap::new();
        let file = lake.write_file(&def(), Some(day), &[rows(calls)], tags).await.expect("a file");
        table.append(&[], &[file]).await.expect("a commit");
    };
    add(&mut table, &[1]).await;
    add(&mut table, &[2, 3]).await;
    let base = lake.snapshot("raw/things", None).await.expect("read").expect("there");
    let before = content_identity(base.of_day(day));
    // A late event comes while the day is compacted.
    add(&mut table, &[4]).await;
    let tags = BTreeMap::from([
        (COMPACTED_FROM_TAG.to_owned(), before.clone()),
        (DROPPED_COPIES_TAG.to_owned(), "0".to_owned()),
    ]);
    let file = lake.write_file(&def(), Some(day), &[rows(&[1, 2, 3])], tags).await.expect("a file");
    let replacing = |file| vec![CompactedDay { day, files: vec![file], data_change: false }];
    lake.compact_days(&def(), &base, replacing(file.clone())).await.expect("a commit");
    let after = newest(&lake).await;
    assert_eq!((after.rows(), after.files.len()), (4, 2));
    let compacted = after.files.iter().filter(|f| f.tags.contains_key(COMPACTED_FROM_TAG));
    assert_eq!(content_identity(compacted), before, "readers of the day need not read it again");
    assert_ne!(content_identity(after.of_day(day)), before, "but for the late event");
    let twice = lake.compact_days(&def(), &base, replacing(file)).await;
    assert!(matches!(twice, Err(LakeError::Conflict { .. })), "{twice:?}");

    let old = std::time::Duration::ZERO;
    let gone = lake.vacuum("raw/things", old, false).await.expect("vacuumed").expect("a table");
    assert_eq!(gone.files, 2, "those that were compacted");
    for file in after.files.iter() {
        lake.read_file(&file.path, &[]).await.expect("live files stay");
    }
}

#[tokio::test]
async fn a_partners_day_is_in_few_row_groups() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = Lake::open_or_create(&options(&dir)).await.expect("a new lake");
    // Three hundred partners of a thousand calls a day, as compaction sorts them.
    let mut writer = lake.file_writer(&def(), Some(Day(7))).expect("a file");
    for partner in 0..300 {
        let ids = StringArray::from(vec![format!("p-{partner:04}"); 1_000]);
        let calls = Int64Array::from_iter_values(0..1_000);
        let rows = RecordBatch::try_new(def().file_schema(), vec![Arc::new(ids), Arc::new(calls)]);
        writer.write(&rows.expect("rows of the table")).expect("written");
    }
    let file = writer.finish(BTreeMap::new()).await.expect("a file");
    let path = dir.path().join("lake/raw/things").join(&file.add.path);
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(&std::fs::File::open(path).expect("the file"))
        .expect("its metadata");
    let groups = metadata.row_groups();
    assert!(groups.len() > 2, "{} row groups", groups.len());
    for partner in ["p-0000", "p-0131", "p-0150", "p-0299"] {
        let may_hold = groups.iter().filter(|group| {
            let bounds = group.column(0).statistics().expect("statistics");
            let [low, high] = [bounds.min_bytes_opt(), bounds.max_bytes_opt()];
            low <= Some(partner.as_bytes()) && Some(partner.as_bytes()) <= high
        });
        assert!((1..=2).contains(&may_hold.count()), "{partner}");
    }
}
