//! Tests of JSON keys and headers that are given twice: the last counts.

use domain::Stream;
use domain::Stream::{ApiCalls, SupportEvents};

use super::{TestHeaders, attributes, decoder, plain};
use crate::decode::{RecordInput, contract};

/// Returns the outcome of decoding a record as a text.
fn outcome(stream: Stream, value: &str, headers: &TestHeaders<'_>) -> String {
    let attributes = attributes(headers);
    match decoder(stream).parse(&RecordInput { attributes, ..plain(value.as_bytes()) }) {
        Ok(event) => format!("{} {:?} {:?}", event.occurred_at, event.object.slots, event.extra),
        Err(rejection) => rejection.to_string(),
    }
}

/// Returns a JSON object with these members, in this order.
fn object(members: &[(&str, &str)]) -> String {
    let members = members.iter().map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Gives every known key twice: the result is the same as with the last one alone.
#[test]
fn the_last_duplicate_key_counts() {
    let data = r#"{"partner_id":"p1","status":200,"type":"opened","ticket_id":"t"}"#;
    let noon = r#""2026-05-31T12:00:00Z""#;
    let values = ["null", "1", "true", r#""x""#, r#""""#, noon, r#""1.0""#, data, "[]"];
    let envelope = [("specversion", r#""1.0""#), ("id", r#""e""#), ("time", noon), ("data", data)];
    let id = [("event_id", r#""e""#), ("partner_id", r#""p""#), ("occurred_at", noon)];
    let call = [&id[..], &[("status", "200"), ("note", "1")]].concat();
    let ticket = [&id[..], &[("type", r#""opened""#), ("ticket_id", r#""t""#)]].concat();
    for (stream, plain) in [(ApiCalls, &call), (SupportEvents, &ticket)] {
        let own = contract(stream).into_iter().map(|field| field.name);
        for key in own.chain(envelope.map(|(name, _)| name)).chain(["source", "note"]) {
            let spelled = format!("\\u{:04x}{}", u32::from(key.as_bytes()[0]), &key[1..]);
            let pairs = values.iter().flat_map(|first| values.map(|second| (*first, second)));
            for ((first, second), members) in
                pairs.flat_map(|p| [(p, &envelope[..]), (p, &plain[..])])
            {
                let others: Vec<_> = members.iter().copied().filter(|m| m.0 != key).collect();
                let alone = object(&[&others[..], &[(key, second)]].concat());
                let expected = outcome(stream, &alone, &[]);
                for name in [key, &spelled] {
                    let twice = object(&[members, &[(key, first), (name, second)]].concat());
                    assert_eq!(outcome(stream, &twice, &[]), expected, "{twice}");
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
        let expected = outcome(ApiCalls, bare, &headers(&[second]));
        assert_eq!(outcome(ApiCalls, bare, &headers(&[first, second])), expected);
    }
}
