//! `ingest replay`: dead letters through the checks again, after a fix; what passes now moves to
//! its raw table, exactly once.
//!
//! Two commits under one mark, `replay/<stream>`: the rows into the raw table, then out of the dead
//! letters. A replay that died between the two is finished first: what stands in the raw table is
//! taken out of the dead letters, and not added again.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type};
use lake::{ALLOWED_LATENESS, Advance, Appended, Appender, Lake, LakeError, PartitionId, schema};
use lake_types::{Day, Stream};

use crate::decode::{Attributes, Decoder, Input, Origin, Reason, Rows, schema_id};
use crate::error::IngestError;
use crate::generation::write_rows;
use crate::letters::{self, Letter};
use crate::native::Headers;
use crate::registry::{Registry, RegistrySettings};

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    pub accepted: u64,
    /// Still break a rule.
    pub rejected: u64,
    /// Kept without being looked at: cut off when they were stored, or not read past yet.
    pub skipped: u64,
    /// Taken out of the dead letters for a replay that died half-way.
    pub finished: u64,
}

type Place = (String, i32, i64);

/// Re-runs the dead letters of a stream; those of Avro with the registry, where there is one.
///
/// # Errors
/// [`IngestError::Registry`] when it does not answer.
/// [`LakeError::Conflict`] when another replay of the stream runs; see [`IngestError`].
pub async fn replay(
    lake: &Lake,
    stream: Stream,
    registry: Option<&RegistrySettings>,
    progress: &mut dyn FnMut(&Replayed),
) -> Result<Replayed, IngestError> {
    let mut done = Replayed::default();
    let runtime = tokio::runtime::Handle::current();
    let mut registry = registry.map(|r| Registry::new(r, &runtime)).transpose()?;
    let mut raw = Appender::open(lake, schema::raw(stream)).await?;
    let mut dead = Appender::open(lake, schema::dead_letters()).await?;
    let mark = PartitionId::replay(stream);
    let at = |table: &Appender| table.position(&mark).map(|p| p.next);
    if at(&raw) > at(&dead) {
        finish(lake, stream, at(&raw), &mut done).await?;
    }
    let days: BTreeSet<Day> =
        letters::dead_letters(lake).await?.files.iter().filter_map(|f| f.day).collect();
    for day in days {
        raw.refresh().await?;
        dead.refresh().await?;
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
    mut registry: Option<&mut Registry>,
    done: &mut Replayed,
) -> Result<(), IngestError> {
    let base = letters::dead_letters(lake).await?;
    let all = letters::letters_of_day(lake, &base, day).await?;
    let keyed = lake.clone();
    let hash = Arc::new(move |credential: &str| keyed.key().hash_credential(credential));
    let mut decoder = Decoder::new(stream, hash);
    if let Some(first) = lake::sealed_before(raw.transactions()) {
        decoder.seal_before(first);
    }
    let mut rows = Rows::new(stream);
    let mut accepted: BTreeSet<Place> = BTreeSet::new();
    for letter in all.iter().filter(|l| l.stream == stream.name()) {
        let cut_off = letter.reason == Reason::TooLarge.as_str();
        if cut_off || !letter.is_settled(stream, raw.transactions()) {
            done.skipped += 1;
            continue;
        }
        let record = letter.open(lake)?;
        let (value, headers) = (record.bytes(), record.header_bytes());
        let attributes = Attributes::read(|name| last_header(&headers, name));
        let schema = match registry.as_mut().zip(schema_id(&value)) {
            Some((registry, id)) => registry.fetch(id).await?,
            None => None,
        };
        let (arrival, schema) = (letter.arrival, schema.as_deref());
        match decoder.parse(&Input { value: &value, arrival, attributes, schema }) {
            Ok(event) => {
                let (partition, offset) = (letter.partition, letter.offset);
                let origin =
                    Origin { topic: &letter.topic, partition, offset, arrival: letter.arrival };
                // What stood before it in its partition is not known any longer: against its own
                // arrival.
                let late = event.occurred_at < letter.arrival - ALLOWED_LATENESS;
                rows.push(&event, &origin, late);
                accepted.insert(place(letter));
            }
            Err(_) => done.rejected += 1,
        }
    }
    if accepted.is_empty() {
        return Ok(());
    }
    let now = chrono::Utc::now().timestamp_micros();
    let files = write_rows(lake, stream, vec![&rows], now).await?;
    let mark = PartitionId::replay(stream);
    let from = raw.position(&mark).map(|p| p.next);
    let to = from.unwrap_or(0) + 1;
    let advance = Advance {
        id: mark.clone(),
        from,
        to,
        newest: None,
        reached: None,
        skipped: None,
        arrival: None,
        extent: None,
    };
    if let Appended::Moved(_) = raw.append(&[advance], &files).await? {
        return Err(LakeError::Conflict { table: raw.def().name.clone() }.into());
    }
    lake::fault::point("replayed", stream.name());
    take_out(lake, stream, day, &accepted, to).await?;
    done.accepted += accepted.len() as u64;
    Ok(())
}

fn last_header<'h>(headers: &'h Headers, name: &CStr) -> Option<&'h [u8]> {
    let named = headers.iter().rev().find(|(n, _)| n.as_bytes() == name.to_bytes());
    named.and_then(|(_, value)| value.as_deref())
}

fn place(letter: &Letter) -> Place {
    (letter.topic.clone(), letter.partition, letter.offset)
}

/// Rewrites a day of the dead letters without the records at these places.
async fn take_out(
    lake: &Lake,
    stream: Stream,
    day: Day,
    places: &BTreeSet<Place>,
    mark: i64,
) -> Result<(), IngestError> {
    let def = schema::dead_letters();
    let marks = [(PartitionId::replay(stream).as_str().to_owned(), mark)].into();
    loop {
        let base = letters::dead_letters(lake).await?;
        let all = letters::letters_of_day(lake, &base, day).await?;
        let stay: Vec<&Letter> = all
            .iter()
            .filter(|l| l.stream != stream.name() || !places.contains(&place(l)))
            .collect();
        let mut files = Vec::new();
        if !stay.is_empty() {
            let rows = letters::batch(&stay)?;
            files.push(lake.write_file(&def, Some(day), &[rows], BTreeMap::new()).await?);
        }
        match lake.replace_days_marked(&def, &base, vec![(day, files)], &marks).await {
            Ok(_) => return Ok(()),
            // A replay of another stream rewrote the day: ours are still there.
            Err(LakeError::Conflict { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
}

/// Takes out of the dead letters what a replay that died had brought into the raw table.
async fn finish(
    lake: &Lake,
    stream: Stream,
    mark: Option<i64>,
    done: &mut Replayed,
) -> Result<(), IngestError> {
    let base = letters::dead_letters(lake).await?;
    let days: BTreeSet<Day> = base.files.iter().filter_map(|f| f.day).collect();
    let mut by_day: BTreeMap<Day, BTreeSet<Place>> = BTreeMap::new();
    for day in days {
        let letters = letters::letters_of_day(lake, &base, day).await?;
        let of_stream = letters.iter().filter(|l| l.stream == stream.name());
        by_day.insert(day, of_stream.map(place).collect());
    }
    let all: BTreeSet<&Place> = by_day.values().flatten().collect();
    let there = in_raw(lake, stream, &all).await?;
    for (day, places) in &by_day {
        let double: BTreeSet<Place> = places.intersection(&there).cloned().collect();
        if !double.is_empty() {
            take_out(lake, stream, *day, &double, mark.unwrap_or_default()).await?;
            done.finished += double.len() as u64;
        }
    }
    Ok(())
}

/// Which of the places stand in the stream's raw table.
async fn in_raw(
    lake: &Lake,
    stream: Stream,
    places: &BTreeSet<&Place>,
) -> Result<BTreeSet<Place>, IngestError> {
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
                let place =
                    (topics.value(row).to_owned(), partitions.value(row), offsets.value(row));
                if places.contains(&place) {
                    there.insert(place);
                }
            }
        }
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use lake::LakeOptions;

    use super::*;
    use crate::dead::{DeadLetter, Envelope};
    use crate::decode::Rejection;
    use crate::settings::Limits;
    use crate::sink::Sink;

    const NOON: i64 = 1_767_268_800_000_000;

    async fn lake(dir: &tempfile::TempDir) -> Lake {
        let options = LakeOptions {
            root: dir.path().join("lake").display().to_string(),
            key_file: dir.path().join("lake.key"),
            store: lake::StoreOptions::default(),
        };
        Lake::open_or_create(&options).await.expect("a lake")
    }

    /// Dead letters as an older program left them: it rejected what is a valid call today.
    async fn reject(lake: &Lake, values: &[&str]) {
        let stream = Stream::ApiCalls;
        let limits = Limits::default();
        let mut sink = Sink::open(lake, [stream], limits, true).await.expect("a sink");
        let id = PartitionId::kafka("c", "calls", "t", 3);
        let mut part = sink.part(stream, "calls", 3, id).await.expect("a part");
        for value in values {
            let rejection = Rejection {
                reason: Reason::UnknownValue,
                field: Some("method"),
                detail: String::new(),
                sealed_before: None,
            };
            let envelope = Envelope { key: None, headers: Vec::new() };
            let value = value.as_bytes();
            part.dead.push(DeadLetter::seal(lake, part.next, NOON, rejection, value, &envelope));
            part.next += 1;
        }
        sink.parts = vec![part];
        assert_eq!(sink.flush().await.expect("a commit"), [0usize; 0]);
    }

    async fn rows(lake: &Lake) -> (u64, u64) {
        let mut rows = [0; 2];
        for (n, def) in [schema::raw(Stream::ApiCalls), schema::dead_letters()].iter().enumerate() {
            rows[n] = lake.snapshot(&def.name, None).await.expect("read").map_or(0, |s| s.rows());
        }
        (rows[0], rows[1])
    }

    const GOOD: &str =
        r#"{"event_id":"e","partner_id":"p","occurred_at":"2026-01-01T11:00:00Z","status":200}"#;

    #[tokio::test]
    async fn what_passes_now_moves_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = lake(&dir).await;
        reject(&lake, &[GOOD, "{broken", GOOD]).await;
        assert_eq!(rows(&lake).await, (0, 3));
        let done = replay(&lake, Stream::ApiCalls, None, &mut |_| {}).await.expect("replayed");
        assert_eq!((done.accepted, done.rejected, done.skipped), (2, 1, 0));
        assert_eq!(rows(&lake).await, (2, 1));
        let again = replay(&lake, Stream::ApiCalls, None, &mut |_| {}).await.expect("replayed");
        assert_eq!((again.accepted, again.rejected), (0, 1));
        let other =
            replay(&lake, Stream::BillingEvents, None, &mut |_| {}).await.expect("replayed");
        assert_eq!(other, Replayed::default());
        assert_eq!(lake.verify().await.expect("verified").findings, []);
    }

    #[tokio::test]
    async fn a_replay_that_died_between_its_commits_is_finished() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = lake(&dir).await;
        reject(&lake, &[GOOD, GOOD]).await;
        // The first commit alone: the first record stands in both tables.
        let mut rows_now = Rows::new(Stream::ApiCalls);
        let mut decoder = Decoder::new(Stream::ApiCalls, Arc::new(str::to_owned));
        let event = decoder
            .parse(&Input { value: GOOD.as_bytes(), arrival: NOON, attributes: None, schema: None })
            .expect("valid");
        let origin = Origin { topic: "calls", partition: 3, offset: 0, arrival: NOON };
        rows_now.push(&event, &origin, false);
        let mut raw = Appender::open(&lake, schema::raw(Stream::ApiCalls)).await.expect("a table");
        let files = write_rows(&lake, Stream::ApiCalls, vec![&rows_now], NOON).await;
        let advance = Advance {
            id: PartitionId::replay(Stream::ApiCalls),
            from: None,
            to: 1,
            newest: None,
            reached: None,
            skipped: None,
            arrival: None,
            extent: None,
        };
        raw.append(&[advance], &files.expect("a file")).await.expect("a commit");
        assert_eq!(lake.verify().await.expect("verified").findings.len(), 1);

        let done = replay(&lake, Stream::ApiCalls, None, &mut |_| {}).await.expect("replayed");
        assert_eq!((done.finished, done.accepted), (1, 1));
        assert_eq!(rows(&lake).await, (2, 0));
        assert_eq!(lake.verify().await.expect("verified").findings, []);
    }

    #[tokio::test]
    async fn what_a_worker_has_not_read_past_is_left_to_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = lake(&dir).await;
        reject(&lake, &[GOOD]).await;
        let day = Day::of_micros(NOON);
        let base = letters::dead_letters(&lake).await.expect("the table");
        let letter = &letters::letters_of_day(&lake, &base, day).await.expect("letters")[0];
        let check = |id: &str, next: i64, expected: bool| {
            let txns = [(id.to_owned(), next)].into();
            assert_eq!(letter.is_settled(Stream::ApiCalls, &txns), expected, "{id} {next}");
        };
        check("c/calls/t/3", 1, true);
        check("c/calls/t/3", 0, false);
        check("c/calls/t/2", 9, false);
        check("c/other/t/3", 9, false);
        check("c/calls/t/3#newest", 9, false);
        assert_eq!(letter.open(&lake).expect("opens").bytes(), GOOD.as_bytes());
    }
}
