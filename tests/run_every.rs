//! `rapport run --every` goes on from round to round, whatever one of them meets, and ends cleanly.

use std::time::Duration;

use domain::Stream;

use crate::support::kafka_broker::KafkaBroker;
use crate::support::kafka_project::{OTHER_STREAMS_OFF, produce_records, project_with_topics};
use crate::support::program::{Project, RunningProgram, wait_until};
use crate::support::simulated_world::{
    SimulatedWorld, WorldSize, check_row_counts, expected_counts,
};

const TIMEOUT: Duration = Duration::from_secs(240);
const SIZE: WorldSize = WorldSize { seed: 33, partners: 8, events: 600, days: 10 };
const EVERY_SECOND: [&str; 4] = ["run", "--every", "1s", "--quiet"];

/// Returns when the report was written, by the file that names its instant.
fn report_time(project: &Project) -> Option<std::time::SystemTime> {
    std::fs::metadata(project.path("report/index.html")).ok()?.modified().ok()
}

fn wait_for_next_report(project: &Project, running: &mut RunningProgram) {
    let before = report_time(project);
    wait_until("a report", TIMEOUT, || {
        assert!(!running.has_ended(), "{}", running.messages_so_far());
        report_time(project).is_some_and(|now| Some(now) != before)
    });
}

#[test]
fn rounds_follow_each_other_and_a_failed_one_stops_nothing() {
    let Some(broker) = KafkaBroker::start() else { return };
    broker.create_topic("rounds", 2);
    let project =
        project_with_topics(&broker, &format!("api_calls = \"rounds\"\n{OTHER_STREAMS_OFF}"));
    let records = SimulatedWorld::new(SIZE).time_independent_records(Stream::ApiCalls);
    let (first, second) = records.split_at(records.len() / 2);
    produce_records(&broker, "rounds", first);
    let log = project.path("messages");
    let mut running = RunningProgram::start_logging(project.command(&EVERY_SECOND), &log);
    wait_for_next_report(&project, &mut running);

    // Another run would write the same report.
    project.run(&["run"]).expect_error(1, &["another `rapport run` (process ", "report"]);

    // Each round reads the configuration anew.
    let config = std::fs::read_to_string(project.path("rapport.toml")).expect("a file");
    project.write("rapport.toml", config.replace("\"rounds\"", "\"nowhere\""));
    wait_until("a failed round", TIMEOUT, || {
        running.messages_so_far().contains("The next round begins at 20")
    });
    let messages = running.messages_so_far();
    assert!(
        messages.contains("rapport: this round failed: ingest: the topic \"nowhere\""),
        "{messages}"
    );
    project.write("rapport.toml", config);
    produce_records(&broker, "rounds", second);
    wait_until("all records", TIMEOUT, || {
        let query = "SELECT count(*) FROM (SELECT DISTINCT kafka_partition, kafka_offset FROM raw.api_calls)";
        assert!(!running.has_ended(), "{}", running.messages_so_far());
        let dead_letters = project.query_number("SELECT count(*) FROM dead_letters");
        project.query_number(query) + dead_letters == records.len() as i64
    });
    running.terminate();
    running.finish().expect_success();
    check_row_counts(&project, Stream::ApiCalls, &expected_counts(&records));
    project.run_ok(&["lake", "verify"]);
    project.run_ok(&["run", "--quiet"]);
}

#[test]
fn a_signal_while_a_round_ingests_waits_for_its_commit() {
    let Some(broker) = KafkaBroker::start() else { return };
    for (topic, every) in [("single", false), ("repeated", true)] {
        broker.create_topic(topic, 1);
        let project =
            project_with_topics(&broker, &format!("api_calls = \"{topic}\"\n{OTHER_STREAMS_OFF}"));
        let records = SimulatedWorld::new(SIZE).time_independent_records(Stream::ApiCalls);
        produce_records(&broker, topic, &records);
        let reached = project.path("failpoint");
        let mut command = project.command(if every { &EVERY_SECOND } else { &EVERY_SECOND[..1] });
        command.env("RAPPORT_FAULT", format!("entry:raw/api_calls={}", reached.display()));
        let log = project.path("messages");
        let mut running = RunningProgram::start_logging(command, &log);
        wait_until("the commit", TIMEOUT, || reached.exists() || running.has_ended());
        running.terminate();
        wait_until("the signal", TIMEOUT, || running.messages_so_far().contains("ends once it"));
        std::fs::remove_file(&reached).expect("the file of the failpoint");
        let ended = running.finish();
        assert_eq!(ended.code, Some(if every { 0 } else { 143 }), "{ended}");
        assert!(ended.stdout_text().starts_with("ingest "), "{ended}");
        assert!(!project.path("report").exists(), "{ended}");
        check_row_counts(&project, Stream::ApiCalls, &expected_counts(&records));
    }
}

#[test]
fn a_wrong_project_or_interval_ends_it_at_once() {
    let project = Project::new();
    project.write("rapport.toml", "[kafka]\nbootstrap = \"x\"\n");
    project.run(&EVERY_SECOND).expect_error(2, &["rapport.toml:2:1", "bootstrap"]);
    for (interval, words) in
        [("10", "write 15m"), ("100ms", "the shortest interval is 1s"), ("often", "write 15m")]
    {
        project.run(&["run", "--every", interval]).expect_error(2, &[words]);
    }
    let empty = Project::empty();
    empty.run(&EVERY_SECOND).expect_error(2, &["rapport init"]);
}
