//! After an erasure, the lake gives the metrics of a lake that the partner was never in.

use std::collections::BTreeMap;
use std::path::Path;

use domain::Stream;

use crate::support::metric_files::{assert_same_metrics, without_data_quality};
use crate::support::program::Project;
use crate::support::simulated_world::{SentRecord, SimulatedWorld, WorldSize, ndjson};

const SIZE: WorldSize = WorldSize { seed: 11, partners: 20, events: 3_000, days: 40 };

#[test]
fn after_an_erasure_metrics_are_those_of_a_lake_without_the_partner() {
    let world = SimulatedWorld::from_options(SIZE.options());
    let partner = partner_with_most_calls(&world);
    let end = world.end();
    let without = Project::new();
    world.write_csv_files(&without);
    for stream in Stream::ALL {
        let others: Vec<SentRecord> = world
            .time_independent_records(stream)
            .into_iter()
            .filter(|s| !contains_text(&s.value, &partner))
            .collect();
        without.write("others.ndjson", ndjson(&others));
        world.load_file(&without, stream, "others.ndjson");
    }

    let project = Project::new();
    world.load(&project);
    project.run_ok(&["score", "run", "--as-of", &end]);
    project.run_ok(&["lake", "compact"]);
    let before = project.row_counts();
    let erase = ["lake", "erase", "--partner", &partner];
    project.run(&erase).expect_error(2, &["--yes", "--dry-run"]);
    let dry = project.run_ok(&[&erase[..], &["--dry-run"]].concat());
    assert!(dry.contains("raw/api_calls") && dry.contains("scores/partner_health"), "{dry}");
    assert_eq!(project.row_counts(), before, "a dry run changes nothing");

    let output = project.run_ok(&[&erase[..], &["--yes"]].concat());
    assert!(output.contains("Nothing of it is left"), "{output}");
    let metrics = |project: &Project| without_data_quality(project.run_all_metrics(&end));
    assert_same_metrics(&metrics(&without), &metrics(&project), "the lake without the partner");
    assert_no_file_contains(&project.path("lake"), partner.as_bytes());
    let scored =
        "SELECT count(DISTINCT partner_id) FROM partner_health WHERE partner_id LIKE 'erased-%'";
    assert_eq!(project.query_number(scored), 1);
    let signals = "SELECT count(*) FROM partner_signals s JOIN partner_health h
         ON h.partner_id = s.partner_id WHERE s.partner_id LIKE 'erased-%'";
    assert!(project.query_number(signals) > 0, "its signals are kept under the same token");
    project.run_ok(&["lake", "verify"]);

    // Everything that was ingested is accounted for: rows, dropped duplicates, erased rows.
    let status = project.run_ok(&["lake", "status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let tables = status["tables"].as_array().expect("tables");
    let sum = |field: &str| -> i64 {
        let raw =
            tables.iter().filter(|t| t["table"].as_str().is_some_and(|n| n.starts_with("raw/")));
        raw.filter_map(|t| t[field].as_i64()).sum()
    };
    let ingested: i64 = before.iter().sum();
    let duplicates_dropped = sum("copies_dropped");
    assert!(sum("erased") > 0 && duplicates_dropped > 0, "{status}");
    assert_eq!(sum("rows") + sum("erased"), ingested, "{status}");

    let again = project.run_ok(&[&erase[..], &["--yes"]].concat());
    assert!(again.contains("Nothing of it was ever in"), "{again}");
}

/// Returns the partner with the most calls, of those that no merge names.
fn partner_with_most_calls(world: &SimulatedWorld) -> String {
    let mut calls = BTreeMap::new();
    for sent in world.records(Stream::ApiCalls) {
        *calls.entry(sent.key).or_insert(0) += 1;
    }
    let events = world.records(Stream::PartnerEvents);
    let merges: Vec<&SentRecord> =
        events.iter().filter(|s| contains_text(&s.value, "merged")).collect();
    let is_not_merged = |id: &String| merges.iter().all(|merge| !contains_text(&merge.value, id));
    let most = calls.into_iter().filter(|(id, _)| is_not_merged(id)).max_by_key(|(_, n)| *n);
    most.expect("a partner with calls").0
}

fn contains_text(bytes: &[u8], word: &str) -> bool {
    contains_bytes(bytes, word.as_bytes())
}

fn contains_bytes(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

#[track_caller]
fn assert_no_file_contains(folder: &Path, word: &[u8]) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            assert_no_file_contains(&path, word);
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            assert!(!contains_bytes(&bytes, word), "{} holds the id", path.display());
        }
    }
}
