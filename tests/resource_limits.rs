//! A query's temporary files are removed however the query ends, and its memory is limited.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::program::{Project, RunningProgram, count_entries, run, wait_until};

const TIMEOUT: Duration = Duration::from_secs(120);

/// A query over more rows than it may hold in memory, so that it spills to disk.
const SPILLING_QUERY: &str = "SELECT count(*) FROM (SELECT t, count(*) AS n FROM \
    (SELECT repeat('x', 200) || CAST(value AS VARCHAR) AS t FROM range(1, 12500000)) GROUP BY t)";

/// Returns a project with a lake, and a temporary folder of its own.
fn project() -> (Project, PathBuf) {
    let project = Project::new();
    let call =
        r#"{"event_id":"e","partner_id":"p","occurred_at":"2026-01-01T00:00:00Z","status":200}"#;
    project.write("calls.ndjson", call);
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    let temporary = project.path("temporary");
    std::fs::create_dir(&temporary).expect("a folder");
    (project, temporary)
}

fn sql(project: &Project, query: &str) -> Command {
    let mut command = project.command(&["sql", query]);
    command.env("TMPDIR", project.path("temporary"));
    command
}

/// Starts a query, and stops its process once it has begun to spill.
fn start_spilling_query(project: &Project, temporary: &Path) -> RunningProgram {
    let spilled = || {
        let files = crate::support::files::all_files(temporary);
        files.iter().any(|file| std::fs::metadata(file).is_ok_and(|file| file.len() > 1_000_000))
    };
    let mut running = RunningProgram::start(sql(project, SPILLING_QUERY));
    wait_until("spilled rows", TIMEOUT, || spilled() || running.has_ended());
    assert!(!running.has_ended(), "{}", running.finish());
    running.signal("STOP");
    running
}

#[test]
fn temporary_files_are_removed_when_a_query_ends_or_is_killed() {
    let (project, temporary) = project();
    run(sql(&project, "SELECT 1")).expect_success();
    assert_eq!(count_entries(&temporary), 0);
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let running = start_spilling_query(&project, &temporary);
        running.signal(signal);
        running.signal("CONT");
        let result = running.finish();
        assert_eq!(result.code, Some(code), "{signal}: {result}");
        assert_eq!(
            count_entries(&temporary),
            0,
            "{signal} leaves {:?}",
            crate::support::files::all_files(&temporary)
        );
    }
    let living = start_spilling_query(&project, &temporary);
    let names = || {
        let found = std::fs::read_dir(&temporary).expect("a folder");
        found.map(|entry| entry.expect("an entry").file_name()).collect::<BTreeSet<_>>()
    };
    let folders_of_living = names();
    let killed = RunningProgram::start(sql(&project, SPILLING_QUERY));
    wait_until("a folder of the other's", TIMEOUT, || names().len() > folders_of_living.len() + 1);
    killed.kill();
    assert!(names().len() > folders_of_living.len(), "kill -9 leaves what was there");
    run(sql(&project, "SELECT 1")).expect_success();
    // The folders of the killed process are removed, those of the living one are kept.
    assert_eq!(names(), folders_of_living);
    living.kill();
    run(sql(&project, "SELECT 1")).expect_success();
    assert_eq!(count_entries(&temporary), 0);
}

#[test]
fn spooled_standard_input_is_removed_on_sigterm() {
    let (project, temporary) = project();
    let mut command = project.command(&["ingest", "load", "--stream", "api-calls", "-"]);
    command.env("TMPDIR", &temporary).stdin(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the program can be run");
    let spooled = || crate::support::files::all_files(&temporary).len() > 1;
    wait_until("a file for standard input", TIMEOUT, spooled);
    // Waiting for the child would close its standard input, and it might end by itself.
    let input = child.stdin.take();
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill can be run");
    assert!(sent.success());
    assert_eq!(child.wait().expect("our own process").code(), Some(143));
    drop(input);
    assert_eq!(count_entries(&temporary), 0);
}

#[test]
fn a_function_call_cannot_exhaust_memory() {
    let (project, temporary) = project();
    for query in [
        "SELECT length(repeat('x', 2000000000))",
        "SELECT cardinality(range(1, 2000000000))",
        "SELECT length(repeat(partner_id, 2000000000)) FROM api_calls",
        "SELECT array_length(array_repeat(partner_id, 1000000000)) FROM api_calls",
    ] {
        let mut running = RunningProgram::start(sql(&project, query));
        let mut peak = 0;
        wait_until(query, TIMEOUT, || {
            peak = peak.max(running.peak_memory());
            running.has_ended()
        });
        let result = running.finish();
        result.expect_error(1, &["more memory than", "that it may have"]);
        assert!(peak < 6 << 20, "{query}: {peak} KiB");
        assert_eq!(count_entries(&temporary), 0);
    }
    // A text that fits is returned.
    let answer =
        run(sql(&project, "SELECT length(repeat('x', 100000000))")).expect_success().stdout_text();
    assert!(answer.contains("100000000"), "{answer}");
}
