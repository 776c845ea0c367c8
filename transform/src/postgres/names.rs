//! Names as clients write them. A client says `"public"."growth"."month"` and
//! `pg_catalog.format_type(…)`; DataFusion knows `growth.month` and `format_type(…)`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectName, ObjectNamePart, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement as Sql, Value, VisitorMut,
};

use super::parameter;
use crate::catalog::show_statement::PUBLIC;

/// The name of the database that clients see.
pub(super) const DATABASE: &str = "rapport";
/// What PostgreSQL calls a column that nothing names.
const UNNAMED: &str = "?column?";
/// What stands for an escaped sign for a moment; no text has it.
const MARK: char = '\u{1}';
/// The schema of the system catalog.
pub(super) const PG_CATALOG: &str = "pg_catalog";

/// Returns the parts of a name, in lower case unless they are quoted.
pub(super) fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(ObjectNamePart::as_ident).map(normal).collect()
}

pub(super) fn normal(part: &Ident) -> String {
    if part.quote_style.is_some() { part.value.clone() } else { part.value.to_lowercase() }
}

/// Returns the name that PostgreSQL gives a column; `None` for all columns of a table.
pub(super) fn column_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(normal(alias)),
        SelectItem::UnnamedExpr(expression) => Some(expression_name(expression)),
        _ => None,
    }
}

fn expression_name(expression: &Expr) -> String {
    match expression {
        Expr::Identifier(name) => normal(name),
        Expr::CompoundIdentifier(parts) => parts.last().map(normal).unwrap_or_default(),
        Expr::Function(function) => {
            parts(&function.name).pop().unwrap_or_else(|| UNNAMED.to_owned())
        }
        Expr::Cast { expr, .. } => expression_name(expr),
        Expr::Case { .. } => "case".to_owned(),
        _ => UNNAMED.to_owned(),
    }
}

/// Returns names with a number after those that came before: DataFusion refuses columns of one name.
pub(super) fn distinct(names: &[String]) -> Vec<String> {
    let numbered = names.iter().enumerate().map(|(at, name)| {
        if names[..at].contains(name) { format!("{name} {at}") } else { name.clone() }
    });
    numbered.collect()
}

/// Gives columns without a name of their own the one that PostgreSQL gives them.
pub(super) fn name_columns(statement: &mut Sql) {
    let Sql::Query(query) = statement else { return };
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    number_repeated(&mut select.projection);
    let names: Option<Vec<String>> = select.projection.iter().map(column_name).collect();
    let Some(names) = names else { return };
    for (item, name) in select.projection.iter_mut().zip(distinct(&names)) {
        if let SelectItem::UnnamedExpr(expression) = item
            && !matches!(expression, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
        {
            let alias = Ident::with_quote('"', name);
            *item = SelectItem::ExprWithAlias { expr: expression.clone(), alias };
        }
    }
}

/// Gives columns a number that a wildcard repeats, as in `SELECT c.oid, c.*`: DataFusion refuses
/// columns of one name.
fn number_repeated(projection: &mut [SelectItem]) {
    let mut tables = BTreeSet::new();
    let mut is_all = false;
    for item in projection.iter() {
        match item {
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                tables.extend(parts(name).pop());
            }
            SelectItem::Wildcard(_) => is_all = true,
            _ => {}
        }
    }
    for (at, item) in projection.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(expression) = item else { continue };
        let repeated = match &*expression {
            Expr::Identifier(name) if is_all => Some(name),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., table, name] if is_all || tables.contains(&normal(table)) => Some(name),
                _ => None,
            },
            _ => None,
        };
        if let Some(name) = repeated {
            let alias = Ident::with_quote('"', format!("{} {at}", normal(name)));
            *item = SelectItem::ExprWithAlias { expr: expression.clone(), alias };
        }
    }
}

/// Takes the names of the database and of the schema `public` out of a statement, and what
/// DataFusion can't read: collations, and operators by their schema.
pub(super) struct PlainNames;

impl VisitorMut for PlainNames {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        let is_database = |part: &ObjectNamePart| {
            part.as_ident().is_some_and(|part| part.value.eq_ignore_ascii_case(DATABASE))
        };
        if relation.0.len() == 3 && is_database(&relation.0[0]) {
            relation.0.remove(0);
        }
        let is_public = |part: &ObjectNamePart| part.as_ident().is_some_and(|p| p.value == PUBLIC);
        if relation.0.len() == 2 && is_public(&relation.0[0]) {
            relation.0.remove(0);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        match expression {
            Expr::CompoundIdentifier(parts) => {
                if parts.len() == 4 && parts[0].value.eq_ignore_ascii_case(DATABASE) {
                    parts.remove(0);
                }
                if parts.len() == 3 && parts[0].value == PUBLIC {
                    parts.remove(0);
                }
            }
            Expr::Function(function) => {
                let is_system = |part: &ObjectNamePart| {
                    part.as_ident().is_some_and(|p| p.value.eq_ignore_ascii_case(PG_CATALOG))
                };
                if function.name.0.len() == 2 && is_system(&function.name.0[0]) {
                    function.name.0.remove(0);
                }
            }
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                if let Some(Value::SingleQuotedString(sign)) = escape_char.take().map(|c| c.value) {
                    **pattern = with_backslashes(pattern, &sign);
                }
            }
            Expr::Collate { expr, .. } => {
                let inner = std::mem::replace(expr.as_mut(), Expr::value(Value::Null));
                *expression = inner;
            }
            Expr::BinaryOp { op: op @ BinaryOperator::PGCustomBinaryOperator(_), .. } => {
                if let Some(known) = operator(op) {
                    *op = known;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Returns a pattern of LIKE whose signs are escaped by a backslash, the only way that DataFusion knows,
/// from one that escapes them by another sign.
fn with_backslashes(pattern: &Expr, sign: &str) -> Expr {
    let sign = sign.replace('\'', "''");
    match sign.as_str() {
        "\\" => pattern.clone(),
        "" => parameter::with_value(r"replace($1, '\', '\\')", pattern),
        // A sign that is escaped by itself stands for itself.
        sign => parameter::with_value(
            &format!(
                r"replace(replace(replace(replace($1, '\', '\\'), '{sign}{sign}', '{MARK}'), '{sign}', '\'), '{MARK}', '{sign}')"
            ),
            pattern,
        ),
    }
}

/// Returns the operator that `OPERATOR(pg_catalog.~)` names.
fn operator(custom: &BinaryOperator) -> Option<BinaryOperator> {
    let BinaryOperator::PGCustomBinaryOperator(parts) = custom else { return None };
    Some(match parts.last()?.as_str() {
        "=" => BinaryOperator::Eq,
        "<>" => BinaryOperator::NotEq,
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        _ => return None,
    })
}
