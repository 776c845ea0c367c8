//! The condition of `--where` on the rows of a view, with diagnostics at positions in its text.
//!
//! The condition is parsed by itself, so positions are those in the text that was typed. It then
//! becomes the WHERE of a query, in which `$as_of` and subqueries work as usual.

use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::{Expr, Query, SelectItem, Spanned, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::QueryKind;
use crate::catalog::diagnostics::ast::check_repeatable;
use crate::catalog::diagnostics::planner_errors::diagnose;
use crate::catalog::diagnostics::source_text::SourceText;
use crate::catalog::diagnostics::{Diagnostic, Diagnostics, Span};
use crate::catalog::sql_visitor::visit;
use crate::catalog::statement::Statement;
use crate::engine::context::context_without_lake;
use crate::engine::session::Session;
use crate::engine::session::query::QueryResult;
use crate::error::{Result, TransformError, message_of};

/// The name of the condition's text in diagnostics, in place of a file.
const LOCATION: &str = "--where";

/// A condition on the rows of a view: a Boolean expression over its columns.
pub(crate) struct ViewPredicate<'a> {
    text: &'a str,
    view: &'a str,
    expression: Expr,
}

impl<'a> ViewPredicate<'a> {
    /// # Errors
    /// [`TransformError::InvalidCondition`] for a text that is no expression.
    pub(crate) fn parse(text: &'a str, view: &'a str) -> Result<Self> {
        parse_condition(text).map(|expression| Self { text, view, expression }).map_err(|error| {
            let source_text = SourceText::tokenize(text);
            let mut diagnostics = Diagnostics::new(LOCATION, "", text);
            let ctx = context_without_lake();
            diagnose(
                &DataFusionError::SQL(Box::new(error), None),
                &ctx,
                &source_text,
                &mut diagnostics,
            );
            first(diagnostics, &source_text, "it is no condition")
        })
    }

    /// Returns the values of `column` in the rows for which the condition is true.
    ///
    /// # Errors
    /// [`TransformError::InvalidCondition`] for a condition that can't be evaluated; errors of the
    /// view.
    pub(crate) async fn select(&self, session: &Session, column: &str) -> Result<QueryResult> {
        let statement = self.statement(&format!("SELECT {column} FROM {}", self.view), None)?;
        self.check(session, &statement)?;
        let error = match session.run_statement(statement, LOCATION).await {
            Ok(rows) => return Ok(rows),
            Err(error) => error,
        };
        // A query that fails without the condition too has its error in the view.
        let bare = Statement::parse(&format!("SELECT {column} FROM {}", self.view), LOCATION)?;
        session.run_statement(bare, LOCATION).await?;
        Err(self.diagnose(session, error).await)
    }

    /// Returns a query over the view. Its WHERE is the condition, or its only column is `part`.
    fn statement(&self, sql: &str, part: Option<&Expr>) -> Result<Statement> {
        let mut statement = Statement::parse(sql, LOCATION)?;
        statement.change_select(|select| match part {
            Some(part) => select.projection = vec![SelectItem::UnnamedExpr(part.clone())],
            None => select.selection = Some(self.expression.clone()),
        });
        Ok(statement)
    }

    /// Refuses aggregates and window functions, which need other rows, and functions whose result
    /// differs from run to run.
    fn check(&self, session: &Session, statement: &Statement) -> Result<()> {
        let source_text = SourceText::tokenize(self.text);
        let mut diagnostics = Diagnostics::new(LOCATION, "", self.text);
        check_repeatable(
            statement,
            QueryKind::Metric,
            session.context(),
            &source_text,
            &mut diagnostics,
        );
        for part in OuterParts::of(&self.expression).parents_first {
            let Expr::Function(function) = part else { continue };
            let name = function.name.to_string();
            let span =
                Span::from_sql(function.name.span()).unwrap_or_else(|| source_text.first_token());
            let state = session.context().state();
            let aggregates = state.aggregate_functions();
            if function.over.is_some() {
                let message = format!("`{name}` OVER looks at other rows, and a condition at one");
                let help = "compute it in a view of queries/views/, and ask that: partner_id IN (SELECT …)";
                diagnostics.error("window", span, message, help.to_owned());
            } else if aggregates.contains_key(&name.to_lowercase()) {
                let message = format!("`{name}` is over many rows, and a condition looks at one");
                let help = "ask a metric for it: partner_id IN (SELECT partner_id FROM partner_reliability WHERE calls > 100)";
                diagnostics.error("aggregate", span, message, help.to_owned());
            }
        }
        match diagnostics.found.is_empty() {
            true => Ok(()),
            false => Err(first(diagnostics, &source_text, "")),
        }
    }

    /// Returns an error of the query as a diagnostic of the condition, where it is one.
    async fn diagnose(&self, session: &Session, error: TransformError) -> TransformError {
        let source_text = SourceText::tokenize(self.text);
        let mut diagnostics = Diagnostics::new(LOCATION, "", self.text);
        match &error {
            TransformError::UnknownTable { name, hint, .. } => {
                let span =
                    source_text.find_table(name).unwrap_or_else(|| source_text.first_token());
                let message = format!("there is no table `{name}`");
                diagnostics.error("unknown_table", span, message, hint.clone());
            }
            TransformError::Sql { source, .. } => match source.find_root() {
                DataFusionError::Plan(text) if text.contains("non-boolean predicate") => {
                    let (_, given) = text.rsplit_once(" returning ").unwrap_or_default();
                    let span = Span { width: usize::MAX, ..source_text.first_token() };
                    let message = format!("a condition is a Boolean, and this is {given}");
                    let help = "compare it with something: plan = 'gold'".to_owned();
                    diagnostics.error("boolean", span, message, help);
                }
                DataFusionError::ResourcesExhausted(_)
                | DataFusionError::ObjectStore(_)
                | DataFusionError::IoError(_)
                | DataFusionError::ParquetError(_) => return error,
                DataFusionError::Plan(_)
                | DataFusionError::SQL(..)
                | DataFusionError::SchemaError(..) => {
                    diagnose(source, session.context(), &source_text, &mut diagnostics);
                }
                _ => {
                    let span = self.failing_part(session).await;
                    let span =
                        span.unwrap_or(Span { width: usize::MAX, ..source_text.first_token() });
                    let message = message_of(source);
                    let help = remedy(&message);
                    diagnostics.error("value", span, message, help.map(str::to_owned));
                }
            },
            _ => return error,
        }
        first(diagnostics, &source_text, &error.to_string())
    }

    /// Returns the span of the smallest part that fails when it is evaluated alone over the view.
    async fn failing_part(&self, session: &Session) -> Option<Span> {
        let parts = OuterParts::of(&self.expression).children_first;
        for part in parts.into_iter().filter(|part| !is_leaf(part)) {
            let sql = format!("SELECT 1 FROM {}", self.view);
            let Ok(statement) = self.statement(&sql, Some(&part)) else { continue };
            if session.run_statement(statement, LOCATION).await.is_err() {
                return Span::from_sql(part.span());
            }
        }
        None
    }
}

/// Parses a text that is one expression and nothing more.
pub(crate) fn parse_condition(text: &str) -> std::result::Result<Expr, ParserError> {
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(text)?;
    let expression = parser.parse_expr()?;
    let next = parser.peek_token();
    match next.token {
        Token::EOF => Ok(expression),
        token => Err(ParserError::ParserError(format!(
            "Expected: the end of the condition, found: {token}{}",
            next.span.start
        ))),
    }
}

/// Returns how to avoid an error of a value.
fn remedy(message: &str) -> Option<&'static str> {
    let lower = message.to_lowercase();
    if lower.contains("divide by zero") {
        Some("NULLIF(x, 0) makes the divisor NULL, and what is NULL does not hold")
    } else if lower.contains("cast") || lower.contains("parse") || lower.contains("convert") {
        Some("TRY_CAST(x AS …) is NULL where it can't be one, and what is NULL does not hold")
    } else {
        None
    }
}

/// Returns the first diagnostic. Where there is none, it is `otherwise` at the first word.
fn first(
    mut diagnostics: Diagnostics<'_>,
    source_text: &SourceText,
    otherwise: &str,
) -> TransformError {
    if diagnostics.found.is_empty() {
        diagnostics.error("condition", source_text.first_token(), otherwise, None);
    }
    let found: Option<Diagnostic> = diagnostics.found.into_iter().next();
    found.map_or_else(
        || TransformError::ReadOnly(otherwise.to_owned()),
        |diagnostic| TransformError::InvalidCondition(Box::new(diagnostic)),
    )
}

/// The parts of an expression outside of its subqueries, in both orders.
#[derive(Default)]
struct OuterParts {
    subquery_depth: usize,
    parents_first: Vec<Expr>,
    children_first: Vec<Expr>,
}

impl OuterParts {
    fn of(expression: &Expr) -> Self {
        let mut parts = Self::default();
        let _ = visit(expression, &mut parts);
        parts
    }
}

impl Visitor for OuterParts {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.subquery_depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.subquery_depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if self.subquery_depth == 0 {
            self.parents_first.push(expression.clone());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if self.subquery_depth == 0 {
            self.children_first.push(expression.clone());
        }
        ControlFlow::Continue(())
    }
}

/// Whether an expression is a column or a literal, which can't fail by itself.
fn is_leaf(expression: &Expr) -> bool {
    matches!(expression, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_))
}
