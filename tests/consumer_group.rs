//! Workers of a consumer group on a real Kafka broker: shared partitions, shutdown, start
//! positions.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use domain::Stream;

use crate::support::kafka_broker::KafkaBroker;
use crate::support::kafka_project::{OTHER_STREAMS_OFF, produce_records, project_with_topics};
use crate::support::program::{
    Project, RunningProgram, count_entries, rapport_command, run, wait_until,
};
use crate::support::simulated_world::{
    SentRecord, SimulatedWorld, WorldSize, check_late_flags, check_metrics, check_row_counts,
    expected_counts, raw_table_folder,
};

const TIMEOUT: Duration = Duration::from_secs(60);
const INGEST: [&str; 4] = ["ingest", "run", "--until-caught-up", "--quiet"];

/// The broker of the tests in this file; it ends with this process.
static BROKER: LazyLock<Option<KafkaBroker>> = LazyLock::new(KafkaBroker::start);

static CALLS: LazyLock<Vec<SentRecord>> = LazyLock::new(|| {
    SimulatedWorld::new(WorldSize { seed: 31, partners: 30, events: 3_000, days: 4 })
        .time_independent_records(Stream::ApiCalls)
});

/// Returns a project that reads API calls from a topic of its own, and nothing else.
fn project(broker: &KafkaBroker, topic: &str, partitions: u32) -> Project {
    broker.create_topic(topic, partitions);
    project_with_topics(broker, &format!("api_calls = \"{topic}\"\n{OTHER_STREAMS_OFF}"))
}

/// Returns the number of records that the summary of a worker begins with.
fn records_in_summary(summary: &str) -> i64 {
    let number = summary.split(' ').next().unwrap_or("").replace(',', "");
    number.parse().unwrap_or_else(|_| panic!("no summary: {summary}"))
}

fn row_total(project: &Project) -> i64 {
    project.row_counts().iter().sum()
}

fn log_folder(project: &Project) -> std::path::PathBuf {
    raw_table_folder(&project.path("."), Stream::ApiCalls).join("_delta_log")
}

#[test]
fn two_workers_share_the_partitions_of_a_topic() {
    let Some(broker) = &*BROKER else { return };
    let project = project(broker, "shared", 4);
    let logs = [project.path("one.log"), project.path("two.log")];
    let workers = logs.clone().map(|log| {
        let command = project.command(&["ingest", "run", "--flush-rows", "100", "-v"]);
        RunningProgram::start_logging(command, &log)
    });
    let has_half = |log: &Path| {
        let output = std::fs::read_to_string(log).unwrap_or_default();
        let last = output.lines().rfind(|line| line.contains("assigned"));
        last.is_some_and(|line| line.contains('2'))
    };
    wait_until("two partitions for each worker", TIMEOUT, || logs.iter().all(|log| has_half(log)));
    produce_records(broker, "shared", &CALLS);
    // Commits show that the workers read; they stop before they have read everything.
    wait_until("commits", TIMEOUT, || count_entries(&log_folder(&project)) > 4);
    let read = workers.map(|worker| {
        worker.terminate();
        records_in_summary(&worker.finish().expect_success().stdout_text())
    });
    assert_eq!(row_total(&project), read.iter().sum::<i64>(), "{read:?} records in the summaries");
    project.run_ok(&INGEST);
    check_row_counts(&project, Stream::ApiCalls, &expected_counts(&CALLS));
    check_late_flags(&project, Stream::ApiCalls);
    project.run_ok(&["lake", "verify"]);
}

#[test]
fn two_workers_until_caught_up_read_everything_once() {
    let Some(broker) = &*BROKER else { return };
    let project = project(broker, "race", 3);
    produce_records(broker, "race", &CALLS);
    let command = || project.command(&[&INGEST[..], &["--flush-rows", "100"]].concat());
    let workers = [RunningProgram::start(command()), RunningProgram::start(command())];
    let read =
        workers.map(|worker| records_in_summary(&worker.finish().expect_success().stdout_text()));
    check_row_counts(&project, Stream::ApiCalls, &expected_counts(&CALLS));
    check_late_flags(&project, Stream::ApiCalls);
    assert!(read.iter().sum::<i64>() >= CALLS.len() as i64, "{read:?}");
    project.run_ok(&["lake", "verify"]);
}

#[test]
fn a_worker_commits_its_buffers_on_sigterm() {
    let Some(broker) = &*BROKER else { return };
    let project = project(broker, "ended", 1);
    produce_records(broker, "ended", &CALLS[..1_000]);
    // The first commit is triggered by its rows; the rest would wait an hour for theirs.
    let flags = ["ingest", "run", "--flush-rows", "900", "--flush-seconds", "3600", "--quiet"];
    let worker = RunningProgram::start(project.command(&flags));
    wait_until("the first commit", TIMEOUT, || count_entries(&log_folder(&project)) > 1);
    produce_records(broker, "ended", &CALLS[1_000..]);
    worker.terminate();
    let read = records_in_summary(&worker.finish().expect_success().stdout_text());
    assert!(read >= 900, "{read} records");
    assert_eq!(row_total(&project), read);
    project.run_ok(&INGEST);
    check_row_counts(&project, Stream::ApiCalls, &expected_counts(&CALLS));
    check_late_flags(&project, Stream::ApiCalls);
}

#[test]
fn a_new_lake_starts_at_the_position_of_from() {
    let Some(broker) = &*BROKER else { return };
    broker.create_topic("begin", 2);
    produce_records(broker, "begin", &CALLS[..500]);
    let between = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let topics = format!("api_calls = \"begin\"\n{OTHER_STREAMS_OFF}");
    let latest = project_with_topics(broker, &topics);
    let from_latest = [&INGEST[..], &["--from", "latest"]].concat();
    latest.run_ok(&from_latest);
    produce_records(broker, "begin", &CALLS[500..800]);
    // From now on the lake holds the position.
    latest.run_ok(&INGEST);
    assert_eq!(row_total(&latest), 300);
    let instant = project_with_topics(broker, &topics);
    instant.run_ok(&[&INGEST[..], &["--from", &between]].concat());
    assert_eq!(row_total(&instant), 300);
    let earliest = project_with_topics(broker, &topics);
    earliest.run_ok(&INGEST);
    assert_eq!(row_total(&earliest), 800);
    let wrong = [&INGEST[..], &["--from", "soon"]].concat();
    earliest.run(&wrong).expect_error(2, &["\"soon\"", "earliest, latest"]);
}

#[test]
fn a_recreated_topic_is_refused() {
    let Some(broker) = &*BROKER else { return };
    let project = project(broker, "anew", 1);
    produce_records(broker, "anew", &CALLS[..200]);
    project.run_ok(&INGEST);
    broker.delete_topic("anew");
    broker.create_topic("anew", 1);
    produce_records(broker, "anew", &CALLS[200..600]);
    project.run(&INGEST).expect_error(1, &["\"anew\" was deleted and made anew", "another name"]);
    assert_eq!(row_total(&project), 200);
    project.run_ok(&["lake", "verify"]);
}

#[test]
fn a_missing_or_wrong_topic_is_refused() {
    let Some(broker) = &*BROKER else { return };
    let missing =
        project_with_topics(broker, &format!("api_calls = \"nowhere\"\n{OTHER_STREAMS_OFF}"));
    missing
        .run(&INGEST)
        .expect_error(1, &["the topic \"nowhere\" does not exist", "[kafka.topics]"]);

    // Nothing is stored of a topic with other records.
    let project = project(broker, "something-else", 2);
    let other: Vec<String> = (0..11_000).map(|n| format!("{{\"order\":{n}}}\n")).collect();
    broker.produce("something-else", None, &other.concat());
    let messages = ["is this the right topic for api-calls?", "--accept-rejects"];
    project.run(&INGEST).expect_error(1, &messages);
    assert_eq!(row_total(&project), 0);
    project.run_ok(&[&INGEST[..], &["--accept-rejects"]].concat());
    assert_eq!(project.query_number("SELECT count(*) FROM dead_letters"), 11_000);
}

#[test]
fn rapport_run_goes_from_topics_to_a_report() {
    let Some(broker) = KafkaBroker::start() else { return };
    let project = project_with_topics(&broker, "");
    let size = WorldSize { seed: 32, partners: 40, events: 4_000, days: 45 };
    for stream in Stream::ALL {
        broker.create_topic(stream.name(), 2);
    }
    let mut generate = rapport_command();
    generate.arg("generate").args(size.flags()).args(["--kafka", broker.bootstrap()]);
    run(generate).expect_success();
    let world = SimulatedWorld::new(size);
    world.write_csv_files(&project);
    let run_arguments = ["run", "--plan", "plan.json", "--out", "report", "--quiet"];
    let output = project.run_ok(&run_arguments);
    assert!(project.path("report/index.html").is_file(), "{output}");
    assert!(project.path("plan.json").is_file(), "{output}");
    for stream in Stream::ALL {
        check_row_counts(&project, stream, &expected_counts(&world.records(stream)));
    }
    check_metrics(&world.world, &project, &["2026-02-01", "2026-02-15"]);
    let counts = project.row_counts();
    project.run_ok(&run_arguments);
    assert_eq!(project.row_counts(), counts);
}
