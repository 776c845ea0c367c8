//! The count: every record of a season's topics against what the lake holds of it.

use std::collections::{BTreeMap, BTreeSet};

use lake_types::Stream;

use crate::faults::broker::Sent;
use crate::faults::feed::avro_id;
use crate::faults::positions::Offsets;
use crate::faults::season::Season;

/// A record's place: topic, partition, offset.
type Place = (String, i32, i64);

/// What was found to be wrong, by place.
#[derive(Default)]
pub(crate) struct Wrong {
    pub(crate) lost: Vec<Place>,
    pub(crate) doubled: Vec<Place>,
}

/// How often each place stands in the raw tables, and in the dead letters.
type Found = BTreeMap<Place, (u32, u32)>;

/// Counts a season that has caught up.
pub(crate) fn count(season: &mut Season<'_>) -> Wrong {
    let found = found(season);
    let mut wrong = Wrong::default();
    let mut known = 0;
    for stream in Stream::ALL {
        let topic = format!("{}{stream}", season.prefix);
        let records = season.admin.read(&topic);
        let copies = copies(&records);
        for ((partition, offset), sent) in &records {
            let place = (topic.clone(), *partition, *offset);
            let (raw, dead) = found.get(&place).copied().unwrap_or_default();
            known += usize::from(raw + dead > 0);
            let gone = was_erased(season, &place, sent)
                || (season.compacted && copies.contains(&(*partition, *offset)));
            match verdict(&sent.truth, raw, dead) {
                Verdict::Right => {}
                Verdict::Absent if gone => {}
                Verdict::Absent => wrong.lost.push(place),
                Verdict::TooMany => wrong.doubled.push(place),
            }
        }
        check_tombstones(season, &topic, &records);
        if wrong.lost.is_empty() && wrong.doubled.is_empty() {
            check_events(season, stream, &records);
        }
    }
    assert_eq!(known, found.len(), "places in the lake that no topic has");
    wrong
}

enum Verdict {
    Right,
    Absent,
    TooMany,
}

fn verdict(truth: &str, raw: u32, dead: u32) -> Verdict {
    // Avro is a dead letter until it is replayed.
    let due = match truth {
        "event" => raw,
        "malformed" => dead,
        "avro" => raw + dead,
        _ => 1 - (raw + dead).min(1),
    };
    match (due, raw + dead) {
        (1, 0 | 1) => Verdict::Right,
        (0, 0) => Verdict::Absent,
        _ => Verdict::TooMany,
    }
}

/// Of every place in the lake how often it stands there.
fn found(season: &Season<'_>) -> Found {
    let raw = Stream::ALL.map(|stream| format!("raw.{}", stream.table()));
    let columns = "topic, kafka_partition, kafka_offset";
    let mut parts: Vec<String> =
        raw.iter().map(|table| format!("SELECT {columns}, 'raw' FROM {table}")).collect();
    parts.push(format!("SELECT {columns}, 'dead' FROM dead_letters"));
    let mut found = Found::new();
    for row in season.project.rows(&parts.join(" UNION ALL ")) {
        let cells: Vec<&str> = row.split(',').collect();
        let [topic, partition, offset, table] = cells[..] else { panic!("{row}") };
        let number = |text: &str| text.parse::<i64>().expect("a number");
        let place = (topic.to_owned(), number(partition) as i32, number(offset));
        let (raw, dead) = found.entry(place).or_default();
        *(if table == "raw" { raw } else { dead }) += 1;
    }
    found
}

/// The records that an earlier one of the same event makes copies: compaction drops them.
fn copies(records: &BTreeMap<(i32, i64), Sent>) -> BTreeSet<(i32, i64)> {
    let mut seen = BTreeSet::new();
    let events = records.iter().filter(|(_, sent)| sent.truth == "event");
    events.filter(|(_, sent)| !seen.insert(event_id(sent))).map(|(place, _)| *place).collect()
}

fn event_id(sent: &Sent) -> String {
    if sent.truth == "avro" {
        return avro_id(&sent.value);
    }
    let event: serde_json::Value = serde_json::from_slice(&sent.value).expect("an event");
    event["event_id"].as_str().expect("an id").to_owned()
}

/// Whether an erasure has taken the record out, rightly.
fn was_erased(season: &Season<'_>, (topic, partition, offset): &Place, sent: &Sent) -> bool {
    let of = (topic.clone(), *partition);
    let before = |positions: &Offsets| positions.get(&of).is_some_and(|next| offset < next);
    let names = |partner: &str| {
        let in_bytes = sent.value.windows(partner.len()).any(|w| w == partner.as_bytes());
        sent.partner == partner || in_bytes
    };
    season.erased.iter().any(|(partner, positions)| before(positions) && names(partner))
}

/// The events people query are those that were sent, each once.
fn check_events(season: &Season<'_>, stream: Stream, records: &BTreeMap<(i32, i64), Sent>) {
    let topic = format!("{}{stream}", season.prefix);
    let avro = season.project.rows(&format!("SELECT event_id FROM {}", stream.table()));
    let found: BTreeSet<&String> = avro.iter().collect();
    assert_eq!(found.len(), avro.len(), "{stream}: an event stands twice among those queried");
    let mut due = BTreeSet::new();
    let mut may_be = BTreeSet::new();
    for ((partition, offset), sent) in records {
        let place = (topic.clone(), *partition, *offset);
        match sent.truth.as_str() {
            "event" if !was_erased(season, &place, sent) => due.insert(event_id(sent)),
            "event" | "avro" => may_be.insert(event_id(sent)),
            _ => false,
        };
    }
    let missing: Vec<_> = due.iter().filter(|id| !found.contains(id)).collect();
    let strange: Vec<_> =
        found.iter().filter(|id| !due.contains(**id) && !may_be.contains(**id)).collect();
    assert!(missing.is_empty(), "{stream}: events missing {missing:?}");
    assert!(strange.is_empty(), "{stream}: events that nobody sent {strange:?}");
}

/// Tombstones leave no row; the log counts them.
fn check_tombstones(season: &mut Season<'_>, topic: &str, records: &BTreeMap<(i32, i64), Sent>) {
    season.positions.follow();
    let mut due: BTreeMap<i32, i64> = BTreeMap::new();
    for ((partition, _), _) in records.iter().filter(|(_, sent)| sent.truth == "tombstone") {
        *due.entry(*partition).or_default() += 1;
    }
    let counted = season.positions.skipped.iter().filter(|((of, _), n)| of == topic && **n > 0);
    let counted: BTreeMap<i32, i64> = counted.map(|((_, p), n)| (*p, *n)).collect();
    assert_eq!(counted, due, "{topic}: tombstones counted by partition");
}
