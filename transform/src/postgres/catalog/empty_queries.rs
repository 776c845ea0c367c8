//! Queries over tables of the catalog that never have a row, such as those of indexes and of
//! triggers. Their result is empty whatever they compute, so that what DataFusion can't plan in them
//! does no harm.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArguments, GroupByExpr, Ident, JoinOperator, ObjectName, Query, Select,
    SelectItem, SetExpr, Statement as Sql, TableFactor, TableWithJoins, Visitor,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::super::names::{self, PG_CATALOG};
use super::tables;
use crate::catalog::sql_visitor::visit;

/// Functions that give a row of nothing.
const AGGREGATES: [&str; 9] =
    ["count", "sum", "min", "max", "avg", "array_agg", "string_agg", "bool_or", "bool_and"];

/// Replaces a query whose result is empty by one that says so. Those inside it are replaced already.
pub(super) fn replace(query: &mut Query) {
    if is_marked(query) {
        return;
    }
    let mut empty_names = BTreeSet::new();
    for table in query.with.iter().flat_map(|with| &with.cte_tables) {
        if is_marked(&table.query) {
            empty_names.insert(names::normal(&table.alias.name));
        }
    }
    if let Some(columns) = empty_columns(&query.body, &empty_names)
        && let Some(marked) = marked_query(&columns)
    {
        *query = marked;
    }
}

/// Returns whether a query is one that says that it is empty.
pub(super) fn is_marked(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    select.from.is_empty() && select.selection.as_ref().is_some_and(|s| s.to_string() == "false")
}

fn marked_query(columns: &[String]) -> Option<Query> {
    let columns: Vec<String> = names::distinct(columns)
        .into_iter()
        .map(|name| format!("CAST(NULL AS VARCHAR) AS {}", Ident::with_quote('"', name)))
        .collect();
    let text = format!("SELECT {} WHERE false", columns.join(", "));
    match Parser::parse_sql(&GenericDialect {}, &text).ok()?.pop()? {
        Sql::Query(query) => Some(*query),
        _ => None,
    }
}

/// Returns the names of the columns of an empty result; `None` where it may have rows.
fn empty_columns(body: &SetExpr, empty_names: &BTreeSet<String>) -> Option<Vec<String>> {
    match body {
        SetExpr::Select(select) => {
            let may_have_rows = !select.from.iter().any(|from| is_empty(from, empty_names))
                || (is_ungrouped(select) && select.projection.iter().any(aggregates));
            if may_have_rows {
                return None;
            }
            select.projection.iter().map(names::column_name).collect()
        }
        SetExpr::SetOperation { left, right, .. } => {
            let columns = empty_columns(left, empty_names)?;
            empty_columns(right, empty_names).map(|_| columns)
        }
        SetExpr::Query(query) => empty_columns(&query.body, empty_names),
        _ => None,
    }
}

fn is_ungrouped(select: &Select) -> bool {
    matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty())
}

fn is_empty(from: &TableWithJoins, empty_names: &BTreeSet<String>) -> bool {
    let mut empty = is_empty_factor(&from.relation, empty_names);
    for join in &from.joins {
        let right = is_empty_factor(&join.relation, empty_names);
        empty = match &join.join_operator {
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => {
                empty || right
            }
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => empty,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => right,
            _ => empty && right,
        };
    }
    empty
}

fn is_empty_factor(factor: &TableFactor, empty_names: &BTreeSet<String>) -> bool {
    match factor {
        TableFactor::Table { name, args: None, .. } => is_empty_table(name, empty_names),
        TableFactor::Derived { subquery, .. } => is_marked(subquery),
        TableFactor::NestedJoin { table_with_joins, .. } => is_empty(table_with_joins, empty_names),
        _ => false,
    }
}

fn is_empty_table(name: &ObjectName, empty_names: &BTreeSet<String>) -> bool {
    let parts = names::parts(name);
    let found = match parts.as_slice() {
        [name] if empty_names.contains(name) => return true,
        [name] => tables::find(PG_CATALOG, name),
        [schema, name] => tables::find(schema, name),
        _ => None,
    };
    found.is_some_and(|table| !table.has_rows)
}

/// Returns whether a column is an aggregate. Those of subqueries inside it are not its own.
pub(super) fn aggregates(item: &SelectItem) -> bool {
    visit(item, &mut Aggregates::default()).is_break()
}

/// Looks for an aggregate outside of subqueries.
#[derive(Default)]
struct Aggregates {
    /// How many queries are around what is visited.
    depth: usize,
}

impl Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expression else { return ControlFlow::Continue(()) };
        let name = names::parts(&function.name).pop().unwrap_or_default();
        if self.depth == 0 && AGGREGATES.contains(&name.as_str()) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// Returns whether a call is `ARRAY(SELECT …)`.
pub(super) fn is_array_of_subquery(function: &Function) -> bool {
    matches!(function.args, FunctionArguments::Subquery(_))
        && function.name.to_string().eq_ignore_ascii_case("array")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_over_empty_tables_are_empty() {
        let check = |text: &str, expected: &str| {
            let mut parsed = Parser::parse_sql(&GenericDialect {}, text).expect(text);
            let Sql::Query(query) = &mut parsed[0] else { panic!("{text}") };
            replace(query);
            assert_eq!(query.to_string(), expected);
        };
        check(
            "SELECT i.indrelid, f(i.x) AS \"Def\" FROM pg_index i JOIN pg_class c ON true",
            "SELECT CAST(NULL AS VARCHAR) AS \"indrelid\", CAST(NULL AS VARCHAR) AS \"Def\" WHERE false",
        );
        for kept in [
            "SELECT 1 FROM pg_class LEFT JOIN pg_index ON true",
            "SELECT count(*) FROM pg_index",
            "SELECT * FROM pg_index",
            "SELECT 1 FROM pg_class",
        ] {
            check(kept, kept);
        }
        check(
            "SELECT NULL, NULL FROM pg_publication",
            "SELECT CAST(NULL AS VARCHAR) AS \"?column?\", CAST(NULL AS VARCHAR) AS \"?column? 1\" WHERE false",
        );
        check(
            "SELECT a, (SELECT string_agg(x, ',') FROM pg_class) AS b FROM pg_index UNION SELECT NULL, NULL FROM pg_trigger",
            "SELECT CAST(NULL AS VARCHAR) AS \"a\", CAST(NULL AS VARCHAR) AS \"b\" WHERE false",
        );
        check(
            "SELECT a FROM pg_class, pg_trigger",
            "SELECT CAST(NULL AS VARCHAR) AS \"a\" WHERE false",
        );
        check(
            "SELECT count(*) FROM pg_index GROUP BY indrelid",
            "SELECT CAST(NULL AS VARCHAR) AS \"count\" WHERE false",
        );
    }
}
