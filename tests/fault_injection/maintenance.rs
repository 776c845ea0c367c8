//! Compaction, vacuum, erasure and replay beside workers: two at once, and killed on the way.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::fault_injection::fault_kinds::FaultKind;
use crate::fault_injection::lake_under_test::LakeUnderTest;
use crate::fault_injection::stub_registry::StubRegistry;
use crate::support::program::ProgramOutput;

const COMPACT: [&str; 3] = ["lake", "compact", "--quiet"];

pub(crate) fn kinds() -> Vec<FaultKind> {
    vec![
        FaultKind::new("two compactions at once", 1, two_compactions),
        FaultKind::new("compaction against erasure", 1, compaction_against_erasure),
        FaultKind::new("SIGKILL of a compaction", 2, kill_compaction),
        FaultKind::new("SIGKILL of a vacuum", 1, kill_vacuum),
        FaultKind::new("SIGKILL of an erasure", 1, kill_erasure),
        FaultKind::new("SIGKILL of a replay", 2, kill_replay),
    ]
}

fn two_compactions(test: &mut LakeUnderTest<'_>) {
    let worker = test.start_committing_worker("a");
    test.compacted = true;
    let both = [test.start(test.command(&COMPACT)), test.start(test.command(&COMPACT))];
    for running in both {
        running.finish().expect_success();
    }
    test.terminate_worker(worker);
}

fn compaction_against_erasure(test: &mut LakeUnderTest<'_>) {
    make_files_old(&test.lake);
    let worker = test.start_committing_worker("a");
    test.compacted = true;
    let partner = partner(test);
    let erasure = test.start(erase(test, &partner));
    test.random.pause(Duration::from_millis(800));
    let compaction = test.start(test.command(&COMPACT));
    test.erased.push((partner, test.positions.refresh().clone()));
    compaction.finish().expect_success();
    check_erasure(test, &erasure.finish());
    test.terminate_worker(worker);
}

/// Kills a compaction at one of its writes; the next one completes it.
fn kill_compaction(test: &mut LakeUnderTest<'_>) {
    let mut worker = test.start_committing_worker("a");
    test.compacted = true;
    let point = test.random.one_of(&["file", "file put", "entry", "entry put"]);
    loop {
        let compaction = test.command(&COMPACT);
        match test.try_run_until_stopped(compaction, &format!("{point}:raw/api_calls")) {
            Ok(stopped) => break stopped.kill(),
            // No day has closed since the last compaction.
            Err(running) => drop(running.finish().expect_success()),
        }
        test.await_commits(&mut worker, 5);
    }
    let again = test.command(&COMPACT);
    test.start(again).finish().expect_success();
    test.terminate_worker(worker);
}

/// Kills a vacuum. Files of killed workers are old enough to be deleted, and so are files in use.
fn kill_vacuum(test: &mut LakeUnderTest<'_>) {
    make_files_old(&test.lake);
    let worker = test.start_committing_worker("a");
    let vacuum = ["lake", "vacuum", "--retention-hours", "1", "--quiet"];
    let running = test.start(test.command(&vacuum));
    test.random.pause(Duration::from_millis(400));
    running.kill();
    let again = test.command(&vacuum);
    test.start(again).finish().expect_success();
    test.terminate_worker(worker);
}

fn make_files_old(folder: &Path) {
    let then = SystemTime::now() - Duration::from_secs(3 * 3_600);
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            make_files_old(&path);
        } else if path.extension().is_some_and(|e| e == "parquet") {
            let file = std::fs::File::options().append(true).open(&path).expect("a data file");
            file.set_modified(then).expect("our own file");
        }
    }
}

fn kill_erasure(test: &mut LakeUnderTest<'_>) {
    make_files_old(&test.lake);
    let worker = test.start_committing_worker("a");
    let partner = partner(test);
    let point = test.random.one_of(&[
        "file:raw/api_calls",
        "entry:raw/api_calls",
        "entry put:raw/api_calls",
        "entry put:raw/dead_letters",
        "forget",
    ]);
    let first = erase(test, &partner);
    test.erased.push((partner.clone(), test.positions.refresh().clone()));
    match test.try_run_until_stopped(first, point) {
        Ok(stopped) => stopped.kill(),
        // That table held nothing of the partner.
        Err(running) => check_erasure(test, &running.finish()),
    }
    let again = erase(test, &partner);
    let running = test.start(again);
    check_erasure(test, &running.finish());
    test.terminate_worker(worker);
}

fn erase(test: &LakeUnderTest<'_>, partner: &str) -> Command {
    test.command(&["lake", "erase", "--partner", partner, "--yes", "--quiet"])
}

/// Checks that the erasure succeeded. It may warn that events of the partner still arrive.
fn check_erasure(test: &mut LakeUnderTest<'_>, result: &ProgramOutput) {
    let words = ["its events still arrive", "not committed"];
    let warns =
        result.code == Some(3) && words.iter().any(|word| result.stdout_text().contains(word));
    assert!(result.code == Some(0) || warns, "{result}");
    let positions = test.positions.refresh().clone();
    if let Some((_, until)) = test.erased.last_mut() {
        *until = positions;
    }
}

/// Picks one of the partners whose calls the lake holds.
fn partner(test: &mut LakeUnderTest<'_>) -> String {
    let ids = "SELECT DISTINCT partner_id FROM raw.api_calls ORDER BY 1";
    let ids = test.project.query_rows(ids);
    let choice = test.random.below(ids.len() as u64) as usize;
    ids[choice].clone()
}

/// Kills a replay that knows the schema of the Avro records, between its commits or in one.
fn kill_replay(test: &mut LakeUnderTest<'_>) {
    let registry = StubRegistry::start();
    let replay = |test: &LakeUnderTest<'_>| {
        let mut command = test.command(&["ingest", "replay", "--stream", "api-calls", "--quiet"]);
        command.env("RAPPORT_SCHEMA_REGISTRY_URL", registry.url());
        command
    };
    let mut worker = test.start_committing_worker("a");
    let point = test.random.one_of(&[
        "file:raw/api_calls",
        "entry:raw/api_calls",
        "entry put:raw/api_calls",
        "replayed",
        "entry:raw/dead_letters",
        "entry put:raw/dead_letters",
    ]);
    loop {
        let command = replay(test);
        match test.try_run_until_stopped(command, point) {
            Ok(stopped) => break stopped.kill(),
            // No Avro record has arrived since the last replay.
            Err(running) => drop(running.finish().expect_success()),
        }
        test.await_commits(&mut worker, 5);
    }
    let again = replay(test);
    test.start(again).finish().expect_success();
    test.terminate_worker(worker);
}
