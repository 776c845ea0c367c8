//! Programs of other makers read the lake and find the same rows.

use std::path::Path;
use std::process::{Command, Output};

use lake_types::Stream;

use crate::kafka::note;
use crate::program::Project;
use crate::simulated::{Simulated, Size, lines};

/// More than a checkpoint is written after.
const FILES: usize = 110;

/// Tables by their folders, and as SQL names them.
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

fn readers(arguments: &[&Path]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/readers");
    Command::new(script).args(arguments).output().expect("the script can be run")
}

#[test]
fn deltalake_and_duckdb_find_the_same_rows() {
    let check = readers(&[Path::new("check")]);
    if !check.status.success() {
        let missing = String::from_utf8_lossy(&check.stderr);
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        return note(&format!("skipped, without other readers: {}", missing.trim_end()));
    }
    let project = lake();
    let ours = project.path("ours");
    std::fs::create_dir(&ours).expect("a folder");
    for (folder, name) in TABLES {
        let all = format!("SELECT * FROM {name}");
        let rows = project.run(&["sql", &all, "--format", "parquet"]).succeeded();
        std::fs::write(ours.join(format!("{folder}.parquet")), &rows.stdout).expect("a file");
    }
    let found = readers(&[Path::new("agree"), &project.path("lake"), &ours]);
    let said = String::from_utf8_lossy(&found.stdout).into_owned();
    let differences = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "{said}{differences}");
    let read = said.lines().filter(|line| !line.contains(": 0 rows")).count();
    assert_eq!(read, 2 * TABLES.len(), "two readers find rows in every table:\n{said}");
}

/// A lake with all there may be: copies, dead letters, late events, a checkpoint, compacted days,
/// rollups, scores.
fn lake() -> Project {
    let world = Simulated::new(Size { seed: 44, partners: 40, events: 4_000, days: 45 });
    let project = Project::new();
    world.share_tables(&project);
    let calls = world.timeless(Stream::ApiCalls);
    let names: Vec<String> = (0..FILES).map(|n| format!("calls-{n}.ndjson")).collect();
    for (name, part) in names.iter().zip(calls.chunks(calls.len().div_ceil(FILES))) {
        project.write(name, lines(part));
    }
    let mut load = vec!["ingest", "load", "--stream", "api-calls"];
    load.extend(names.iter().map(String::as_str).filter(|name| project.path(name).exists()));
    project.ok(&load);
    for stream in Stream::ALL.into_iter().filter(|stream| *stream != Stream::ApiCalls) {
        project.write("events.ndjson", lines(&world.timeless(stream)));
        world.load_file(&project, stream, "events.ndjson");
    }
    let end = world.end();
    project.ok(&["metrics", "run", "--as-of", &end, "--out", "before"]);
    project.ok(&["lake", "compact"]);
    project.ok(&["score", "run", "--as-of", &end]);
    let log = project.path("lake/raw/api_calls/_delta_log/_last_checkpoint");
    assert!(log.exists(), "enough commits for a checkpoint");
    project
}
