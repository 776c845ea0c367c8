//! Tests of the encodings of records through a broker: CloudEvents in binary mode, and Avro with a
//! Schema Registry that answers, refuses, fails and recovers.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::AsArray;
use domain::Stream;
use lake::Lake;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::runtime::Runtime;

use super::{NOON, call, lake, rows};
use crate::dead_letters::rejected_record::{RecordMetadata, RejectedRecord, RejectionCause};
use crate::decode::{RejectReason, Rejection};
use crate::registry::{SchemaLookup, SchemaRegistry};
use crate::sink::{Sink, SourceRecord};
use crate::{
    EmbeddedBroker, FlushLimits, IngestCounts, IngestError, KafkaSettings, RegistrySettings,
    ReplayCounts, ReplayMapping, ReplayOptions, RunOptions, Status, replay,
};

/// A Schema Registry inside the test, with its answers by path and the requests that it received.
#[derive(Clone)]
struct StubRegistry {
    url: String,
    answers: Arc<Mutex<HashMap<String, (u16, String)>>>,
    asked: Arc<Mutex<Vec<RecordedRequest>>>,
}

/// The path and the `authorization` header of a request.
type RecordedRequest = (String, Option<String>);

impl StubRegistry {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stub = Self {
            url: format!("http://{address}/api"),
            answers: Arc::default(),
            asked: Arc::default(),
        };
        let serving = stub.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                drop(serving.serve(&stream));
            }
        });
        stub
    }

    fn serve(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let (mut path, mut authorization) = (String::new(), None);
        for line in BufReader::new(stream).lines() {
            let line = line?;
            if let Some(rest) = line.strip_prefix("GET /api") {
                path = rest.split(' ').next().unwrap_or_default().to_owned();
            }
            if let Some(value) = line.to_lowercase().strip_prefix("authorization: ") {
                authorization = Some(line[line.len() - value.len()..].to_owned());
            }
            if line.is_empty() {
                break;
            }
        }
        self.asked.lock().expect("no panic").push((path.clone(), authorization));
        let unknown = (404, r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned());
        let answer = self.answers.lock().expect("no panic").get(&path).cloned();
        let (status, body) = answer.unwrap_or(unknown);
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
    }

    fn answer(&self, path: &str, status: u16, body: &str) {
        let mut answers = self.answers.lock().expect("no panic");
        answers.insert(path.to_owned(), (status, body.to_owned()));
    }

    fn register(&self, id: u32, schema: &str) {
        let body = serde_json::json!({ "schema": schema }).to_string();
        self.answer(&format!("/schemas/ids/{id}"), 200, &body);
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("no panic").len()
    }

    fn settings(&self) -> RegistrySettings {
        let (retry, max_wait) = (Duration::from_millis(20), Duration::from_secs(600));
        RegistrySettings { retry, max_wait, ..RegistrySettings::new(&self.url) }
    }
}

const CALL: &str = r#"{"type":"record","name":"Call","fields":[{"name":"event_id","type":"string"},
    {"name":"partner_id","type":"string"},
    {"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"status","type":"int"}]}"#;

/// Encodes an API call with the schema of this id.
fn avro_call(schema: u8, id: &str) -> Vec<u8> {
    let text = |text: &str| [vec![text.len() as u8 * 2], text.as_bytes().to_vec()].concat();
    // NOON and 200 as Avro integers.
    let (noon, status) = ([0x80, 0xc0, 0xdf, 0xd0, 0xca, 0xd4, 0xa3, 0x06], [0x90, 0x03]);
    [vec![0, 0, 0, 0, schema], text(id), text("p-1"), noon.to_vec(), status.to_vec()].concat()
}

/// The topic, the value and the headers of a record.
type SentRecord<'r> = (&'r str, &'r [u8], &'r [(&'r str, &'r str)]);

fn send(broker: &KafkaSettings, records: &[SentRecord<'_>]) {
    let producer: BaseProducer = broker.client().create().expect("a producer");
    for (topic, value, headers) in records {
        let add = |all: OwnedHeaders, (key, value): &(&str, &str)| {
            all.insert(Header { key, value: Some(*value) })
        };
        let headers = headers.iter().fold(OwnedHeaders::new(), add);
        let record = BaseRecord::to(topic).partition(0).key("k").payload(*value);
        let record = record.headers(headers).timestamp(NOON / 1_000);
        producer.send(record).map_err(|(error, _)| error).expect("room");
    }
    producer.flush(Duration::from_secs(30)).expect("taken");
}

fn run(
    lake: &Lake,
    settings: &KafkaSettings,
    runtime: &Runtime,
    progress: &mut dyn FnMut(&Status),
) -> Result<IngestCounts, IngestError> {
    let options = RunOptions { until_caught_up: true, ..RunOptions::default() };
    let stop = std::sync::atomic::AtomicBool::new(false);
    crate::run(lake, settings, &options, runtime.handle(), &stop, progress)
}

/// Returns the ids of the API calls in the lake, in order.
async fn event_ids(lake: &Lake) -> Vec<String> {
    let snapshot = lake.snapshot("raw/api_calls", None).await.expect("read").expect("a table");
    let mut ids = Vec::new();
    for file in snapshot.files.iter() {
        for batch in lake.read_file(&file.path, &["event_id"]).await.expect("a file") {
            ids.extend(batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
        }
    }
    ids.sort();
    ids
}

async fn dead_letters(lake: &Lake) -> Vec<(i64, String, Option<String>)> {
    let base = crate::dead_letter_table(lake).await.expect("the table");
    let day = domain::Day::of_micros(NOON);
    let dead_letters = crate::dead_letters_of_day(lake, &base, day).await.expect("letters");
    dead_letters.into_iter().map(|l| (l.offset, l.reason, l.field)).collect()
}

async fn replay_calls(
    lake: &Lake,
    registry: Option<&RegistrySettings>,
) -> Result<ReplayCounts, IngestError> {
    let (stream, mapping) = (Stream::ApiCalls, &ReplayMapping::AsRecorded);
    let resolve = |_: &str| Err("there is none".to_owned());
    replay(
        lake,
        &ReplayOptions { stream, registry, mapping, rejected_by: None, resolve: &resolve },
        &mut |_| {},
    )
    .await
}

#[test]
fn cloud_events_in_binary_mode() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let broker = EmbeddedBroker::start(1).expect("a broker");
    let settings = broker.settings();
    let value = br#"{"partner_id":"p","status":200,"event_id":"inner"}"#.as_slice();
    let (mode, id) = (("ce_specversion", "1.0"), ("ce_id", "outer"));
    let time = ("ce_time", "2026-01-01T12:00:00Z");
    let other = ("traceparent", "00-1-2-03");
    send(
        &settings,
        &[
            ("api-calls", value, &[other, mode, id, time]),
            ("api-calls", call(1).as_bytes(), &[]),
            ("api-calls", call(2).as_bytes(), &[other]),
            ("api-calls", value, &[mode, id]),
        ],
    );
    let counts = run(&lake, &settings, &runtime, &mut |_| {}).expect("caught up");
    assert_eq!((counts.accepted, counts.rejected), (3, 1));
    runtime.block_on(async {
        assert_eq!(event_ids(&lake).await, ["e-1", "e-2", "outer"]);
        let missing = (3, "missing_field".to_owned(), Some("ce_time".to_owned()));
        assert_eq!(dead_letters(&lake).await, [missing]);
        // The headers are sealed with the record, so a replay rejects it for the same reason.
        let again = replay_calls(&lake, None).await.expect("replayed");
        assert_eq!((again.accepted, again.rejected), (0, 1));
    });
}

#[test]
fn a_paused_partition_does_not_stop_the_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let broker = EmbeddedBroker::start(1).expect("a broker");
    let stub = StubRegistry::start();
    stub.answer("/schemas/ids/7", 503, "busy");
    let settings = KafkaSettings { registry: Some(stub.settings()), ..broker.settings() };
    let ticket = br#"{"event_id":"t","partner_id":"p","occurred_at":1767268800000,"type":"opened","ticket_id":"t"}"#;
    send(
        &settings,
        &[
            ("api-calls", call(1).as_bytes(), &[]),
            ("api-calls", &avro_call(7, "a-1"), &[]),
            ("api-calls", call(2).as_bytes(), &[]),
            ("api-calls", &avro_call(7, "a-2"), &[]),
            ("support-events", ticket, &[]),
        ],
    );
    let mut waited = false;
    let counts = run(&lake, &settings, &runtime, &mut |status| {
        // By now two rounds of attempts have failed, and all other partitions are read.
        if status.counts.accepted == 2 && stub.asked() >= 6 && !waited {
            waited = true;
            assert_eq!(status.lag, 3, "the three records from the waiting one on");
            stub.register(7, CALL);
        }
    });
    let counts = counts.expect("caught up");
    assert!(waited);
    assert_eq!((counts.records, counts.accepted, counts.rejected), (5, 5, 0));
    let asked = stub.asked();
    runtime.block_on(async {
        assert_eq!(event_ids(&lake).await, ["a-1", "a-2", "e-1", "e-2"]);
        assert_eq!(lake.verify().await.expect("verified").findings, []);
    });
    // The schema is cached: both records were decoded with one answer.
    assert!(stub.asked.lock().expect("no panic")[asked - 1].0 == "/schemas/ids/7");
}

#[test]
fn a_run_until_caught_up_does_not_wait_for_ever() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let broker = EmbeddedBroker::start(1).expect("a broker");
    // No server listens at this port.
    let registry = RegistrySettings {
        retry: Duration::from_millis(20),
        max_wait: Duration::ZERO,
        ..RegistrySettings::new("http://127.0.0.1:9/api")
    };
    let mut settings = KafkaSettings { registry: Some(registry), ..broker.settings() };
    send(
        &settings,
        &[("api-calls", call(1).as_bytes(), &[]), ("api-calls", &avro_call(7, "a-1"), &[])],
    );
    let error = run(&lake, &settings, &runtime, &mut |_| {}).expect_err("no registry");
    let text = error.to_string();
    assert!(text.contains("api-calls/0 waits at record 1"), "{text}");
    assert!(text.contains("http://127.0.0.1:9/api") && text.contains("refused"), "{text}");
    assert_eq!(runtime.block_on(rows(&lake, "raw/api_calls")), 1);

    // The next run resumes from there.
    let stub = StubRegistry::start();
    stub.register(7, CALL);
    settings.registry = Some(stub.settings());
    let counts = run(&lake, &settings, &runtime, &mut |_| {}).expect("caught up");
    assert_eq!(counts.accepted, 1);
    assert_eq!(runtime.block_on(event_ids(&lake)), ["a-1", "e-1"]);
}

#[test]
fn an_unknown_schema_is_a_dead_letter_until_it_is_known() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let broker = EmbeddedBroker::start(1).expect("a broker");
    let stub = StubRegistry::start();
    stub.answer("/schemas/ids/3", 200, r#"{"schema":"{}","schemaType":"PROTOBUF"}"#);
    let settings = KafkaSettings { registry: Some(stub.settings()), ..broker.settings() };
    send(
        &settings,
        &[
            ("api-calls", &avro_call(7, "a-1"), &[]),
            ("api-calls", &avro_call(3, "a-2"), &[]),
            ("api-calls", call(1).as_bytes(), &[]),
        ],
    );
    let counts = run(&lake, &settings, &runtime, &mut |_| {}).expect("caught up");
    assert_eq!(counts.by_reason["schema_unknown"], 2);
    runtime.block_on(async {
        let unknown = |offset| (offset, "schema_unknown".to_owned(), None);
        assert_eq!(dead_letters(&lake).await, [unknown(0), unknown(1)]);
        stub.register(7, CALL);
        let registry = stub.settings();
        let done = replay_calls(&lake, Some(&registry)).await;
        let done = done.expect("replayed");
        assert_eq!((done.accepted, done.rejected), (1, 1));
        assert_eq!(event_ids(&lake).await, ["a-1", "e-1"]);
        stub.answer("/schemas/ids/3", 500, "");
        let error = replay_calls(&lake, Some(&registry)).await;
        let error = error.expect_err("the registry fails").to_string();
        assert!(error.contains("schema 3") && error.contains("500"), "{error}");
    });
}

/// After a crash between the two commits the schema was registered.
#[tokio::test]
async fn a_dead_letter_stays_one_after_a_crash() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let value = call(1);
    let metadata = || RecordMetadata { key: None, headers: Vec::new(), position: None };
    let id = lake::PartitionId::kafka("c", "calls", "t", 0);
    let open = || Sink::open(&lake, [Stream::ApiCalls], FlushLimits::default(), true);
    let mut sink = open().await.expect("a sink");
    let before = sink.dead_letters().await.expect("the table");
    let stream = Stream::ApiCalls;
    let buffer = sink.open_partition(&before, stream, "calls", 0, id.clone()).await;
    let mut buffer = buffer.expect("a buffer");
    let rejection = Rejection {
        reason: RejectReason::SchemaUnknown,
        field: None,
        detail: String::new(),
        sealed_before: None,
    };
    let (bytes, sealed) = (value.as_bytes(), metadata());
    let cause = RejectionCause { rejection, mapping: None, message: None };
    buffer.rejected.push(RejectedRecord::seal(&lake, 0, NOON, cause, bytes, &sealed));
    buffer.next_offset = 1;
    let slice = buffer.take_slice(0);
    let advance = slice.dead_letters.clone();
    let files = crate::dead_letters::write::write(&lake, &[slice]).await.expect("a file");
    let dead = lake::Appender::open(&lake, lake::schema::dead_letters()).await;
    dead.expect("a table").append(&[advance], &files).await.expect("a commit");

    let mut sink = open().await.expect("a sink");
    let dead_letters = sink.dead_letters().await.expect("the table");
    let buffer = sink.open_partition(&dead_letters, stream, "calls", 0, id).await;
    sink.buffers = vec![buffer.expect("a buffer")];
    for offset in 0..2 {
        let record = SourceRecord { offset, arrival: NOON, value: Some(bytes), attributes: None };
        sink.accept(0, &record, metadata).expect("nothing to wait for");
    }
    assert_eq!((sink.counts.accepted, sink.counts.rejected), (1, 1));
    assert_eq!(sink.flush().await.expect("a commit"), [0usize; 0]);
    assert_eq!(rows(&lake, "raw/api_calls").await, 1);
    assert_eq!(rows(&lake, "raw/dead_letters").await, 1);
    assert_eq!(lake.verify().await.expect("verified").findings, []);
}

#[test]
fn registry_answers_and_errors() {
    let runtime = Runtime::new().expect("a runtime");
    let fetch = |settings: &RegistrySettings, id: u32| {
        let mut registry = SchemaRegistry::new(settings, runtime.handle()).expect("a client");
        runtime.block_on(registry.fetch(id)).map(|found| found.is_some())
    };
    let stub = StubRegistry::start();
    let mut settings = stub.settings();
    settings.user = Some("ingest".to_owned().into());
    settings.password = Some("secret".to_owned().into());
    stub.register(1, CALL);
    assert!(matches!(fetch(&settings, 1), Ok(true)));
    let asked = stub.asked.lock().expect("no panic").clone();
    assert_eq!(
        asked,
        [("/schemas/ids/1".to_owned(), Some("Basic aW5nZXN0OnNlY3JldA==".to_owned()))]
    );
    assert!(!format!("{settings:?}").contains("secret"), "{settings:?}");
    assert!(matches!(fetch(&settings, 9), Ok(false)));

    // A schema that can't be parsed is not an error either.
    stub.register(2, r#"{"type":"record"}"#);
    assert!(matches!(fetch(&settings, 2), Ok(false)));

    // Each schema is requested three times.
    let fails = |id: u32, status: u16, body: &str, says: &str| {
        stub.answer(&format!("/schemas/ids/{id}"), status, body);
        let before = stub.asked();
        let error = fetch(&settings, id).expect_err("no answer").to_string();
        assert!(error.contains(says) && !error.contains("secret"), "{error}");
        assert_eq!(stub.asked() - before, 3, "{error}");
    };
    fails(10, 404, "<html>", "does its API begin at that url?");
    fails(
        11,
        404,
        r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#,
        "HTTP 404 Not Found; does",
    );
    fails(
        12,
        401,
        r#"{"error_code":401,"message":"who?"}"#,
        "401 Unauthorized who?; check its user",
    );
    fails(13, 503, "", "503 Service Unavailable");
    fails(14, 200, "{}", "an answer that is none");

    // A schema with types that are defined in others, one of which is referred to by both.
    let body = |schema: &str, references: serde_json::Value| {
        serde_json::json!({ "schema": schema, "references": references }).to_string()
    };
    let refer =
        |subject: &str| serde_json::json!({"name": subject, "subject": subject, "version": 1});
    let outer = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"A"},{"name":"b","type":"B"}]}"#;
    stub.answer(
        "/schemas/ids/20",
        200,
        &body(outer, serde_json::json!([refer("a/x"), refer("b")])),
    );
    let a = body(
        r#"{"type":"record","name":"A","fields":[{"name":"b","type":"B"}]}"#,
        serde_json::json!([refer("b")]),
    );
    stub.answer("/subjects/a%2Fx/versions/1", 200, &a);
    let b = body(r#"{"type":"enum","name":"B","symbols":["x"]}"#, serde_json::json!([]));
    stub.answer("/subjects/b/versions/1", 200, &b);
    assert!(matches!(fetch(&settings, 20), Ok(true)));
    let around = body(outer, serde_json::json!([refer("b"), refer("c")]));
    stub.answer("/subjects/c/versions/1", 200, &around);
    stub.answer("/schemas/ids/21", 200, &around);
    let error = fetch(&settings, 21).expect_err("in a circle").to_string();
    assert!(error.contains("more than 100"), "{error}");

    stub.answer("/schemas/types", 200, r#"["AVRO"]"#);
    let schema_types = runtime.block_on(crate::check_registry(&settings)).expect("an answer");
    assert_eq!(schema_types, ["AVRO"]);
    stub.answer("/schemas/types", 502, "");
    let error = runtime.block_on(crate::check_registry(&settings)).expect_err("none");
    assert!(error.to_string().contains("502"), "{error}");

    let wrong = |url: &str, says: &str| {
        let error = SchemaRegistry::new(&RegistrySettings::new(url), runtime.handle()).err();
        let error = error.expect("a wrong url").to_string();
        assert!(error.contains(says) && !error.contains("secret"), "{error}");
    };
    wrong("127.0.0.1:8081", "schema_registry");
    wrong("ftp://x", "http:// or https://");
    wrong("http://me:secret@x", "by the environment");
}

#[test]
fn a_schema_is_requested_once() {
    let runtime = Runtime::new().expect("a runtime");
    let stub = StubRegistry::start();
    stub.register(1, CALL);
    let mut registry = SchemaRegistry::new(&stub.settings(), runtime.handle()).expect("a client");
    let until = std::time::Instant::now() + Duration::from_secs(30);
    let mut waits = 0;
    while matches!(registry.look_up(1), SchemaLookup::Pending(None)) {
        waits += 1;
        assert!(std::time::Instant::now() < until, "no answer");
        std::thread::yield_now();
    }
    assert!(waits > 0);
    assert!(matches!(registry.look_up(1), SchemaLookup::Found(Some(_))));
    assert_eq!(stub.asked(), 1);
}
