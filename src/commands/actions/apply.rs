//! `rapport actions apply`, `deliver` and `verify`.

use std::collections::BTreeMap;
use std::sync::Arc;

use actions::{ApplyError, ApplyOptions, ApplyReport, ChangeReport, DeliveryOutcome, Plan};
use domain::{counted, printable};
use scoring::ScoreOutput;
use transform::Session;

use crate::action_plans::{
    LakeStore, PlanMaker, channels, check_settings, lease_seconds, open_plans, read_plan,
    store_plan,
};
use crate::args::{ApplyArgs, DeliverArgs, PlanReferenceArgs};
use crate::commands::plan::{print_extensions, scored_session};
use crate::commands::score_records::author;
use crate::errors::CheckFailed;
use crate::output::{print_line, print_note, print_table};
use crate::project::Project;
use crate::table::Table;

/// The variable of the environment that sets another lease, for tests and for patient receivers.
const LEASE_VARIABLE: &str = "RAPPORT_ACTIONS_LEASE_SECONDS";

/// Applies a plan.
pub(super) async fn apply(project: &Project, options: &ApplyArgs) -> anyhow::Result<()> {
    let plan = read_plan(&project.lake, &options.plan).await?;
    let by = author(options.by.as_deref())?;
    check_settings(project)?;
    let (session, scored) = scored_session(project, project.as_of(None).await?).await?;
    let deliverer = Deliverer::new(project, &session, &scored);
    let report = deliverer.apply(&plan, &by, options.bake_minutes).await?;
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

/// Goes on with all plans that were applied before and can still be applied.
pub(super) async fn deliver(project: &Project, options: &DeliverArgs) -> anyhow::Result<()> {
    let by = author(options.by.as_deref())?;
    check_settings(project)?;
    let (session, scored) = scored_session(project, project.as_of(None).await?).await?;
    let deliverer = Deliverer::new(project, &session, &scored);
    let (mut failed, mut sent) = (0, 0);
    for plan in open_plans(&project.lake, project.now).await? {
        // Without a wait: the first wave of such a plan was sent long ago.
        let report = match deliverer.apply(&plan, &by, Some(0)).await {
            Ok(report) => report,
            Err(error) if error.is::<ApplyError>() => {
                print_note(&printable(&format!("{}: {error}", plan.plan_id)));
                continue;
            }
            Err(error) => return Err(error),
        };
        failed += failures(&report);
        let delivered = |change: &&ChangeReport| change.outcome == DeliveryOutcome::Delivered;
        sent += report.changes.iter().filter(delivered).count();
        let is_past =
            |outcome| matches!(outcome, DeliveryOutcome::Before | DeliveryOutcome::EndedBefore);
        if report.changes.iter().any(|change| !is_past(change.outcome)) {
            print_report(&plan, &report)?;
        }
    }
    print_line(&format!("{} delivered, {failed} failed", counted(sent, "change")))?;
    match failed {
        0 => Ok(()),
        n => Err(CheckFailed(format!("{} failed", counted(n, "change"))).into()),
    }
}

/// Returns how many changes could not be delivered.
pub(crate) fn failures(report: &ApplyReport) -> usize {
    let is_failure = |outcome| {
        use DeliveryOutcome::{Ambiguous, Failed, Refused};
        matches!(outcome, Failed | Refused | Ambiguous)
    };
    report.changes.iter().filter(|change| is_failure(change.outcome)).count()
}

/// Delivers the changes of plans.
pub(crate) struct Deliverer<'a> {
    project: &'a Project,
    session: &'a Arc<Session>,
    scored: &'a ScoreOutput,
}

impl<'a> Deliverer<'a> {
    pub(crate) fn new(
        project: &'a Project,
        session: &'a Arc<Session>,
        scored: &'a ScoreOutput,
    ) -> Self {
        Self { project, session, scored }
    }

    /// Applies a plan as far as it comes now, with so many minutes between two waves; without a number
    /// those of the policy, which people are told.
    pub(crate) async fn apply(
        &self,
        plan: &Plan,
        by: &str,
        bake_minutes: Option<u64>,
    ) -> anyhow::Result<ApplyReport> {
        let project = self.project;
        // The log may have other rows since the last plan.
        let maker = PlanMaker::new(project, self.session, self.scored).await?;
        let channels = channels(&project.config)?;
        let of_policy = u64::try_from(maker.policy().guardrails.bake_minutes).unwrap_or_default();
        let minutes = bake_minutes.unwrap_or(of_policy);
        if minutes > 0 && plan.changes.len() > 1 {
            print_note(&format!(
                "{} in waves, with {} between them",
                counted(plan.changes.len(), "change"),
                counted(minutes, "minute")
            ));
        }
        let lease = std::env::var(LEASE_VARIABLE).ok().and_then(|text| text.parse().ok());
        let options = ApplyOptions {
            by: by.to_owned(),
            bake_seconds: minutes * 60,
            lease_seconds: lease.unwrap_or_else(|| lease_seconds(&project.config)),
        };
        let store = LakeStore::new(project, self.session.as_of(), maker, &plan.plan_id).await?;
        store_plan(&project.lake, plan, project.now).await?;
        Ok(actions::apply(plan, &store, &channels, &options).await?)
    }
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
    print_extensions(plan);
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
    let store = LakeStore::new(project, as_of, maker, &plan.plan_id).await?;
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
    let unknown = reports.iter().filter(|report| report.is_in_force.is_none()).count();
    let unknown = match unknown {
        0 => String::new(),
        n => format!(", {n} unknown: their receiver can't tell"),
    };
    let quotas = counted(reports.len(), "quota");
    print_line(&format!("{quotas} set by the plan, {differ} differ{unknown}"))?;
    match differ {
        0 => Ok(()),
        n => Err(CheckFailed(format!("{} another value in force", counted(n, "quota"))).into()),
    }
}
