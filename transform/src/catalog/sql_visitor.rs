//! Walks over syntax trees of SQL.
//!
//! sqlparser derives a walk of some hundreds of functions for each type of visitor, and for each closure
//! that is given to its functions. Nine types that read and seven that change were most of the code of
//! this crate. Here one type of each kind walks for all of them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, Visit, VisitMut,
    Visitor, VisitorMut,
};

/// Visits what is in a part of a statement.
#[expect(clippy::disallowed_methods, reason = "the one walk")]
pub(crate) fn visit(part: &impl Visit, visitor: &mut dyn Visitor<Break = ()>) -> ControlFlow<()> {
    part.visit(&mut DynVisitor(visitor))
}

/// Visits what is in a part of a statement, and may change it.
#[expect(clippy::disallowed_methods, reason = "the one walk")]
pub(crate) fn visit_mut(part: &mut impl VisitMut, visitor: &mut dyn VisitorMut<Break = ()>) {
    let _ = part.visit(&mut DynVisitorMut(visitor));
}

/// Calls a function for each expression, parents before their children.
pub(crate) fn for_each_expression(part: &impl Visit, mut function: impl FnMut(&Expr)) {
    let _ = visit(part, &mut ExpressionVisitor(&mut function));
}

/// Calls a function for each expression, children before their parents.
pub(crate) fn for_each_expression_mut(
    part: &mut impl VisitMut,
    mut function: impl FnMut(&mut Expr),
) {
    visit_mut(part, &mut ExpressionVisitor(&mut function));
}

/// Calls a function for each name of a table.
#[cfg(feature = "postgres")]
pub(crate) fn for_each_relation(part: &impl Visit, mut function: impl FnMut(&ObjectName)) {
    let _ = visit(part, &mut RelationVisitor(&mut function));
}

struct ExpressionVisitor<F>(F);

impl<F: FnMut(&Expr)> Visitor for ExpressionVisitor<F> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        (self.0)(expression);
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(&mut Expr)> VisitorMut for ExpressionVisitor<F> {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        (self.0)(expression);
        ControlFlow::Continue(())
    }
}

#[cfg(feature = "postgres")]
struct RelationVisitor<F>(F);

#[cfg(feature = "postgres")]
impl<F: FnMut(&ObjectName)> Visitor for RelationVisitor<F> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        (self.0)(relation);
        ControlFlow::Continue(())
    }
}

/// Every method is forwarded: one that is left out would never be called.
struct DynVisitor<'a>(&'a mut dyn Visitor<Break = ()>);

struct DynVisitorMut<'a>(&'a mut dyn VisitorMut<Break = ()>);

macro_rules! forward {
    ($($method:ident($node:ty);)*) => {
        type Break = ();

        $(
            fn $method(&mut self, node: $node) -> ControlFlow<()> {
                self.0.$method(node)
            }
        )*
    };
}

impl Visitor for DynVisitor<'_> {
    forward! {
        pre_visit_query(&Query);
        post_visit_query(&Query);
        pre_visit_select(&Select);
        post_visit_select(&Select);
        pre_visit_relation(&ObjectName);
        post_visit_relation(&ObjectName);
        pre_visit_table_factor(&TableFactor);
        post_visit_table_factor(&TableFactor);
        pre_visit_expr(&Expr);
        post_visit_expr(&Expr);
        pre_visit_statement(&Statement);
        post_visit_statement(&Statement);
        pre_visit_value(&ValueWithSpan);
        post_visit_value(&ValueWithSpan);
    }
}

impl VisitorMut for DynVisitorMut<'_> {
    forward! {
        pre_visit_query(&mut Query);
        post_visit_query(&mut Query);
        pre_visit_select(&mut Select);
        post_visit_select(&mut Select);
        pre_visit_relation(&mut ObjectName);
        post_visit_relation(&mut ObjectName);
        pre_visit_table_factor(&mut TableFactor);
        post_visit_table_factor(&mut TableFactor);
        pre_visit_expr(&mut Expr);
        post_visit_expr(&mut Expr);
        pre_visit_statement(&mut Statement);
        post_visit_statement(&mut Statement);
        pre_visit_value(&mut ValueWithSpan);
        post_visit_value(&mut ValueWithSpan);
    }
}
