//! Faults of the object store: its answers are lost, and it stops and restarts.

use std::time::Duration;

use crate::fault_injection::fault_kinds::FaultKind;
use crate::fault_injection::lake_under_test::LakeUnderTest;

pub(crate) fn kinds() -> Vec<FaultKind> {
    vec![
        FaultKind::new("answers are lost after the put", 4, lose_answers),
        FaultKind::new("the store is killed and comes back", 2, store_outage),
    ]
}

/// Two workers commit side by side, and the answers to some of their puts are lost.
fn lose_answers(test: &mut LakeUnderTest<'_>) {
    let every = 2 + test.random.below(3) as usize;
    test.lose_store_answers(every);
    let mut one = test.start(test.worker_command("a"));
    let mut other = test.start(test.worker_command("b"));
    let commits = 5 + test.random.below(10);
    test.await_commits(&mut one, commits);
    test.terminate_worker(one);
    test.await_commits(&mut other, 3);
    test.terminate_worker(other);
    test.lose_store_answers(20);
}

/// The store stops while a worker commits, and restarts; the worker goes on by itself.
fn store_outage(test: &mut LakeUnderTest<'_>) {
    let mut worker = test.start_committing_worker("a");
    test.random.pause(Duration::from_millis(200));
    let bucket = test.bucket.as_deref_mut().expect("a lake in a bucket");
    bucket.kill();
    bucket.restart();
    test.await_commits(&mut worker, 3);
    test.terminate_worker(worker);
}
