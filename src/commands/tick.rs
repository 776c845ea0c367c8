//! `rapport run`: one tick on a real cluster, from the topics to the report.

use std::time::Instant;

use anyhow::Context;
use lake::Lake;
use lake_types::{Stream, counted};

use crate::args::{IngestRun, Tick};
use crate::commands::{ingest, plan, report};
use crate::config::Config;
use crate::output::line;
use crate::progress::count;
use crate::project::{NO_CALLS, Project};
use crate::signals::{self, Ends};

pub(crate) fn run(
    config: Config,
    options: &Tick,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    dashboards::check_report(&options.out).map_err(report::refused)?;
    let began = Instant::now();
    let caught_up = IngestRun {
        until_caught_up: true,
        from: "earliest".to_owned(),
        accept_gap: false,
        accept_rejects: false,
        flush_rows: None,
        flush_seconds: None,
        metrics: None,
    };
    let topics = config.kafka()?.topics;
    let calls = topics.get(&Stream::ApiCalls).cloned().unwrap_or_default();
    let counts = ingest::from_kafka(&config, &caught_up, runtime, quiet).context("ingest")?;
    line(&format!(
        "ingest   {}, {} accepted, {} rejected",
        counted(counts.records, "record"),
        count(counts.accepted),
        count(counts.rejected)
    ))?;
    ingest::say_sealed(&counts);
    // What follows is done again by the next tick: nobody has to wait for its end.
    signals::end_cleanly(Ends::ByAll);
    runtime.block_on(async {
        let lake = Lake::open(&config.lake()).await?;
        let project = Project::with(config, lake, quiet)?;
        let as_of = match project.watermark().await? {
            Some(_) => project.as_of(None).await?,
            None => anyhow::bail!(
                "{NO_CALLS}: the topic \"{calls}\" has given none. Check that something is produced \
                 to it, and [kafka.topics] in rapport.toml; then run this again"
            ),
        };
        let (session, scored) = plan::scored_session(&project, as_of).await.context("scores")?;
        line(&format!("score    {} as of {as_of}", counted(scored.partners.len(), "partner")))?;
        let made_plan = plan::make(&project, &session, &scored).await.context("the plan")?;
        plan::write(&made_plan, &options.plan)?;
        line(&format!(
            "plan     {} in {}",
            counted(made_plan.changes.len(), "change"),
            options.plan.display()
        ))?;
        let made = report::Made { session: &session, scored: &scored, plan: &made_plan };
        let summary = report::write(&project, &made, &options.out).await.context("the report")?;
        line(&format!(
            "report   {}, open {}",
            counted(summary.pages, "page"),
            summary.index.display()
        ))?;
        line(&format!("done in {:.1} s", began.elapsed().as_secs_f64()))
    })
}
