//! A project that is open: its configuration, its lake, its queries, and the clock it goes by.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use lake::{Lake, schema};
use lake_types::{AsOf, format_instant};
use transform::{Engine, EngineOptions, Finding, Session, Severity};

use crate::config::Config;
use crate::failure::usage;
use crate::output::note;
use crate::progress::{Stage, count};

/// What every command that reads the lake needs.
pub(crate) struct Project {
    pub(crate) config: Config,
    pub(crate) lake: Lake,
    pub(crate) engine: Engine,
    /// The clock, µs: the demo goes by its world's.
    pub(crate) now: i64,
    pub(crate) quiet: bool,
}

impl Project {
    /// Opens the project's lake, which must exist.
    pub(crate) async fn open(config: Config, quiet: bool) -> anyhow::Result<Self> {
        let lake = Lake::open(&config.lake()).await?;
        Self::with(config, lake, quiet)
    }

    pub(crate) fn with(config: Config, lake: Lake, quiet: bool) -> anyhow::Result<Self> {
        let options = EngineOptions {
            reporting_currency: config.reporting_currency().to_owned(),
            rates: config.rates()?,
            sla: config.sla()?,
            sunsets: config.sunsets()?,
            project_queries: config.queries(),
            memory_limit: Some(MEMORY),
            threads: None,
        };
        let engine = Engine::new(lake.clone(), options).map_err(|e| usage(e.to_string()))?;
        for (name, fault) in engine.catalog().left_out() {
            note(&format!("rapport: {name} is left out: {}", fault.headline()));
        }
        for fault in engine.catalog().misplaced() {
            note(&format!("rapport: not read: {}", fault.told()));
        }
        let now = chrono::Utc::now().timestamp_micros();
        Ok(Self { config, lake, engine, now, quiet })
    }

    /// The instant to look up to: the one given, or the last midnight the data is complete to.
    pub(crate) async fn as_of(&self, given: Option<&str>) -> anyhow::Result<AsOf> {
        let given = given.map(|text| self.given(text)).transpose()?;
        let watermark = self.watermark().await?;
        let Some(as_of) = given else {
            let watermark = watermark.context(
                "the lake holds no API calls yet, so there is no instant to look up to: run `rapport ingest` first, or give --as-of",
            )?;
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
                note(&format!("{}: {finding}", severity(finding)));
            }
            if let Some((first, more)) = rollup.held.split_first() {
                let others = match more.len() {
                    0 => String::new(),
                    n => format!(" and {n} more days"),
                };
                note(&format!(
                    "rapport: {}: {first}{others} held back; what was stored of them before stays",
                    rollup.name
                ));
            }
        }
        for (name, why) in &report.failed {
            note(&format!("rapport: {name} is left out: {why}"));
        }
        Ok(report)
    }

    /// Brings only these of the rollups up to date.
    pub(crate) async fn refresh_only(&self, names: &[String]) -> anyhow::Result<()> {
        let stage = Stage::begin("rollups", self.quiet);
        let wanted = |name: &str| names.iter().any(|n| n == name);
        self.engine.refresh_only(&wanted, &mut |p| stage.say(p.rollup)).await?;
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
        self.refresh().await?;
        Ok(self.engine.at(as_of, None).await?)
    }

    /// Appends the run to the table `runs`; its number.
    pub(crate) async fn note_run(&self, session: &Session) -> anyhow::Result<u64> {
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
        Ok(self.lake.append(&def, &[row]).await?)
    }
}

/// How a finding is announced.
pub(crate) fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Error => "rapport",
        Severity::Warn => "rapport: warning",
    }
}

/// What one query may hold in memory.
const MEMORY: usize = 1 << 30;

/// One line for a refresh: what was done.
pub(crate) fn refreshed(report: &transform::RefreshReport) -> String {
    let days: usize = report.rollups.iter().map(|r| r.days).sum();
    let rows: u64 = report.rollups.iter().map(|r| r.rows).sum();
    format!("{} rollup days, {} rows", count(days as u64), count(rows))
}
