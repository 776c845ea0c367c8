//! Zombie workers that wake after a rebalance, two workers on one partition, and rebalance storms.

use std::time::{Duration, Instant};

use crate::fault_injection::fault_kinds::FaultKind;
use crate::fault_injection::killed_workers::{TABLE_FAILPOINTS, TABLES, failpoint_for};
use crate::fault_injection::lake_under_test::LakeUnderTest;
use crate::support::program::RunningProgram;

pub(crate) fn kinds() -> Vec<FaultKind> {
    let mut kinds = Vec::new();
    for point in TABLE_FAILPOINTS {
        let name = format!("a zombie wakes at \"{point}\"");
        kinds.push(FaultKind::new(name, 1, move |test| {
            let table = test.random.one_of(&TABLES);
            zombie_at(test, point, Some(table));
        }));
    }
    for point in ["dead letters committed", "committed", "assigned"] {
        let name = format!("a zombie wakes at \"{point}\"");
        kinds.push(FaultKind::new(name, 1, move |test| zombie_at(test, point, None)));
    }
    kinds.push(FaultKind::new("a zombie wakes anywhere", 2, zombie_anywhere));
    kinds.push(FaultKind::new("two groups on one lake", 2, two_groups));
    kinds.push(FaultKind::new("rebalance storm", 1, rebalance_storm));
    kinds
}

/// Stops a worker at the failpoint until the group has given its partitions to a successor that
/// commits; then the worker wakes with records in its buffers.
fn zombie_at(test: &mut LakeUnderTest<'_>, point: &str, table: Option<&str>) {
    let (flags, failpoint) = failpoint_for(test, point, table);
    let stopped = test.run_until_stopped(test.worker_command_with("a", flags), &failpoint);
    stopped.running.signal("STOP");
    let mut successor = test.start_committing_worker("a");
    let zombie = stopped.resume();
    wake_zombie(test, zombie, &mut successor);
    test.terminate_worker(successor);
}

fn zombie_anywhere(test: &mut LakeUnderTest<'_>) {
    let mut zombie = test.start(test.worker_command("a"));
    let commits = 1 + test.random.below(3);
    test.await_commits(&mut zombie, commits);
    test.random.pause(Duration::from_millis(120));
    zombie.signal("STOP");
    let mut successor = test.start_committing_worker("a");
    wake_zombie(test, zombie, &mut successor);
    test.terminate_worker(successor);
}

/// Wakes the zombie beside its successor; both go on, and the zombie ends with exit code 0.
fn wake_zombie(
    test: &mut LakeUnderTest<'_>,
    mut zombie: RunningProgram,
    successor: &mut RunningProgram,
) {
    zombie.signal("CONT");
    let commits = 1 + test.random.below(6);
    test.await_commits(successor, commits);
    assert!(!zombie.has_ended(), "the zombie ended: {}", zombie.messages_so_far());
    test.terminate_worker(zombie);
}

/// Workers of two consumer groups read every partition into the same lake.
fn two_groups(test: &mut LakeUnderTest<'_>) {
    let mut one = test.start(test.worker_command("a"));
    let mut other = test.start(test.worker_command("b"));
    let commits = 5 + test.random.below(20);
    test.await_commits(&mut one, commits);
    assert!(!other.has_ended(), "it ended by itself: {}", other.messages_so_far());
    test.terminate_worker(one);
    test.await_commits(&mut other, 1);
    test.terminate_worker(other);
}

/// Workers join and leave a group every few hundred milliseconds, by SIGTERM or SIGKILL.
fn rebalance_storm(test: &mut LakeUnderTest<'_>) {
    let mut workers: Vec<RunningProgram> = vec![test.start_committing_worker("a")];
    let end = Instant::now() + Duration::from_secs(6);
    while Instant::now() < end {
        test.random.pause(Duration::from_millis(700));
        if workers.len() < 2 || (workers.len() < 4 && test.random.below(2) == 0) {
            workers.push(test.start(test.worker_command("a")));
            continue;
        }
        let worker = workers.swap_remove(test.random.below(workers.len() as u64) as usize);
        if test.random.below(2) == 0 {
            worker.kill();
            continue;
        }
        worker.terminate();
        let result = worker.finish();
        // A worker that does not handle signals yet ends by the signal.
        assert!(matches!(result.code, Some(0) | None), "{result}");
    }
    drop(workers);
    let last = test.start_committing_worker("a");
    test.terminate_worker(last);
}
