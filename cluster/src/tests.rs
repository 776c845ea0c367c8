//! Tests of a scheduler and an executor in this process: other versions of the program are refused.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use futures::StreamExt;
use lake::{Lake, LakeOptions, StoreOptions};
use transform::{Engine, EngineOptions, RollupUnit, UnitExecutor, UnitRunner};

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

/// Sends so many units, and returns the error of the first one.
async fn first_error(scheduler: &str, program: &str, units: usize) -> String {
    let unit = RollupUnit {
        rollup: "partner_day".to_owned(),
        versions: BTreeMap::new(),
        days: BTreeMap::from([("2026-03-01".parse().expect("a day"), "0.0.0".to_owned())]),
        partners: None,
        columns: Vec::new(),
    };
    let runner = ClusterRunner::new(scheduler, program).expect("an address");
    let mut outputs = runner.run(vec![unit; units]);
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
