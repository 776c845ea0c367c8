//! `[[checks]]` and the files in `checks/`: whether rows are as they should be.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::TableProvider;
use datafusion::common::{DFSchema, Dependency};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use lake_types::printable;

use crate::catalog::{Kind, Query};
use crate::error::{Result, TransformError};
use crate::graph::Graph;
use crate::header::{Check, Rule, Severity};
use crate::session::{QueryResult, Session, known_tables};
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

/// What the files in `checks/` found, each with the metrics that it is about.
#[derive(Debug, Clone, Default)]
pub struct Verdict(Vec<(Finding, About)>);

/// The metrics that the finding of a file is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    /// The file can't be read or names a table that is none: it could be about any.
    Every,
    These(BTreeSet<String>),
}

impl Verdict {
    /// What is about a metric.
    fn of(&self, metric: &str) -> impl Iterator<Item = &Finding> {
        let about = move |about: &About| match about {
            About::Every => true,
            About::These(metrics) => metrics.contains(metric),
        };
        self.0.iter().filter(move |(_, metrics)| about(metrics)).map(|(finding, _)| finding)
    }

    /// What is about no metric: the file reads tables that no metric reads.
    pub fn of_no_metric(&self) -> Findings {
        let none = |about: &About| matches!(about, About::These(metrics) if metrics.is_empty());
        let found = self.0.iter().filter(|(_, about)| none(about));
        Findings(found.map(|(finding, _)| finding.clone()).collect())
    }
}

impl Session {
    /// Runs the files in `checks/`. What one finds is about every metric that it reads, or that
    /// reads a table it reads. One that can't be run is a finding too: what cannot be checked is
    /// not published.
    pub async fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        let catalog = self.catalog();
        for (name, fault) in catalog.left_out_of(Kind::Check) {
            let finding = Finding {
                query: name.to_owned(),
                check: fault.file.clone(),
                severity: Severity::Error,
                rows: 0,
                example: fault.headline(),
            };
            verdict.0.push((finding, About::Every));
        }
        let graph = Graph::of(catalog);
        for check in catalog.of_kind(Kind::Check) {
            let found = match self.run(&check.sql, &check.file).await {
                Ok(result) => {
                    finding(check, &check.header.description, check.header.severity, &result)
                }
                Err(error) => {
                    Some(unable(check, &check.header.description, check.header.severity, &error))
                }
            };
            if let Some(found) = found {
                verdict.0.push((found, self.about(check, &graph)));
            }
        }
        verdict
    }

    /// The metrics that a file in `checks/` is about.
    fn about(&self, check: &Query, graph: &Graph) -> About {
        let catalog = self.catalog();
        let known = known_tables(catalog);
        let is_known = |table: &str| {
            let plain = table.strip_prefix("raw.").unwrap_or(table);
            known.contains(&plain)
                || catalog.left_out().contains_key(plain)
                || self.context().table_function(plain).is_ok()
        };
        let statement = Statement::parse(&check.sql, &check.file);
        match statement.and_then(|statement| statement.tables(&check.file)) {
            Ok(read) if read.iter().all(|table| is_known(table)) => {
                let reads = |metric: &&Query| {
                    graph.upstream(&metric.name).iter().any(|table| read.contains(table))
                };
                let metrics = catalog.of_kind(Kind::Metric).filter(reads);
                About::These(metrics.map(|metric| metric.name.clone()).collect())
            }
            _ => About::Every,
        }
    }

    /// What the checks of a metric find in its rows, and what `verdict` holds of it.
    ///
    /// # Errors
    /// An unknown name.
    pub async fn check(
        &self,
        name: &str,
        rows: &QueryResult,
        verdict: &Verdict,
    ) -> Result<Findings> {
        let query = self.catalog().find(name)?;
        let mut findings: Vec<Finding> = verdict.of(name).cloned().collect();
        if !query.header.checks.is_empty() {
            let table = MemTable::try_new(Arc::clone(&rows.schema), vec![rows.batches.clone()]);
            let table = Arc::new(table.map_err(TransformError::sql(&query.file))?);
            findings.extend(
                Checked { query, this: table, session: Some(self) }
                    .run(&query.header.checks)
                    .await?,
            );
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
        self.run_in(&crate::session::context_without_lake(), checks).await
    }

    async fn wrong_rows(&self, context: &SessionContext, rule: &Rule) -> Result<QueryResult> {
        let place = format!("a check of {}", self.query.file);
        let sql = match rule {
            Rule::Unique(columns) => {
                let columns = quoted(columns).join(", ");
                format!(
                    "SELECT {columns}, count(*) AS \"rows\" FROM {THIS} GROUP BY {columns} HAVING count(*) > 1"
                )
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
                context
                    .register_table(table.as_str(), view)
                    .map_err(TransformError::sql(&place))?;
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
        example: printable(&first_row(first)).into_owned(),
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

#[cfg(test)]
mod tests {
    use lake_types::Stream;

    use super::*;
    use crate::world::{World, as_of, event};

    const ROLLUP: &str = "/*---
description = \"calls\"
grain = [\"event_date\", \"partner_id\"]
reads = { api_calls = \"same\" }
[columns]
event_date = { type = \"Date32\" }
partner_id = { type = \"Utf8\" }
calls = { type = \"Int64\" }
[[checks]]
unique = [\"event_date\", \"partner_id\"]
[[checks]]
sql = \"SELECT * FROM this WHERE calls > 2\"
[[checks]]
sql = \"SELECT * FROM this WHERE calls > 1\"
severity = \"warn\"
---*/
SELECT event_date, partner_id, count(*) AS calls FROM api_calls GROUP BY event_date, partner_id";

    const METRIC: &str = "/*---
description = \"calls\"
grain = [\"partner_id\"]
[columns]
partner_id = { type = \"Utf8\" }
calls = { type = \"Int64\" }
[[checks]]
unique = [\"calls\"]
[[checks]]
sql = \"SELECT t.* FROM this t JOIN partners p ON p.partner_id = t.partner_id WHERE calls > 5 ORDER BY 1\"
[[checks]]
sql = \"SELECT nothing FROM this\"
severity = \"warn\"
---*/
SELECT partner_id, sum(calls) AS calls FROM daily_calls GROUP BY partner_id ORDER BY partner_id";

    const FILE: &str = "/*---
description = \"every partner is registered\"
severity = \"warn\"
---*/
SELECT partner_id FROM partners WHERE registered IS NULL ORDER BY partner_id";

    async fn world() -> World {
        World::with_queries(&[
            ("rollups/daily_calls.sql", ROLLUP),
            ("metrics/busy.sql", METRIC),
            ("checks/registered.sql", FILE),
        ])
        .await
    }

    async fn daily(world: &World) -> RollupDays {
        let report = world.engine.refresh(&mut |_| {}).await.expect("a refresh");
        let rollup = report.rollups.into_iter().find(|r| r.name == "daily_calls");
        let rollup = rollup.expect("the rollup");
        RollupDays {
            days: rollup.days,
            held: rollup.held.iter().map(ToString::to_string).collect(),
            found: rollup.findings.iter().map(ToString::to_string).collect(),
        }
    }

    #[derive(Debug, PartialEq, Eq)]
    struct RollupDays {
        days: usize,
        held: Vec<String>,
        found: Vec<String>,
    }

    #[tokio::test]
    async fn a_day_that_fails_stays_as_it_was() {
        let world = world().await;
        let at = |day: &str, hour: u8| event("a", &format!("{day}T{hour:02}:00:00Z"));
        world.add(Stream::ApiCalls, &[at("2026-01-01", 1), at("2026-01-02", 1)]).await;
        let clean = RollupDays { days: 2, held: Vec::new(), found: Vec::new() };
        assert_eq!(daily(&world).await, clean);
        world
            .add(Stream::ApiCalls, &[at("2026-01-01", 2), at("2026-01-01", 3), at("2026-01-02", 2)])
            .await;
        let held = RollupDays {
            days: 1,
            held: vec!["2026-01-01".to_owned()],
            found: [
                "the check SELECT * FROM this WHERE calls > 2: event_date = 2026-01-01, partner_id = a, calls = 3",
                "the check SELECT * FROM this WHERE calls > 1: event_date = 2026-01-01, partner_id = a, calls = 3",
                "the check SELECT * FROM this WHERE calls > 1: event_date = 2026-01-02, partner_id = a, calls = 2",
            ]
            .map(|f| format!("daily_calls: a row fails {f}"))
            .to_vec(),
        };
        let found = daily(&world).await;
        assert_eq!(found.held, held.held);
        assert_eq!(found.days, held.days);
        assert_eq!(found.found.len(), 3, "{found:?}");
        let rows = "SELECT event_date, calls FROM daily_calls ORDER BY event_date";
        let text = world.rows(rows).await;
        assert!(
            text.contains("| 2026-01-01 | 1     |") && text.contains("| 2026-01-02 | 2     |"),
            "{text}"
        );
        // The day is tried again, and said again, until it is right.
        assert_eq!(daily(&world).await.held, held.held);
    }

    #[tokio::test]
    async fn rows_of_a_metric_are_checked() {
        let world = world().await;
        let calls = |partner: &str, n: u8| {
            (1..=n)
                .map(|d| event(partner, &format!("2026-01-{d:02}T00:00:00Z")))
                .collect::<Vec<_>>()
        };
        world.add(Stream::ApiCalls, &[calls("a", 6), calls("b", 6), calls("c", 1)].concat()).await;
        world.engine.refresh(&mut |_| {}).await.expect("a refresh");
        let session = world.engine.at(as_of("2026-02-01"), None).await.expect("a session");
        let verdict = session.verdict().await;
        let rows = session.metric("busy").await.expect("rows");
        let findings = session.check("busy", &rows, &verdict).await.expect("findings");
        let said: Vec<String> = findings.0.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(
            said[..2],
            [
                "busy: a row fails the check unique = [\"calls\"]: calls = 6, rows = 2",
                "busy: 2 rows fail the check SELECT t.* FROM this t JOIN partners p ON p.partner_id = t.partner_id WHERE calls > 5 ORDER BY 1; the first: partner_id = a, calls = 6",
            ]
        );
        assert!(
            said[2].starts_with("busy: the check SELECT nothing FROM this can't be run: "),
            "{said:?}"
        );
        assert_eq!(findings.holding().map(|f| f.check.as_str()), Some("unique = [\"calls\"]"));

        // A file is about what reads the tables that it reads.
        let all: Vec<String> = verdict.0.iter().map(|(found, _)| found.to_string()).collect();
        assert_eq!(
            all,
            [
                "registered: 3 rows fail the check every partner is registered; the first: partner_id = a"
            ]
        );
        let funnel = session.metric("funnel").await.expect("rows");
        let of_funnel = session.check("funnel", &funnel, &verdict).await.expect("findings");
        assert_eq!(of_funnel.0.len(), 1);
        assert!(of_funnel.holding().is_none());
    }

    #[test]
    fn what_is_grouped_by_needs_no_check() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let context = SessionContext::new();
            let left = |sql: &'static str| {
                let context = context.clone();
                async move {
                    let frame = context.sql(sql).await.expect("a plan");
                    let unique = Rule::Unique(vec!["a".to_owned(), "b".to_owned()]);
                    let check = Check { rule: unique, severity: Severity::Error };
                    unproven(&[check], frame.schema()).len()
                }
            };
            let rows = "(VALUES (1, 2, 3)) AS t(a, b, c)";
            let sql = |text: String| -> &'static str { text.leak() };
            assert_eq!(
                left(sql(format!("SELECT a, b, count(*) FROM {rows} GROUP BY a, b ORDER BY a")))
                    .await,
                0
            );
            assert_eq!(
                left(sql(format!("SELECT b, a, count(*) FROM {rows} GROUP BY b, a"))).await,
                0
            );
            assert_eq!(
                left(sql(format!("SELECT a, b, count(*) FROM {rows} GROUP BY a, b, c"))).await,
                1
            );
            assert_eq!(left(sql(format!("SELECT a, b, c FROM {rows}"))).await, 1);
        });
    }
}
