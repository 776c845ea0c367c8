//! `rapport report`: one run of the lake as static pages.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use actions::{ActionKind, Plan};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use chrono::{DateTime, NaiveDate, Utc};
use dashboards::{
    HealthRow, Held, HistoryRow, PartnerDayRow, PartnerRow, PlanRow, ReportInput, Signal,
};
use futures::StreamExt;
use lake::schema;
use lake_types::{Day, Stream};
use scoring::{PartnerScore, ScoreOutput};
use serde::Deserialize;
use transform::{Catalog, Kind, Query, QueryResult, Session};

use crate::commands::{docs, plan};
use crate::frames;
use crate::output::{self, Rows, line};
use crate::progress::Stage;
use crate::project::Project;
use crate::published::{Metrics, Told};

/// How many days of traffic the partner pages show.
const TRAFFIC_DAYS: i32 = 90;

pub(crate) async fn run(project: &Project, out: &Path, as_of: Option<&str>) -> anyhow::Result<()> {
    let as_of = project.as_of(as_of).await?;
    let (session, scored) = plan::scored_session(project, as_of).await?;
    let plan = plan::make(project, &session, &scored).await?;
    let made = Made { session: &session, scored: &scored, plan: &plan };
    let summary = write(project, &made, out).await?;
    line(&format!("{} pages; open {}", summary.pages, summary.index.display()))
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
    let run = project.note_run(made.session).await?;
    let mut input = header(project, made, run).await?;
    fill_metrics(project, made.session, out, &mut input, &stage).await?;
    fill_partners(made, &mut input).await?;
    stage.say("pages".to_owned());
    Ok(dashboards::write_report(&input, out)?)
}

async fn header(project: &Project, made: &Made<'_>, run: u64) -> anyhow::Result<ReportInput> {
    let instant = DateTime::<Utc>::from_timestamp_micros;
    let watermark = project.lake.watermark().await?;
    let scored = made.scored.partners.first();
    Ok(ReportInput {
        as_of: made.session.as_of().day().date(),
        currency: project.config.reporting_currency().to_owned(),
        rapport_version: env!("CARGO_PKG_VERSION").to_owned(),
        lake_version: Some(run.to_string()),
        policy_version: scored.map(|p| p.policy_version.clone()),
        generated_at: instant(project.now),
        watermark: watermark.and_then(instant),
        slowest_seconds: slowest(project).await?,
        scored_at: instant(project.now),
        ..ReportInput::default()
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
    out: &Path,
    input: &mut ReportInput,
    stage: &Stage,
) -> anyhow::Result<()> {
    let catalog = project.engine.catalog();
    input.queries = docs::of(catalog);
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
            Ok(rows) => dated(&rows, session.as_of().day())?,
            // A broken metric is shown as it was last; it never stops the others.
            Err(held) => {
                let why = held.to_string();
                let query = catalog.get(&name).or_else(|| built_in.get(&name));
                let last = query.and_then(|query| last_good(out, query));
                let shown = last.as_ref().and_then(|rows| as_of(&rows.schema));
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

/// The key of a Parquet file's schema under which it says as of when its rows are.
const AS_OF: &str = "as_of";

fn dated(rows: &QueryResult, as_of: Day) -> anyhow::Result<QueryResult> {
    let mut schema = rows.schema.as_ref().clone();
    schema.metadata.insert(AS_OF.to_owned(), as_of.to_string());
    let schema = Arc::new(schema);
    let renewed = |batch: &RecordBatch| batch.clone().with_schema(Arc::clone(&schema));
    let batches = rows.batches.iter().map(renewed).collect::<Result<_, _>>()?;
    Ok(QueryResult { schema, batches })
}

fn as_of(schema: &Schema) -> Option<NaiveDate> {
    Some(schema.metadata.get(AS_OF)?.parse::<Day>().ok()?.date())
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
        .sql(
            "SELECT as_of, partner_id, score, tier FROM (
               SELECT *, row_number() OVER (PARTITION BY partner_id, as_of ORDER BY scored_at DESC) AS nth
               FROM partner_health WHERE as_of <= $as_of) WHERE nth = 1",
        )
        .await?;
    input.history = frames::rows::<HistoryRow>(&history)?;
    let from = session.as_of().day().plus(-TRAFFIC_DAYS);
    let daily = session
        .sql(&format!(
            "SELECT partner_id, event_date, sum(calls) AS calls, sum(successes) AS successes,
                    sum(client_errors) AS client_errors, sum(server_errors) AS server_errors,
                    sum(throttled) AS throttled
             FROM usage_day WHERE environment = 'production' AND event_date >= '{from}'
             GROUP BY partner_id, event_date"
        ))
        .await?;
    input.daily = frames::rows::<PartnerDayRow>(&daily)?;
    input.csv.insert("partner_day".to_owned(), csv(&daily)?);
    let partners = session
        .sql(
            "SELECT partner_id, registered AS registered_at, first_call AS first_call_at,
                    live AS live_at, last_success AS last_success_at FROM partners",
        )
        .await?;
    input.partners = frames::rows::<PartnerRow>(&partners)?;
    input.plan = plan_rows(made.plan);
    input.csv.insert("actions_plan".to_owned(), plan_csv(made.plan)?);
    let kept = session
        .sql(
            "SELECT * FROM partner_health WHERE as_of = $as_of AND scored_at =
               (SELECT max(scored_at) FROM partner_health WHERE as_of = $as_of)
             ORDER BY partner_id",
        )
        .await?;
    input.csv.insert("partner_health".to_owned(), csv(&kept)?);
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

/// The plan as CSV, as it is read on a terminal.
fn plan_csv(plan: &Plan) -> anyhow::Result<String> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(["partner", "action", "change", "why", "guardrails"])?;
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
            let (from, to) = match row.change.split_once(" → ") {
                Some((from, to)) => (Some(from.to_owned()), Some(to.to_owned())),
                None => (None, Some(row.change.clone())),
            };
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
