//! Tests of mapped topics and files.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arrow::array::AsArray;
use domain::{Day, Stream};
use lake::Lake;

use super::{NOON, call, lake, rows};
use crate::dead_letters::read;
use crate::mapping::Mapping;
use crate::{
    DeadLetter, EmbeddedBroker, FlushLimits, IngestCounts, LoadOptions, RecordProducer, RunOptions,
    SourceFile, load,
};

/// Takes calls out of an envelope, leaves health checks out, and fails at the rest.
const ENVELOPE: &str =
    r#"if .health then empty elif .call then .call else error("neither: \(.)") end"#;

fn mapping(name: &str, source: &str) -> Mapping {
    Mapping::compile(name, source).expect("compiled")
}

async fn dead_letters(lake: &Lake) -> Vec<DeadLetter> {
    let table = read::dead_letter_table(lake).await.expect("the table");
    read::dead_letters_of_day(lake, &table, Day::of_micros(NOON)).await.expect("dead letters")
}

/// Returns the distinct ids of the calls.
async fn event_ids(lake: &Lake) -> BTreeSet<String> {
    let calls = lake.snapshot("raw/api_calls", None).await.expect("read").expect("a table");
    let mut ids = BTreeSet::new();
    for file in calls.files.iter() {
        for batch in lake.read_file(&file.path, &["event_id"]).await.expect("read") {
            let column = batch.column(0).as_string::<i32>();
            ids.extend(column.iter().flatten().map(str::to_owned));
        }
    }
    ids
}

/// Produces `records` records to a new broker, whose positions begin at 0 again, and ingests them.
fn through_kafka(
    lake: &Lake,
    runtime: &tokio::runtime::Handle,
    records: usize,
    rows: usize,
) -> IngestCounts {
    let broker = EmbeddedBroker::start(2).expect("a broker");
    let mut settings = broker.settings();
    settings.mappings.insert(Stream::ApiCalls, mapping("envelope.jq", ENVELOPE));
    let producer = RecordProducer::connect(&settings).expect("a producer");
    for number in 0..records {
        let value = match number % 10 {
            6 => r#"{"health":true}"#.to_owned(),
            7 => r#"{"password":"hunter2"}"#.to_owned(),
            8 => "{broken".to_owned(),
            9 => r#"{"call":{"event_id":""}}"#.to_owned(),
            _ => format!(r#"{{"call":{}}}"#, call(number)),
        };
        producer
            .send("api-calls", &format!("p-{}", number % 7), value.as_bytes(), NOON)
            .expect("sent");
    }
    producer.flush(Duration::from_secs(30)).expect("taken");
    let limits = FlushLimits { rows, ..FlushLimits::default() };
    let options =
        RunOptions { until_caught_up: true, accept_rejects: true, limits, ..RunOptions::default() };
    let stop = AtomicBool::new(false);
    crate::run(lake, &settings, &options, runtime, &stop, &mut |_| {}).expect("caught up")
}

#[test]
fn a_mapped_topic_is_read_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let counts = through_kafka(&lake, runtime.handle(), 1_000, 100);
    assert_eq!((counts.accepted, counts.skipped, counts.rejected), (600, 100, 300));
    let reasons: Vec<(&str, u64)> = counts.by_reason.into_iter().collect();
    assert_eq!(reasons, [("mapping_failed", 100), ("not_json", 100), ("out_of_range", 100)]);
    let counts = through_kafka(&lake, runtime.handle(), 1_500, 10_000);
    assert_eq!((counts.accepted, counts.skipped, counts.rejected), (300, 50, 150));
    runtime.block_on(async {
        assert_eq!(rows(&lake, "raw/api_calls").await, 900);
        let raw = lake.snapshot("raw/api_calls", None).await.expect("read").expect("a table");
        let positions = lake::partitions(&raw.txns).map(|(_, position)| position.skipped);
        assert_eq!(positions.sum::<i64>(), 150);
        let found = dead_letters(&lake).await;
        assert_eq!(found.len(), 450);
        for dead_letter in found {
            assert_eq!(dead_letter.mapping.as_deref(), Some("envelope.jq"));
            let detail = dead_letter.detail.clone().expect("a detail");
            assert!(!detail.is_empty() && !detail.contains("hunter2"), "{detail}");
            let record = dead_letter.open(&lake).expect("opens");
            let message = (dead_letter.reason == "mapping_failed")
                .then(|| r#"neither: {"password":"hunter2"}"#.to_owned());
            assert_eq!(record.message, message);
        }
        assert_eq!(lake.verify().await.expect("verified").findings, []);
    });
}

#[tokio::test]
async fn one_file_is_loaded_through_several_mappings() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let path = dir.path().join("access.log");
    std::fs::write(&path, "acme 200\n\nbolt 404\nhealth\n").expect("written");
    let line = "#---\n# stream = \"api-calls\"\n# input = \"text\"\n#---\n";
    let source = format!(
        "{line}if . == \"health\" then empty else split(\" \") | {{event_id: $position, partner_id: .[0], status: (.[1] // error(\"no status\") | tonumber), occurred_at: $arrival}} end"
    );
    let [one, other] = ["one.jq", "other.jq"].map(|name| mapping(name, &source));
    let load_as = async |name: &str, mapping: Option<&Mapping>| {
        let options = LoadOptions {
            stream: Stream::ApiCalls,
            mapping: mapping.cloned(),
            arrival: Some(NOON),
            accept_rejects: true,
            limits: FlushLimits::default(),
        };
        let sources = [SourceFile { name: name.to_owned(), path: path.clone() }];
        let counts = load(&lake, &sources, &options, &mut |_, _| {}).await.expect("loaded");
        (counts.accepted, counts.skipped, counts.rejected, counts.already_stored)
    };
    assert_eq!(load_as("access.log", None).await, (0, 0, 4, 0));
    assert_eq!(load_as("access.log", Some(&one)).await, (2, 1, 1, 0));
    assert_eq!(load_as("renamed.log", Some(&one)).await, (0, 0, 0, 4));
    assert_eq!(load_as("access.log", Some(&other)).await, (2, 1, 1, 0));
    std::fs::write(&path, "acme 200\n\nbolt 404\nhealth\ncore 500\n").expect("written");
    assert_eq!(load_as("access.log", Some(&one)).await, (1, 0, 0, 4));
    assert_eq!(rows(&lake, "raw/api_calls").await, 5);
    // Two mappings and a file that has grown give a line the same event.
    assert_eq!(event_ids(&lake).await.len(), 3);

    let found = dead_letters(&lake).await;
    let mut mappings: Vec<Option<&str>> = found.iter().map(|l| l.mapping.as_deref()).collect();
    mappings.sort_unstable();
    let plain = [None; 4];
    assert_eq!(mappings, [&plain[..], &[Some("one.jq"), Some("other.jq")]].concat());
    let of_mapping = found.iter().find(|l| l.mapping.is_some()).expect("a dead letter");
    assert_eq!(of_mapping.detail.as_deref(), Some("the mapping rejects it: no status"));
    assert_eq!(of_mapping.offset, 1);
    assert_eq!(lake.verify().await.expect("verified").findings, []);
}

#[tokio::test]
async fn a_line_is_the_same_event_in_a_file_that_was_cut_packed_or_fetched_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let mapping = mapping(
        "sizes.jq",
        "#---\n# input = \"text\"\n#---\nsplit(\" \") | {event_id: $position, partner_id: .[0], status: 200, response_bytes: (.[1] | tonumber), occurred_at: $arrival}",
    );
    let load_bytes = async |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        let options = LoadOptions {
            stream: Stream::ApiCalls,
            mapping: Some(mapping.clone()),
            arrival: Some(NOON),
            accept_rejects: false,
            limits: FlushLimits::default(),
        };
        let sources = [SourceFile { name: name.to_owned(), path }];
        load(&lake, &sources, &options, &mut |_, _| {}).await.expect("loaded").accepted
    };
    // The last line is cut off, and a whole line all the same.
    assert_eq!(load_bytes("access.log", b"acme 12\nbolt 1").await, 2);
    assert_eq!(load_bytes("access.log", b"acme 12\nbolt 153\ncore 7\n").await, 2);
    assert_eq!(event_ids(&lake).await.len(), 3);
    let text = "acme 12\nbolt 153\ncore 7\ndora 9\n".as_bytes();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, text).expect("packed");
    assert_eq!(load_bytes("access.log.1.gz", &packed.finish().expect("packed")).await, 4);
    // The line that was cut is another text, so it is another event in a file that never was cut.
    assert_eq!(event_ids(&lake).await.len(), 5);
    // These bytes begin with those of the second load, so only the last line is new.
    assert_eq!(load_bytes("again.log", text).await, 1);
    assert_eq!(event_ids(&lake).await.len(), 5);
}

#[tokio::test]
async fn a_deep_file_overflows_no_stack() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let path = dir.path().join("deep.ndjson");
    let deep = format!("{}{}", "[".repeat(400_000), "]".repeat(400_000));
    std::fs::write(&path, format!("{deep}\n{}\n", "[".repeat(1 << 20))).expect("written");
    let options = LoadOptions {
        stream: Stream::ApiCalls,
        mapping: Some(mapping("deep.jq", "def f: [f]; f")),
        arrival: Some(NOON),
        accept_rejects: true,
        limits: FlushLimits::default(),
    };
    let sources = [SourceFile { name: "deep".to_owned(), path }];
    let counts = load(&lake, &sources, &options, &mut |_, _| {}).await.expect("loaded");
    let reasons: Vec<(&str, u64)> = counts.by_reason.into_iter().collect();
    assert_eq!(reasons, [("mapping_failed", 1), ("not_json", 1)]);
}
