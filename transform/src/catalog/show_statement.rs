//! Rewrites `SHOW TABLES`, `SHOW COLUMNS FROM x` and `DESCRIBE x` to SELECTs over
//! `information_schema`.

use std::fmt::Write as _;

use datafusion::sql::sqlparser::ast::{
    ObjectName, ShowStatementFilter, ShowStatementFilterPosition, ShowStatementOptions,
    Statement as Sql,
};

/// DataFusion's name for the schema of ordinary tables and queries.
pub(crate) const PUBLIC: &str = "public";

/// The SELECT that answers a statement that describes tables.
#[derive(Debug, Clone)]
pub(crate) struct ShowQuery {
    pub sql: String,
    /// The table that is described, by its name in SQL; `None` for a list of tables.
    pub table: Option<String>,
}

/// Returns the SELECT that answers a statement, or `None` for one that describes no tables.
pub(crate) fn rewrite_show(statement: &Sql) -> Option<ShowQuery> {
    match statement {
        Sql::ShowTables { show_options, .. } => {
            let scope = scope_of(show_options).map(names);
            let scope = scope.and_then(|(_, schema)| Some(equal("table_schema", &schema?)));
            let conditions = scope.into_iter().chain(filter(show_options, "table_name"));
            let sql = select(
                "table_schema, table_name, kind, description FROM information_schema.tables",
                conditions,
                "table_schema, table_name",
            );
            Some(ShowQuery { sql, table: None })
        }
        Sql::ShowColumns { show_options, .. } => {
            let table = names_of_table(scope_of(show_options)?);
            Some(columns(&table, filter(show_options, "column_name")))
        }
        Sql::ExplainTable { table_name, .. } => Some(columns(&names_of_table(table_name), None)),
        _ => None,
    }
}

fn columns((schema, table): &(String, String), filter: Option<String>) -> ShowQuery {
    let scope = [equal("table_schema", schema), equal("table_name", table)];
    let sql = select(
        "column_name, data_type, is_nullable, unit, description FROM information_schema.columns",
        scope.into_iter().chain(filter),
        "ordinal_position",
    );
    let is_public = schema == PUBLIC;
    let table = if is_public { table.clone() } else { format!("{schema}.{table}") };
    ShowQuery { sql, table: Some(table) }
}

fn select(what: &str, conditions: impl Iterator<Item = String>, order: &str) -> String {
    let conditions: Vec<String> = conditions.collect();
    let mut sql = format!("SELECT {what}");
    if !conditions.is_empty() {
        let _ = write!(sql, " WHERE {}", conditions.join(" AND "));
    }
    let _ = write!(sql, " ORDER BY {order}");
    sql
}

fn scope_of(options: &ShowStatementOptions) -> Option<&ObjectName> {
    options.show_in.as_ref()?.parent_name.as_ref()
}

fn filter(options: &ShowStatementOptions, name: &str) -> Option<String> {
    let (ShowStatementFilterPosition::Infix(filter) | ShowStatementFilterPosition::Suffix(filter)) =
        options.filter_position.as_ref()?;
    Some(match filter {
        ShowStatementFilter::Like(text) | ShowStatementFilter::NoKeyword(text) => {
            format!("{name} LIKE {}", literal(text))
        }
        ShowStatementFilter::ILike(text) => format!("{name} ILIKE {}", literal(text)),
        ShowStatementFilter::Where(condition) => format!("({condition})"),
    })
}

/// Returns the schema and the table of a name.
fn names_of_table(name: &ObjectName) -> (String, String) {
    let (schema, table) = names(name);
    (schema.unwrap_or_else(|| PUBLIC.to_owned()), table.unwrap_or_default())
}

/// Returns the last two parts of a name. Parts without quotes become lower case.
fn names(name: &ObjectName) -> (Option<String>, Option<String>) {
    let mut parts =
        name.0.iter().rev().filter_map(|part| part.as_ident()).map(|part| match part.quote_style {
            Some(_) => part.value.clone(),
            None => part.value.to_lowercase(),
        });
    let last = parts.next();
    (parts.next(), last)
}

fn equal(column: &str, text: &str) -> String {
    format!("{column} = {}", literal(text))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    #[test]
    fn show_statements_become_selects() {
        let check = |text: &str, end: &str, table: Option<&str>| {
            let parsed = Parser::parse_sql(&GenericDialect {}, text).expect(text);
            let shown = rewrite_show(&parsed[0]).expect(text);
            assert!(shown.sql.ends_with(end), "{text}: {}", shown.sql);
            assert_eq!(shown.table.as_deref(), table, "{text}");
        };
        check("SHOW TABLES", "information_schema.tables ORDER BY table_schema, table_name", None);
        check(
            "SHOW TABLES LIKE 'partner%'",
            "WHERE table_name LIKE 'partner%' ORDER BY table_schema, table_name",
            None,
        );
        check(
            "SHOW TABLES IN raw",
            "WHERE table_schema = 'raw' ORDER BY table_schema, table_name",
            None,
        );
        let of = |schema: &str, table: &str| {
            format!(
                "WHERE table_schema = '{schema}' AND table_name = '{table}' ORDER BY ordinal_position"
            )
        };
        check("SHOW COLUMNS FROM Funnel", &of("public", "funnel"), Some("funnel"));
        check("DESCRIBE raw.api_calls", &of("raw", "api_calls"), Some("raw.api_calls"));
        check("DESC \"it's\"", &of("public", "it''s"), Some("it's"));
        let other = Parser::parse_sql(&GenericDialect {}, "SHOW ALL").expect("SQL");
        assert!(rewrite_show(&other[0]).is_none());
    }
}
