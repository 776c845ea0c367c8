//! `ingest replay`: decodes dead letters again after a fix. Those that are valid now move to their
//! raw table, exactly once.
//!
//! A replay makes two commits with one marker, `replay/<stream>`: it adds the rows to the raw
//! table, and then removes the records from the dead letters. When a replay died between the two
//! commits, the next one first removes the records that are in the raw table from the dead letters,
//! and does not add them again. The first commit of a replay that died may arrive while the next one
//! runs, so each day looks at the marker again, and its commit fails if the marker has moved since.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type};
use domain::{Day, Stream};
use lake::{
    ALLOWED_LATENESS, AppendOutcome, Appender, Lake, LakeError, PartitionId, PositionAdvance,
    TableSnapshot, schema,
};

use crate::dead_letters::read::{self, DeadLetter};
use crate::decode::{
    CloudEventAttributes, Decoder, RecordInput, RecordOrigin, RejectReason, Rows, schema_id,
};
use crate::error::IngestError;
use crate::flush::write_rows;
use crate::kafka::native::Headers;
use crate::mapping::{Mapped, Mapping, MappingContext, record_position};
use crate::registry::{RegistrySettings, SchemaRegistry};

/// Returns the mapping of a name, a recipe or a file of the project, or says why there is none.
pub type MappingResolver<'r> = dyn Fn(&str) -> Result<Mapping, String> + 'r;

/// The options of a replay.
#[derive(Clone, Copy)]
pub struct ReplayOptions<'r> {
    pub stream: Stream,
    /// Gives the schemas of Avro records, where there is one.
    pub registry: Option<&'r RegistrySettings>,
    pub mapping: &'r ReplayMapping,
    /// Only the dead letters that came through this mapping, or through none.
    pub rejected_by: Option<&'r RejectedBy>,
    /// Finds the mappings that dead letters name.
    pub resolve: &'r MappingResolver<'r>,
}

/// The mapping that dead letters go through.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplayMapping {
    /// The one that each dead letter names, or none.
    AsRecorded,
    /// None, whatever the dead letters name.
    Absent,
    /// This one, whatever the dead letters name.
    Use(Mapping),
}

/// The mapping that a dead letter came through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RejectedBy {
    NoMapping,
    Mapping(String),
}

impl RejectedBy {
    fn of(dead_letter: &DeadLetter) -> Self {
        dead_letter.mapping.clone().map_or(Self::NoMapping, Self::Mapping)
    }
}

/// Returns the mappings that the dead letters of a stream came through.
///
/// # Errors
/// When the dead letters can't be read.
pub async fn rejected_by(lake: &Lake, stream: Stream) -> Result<BTreeSet<RejectedBy>, IngestError> {
    let table = read::dead_letter_table(lake).await?;
    let days: BTreeSet<Day> = table.files.iter().filter_map(|file| file.day).collect();
    let mut found = BTreeSet::new();
    for day in days {
        let of_day = read::dead_letters_of_day(lake, &table, day).await?;
        let of_stream = of_day.iter().filter(|dead_letter| dead_letter.stream == stream.name());
        found.extend(of_stream.map(RejectedBy::of));
    }
    Ok(found)
}

/// The counts of a replay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayCounts {
    /// Dead letters that are valid now and were moved to the raw table.
    pub accepted: u64,
    /// Dead letters that still break a rule.
    pub rejected: u64,
    /// Dead letters that the mapping leaves out now, which were removed.
    pub left_out: u64,
    /// Dead letters that were not decoded, because they were truncated when they were stored, or
    /// because their partition has not been read past them yet.
    pub skipped: u64,
    /// Dead letters that were removed to finish a replay that had died between its commits.
    pub finished: u64,
}

impl ReplayCounts {
    fn add(&mut self, more: &Self) {
        self.accepted += more.accepted;
        self.rejected += more.rejected;
        self.left_out += more.left_out;
        self.skipped += more.skipped;
        self.finished += more.finished;
    }
}

/// How often a day is replayed whose dead letters others rewrite meanwhile.
const ATTEMPTS: usize = 5;

type RecordKey = (String, i32, i64);

/// Maps and decodes the dead letters of a stream again. A dead letter that the mapping leaves out
/// now is removed without a row.
///
/// # Errors
/// Fails with [`IngestError::SchemaUnavailable`] when the registry does not answer, with
/// [`IngestError::MappingGone`] when a dead letter names a mapping that there is no more, and with
/// [`LakeError::Conflict`] when another replay of the stream runs, or others keep rewriting a day.
pub async fn replay(
    lake: &Lake,
    options: &ReplayOptions<'_>,
    progress: &mut dyn FnMut(&ReplayCounts),
) -> Result<ReplayCounts, IngestError> {
    let raw = Appender::open(lake, schema::raw(options.stream)).await?;
    let dead_letters = Appender::open(lake, schema::dead_letters()).await?;
    replay_days(lake, options, (raw, dead_letters), progress).await
}

async fn replay_days(
    lake: &Lake,
    options: &ReplayOptions<'_>,
    (mut raw, mut dead_letters): (Appender, Appender),
    progress: &mut dyn FnMut(&ReplayCounts),
) -> Result<ReplayCounts, IngestError> {
    let stream = options.stream;
    let mut done = ReplayCounts::default();
    let marker = PartitionId::replay(stream);
    let at = |table: &Appender| table.position(&marker).map(|p| p.next);
    let mut reader = RecordReader::new(lake, options)?;
    let days: BTreeSet<Day> =
        read::dead_letter_table(lake).await?.files.iter().filter_map(|f| f.day).collect();
    for day in days {
        let mut attempts = 0;
        let of_day = loop {
            raw.refresh().await?;
            dead_letters.refresh().await?;
            if at(&raw) > at(&dead_letters) {
                finish_interrupted(lake, stream, at(&raw), &mut done).await?;
            }
            if let Some(of_day) = replay_day(lake, day, &mut raw, &mut reader).await? {
                break of_day;
            }
            attempts += 1;
            if attempts == ATTEMPTS {
                return Err(LakeError::Conflict { table: schema::dead_letters().name }.into());
            }
        };
        done.add(&of_day);
        progress(&done);
    }
    Ok(done)
}

/// Maps and decodes dead letters.
struct RecordReader<'r> {
    lake: &'r Lake,
    options: &'r ReplayOptions<'r>,
    registry: Option<SchemaRegistry>,
    decoder: Decoder,
    /// The mappings by the names that dead letters have for them.
    mappings: BTreeMap<String, Mapping>,
}

/// What became of a dead letter.
enum Replayed {
    Accepted,
    LeftOut,
    Rejected,
}

impl<'r> RecordReader<'r> {
    fn new(lake: &'r Lake, options: &'r ReplayOptions<'r>) -> Result<Self, IngestError> {
        let runtime = tokio::runtime::Handle::current();
        let registry = options.registry.map(|r| SchemaRegistry::new(r, &runtime)).transpose()?;
        let keyed = lake.clone();
        let hash = Arc::new(move |credential: &str| keyed.key().hash_credential(credential));
        let decoder = Decoder::new(options.stream, hash);
        Ok(Self { lake, options, registry, decoder, mappings: BTreeMap::new() })
    }

    /// Adds the event of a dead letter to the rows, if it is valid now.
    async fn replay(
        &mut self,
        dead_letter: &DeadLetter,
        rows: &mut Rows,
    ) -> Result<Replayed, IngestError> {
        let record = dead_letter.open(self.lake)?;
        let (value, key, headers) = (record.bytes(), record.key_bytes(), record.header_bytes());
        let schema = match self.registry.as_mut().zip(schema_id(&value)) {
            Some((registry, id)) => registry.fetch(id).await?,
            None => None,
        };
        let DeadLetter { topic, partition, offset, arrival, .. } = dead_letter;
        let (partition, offset, arrival) = (*partition, *offset, *arrival);
        let schema = schema.as_deref();
        let json;
        let input = match self.mapping(dead_letter)? {
            None => {
                let attributes = CloudEventAttributes::read(|name| last_header(&headers, name));
                RecordInput { value: &value, arrival, attributes, schema }
            }
            Some(mapping) => {
                let (key, headers) = (key.as_deref(), headers.as_slice());
                let of_record = || record_position(topic, partition, offset);
                let position = &record.position.clone().unwrap_or_else(of_record);
                let pseudonym = &|credential: &str| self.lake.key().pseudonym(credential);
                let context = MappingContext { key, headers, topic, position, arrival, pseudonym };
                match mapping.run_encoded(&value, schema, &context) {
                    Ok(Mapped::Event(event)) => json = event,
                    // A mapping made for other records may leave one out that it knows nothing of.
                    Ok(Mapped::Skipped { .. }) if dead_letter.mapping.is_none() => {
                        return Ok(Replayed::Rejected);
                    }
                    Ok(Mapped::Skipped { .. }) => return Ok(Replayed::LeftOut),
                    Err(_) => return Ok(Replayed::Rejected),
                }
                RecordInput { value: json.as_bytes(), arrival, attributes: None, schema: None }
            }
        };
        let Ok(event) = self.decoder.parse(&input) else { return Ok(Replayed::Rejected) };
        let origin = RecordOrigin { topic, partition, offset, arrival };
        // The records before it in its partition are not known any longer, so lateness is measured
        // from its own arrival.
        rows.push(&event, &origin, event.occurred_at < arrival - ALLOWED_LATENESS);
        Ok(Replayed::Accepted)
    }

    /// Returns the mapping that a dead letter goes through.
    fn mapping(&mut self, dead_letter: &DeadLetter) -> Result<Option<Mapping>, IngestError> {
        let name = match (self.options.mapping, &dead_letter.mapping) {
            (ReplayMapping::Use(mapping), _) => return Ok(Some(mapping.clone())),
            (ReplayMapping::Absent, _) | (ReplayMapping::AsRecorded, None) => return Ok(None),
            (ReplayMapping::AsRecorded, Some(name)) => name,
        };
        if !self.mappings.contains_key(name) {
            let found = (self.options.resolve)(name).map_err(|reason| {
                let (stream, name) = (self.options.stream, name.clone());
                IngestError::MappingGone { stream, name, reason }
            })?;
            self.mappings.insert(name.clone(), found);
        }
        Ok(self.mappings.get(name).cloned())
    }
}

/// Replays the dead letters of one day. Returns `None`, and changes nothing, where some of them were taken
/// away meanwhile.
async fn replay_day(
    lake: &Lake,
    day: Day,
    raw: &mut Appender,
    reader: &mut RecordReader<'_>,
) -> Result<Option<ReplayCounts>, IngestError> {
    let mut done = ReplayCounts::default();
    let stream = reader.options.stream;
    let base = read::dead_letter_table(lake).await?;
    let all = read::dead_letters_of_day(lake, &base, day).await?;
    if let Some(first) = lake::sealed_before(raw.transactions()) {
        reader.decoder.seal_before(first);
    }
    let mut rows = Rows::new(stream);
    let mut removed: BTreeSet<RecordKey> = BTreeSet::new();
    let selected = |dead_letter: &&DeadLetter| {
        let rejected_by = reader.options.rejected_by;
        dead_letter.stream == stream.name()
            && rejected_by.is_none_or(|rejected_by| *rejected_by == RejectedBy::of(dead_letter))
    };
    let selected: Vec<&DeadLetter> = all.iter().filter(selected).collect();
    for dead_letter in selected {
        let cut_off = dead_letter.reason == RejectReason::TooLarge.as_str();
        if cut_off || !dead_letter.is_read_past(stream, raw.transactions()) {
            done.skipped += 1;
            continue;
        }
        match reader.replay(dead_letter, &mut rows).await? {
            Replayed::Rejected => {
                done.rejected += 1;
                continue;
            }
            Replayed::Accepted => done.accepted += 1,
            Replayed::LeftOut => done.left_out += 1,
        }
        removed.insert(position_of(dead_letter));
    }
    if removed.is_empty() {
        return Ok(Some(done));
    }
    // An erasure may have taken records away since they were read. One that does so after the second
    // look finds them in the files that are written by then.
    if !are_kept(&base, &read::dead_letter_table(lake).await?, day) {
        return Ok(None);
    }
    let now = chrono::Utc::now().timestamp_micros();
    let files = write_rows(lake, stream, vec![&rows], now).await?;
    if !are_kept(&base, &read::dead_letter_table(lake).await?, day) {
        lake.discard(&schema::raw(stream), &files).await?;
        return Ok(None);
    }
    let marker = PartitionId::replay(stream);
    let from = raw.position(&marker).map(|p| p.next);
    let to = from.unwrap_or(0) + 1;
    let advance = PositionAdvance::of_position(marker.clone(), from, to);
    if let AppendOutcome::PositionsMoved(_) = raw.append(&[advance], &files).await? {
        return Err(LakeError::Conflict { table: raw.def().name.clone() }.into());
    }
    lake::failpoint::hit("replayed", stream.name());
    remove(lake, stream, day, &removed, to).await?;
    Ok(Some(done))
}

/// Returns whether a table still has every file that it had of a day.
fn are_kept(before: &TableSnapshot, now: &TableSnapshot, day: Day) -> bool {
    let paths: BTreeSet<&str> = now.of_day(day).map(|file| file.path.as_str()).collect();
    before.of_day(day).all(|file| paths.contains(file.path.as_str()))
}

fn last_header<'h>(headers: &'h Headers, name: &CStr) -> Option<&'h [u8]> {
    let named = headers.iter().rev().find(|(n, _)| n.as_bytes() == name.to_bytes());
    named.and_then(|(_, value)| value.as_deref())
}

fn position_of(dead_letter: &DeadLetter) -> RecordKey {
    (dead_letter.topic.clone(), dead_letter.partition, dead_letter.offset)
}

/// Rewrites a day of the dead letters without the records at these positions.
async fn remove(
    lake: &Lake,
    stream: Stream,
    day: Day,
    positions: &BTreeSet<RecordKey>,
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
    let mut by_day: BTreeMap<Day, BTreeSet<RecordKey>> = BTreeMap::new();
    for day in days {
        let dead_letters = read::dead_letters_of_day(lake, &base, day).await?;
        let of_stream = dead_letters.iter().filter(|l| l.stream == stream.name());
        by_day.insert(day, of_stream.map(position_of).collect());
    }
    let all: BTreeSet<&RecordKey> = by_day.values().flatten().collect();
    let there = positions_in_raw(lake, stream, &all).await?;
    for (day, positions) in &by_day {
        let double: BTreeSet<RecordKey> = positions.intersection(&there).cloned().collect();
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
    positions: &BTreeSet<&RecordKey>,
) -> Result<BTreeSet<RecordKey>, IngestError> {
    let mut there = BTreeSet::new();
    let Some(snapshot) = lake.snapshot(&schema::raw(stream).name, None).await? else {
        return Ok(there);
    };
    for file in snapshot.files.iter() {
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
