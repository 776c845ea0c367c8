//! `rapport actions apply`, `deliver` and `verify`.

use std::collections::BTreeMap;

use actions::{ApplyError, ApplyOptions, ApplyReport, DeliveryOutcome, Plan};
use domain::{counted, printable};

use crate::action_plans::{
    LakeStore, PlanMaker, channels, lease_seconds, read_plan, store_plan, stored_plan_ids,
};
use crate::args::{ApplyArgs, DeliverArgs, PlanReferenceArgs};
use crate::commands::plan::scored_session;
use crate::commands::score_records::author;
use crate::errors::CheckFailed;
use crate::output::{print_line, print_message, print_note, print_table};
use crate::project::Project;
use crate::table::Table;

/// The variable of the environment that sets another lease, for tests and for patient receivers.
const LEASE_VARIABLE: &str = "RAPPORT_ACTIONS_LEASE_SECONDS";

/// Applies a plan.
pub(super) async fn apply(project: &Project, options: &ApplyArgs) -> anyhow::Result<()> {
    let plan = read_plan(&project.lake, &options.plan).await?;
    let by = author(options.by.as_deref())?;
    let report = applied(project, &plan, &by, options.bake_minutes, true).await?;
    print_report(&plan, &report)?;
    let failed = failures(&report);
    if let Some(why) = report.halted {
        return Err(CheckFailed(format!("not all was sent: {why}")).into());
    }
    match failed {
        0 => Ok(()),
        n => Err(CheckFailed(format!("{} failed", counted(n, "change"))).into()),
    }
}

/// Goes on with all plans that were applied before.
pub(super) async fn deliver(project: &Project, options: &DeliverArgs) -> anyhow::Result<()> {
    let by = author(options.by.as_deref())?;
    let mut failed = 0;
    let mut sent = 0;
    for id in stored_plan_ids(&project.lake).await? {
        let plan = read_plan(&project.lake, &id).await?;
        // Without a wait: the first wave of such a plan was sent long ago.
        let report = match applied(project, &plan, &by, Some(0), false).await {
            Ok(report) => report,
            Err(error) if error.is::<ApplyError>() => {
                print_note(&printable(&format!("{id}: {error}")));
                continue;
            }
            Err(error) => return Err(error),
        };
        failed += failures(&report);
        sent += report
            .changes
            .iter()
            .filter(|change| change.outcome == DeliveryOutcome::Delivered)
            .count();
        if report.changes.iter().any(|change| change.outcome != DeliveryOutcome::Before) {
            print_report(&plan, &report)?;
        }
    }
    print_line(&format!("{} delivered, {failed} failed", counted(sent, "change")))?;
    match failed {
        0 => Ok(()),
        n => Err(CheckFailed(format!("{} failed", counted(n, "change"))).into()),
    }
}

fn failures(report: &ApplyReport) -> usize {
    let is_failure = |outcome| {
        use DeliveryOutcome::{Ambiguous, Failed, Refused};
        matches!(outcome, Failed | Refused | Ambiguous)
    };
    report.changes.iter().filter(|change| is_failure(change.outcome)).count()
}

/// Applies a plan as far as it comes now.
async fn applied(
    project: &Project,
    plan: &Plan,
    by: &str,
    bake_minutes: Option<u64>,
    is_told: bool,
) -> anyhow::Result<ApplyReport> {
    let as_of = project.as_of(None).await?;
    let (session, scored) = scored_session(project, as_of).await?;
    let maker = PlanMaker::new(project, &session, &scored).await?;
    let channels = channels(&project.config)?;
    let of_policy = u64::try_from(maker.policy().guardrails.bake_minutes).unwrap_or_default();
    let bake_minutes = bake_minutes.unwrap_or(of_policy);
    let changes = plan.changes.len();
    if is_told && bake_minutes > 0 && changes > 1 {
        print_note(&format!(
            "{} in waves, with {} between them",
            counted(changes, "change"),
            counted(bake_minutes, "minute")
        ));
    }
    let lease = std::env::var(LEASE_VARIABLE).ok().and_then(|text| text.parse().ok());
    let options = ApplyOptions {
        by: by.to_owned(),
        bake_seconds: bake_minutes * 60,
        lease_seconds: lease.unwrap_or_else(|| lease_seconds(&project.config)),
    };
    let store = LakeStore::new(project.lake.clone(), &maker, &plan.plan_id)?;
    let version = maker.policy().version.clone();
    store_plan(&project.lake, plan, project.now).await?;
    Ok(actions::apply(plan, &version, &store, &channels, &options).await?)
}

/// Prints what came of each change, and the totals.
fn print_report(plan: &Plan, report: &ApplyReport) -> anyhow::Result<()> {
    let mut table = Table::new(["partner", "action", "outcome", "what", "key"], &[]);
    for change in &report.changes {
        let key: String = change.key.chars().take(12).collect();
        table.row([
            change.partner_id.as_str(),
            change.action.name(),
            change.outcome.words(),
            printable(&change.text).as_ref(),
            key.as_str(),
        ]);
    }
    if !report.changes.is_empty() {
        print_table(&table)?;
        print_line("")?;
    }
    for extension in &plan.extensions {
        print_message(&printable(&format!(
            "{}: its grant should end and goes on: {}; a person decides",
            extension.partner_id, extension.reason
        )));
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for change in &report.changes {
        *counts.entry(change.outcome.words()).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(word, n)| format!("{n} {word}")).collect();
    let what = if counts.is_empty() { "nothing to send".to_owned() } else { counts.join(", ") };
    print_line(&format!("Plan {}: {what}", plan.plan_id))
}

/// Asks the receivers whether what a plan set is in force.
pub(super) async fn verify(project: &Project, options: &PlanReferenceArgs) -> anyhow::Result<()> {
    let plan = read_plan(&project.lake, &options.plan).await?;
    let by = author(options.by.as_deref())?;
    let as_of = project.as_of(None).await?;
    let (session, scored) = scored_session(project, as_of).await?;
    let maker = PlanMaker::new(project, &session, &scored).await?;
    let store = LakeStore::new(project.lake.clone(), &maker, &plan.plan_id)?;
    let channels = channels(&project.config)?;
    let reports = actions::verify(&plan, &store, &channels, &by).await?;
    let mut table = Table::new(["partner", "in force", "what"], &[]);
    for report in &reports {
        let word = match report.is_in_force {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        table.row([report.partner_id.as_str(), word, printable(&report.text).as_ref()]);
    }
    if !reports.is_empty() {
        print_table(&table)?;
        print_line("")?;
    }
    let differ = reports.iter().filter(|report| report.is_in_force == Some(false)).count();
    print_line(&format!("{} set by the plan, {differ} differ", counted(reports.len(), "quota")))?;
    match differ {
        0 => Ok(()),
        n => Err(CheckFailed(format!("{} another value in force", counted(n, "quota"))).into()),
    }
}
