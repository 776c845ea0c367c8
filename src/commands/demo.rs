//! `rapport demo`: the main job in one command, through a broker inside the process.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use fixtures::{World, WorldOptions};
use ingest::{Counts, Embedded, RecordProducer, RunOptions, WINDOW};
use lake::Lake;
use lake_types::{AsOf, Day, MICROS_PER_DAY, counted};
use serde::{Deserialize, Serialize};

use crate::args::Demo;
use crate::commands::generate::{self, Sent};
use crate::commands::{init, plan, report, score};
use crate::config::Config;
use crate::failure::usage;
use crate::output::{Table, line, note, show, write_file};
use crate::progress::{Stage, count};
use crate::project::{Project, refreshed};

/// Many, since the embedded broker keeps little of each.
const CALL_PARTITIONS: i32 = 16;
/// How many weeks before the last day are scored.
const WEEKS_BEFORE: i32 = 4;
const WORLD_FILE: &str = "world.toml";

/// The world a demo folder is made of; with it a second run continues the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorldFile {
    seed: u64,
    partners: u32,
    events: u64,
    from: String,
    days: u32,
    /// Whether everything has been ingested; then nothing is produced again.
    finished: bool,
}

pub(crate) fn run(
    options: &Demo,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    let dir = std::path::absolute(&options.dir).context("the demo's folder")?;
    let mut file = world_file(options, &dir)?;
    let world_options = options_of(&file)?;
    init::lay_out(&dir)?;
    generate::write_tables(&world_options, &dir)?;
    write_world(&dir, &file)?;
    let config = Config::read(&dir.join("rapport.toml"))?;
    let lake = runtime.block_on(Lake::open_or_create(&config.lake()))?;

    let mut told = Told::default();
    if file.finished {
        note("This demo's events are in its lake already; nothing is produced again.");
    } else {
        let world = fixtures::world(world_options).map_err(|e| usage(e.to_string()))?;
        let began = Instant::now();
        let (sent, counts) = ingest_world(&world, &lake, runtime, quiet)?;
        told.sent = Some((sent, counts));
        told.stage("simulate, produce, ingest", began);
        file.finished = true;
        write_world(&dir, &file)?;
    }
    let mut project = Project::with(config, lake, quiet)?;
    project.now = clock(&world_options);
    runtime.block_on(analyse(&project, world_options.from, &dir, &mut told))?;
    told.print(&dir)
}

/// The world's clock when its last record has been sent: an hour past its end.
fn clock(options: &WorldOptions) -> i64 {
    options.end().start_micros() + MICROS_PER_DAY / 24
}

/// The world of the folder, or the one the command line describes for a new folder.
fn world_file(options: &Demo, dir: &Path) -> anyhow::Result<WorldFile> {
    let asked = generate::world_options(&options.world);
    let asked = WorldFile {
        seed: asked.seed,
        partners: asked.partners,
        events: asked.events,
        from: asked.from.to_string(),
        days: asked.days,
        finished: false,
    };
    let path = dir.join(WORLD_FILE);
    if !path.exists() {
        if dir.join("rapport.toml").exists() {
            return Err(usage(format!(
                "{} is a project, but none of a demo; give another --dir",
                dir.display()
            )));
        }
        return Ok(asked);
    }
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let known: WorldFile =
        toml::from_str(&text).map_err(|e| usage(format!("{}: {e}", path.display())))?;
    // Without --from the first call's days stand, whatever day it is now.
    let from = if options.world.from.is_some() { asked.from.clone() } else { known.from.clone() };
    let same = WorldFile { from, finished: known.finished, ..asked };
    if same != known {
        return Err(usage(format!(
            "{} holds another world ({}, {}, seed {}); give another --dir, or remove the folder",
            dir.display(),
            counted(known.partners, "partner"),
            counted(known.events, "event"),
            known.seed
        )));
    }
    Ok(known)
}

fn options_of(file: &WorldFile) -> anyhow::Result<WorldOptions> {
    let from: Day =
        file.from.parse().map_err(|_| usage(format!("{WORLD_FILE}: from = \"{}\"", file.from)))?;
    let mut options = WorldOptions::new(file.seed, file.partners, file.events, from);
    options.days = file.days;
    Ok(options)
}

fn write_world(dir: &Path, file: &WorldFile) -> anyhow::Result<()> {
    write_file(&dir.join(WORLD_FILE), toml::to_string(file)?.as_bytes())
}

/// Produces the world into the embedded broker from a second thread while the first ingests it.
fn ingest_world(
    world: &World,
    lake: &Lake,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<(Sent, Counts)> {
    let broker = Embedded::start(CALL_PARTITIONS)?;
    let settings = broker.settings();
    let options = RunOptions { clock_at_end: Some(clock(&world.options)), ..RunOptions::default() };
    let read = AtomicI64::new(0);
    let total = AtomicU64::new(u64::MAX);
    let stop = AtomicBool::new(false);
    let stage = Stage::begin("ingest", quiet);
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let sent = produce_behind(world, &settings, &read, &stop);
            match &sent {
                Ok(sent) => total.store(sent.records, Ordering::Release),
                Err(_) => stop.store(true, Ordering::Release),
            }
            sent
        });
        let mut shown = Instant::now();
        let counts = ingest::run(lake, &settings, &options, runtime.handle(), &stop, &mut |s| {
            read.store(s.read, Ordering::Release);
            if u64::try_from(s.read).unwrap_or(0) >= total.load(Ordering::Acquire) {
                stop.store(true, Ordering::Release);
            }
            if shown.elapsed() > Duration::from_millis(250) {
                shown = Instant::now();
                stage.say(format!(
                    "{}, {} accepted, {}",
                    counted(s.counts.records, "record"),
                    count(s.counts.accepted),
                    counted(s.counts.commits, "commit")
                ));
            }
        });
        // Whatever ended the worker, the producer must not wait for it.
        stop.store(true, Ordering::Release);
        let sent = producer.join().map_err(|_| anyhow::anyhow!("the producer panicked"))?;
        Ok((sent.context("the simulator")?, counts?))
    })
}

fn produce_behind(
    world: &World,
    settings: &ingest::KafkaSettings,
    read: &AtomicI64,
    stop: &AtomicBool,
) -> anyhow::Result<Sent> {
    let producer = RecordProducer::connect(settings)?;
    generate::produce(world, &producer, &settings.topics, &mut |sent| {
        let ahead = || i64::try_from(sent).unwrap_or(i64::MAX) - read.load(Ordering::Acquire);
        while sent % 1_000 == 0 && ahead() > WINDOW && !stop.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
    })
}

async fn analyse(
    project: &Project,
    first_day: Day,
    dir: &Path,
    told: &mut Told,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let rollups = project.refresh().await?;
    told.rollups = refreshed(&rollups);
    told.stage("rollups", began);

    let began = Instant::now();
    let as_of = project.as_of(None).await?;
    // The weeks before are scored too, so that the report has something to compare with.
    for weeks in (1..=WEEKS_BEFORE).rev() {
        let earlier = AsOf::of_day(as_of.day().plus(-7 * weeks));
        if earlier > AsOf::of_day(first_day.plus(28)) {
            plan::scored_session(project, earlier).await?;
        }
    }
    let (session, scored) = plan::scored_session(project, as_of).await?;
    told.tiers = score::tiers(&scored);
    told.stage("scores", began);

    let began = Instant::now();
    let made_plan = plan::make(project, &session, &scored).await?;
    plan::write(&made_plan, &dir.join("plan.json"))?;
    told.changes = made_plan.changes.len();
    told.stage("plan", began);

    let began = Instant::now();
    let made = report::Made { session: &session, scored: &scored, plan: &made_plan };
    let summary = report::write(project, &made, &dir.join("report")).await?;
    told.pages = summary.pages;
    told.stage("metrics, report", began);
    Ok(())
}

/// What the closing table tells.
#[derive(Default)]
struct Told {
    sent: Option<(Sent, Counts)>,
    stages: Vec<(&'static str, Duration)>,
    rollups: String,
    tiers: Vec<(String, usize)>,
    changes: usize,
    pages: usize,
}

impl Told {
    fn stage(&mut self, name: &'static str, began: Instant) {
        self.stages.push((name, began.elapsed()));
    }

    fn print(&self, dir: &Path) -> anyhow::Result<()> {
        let mut table = Table::new(["", ""], &[]);
        let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
        if let Some((sent, counts)) = &self.sent {
            row("events in", count(sent.records));
            row(
                "accepted",
                format!("{}, {} of them late", count(counts.accepted), count(counts.late)),
            );
            row("copies", format!("{} sent twice, counted once", count(sent.copies)));
            row("rejected", format!("{}, kept sealed as dead letters", count(counts.rejected)));
        }
        row("rollups", self.rollups.clone());
        let partners: usize = self.tiers.iter().map(|(_, n)| n).sum();
        row("partners", count(partners as u64));
        let tiers: Vec<_> =
            self.tiers.iter().map(|(tier, n)| format!("{} {n}", tier.replace('_', " "))).collect();
        row("tiers", tiers.join(", "));
        row("plan", format!("{} proposed", counted(self.changes, "change")));
        row("report", counted(self.pages, "page"));
        for (index, (stage, took)) in self.stages.iter().enumerate() {
            let name = if index == 0 { "time" } else { "" };
            row(name, format!("{:>5.1} s  {stage}", took.as_secs_f64()));
        }
        show(&table)?;
        line(&format!("\nOpen {}", dir.join("report/index.html").display()))?;
        // As it was called, so that the line can be pasted.
        let program = std::env::args().next().unwrap_or_else(|| "rapport".to_owned());
        line(&format!(
            "Ask it more: {program} --config {} metrics run funnel",
            dir.join("rapport.toml").display()
        ))
    }
}
