//! `rapport bench ingest`: what an event costs, beside what librdkafka alone takes for it.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fixtures::{Kind, Record, WorldOptions};
use ingest::{KafkaSettings, Limits, RecordProducer, RunOptions, TemporaryTopic};
use lake::{Lake, LakeOptions, StoreOptions};
use lake_types::{Day, Stream, counted};
use serde::Serialize;

use crate::args::BenchIngest;
use crate::config::Config;
use crate::failure::usage;
use crate::output::{Format, Table, exact, line, note, show};
use crate::process::{cpu_time, forget_peak, peak_memory};
use crate::progress::{Stage, count};
use crate::scratch;

/// The days of the events: at any time a worker reads those of today and a few of yesterday.
const DAYS: u32 = 2;
const PARTNERS: u32 = 2_000;

/// One reading of the whole topic.
#[derive(Debug, Clone, Serialize)]
struct Phase {
    /// `raw` or `ingest`.
    what: &'static str,
    records: u64,
    cpu_seconds: f64,
    seconds: f64,
    /// Most memory that was resident.
    peak_bytes: u64,
}

/// What was measured, in the order it was.
#[derive(Debug, Serialize)]
struct Measured {
    records: u64,
    value_bytes: u64,
    partitions: i32,
    phases: Vec<Phase>,
    /// Parquet bytes a record.
    parquet_bytes: f64,
    commits: u64,
    /// Events a second and core: the medians of the rounds.
    raw_rate: f64,
    ingest_rate: f64,
    /// `ingest_rate` over `raw_rate`: least, median and greatest of the rounds.
    ratio: [f64; 3],
    peak_bytes: u64,
}

impl Phase {
    /// Runs something that reads the topic and tells how many records it read.
    fn measure(
        what: &'static str,
        read: impl FnOnce() -> anyhow::Result<u64>,
    ) -> anyhow::Result<Self> {
        forget_peak();
        let (before, began) = (cpu_time()?, Instant::now());
        let records = read()?;
        let cpu = cpu_time()?.saturating_sub(before);
        Ok(Self {
            what,
            records,
            cpu_seconds: cpu.as_secs_f64(),
            seconds: began.elapsed().as_secs_f64(),
            peak_bytes: peak_memory()?,
        })
    }

    /// Events a second of one core.
    fn rate(&self) -> f64 {
        self.records as f64 / self.cpu_seconds.max(1e-9)
    }
}

pub(crate) fn ingest(
    config: Option<&Config>,
    options: &BenchIngest,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    if !matches!(options.format, Format::Table | Format::Json) {
        return Err(usage("--format: a benchmark is written as table or json"));
    }
    let settings = settings(config, options)?;
    let stage = Stage::begin("bench", quiet);
    let partitions = i32::try_from(options.partitions).unwrap_or(i32::MAX);
    let name = &settings.topics[&Stream::ApiCalls];
    let topic = TemporaryTopic::create(&settings, name, partitions, runtime.handle())?;
    produce(&settings, options.events, &stage)?;

    let mut phases = Vec::new();
    let (mut value_bytes, mut counts) = (0, ingest::Counts::default());
    for round in 1..=options.rounds {
        stage.say(format!("round {round}: raw"));
        phases.push(Phase::measure("raw", || {
            let drained = ingest::drain(&settings, &topic)?;
            value_bytes = drained.bytes;
            Ok(drained.records)
        })?);
        stage.say(format!("round {round}: ingest"));
        let dir = folder(options)?;
        let lake = runtime.block_on(Lake::open_or_create(&LakeOptions {
            root: dir.path().join("lake").display().to_string(),
            key_file: dir.path().join("lake.key"),
            store: StoreOptions::default(),
        }))?;
        phases.push(Phase::measure("ingest", || {
            counts = into(&lake, &settings, options, runtime)?;
            Ok(counts.records)
        })?);
    }
    drop(stage);
    let records = phases.first().map_or(0, |phase| phase.records);
    ensure!(
        phases.iter().all(|phase| phase.records == records),
        "the rounds did not read the same records; run it on a broker that nobody restarts"
    );
    let measured = summary(phases, value_bytes, partitions, &counts);
    match options.format {
        Format::Json => exact(&serde_json::to_string_pretty(&measured)?),
        _ => print(&measured),
    }
}

/// The project's cluster, or the one that is named, with a topic that exists nowhere yet.
fn settings(config: Option<&Config>, options: &BenchIngest) -> anyhow::Result<KafkaSettings> {
    let default = Config::default();
    let mut settings = config.unwrap_or(&default).kafka()?;
    if let Some(servers) = &options.bootstrap {
        settings.bootstrap_servers.clone_from(servers);
    }
    let name = format!("rapport-bench-{}", uuid::Uuid::new_v4().simple());
    settings.group_id.clone_from(&name);
    settings.topics = BTreeMap::from([(Stream::ApiCalls, name)]);
    settings.registry = None;
    Ok(settings)
}

/// Where the lakes of the rounds are: each is deleted after its round.
fn folder(options: &BenchIngest) -> anyhow::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("rapport-bench-");
    let made = match &options.dir {
        Some(dir) => builder.tempdir_in(dir),
        None => builder.tempdir_in(scratch::folder()?),
    };
    made.context("a folder for the lake; choose one that can be written with --dir")
}

/// Sends the calls of a simulated programme, malformed, late and doubled ones included.
fn produce(settings: &KafkaSettings, events: u64, stage: &Stage) -> anyhow::Result<()> {
    let from = Day::of_micros(chrono::Utc::now().timestamp_micros()).plus(-(DAYS as i32));
    let mut options = WorldOptions::new(1, PARTNERS, events, from);
    options.days = DAYS;
    let world = fixtures::world(options).map_err(|e| usage(e.to_string()))?;
    let producer = RecordProducer::connect(settings)?;
    let topic = &settings.topics[&Stream::ApiCalls];
    let mut records = world.records();
    let mut record = Record {
        stream: Stream::ApiCalls,
        key: "",
        arrival: 0,
        value: Vec::new(),
        kind: Kind::Event,
    };
    let mut sent = 0;
    while records.read(&mut record) {
        if record.stream == Stream::ApiCalls {
            producer.send(topic, record.key, &record.value, record.arrival)?;
            sent += 1;
            if sent % 10_000 == 0 {
                stage.say(format!("{} produced", counted(sent, "record")));
            }
        }
    }
    producer.flush(Duration::from_secs(120))?;
    Ok(())
}

fn into(
    lake: &Lake,
    settings: &KafkaSettings,
    options: &BenchIngest,
    runtime: &tokio::runtime::Runtime,
) -> anyhow::Result<ingest::Counts> {
    let limits = Limits::default();
    let rows = options.flush_rows.map_or(limits.rows, |rows| rows as usize);
    let run = RunOptions {
        until_caught_up: true,
        limits: Limits { rows, ..limits },
        ..RunOptions::default()
    };
    let stop = AtomicBool::new(false);
    Ok(ingest::run(lake, settings, &run, runtime.handle(), &stop, &mut |_| {})?)
}

fn summary(
    phases: Vec<Phase>,
    value_bytes: u64,
    partitions: i32,
    counts: &ingest::Counts,
) -> Measured {
    let rates = |what: &str| {
        sorted(phases.iter().filter(|phase| phase.what == what).map(Phase::rate).collect())
    };
    let (raw, ingest) = (rates("raw"), rates("ingest"));
    let ratios = phases.chunks_exact(2).map(|round| round[1].rate() / round[0].rate()).collect();
    let ratios = sorted(ratios);
    let ingested = phases.iter().filter(|phase| phase.what == "ingest");
    Measured {
        records: counts.records,
        value_bytes,
        partitions,
        parquet_bytes: counts.bytes as f64 / counts.records.max(1) as f64,
        commits: counts.commits,
        raw_rate: median(&raw),
        ingest_rate: median(&ingest),
        ratio: [ratios[0], median(&ratios), ratios[ratios.len() - 1]],
        peak_bytes: ingested.map(|phase| phase.peak_bytes).max().unwrap_or(0),
        phases,
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}

fn print(measured: &Measured) -> anyhow::Result<()> {
    let mut table =
        Table::new(["", "events/s a core", "µs an event", "s", "peak MB"], &[1, 2, 3, 4]);
    for phase in &measured.phases {
        table.row([
            phase.what.to_owned(),
            count(phase.rate() as u64),
            format!("{:.3}", 1e6 / phase.rate()),
            format!("{:.1}", phase.seconds),
            count(phase.peak_bytes >> 20),
        ]);
    }
    show(&table)?;
    let [least, middle, most] = measured.ratio;
    line(&format!(
        "{} of {}: ingest {}/s a core, raw {}/s; ratio {middle:.3} ({least:.3} to {most:.3})",
        counted(measured.records, "record"),
        counted(measured.value_bytes / measured.records.max(1), "byte"),
        count(measured.ingest_rate as u64),
        count(measured.raw_rate as u64),
    ))?;
    note(&format!(
        "{} commits a round, {:.1} bytes of Parquet a record. CPU time is that of this process, all \
         threads; the broker's does not count.",
        measured.commits, measured.parquet_bytes
    ));
    std::io::stdout().flush().context("standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_summed_up() {
        let phase = |what, cpu_seconds| Phase {
            what,
            records: 100,
            cpu_seconds,
            seconds: 1.0,
            peak_bytes: (cpu_seconds * 10.0) as u64,
        };
        let phases =
            vec![phase("raw", 1.0), phase("ingest", 4.0), phase("raw", 2.0), phase("ingest", 5.0)];
        let counts = ingest::Counts { records: 100, bytes: 250, ..ingest::Counts::default() };
        let measured = summary(phases, 1, 4, &counts);
        assert_eq!(measured.ratio, [0.25, 0.325, 0.4]);
        assert_eq!((measured.raw_rate, measured.ingest_rate), (75.0, 22.5));
        assert_eq!((measured.peak_bytes, measured.parquet_bytes), (50, 2.5));
    }
}
