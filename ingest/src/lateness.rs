//! Decides whether an event is late, by a newest event time that no single wrong clock can distort.

/// Returns whether an event occurred more than `allowed` µs before the newest event time of its
/// partition or file, and then moves that time, which is committed with the offsets.
///
/// The newest event time is the min(`occurred_at`, arrival) of the first valid record, and from
/// then on the greatest of all valid records, duplicates included. A single record moves it ahead
/// by `allowed` at most, so a producer whose clock is ahead does not make the events of others
/// late.
pub(crate) fn is_late(
    mark: &mut Option<i64>,
    occurred_at: i64,
    arrival: i64,
    allowed: i64,
) -> bool {
    let came = occurred_at.min(arrival);
    let Some(before) = *mark else {
        *mark = Some(came);
        return false;
    };
    *mark = Some(before.max(came.min(before.saturating_add(allowed))));
    occurred_at < before.saturating_sub(allowed)
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use domain::Stream;
    use lake::{ALLOWED_LATENESS, Lake, PartitionId};
    use proptest::prelude::*;
    use tokio::runtime::Runtime;

    use super::*;
    use crate::dead_letters::rejected_record::RecordMetadata;
    use crate::settings::FlushLimits;
    use crate::sink::{Sink, SourceRecord};
    use crate::tests::{NOON, lake};

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn newest_event_time_and_late_events() {
        let mut mark = None;
        let mut check = |occurred: i64, arrived: i64, late: bool, expected: i64| {
            let (occurred_at, arrival) = (occurred * HOUR, arrived * HOUR);
            assert_eq!(is_late(&mut mark, occurred_at, arrival, HOUR), late, "{occurred}");
            assert_eq!(mark, Some(expected * HOUR), "{occurred}");
        };
        check(50, 10, false, 10); // the first record's arrival, where that is less
        check(9, 10, false, 10); // an hour behind is not late
        check(8, 10, true, 10);
        check(11, 12, false, 11);
        check(60, 99, false, 12); // ahead by an hour at most
        check(11, 99, false, 12);
        check(10, 99, true, 12);
        check(60, 13, false, 13); // nobody has come from after the arrival
        check(60, 12, false, 13);
        let mut edge = Some(i64::MAX);
        assert!(is_late(&mut edge, 0, i64::MAX, HOUR));
        assert_eq!(edge, Some(i64::MAX));
    }

    /// When a record occurred and arrived, in minutes, and whether it is malformed. A malformed
    /// record does not move the newest event time.
    type TestRecord = (i64, i64, bool);

    /// Computes the flags from the definition, record by record.
    fn flags(records: &[TestRecord]) -> Vec<(i64, bool)> {
        let (mut mark, mut flags) = (None::<i64>, Vec::new());
        for (offset, (occurred, arrived, _)) in (0..).zip(records).filter(|(_, r)| !r.2) {
            let came = *occurred.min(arrived);
            flags.push((offset, mark.is_some_and(|mark| *occurred < mark - 60)));
            mark = Some(mark.map_or(came, |mark| mark.max(came.min(mark + 60))));
        }
        flags
    }

    /// What happens between two records.
    #[derive(Debug, Clone, Copy)]
    enum Interruption {
        Nothing,
        /// A flush is started and committed on another thread while reading goes on.
        StartFlush,
        /// Everything is committed.
        Flush,
        /// The worker dies with what it buffered, and another one resumes.
        Restart,
    }

    async fn sink(lake: &Lake) -> Sink {
        let mut sink = Sink::open(lake, [Stream::ApiCalls], FlushLimits::default(), true)
            .await
            .expect("a sink");
        let id = PartitionId::kafka("c", "calls", "t", 0);
        let dead_letters = sink.dead_letters().await.expect("the table");
        let buffer = sink.open_partition(&dead_letters, Stream::ApiCalls, "calls", 0, id).await;
        let buffer = buffer.expect("a buffer");
        sink.buffers.push(buffer);
        sink
    }

    fn accept(sink: &mut Sink, offset: i64, (occurred, arrived, malformed): TestRecord) {
        let at = NOON + occurred * 60_000_000;
        let value = match malformed {
            true => "{".to_owned(),
            false => format!(
                r#"{{"event_id":"e-{offset}","partner_id":"p","occurred_at":{},"status":200}}"#,
                at / 1_000
            ),
        };
        let arrival = NOON + arrived * 60_000_000;
        let record =
            SourceRecord { offset, arrival, value: Some(value.as_bytes()), attributes: None };
        let metadata = || RecordMetadata { key: None, headers: Vec::new(), position: None };
        sink.accept(0, &record, metadata).expect("no schema is waited for");
    }

    async fn stored(lake: &Lake) -> Vec<(i64, bool)> {
        let snapshot = lake.snapshot("raw/api_calls", None).await.expect("read").expect("there");
        let mut flags = Vec::new();
        for file in snapshot.files.iter() {
            let batches = lake.read_file(&file.path, &["kafka_offset", "late"]).await;
            for batch in batches.expect("a file") {
                let offsets = batch.column(0).as_primitive::<Int64Type>().values().iter().copied();
                let late = batch.column(1).as_boolean();
                flags.extend(offsets.enumerate().map(|(row, offset)| (offset, late.value(row))));
            }
        }
        flags.sort_unstable();
        flags
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn flushes_and_restarts_do_not_change_late_flags(
            records in proptest::collection::vec(
                ((-300..300i64), (-200..300i64), proptest::bool::weighted(0.1)), 1..20),
            mut between in proptest::collection::vec(prop_oneof![
                5 => Just(Interruption::Nothing),
                1 => Just(Interruption::StartFlush),
                1 => Just(Interruption::Flush),
                1 => Just(Interruption::Restart),
            ], 20),
        ) {
            assert_eq!(ALLOWED_LATENESS, HOUR);
            let dir = tempfile::tempdir().expect("a folder");
            let runtime = Runtime::new().expect("a runtime");
            let lake = runtime.block_on(lake(&dir));
            let mut sink_now = runtime.block_on(sink(&lake));
            let mut offset = 0;
            while let Some(record) = usize::try_from(offset).ok().and_then(|at| records.get(at)) {
                accept(&mut sink_now, offset, *record);
                // Each interruption happens once, although records are read again after a restart.
                let at = usize::try_from(offset).expect("small");
                match std::mem::replace(&mut between[at], Interruption::Nothing) {
                    Interruption::Nothing => {}
                    Interruption::StartFlush if sink_now.has_flush_in_flight() => {}
                    Interruption::StartFlush => sink_now.start_flush(runtime.handle()).expect("in flight"),
                    Interruption::Flush => {
                        let lost = runtime.block_on(sink_now.flush()).expect("committed");
                        prop_assert!(lost.is_empty());
                    }
                    Interruption::Restart => {
                        runtime.block_on(sink_now.finish_flush()).expect("committed");
                        sink_now = runtime.block_on(sink(&lake));
                        offset = sink_now.buffers[0].next_offset - 1;
                    }
                }
                offset += 1;
            }
            runtime.block_on(sink_now.flush()).expect("committed");
            prop_assert_eq!(runtime.block_on(stored(&lake)), flags(&records));
        }
    }
}
