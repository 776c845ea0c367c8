//! `rapport generate`: a simulated partner programme as files, or into Kafka.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use fixtures::{Kind, Record, World, WorldOptions};
use ingest::{IngestError, KafkaSettings, RecordProducer};
use lake_types::{Day, Stream, counted};

use crate::args::{self, Generate};
use crate::config::{Config, check_servers};
use crate::failure::usage;
use crate::output::{Table, line, note, show, write_file};
use crate::progress::{Stage, count};

/// `project` is the configuration here, where there is one: its topics and properties are used.
pub(crate) fn run(options: &Generate, project: Option<&Config>, quiet: bool) -> anyhow::Result<()> {
    let world_options = world_options(&options.world);
    let world = fixtures::world(world_options).map_err(|e| usage(e.to_string()))?;
    match (&options.out, &options.kafka) {
        (Some(dir), _) => to_files(&world, dir, quiet),
        (None, Some(servers)) => to_kafka(&world, servers, project, quiet),
        (None, None) => Err(usage("give --out DIR or --kafka SERVERS")),
    }
}

/// The world that the command line describes; without `--from` its last day is yesterday.
pub(crate) fn world_options(world: &args::World) -> WorldOptions {
    let days = i32::try_from(world.days).unwrap_or(i32::MAX);
    let today = Day::of_micros(chrono::Utc::now().timestamp_micros());
    let from = world.from.unwrap_or_else(|| today.plus(-days));
    let mut options = WorldOptions::new(world.seed, world.partners, world.events, from);
    options.days = world.days;
    options
}

fn to_files(world: &World, dir: &Path, quiet: bool) -> anyhow::Result<()> {
    let stage = Stage::begin("generate", quiet);
    let written = fixtures::write_ndjson(world, dir, &mut |records| {
        stage.say(counted(records, "record"));
    })?;
    drop(stage);
    let mut table = Table::new(["file", "records"], &[1]);
    for file in written {
        table.row([file.path.display().to_string(), count(file.records)]);
    }
    show(&table)?;
    note("With rates.csv, sla.csv and sunsets.csv beside them, for a project's folder.");
    Ok(())
}

/// The small CSV files that fit a world, into a project's folder.
pub(crate) fn write_tables(options: &WorldOptions, dir: &Path) -> anyhow::Result<()> {
    write_file(&dir.join("rates.csv"), fixtures::rates_csv(options).as_bytes())?;
    write_file(&dir.join("sla.csv"), fixtures::sla_csv().as_bytes())?;
    write_file(&dir.join("sunsets.csv"), fixtures::sunsets_csv(options).as_bytes())
}

fn to_kafka(
    world: &World,
    servers: &str,
    project: Option<&Config>,
    quiet: bool,
) -> anyhow::Result<()> {
    check_servers("--kafka", servers)?;
    let settings = match project {
        Some(config) => KafkaSettings { bootstrap_servers: servers.to_owned(), ..config.kafka()? },
        None => KafkaSettings {
            registry: None,
            bootstrap_servers: servers.to_owned(),
            group_id: String::new(),
            topics: Stream::ALL.into_iter().map(|s| (s, s.name().to_owned())).collect(),
            properties: BTreeMap::new(),
            embedded: false,
        },
    };
    let producer = RecordProducer::connect(&settings).map_err(|error| match error {
        // Its own message speaks of bootstrap_servers, which --kafka stands for.
        IngestError::Unreachable { servers, reason } => anyhow::anyhow!(
            "no Kafka broker answers at {servers} ({reason}); check --kafka and that the broker runs"
        ),
        other => other.into(),
    })?;
    let stage = Stage::begin("produce", quiet);
    let sent = produce(world, &producer, &settings.topics, &mut |sent| {
        if sent % 10_000 == 0 {
            stage.say(counted(sent, "record"));
        }
    })?;
    drop(stage);
    line(&format!("{} produced to {servers}", counted(sent.records, "record")))
}

/// What was produced.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    pub(crate) records: u64,
    pub(crate) copies: u64,
    pub(crate) malformed: u64,
}

/// Sends every record of a world whose stream has a topic; `each` is told the number sent and may
/// hold the producer back.
pub(crate) fn produce(
    world: &World,
    producer: &RecordProducer,
    topics: &BTreeMap<Stream, String>,
    each: &mut dyn FnMut(u64),
) -> anyhow::Result<Sent> {
    let mut sent = Sent::default();
    let mut records = world.records();
    let mut record = Record {
        stream: Stream::ApiCalls,
        key: "",
        arrival: 0,
        value: Vec::new(),
        kind: Kind::Event,
    };
    while records.read(&mut record) {
        let Some(topic) = topics.get(&record.stream) else { continue };
        producer.send(topic, record.key, &record.value, record.arrival)?;
        sent.records += 1;
        match record.kind {
            Kind::Copy => sent.copies += 1,
            Kind::Malformed(_) => sent.malformed += 1,
            Kind::Event => {}
        }
        each(sent.records);
    }
    producer.flush(Duration::from_secs(120))?;
    Ok(sent)
}
