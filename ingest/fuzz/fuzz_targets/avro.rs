//! Fuzzes the Avro decoder: an input is the schema's JSON up to the first zero byte, and then the
//! record.
#![no_main]

use ingest_fuzz::decode::{AvroSchema, RecordInput};
use ingest_fuzz::{ARRIVAL, decode, stream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&selector, rest)) = bytes.split_first() else { return };
    let Some(zero) = rest.iter().position(|byte| *byte == 0) else { return };
    let Ok(text) = std::str::from_utf8(&rest[..zero]) else { return };
    let Ok(schema) = AvroSchema::parse(text, &[]) else { return };
    // The zero byte, the schema's id, the record.
    let value = [&[0, 0, 0, 0, 1], &rest[zero + 1..]].concat();
    let input =
        RecordInput { value: &value, arrival: ARRIVAL, attributes: None, schema: Some(&schema) };
    drop(decode(stream(selector), &input));
});
