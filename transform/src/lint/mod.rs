//! What `rapport metrics check` says: what is wrong with the queries of a catalog, each with its
//! place and the fix. Rows are none of its business: those are checked by `data_checks`.
//!
//! Every query is planned by itself, over empty tables and the headers of the queries it reads, so
//! that one that is broken hides nothing of another. Reading order: `text` (places), `words`
//! (before planning), `planner` (what DataFusion says), `columns`, `facts` and `rows` (grain and
//! order), `sums`, `division`, `views` (what it should go through), `checks` (the SQL of its header).

mod checks;
mod columns;
mod division;
mod facts;
mod planner;
mod rows;
mod sums;
mod text;
mod views;
mod words;

pub(crate) use planner::explain;
pub(crate) use text::Words;
pub(crate) use words::check_repeatable;

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Statement as Sql;

use crate::arrivals::ARRIVALS;
use crate::catalog::{Catalog, Kind, Query};
use crate::draft::Draft;
use crate::error::{Result, TransformError};
use crate::graph::Graph;
use crate::mistake::{Area, Mistake, Mistakes};
use crate::nearest::suggest;
use crate::reach;
use crate::session::known_tables;
use crate::statement::Statement;

/// What is wrong with the checks in the headers of the queries named, or of all.
///
/// # Errors
/// As [`check`].
pub async fn check_header_checks(
    catalog: &Arc<Catalog>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Mistake>> {
    let draft = Draft::new(catalog).await?;
    let graph = Graph::of(catalog);
    let checker = Checker { catalog, draft: &draft, graph: &graph };
    let mut found = Vec::new();
    for query in catalog.queries().filter(|q| wanted(&q.name)) {
        let mut mistakes = Mistakes::new(&query.file, &query.name, &query.sql);
        checks::check(&checker, query, &mut mistakes).await?;
        found.extend(mistakes.found);
    }
    Ok(found)
}

/// What is wrong with the queries named, or with all, in the order of the files.
///
/// # Errors
/// DataFusion's own, of no query.
pub async fn check(catalog: &Arc<Catalog>, names: &[String]) -> Result<Vec<Mistake>> {
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    let draft = Draft::new(catalog).await?;
    let mut found: Vec<Mistake> =
        catalog.faults().iter().filter(|fault| wanted(&fault.query)).cloned().collect();
    let graph = Graph::of(catalog);
    for query in catalog.queries().filter(|q| wanted(&q.name)) {
        let checker = Checker { catalog, draft: &draft, graph: &graph };
        found.extend(checker.check(query).await?);
    }
    found.sort_by(|a, b| (&a.file, a.place).cmp(&(&b.file, b.place)));
    Ok(found)
}

struct Checker<'a> {
    catalog: &'a Arc<Catalog>,
    draft: &'a Draft,
    graph: &'a Graph,
}

impl Checker<'_> {
    async fn check(&self, query: &Query) -> Result<Vec<Mistake>> {
        let words = Words::of(&query.sql);
        let mut mistakes = Mistakes::new(&query.file, &query.name, &query.sql);
        if let Some(statement) = self.parsed(query, &words, &mut mistakes) {
            words::check(&statement, query.kind, &self.draft.ctx, &words, &mut mistakes);
            if self.tables_are_known(query, &words, &mut mistakes) {
                self.check_plan(query, statement, &words, &mut mistakes).await?;
            }
        }
        checks::check(self, query, &mut mistakes).await?;
        Ok(mistakes.found)
    }

    fn parsed(
        &self,
        query: &Query,
        words: &Words,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<Statement> {
        const HELP: &str = "a query file holds one SELECT";
        match Statement::parse(&query.sql, &query.file) {
            Ok(statement) if matches!(statement.sql(), Some(Sql::Query(_))) => Some(statement),
            Ok(_) => {
                let message = "this describes a query and is none";
                mistakes.error("forbidden", words.first(), message, HELP.to_owned());
                None
            }
            Err(TransformError::ReadOnly(what)) => {
                let area = words.second_statement().unwrap_or_else(|| words.first());
                let message = format!("{what} is not allowed: queries only read");
                mistakes.error("forbidden", area, message, HELP.to_owned());
                None
            }
            Err(TransformError::Sql { source, .. }) => {
                explain(&source, &self.draft.ctx, words, mistakes);
                None
            }
            Err(other) => {
                mistakes.error("syntax", words.first(), other.to_string(), None);
                None
            }
        }
    }

    /// Says which tables don't exist, and a circle that the query is part of.
    fn tables_are_known(&self, query: &Query, words: &Words, mistakes: &mut Mistakes<'_>) -> bool {
        let mut all_known = true;
        for name in self.graph.reads(&query.name) {
            let is_table = self.draft.ctx.table_exist(name.as_str()).unwrap_or(false);
            if self.catalog.left_out().contains_key(name) {
                // What is wrong with that one has been said.
                all_known = false;
            } else if !is_table && self.draft.ctx.table_function(name).is_err() {
                let area = words.table(name).unwrap_or_else(|| words.first());
                let help = suggest(name, &known_tables(self.catalog));
                mistakes.error("unknown_table", area, format!("there is no table `{name}`"), help);
                all_known = false;
            }
        }
        if let Some(circle) = self.graph.circle(&query.name) {
            let area = words.table(&circle[1]).unwrap_or_else(|| words.first());
            let (message, help) = if circle.len() == 2 {
                ("the query reads itself".to_owned(), "read what it is made of")
            } else {
                let message =
                    format!("queries that read each other in a circle: {}", circle.join(" → "));
                (message, "break it at one of them, with a view that holds what both need")
            };
            mistakes.error("cycle", area, message, help.to_owned());
        }
        all_known
    }

    async fn check_plan(
        &self,
        query: &Query,
        statement: Statement,
        words: &Words,
        mistakes: &mut Mistakes<'_>,
    ) -> Result<()> {
        let ctx = &self.draft.ctx;
        let plan = match self.draft.plan(statement.clone()).await {
            Ok(plan) => plan,
            Err(error) => {
                explain(&error, ctx, words, mistakes);
                return Ok(());
            }
        };
        // Types that don't go together show only here.
        if let Err(error) = ctx.state().optimize(&plan) {
            explain(&error, ctx, words, mistakes);
        }
        columns::check(query, &statement, plan.schema().as_arrow(), words, mistakes);
        sums::check(&plan, words, mistakes);
        division::check(query, &plan, words, mistakes);
        let keys = |table: &str| keys_of(self.catalog, table);
        if rows::check(query, &plan, &keys, words, mistakes) == rows::Grain::Unknown {
            rows::check_cases(self.catalog, query, mistakes).await;
        }
        views::check(query, self.catalog, self.graph, words, mistakes);
        if query.kind == Kind::Rollup {
            self.check_rollup(query, &plan, words, mistakes);
        }
        views::inclusive(&plan, &self.draft.as_of_text(), mistakes);
        Ok(())
    }

    /// A rollup is kept by day and made of events.
    fn check_rollup(
        &self,
        query: &Query,
        plan: &LogicalPlan,
        words: &Words,
        mistakes: &mut Mistakes<'_>,
    ) {
        if plan.schema().fields().iter().all(|f| f.name() != "event_date") {
            let message = "a rollup is kept by day and needs a column `event_date`";
            mistakes.error(
                "reads",
                words.first(),
                message,
                "select it, and group by it".to_owned(),
            );
            return;
        }
        let area = Area { place: query.header.reads_place, width: usize::MAX };
        for broken in reach::verify(query, plan) {
            mistakes.error("reads", area, broken.message, broken.help);
        }
        for table in self.graph.reads(&query.name) {
            if self.catalog.get(table).is_some() {
                let area = words.table(table).unwrap_or_else(|| words.first());
                let message = format!("a rollup is made of events, and `{table}` is a query");
                let help = "read the events, or make it a view".to_owned();
                mistakes.error("reads", area, message, help);
            }
        }
    }
}

/// The columns that tell the rows of a table apart.
fn keys_of(catalog: &Catalog, table: &str) -> Vec<Vec<String>> {
    let key: &[&str] = match table {
        "api_calls" | "partner_events" | "billing_events" | "support_events" => {
            &["event_date", "partner_id", "event_id"]
        }
        ARRIVALS => &["stream", "event_date"],
        "rates" => &["currency", "valid_from"],
        "currencies" => &["code"],
        "sla" => &["plan"],
        "sunsets" => &["api_version"],
        "settings" => return vec![Vec::new()],
        "runs" => &["run_id"],
        _ if table == "dead_letters" || table.starts_with("raw.") => {
            &["topic", "kafka_partition", "kafka_offset"]
        }
        _ => match catalog.get(table) {
            Some(query) if !query.header.grain.is_empty() => {
                return vec![query.header.grain.clone()];
            }
            _ => return Vec::new(),
        },
    };
    vec![key.iter().map(|&column| column.to_owned()).collect()]
}

#[cfg(test)]
mod tests;
