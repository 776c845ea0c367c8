//! What a query takes and leaves: its temporary files go whatever ends it, and no call takes the
//! machine's memory.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::program::{Project, Running, entries, run, wait_until};

const PATIENCE: Duration = Duration::from_secs(120);

/// More than a query may hold in memory, so that it spills.
const SPILLS: &str = "SELECT max(t) FROM (SELECT t, row_number() OVER (ORDER BY t) AS n FROM \
    (SELECT repeat('x', 1000) || CAST(value AS VARCHAR) AS t FROM range(1, 30000000)))";

/// A lake, with a temporary folder of its own.
fn project() -> (Project, PathBuf) {
    let project = Project::new();
    let call =
        r#"{"event_id":"e","partner_id":"p","occurred_at":"2026-01-01T00:00:00Z","status":200}"#;
    project.write("calls.ndjson", call);
    project.ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    let temporary = project.path("temporary");
    std::fs::create_dir(&temporary).expect("a folder");
    (project, temporary)
}

fn sql(project: &Project, query: &str) -> Command {
    let mut command = project.command(&["sql", query]);
    command.env("TMPDIR", project.path("temporary"));
    command
}

/// A query that has begun to spill.
fn spilling(project: &Project, temporary: &std::path::Path) -> Running {
    let mut running = Running::start(sql(project, SPILLS));
    let spilled = || {
        let files = crate::secure::files(temporary);
        files.iter().any(|file| std::fs::metadata(file).is_ok_and(|file| file.len() > 1_000_000))
    };
    wait_until("spilled rows", PATIENCE, || spilled() || running.has_ended());
    assert!(!running.has_ended(), "{}", running.finish());
    running
}

#[test]
fn temporary_files_go_with_the_process() {
    let (project, temporary) = project();
    run(sql(&project, "SELECT 1")).succeeded();
    assert_eq!(entries(&temporary), 0);
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let running = spilling(&project, &temporary);
        running.signal(signal);
        let ran = running.finish();
        assert_eq!(ran.code, Some(code), "{signal}: {ran}");
        assert_eq!(
            entries(&temporary),
            0,
            "{signal} leaves {:?}",
            crate::secure::files(&temporary)
        );
    }
    spilling(&project, &temporary).kill();
    assert!(entries(&temporary) > 0, "kill -9 leaves what was spilled");
    let living = spilling(&project, &temporary);
    run(sql(&project, "SELECT 1")).succeeded();
    // The dead one's are gone, the living one's are not.
    assert_eq!(entries(&temporary), 2, "{:?}", crate::secure::files(&temporary));
    drop(living);
    run(sql(&project, "SELECT 1")).succeeded();
    assert_eq!(entries(&temporary), 0);
}

#[test]
fn standard_input_is_spooled_to_a_file_that_goes() {
    let (project, temporary) = project();
    let mut command = project.command(&["ingest", "load", "--stream", "api-calls", "-"]);
    command.env("TMPDIR", &temporary).stdin(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the program can be run");
    let spooled = || crate::secure::files(&temporary).len() > 1;
    wait_until("a file for standard input", PATIENCE, spooled);
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill can be run");
    assert!(sent.success());
    assert_eq!(child.wait().expect("our own process").code(), Some(143));
    assert_eq!(entries(&temporary), 0);
}

#[test]
fn no_call_takes_the_memory_of_the_machine() {
    let (project, temporary) = project();
    for query in [
        "SELECT length(repeat('x', 2000000000))",
        "SELECT cardinality(range(1, 2000000000))",
        "SELECT length(repeat(partner_id, 2000000000)) FROM api_calls",
        "SELECT array_length(array_repeat(partner_id, 1000000000)) FROM api_calls",
    ] {
        let mut running = Running::start(sql(&project, query));
        let mut peak = 0;
        wait_until(query, PATIENCE, || {
            peak = peak.max(running.peak_memory());
            running.has_ended()
        });
        let ran = running.finish();
        ran.refused(1, &["more memory than", "that it may have"]);
        assert!(peak < 6 << 20, "{query}: {peak} KiB");
        assert_eq!(entries(&temporary), 0);
    }
    // A query that sorts more than it may hold spills, and ends well.
    let query = SPILLS.replace("30000000", "2000000");
    let answer = run(sql(&project, &query)).succeeded().text();
    assert!(answer.contains("999999"), "{}", answer.len());
}
