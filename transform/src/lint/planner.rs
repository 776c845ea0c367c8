//! What DataFusion says of a query it can't plan, in words that name the place and the fix.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::parser::ParserError;

use super::text::Words;
use super::words::join_without_on;
use crate::error::message_of;
use crate::mistake::{Area, Mistakes, Place};
use crate::nearest::{nearest, suggest};

/// Adds what an error says to the mistakes: one of its own for each wrong expression of a SELECT.
pub(crate) fn explain(
    error: &DataFusionError,
    ctx: &SessionContext,
    words: &Words,
    mistakes: &mut Mistakes<'_>,
) {
    for one in error.iter() {
        explain_one(one, ctx, words, mistakes);
    }
}

fn explain_one(
    error: &DataFusionError,
    ctx: &SessionContext,
    words: &Words,
    mistakes: &mut Mistakes<'_>,
) {
    let span = error.diagnostic().and_then(|d| d.span).map(|span| Area {
        place: Place {
            line: usize::try_from(span.start.line).unwrap_or(1),
            column: usize::try_from(span.start.column).unwrap_or(1),
        },
        width: usize::try_from(span.end.column.saturating_sub(span.start.column)).unwrap_or(1),
    });
    let place = |word: &str| span.or_else(|| words.word(word)).unwrap_or_else(|| words.first());
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
                mistakes.error("unknown_column", place(&field.name), message, help);
            }
            SchemaError::AmbiguousReference { field } => {
                let message = format!("`{}` is a column of several tables here", field.name);
                let help = format!("write which one is meant: `table.{}`", field.name);
                mistakes.error("ambiguous_column", place(&field.name), message, help);
            }
            other => {
                let help = "give each column a name of its own with AS".to_owned();
                mistakes.error("plan", place(""), other.to_string(), help);
            }
        },
        DataFusionError::SQL(parser, _) => syntax(parser, words, mistakes),
        _ => other(&message_of(error), &place, ctx, mistakes),
    }
}

fn syntax(error: &ParserError, words: &Words, mistakes: &mut Mistakes<'_>) {
    let text = match error {
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.clone(),
        other => other.to_string(),
    };
    let (message, place) = split_place(&text);
    let area = place.map_or_else(|| words.first(), |place| Area { place, width: 1 });
    // The place is where the parser gave up; what is missing is missing before it.
    let help = message.starts_with("Expected: end of statement").then(|| {
        "a comma, an operator or a bracket may be missing on this line or the one above".to_owned()
    });
    mistakes.error("syntax", area, message, help);
}

/// `… at Line: 3, Column: 8` → the words before, and the place.
fn split_place(text: &str) -> (&str, Option<Place>) {
    let split = || {
        let (message, at) = text.rsplit_once(" at Line: ")?;
        let (line, column) = at.split_once(", Column: ")?;
        let digits = |text: &str| {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text[..end].parse().ok()
        };
        Some((message, Place { line: digits(line)?, column: digits(column)? }))
    };
    split().map_or((text, None), |(message, place)| (message, Some(place)))
}

fn other(
    message: &str,
    place: &dyn Fn(&str) -> Area,
    ctx: &SessionContext,
    mistakes: &mut Mistakes<'_>,
) {
    if let Some(name) = between(message, "Invalid function '", "'") {
        let state = ctx.state();
        let scalars = state.scalar_functions().keys();
        let known = scalars.chain(state.aggregate_functions().keys());
        let known = known.chain(state.window_functions().keys()).map(String::as_str);
        let help = match nearest(name, known) {
            Some(other) => format!("did you mean `{other}`?"),
            None => "DataFusion's functions can be used, and those of Rapport".to_owned(),
        };
        mistakes.error(
            "unknown_function",
            place(name),
            format!("there is no function `{name}`"),
            help,
        );
    } else if let Some(column) = between(message, "column \"", "\" must appear in the GROUP BY") {
        let name = column.rsplit('.').next().unwrap_or(column);
        let message = format!("`{name}` is neither in GROUP BY nor inside an aggregate");
        let help = format!(
            "add it: `GROUP BY …, {name}`; or take one value of each group, as `min({name})` does"
        );
        mistakes.error("group_by", place(name), message, help);
    } else if message.contains("join condition should not be empty") {
        join_without_on(place("join"), mistakes);
    } else {
        let function = between(message, "call to '", "'")
            .or_else(|| between(message, "types '", "("))
            .unwrap_or_default();
        let first = message.lines().next().unwrap_or_default();
        mistakes.error("plan", place(function), first, None);
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
    fn the_parser_tells_its_place_in_words() {
        let (message, place) = split_place("Expected: ), found: , at Line: 31, Column: 7");
        assert_eq!(message, "Expected: ), found: ,");
        assert_eq!(place, Some(Place { line: 31, column: 7 }));
        assert_eq!(split_place("nothing"), ("nothing", None));
    }
}
