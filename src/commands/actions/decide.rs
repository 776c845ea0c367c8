//! `rapport actions approve` and `reject`: what a person decides on the changes of a plan.

use actions::log::{EntryKind, History, LogEntry, Progress};
use actions::{Change, Plan, log_entry};
use domain::counted;

use crate::action_plans::{LogTable, read_plan, store_plan};
use crate::args::DecideArgs;
use crate::commands::score_records::{author, option_text};
use crate::errors::usage_error;
use crate::output::{print_line, print_note};
use crate::project::Project;

/// Writes that a person agrees to changes.
pub(super) async fn approve(project: &Project, options: &DecideArgs) -> anyhow::Result<()> {
    decide(project, options, EntryKind::Approved).await
}

/// Writes that a person refuses changes.
pub(super) async fn reject(project: &Project, options: &DecideArgs) -> anyhow::Result<()> {
    decide(project, options, EntryKind::Rejected).await
}

async fn decide(project: &Project, options: &DecideArgs, kind: EntryKind) -> anyhow::Result<()> {
    let plan = read_plan(&project.lake, &options.plan).await?;
    anyhow::ensure!(
        plan.content_digest()? == plan.digest,
        "the plan {} was edited: its digest does not fit its content",
        plan.plan_id
    );
    let by = author(options.by.as_deref())?;
    let reason = options.reason.as_deref().map(|text| option_text("--reason", text)).transpose()?;
    let chosen = chosen(&plan, options)?;
    let open = record(project, &plan, &chosen, kind, Decider { by: &by, reason }).await?;
    if open.is_empty() {
        print_note("None of these changes waits for that decision; nothing was written");
        return print_line(&format!("0 changes {kind}"));
    }
    for change in &open {
        let (from, to) = (change.from.as_ref(), change.to.as_ref());
        print_line(&format!(
            "{} {}: {} → {}",
            change.partner_id,
            change.action,
            domain::format::plain_setting(from),
            domain::format::plain_setting(to)
        ))?;
    }
    print_line(&format!("{} {kind} by {by}", counted(open.len(), "change")))
}

/// Who decides, and why.
pub(crate) struct Decider<'a> {
    pub(crate) by: &'a str,
    pub(crate) reason: Option<String>,
}

/// Writes a decision on those of the changes that it is still open for. Returns these.
pub(crate) async fn record<'a>(
    project: &Project,
    plan: &Plan,
    chosen: &[&'a Change],
    kind: EntryKind,
    Decider { by, reason }: Decider<'_>,
) -> anyhow::Result<Vec<&'a Change>> {
    let log = LogTable::new(project.lake.clone());
    let history = History::of(&log.read().await?.0);
    let open: Vec<&Change> =
        chosen.iter().copied().filter(|change| is_open(&history, plan, change, kind)).collect();
    if open.is_empty() {
        return Ok(open);
    }
    store_plan(&project.lake, plan, project.now).await?;
    let rows: Vec<LogEntry> = open
        .iter()
        .map(|change| LogEntry {
            answer: reason.clone(),
            ..log_entry(plan, change, kind, project.now, by)
        })
        .collect();
    log.append_always(&rows).await?;
    Ok(open)
}

/// Returns whether a person may still decide so on a change of a plan. What the receiver has taken or
/// the plan has ended is not open; what was decided before can be decided the other way.
pub(crate) fn is_open(history: &History, plan: &Plan, change: &Change, kind: EntryKind) -> bool {
    match history.change(&change.key) {
        // Approving what needs nobody would only fill the log.
        None => kind == EntryKind::Rejected || change.needs_approval,
        Some(found) => match (kind, found.progress) {
            (_, Progress::Acknowledged) => false,
            _ if found.ended_in.contains_key(&plan.plan_id) => false,
            (EntryKind::Rejected, _) => !found.is_rejected,
            _ => found.approved_by.is_none() || found.is_rejected,
        },
    }
}

/// Returns the changes that the options name.
fn chosen<'a>(plan: &'a Plan, options: &DecideArgs) -> anyhow::Result<Vec<&'a Change>> {
    if !options.all && options.partner.is_empty() && options.rule.is_empty() {
        return Err(usage_error("name changes by --partner or --rule, or take --all of them"));
    }
    for id in &options.partner {
        if !plan.changes.iter().any(|change| change.partner_id == *id) {
            return Err(usage_error(format!(
                "the plan {} changes nothing of the partner \"{id}\"",
                plan.plan_id
            )));
        }
    }
    for id in &options.rule {
        if !plan.changes.iter().any(|change| change.rationale.rule_id == *id) {
            return Err(usage_error(format!(
                "no change of the plan {} comes from a rule with the id \"{id}\"",
                plan.plan_id
            )));
        }
    }
    let is_named = |given: &[String], id: &str| given.is_empty() || given.iter().any(|g| g == id);
    let changes = plan.changes.iter().filter(|change| {
        is_named(&options.partner, &change.partner_id)
            && is_named(&options.rule, &change.rationale.rule_id)
    });
    Ok(changes.collect())
}
