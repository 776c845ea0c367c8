//! What the text of a query shows before it is planned: `SELECT *`, clocks and dice, parameters.

use std::ops::ControlFlow;

use datafusion::logical_expr::Volatility;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{
    Expr, Join, JoinConstraint, JoinOperator, Select, SelectItem, SetExpr, Spanned,
    Statement as Sql, Value, Visit, Visitor, visit_expressions,
};

use super::text::Words;
use crate::catalog::Kind;
use crate::mistake::{Area, Mistakes};
use crate::statement::{AS_OF, Statement};

pub(super) fn check(
    statement: &Statement,
    kind: Kind,
    ctx: &SessionContext,
    words: &Words,
    mistakes: &mut Mistakes<'_>,
) {
    if let Some(Sql::Query(query)) = statement.sql() {
        stars(&query.body, words, mistakes);
    }
    check_repeatable(statement, kind, ctx, words, mistakes);
}

/// As `check`, for SQL whose columns are nobody's business.
pub(crate) fn check_repeatable(
    statement: &Statement,
    kind: Kind,
    ctx: &SessionContext,
    words: &Words,
    mistakes: &mut Mistakes<'_>,
) {
    let Some(sql) = statement.sql() else { return };
    let _ = sql.visit(&mut Joins { words, mistakes });
    let _ = visit_expressions(sql, |expression: &Expr| {
        match expression {
            Expr::Value(value) => {
                if let Value::Placeholder(name) = &value.value {
                    let area = Area::of_span(value.span).unwrap_or_else(|| words.first());
                    parameter(name, kind, area, mistakes);
                }
            }
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                let area = Area::of_span(function.name.span()).unwrap_or_else(|| words.first());
                clock(&name, area, ctx, mistakes);
            }
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
}

/// `SELECT *` in what the query gives; inside, it does no harm.
fn stars(body: &SetExpr, words: &Words, mistakes: &mut Mistakes<'_>) {
    match body {
        SetExpr::Select(select) => {
            for item in &select.projection {
                if matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)) {
                    let area = Area::of_span(item.span()).unwrap_or_else(|| words.first());
                    mistakes.error(
                        "select_star",
                        Area { width: 1, ..area },
                        "`SELECT *` gives other columns once its table has others",
                        "name the columns, in the order of the header".to_owned(),
                    );
                }
            }
        }
        SetExpr::Query(query) => stars(&query.body, words, mistakes),
        SetExpr::SetOperation { left, right, .. } => {
            stars(left, words, mistakes);
            stars(right, words, mistakes);
        }
        _ => {}
    }
}

/// Every join that leaves out which rows go together; DataFusion refuses outer ones only.
struct Joins<'a, 'b> {
    words: &'a Words,
    mistakes: &'a mut Mistakes<'b>,
}

impl Visitor for Joins<'_, '_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for join in select.from.iter().flat_map(|from| &from.joins) {
            if is_without_condition(join) {
                let table = Area::of_span(join.relation.span());
                let area = table.and_then(|area| self.words.before(area.place, "join"));
                join_without_on(area.unwrap_or_else(|| self.words.first()), self.mistakes);
            }
        }
        ControlFlow::Continue(())
    }
}

fn is_without_condition(join: &Join) -> bool {
    use JoinOperator::{Inner, Join};
    matches!(&join.join_operator, Join(JoinConstraint::None) | Inner(JoinConstraint::None))
}

pub(super) fn join_without_on(area: Area, mistakes: &mut Mistakes<'_>) {
    let help = "say which rows go together: `ON a.x = b.x`; or write CROSS JOIN for all of them";
    mistakes.error("join", area, "a JOIN without ON", help.to_owned());
}

fn parameter(name: &str, kind: Kind, area: Area, mistakes: &mut Mistakes<'_>) {
    let area = Area { width: name.chars().count(), ..area };
    if name != AS_OF {
        let message = format!("there is no parameter `{name}`");
        let help = if kind == Kind::Rollup {
            "a rollup has no parameters: it is computed day by day".to_owned()
        } else {
            format!("`{AS_OF}` is the only one there is: did you mean that?")
        };
        mistakes.error("parameter", area, message, help);
    } else if kind == Kind::Rollup {
        let message = "a rollup knows no `$as_of`: its days are computed once, for all of them";
        let help = "leave it out; who reads the rollup says `event_date < $as_of`".to_owned();
        mistakes.error("parameter", area, message, help);
    }
}

fn clock(name: &str, area: Area, ctx: &SessionContext, mistakes: &mut Mistakes<'_>) {
    let state = ctx.state();
    let Some(function) = state.scalar_functions().get(name) else { return };
    let help = match function.signature().volatility {
        Volatility::Immutable => return,
        Volatility::Stable => "use `$as_of`, the instant the query looks up to",
        Volatility::Volatile => "derive it from the rows: the same input gives the same output",
    };
    let message = format!("`{name}` gives something else at each run");
    mistakes.error("clock", area, message, help.to_owned());
}
