//! An open project: its configuration, its lake, its query engine and its clock.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use domain::{AsOf, Day, counted, format_instant};
use lake::{Lake, TableDef, error_chain, is_write_denied, schema};
use transform::{CheckSeverity, Engine, EngineOptions, Session, Violation};

use crate::cluster;
use crate::config::Config;
use crate::errors::usage_error;
use crate::event_days::{EventDays, Viewpoint};
use crate::memory_limit::{self, QUERY_MEMORY};
use crate::output::{print_message, print_note};
use crate::progress::Spinner;
use crate::scratch_folder;

/// What every command needs that reads the lake.
pub(crate) struct Project {
    pub(crate) config: Config,
    pub(crate) lake: Lake,
    pub(crate) engine: Engine,
    /// The clock, µs. The demo sets it to that of its simulated world.
    pub(crate) now: i64,
    /// When the project was opened, by the machine's clock, µs. Nothing of the lake was read
    /// before.
    pub(crate) opened_at: i64,
    pub(crate) quiet: bool,
    /// The engine that replaces `engine` where the lake can't be written.
    read_only_engine: OnceLock<Engine>,
}

impl Project {
    /// Opens the project's lake, which must exist.
    pub(crate) async fn open(config: Config, quiet: bool) -> anyhow::Result<Self> {
        let lake = Lake::open(&config.lake()).await?;
        Self::with_lake(config, lake, quiet)
    }

    /// Opens the project for the rest of the process. To free its caches piece by piece would take a
    /// tenth of a short command; the end of the process frees them at once.
    pub(crate) async fn open_until_exit(
        config: Config,
        quiet: bool,
    ) -> anyhow::Result<&'static Self> {
        Ok(Box::leak(Box::new(Self::open(config, quiet).await?)))
    }

    /// Opens a project on a lake that is open already.
    pub(crate) fn with_lake(config: Config, lake: Lake, quiet: bool) -> anyhow::Result<Self> {
        let opened_at = chrono::Utc::now().timestamp_micros();
        let options = EngineOptions {
            reporting_currency: config.reporting_currency().to_owned(),
            rates: config.rates()?,
            sla: config.sla()?,
            sunsets: config.sunsets()?,
            programme: config.programme()?,
            project_queries: config.queries(),
            memory_limit: Some(QUERY_MEMORY),
            threads: None,
            spill_folder: spill_folder(),
            unit_rows: Some(config.unit_rows()),
        };
        let engine = Engine::new(lake.clone(), options).map_err(|e| usage_error(e.to_string()))?;
        let engine = match config.cluster() {
            Some(scheduler) => cluster::on_cluster(&engine, scheduler, config.executor_wait())?,
            None => engine,
        };
        for (name, diagnostic) in engine.catalog().unreadable() {
            print_message(&format!("rapport: {name} is left out: {}", diagnostic.headline()));
        }
        for diagnostic in engine.catalog().misplaced() {
            print_note(&format!("rapport: not read: {}", diagnostic.one_line()));
        }
        let read_only_engine = OnceLock::new();
        Ok(Self { config, lake, engine, now: opened_at, opened_at, quiet, read_only_engine })
    }

    /// Returns the instant to look up to: the one given, or the last midnight that the data is
    /// complete to.
    pub(crate) async fn as_of(&self, given: Option<&str>) -> anyhow::Result<AsOf> {
        let given = given.map(|text| self.parse_as_of(text)).transpose()?;
        let watermark = self.watermark().await?;
        let Some(as_of) = given else {
            let as_of = match watermark {
                Some(watermark) => AsOf::at_or_before(watermark),
                None => self.end_of_other_events().await?,
            };
            self.explain_instant(as_of, true).await?;
            return Ok(as_of);
        };
        self.explain_instant(as_of, false).await?;
        match watermark {
            Some(watermark) if as_of.micros() > watermark => print_note(&format!(
                "Incomplete: {as_of} is past the watermark {}, events may still be missing.",
                format_instant(watermark)
            )),
            _ => {}
        }
        Ok(as_of)
    }

    /// Returns the instant to look up to in a lake without API calls, which has no watermark.
    async fn end_of_other_events(&self) -> anyhow::Result<AsOf> {
        let Some(end) = self.data_end().await? else {
            anyhow::bail!("{NO_API_CALLS}: run `rapport ingest` first, or give --as-of")
        };
        let as_of = AsOf::at_or_before(end);
        print_note(&format!(
            "The lake holds no API calls; its other events are seen up to {as_of}."
        ));
        Ok(as_of)
    }

    /// Returns the instant that the data reaches, in µs: the watermark, or without API calls the end
    /// of the newest day with events, if that day is over.
    pub(crate) async fn data_end(&self) -> anyhow::Result<Option<i64>> {
        if let Some(watermark) = self.lake.watermark().await? {
            return Ok(Some(watermark));
        }
        let end = self.event_days().await?.end();
        Ok(end.map(|end| end.micros().min(self.now)))
    }

    /// Returns the days on which each stream has events.
    pub(crate) async fn event_days(&self) -> anyhow::Result<EventDays> {
        EventDays::of(&self.lake).await
    }

    /// Prints why an instant shows nothing, or only little, where that is so.
    pub(crate) async fn explain_instant(
        &self,
        as_of: AsOf,
        is_default: bool,
    ) -> anyhow::Result<()> {
        let viewpoint = Viewpoint { as_of, is_default, now: self.now };
        if let Some(text) = self.event_days().await?.explain_instant(viewpoint) {
            print_note(&text);
        }
        Ok(())
    }

    /// Returns the lake's watermark. It also reads the logs of the tables ahead, because callers
    /// ask for them next.
    pub(crate) async fn watermark(&self) -> anyhow::Result<Option<i64>> {
        self.engine.prefetch().await;
        Ok(self.lake.watermark().await?)
    }

    fn parse_as_of(&self, text: &str) -> anyhow::Result<AsOf> {
        let as_of: AsOf = text.parse().map_err(|e| usage_error(format!("--as-of: {e}")))?;
        if as_of.micros() > self.now {
            return Err(usage_error(format!(
                "--as-of {as_of} lies in the future; the clock says {}",
                format_instant(self.now)
            )));
        }
        Ok(as_of)
    }

    /// Refreshes the rollups, and prints what checks found and which rollups failed.
    pub(crate) async fn refresh(&self) -> anyhow::Result<transform::RefreshReport> {
        self.refresh_by(&self.engine).await
    }

    /// Does the same by an engine over the same lake.
    pub(crate) async fn refresh_by(
        &self,
        engine: &Engine,
    ) -> anyhow::Result<transform::RefreshReport> {
        let spinner = Spinner::start("rollups", self.quiet);
        let report = engine
            .refresh(&mut |p| {
                spinner.set_message(format!("{} {} of {} days", p.rollup, p.days_done, p.days));
            })
            .await?;
        drop(spinner);
        for rollup in &report.rollups {
            for violation in &rollup.violations {
                print_message(&format!("{}: {violation}", message_prefix(violation)));
            }
            if let Some((first, more)) = rollup.blocked.split_first() {
                let others = match more.len() {
                    0 => String::new(),
                    n => format!(" and {}", counted(n, "more day")),
                };
                print_note(&format!(
                    "rapport: {}: {first}{others} held back; what was stored of them before stays",
                    rollup.name
                ));
            }
        }
        for (name, why) in &report.failed {
            print_message(&format!("rapport: {name} is left out: {why}"));
        }
        Ok(report)
    }

    /// Refreshes only the rollups of these names.
    pub(crate) async fn refresh_named(&self, names: &[String]) -> anyhow::Result<()> {
        let spinner = Spinner::start("rollups", self.quiet);
        limit_memory();
        let wanted = |name: &str| names.iter().any(|n| n == name);
        match self.engine.refresh_only(&wanted, &mut |p| spinner.set_message(p.rollup)).await {
            Ok(_) => Ok(()),
            Err(error) if is_write_denied(&error) => self.switch_to_read_only(&error).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the engine to read with. Where the lake can't be written, it computes stale rollups
    /// when they are read.
    pub(crate) fn reading_engine(&self) -> &Engine {
        self.read_only_engine.get().unwrap_or(&self.engine)
    }

    /// Returns whether a write to the lake was refused before.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only_engine.get().is_some()
    }

    /// Writes nothing from now on: stale rollups are computed when they are read.
    pub(crate) async fn stop_writing(&self) -> anyhow::Result<()> {
        if !self.is_read_only() {
            let (read_only_engine, _) = self.engine.without_writing().await?;
            let _ = self.read_only_engine.set(read_only_engine);
        }
        Ok(())
    }

    /// Stops writing to the lake: from now on, stale rollups are computed when they are read. `why`
    /// is the error of the refused write.
    pub(crate) async fn switch_to_read_only(
        &self,
        why: &(dyn std::error::Error + 'static),
    ) -> anyhow::Result<()> {
        if self.is_read_only() {
            return Ok(());
        }
        let (read_only_engine, state) = self.engine.without_writing().await?;
        let mut text = "The lake can't be written from here".to_owned();
        if let Some(cause) = error_chain(why).last() {
            text.push_str(&format!(" ({cause})"));
        }
        text.push_str(": nothing is recorded.");
        if !state.computed.is_empty() {
            let names = state.computed.join(", ");
            text.push_str(&format!(" Stale and computed for this answer alone: {names}."));
        }
        for (name, days) in &state.stale {
            text.push_str(&format!(
                " {name} is stale on {days} day{} and answers as it was stored, for retention has \
                 sealed events.",
                if *days == 1 { "" } else { "s" }
            ));
        }
        print_message(&text);
        for (name, why) in &state.failed {
            print_message(&format!("rapport: {name} is left out: {why}"));
        }
        let _ = self.read_only_engine.set(read_only_engine);
        Ok(())
    }

    /// Refreshes every rollup and fails where one can't be: its inputs are about to be deleted.
    pub(crate) async fn refresh_all(&self) -> anyhow::Result<()> {
        let failed = self.refresh().await?.failed;
        let mut names = failed.keys().chain(self.engine.catalog().unreadable().keys());
        if let Some(name) = names.next() {
            anyhow::bail!(
                "{name} is not up to date; mend it first: `rapport metrics check {name}`"
            );
        }
        Ok(())
    }

    /// Refreshes the rollups and opens a session on one set of table versions.
    pub(crate) async fn session(&self, as_of: AsOf) -> anyhow::Result<Session> {
        limit_memory();
        match self.refresh().await {
            Err(error) if is_write_denied(error.as_ref()) => {
                self.switch_to_read_only(error.as_ref()).await?;
            }
            refreshed => drop(refreshed?),
        }
        Ok(self.reading_engine().open_session(as_of, None).await?)
    }

    /// Opens a session that sees what was recorded and every event up to now, today's too. Rollups are
    /// as they were refreshed last.
    pub(crate) async fn session_up_to_now(&self) -> anyhow::Result<Session> {
        let tomorrow = Day::of_micros(self.now).plus(1);
        Ok(self.reading_engine().open_session(AsOf::of_day(tomorrow), None).await?)
    }

    /// Appends the run to the table `runs` and returns its number, or `None` where the lake can't
    /// be written.
    pub(crate) async fn record_run(&self, session: &Session) -> anyhow::Result<Option<u64>> {
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

    /// Appends rows to a table and returns its new version, or `None` where the lake can't be
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
            Err(error) if is_write_denied(&error) => {
                self.switch_to_read_only(&error).await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns how a message about a violation starts.
pub(crate) fn message_prefix(violation: &Violation) -> &'static str {
    match violation.severity {
        CheckSeverity::Error => "rapport",
        CheckSeverity::Warn => "rapport: warning",
    }
}

/// Why nothing can be computed from a new lake.
pub(crate) const NO_API_CALLS: &str =
    "the lake holds no API calls yet, so there is no instant to look up to";

/// Returns where queries spill. Without a folder, queries that fit their memory still run.
fn spill_folder() -> Option<PathBuf> {
    let folder = scratch_folder::folder();
    folder.inspect_err(|error| tracing::warn!(%error, "no folder for what queries spill")).ok()
}

/// Limits the memory of the process for queries that run in parallel, one on each core.
pub(crate) fn limit_memory() {
    memory_limit::raise_for_queries(std::thread::available_parallelism().map_or(1, NonZero::get));
}

/// Returns one line on what a refresh did.
pub(crate) fn refresh_summary(report: &transform::RefreshReport) -> String {
    let days: usize = report.rollups.iter().map(|r| r.days).sum();
    let rows: u64 = report.rollups.iter().map(|r| r.rows).sum();
    format!("{}, {}", counted(days, "rollup day"), counted(rows, "row"))
}
