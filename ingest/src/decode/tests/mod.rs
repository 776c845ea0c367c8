//! Tests of the event contracts, and the helpers of all tests of the decoder.

mod avro;
mod cloud_events;
mod corpus;
mod details;
mod duplicate_keys;
mod fields;
mod rows;

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use domain::Stream;
use proptest::prelude::*;

use super::{
    CloudEventAttributes, DayBatches, Decoder, MAX_RECORD_BYTES, RecordInput, RecordOrigin,
    RejectReason, Rejection, Rows,
};

/// 2026-06-01T00:00:00Z.
const ARRIVAL: i64 = 1_780_272_000_000_000;

fn decoder(stream: Stream) -> Decoder {
    Decoder::new(stream, Arc::new(|credential| format!("hash of {}", credential.len())))
}

/// Headers of a record, names and values.
type TestHeaders<'h> = [(&'h str, &'h [u8])];

/// Returns the CloudEvents attributes in the headers.
fn attributes<'h>(headers: &'h TestHeaders<'h>) -> Option<CloudEventAttributes<'h>> {
    CloudEventAttributes::read(|name| {
        let last = headers.iter().rev().find(|h| h.0.as_bytes() == name.to_bytes());
        last.map(|h| h.1)
    })
}

/// Returns a record without headers.
fn plain(value: &[u8]) -> RecordInput<'_> {
    RecordInput { value, arrival: ARRIVAL, attributes: None, schema: None }
}

fn rows_of(stream: Stream, records: &[&[u8]]) -> Result<Rows, Rejection> {
    let mut decoder = decoder(stream);
    let mut rows = Rows::new(stream);
    for (offset, bytes) in (0..).zip(records) {
        let event = decoder.parse(&plain(bytes))?;
        rows.push(
            &event,
            &RecordOrigin { topic: "t", partition: 3, offset, arrival: ARRIVAL },
            false,
        );
    }
    Ok(rows)
}

fn batch_of(stream: Stream, records: &[&[u8]]) -> Result<RecordBatch, Rejection> {
    let rows = rows_of(stream, records)?;
    let batch = DayBatches::new(vec![&rows]).batch(0..rows.len(), ARRIVAL + 1);
    Ok(batch.expect("columns of one length"))
}

/// Returns a cell as text, or `None` for NULL.
fn cell(batch: &RecordBatch, column: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(column, &options).expect("a printable type");
    column.is_valid(row).then(|| text.value(row).to_string())
}

/// Returns a valid event of the stream with `fields` added. The last of two fields with the same
/// name counts.
fn event(stream: Stream, fields: &str) -> String {
    let own = match stream {
        ApiCalls => r#""status":200"#,
        PartnerEvents => r#""type":"registered""#,
        BillingEvents => r#""kind":"usage","amount_minor":1,"currency":"EUR""#,
        SupportEvents => r#""type":"opened","ticket_id":"t1""#,
    };
    let comma = if fields.is_empty() { "" } else { "," };
    format!(
        r#"{{"event_id":"e1","partner_id":"p1","occurred_at":"2026-05-31T12:00:00Z",{own}{comma}{fields}}}"#
    )
}

/// Asserts that an event with these fields is stored with this value in this column.
#[track_caller]
pub(super) fn stored(stream: Stream, fields: &str, column: &str, expected: Option<&str>) {
    let json = event(stream, fields);
    let batch = batch_of(stream, &[json.as_bytes()]).unwrap_or_else(|e| panic!("{fields}: {e}"));
    assert_eq!(cell(&batch, column, 0).as_deref(), expected, "{fields}");
}

/// Asserts that these bytes are rejected with this reason and field.
#[track_caller]
fn rejected_bytes(stream: Stream, bytes: &[u8], reason: &str, field: Option<&str>) {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    match decoder(stream).parse(&plain(bytes)) {
        Ok(_) => panic!("accepted: {shown}"),
        Err(rejection) => {
            assert_eq!((rejection.reason.as_str(), rejection.field), (reason, field), "{shown}");
        }
    }
}

/// Asserts that an event with these fields is rejected with this reason and field.
#[track_caller]
pub(super) fn rejected(stream: Stream, fields: &str, reason: &str, field: &str) {
    rejected_bytes(stream, event(stream, fields).as_bytes(), reason, Some(field));
}

use Stream::{ApiCalls, BillingEvents, PartnerEvents, SupportEvents};

#[test]
fn records_that_are_not_objects() {
    let check = |bytes: &[u8], reason| rejected_bytes(ApiCalls, bytes, reason, None);
    check(&vec![b' '; MAX_RECORD_BYTES + 1], "too_large");
    check(&vec![0; MAX_RECORD_BYTES + 1], "too_large");
    check(&vec![b' '; MAX_RECORD_BYTES], "not_json");
    check(b"\0\0\0\0\x01rest", "schema_unknown");
    for text in [
        "",
        " ",
        "\n",
        "\u{feff}{}",
        "{",
        "{}x",
        "{} {}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":NaN}",
        "{\"a\":1,}",
        "{\"a\":\"\u{1}\"}",
        "1e400",
        "[1e400]",
        r#"{"a":1e400}"#,
        r#"{"status":-1e400}"#,
        r#"{"status":1e400,"status":1}"#,
        r#"{"a":[{"b":1e309}]}"#,
        r#"{"event_id":[1e309]}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"event_id":"\udc00x"}"#,
        r#"{"\ud800":1}"#,
    ] {
        check(text.as_bytes(), "not_json");
    }
    check(b"{\"event_id\":\"\xff\"}", "not_json");
    check(&[b'[', b']', 0xc3], "not_json");
    for text in ["[]", "null", "\"x\"", "1", " true ", "[[[]]]"] {
        check(text.as_bytes(), "not_an_object");
    }
    check("[".repeat(200_000).as_bytes(), "not_json");
    check(format!("{}{}", "[".repeat(200_000), "]".repeat(200_000)).as_bytes(), "not_an_object");
}

#[test]
fn the_largest_record_is_accepted() {
    let fields = event(ApiCalls, r#""pad":"""#);
    let pad = "x".repeat(MAX_RECORD_BYTES - fields.len());
    stored(ApiCalls, &format!(r#""pad":"{pad}""#), "extra", None);
    rejected_bytes(
        ApiCalls,
        event(ApiCalls, &format!(r#""pad":"{pad}x""#)).as_bytes(),
        "too_large",
        None,
    );
}

#[test]
fn the_first_broken_rule_is_reported() {
    let check =
        |json: &str, reason, field| rejected_bytes(ApiCalls, json.as_bytes(), reason, Some(field));
    check("{}", "missing_field", "event_id");
    check(r#"{"status":"x"}"#, "missing_field", "event_id");
    check(r#"{"event_id":1,"partner_id":2}"#, "wrong_type", "event_id");
    check(r#"{"partner_id":"","event_id":""}"#, "out_of_range", "event_id");
    check(r#"{"partner_id":7,"event_id":"e"}"#, "missing_field", "occurred_at");
    check(r#"{"partner_id":7,"event_id":"e","occurred_at":""}"#, "wrong_type", "occurred_at");
    check(
        r#"{"status":1,"event_id":"e","occurred_at":1748692800000}"#,
        "missing_field",
        "partner_id",
    );
    check(
        r#"{"event_id":"e","occurred_at":1748692800000,"partner_id":"p","latency_ms":"x"}"#,
        "missing_field",
        "status",
    );
    rejected(ApiCalls, r#""trace_id":1,"status":99,"product":7"#, "wrong_type", "product");
    rejected(ApiCalls, r#""latency_ms":-1,"status":"200""#, "wrong_type", "status");
    rejected(ApiCalls, r#""status":600,"latency_ms":"1""#, "out_of_range", "status");
}

#[test]
fn reasons_are_named_as_in_the_contract() {
    let rejection = decoder(ApiCalls).parse(&plain(b"{}")).expect_err("no fields");
    assert_eq!(rejection.reason, RejectReason::MissingField);
    assert_eq!(
        rejection.to_string(),
        "missing_field: event_id: absent or null, and it is required"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for stream in Stream::ALL {
            let _ = decoder(stream).parse(&plain(&bytes));
        }
    }

    #[test]
    fn a_mangled_event_is_json_where_serde_parses_it(
        changes in proptest::collection::vec((0usize..400, proptest::sample::select(
            b"{}[]\",:\\u0189.eE+-tfn \x01\xc3\xa9".as_slice())), 1..4),
        cut in proptest::option::of(0usize..400),
    ) {
        let fields = r#""credential_id":"k","endpoint":"/a?b","latency_ms":1.5e307,"x":{"t\n":[-1E2,
            "\ud83d\ude00",true,{}]},"status":{"y":[null,"\ud83d\ude00",1e30]}"#;
        let mut bytes = event(ApiCalls, fields).into_bytes();
        for (at, byte) in changes {
            let index = at % bytes.len();
            bytes[index] = byte;
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        let ours = decoder(ApiCalls).parse(&plain(&bytes)).err().map(|r| r.reason);
        let theirs = serde_json::from_slice::<serde_json::Value>(&bytes);
        prop_assert_eq!(ours == Some(RejectReason::NotJson), theirs.is_err());
        prop_assert_eq!(ours == Some(RejectReason::NotAnObject), theirs.is_ok_and(|v| !v.is_object()));
    }
}
