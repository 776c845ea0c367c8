//! The event contracts, rule by rule.

mod avro;
mod corpus;
mod rows;

use std::ffi::CStr;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use lake_types::Stream;
use proptest::prelude::*;

use super::{Attributes, Days, Decoder, Event, Input, MOST_BYTES, Origin, Reason, Rejection, Rows};

/// 2026-06-01T00:00:00Z.
const ARRIVAL: i64 = 1_780_272_000_000_000;

fn decoder(stream: Stream) -> Decoder {
    Decoder::new(stream, Arc::new(|credential| format!("hash of {}", credential.len())))
}

/// A record without headers.
fn plain(value: &[u8]) -> Input<'_> {
    Input { value, arrival: ARRIVAL, attributes: None, schema: None }
}

fn rows_of(stream: Stream, records: &[&[u8]]) -> Result<Rows, Rejection> {
    let mut decoder = decoder(stream);
    let mut rows = Rows::new(stream);
    for (offset, bytes) in (0..).zip(records) {
        let event = decoder.parse(&plain(bytes))?;
        rows.push(&event, &Origin { topic: "t", partition: 3, offset, arrival: ARRIVAL }, false);
    }
    Ok(rows)
}

fn batch_of(stream: Stream, records: &[&[u8]]) -> Result<RecordBatch, Rejection> {
    let rows = rows_of(stream, records)?;
    let batch = Days::new(vec![&rows]).batch(0..rows.len(), ARRIVAL + 1);
    Ok(batch.expect("columns of one length"))
}

/// A cell as text; `None` for NULL.
fn cell(batch: &RecordBatch, column: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(column, &options).expect("a printable type");
    column.is_valid(row).then(|| text.value(row).to_string())
}

/// Puts `fields` behind the least that the stream's events need; of a name given twice the last counts.
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

/// An event with these fields is stored with this value in this column.
#[track_caller]
pub(super) fn stored(stream: Stream, fields: &str, column: &str, expected: Option<&str>) {
    let json = event(stream, fields);
    let batch = batch_of(stream, &[json.as_bytes()]).unwrap_or_else(|e| panic!("{fields}: {e}"));
    assert_eq!(cell(&batch, column, 0).as_deref(), expected, "{fields}");
}

/// These bytes are rejected for this reason and field.
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

/// An event with these fields is rejected for this reason and field.
#[track_caller]
pub(super) fn rejected(stream: Stream, fields: &str, reason: &str, field: &str) {
    rejected_bytes(stream, event(stream, fields).as_bytes(), reason, Some(field));
}

use Stream::{ApiCalls, BillingEvents, PartnerEvents, SupportEvents};

#[test]
fn records_that_are_no_object() {
    let check = |bytes: &[u8], reason| rejected_bytes(ApiCalls, bytes, reason, None);
    check(&vec![b' '; MOST_BYTES + 1], "too_large");
    check(&vec![0; MOST_BYTES + 1], "too_large");
    check(&vec![b' '; MOST_BYTES], "not_json");
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
fn the_largest_record_is_taken() {
    let fields = event(ApiCalls, r#""pad":"""#);
    let pad = "x".repeat(MOST_BYTES - fields.len());
    stored(ApiCalls, &format!(r#""pad":"{pad}""#), "extra", None);
    rejected_bytes(
        ApiCalls,
        event(ApiCalls, &format!(r#""pad":"{pad}x""#)).as_bytes(),
        "too_large",
        None,
    );
}

#[test]
fn the_first_broken_rule_counts() {
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
fn ids() {
    let most = "é".repeat(128);
    for name in ["event_id", "partner_id"] {
        for id in [" ", "1", most.as_str(), "a/b c\u{0}"] {
            let json = serde_json::Value::from(id);
            stored(ApiCalls, &format!(r#""{name}":{json}"#), name, Some(id));
        }
        for (json, reason) in [
            ("null", "missing_field"),
            ("1", "wrong_type"),
            ("true", "wrong_type"),
            ("[]", "wrong_type"),
            ("{}", "wrong_type"),
            (r#""""#, "out_of_range"),
            (&format!(r#""{most}é""#), "out_of_range"),
        ] {
            rejected(ApiCalls, &format!(r#""{name}":{json}"#), reason, name);
        }
    }
    stored(ApiCalls, r#""event_id":"\u0041\n\ud83d\ude00""#, "event_id", Some("A\n😀"));
    stored(ApiCalls, r#""event_id":1,"event_id":"last""#, "event_id", Some("last"));
    stored(ApiCalls, r#""event\u005fid":"escaped name""#, "event_id", Some("escaped name"));
    rejected(ApiCalls, r#""event_id":"e","event_id":null"#, "missing_field", "event_id");
}

#[test]
fn instants() {
    let at = |json: &str, expected| {
        stored(ApiCalls, &format!(r#""occurred_at":{json}"#), "occurred_at", Some(expected));
    };
    at(r#""2026-05-31T14:00:00.1234567+02:00""#, "2026-05-31T12:00:00.123456Z");
    at(r#""2026-05-31 12:00:00z""#, "2026-05-31T12:00:00Z");
    at(r#""2026-05-31t23:59:60Z""#, "2026-06-01T00:00:00Z");
    at("1780228800000", "2026-05-31T12:00:00Z");
    at("1780228800000.0", "2026-05-31T12:00:00Z");
    at("1.7802288e12", "2026-05-31T12:00:00Z");
    at(r#""2000-01-01T00:00:00Z""#, "2000-01-01T00:00:00Z");
    at("946684800000", "2000-01-01T00:00:00Z");
    at(r#""2026-06-02T00:00:00Z""#, "2026-06-02T00:00:00Z");
    at(r#""2026-06-02T00:00:00.0000009Z""#, "2026-06-02T00:00:00Z");
    let no = |json: &str, reason| {
        rejected(ApiCalls, &format!(r#""occurred_at":{json}"#), reason, "occurred_at");
    };
    no("null", "missing_field");
    no("true", "wrong_type");
    no("4.5", "wrong_type");
    no("[]", "wrong_type");
    no(r#""1780228800000""#, "wrong_type");
    no(r#""2026-05-31T12:00:00""#, "wrong_type");
    no(r#""2026-02-30T12:00:00Z""#, "wrong_type");
    no(r#""1999-12-31T23:59:59.999999Z""#, "out_of_range");
    no("946684799999", "out_of_range");
    no("-1", "out_of_range");
    no(r#""2026-06-02T00:00:00.000001Z""#, "out_of_range");
    no("1780358400001", "out_of_range");
    no("9223372036854775807", "out_of_range");
    no("1e300", "out_of_range");
}

#[test]
fn texts() {
    let text = |fields: &str, column, expected| stored(ApiCalls, fields, column, expected);
    text("", "product", None);
    text(r#""product":null"#, "product", None);
    text(r#""product":"""#, "product", None);
    text(r#""product":" ""#, "product", Some(" "));
    text("", "environment", Some("production"));
    text(r#""environment":null"#, "environment", Some("production"));
    text(r#""environment":"sandbox""#, "environment", Some("sandbox"));
    text(r#""endpoint":"/v1/pay?key=1#x""#, "endpoint", Some("/v1/pay"));
    text(r#""endpoint":"/v1/pay#x?y""#, "endpoint", Some("/v1/pay"));
    text(r#""endpoint":"/v1/\u0070ay?""#, "endpoint", Some("/v1/pay"));
    text(r#""endpoint":"?a=1""#, "endpoint", None);
    text(r#""method":"get""#, "method", Some("GET"));
    text(r#""method":"POST""#, "method", Some("POST"));
    text(r#""credential_id":"key_1234567""#, "credential_id", Some("hash of 11"));
    text(r#""credential_id":"""#, "credential_id", None);
    for name in ["credential_id", "environment", "product", "endpoint", "method", "trace_id"] {
        for value in ["1", "false", "[]", "{}"] {
            rejected(ApiCalls, &format!(r#""{name}":{value}"#), "wrong_type", name);
        }
    }
}

#[test]
fn enumerations() {
    rejected(ApiCalls, r#""environment":"""#, "unknown_value", "environment");
    rejected(ApiCalls, r#""environment":"Sandbox""#, "unknown_value", "environment");
    for (stream, name) in
        [(PartnerEvents, "type"), (BillingEvents, "kind"), (SupportEvents, "type")]
    {
        for (json, reason) in [
            ("null", "missing_field"),
            ("1", "wrong_type"),
            (r#""""#, "unknown_value"),
            (r#""zzz""#, "unknown_value"),
        ] {
            rejected(stream, &format!(r#""{name}":{json}"#), reason, name);
        }
    }
    for kind in ["registered", "terms_signed", "payment_method_added", "merged"] {
        stored(PartnerEvents, &format!(r#""type":"{kind}""#), "type", Some(kind));
    }
    for kind in ["usage", "subscription", "commission", "credit", "refund"] {
        stored(BillingEvents, &format!(r#""kind":"{kind}""#), "kind", Some(kind));
    }
    for kind in ["opened", "first_response", "resolved"] {
        stored(SupportEvents, &format!(r#""type":"{kind}""#), "type", Some(kind));
    }
    for code in ["EUR", "JPY", "KWD"] {
        stored(BillingEvents, &format!(r#""currency":"{code}""#), "currency", Some(code));
    }
    for (json, reason) in [
        ("null", "missing_field"),
        ("978", "wrong_type"),
        (r#""""#, "unknown_value"),
        (r#""eur""#, "unknown_value"),
        (r#""XAU""#, "unknown_value"),
    ] {
        rejected(BillingEvents, &format!(r#""currency":{json}"#), reason, "currency");
    }
}

#[test]
fn integers_and_their_bounds() {
    let most = "9223372036854775807";
    for (stream, name, least, most) in [
        (ApiCalls, "status", "100", "599"),
        (ApiCalls, "request_bytes", "0", most),
        (ApiCalls, "response_bytes", "0", most),
        (PartnerEvents, "integration_level", "1", "4"),
        (PartnerEvents, "quota_per_minute", "0", most),
        (BillingEvents, "amount_minor", "0", most),
        (BillingEvents, "units", "0", most),
        (SupportEvents, "severity", "1", "4"),
        (SupportEvents, "csat", "1", "5"),
    ] {
        let with = |value: &str| format!(r#""{name}":{value}"#);
        for value in [least, most] {
            stored(stream, &with(value), name, Some(value));
            stored(stream, &with(&format!("{value}.0")), name, Some(value));
        }
        let below = format!("{}", least.parse::<i64>().expect("a bound") - 1);
        let above = format!("{}", most.parse::<i128>().expect("a bound") + 1);
        for value in [&below, &above, "1e30", "123456789012345678901234567890"] {
            rejected(stream, &with(value), "out_of_range", name);
        }
        for value in [r#""1""#, r#""""#, "4.5", "1e-3", "true", "[1]", "{}"] {
            rejected(stream, &with(value), "wrong_type", name);
        }
    }
    for (stream, name) in [(ApiCalls, "status"), (BillingEvents, "amount_minor")] {
        rejected(stream, &format!(r#""{name}":null"#), "missing_field", name);
    }
    for name in ["request_bytes", "response_bytes"] {
        stored(ApiCalls, &format!(r#""{name}":null"#), name, None);
    }
}

#[test]
fn latencies() {
    for (json, expected) in [
        ("null", None),
        ("0", Some("0")),
        ("-0.0", Some("0")),
        ("1.001", Some("1001")),
        ("1.0005", Some("1001")),
        ("1e-999999999", Some("0")),
    ] {
        stored(ApiCalls, &format!(r#""latency_ms":{json}"#), "latency_us", expected);
    }
    for (json, reason) in [
        ("-0.001", "out_of_range"),
        ("1e300", "out_of_range"),
        (r#""1""#, "wrong_type"),
        ("[]", "wrong_type"),
    ] {
        rejected(ApiCalls, &format!(r#""latency_ms":{json}"#), reason, "latency_ms");
    }
}

#[test]
fn tickets() {
    stored(SupportEvents, "", "ticket_id", Some("t1"));
    rejected(SupportEvents, r#""ticket_id":null"#, "missing_field", "ticket_id");
    rejected(SupportEvents, r#""ticket_id":7"#, "wrong_type", "ticket_id");
    rejected(SupportEvents, r#""ticket_id":"""#, "out_of_range", "ticket_id");
}

#[test]
fn unknown_fields_are_kept() {
    stored(ApiCalls, "", "extra", None);
    stored(ApiCalls, r#""z":[1, 2],"a":null"#, "extra", Some(r#"{"a":null,"z":[1,2]}"#));
    stored(ApiCalls, r#""Token":"x","api-key":1"#, "extra", None);
    stored(ApiCalls, r#""specversion":null"#, "extra", Some(r#"{"specversion":null}"#));
    // A field of another stream is unknown to this one.
    stored(SupportEvents, r#""status":200"#, "extra", Some(r#"{"status":200}"#));
}

#[test]
fn cloud_events() {
    let enveloped = |members: &str| format!(r#"{{"specversion":"1.0","source":"s",{members}}}"#);
    let data = r#""data":{"event_id":9,"partner_id":"p1","status":200,"x":1}"#;
    let whole = format!(r#"{data},"id":"e7","time":"2026-05-31T12:00:00Z""#);
    let batch = batch_of(ApiCalls, &[enveloped(&whole).as_bytes()]).expect("a valid event");
    assert_eq!(cell(&batch, "event_id", 0).as_deref(), Some("e7"));
    assert_eq!(cell(&batch, "occurred_at", 0).as_deref(), Some("2026-05-31T12:00:00Z"));
    assert_eq!(cell(&batch, "extra", 0).as_deref(), Some(r#"{"x":1}"#));
    for (members, reason, field) in [
        (r#""id":"e""#, "missing_field", Some("data")),
        (r#""data":null"#, "missing_field", Some("data")),
        (r#""data":[]"#, "not_an_object", None),
        (r#""data":1e400"#, "not_json", None),
        (data, "missing_field", Some("id")),
        (&format!(r#"{data},"id":"e""#), "missing_field", Some("time")),
        (&format!(r#"{data},"id":"","time":1"#), "out_of_range", Some("id")),
        (&format!(r#"{whole},"data":{{}}"#), "missing_field", Some("partner_id")),
    ] {
        rejected_bytes(ApiCalls, enveloped(members).as_bytes(), reason, field);
    }
}

#[test]
fn cloud_events_in_binary_mode() {
    type Headers<'h> = [(&'h str, &'h [u8])];
    fn parse<'h>(value: &'h str, headers: &'h Headers<'h>) -> Result<Event<'h>, Rejection> {
        let last = |name: &CStr| headers.iter().rev().find(|h| h.0.as_bytes() == name.to_bytes());
        let attributes = Attributes::read(|name| last(name).map(|h| h.1));
        decoder(ApiCalls).parse(&Input { attributes, ..plain(value.as_bytes()) })
    }
    let mode = ("ce_specversion", b"1.0".as_slice());
    let id = ("ce_id", b"e7".as_slice());
    let time = ("ce_time", b"2026-05-31T12:00:00Z".as_slice());
    let taken = |value: &str, headers: &Headers<'_>, expected: &str| {
        let event = parse(value, headers).unwrap_or_else(|e| panic!("{value}: {e}"));
        let at = lake_types::format_instant(event.occurred_at);
        assert_eq!(format!("{} {at} {:?}", event.event_id(), event.extra), expected, "{value}");
    };
    let bare = r#"{"partner_id":"p1","status":200,"x":1}"#;
    let noon = "2026-05-31T12:00:00Z";
    taken(bare, &[mode, id, time], &format!(r#"e7 {noon} Some("{{\"x\":1}}")"#));
    // What the value itself calls event_id does not count, and of a header given twice the last.
    taken(&event(ApiCalls, ""), &[("ce_id", b"e6"), time, id, mode], &format!("e7 {noon} None"));
    // Without the version no CloudEvents record.
    taken(&event(ApiCalls, ""), &[id, time], &format!("e1 {noon} None"));
    // An envelope in the value counts, whatever the headers say.
    let envelope = format!(r#"{{"specversion":"1.0","id":"e9","time":"{noon}","data":{bare}}}"#);
    taken(&envelope, &[mode, id, time], &format!(r#"e9 {noon} Some("{{\"x\":1}}")"#));

    let refused = |value: &str, headers: &Headers<'_>, reason: &str, field: Option<&str>| {
        let rejection = parse(value, headers).expect_err("a broken rule");
        assert_eq!((rejection.reason.as_str(), rejection.field), (reason, field), "{value}");
    };
    refused(bare, &[mode], "missing_field", Some("ce_id"));
    refused(&event(ApiCalls, ""), &[mode, time], "missing_field", Some("ce_id"));
    refused(bare, &[mode, id], "missing_field", Some("ce_time"));
    refused(bare, &[mode, time, ("ce_id", b"")], "out_of_range", Some("ce_id"));
    refused(bare, &[mode, time, ("ce_id", b"\xff")], "wrong_type", Some("ce_id"));
    refused(bare, &[mode, id, ("ce_time", b"1780228800000")], "wrong_type", Some("ce_time"));
    refused(
        bare,
        &[mode, id, ("ce_time", b"1999-01-01T00:00:00Z")],
        "out_of_range",
        Some("ce_time"),
    );
    refused("{}", &[mode, id, time], "missing_field", Some("partner_id"));
    refused("[]", &[mode, id, time], "not_an_object", None);
    refused("", &[mode, id, time], "not_json", None);
}

#[test]
fn reasons_have_the_contracts_names() {
    let rejection = decoder(ApiCalls).parse(&plain(b"{}")).expect_err("no fields");
    assert_eq!(rejection.reason, Reason::MissingField);
    assert_eq!(
        rejection.to_string(),
        "missing_field: event_id: absent or null, and it is required"
    );
}

/// What becomes of a record, in words.
fn outcome(stream: Stream, value: &str, headers: &[(&str, &[u8])]) -> String {
    let last = |name: &CStr| headers.iter().rev().find(|h| h.0.as_bytes() == name.to_bytes());
    let attributes = Attributes::read(|name| last(name).map(|h| h.1));
    match decoder(stream).parse(&Input { attributes, ..plain(value.as_bytes()) }) {
        Ok(event) => format!("{} {:?} {:?}", event.occurred_at, event.object.slots, event.extra),
        Err(rejection) => rejection.to_string(),
    }
}

/// An object of these members, in this order.
fn object(members: &[(&str, &str)]) -> String {
    let members = members.iter().map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Every key there is, each given twice: what counts is the last, as if it had come alone.
#[test]
fn a_key_given_twice_is_the_last() {
    let data = r#"{"partner_id":"p1","status":200,"type":"opened","ticket_id":"t"}"#;
    let noon = r#""2026-05-31T12:00:00Z""#;
    let values = ["null", "1", "true", r#""x""#, r#""""#, noon, r#""1.0""#, data, "[]"];
    let envelope = [("specversion", r#""1.0""#), ("id", r#""e""#), ("time", noon), ("data", data)];
    let id = [("event_id", r#""e""#), ("partner_id", r#""p""#), ("occurred_at", noon)];
    let call = [&id[..], &[("status", "200"), ("note", "1")]].concat();
    let ticket = [&id[..], &[("type", r#""opened""#), ("ticket_id", r#""t""#)]].concat();
    for (stream, plain) in [(ApiCalls, &call), (SupportEvents, &ticket)] {
        let own = super::contract(stream).into_iter().map(|field| field.name);
        for key in own.chain(envelope.map(|(name, _)| name)).chain(["source", "note"]) {
            let spelled = format!("\\u{:04x}{}", u32::from(key.as_bytes()[0]), &key[1..]);
            let pairs = values.iter().flat_map(|first| values.map(|second| (*first, second)));
            for ((first, second), members) in
                pairs.flat_map(|p| [(p, &envelope[..]), (p, &plain[..])])
            {
                let others: Vec<_> = members.iter().copied().filter(|m| m.0 != key).collect();
                let alone = object(&[&others[..], &[(key, second)]].concat());
                let due = outcome(stream, &alone, &[]);
                for name in [key, &spelled] {
                    let twice = object(&[members, &[(key, first), (name, second)]].concat());
                    assert_eq!(outcome(stream, &twice, &[]), due, "{twice}");
                }
            }
        }
    }
    let mode = ("ce_specversion", b"1.0".as_slice());
    let noon = b"2026-05-31T12:00:00Z".as_slice();
    let bare = r#"{"partner_id":"p1","status":200}"#;
    for (first, second) in [(b"e1".as_slice(), b"e2".as_slice()), (b"e1", b""), (b"", b"e2")] {
        let headers = |ids: &[&'static [u8]]| {
            let ids = ids.iter().map(|id| ("ce_id", *id));
            ids.chain([mode, ("ce_time", noon)]).collect::<Vec<_>>()
        };
        let due = outcome(ApiCalls, bare, &headers(&[second]));
        assert_eq!(outcome(ApiCalls, bare, &headers(&[first, second])), due);
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for stream in Stream::ALL {
            let _ = decoder(stream).parse(&plain(&bytes));
        }
    }

    #[test]
    fn a_mangled_event_is_json_where_serde_says_so(
        changes in proptest::collection::vec((0usize..400, proptest::sample::select(
            b"{}[]\",:\\u0189.eE+-tfn \x01\xc3\xa9".as_slice())), 1..4),
        cut in proptest::option::of(0usize..400),
    ) {
        let fields = r#""credential_id":"k","endpoint":"/a?b","latency_ms":1.5e307,"x":{"t\n":[-1E2,
            "\ud83d\ude00",true,{}]},"status":{"y":[null,"\ud83d\ude00",1e30]}"#;
        let mut bytes = event(ApiCalls, fields).into_bytes();
        for (at, byte) in changes {
            let place = at % bytes.len();
            bytes[place] = byte;
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        let ours = decoder(ApiCalls).parse(&plain(&bytes)).err().map(|r| r.reason);
        let theirs = serde_json::from_slice::<serde_json::Value>(&bytes);
        prop_assert_eq!(ours == Some(Reason::NotJson), theirs.is_err());
        prop_assert_eq!(ours == Some(Reason::NotAnObject), theirs.is_ok_and(|v| !v.is_object()));
    }
}
