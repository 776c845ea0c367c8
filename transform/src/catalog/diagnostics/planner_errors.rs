//! The errors of DataFusion's planner as diagnostics, with position and fix.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::parser::ParserError;
use domain::{Position, closest_name};

use crate::catalog::diagnostics::ast::join_without_on;
use crate::catalog::diagnostics::source_text::SourceText;
use crate::catalog::diagnostics::suggestion::suggest;
use crate::catalog::diagnostics::{Diagnostics, Span};
use crate::error::message_of;

/// Adds the diagnostics of an error: one for each wrong expression of a SELECT.
pub(crate) fn diagnose(
    error: &DataFusionError,
    ctx: &SessionContext,
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) {
    for one in error.iter() {
        diagnose_one(one, ctx, source_text, diagnostics);
    }
}

fn diagnose_one(
    error: &DataFusionError,
    ctx: &SessionContext,
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) {
    let span = error.diagnostic().and_then(|d| d.span).map(|span| Span {
        start: Position {
            line: usize::try_from(span.start.line).unwrap_or(1),
            column: usize::try_from(span.start.column).unwrap_or(1),
        },
        width: usize::try_from(span.end.column.saturating_sub(span.start.column)).unwrap_or(1),
    });
    let span_of = |word: &str| {
        span.or_else(|| source_text.find_word(word)).unwrap_or_else(|| source_text.first_token())
    };
    match error.find_root() {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let mut known: Vec<&str> = valid_fields
                    .iter()
                    .filter(|f| field.relation.is_none() || f.relation == field.relation)
                    .map(|f| f.name.as_str())
                    .collect();
                known.dedup();
                let table = field.relation.as_ref().map(|table| format!(" in `{table}`"));
                let message =
                    format!("there is no column `{}`{}", field.name, table.unwrap_or_default());
                let help = if known.is_empty() {
                    format!("`{}` names nothing that stands in FROM", field.flat_name())
                } else {
                    suggest(&field.name, &known)
                };
                diagnostics.error("unknown_column", span_of(&field.name), message, help);
            }
            SchemaError::AmbiguousReference { field } => {
                let message = format!("`{}` is a column of several tables here", field.name);
                let help = format!("write which one is meant: `table.{}`", field.name);
                diagnostics.error("ambiguous_column", span_of(&field.name), message, help);
            }
            other => {
                let help = "give each column a name of its own with AS".to_owned();
                diagnostics.error("plan", span_of(""), other.to_string(), help);
            }
        },
        DataFusionError::SQL(parser, _) => diagnose_syntax(parser, source_text, diagnostics),
        _ => diagnose_other(&message_of(error), &span_of, ctx, diagnostics),
    }
}

fn diagnose_syntax(
    error: &ParserError,
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) {
    let text = match error {
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.clone(),
        other => other.to_string(),
    };
    let (message, position) = split_position(&text);
    let span = position.map_or_else(|| source_text.first_token(), |start| Span { start, width: 1 });
    // The parser gives up after the place where something is missing.
    let help = message.starts_with("Expected: end of statement").then(|| {
        "a comma, an operator or a bracket may be missing on this line or the one above".to_owned()
    });
    diagnostics.error("syntax", span, message, help);
}

/// Splits `… at Line: 3, Column: 8` into the message before and the position.
fn split_position(text: &str) -> (&str, Option<Position>) {
    let split = || {
        let (message, at) = text.rsplit_once(" at Line: ")?;
        let (line, column) = at.split_once(", Column: ")?;
        let digits = |text: &str| {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text[..end].parse().ok()
        };
        Some((message, Position { line: digits(line)?, column: digits(column)? }))
    };
    split().map_or((text, None), |(message, position)| (message, Some(position)))
}

fn diagnose_other(
    message: &str,
    span_of: &dyn Fn(&str) -> Span,
    ctx: &SessionContext,
    diagnostics: &mut Diagnostics<'_>,
) {
    if let Some(name) = between(message, "Invalid function '", "'") {
        let state = ctx.state();
        let scalars = state.scalar_functions().keys();
        let known = scalars.chain(state.aggregate_functions().keys());
        let known = known.chain(state.window_functions().keys()).map(String::as_str);
        let help = match closest_name(name, known) {
            Some(other) => format!("did you mean `{other}`?"),
            None => "DataFusion's functions can be used, and those of Rapport".to_owned(),
        };
        diagnostics.error(
            "unknown_function",
            span_of(name),
            format!("there is no function `{name}`"),
            help,
        );
    } else if let Some(column) = between(message, "column \"", "\" must appear in the GROUP BY") {
        let name = column.rsplit('.').next().unwrap_or(column);
        let message = format!("`{name}` is neither in GROUP BY nor inside an aggregate");
        let help = format!(
            "add it: `GROUP BY …, {name}`; or take one value of each group, as `min({name})` does"
        );
        diagnostics.error("group_by", span_of(name), message, help);
    } else if message.contains("join condition should not be empty") {
        join_without_on(span_of("join"), diagnostics);
    } else {
        let function = between(message, "call to '", "'")
            .or_else(|| between(message, "types '", "("))
            .unwrap_or_default();
        let first = message.lines().next().unwrap_or_default();
        diagnostics.error("plan", span_of(function), first, None);
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_is_part_of_the_message() {
        let (message, position) = split_position("Expected: ), found: , at Line: 31, Column: 7");
        assert_eq!(message, "Expected: ), found: ,");
        assert_eq!(position, Some(Position { line: 31, column: 7 }));
        assert_eq!(split_position("nothing"), ("nothing", None));
    }
}
