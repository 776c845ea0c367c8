//! `rapport alerts check`: evaluates the alerts and tells people.

use actions::{DeliveryOutcome, Plan, StoppedChange};
use domain::{counted, printable};

use super::list::{OpenAlert, open_alerts, print_alerts};
use crate::action_plans::{
    PlanMaker, PlanOptions, channels, channels_in_force, check_settings_and_recipients,
};
use crate::alerts::evaluate_alerts;
use crate::args::{CheckAlertsArgs, Format};
use crate::commands::actions::{Deliverer, failures};
use crate::commands::plan::scored_session;
use crate::commands::score_records::author;
use crate::errors::CheckFailed;
use crate::output::{print_message, print_note};
use crate::project::Project;

pub(super) async fn run(project: &Project, options: &CheckAlertsArgs) -> anyhow::Result<()> {
    // Nothing is written by a dry run, so nobody has to be named.
    let by = if options.dry_run { String::new() } else { author(options.by.as_deref())? };
    check_settings_and_recipients(project)?;
    let as_of = project.as_of(options.as_of.as_deref()).await?;
    let (session, scored) = scored_session(project, as_of).await?;
    let maker = PlanMaker::new(project, &session, &scored).await?;
    let channels = channels(&project.config)?;
    let made = PlanOptions {
        channels: channels_in_force(&project.config, &channels)?,
        keeps_episodes: !options.dry_run,
        ..PlanOptions::default()
    };
    let (policy, name) = (maker.policy(), maker.policy_name());
    let findings = evaluate_alerts(project, &session, policy, name, maker.history()).await?;
    let plan = maker.notices(&findings, &made).await?;
    for why in &plan.blocked {
        print_message(&printable(&format!("Nobody is told: {why}")));
    }
    for stopped in &plan.stopped {
        print_message(&printable(&stopped_line(stopped)));
    }
    let failed = match options.dry_run || project.is_read_only() || plan.changes.is_empty() {
        true => 0,
        false => deliver(&Deliverer::new(project, &session, &scored), &plan, &by).await?,
    };
    let shown: Vec<OpenAlert> = match options.dry_run {
        true => super::list::found_alerts(&findings, &plan),
        false => open_alerts(project, policy).await?,
    };
    if options.dry_run && options.format == Format::Table {
        print_note(&format!(
            "{} would be sent; nothing was written or sent",
            counted(plan.changes.len(), "notice")
        ));
    }
    print_alerts(&shown, options.format)?;
    match failed {
        0 => Ok(()),
        n => Err(CheckFailed(format!(
            "{} could not be delivered; the next check tries again",
            counted(n, "notice")
        ))
        .into()),
    }
}

/// Sends the notices and says what came of those that were not sent before.
async fn deliver(deliverer: &Deliverer<'_>, plan: &Plan, by: &str) -> anyhow::Result<usize> {
    let report = deliverer.apply(plan, by, Some(0)).await?;
    let mut delivered = 0;
    let mut waiting = 0;
    for change in &report.changes {
        match change.outcome {
            DeliveryOutcome::Delivered => delivered += 1,
            DeliveryOutcome::Before | DeliveryOutcome::EndedBefore | DeliveryOutcome::Rejected => {}
            DeliveryOutcome::NeedsApproval => waiting += 1,
            outcome => print_message(&printable(&format!(
                "{} {}: {}",
                change.partner_id,
                outcome.words(),
                change.text
            ))),
        }
    }
    print_note(&format!("{} sent", counted(delivered, "notice")));
    if waiting > 0 {
        print_note(&format!(
            "{} for a person to decide: rapport actions approve {} --all",
            counted(waiting, "notice"),
            plan.plan_id
        ));
    }
    if let Some(why) = &report.halted {
        print_message(&printable(&format!("The rest waits for the next check: {why}")));
    }
    Ok(failures(&report))
}

fn stopped_line(stopped: &StoppedChange) -> String {
    let why = stopped.guardrails.last().map_or("", |check| check.reason.as_str());
    format!("{}: nobody is told of {}: {why}", stopped.partner_id, stopped.rationale.rule)
}
