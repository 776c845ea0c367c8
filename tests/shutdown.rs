//! A command that ends early leaves nothing half done: no panic, and no abandoned checkpoint.

use std::time::Duration;

use crate::support::program::{Project, RunningProgram, wait_until};

const CALL: &str = r#"{"event_id":"e1","partner_id":"p1","occurred_at":"2026-02-03T04:05:06Z","environment":"production","status":200}
"#;

fn project() -> Project {
    let project = Project::new();
    project.write("calls.ndjson", CALL);
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    project
}

const METRICS_RUN: [&str; 6] = ["metrics", "run", "funnel", "--as-of", "2026-02-01", "--quiet"];

fn count_checkpoints(project: &Project) -> usize {
    let log = std::fs::read_dir(project.path("lake/runs/_delta_log")).expect("a log");
    let names = log.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(".checkpoint.parquet")).count()
}

#[test]
fn a_run_waits_for_its_checkpoint_before_it_ends() {
    let project = project();
    // The tenth entry after the first one starts a checkpoint.
    for _ in 0..9 {
        project.run_ok(&METRICS_RUN);
    }
    let failpoint_file = project.path("failpoint");
    let mut command = project.command(&METRICS_RUN);
    command.env("RAPPORT_FAULT", format!("checkpoint:runs={}", failpoint_file.display()));
    let mut running = RunningProgram::start(command);
    let timeout = Duration::from_secs(60);
    wait_until("the checkpoint or the end of the run", timeout, || {
        failpoint_file.exists() || running.has_ended()
    });
    assert!(
        failpoint_file.exists() && !running.has_ended(),
        "the tenth commit starts a checkpoint"
    );
    assert_eq!(count_checkpoints(&project), 0);
    std::fs::remove_file(&failpoint_file).expect("the file of the failpoint");
    let result = running.finish().expect_success();
    assert!(
        !result.stderr.contains("panicked") && !result.stderr.contains("checkpoint"),
        "{result}"
    );
    assert_eq!(count_checkpoints(&project), 1);
}

#[test]
fn a_refused_command_ends_cleanly_and_records_no_run() {
    let project = project();
    project.run_ok(&METRICS_RUN);
    let count_runs = || project.query_number("SELECT count(*) FROM runs");
    assert_eq!(count_runs(), 1);
    let wrong_flags: [&[&str]; 3] =
        [&["--by", "name"], &["--where", "colour = 'red'"], &["--where", "count(*) > 1"]];
    for _ in 0..4 {
        for flags in wrong_flags {
            project.run(&[&METRICS_RUN[..], flags].concat()).expect_error(2, &[flags[0]]);
        }
    }
    assert_eq!(count_runs(), 1);
}
