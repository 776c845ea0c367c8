//! `rapport bench ingest`: measures the CPU time of an event, next to that of librdkafka alone, and
//! of a mapped event next to that of a plain one.
//!
//! - `all`: `rapport bench all`, every benchmark as ratios, compared with an earlier run
//! - `commits`: `rapport bench commits`, the commits of many workers on one table
//! - `kong_record`: the calls as Kong's http-log plugin writes them
//! - `latencies`: how long calls took
//! - `ratios`: the ratios of a whole run, and how they differ from another's
//! - `report`: what was measured
//! - `score`: `rapport bench score`, the time and memory of the score
//! - `serve`: `rapport bench serve`, the served pages with many readers
//! - `portfolio`: the partners that it scores

mod all;
mod commits;
mod kong_record;
mod latencies;
mod portfolio;
mod ratios;
mod report;
mod score;
mod serve;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, ensure};
use domain::{Day, Stream, counted, thousands};
use fixtures::{Record, WorldOptions};
use ingest::mapping::Mapping;
use ingest::{FlushLimits, KafkaSettings, RecordProducer, RunOptions, TemporaryTopic};
use lake::{Lake, LakeOptions, StoreOptions};
use report::BenchPhase;

use crate::args::{BenchIngestArgs, Format};
use crate::config::{Config, given_mapping};
use crate::errors::usage_error;
use crate::output::print_verbatim;
use crate::progress::Spinner;
use crate::scratch_folder;

pub(crate) use all::all;
pub(crate) use commits::commits;
pub(crate) use score::score;
pub(crate) use serve::serve;

/// The days of the events: as in production, most are of one day and some of the day before.
const DAYS: u32 = 2;
const PARTNERS: u32 = 2_000;
/// The recipe whose records the benchmark writes itself. Any other mapping reads the events.
const KONG: &str = "kong-http-log";

/// The topic of the mapped records, beside that of the plain ones.
struct MappedTopic {
    settings: KafkaSettings,
    /// `None` where both read the same topic.
    topic: Option<TemporaryTopic>,
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
    let mapping = options.mapping.as_deref().map(|given| given_mapping(config, given));
    let mapping = mapping.transpose()?;
    let settings = settings(config, options)?;
    let spinner = Spinner::start("bench", quiet);
    let partitions = i32::try_from(options.partitions).unwrap_or(i32::MAX);
    let name = &settings.topics[&Stream::ApiCalls];
    let topic = TemporaryTopic::create(&settings, name, partitions, runtime.handle())?;
    let mapped = mapping
        .as_ref()
        .map(|mapping| MappedTopic::create(&settings, mapping, partitions, runtime))
        .transpose()?;
    let mapped_bytes = produce(&settings, mapped.as_ref(), options.events, &spinner)?;

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
        let (phase, ingested) = measured_ingest("ingest", &settings, options, runtime)?;
        phases.push(phase);
        counts = ingested;
        if let Some(mapped) = &mapped {
            spinner.set_message(format!("round {round}: mapped"));
            let (phase, ingested) = measured_ingest("mapped", &mapped.settings, options, runtime)?;
            phases.push(phase);
            ensure!(
                ingested.accepted * 10 >= counts.accepted * 9,
                "the mapping gives {} valid events of {}; measure one that reads the contract's \
                 events, or {KONG}",
                thousands(ingested.accepted),
                thousands(counts.accepted)
            );
        }
    }
    drop(spinner);
    let records = phases.first().map_or(0, |phase| phase.records);
    ensure!(
        phases.iter().all(|phase| phase.records == records),
        "the rounds did not read the same records; run it on a broker that nobody restarts"
    );
    let mut report = report::summary(phases, value_bytes, partitions, &counts);
    report.mapped = mapping.map(|mapping| {
        let bytes = if mapped_bytes > 0 { mapped_bytes } else { value_bytes };
        report::mapped_report(mapping.name(), bytes, &report.phases)
    });
    match options.format {
        Format::Json => print_verbatim(&serde_json::to_string_pretty(&report)?),
        _ => report::print(&report),
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

impl MappedTopic {
    /// Creates the topic of the records in Kong's shape; any other mapping reads the plain topic.
    fn create(
        plain: &KafkaSettings,
        mapping: &Mapping,
        partitions: i32,
        runtime: &tokio::runtime::Runtime,
    ) -> anyhow::Result<Self> {
        let stream = mapping.stream().unwrap_or(Stream::ApiCalls);
        if stream != Stream::ApiCalls {
            return Err(usage_error(format!(
                "--mapping {}: the benchmark's records are calls, and it gives {stream}",
                mapping.name()
            )));
        }
        let mut settings = plain.clone();
        settings.mappings = BTreeMap::from([(Stream::ApiCalls, mapping.clone())]);
        if mapping.name() != KONG {
            return Ok(Self { settings, topic: None });
        }
        let name = format!("{}-kong", plain.topics[&Stream::ApiCalls]);
        settings.group_id.clone_from(&name);
        settings.topics = BTreeMap::from([(Stream::ApiCalls, name.clone())]);
        let topic = TemporaryTopic::create(&settings, &name, partitions, runtime.handle())?;
        Ok(Self { settings, topic: Some(topic) })
    }
}

/// Produces the calls of a simulated programme, with malformed, late and duplicate ones, and again
/// in Kong's shape where that has a topic. Returns the bytes of the latter.
fn produce(
    settings: &KafkaSettings,
    mapped: Option<&MappedTopic>,
    events: u64,
    spinner: &Spinner,
) -> anyhow::Result<u64> {
    let from = Day::of_micros(chrono::Utc::now().timestamp_micros()).plus(-(DAYS as i32));
    let mut options = WorldOptions::new(1, PARTNERS, events, from);
    options.days = DAYS;
    let world = fixtures::world(options).map_err(|e| usage_error(e.to_string()))?;
    let producer = RecordProducer::connect(settings)?;
    let topic = &settings.topics[&Stream::ApiCalls];
    let kong = mapped.filter(|mapped| mapped.topic.is_some());
    let kong = kong.map(|mapped| &mapped.settings.topics[&Stream::ApiCalls]);
    let (mut sent, mut kong_bytes) = (0, 0);
    let mut records = world.records();
    let mut record = Record::blank();
    while records.read(&mut record) {
        if record.stream != Stream::ApiCalls {
            continue;
        }
        producer.send(topic, record.key, &record.value, record.arrival)?;
        if let Some(kong) = kong {
            let value = kong_record::kong_record(&record.value);
            kong_bytes += value.len() as u64;
            producer.send(kong, record.key, &value, record.arrival)?;
        }
        sent += 1;
        if sent % 10_000 == 0 {
            spinner.set_message(format!("{} produced", counted(sent, "record")));
        }
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(kong_bytes)
}

/// Measures the ingest of a topic into a new lake.
fn measured_ingest(
    what: &'static str,
    settings: &KafkaSettings,
    options: &BenchIngestArgs,
    runtime: &tokio::runtime::Runtime,
) -> anyhow::Result<(BenchPhase, ingest::IngestCounts)> {
    let dir = lake_folder(options)?;
    let lake = runtime.block_on(Lake::open_or_create(&LakeOptions {
        root: dir.path().join("lake").display().to_string(),
        key_file: dir.path().join("lake.key"),
        store: StoreOptions::default(),
    }))?;
    let mut counts = ingest::IngestCounts::default();
    let phase = BenchPhase::measure(what, || {
        counts = ingest_into(&lake, settings, options, runtime)?;
        Ok(counts.records)
    })?;
    Ok((phase, counts))
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
