//! A simulated world: the program's files of it, and the truth about every record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fixtures::{Fault, Kind, World, WorldOptions};
use lake_types::{AsOf, Day, MICROS_PER_DAY, Rates, Stream, parse_instant};

use crate::program::{Project, rapport, run};
use crate::reference;

/// The first day of every world here.
pub(crate) const FROM: &str = "2026-01-01";

/// How large a world is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) seed: u64,
    pub(crate) partners: u32,
    pub(crate) events: u64,
    pub(crate) days: u32,
}

/// One record, and what it must become.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) kind: Kind,
}

/// What a lake must hold of a world.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Truth {
    /// Distinct valid events.
    pub(crate) events: i64,
    pub(crate) copies: i64,
    pub(crate) malformed: i64,
}

/// A world, and the truth about it.
pub(crate) struct Simulated {
    pub(crate) world: World,
}

impl Size {
    pub(crate) fn options(self) -> WorldOptions {
        let from = FROM.parse().expect("a day");
        let mut options = WorldOptions::new(self.seed, self.partners, self.events, from);
        options.days = self.days;
        options
    }

    /// As flags of `generate` and `demo`.
    pub(crate) fn flags(self) -> Vec<String> {
        let pairs = [
            ("--seed", self.seed.to_string()),
            ("--partners", self.partners.to_string()),
            ("--events", self.events.to_string()),
            ("--days", self.days.to_string()),
            ("--from", FROM.to_owned()),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }
}

impl Simulated {
    /// The world that the program draws: has it write its files, and checks them against the
    /// library's records.
    pub(crate) fn new(size: Size) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut command = rapport();
        command.arg("generate").args(size.flags()).arg("--out").arg(dir.path());
        run(command).succeeded();
        let simulated = Self::drawn(size.options());
        for stream in Stream::ALL {
            let written = std::fs::read(dir.path().join(format!("{stream}.ndjson")));
            let same = written.expect("a file a stream") == lines(&simulated.sent(stream));
            assert!(same, "{stream}.ndjson is not what the library draws");
        }
        for (name, text) in simulated.tables() {
            let written = std::fs::read_to_string(dir.path().join(name)).expect("a table");
            assert_eq!(written, text, "{name}");
        }
        simulated
    }

    /// A world that the library draws, also with other rates of faults.
    pub(crate) fn drawn(options: WorldOptions) -> Self {
        Self { world: fixtures::world(options).expect("a world") }
    }

    /// Every record of a stream in the order of arrival.
    pub(crate) fn sent(&self, stream: Stream) -> Vec<Sent> {
        let of_stream = self.world.records().filter(|record| record.stream == stream);
        of_stream
            .map(|record| Sent {
                key: record.key.to_owned(),
                value: record.value,
                kind: record.kind,
            })
            .collect()
    }

    /// The records of a stream that can be sent at another time than they were drawn for: those
    /// malformed only by occurring two days after their arrival would be valid later.
    pub(crate) fn timeless(&self, stream: Stream) -> Vec<Sent> {
        let early = |sent: &Sent| {
            let fault = Fault { reason: "out_of_range", field: Some("occurred_at") };
            sent.kind == Kind::Malformed(fault) && !sent.value.windows(4).any(|w| w == b"1999")
        };
        self.sent(stream).into_iter().filter(|sent| !early(sent)).collect()
    }

    /// Gives a project this world's exchange rates and targets.
    pub(crate) fn share_tables(&self, project: &Project) {
        for (name, text) in self.tables() {
            project.write(name, text);
        }
    }

    fn tables(&self) -> [(&'static str, String); 3] {
        let options = &self.world.options;
        [
            ("rates.csv", fixtures::rates_csv(options)),
            ("sla.csv", fixtures::sla_csv()),
            ("sunsets.csv", fixtures::sunsets_csv(options)),
        ]
    }

    /// The instant the world ends.
    pub(crate) fn end(&self) -> String {
        AsOf::of_day(self.world.options.end()).to_string()
    }

    /// Loads all streams, each from one file.
    pub(crate) fn load(&self, project: &Project) {
        self.share_tables(project);
        for stream in Stream::ALL {
            let name = format!("{stream}.ndjson");
            project.write(&name, lines(&self.timeless(stream)));
            self.load_file(project, stream, &name);
        }
    }

    /// Loads a file of a stream as if it had arrived when the world ended.
    pub(crate) fn load_file(&self, project: &Project, stream: Stream, name: &str) {
        let end = self.end();
        let stream = stream.to_string();
        project.ok(&["ingest", "load", "--stream", &stream, "--arrival", &end, name]);
    }

    /// Compares five metrics with their recomputation at these days.
    pub(crate) fn check_metrics(&self, project: &Project, days: &[&str]) {
        check_metrics(&self.world, project, days);
    }
}

/// Compares five metrics of a project with their recomputation from a world, at these days.
pub(crate) fn check_metrics(world: &World, project: &Project, days: &[&str]) {
    let rates = rates(world);
    for day in days {
        let as_of = AsOf::of_day(day.parse::<Day>().expect("a day"));
        let programme = reference::programme(world, as_of, &rates, "USD");
        let written: BTreeMap<_, _> = project.metrics(day).into_iter().collect();
        for (name, table) in reference::all(&programme) {
            if let Some(difference) = table.difference(&written[name]) {
                panic!("{name} as of {day} is not what plain Rust makes of it:\n{difference}");
            }
        }
    }
}

fn rates(world: &World) -> Rates {
    let text = fixtures::rates_csv(&world.options);
    let mut rates = Rates::default();
    for row in text.lines().skip(1) {
        let fields: Vec<&str> = row.split(',').collect();
        rates.add(fields[0], fields[1], fields[2]).expect("a rate");
    }
    rates
}

/// Records as lines of key, tab and value, as kcat takes them. An empty value stays one: kcat
/// sends it with no bytes, not as a tombstone.
pub(crate) fn keyed_lines(records: &[Sent]) -> Vec<u8> {
    let mut text = Vec::new();
    for sent in records {
        text.extend_from_slice(sent.key.as_bytes());
        text.push(b'\t');
        text.extend_from_slice(&sent.value);
        text.push(b'\n');
    }
    text
}

/// Records as NDJSON.
pub(crate) fn lines(records: &[Sent]) -> Vec<u8> {
    let mut text = Vec::new();
    for sent in records {
        text.extend_from_slice(&sent.value);
        text.push(b'\n');
    }
    text
}

/// What a lake must hold after these records.
pub(crate) fn truth(records: &[Sent]) -> Truth {
    truth_of(records.iter().map(|sent| sent.kind))
}

/// What a lake must hold after records of these kinds.
pub(crate) fn truth_of(kinds: impl Iterator<Item = Kind>) -> Truth {
    let mut truth = Truth::default();
    for kind in kinds {
        match kind {
            Kind::Event => truth.events += 1,
            Kind::Copy => truth.copies += 1,
            Kind::Malformed(_) => truth.malformed += 1,
        }
    }
    truth
}

/// Checks a stream's tables against the truth: raw with copies, without them, and dead letters.
pub(crate) fn check_tables(project: &Project, stream: Stream, truth: &Truth) {
    let table = stream.table();
    let letters = format!("SELECT count(*) FROM dead_letters WHERE stream = '{stream}'");
    let found = Truth {
        events: project.number(&format!("SELECT count(*) FROM {table}")),
        copies: project
            .number(&format!("SELECT count(*) - (SELECT count(*) FROM {table}) FROM raw.{table}")),
        malformed: project.number(&letters),
    };
    assert_eq!(found, *truth, "{table}");
}

/// Checks which events of a stream are late, from nothing but the records of each partition or file in
/// their order: none may have been compacted or erased. How many there are.
pub(crate) fn check_late(project: &Project, stream: Stream) -> usize {
    let hour = MICROS_PER_DAY / 24;
    let instant = |text: &str| parse_instant(text).expect("an instant");
    let mut marks: BTreeMap<String, i64> = BTreeMap::new();
    let rows = project.rows(&format!(
        "SELECT topic || '/' || kafka_partition, kafka_offset, occurred_at, arrival, late
         FROM raw.{} ORDER BY topic, kafka_partition, kafka_offset",
        stream.table()
    ));
    let late = rows.iter().filter(|row| {
        let cells: Vec<&str> = row.split(',').collect();
        let (at, arrival) = (instant(cells[2]), instant(cells[3]));
        let came = at.min(arrival);
        let mark = marks.entry(cells[0].to_owned()).or_insert(came);
        let late = at < *mark - hour;
        *mark = (*mark).max(came.min(*mark + hour));
        assert_eq!(late.to_string(), cells[4], "late of {stream}, {row}");
        late
    });
    late.count()
}

/// The folder of a project's raw table.
pub(crate) fn raw(project: &Path, stream: Stream) -> PathBuf {
    project.join("lake/raw").join(stream.table())
}
