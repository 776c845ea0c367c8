//! What people decide on the pages: the same records as those of the commands.

use actions::Change;
use actions::log::EntryKind;
use domain::{Tier, counted};
use serve::{Decision, PlanDecision, Verdict};

use super::lake_source::ServedLake;
use crate::args::{AlertNoteArgs, GivenTier, NoteArgs, OverrideArgs, SnoozeArgs};
use crate::commands::actions::decide::{self, Decider};
use crate::commands::alerts::record as alert_record;
use crate::commands::score_records::{author, note, option_text, override_tier};
use crate::errors::usage_error;

/// Records a decision. Returns a sentence on it.
pub(super) async fn record(
    source: &ServedLake,
    decision: &Decision,
    by: &str,
) -> anyhow::Result<String> {
    let by = author(Some(by))?;
    // Opened anew, for the clock of a record is that of its project.
    let project = source.open().await?;
    match decision {
        Decision::Override { partner, tier, days, reason } => {
            let tier = tier.map(given_tier).transpose()?;
            let options = OverrideArgs {
                partner: partner.clone(),
                tier,
                end: tier.is_none(),
                reason: reason.clone(),
                by: Some(by),
                until: None,
                days: tier.map(|_| *days),
            };
            Ok(override_tier::write(&project, &options).await?.line)
        }
        Decision::Note { partner, text } => {
            let options = NoteArgs { partner: partner.clone(), text: text.clone(), by: Some(by) };
            note::write(&project, &options).await
        }
        Decision::Snooze { alert, partner, days, reason } => {
            let options = SnoozeArgs {
                alert: alert.clone(),
                partner: partner.clone(),
                days: *days,
                until: None,
                end: false,
                reason: reason.clone(),
                by: Some(by),
            };
            alert_record::snooze(&project, &options).await
        }
        Decision::AlertNote { alert, partner, text } => {
            let options = AlertNoteArgs {
                alert: alert.clone(),
                text: text.clone(),
                partner: partner.clone(),
                by: Some(by),
            };
            alert_record::note(&project, &options).await
        }
        Decision::Plan(decision) => decide_on_plan(source, &project, decision, &by).await,
    }
}

fn given_tier(tier: Tier) -> anyhow::Result<GivenTier> {
    match tier {
        Tier::Healthy => Ok(GivenTier::Healthy),
        Tier::Watch => Ok(GivenTier::Watch),
        Tier::AtRisk => Ok(GivenTier::AtRisk),
        other => Err(usage_error(format!(
            "nobody sets the tier {}; it says where a partner is in its life",
            other.words()
        ))),
    }
}

async fn decide_on_plan(
    source: &ServedLake,
    project: &crate::project::Project,
    decision: &PlanDecision,
    by: &str,
) -> anyhow::Result<String> {
    let base = source
        .plan(&decision.plan)
        .ok_or_else(|| usage_error("the plan has changed since this page was made: look again"))?;
    let reason =
        decision.reason.as_deref().map(|text| option_text("the reason", text)).transpose()?;
    let kind = match decision.verdict {
        Verdict::Approve => EntryKind::Approved,
        Verdict::Reject => EntryKind::Rejected,
    };
    let is_meant = |change: &&Change| {
        change.rationale.rule_id == decision.rule && decision.partners.contains(&change.partner_id)
    };
    let chosen: Vec<&Change> = base.plan.changes.iter().filter(is_meant).collect();
    let decider = Decider { by, reason };
    let open = decide::record(project, &base.plan, &chosen, kind, decider).await?;
    if open.is_empty() {
        return Err(usage_error("somebody has decided on these changes already"));
    }
    let next = match decision.verdict {
        Verdict::Approve => {
            format!("; `rapport actions apply {}` sends what is approved", decision.plan)
        }
        Verdict::Reject => String::new(),
    };
    Ok(format!("{} {kind} by {by}{next}", counted(open.len(), "change")))
}
