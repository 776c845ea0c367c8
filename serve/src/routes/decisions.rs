//! The forms by which people decide. Each leads back to the page that it stands on, which says what
//! became of it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::SignedCookieJar;
use chrono::{NaiveDate, Utc};
use dashboards::{Notice, Report};
use serde::Deserialize;

use crate::answer::Refusal;
use crate::data_source::{Decision, PlanDecision, SourceError, Verdict};
use crate::routes::pages::view_of_path;
use crate::routes::reader::Reader;
use crate::server::App;

/// The variable of the path.
#[derive(Deserialize)]
pub(super) struct Kind {
    kind: String,
}

/// The fields of all forms. Which of them count depends on the kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    partner: String,
    tier: String,
    days: String,
    reason: String,
    text: String,
    plan: String,
    rule: String,
    asked: String,
    alert: String,
    from: String,
    to: String,
    mark_only: String,
}

pub(super) async fn decide(
    State(app): State<Arc<App>>,
    Extension(reader): Extension<Reader>,
    headers: HeaderMap,
    uri: Uri,
    Path(kind): Path<Kind>,
    Form(fields): Form<Fields>,
) -> Result<Response, Refusal> {
    let shown = view_of_path(&uri)?;
    let report = app.reports.report(&reader.restricted(shown.clone())).await?;
    let decision = decision(&kind.kind, &fields, &report)?;
    if let Decision::Annotation { partner: None, .. } = &decision
        && reader.person.only_manager().is_some()
    {
        let why = "An explanation of all partners is not for whoever sees some of them";
        return Err(Refusal::new(StatusCode::FORBIDDEN, why));
    }
    let page = match &decision {
        Decision::Override { partner, .. }
        | Decision::Note { partner, .. }
        | Decision::Annotation { partner: Some(partner), .. } => {
            report.partner_page(partner).ok_or_else(no_partner)?
        }
        Decision::Annotation { partner: None, .. } => "data.html".to_owned(),
        Decision::Plan(_) => "actions.html".to_owned(),
        Decision::Snooze { .. } | Decision::AlertNote { .. } => "alerts.html".to_owned(),
    };
    let recorded = app.source.decide(&decision, &reader.person.name).await;
    let notice = match recorded {
        Ok(text) => {
            tracing::info!(by = reader.person.name, ?decision, "decided");
            // The page that follows shows what was decided.
            if let Err(error) = app.reports.refresh(Utc::now()).await {
                tracing::warn!(%error, "the pages do not show the decision yet");
            }
            Notice { text, is_error: false }
        }
        Err(SourceError::Failed(why)) => return Err(SourceError::Failed(why).into()),
        Err(error) => Notice { text: format!("Nothing was recorded: {error}"), is_error: true },
    };
    let jar = SignedCookieJar::from_headers(&headers, app.cookies.key.clone());
    let jar = app.cookies.keep_notice(jar, &notice);
    Ok((jar, Redirect::to(&shown.path(&page))).into_response())
}

fn no_partner() -> Refusal {
    Refusal::invalid("You see no partner of this id")
}

/// Returns the decision of a form on what the reader sees.
fn decision(kind: &str, fields: &Fields, report: &Report) -> Result<Decision, Refusal> {
    let partner = || {
        let is_seen = report.partner_page(&fields.partner).is_some();
        if is_seen { Ok(fields.partner.clone()) } else { Err(no_partner()) }
    };
    match kind {
        "override" => {
            let tier = match fields.tier.as_str() {
                "" => None,
                name => Some(name.parse().map_err(|_| Refusal::invalid("There is no such tier"))?),
            };
            let days = fields.days.parse();
            let days = days.map_err(|_| Refusal::invalid("The days are no whole number"))?;
            let reason = fields.reason.clone();
            Ok(Decision::Override { partner: partner()?, tier, days, reason })
        }
        "annotate" => {
            let of_partner = !fields.partner.is_empty();
            let partner = of_partner.then(partner).transpose()?;
            let first = day(&fields.from, "first")?;
            let last = if fields.to.is_empty() { first } else { day(&fields.to, "last")? };
            let (text, is_calm) = (fields.text.clone(), fields.mark_only.is_empty());
            Ok(Decision::Annotation { partner, first, last, text, is_calm })
        }
        "note" => Ok(Decision::Note { partner: partner()?, text: fields.text.clone() }),
        "snooze" => {
            let (alert, partner) = seen_alert(fields, report)?;
            let days = fields.days.parse().ok().filter(|days| (1..=90).contains(days));
            let days =
                days.ok_or_else(|| Refusal::invalid("An alert is snoozed for 1 to 90 days"))?;
            Ok(Decision::Snooze { alert, partner, days, reason: fields.reason.clone() })
        }
        "alert-note" => {
            let (alert, partner) = seen_alert(fields, report)?;
            Ok(Decision::AlertNote { alert, partner, text: fields.text.clone() })
        }
        "approve" => plan_decision(Verdict::Approve, fields, report),
        "reject" => plan_decision(Verdict::Reject, fields, report),
        _ => Err(Refusal::not_found()),
    }
}

fn day(text: &str, which: &str) -> Result<NaiveDate, Refusal> {
    let wrong = |_| Refusal::invalid(format!("The {which} day is no date; write 2026-01-31"));
    text.parse().map_err(wrong)
}

/// Returns the alert of a form and its partner, if the reader sees it.
fn seen_alert(fields: &Fields, report: &Report) -> Result<(String, Option<String>), Refusal> {
    let is_it = |alert: &&dashboards::AlertRow| {
        alert.alert_id == fields.alert && alert.partner_id == fields.partner
    };
    if !report.input().alerts.iter().any(|alert| is_it(&alert)) {
        return Err(Refusal::invalid("You see no such alert; it may be over"));
    }
    let partner = Some(fields.partner.clone()).filter(|partner| !partner.is_empty());
    Ok((fields.alert.clone(), partner))
}

/// Returns the decision on those changes of a rule that the reader sees. Without a partner they are
/// those on which nobody has decided yet.
fn plan_decision(verdict: Verdict, fields: &Fields, report: &Report) -> Result<Decision, Refusal> {
    let input = report.input();
    // Every decision makes another plan. A page of an earlier one still asks about the one change that
    // it names, as long as that change is the same. Of all changes of a rule nobody knows that.
    let is_shown = |row: &dashboards::PlanRow| {
        row.rule_id == fields.rule
            && row.partner_id == fields.partner
            && row.asked() == fields.asked
    };
    if fields.plan != input.plan_facts.plan_id && !input.plan.iter().any(is_shown) {
        return Err(Refusal::invalid("The plan has changed since this page was made: look again"));
    }
    let is_meant = |row: &&dashboards::PlanRow| {
        let is_open = match verdict {
            _ if fields.partner.is_empty() => row.is_waiting(),
            Verdict::Approve => row.status.can_approve,
            Verdict::Reject => row.status.can_reject,
        };
        is_open
            && row.rule_id == fields.rule
            && (fields.partner.is_empty() || row.partner_id == fields.partner)
    };
    let mut partners: Vec<String> =
        input.plan.iter().filter(is_meant).map(|row| row.partner_id.clone()).collect();
    partners.sort_unstable();
    partners.dedup();
    if partners.is_empty() {
        return Err(Refusal::invalid(
            "None of these changes is open for this decision; it may have been made, or sent, already",
        ));
    }
    Ok(Decision::Plan(PlanDecision {
        plan: input.plan_facts.plan_id.clone(),
        verdict,
        rule: fields.rule.clone(),
        partners,
        reason: Some(fields.reason.clone()).filter(|reason| !reason.trim().is_empty()),
    }))
}
