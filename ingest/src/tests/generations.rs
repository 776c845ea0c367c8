//! Two generations at a time: one in flight while the next is filled.

use std::ops::Range;
use std::time::{Duration, Instant};

use lake::{Lake, PartitionId};
use lake_types::Stream;
use tokio::runtime::Runtime;

use super::{NOON, call, lake, rows};
use crate::dead::Envelope;
use crate::settings::Limits;
use crate::sink::{Record, Sink};

const TABLE: &str = "raw/api_calls";

fn id(partition: i32) -> PartitionId {
    PartitionId::kafka("c", "calls", "t", partition)
}

/// A worker's sink with so many partitions, where the lake stands.
async fn sink(lake: &Lake, partitions: i32, limits: Limits) -> Sink {
    let mut sink = Sink::open(lake, [Stream::ApiCalls], limits, true).await.expect("a sink");
    for partition in 0..partitions {
        let part = sink.part(Stream::ApiCalls, "calls", partition, id(partition)).await;
        sink.parts.push(part.expect("a part"));
    }
    sink
}

/// Reads records of the part at `index`, every tenth broken.
fn read(sink: &mut Sink, index: usize, offsets: Range<i64>) {
    for offset in offsets {
        let number = usize::try_from(offset).expect("small");
        let value = if offset % 10 == 9 { "{".to_owned() } else { call(index * 1_000 + number) };
        let value = Some(value.as_bytes());
        let record = Record { offset, arrival: NOON, value, attributes: None };
        let envelope = || Envelope { key: None, headers: Vec::new() };
        sink.accept(index, &record, envelope).expect("nothing waits");
    }
}

/// Waits until the generation in flight has landed, without taking note of it.
fn landed(sink: &Sink) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !sink.has_landed() {
        assert!(Instant::now() < deadline, "the commit takes too long");
        std::thread::yield_now();
    }
}

async fn stored(lake: &Lake) -> (u64, u64) {
    assert_eq!(lake.verify().await.expect("verified").findings, []);
    (rows(lake, TABLE).await, rows(lake, "raw/dead_letters").await)
}

#[test]
fn the_second_goes_on_from_the_first() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let mut sink = runtime.block_on(sink(&lake, 2, Limits::default()));
    read(&mut sink, 0, 0..100);
    sink.begin(runtime.handle()).expect("in flight");
    assert!(sink.is_in_flight());
    assert_eq!((sink.parts[0].in_flight.0, sink.parts[0].in_lake), (90, None));
    // While the first is in flight, the second is filled; a partition may be new in it.
    read(&mut sink, 0, 100..150);
    read(&mut sink, 1, 0..10);
    let lost = runtime.block_on(sink.settle()).expect("committed");
    assert_eq!((lost, sink.parts[0].in_lake), (vec![], Some(100)));
    assert_eq!(runtime.block_on(stored(&lake)), (90, 10));
    sink.begin(runtime.handle()).expect("in flight");
    read(&mut sink, 1, 10..20);
    // Both in order.
    assert_eq!(runtime.block_on(sink.flush()).expect("committed"), [0usize; 0]);
    assert_eq!((sink.parts[0].in_lake, sink.parts[1].in_lake), (Some(150), Some(20)));
    assert_eq!(sink.counts.commits, 3);
    assert_eq!(runtime.block_on(stored(&lake)), (153, 17));
}

#[test]
fn a_partition_that_moved_on_loses_both() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let mut zombie = runtime.block_on(sink(&lake, 2, Limits::default()));
    let mut other = runtime.block_on(sink(&lake, 1, Limits::default()));
    read(&mut other, 0, 0..30);
    assert_eq!(runtime.block_on(other.flush()).expect("committed"), [0usize; 0]);

    read(&mut zombie, 0, 0..50);
    read(&mut zombie, 1, 0..50);
    zombie.begin(runtime.handle()).expect("in flight");
    read(&mut zombie, 0, 50..60);
    read(&mut zombie, 1, 50..60);
    assert_eq!(runtime.block_on(zombie.flush()).expect("committed"), [0]);
    // Of the partition that moved nothing, of the other both generations.
    assert_eq!((zombie.parts[0].in_lake, zombie.parts[1].in_lake), (None, Some(60)));
    assert_eq!(runtime.block_on(stored(&lake)), (27 + 54, 3 + 6));
}

#[test]
fn what_fails_in_flight_is_told_and_nothing_follows() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let mut sink = runtime.block_on(sink(&lake, 1, Limits::default()));
    read(&mut sink, 0, 0..10);
    // Where the table's files should go there is a file.
    let table = dir.path().join("lake").join(TABLE);
    let day = table.join("event_date=2026-01-01");
    std::fs::write(&day, "in the way").expect("written");
    sink.begin(runtime.handle()).expect("in flight");
    read(&mut sink, 0, 10..20);
    landed(&sink);
    let error = runtime.block_on(sink.settle()).expect_err("no such folder").to_string();
    assert!(error.contains("event_date"), "{error}");
    // The second would leave a gap, and the table refuses it.
    std::fs::remove_file(&day).expect("removed");
    assert_eq!(runtime.block_on(sink.flush()).expect("refused"), [0]);
    assert_eq!(runtime.block_on(stored(&lake)).0, 0);
}

#[test]
fn nothing_is_read_while_both_are_full() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let limits = Limits { rows: 20, ..Limits::default() };
    let mut sink = runtime.block_on(sink(&lake, 1, limits));
    read(&mut sink, 0, 0..30);
    assert!(sink.due() && !sink.is_full());
    sink.begin(runtime.handle()).expect("in flight");
    assert!(!sink.due());
    read(&mut sink, 0, 30..40);
    assert!(!sink.is_full());
    read(&mut sink, 0, 40..60);
    assert!(sink.is_full());
    landed(&sink);
    assert_eq!(runtime.block_on(sink.settle()).expect("committed"), [0usize; 0]);
    assert!(sink.due() && !sink.is_full());
}
