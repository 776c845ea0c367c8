//! An erasure beside workers: one that stands still while the log is cut off commits nothing twice, and what
//! one commits in the meantime is erased too.

use std::time::Duration;

use domain::Stream;

use crate::support::kafka_broker::KafkaBroker;
use crate::support::kafka_project::{OTHER_STREAMS_OFF, produce_records, project_with_topics};
use crate::support::program::{Project, RunningProgram, wait_until};
use crate::support::simulated_world::{
    SimulatedWorld, WorldSize, check_row_counts, expected_counts, raw_table_folder,
};

#[test]
fn a_worker_stopped_during_an_erasure_commits_nothing_twice() {
    let Some(broker) = KafkaBroker::start() else { return };
    let world = SimulatedWorld::from_options(
        WorldSize { seed: 12, partners: 20, events: 1_500, days: 4 }.options(),
    );
    let calls = world.time_independent_records(Stream::ApiCalls);
    broker.create_topic("gap", 1);
    produce_records(&broker, "gap", &calls);
    let project =
        project_with_topics(&broker, &format!("api_calls = \"gap\"\n{OTHER_STREAMS_OFF}"));
    let ingest = ["ingest", "run", "--until-caught-up", "--quiet", "--flush-rows"];
    // The worker stops right before its second log entry.
    let failpoint_file = project.path("failpoint");
    let mut stopped_worker = project.command(&[&ingest[..], &["200"]].concat());
    stopped_worker
        .env("RAPPORT_FAULT", format!("entry:raw/api_calls@2={}", failpoint_file.display()));
    let stopped_worker = RunningProgram::start(stopped_worker);
    wait_until("the stopped worker", Duration::from_secs(60), || failpoint_file.exists());

    // In the meantime another group reads everything, and the log is cut off at its newest version.
    let settings = std::fs::read_to_string(project.path("rapport.toml")).expect("settings");
    let other_group = settings.replace("[kafka]\n", "[kafka]\ngroup_id = \"other\"\n");
    project.write("other.toml", other_group);
    project.run_ok(&[&["--config", "other.toml"], &ingest[..], &["100"]].concat());
    project.write(
        "one.ndjson",
        "{\"event_id\":\"one\",\"partner_id\":\"zzzz-0001\",\"status\":200,\
         \"occurred_at\":\"2026-01-02T10:00:00Z\"}\n",
    );
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "one.ndjson"]);
    project.run_ok(&["lake", "erase", "--partner", "zzzz-0001", "--yes"]);
    let log_entry = raw_table_folder(&project.path("."), Stream::ApiCalls).join("_delta_log");
    let log_entry = log_entry.join("00000000000000000002.json");
    assert!(!log_entry.exists(), "the version that the stopped worker will write is free");
    std::fs::remove_file(&failpoint_file).expect("the stopped worker resumes");
    stopped_worker.finish().expect_success();
    assert!(log_entry.exists(), "the stopped worker wrote that version");
    check_row_counts(&project, Stream::ApiCalls, &expected_counts(&calls));
    project.run_ok(&["lake", "verify"]);
}

#[test]
fn events_that_arrive_during_an_erasure_leave_the_rollups_too() {
    let project = Project::new();
    let load = |events: &[(&str, &str, u32)]| {
        let line = |(id, partner, day): &(&str, &str, u32)| {
            format!(
                "{{\"event_id\":\"{id}\",\"partner_id\":\"{partner}\",\"status\":200,\
                 \"occurred_at\":\"2026-01-{day:02}T10:00:00Z\"}}\n"
            )
        };
        project.write("calls.ndjson", events.iter().map(line).collect::<String>());
        project.run_ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    };
    load(&[("a", "zzzz-0001", 2), ("b", "other", 2), ("c", "other", 3)]);
    project.query_number("SELECT count(*) FROM usage_day");

    // It stops after it has erased the calls for the first time.
    let failpoint_file = project.path("failpoint");
    let mut erasure = project.command(&["lake", "erase", "--partner", "zzzz-0001", "--yes"]);
    erasure.env("RAPPORT_FAULT", format!("entry put:raw/api_calls={}", failpoint_file.display()));
    let erasure = RunningProgram::start(erasure);
    wait_until("the erasure", Duration::from_secs(60), || failpoint_file.exists());
    load(&[("d", "zzzz-0001", 3)]);
    std::fs::remove_file(&failpoint_file).expect("the erasure resumes");
    let output = erasure.finish().expect_success();
    assert!(output.stdout_text().contains("Nothing of it is left"), "{output}");

    let mut query = project.command(&["sql", "SELECT count(*) FROM api_calls", "--format", "csv"]);
    query.env("RAPPORT_LOG", "transform=info");
    let output = RunningProgram::start(query).finish();
    assert!(output.stdout_text().ends_with("\n2\n"), "{output}");
    let refreshed: Vec<&str> =
        output.stderr.lines().filter(|line| line.contains("brought up to date")).collect();
    let computes_nothing = |line: &&str| line.contains("days=0 rows=0");
    assert!(!refreshed.is_empty() && refreshed.iter().all(computes_nothing), "{output}");
}
