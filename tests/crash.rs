//! A worker killed again and again against a real Kafka broker: every record once, none lost.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fixtures::WorldOptions;
use lake_types::Stream;

use crate::faults::luck::Luck;
use crate::kafka::{Broker, note};
use crate::program::{Project, Running, entries, wait_until};
use crate::simulated::{Sent, Simulated, check_late, check_tables, keyed_lines, raw, truth};

const KILLS: u32 = 10;
const PARTITIONS: u32 = 3;
/// Rows a commit: small, so that there are many moments to be killed at.
const FLUSH_ROWS: &str = "50";
const PATIENCE: Duration = Duration::from_secs(90);

/// A project that reads the broker, giving a killed worker's partitions up soon.
pub(crate) fn project_on(broker: &Broker, topics: &str) -> Project {
    let project = Project::new();
    let servers = broker.bootstrap();
    project.write(
        "rapport.toml",
        format!(
            "[kafka]\nbootstrap_servers = \"{servers}\"\n[kafka.topics]\n{topics}\n\
             [kafka.properties]\n\"session.timeout.ms\" = 1500\n\"heartbeat.interval.ms\" = 300\n"
        ),
    );
    project
}

/// Produces a stream's records with kcat.
pub(crate) fn produce(broker: &Broker, topic: &str, records: &[Sent]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::io::Write::write_all(&mut file, &keyed_lines(records)).expect("room for the records");
    broker.produce_file(topic, Some('\t'), file.path());
}

fn world() -> Simulated {
    let mut options = WorldOptions::new(21, 40, 7_000, "2026-01-01".parse().expect("a day"));
    options.days = 3;
    // Enough for each kind of malformed record there is.
    options.rates.malformed = 0.01;
    options.rates.duplicates = 0.02;
    Simulated::drawn(options)
}

fn worker(project: &Project) -> Command {
    project.command(&["ingest", "run", "--until-caught-up", "--flush-rows", FLUSH_ROWS, "--quiet"])
}

#[test]
fn ten_kills_lose_and_double_nothing() {
    let Some(broker) = Broker::start() else { return };
    let world = world();
    let project = project_on(&broker, "");
    world.share_tables(&project);
    for stream in Stream::ALL {
        broker.create_topic(stream.name(), PARTITIONS);
        produce(&broker, stream.name(), &world.timeless(stream));
    }
    let mut luck = Luck::new();
    note(&format!("RAPPORT_SEED={}", luck.seed));
    let log = raw(&project.path("."), Stream::ApiCalls).join("_delta_log");
    for kill in 1..=KILLS {
        kill_at_random(&project, &log, kill, &mut luck);
    }
    Running::start(worker(&project)).finish().succeeded();
    for stream in Stream::ALL {
        check_offsets(&project, &broker, stream);
        check_tables(&project, stream, &truth(&world.timeless(stream)));
        let late = check_late(&project, stream);
        assert!(late > 0 || stream != Stream::ApiCalls, "no call came late");
    }
    check_event_ids(&project, &world);
    project.ok(&["lake", "verify"]);
    world.check_metrics(&project, &["2026-01-03", "2026-01-04"]);
    let counts = project.counts();
    let again = project.run(&["ingest", "run", "--until-caught-up"]).succeeded().text();
    assert!(again.starts_with("0 records"), "{again}");
    assert_eq!(project.counts(), counts);
}

/// Starts a worker and kills it a random number of commits on, a random instant after the last.
fn kill_at_random(project: &Project, log: &Path, kill: u32, luck: &mut Luck) {
    let before = entries(log);
    let commits = 1 + luck.below(3) as usize;
    let mut running = Running::start(worker(project));
    wait_until(&format!("{commits} commits before kill {kill}"), PATIENCE, || {
        assert!(!running.has_ended(), "the worker ended before kill {kill}; more records are due");
        entries(log) >= before + commits
    });
    // Any instant of the next commit: its files, its two logs, or between two commits.
    luck.pause(Duration::from_millis(120));
    running.kill();
}

/// Of each partition every offset up to the broker's end stands once in the raw table or the dead
/// letters, and nothing else does.
fn check_offsets(project: &Project, broker: &Broker, stream: Stream) {
    let (table, topic) = (stream.table(), stream.name());
    let all = format!(
        "SELECT kafka_partition, kafka_offset FROM raw.{table} WHERE topic = '{topic}'
         UNION ALL
         SELECT kafka_partition, kafka_offset FROM dead_letters WHERE topic = '{topic}'"
    );
    let found = project.rows(&format!(
        "SELECT kafka_partition, count(*), count(DISTINCT kafka_offset), min(kafka_offset),
                max(kafka_offset) + 1
         FROM ({all}) GROUP BY 1 ORDER BY 1"
    ));
    let ends = broker.ends(topic);
    let expected: Vec<String> =
        ends.iter().map(|(partition, end)| format!("{partition},{end},{end},0,{end}")).collect();
    assert_eq!(found, expected, "{topic}: partition, rows, offsets, first, end");
}

/// The events are those that were sent, each once.
fn check_event_ids(project: &Project, world: &Simulated) {
    let mut found = project.rows("SELECT event_id FROM api_calls");
    found.sort_unstable();
    let valid = world.timeless(Stream::ApiCalls).into_iter();
    let mut sent: Vec<String> = valid
        .filter(|sent| sent.kind == fixtures::Kind::Event)
        .map(|sent| {
            let event: serde_json::Value = serde_json::from_slice(&sent.value).expect("an event");
            event["event_id"].as_str().expect("an id").to_owned()
        })
        .collect();
    sent.sort_unstable();
    assert!(found == sent, "{} event ids were found, {} sent", found.len(), sent.len());
}

#[test]
fn a_broker_that_is_killed_and_comes_back() {
    let Some(mut broker) = Broker::start() else { return };
    let world = world();
    let project = project_on(&broker, ONLY_CALLS);
    let calls = world.timeless(Stream::ApiCalls);
    broker.create_topic(Stream::ApiCalls.name(), PARTITIONS);
    produce(&broker, Stream::ApiCalls.name(), &calls);
    let log = raw(&project.path("."), Stream::ApiCalls).join("_delta_log");
    let running = Running::start(worker(&project));
    wait_until("a few commits", PATIENCE, || entries(&log) >= 4);
    broker.kill();
    broker.start_again();
    running.finish().succeeded();
    check_offsets(&project, &broker, Stream::ApiCalls);
    check_tables(&project, Stream::ApiCalls, &truth(&calls));
    check_late(&project, Stream::ApiCalls);
    project.ok(&["lake", "verify"]);
}

/// Topics of a project that reads API calls alone.
pub(crate) const ONLY_CALLS: &str =
    "partner_events = \"\"\nbilling_events = \"\"\nsupport_events = \"\"";
