use lake::{Erasure, ErasureScan, FileRole};

use super::*;
use crate::dead_letters::rejected_record::{RecordMetadata, RejectedRecord, RejectionCause};
use crate::decode::Rejection;
use crate::settings::FlushLimits;
use crate::sink::Sink;
use crate::tests::{NOON, lake};

/// Writes dead letters as an older version would have: it rejects calls that are valid now.
async fn reject(lake: &Lake, values: &[&str], mapping: Option<&str>) {
    let stream = Stream::ApiCalls;
    let limits = FlushLimits::default();
    let mut sink = Sink::open(lake, [stream], limits, true).await.expect("a sink");
    let id = PartitionId::kafka("c", "calls", "t", 3);
    let dead_letters = sink.dead_letters().await.expect("the table");
    let buffer = sink.open_partition(&dead_letters, stream, "calls", 3, id).await;
    let mut buffer = buffer.expect("a buffer");
    for value in values {
        let rejection = Rejection {
            reason: RejectReason::UnknownValue,
            field: Some("method"),
            detail: String::new(),
            sealed_before: None,
        };
        let metadata = RecordMetadata { key: None, headers: Vec::new(), position: None };
        let value = value.as_bytes();
        let cause =
            RejectionCause { rejection, mapping: mapping.map(str::to_owned), message: None };
        let offset = buffer.next_offset;
        buffer.rejected.push(RejectedRecord::seal(lake, offset, NOON, cause, value, &metadata));
        buffer.next_offset += 1;
    }
    sink.buffers = vec![buffer];
    assert_eq!(sink.flush().await.expect("a commit"), [0usize; 0]);
}

/// Replays a stream's dead letters. The only mapping that there is skips `{}`, and takes an
/// event from the member `call`.
async fn replay_stream(lake: &Lake, stream: Stream, mapping: &ReplayMapping) -> ReplayCounts {
    let resolve = |name: &str| match name {
        "calls.jq" => Mapping::compile(name, CALLS_MAPPING).map_err(|e| e.to_string()),
        _ => Err("there is none".to_owned()),
    };
    let options =
        ReplayOptions { stream, registry: None, mapping, rejected_by: None, resolve: &resolve };
    replay(lake, &options, &mut |_| {}).await.expect("replayed")
}

/// Makes the first commit of a replay that dies after it: the first record is in both tables then.
async fn die_after_first_commit(lake: &Lake) {
    let mut rows_now = Rows::new(Stream::ApiCalls);
    let mut decoder = Decoder::new(Stream::ApiCalls, Arc::new(str::to_owned));
    let event = decoder
        .parse(&RecordInput {
            value: VALID_CALL.as_bytes(),
            arrival: NOON,
            attributes: None,
            schema: None,
        })
        .expect("valid");
    let origin = RecordOrigin { topic: "calls", partition: 3, offset: 0, arrival: NOON };
    rows_now.push(&event, &origin, false);
    let mut raw = Appender::open(lake, schema::raw(Stream::ApiCalls)).await.expect("a table");
    let files = write_rows(lake, Stream::ApiCalls, vec![&rows_now], NOON).await;
    let advance = PositionAdvance::of_position(PartitionId::replay(Stream::ApiCalls), None, 1);
    raw.append(&[advance], &files.expect("a file")).await.expect("a commit");
}

const CALLS_MAPPING: &str = "if . == {} then empty else .call end";

async fn rows(lake: &Lake) -> (u64, u64) {
    let mut rows = [0; 2];
    for (n, def) in [schema::raw(Stream::ApiCalls), schema::dead_letters()].iter().enumerate() {
        rows[n] = lake.snapshot(&def.name, None).await.expect("read").map_or(0, |s| s.rows());
    }
    (rows[0], rows[1])
}

const VALID_CALL: &str =
    r#"{"event_id":"e","partner_id":"p","occurred_at":"2026-01-01T11:00:00Z","status":200}"#;

#[tokio::test]
async fn valid_dead_letters_are_replayed_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    reject(&lake, &[VALID_CALL, "{broken", VALID_CALL], None).await;
    assert_eq!(rows(&lake).await, (0, 3));
    let done = replay_stream(&lake, Stream::ApiCalls, &ReplayMapping::AsRecorded).await;
    assert_eq!((done.accepted, done.rejected, done.skipped), (2, 1, 0));
    assert_eq!(rows(&lake).await, (2, 1));
    let again = replay_stream(&lake, Stream::ApiCalls, &ReplayMapping::AsRecorded).await;
    assert_eq!((again.accepted, again.rejected), (0, 1));
    let other = replay_stream(&lake, Stream::BillingEvents, &ReplayMapping::AsRecorded).await;
    assert_eq!(other, ReplayCounts::default());
    assert_eq!(lake.verify().await.expect("verified").findings, []);
}

#[tokio::test]
async fn an_interrupted_replay_is_finished() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    reject(&lake, &[VALID_CALL, VALID_CALL], None).await;
    die_after_first_commit(&lake).await;
    assert_eq!(lake.verify().await.expect("verified").findings.len(), 1);

    let done = replay_stream(&lake, Stream::ApiCalls, &ReplayMapping::AsRecorded).await;
    assert_eq!((done.finished, done.accepted), (1, 1));
    assert_eq!(rows(&lake).await, (2, 0));
    assert_eq!(lake.verify().await.expect("verified").findings, []);
}

#[tokio::test]
async fn the_commit_of_a_dead_replay_may_arrive_late() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    reject(&lake, &[VALID_CALL, VALID_CALL], None).await;
    let stream = Stream::ApiCalls;
    let raw = Appender::open(&lake, schema::raw(stream)).await.expect("a table");
    let dead_letters = Appender::open(&lake, schema::dead_letters()).await.expect("a table");
    // The next replay has looked at both tables before.
    die_after_first_commit(&lake).await;
    let mapping = &ReplayMapping::AsRecorded;
    let resolve = |_: &str| Err("there is none".to_owned());
    let options =
        ReplayOptions { stream, registry: None, mapping, rejected_by: None, resolve: &resolve };
    let done = replay_days(&lake, &options, (raw, dead_letters), &mut |_| {}).await;
    let done = done.expect("replayed");
    assert_eq!((done.finished, done.accepted), (1, 1));
    assert_eq!(rows(&lake).await, (2, 0));
    assert_eq!(lake.verify().await.expect("verified").findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_erased_while_it_is_replayed_stays_erased() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let call = |partner: &str| {
        let call = VALID_CALL.replace(r#""p""#, &format!("\"{partner}\""));
        format!(r#"{{"call":{call}}}"#)
    };
    reject(&lake, &[&call("p-gone"), &call("p-stays")], Some("calls.jq")).await;
    let erasure = Erasure::new(&[("p-gone".to_owned(), "erased-1".to_owned())].into(), false);
    // The mapping is looked up after the dead letters were read.
    let resolve = |name: &str| {
        let table = schema::dead_letters().name;
        let erased = lake.erase(&erasure, &table, None, false);
        let runtime = tokio::runtime::Handle::current();
        let erased = tokio::task::block_in_place(|| runtime.block_on(erased));
        assert_eq!(erased.expect("erased").dropped, 1);
        Mapping::compile(name, CALLS_MAPPING).map_err(|e| e.to_string())
    };
    let (stream, mapping) = (Stream::ApiCalls, &ReplayMapping::AsRecorded);
    let options =
        ReplayOptions { stream, registry: None, mapping, rejected_by: None, resolve: &resolve };
    let done = replay(&lake, &options, &mut |_| {}).await.expect("replayed");
    assert_eq!((done.accepted, done.rejected), (1, 0));
    assert_eq!(rows(&lake).await, (1, 0));
    let left = lake.scan_for_ids(&erasure, &mut ErasureScan::default(), NOON).await;
    let left = left.expect("scanned").into_iter().map(|found| found.role);
    // The erasure's own old file of dead letters is deleted by its purge.
    assert!(
        left.clone().all(|role| role == FileRole::Unreferenced),
        "{:?}",
        left.collect::<Vec<_>>()
    );
    assert_eq!(lake.verify().await.expect("verified").findings, []);
}

#[tokio::test]
async fn dead_letters_not_read_past_are_not_replayed() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    reject(&lake, &[VALID_CALL], None).await;
    let day = Day::of_micros(NOON);
    let base = read::dead_letter_table(&lake).await.expect("the table");
    let dead_letter = &read::dead_letters_of_day(&lake, &base, day).await.expect("letters")[0];
    let check = |id: &str, next: i64, expected: bool| {
        let txns = [(id.to_owned(), next)].into();
        assert_eq!(dead_letter.is_read_past(Stream::ApiCalls, &txns), expected, "{id} {next}");
    };
    check("c/calls/t/3", 1, true);
    check("c/calls/t/3", 0, false);
    check("c/calls/t/2", 9, false);
    check("c/other/t/3", 9, false);
    check("c/calls/t/3#newest", 9, false);
    assert_eq!(dead_letter.open(&lake).expect("opens").bytes(), VALID_CALL.as_bytes());
}

#[tokio::test]
async fn dead_letters_go_through_the_mapping_they_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    let call = format!(r#"{{"call":{VALID_CALL}}}"#);
    reject(&lake, &[&call, "{}", "[]"], Some("calls.jq")).await;
    let absent = replay_stream(&lake, Stream::ApiCalls, &ReplayMapping::Absent).await;
    assert_eq!((absent.accepted, absent.rejected), (0, 3));
    let done = replay_stream(&lake, Stream::ApiCalls, &ReplayMapping::AsRecorded).await;
    assert_eq!((done.accepted, done.left_out, done.rejected), (1, 1, 1));
    assert_eq!(rows(&lake).await, (1, 1));
    let other = Mapping::compile("other.jq", "empty").expect("compiled");
    let done = replay_stream(&lake, Stream::ApiCalls, &ReplayMapping::Use(other)).await;
    assert_eq!((done.accepted, done.left_out, done.rejected), (0, 1, 0));
    assert_eq!(rows(&lake).await, (1, 0));
    assert_eq!(lake.verify().await.expect("verified").findings, []);
}

#[tokio::test]
async fn a_mapping_that_is_gone_is_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let lake = lake(&dir).await;
    reject(&lake, &[VALID_CALL], Some("kong-http-lgo")).await;
    let resolve = |name: &str| Mapping::built_in(name).map_err(|error| error.to_string());
    let (stream, mapping) = (Stream::ApiCalls, &ReplayMapping::AsRecorded);
    let options =
        ReplayOptions { stream, registry: None, mapping, rejected_by: None, resolve: &resolve };
    let error = replay(&lake, &options, &mut |_| {}).await.expect_err("an error").to_string();
    assert!(error.contains("kong-http-lgo") && error.contains("kong-http-log"), "{error}");
    assert_eq!(rows(&lake).await, (0, 1));
}
