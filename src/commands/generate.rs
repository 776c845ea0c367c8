//! `rapport generate`: writes a simulated partner programme to files, or produces it to Kafka.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use domain::{Day, Stream, counted, thousands};
use fixtures::{Record, RecordKind, World, WorldOptions};
use ingest::{IngestError, KafkaSettings, RecordProducer};

use crate::args::{self, GenerateArgs};
use crate::atomic_file::write_file;
use crate::config::{Config, check_servers};
use crate::errors::usage_error;
use crate::output::{print_line, print_note, print_table};
use crate::progress::Spinner;
use crate::table::Table;

/// Writes or produces the world of the options. Where there is a project, its topics and Kafka
/// properties are used.
pub(crate) fn run(
    options: &GenerateArgs,
    project: Option<&Config>,
    quiet: bool,
) -> anyhow::Result<()> {
    let world_options = world_options(&options.world);
    let world = fixtures::world(world_options).map_err(|e| usage_error(e.to_string()))?;
    match (&options.out, &options.kafka) {
        (Some(dir), _) => to_files(&world, dir, quiet),
        (None, Some(servers)) => to_kafka(&world, servers, project, quiet),
        (None, None) => Err(usage_error("give --out DIR or --kafka SERVERS")),
    }
}

/// Returns the world of the command line. Without `--from` its last day is yesterday.
pub(crate) fn world_options(world: &args::WorldArgs) -> WorldOptions {
    let days = i32::try_from(world.days).unwrap_or(i32::MAX);
    let today = Day::of_micros(chrono::Utc::now().timestamp_micros());
    let from = world.from.unwrap_or_else(|| today.plus(-days));
    let mut options = WorldOptions::new(world.seed, world.partners, world.events, from);
    options.days = world.days;
    options.difficulty = world.difficulty;
    options
}

fn to_files(world: &World, dir: &Path, quiet: bool) -> anyhow::Result<()> {
    let spinner = Spinner::start("generate", quiet);
    let written = fixtures::write_ndjson(world, dir, &mut |records| {
        spinner.set_message(counted(records, "record"));
    })?;
    drop(spinner);
    let mut table = Table::new(["file", "records"], &[1]);
    for file in written {
        table.row([file.path.display().to_string(), thousands(file.records)]);
    }
    print_table(&table)?;
    print_note(
        "With rates.csv, sla.csv, sunsets.csv and programme.csv beside them, for a project's folder.",
    );
    Ok(())
}

/// Writes the small CSV files of a world into a project's folder.
pub(crate) fn write_csv_files(options: &WorldOptions, dir: &Path) -> anyhow::Result<()> {
    write_file(&dir.join("rates.csv"), fixtures::rates_csv(options).as_bytes())?;
    write_file(&dir.join("sla.csv"), fixtures::sla_csv().as_bytes())?;
    write_file(&dir.join("sunsets.csv"), fixtures::sunsets_csv(options).as_bytes())?;
    write_file(&dir.join("programme.csv"), fixtures::programme_csv(options).as_bytes())
}

fn to_kafka(
    world: &World,
    servers: &str,
    project: Option<&Config>,
    quiet: bool,
) -> anyhow::Result<()> {
    check_servers("--kafka", servers)?;
    let settings = match project {
        Some(config) => config.kafka()?,
        None => Config::without_project()?.kafka()?,
    };
    let settings = KafkaSettings { bootstrap_servers: servers.to_owned(), ..settings };
    let producer = RecordProducer::connect(&settings).map_err(|error| match error {
        // The error itself names bootstrap_servers, which --kafka replaces.
        IngestError::Unreachable { servers, reason } => anyhow::anyhow!(
            "no Kafka broker answers at {servers} ({reason}); check --kafka and that the broker runs"
        ),
        other => other.into(),
    })?;
    let spinner = Spinner::start("produce", quiet);
    let sent = produce(world, &producer, &settings.topics, &mut |sent| {
        if sent % 10_000 == 0 {
            spinner.set_message(counted(sent, "record"));
        }
    })?;
    drop(spinner);
    print_line(&format!("{} produced to {servers}", counted(sent.records, "record")))
}

/// How many records were produced.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ProducedCounts {
    pub(crate) records: u64,
    pub(crate) copies: u64,
    pub(crate) malformed: u64,
}

/// Produces every record of a world whose stream has a topic. `each` gets the number sent so far,
/// and may block to hold the producer back.
pub(crate) fn produce(
    world: &World,
    producer: &RecordProducer,
    topics: &BTreeMap<Stream, String>,
    each: &mut dyn FnMut(u64),
) -> anyhow::Result<ProducedCounts> {
    let mut sent = ProducedCounts::default();
    let mut records = world.records();
    let mut record = Record::blank();
    while records.read(&mut record) {
        let Some(topic) = topics.get(&record.stream) else { continue };
        producer.send(topic, record.key, &record.value, record.arrival)?;
        sent.records += 1;
        match record.kind {
            RecordKind::Copy => sent.copies += 1,
            RecordKind::Malformed(_) => sent.malformed += 1,
            RecordKind::Event => {}
        }
        each(sent.records);
    }
    producer.flush(Duration::from_secs(120))?;
    Ok(sent)
}
