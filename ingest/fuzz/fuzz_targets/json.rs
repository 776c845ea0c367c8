//! Any bytes as a record of any stream: JSON, CloudEvents structured and binary.
//!
//! The first byte says which stream; its high bit, that as many bytes as the second says are the
//! attributes of binary mode.
#![no_main]

use ingest_fuzz::decode::{Input, Reason};
use ingest_fuzz::{ARRIVAL, attributes, decode, stream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, mut value)) = bytes.split_first() else { return };
    let mut binary = None;
    if kind & 0x80 != 0 {
        let Some((&length, rest)) = value.split_first() else { return };
        let Some((head, rest)) = rest.split_at_checked(usize::from(length)) else { return };
        (binary, value) = (attributes(head), rest);
    }
    let stream = stream(kind);
    let input = Input { value, arrival: ARRIVAL, attributes: binary, schema: None };
    let found = decode(stream, &input);
    if value.first() == Some(&0) {
        return assert_eq!(found.expect_err("Avro").reason, Reason::SchemaUnknown);
    }
    // White space before it changes no meaning, but sends every record the long way.
    let spaced = [b" ", value].concat();
    let again = decode(stream, &Input { value: &spaced, ..input });
    match (found, again) {
        (Ok(event), Ok(again)) => assert_eq!(format!("{event:?}"), format!("{again:?}")),
        (Err(why), Err(again)) => {
            assert_eq!((why.reason, why.field), (again.reason, again.field), "{why} or {again}");
        }
        (found, again) => panic!("{found:?}, and after a space {again:?}"),
    }
});
