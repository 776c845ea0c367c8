//! Tests of the whole crate: through the embedded broker, and from files.

mod flushes;
mod formats;
mod growing_files;
mod mapped;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::Stream;
use flate2::write::GzEncoder;
use lake::{Lake, LakeOptions};

use crate::{
    EmbeddedBroker, FlushLimits, IngestCounts, IngestError, LoadOptions, RecordProducer,
    RunOptions, SourceFile, load,
};

pub(crate) const NOON: i64 = 1_767_268_800_000_000; // 2026-01-01T12:00:00Z

pub(crate) async fn lake(dir: &tempfile::TempDir) -> Lake {
    let options = LakeOptions {
        root: dir.path().join("lake").display().to_string(),
        key_file: dir.path().join("lake.key"),
        store: lake::StoreOptions::default(),
    };
    Lake::open_or_create(&options).await.expect("a lake")
}

fn call(number: usize) -> String {
    let at = NOON / 1_000 + i64::try_from(number).expect("small") * 1_000;
    format!(
        r#"{{"event_id":"e-{number}","partner_id":"p-{}","occurred_at":{at},"status":200}}"#,
        number % 7
    )
}

async fn rows(lake: &Lake, table: &str) -> u64 {
    lake.snapshot(table, None).await.expect("read").map_or(0, |s| s.rows())
}

/// Produces `calls`, every tenth of them malformed, to a new broker and ingests them.
fn through_kafka(
    lake: &Lake,
    runtime: &tokio::runtime::Handle,
    calls: usize,
    rows: usize,
) -> IngestCounts {
    let broker = EmbeddedBroker::start(4).expect("a broker");
    let settings = broker.settings();
    let producer = RecordProducer::connect(&settings).expect("a producer");
    for number in 0..calls {
        let value = if number % 10 == 9 { "{broken".to_owned() } else { call(number) };
        let key = format!("p-{}", number % 7);
        producer.send("api-calls", &key, value.as_bytes(), NOON).expect("sent");
    }
    producer.flush(Duration::from_secs(30)).expect("taken");
    let options = RunOptions {
        until_caught_up: true,
        limits: FlushLimits { rows, ..FlushLimits::default() },
        ..RunOptions::default()
    };
    let stop = AtomicBool::new(false);
    crate::run(lake, &settings, &options, runtime, &stop, &mut |_| {}).expect("caught up")
}

#[test]
fn records_produced_again_are_not_stored_twice() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let counts = through_kafka(&lake, runtime.handle(), 1_000, 300);
    assert_eq!((counts.accepted, counts.rejected), (900, 100));
    assert_eq!(counts.by_reason["not_json"], 100);

    // The same records are produced again, and more of them: only the new ones count.
    let counts = through_kafka(&lake, runtime.handle(), 1_500, 10_000);
    assert_eq!((counts.accepted, counts.rejected), (450, 50));
    runtime.block_on(async {
        assert_eq!(rows(&lake, "raw/api_calls").await, 1_350);
        assert_eq!(rows(&lake, "raw/dead_letters").await, 150);
        let found = lake.verify().await.expect("verified");
        assert_eq!(found.findings, []);
    });
}

#[tokio::test]
async fn a_file_is_loaded_once_under_any_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let path = dir.path().join("calls.ndjson");
    let mut text: String = (0..50).map(|n| call(n) + "\n").collect();
    text.push_str("\nnot json");
    std::fs::write(&path, &text).expect("written");
    let options = LoadOptions {
        stream: Stream::ApiCalls,
        mapping: None,
        arrival: Some(NOON),
        accept_rejects: false,
        limits: FlushLimits::default(),
    };
    let source = |name: &str| [SourceFile { name: name.into(), path: path.clone() }];
    let counts = load(&lake, &source("a"), &options, &mut |_, _| {}).await.expect("loaded");
    assert_eq!((counts.accepted, counts.rejected), (50, 2));
    let again = load(&lake, &source("b"), &options, &mut |_, _| {}).await.expect("loaded");
    assert_eq!(again.records, 0);
    assert_eq!(rows(&lake, "raw/api_calls").await, 50);
    assert_eq!(rows(&lake, "raw/dead_letters").await, 2);

    let missing = [SourceFile { name: "x".into(), path: dir.path().join("nothing") }];
    let error = load(&lake, &missing, &options, &mut |_, _| {}).await.expect_err("no file");
    assert!(error.to_string().contains("nothing"), "{error}");
}

#[tokio::test]
async fn compressed_files_are_loaded_by_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let options = LoadOptions {
        stream: Stream::ApiCalls,
        mapping: None,
        arrival: Some(NOON),
        accept_rejects: false,
        limits: FlushLimits::default(),
    };
    let lines =
        |numbers: std::ops::Range<usize>| -> String { numbers.map(|n| call(n) + "\n").collect() };
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    };
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).expect("memory");
    let write = |bytes: &[u8]| {
        let path = dir.path().join("calls.ndjson");
        std::fs::write(&path, bytes).expect("written");
        [SourceFile { name: "calls.ndjson".into(), path }]
    };
    // The last line of each file is malformed, and each file has two parts, as after appending to
    // it.
    let texts = |from: usize| (lines(from..from + 30), lines(from + 30..from + 50) + "broken\n");
    let (one, two) = texts(0);
    let (three, four) = texts(100);
    let files = [[gzip(&one), gzip(&two)].concat(), [zstd(&three), zstd(&four)].concat()];
    for (bytes, all) in files.iter().zip([51, 102]) {
        let mut read = 0;
        let sources = write(bytes);
        let counts = load(&lake, &sources, &options, &mut |_, bytes| read = bytes).await;
        let counts = counts.expect("loaded");
        assert_eq!((counts.accepted, counts.rejected), (50, 1));
        assert!(read > bytes.len() as u64, "{read} bytes of text");
        let again = load(&lake, &sources, &options, &mut |_, _| {}).await.expect("loaded");
        assert_eq!(again.records, 0);
        let committed_offset =
            rows(&lake, "raw/api_calls").await + rows(&lake, "raw/dead_letters").await;
        assert_eq!(committed_offset, all);
    }
    // Offsets are line numbers of the text, not of the compressed bytes.
    let base = crate::dead_letter_table(&lake).await.expect("the table");
    let day = domain::Day::of_micros(NOON);
    let dead_letters = crate::dead_letters_of_day(&lake, &base, day).await.expect("letters");
    assert_eq!(dead_letters.iter().map(|l| l.offset).collect::<Vec<_>>(), [50, 50]);
    // The same text in other bytes is another file, whose events are duplicates.
    let counts = load(&lake, &write(&gzip(&one)), &options, &mut |_, _| {}).await.expect("loaded");
    assert_eq!(counts.accepted, 30);

    for whole in [gzip(&one), zstd(&one)] {
        let cut = &whole[..whole.len() / 2];
        let error = load(&lake, &write(cut), &options, &mut |_, _| {}).await.expect_err("cut off");
        assert!(error.to_string().contains("calls.ndjson"), "{error}");
    }
    assert_eq!(lake.verify().await.expect("verified").findings, []);
}

#[tokio::test]
async fn a_wrong_topic_stops_before_it_fills_the_dead_letters() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let path = dir.path().join("wrong.ndjson");
    let mut file = std::fs::File::create(&path).expect("a file");
    for number in 0..12_000 {
        writeln!(file, r#"{{"event_id":"{number}","partner_id":"p","occurred_at":1767268800000}}"#)
            .expect("written");
    }
    let mut options = LoadOptions {
        stream: Stream::ApiCalls,
        mapping: None,
        arrival: Some(NOON),
        accept_rejects: false,
        limits: FlushLimits::default(),
    };
    let sources = [SourceFile { name: "wrong".into(), path }];
    let error = load(&lake, &sources, &options, &mut |_, _| {}).await.expect_err("stopped");
    assert!(matches!(error, IngestError::MostlyRejected { rejected: 12_000, .. }), "{error}");
    assert_eq!(rows(&lake, "raw/dead_letters").await, 0);
    options.accept_rejects = true;
    load(&lake, &sources, &options, &mut |_, _| {}).await.expect("told to go on");
    assert_eq!(rows(&lake, "raw/dead_letters").await, 12_000);
}

#[test]
fn invalid_settings_are_reported() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let broker = EmbeddedBroker::start(1).expect("a broker");
    let mut settings = broker.settings();
    settings.topics.insert(Stream::ApiCalls, "other".to_owned());
    settings.properties.insert("no.such.property".to_owned(), "1".into());
    let stop = AtomicBool::new(true);
    stop.store(true, Ordering::Relaxed);
    let run = |settings: &crate::KafkaSettings| {
        let options = RunOptions::default();
        crate::run(&lake, settings, &options, runtime.handle(), &stop, &mut |_| {})
    };
    let error = run(&settings).expect_err("no such property");
    assert!(error.to_string().contains("no.such.property"), "{error}");
    settings.properties.clear();
    settings.topics.clear();
    assert!(matches!(run(&settings), Err(IngestError::NoStreams)));
}
