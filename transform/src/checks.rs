//! Whether rows are as their query's header says they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::TableProvider;
use datafusion::common::{DFSchema, Dependency};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use crate::catalog::{Catalog, Kind, Query};
use crate::error::{Result, TransformError};
use crate::header::{Check, Rule, Severity};
use crate::session::{QueryResult, Session};
use crate::statement::Statement;

/// The name that the rows of a query have in its checks.
pub(crate) const THIS: &str = "this";

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The query whose rows are wrong, or the file in `checks/`.
    pub query: String,
    /// The check as its header has it; of a file, what it says it is for.
    pub check: String,
    pub severity: Severity,
    pub rows: usize,
    /// The first of them, as `column = value, …`; or why the check can't be run.
    pub example: String,
}

/// What was found of a metric and of what it is made of.
#[derive(Debug, Clone, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// What holds the rows back, if anything does.
    pub fn holding(&self) -> Option<&Finding> {
        self.0.iter().find(|f| f.severity == Severity::Error)
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { query, check, rows, example, .. } = self;
        match rows {
            0 => write!(f, "{query}: the check {check} can't be run: {example}"),
            1 => write!(f, "{query}: a row fails the check {check}: {example}"),
            _ => write!(f, "{query}: {rows} rows fail the check {check}; the first: {example}"),
        }
    }
}

/// What the files in `checks/` found, by the metrics that it is about.
#[derive(Debug, Clone, Default)]
pub struct Verdict(BTreeMap<String, Vec<Finding>>);

impl Verdict {
    /// Every finding, once.
    pub fn all(&self) -> Vec<&Finding> {
        let mut seen: Vec<&Finding> = Vec::new();
        for finding in self.0.values().flatten() {
            if !seen.contains(&finding) {
                seen.push(finding);
            }
        }
        seen
    }
}

impl Session {
    /// Runs the files in `checks/`. What one finds is about every metric that it reads, or that
    /// reads a table it reads.
    ///
    /// # Errors
    /// None: a check that can't be run is a finding.
    pub async fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        let catalog = self.catalog();
        for check in catalog.of_kind(Kind::Check) {
            let found = match self.run(&check.sql, &check.file).await {
                Ok(result) => finding(check, &check.header.description, check.header.severity, &result),
                Err(error) => Some(unable(check, &check.header.description, check.header.severity, &error)),
            };
            let Some(found) = found else { continue };
            let read: BTreeSet<String> = direct(check);
            for metric in catalog.of_kind(Kind::Metric) {
                if read.contains(&metric.name) || !read.is_disjoint(&all_read(catalog, metric)) {
                    verdict.0.entry(metric.name.clone()).or_default().push(found.clone());
                }
            }
        }
        verdict
    }

    /// What the checks of a metric find in its rows, and what `verdict` holds of it.
    ///
    /// # Errors
    /// An unknown name.
    pub async fn check(&self, name: &str, rows: &QueryResult, verdict: &Verdict) -> Result<Findings> {
        let query = self.catalog().find(name)?;
        let mut findings = verdict.0.get(name).cloned().unwrap_or_default();
        if !query.header.checks.is_empty() {
            let table = MemTable::try_new(Arc::clone(&rows.schema), vec![rows.batches.clone()]);
            let table = Arc::new(table.map_err(TransformError::sql(&query.file))?);
            findings.extend(Checked { query, this: table, session: Some(self) }.run(&query.header.checks).await?);
        }
        Ok(Findings(findings))
    }
}

/// Rows and the query they come from.
pub(crate) struct Checked<'a> {
    pub query: &'a Query,
    pub this: Arc<dyn TableProvider>,
    /// Where a check finds other tables than `this`; a rollup's finds none.
    pub session: Option<&'a Session>,
}

impl Checked<'_> {
    /// Runs checks over the rows, in `context` or one of its own.
    pub(crate) async fn run_in(
        &self,
        context: &SessionContext,
        checks: &[Check],
    ) -> Result<Vec<Finding>> {
        let fail = || TransformError::sql(&self.query.file);
        context.register_table(THIS, Arc::clone(&self.this)).map_err(fail())?;
        let mut findings = Vec::new();
        for check in checks {
            let name = check.rule.to_string();
            match self.wrong_rows(context, &check.rule).await {
                Ok(rows) => findings.extend(finding(self.query, &name, check.severity, &rows)),
                Err(error) => findings.push(unable(self.query, &name, check.severity, &error)),
            }
        }
        Ok(findings)
    }

    async fn run(&self, checks: &[Check]) -> Result<Vec<Finding>> {
        let fail = || TransformError::sql(&self.query.file);
        let context = crate::session::new_context(crate::session::Limits::default()).map_err(fail())?;
        self.run_in(&context, checks).await
    }

    async fn wrong_rows(&self, context: &SessionContext, rule: &Rule) -> Result<QueryResult> {
        let place = format!("a check of {}", self.query.file);
        let sql = match rule {
            Rule::Unique(columns) => {
                let columns = quoted(columns).join(", ");
                format!("SELECT {columns}, count(*) AS \"rows\" FROM {THIS} GROUP BY {columns} HAVING count(*) > 1")
            }
            Rule::NotNull(columns) => {
                let null: Vec<_> = quoted(columns).iter().map(|c| format!("{c} IS NULL")).collect();
                format!("SELECT * FROM {THIS} WHERE {}", null.join(" OR "))
            }
            Rule::Sql(sql) => sql.clone(),
        };
        let statement = Statement::parse(&sql, &place)?;
        for table in statement.tables(&place)? {
            let here = context.table_exist(table.as_str()).map_err(TransformError::sql(&place))?;
            if let Some(session) = self.session.filter(|_| !here) {
                let view = session.view(&table).await?.into_view();
                context.register_table(table.as_str(), view).map_err(TransformError::sql(&place))?;
            }
        }
        let parsed = match self.session {
            Some(session) => statement.bind(session.as_of()),
            None => statement.unbound(),
        };
        let fail = || TransformError::sql(&place);
        let plan = context.state().statement_to_plan(parsed).await.map_err(fail())?;
        let frame = context.execute_logical_plan(plan).await.map_err(fail())?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        Ok(QueryResult { schema, batches: frame.collect().await.map_err(fail())? })
    }
}

/// The checks that the plan does not prove by itself: what is grouped by columns is unique in them.
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
    let open = |check: &&Check| !matches!(&check.rule, Rule::Unique(columns) if proven(columns));
    checks.iter().filter(open).cloned().collect()
}

fn quoted(columns: &[String]) -> Vec<String> {
    columns.iter().map(|c| format!("\"{c}\"")).collect()
}

fn finding(query: &Query, check: &str, severity: Severity, wrong: &QueryResult) -> Option<Finding> {
    let first = wrong.batches.iter().find(|b| b.num_rows() > 0)?;
    Some(Finding {
        query: query.name.clone(),
        check: check.to_owned(),
        severity,
        rows: wrong.rows(),
        example: first_row(first),
    })
}

fn unable(query: &Query, check: &str, severity: Severity, error: &TransformError) -> Finding {
    Finding {
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

/// The tables a query names; none of a broken one, which says so where it is read.
fn direct(query: &Query) -> BTreeSet<String> {
    let statement = Statement::parse(&query.sql, &query.file);
    let tables = statement.and_then(|s| s.tables(&query.file)).unwrap_or_default();
    tables.into_iter().collect()
}

/// The tables that a query reads, and those these read.
fn all_read(catalog: &Catalog, query: &Query) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut open: Vec<String> = direct(query).into_iter().collect();
    while let Some(name) = open.pop() {
        if all.insert(name.clone())
            && let Some(inner) = catalog.get(&name)
        {
            open.extend(direct(inner));
        }
    }
    all
}
