//! The statements of a text, as clients send them. Those that only concern the connection, such as
//! BEGIN and SET, are told from queries; whatever writes is refused.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::{
    CloseCursor, FetchDirection, Reset, Set, SetExpr, Statement as Sql, Value,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::parameter;
use crate::error::{Result, TransformError};

/// Where a client's statement stands, for error messages.
pub(super) const LOCATION: &str = "your query";

/// One statement.
#[derive(Debug, Clone)]
pub enum ClientStatement {
    Query(ClientQuery),
    Begin,
    Commit,
    Rollback,
    /// One that changes nothing here; the text is its command tag.
    Accepted(&'static str),
    Set {
        name: String,
        value: String,
    },
    /// One setting, or all of them.
    Reset(Option<String>),
    Show(String),
    DiscardAll,
    /// One prepared statement, or all of them.
    Deallocate(Option<String>),
    DeclareCursor {
        name: String,
        query: ClientQuery,
    },
    /// The next rows of a cursor, all of them without a count.
    Fetch {
        cursor: String,
        count: Option<usize>,
    },
    /// One cursor, or all of them.
    CloseCursor(Option<String>),
}

/// A SELECT, or one of the statements that describe tables and plans.
#[derive(Debug, Clone)]
pub struct ClientQuery {
    pub(super) sql: Box<Sql>,
    /// How many parameters it has.
    pub parameters: usize,
}

/// Returns the statements of a text.
///
/// # Errors
/// Errors of the parser, and a statement that writes.
pub fn parse(text: &str) -> Result<Vec<ClientStatement>> {
    let parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).map_err(|error| {
        TransformError::sql(LOCATION)(DataFusionError::SQL(Box::new(error), None))
    })?;
    parsed.into_iter().map(statement).collect()
}

fn statement(sql: Sql) -> Result<ClientStatement> {
    Ok(match sql {
        Sql::StartTransaction { .. } => ClientStatement::Begin,
        Sql::Commit { .. } => ClientStatement::Commit,
        Sql::Rollback { savepoint: None, .. } => ClientStatement::Rollback,
        Sql::Rollback { .. } => ClientStatement::Accepted("ROLLBACK"),
        Sql::Savepoint { .. } => ClientStatement::Accepted("SAVEPOINT"),
        Sql::ReleaseSavepoint { .. } => ClientStatement::Accepted("RELEASE"),
        Sql::UNLISTEN { .. } => ClientStatement::Accepted("UNLISTEN"),
        Sql::Set(set) => setting(set),
        Sql::Reset(reset) => ClientStatement::Reset(match reset.reset {
            Reset::ALL => None,
            Reset::ConfigurationParameter(name) => Some(plain_name(&name.to_string())),
        }),
        Sql::ShowVariable { variable } => {
            let words: Vec<String> = variable.iter().map(|word| word.value.clone()).collect();
            // Settings of this program have a point in their names.
            let is_own = words.first().is_some_and(|word| word.eq_ignore_ascii_case("rapport"));
            ClientStatement::Show(plain_name(&words.join(if is_own { "." } else { " " })))
        }
        Sql::Discard { .. } => ClientStatement::DiscardAll,
        Sql::Deallocate { name, .. } => ClientStatement::Deallocate(
            (!name.value.eq_ignore_ascii_case("all")).then_some(name.value),
        ),
        Sql::Declare { mut stmts } => {
            let one = stmts.pop().filter(|_| stmts.is_empty());
            let cursor = one.and_then(|one| one.names.first().cloned().zip(one.for_query));
            let Some((name, query)) = cursor else {
                return Err(TransformError::ReadOnly("DECLARE".to_owned()));
            };
            let query = ClientQuery::new(Sql::Query(query))?;
            ClientStatement::DeclareCursor { name: name.value, query }
        }
        Sql::Fetch { name, direction, .. } => {
            ClientStatement::Fetch { cursor: name.value, count: fetched(&direction)? }
        }
        Sql::Close { cursor } => ClientStatement::CloseCursor(match cursor {
            CloseCursor::All => None,
            CloseCursor::Specific { name } => Some(name.value),
        }),
        other => ClientStatement::Query(ClientQuery::new(other)?),
    })
}

impl ClientQuery {
    fn new(sql: Sql) -> Result<Self> {
        if let Sql::Query(query) = &sql {
            let writes = match query.body.as_ref() {
                SetExpr::Select(select) => select.into.is_some().then_some("SELECT INTO"),
                SetExpr::Insert(_) => Some("INSERT"),
                SetExpr::Update(_) => Some("UPDATE"),
                SetExpr::Delete(_) => Some("DELETE"),
                SetExpr::Merge(_) => Some("MERGE"),
                _ => None,
            };
            if let Some(verb) = writes {
                return Err(TransformError::ReadOnly(verb.to_owned()));
            }
        }
        let parameters = parameter::count(&sql);
        if parameters > parameter::MAX_PARAMETERS {
            return Err(TransformError::UnknownParameter { number: parameters });
        }
        Ok(Self { sql: Box::new(sql), parameters })
    }

    /// Returns the command tag of the query: `SELECT`, or `EXPLAIN`.
    pub fn tag(&self) -> &'static str {
        match self.sql.as_ref() {
            Sql::Query(_) => "SELECT",
            Sql::Explain { .. } => "EXPLAIN",
            _ => "SHOW",
        }
    }
}

/// Returns how many rows are fetched; `None` for all that are left. Rows are read forward only.
fn fetched(direction: &FetchDirection) -> Result<Option<usize>> {
    let limit = match direction {
        FetchDirection::Next | FetchDirection::Forward { limit: None } => return Ok(Some(1)),
        FetchDirection::All | FetchDirection::ForwardAll => return Ok(None),
        FetchDirection::Count { limit } | FetchDirection::Forward { limit: Some(limit) } => limit,
        other => return Err(TransformError::ReadOnly(format!("FETCH {other}"))),
    };
    match &limit.value {
        Value::Number(number, _) => number
            .parse()
            .map(Some)
            .map_err(|_| TransformError::ReadOnly(format!("FETCH {number}"))),
        other => Err(TransformError::ReadOnly(format!("FETCH {other}"))),
    }
}

fn setting(set: Set) -> ClientStatement {
    match set {
        Set::SingleAssignment { variable, values, .. } => {
            let values: Vec<String> =
                values.iter().map(|value| plain_value(&value.to_string())).collect();
            ClientStatement::Set {
                name: plain_name(&variable.to_string()),
                value: values.join(", "),
            }
        }
        Set::SetTimeZone { value, .. } => ClientStatement::Set {
            name: "timezone".to_owned(),
            value: plain_value(&value.to_string()),
        },
        Set::SetNames { charset_name, .. } => {
            ClientStatement::Set { name: "client_encoding".to_owned(), value: charset_name.value }
        }
        _ => ClientStatement::Accepted("SET"),
    }
}

fn plain_name(text: &str) -> String {
    text.replace('"', "").to_lowercase()
}

fn plain_value(text: &str) -> String {
    text.trim_matches(|c| matches!(c, '\'' | '"')).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parse(text) {
            Ok(statements) => statements
                .iter()
                .map(|statement| match statement {
                    ClientStatement::Query(query) => {
                        format!("{}/{}", query.tag(), query.parameters)
                    }
                    ClientStatement::DeclareCursor { name, .. } => format!("cursor {name}"),
                    other => format!("{other:?}"),
                })
                .collect::<Vec<_>>()
                .join("; "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn statements_of_the_connection_are_told_from_queries() {
        let check = |text: &str, expected: &str| assert_eq!(shown(text), expected, "{text}");
        check("BEGIN; SELECT 1; COMMIT", "Begin; SELECT/0; Commit");
        check("START TRANSACTION READ ONLY", "Begin");
        check("SELECT $1, $3", "SELECT/3");
        check("EXPLAIN SELECT 1", "EXPLAIN/0");
        check("SELECT $0", "SELECT/0");
        check("SET extra_float_digits = 3", "Set { name: \"extra_float_digits\", value: \"3\" }");
        check("SET \"A\".\"b\" = 1", "Set { name: \"a.b\", value: \"1\" }");
        check("set DateStyle to 'ISO'", "Set { name: \"datestyle\", value: \"ISO\" }");
        check("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "Accepted(\"SET\")");
        check("SHOW TRANSACTION ISOLATION LEVEL", "Show(\"transaction isolation level\")");
        check("SHOW rapport.as_of", "Show(\"rapport.as_of\")");
        check("DISCARD ALL", "DiscardAll");
        check("DEALLOCATE \"s1\"", "Deallocate(Some(\"s1\"))");
        check("DECLARE c CURSOR FOR SELECT 1", "cursor c");
        check("FETCH FORWARD 10 FROM c", "Fetch { cursor: \"c\", count: Some(10) }");
        check("CLOSE c", "CloseCursor(Some(\"c\"))");
        check("", "");
    }

    #[test]
    fn what_writes_is_refused() {
        for text in [
            "SELECT * INTO copied FROM growth",
            "WITH a AS (SELECT 1) INSERT INTO growth SELECT * FROM a",
            "DECLARE c CURSOR FOR INSERT INTO growth SELECT 1",
            // A number that no message can hold asks for no memory either.
            "SELECT $4000000000",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(shown("SELECT 'a").starts_with("your query: "));
    }
}
