//! `rapport demo`: simulates a partner programme and takes it to a report, with an embedded broker.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use domain::{Day, MICROS_PER_DAY, Tier, counted, thousands};
use fixtures::{Difficulty, World, WorldOptions};
use ingest::{EmbeddedBroker, IngestCounts, MAX_PRODUCER_LEAD, RecordProducer, RunOptions};
use lake::Lake;
use serde::{Deserialize, Serialize};

use crate::args::{DemoArgs, ServeArgs};
use crate::atomic_file::write_file;
use crate::commands::generate::{self, ProducedCounts};
use crate::commands::{init, plan, report, score, serve};
use crate::config::Config;
use crate::errors::usage_error;
use crate::output::{print_line, print_note, print_table};
use crate::progress::Spinner;
use crate::project::{Project, refresh_summary};
use crate::table::Table;

/// The partitions of the calls. They are many because the embedded broker keeps few bytes of each.
const CALL_PARTITIONS: i32 = 16;
const WORLD_FILE: &str = "world.toml";

/// The simulated world of a demo folder, by which a second run continues the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorldFile {
    seed: u64,
    partners: u32,
    events: u64,
    from: String,
    days: u32,
    difficulty: Option<Difficulty>,
    /// Whether every event has been ingested, so that nothing is produced again.
    finished: bool,
}

/// Runs the demo and prints a summary.
pub(crate) fn run(
    options: &DemoArgs,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    let dir = std::path::absolute(&options.dir).context("the demo's folder")?;
    let mut file = world_file(options, &dir)?;
    let world_options = options_of(&file)?;
    init::write_project_files(&dir)?;
    generate::write_csv_files(&world_options, &dir)?;
    write_world(&dir, &file)?;
    let config = Config::read(&dir.join("rapport.toml"))?;
    let lake = runtime.block_on(Lake::open_or_create(&config.lake()))?;

    let mut summary = DemoSummary::default();
    if file.finished {
        print_note("This demo's events are in its lake already; nothing is produced again.");
    } else {
        let world = fixtures::world(world_options).map_err(|e| usage_error(e.to_string()))?;
        let began = Instant::now();
        let (sent, counts) = ingest_world(&world, &lake, runtime, quiet)?;
        summary.produced = Some((sent, counts));
        summary.stage("simulate, produce, ingest", began);
        file.finished = true;
        write_world(&dir, &file)?;
    }
    let mut project = Project::with_lake(config, lake, quiet)?;
    project.now = clock(&world_options);
    runtime.block_on(analyse(&project, &dir, &mut summary))?;
    summary.print(&dir)?;
    match options.serve {
        true => serve_pages(&dir, runtime),
        false => Ok(()),
    }
}

/// Serves the demo's pages until a signal comes.
fn serve_pages(dir: &Path, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
    let file = dir.join("rapport.toml");
    let options = ServeArgs {
        listen: None,
        behind_tls: false,
        postgres: None,
        new_token: None,
        new_database_user: None,
        name: None,
        partner: None,
        until: None,
        new_embed: None,
        days: 30,
    };
    runtime.block_on(serve::run(&Config::read(&file)?, Some(&file), &options))
}

/// Returns the world's clock after its last record, µs: an hour past its end.
fn clock(options: &WorldOptions) -> i64 {
    options.end().start_micros() + MICROS_PER_DAY / 24
}

/// Returns the world of the folder; in a new folder, the one of the command line.
fn world_file(options: &DemoArgs, dir: &Path) -> anyhow::Result<WorldFile> {
    let requested = generate::world_options(&options.world);
    let requested = WorldFile {
        seed: requested.seed,
        partners: requested.partners,
        events: requested.events,
        from: requested.from.to_string(),
        days: requested.days,
        difficulty: requested.difficulty,
        finished: false,
    };
    let path = dir.join(WORLD_FILE);
    if !path.exists() {
        if dir.join("rapport.toml").exists() {
            return Err(usage_error(format!(
                "{} is a project, but none of a demo; give another --dir",
                dir.display()
            )));
        }
        return Ok(requested);
    }
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let stored: WorldFile =
        toml::from_str(&text).map_err(|e| usage_error(format!("{}: {e}", path.display())))?;
    // Without --from the days of the first call stay.
    let from =
        if options.world.from.is_some() { requested.from.clone() } else { stored.from.clone() };
    let expected = WorldFile { from, finished: stored.finished, ..requested };
    if expected != stored {
        return Err(usage_error(format!(
            "{} holds another world ({}, {}, seed {}); give another --dir, or remove the folder",
            dir.display(),
            counted(stored.partners, "partner"),
            counted(stored.events, "event"),
            stored.seed
        )));
    }
    Ok(stored)
}

fn options_of(file: &WorldFile) -> anyhow::Result<WorldOptions> {
    let from: Day = file
        .from
        .parse()
        .map_err(|_| usage_error(format!("{WORLD_FILE}: from = \"{}\"", file.from)))?;
    let mut options = WorldOptions::new(file.seed, file.partners, file.events, from);
    options.days = file.days;
    options.difficulty = file.difficulty;
    Ok(options)
}

fn write_world(dir: &Path, file: &WorldFile) -> anyhow::Result<()> {
    write_file(&dir.join(WORLD_FILE), toml::to_string(file)?.as_bytes())
}

/// Produces the world to the embedded broker on a second thread, while this one ingests it.
fn ingest_world(
    world: &World,
    lake: &Lake,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<(ProducedCounts, IngestCounts)> {
    let broker = EmbeddedBroker::start(CALL_PARTITIONS)?;
    let settings = broker.settings();
    let options = RunOptions { clock_at_end: Some(clock(&world.options)), ..RunOptions::default() };
    let read = AtomicI64::new(0);
    let total = AtomicU64::new(u64::MAX);
    let stop = AtomicBool::new(false);
    let spinner = Spinner::start("ingest", quiet);
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let sent = produce_ahead_of_reader(world, &settings, &read, &stop);
            match &sent {
                Ok(sent) => total.store(sent.records, Ordering::Release),
                Err(_) => stop.store(true, Ordering::Release),
            }
            sent
        });
        let mut shown = Instant::now();
        let counts = ingest::run(lake, &settings, &options, runtime.handle(), &stop, &mut |s| {
            read.store(s.offsets_read, Ordering::Release);
            if u64::try_from(s.offsets_read).unwrap_or(0) >= total.load(Ordering::Acquire) {
                stop.store(true, Ordering::Release);
            }
            if shown.elapsed() > Duration::from_millis(250) {
                shown = Instant::now();
                spinner.set_message(format!(
                    "{}, {} accepted, {}",
                    counted(s.counts.records, "record"),
                    thousands(s.counts.accepted),
                    counted(s.counts.commits, "commit")
                ));
            }
        });
        // The producer must not wait for a worker that has ended.
        stop.store(true, Ordering::Release);
        let sent = producer.join().map_err(|_| anyhow::anyhow!("the producer panicked"))?;
        Ok((sent.context("the simulator")?, counts?))
    })
}

/// Produces the world, at most [`MAX_PRODUCER_LEAD`] records ahead of the worker.
fn produce_ahead_of_reader(
    world: &World,
    settings: &ingest::KafkaSettings,
    read: &AtomicI64,
    stop: &AtomicBool,
) -> anyhow::Result<ProducedCounts> {
    let producer = RecordProducer::connect(settings)?;
    generate::produce(world, &producer, &settings.topics, &mut |sent| {
        let ahead = || i64::try_from(sent).unwrap_or(i64::MAX) - read.load(Ordering::Acquire);
        while sent % 1_000 == 0 && ahead() > MAX_PRODUCER_LEAD && !stop.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
    })
}

/// Refreshes the rollups, scores, plans, and writes the report.
async fn analyse(project: &Project, dir: &Path, summary: &mut DemoSummary) -> anyhow::Result<()> {
    let began = Instant::now();
    let rollups = project.refresh().await?;
    summary.rollups = refresh_summary(&rollups);
    summary.stage("rollups", began);

    let began = Instant::now();
    let as_of = project.as_of(None).await?;
    let (session, scored) = plan::scored_session(project, as_of).await?;
    summary.tiers = score::tiers(&scored);
    summary.stage("scores", began);

    let began = Instant::now();
    let made_plan = plan::propose(project, &session, &scored, Vec::new(), false).await?;
    crate::action_plans::write_plan(&made_plan, &dir.join("plan.json"))?;
    summary.changes = made_plan.changes.len();
    summary.stage("plan", began);

    let began = Instant::now();
    let made = report::Made { session: &session, scored: &scored, plan: &made_plan };
    let pages = report::write(project, &made, &dir.join("report")).await?;
    summary.pages = pages.pages;
    summary.stage("metrics, report", began);
    Ok(())
}

/// What the table at the end shows.
#[derive(Default)]
struct DemoSummary {
    produced: Option<(ProducedCounts, IngestCounts)>,
    stages: Vec<(&'static str, Duration)>,
    rollups: String,
    tiers: Vec<(Tier, usize)>,
    changes: usize,
    pages: usize,
}

impl DemoSummary {
    fn stage(&mut self, name: &'static str, began: Instant) {
        self.stages.push((name, began.elapsed()));
    }

    fn print(&self, dir: &Path) -> anyhow::Result<()> {
        let mut table = Table::new(["", ""], &[]);
        let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
        if let Some((sent, counts)) = &self.produced {
            row("events in", thousands(sent.records));
            row(
                "accepted",
                format!("{}, {} of them late", thousands(counts.accepted), thousands(counts.late)),
            );
            row("copies", format!("{} sent twice, counted once", thousands(sent.copies)));
            row("rejected", format!("{}, kept sealed as dead letters", thousands(counts.rejected)));
        }
        row("rollups", self.rollups.clone());
        let partners: usize = self.tiers.iter().map(|(_, n)| n).sum();
        row("partners", thousands(partners as u64));
        let tiers: Vec<_> =
            self.tiers.iter().map(|(tier, n)| format!("{} {n}", tier.words())).collect();
        row("tiers", tiers.join(", "));
        row("plan", format!("{} proposed", counted(self.changes, "change")));
        row("report", counted(self.pages, "page"));
        for (index, (stage, took)) in self.stages.iter().enumerate() {
            let name = if index == 0 { "time" } else { "" };
            row(name, format!("{:>5.1} s  {stage}", took.as_secs_f64()));
        }
        print_table(&table)?;
        print_line(&format!("\nOpen {}", dir.join("report/index.html").display()))?;
        // The program's name as it was called, so that the line can be pasted.
        let program = std::env::args().next().unwrap_or_else(|| "rapport".to_owned());
        print_line(&format!(
            "Ask it more: {program} --config {} metrics run funnel",
            dir.join("rapport.toml").display()
        ))
    }
}
