//! Data checks: the `[[checks]]` of a query's header and the files in `checks/`.
//!
//! A check is a query for wrong rows. It is violated where it returns a row, and where it can't be
//! run.

#[cfg(test)]
mod tests;

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::TableProvider;
use datafusion::common::{DFSchema, Dependency};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use domain::printable;

use crate::catalog::graph::DependencyGraph;
use crate::catalog::header::{Check, CheckRule, CheckSeverity};
use crate::catalog::statement::Statement;
use crate::catalog::{Query, QueryKind};
use crate::engine::context::context_without_lake;
use crate::engine::session::Session;
use crate::engine::session::query::QueryResult;
use crate::engine::table_names::known_tables;
use crate::error::{Result, TransformError};

/// The name of the checked rows in the SQL of a check.
pub(crate) const THIS: &str = "this";

/// A violated check: the rows that fail it, or why it can't be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The query whose rows are wrong, or the file in `checks/`.
    pub query: String,
    /// The check in the spelling of the header; the description of a file in `checks/`.
    pub check: String,
    pub severity: CheckSeverity,
    /// The number of rows that fail; 0 where the check can't be run.
    pub rows: usize,
    /// The first of the rows as `column = value, …`, or why the check can't be run.
    pub example: String,
}

/// The violations of a metric's own checks, and of the files in `checks/` that concern it.
#[derive(Debug, Clone, Default)]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    /// Returns the first violation that blocks the publication of the rows.
    pub fn blocking(&self) -> Option<&Violation> {
        self.0.iter().find(|f| f.severity == CheckSeverity::Error)
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { query, check, rows, example, .. } = self;
        match rows {
            0 => write!(f, "{query}: the check {check} can't be run: {example}"),
            1 => write!(f, "{query}: a row fails the check {check}: {example}"),
            _ => write!(f, "{query}: {rows} rows fail the check {check}; the first: {example}"),
        }
    }
}

/// The violations of the files in `checks/`, each with the metrics that it concerns.
#[derive(Debug, Clone, Default)]
pub struct CheckOutcome(Vec<(Violation, AffectedMetrics)>);

/// The metrics that a file in `checks/` concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
enum AffectedMetrics {
    /// The file can't be read or names an unknown table, so it can concern any metric.
    All,
    Named(BTreeSet<String>),
}

impl AffectedMetrics {
    fn contains(&self, metric: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(metrics) => metrics.contains(metric),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Named(metrics) if metrics.is_empty())
    }
}

impl CheckOutcome {
    /// Returns the violations that concern a metric.
    fn of_metric(&self, metric: &str) -> impl Iterator<Item = &Violation> {
        let of_metric = self.0.iter().filter(move |(_, metrics)| metrics.contains(metric));
        of_metric.map(|(violation, _)| violation)
    }

    /// Returns the violations that concern no metric: the tables of the file are read by none.
    pub fn of_no_metric(&self) -> Violations {
        let of_no_metric = self.0.iter().filter(|(_, metrics)| metrics.is_empty());
        Violations(of_no_metric.map(|(violation, _)| violation.clone()).collect())
    }
}

impl Session {
    /// Runs the files in `checks/`. A violation concerns the metrics that the file reads, and those
    /// that read, directly or through others, a table of the file. A file that can't be run is a
    /// violation too, because unchecked rows must not be published.
    pub async fn run_check_files(&self) -> CheckOutcome {
        let mut outcome = CheckOutcome::default();
        let catalog = self.catalog();
        for (name, diagnostic) in catalog.unreadable_of(QueryKind::Check) {
            let violation = Violation {
                query: name.to_owned(),
                check: diagnostic.file.clone(),
                severity: CheckSeverity::Error,
                rows: 0,
                example: diagnostic.headline(),
            };
            outcome.0.push((violation, AffectedMetrics::All));
        }
        let graph = LazyCell::new(|| DependencyGraph::of(catalog));
        for check in catalog.of_kind(QueryKind::Check) {
            let violation = match self.run_query(check).await {
                Ok(result) => {
                    violation(check, &check.header.description, check.header.severity, &result)
                }
                Err(error) => Some(not_runnable(
                    check,
                    &check.header.description,
                    check.header.severity,
                    &error,
                )),
            };
            if let Some(violation) = violation {
                outcome.0.push((violation, self.affected_metrics(check, &graph)));
            }
        }
        outcome
    }

    /// Returns the metrics that a file in `checks/` concerns.
    fn affected_metrics(&self, check: &Query, graph: &DependencyGraph) -> AffectedMetrics {
        let catalog = self.catalog();
        let known = known_tables(catalog);
        let is_known = |table: &str| {
            let plain = table.strip_prefix("raw.").unwrap_or(table);
            known.contains(&plain)
                || catalog.unreadable().contains_key(plain)
                || self.context().table_function(plain).is_ok()
        };
        match check.tables() {
            Ok(read) if read.iter().all(|table| is_known(table)) => {
                let reads = |metric: &&Query| {
                    graph.upstream(&metric.name).iter().any(|table| read.contains(table))
                };
                let metrics = catalog.of_kind(QueryKind::Metric).filter(reads);
                AffectedMetrics::Named(metrics.map(|metric| metric.name.clone()).collect())
            }
            _ => AffectedMetrics::All,
        }
    }

    /// Checks the rows of a metric, and returns the violations together with those of `outcome`
    /// that concern the metric.
    ///
    /// # Errors
    /// An unknown name.
    pub async fn check(
        &self,
        name: &str,
        rows: &QueryResult,
        outcome: &CheckOutcome,
    ) -> Result<Violations> {
        let query = self.catalog().find(name)?;
        let mut violations: Vec<Violation> = outcome.of_metric(name).cloned().collect();
        if !query.header.checks.is_empty() {
            let table = MemTable::try_new(Arc::clone(&rows.schema), vec![rows.batches.clone()]);
            let table = Arc::new(table.map_err(TransformError::sql(&query.file))?);
            violations.extend(
                CheckedRows { query, this: table, session: Some(self) }
                    .run(&query.header.checks)
                    .await?,
            );
        }
        Ok(Violations(violations))
    }
}

/// The rows to check and the query that they come from.
pub(crate) struct CheckedRows<'a> {
    pub query: &'a Query,
    pub this: Arc<dyn TableProvider>,
    /// The session whose tables a check may read beside `this`. A rollup's check reads no others.
    pub session: Option<&'a Session>,
}

impl CheckedRows<'_> {
    /// Runs checks over the rows in a given context.
    pub(crate) async fn run_in(
        &self,
        context: &SessionContext,
        checks: &[Check],
    ) -> Result<Vec<Violation>> {
        let fail = || TransformError::sql(&self.query.file);
        context.register_table(THIS, Arc::clone(&self.this)).map_err(fail())?;
        let mut violations = Vec::new();
        for check in checks {
            let name = check.rule.to_string();
            match self.wrong_rows(context, &check.rule).await {
                Ok(rows) => violations.extend(violation(self.query, &name, check.severity, &rows)),
                Err(error) => {
                    violations.push(not_runnable(self.query, &name, check.severity, &error));
                }
            }
        }
        Ok(violations)
    }

    /// Runs checks over the rows in a context of their own.
    async fn run(&self, checks: &[Check]) -> Result<Vec<Violation>> {
        self.run_in(&context_without_lake(), checks).await
    }

    /// Returns the rows that violate a rule.
    async fn wrong_rows(&self, context: &SessionContext, rule: &CheckRule) -> Result<QueryResult> {
        let location = format!("a check of {}", self.query.file);
        let sql = match rule {
            CheckRule::Unique(columns) => {
                let columns = quoted(columns).join(", ");
                format!(
                    "SELECT {columns}, count(*) AS \"rows\" FROM {THIS} GROUP BY {columns} HAVING count(*) > 1"
                )
            }
            CheckRule::NotNull(columns) => {
                let null: Vec<_> = quoted(columns).iter().map(|c| format!("{c} IS NULL")).collect();
                format!("SELECT * FROM {THIS} WHERE {}", null.join(" OR "))
            }
            CheckRule::Sql(sql) => sql.clone(),
        };
        let statement = Statement::parse(&sql, &location)?;
        for table in statement.tables(&location)? {
            let here =
                context.table_exist(table.as_str()).map_err(TransformError::sql(&location))?;
            if let Some(session) = self.session.filter(|_| !here) {
                let view = session.view(&table).await?.into_view();
                context
                    .register_table(table.as_str(), view)
                    .map_err(TransformError::sql(&location))?;
            }
        }
        let parsed = match self.session {
            Some(session) => statement.bind(session.as_of()),
            None => statement.unbound(),
        };
        let fail = || TransformError::sql(&location);
        let plan = context.state().statement_to_plan(parsed).await.map_err(fail())?;
        let frame = context.execute_logical_plan(plan).await.map_err(fail())?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        Ok(QueryResult { schema, batches: frame.collect().await.map_err(fail())? })
    }
}

/// Returns the checks that the plan does not already prove. A plan that groups by columns proves
/// that its rows are unique in them.
pub(crate) fn unproven(checks: &[Check], planned: &DFSchema) -> Vec<Check> {
    let proven = |columns: &[String]| {
        planned.functional_dependencies().iter().any(|dependence| {
            dependence.mode == Dependency::Single
                && dependence.target_indices.len() == planned.fields().len()
                && dependence
                    .source_indices
                    .iter()
                    .all(|i| columns.contains(planned.field(*i).name()))
        })
    };
    let open =
        |check: &&Check| !matches!(&check.rule, CheckRule::Unique(columns) if proven(columns));
    checks.iter().filter(open).cloned().collect()
}

fn quoted(columns: &[String]) -> Vec<String> {
    columns.iter().map(|c| format!("\"{c}\"")).collect()
}

/// Returns the violation of a check by its wrong rows, where there are any.
fn violation(
    query: &Query,
    check: &str,
    severity: CheckSeverity,
    wrong: &QueryResult,
) -> Option<Violation> {
    let first = wrong.batches.iter().find(|b| b.num_rows() > 0)?;
    Some(Violation {
        query: query.name.clone(),
        check: check.to_owned(),
        severity,
        rows: wrong.rows(),
        example: printable(&first_row(first)).into_owned(),
    })
}

/// Returns the violation of a check that can't be run.
fn not_runnable(
    query: &Query,
    check: &str,
    severity: CheckSeverity,
    error: &TransformError,
) -> Violation {
    Violation {
        query: query.name.clone(),
        check: check.to_owned(),
        severity,
        rows: 0,
        example: error.to_string(),
    }
}

fn first_row(batch: &RecordBatch) -> String {
    let schema = batch.schema();
    let cells = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        let value = match column.is_null(0) {
            true => "NULL".to_owned(),
            false => ArrayFormatter::try_new(column, &FormatOptions::default())
                .map_or_else(|e| e.to_string(), |f| f.value(0).to_string()),
        };
        format!("{} = {value}", field.name())
    });
    cells.collect::<Vec<_>>().join(", ")
}
