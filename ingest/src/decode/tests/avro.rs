//! Tests of Avro records, which are read by the schema they were written with and keep the same
//! rules as JSON.

use proptest::prelude::*;

use super::super::avro::{self, AvroError};
use super::super::json::ParsedObject;
use super::super::{AvroSchema, CloudEventAttributes, RecordInput, RejectReason, schema_id};
use super::{ARRIVAL, ApiCalls, BillingEvents, cell, decoder};
use crate::decode::{DayBatches, Event, RecordOrigin, Rejection, Rows};
use domain::Stream;

/// Encodes an integer.
pub(crate) fn long(value: i64) -> Vec<u8> {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    let mut bytes = Vec::new();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}

/// Encodes a string or bytes.
pub(crate) fn sized(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [long(bytes.len() as i64), bytes.to_vec()].concat()
}

fn schema(fields: &str) -> AvroSchema {
    let text = format!(r#"{{"type":"record","name":"Call","namespace":"x","fields":[{fields}]}}"#);
    AvroSchema::parse(&text, &[]).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Adds the header of the wire format: a zero byte and the schema's id.
fn framed(body: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, 7], body].concat()
}

fn parse<'a>(
    stream: Stream,
    schema: &'a AvroSchema,
    value: &'a [u8],
) -> Result<Event<'a>, Rejection> {
    let schema = Some(schema);
    decoder(stream).parse(&RecordInput { value, arrival: ARRIVAL, attributes: None, schema })
}

/// Reads a record without known fields.
fn object<'a>(body: &'a [u8], schema: &'a AvroSchema) -> Result<ParsedObject<'a>, AvroError> {
    let mut object = ParsedObject::default();
    avro::object(body, schema, &[], &mut object).map(|()| object)
}

const COMMON: &str = r#"{"name":"event_id","type":"string"},{"name":"partner_id","type":"string"},
    {"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}}"#;
const NOON: i64 = 1_780_228_800_000;

fn common() -> Vec<u8> {
    [sized("e1"), sized("p1"), long(NOON)].concat()
}

/// Asserts how an API call with one more field of this type and these bytes is stored. `Err`
/// contains the reason and the field of a rejection.
#[track_caller]
fn check(
    name: &str,
    kind: &str,
    bytes: &[u8],
    column: &str,
    expected: Result<Option<&str>, (&str, &str)>,
) {
    let own = if name == "status" { "" } else { r#",{"name":"status","type":"int"}"# };
    let schema = schema(&format!(r#"{COMMON}{own},{{"name":"{name}","type":{kind}}}"#));
    let status = if own.is_empty() { Vec::new() } else { long(200) };
    let value = framed(&[common(), status, bytes.to_vec()].concat());
    let found = parse(ApiCalls, &schema, &value).map(|event| {
        let mut rows = Rows::new(ApiCalls);
        let origin = RecordOrigin { topic: "t", partition: 0, offset: 0, arrival: ARRIVAL };
        rows.push(&event, &origin, false);
        let batch = DayBatches::new(vec![&rows]).batch(0..1, ARRIVAL);
        cell(&batch.expect("columns of one length"), column, 0)
    });
    let found = found.as_ref().map(Option::as_deref);
    let found = found.map_err(|r| (r.reason.as_str(), r.field.unwrap_or_default()));
    assert_eq!(found, expected, "{name} {kind}");
}

#[test]
fn known_fields() {
    let some = |bytes: Vec<u8>| [long(1), bytes].concat();
    check("product", r#""string""#, &sized("pay"), "product", Ok(Some("pay")));
    check("product", r#""string""#, &sized(""), "product", Ok(None));
    check("product", r#"["null","string"]"#, &long(0), "product", Ok(None));
    check("product", r#"["null","string"]"#, &some(sized("é")), "product", Ok(Some("é")));
    check(
        "product",
        r#"["null","long"]"#,
        &some(long(1)),
        "product",
        Err(("wrong_type", "product")),
    );
    check("product", r#""bytes""#, &sized("pay"), "product", Err(("wrong_type", "product")));
    check("endpoint", r#""string""#, &sized("/v1?key=1"), "endpoint", Ok(Some("/v1")));
    check("credential_id", r#""string""#, &sized("secret"), "credential_id", Ok(Some("hash of 6")));
    let uuid = r#"{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}"#;
    let text = "00010203-0405-0607-0809-0a0b0c0d0e0f";
    check("trace_id", uuid, &(0..16).collect::<Vec<u8>>(), "trace_id", Ok(Some(text)));
    let environment = r#"{"type":"enum","name":"E","symbols":["production","sandbox","other"]}"#;
    check("environment", environment, &long(1), "environment", Ok(Some("sandbox")));
    check(
        "environment",
        environment,
        &long(2),
        "environment",
        Err(("unknown_value", "environment")),
    );
    check("environment", environment, &long(3), "environment", Err(("not_json", "")));

    check("status", r#""int""#, &long(503), "status", Ok(Some("503")));
    check("status", r#""long""#, &long(99), "status", Err(("out_of_range", "status")));
    check("status", r#""double""#, &200f64.to_le_bytes(), "status", Ok(Some("200")));
    check(
        "status",
        r#""double""#,
        &200.5f64.to_le_bytes(),
        "status",
        Err(("wrong_type", "status")),
    );
    check(
        "status",
        r#""float""#,
        &f32::NAN.to_le_bytes(),
        "status",
        Err(("out_of_range", "status")),
    );
    check("status", r#""string""#, &sized("200"), "status", Err(("wrong_type", "status")));
    check("status", r#""boolean""#, &[1], "status", Err(("wrong_type", "status")));
    check("status", r#""null""#, &[], "status", Err(("missing_field", "status")));
    check(
        "status",
        r#"{"type":"array","items":"int"}"#,
        &long(0),
        "status",
        Err(("wrong_type", "status")),
    );
    check(
        "request_bytes",
        r#""long""#,
        &long(i64::MAX),
        "request_bytes",
        Ok(Some("9223372036854775807")),
    );
    check(
        "request_bytes",
        r#""long""#,
        &long(-1),
        "request_bytes",
        Err(("out_of_range", "request_bytes")),
    );

    let latency = |kind: &str, bytes: &[u8], expected| {
        check("latency_ms", kind, bytes, "latency_us", expected);
    };
    latency(r#""double""#, &1.001f64.to_le_bytes(), Ok(Some("1001")));
    // It is read as the decimal number that it is printed as. As a double it would be 12.34549999,
    // and so 12345.
    latency(r#""float""#, &12.3455f32.to_le_bytes(), Ok(Some("12346")));
    latency(r#""long""#, &long(7), Ok(Some("7000")));
    latency(r#""long""#, &long(i64::MAX), Err(("out_of_range", "latency_ms")));
    latency(r#""int""#, &long(-1), Err(("out_of_range", "latency_ms")));
    latency(r#""double""#, &f64::INFINITY.to_le_bytes(), Err(("out_of_range", "latency_ms")));
    latency(
        r#"{"type":"long","logicalType":"timestamp-millis"}"#,
        &long(7),
        Err(("wrong_type", "latency_ms")),
    );
}

#[test]
fn instants() {
    let at = |kind: &str, bytes: &[u8], expected: Result<&str, &str>| {
        let fields = format!(
            r#"{{"name":"event_id","type":"string"}},{{"name":"occurred_at","type":{kind}}},
            {{"name":"partner_id","type":"string"}},{{"name":"status","type":"int"}}"#
        );
        let schema = schema(&fields);
        let value = framed(&[sized("e1"), bytes.to_vec(), sized("p1"), long(200)].concat());
        let found = parse(ApiCalls, &schema, &value);
        let found = found.map(|event| domain::format_instant(event.occurred_at));
        let found = found.as_deref().map_err(|r| r.reason.as_str());
        assert_eq!(found, expected, "{kind}");
    };
    let logical = |name: &str| format!(r#"{{"type":"long","logicalType":"{name}"}}"#);
    at(r#""long""#, &long(NOON), Ok("2026-05-31T12:00:00Z"));
    at(&logical("timestamp-millis"), &long(NOON + 1), Ok("2026-05-31T12:00:00.001Z"));
    at(&logical("timestamp-micros"), &long(NOON * 1000 + 1), Ok("2026-05-31T12:00:00.000001Z"));
    at(
        &logical("timestamp-nanos"),
        &long(NOON * 1_000_000 + 1999),
        Ok("2026-05-31T12:00:00.000001Z"),
    );
    at(r#""string""#, &sized("2026-05-31T14:00:00+02:00"), Ok("2026-05-31T12:00:00Z"));
    at(r#""double""#, &(NOON as f64).to_le_bytes(), Ok("2026-05-31T12:00:00Z"));
    at(r#"["null","long"]"#, &long(0), Err("missing_field"));
    at(&logical("timestamp-millis"), &long(i64::MAX), Err("out_of_range"));
    at(&logical("timestamp-micros"), &long(0), Err("out_of_range"));
    // These have no known offset.
    at(&logical("local-timestamp-millis"), &long(NOON), Err("wrong_type"));
    at(r#"{"type":"int","logicalType":"date"}"#, &long(20_604), Err("wrong_type"));
}

#[test]
fn unknown_fields_are_kept() {
    let kept = |kind: &str, bytes: &[u8], json: &str| {
        let expected = format!(r#"{{"new":{json}}}"#);
        check("new", kind, bytes, "extra", Ok(Some(&expected)));
    };
    kept(r#""string""#, &sized("a\"b"), r#""a\"b""#);
    kept(r#""null""#, &[], "null");
    kept(r#""boolean""#, &[1], "true");
    kept(r#""int""#, &long(-3), "-3");
    kept(r#""float""#, &1.1f32.to_le_bytes(), "1.1");
    kept(r#""double""#, &f64::NAN.to_le_bytes(), "null");
    kept(r#""bytes""#, &sized([0, 255]), r#""AP8=""#);
    kept(r#"{"type":"fixed","name":"F","size":2}"#, &[0, 255], r#""AP8=""#);
    kept(r#"{"type":"int","logicalType":"date"}"#, &long(20_604), r#""2026-05-31""#);
    kept(
        r#"{"type":"long","logicalType":"timestamp-millis"}"#,
        &long(NOON),
        r#""2026-05-31T12:00:00Z""#,
    );
    kept(
        r#"{"type":"long","logicalType":"local-timestamp-micros"}"#,
        &long(NOON * 1000),
        r#""2026-05-31T12:00:00""#,
    );
    kept(r#"["null",{"type":"enum","name":"E","symbols":["a"]}]"#, &[2, 0], r#""a""#);
    // One block, one block with its size in bytes, and the end.
    let array = [long(2), long(1), long(2), long(-1), long(1), long(3), long(0)].concat();
    kept(r#"{"type":"array","items":"int"}"#, &array, "[1,2,3]");
    let map = [long(2), sized("k"), long(1), sized("api_key"), long(2), long(0)].concat();
    kept(r#"{"type":"map","values":"int"}"#, &map, r#"{"k":1}"#);
    let record = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},
        {"name":"next","type":["null","R"]}]}"#;
    kept(record, &[2, 2, 4, 0], r#"{"a":1,"next":{"a":2,"next":null}}"#);
    check("token", r#""string""#, &sized("secret"), "extra", Ok(None));
    check("pad", r#""bytes""#, &sized(vec![7; 16 << 10]), "extra", Ok(None));
}

#[test]
fn a_schema_may_get_new_fields() {
    let before = schema(&format!(r#"{COMMON},{{"name":"status","type":"int"}}"#));
    let after = schema(&format!(
        r#"{COMMON},{{"name":"status","type":"int"}},
        {{"name":"method","type":["null","string"],"default":null}},
        {{"name":"shard","type":["null","int"],"default":null}}"#
    ));
    let first = framed(&[common(), long(200)].concat());
    let second = framed(&[common(), long(200), [2u8].to_vec(), sized("get"), vec![2, 6]].concat());
    let event = parse(ApiCalls, &before, &first).expect("the old schema");
    assert_eq!(event.extra, None);
    let event = parse(ApiCalls, &after, &second).expect("the new schema");
    assert_eq!(event.extra.as_deref(), Some(r#"{"shard":3}"#));
}

#[test]
fn headers_are_used_in_binary_mode() {
    let schema = schema(r#"{"name":"partner_id","type":"string"},{"name":"status","type":"int"}"#);
    let value = framed(&[sized("p1"), long(200)].concat());
    let attributes = CloudEventAttributes::read(|name| match name.to_str() {
        Ok("ce_specversion") => Some(b"1.0".as_slice()),
        Ok("ce_id") => Some(b"e7".as_slice()),
        Ok("ce_time") => Some(b"2026-05-31T12:00:00Z".as_slice()),
        _ => None,
    });
    let input = RecordInput { value: &value, arrival: ARRIVAL, attributes, schema: Some(&schema) };
    let mut decoder = decoder(ApiCalls);
    let event = decoder.parse(&input).expect("an event");
    assert_eq!((event.event_id(), event.occurred_at), ("e7", NOON * 1000));
}

#[test]
fn invalid_avro_records() {
    let refused = |schema: &str, body: &[u8], reason: &str| {
        let schema = AvroSchema::parse(schema, &[]).unwrap_or_else(|e| panic!("{schema}: {e}"));
        let rejection = parse(BillingEvents, &schema, &framed(body)).expect_err("no record");
        assert_eq!(rejection.reason.as_str(), reason, "{rejection}");
    };
    refused(r#""string""#, &sized("x"), "not_an_object");
    refused(r#"["null","int"]"#, &long(0), "not_an_object");
    refused(r#"{"type":"array","items":"int"}"#, &long(0), "not_an_object");
    let one = |kind: &str| {
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"x","type":{kind}}}]}}"#)
    };
    refused(&one(r#""string""#), &sized("x"), "missing_field");
    refused(&one(r#""string""#), &[4, b'x'], "not_json");
    refused(&one(r#""string""#), &[1, b'x'], "not_json");
    refused(&one(r#""string""#), &sized([0xff]), "not_json");
    refused(&one(r#""string""#), &long(i64::MAX), "not_json");
    refused(&one(r#""string""#), &[&sized("x")[..], &[0]].concat(), "not_json");
    refused(&one(r#""int""#), &long(1 << 40), "not_json");
    refused(&one(r#""long""#), &[0xff; 10], "not_json");
    refused(&one(r#""boolean""#), &[2], "not_json");
    refused(&one(r#""double""#), &[0; 7], "not_json");
    refused(&one(r#"["null","int"]"#), &long(2), "not_json");
    // The greatest number of members of no bytes, and values that are nested for ever.
    refused(&one(r#"{"type":"array","items":"null"}"#), &long(i64::MAX), "not_json");
    refused(
        &one(r#"{"type":"array","items":"null"}"#),
        &[&long(i64::MIN)[..], &long(0)].concat(),
        "not_json",
    );
    refused(&one(r#""R""#), &[], "not_json");
    let list = one(r#"["null","R"]"#);
    refused(&list, &[2; 1 << 16], "not_json");
    // There is no schema, or no complete id.
    for value in [&[0, 0, 0, 0, 7, 1][..], &[0, 0], &[0]] {
        let input = RecordInput { value, arrival: ARRIVAL, attributes: None, schema: None };
        let rejection = decoder(ApiCalls).parse(&input).expect_err("no schema");
        assert_eq!(rejection.reason, RejectReason::SchemaUnknown);
    }
    assert_eq!(schema_id(&[0, 1, 2, 3, 4]), Some(0x0102_0304));
    assert_eq!((schema_id(&[0, 1, 2, 3]), schema_id(b"{}"), schema_id(b"")), (None, None, None));
}

#[test]
fn long_json_is_left_out() {
    let long_name = "n".repeat(1000);
    let text = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"x","type":{{"type":"array","items":
        {{"type":"record","name":"I","fields":[{{"name":"{long_name}","type":"null"}}]}}}}}}]}}"#
    );
    let schema = AvroSchema::parse(&text, &[]).expect("a schema");
    let body = [long(500_000), long(0)].concat();
    let unknown = |body: &[u8]| object(body, &schema).map(|o| o.unknown.len());
    assert_eq!(unknown(&body), Ok(0));
    assert_eq!(unknown(&[long(3), long(0)].concat()), Ok(1));
    assert!(matches!(unknown(&body[..2]), Err(AvroError::Malformed(_))));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let schema = AvroSchema::parse(
            r#"{"type":"record","name":"R","fields":[
                {"name":"event_id","type":["null","string","R"]},
                {"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-micros"}},
                {"name":"latency_ms","type":["float","double","int"]},
                {"name":"a","type":{"type":"array","items":["R","null",{"type":"map","values":"bytes"}]}},
                {"name":"d","type":{"type":"int","logicalType":"date"}},
                {"name":"l","type":{"type":"long","logicalType":"local-timestamp-nanos"}}]}"#,
            &[],
        ).expect("a schema");
        let value = framed(&bytes);
        for stream in Stream::ALL {
            let _ = parse(stream, &schema, &value);
        }
    }

    #[test]
    fn integers_round_trip(value in any::<i64>()) {
        let schema = schema(r#"{"name":"x","type":"long"}"#);
        let bytes = long(value);
        let record = object(&bytes, &schema).expect("a record");
        prop_assert_eq!(&record.unknown, &[("x".into(), value.to_string().into())]);
    }
}
