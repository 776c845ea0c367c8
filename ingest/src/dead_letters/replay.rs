//! `ingest replay`: decodes dead letters again after a fix. Those that are valid now move to their
//! raw table, exactly once.
//!
//! A replay makes two commits with one marker, `replay/<stream>`: it adds the rows to the raw
//! table, and then removes the records from the dead letters. When a replay died between the two
//! commits, the next one first removes the records that are in the raw table from the dead letters,
//! and does not add them again.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type};
use domain::{Day, Stream};
use lake::{
    ALLOWED_LATENESS, AppendOutcome, Appender, Lake, LakeError, PartitionId, PositionAdvance,
    schema,
};

use crate::dead_letters::read::{self, DeadLetter};
use crate::decode::{
    CloudEventAttributes, Decoder, RecordInput, RecordOrigin, RejectReason, Rows, schema_id,
};
use crate::error::IngestError;
use crate::flush::write_rows;
use crate::kafka::native::Headers;
use crate::registry::{RegistrySettings, SchemaRegistry};

/// The counts of a replay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayCounts {
    /// Dead letters that are valid now and were moved to the raw table.
    pub accepted: u64,
    /// Dead letters that still break a rule.
    pub rejected: u64,
    /// Dead letters that were not decoded, because they were truncated when they were stored, or
    /// because their partition has not been read past them yet.
    pub skipped: u64,
    /// Dead letters that were removed to finish a replay that had died between its commits.
    pub finished: u64,
}

type RecordPosition = (String, i32, i64);

/// Decodes the dead letters of a stream again, those of Avro with the registry, where there is one.
///
/// # Errors
/// Fails with [`IngestError::SchemaUnavailable`] when the registry does not answer, and with
/// [`LakeError::Conflict`] when another replay of the stream runs.
pub async fn replay(
    lake: &Lake,
    stream: Stream,
    registry: Option<&RegistrySettings>,
    progress: &mut dyn FnMut(&ReplayCounts),
) -> Result<ReplayCounts, IngestError> {
    let mut done = ReplayCounts::default();
    let runtime = tokio::runtime::Handle::current();
    let mut registry = registry.map(|r| SchemaRegistry::new(r, &runtime)).transpose()?;
    let mut raw = Appender::open(lake, schema::raw(stream)).await?;
    let mut dead_letters = Appender::open(lake, schema::dead_letters()).await?;
    let marker = PartitionId::replay(stream);
    let at = |table: &Appender| table.position(&marker).map(|p| p.next);
    if at(&raw) > at(&dead_letters) {
        finish_interrupted(lake, stream, at(&raw), &mut done).await?;
    }
    let days: BTreeSet<Day> =
        read::dead_letter_table(lake).await?.files.iter().filter_map(|f| f.day).collect();
    for day in days {
        raw.refresh().await?;
        dead_letters.refresh().await?;
        replay_day(lake, stream, day, &mut raw, registry.as_mut(), &mut done).await?;
        progress(&done);
    }
    Ok(done)
}

async fn replay_day(
    lake: &Lake,
    stream: Stream,
    day: Day,
    raw: &mut Appender,
    mut registry: Option<&mut SchemaRegistry>,
    done: &mut ReplayCounts,
) -> Result<(), IngestError> {
    let base = read::dead_letter_table(lake).await?;
    let all = read::dead_letters_of_day(lake, &base, day).await?;
    let keyed = lake.clone();
    let hash = Arc::new(move |credential: &str| keyed.key().hash_credential(credential));
    let mut decoder = Decoder::new(stream, hash);
    if let Some(first) = lake::sealed_before(raw.transactions()) {
        decoder.seal_before(first);
    }
    let mut rows = Rows::new(stream);
    let mut accepted: BTreeSet<RecordPosition> = BTreeSet::new();
    for dead_letter in all.iter().filter(|l| l.stream == stream.name()) {
        let cut_off = dead_letter.reason == RejectReason::TooLarge.as_str();
        if cut_off || !dead_letter.is_read_past(stream, raw.transactions()) {
            done.skipped += 1;
            continue;
        }
        let record = dead_letter.open(lake)?;
        let (value, headers) = (record.bytes(), record.header_bytes());
        let attributes = CloudEventAttributes::read(|name| last_header(&headers, name));
        let schema = match registry.as_mut().zip(schema_id(&value)) {
            Some((registry, id)) => registry.fetch(id).await?,
            None => None,
        };
        let (arrival, schema) = (dead_letter.arrival, schema.as_deref());
        match decoder.parse(&RecordInput { value: &value, arrival, attributes, schema }) {
            Ok(event) => {
                let (partition, offset) = (dead_letter.partition, dead_letter.offset);
                let origin = RecordOrigin {
                    topic: &dead_letter.topic,
                    partition,
                    offset,
                    arrival: dead_letter.arrival,
                };
                // The records before it in its partition are not known any longer, so lateness is
                // measured from its own arrival.
                let late = event.occurred_at < dead_letter.arrival - ALLOWED_LATENESS;
                rows.push(&event, &origin, late);
                accepted.insert(position_of(dead_letter));
            }
            Err(_) => done.rejected += 1,
        }
    }
    if accepted.is_empty() {
        return Ok(());
    }
    let now = chrono::Utc::now().timestamp_micros();
    let files = write_rows(lake, stream, vec![&rows], now).await?;
    let marker = PartitionId::replay(stream);
    let from = raw.position(&marker).map(|p| p.next);
    let to = from.unwrap_or(0) + 1;
    let advance = PositionAdvance {
        id: marker.clone(),
        from,
        to,
        newest: None,
        reached: None,
        skipped: None,
        arrival: None,
        file_progress: None,
    };
    if let AppendOutcome::PositionsMoved(_) = raw.append(&[advance], &files).await? {
        return Err(LakeError::Conflict { table: raw.def().name.clone() }.into());
    }
    lake::failpoint::hit("replayed", stream.name());
    remove(lake, stream, day, &accepted, to).await?;
    done.accepted += accepted.len() as u64;
    Ok(())
}

fn last_header<'h>(headers: &'h Headers, name: &CStr) -> Option<&'h [u8]> {
    let named = headers.iter().rev().find(|(n, _)| n.as_bytes() == name.to_bytes());
    named.and_then(|(_, value)| value.as_deref())
}

fn position_of(dead_letter: &DeadLetter) -> RecordPosition {
    (dead_letter.topic.clone(), dead_letter.partition, dead_letter.offset)
}

/// Rewrites a day of the dead letters without the records at these positions.
async fn remove(
    lake: &Lake,
    stream: Stream,
    day: Day,
    positions: &BTreeSet<RecordPosition>,
    marker: i64,
) -> Result<(), IngestError> {
    let def = schema::dead_letters();
    let marks = [(PartitionId::replay(stream).as_str().to_owned(), marker)].into();
    loop {
        let base = read::dead_letter_table(lake).await?;
        let all = read::dead_letters_of_day(lake, &base, day).await?;
        let stay: Vec<&DeadLetter> = all
            .iter()
            .filter(|l| l.stream != stream.name() || !positions.contains(&position_of(l)))
            .collect();
        let mut files = Vec::new();
        if !stay.is_empty() {
            let rows = read::record_batch(&stay)?;
            files.push(lake.write_file(&def, Some(day), &[rows], BTreeMap::new()).await?);
        }
        match lake.replace_days_marked(&def, &base, vec![(day, files)], &marks).await {
            Ok(_) => return Ok(()),
            // A replay of another stream rewrote the day. The records of this one are still there.
            Err(LakeError::Conflict { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
}

/// Removes from the dead letters what a replay that died had added to the raw table.
async fn finish_interrupted(
    lake: &Lake,
    stream: Stream,
    marker: Option<i64>,
    done: &mut ReplayCounts,
) -> Result<(), IngestError> {
    let base = read::dead_letter_table(lake).await?;
    let days: BTreeSet<Day> = base.files.iter().filter_map(|f| f.day).collect();
    let mut by_day: BTreeMap<Day, BTreeSet<RecordPosition>> = BTreeMap::new();
    for day in days {
        let dead_letters = read::dead_letters_of_day(lake, &base, day).await?;
        let of_stream = dead_letters.iter().filter(|l| l.stream == stream.name());
        by_day.insert(day, of_stream.map(position_of).collect());
    }
    let all: BTreeSet<&RecordPosition> = by_day.values().flatten().collect();
    let there = positions_in_raw(lake, stream, &all).await?;
    for (day, positions) in &by_day {
        let double: BTreeSet<RecordPosition> = positions.intersection(&there).cloned().collect();
        if !double.is_empty() {
            remove(lake, stream, *day, &double, marker.unwrap_or_default()).await?;
            done.finished += double.len() as u64;
        }
    }
    Ok(())
}

/// Returns which of the positions are in the stream's raw table.
async fn positions_in_raw(
    lake: &Lake,
    stream: Stream,
    positions: &BTreeSet<&RecordPosition>,
) -> Result<BTreeSet<RecordPosition>, IngestError> {
    let mut there = BTreeSet::new();
    let Some(snapshot) = lake.snapshot(&schema::raw(stream).name, None).await? else {
        return Ok(there);
    };
    for file in &snapshot.files {
        let columns = ["topic", "kafka_partition", "kafka_offset"];
        for batch in lake.read_file(&file.path, &columns).await? {
            let topics = batch.column(0).as_string::<i32>();
            let partitions = batch.column(1).as_primitive::<Int32Type>();
            let offsets = batch.column(2).as_primitive::<Int64Type>();
            for row in 0..topics.len() {
                let position =
                    (topics.value(row).to_owned(), partitions.value(row), offsets.value(row));
                if positions.contains(&position) {
                    there.insert(position);
                }
            }
        }
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::rejected_record::{RecordMetadata, RejectedRecord};
    use crate::decode::Rejection;
    use crate::settings::FlushLimits;
    use crate::sink::Sink;
    use crate::tests::{NOON, lake};

    /// Writes dead letters as an older version would have: it rejects calls that are valid now.
    async fn reject(lake: &Lake, values: &[&str]) {
        let stream = Stream::ApiCalls;
        let limits = FlushLimits::default();
        let mut sink = Sink::open(lake, [stream], limits, true).await.expect("a sink");
        let id = PartitionId::kafka("c", "calls", "t", 3);
        let mut buffer = sink.open_partition(stream, "calls", 3, id).await.expect("a buffer");
        for value in values {
            let rejection = Rejection {
                reason: RejectReason::UnknownValue,
                field: Some("method"),
                detail: String::new(),
                sealed_before: None,
            };
            let metadata = RecordMetadata { key: None, headers: Vec::new() };
            let value = value.as_bytes();
            buffer.rejected.push(RejectedRecord::seal(
                lake,
                buffer.next_offset,
                NOON,
                rejection,
                value,
                &metadata,
            ));
            buffer.next_offset += 1;
        }
        sink.buffers = vec![buffer];
        assert_eq!(sink.flush().await.expect("a commit"), [0usize; 0]);
    }

    async fn rows(lake: &Lake) -> (u64, u64) {
        let mut rows = [0; 2];
        for (n, def) in [schema::raw(Stream::ApiCalls), schema::dead_letters()].iter().enumerate() {
            rows[n] = lake.snapshot(&def.name, None).await.expect("read").map_or(0, |s| s.rows());
        }
        (rows[0], rows[1])
    }

    const VALID_CALL: &str =
        r#"{"event_id":"e","partner_id":"p","occurred_at":"2026-01-01T11:00:00Z","status":200}"#;

    #[tokio::test]
    async fn valid_dead_letters_are_replayed_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = lake(&dir).await;
        reject(&lake, &[VALID_CALL, "{broken", VALID_CALL]).await;
        assert_eq!(rows(&lake).await, (0, 3));
        let done = replay(&lake, Stream::ApiCalls, None, &mut |_| {}).await.expect("replayed");
        assert_eq!((done.accepted, done.rejected, done.skipped), (2, 1, 0));
        assert_eq!(rows(&lake).await, (2, 1));
        let again = replay(&lake, Stream::ApiCalls, None, &mut |_| {}).await.expect("replayed");
        assert_eq!((again.accepted, again.rejected), (0, 1));
        let other =
            replay(&lake, Stream::BillingEvents, None, &mut |_| {}).await.expect("replayed");
        assert_eq!(other, ReplayCounts::default());
        assert_eq!(lake.verify().await.expect("verified").findings, []);
    }

    #[tokio::test]
    async fn an_interrupted_replay_is_finished() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = lake(&dir).await;
        reject(&lake, &[VALID_CALL, VALID_CALL]).await;
        // Only the first commit is made: the first record is in both tables.
        let mut rows_now = Rows::new(Stream::ApiCalls);
        let mut decoder = Decoder::new(Stream::ApiCalls, Arc::new(str::to_owned));
        let event = decoder
            .parse(&RecordInput {
                value: VALID_CALL.as_bytes(),
                arrival: NOON,
                attributes: None,
                schema: None,
            })
            .expect("valid");
        let origin = RecordOrigin { topic: "calls", partition: 3, offset: 0, arrival: NOON };
        rows_now.push(&event, &origin, false);
        let mut raw = Appender::open(&lake, schema::raw(Stream::ApiCalls)).await.expect("a table");
        let files = write_rows(&lake, Stream::ApiCalls, vec![&rows_now], NOON).await;
        let advance = PositionAdvance {
            id: PartitionId::replay(Stream::ApiCalls),
            from: None,
            to: 1,
            newest: None,
            reached: None,
            skipped: None,
            arrival: None,
            file_progress: None,
        };
        raw.append(&[advance], &files.expect("a file")).await.expect("a commit");
        assert_eq!(lake.verify().await.expect("verified").findings.len(), 1);

        let done = replay(&lake, Stream::ApiCalls, None, &mut |_| {}).await.expect("replayed");
        assert_eq!((done.finished, done.accepted), (1, 1));
        assert_eq!(rows(&lake).await, (2, 0));
        assert_eq!(lake.verify().await.expect("verified").findings, []);
    }

    #[tokio::test]
    async fn dead_letters_not_read_past_are_not_replayed() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = lake(&dir).await;
        reject(&lake, &[VALID_CALL]).await;
        let day = Day::of_micros(NOON);
        let base = read::dead_letter_table(&lake).await.expect("the table");
        let dead_letter = &read::dead_letters_of_day(&lake, &base, day).await.expect("letters")[0];
        let check = |id: &str, next: i64, expected: bool| {
            let txns = [(id.to_owned(), next)].into();
            assert_eq!(dead_letter.is_read_past(Stream::ApiCalls, &txns), expected, "{id} {next}");
        };
        check("c/calls/t/3", 1, true);
        check("c/calls/t/3", 0, false);
        check("c/calls/t/2", 9, false);
        check("c/other/t/3", 9, false);
        check("c/calls/t/3#newest", 9, false);
        assert_eq!(dead_letter.open(&lake).expect("opens").bytes(), VALID_CALL.as_bytes());
    }
}
