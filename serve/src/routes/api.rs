//! The JSON API: what the pages show, for programs.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::SecondsFormat;
use dashboards::{HealthRow, PlanRow, Report};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answer::{self, Refusal};
use crate::routes::pages::{list_query, parameters};
use crate::routes::reader::Reader;
use crate::server::App;
use crate::view::{self, FILTERS, View};

type Answer = Result<Response, Refusal>;
type Parts = (State<Arc<App>>, Extension<Reader>, Uri);

/// The number of partners that one answer has at most, and by default.
const MAX_PARTNERS: usize = 1_000;
const PARTNERS: usize = 100;

/// A request of a program.
struct ApiRequest {
    report: Arc<Report>,
    parameters: Vec<(String, String)>,
}

impl ApiRequest {
    /// Reads the view from the query, and finds its report. `known` are the parameters besides.
    async fn new(parts: Parts, known: &[&str]) -> Result<Self, Refusal> {
        let (State(app), Extension(reader), uri) = parts;
        let parameters = parameters(uri.query().unwrap_or_default());
        let is_view = |name: &str| name == "as_of" || name == "run" || FILTERS.contains(&name);
        if let Some((name, _)) =
            parameters.iter().find(|(name, _)| !is_view(name) && !known.contains(&name.as_str()))
        {
            let why = format!("there is no parameter \"{name}\"; /api/v1/openapi.json has all");
            return Err(Refusal::invalid(why).for_api());
        }
        let view = parameters.iter().filter(|(name, _)| is_view(name));
        let view = View::of_parameters(view.map(|(name, value)| (name.as_str(), value.as_str())));
        let view = reader.restricted(view.map_err(|e| Refusal::invalid(e).for_api())?);
        let report = app.reports.report(&view).await;
        Ok(Self { report: report.map_err(|e| Refusal::from(e).for_api())?, parameters })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns data with where it comes from.
    fn answer(&self, data: &Value) -> Response {
        let input = self.report.input();
        let body = json!({
            "as_of": input.as_of,
            "complete_to": input.watermark.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            "run": input.run,
            "table_versions": input.versions,
            "data": data,
        });
        Json(body).into_response()
    }
}

pub(super) async fn freshness(parts: Parts) -> Answer {
    let outage = parts.0.reports.outage();
    let request = ApiRequest::new(parts, &[]).await?;
    let input = request.report.input();
    let instant = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let held_back: Map<String, Value> = input
        .held_back
        .iter()
        .map(|(name, held)| {
            (name.clone(), json!({ "reason": held.reason, "shown_as_of": held.shown_as_of }))
        })
        .collect();
    Ok(request.answer(&json!({
        "made_at": input.generated_at.map(instant),
        "scored_at": input.scored_at.map(instant),
        "policy_version": input.policy_version,
        "slowest_partition_seconds": input.slowest_seconds,
        "held_back": held_back,
        "outage": outage.map(|o| json!({ "since": instant(o.since), "reason": o.why })),
    })))
}

pub(super) async fn metrics(parts: Parts) -> Answer {
    let request = ApiRequest::new(parts, &[]).await?;
    let input = request.report.input();
    let metrics: Vec<Value> = input
        .queries
        .iter()
        .filter(|(name, _)| input.csv.contains_key(*name))
        .map(|(name, doc)| {
            let columns: Vec<Value> = doc
                .columns
                .iter()
                .map(|c| json!({ "name": c.name, "type": c.kind, "unit": c.unit, "description": c.description }))
                .collect();
            json!({
                "name": name,
                "description": doc.description,
                "owner": doc.owner,
                "grain": doc.grain,
                "columns": columns,
                "reads": doc.reads,
                "rows": format!("/api/v1/metrics/{name}"),
            })
        })
        .collect();
    Ok(request.answer(&Value::Array(metrics)))
}

#[derive(Deserialize)]
pub(super) struct Name {
    name: String,
}

pub(super) async fn metric(parts: Parts, Path(Name { name }): Path<Name>) -> Answer {
    let request = ApiRequest::new(parts, &["format", "grain"]).await?;
    let input = request.report.input();
    let name = match request.parameter("grain").filter(|grain| !grain.is_empty()) {
        Some(grain) => of_grain(&name, grain).map_err(|why| Refusal::invalid(why).for_api())?,
        None => name,
    };
    let Some(csv) = input.csv.get(&name) else {
        let why = format!("there is no metric \"{name}\"; /api/v1/metrics lists them");
        return Err(Refusal { why, ..Refusal::not_found() }.for_api());
    };
    match request.parameter("format").unwrap_or("json") {
        "json" => {}
        "csv" => {
            let file = format!("{name}.csv");
            return Ok(answer::file("text/csv; charset=utf-8", &file, csv.clone()));
        }
        other => {
            let why = format!("there is no format \"{other}\"; there are json and csv");
            return Err(Refusal::invalid(why).for_api());
        }
    }
    let rows = request.report.rows(&name).unwrap_or_default();
    Ok(request.answer(&Value::Array(rows.into_iter().map(Value::Object).collect())))
}

/// Returns the name of the rows of a metric by day, week or month.
fn of_grain(name: &str, grain: &str) -> Result<String, String> {
    let table = view::grain(grain)?.table(name);
    let own = || {
        format!(
            "{name} has rows of its own grain only, because those of other periods do not add up \
             to them or are not kept; leave out grain"
        )
    };
    table.map(str::to_owned).ok_or_else(own)
}

pub(super) async fn partners(parts: Parts) -> Answer {
    let request = ApiRequest::new(parts, &["q", "tier", "sort", "page", "limit"]).await?;
    let limit = match request.parameter("limit") {
        None => PARTNERS,
        Some(text) => {
            let why = format!("limit \"{text}\" is no number from 1 to {MAX_PARTNERS}");
            let wrong = || Refusal::invalid(why).for_api();
            let limit = text.parse().ok().filter(|limit| (1..=MAX_PARTNERS).contains(limit));
            limit.ok_or_else(wrong)?
        }
    };
    let query = list_query(&request.parameters).map_err(Refusal::for_api)?;
    let found = request.report.partners(&query);
    let shown: Vec<Value> = found
        .iter()
        .skip(query.page.saturating_mul(limit))
        .take(limit)
        .map(|row| summary(row))
        .collect();
    Ok(request.answer(&json!({ "total": found.len(), "partners": shown })))
}

/// Returns the newest score of a partner without its signals.
fn summary(row: &HealthRow) -> Value {
    json!({
        "partner_id": row.partner_id,
        "name": row.name,
        "segment": row.segment,
        "plan": row.plan,
        "region": row.region,
        "manager": row.manager,
        "stage": row.stage.to_string(),
        "tier": row.tier.name(),
        "tier_since": row.since(),
        "computed_tier": row.computed_tier.map(domain::Tier::name),
        "computed_tier_since": row.tier_since,
        "override_until": row.override_until,
        "score": row.score,
        "coverage": row.coverage,
        "gate": row.gate,
        "risk": row.risk,
        "impact_share": row.impact_share,
        "impact_rank": row.impact_rank,
        "top_reason": row.top_reason,
    })
}

#[derive(Deserialize)]
pub(super) struct Id {
    id: String,
}

pub(super) async fn partner(parts: Parts, Path(Id { id }): Path<Id>) -> Answer {
    let request = ApiRequest::new(parts, &[]).await?;
    let Some((row, history)) = request.report.partner(&id) else {
        let why = "there is no partner of this id".to_owned();
        return Err(Refusal { why, ..Refusal::not_found() }.for_api());
    };
    let signals: Vec<Value> = row
        .signals
        .iter()
        .map(|s| {
            json!({
                "signal": s.name.as_str(), "value": s.value, "score": s.score, "weight": s.weight,
                "contribution": s.contribution, "n": s.n, "reason": s.reason,
            })
        })
        .collect();
    let history: Vec<Value> = history
        .iter()
        .map(|day| json!({ "as_of": day.as_of, "tier": day.tier.name(), "score": day.current_score() }))
        .collect();
    let mut partner = summary(row);
    partner["signals"] = Value::Array(signals);
    partner["history"] = Value::Array(history);
    Ok(request.answer(&partner))
}

pub(super) async fn plan(parts: Parts) -> Answer {
    let request = ApiRequest::new(parts, &[]).await?;
    let input = request.report.input();
    let setting = |setting: &Option<domain::Setting>| json!(setting);
    let changes: Vec<Value> = input
        .plan
        .iter()
        .map(|row| {
            json!({
                "partner_id": row.partner_id,
                "action": row.kind.name(),
                "from": setting(&row.from),
                "to": setting(&row.to),
                "until": row.until.map(domain::Day::date),
                "rule_id": row.rule_id,
                "rule": row.rule,
                "why": row.why,
                "guardrails": row.guardrails,
                "needs_approval": row.needs_approval,
                "decision": decision(row),
            })
        })
        .collect();
    Ok(request.answer(&json!({
        "plan_id": input.plan_facts.plan_id,
        "blocked": input.plan_facts.blocked,
        "changes": changes,
    })))
}

/// Returns what a person decided on a change, or null.
fn decision(row: &PlanRow) -> Value {
    let Some(decision) = &row.status.decision else { return Value::Null };
    json!({
        "verdict": if decision.is_approved { "approved" } else { "rejected" },
        "by": decision.by,
        "at": decision.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "reason": decision.reason,
    })
}

pub(super) async fn alerts(parts: Parts) -> Answer {
    let request = ApiRequest::new(parts, &[]).await?;
    let instant = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let alerts: Vec<Value> = request
        .report
        .input()
        .alerts
        .iter()
        .map(|alert| {
            json!({
                "alert_id": alert.alert_id,
                "partner_id": Some(&alert.partner_id).filter(|id| !id.is_empty()),
                "name": alert.name,
                "holds": alert.misses == 0,
                "since": alert.since.map(instant),
                "about": alert.about,
                "owner": alert.owner,
                "told": alert.told,
                "snoozed_until": alert.snoozed_until.map(instant),
                "note": alert.note,
            })
        })
        .collect();
    Ok(request.answer(&Value::Array(alerts)))
}

/// The body of a question in SQL.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    sql: String,
}

pub(super) async fn sql(
    State(app): State<Arc<App>>,
    Extension(reader): Extension<Reader>,
    question: Result<Json<Question>, axum::extract::rejection::JsonRejection>,
) -> Answer {
    let Json(question) = question.map_err(|e| Refusal::new(e.status(), e.body_text()).for_api())?;
    tracing::info!(by = reader.person.name, sql = question.sql, "asked");
    let answer = app.source.sql_values(&question.sql).await;
    let answer = answer.map_err(|e| Refusal::from(e).for_api())?;
    let body = json!({ "columns": answer.columns, "rows": answer.rows, "is_cut": answer.is_cut });
    Ok(Json(body).into_response())
}
