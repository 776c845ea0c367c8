//! Lints of the syntax tree before planning: `SELECT *`, parameters, volatile functions, joins
//! without a condition.

use std::ops::ControlFlow;

use datafusion::logical_expr::Volatility;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{
    Expr, Join, JoinConstraint, JoinOperator, Select, SelectItem, SetExpr, Spanned,
    Statement as Sql, Value, Visitor,
};

use crate::catalog::diagnostics::source_text::SourceText;
use crate::catalog::diagnostics::{Diagnostics, Span};
use crate::catalog::query::QueryKind;
use crate::catalog::sql_visitor::{for_each_expression, visit};
use crate::catalog::statement::{AS_OF, Statement};

pub(crate) fn check(
    statement: &Statement,
    kind: QueryKind,
    ctx: &SessionContext,
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) {
    if let Some(Sql::Query(query)) = statement.sql() {
        check_stars(&query.body, source_text, diagnostics);
    }
    check_repeatable(statement, kind, ctx, source_text, diagnostics);
}

/// Lints everything but the output columns: parameters, volatile functions and joins.
pub(crate) fn check_repeatable(
    statement: &Statement,
    kind: QueryKind,
    ctx: &SessionContext,
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) {
    let Some(sql) = statement.sql() else { return };
    let _ = visit(sql, &mut JoinVisitor { source_text, diagnostics });
    for_each_expression(sql, |expression| match expression {
        Expr::Value(value) => {
            if let Value::Placeholder(name) = &value.value {
                let span = Span::from_sql(value.span).unwrap_or_else(|| source_text.first_token());
                check_parameter(name, kind, span, diagnostics);
            }
        }
        Expr::Function(function) => {
            let name = function.name.to_string().to_lowercase();
            let span =
                Span::from_sql(function.name.span()).unwrap_or_else(|| source_text.first_token());
            check_volatility(&name, span, ctx, diagnostics);
        }
        _ => {}
    });
}

/// Reports `SELECT *` in the output of the query. Inside the query it does no harm.
fn check_stars(body: &SetExpr, source_text: &SourceText, diagnostics: &mut Diagnostics<'_>) {
    match body {
        SetExpr::Select(select) => {
            for item in &select.projection {
                if matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)) {
                    let span =
                        Span::from_sql(item.span()).unwrap_or_else(|| source_text.first_token());
                    diagnostics.error(
                        "select_star",
                        Span { width: 1, ..span },
                        "`SELECT *` gives other columns once its table has others",
                        "name the columns, in the order of the header".to_owned(),
                    );
                }
            }
        }
        SetExpr::Query(query) => check_stars(&query.body, source_text, diagnostics),
        SetExpr::SetOperation { left, right, .. } => {
            check_stars(left, source_text, diagnostics);
            check_stars(right, source_text, diagnostics);
        }
        _ => {}
    }
}

/// Reports every join without a condition; DataFusion itself refuses only outer ones.
struct JoinVisitor<'a, 'b> {
    source_text: &'a SourceText,
    diagnostics: &'a mut Diagnostics<'b>,
}

impl Visitor for JoinVisitor<'_, '_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for join in select.from.iter().flat_map(|from| &from.joins) {
            if is_without_condition(join) {
                let table = Span::from_sql(join.relation.span());
                let span =
                    table.and_then(|span| self.source_text.find_word_before(span.start, "join"));
                join_without_on(
                    span.unwrap_or_else(|| self.source_text.first_token()),
                    self.diagnostics,
                );
            }
        }
        ControlFlow::Continue(())
    }
}

fn is_without_condition(join: &Join) -> bool {
    use JoinOperator::{Inner, Join};
    matches!(&join.join_operator, Join(JoinConstraint::None) | Inner(JoinConstraint::None))
}

pub(super) fn join_without_on(span: Span, diagnostics: &mut Diagnostics<'_>) {
    let help = "say which rows go together: `ON a.x = b.x`; or write CROSS JOIN for all of them";
    diagnostics.error("join", span, "a JOIN without ON", help.to_owned());
}

fn check_parameter(name: &str, kind: QueryKind, span: Span, diagnostics: &mut Diagnostics<'_>) {
    let span = Span { width: name.chars().count(), ..span };
    if name != AS_OF {
        let message = format!("there is no parameter `{name}`");
        let help = if kind == QueryKind::Rollup {
            "a rollup has no parameters: it is computed day by day".to_owned()
        } else {
            format!("`{AS_OF}` is the only one there is: did you mean that?")
        };
        diagnostics.error("parameter", span, message, help);
    } else if kind == QueryKind::Rollup {
        let message = "a rollup knows no `$as_of`: its days are computed once, for all of them";
        let help = "leave it out; who reads the rollup says `event_date < $as_of`".to_owned();
        diagnostics.error("parameter", span, message, help);
    }
}

fn check_volatility(
    name: &str,
    span: Span,
    ctx: &SessionContext,
    diagnostics: &mut Diagnostics<'_>,
) {
    let state = ctx.state();
    let Some(function) = state.scalar_functions().get(name) else { return };
    let help = match function.signature().volatility {
        Volatility::Immutable => return,
        Volatility::Stable => "use `$as_of`, the instant the query looks up to",
        Volatility::Volatile => "derive it from the rows: the same input gives the same output",
    };
    let message = format!("`{name}` gives something else at each run");
    diagnostics.error("clock", span, message, help.to_owned());
}
