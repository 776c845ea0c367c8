//! `rapport bench ingest`: measures the CPU time of an event, next to that of librdkafka alone.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, ensure};
use domain::{Day, Stream, counted, thousands};
use fixtures::WorldOptions;
use ingest::{FlushLimits, KafkaSettings, RecordProducer, RunOptions, TemporaryTopic};
use lake::{Lake, LakeOptions, StoreOptions};
use serde::Serialize;

use crate::args::{BenchIngestArgs, Format};
use crate::commands::generate;
use crate::config::Config;
use crate::errors::usage_error;
use crate::output::{print_line, print_note, print_table, print_verbatim};
use crate::progress::Spinner;
use crate::resource_usage::{cpu_time, peak_memory, reset_peak_memory};
use crate::scratch_folder;
use crate::table::Table;

/// The days of the events: as in production, most are of one day and some of the day before.
const DAYS: u32 = 2;
const PARTNERS: u32 = 2_000;

/// One measured pass over the topic.
#[derive(Debug, Clone, Serialize)]
struct BenchPhase {
    /// `raw` or `ingest`.
    what: &'static str,
    records: u64,
    cpu_seconds: f64,
    seconds: f64,
    /// The peak of the resident memory.
    peak_bytes: u64,
}

/// The results of the benchmark.
#[derive(Debug, Serialize)]
struct BenchReport {
    records: u64,
    value_bytes: u64,
    partitions: i32,
    phases: Vec<BenchPhase>,
    /// Bytes of Parquet a record.
    parquet_bytes: f64,
    commits: u64,
    /// Events a second of one core; the median of the rounds.
    raw_rate: f64,
    ingest_rate: f64,
    /// `ingest_rate` over `raw_rate`: minimum, median and maximum of the rounds.
    ratio: [f64; 3],
    peak_bytes: u64,
}

impl BenchPhase {
    /// Measures `read`, which returns how many records it read.
    fn measure(
        what: &'static str,
        read: impl FnOnce() -> anyhow::Result<u64>,
    ) -> anyhow::Result<Self> {
        reset_peak_memory();
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

    /// Returns the events a second of one core.
    fn rate(&self) -> f64 {
        self.records as f64 / self.cpu_seconds.max(1e-9)
    }
}

/// Runs the benchmark and prints its results.
pub(crate) fn ingest(
    config: Option<&Config>,
    options: &BenchIngestArgs,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    if !matches!(options.format, Format::Table | Format::Json) {
        return Err(usage_error("--format: a benchmark is written as table or json"));
    }
    let settings = settings(config, options)?;
    let spinner = Spinner::start("bench", quiet);
    let partitions = i32::try_from(options.partitions).unwrap_or(i32::MAX);
    let name = &settings.topics[&Stream::ApiCalls];
    let topic = TemporaryTopic::create(&settings, name, partitions, runtime.handle())?;
    produce(&settings, options.events, &spinner)?;

    let mut phases = Vec::new();
    let (mut value_bytes, mut counts) = (0, ingest::IngestCounts::default());
    for round in 1..=options.rounds {
        spinner.set_message(format!("round {round}: raw"));
        phases.push(BenchPhase::measure("raw", || {
            let drained = ingest::raw_drain(&settings, &topic)?;
            value_bytes = drained.bytes;
            Ok(drained.records)
        })?);
        spinner.set_message(format!("round {round}: ingest"));
        let dir = lake_folder(options)?;
        let lake = runtime.block_on(Lake::open_or_create(&LakeOptions {
            root: dir.path().join("lake").display().to_string(),
            key_file: dir.path().join("lake.key"),
            store: StoreOptions::default(),
        }))?;
        phases.push(BenchPhase::measure("ingest", || {
            counts = ingest_into(&lake, &settings, options, runtime)?;
            Ok(counts.records)
        })?);
    }
    drop(spinner);
    let records = phases.first().map_or(0, |phase| phase.records);
    ensure!(
        phases.iter().all(|phase| phase.records == records),
        "the rounds did not read the same records; run it on a broker that nobody restarts"
    );
    let report = summary(phases, value_bytes, partitions, &counts);
    match options.format {
        Format::Json => print_verbatim(&serde_json::to_string_pretty(&report)?),
        _ => print(&report),
    }
}

/// Returns the project's cluster, or the one of `--bootstrap`, with a new topic.
fn settings(config: Option<&Config>, options: &BenchIngestArgs) -> anyhow::Result<KafkaSettings> {
    let mut settings = match config {
        Some(config) => config.kafka()?,
        None => Config::without_project()?.kafka()?,
    };
    if let Some(servers) = &options.bootstrap {
        settings.bootstrap_servers.clone_from(servers);
    }
    let name = format!("rapport-bench-{}", uuid::Uuid::new_v4().simple());
    settings.group_id.clone_from(&name);
    settings.topics = BTreeMap::from([(Stream::ApiCalls, name)]);
    settings.registry = None;
    Ok(settings)
}

/// Creates the folder of a round's lake, which is deleted when it is dropped.
fn lake_folder(options: &BenchIngestArgs) -> anyhow::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("rapport-bench-");
    let made = match &options.dir {
        Some(dir) => builder.tempdir_in(dir),
        None => builder.tempdir_in(scratch_folder::folder()?),
    };
    made.context("a folder for the lake; choose one that can be written with --dir")
}

/// Produces the calls of a simulated programme, with malformed, late and duplicate ones.
fn produce(settings: &KafkaSettings, events: u64, spinner: &Spinner) -> anyhow::Result<()> {
    let from = Day::of_micros(chrono::Utc::now().timestamp_micros()).plus(-(DAYS as i32));
    let mut options = WorldOptions::new(1, PARTNERS, events, from);
    options.days = DAYS;
    let world = fixtures::world(options).map_err(|e| usage_error(e.to_string()))?;
    let producer = RecordProducer::connect(settings)?;
    generate::produce(&world, &producer, &settings.topics, &mut |sent| {
        if sent % 10_000 == 0 {
            spinner.set_message(format!("{} produced", counted(sent, "record")));
        }
    })?;
    Ok(())
}

/// Ingests the topic into a lake.
fn ingest_into(
    lake: &Lake,
    settings: &KafkaSettings,
    options: &BenchIngestArgs,
    runtime: &tokio::runtime::Runtime,
) -> anyhow::Result<ingest::IngestCounts> {
    let limits = FlushLimits::default();
    let rows = options.flush_rows.map_or(limits.rows, |rows| rows as usize);
    let run = RunOptions {
        until_caught_up: true,
        limits: FlushLimits { rows, ..limits },
        ..RunOptions::default()
    };
    let stop = AtomicBool::new(false);
    Ok(ingest::run(lake, settings, &run, runtime.handle(), &stop, &mut |_| {})?)
}

fn summary(
    phases: Vec<BenchPhase>,
    value_bytes: u64,
    partitions: i32,
    counts: &ingest::IngestCounts,
) -> BenchReport {
    let rates = |what: &str| {
        sorted(phases.iter().filter(|phase| phase.what == what).map(BenchPhase::rate).collect())
    };
    let (raw, ingest) = (rates("raw"), rates("ingest"));
    let ratios = phases.chunks_exact(2).map(|round| round[1].rate() / round[0].rate()).collect();
    let ratios = sorted(ratios);
    let ingested = phases.iter().filter(|phase| phase.what == "ingest");
    BenchReport {
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

fn print(report: &BenchReport) -> anyhow::Result<()> {
    let mut table =
        Table::new(["", "events/s a core", "µs an event", "s", "peak MB"], &[1, 2, 3, 4]);
    for phase in &report.phases {
        table.row([
            phase.what.to_owned(),
            thousands(phase.rate() as u64),
            format!("{:.3}", 1e6 / phase.rate()),
            format!("{:.1}", phase.seconds),
            thousands(phase.peak_bytes >> 20),
        ]);
    }
    print_table(&table)?;
    let [min, median, max] = report.ratio;
    print_line(&format!(
        "{} of {}: ingest {}/s a core, raw {}/s; ratio {median:.3} ({min:.3} to {max:.3})",
        counted(report.records, "record"),
        counted(report.value_bytes / report.records.max(1), "byte"),
        thousands(report.ingest_rate as u64),
        thousands(report.raw_rate as u64),
    ))?;
    print_note(&format!(
        "{} commits a round, {:.1} bytes of Parquet a record. CPU time is that of this process, all \
         threads; the broker's does not count.",
        report.commits, report.parquet_bytes
    ));
    std::io::stdout().flush().context("standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_summarized() {
        let phase = |what, cpu_seconds| BenchPhase {
            what,
            records: 100,
            cpu_seconds,
            seconds: 1.0,
            peak_bytes: (cpu_seconds * 10.0) as u64,
        };
        let phases =
            vec![phase("raw", 1.0), phase("ingest", 4.0), phase("raw", 2.0), phase("ingest", 5.0)];
        let counts =
            ingest::IngestCounts { records: 100, bytes: 250, ..ingest::IngestCounts::default() };
        let report = summary(phases, 1, 4, &counts);
        assert_eq!(report.ratio, [0.25, 0.325, 0.4]);
        assert_eq!((report.raw_rate, report.ingest_rate), (75.0, 22.5));
        assert_eq!((report.peak_bytes, report.parquet_bytes), (50, 2.5));
    }
}
