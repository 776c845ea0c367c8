//! `rapport report`: writes one run of the lake as static pages.
//!
//! - `metric_rows`: the rows of metrics that pages show
//! - `metric_cache`: the metrics of the last reports
//! - `partner_rows`: the rows of partners
//! - `period_rows`: traffic and revenue by day, week and month
//! - `plan_rows`: the pending plan and the log of actions
//! - `plan_log`: how the changes of the plan stand by that log
//! - `alert_rows`: the open alerts
//! - `record_rows`: what people recorded beside the scores
//! - `lake_rows`: the streams and tables of the lake
//! - `delivery_rows`: the reports that were sent
//! - `text_table`: rows of text as a CSV beside the pages

mod alert_rows;
mod delivery_rows;
mod lake_rows;
mod metric_cache;
mod metric_rows;
mod partner_rows;
mod period_rows;
mod plan_log;
mod plan_rows;
mod record_rows;
mod text_table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use actions::Plan;
use anyhow::Context;
use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Schema};
use chrono::{DateTime, Utc};
use dashboards::{
    ColumnDoc, HeldBackMetric, PolicyInForce, Provenance, QueryDoc, ReportInput, Targets,
};
use domain::{Day, Stream, counted};
use futures::StreamExt;
use lake::schema;
use scoring::ScoreOutput;
use transform::{Catalog, Query, QueryKind, QueryResult, Session};

use crate::breakdown::Breakdown;
use crate::commands::{docs, plan};
use crate::errors::report_refusal;
use crate::metric_pipeline::{MetricPipeline, OutcomePrinter};
use crate::output::print_line;
use crate::progress::Spinner;
use crate::project::Project;
use crate::report_registry;
use crate::row_encoder;
use crate::rows::{self, Rows};
use crate::scores;

pub(crate) async fn run(project: &Project, out: &Path, as_of: Option<&str>) -> anyhow::Result<()> {
    dashboards::check_report(out).map_err(report_refusal)?;
    let as_of = project.as_of(as_of).await?;
    let (session, scored) = plan::scored_session(project, as_of).await?;
    let plan = plan::make(project, &session, &scored).await?;
    let made = Made { session: &session, scored: &scored, plan: &plan };
    let summary = write(project, &made, out).await?;
    print_line(&format!("{}; open {}", counted(summary.pages, "page"), summary.index.display()))
}

pub(crate) use metric_cache::MetricCache;

use metric_cache::MetricInputs;

/// Everything that a report is written from.
pub(crate) struct Made<'a> {
    pub(crate) session: &'a Arc<Session>,
    pub(crate) scored: &'a ScoreOutput,
    pub(crate) plan: &'a Plan,
}

/// What a report covers.
pub(crate) struct Scope<'a> {
    /// The SQL condition on the view `partners` that restricts it.
    pub(crate) condition: Option<&'a str>,
    /// The number of the run.
    pub(crate) run: Option<String>,
    /// Returns the rows that the report before had of a metric, as Parquet.
    pub(crate) last_rows: &'a (dyn Fn(&str) -> Option<Vec<u8>> + Sync),
    /// The metrics of the reports before, where there are more reports to come.
    pub(crate) metrics: Option<&'a MetricCache>,
}

/// Collects everything that the pages of a run show.
pub(crate) async fn collect(
    project: &Project,
    made: &Made<'_>,
    scope: &Scope<'_>,
    spinner: &Spinner,
) -> anyhow::Result<ReportInput> {
    let restricted = match scope.condition {
        None => Arc::clone(made.session),
        Some(condition) => Arc::new(made.session.filtered(condition).await?),
    };
    let inputs = MetricInputs::of(project, &restricted, scope.condition)?;
    let metrics = match scope.metrics.and_then(|kept| kept.get(&inputs)) {
        Some(known) => known,
        None => {
            let computed = metrics(project, &restricted, scope, spinner).await?;
            if let Some(kept) = scope.metrics {
                kept.keep(inputs, &computed);
            }
            computed
        }
    };
    let mut input = with_header(project, made, scope.run.clone(), metrics).await?;
    metric_rows::mark_unbilled(made.session, &mut input).await?;
    if scope.condition.is_some() {
        // Goals are those of all partners together.
        input.targets = Targets::default();
    }
    let partners = partner_rows::fill(&restricted, made, scope, &mut input).await?;
    plan_rows::fill(project, made, &partners, &mut input).await?;
    alert_rows::fill(project, &partners, &mut input).await?;
    record_rows::fill(project, &partners, &mut input).await?;
    lake_rows::fill(project, &mut input).await?;
    delivery_rows::fill(project, &mut input).await?;
    Ok(input)
}

/// The partners that a report is restricted to.
pub(crate) enum ReportPartners {
    All,
    These(BTreeSet<String>),
}

impl ReportPartners {
    /// Returns whether the report shows something about a partner. What is about no partner is
    /// shown in reports of all partners.
    fn include(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(ids) => ids.contains(id),
        }
    }

    /// Returns those rows of a table that are about the partners. The tables of scores and of the log
    /// have all partners, whatever a session is restricted to.
    fn rows(&self, result: &QueryResult) -> anyhow::Result<QueryResult> {
        if matches!(self, Self::All) {
            return Ok(result.clone());
        }
        let included = |batch: &RecordBatch| -> anyhow::Result<RecordBatch> {
            let ids = batch.column_by_name("partner_id").context("a table of partners")?;
            let ids = arrow::compute::cast(ids, &DataType::Utf8)?;
            let include: BooleanArray = ids
                .as_string::<i32>()
                .iter()
                .map(|id| Some(self.include(id.unwrap_or_default())))
                .collect();
            Ok(arrow::compute::filter_record_batch(batch, &include)?)
        };
        let batches = result.batches.iter().map(included).collect::<anyhow::Result<_>>()?;
        Ok(QueryResult { schema: Arc::clone(&result.schema), batches })
    }
}

/// Records the run and writes its pages.
pub(crate) async fn write(
    project: &Project,
    made: &Made<'_>,
    out: &Path,
) -> anyhow::Result<dashboards::ReportSummary> {
    let spinner = Spinner::start("report", project.quiet);
    let begun = report_registry::begin(project, out).await?;
    let run = project.record_run(made.session).await?.map(|run| run.to_string());
    // Rows of partners that have been erased since must not be shown again.
    let last_rows = |name: &str| {
        let path = (!begun.is_outdated).then(|| out.join(dashboards::parquet_path(name)))?;
        std::fs::read(path).ok()
    };
    let scope = Scope { condition: None, run, last_rows: &last_rows, metrics: None };
    let input = collect(project, made, &scope, &spinner).await?;
    spinner.set_message("pages".to_owned());
    let summary = dashboards::write_report(&input, out).map_err(report_refusal)?;
    report_registry::finish(project, &begun).await;
    Ok(summary)
}

/// Returns a report that has the metrics and says where it comes from.
async fn with_header(
    project: &Project,
    made: &Made<'_>,
    run: Option<String>,
    metrics: ReportInput,
) -> anyhow::Result<ReportInput> {
    let instant = DateTime::<Utc>::from_timestamp_micros;
    let watermark = project.data_end().await?;
    let scored = made.scored.partners.iter().next();
    Ok(ReportInput {
        as_of: made.session.as_of().day().date(),
        currency: project.config.reporting_currency().to_owned(),
        rapport_version: env!("CARGO_PKG_VERSION").to_owned(),
        run,
        policy_version: scored.map(|p| p.policy_version),
        policy: in_force(project)?,
        targets: project.config.targets().clone(),
        generated_at: instant(project.now),
        watermark: watermark.and_then(instant),
        versions: made.session.versions().clone(),
        slowest_seconds: slowest(project).await?,
        scored_at: instant(project.now),
        ..metrics
    })
}

/// Returns the values of the policies that pages show.
fn in_force(project: &Project) -> anyhow::Result<PolicyInForce> {
    let (scoring, (_, actions)) =
        (scores::policy(&project.config)?, crate::action_plans::policy(project)?);
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

/// Returns how many seconds the slowest partition of the calls is behind the fastest.
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

/// Computes the metrics of a session. Returns a report that has them and nothing else.
async fn metrics(
    project: &Project,
    session: &Arc<Session>,
    scope: &Scope<'_>,
    spinner: &Spinner,
) -> anyhow::Result<ReportInput> {
    let catalog = project.engine.catalog();
    let mut input = ReportInput { queries: docs::query_docs(catalog), ..ReportInput::default() };
    let now = Provenance {
        as_of: session.as_of().day().date(),
        made_at: DateTime::<Utc>::from_timestamp_micros(project.now),
        run: scope.run.clone(),
        versions: session.versions().clone(),
    };
    let metrics = match scope.condition {
        None => MetricPipeline::of_all_partners(session).await,
        Some(_) => MetricPipeline::of(Breakdown::some_partners(session)).await,
    };
    // What is wrong with the data is printed once, with the report of all partners.
    let mut printer = scope.condition.is_none().then(OutcomePrinter::default);
    if let Some(printer) = &mut printer {
        metrics.of_no_metric().0.iter().for_each(|violation| printer.print_violation(violation));
    }
    let built_in = Catalog::built_in()?;
    let left_out = catalog.unreadable_of(QueryKind::Metric).map(|(name, _)| name);
    let mut names: Vec<String> =
        catalog.names(QueryKind::Metric).into_iter().chain(left_out).map(str::to_owned).collect();
    names.sort_unstable();
    let mut outcomes = pin!(metrics.compute_all(names));
    let mut results: BTreeMap<String, QueryResult> = BTreeMap::new();
    while let Some(outcome) = outcomes.next().await {
        let name = outcome.name.clone();
        spinner.set_message(name.clone());
        if let Some(printer) = &mut printer {
            printer.print_outcome(&outcome, &format!("the report shows {name} as it was last"));
        }
        let rows = match outcome.rows {
            Ok(rows) => marked(&rows, &now)?,
            Err(held) if held.has_no_part() => {
                input.of_all_partners.insert(name);
                continue;
            }
            // A metric that fails is shown with its last good rows and never stops the others.
            Err(held) => {
                let why = held.to_string();
                let query = catalog.get(&name).or_else(|| built_in.get(&name));
                // The report before was of all partners.
                let query = query.filter(|_| scope.condition.is_none());
                let last = query.and_then(|query| last_good(scope, query));
                let from = last.as_ref().and_then(|rows| provenance(&rows.schema));
                let shown = from.as_ref().map(|from| from.as_of);
                input.provenance.extend(from.map(|from| (name.clone(), from)));
                input
                    .held_back
                    .insert(name.clone(), HeldBackMetric { reason: why, shown_as_of: shown });
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
    metric_rows::fill(&results, &mut input)?;
    Ok(input)
}

/// The keys of a Parquet file's schema metadata that say where its rows come from.
const AS_OF: &str = "as_of";
const MADE_AT: &str = "made_at";
const RUN: &str = "run";
const VERSIONS: &str = "versions";

/// Returns the rows with metadata on where they come from.
fn marked(rows: &QueryResult, from: &Provenance) -> anyhow::Result<QueryResult> {
    let mut schema = rows.schema.as_ref().clone();
    let mut say = |key: &str, value: Option<String>| {
        schema.metadata.extend(value.map(|value| (key.to_owned(), value)));
    };
    say(AS_OF, Some(from.as_of.to_string()));
    say(MADE_AT, from.made_at.map(|at| domain::format_instant(at.timestamp_micros())));
    say(RUN, from.run.clone());
    say(VERSIONS, Some(serde_json::to_string(&from.versions)?));
    let schema = Arc::new(schema);
    let renewed = |batch: &RecordBatch| batch.clone().with_schema(Arc::clone(&schema));
    let batches = rows.batches.iter().map(renewed).collect::<Result<_, _>>()?;
    Ok(QueryResult { schema, batches })
}

/// Returns where rows come from by their metadata.
fn provenance(schema: &Schema) -> Option<Provenance> {
    let said = |key: &str| schema.metadata.get(key);
    let instant = |text: &String| {
        domain::parse_instant(text).and_then(DateTime::<Utc>::from_timestamp_micros)
    };
    Some(Provenance {
        as_of: said(AS_OF)?.parse::<Day>().ok()?.date(),
        made_at: said(MADE_AT).and_then(instant),
        run: said(RUN).cloned(),
        versions: said(VERSIONS).and_then(|v| serde_json::from_str(v).ok()).unwrap_or_default(),
    })
}

/// Returns the rows of a metric in the report before, if they have its columns.
fn last_good(scope: &Scope<'_>, query: &Query) -> Option<QueryResult> {
    let (schema, batches) = lake::parquet_rows((scope.last_rows)(&query.name)?).ok()?;
    query.accepts(&schema).then_some(QueryResult { schema, batches })
}

/// Returns the rows that the page of a metric shows.
fn first_rows(result: &QueryResult) -> anyhow::Result<Vec<Vec<String>>> {
    const MOST: usize = 12;
    let all = arrow::compute::concat_batches(&result.schema, &result.batches)?;
    let first = [all.slice(0, all.num_rows().min(MOST))];
    rows::format_cells(&Rows { schema: &result.schema, batches: &first }, None)
}

/// Adds the rows of a table that is no metric as a CSV, with its description.
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

/// Returns a type in the spelling of a query's header.
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
    Ok(String::from_utf8(row_encoder::csv_bytes(&rows)?)?)
}
