//! Lakes that an older program wrote are upgraded by `rapport lake upgrade`.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::RecordBatch;
use lake::{FORMAT_VERSION, parquet_bytes, parquet_rows};

use crate::damaged_lake::{EVENTS_AND_DERIVED, is_log_entry, live_files, query, sorted_files};
use crate::support::program::Project;
use crate::support::simulated_world::{SimulatedWorld, WorldSize};

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

/// Turns a lake into one of format 2 or 3: without the newer columns of the dead letters, and for
/// format 2 without witnesses and checksums.
fn downgrade(root: &Path, format: u32) {
    let files = sorted_files(root);
    let mut sizes = BTreeMap::new();
    for file in files.iter().filter(|file| is_dead_letter_file(file)) {
        let path = root.join(file);
        let (_, rows) = parquet_rows(std::fs::read(&path).expect("a file")).expect("its rows");
        let rows: Vec<RecordBatch> = rows.iter().map(without_new_columns).collect();
        let bytes = parquet_bytes(&rows[0].schema(), &rows).expect("a file");
        std::fs::write(&path, &bytes).expect("written");
        let below = file.strip_prefix("raw/dead_letters/").expect("a dead letter file");
        sizes.insert(below.to_owned(), bytes.len());
    }
    for file in files {
        let path = root.join(&file);
        if file.contains("/_witness/") && format == 2 {
            std::fs::remove_file(path).expect("removed");
        } else if is_log_entry(&file) {
            let text = std::fs::read_to_string(&path).expect("an entry");
            let lines: Vec<String> =
                text.lines().map(|line| downgrade_action(line, format, &sizes)).collect();
            let mut entry = lines.join("\n");
            if format == 3 {
                entry = with_checksum(&file, &entry);
            }
            std::fs::write(path, entry).expect("written");
        }
    }
}

const NEW_COLUMNS: [&str; 2] = ["mapping", "detail"];

fn is_dead_letter_file(file: &str) -> bool {
    file.starts_with("raw/dead_letters/arrival_date=") && file.ends_with(".parquet")
}

fn without_new_columns(rows: &RecordBatch) -> RecordBatch {
    let schema = rows.schema();
    let fields = schema.fields().iter().enumerate();
    let old = fields.filter(|(_, field)| !NEW_COLUMNS.contains(&field.name().as_str()));
    let old: Vec<usize> = old.map(|(at, _)| at).collect();
    assert_eq!(old.len() + NEW_COLUMNS.len(), schema.fields().len());
    rows.project(&old).expect("columns")
}

/// Turns an action of a log into one of an older format. `sizes` are those of rewritten files.
fn downgrade_action(line: &str, format: u32, sizes: &BTreeMap<String, usize>) -> String {
    let mut action: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let mut remove = |pointer: &str, field: &str| {
        if let Some(fields) = action.pointer_mut(pointer).and_then(|v| v.as_object_mut()) {
            fields.remove(field);
        }
    };
    remove("/commitInfo", "rapportChecksum");
    if format == 2 {
        remove("/add/tags", "checksum");
    }
    let path = action.pointer("/add/path").and_then(|path| path.as_str());
    if let Some(size) = path.and_then(|path| sizes.get(path)).copied() {
        action["add"]["size"] = size.into();
        action["add"]["tags"].as_object_mut().expect("tags").remove("checksum");
    }
    if let Some(version) = action.pointer_mut("/metaData/configuration/rapport.formatVersion") {
        *version = format.to_string().into();
    }
    if let Some(schema) = action.pointer_mut("/metaData/schemaString") {
        let text = schema.as_str().expect("a schema");
        let mut columns: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let fields = columns["fields"].as_array_mut().expect("columns");
        fields.retain(|field| !NEW_COLUMNS.contains(&field["name"].as_str().expect("a name")));
        *schema = columns.to_string().into();
    }
    action.to_string()
}

/// Puts an entry's checksum into its first action, as a program of format 3 does.
fn with_checksum(file: &str, entry: &str) -> String {
    let checksum = lake::sha256_hex(format!("{file}\n{entry}").as_bytes());
    let end = entry.find('\n').unwrap_or(entry.len()) - 2;
    let (before, after) = entry.split_at(end);
    format!("{before},\"rapportChecksum\":\"{}\"{after}", &checksum[..16])
}

#[test]
fn a_lake_of_format_2_must_be_upgraded_before_use() {
    let world = SimulatedWorld::from_options(SIZE.options());
    let project = Project::new();
    world.load(&project);
    let end = world.end();
    let before = query(&project, &end, EVENTS_AND_DERIVED).expect_success().stdout_text();
    let root = project.path("lake");
    downgrade(&root, 2);
    let messages = ["format 2", "stop all workers", "rapport lake upgrade"];
    query(&project, &end, EVENTS_AND_DERIVED).expect_error(1, &messages);
    project.run(&["lake", "verify"]).expect_error(1, &messages);

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

#[test]
fn dead_letters_of_format_3_are_upgraded_and_replayed() {
    let project = Project::new();
    let call = |n: u32, partner: &str| {
        format!(
            "{{\"call\":{{\"event_id\":\"e-{n}\",\"partner_id\":\"{partner}\",\"status\":200,\"occurred_at\":\"2026-03-02T11:00:00Z\"}}}}\n"
        )
    };
    let load = |name: &str, text: String| {
        project.write(name, text);
        let arrival = ["--arrival", "2026-03-02T12:00:00Z"];
        // Nothing of the first file is accepted.
        let load = ["ingest", "load", "--stream", "api-calls", "--accept-rejects", name];
        project.run_ok(&[&load[..], &arrival].concat())
    };
    load("old.ndjson", [call(1, "acme"), call(2, "bolt"), "{}\n".to_owned()].concat());
    let root = project.path("lake");
    downgrade(&root, 3);
    let messages = ["format 3", "rapport lake upgrade"];
    let list = ["ingest", "dead-letters", "--format", "csv"];
    project.run(&list).expect_error(1, &messages);
    project.run(&["ingest", "run"]).expect_error(1, &messages);

    assert!(project.run_ok(&["lake", "upgrade"]).contains("had format 3"));
    assert!(project.run_ok(&["lake", "upgrade"]).contains("already"));
    project.run_ok(&["lake", "verify"]);
    load("new.ndjson", call(3, "core"));
    let details = "SELECT count(*), count(mapping), count(detail) FROM dead_letters";
    assert_eq!(project.query_rows(details), ["4,0,1"]);
    assert_eq!(project.run_ok(&list).lines().count(), 5);

    // Each of these rewrites the old file.
    let erase = ["lake", "erase", "--partner", "bolt", "--yes"];
    project.run_ok(&erase);
    assert_eq!(project.query_rows(details), ["3,0,1"]);
    project.write("unwrap.jq", "if . == {} then empty else .call end\n");
    let replay = ["ingest", "replay", "--stream", "api-calls"];
    assert!(project.run_ok(&replay).starts_with("0 dead letters accepted, 3 still rejected"));
    let replayed = project.run_ok(&[&replay[..], &["--mapping", "unwrap.jq"]].concat());
    // What came through no mapping is not left out by one.
    assert!(replayed.starts_with("2 dead letters accepted, 1 still rejected"), "{replayed}");
    assert_eq!(project.query_rows(details), ["1,0,0"]);
    let partners = "SELECT partner_id FROM api_calls ORDER BY 1";
    assert_eq!(project.query_rows(partners), ["acme", "core"]);
    project.run_ok(&["lake", "verify"]);
}

/// `tests/lake_format_4` was written by a program of format 4. It holds the calls of `lake_format_1`,
/// the registrations of three partners, rollups, scores, a run and a note; `expected.csv` counts them.
#[test]
fn a_lake_that_an_earlier_program_of_this_format_wrote_is_used_as_it_is() {
    assert_eq!(
        FORMAT_VERSION, 4,
        "a new format needs a test of the one before: keep this lake, which is then upgraded, and \
         write another one with the new program"
    );
    let project = Project::new();
    let written = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lake_format_4");
    copy_folder(&written, &project.path("."));
    assert!(project.run_ok(&["lake", "upgrade"]).contains("has format 4 already"));
    let verified = project.run_ok(&["lake", "verify"]);
    assert!(verified.contains(" 0 findings"), "{verified}");
    let known = std::fs::read_to_string(project.path("expected.csv")).expect("what it held");
    let counts = "SELECT 'calls' AS what, count(*) AS n FROM api_calls \
                  UNION ALL SELECT 'rejected', count(*) FROM dead_letters \
                  UNION ALL SELECT 'scores', count(*) FROM partner_health \
                  UNION ALL SELECT 'notes', count(*) FROM notes \
                  UNION ALL SELECT 'active', sum(active) FROM growth ORDER BY 1";
    let found = project.run_ok(&["sql", counts, "--as-of", "2026-03-03", "--format", "csv"]);
    assert_eq!(found, known);
    let load = ["ingest", "load", "--stream", "api-calls", "calls.ndjson"];
    assert!(project.run_ok(&load).starts_with("Nothing new"));
    project.run_ok(&["score", "run", "--as-of", "2026-03-03", "--format", "csv"]);
    project.run_ok(&["lake", "compact"]);
    project.run_ok(&["lake", "verify"]);
}
