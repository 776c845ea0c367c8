//! The decoders without Kafka and the lake, which build in two minutes, and the invariants that
//! hold for every record.

extern crate self as lake;

#[path = "../../src"]
mod room {
    pub mod decode;
}
#[path = "../../../lake/src/schema.rs"]
pub mod schema;

use std::sync::Arc;

use domain::Stream;

pub use crate::room::decode;
use crate::room::decode::{
    CloudEventAttributes, DayBatches, Decoder, Event, RecordInput, RecordOrigin, Rejection, Rows,
};

/// 2026-11-01T00:00:00Z.
pub const ARRIVAL: i64 = 1_793_491_200_000_000;

/// Returns the stream that a byte selects.
pub fn stream(byte: u8) -> Stream {
    Stream::ALL[usize::from(byte) % Stream::ALL.len()]
}

pub fn decoder(stream: Stream) -> Decoder {
    Decoder::new(stream, Arc::new(|credential: &str| format!("k:{}", credential.len())))
}

/// Decodes a record. An accepted one becomes rows, whose columns must be those of the raw table.
pub fn decode<'a>(stream: Stream, input: &RecordInput<'a>) -> Result<Event<'a>, Rejection> {
    let event = decoder(stream).parse(input)?;
    let mut rows = Rows::new(stream);
    let origin = RecordOrigin { topic: "fuzz", partition: 0, offset: 0, arrival: input.arrival };
    // The second row meets the interned texts of the first.
    rows.push(&event, &origin, false);
    rows.push(&event, &origin, true);
    let days = DayBatches::new(vec![&rows]);
    let mut stored = 0;
    for (_, range) in days.iter() {
        let batch = days.batch(range, input.arrival).expect("columns of the table's types");
        stored += batch.num_rows();
    }
    assert_eq!(stored, 2);
    Ok(event)
}

/// Returns the attributes of CloudEvents' binary mode from the first bytes of an input.
pub fn attributes(bytes: &[u8]) -> Option<CloudEventAttributes<'_>> {
    let (id, time) = bytes.split_at(bytes.len() / 2);
    CloudEventAttributes::read(|name| match name.to_bytes() {
        b"ce_specversion" => Some(b"1.0"),
        b"ce_id" => Some(id),
        b"ce_time" => Some(time),
        _ => None,
    })
}
