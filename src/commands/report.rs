//! `rapport report`: one run of the lake as static pages.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use actions::{ActionKind, Change, Plan, Setting};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use chrono::{DateTime, NaiveDate, Utc};
use dashboards::{
    ColumnDoc, HealthRow, Held, HistoryRow, PartnerDayRow, PartnerRow, PlanRow, PolicyInForce,
    Provenance, QueryDoc, ReportError, ReportInput, Signal,
};
use futures::StreamExt;
use lake::schema;
use lake_types::{Day, Stream, counted};
use scoring::{PartnerScore, ScoreOutput};
use serde::Deserialize;
use transform::{Catalog, Kind, Query, QueryResult, Session};

use crate::commands::{docs, plan, score};
use crate::failure::usage;
use crate::frames;
use crate::output::{self, Rows, line};
use crate::progress::Stage;
use crate::project::Project;
use crate::published::{Metrics, Told};
use crate::reports;
use crate::scores;

/// How many days of traffic the partner pages show.
const TRAFFIC_DAYS: i32 = 90;

pub(crate) async fn run(project: &Project, out: &Path, as_of: Option<&str>) -> anyhow::Result<()> {
    dashboards::check_report(out).map_err(refused)?;
    let as_of = project.as_of(as_of).await?;
    let (session, scored) = plan::scored_session(project, as_of).await?;
    let plan = plan::make(project, &session, &scored).await?;
    let made = Made { session: &session, scored: &scored, plan: &plan };
    let summary = write(project, &made, out).await?;
    line(&format!("{}; open {}", counted(summary.pages, "page"), summary.index.display()))
}

/// A folder that is not ours is a wrong `--out`.
pub(crate) fn refused(error: ReportError) -> anyhow::Error {
    match error {
        ReportError::NotOurs { .. } | ReportError::Root { .. } => usage(error.to_string()),
        other => other.into(),
    }
}

/// What a report is written from.
pub(crate) struct Made<'a> {
    pub(crate) session: &'a Arc<Session>,
    pub(crate) scored: &'a ScoreOutput,
    pub(crate) plan: &'a Plan,
}

/// Notes the run and writes its pages.
pub(crate) async fn write(
    project: &Project,
    made: &Made<'_>,
    out: &Path,
) -> anyhow::Result<dashboards::ReportSummary> {
    let stage = Stage::begin("report", project.quiet);
    let begun = reports::begin(project, out).await?;
    let run = project.note_run(made.session).await?;
    let mut input = header(project, made, run).await?;
    // Rows of partners that were erased since must not be shown again.
    let before = (!begun.is_outdated).then_some(out);
    fill_metrics(project, made.session, before, &mut input, &stage).await?;
    fill_partners(made, &mut input).await?;
    stage.say("pages".to_owned());
    let summary = dashboards::write_report(&input, out).map_err(refused)?;
    reports::end(project, &begun).await;
    Ok(summary)
}

async fn header(
    project: &Project,
    made: &Made<'_>,
    run: Option<u64>,
) -> anyhow::Result<ReportInput> {
    let instant = DateTime::<Utc>::from_timestamp_micros;
    let watermark = project.lake.watermark().await?;
    let scored = made.scored.partners.first();
    Ok(ReportInput {
        as_of: made.session.as_of().day().date(),
        currency: project.config.reporting_currency().to_owned(),
        rapport_version: env!("CARGO_PKG_VERSION").to_owned(),
        run: run.map(|run| run.to_string()),
        policy_version: scored.map(|p| p.policy_version.clone()),
        policy: in_force(project)?,
        generated_at: instant(project.now),
        watermark: watermark.and_then(instant),
        versions: made.session.versions().clone(),
        slowest_seconds: slowest(project).await?,
        scored_at: instant(project.now),
        ..ReportInput::default()
    })
}

/// What the pages say of the policies.
fn in_force(project: &Project) -> anyhow::Result<PolicyInForce> {
    let (scoring, (_, actions)) = (score::policy(project)?, plan::policy(project)?);
    Ok(PolicyInForce {
        at_risk_below: scoring.tiers.at_risk_below,
        healthy_above: scoring.tiers.healthy_above,
        min_coverage: scoring.evidence.min_coverage,
        min_live_days: i64::from(scoring.evidence.min_live_days),
        churned_after_days: i64::from(scoring::CHURN_DAYS),
        stuck_after_days: scoring::STUCK_DAYS,
        stale_hours: actions.guardrails.stale_hours,
    })
}

/// How far the slowest partition of the calls is behind the fastest, in seconds.
async fn slowest(project: &Project) -> anyhow::Result<Option<i64>> {
    let txns = project.lake.transactions(&schema::raw(Stream::ApiCalls).name).await?;
    let reached: Vec<i64> = txns
        .iter()
        .filter(|(id, _)| id.ends_with("#reached") && !id.starts_with("file/"))
        .map(|(_, micros)| *micros)
        .collect();
    let span = reached.iter().max().zip(reached.iter().min());
    Ok(span.map(|(newest, oldest)| (newest - oldest) / 1_000_000))
}

async fn fill_metrics(
    project: &Project,
    session: &Arc<Session>,
    before: Option<&Path>,
    input: &mut ReportInput,
    stage: &Stage,
) -> anyhow::Result<()> {
    let catalog = project.engine.catalog();
    input.queries = docs::of(catalog);
    let now = Provenance {
        as_of: input.as_of,
        made_at: input.generated_at,
        run: input.run.clone(),
        versions: input.versions.clone(),
    };
    let metrics = Metrics::of_all(session).await;
    let mut told = Told::default();
    metrics.of_no_metric().0.iter().for_each(|finding| told.finding(finding));
    let built_in = Catalog::built_in()?;
    let left_out = catalog.left_out_of(Kind::Metric).map(|(name, _)| name);
    let mut names: Vec<String> =
        catalog.names(Kind::Metric).into_iter().chain(left_out).map(str::to_owned).collect();
    names.sort_unstable();
    let mut outcomes = pin!(metrics.outcomes(names));
    let mut results: BTreeMap<String, QueryResult> = BTreeMap::new();
    while let Some(outcome) = outcomes.next().await {
        let name = outcome.name.clone();
        stage.say(name.clone());
        told.tell(&outcome, &format!("the report shows {name} as it was last"));
        let rows = match outcome.rows {
            Ok(rows) => marked(&rows, &now)?,
            // A broken metric is shown as it was last; it never stops the others.
            Err(held) => {
                let why = held.to_string();
                let query = catalog.get(&name).or_else(|| built_in.get(&name));
                let last = query.zip(before).and_then(|(query, out)| last_good(out, query));
                let from = last.as_ref().and_then(|rows| provenance(&rows.schema));
                let shown = from.as_ref().map(|from| from.as_of);
                input.provenance.extend(from.map(|from| (name.clone(), from)));
                input.held.insert(name.clone(), Held { why, shown });
                let Some(last) = last else { continue };
                last
            }
        };
        input.csv.insert(name.clone(), csv(&rows)?);
        input.first_rows.insert(name.clone(), first_rows(&rows)?);
        let bytes = lake::parquet_bytes(&rows.schema, &rows.batches)?;
        input.parquet.insert(name.clone(), bytes);
        results.insert(name, rows);
    }
    input.funnel = typed(&results, "funnel")?;
    input.time_to_first_call = typed(&results, "time_to_first_call")?;
    input.activation = typed(&results, "activation")?;
    input.growth = typed(&results, "growth")?;
    input.cohort_retention = typed(&results, "cohort_retention")?;
    input.revenue_summary = typed(&results, "revenue_summary")?;
    input.revenue_per_partner = typed(&results, "revenue_per_partner")?;
    input.partner_reliability = typed(&results, "partner_reliability")?;
    input.throttling = typed(&results, "throttling")?;
    if results.contains_key("stuck_partners") {
        input.stuck_partners = Some(typed(&results, "stuck_partners")?);
    }
    Ok(())
}

/// The keys of a Parquet file's schema under which it says what its rows come from.
const AS_OF: &str = "as_of";
const MADE_AT: &str = "made_at";
const RUN: &str = "run";
const VERSIONS: &str = "versions";

/// Rows that say what they come from.
fn marked(rows: &QueryResult, from: &Provenance) -> anyhow::Result<QueryResult> {
    let mut schema = rows.schema.as_ref().clone();
    let mut say = |key: &str, value: Option<String>| {
        schema.metadata.extend(value.map(|value| (key.to_owned(), value)));
    };
    say(AS_OF, Some(from.as_of.to_string()));
    say(MADE_AT, from.made_at.map(|at| lake_types::format_instant(at.timestamp_micros())));
    say(RUN, from.run.clone());
    say(VERSIONS, Some(serde_json::to_string(&from.versions)?));
    let schema = Arc::new(schema);
    let renewed = |batch: &RecordBatch| batch.clone().with_schema(Arc::clone(&schema));
    let batches = rows.batches.iter().map(renewed).collect::<Result<_, _>>()?;
    Ok(QueryResult { schema, batches })
}

/// What rows say that they come from.
fn provenance(schema: &Schema) -> Option<Provenance> {
    let said = |key: &str| schema.metadata.get(key);
    let instant = |text: &String| {
        lake_types::parse_instant(text).and_then(DateTime::<Utc>::from_timestamp_micros)
    };
    Some(Provenance {
        as_of: said(AS_OF)?.parse::<Day>().ok()?.date(),
        made_at: said(MADE_AT).and_then(instant),
        run: said(RUN).cloned(),
        versions: said(VERSIONS).and_then(|v| serde_json::from_str(v).ok()).unwrap_or_default(),
    })
}

/// The rows of a metric in the report that is about to be replaced, where they have its columns.
fn last_good(out: &Path, query: &Query) -> Option<QueryResult> {
    let bytes = std::fs::read(out.join(dashboards::parquet_path(&query.name))).ok()?;
    let (schema, batches) = lake::parquet_rows(bytes).ok()?;
    query.accepts(&schema).then_some(QueryResult { schema, batches })
}

fn typed<T: serde::de::DeserializeOwned>(
    results: &BTreeMap<String, QueryResult>,
    name: &str,
) -> anyhow::Result<Vec<T>> {
    results.get(name).map_or_else(|| Ok(Vec::new()), frames::rows)
}

/// The rows that the page of a metric shows.
fn first_rows(result: &QueryResult) -> anyhow::Result<Vec<Vec<String>>> {
    const MOST: usize = 12;
    let all = arrow::compute::concat_batches(&result.schema, &result.batches)?;
    let first = [all.slice(0, all.num_rows().min(MOST))];
    output::cells(&Rows { schema: &result.schema, batches: &first }, None)
}

/// Adds the rows of a table that is no metric as a CSV, and what is known of it.
fn table(
    input: &mut ReportInput,
    name: &str,
    description: &str,
    rows: &QueryResult,
) -> anyhow::Result<()> {
    let column = |field: &FieldRef| ColumnDoc {
        name: field.name().clone(),
        kind: kind_of(field.data_type()),
        ..ColumnDoc::default()
    };
    let doc = QueryDoc {
        kind: "table".to_owned(),
        description: description.to_owned(),
        columns: rows.schema.fields().iter().map(column).collect(),
        ..QueryDoc::default()
    };
    input.csv.insert(name.to_owned(), csv(rows)?);
    input.tables.insert(name.to_owned(), doc);
    Ok(())
}

/// A type as the header of a query calls it.
fn kind_of(kind: &DataType) -> String {
    match kind {
        DataType::Timestamp(..) => "Timestamp".to_owned(),
        DataType::Decimal128(..) => "Decimal".to_owned(),
        DataType::Utf8View | DataType::LargeUtf8 => "Utf8".to_owned(),
        other => other.to_string(),
    }
}

fn csv(result: &QueryResult) -> anyhow::Result<String> {
    let rows = Rows { schema: &result.schema, batches: &result.batches };
    Ok(String::from_utf8(output::csv_text(&rows)?)?)
}

#[derive(Deserialize)]
struct Attributes {
    partner_id: String,
    name: Option<String>,
    segment: Option<String>,
    plan: Option<String>,
    manager: Option<String>,
    region: Option<String>,
}

async fn fill_partners(made: &Made<'_>, input: &mut ReportInput) -> anyhow::Result<()> {
    let session = made.session;
    let attributes = session
        .sql("SELECT partner_id, name, segment, plan, manager, region FROM partners")
        .await?;
    let attributes: BTreeMap<String, Attributes> = frames::rows::<Attributes>(&attributes)?
        .into_iter()
        .map(|row| (row.partner_id.clone(), row))
        .collect();
    input.health =
        made.scored.partners.iter().map(|p| health(p, attributes.get(&p.partner_id))).collect();
    let history = session
        .sql(&format!("SELECT as_of, partner_id, score, tier FROM ({})", scores::HISTORY))
        .await?;
    input.history = frames::rows::<HistoryRow>(&history)?;
    let from = session.as_of().day().plus(-TRAFFIC_DAYS);
    let daily = session
        .sql(&format!(
            "SELECT partner_id, event_date, sum(calls) AS calls, sum(successes) AS successes,
                    sum(client_errors) AS client_errors, sum(server_errors) AS server_errors,
                    sum(throttled) AS throttled
             FROM usage_day WHERE environment = 'production' AND event_date >= '{from}'
             GROUP BY partner_id, event_date ORDER BY partner_id, event_date"
        ))
        .await?;
    input.daily = frames::rows::<PartnerDayRow>(&daily)?;
    let what = format!("Production traffic of the last {TRAFFIC_DAYS} days, as the pages draw it");
    table(input, "partner_traffic", &what, &daily)?;
    let partners = session
        .sql(
            "SELECT partner_id, registered AS registered_at, first_call AS first_call_at,
                    live AS live_at, last_success AS last_success_at FROM partners",
        )
        .await?;
    input.partners = frames::rows::<PartnerRow>(&partners)?;
    input.plan = plan_rows(made.plan);
    input.csv.insert("actions_plan".to_owned(), plan_csv(made.plan)?);
    input.tables.insert("actions_plan".to_owned(), plan_doc());
    for (name, what, rows, order) in [
        ("partner_health", "The newest score of each partner", scores::HEALTH, "partner_id"),
        (
            "partner_signals",
            "The signals behind these scores, a row each",
            scores::SIGNALS,
            "partner_id, signal",
        ),
    ] {
        let kept = session.sql(&format!("{rows} ORDER BY {order}")).await?;
        table(input, name, what, &kept)?;
    }
    Ok(())
}

fn health(partner: &PartnerScore, attributes: Option<&Attributes>) -> HealthRow {
    let date = |micros: i64| -> NaiveDate { Day::of_micros(micros).date() };
    let attribute = |of: fn(&Attributes) -> &Option<String>| attributes.and_then(|a| of(a).clone());
    HealthRow {
        as_of: partner.as_of.day().date(),
        partner_id: partner.partner_id.clone(),
        name: attribute(|a| &a.name),
        segment: attribute(|a| &a.segment),
        plan: attribute(|a| &a.plan),
        manager: attribute(|a| &a.manager),
        region: attribute(|a| &a.region),
        stage: partner.stage.name().to_owned(),
        tier: partner.tier.name().to_owned(),
        tier_since: partner.tier_since.map(date),
        score: partner.score,
        coverage: Some(partner.coverage),
        impact_share: partner.impact_share,
        impact_rank: partner.impact_rank,
        top_reason: Some(partner.top_reason.clone()),
        policy_version: partner.policy_version.clone(),
        computed_tier: Some(partner.computed_tier.name().to_owned()),
        signals: partner
            .signals
            .iter()
            .filter(|s| s.applicable)
            .map(|s| Signal {
                name: s.signal.name().to_owned(),
                value: s.value,
                score: s.score,
                contribution: s.contribution,
                n: s.n,
                reason: s.reason.clone().unwrap_or_default(),
                weight: s.weight,
            })
            .collect(),
    }
}

/// The columns of the plan's CSV.
const PLAN: [&str; 5] = ["partner", "action", "change", "why", "guardrails"];

fn plan_doc() -> QueryDoc {
    let column = |name: &str| ColumnDoc {
        name: name.to_owned(),
        kind: "Utf8".to_owned(),
        ..ColumnDoc::default()
    };
    QueryDoc {
        kind: "table".to_owned(),
        description: "The pending plan: a row a change, then one for each that was stopped"
            .to_owned(),
        columns: PLAN.map(column).to_vec(),
        ..QueryDoc::default()
    }
}

/// The plan as CSV, as it is read on a terminal.
fn plan_csv(plan: &Plan) -> anyhow::Result<String> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(PLAN)?;
    for row in actions::readable(plan) {
        let action = row.action.to_owned();
        writer.write_record([row.partner, action, row.change, row.why, row.guardrails])?;
    }
    let bytes = writer.into_inner().map_err(|e| anyhow::anyhow!("CSV: {}", e.error()))?;
    Ok(String::from_utf8(bytes)?)
}

/// The plan's changes as rows of a page.
fn plan_rows(plan: &Plan) -> Vec<PlanRow> {
    let readable = actions::readable(plan);
    let of_changes = plan.changes.iter().zip(&readable);
    of_changes
        .map(|(change, row)| {
            let kind = match change.action {
                ActionKind::RouteSupport => "route_support",
                ActionKind::SetQuota => "set_quota",
                ActionKind::Notify => "notify",
            };
            let (from, to) = ends(change, &row.change);
            PlanRow {
                partner_id: change.partner_id.clone(),
                kind: kind.to_owned(),
                from,
                to,
                why: row.why.clone(),
                guardrails: change.guardrails.iter().map(|g| g.reason.clone()).collect(),
            }
        })
        .collect()
}

/// What a change goes from and to, in words; nothing where there is none.
fn ends(change: &Change, readable: &str) -> (Option<String>, Option<String>) {
    if let Some(Setting::Notify { who }) = &change.to {
        return (None, Some(actions::told(who)));
    }
    let Some((from, to)) = readable.split_once(" → ") else {
        return (None, Some(readable.to_owned()));
    };
    let from = change.from.is_some().then(|| from.to_owned());
    (from, change.to.is_some().then(|| to.to_owned()))
}
