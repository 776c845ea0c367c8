//! The lints of `rapport metrics check`: diagnostics of the queries of a catalog, each with
//! position and fix. The rows of queries are checked by `data_checks` instead.
//!
//! Every query is planned by itself, over empty tables with the columns of the headers of the
//! queries that it reads, so that a wrong query hides no diagnostic of another.
//!
//! - `header_columns`: the declared columns
//! - `grain`: the declared grain, and the order of rows
//! - `sums`, `division`: sums of floats and of money, integer divisions
//! - `as_of`, `merged_partners`: bounds that include `$as_of`, metrics that bypass merges
//! - `header_checks`: the SQL of the checks in the header

mod as_of;
mod division;
mod grain;
mod header_checks;
mod header_columns;
mod merged_partners;
mod sums;

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Statement as Sql;

use crate::analysis::day_range;
use crate::analysis::empty_session::EmptySession;
use crate::catalog::built_in_tables;
use crate::catalog::diagnostics::ast;
use crate::catalog::diagnostics::planner_errors::diagnose;
use crate::catalog::diagnostics::source_text::SourceText;
use crate::catalog::diagnostics::suggestion::suggest;
use crate::catalog::diagnostics::{Diagnostic, Diagnostics, Span};
use crate::catalog::graph::DependencyGraph;
use crate::catalog::statement::Statement;
use crate::catalog::{Catalog, Query, QueryKind};
use crate::engine::table_names::known_tables;
use crate::error::{Result, TransformError};

/// Returns the diagnostics of the checks in the headers of the wanted queries.
///
/// # Errors
/// As [`lint_queries`].
pub async fn lint_header_checks(
    catalog: &Arc<Catalog>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Diagnostic>> {
    let session = EmptySession::new(catalog).await?;
    let graph = DependencyGraph::of(catalog);
    let linter = Linter { catalog, session: &session, graph: &graph };
    let mut found = Vec::new();
    for query in catalog.queries().filter(|q| wanted(&q.name)) {
        let mut diagnostics = Diagnostics::new(&query.file, &query.name, &query.sql);
        header_checks::check(&linter, query, &mut diagnostics).await?;
        found.extend(diagnostics.found);
    }
    Ok(found)
}

/// Returns the diagnostics of the named queries, or of all queries without a name, in the order of
/// the files.
///
/// # Errors
/// Errors of DataFusion that are not those of a query.
pub async fn lint_queries(catalog: &Arc<Catalog>, names: &[String]) -> Result<Vec<Diagnostic>> {
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    let session = EmptySession::new(catalog).await?;
    let mut found: Vec<Diagnostic> =
        catalog.diagnostics().iter().filter(|d| wanted(&d.query)).cloned().collect();
    let graph = DependencyGraph::of(catalog);
    for query in catalog.queries().filter(|q| wanted(&q.name)) {
        let linter = Linter { catalog, session: &session, graph: &graph };
        found.extend(linter.lint(query).await?);
    }
    found.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
    Ok(found)
}

/// The context of the lints of a query.
struct Linter<'a> {
    catalog: &'a Arc<Catalog>,
    session: &'a EmptySession,
    graph: &'a DependencyGraph,
}

impl Linter<'_> {
    async fn lint(&self, query: &Query) -> Result<Vec<Diagnostic>> {
        let source_text = SourceText::tokenize(&query.sql);
        let mut diagnostics = Diagnostics::new(&query.file, &query.name, &query.sql);
        if let Some(statement) = self.parse(query, &source_text, &mut diagnostics) {
            ast::check(&statement, query.kind, &self.session.ctx, &source_text, &mut diagnostics);
            if self.check_tables(query, &source_text, &mut diagnostics) {
                self.check_plan(query, statement, &source_text, &mut diagnostics).await?;
            }
        }
        header_checks::check(self, query, &mut diagnostics).await?;
        Ok(diagnostics.found)
    }

    fn parse(
        &self,
        query: &Query,
        source_text: &SourceText,
        diagnostics: &mut Diagnostics<'_>,
    ) -> Option<Statement> {
        const HELP: &str = "a query file holds one SELECT";
        match Statement::parse(&query.sql, &query.file) {
            Ok(statement) if matches!(statement.sql(), Some(Sql::Query(_))) => Some(statement),
            Ok(_) => {
                let message = "this describes a query and is none";
                diagnostics.error("forbidden", source_text.first_token(), message, HELP.to_owned());
                None
            }
            Err(TransformError::ReadOnly(what)) => {
                let span =
                    source_text.second_statement().unwrap_or_else(|| source_text.first_token());
                let message = format!("{what} is not allowed: queries only read");
                diagnostics.error("forbidden", span, message, HELP.to_owned());
                None
            }
            Err(TransformError::Sql { source, .. }) => {
                diagnose(&source, &self.session.ctx, source_text, diagnostics);
                None
            }
            Err(other) => {
                diagnostics.error("syntax", source_text.first_token(), other.to_string(), None);
                None
            }
        }
    }

    /// Reports unknown tables and a cycle that the query is part of. Returns whether all tables are
    /// known.
    fn check_tables(
        &self,
        query: &Query,
        source_text: &SourceText,
        diagnostics: &mut Diagnostics<'_>,
    ) -> bool {
        let mut all_known = true;
        for name in self.graph.reads(&query.name) {
            let is_table = self.session.ctx.table_exist(name.as_str()).unwrap_or(false);
            if self.catalog.unreadable().contains_key(name) {
                // The file of that query has a diagnostic of its own.
                all_known = false;
            } else if !is_table && self.session.ctx.table_function(name).is_err() {
                let span =
                    source_text.find_table(name).unwrap_or_else(|| source_text.first_token());
                let help = suggest(name, &known_tables(self.catalog));
                diagnostics.error(
                    "unknown_table",
                    span,
                    format!("there is no table `{name}`"),
                    help,
                );
                all_known = false;
            }
        }
        if let Some(cycle) = self.graph.cycle(&query.name) {
            let span =
                source_text.find_table(&cycle[1]).unwrap_or_else(|| source_text.first_token());
            let (message, help) = if cycle.len() == 2 {
                ("the query reads itself".to_owned(), "read what it is made of")
            } else {
                let message =
                    format!("queries that read each other in a circle: {}", cycle.join(" → "));
                (message, "break it at one of them, with a view that holds what both need")
            };
            diagnostics.error("cycle", span, message, help.to_owned());
        }
        all_known
    }

    async fn check_plan(
        &self,
        query: &Query,
        statement: Statement,
        source_text: &SourceText,
        diagnostics: &mut Diagnostics<'_>,
    ) -> Result<()> {
        let ctx = &self.session.ctx;
        let plan = match self.session.plan(statement.clone()).await {
            Ok(plan) => plan,
            Err(error) => {
                diagnose(&error, ctx, source_text, diagnostics);
                return Ok(());
            }
        };
        // Wrong argument types are found only by the optimizer.
        if let Err(error) = ctx.state().optimize(&plan) {
            diagnose(&error, ctx, source_text, diagnostics);
        }
        header_columns::check(
            query,
            &statement,
            plan.schema().as_arrow(),
            source_text,
            diagnostics,
        );
        sums::check(&plan, source_text, diagnostics);
        division::check(query, &plan, source_text, diagnostics);
        let keys = |table: &str| keys_of(self.catalog, table);
        if grain::check(query, &plan, &keys, source_text, diagnostics) == grain::GrainProof::Unknown
        {
            grain::check_cases(self.catalog, query, diagnostics).await;
        }
        merged_partners::check(query, self.catalog, self.graph, source_text, diagnostics);
        if query.kind == QueryKind::Rollup {
            self.check_rollup(query, &plan, source_text, diagnostics);
        }
        as_of::check(&plan, &self.session.as_of_text(), diagnostics);
        Ok(())
    }

    /// Checks that a rollup has a day, reads events only, and declares the days that it reads.
    fn check_rollup(
        &self,
        query: &Query,
        plan: &LogicalPlan,
        source_text: &SourceText,
        diagnostics: &mut Diagnostics<'_>,
    ) {
        if plan.schema().fields().iter().all(|f| f.name() != "event_date") {
            let message = "a rollup is kept by day and needs a column `event_date`";
            diagnostics.error(
                "reads",
                source_text.first_token(),
                message,
                "select it, and group by it".to_owned(),
            );
            return;
        }
        let span = Span::from_position(query.header.reads_position);
        for read in day_range::undeclared_reads(query, plan) {
            diagnostics.error("reads", span, read.message, read.help);
        }
        for table in self.graph.reads(&query.name) {
            if self.catalog.get(table).is_some() {
                let span =
                    source_text.find_table(table).unwrap_or_else(|| source_text.first_token());
                let message = format!("a rollup is made of events, and `{table}` is a query");
                let help = "read the events, or make it a view".to_owned();
                diagnostics.error("reads", span, message, help);
            }
        }
    }
}

/// Returns the keys of a table or query.
fn keys_of(catalog: &Catalog, table: &str) -> Vec<Vec<String>> {
    if let Some(key) = built_in_tables::key(table) {
        return vec![key.iter().map(|&column| column.to_owned()).collect()];
    }
    match catalog.get(table) {
        Some(query) if !query.header.grain.is_empty() => vec![query.header.grain.clone()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
