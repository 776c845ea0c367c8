//! Units of work: where they run, and how large they are, changes nothing about a rollup.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::{ApiCall, TestProject, row};
use crate::engine::{Engine, EngineOptions};
use crate::error::{Result, TransformError};
use crate::rollups::unit::{RollupUnit, UnitOutput, UnitRunner, WorkUnit};
use crate::rollups::unit_executor::UnitExecutor;
use domain::Stream;
use lake::{Lake, LakeOptions, StoreOptions};

/// Changes an output on its way back.
pub(super) type Change = fn(&mut UnitOutput);

/// Runs units as another process does: it gets them as JSON and gives back JSON.
pub(super) struct EncodedRunner {
    executor: UnitExecutor,
    units: Mutex<Vec<WorkUnit>>,
    change: Change,
}

impl EncodedRunner {
    pub(super) fn new(engine: &Engine, change: Change) -> Arc<Self> {
        let executor = UnitExecutor::new(engine.clone());
        Arc::new(Self { executor, units: Mutex::default(), change })
    }

    pub(super) async fn run_encoded(&self, unit: WorkUnit) -> Result<UnitOutput> {
        let sent = serde_json::to_string(&unit).expect("JSON");
        let unit: WorkUnit = serde_json::from_str(&sent).expect("a unit");
        let mut output = self.executor.run(unit).await?;
        (self.change)(&mut output);
        let sent = serde_json::to_string(&output).expect("JSON");
        Ok(serde_json::from_str(&sent).expect("an output"))
    }

    /// Returns the units of rollups that it has run.
    fn units(&self) -> Vec<RollupUnit> {
        let units = self.units.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let of_rollup = |unit| match unit {
            WorkUnit::Rollup(unit) => Some(unit),
            WorkUnit::Compaction(_) => None,
        };
        units.into_iter().filter_map(of_rollup).collect()
    }
}

impl UnitRunner for EncodedRunner {
    fn run(&self, units: Vec<WorkUnit>) -> BoxStream<'_, Result<UnitOutput>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner).extend(units.clone());
        stream::iter(units).then(|unit| self.run_encoded(unit)).boxed()
    }
}

/// Returns another process's view of the project.
pub(super) async fn opened_again(project: &TestProject, unit_rows: u64) -> Engine {
    opened_with(project, EngineOptions { unit_rows: Some(unit_rows), ..Default::default() }).await
}

/// Returns another process's view of the project, with options.
pub(super) async fn opened_with(project: &TestProject, options: EngineOptions) -> Engine {
    let options = EngineOptions { reporting_currency: "USD".to_owned(), ..options };
    Engine::new(lake_again(project).await, options).expect("the queries")
}

async fn lake_again(project: &TestProject) -> Lake {
    let options = LakeOptions {
        root: project.folder.path().join("lake").display().to_string(),
        key_file: project.folder.path().join("lake.key"),
        store: StoreOptions::default(),
    };
    Lake::open(&options).await.expect("a lake")
}

/// Adds calls of five partners on three days, some of them twice and in two files.
pub(super) async fn add_calls(project: &TestProject) {
    let call = |n: u8| ApiCall {
        day: i32::from(n) % 3,
        second: i64::from(n) * 7,
        partner: n % 5,
        event: n,
        status: [200, 404, 500][usize::from(n) % 3],
        latency: Some(i64::from(n) * 10),
    };
    for numbers in [0..40, 30..60] {
        let calls: Vec<_> = numbers.enumerate().map(|(offset, n)| row(&call(n), offset)).collect();
        project.add(Stream::ApiCalls, &calls).await;
    }
}

/// Returns the bytes of the files of all rollups, by rollup and day in the order of their rows.
fn stored_bytes(project: &TestProject) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut files: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    let mut folders = vec![project.folder.path().join("lake/rollup")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                let bytes = std::fs::read(&path).expect("a file");
                files.entry(folder.display().to_string()).or_default().push(bytes);
            }
        }
    }
    for bytes in files.values_mut() {
        bytes.sort();
    }
    files.retain(|folder, _| !folder.contains("_delta_log"));
    files
}

fn forget_rollups(folder: &Path) {
    std::fs::remove_dir_all(folder.join("lake/rollup")).expect("the rollups");
}

#[tokio::test]
async fn a_rollup_is_the_same_wherever_its_units_run() {
    let mut project = TestProject::with_queries(&[]).await;
    add_calls(&project).await;
    project.engine = opened_again(&project, 4).await;
    project.refresh().await;
    let expected = stored_bytes(&project);
    let rows = project.rollups().await;
    assert!(expected.values().any(|files| files.len() > 1), "some day is divided");

    forget_rollups(project.folder.path());
    let runner = EncodedRunner::new(&opened_again(&project, 9).await, |_| {});
    let engine = opened_again(&project, 4).await.with_unit_runner(runner.clone());
    let report = engine.refresh(&mut |_| {}).await.expect("a refresh");
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert!(stored_bytes(&project) == expected, "the files differ");
    project.engine = engine.clone();
    assert_eq!(project.rollups().await, rows);
    let units = runner.units();
    let quality = units.iter().filter(|unit| unit.rollup == "quality_day");
    assert!(quality.clone().count() > 0);
    assert!(quality.clone().all(|unit| unit.partners.is_none()), "its grain has no partner");

    let again = engine.refresh(&mut |_| {}).await.expect("a refresh");
    assert!(again.rollups.iter().all(|rollup| rollup.days == 0), "nothing is stale");
}

#[tokio::test]
async fn the_size_of_units_changes_no_row() {
    let mut project = TestProject::with_queries(&[]).await;
    add_calls(&project).await;
    let mut before = None;
    for unit_rows in [1, 7, 1_000] {
        project.engine = opened_again(&project, unit_rows).await;
        project.refresh().await;
        let rows = project.rollups().await;
        assert_eq!(*before.get_or_insert_with(|| rows.clone()), rows, "{unit_rows}");
        forget_rollups(project.folder.path());
    }
}

fn without_files(output: &mut UnitOutput) {
    output.files.clear();
}

fn with_a_file_twice(output: &mut UnitOutput) {
    output.files.push(output.files[0].clone());
}

fn with_longer_files(output: &mut UnitOutput) {
    for (_, file) in &mut output.files {
        file.bytes += 1;
    }
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_committed() {
    let project = TestProject::with_queries(&[]).await;
    add_calls(&project).await;
    let changes: [(Change, &str); 3] = [
        (without_files, "not those of the days"),
        (with_a_file_twice, "not those of the days"),
        (with_longer_files, " bytes instead of "),
    ];
    for (change, expected) in changes {
        let runner = EncodedRunner::new(&opened_again(&project, 1_000).await, change);
        let engine = opened_again(&project, 1_000).await.with_unit_runner(runner);
        let error = engine.refresh(&mut |_| {}).await.expect_err("a refusal").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let engine = opened_again(&project, 1_000).await;
    let stored = engine.lake.snapshot("rollup/partner_day", None).await.expect("read");
    assert!(stored.is_none_or(|stored| stored.files.is_empty()));
}

#[tokio::test]
async fn a_unit_of_another_query_is_refused() {
    let project = TestProject::with_queries(&[]).await;
    add_calls(&project).await;
    let engine = opened_again(&project, 1_000).await;
    let runner = EncodedRunner::new(&engine, |_| {});
    engine.with_unit_runner(runner.clone()).refresh(&mut |_| {}).await.expect("a refresh");
    let unit = runner.units().into_iter().next().expect("a unit");
    let mut other = unit.clone();
    other.days.values_mut().for_each(|tag| tag.insert(0, '9'));
    let refused = runner.executor.run(WorkUnit::Rollup(other)).await;
    assert!(matches!(refused, Err(TransformError::OtherQuery { .. })), "{refused:?}");
    let mut other = unit;
    other.columns.pop();
    let refused = runner.executor.run(WorkUnit::Rollup(other)).await;
    assert!(matches!(refused, Err(TransformError::OtherQuery { .. })), "{refused:?}");
}
