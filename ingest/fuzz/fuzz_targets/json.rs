//! Fuzzes the JSON decoder with records of any stream, also as CloudEvents in structured and binary
//! mode.
//!
//! The first byte selects the stream. Its high bit means that the next byte is the length of the
//! attributes of binary mode.
#![no_main]

use ingest_fuzz::decode::{RecordInput, RejectReason};
use ingest_fuzz::{ARRIVAL, attributes, decode, stream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&selector, mut value)) = bytes.split_first() else { return };
    let mut binary = None;
    if selector & 0x80 != 0 {
        let Some((&length, rest)) = value.split_first() else { return };
        let Some((head, rest)) = rest.split_at_checked(usize::from(length)) else { return };
        (binary, value) = (attributes(head), rest);
    }
    let stream = stream(selector);
    let input = RecordInput { value, arrival: ARRIVAL, attributes: binary, schema: None };
    let found = decode(stream, &input);
    if value.first() == Some(&0) {
        return assert_eq!(found.expect_err("Avro").reason, RejectReason::SchemaUnknown);
    }
    // White space before a record changes nothing, but sends it past the fast path.
    let spaced = [b" ", value].concat();
    let again = decode(stream, &RecordInput { value: &spaced, ..input });
    match (found, again) {
        (Ok(event), Ok(again)) => assert_eq!(format!("{event:?}"), format!("{again:?}")),
        (Err(why), Err(again)) => {
            assert_eq!((why.reason, why.field), (again.reason, again.field), "{why} or {again}");
        }
        (found, again) => panic!("{found:?}, and after a space {again:?}"),
    }
});
