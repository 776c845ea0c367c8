//! A project that is open: its configuration, its lake, its queries, and the clock it goes by.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use lake::{Lake, TableDef, causes, refuses_writing, schema};
use lake_types::{AsOf, counted, format_instant};
use transform::{Engine, EngineOptions, Finding, Session, Severity};

use crate::config::Config;
use crate::failure::usage;
use crate::output::{message, note};
use crate::progress::Stage;
use crate::{memory, scratch};

/// What every command that reads the lake needs.
pub(crate) struct Project {
    pub(crate) config: Config,
    pub(crate) lake: Lake,
    pub(crate) engine: Engine,
    /// The clock, µs: the demo goes by its world's.
    pub(crate) now: i64,
    /// When it was opened, by the machine's clock, µs: nothing of the lake was read before.
    pub(crate) opened_at: i64,
    pub(crate) quiet: bool,
    /// What answers in place of `engine` where nothing can be written.
    reader: OnceLock<Engine>,
}

impl Project {
    /// Opens the project's lake, which must exist.
    pub(crate) async fn open(config: Config, quiet: bool) -> anyhow::Result<Self> {
        let lake = Lake::open(&config.lake()).await?;
        Self::with(config, lake, quiet)
    }

    pub(crate) fn with(config: Config, lake: Lake, quiet: bool) -> anyhow::Result<Self> {
        let opened_at = chrono::Utc::now().timestamp_micros();
        let options = EngineOptions {
            reporting_currency: config.reporting_currency().to_owned(),
            rates: config.rates()?,
            sla: config.sla()?,
            sunsets: config.sunsets()?,
            project_queries: config.queries(),
            memory_limit: Some(MEMORY),
            threads: None,
            spill_folder: spill_folder(),
        };
        let engine = Engine::new(lake.clone(), options).map_err(|e| usage(e.to_string()))?;
        for (name, fault) in engine.catalog().left_out() {
            message(&format!("rapport: {name} is left out: {}", fault.headline()));
        }
        for fault in engine.catalog().misplaced() {
            note(&format!("rapport: not read: {}", fault.told()));
        }
        let reader = OnceLock::new();
        Ok(Self { config, lake, engine, now: opened_at, opened_at, quiet, reader })
    }

    /// The instant to look up to: the one given, or the last midnight the data is complete to.
    pub(crate) async fn as_of(&self, given: Option<&str>) -> anyhow::Result<AsOf> {
        let given = given.map(|text| self.given(text)).transpose()?;
        let watermark = self.watermark().await?;
        let Some(as_of) = given else {
            let watermark = watermark.with_context(|| {
                format!("{NO_CALLS}: run `rapport ingest` first, or give --as-of")
            })?;
            return Ok(AsOf::at_or_before(watermark));
        };
        match watermark {
            Some(watermark) if as_of.micros() > watermark => note(&format!(
                "Incomplete: {as_of} is past the watermark {}, events may still be missing.",
                format_instant(watermark)
            )),
            _ => {}
        }
        Ok(as_of)
    }

    /// The lake's watermark. Who asks for it goes on to ask for every table.
    pub(crate) async fn watermark(&self) -> anyhow::Result<Option<i64>> {
        self.engine.read_ahead().await;
        Ok(self.lake.watermark().await?)
    }

    fn given(&self, text: &str) -> anyhow::Result<AsOf> {
        let as_of: AsOf = text.parse().map_err(|e| usage(format!("--as-of: {e}")))?;
        if as_of.micros() > self.now {
            return Err(usage(format!(
                "--as-of {as_of} lies in the future; the clock says {}",
                format_instant(self.now)
            )));
        }
        Ok(as_of)
    }

    /// Brings the rollups up to date, and says which could not be.
    pub(crate) async fn refresh(&self) -> anyhow::Result<transform::RefreshReport> {
        let stage = Stage::begin("rollups", self.quiet);
        let report = self
            .engine
            .refresh(&mut |p| {
                stage.say(format!("{} {} of {} days", p.rollup, p.days_done, p.days));
            })
            .await?;
        drop(stage);
        for rollup in &report.rollups {
            for finding in &rollup.findings {
                message(&format!("{}: {finding}", severity(finding)));
            }
            if let Some((first, more)) = rollup.held.split_first() {
                let others = match more.len() {
                    0 => String::new(),
                    n => format!(" and {}", counted(n, "more day")),
                };
                note(&format!(
                    "rapport: {}: {first}{others} held back; what was stored of them before stays",
                    rollup.name
                ));
            }
        }
        for (name, why) in &report.failed {
            message(&format!("rapport: {name} is left out: {why}"));
        }
        Ok(report)
    }

    /// Brings only these of the rollups up to date.
    pub(crate) async fn refresh_only(&self, names: &[String]) -> anyhow::Result<()> {
        let stage = Stage::begin("rollups", self.quiet);
        bound();
        let wanted = |name: &str| names.iter().any(|n| n == name);
        match self.engine.refresh_only(&wanted, &mut |p| stage.say(p.rollup)).await {
            Ok(_) => Ok(()),
            Err(error) if refuses_writing(&error) => self.read_only(&error).await,
            Err(error) => Err(error.into()),
        }
    }

    /// The engine that answers: one that knows which rollups it can't bring up to date, where the
    /// lake can't be written.
    pub(crate) fn answers(&self) -> &Engine {
        self.reader.get().unwrap_or(&self.engine)
    }

    /// Whether the lake was found to be one that can't be written.
    pub(crate) fn is_read_only(&self) -> bool {
        self.reader.get().is_some()
    }

    /// From now on nothing is written, and what is stale is computed where it is read.
    pub(crate) async fn read_only(
        &self,
        why: &(dyn std::error::Error + 'static),
    ) -> anyhow::Result<()> {
        if self.is_read_only() {
            return Ok(());
        }
        let (reader, found) = self.engine.without_writing().await?;
        let mut text = "The lake can't be written from here".to_owned();
        if let Some(cause) = causes(why).last() {
            text.push_str(&format!(" ({cause})"));
        }
        text.push_str(": nothing is recorded.");
        if !found.computed.is_empty() {
            let names = found.computed.join(", ");
            text.push_str(&format!(" Stale and computed for this answer alone: {names}."));
        }
        for (name, days) in &found.stale {
            text.push_str(&format!(
                " {name} is stale on {days} day{} and answers as it was stored, for retention has \
                 sealed events.",
                if *days == 1 { "" } else { "s" }
            ));
        }
        message(&text);
        for (name, why) in &found.failed {
            message(&format!("rapport: {name} is left out: {why}"));
        }
        let _ = self.reader.set(reader);
        Ok(())
    }

    /// Brings every rollup up to date, or fails: for what can't be computed again afterwards.
    pub(crate) async fn refresh_all(&self) -> anyhow::Result<()> {
        let failed = self.refresh().await?.failed;
        let mut names = failed.keys().chain(self.engine.catalog().left_out().keys());
        if let Some(name) = names.next() {
            anyhow::bail!(
                "{name} is not up to date; mend it first: `rapport metrics check {name}`"
            );
        }
        Ok(())
    }

    /// One set of table versions to answer from, the rollups brought up to date first.
    pub(crate) async fn session(&self, as_of: AsOf) -> anyhow::Result<Session> {
        bound();
        match self.refresh().await {
            Err(error) if refuses_writing(error.as_ref()) => self.read_only(error.as_ref()).await?,
            refreshed => drop(refreshed?),
        }
        Ok(self.answers().at(as_of, None).await?)
    }

    /// Appends the run to the table `runs`; its number, or `None` where it can't be recorded.
    pub(crate) async fn note_run(&self, session: &Session) -> anyhow::Result<Option<u64>> {
        if self.is_read_only() {
            return Ok(None);
        }
        let versions: &BTreeMap<String, u64> = session.versions();
        let instant = |micros: i64| {
            Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC"))
        };
        let text = |text: String| Arc::new(StringArray::from(vec![text]));
        let def = schema::runs();
        let row = RecordBatch::try_new(
            def.schema.clone(),
            vec![
                text(uuid::Uuid::now_v7().to_string()),
                instant(self.now),
                instant(session.as_of().micros()),
                text(self.config.digest()?),
                text(serde_json::to_string(versions)?),
            ],
        )?;
        self.append(&def, row).await
    }

    /// Appends rows to a table of the lake; its version then, or `None` where the lake can't be
    /// written.
    pub(crate) async fn append(
        &self,
        def: &TableDef,
        rows: RecordBatch,
    ) -> anyhow::Result<Option<u64>> {
        if self.is_read_only() {
            return Ok(None);
        }
        match self.lake.append(def, &[rows]).await {
            Ok(version) => Ok(Some(version)),
            Err(error) if refuses_writing(&error) => {
                self.read_only(&error).await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// How a finding is announced.
pub(crate) fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Error => "rapport",
        Severity::Warn => "rapport: warning",
    }
}

/// Why nothing can be computed of a new lake.
pub(crate) const NO_CALLS: &str =
    "the lake holds no API calls yet, so there is no instant to look up to";

/// What one query may hold in memory.
pub(crate) const MEMORY: usize = 1 << 30;

/// Where queries put what does not fit their memory. Without a folder of our own those that fit go
/// on.
fn spill_folder() -> Option<PathBuf> {
    let folder = scratch::folder();
    folder.inspect_err(|error| tracing::warn!(%error, "no folder for what queries spill")).ok()
}

/// Bounds the process for queries that run side by side, each on a thread of its own.
fn bound() {
    memory::allow(std::thread::available_parallelism().map_or(1, NonZero::get));
}

/// One line for a refresh: what was done.
pub(crate) fn refreshed(report: &transform::RefreshReport) -> String {
    let days: usize = report.rollups.iter().map(|r| r.days).sum();
    let rows: u64 = report.rollups.iter().map(|r| r.rows).sum();
    format!("{}, {}", counted(days, "rollup day"), counted(rows, "row"))
}
