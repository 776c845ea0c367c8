//! Tests of two flushes at a time: one in flight while the next one is filled.

use std::ops::Range;
use std::time::{Duration, Instant};

use domain::Stream;
use lake::{Appender, Lake, PartitionId, PositionAdvance, schema};
use tokio::runtime::Runtime;

use super::{NOON, call, lake, rows};
use crate::dead_letters::rejected_record::RecordMetadata;
use crate::settings::FlushLimits;
use crate::sink::{Sink, SourceRecord};

const TABLE: &str = "raw/api_calls";

fn id(partition: i32) -> PartitionId {
    PartitionId::kafka("c", "calls", "t", partition)
}

/// Opens a worker's sink with this number of partitions, at the positions of the lake.
async fn sink(lake: &Lake, partitions: i32, limits: FlushLimits) -> Sink {
    let mut sink = Sink::open(lake, [Stream::ApiCalls], limits, true).await.expect("a sink");
    let dead_letters = sink.dead_letters().await.expect("the table");
    for partition in 0..partitions {
        let (stream, id) = (Stream::ApiCalls, id(partition));
        let buffer = sink.open_partition(&dead_letters, stream, "calls", partition, id).await;
        sink.buffers.push(buffer.expect("a buffer"));
    }
    sink
}

/// Reads records into the buffer at `index`, every tenth of them malformed.
fn read(sink: &mut Sink, index: usize, offsets: Range<i64>) {
    for offset in offsets {
        let number = usize::try_from(offset).expect("small");
        let value = if offset % 10 == 9 { "{".to_owned() } else { call(index * 1_000 + number) };
        let value = Some(value.as_bytes());
        let record = SourceRecord { offset, arrival: NOON, value, attributes: None };
        let metadata = || RecordMetadata { key: None, headers: Vec::new(), position: None };
        sink.accept(index, &record, metadata).expect("nothing waits");
    }
}

/// Waits until the flush in flight is done, without applying its result.
fn wait_until_done(sink: &Sink) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !sink.is_flush_done() {
        assert!(Instant::now() < deadline, "the commit takes too long");
        std::thread::yield_now();
    }
}

async fn stored(lake: &Lake) -> (u64, u64) {
    assert_eq!(lake.verify().await.expect("verified").findings, []);
    (rows(lake, TABLE).await, rows(lake, "raw/dead_letters").await)
}

#[test]
fn a_second_flush_continues_the_first() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let mut sink = runtime.block_on(sink(&lake, 2, FlushLimits::default()));
    read(&mut sink, 0, 0..100);
    sink.start_flush(runtime.handle()).expect("in flight");
    assert!(sink.has_flush_in_flight());
    assert_eq!((sink.buffers[0].in_flight_rows, sink.buffers[0].committed_offset), (90, None));
    // The second flush is filled while the first is in flight. It may have another partition.
    read(&mut sink, 0, 100..150);
    read(&mut sink, 1, 0..10);
    let lost = runtime.block_on(sink.finish_flush()).expect("committed");
    assert_eq!((lost, sink.buffers[0].committed_offset), (vec![], Some(100)));
    assert_eq!(runtime.block_on(stored(&lake)), (90, 10));
    sink.start_flush(runtime.handle()).expect("in flight");
    read(&mut sink, 1, 10..20);
    // Both are committed in order.
    assert_eq!(runtime.block_on(sink.flush()).expect("committed"), [0usize; 0]);
    assert_eq!(
        (sink.buffers[0].committed_offset, sink.buffers[1].committed_offset),
        (Some(150), Some(20))
    );
    assert_eq!(sink.counts.commits, 3);
    assert_eq!(runtime.block_on(stored(&lake)), (153, 17));
}

#[test]
fn a_lost_partition_loses_both_flushes() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let mut zombie = runtime.block_on(sink(&lake, 2, FlushLimits::default()));
    let mut other = runtime.block_on(sink(&lake, 1, FlushLimits::default()));
    read(&mut other, 0, 0..30);
    assert_eq!(runtime.block_on(other.flush()).expect("committed"), [0usize; 0]);

    read(&mut zombie, 0, 0..50);
    read(&mut zombie, 1, 0..50);
    zombie.start_flush(runtime.handle()).expect("in flight");
    read(&mut zombie, 0, 50..60);
    read(&mut zombie, 1, 50..60);
    assert_eq!(runtime.block_on(zombie.flush()).expect("committed"), [0]);
    // Nothing of the moved partition is committed, and both flushes of the other one are.
    assert_eq!(
        (zombie.buffers[0].committed_offset, zombie.buffers[1].committed_offset),
        (None, Some(60))
    );
    assert_eq!(runtime.block_on(stored(&lake)), (27 + 54, 3 + 6));
}

#[test]
fn a_failed_flush_is_reported_and_nothing_follows() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let mut sink = runtime.block_on(sink(&lake, 1, FlushLimits::default()));
    read(&mut sink, 0, 0..10);
    // There is a file where the folder of the table's files should be.
    let table = dir.path().join("lake").join(TABLE);
    let day = table.join("event_date=2026-01-01");
    std::fs::write(&day, "in the way").expect("written");
    sink.start_flush(runtime.handle()).expect("in flight");
    read(&mut sink, 0, 10..20);
    wait_until_done(&sink);
    let error = runtime.block_on(sink.finish_flush()).expect_err("no such folder").to_string();
    assert!(error.contains("event_date"), "{error}");
    // The second flush would leave a gap, and the table refuses it.
    std::fs::remove_file(&day).expect("removed");
    assert_eq!(runtime.block_on(sink.flush()).expect("refused"), [0]);
    assert_eq!(runtime.block_on(stored(&lake)).0, 0);
}

#[test]
fn workers_that_read_records_again_add_their_dead_letters_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    // A worker died after it had committed its dead letters, of which there were none yet.
    runtime.block_on(async {
        let died_at = PositionAdvance::of_position(id(0), None, 30);
        let dead_letters = Appender::open(&lake, schema::dead_letters()).await;
        dead_letters.expect("the table").append(&[died_at], &[]).await.expect("committed");
    });
    let mut one = runtime.block_on(sink(&lake, 1, FlushLimits::default()));
    let mut other = runtime.block_on(sink(&lake, 1, FlushLimits::default()));
    read(&mut one, 0, 0..20);
    read(&mut other, 0, 0..20);
    assert_eq!(runtime.block_on(one.flush()).expect("committed"), [0usize; 0]);
    assert_eq!(runtime.block_on(other.flush()).expect("refused"), [0]);
    assert_eq!(runtime.block_on(stored(&lake)), (18, 2));
    // The same holds where one worker accepts what another one rejects, by another mapping for example.
    let mut third = runtime.block_on(sink(&lake, 1, FlushLimits::default()));
    read(&mut one, 0, 20..30);
    for offset in 20..30 {
        let value = call(usize::try_from(offset).expect("small"));
        let value = Some(value.as_bytes());
        let record = SourceRecord { offset, arrival: NOON, value, attributes: None };
        let metadata = || RecordMetadata { key: None, headers: Vec::new(), position: None };
        third.accept(0, &record, metadata).expect("nothing waits");
    }
    assert_eq!(runtime.block_on(third.flush()).expect("committed"), [0usize; 0]);
    assert_eq!(runtime.block_on(one.flush()).expect("refused"), [0]);
    assert_eq!(runtime.block_on(stored(&lake)), (28, 2));
    // Who opens the partition again goes on from there.
    let mut one = runtime.block_on(sink(&lake, 1, FlushLimits::default()));
    read(&mut one, 0, 20..40);
    assert_eq!(runtime.block_on(one.flush()).expect("committed"), [0usize; 0]);
    assert_eq!(runtime.block_on(stored(&lake)), (37, 3));
}

#[test]
fn reading_stops_while_both_flushes_are_full() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new().expect("a runtime");
    let lake = runtime.block_on(lake(&dir));
    let limits = FlushLimits { rows: 20, ..FlushLimits::default() };
    let mut sink = runtime.block_on(sink(&lake, 1, limits));
    read(&mut sink, 0, 0..30);
    assert!(sink.is_flush_due() && !sink.is_full());
    sink.start_flush(runtime.handle()).expect("in flight");
    assert!(!sink.is_flush_due());
    read(&mut sink, 0, 30..40);
    assert!(!sink.is_full());
    read(&mut sink, 0, 40..60);
    assert!(sink.is_full());
    wait_until_done(&sink);
    assert_eq!(runtime.block_on(sink.finish_flush()).expect("committed"), [0usize; 0]);
    assert!(sink.is_flush_due() && !sink.is_full());
}
