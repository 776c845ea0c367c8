//! Workers of a consumer group on a real Kafka broker: sharing, ending, beginning, refusing.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use lake_types::Stream;

use crate::crash::{ONLY_CALLS, produce, project_on};
use crate::kafka::Broker;
use crate::program::{Project, Running, entries, rapport, run, wait_until};
use crate::simulated::{
    Sent, Simulated, Size, check_late, check_metrics, check_tables, raw, truth,
};

const PATIENCE: Duration = Duration::from_secs(60);
const INGEST: [&str; 4] = ["ingest", "run", "--until-caught-up", "--quiet"];

/// One broker for the tests here; it ends with this process.
static BROKER: LazyLock<Option<Broker>> = LazyLock::new(Broker::start);

static CALLS: LazyLock<Vec<Sent>> = LazyLock::new(|| {
    Simulated::new(Size { seed: 31, partners: 30, events: 3_000, days: 4 })
        .timeless(Stream::ApiCalls)
});

/// A project that reads API calls from a topic of its own, and nothing else.
fn project(broker: &Broker, topic: &str, partitions: u32) -> Project {
    broker.create_topic(topic, partitions);
    project_on(broker, &format!("api_calls = \"{topic}\"\n{ONLY_CALLS}"))
}

/// The records a worker says it has read: the number that its summary begins with.
fn records(summary: &str) -> i64 {
    let number = summary.split(' ').next().unwrap_or("").replace(',', "");
    number.parse().unwrap_or_else(|_| panic!("no summary: {summary}"))
}

fn rows(project: &Project) -> i64 {
    project.counts().iter().sum()
}

fn log_of(project: &Project) -> std::path::PathBuf {
    raw(&project.path("."), Stream::ApiCalls).join("_delta_log")
}

#[test]
fn two_workers_share_a_topic() {
    let Some(broker) = &*BROKER else { return };
    let project = project(broker, "shared", 4);
    let logs = [project.path("one.log"), project.path("two.log")];
    let workers = logs.clone().map(|log| {
        let command = project.command(&["ingest", "run", "--flush-rows", "100", "-v"]);
        Running::start_logging(command, &log)
    });
    let half = |log: &Path| {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        let last = said.lines().rfind(|line| line.contains("assigned"));
        last.is_some_and(|line| line.contains('2'))
    };
    wait_until("two partitions for each worker", PATIENCE, || logs.iter().all(|log| half(log)));
    produce(broker, "shared", &CALLS);
    // Commits show that both are at work; what they have not read then, they leave.
    wait_until("commits", PATIENCE, || entries(&log_of(&project)) > 4);
    let read = workers.map(|worker| {
        worker.terminate();
        records(&worker.finish().succeeded().text())
    });
    assert_eq!(rows(&project), read.iter().sum::<i64>(), "{read:?} were said to be read");
    project.ok(&INGEST);
    check_tables(&project, Stream::ApiCalls, &truth(&CALLS));
    check_late(&project, Stream::ApiCalls);
    project.ok(&["lake", "verify"]);
}

#[test]
fn two_workers_race_to_the_end() {
    let Some(broker) = &*BROKER else { return };
    let project = project(broker, "race", 3);
    produce(broker, "race", &CALLS);
    let command = || project.command(&[&INGEST[..], &["--flush-rows", "100"]].concat());
    let workers = [Running::start(command()), Running::start(command())];
    let read = workers.map(|worker| records(&worker.finish().succeeded().text()));
    check_tables(&project, Stream::ApiCalls, &truth(&CALLS));
    check_late(&project, Stream::ApiCalls);
    assert!(read.iter().sum::<i64>() >= CALLS.len() as i64, "{read:?}");
    project.ok(&["lake", "verify"]);
}

#[test]
fn a_worker_told_to_end_commits_first() {
    let Some(broker) = &*BROKER else { return };
    let project = project(broker, "ended", 1);
    produce(broker, "ended", &CALLS[..1_000]);
    // One commit comes by rows; the rest would wait an hour for its own.
    let flags = ["ingest", "run", "--flush-rows", "900", "--flush-seconds", "3600", "--quiet"];
    let worker = Running::start(project.command(&flags));
    wait_until("the first commit", PATIENCE, || entries(&log_of(&project)) > 1);
    produce(broker, "ended", &CALLS[1_000..]);
    worker.terminate();
    let read = records(&worker.finish().succeeded().text());
    assert!(read >= 900, "{read} records");
    assert_eq!(rows(&project), read);
    project.ok(&INGEST);
    check_tables(&project, Stream::ApiCalls, &truth(&CALLS));
    check_late(&project, Stream::ApiCalls);
}

#[test]
fn a_new_lake_begins_where_it_is_told() {
    let Some(broker) = &*BROKER else { return };
    broker.create_topic("begin", 2);
    produce(broker, "begin", &CALLS[..500]);
    let between = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let topics = format!("api_calls = \"begin\"\n{ONLY_CALLS}");
    let latest = project_on(broker, &topics);
    let from_latest = [&INGEST[..], &["--from", "latest"]].concat();
    latest.ok(&from_latest);
    produce(broker, "begin", &CALLS[500..800]);
    // The position is the lake's from now on.
    latest.ok(&INGEST);
    assert_eq!(rows(&latest), 300);
    let instant = project_on(broker, &topics);
    instant.ok(&[&INGEST[..], &["--from", &between]].concat());
    assert_eq!(rows(&instant), 300);
    let earliest = project_on(broker, &topics);
    earliest.ok(&INGEST);
    assert_eq!(rows(&earliest), 800);
    let wrong = [&INGEST[..], &["--from", "soon"]].concat();
    earliest.run(&wrong).refused(2, &["\"soon\"", "earliest, latest"]);
}

#[test]
fn a_topic_made_anew_is_refused() {
    let Some(broker) = &*BROKER else { return };
    let project = project(broker, "anew", 1);
    produce(broker, "anew", &CALLS[..200]);
    project.ok(&INGEST);
    broker.delete_topic("anew");
    broker.create_topic("anew", 1);
    produce(broker, "anew", &CALLS[200..600]);
    project.run(&INGEST).refused(1, &["\"anew\" was deleted and made anew", "another name"]);
    assert_eq!(rows(&project), 200);
    project.ok(&["lake", "verify"]);
}

#[test]
fn the_wrong_topic() {
    let Some(broker) = &*BROKER else { return };
    let missing = project_on(broker, &format!("api_calls = \"nowhere\"\n{ONLY_CALLS}"));
    missing.run(&INGEST).refused(1, &["the topic \"nowhere\" does not exist", "[kafka.topics]"]);

    // A topic of something else: nothing of it is kept.
    let project = project(broker, "something-else", 2);
    let other: Vec<String> = (0..11_000).map(|n| format!("{{\"order\":{n}}}\n")).collect();
    broker.produce("something-else", None, &other.concat());
    let words = ["is this the right topic for api-calls?", "--accept-rejects"];
    project.run(&INGEST).refused(1, &words);
    assert_eq!(rows(&project), 0);
    project.ok(&[&INGEST[..], &["--accept-rejects"]].concat());
    assert_eq!(project.number("SELECT count(*) FROM dead_letters"), 11_000);
}

#[test]
fn one_tick_from_topics_to_report() {
    let Some(broker) = Broker::start() else { return };
    let project = project_on(&broker, "");
    let size = Size { seed: 32, partners: 40, events: 4_000, days: 45 };
    for stream in Stream::ALL {
        broker.create_topic(stream.name(), 2);
    }
    let mut generate = rapport();
    generate.arg("generate").args(size.flags()).args(["--kafka", broker.bootstrap()]);
    run(generate).succeeded();
    let world = Simulated::new(size);
    world.share_tables(&project);
    let tick = ["run", "--plan", "plan.json", "--out", "report", "--quiet"];
    let said = project.ok(&tick);
    assert!(project.path("report/index.html").is_file(), "{said}");
    assert!(project.path("plan.json").is_file(), "{said}");
    for stream in Stream::ALL {
        check_tables(&project, stream, &truth(&world.sent(stream)));
    }
    check_metrics(&world.world, &project, &["2026-02-01", "2026-02-15"]);
    let counts = project.counts();
    project.ok(&tick);
    assert_eq!(project.counts(), counts);
}
