//! Compaction and vacuum beside a worker and readers, and retention of days.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use domain::Stream;

use crate::support::kafka_broker::KafkaBroker;
use crate::support::kafka_project::{OTHER_STREAMS_OFF, produce_records, project_with_topics};
use crate::support::metric_files::{assert_same_metrics, without_data_quality};
use crate::support::program::{
    Project, RunningProgram, count_entries, rapport_command, run, wait_until,
};
use crate::support::simulated_world::{
    SimulatedWorld, WorldSize, expected_counts, ndjson, raw_table_folder,
};

const TIMEOUT: Duration = Duration::from_secs(90);

#[test]
fn compaction_beside_a_worker_and_readers_loses_nothing() {
    let Some(broker) = KafkaBroker::start() else { return };
    let world = SimulatedWorld::new(WorldSize { seed: 51, partners: 30, events: 3_000, days: 6 });
    let calls = world.time_independent_records(Stream::ApiCalls);
    broker.create_topic("upkeep", 2);
    let project =
        project_with_topics(&broker, &format!("api_calls = \"upkeep\"\n{OTHER_STREAMS_OFF}"));
    let table = raw_table_folder(&project.path("."), Stream::ApiCalls);
    let commits = || count_entries(&table.join("_delta_log"));
    let (first, rest) = calls.split_at(calls.len() / 6);
    produce_records(&broker, "upkeep", first);
    let flags = ["ingest", "run", "--flush-rows", "60", "--flush-seconds", "1", "--quiet"];
    let worker = RunningProgram::start(project.command(&flags));
    wait_until("the first commits", TIMEOUT, || commits() > 3);
    let done = AtomicBool::new(false);
    let mut compacted = 0;
    std::thread::scope(|scope| {
        // Each answer is of one version of the table, and no later answer has fewer events.
        scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::SeqCst) {
                let count = project.query_number("SELECT count(*) FROM api_calls");
                assert!(count >= seen, "{count} events after {seen}");
                seen = count;
            }
        });
        for chunk in rest.chunks(rest.len() / 5 + 1) {
            let before = commits();
            produce_records(&broker, "upkeep", chunk);
            wait_until("more commits", TIMEOUT, || commits() > before + 2);
            // A file of a commit that never happened, old enough for the vacuum.
            let orphan = table.join("event_date=2026-01-01/part-orphan.parquet");
            let old = SystemTime::now() - Duration::from_secs(3 * 3_600);
            let file = std::fs::File::create(&orphan).expect("a file");
            file.set_modified(old).expect("an older file");
            let output = project.run_ok(&["lake", "compact"]);
            compacted += i32::from(!output.starts_with("0 days"));
            project.run_ok(&["lake", "vacuum", "--retention-hours", "1"]);
            assert!(!orphan.exists());
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(compacted > 1, "{compacted} of the compactions had something to do");
    worker.terminate();
    worker.finish().expect_success();
    project.run_ok(&["ingest", "run", "--until-caught-up", "--quiet"]);
    let status = project.run_ok(&["lake", "status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let of_calls = &status["tables"].as_array().expect("tables")[0];
    let count = |field: &str| of_calls[field].as_i64().expect("a number");
    assert_eq!(of_calls["table"], "raw/api_calls");
    let sent = expected_counts(&calls);
    assert_eq!(project.query_number("SELECT count(*) FROM api_calls"), sent.events);
    assert_eq!(count("rows") + count("copies_dropped"), sent.events + sent.copies);
    project.run_ok(&["lake", "verify"]);
}

const RETENTION_CONFIG: &str = "[lake.retention]\napi_calls = \"20d\"\ndead_letters = \"5d\"\n";

/// Returns the rows of all raw tables, and the rows that were dropped, erased or retired.
fn rows_and_dropped(project: &Project) -> (i64, i64) {
    let status = project.run_ok(&["lake", "status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let tables = status["tables"].as_array().expect("tables");
    let of_records =
        |t: &&serde_json::Value| t["table"].as_str().is_some_and(|n| n.starts_with("raw/"));
    let sum = |field: &str| -> i64 {
        tables.iter().filter(of_records).filter_map(|t| t[field].as_i64()).sum()
    };
    (sum("rows"), sum("copies_dropped") + sum("erased") + sum("retired"))
}

#[test]
fn retention_keeps_metrics_of_sealed_days_and_rejects_their_late_events() {
    let world = SimulatedWorld::from_options(
        WorldSize { seed: 52, partners: 25, events: 4_000, days: 45 }.options(),
    );
    let end = world.end();
    let metrics = |project: &Project| without_data_quality(project.run_all_metrics(&end));
    // The same events in a lake that keeps everything, and in one with retention.
    let (all, project) = (Project::new(), Project::new());
    world.load(&all);
    world.load(&project);
    project.run(&["lake", "retain"]).expect_success();
    assert_eq!(project.row_counts(), all.row_counts(), "no retention is set");
    project.write("rapport.toml", RETENTION_CONFIG);
    let ingested: i64 = project.row_counts().iter().sum();
    let output = project.run_ok(&["lake", "retain", "--dry-run"]);
    assert!(output.contains("raw/api_calls: ") && output.contains("would be sealed"), "{output}");
    assert_eq!(project.row_counts(), all.row_counts(), "a dry run changes nothing");

    let calls = project.query_number("SELECT count(*) FROM api_calls");
    project.run_ok(&["lake", "compact"]);
    let output = project.run_ok(&["lake", "retain"]);
    assert!(output.contains(" sealed, "), "{output}");
    let left = project.query_number("SELECT count(*) FROM api_calls");
    assert!(0 < left && left < calls, "{left} of {calls}");
    let (rows, dropped) = rows_and_dropped(&project);
    assert_eq!(rows + dropped, ingested);
    assert_same_metrics(&metrics(&all), &metrics(&project), "a lake with sealed days");
    assert!(
        project.run_ok(&["lake", "retain"]).contains("0 files"),
        "again there is nothing to do"
    );

    // A late event of an open day counts, one of a sealed day is rejected.
    let event = |id: &str, day: &str| {
        format!(
            "{{\"event_id\":\"{id}\",\"partner_id\":\"late-one\",\"status\":200,\"occurred_at\":\"{day}T10:00:00Z\"}}\n"
        )
    };
    let (open, sealed) = (event("l-1", "2026-02-10"), event("l-2", "2026-01-03"));
    all.write("late.ndjson", &open);
    project.write("late.ndjson", [open, sealed].concat());
    world.load_file(&all, Stream::ApiCalls, "late.ndjson");
    world.load_file(&project, Stream::ApiCalls, "late.ndjson");
    assert_same_metrics(&metrics(&all), &metrics(&project), "late events");
    let rejected = "SELECT reason, field FROM dead_letters WHERE topic LIKE 'file:late%'";
    assert_eq!(project.query_rows(rejected), ["out_of_range,occurred_at"]);

    // The same file adds nothing; a new event of a sealed day is rejected with a message.
    let dead_letters = || project.query_number("SELECT count(*) FROM dead_letters");
    let before = (project.query_number("SELECT count(*) FROM raw.api_calls"), dead_letters());
    project.write("same.ndjson", ndjson(&world.time_independent_records(Stream::ApiCalls)));
    world.load_file(&project, Stream::ApiCalls, "same.ndjson");
    let again = (project.query_number("SELECT count(*) FROM raw.api_calls"), dead_letters());
    assert_eq!(again, before, "the same bytes");
    project.write("one.ndjson", event("l-3", "2026-01-03"));
    let result =
        project.run(&["ingest", "load", "--stream", "api-calls", "one.ndjson"]).expect_success();
    for expected in
        ["1 of the rejected records is of days before 2026-0", "sealed", "[lake.retention]"]
    {
        assert!(result.stderr.contains(expected), "no {expected} in {result}");
    }
    assert_eq!(dead_letters(), before.1 + 1);

    // An erasure reaches the rollups of sealed days.
    let partner =
        all.query_rows("SELECT min(partner_id) FROM api_calls WHERE event_date < '2026-01-10'");
    let erase = ["lake", "erase", "--partner", &partner[0], "--yes"];
    for project in [&all, &project] {
        project.run_ok(&erase);
    }
    assert_same_metrics(&metrics(&all), &metrics(&project), "an erasure");

    // A rollup whose query changes is computed again, except for sealed days.
    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/queries/rollups/partner_day.sql");
    let sql = std::fs::read_to_string(built_in).expect("the built-in rollup");
    let (before, changed) = ("count(*) AS calls", "count(1) AS calls");
    assert!(sql.contains(before));
    std::fs::create_dir_all(project.path("queries/rollups")).expect("a folder");
    project.write("queries/rollups/partner_day.sql", sql.replace(before, changed));
    assert_same_metrics(&metrics(&all), &metrics(&project), "a rollup built anew");
    project.run_ok(&["lake", "vacuum", "--retention-hours", "1"]);
    project.run_ok(&["lake", "verify"]);

    // A rollup that reads all earlier days cannot be combined with retention.
    project.write(
        "queries/rollups/so_far.sql",
        "/*---\ndescription = \"d\"\ngrain = [\"event_date\"]\nreads = { api_calls = \"upto\" }\n[columns]\nevent_date = { type = \"Date32\" }\n---*/\nSELECT DISTINCT event_date FROM api_calls\n",
    );
    project.run(&["lake", "retain"]).expect_error(2, &["so_far.sql", "\"lookback N\""]);

    project.write("rapport.toml", "[lake.retention]\napi_calls = \"soon\"\n");
    project.run(&["lake", "retain"]).expect_error(2, &["\"soon\"", "write 400d"]);
    project.write("rapport.toml", "[lake.retention]\nbilling_events = \"1d\"\n");
    project.run(&["lake", "retain"]).expect_error(2, &["billing_events", "api_calls"]);
}

#[test]
fn a_running_worker_rejects_events_of_a_sealed_day() {
    let Some(broker) = KafkaBroker::start() else { return };
    let world = SimulatedWorld::new(WorldSize { seed: 53, partners: 20, events: 2_000, days: 8 });
    broker.create_topic("sealed", 1);
    let project =
        project_with_topics(&broker, &format!("api_calls = \"sealed\"\n{OTHER_STREAMS_OFF}"));
    let settings = std::fs::read_to_string(project.path("rapport.toml")).expect("settings");
    let retention = "[lake.retention]\napi_calls = \"3d\"\n";
    project.write("rapport.toml", format!("{retention}{settings}"));
    produce_records(&broker, "sealed", &world.time_independent_records(Stream::ApiCalls));
    let flags = ["ingest", "run", "--flush-seconds", "1", "--quiet"];
    let worker = RunningProgram::start(project.command(&flags));
    let sent = expected_counts(&world.time_independent_records(Stream::ApiCalls));
    let commits = || {
        count_entries(&raw_table_folder(&project.path("."), Stream::ApiCalls).join("_delta_log"))
    };
    wait_until("the first commit", TIMEOUT, || commits() > 1);
    let all = || project.query_number("SELECT count(*) FROM raw.api_calls");
    wait_until("all events", TIMEOUT, || all() == sent.events + sent.copies);

    let output = project.run_ok(&["lake", "retain"]);
    let left = all();
    assert!(left < sent.events, "{output}");
    // One event of a sealed day and one of an open day arrive in one commit.
    let event = |id: &str, day: &str| {
        format!(
            "{{\"event_id\":\"{id}\",\"partner_id\":\"late-one\",\"status\":200,\
             \"occurred_at\":\"{day}T10:00:00Z\"}}\n"
        )
    };
    let late = [event("l-1", "2026-01-02"), event("l-2", "2026-01-08")].concat();
    broker.produce("sealed", None, &late);
    wait_until("the open day's event", TIMEOUT, || all() == left + 1);
    worker.terminate();
    worker.finish().expect_success();
    let rejected = "SELECT reason FROM dead_letters WHERE kafka_offset =
                    (SELECT max(kafka_offset) - 1 FROM raw.api_calls)";
    assert_eq!(project.query_rows(rejected), ["out_of_range"]);
    assert_eq!(all(), left + 1);
    project.run_ok(&["lake", "verify"]);
}

#[test]
fn the_benchmark_of_commits_measures_every_worker_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().display().to_string();
    let mut command = rapport_command();
    command.args(["bench", "commits", "--workers", "1,3", "--seconds", "2", "--format", "json"]);
    command.args(["--quiet", "--lake", &root]).current_dir(folder.path());
    let output = run(command).expect_success().stdout_text();
    let report: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    let rounds = report["rounds"].as_array().expect("rounds");
    let workers: Vec<u64> = rounds.iter().filter_map(|round| round["workers"].as_u64()).collect();
    assert_eq!(workers, [1, 3]);
    for round in rounds {
        assert!(round["fairness"].as_f64() > Some(0.0), "no worker is left behind: {round}");
        assert!(round["ratio"].as_f64() > Some(0.0), "{round}");
    }
    assert_eq!(count_entries(folder.path()), 0);
}
