//! Tests of a scheduler and an executor in this process: other versions of the program are refused, and
//! without an executor work ends.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use futures::StreamExt;
use lake::{Lake, LakeOptions, StoreOptions};
use transform::{
    CompactionUnit, Engine, EngineOptions, RollupUnit, UnitExecutor, UnitRunner, WorkUnit,
};

use crate::{ClusterRunner, ExecutorSettings, SchedulerSettings, run_executor, run_scheduler};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Starts a scheduler of a version of the program, and returns its address.
async fn scheduler(program: &str) -> String {
    let settings = SchedulerSettings {
        listen: "127.0.0.1:0".to_owned(),
        program: program.to_owned(),
        executor_timeout_seconds: 10,
    };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let ready = move |address| sender.send(address).expect("somebody waits for it");
    tokio::spawn(run_scheduler(settings, ready));
    receiver.await.expect("a scheduler").to_string()
}

/// Starts an executor over an empty lake.
async fn executor(scheduler: &str, program: &str, folder: &std::path::Path) {
    let options = LakeOptions {
        root: folder.join("lake").display().to_string(),
        key_file: folder.join("lake.key"),
        store: StoreOptions::default(),
    };
    let lake = Lake::open_or_create(&options).await.expect("a lake");
    let options = EngineOptions { reporting_currency: "USD".to_owned(), ..Default::default() };
    let engine = Engine::new(lake, options).expect("the queries");
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = free.local_addr().expect("an address").to_string();
    drop(free);
    let settings = ExecutorSettings {
        scheduler: scheduler.to_owned(),
        listen,
        advertise: None,
        units: 2,
        folder: folder.to_owned(),
        program: program.to_owned(),
    };
    tokio::spawn(run_executor(settings, UnitExecutor::new(engine)));
}

/// A unit of a rollup that no executor has.
fn rollup_unit() -> WorkUnit {
    WorkUnit::Rollup(RollupUnit {
        rollup: "partner_day".to_owned(),
        versions: BTreeMap::new(),
        days: BTreeMap::from([("2026-03-01".parse().expect("a day"), "0.0.0".to_owned())]),
        partners: None,
        columns: Vec::new(),
    })
}

/// Sends so many units of a rollup, and returns the error of the first one.
async fn first_error(scheduler: &str, program: &str, units: usize) -> String {
    error_of(scheduler, program, TIMEOUT, vec![rollup_unit(); units]).await
}

async fn error_of(
    scheduler: &str,
    program: &str,
    executor_wait: Duration,
    units: Vec<WorkUnit>,
) -> String {
    let runner = ClusterRunner::new(scheduler, program, executor_wait).expect("an address");
    let mut outputs = runner.run(units);
    let first = tokio::time::timeout(TIMEOUT, outputs.next()).await.expect("an answer in time");
    first.expect("an output").expect_err("a refusal").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn work_of_another_version_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = scheduler("1.2.3").await;
    let error = first_error(&address, "1.2.4", 1).await;
    assert!(error.contains("the scheduler is Rapport 1.2.3"), "{error}");
    assert!(error.contains("the work comes from Rapport 1.2.4"), "{error}");

    executor(&address, "1.2.2", folder.path()).await;
    let error = first_error(&address, "1.2.3", 4).await;
    assert!(error.contains("is Rapport 1.2.2, and the work comes from Rapport 1.2.3"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_of_a_unit_reaches_its_sender() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = scheduler("1.2.3").await;
    executor(&address, "1.2.3", folder.path()).await;
    let error = first_error(&address, "1.2.3", 2).await;
    assert!(error.contains("partner_day: this process has another query"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_of_a_compaction_reaches_its_sender() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = scheduler("1.2.3").await;
    executor(&address, "1.2.3", folder.path()).await;
    let unit = WorkUnit::Compaction(CompactionUnit {
        table: "raw/api_calls".to_owned(),
        version: 7,
        day: "2026-03-01".parse().expect("a day"),
        partners: None,
    });
    let error = error_of(&address, "1.2.3", TIMEOUT, vec![unit]).await;
    assert!(error.contains("raw/api_calls: the lake of an executor has no such table"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_executor_work_ends_after_its_wait() {
    let address = scheduler("1.2.3").await;
    let (wait, started) = (Duration::from_secs(2), Instant::now());
    let error = error_of(&address, "1.2.3", wait, vec![rollup_unit()]).await;
    assert!(
        error.contains(&format!("no executor took work from the scheduler at {address}")),
        "{error}"
    );
    assert!(error.contains(" for 2 s") && error.contains("partner_day"), "{error}");
    assert!(started.elapsed() >= wait, "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn work_waits_for_the_first_executor() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = scheduler("1.2.3").await;
    let sent = tokio::spawn({
        let address = address.clone();
        async move { first_error(&address, "1.2.3", 1).await }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    executor(&address, "1.2.3", folder.path()).await;
    let error = sent.await.expect("an answer");
    assert!(error.contains("partner_day: this process has another query"), "{error}");
}
