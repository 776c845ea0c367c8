//! Tests of erasures on lakes with several tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::DataType;
use domain::{Day, Stream};

use super::*;
use crate::schema::{self, TableDef};
use crate::{Appender, Lake, LakeOptions, PartitionId, PositionAdvance, SealedRecord};

const NOON: i64 = 1_767_268_800_000_000;
const GONE: &str = "partner-1";
const STAYS: &str = "partner-12";

async fn lake(dir: &tempfile::TempDir) -> Lake {
    let options = LakeOptions {
        root: dir.path().join("lake").display().to_string(),
        key_file: dir.path().join("lake.key"),
        store: crate::StoreOptions::default(),
    };
    Lake::open_or_create(&options).await.expect("a lake")
}

fn erasure() -> Erasure {
    Erasure::new(&[(GONE.to_owned(), "erased-t".to_owned())].into(), false)
}

/// Returns rows of a table with the given columns, and harmless values in the others.
fn rows(def: &TableDef, given: &[(&str, Vec<Option<&str>>)]) -> RecordBatch {
    let count = given[0].1.len();
    let schema = def.file_schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        if let Some((_, texts)) = given.iter().find(|(name, _)| *name == field.name()) {
            return Arc::new(StringArray::from(texts.clone()));
        }
        if field.is_nullable() {
            return new_null_array(field.data_type(), count);
        }
        match field.data_type() {
            DataType::Utf8 => Arc::new(StringArray::from(vec!["x"; count])),
            DataType::Int32 => Arc::new(Int32Array::from(vec![1; count])),
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(0..count as i64)),
            DataType::Float64 => Arc::new(Float64Array::from(vec![0.5; count])),
            DataType::Boolean => Arc::new(BooleanArray::from(vec![false; count])),
            DataType::Timestamp(_, _) => {
                Arc::new(TimestampMicrosecondArray::from(vec![NOON; count]).with_timezone("UTC"))
            }
            other => panic!("no value for {other}"),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).expect("rows of the table")
}

async fn commit(lake: &Lake, def: &TableDef, batch: RecordBatch) {
    let mut table = Appender::open(lake, def.clone()).await.expect("a table");
    let day = def.partition_by.as_ref().map(|_| Day::of_micros(NOON));
    let file = lake.write_file(def, day, &[batch], BTreeMap::new()).await.expect("a file");
    let id = PartitionId::kafka("c", "t", "i", 0);
    let from = table.position(&id).map(|p| p.next);
    let to = from.unwrap_or(0) + 2;
    let advance = PositionAdvance {
        newest: Some(NOON),
        reached: Some(NOON),
        ..PositionAdvance::of_position(id, from, to)
    };
    table.append(&[advance], &[file]).await.expect("a commit");
}

async fn cells(lake: &Lake, table: &str, column: &str) -> Vec<Option<String>> {
    let snapshot = lake.snapshot(table, None).await.expect("read").expect("there");
    let mut cells = Vec::new();
    for file in snapshot.files.iter() {
        for batch in lake.read_file(&file.path, &[column]).await.expect("its rows") {
            let texts = batch.column(0).as_string::<i32>();
            cells.extend(texts.iter().map(|t| t.map(str::to_owned)));
        }
    }
    cells.sort();
    cells
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|t| Some((*t).to_owned())).collect()
}

/// Erases until no file contains an id, as the command does.
async fn erase_all(lake: &Lake, erasure: &Erasure) -> Vec<TableErasure> {
    let mut done = Vec::new();
    for table in lake.tables().await.expect("tables") {
        done.push(lake.erase(erasure, &table, None, false).await.expect("erased"));
    }
    let mut scan = ErasureScan::default();
    for _ in 0..5 {
        let traces = lake.scan_for_ids(erasure, &mut scan, NOON).await.expect("looked through");
        if traces.is_empty() {
            return done;
        }
        for table in lake.tables().await.expect("tables") {
            let live = traces.iter().filter(|t| t.role == FileRole::Live && t.table == table);
            let only: BTreeSet<String> = live.map(|t| t.path.clone()).collect();
            lake.erase(erasure, &table, Some(&only), false).await.expect("erased");
        }
        lake.purge(&traces).await.expect("forgotten");
    }
    panic!("traces are left");
}

#[tokio::test]
async fn a_partner_is_erased_and_nothing_else_is_lost() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let calls = schema::raw(Stream::ApiCalls);
    let both = || ("partner_id", vec![Some(GONE), Some(STAYS)]);
    commit(&lake, &calls, rows(&calls, &[both()])).await;
    let referred = Some(r#"{"referred_by":"partner-1","to":"partner-12"}"#);
    let others = ("partner_id", vec![Some("zed")]);
    commit(&lake, &calls, rows(&calls, &[others, ("extra", vec![referred])])).await;
    let events = schema::raw(Stream::PartnerEvents);
    let merged = ("merged_into", vec![None, Some(GONE)]);
    commit(&lake, &events, rows(&events, &[both(), merged])).await;
    let scores = schema::partner_health();
    lake.append(&scores, &[rows(&scores, &[both()])]).await.expect("scores");

    let before =
        lake.scan_for_ids(&erasure(), &mut ErasureScan::default(), NOON).await.expect("looked");
    let count = |role| before.iter().filter(|t| t.role == role).count();
    assert_eq!((count(FileRole::Live), count(FileRole::Log)), (4, 3), "{before:?}");
    let dry = lake.erase(&erasure(), &calls.name, None, true).await.expect("counted");
    assert_eq!((dry.dropped, dry.files), (1, 1));

    let done = erase_all(&lake, &erasure()).await;
    let of = |table: &str| done.iter().find(|d| d.table == table).expect("its line");
    assert_eq!(of(&calls.name).dropped, 1);
    assert_eq!((of(&events.name).dropped, of(&events.name).replaced), (1, 1));
    assert_eq!((of(&scores.name).dropped, of(&scores.name).replaced), (0, 1));

    assert_eq!(cells(&lake, &calls.name, "partner_id").await, some(&[STAYS, "zed"]));
    let extra = r#"{"referred_by":"erased-t","to":"partner-12"}"#;
    assert_eq!(cells(&lake, &calls.name, "extra").await, [None, Some(extra.to_owned())]);
    assert_eq!(cells(&lake, &events.name, "merged_into").await, some(&["erased-t"]));
    assert_eq!(cells(&lake, &scores.name, "partner_id").await, some(&["erased-t", STAYS]));
    let snapshot = lake.snapshot(&calls.name, None).await.expect("read").expect("there");
    assert_eq!(snapshot.txns[&erased_count_id("api-calls")], 1);
    assert_eq!(snapshot.txns["c/t/i/0"], 4, "positions stay");
}

#[tokio::test]
async fn ordinary_words_stay_when_a_partner_has_their_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let calls = schema::raw(Stream::ApiCalls);
    let word = "sandbox";
    let erasure = Erasure::new(&[(word.to_owned(), "erased-t".to_owned())].into(), false);
    assert_eq!(erasure.ambiguous_ids().collect::<Vec<_>>(), [word]);
    let ids = ("partner_id", vec![Some(word), Some("sandbox/eu")]);
    let others = ("environment", vec![Some(word); 2]);
    commit(&lake, &calls, rows(&calls, &[ids, others])).await;
    let done = erase_all(&lake, &erasure).await;
    assert_eq!(done.iter().map(|d| (d.dropped, d.replaced)).max(), Some((1, 0)));
    assert_eq!(cells(&lake, &calls.name, "partner_id").await, some(&["sandbox/eu"]));
    assert_eq!(cells(&lake, &calls.name, "environment").await, some(&[word]));
}

#[tokio::test]
async fn a_worker_that_slept_through_an_erasure_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let calls = schema::raw(Stream::ApiCalls);
    commit(&lake, &calls, rows(&calls, &[("partner_id", vec![Some(GONE), Some(STAYS)])])).await;
    let mut asleep = Appender::open(&lake, calls.clone()).await.expect("a table");
    commit(&lake, &calls, rows(&calls, &[("partner_id", vec![Some(GONE), Some(STAYS)])])).await;
    erase_all(&lake, &erasure()).await;

    let seen = asleep.position(&PartitionId::kafka("c", "t", "i", 0)).expect("a position").next;
    let advance = PositionAdvance::of_position(PartitionId::kafka("c", "t", "j", 1), None, 5);
    let batch = rows(&calls, &[("partner_id", vec![Some("late")])]);
    let day = Some(Day::of_micros(NOON));
    let file = lake.write_file(&calls, day, &[batch], BTreeMap::new()).await.expect("a file");
    asleep.append(&[advance], &[file]).await.expect("a commit");
    let now = asleep.position(&PartitionId::kafka("c", "t", "i", 0)).expect("a position").next;
    assert_eq!((seen, now), (2, 4));
    assert_eq!(cells(&lake, &calls.name, "partner_id").await, some(&["late", STAYS, STAYS]));
}

#[tokio::test]
async fn sealed_records_with_the_partners_id_are_deleted() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let records: [(&[u8], bool); 6] = [
        (br#"{"partner_id":"partner-1"}"#, true),
        (br#"{"partner_id":"partner-12"}"#, false),
        (br#"{"partner_id":"partner-1/x"}"#, false),
        (br#"{broken "partner-1""#, true),
        (b"\0\0\0\0\x01\x12partner-1\x02a", true),
        (b"\0\0\0\0\x01\x14partner-12\x02a", false),
    ];
    let def = schema::dead_letters();
    let sealed: Vec<Vec<u8>> =
        records.iter().map(|(v, _)| lake.key().seal(&SealedRecord::new(None, &[], v))).collect();
    let mut columns = rows(
        &TableDef {
            schema: Arc::new(arrow::datatypes::Schema::new(
                def.schema
                    .fields()
                    .iter()
                    .filter(|f| f.name() != "sealed")
                    .cloned()
                    .collect::<Vec<_>>(),
            )),
            ..def.clone()
        },
        &[
            ("stream", vec![Some("api-calls"); records.len()]),
            ("key_id", vec![Some(lake.key().id()); records.len()]),
        ],
    )
    .columns()
    .to_vec();
    let at = def.file_schema().index_of("sealed").expect("a column");
    columns.insert(at, Arc::new(arrow::array::BinaryArray::from_iter_values(&sealed)));
    let batch = RecordBatch::try_new(def.file_schema(), columns).expect("rows");
    commit(&lake, &def, batch).await;

    let done = erase_all(&lake, &erasure()).await;
    let named = records.iter().filter(|(_, named)| *named).count();
    assert_eq!(done[0].dropped, named as u64);
    let snapshot = lake.snapshot(&def.name, None).await.expect("read").expect("there");
    assert_eq!((snapshot.rows(), snapshot.txns[&erased_count_id("api-calls")]), (3, 3));
}
