//! Names as clients write them. A client says `"public"."growth"."month"` and
//! `pg_catalog.format_type(…)`; DataFusion knows `growth.month` and `format_type(…)`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectName, ObjectNamePart, Value, VisitorMut,
};

use crate::catalog::show_statement::PUBLIC;

/// The name of the database that clients see.
pub(super) const DATABASE: &str = "rapport";
/// The schema of the system catalog.
pub(super) const PG_CATALOG: &str = "pg_catalog";

/// Returns the parts of a name, in lower case unless they are quoted.
pub(super) fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(ObjectNamePart::as_ident).map(normal).collect()
}

pub(super) fn normal(part: &Ident) -> String {
    if part.quote_style.is_some() { part.value.clone() } else { part.value.to_lowercase() }
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
