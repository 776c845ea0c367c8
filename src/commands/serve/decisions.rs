//! What people decide on the pages: the same records as those of the commands.

use actions::Change;
use actions::log::EntryKind;
use domain::{Day, Tier, counted, printable};
use serve::{Decision, PlanDecision, Verdict};

use super::lake_source::ServedLake;
use crate::args::{AlertNoteArgs, GivenTier, NoteArgs, OverrideArgs, SnoozeArgs};
use crate::commands::actions::decide::{self, Decider};
use crate::commands::alerts::record as alert_record;
use crate::commands::score_records::annotate::{self, Annotation};
use crate::commands::score_records::{author, checked_text, note, override_tier};
use crate::errors::usage_error;
use crate::project::Project;

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
            form_text("Reason", reason)?;
            let tier = tier.map(given_tier).transpose()?;
            if tier.is_some() && !(1..=override_tier::MAX_DAYS).contains(days) {
                return Err(usage_error(format!(
                    "a tier is set for 1 to {} days, and {days} were given; set it again if it is \
                     still right then",
                    override_tier::MAX_DAYS
                )));
            }
            let options = OverrideArgs {
                partner: partner.clone(),
                tier,
                end: tier.is_none(),
                reason: reason.clone(),
                by: Some(by),
                until: None,
                days: tier.map(|_| *days),
            };
            let recorded = override_tier::write(&project, &options).await?;
            recorded.map(|recorded| recorded.line).ok_or_else(|| {
                usage_error(
                    "the tier is the computed one already; somebody ended the override, or its days \
                     were over, since this page was made",
                )
            })
        }
        Decision::Annotation { partner, first, last, text, is_calm } => {
            let (first, last) = (Day::of_date(*first), Day::of_date(*last));
            let text = form_text("What happened", text)?;
            annotate::check_days(first, last)
                .map_err(|what| usage_error(format!("the days: {what}")))?;
            let (partner, is_calm) = (partner.clone(), *is_calm);
            let annotation = Annotation { partner, first, last, text, is_calm };
            annotate_days(&project, annotation, by).await
        }
        Decision::Note { partner, text } => {
            form_text("Note", text)?;
            let options = NoteArgs { partner: partner.clone(), text: text.clone(), by: Some(by) };
            note::write(&project, &options).await
        }
        Decision::Snooze { alert, partner, days, reason } => {
            form_text("Reason", reason)?;
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
            form_text("Note", text)?;
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

/// Returns the text of a field without the space around it. Refusals name the field as the form
/// does, since the commands that are called afterwards name their options.
fn form_text(field: &str, text: &str) -> anyhow::Result<String> {
    checked_text(text).map_err(|what| usage_error(format!("the field \"{field}\" {what}")))
}

/// Explains days. Returns a sentence on it.
async fn annotate_days(
    project: &Project,
    annotation: Annotation,
    by: String,
) -> anyhow::Result<String> {
    let (first, last) = (annotation.first, annotation.last);
    let days = match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    };
    let of = annotation.partner.as_deref().unwrap_or("all partners").to_owned();
    let effect = match annotation.is_calm {
        true => "missing calls on these days count against nobody",
        false => "charts mark these days, and scores count them",
    };
    let (_, is_new) = annotate::write(project, annotation, by.clone()).await?;
    let line = match is_new {
        true => format!("{of}: {days} explained by {by}; {effect}"),
        false => format!("{of}: {days} has this explanation already; nothing was added"),
    };
    Ok(printable(&line).into_owned())
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
    project: &Project,
    decision: &PlanDecision,
    by: &str,
) -> anyhow::Result<String> {
    let base = source
        .plan(&decision.plan)
        .ok_or_else(|| usage_error("the plan has changed since this page was made: look again"))?;
    let reason = decision.reason.as_deref().map(|text| form_text("Reason", text)).transpose()?;
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
