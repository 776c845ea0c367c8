//! One round of `rapport run`: all stages in order, from the topics to the report.

use std::time::Instant;

use anyhow::Context;
use domain::{Stream, counted, thousands};
use lake::Lake;
use tokio::runtime::Runtime;
use tracing::Instrument;
use tracing::field::Empty;

use crate::args::{IngestRunArgs, RunArgs, TextFormat};
use crate::commands::{ingest, plan, report};
use crate::config::Config;
use crate::errors::report_refusal;
use crate::output::print_line;
use crate::project::{NO_API_CALLS, Project};
use crate::shutdown::RoundSignals;

/// Checks what no round can do without.
pub(super) fn check(options: &RunArgs) -> anyhow::Result<()> {
    dashboards::check_report(&options.out).map_err(report_refusal)
}

/// Runs all stages. A signal ends ingest after it has committed what it holds, and with it the
/// round; it ends the other stages at once, since the next round does again what they do.
pub(super) fn run(
    mut config: Config,
    options: &RunArgs,
    runtime: &Runtime,
    quiet: bool,
    signals: &RoundSignals,
) -> anyhow::Result<()> {
    check(options)?;
    config.set_cluster(options.cluster.scheduler.as_deref());
    let round = tracing::info_span!("round");
    let _entered = round.enter();
    let began = Instant::now();
    read_topics(&config, runtime, quiet, signals)?;
    if signals.is_stopped() {
        return Ok(());
    }
    runtime.block_on(compute(config, options, quiet))?;
    print_line(&format!("done in {:.1} s", began.elapsed().as_secs_f64()))
}

/// Ingests until it is caught up.
fn read_topics(
    config: &Config,
    runtime: &Runtime,
    quiet: bool,
    signals: &RoundSignals,
) -> anyhow::Result<()> {
    let caught_up = IngestRunArgs {
        until_caught_up: true,
        from: "earliest".to_owned(),
        accept_gap: false,
        accept_rejects: false,
        flush_rows: None,
        flush_seconds: None,
        metrics: None,
        format: TextFormat::Text,
    };
    let stage = tracing::info_span!("ingest", records = Empty, accepted = Empty, rejected = Empty);
    let ingest = || {
        signals.while_ingesting(|stop| ingest::from_kafka(config, &caught_up, runtime, quiet, stop))
    };
    let counts = stage.in_scope(ingest).context("ingest")?;
    stage.record("records", counts.records);
    stage.record("accepted", counts.accepted);
    stage.record("rejected", counts.rejected);
    drop(stage);
    print_line(&format!(
        "ingest   {}, {} accepted, {} rejected",
        counted(counts.records, "record"),
        thousands(counts.accepted),
        thousands(counts.rejected)
    ))?;
    ingest::print_rejections(&counts.rejections)?;
    ingest::print_sealed_note(&counts);
    Ok(())
}

/// Computes scores, a plan and a report from the lake.
async fn compute(config: Config, options: &RunArgs, quiet: bool) -> anyhow::Result<()> {
    let topics = config.kafka()?.topics;
    let calls = topics.get(&Stream::ApiCalls).cloned().unwrap_or_default();
    let lake = Lake::open(&config.lake()).await?;
    let project = Project::with_lake(config, lake, quiet)?;
    let as_of = match project.watermark().await? {
        Some(_) => project.as_of(None).await?,
        None => anyhow::bail!(
            "{NO_API_CALLS}: the topic \"{calls}\" has given none. Check that something is produced to \
             it, and [kafka.topics] in rapport.toml; then run this again"
        ),
    };
    let stage = tracing::info_span!("scores", %as_of);
    let (session, scored) =
        plan::scored_session(&project, as_of).instrument(stage).await.context("scores")?;
    print_line(&format!("score    {} as of {as_of}", counted(scored.partners.len(), "partner")))?;
    let made_plan = plan::propose(&project, &session, &scored, Vec::new(), false)
        .instrument(tracing::info_span!("plan"))
        .await
        .context("the plan")?;
    crate::action_plans::write_plan(&made_plan, &options.plan)?;
    print_line(&format!(
        "plan     {} in {}",
        counted(made_plan.changes.len(), "change"),
        options.plan.display()
    ))?;
    let made = report::Made { session: &session, scored: &scored, plan: &made_plan };
    let summary = report::write(&project, &made, &options.out)
        .instrument(tracing::info_span!("report"))
        .await
        .context("the report")?;
    print_line(&format!(
        "report   {}, open {}",
        counted(summary.pages, "page"),
        summary.index.display()
    ))
}
