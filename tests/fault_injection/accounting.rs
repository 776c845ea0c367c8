//! Accounts for every record of a round: compares the topics with what the lake holds.

use std::collections::{BTreeMap, BTreeSet};

use domain::Stream;

use crate::fault_injection::background_producer::avro_id;
use crate::fault_injection::kafka_admin::TopicRecord;
use crate::fault_injection::lake_under_test::{LakeUnderTest, MAPPING_FILE};
use crate::fault_injection::positions::Offsets;
use crate::support::kafka_broker::print_note;

/// The position of a record: topic, partition, offset.
type RecordPosition = (String, i32, i64);

/// The records that are lost or duplicated.
#[derive(Default)]
pub(crate) struct Discrepancies {
    pub(crate) lost: Vec<RecordPosition>,
    pub(crate) duplicated: Vec<RecordPosition>,
}

/// How many rows of the raw tables and of the dead letters each position has.
type RowsByPosition = BTreeMap<RecordPosition, (u32, u32)>;

/// Compares a lake that has caught up with its topics, record by record.
pub(crate) fn account_for_all_records(test: &mut LakeUnderTest<'_>) -> Discrepancies {
    let rows_by_position = rows_by_position(test);
    let mut discrepancies = Discrepancies::default();
    let mut known_positions = 0;
    for stream in Stream::ALL {
        let topic = format!("{}{stream}", test.prefix);
        let records = test.admin.read(&topic);
        let duplicates = duplicates(&records);
        for ((partition, offset), record) in &records {
            let position = (topic.clone(), *partition, *offset);
            let (raw, dead_letters) = rows_by_position.get(&position).copied().unwrap_or_default();
            known_positions += usize::from(raw + dead_letters > 0);
            let dropped = was_erased(test, &position, record)
                || (test.compacted && duplicates.contains(&(*partition, *offset)));
            match record_state(&record.expected_outcome, raw, dead_letters) {
                RecordState::AsExpected => {}
                RecordState::Missing if dropped => {}
                RecordState::Missing => discrepancies.lost.push(position),
                RecordState::Duplicated => {
                    print_note(&format!(
                        "{position:?}: {raw} rows and {dead_letters} dead letters of {}: {}",
                        record.expected_outcome,
                        String::from_utf8_lossy(&record.value)
                    ));
                    discrepancies.duplicated.push(position);
                }
            }
        }
        check_tombstones(test, &topic, &records);
        if discrepancies.lost.is_empty() && discrepancies.duplicated.is_empty() {
            check_events(test, stream, &records);
        }
    }
    check_mapping_failures(test);
    assert_eq!(known_positions, rows_by_position.len(), "positions in the lake that no topic has");
    discrepancies
}

enum RecordState {
    AsExpected,
    Missing,
    Duplicated,
}

fn record_state(expected_outcome: &str, raw: u32, dead_letters: u32) -> RecordState {
    // An Avro record is a dead letter until it is replayed.
    let rows = match expected_outcome {
        "event" => raw,
        "malformed" => dead_letters,
        "avro" => raw + dead_letters,
        _ => 1 - (raw + dead_letters).min(1),
    };
    match (rows, raw + dead_letters) {
        (1, 0 | 1) => RecordState::AsExpected,
        (0, 0) => RecordState::Missing,
        _ => RecordState::Duplicated,
    }
}

/// Counts the rows of every position in the lake.
fn rows_by_position(test: &LakeUnderTest<'_>) -> RowsByPosition {
    let raw = Stream::ALL.map(|stream| format!("raw.{}", stream.table()));
    let columns = "topic, kafka_partition, kafka_offset";
    let mut selects: Vec<String> =
        raw.iter().map(|table| format!("SELECT {columns}, 'raw' FROM {table}")).collect();
    selects.push(format!("SELECT {columns}, 'dead' FROM dead_letters"));
    let mut rows_by_position = RowsByPosition::new();
    for row in test.project.query_rows(&selects.join(" UNION ALL ")) {
        let cells: Vec<&str> = row.split(',').collect();
        let [topic, partition, offset, table] = cells[..] else { panic!("{row}") };
        let number = |text: &str| text.parse::<i64>().expect("a number");
        let position = (topic.to_owned(), number(partition) as i32, number(offset));
        let (raw, dead_letters) = rows_by_position.entry(position).or_default();
        *(if table == "raw" { raw } else { dead_letters }) += 1;
    }
    rows_by_position
}

/// Returns the records whose event an earlier record has too. Compaction drops them.
fn duplicates(records: &BTreeMap<(i32, i64), TopicRecord>) -> BTreeSet<(i32, i64)> {
    let mut seen = BTreeSet::new();
    let events = records.iter().filter(|(_, record)| record.expected_outcome == "event");
    events
        .filter(|(_, record)| !seen.insert(event_id(record)))
        .map(|(position, _)| *position)
        .collect()
}

fn event_id(record: &TopicRecord) -> String {
    if record.expected_outcome == "avro" {
        return avro_id(&record.value);
    }
    let event: serde_json::Value = serde_json::from_slice(&record.value).expect("an event");
    let id = event.pointer("/gateway/id").unwrap_or(&event["event_id"]);
    id.as_str().expect("an id").to_owned()
}

/// Whether an erasure was right to delete the record.
fn was_erased(
    test: &LakeUnderTest<'_>,
    (topic, partition, offset): &RecordPosition,
    record: &TopicRecord,
) -> bool {
    let partition_key = (topic.clone(), *partition);
    let was_read =
        |positions: &Offsets| positions.get(&partition_key).is_some_and(|next| offset < next);
    let names = |partner: &str| {
        let in_bytes = record.value.windows(partner.len()).any(|w| w == partner.as_bytes());
        record.partner == partner || in_bytes
    };
    test.erased.iter().any(|(partner, positions)| was_read(positions) && names(partner))
}

/// Checks that the dead letters tell which mapping failed, and quote nothing of the record.
fn check_mapping_failures(test: &LakeUnderTest<'_>) {
    let of_mapping = "SELECT count(*) FROM dead_letters WHERE reason = 'mapping_failed'";
    let failures = test.project.query_number(of_mapping);
    let expected = format!(
        "{of_mapping} AND mapping = '{MAPPING_FILE}' AND detail NOT LIKE '%timeout%' AND field IS NULL"
    );
    assert_eq!(test.project.query_number(&expected), failures, "dead letters of the mapping");
    assert!(failures == 0 || test.with_mapping, "{failures} failures without a mapping");
}

/// Checks that the queried events are those that were sent, each once.
fn check_events(
    test: &LakeUnderTest<'_>,
    stream: Stream,
    records: &BTreeMap<(i32, i64), TopicRecord>,
) {
    let topic = format!("{}{stream}", test.prefix);
    let event_ids = test.project.query_rows(&format!("SELECT event_id FROM {}", stream.table()));
    let found: BTreeSet<&String> = event_ids.iter().collect();
    assert_eq!(found.len(), event_ids.len(), "{stream}: a query returns an event twice");
    let mut expected = BTreeSet::new();
    let mut optional = BTreeSet::new();
    for ((partition, offset), record) in records {
        let position = (topic.clone(), *partition, *offset);
        match record.expected_outcome.as_str() {
            "event" if !was_erased(test, &position, record) => expected.insert(event_id(record)),
            "event" | "avro" => optional.insert(event_id(record)),
            _ => false,
        };
    }
    let missing: Vec<_> = expected.iter().filter(|id| !found.contains(id)).collect();
    let unexpected: Vec<_> =
        found.iter().filter(|id| !expected.contains(**id) && !optional.contains(**id)).collect();
    assert!(missing.is_empty(), "{stream}: events missing {missing:?}");
    assert!(unexpected.is_empty(), "{stream}: events that were never sent {unexpected:?}");
}

/// Checks that the log counts the tombstones and the records that the mapping leaves out, which have
/// no rows.
fn check_tombstones(
    test: &mut LakeUnderTest<'_>,
    topic: &str,
    records: &BTreeMap<(i32, i64), TopicRecord>,
) {
    test.positions.refresh();
    let mut expected: BTreeMap<i32, i64> = BTreeMap::new();
    let has_no_row =
        |record: &TopicRecord| matches!(record.expected_outcome.as_str(), "tombstone" | "skipped");
    for ((partition, _), _) in records.iter().filter(|(_, record)| has_no_row(record)) {
        *expected.entry(*partition).or_default() += 1;
    }
    let counted =
        test.positions.without_row.iter().filter(|((of_topic, _), n)| of_topic == topic && **n > 0);
    let counted: BTreeMap<i32, i64> = counted.map(|((_, p), n)| (*p, *n)).collect();
    assert_eq!(counted, expected, "{topic}: tombstones and skipped records counted by partition");
}
