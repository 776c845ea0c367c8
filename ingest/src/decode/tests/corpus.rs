//! Decodes every input of the fuzzing corpus in `ingest/fuzz/`, each of which reaches code of its
//! own.

use std::fs;
use std::path::Path;

use domain::Stream;

use super::super::{AvroSchema, CloudEventAttributes, RecordInput};
use super::{ARRIVAL, decoder};

/// Returns the inputs of one fuzz target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(folder).expect("the corpus is part of the repository");
    let inputs: Vec<_> =
        entries.map(|entry| fs::read(entry.expect("a file").path()).expect("bytes")).collect();
    assert!(inputs.len() > 100, "{target}: {} inputs", inputs.len());
    inputs
}

fn stream(byte: u8) -> Stream {
    Stream::ALL[usize::from(byte) % Stream::ALL.len()]
}

#[test]
fn json_of_the_corpus() {
    for bytes in corpus("json") {
        let Some((&selector, value)) = bytes.split_first() else { continue };
        let id: &[u8] = b"id";
        let headers = CloudEventAttributes::read(|name| (name != c"ce_time").then_some(id));
        for (value, attributes) in [(value, None), (value, headers), (&bytes, None)] {
            let decode = |value: &[u8]| {
                let input = RecordInput { value, arrival: ARRIVAL, attributes, schema: None };
                let found =
                    decoder(stream(selector)).parse(&input).map(|event| format!("{event:?}"));
                found.map_err(|why| (why.reason, why.field))
            };
            // A line break before a record sends it past the fast path.
            let long = [b"\n", value].concat();
            if value.first() != Some(&0) {
                assert_eq!(decode(value), decode(&long), "{}", value.escape_ascii());
            }
        }
    }
}

#[test]
fn avro_of_the_corpus() {
    let mut known = 0;
    for bytes in corpus("avro") {
        let Some((&selector, rest)) = bytes.split_first() else { continue };
        let Some(zero) = rest.iter().position(|byte| *byte == 0) else { continue };
        let text = String::from_utf8_lossy(&rest[..zero]);
        let Ok(schema) = AvroSchema::parse(&text, &[]) else { continue };
        known += 1;
        let value = [&[0, 0, 0, 0, 1], &rest[zero + 1..]].concat();
        let schema = Some(&schema);
        let input = RecordInput { value: &value, arrival: ARRIVAL, attributes: None, schema };
        drop(decoder(stream(selector)).parse(&input));
    }
    assert!(known > 100, "{known} inputs have a schema");
}
