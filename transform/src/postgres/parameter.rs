//! Values of parameters, and their place in a statement: as literals, which DataFusion plans with.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::sql::sqlparser::ast::{
    Array, DataType as SqlType, Expr, Statement as Sql, TimezoneInfo, Value,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::catalog::sql_visitor::{for_each_expression, for_each_expression_mut};

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// NULL, of a type where that is known.
    Null(Option<DataType>),
    Boolean(bool),
    Integer(i64),
    Text(String),
    /// A text that is read as a value of a type: a decimal number, a date, an instant.
    Typed(String, DataType),
    List(Vec<Self>),
}

impl Parameter {
    /// Returns the value as a literal.
    fn literal(&self) -> Expr {
        match self {
            Self::Null(None) => Expr::value(Value::Null),
            Self::Null(Some(data_type)) => cast(&Expr::value(Value::Null), data_type),
            Self::Boolean(value) => Expr::value(Value::Boolean(*value)),
            Self::Integer(value) => {
                cast(&Expr::value(Value::SingleQuotedString(value.to_string())), &DataType::Int64)
            }
            Self::Text(text) => Expr::value(Value::SingleQuotedString(text.clone())),
            Self::Typed(text, data_type) => {
                cast(&Expr::value(Value::SingleQuotedString(text.clone())), data_type)
            }
            Self::List(items) => {
                Expr::Array(Array { elem: items.iter().map(Self::literal).collect(), named: true })
            }
        }
    }
}

/// Returns a cast of an expression.
fn cast(value: &Expr, data_type: &DataType) -> Expr {
    let name = data_type.to_string().replace('\'', "''");
    with_value(&format!("arrow_cast($1, '{name}')"), value)
}

/// Returns an expression that is given as text, with another one in the place of `$1`. Whatever else is
/// put into the text must stand in quotes, so that it always parses.
pub(super) fn with_value(text: &str, value: &Expr) -> Expr {
    let parsed = Parser::new(&GenericDialect {})
        .try_with_sql(text)
        .and_then(|mut parser| parser.parse_expr());
    let mut call = parsed.unwrap_or_else(|_| Expr::value(Value::Null));
    for_each_expression_mut(&mut call, |expression| {
        if is_placeholder(expression).is_some() {
            *expression = value.clone();
        }
    });
    call
}

/// Returns the number of a parameter, from 1.
fn is_placeholder(expression: &Expr) -> Option<usize> {
    let Expr::Value(value) = expression else { return None };
    let Value::Placeholder(name) = &value.value else { return None };
    name.strip_prefix('$')?.parse().ok().filter(|number| *number > 0)
}

/// The largest number of a parameter; messages of the protocol count no further.
pub(super) const MAX_PARAMETERS: usize = 65_535;

/// Returns how many parameters a statement has: the largest number of one.
pub(super) fn count(statement: &Sql) -> usize {
    let mut largest = 0;
    for_each_expression(statement, |expression| {
        largest = largest.max(is_placeholder(expression).unwrap_or(0));
    });
    largest
}

/// Returns the numbers of parameters that stand for an array: those of `= ANY($1)`.
pub(super) fn arrays(statement: &Sql) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for_each_expression(statement, |expression| {
        if let Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } = expression {
            let inner = if let Expr::Nested(inner) = right.as_ref() { inner } else { right };
            found.extend(is_placeholder(inner));
        }
    });
    found
}

/// Returns the types of parameters that are cast, as in `$1::date`, by their numbers.
pub(super) fn casts(statement: &Sql) -> BTreeMap<usize, DataType> {
    let mut found = BTreeMap::new();
    for_each_expression(statement, |expression| {
        if let Expr::Cast { expr, data_type, .. } = expression
            && let Some(number) = is_placeholder(expr)
            && let Some(data_type) = cast_type(data_type)
        {
            found.insert(number, data_type);
        }
    });
    found
}

fn cast_type(data_type: &SqlType) -> Option<DataType> {
    Some(match data_type {
        SqlType::Date => DataType::Date32,
        SqlType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        SqlType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => return None,
    })
}

/// Puts values into the places of parameters. A parameter without a value stays.
pub(super) fn bind(statement: &mut Sql, values: &[Parameter]) {
    for_each_expression_mut(statement, |expression| {
        let value = is_placeholder(expression).and_then(|number| values.get(number - 1));
        if let Some(value) = value {
            *expression = value.literal();
        }
    });
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;

    use super::*;

    #[test]
    fn values_stand_where_parameters_stood() {
        let check = |text: &str, values: &[Parameter], expected: &str| {
            let mut parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).expect(text).remove(0);
            assert_eq!(count(&parsed), values.len(), "{text}");
            bind(&mut parsed, values);
            assert_eq!(parsed.to_string(), expected);
        };
        let any = Parser::parse_sql(&PostgreSqlDialect {}, "SELECT a = ANY($2), $1").expect("SQL");
        assert_eq!(arrays(&any[0]), BTreeSet::from([2]));
        let cast = Parser::parse_sql(&PostgreSqlDialect {}, "SELECT $2::date, $1").expect("SQL");
        assert_eq!(casts(&cast[0]), BTreeMap::from([(2, DataType::Date32)]));
        check("SELECT 1", &[], "SELECT 1");
        check(
            "SELECT $2 WHERE a = $1",
            &[Parameter::Integer(-5), Parameter::Text("x".to_owned())],
            "SELECT 'x' WHERE a = arrow_cast('-5', 'Int64')",
        );
        check(
            "SELECT $1, $as_of",
            &[Parameter::Typed("2026-06-01".to_owned(), DataType::Date32)],
            "SELECT arrow_cast('2026-06-01', 'Date32'), $as_of",
        );
        check(
            "SELECT a = ANY($1)",
            &[Parameter::List(vec![Parameter::Boolean(true), Parameter::Null(None)])],
            "SELECT a = ANY(ARRAY[true, NULL])",
        );
    }
}
