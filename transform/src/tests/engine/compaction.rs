//! Compaction: how a day is divided, where its units run and how many at once changes no byte, and no
//! event gets lost.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use domain::{Day, Stream};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use lake::{Appender, CompactedDay, TableDef, TableSnapshot};
use toml::{Table, Value};

use super::units::{Change, EncodedRunner, add_calls, opened_again, opened_with};
use super::{ApiCall, TestProject, row};
use crate::engine::{Engine, EngineOptions};
use crate::error::Result;
use crate::rollups::unit::{UnitOutput, UnitRunner, WorkUnit};
use crate::testing::rows::{batch_of, fill_event};

/// A day is divided where it has more than four times as many rows.
const UNIT_ROWS: u64 = 1;

fn calls() -> TableDef {
    lake::schema::raw(Stream::ApiCalls)
}

async fn base_and_days(engine: &Engine) -> (TableSnapshot, Vec<Day>) {
    let base = engine.lake.snapshot(&calls().name, None).await.expect("read").expect("a table");
    let mut days: Vec<Day> = base.files.iter().filter_map(|file| file.day).collect();
    days.sort_unstable();
    days.dedup();
    (base, days)
}

async fn compacted(engine: &Engine, at_once: usize) -> Result<Vec<(CompactedDay, u64)>> {
    let (base, days) = base_and_days(engine).await;
    engine.compact_days(Stream::ApiCalls, &base, &days, at_once).await
}

async fn commit(engine: &Engine, days: Vec<(CompactedDay, u64)>) {
    let (base, _) = base_and_days(engine).await;
    let days = days.into_iter().map(|(day, _)| day).collect();
    engine.lake.compact_days(&calls(), &base, days).await.expect("a commit");
}

/// A file: its bytes, its rows, and the tags that compaction gives.
type File = (Vec<u8>, u64, Option<String>, Option<String>);

/// What came of each day, without the names of files.
fn contents(
    project: &TestProject,
    days: &[(CompactedDay, u64)],
) -> Vec<(Day, u64, bool, Vec<File>)> {
    let root = project.folder.path().join("lake");
    let of_day = |(day, copies): &(CompactedDay, u64)| {
        let files = day.files.iter().map(|file| {
            let path = root.join(file.to_data_file(&calls(), Some(day.day)).path);
            let bytes = std::fs::read(path).expect("a file");
            let tag = |name| file.tag(name).cloned();
            (bytes, file.rows, tag(lake::COMPACTED_FROM_TAG), tag(lake::DROPPED_COPIES_TAG))
        });
        (day.day, *copies, day.data_change, files.collect())
    };
    days.iter().map(of_day).collect()
}

fn unchanged(_: &mut UnitOutput) {}

/// Runs the last unit first, so that the names of files do not follow the order of partners.
struct BackwardRunner(Arc<EncodedRunner>);

impl UnitRunner for BackwardRunner {
    fn run(&self, units: Vec<WorkUnit>) -> BoxStream<'_, Result<UnitOutput>> {
        let run = async move {
            let mut outputs = Vec::new();
            for unit in units.into_iter().rev() {
                outputs.push(self.0.run_encoded(unit).await);
            }
            outputs.reverse();
            stream::iter(outputs)
        };
        stream::once(run).flatten().boxed()
    }
}

/// Returns an engine whose units run elsewhere, the last one first.
async fn on_cluster(project: &TestProject, unit_rows: u64, change: Change) -> Engine {
    let runner = EncodedRunner::new(&opened_again(project, 1_000).await, change);
    opened_again(project, unit_rows).await.with_unit_runner(Arc::new(BackwardRunner(runner)))
}

#[tokio::test(flavor = "multi_thread")]
async fn compacted_files_are_the_same_wherever_their_units_run() {
    let mut project = TestProject::with_queries(&[]).await;
    add_calls(&project).await;
    let threads = |threads| EngineOptions {
        threads: Some(threads),
        unit_rows: Some(UNIT_ROWS),
        ..EngineOptions::default()
    };
    let one = opened_with(&project, threads(1)).await;
    let expected = contents(&project, &compacted(&one, 1).await.expect("files"));
    assert_eq!(expected.iter().map(|(_, copies, ..)| copies).sum::<u64>(), 10, "ten came twice");
    assert!(expected.iter().all(|(.., files)| files.len() > 1), "each day is divided");
    let four = opened_with(&project, threads(4)).await;
    let found = contents(&project, &compacted(&four, 4).await.expect("files"));
    assert!(found == expected, "four threads write other files");
    let cluster = on_cluster(&project, UNIT_ROWS, unchanged).await;
    let on_cluster = compacted(&cluster, 1).await.expect("files");
    assert!(contents(&project, &on_cluster) == expected, "a cluster writes other files");

    project.engine = one;
    let sql = "SELECT * FROM api_calls ORDER BY event_date, partner_id, event_id";
    let of_partner = "SELECT event_date, partner_id, count(*), sum(latency_us) FROM api_calls \
                      GROUP BY event_date, partner_id ORDER BY event_date, partner_id";
    let before = (project.rows(sql).await, project.rows(of_partner).await);
    commit(&cluster, on_cluster).await;
    project.engine = opened_again(&project, UNIT_ROWS).await;
    assert_eq!((project.rows(sql).await, project.rows(of_partner).await), before);
}

#[tokio::test]
async fn a_compacted_day_stands_for_its_old_files() {
    let project = TestProject::with_queries(&[]).await;
    let calls: Vec<Table> = (0..40).map(|n| row(&one_call(n), usize::from(n))).collect();
    project.add(Stream::ApiCalls, &calls).await;
    let engine = opened_again(&project, UNIT_ROWS).await;
    let days = compacted(&engine, 1).await.expect("files");
    for (day, copies) in &days {
        assert!(!day.data_change && *copies == 0);
        let tags: Vec<_> = day.files.iter().map(|f| f.tag(lake::COMPACTED_FROM_TAG)).collect();
        assert!(tags.len() > 1 && tags[0].is_some(), "{tags:?}");
        assert!(tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    }
}

fn one_call(n: u8) -> ApiCall {
    ApiCall { day: 0, second: 0, partner: n % 5, event: n, status: 200, latency: None }
}

fn with_a_copy_more(output: &mut UnitOutput) {
    output.copies += 1;
}

fn without_files(output: &mut UnitOutput) {
    output.files.clear();
}

fn with_copies_only(output: &mut UnitOutput) {
    output.copies += output.files.drain(..).map(|(_, file)| file.rows).sum::<u64>();
}

fn with_a_file_twice(output: &mut UnitOutput) {
    output.files.extend(output.files.clone());
}

fn with_longer_files(output: &mut UnitOutput) {
    output.files.iter_mut().for_each(|(_, file)| file.bytes += 1);
}

#[tokio::test]
async fn a_compaction_that_loses_or_doubles_an_event_is_refused() {
    let project = TestProject::with_queries(&[]).await;
    add_calls(&project).await;
    let changes: [(Change, &str); 5] = [
        (with_a_copy_more, " copies came back"),
        (without_files, " copies came back"),
        (with_copies_only, " copies came back"),
        (with_a_file_twice, " copies came back"),
        (with_longer_files, " bytes instead of "),
    ];
    for (change, expected) in changes {
        let engine = on_cluster(&project, 1_000, change).await;
        let error = compacted(&engine, 1).await.expect_err("a refusal").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// Adds calls of one partner on one day, about thirty megabytes in the reverse order of their ids.
async fn add_large_partner(project: &TestProject) {
    const ROWS: u64 = 1_000;
    let def = calls();
    let of_row = |n: u64| {
        let mut row = Table::new();
        row.insert("partner_id".to_owned(), Value::String("acme".to_owned()));
        row.insert("occurred_at".to_owned(), Value::String("2026-03-01T10:00:00Z".to_owned()));
        fill_event(&mut row, usize::try_from(n).expect("few rows"), &def.schema).expect("an event");
        row
    };
    let rows: Vec<Table> = (0..ROWS).map(of_row).collect();
    let rows = batch_of(&def.schema, &rows).expect("rows");
    let columns: Vec<usize> = (0..def.file_schema().fields().len()).collect();
    let rows = rows.project(&columns).expect("the columns of a file");
    let event = rows.schema().index_of("event_id").expect("a column");
    let batches = (0..60).rev().map(|n| {
        let ids = (0..ROWS).rev().map(|row| format!("{n:02}-{row:04}-{:x<500}", ""));
        let mut columns = rows.columns().to_vec();
        columns[event] = Arc::new(StringArray::from_iter_values(ids));
        RecordBatch::try_new(rows.schema(), columns).expect("rows")
    });
    let batches: Vec<RecordBatch> = batches.collect();
    let day = "2026-03-01".parse().expect("a day");
    let file = project.lake.write_file(&def, Some(day), &batches, Default::default()).await;
    let mut appender = Appender::open(&project.lake, def).await.expect("the table");
    appender.append(&[], &[file.expect("a file")]).await.expect("a commit");
}

#[tokio::test]
async fn a_partner_larger_than_the_memory_is_sorted_on_disk() {
    let project = TestProject::with_queries(&[]).await;
    add_large_partner(&project).await;
    let limit = |memory_limit| EngineOptions { memory_limit, ..EngineOptions::default() };
    let all = opened_with(&project, limit(None)).await;
    let expected = contents(&project, &compacted(&all, 1).await.expect("files"));
    let little = opened_with(&project, limit(Some(32 << 20))).await;
    let found = contents(&project, &compacted(&little, 1).await.expect("files"));
    assert!(found == expected, "the files differ");
    assert_eq!(found[0].3.iter().map(|(_, rows, ..)| rows).sum::<u64>(), 60_000);
}
