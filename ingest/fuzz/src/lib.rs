//! The decoders alone: without Kafka and the lake they build in two minutes. And what every record
//! must keep, whatever its bytes.

extern crate self as lake;

#[path = "../../src"]
mod room {
    pub mod decode;
}
#[path = "../../../lake/src/schema.rs"]
pub mod schema;

use std::sync::Arc;

use lake_types::Stream;

pub use crate::room::decode;
use crate::room::decode::{Attributes, Days, Decoder, Event, Input, Origin, Rejection, Rows};

/// 2026-11-01T00:00:00Z.
pub const ARRIVAL: i64 = 1_793_491_200_000_000;

/// The stream that a byte stands for.
pub fn stream(byte: u8) -> Stream {
    Stream::ALL[usize::from(byte) % Stream::ALL.len()]
}

pub fn decoder(stream: Stream) -> Decoder {
    Decoder::new(stream, Arc::new(|credential: &str| format!("k:{}", credential.len())))
}

/// Decodes a record; an accepted one becomes a row, whose columns are those of the table.
pub fn decode<'a>(stream: Stream, input: &Input<'a>) -> Result<Event<'a>, Rejection> {
    let event = decoder(stream).parse(input)?;
    let mut rows = Rows::new(stream);
    let origin = Origin { topic: "fuzz", partition: 0, offset: 0, arrival: input.arrival };
    // Twice: the second meets what the first left behind.
    rows.push(&event, &origin, false);
    rows.push(&event, &origin, true);
    let days = Days::new(vec![&rows]);
    let mut stored = 0;
    for (_, range) in days.iter() {
        let batch = days.batch(range, input.arrival).expect("columns of the table's types");
        stored += batch.num_rows();
    }
    assert_eq!(stored, 2);
    Ok(event)
}

/// The attributes of binary mode, out of bytes that an input begins with.
pub fn attributes(bytes: &[u8]) -> Option<Attributes<'_>> {
    let (id, time) = bytes.split_at(bytes.len() / 2);
    Attributes::read(|name| match name.to_bytes() {
        b"ce_specversion" => Some(b"1.0"),
        b"ce_id" => Some(id),
        b"ce_time" => Some(time),
        _ => None,
    })
}
