//! Workers that are killed at a failpoint or at a random instant, or end by SIGTERM.

use std::time::Duration;

use crate::fault_injection::fault_kinds::FaultKind;
use crate::fault_injection::lake_under_test::{LakeUnderTest, TIMEOUT};
use crate::fault_injection::positions::records_between;
use crate::support::program::{RunningProgram, wait_until};

/// The failpoints of a commit, which each of its two tables passes.
pub(crate) const TABLE_FAILPOINTS: [&str; 6] =
    ["file", "file put", "checked", "entry", "entry put", "checkpoint"];
pub(crate) const TABLES: [&str; 2] = ["raw/dead_letters", "raw/api_calls"];

pub(crate) fn kinds() -> Vec<FaultKind> {
    let mut kinds = Vec::new();
    for point in TABLE_FAILPOINTS {
        for table in TABLES {
            let name = format!("SIGKILL at \"{point}\" of {table}");
            kinds.push(FaultKind::new(name, 1, move |s| kill_at(s, point, Some(table))));
        }
    }
    for point in ["dead letters committed", "committed", "assigned"] {
        let name = format!("SIGKILL at \"{point}\"");
        kinds.push(FaultKind::new(name, 1, move |s| kill_at(s, point, None)));
    }
    kinds.push(FaultKind::new("SIGKILL at \"revoked\"", 1, kill_on_revocation));
    kinds.push(FaultKind::new("SIGKILL at a random instant", 6, kill_at_random_instant));
    kinds.push(FaultKind::new("SIGKILL of one of two workers", 2, kill_one_of_two));
    kinds.push(FaultKind::new("SIGTERM", 2, terminate));
    kinds
}

/// Returns the flags of a worker that reaches the failpoint, and the value of `RAPPORT_FAULT`.
pub(crate) fn failpoint_for(
    test: &mut LakeUnderTest<'_>,
    point: &str,
    table: Option<&str>,
) -> (&'static [&'static str], String) {
    let failpoint = table.map_or_else(|| point.to_owned(), |table| format!("{point}:{table}"));
    // Checkpoints are rare, so the commits are very small.
    let flags: &[&str] =
        if point == "checkpoint" { &["--flush-rows", "4"] } else { &["--flush-rows", "50"] };
    let once = ["checkpoint", "assigned", "revoked"].contains(&point);
    let pass = if once { 1 } else { 1 + test.random.below(4) };
    (flags, format!("{failpoint}@{pass}"))
}

fn kill_at(test: &mut LakeUnderTest<'_>, point: &str, table: Option<&str>) {
    let (flags, failpoint) = failpoint_for(test, point, table);
    test.run_until_stopped(test.worker_command_with("a", flags), &failpoint).kill();
}

/// Kills a worker while it gives partitions up to a second worker.
fn kill_on_revocation(test: &mut LakeUnderTest<'_>) {
    let file = test.unique_path("failpoint");
    let mut command = test.worker_command("a");
    command.env("RAPPORT_FAULT", format!("revoked={}", file.display()));
    let mut first = test.start(command);
    test.await_commits(&mut first, 1);
    let mut second = test.start(test.worker_command("a"));
    wait_until("the rebalance", TIMEOUT, || file.exists());
    first.kill();
    drop(std::fs::remove_file(file));
    test.await_commits(&mut second, 1);
    test.terminate_worker(second);
}

fn kill_at_random_instant(test: &mut LakeUnderTest<'_>) {
    let mut worker = test.start(test.worker_command("a"));
    let commits = test.random.below(4);
    test.await_commits(&mut worker, commits);
    test.random.pause(Duration::from_millis(if commits == 0 { 1_500 } else { 120 }));
    worker.kill();
}

fn kill_one_of_two(test: &mut LakeUnderTest<'_>) {
    let mut other = test.start_committing_worker("a");
    let mut worker = test.start(test.worker_command("a"));
    let commits = test.random.below(20);
    test.await_commits(&mut worker, commits);
    test.random.pause(Duration::from_millis(120));
    worker.kill();
    test.await_commits(&mut other, 2);
    test.terminate_worker(other);
}

/// A worker that gets SIGTERM commits what it has read: the lake's positions move by the number of
/// records in its summary.
fn terminate(test: &mut LakeUnderTest<'_>) {
    let before = test.positions.refresh().clone();
    let mut worker = test.start(test.worker_command("a"));
    let commits = 1 + test.random.below(4);
    test.await_commits(&mut worker, commits);
    test.random.pause(Duration::from_millis(300));
    let read = read_by(worker);
    assert_eq!(
        records_between(&before, test.positions.refresh()),
        read,
        "records committed and records read before SIGTERM"
    );
}

/// Sends SIGTERM to a worker, and returns the number of records that its summary begins with.
fn read_by(worker: RunningProgram) -> u64 {
    worker.terminate();
    let summary = worker.finish().expect_success().stdout_text();
    let number = summary.split(' ').next().unwrap_or_default().replace(',', "");
    number.parse().unwrap_or_else(|_| panic!("no summary: {summary}"))
}
