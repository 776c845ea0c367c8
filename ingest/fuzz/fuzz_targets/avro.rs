//! Any bytes as an Avro record with any schema: the schema's JSON up to the first zero byte, then
//! the record as its writer would have sent it.
#![no_main]

use ingest_fuzz::decode::{Input, Schema};
use ingest_fuzz::{ARRIVAL, decode, stream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let Some(zero) = rest.iter().position(|byte| *byte == 0) else { return };
    let Ok(text) = std::str::from_utf8(&rest[..zero]) else { return };
    let Ok(schema) = Schema::parse(text, &[]) else { return };
    // The zero, the schema's id, the record.
    let value = [&[0, 0, 0, 0, 1], &rest[zero + 1..]].concat();
    let input = Input { value: &value, arrival: ARRIVAL, attributes: None, schema: Some(&schema) };
    drop(decode(stream(kind), &input));
});
