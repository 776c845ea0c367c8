//! Keeping a lake small: compaction beside a worker and readers, days that are past their retention.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use lake_types::Stream;

use crate::crash::{ONLY_CALLS, produce, project_on};
use crate::kafka::Broker;
use crate::pieces::{assert_same, of_events};
use crate::program::{Project, Running, entries, wait_until};
use crate::simulated::{Simulated, Size, lines, raw, truth};

const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn compaction_beside_a_worker_and_readers() {
    let Some(broker) = Broker::start() else { return };
    let world = Simulated::new(Size { seed: 51, partners: 30, events: 3_000, days: 6 });
    let calls = world.timeless(Stream::ApiCalls);
    broker.create_topic("upkeep", 2);
    let project = project_on(&broker, &format!("api_calls = \"upkeep\"\n{ONLY_CALLS}"));
    let table = raw(&project.path("."), Stream::ApiCalls);
    let commits = || entries(&table.join("_delta_log"));
    let (first, rest) = calls.split_at(calls.len() / 6);
    produce(&broker, "upkeep", first);
    let flags = ["ingest", "run", "--flush-rows", "60", "--flush-seconds", "1", "--quiet"];
    let worker = Running::start(project.command(&flags));
    wait_until("the first commits", PATIENCE, || commits() > 3);
    let done = AtomicBool::new(false);
    let mut compacted = 0;
    std::thread::scope(|scope| {
        // Every answer is of one version of the table, and no later one has fewer events.
        scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::SeqCst) {
                let count = project.number("SELECT count(*) FROM api_calls");
                assert!(count >= seen, "{count} events after {seen}");
                seen = count;
            }
        });
        for piece in rest.chunks(rest.len() / 5 + 1) {
            let before = commits();
            produce(&broker, "upkeep", piece);
            wait_until("more commits", PATIENCE, || commits() > before + 2);
            // A file of a commit that never came, old enough to go.
            let orphan = table.join("event_date=2026-01-01/part-orphan.parquet");
            let old = SystemTime::now() - Duration::from_secs(3 * 3_600);
            let file = std::fs::File::create(&orphan).expect("a file");
            file.set_modified(old).expect("an older file");
            let said = project.ok(&["lake", "compact"]);
            compacted += i32::from(!said.starts_with("0 days"));
            project.ok(&["lake", "vacuum", "--retention-hours", "1"]);
            assert!(!orphan.exists());
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(compacted > 1, "{compacted} of the compactions had something to do");
    worker.terminate();
    worker.finish().succeeded();
    project.ok(&["ingest", "run", "--until-caught-up", "--quiet"]);
    let status = project.ok(&["lake", "status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let of_calls = &status["tables"].as_array().expect("tables")[0];
    let count = |field: &str| of_calls[field].as_i64().expect("a number");
    assert_eq!(of_calls["table"], "raw/api_calls");
    let sent = truth(&calls);
    assert_eq!(project.number("SELECT count(*) FROM api_calls"), sent.events);
    assert_eq!(count("rows") + count("copies_dropped"), sent.events + sent.copies);
    project.ok(&["lake", "verify"]);
}

const KEPT: &str = "[lake.retention]\napi_calls = \"20d\"\ndead_letters = \"5d\"\n";

/// Of all tables together: rows, and what is not there any longer.
fn accounted(project: &Project) -> (i64, i64) {
    let status = project.ok(&["lake", "status", "--format", "json"]);
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
fn sealed_days_keep_what_was_computed_and_take_nothing_more() {
    let world =
        Simulated::drawn(Size { seed: 52, partners: 25, events: 4_000, days: 45 }.options());
    let end = world.end();
    let metrics = |project: &Project| of_events(project.metrics(&end));
    // The same events, in a lake that keeps everything and in one that does not.
    let (all, project) = (Project::new(), Project::new());
    world.load(&all);
    world.load(&project);
    project.run(&["lake", "retain"]).succeeded();
    assert_eq!(project.counts(), all.counts(), "no retention is set");
    project.write("rapport.toml", KEPT);
    let taken: i64 = project.counts().iter().sum();
    let said = project.ok(&["lake", "retain", "--dry-run"]);
    assert!(said.contains("raw/api_calls: ") && said.contains("would be sealed"), "{said}");
    assert_eq!(project.counts(), all.counts(), "a dry run changes nothing");

    let calls = project.number("SELECT count(*) FROM api_calls");
    project.ok(&["lake", "compact"]);
    let said = project.ok(&["lake", "retain"]);
    assert!(said.contains(" sealed, "), "{said}");
    let left = project.number("SELECT count(*) FROM api_calls");
    assert!(0 < left && left < calls, "{left} of {calls}");
    let (rows, gone) = accounted(&project);
    assert_eq!(rows + gone, taken);
    assert_same(&metrics(&all), &metrics(&project), "a lake with sealed days");
    assert!(project.ok(&["lake", "retain"]).contains("0 files"), "again there is nothing to do");

    // What comes later: for an open day it counts, for a sealed one it is rejected.
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
    assert_same(&metrics(&all), &metrics(&project), "late events");
    let rejected = "SELECT reason, field FROM dead_letters WHERE topic LIKE 'file:late%'";
    assert_eq!(project.rows(rejected), ["out_of_range,occurred_at"]);

    // The same bytes again add nothing; other bytes with the same events are told to be of sealed days.
    let letters = || project.number("SELECT count(*) FROM dead_letters");
    let before = (project.number("SELECT count(*) FROM raw.api_calls"), letters());
    project.write("same.ndjson", lines(&world.timeless(Stream::ApiCalls)));
    world.load_file(&project, Stream::ApiCalls, "same.ndjson");
    let again = (project.number("SELECT count(*) FROM raw.api_calls"), letters());
    assert_eq!(again, before, "the same bytes");
    project.write("one.ndjson", event("l-3", "2026-01-03"));
    let ran = project.run(&["ingest", "load", "--stream", "api-calls", "one.ndjson"]).succeeded();
    for due in ["1 of the rejected records is of days before 2026-0", "sealed", "[lake.retention]"]
    {
        assert!(ran.stderr.contains(due), "no {due} in {ran}");
    }
    assert_eq!(letters(), before.1 + 1);

    // An erasure reaches what was computed of sealed days.
    let partner = all.rows("SELECT min(partner_id) FROM api_calls WHERE event_date < '2026-01-10'");
    let erase = ["lake", "erase", "--partner", &partner[0], "--yes"];
    for project in [&all, &project] {
        project.ok(&erase);
    }
    assert_same(&metrics(&all), &metrics(&project), "an erasure");

    // A rollup whose query changes is built anew, but for what nothing is left of.
    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/queries/rollups/partner_day.sql");
    let sql = std::fs::read_to_string(built_in).expect("the built-in rollup");
    let (before, changed) = ("count(*) AS calls", "count(1) AS calls");
    assert!(sql.contains(before));
    std::fs::create_dir_all(project.path("queries/rollups")).expect("a folder");
    project.write("queries/rollups/partner_day.sql", sql.replace(before, changed));
    assert_same(&metrics(&all), &metrics(&project), "a rollup built anew");
    project.ok(&["lake", "vacuum", "--retention-hours", "1"]);
    project.ok(&["lake", "verify"]);

    // One that reads every day can't go with retention.
    project.write(
        "queries/rollups/so_far.sql",
        "/*---\ndescription = \"d\"\ngrain = [\"event_date\"]\nreads = { api_calls = \"upto\" }\n[columns]\nevent_date = { type = \"Date32\" }\n---*/\nSELECT DISTINCT event_date FROM api_calls\n",
    );
    project.run(&["lake", "retain"]).refused(2, &["so_far.sql", "\"lookback N\""]);

    project.write("rapport.toml", "[lake.retention]\napi_calls = \"soon\"\n");
    project.run(&["lake", "retain"]).refused(2, &["\"soon\"", "write 400d"]);
    project.write("rapport.toml", "[lake.retention]\nbilling_events = \"1d\"\n");
    project.run(&["lake", "retain"]).refused(2, &["billing_events", "api_calls"]);
}

#[test]
fn a_worker_that_runs_learns_of_a_sealed_day() {
    let Some(broker) = Broker::start() else { return };
    let world = Simulated::new(Size { seed: 53, partners: 20, events: 2_000, days: 8 });
    broker.create_topic("sealed", 1);
    let project = project_on(&broker, &format!("api_calls = \"sealed\"\n{ONLY_CALLS}"));
    let settings = std::fs::read_to_string(project.path("rapport.toml")).expect("settings");
    let retention = "[lake.retention]\napi_calls = \"3d\"\n";
    project.write("rapport.toml", format!("{retention}{settings}"));
    produce(&broker, "sealed", &world.timeless(Stream::ApiCalls));
    let flags = ["ingest", "run", "--flush-seconds", "1", "--quiet"];
    let worker = Running::start(project.command(&flags));
    let sent = truth(&world.timeless(Stream::ApiCalls));
    let commits = || entries(&raw(&project.path("."), Stream::ApiCalls).join("_delta_log"));
    wait_until("the first commit", PATIENCE, || commits() > 1);
    let all = || project.number("SELECT count(*) FROM raw.api_calls");
    wait_until("all events", PATIENCE, || all() == sent.events + sent.copies);

    let said = project.ok(&["lake", "retain"]);
    let left = all();
    assert!(left < sent.events, "{said}");
    // For a sealed day and for an open one, in one commit.
    let event = |id: &str, day: &str| {
        format!(
            "{{\"event_id\":\"{id}\",\"partner_id\":\"late-one\",\"status\":200,\
             \"occurred_at\":\"{day}T10:00:00Z\"}}\n"
        )
    };
    let late = [event("l-1", "2026-01-02"), event("l-2", "2026-01-08")].concat();
    broker.produce("sealed", None, &late);
    wait_until("the open day's event", PATIENCE, || all() == left + 1);
    worker.terminate();
    worker.finish().succeeded();
    let rejected = "SELECT reason FROM dead_letters WHERE kafka_offset =
                    (SELECT max(kafka_offset) - 1 FROM raw.api_calls)";
    assert_eq!(project.rows(rejected), ["out_of_range"]);
    assert_eq!(all(), left + 1);
    project.ok(&["lake", "verify"]);
}
