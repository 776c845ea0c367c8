//! A worker commits nothing twice when an erasure cuts the log off while the worker stands still.

use std::time::Duration;

use domain::Stream;

use crate::support::kafka_broker::KafkaBroker;
use crate::support::kafka_project::{OTHER_STREAMS_OFF, produce_records, project_with_topics};
use crate::support::program::{RunningProgram, wait_until};
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
