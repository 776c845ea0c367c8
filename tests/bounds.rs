//! What a query takes and leaves: its temporary files go whatever ends it, and no call takes the
//! machine's memory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::program::{Project, Running, entries, run, wait_until};

const PATIENCE: Duration = Duration::from_secs(120);

/// More than a query may hold in memory, so that it spills.
const SPILLS: &str = "SELECT count(*) FROM (SELECT t, count(*) AS n FROM \
    (SELECT repeat('x', 200) || CAST(value AS VARCHAR) AS t FROM range(1, 12500000)) GROUP BY t)";

/// Of two aggregates side by side the one that begins to spill later may find no memory left to do
/// it with: the query then ends with an error, and is begun again.
const BEGINNINGS: usize = 5;

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

/// A query that has begun to spill, and stands still.
fn spilling(project: &Project, temporary: &Path) -> Running {
    let spilled = || {
        let files = crate::secure::files(temporary);
        files.iter().any(|file| std::fs::metadata(file).is_ok_and(|file| file.len() > 1_000_000))
    };
    let before = entries(temporary);
    for _ in 0..BEGINNINGS {
        let mut running = Running::start(sql(project, SPILLS));
        wait_until("spilled rows", PATIENCE, || spilled() || running.has_ended());
        if !running.has_ended() {
            running.signal("STOP");
            return running;
        }
        running.finish().refused(1, &["Resources exhausted"]);
        assert_eq!(entries(temporary), before, "a query that fails leaves nothing");
    }
    panic!("nothing was spilled");
}

#[test]
fn temporary_files_go_with_the_process() {
    let (project, temporary) = project();
    run(sql(&project, "SELECT 1")).succeeded();
    assert_eq!(entries(&temporary), 0);
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let running = spilling(&project, &temporary);
        running.signal(signal);
        running.signal("CONT");
        let ran = running.finish();
        assert_eq!(ran.code, Some(code), "{signal}: {ran}");
        assert_eq!(
            entries(&temporary),
            0,
            "{signal} leaves {:?}",
            crate::secure::files(&temporary)
        );
    }
    let living = spilling(&project, &temporary);
    let names = || {
        let found = std::fs::read_dir(&temporary).expect("a folder");
        found.map(|entry| entry.expect("an entry").file_name()).collect::<BTreeSet<_>>()
    };
    let of_the_living = names();
    let dead = Running::start(sql(&project, SPILLS));
    wait_until("a folder of the other's", PATIENCE, || names().len() > of_the_living.len() + 1);
    dead.kill();
    assert!(names().len() > of_the_living.len(), "kill -9 leaves what was there");
    run(sql(&project, "SELECT 1")).succeeded();
    // The dead one's are gone, the living one's are not.
    assert_eq!(names(), of_the_living);
    living.kill();
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
    // What fits is answered.
    let answer = run(sql(&project, "SELECT length(repeat('x', 100000000))")).succeeded().text();
    assert!(answer.contains("100000000"), "{answer}");
}
