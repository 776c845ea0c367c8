//! `rapport run`: everything once on a real cluster, from the topics to the report.

use std::time::Instant;

use anyhow::Context;
use domain::{Stream, counted, thousands};
use lake::Lake;

use crate::args::{IngestRunArgs, RunArgs, TextFormat};
use crate::commands::{ingest, plan, report};
use crate::config::Config;
use crate::errors::report_refusal;
use crate::output::print_line;
use crate::project::{NO_API_CALLS, Project};
use crate::shutdown::{self, TerminationSignals};

pub(crate) fn run(
    mut config: Config,
    options: &RunArgs,
    runtime: &tokio::runtime::Runtime,
    quiet: bool,
) -> anyhow::Result<()> {
    dashboards::check_report(&options.out).map_err(report_refusal)?;
    let began = Instant::now();
    config.set_cluster(options.cluster.scheduler.as_deref());
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
    let topics = config.kafka()?.topics;
    let calls = topics.get(&Stream::ApiCalls).cloned().unwrap_or_default();
    let counts = ingest::from_kafka(&config, &caught_up, runtime, quiet).context("ingest")?;
    print_line(&format!(
        "ingest   {}, {} accepted, {} rejected",
        counted(counts.records, "record"),
        thousands(counts.accepted),
        thousands(counts.rejected)
    ))?;
    ingest::print_rejections(&counts.rejections)?;
    ingest::print_sealed_note(&counts);
    // The next run does again what follows, so nobody has to wait for its end.
    shutdown::exit_on_signals(TerminationSignals::All);
    runtime.block_on(async {
        let lake = Lake::open(&config.lake()).await?;
        let project = Project::with_lake(config, lake, quiet)?;
        let as_of = match project.watermark().await? {
            Some(_) => project.as_of(None).await?,
            None => anyhow::bail!(
                "{NO_API_CALLS}: the topic \"{calls}\" has given none. Check that something is produced \
                 to it, and [kafka.topics] in rapport.toml; then run this again"
            ),
        };
        let (session, scored) = plan::scored_session(&project, as_of).await.context("scores")?;
        print_line(&format!("score    {} as of {as_of}", counted(scored.partners.len(), "partner")))?;
        let made_plan = plan::propose(&project, &session, &scored, Vec::new(), false)
            .await
            .context("the plan")?;
        crate::action_plans::write_plan(&made_plan, &options.plan)?;
        print_line(&format!(
            "plan     {} in {}",
            counted(made_plan.changes.len(), "change"),
            options.plan.display()
        ))?;
        let made = report::Made { session: &session, scored: &scored, plan: &made_plan };
        let summary = report::write(&project, &made, &options.out).await.context("the report")?;
        print_line(&format!(
            "report   {}, open {}",
            counted(summary.pages, "page"),
            summary.index.display()
        ))?;
        print_line(&format!("done in {:.1} s", began.elapsed().as_secs_f64()))
    })
}
