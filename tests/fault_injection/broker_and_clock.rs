//! The broker stops and restarts, and the clock of a worker jumps.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use crate::fault_injection::fault_kinds::FaultKind;
use crate::fault_injection::lake_under_test::LakeUnderTest;
use crate::support::kafka_broker::{KafkaBroker, run_command};

pub(crate) fn kinds() -> Vec<FaultKind> {
    let mut kinds = vec![
        FaultKind::new("the broker restarts", 1, |test| {
            broker_outage(test, KafkaBroker::stop);
        }),
        FaultKind::new("the broker is killed and comes back", 1, |test| {
            broker_outage(test, KafkaBroker::kill);
        }),
    ];
    for (name, sign) in [("the clock jumps ahead", 1), ("the clock jumps back", -1)] {
        kinds.push(FaultKind::new(name, 1, move |test| clock_jump(test, sign)));
    }
    kinds
}

/// The broker stops while a worker reads, and restarts; the worker goes on by itself.
fn broker_outage(test: &mut LakeUnderTest<'_>, stop: fn(&mut KafkaBroker)) {
    let mut worker = test.start_committing_worker("a");
    test.random.pause(Duration::from_millis(500));
    stop(test.broker);
    test.broker.restart();
    test.await_commits(&mut worker, 3);
    test.terminate_worker(worker);
}

/// A worker's clock jumps by up to 20 days while the worker reads, and jumps back. The times of its
/// records stay.
fn clock_jump(test: &mut LakeUnderTest<'_>, sign: i64) {
    let library = test.project.path("clock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fault_injection/clock.c");
    run_command(Command::new("cc").args(["-shared", "-fPIC", "-O1", source, "-o"]).arg(&library));
    let name = test.unique_path("clock");
    let clock = File::create_new(&name).expect("room for a file");
    let set = |seconds: i64| {
        clock.write_all_at(&seconds.to_ne_bytes(), 0).expect("room for a number");
    };
    set(0);
    let mut command = test.worker_command("a");
    command.env("LD_PRELOAD", &library).env("RAPPORT_TEST_CLOCK", &name);
    let mut worker = test.start(command);
    // S3 refuses requests whose clock is off by a quarter of an hour.
    let most_seconds = if test.bucket.is_some() { 14 * 60 } else { 20 * 86_400 };
    let offset = sign * (1 + test.random.below(most_seconds).cast_signed());
    for seconds in [offset, 0] {
        test.await_commits(&mut worker, 1);
        set(seconds);
        test.await_commits(&mut worker, 2);
    }
    test.terminate_worker(worker);
}
