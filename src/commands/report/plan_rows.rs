//! The rows of the pending plan and of the log of actions.

use actions::{Change, GuardrailCheck, Outcome, Plan, StoppedChange, UnlikeTreatment};
use dashboards::{
    ActionLogRow, ChangeStatus, GuardrailEffect, GuardrailHit, PlanFacts, PlanRow, ReportInput,
    StoppedRow, UnlikeRow,
};
use domain::Day;

use super::plan_log::{PlanLog, decision_text};
use super::text_table::{TextTable, optional};
use super::{Made, ReportPartners, table};
use crate::action_plans::LogTable;
use crate::polars_frames;
use crate::project::Project;

/// The entries of the log that a report reads, beside its CSV with all of them.
const LOG_ENTRIES: usize = 1_000;

const PLAN: TextTable<'static, 6> = TextTable {
    name: "actions_plan",
    description: "The pending plan: a row a change, then one for each that was stopped",
    columns: [
        ("partner", "Utf8"),
        ("action", "Utf8"),
        ("change", "Utf8"),
        ("why", "Utf8"),
        ("guardrails", "Utf8"),
        ("decision", "Utf8"),
    ],
};

const UNLIKE: TextTable<'static, 5> = TextTable {
    name: "actions_unlike",
    description: "Partners of one plan and tier that the pending plan treats unlike",
    columns: [
        ("rule", "Utf8"),
        ("plan", "Utf8"),
        ("tier", "Utf8"),
        ("treatment", "Utf8"),
        ("partner_id", "Utf8"),
    ],
};

/// Adds the plan and the log to the report. What people decided since the run counts too.
pub(super) async fn fill(
    project: &Project,
    made: &Made<'_>,
    partners: &ReportPartners,
    input: &mut ReportInput,
) -> anyhow::Result<()> {
    let plan = &restricted(made.plan, partners);
    let (entries, _) = LogTable::new(project.lake.clone()).read().await?;
    let log = PlanLog::new(plan, &entries);
    input.plan = plan.changes.iter().map(|of| change(of, log.status(of))).collect();
    input.plan_facts = PlanFacts {
        plan_id: plan.plan_id.clone(),
        blocked: plan.blocked.clone(),
        stopped: plan.stopped.iter().map(stopped).collect(),
        unlike: plan.unlike.iter().map(unlike).collect(),
    };
    // The rows begin with the changes, in their order.
    let decisions: Vec<String> = input.plan.iter().map(|row| decision_text(&row.status)).collect();
    let decisions = decisions.into_iter().chain(std::iter::repeat(String::new()));
    let rows = actions::plan_table(plan).into_iter().zip(decisions);
    let cells = rows.map(|(row, decision)| {
        [row.partner, row.action.to_owned(), row.change, row.why, row.guardrails, decision]
    });
    PLAN.add(input, cells)?;
    UNLIKE.add(input, unlike_cells(plan))?;
    let log = made.session.metric("action_history").await?;
    let log = partners.rows(&log)?;
    table(input, "action_history", "The log of actions, newest first", &log)?;
    input.action_log = polars_frames::typed_rows::<ActionLogRow>(&log)?;
    input.action_log.truncate(LOG_ENTRIES);
    Ok(())
}

/// Returns the part of a plan that is about some partners.
fn restricted(plan: &Plan, partners: &ReportPartners) -> Plan {
    let mut plan = plan.clone();
    plan.changes.retain(|change| partners.include(&change.partner_id));
    plan.stopped.retain(|stopped| partners.include(&stopped.partner_id));
    for group in &mut plan.unlike {
        for ids in group.treatments.values_mut() {
            ids.retain(|id| partners.include(id));
        }
        group.treatments.retain(|_, ids| !ids.is_empty());
    }
    plan.unlike.retain(|group| group.treatments.len() > 1);
    plan
}

fn change(change: &Change, status: ChangeStatus) -> PlanRow {
    PlanRow {
        partner_id: change.partner_id.clone(),
        kind: change.action,
        from: change.from.clone(),
        to: change.to.clone(),
        until: change.expires_at.map(Day::of_micros),
        rule: change.rationale.rule.clone(),
        rule_id: change.rationale.rule_id.clone(),
        why: actions::rule_and_reason(&change.rationale),
        guardrails: change.guardrails.iter().map(|g| g.reason.clone()).collect(),
        hits: change.guardrails.iter().filter_map(hit).collect(),
        needs_approval: change.needs_approval,
        status,
    }
}

/// Returns what a guardrail did, if it did more than let the change pass.
fn hit(check: &GuardrailCheck) -> Option<GuardrailHit> {
    let effect = match check.outcome {
        Outcome::Passed => return None,
        Outcome::Changed => GuardrailEffect::Changed,
        Outcome::NeedsApproval => GuardrailEffect::NeedsApproval,
        Outcome::Stopped => GuardrailEffect::Stopped,
        Outcome::Overridden => GuardrailEffect::Overridden,
    };
    Some(GuardrailHit { effect, reason: check.reason.clone() })
}

fn stopped(stopped: &StoppedChange) -> StoppedRow {
    let stopping = stopped.guardrails.iter().filter(|check| check.outcome == Outcome::Stopped);
    StoppedRow {
        partner_id: stopped.partner_id.clone(),
        kind: stopped.action,
        from: stopped.from.clone(),
        asked: stopped.asked.clone(),
        rule: stopped.rationale.rule.clone(),
        why: actions::rule_and_reason(&stopped.rationale),
        stopped_by: stopping.map(|check| check.reason.clone()).collect(),
    }
}

fn unlike(group: &UnlikeTreatment) -> UnlikeRow {
    let treatments = group.treatments.iter();
    UnlikeRow {
        rule: group.rule.clone(),
        plan: group.plan.clone(),
        tier: group.tier,
        treatments: treatments.map(|(name, ids)| (name.clone(), ids.clone())).collect(),
    }
}

/// Returns a row for each partner of each group.
fn unlike_cells(plan: &Plan) -> Vec<[String; 5]> {
    let mut cells = Vec::new();
    for group in &plan.unlike {
        for (treatment, partners) in &group.treatments {
            for partner_id in partners {
                cells.push([
                    group.rule.clone(),
                    optional(group.plan.as_ref()),
                    group.tier.name().to_owned(),
                    treatment.clone(),
                    partner_id.clone(),
                ]);
            }
        }
    }
    cells
}
