//! Workers and brokers are killed; every record is in the lake exactly once.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use domain::Stream;
use fixtures::WorldOptions;

use crate::support::kafka_broker::{KafkaBroker, print_note};
use crate::support::kafka_project::{OTHER_STREAMS_OFF, produce_records, project_with_topics};
use crate::support::program::{Project, RunningProgram, count_entries, wait_until};
use crate::support::seeded_random::SeededRandom;
use crate::support::simulated_world::{
    SimulatedWorld, check_late_flags, check_row_counts, expected_counts, raw_table_folder,
};

const KILLS: u32 = 10;
const PARTITIONS: u32 = 3;
/// Rows of a commit: few, so that there are many moments to kill at.
const FLUSH_ROWS: &str = "50";
const TIMEOUT: Duration = Duration::from_secs(90);

fn world() -> SimulatedWorld {
    let mut options = WorldOptions::new(21, 40, 7_000, "2026-01-01".parse().expect("a day"));
    options.days = 3;
    // Enough for each kind of malformed record.
    options.rates.malformed = 0.01;
    options.rates.duplicates = 0.02;
    SimulatedWorld::from_options(options)
}

fn worker_command(project: &Project) -> Command {
    project.command(&["ingest", "run", "--until-caught-up", "--flush-rows", FLUSH_ROWS, "--quiet"])
}

#[test]
fn ten_kills_of_a_worker_lose_and_duplicate_nothing() {
    let Some(broker) = KafkaBroker::start() else { return };
    let world = world();
    let project = project_with_topics(&broker, "");
    world.write_csv_files(&project);
    for stream in Stream::ALL {
        broker.create_topic(stream.name(), PARTITIONS);
        produce_records(&broker, stream.name(), &world.time_independent_records(stream));
    }
    let mut random = SeededRandom::from_environment();
    print_note(&format!("RAPPORT_SEED={}", random.seed));
    let log = raw_table_folder(&project.path("."), Stream::ApiCalls).join("_delta_log");
    for kill in 1..=KILLS {
        kill_at_random(&project, &log, kill, &mut random);
    }
    RunningProgram::start(worker_command(&project)).finish().expect_success();
    for stream in Stream::ALL {
        check_offsets(&project, &broker, stream);
        check_row_counts(
            &project,
            stream,
            &expected_counts(&world.time_independent_records(stream)),
        );
        let late = check_late_flags(&project, stream);
        assert!(late > 0 || stream != Stream::ApiCalls, "no call came late");
    }
    check_event_ids(&project, &world);
    project.run_ok(&["lake", "verify"]);
    world.check_metrics(&project, &["2026-01-03", "2026-01-04"]);
    let counts = project.row_counts();
    let again = project.run(&["ingest", "run", "--until-caught-up"]).expect_success().stdout_text();
    assert!(again.starts_with("0 records"), "{again}");
    assert_eq!(project.row_counts(), counts);
}

/// Starts a worker and kills it after a random number of commits and a random pause.
fn kill_at_random(project: &Project, log: &Path, kill: u32, random: &mut SeededRandom) {
    let before = count_entries(log);
    let commits = 1 + random.below(3) as usize;
    let mut running = RunningProgram::start(worker_command(project));
    wait_until(&format!("{commits} commits before kill {kill}"), TIMEOUT, || {
        assert!(
            !running.has_ended(),
            "the worker ended before kill {kill}; more records are expected"
        );
        count_entries(log) >= before + commits
    });
    // The kill may strike while files or one of the two logs are written, or between two commits.
    random.pause(Duration::from_millis(120));
    running.kill();
}

/// Checks that the raw table and the dead letters together hold every offset of each partition up
/// to the broker's end exactly once, and nothing else.
fn check_offsets(project: &Project, broker: &KafkaBroker, stream: Stream) {
    let (table, topic) = (stream.table(), stream.name());
    let all = format!(
        "SELECT kafka_partition, kafka_offset FROM raw.{table} WHERE topic = '{topic}'
         UNION ALL
         SELECT kafka_partition, kafka_offset FROM dead_letters WHERE topic = '{topic}'"
    );
    let found = project.query_rows(&format!(
        "SELECT kafka_partition, count(*), count(DISTINCT kafka_offset), min(kafka_offset),
                max(kafka_offset) + 1
         FROM ({all}) GROUP BY 1 ORDER BY 1"
    ));
    let ends = broker.end_offsets(topic);
    let expected: Vec<String> =
        ends.iter().map(|(partition, end)| format!("{partition},{end},{end},0,{end}")).collect();
    assert_eq!(found, expected, "{topic}: partition, rows, offsets, first, end");
}

/// Checks that the events are those that were sent, each once.
fn check_event_ids(project: &Project, world: &SimulatedWorld) {
    let mut found = project.query_rows("SELECT event_id FROM api_calls");
    found.sort_unstable();
    let valid = world.time_independent_records(Stream::ApiCalls).into_iter();
    let mut sent: Vec<String> = valid
        .filter(|sent| sent.kind == fixtures::RecordKind::Event)
        .map(|sent| {
            let event: serde_json::Value = serde_json::from_slice(&sent.value).expect("an event");
            event["event_id"].as_str().expect("an id").to_owned()
        })
        .collect();
    sent.sort_unstable();
    assert!(found == sent, "{} event ids were found, {} sent", found.len(), sent.len());
}

#[test]
fn a_worker_survives_a_killed_and_restarted_broker() {
    let Some(mut broker) = KafkaBroker::start() else { return };
    let world = world();
    let project = project_with_topics(&broker, OTHER_STREAMS_OFF);
    let calls = world.time_independent_records(Stream::ApiCalls);
    broker.create_topic(Stream::ApiCalls.name(), PARTITIONS);
    produce_records(&broker, Stream::ApiCalls.name(), &calls);
    let log = raw_table_folder(&project.path("."), Stream::ApiCalls).join("_delta_log");
    let running = RunningProgram::start(worker_command(&project));
    wait_until("a few commits", TIMEOUT, || count_entries(&log) >= 4);
    broker.kill();
    broker.restart();
    running.finish().expect_success();
    check_offsets(&project, &broker, Stream::ApiCalls);
    check_row_counts(&project, Stream::ApiCalls, &expected_counts(&calls));
    check_late_flags(&project, Stream::ApiCalls);
    project.run_ok(&["lake", "verify"]);
}
