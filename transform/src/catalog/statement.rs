//! One parsed SELECT: the tables that it reads, and the value of its parameter `$as_of`.

use datafusion::sql::parser::{DFParser, Statement as DFStatement};
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{Expr, Select, SetExpr, Statement as Sql, Value};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use domain::AsOf;

use crate::catalog::show_statement::{ShowQuery, rewrite_show};
use crate::catalog::sql_visitor::for_each_expression_mut;
use crate::error::{Result, TransformError};

/// A SELECT, or an EXPLAIN of one.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    parsed: DFStatement,
    /// The SHOW or DESCRIBE statement that the SELECT stands for.
    shown: Option<ShowQuery>,
}

impl Statement {
    /// # Errors
    /// Errors of the parser, more than one statement, a statement that writes.
    pub(crate) fn parse(text: &str, location: &str) -> Result<Self> {
        let mut parsed = DFParser::parse_sql(text).map_err(TransformError::sql(location))?;
        let one = parsed.pop_front();
        match one {
            Some(_) if !parsed.is_empty() => {
                Err(TransformError::ReadOnly("several statements".to_owned()))
            }
            None => Err(TransformError::ReadOnly("no statement at all".to_owned())),
            Some(statement) => Self::checked(statement, location),
        }
    }

    /// Makes a statement of one that was parsed elsewhere.
    ///
    /// # Errors
    /// A statement that writes.
    #[cfg(feature = "postgres")]
    pub(crate) fn of_sql(sql: Sql, location: &str) -> Result<Self> {
        Self::checked(DFStatement::Statement(Box::new(sql)), location)
    }

    fn checked(statement: DFStatement, location: &str) -> Result<Self> {
        if let DFStatement::Statement(sql) = &statement
            && let Some(shown) = rewrite_show(sql)
        {
            let select = Self::parse(&shown.sql, location)?;
            return Ok(Self { shown: Some(shown), ..select });
        }
        check_read_only(&statement)?;
        Ok(Self { parsed: statement, shown: None })
    }

    /// Returns the table that a DESCRIBE or SHOW COLUMNS names.
    pub(crate) fn described(&self) -> Option<&str> {
        self.shown.as_ref()?.table.as_deref()
    }

    /// Returns whether the statement is an EXPLAIN.
    pub(crate) fn explains(&self) -> bool {
        matches!(self.parsed, DFStatement::Explain(_))
    }

    /// Returns the statement as DataFusion prints it, without comments and with normalized spaces.
    /// Files that differ only in these have the same text.
    pub(crate) fn normalized(&self) -> String {
        self.parsed.to_string()
    }

    /// Returns the names of the tables that the statement reads, without those of its WITH.
    pub(crate) fn tables(&self, location: &str) -> Result<Vec<String>> {
        let (tables, _) =
            resolve_table_references(&self.parsed, true).map_err(TransformError::sql(location))?;
        Ok(tables.iter().map(ToString::to_string).collect())
    }

    /// Returns the statement without binding `$as_of`, for queries that do not use it.
    pub(crate) fn unbound(self) -> DFStatement {
        self.parsed
    }

    /// Replaces `$as_of` by the instant as a literal with its type.
    pub(crate) fn bind(self, as_of: AsOf) -> DFStatement {
        let mut statement = self.parsed;
        bind(&mut statement, as_of, &|name| name == AS_OF);
        statement
    }

    /// Replaces every parameter by the instant, also unknown ones, which the lints report by name.
    pub(crate) fn bind_all_parameters(self, as_of: AsOf) -> DFStatement {
        let mut statement = self.parsed;
        bind(&mut statement, as_of, &|_| true);
        statement
    }

    /// Changes the SELECT, if the statement is a single one.
    pub(crate) fn change_select(&mut self, change: impl FnOnce(&mut Select)) {
        if let DFStatement::Statement(sql) = &mut self.parsed
            && let Sql::Query(query) = sql.as_mut()
            && let SetExpr::Select(select) = query.body.as_mut()
        {
            change(select);
        }
    }

    /// Returns the parsed statement; `None` for an EXPLAIN, a SHOW and a DESCRIBE.
    pub(crate) fn sql(&self) -> Option<&Sql> {
        match &self.parsed {
            DFStatement::Statement(sql) if self.shown.is_none() => Some(sql),
            _ => None,
        }
    }
}

/// Checks a statement as [`crate::Session::sql`] does before it looks at any table.
///
/// # Errors
/// Errors of the parser, and any statement that is not a SELECT.
pub fn check_statement(text: &str, location: &str) -> Result<()> {
    Statement::parse(text, location).map(drop)
}
/// The only parameter of queries.
pub(crate) const AS_OF: &str = "$as_of";

fn check_read_only(statement: &DFStatement) -> Result<()> {
    match statement {
        DFStatement::Statement(sql) if matches!(**sql, Sql::Query(_)) => Ok(()),
        DFStatement::Statement(sql) => {
            let words = sql.to_string();
            let verb = words.split_whitespace().next().unwrap_or("nothing").to_uppercase();
            Err(match verb.as_str() {
                "SHOW" => TransformError::UnsupportedShow(words),
                _ => TransformError::ReadOnly(verb),
            })
        }
        DFStatement::Explain(explain) => check_read_only(&explain.statement),
        other => {
            let words = other.to_string();
            let verb = words.split_whitespace().next().unwrap_or("nothing");
            Err(TransformError::ReadOnly(verb.to_uppercase()))
        }
    }
}

fn bind(statement: &mut DFStatement, as_of: AsOf, is_bound: &dyn Fn(&str) -> bool) {
    match statement {
        DFStatement::Statement(sql) => {
            let literal = instant(as_of);
            for_each_expression_mut(sql, |expression| {
                if let Expr::Value(value) = expression
                    && matches!(&value.value, Value::Placeholder(name) if is_bound(name))
                {
                    *expression = literal.clone();
                }
            });
        }
        DFStatement::Explain(explain) => bind(&mut explain.statement, as_of, is_bound),
        _ => {}
    }
}

fn instant(as_of: AsOf) -> Expr {
    let text = format!("arrow_cast('{as_of}', 'Timestamp(Microsecond, Some(\"UTC\"))')");
    let parsed = Parser::new(&GenericDialect {})
        .try_with_sql(&text)
        .and_then(|mut parser| parser.parse_expr());
    // The text of an instant always parses, because it consists of digits and separators.
    parsed.unwrap_or_else(|_| Expr::value(Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Statement> {
        Statement::parse(text, "here")
    }

    #[test]
    fn only_reading_statements_are_accepted() {
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
    fn tables_of_the_with_are_no_tables() {
        let statement = parse("WITH a AS (SELECT * FROM b) SELECT * FROM a JOIN raw.c ON true");
        let mut tables = statement.expect("a SELECT").tables("here").expect("tables");
        tables.sort();
        assert_eq!(tables, ["b", "raw.c"]);
    }

    #[test]
    fn comments_and_spaces_are_normalized() {
        let one = parse("/* x */ SELECT  a -- y\nFROM b").expect("a SELECT").normalized();
        assert_eq!(one, parse("select a from b").expect("a SELECT").normalized());
    }
}
