//! `--where`: a condition on the rows of the view `partners`, and what is wrong with one, at its
//! place.
//!
//! The condition is parsed by itself, so that a place in it is a place in what was typed, and then
//! stands in the WHERE of a query: `$as_of` and subqueries mean there what they mean everywhere.

use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::{Expr, Function, Query, SelectItem, Spanned, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::Kind;
use crate::error::{Result, TransformError, message_of};
use crate::lint::{Words, check_repeatable, explain};
use crate::mistake::{Area, Mistake, Mistakes};
use crate::session::{QueryResult, Session};
use crate::statement::Statement;

/// What a mistake in a condition calls the place where it stands.
const PLACE: &str = "--where";

/// An expression over the columns of a view.
pub(crate) struct Condition<'a> {
    text: &'a str,
    view: &'a str,
    expression: Expr,
}

impl<'a> Condition<'a> {
    /// # Errors
    /// A text that is no expression, at its place.
    pub(crate) fn parse(text: &'a str, view: &'a str) -> Result<Self> {
        let parsed = Parser::new(&GenericDialect {}).try_with_sql(text).and_then(|mut parser| {
            let expression = parser.parse_expr()?;
            let next = parser.peek_token();
            match next.token {
                Token::EOF => Ok(expression),
                token => Err(ParserError::ParserError(format!(
                    "Expected: the end of the condition, found: {token}{}",
                    next.span.start
                ))),
            }
        });
        parsed.map(|expression| Self { text, view, expression }).map_err(|error| {
            let words = Words::of(text);
            let mut mistakes = Mistakes::new(PLACE, "", text);
            let ctx = crate::session::context_without_lake();
            explain(&DataFusionError::SQL(Box::new(error), None), &ctx, &words, &mut mistakes);
            first(mistakes, &words, "it is no condition")
        })
    }

    /// The values of `column` in the rows for which the condition holds.
    ///
    /// # Errors
    /// A condition that can't be evaluated, at the place of what is wrong; those of the view.
    pub(crate) async fn select(&self, session: &Session, column: &str) -> Result<QueryResult> {
        let statement = self.statement(&format!("SELECT {column} FROM {}", self.view), None)?;
        self.check(session, &statement)?;
        let error = match session.run_statement(statement, PLACE).await {
            Ok(rows) => return Ok(rows),
            Err(error) => error,
        };
        // What fails without the condition too is no mistake in it.
        let bare = Statement::parse(&format!("SELECT {column} FROM {}", self.view), PLACE)?;
        session.run_statement(bare, PLACE).await?;
        Err(self.explained(session, error).await)
    }

    /// A query over the view, with the condition or a part of it as its WHERE or only column.
    fn statement(&self, sql: &str, part: Option<&Expr>) -> Result<Statement> {
        let mut statement = Statement::parse(sql, PLACE)?;
        statement.change_select(|select| match part {
            Some(part) => select.projection = vec![SelectItem::UnnamedExpr(part.clone())],
            None => select.selection = Some(self.expression.clone()),
        });
        Ok(statement)
    }

    /// Refuses what a row has no single value of, and what is not the same at each run.
    fn check(&self, session: &Session, statement: &Statement) -> Result<()> {
        let words = Words::of(self.text);
        let mut mistakes = Mistakes::new(PLACE, "", self.text);
        check_repeatable(statement, Kind::Metric, session.context(), &words, &mut mistakes);
        let mut calls = Calls::default();
        let _ = self.expression.visit(&mut calls);
        for function in calls.outer {
            let name = function.name.to_string();
            let area = Area::of_span(function.name.span()).unwrap_or_else(|| words.first());
            let known = session.context().state();
            let aggregates = known.aggregate_functions();
            if function.over.is_some() {
                let message = format!("`{name}` OVER looks at other rows, and a condition at one");
                let help = "compute it in a view of queries/views/, and ask that: partner_id IN (SELECT …)";
                mistakes.error("window", area, message, help.to_owned());
            } else if aggregates.contains_key(&name.to_lowercase()) {
                let message = format!("`{name}` is over many rows, and a condition looks at one");
                let help = "ask a metric for it: partner_id IN (SELECT partner_id FROM partner_reliability WHERE calls > 100)";
                mistakes.error("aggregate", area, message, help.to_owned());
            }
        }
        match mistakes.found.is_empty() {
            true => Ok(()),
            false => Err(first(mistakes, &words, "")),
        }
    }

    /// An error as the mistake that it is.
    async fn explained(&self, session: &Session, error: TransformError) -> TransformError {
        let words = Words::of(self.text);
        let mut mistakes = Mistakes::new(PLACE, "", self.text);
        match &error {
            TransformError::UnknownTable { name, hint, .. } => {
                let area = words.table(name).unwrap_or_else(|| words.first());
                let message = format!("there is no table `{name}`");
                mistakes.error("unknown_table", area, message, hint.clone());
            }
            TransformError::Sql { source, .. } => match source.find_root() {
                DataFusionError::Plan(text) if text.contains("non-boolean predicate") => {
                    let (_, given) = text.rsplit_once(" returning ").unwrap_or_default();
                    let area = Area { width: usize::MAX, ..words.first() };
                    let message = format!("a condition is a Boolean, and this is {given}");
                    let help = "compare it with something: plan = 'gold'".to_owned();
                    mistakes.error("boolean", area, message, help);
                }
                DataFusionError::ResourcesExhausted(_)
                | DataFusionError::ObjectStore(_)
                | DataFusionError::IoError(_)
                | DataFusionError::ParquetError(_) => return error,
                DataFusionError::Plan(_)
                | DataFusionError::SQL(..)
                | DataFusionError::SchemaError(..) => {
                    explain(source, session.context(), &words, &mut mistakes);
                }
                _ => {
                    let area = self.failing_part(session).await;
                    let area = area.unwrap_or(Area { width: usize::MAX, ..words.first() });
                    let message = message_of(source);
                    let help = remedy(&message);
                    mistakes.error("value", area, message, help.map(str::to_owned));
                }
            },
            _ => return error,
        }
        first(mistakes, &words, &error.to_string())
    }

    /// Where the smallest part stands that fails by itself over the rows of the view.
    async fn failing_part(&self, session: &Session) -> Option<Area> {
        let mut parts = Parts::default();
        let _ = self.expression.visit(&mut parts);
        // Inner parts come before those around them.
        for part in parts.inner_first {
            let sql = format!("SELECT 1 FROM {}", self.view);
            let Ok(statement) = self.statement(&sql, Some(&part)) else { continue };
            if session.run_statement(statement, PLACE).await.is_err() {
                return Area::of_span(part.span());
            }
        }
        None
    }
}

/// What makes an error of a value none.
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

/// The first mistake; where nothing was found, the text at the first word.
fn first(mut mistakes: Mistakes<'_>, words: &Words, otherwise: &str) -> TransformError {
    if mistakes.found.is_empty() {
        mistakes.error("condition", words.first(), otherwise, None);
    }
    let found: Option<Mistake> = mistakes.found.into_iter().next();
    found.map_or_else(
        || TransformError::ReadOnly(otherwise.to_owned()),
        |mistake| TransformError::Condition(Box::new(mistake)),
    )
}

/// The functions that are called outside of subqueries.
#[derive(Default)]
struct Calls {
    depth: usize,
    outer: Vec<Function>,
}

impl Visitor for Calls {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expression
            && self.depth == 0
        {
            self.outer.push(function.clone());
        }
        ControlFlow::Continue(())
    }
}

/// The parts of an expression outside of subqueries.
#[derive(Default)]
struct Parts {
    depth: usize,
    inner_first: Vec<Expr>,
}

impl Visitor for Parts {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        let is_leaf = matches!(
            expression,
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_)
        );
        if self.depth == 0 && !is_leaf {
            self.inner_first.push(expression.clone());
        }
        ControlFlow::Continue(())
    }
}
