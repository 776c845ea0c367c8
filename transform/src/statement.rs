//! One parsed SELECT: the tables it reads, and `$as_of` put in.

use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParser, Statement as Parsed};
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{
    Expr, Select, SetExpr, Statement as Sql, Value, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use lake_types::AsOf;

use crate::error::{Result, TransformError};
use crate::show::{Shown, shown};

/// A SELECT, or an EXPLAIN of one.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    parsed: Parsed,
    /// What it was written as, where that describes tables.
    shown: Option<Shown>,
}

impl Statement {
    /// # Errors
    /// What the parser says, with the place; more than one statement; anything that writes.
    pub(crate) fn parse(text: &str, place: &str) -> Result<Self> {
        let mut parsed = DFParser::parse_sql(text).map_err(TransformError::sql(place))?;
        let one = parsed.pop_front();
        match one {
            Some(_) if !parsed.is_empty() => {
                Err(TransformError::ReadOnly("several statements".to_owned()))
            }
            None => Err(TransformError::ReadOnly("no statement at all".to_owned())),
            Some(statement) => {
                if let Parsed::Statement(sql) = &statement
                    && let Some(shown) = shown(sql)
                {
                    let select = Self::parse(&shown.sql, place)?;
                    return Ok(Self { shown: Some(shown), ..select });
                }
                check_read_only(&statement)?;
                Ok(Self { parsed: statement, shown: None })
            }
        }
    }

    /// The table that it describes, if that is what it does.
    pub(crate) fn described(&self) -> Option<&str> {
        self.shown.as_ref()?.table.as_deref()
    }

    /// Whether it asks for a plan.
    pub(crate) fn explains(&self) -> bool {
        matches!(self.parsed, Parsed::Explain(_))
    }

    /// The statement as DataFusion prints it: without comments, spaced one way. Two files that
    /// differ in nothing else have the same text.
    pub(crate) fn normalized(&self) -> String {
        self.parsed.to_string()
    }

    /// Names of the tables it reads, without those of its own WITH.
    pub(crate) fn tables(&self, place: &str) -> Result<Vec<String>> {
        let (tables, _) =
            resolve_table_references(&self.parsed, true).map_err(TransformError::sql(place))?;
        Ok(tables.iter().map(ToString::to_string).collect())
    }

    /// The statement as it stands, for queries that know no `$as_of`.
    pub(crate) fn unbound(self) -> Parsed {
        self.parsed
    }

    /// Puts the instant in for `$as_of`, with its type, so that no expression has to guess it.
    pub(crate) fn bind(self, as_of: AsOf) -> Parsed {
        let mut statement = self.parsed;
        bind(&mut statement, as_of, &|name| name == AS_OF);
        statement
    }

    /// As `bind`, for whatever parameter stands there: one that is none is found by name.
    pub(crate) fn bind_all(self, as_of: AsOf) -> Parsed {
        let mut statement = self.parsed;
        bind(&mut statement, as_of, &|_| true);
        statement
    }

    /// Changes the SELECT of a query that is one SELECT.
    pub(crate) fn change_select(&mut self, change: impl FnOnce(&mut Select)) {
        if let Parsed::Statement(sql) = &mut self.parsed
            && let Sql::Query(query) = sql.as_mut()
            && let SetExpr::Select(select) = query.body.as_mut()
        {
            change(select);
        }
    }

    /// The statement as it was parsed, if it is one of SQL's own and describes nothing.
    pub(crate) fn sql(&self) -> Option<&Sql> {
        match &self.parsed {
            Parsed::Statement(sql) if self.shown.is_none() => Some(sql),
            _ => None,
        }
    }
}

/// Refuses what [`crate::Session::sql`] would refuse before it looks at any table.
///
/// # Errors
/// What the parser says, with the place; anything that is no SELECT.
pub fn check_statement(text: &str, place: &str) -> Result<()> {
    Statement::parse(text, place).map(drop)
}
/// The one parameter there is.
pub(crate) const AS_OF: &str = "$as_of";

fn check_read_only(statement: &Parsed) -> Result<()> {
    match statement {
        Parsed::Statement(sql) if matches!(**sql, Sql::Query(_)) => Ok(()),
        Parsed::Statement(sql) => {
            let words = sql.to_string();
            let verb = words.split_whitespace().next().unwrap_or("nothing").to_uppercase();
            Err(match verb.as_str() {
                "SHOW" => TransformError::NoShow(words),
                _ => TransformError::ReadOnly(verb),
            })
        }
        Parsed::Explain(explain) => check_read_only(&explain.statement),
        other => {
            let words = other.to_string();
            let verb = words.split_whitespace().next().unwrap_or("nothing");
            Err(TransformError::ReadOnly(verb.to_uppercase()))
        }
    }
}

fn bind(statement: &mut Parsed, as_of: AsOf, is_bound: &dyn Fn(&str) -> bool) {
    match statement {
        Parsed::Statement(sql) => {
            let literal = instant(as_of);
            let _ = visit_expressions_mut(sql, |expression: &mut Expr| {
                if let Expr::Value(value) = expression
                    && matches!(&value.value, Value::Placeholder(name) if is_bound(name))
                {
                    *expression = literal.clone();
                }
                ControlFlow::<()>::Continue(())
            });
        }
        Parsed::Explain(explain) => bind(&mut explain.statement, as_of, is_bound),
        _ => {}
    }
}

fn instant(as_of: AsOf) -> Expr {
    let text = format!("arrow_cast('{as_of}', 'Timestamp(Microsecond, Some(\"UTC\"))')");
    let parsed = Parser::new(&GenericDialect {})
        .try_with_sql(&text)
        .and_then(|mut parser| parser.parse_expr());
    // An instant is digits and separators: it always parses.
    parsed.unwrap_or_else(|_| Expr::value(Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Statement> {
        Statement::parse(text, "here")
    }

    #[test]
    fn only_reading_is_let_through() {
        for text in [
            "SELECT 1",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "EXPLAIN SELECT 1",
            "DESCRIBE a",
            "SHOW TABLES",
            "SHOW COLUMNS FROM a",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in [
            "INSERT INTO a VALUES (1)",
            "DELETE FROM a",
            "UPDATE a SET b = 1",
            "DROP TABLE a",
            "CREATE VIEW a AS SELECT 1",
            "CREATE EXTERNAL TABLE a STORED AS CSV LOCATION 'a'",
            "COPY (SELECT 1) TO 'a.csv'",
            "SET a = 1",
            "SELECT 1; SELECT 2",
            "",
            "EXPLAIN INSERT INTO a VALUES (1)",
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains("read-only"), "{text}: {error}");
        }
    }

    #[test]
    fn tables_without_those_of_the_with() {
        let statement = parse("WITH a AS (SELECT * FROM b) SELECT * FROM a JOIN raw.c ON true");
        let mut tables = statement.expect("a SELECT").tables("here").expect("tables");
        tables.sort();
        assert_eq!(tables, ["b", "raw.c"]);
    }

    #[test]
    fn comments_and_spaces_do_not_show() {
        let one = parse("/* x */ SELECT  a -- y\nFROM b").expect("a SELECT").normalized();
        assert_eq!(one, parse("select a from b").expect("a SELECT").normalized());
    }
}
