//! Simulated worlds, the files that the program writes of them, and what a lake must hold of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use domain::{AsOf, Day, ExchangeRates, MICROS_PER_DAY, Stream, parse_instant};
use fixtures::{Record, RecordKind, World, WorldOptions};
use lake::LakeKey;

use crate::reference_metrics::{self, Settings};
use crate::support::program::{Project, rapport_command, run};

/// The first day of every simulated world.
pub(crate) const FIRST_DAY: &str = "2026-01-01";

/// The size of a world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorldSize {
    pub(crate) seed: u64,
    pub(crate) partners: u32,
    pub(crate) events: u64,
    pub(crate) days: u32,
}

/// One record, and what becomes of it.
#[derive(Debug, Clone)]
pub(crate) struct SentRecord {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) kind: RecordKind,
}

impl SentRecord {
    fn of(record: Record<'_>) -> Self {
        Self { key: record.key.to_owned(), value: record.value, kind: record.kind }
    }
}

/// How many events, duplicates and dead letters a lake must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ExpectedCounts {
    /// The number of distinct valid events.
    pub(crate) events: i64,
    pub(crate) copies: i64,
    pub(crate) malformed: i64,
}

/// Holds a world of `fixtures`.
pub(crate) struct SimulatedWorld {
    pub(crate) world: World,
}

impl WorldSize {
    pub(crate) fn options(self) -> WorldOptions {
        let from = FIRST_DAY.parse().expect("a day");
        let mut options = WorldOptions::new(self.seed, self.partners, self.events, from);
        options.days = self.days;
        options
    }

    /// Returns the flags of `generate` and `demo`.
    pub(crate) fn flags(self) -> Vec<String> {
        let pairs = [
            ("--seed", self.seed.to_string()),
            ("--partners", self.partners.to_string()),
            ("--events", self.events.to_string()),
            ("--days", self.days.to_string()),
            ("--from", FIRST_DAY.to_owned()),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }
}

impl SimulatedWorld {
    /// Has the program generate a world, and checks its files against the records of `fixtures`.
    pub(crate) fn new(size: WorldSize) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut command = rapport_command();
        command.arg("generate").args(size.flags()).arg("--out").arg(dir.path());
        run(command).expect_success();
        let simulated = Self::from_options(size.options());
        for stream in Stream::ALL {
            let written = std::fs::read(dir.path().join(format!("{stream}.ndjson")));
            let same = written.expect("a file a stream") == ndjson(&simulated.records(stream));
            assert!(same, "{stream}.ndjson is not what the library draws");
        }
        for (name, text) in simulated.tables() {
            let written = std::fs::read_to_string(dir.path().join(name)).expect("a table");
            assert_eq!(written, text, "{name}");
        }
        simulated
    }

    /// Generates a world by `fixtures`, also with other rates of faults.
    pub(crate) fn from_options(options: WorldOptions) -> Self {
        Self { world: fixtures::world(options).expect("a world") }
    }

    /// Returns every record of a stream in the order of arrival.
    pub(crate) fn records(&self, stream: Stream) -> Vec<SentRecord> {
        let of_stream = self.world.records().filter(|record| record.stream == stream);
        of_stream.map(SentRecord::of).collect()
    }

    /// Returns the records of a stream whose outcome does not depend on when they arrive. Records
    /// that are malformed only because they occurred two days after their arrival would be valid
    /// later.
    pub(crate) fn time_independent_records(&self, stream: Stream) -> Vec<SentRecord> {
        let of_stream = self.world.records().filter(|record| record.stream == stream);
        of_stream.filter(|record| !record.is_ahead).map(SentRecord::of).collect()
    }

    /// Writes this world's exchange rates, targets, sunsets and figures of the company into a
    /// project.
    pub(crate) fn write_csv_files(&self, project: &Project) {
        for (name, text) in self.tables() {
            project.write(name, text);
        }
    }

    fn tables(&self) -> [(&'static str, String); 4] {
        let options = &self.world.options;
        [
            ("rates.csv", fixtures::rates_csv(options)),
            ("sla.csv", fixtures::sla_csv()),
            ("sunsets.csv", fixtures::sunsets_csv(options)),
            ("programme.csv", fixtures::programme_csv(options)),
        ]
    }

    /// Returns the instant at which the world ends.
    pub(crate) fn end(&self) -> String {
        AsOf::of_day(self.world.options.end()).to_string()
    }

    /// Loads all streams, each from one file.
    pub(crate) fn load(&self, project: &Project) {
        self.write_csv_files(project);
        for stream in Stream::ALL {
            let name = format!("{stream}.ndjson");
            project.write(&name, ndjson(&self.time_independent_records(stream)));
            self.load_file(project, stream, &name);
        }
    }

    /// Loads a file of a stream as if it had arrived when the world ended.
    pub(crate) fn load_file(&self, project: &Project, stream: Stream, name: &str) {
        let end = self.end();
        let stream = stream.to_string();
        project.run_ok(&["ingest", "load", "--stream", &stream, "--arrival", &end, name]);
    }

    /// Compares metrics with their recomputation at these days. Returns those that had no row on any
    /// of them.
    pub(crate) fn check_metrics(&self, project: &Project, days: &[&str]) -> BTreeSet<&'static str> {
        check_metrics(&self.world, project, days)
    }
}

/// Compares metrics of a project with their recomputation from a world, at these days. Returns those
/// that had no row on any of them.
pub(crate) fn check_metrics(
    world: &World,
    project: &Project,
    days: &[&str],
) -> BTreeSet<&'static str> {
    let rates = rates(world);
    let programme_csv = fixtures::programme_csv(&world.options);
    let key = LakeKey::read(&project.path("lake.key")).expect("the lake's key");
    let settings = Settings {
        programme_csv: &programme_csv,
        hash_credential: &|credential| key.hash_credential(credential),
    };
    let (mut empty, mut filled) = (BTreeSet::new(), BTreeSet::new());
    for day in days {
        let as_of = AsOf::of_day(day.parse::<Day>().expect("a day"));
        let histories = reference_metrics::partner_histories(world, as_of, &rates, "USD");
        let written: BTreeMap<_, _> = project.run_all_metrics(day).into_iter().collect();
        for (name, table) in reference_metrics::all(&histories, &settings) {
            if let Some(difference) = table.difference(&written[name]) {
                panic!("{name} as of {day} is not what plain Rust makes of it:\n{difference}");
            }
            let seen = if table.rows.is_empty() { &mut empty } else { &mut filled };
            seen.insert(name);
        }
    }
    empty.difference(&filled).copied().collect()
}

fn rates(world: &World) -> ExchangeRates {
    let text = fixtures::rates_csv(&world.options);
    let mut rates = ExchangeRates::default();
    for row in text.lines().skip(1) {
        let fields: Vec<&str> = row.split(',').collect();
        rates.add(fields[0], fields[1], fields[2]).expect("a rate");
    }
    rates
}

/// Returns records as lines of key, tab and value for kcat. An empty value is sent with no bytes,
/// not as a tombstone.
pub(crate) fn kcat_lines(records: &[SentRecord]) -> Vec<u8> {
    let mut text = Vec::new();
    for sent in records {
        text.extend_from_slice(sent.key.as_bytes());
        text.push(b'\t');
        text.extend_from_slice(&sent.value);
        text.push(b'\n');
    }
    text
}

/// Returns records as NDJSON.
pub(crate) fn ndjson(records: &[SentRecord]) -> Vec<u8> {
    let mut text = Vec::new();
    for sent in records {
        text.extend_from_slice(&sent.value);
        text.push(b'\n');
    }
    text
}

/// Returns what a lake must hold after these records.
pub(crate) fn expected_counts(records: &[SentRecord]) -> ExpectedCounts {
    expected_counts_of(records.iter().map(|sent| sent.kind))
}

/// Returns what a lake must hold after records of these kinds.
pub(crate) fn expected_counts_of(kinds: impl Iterator<Item = RecordKind>) -> ExpectedCounts {
    let mut expected_counts = ExpectedCounts::default();
    for kind in kinds {
        match kind {
            RecordKind::Event => expected_counts.events += 1,
            RecordKind::Copy => expected_counts.copies += 1,
            RecordKind::Malformed(_) => expected_counts.malformed += 1,
        }
    }
    expected_counts
}

/// Checks the row counts of a stream: raw rows with and without duplicates, and dead letters.
pub(crate) fn check_row_counts(
    project: &Project,
    stream: Stream,
    expected_counts: &ExpectedCounts,
) {
    let table = stream.table();
    let dead_letters = format!("SELECT count(*) FROM dead_letters WHERE stream = '{stream}'");
    let found = ExpectedCounts {
        events: project.query_number(&format!("SELECT count(*) FROM {table}")),
        copies: project.query_number(&format!(
            "SELECT count(*) - (SELECT count(*) FROM {table}) FROM raw.{table}"
        )),
        malformed: project.query_number(&dead_letters),
    };
    assert_eq!(found, *expected_counts, "{table}");
}

/// Recomputes which events of a stream are late, from the records of each partition or file in
/// order, and compares the column `late`. Returns the number of late events. No record may have
/// been compacted or erased.
pub(crate) fn check_late_flags(project: &Project, stream: Stream) -> usize {
    let hour = MICROS_PER_DAY / 24;
    let instant = |text: &str| parse_instant(text).expect("an instant");
    let mut newest_by_partition: BTreeMap<String, i64> = BTreeMap::new();
    let rows = project.query_rows(&format!(
        "SELECT topic || '/' || kafka_partition, kafka_offset, occurred_at, arrival, late
         FROM raw.{} ORDER BY topic, kafka_partition, kafka_offset",
        stream.table()
    ));
    let late = rows.iter().filter(|row| {
        let cells: Vec<&str> = row.split(',').collect();
        let (at, arrival) = (instant(cells[2]), instant(cells[3]));
        let came = at.min(arrival);
        let newest = newest_by_partition.entry(cells[0].to_owned()).or_insert(came);
        let late = at < *newest - hour;
        *newest = (*newest).max(came.min(*newest + hour));
        assert_eq!(late.to_string(), cells[4], "late of {stream}, {row}");
        late
    });
    late.count()
}

/// Returns the folder of a raw table of a project.
pub(crate) fn raw_table_folder(project: &Path, stream: Stream) -> PathBuf {
    project.join("lake/raw").join(stream.table())
}
