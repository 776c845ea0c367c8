//! Tests of CloudEvents records in structured and in binary content mode.

use domain::Stream::ApiCalls;

use super::{TestHeaders, attributes, batch_of, cell, decoder, event, plain, rejected_bytes};
use crate::decode::{Event, RecordInput, Rejection};

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
    fn parse<'h>(value: &'h str, headers: &'h TestHeaders<'h>) -> Result<Event<'h>, Rejection> {
        let attributes = attributes(headers);
        decoder(ApiCalls).parse(&RecordInput { attributes, ..plain(value.as_bytes()) })
    }
    let mode = ("ce_specversion", b"1.0".as_slice());
    let id = ("ce_id", b"e7".as_slice());
    let time = ("ce_time", b"2026-05-31T12:00:00Z".as_slice());
    let taken = |value: &str, headers: &TestHeaders<'_>, expected: &str| {
        let event = parse(value, headers).unwrap_or_else(|e| panic!("{value}: {e}"));
        let at = domain::format_instant(event.occurred_at);
        assert_eq!(format!("{} {at} {:?}", event.event_id(), event.extra), expected, "{value}");
    };
    let bare = r#"{"partner_id":"p1","status":200,"x":1}"#;
    let noon = "2026-05-31T12:00:00Z";
    taken(bare, &[mode, id, time], &format!(r#"e7 {noon} Some("{{\"x\":1}}")"#));
    // The headers replace the event_id of the value, and the last of two headers with the same name
    // counts.
    taken(&event(ApiCalls, ""), &[("ce_id", b"e6"), time, id, mode], &format!("e7 {noon} None"));
    // A record without the version is not a CloudEvents record.
    taken(&event(ApiCalls, ""), &[id, time], &format!("e1 {noon} None"));
    // An envelope in the value counts, whatever the headers contain.
    let envelope = format!(r#"{{"specversion":"1.0","id":"e9","time":"{noon}","data":{bare}}}"#);
    taken(&envelope, &[mode, id, time], &format!(r#"e9 {noon} Some("{{\"x\":1}}")"#));

    let refused = |value: &str, headers: &TestHeaders<'_>, reason: &str, field: Option<&str>| {
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
