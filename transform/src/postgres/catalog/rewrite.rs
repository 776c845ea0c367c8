//! Statements over the catalog as DataFusion can plan them: names without a schema, casts to types
//! that only PostgreSQL has, and subqueries that find nothing.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, SelectItem,
    SetExpr, TableAlias, TableFactor, Value, VisitorMut,
};

use super::super::names::{self, PG_CATALOG};
use super::relations::Relations;
use super::{empty_queries, functions, is_relation};

/// A function in the place of a table, which here is a table.
const KEYWORDS: &str = "pg_get_keywords";

/// The rewriting of one statement.
pub(super) struct Rewrite<'a> {
    relations: &'a Relations,
}

impl<'a> Rewrite<'a> {
    pub(super) fn new(relations: &'a Relations) -> Self {
        Self { relations }
    }

    /// Returns what a cast to a type of PostgreSQL's own stands for.
    fn cast(&self, value: &Expr, data_type: &DataType) -> Option<Expr> {
        let name = data_type.to_string().to_lowercase();
        let name = name.trim_start_matches("pg_catalog.").trim_matches('"');
        let literal = literal_text(value);
        let number = |oid: Option<i64>| match oid {
            Some(oid) => Expr::value(Value::Number(oid.to_string(), false)),
            None => null_text(),
        };
        match (name, literal) {
            ("regclass", Some(text)) => {
                Some(number(text.parse().ok().or_else(|| self.relations.oid(&text))))
            }
            ("regtype", Some(text)) => {
                Some(number(text.parse().ok().or_else(|| functions::type_oid(&text))))
            }
            ("regclass", None) if gives_text(value) => {
                Some(call("to_regclass", vec![value.clone()]))
            }
            ("regclass", None) => Some(call("regclass_name", vec![value.clone()])),
            ("regtype", None) => {
                Some(call("format_type", vec![value.clone(), Expr::value(Value::Null)]))
            }
            ("regproc" | "regprocedure", Some(text)) => {
                let plain = text.trim_start_matches("pg_catalog.").to_owned();
                Some(Expr::value(Value::SingleQuotedString(plain)))
            }
            (
                "regproc" | "regprocedure" | "regnamespace" | "regrole" | "name" | "char"
                | "aclitem" | "int2vector" | "oidvector" | "unknown" | "citext",
                _,
            )
            | ("information_schema.sql_identifier" | "information_schema.character_data", _) => {
                Some(cast_to(value.clone(), DataType::Text))
            }
            ("oid" | "xid" | "cid" | "information_schema.cardinal_number", _) => {
                Some(cast_to(value.clone(), DataType::BigInt(None)))
            }
            // Types by their schema.
            ("text" | "varchar" | "bpchar", _) if matches!(data_type, DataType::Custom(..)) => {
                Some(cast_to(value.clone(), DataType::Text))
            }
            ("int2" | "int4" | "int8", _) if matches!(data_type, DataType::Custom(..)) => {
                Some(cast_to(value.clone(), DataType::BigInt(None)))
            }
            ("bool", _) if matches!(data_type, DataType::Custom(..)) => {
                Some(cast_to(value.clone(), DataType::Boolean))
            }
            (array, _) if array.ends_with("[]") && matches!(value, Expr::Array(_)) => {
                Some(value.clone())
            }
            // No array of the catalog has a value.
            (array, _) if array.ends_with("[]") => Some(cast_to(value.clone(), DataType::Text)),
            _ => None,
        }
    }
}

impl VisitorMut for Rewrite<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, args, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let parts = names::parts(name);
        if parts.last().is_some_and(|name| name == KEYWORDS) {
            *args = None;
        }
        if args.is_some() {
            return ControlFlow::Continue(());
        }
        let [single] = parts.as_slice() else { return ControlFlow::Continue(()) };
        if is_relation(&[single]) {
            // Its columns are named by the name without a schema.
            alias.get_or_insert_with(|| TableAlias {
                explicit: true,
                name: Ident::new(single),
                columns: Vec::new(),
                at: None,
            });
            *name = ObjectName(vec![
                ObjectNamePart::Identifier(Ident::new(PG_CATALOG)),
                ObjectNamePart::Identifier(Ident::new(single)),
            ]);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        query.locks.clear();
        empty_queries::replace(query);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let replaced = match expression {
            Expr::Cast { expr, data_type, .. } => self.cast(expr, data_type),
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } if is_catalog_array(right) => {
                Some(cast_to(Expr::value(Value::Null), DataType::Boolean))
            }
            Expr::Subquery(query) if empty_queries::is_marked(query) => Some(null_text()),
            Expr::Subquery(query) => {
                aggregate(query);
                None
            }
            Expr::Exists { subquery, negated } if empty_queries::is_marked(subquery) => {
                Some(Expr::value(Value::Boolean(*negated)))
            }
            Expr::InSubquery { subquery, negated, .. } if empty_queries::is_marked(subquery) => {
                Some(Expr::value(Value::Boolean(*negated)))
            }
            Expr::Function(function) if empty_queries::is_array_of_subquery(function) => {
                Some(null_text())
            }
            Expr::Function(function) => joined_array(function).or_else(|| schema_count(function)),
            _ => None,
        };
        if let Some(replaced) = replaced {
            *expression = replaced;
        }
        ControlFlow::Continue(())
    }
}

/// Returns whether an expression is the name of a relation that is put together, not its number.
fn gives_text(expression: &Expr) -> bool {
    match expression {
        Expr::Nested(inner) => gives_text(inner),
        Expr::BinaryOp { op: BinaryOperator::StringConcat, .. } => true,
        Expr::Cast { data_type, .. } => *data_type == DataType::Text,
        Expr::Function(function) => {
            let name = names::parts(&function.name).pop().unwrap_or_default();
            matches!(name.as_str(), "format" | "quote_ident" | "concat")
        }
        _ => false,
    }
}

/// Returns whether the right side of ANY or ALL is a column or a cast. No array of the catalog has a
/// value, so that what is compared with one is unknown.
fn is_catalog_array(right: &Expr) -> bool {
    match right {
        Expr::Nested(inner) => is_catalog_array(inner),
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Cast { .. } => true,
        _ => false,
    }
}

/// Makes the column of a subquery with one value an aggregate: DataFusion plans one that refers to the
/// query around it only if it sees that there is at most one row.
fn aggregate(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let is_plain = select.from.len() == 1 && query.limit_clause.is_none();
    let [item] = select.projection.as_mut_slice() else { return };
    if !is_plain || empty_queries::aggregates(item) {
        return;
    }
    let (SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }) = item
    else {
        return;
    };
    *value = call("min", vec![value.clone()]);
}

/// Returns what `array_to_string` gives of an array of the catalog, which here is a text.
fn joined_array(function: &Function) -> Option<Expr> {
    let name = function.name.to_string().to_lowercase();
    if !matches!(name.as_str(), "array_to_string" | "array_remove") {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.first()? {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(array)) => {
            Some(cast_to(array.clone(), DataType::Text))
        }
        _ => None,
    }
}

/// Returns what `array_upper(current_schemas(…), 1)` gives, which a series of numbers is made of.
fn schema_count(function: &Function) -> Option<Expr> {
    let text = function.to_string().to_lowercase().replace("pg_catalog.", "");
    let count = match text.as_str() {
        "array_upper(current_schemas(false), 1)" => 1,
        "array_upper(current_schemas(true), 1)" => 2,
        _ => return None,
    };
    Some(Expr::value(Value::Number(count.to_string(), false)))
}

fn literal_text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => {
                Some(text.clone())
            }
            _ => None,
        },
        // A text that was cast before.
        Expr::Cast { expr, .. } | Expr::Nested(expr) => literal_text(expr),
        _ => None,
    }
}

fn null_text() -> Expr {
    cast_to(Expr::value(Value::Null), DataType::Text)
}

fn cast_to(value: Expr, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(value),
        data_type,
        array: false,
        format: None,
    }
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)));
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;
    use crate::catalog::sql_visitor::visit_mut;

    #[test]
    fn what_only_postgresql_has_is_rewritten() {
        let relations = Relations { user: "ada".to_owned(), all: Vec::new() };
        let check = |text: &str, expected: &str| {
            let mut parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).expect(text).remove(0);
            visit_mut(&mut parsed, &mut Rewrite::new(&relations));
            assert_eq!(parsed.to_string(), expected);
        };
        check(
            "SELECT relname::text FROM pg_class WHERE classoid = 'pg_class'::regclass",
            "SELECT relname::TEXT FROM pg_catalog.pg_class AS pg_class WHERE classoid = 1259",
        );
        check("SELECT a::regtype::text", "SELECT format_type(a, NULL)::TEXT");
        check("SELECT 'text'::regtype", "SELECT 25");
        check("SELECT a::oid", "SELECT CAST(a AS BIGINT)");
        check(
            "SELECT format('%I', a)::regclass::oid",
            "SELECT CAST(to_regclass(format('%I', a)) AS BIGINT)",
        );
        check("SELECT 'x' = ANY (c.reloptions)", "SELECT CAST(NULL AS BOOLEAN)");
        check("SELECT a = ANY (ARRAY[1, 2]::oid[])", "SELECT a = ANY(ARRAY[1, 2])");
        check(
            "SELECT word FROM pg_catalog.pg_get_keywords()",
            "SELECT CAST(NULL AS VARCHAR) AS \"word\" WHERE false",
        );
        check("SELECT 'pg_catalog.array_in'::regproc", "SELECT 'array_in'");
        check(
            "SELECT * FROM generate_series(1, array_upper(current_schemas(false), 1)) AS s(r)",
            "SELECT * FROM generate_series(1, 1) AS s (r)",
        );
        check("SELECT a::pg_catalog.text", "SELECT CAST(a AS TEXT)");
        check(
            "SELECT (SELECT d.adbin FROM pg_attrdef d WHERE d.adrelid = a.x) FROM pg_attribute a",
            "SELECT CAST(NULL AS TEXT) FROM pg_catalog.pg_attribute a",
        );
        check(
            "SELECT array_to_string(c.o || ARRAY(SELECT 1 FROM pg_class), ', ')",
            "SELECT CAST(c.o || CAST(NULL AS TEXT) AS TEXT)",
        );
        check(
            "SELECT (SELECT t.x FROM pg_catalog.pg_type t WHERE t.oid = a.b) FROM pg_catalog.pg_class a",
            "SELECT (SELECT min(t.x) FROM pg_catalog.pg_type t WHERE t.oid = a.b) FROM pg_catalog.pg_class a",
        );
        check("SELECT EXISTS (SELECT 1 FROM pg_index)", "SELECT false");
    }
}
