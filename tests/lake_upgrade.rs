//! Lakes that an older program wrote are upgraded by `rapport lake upgrade`.

use std::path::Path;

use domain::Stream;

use crate::damaged_lake::{EVENTS_AND_DERIVED, is_log_entry, live_files, query, sorted_files};
use crate::support::program::Project;
use crate::support::simulated_world::{SimulatedWorld, WorldSize, ndjson};

const SIZE: WorldSize = WorldSize { seed: 23, partners: 6, events: 300, days: 20 };

/// `tests/lake_format_1` was written by the first version of the program. It holds fourteen loaded
/// calls, of which one is a duplicate and one is rejected, three partners, and the rollups of a
/// metric.
#[test]
fn a_lake_of_format_1_must_be_upgraded_before_use() {
    let project = Project::new();
    let lake_of_format_1 = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lake_format_1");
    copy_folder(&lake_of_format_1, &project.path("."));
    let load = ["ingest", "load", "--stream", "api-calls", "calls.ndjson"];
    let messages = ["format 1", "stop all workers", "rapport lake upgrade"];
    project.run(&load).expect_error(1, &messages);
    project.run(&["lake", "status"]).expect_error(1, &messages);

    assert!(project.run_ok(&["lake", "upgrade"]).contains("had format 1"));
    assert!(project.run_ok(&["lake", "upgrade"]).contains("already"));
    assert_eq!(project.row_counts(), [0, 0, 1, 3, 13]);
    assert_eq!(project.query_number("SELECT count(*) FROM api_calls"), 12);
    assert!(project.run_ok(&load).starts_with("Nothing new"));
    let calls = "SELECT calls, success_rate FROM partner_reliability WHERE partner_id = 'p-1'";
    let rows = project.run_ok(&["sql", calls, "--as-of", "2026-03-03", "--format", "csv"]);
    assert_eq!(rows.lines().nth(1), Some("4,0.75"));
    let open_dead_letters = ["ingest", "dead-letters", "--open", "--format", "json"];
    assert!(project.run_ok(&open_dead_letters).contains("bad"), "the old key opens what it sealed");
    project.write("more.ndjson", "{\"event_id\":\"e-99\",\"partner_id\":\"p-1\",\"status\":200,\"occurred_at\":\"2026-03-02T11:00:00Z\"}\n");
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "more.ndjson"]);
    project.run_ok(&["lake", "compact"]);
    let rows = project.run_ok(&["sql", calls, "--as-of", "2026-03-03", "--format", "csv"]);
    assert_eq!(rows.lines().nth(1), Some("5,0.8"));
    project.run_ok(&["lake", "verify"]);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("a file").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a copy");
        }
    }
}

/// Turns a lake into one of format 2: without witnesses and checksums.
fn downgrade_to_format_2(root: &Path) {
    for file in sorted_files(root) {
        let path = root.join(&file);
        if file.contains("/_witness/") {
            std::fs::remove_file(path).expect("removed");
        } else if is_log_entry(&file) {
            let text = std::fs::read_to_string(&path).expect("an entry");
            let lines: Vec<String> = text.lines().map(downgrade_entry).collect();
            std::fs::write(path, lines.join("\n")).expect("written");
        }
    }
}

fn downgrade_entry(line: &str) -> String {
    let mut action: serde_json::Value = serde_json::from_str(line).expect("JSON");
    for (pointer, field) in [("/commitInfo", "rapportChecksum"), ("/add/tags", "checksum")] {
        if let Some(fields) = action.pointer_mut(pointer).and_then(|v| v.as_object_mut()) {
            fields.remove(field);
        }
    }
    let format = "/metaData/configuration/rapport.formatVersion";
    if let Some(version) = action.pointer_mut(format) {
        *version = "2".into();
    }
    action.to_string()
}

#[test]
fn a_lake_of_format_2_works_and_can_be_upgraded() {
    let world = SimulatedWorld::from_options(SIZE.options());
    let project = Project::new();
    world.load(&project);
    let end = world.end();
    let before = query(&project, &end, EVENTS_AND_DERIVED).expect_success().stdout_text();
    let root = project.path("lake");
    downgrade_to_format_2(&root);
    let verified = project.run(&["lake", "verify"]).expect_success();
    assert!(verified.stdout_text().contains("without checksums"), "{verified}");
    assert_eq!(query(&project, &end, EVENTS_AND_DERIVED).expect_success().stdout_text(), before);
    project.write("more.ndjson", ndjson(&world.records(Stream::PartnerEvents)[..2]));
    world.load_file(&project, Stream::PartnerEvents, "more.ndjson");
    let before = query(&project, &end, EVENTS_AND_DERIVED).expect_success().stdout_text();

    assert!(project.run_ok(&["lake", "upgrade"]).contains("had format 2"));
    let verified = project.run(&["lake", "verify"]).expect_success();
    assert!(!verified.stdout_text().contains("without checksums"), "{verified}");
    assert_eq!(query(&project, &end, EVENTS_AND_DERIVED).expect_success().stdout_text(), before);
    project.run_ok(&["lake", "vacuum", "--retention-hours", "1"]);
    let mut live = live_files(&root, &sorted_files(&root)).into_iter();
    let calls = root.join(live.find(|f| f.starts_with("raw/api_calls/")).expect("a file"));
    let mut bytes = std::fs::read(&calls).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&calls, bytes).expect("written");
    let stopped = project.run(&["sql", "SELECT * FROM raw.api_calls"]);
    assert!(stopped.code == Some(1) && stopped.stderr.contains("raw/api_calls/"), "{stopped}");
    let verified = project.run(&["lake", "verify"]);
    assert!(
        verified.code == Some(3) && verified.stdout_text().contains("raw/api_calls/"),
        "{verified}"
    );
}
