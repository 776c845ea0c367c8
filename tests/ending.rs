//! A command that ends early leaves nothing half done: no panic, no checkpoint given up.

use std::time::Duration;

use crate::program::{Project, Running, wait_until};

const CALL: &str = r#"{"event_id":"e1","partner_id":"p1","occurred_at":"2026-02-03T04:05:06Z","environment":"production","status":200}
"#;

fn project() -> Project {
    let project = Project::new();
    project.write("calls.ndjson", CALL);
    project.ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    project
}

const RUN: [&str; 6] = ["metrics", "run", "funnel", "--as-of", "2026-02-01", "--quiet"];

fn checkpoints(project: &Project) -> usize {
    let log = std::fs::read_dir(project.path("lake/runs/_delta_log")).expect("a log");
    let names = log.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(".checkpoint.parquet")).count()
}

#[test]
fn a_run_waits_for_the_checkpoint_that_it_began() {
    let project = project();
    // The tenth entry after the first makes a checkpoint due.
    for _ in 0..9 {
        project.ok(&RUN);
    }
    let stands = project.path("stands");
    let mut command = project.command(&RUN);
    command.env("RAPPORT_FAULT", format!("checkpoint:runs={}", stands.display()));
    let mut running = Running::start(command);
    let patience = Duration::from_secs(60);
    wait_until("the checkpoint is begun, or the run has ended", patience, || {
        stands.exists() || running.has_ended()
    });
    assert!(stands.exists() && !running.has_ended(), "the tenth commit begins a checkpoint");
    assert_eq!(checkpoints(&project), 0);
    std::fs::remove_file(&stands).expect("the file of the fault");
    let ran = running.finish().succeeded();
    assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("checkpoint"), "{ran}");
    assert_eq!(checkpoints(&project), 1);
}

#[test]
fn what_is_refused_ends_cleanly_and_is_no_run() {
    let project = project();
    project.ok(&RUN);
    let runs = || project.number("SELECT count(*) FROM runs");
    assert_eq!(runs(), 1);
    let refused: [&[&str]; 3] =
        [&["--by", "name"], &["--where", "colour = 'red'"], &["--where", "count(*) > 1"]];
    for _ in 0..4 {
        for flags in refused {
            project.run(&[&RUN[..], flags].concat()).refused(2, &[flags[0]]);
        }
    }
    assert_eq!(runs(), 1);
}
