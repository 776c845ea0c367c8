//! Other readers of Delta tables, deltalake and DuckDB, read the same rows as Rapport.

use std::path::Path;
use std::process::{Command, Output};

use domain::Stream;

use crate::support::kafka_broker::print_note;
use crate::support::program::Project;
use crate::support::simulated_world::{SimulatedWorld, WorldSize, ndjson};

/// Enough files for a checkpoint.
const FILE_COUNT: usize = 110;

/// The tables: the folder with a dot for each slash, and the name in SQL.
const TABLES: [(&str, &str); 14] = [
    ("raw.api_calls", "raw.api_calls"),
    ("raw.partner_events", "raw.partner_events"),
    ("raw.billing_events", "raw.billing_events"),
    ("raw.support_events", "raw.support_events"),
    ("raw.dead_letters", "dead_letters"),
    ("rollup.partner_day", "partner_day"),
    ("rollup.latency_histogram", "latency_histogram"),
    ("rollup.partner_minute_peak", "partner_minute_peak"),
    ("rollup.billing_day", "billing_day"),
    ("rollup.error_detail", "error_detail"),
    ("rollup.quality_day", "quality_day"),
    ("scores.partner_health", "partner_health"),
    ("scores.partner_signals", "partner_signals"),
    ("runs", "runs"),
];

fn run_reader_script(arguments: &[&Path]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/readers");
    Command::new(script).args(arguments).output().expect("the script can be run")
}

#[test]
fn deltalake_and_duckdb_read_the_same_rows() {
    let check = run_reader_script(&[Path::new("check")]);
    if !check.status.success() {
        let missing = String::from_utf8_lossy(&check.stderr);
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        return print_note(&format!("skipped, without other readers: {}", missing.trim_end()));
    }
    let project = lake_with_everything();
    let expected_rows = project.path("ours");
    std::fs::create_dir(&expected_rows).expect("a folder");
    for (folder, name) in TABLES {
        let all = format!("SELECT * FROM {name}");
        let rows = project.run(&["sql", &all, "--format", "parquet"]).expect_success();
        std::fs::write(expected_rows.join(format!("{folder}.parquet")), &rows.stdout)
            .expect("a file");
    }
    let agreement = run_reader_script(&[Path::new("agree"), &project.path("lake"), &expected_rows]);
    let output = String::from_utf8_lossy(&agreement.stdout).into_owned();
    let differences = String::from_utf8_lossy(&agreement.stderr);
    assert!(agreement.status.success(), "{output}{differences}");
    let read = output.lines().filter(|line| !line.contains(": 0 rows")).count();
    assert_eq!(read, 2 * TABLES.len(), "two readers find rows in every table:\n{output}");
}

/// Returns a lake with duplicates, dead letters, late events, a checkpoint, compacted days, rollups
/// and scores.
fn lake_with_everything() -> Project {
    let world = SimulatedWorld::new(WorldSize { seed: 44, partners: 40, events: 4_000, days: 45 });
    let project = Project::new();
    world.write_csv_files(&project);
    let calls = world.time_independent_records(Stream::ApiCalls);
    let names: Vec<String> = (0..FILE_COUNT).map(|n| format!("calls-{n}.ndjson")).collect();
    for (name, chunk) in names.iter().zip(calls.chunks(calls.len().div_ceil(FILE_COUNT))) {
        project.write(name, ndjson(chunk));
    }
    let mut load = vec!["ingest", "load", "--stream", "api-calls"];
    load.extend(names.iter().map(String::as_str).filter(|name| project.path(name).exists()));
    project.run_ok(&load);
    for stream in Stream::ALL.into_iter().filter(|stream| *stream != Stream::ApiCalls) {
        project.write("events.ndjson", ndjson(&world.time_independent_records(stream)));
        world.load_file(&project, stream, "events.ndjson");
    }
    let end = world.end();
    project.run_ok(&["metrics", "run", "--as-of", &end, "--out", "before"]);
    project.run_ok(&["lake", "compact"]);
    project.run_ok(&["score", "run", "--as-of", &end]);
    let log = project.path("lake/raw/api_calls/_delta_log/_last_checkpoint");
    assert!(log.exists(), "enough commits for a checkpoint");
    project
}
