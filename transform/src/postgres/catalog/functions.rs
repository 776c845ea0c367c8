//! The functions of PostgreSQL that clients call beside the catalog
//! (<https://www.postgresql.org/docs/current/functions-info.html>).

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, TypeSignature, Volatility,
};
use datafusion::prelude::SessionContext;

use super::super::names::{DATABASE, PG_CATALOG};
use super::super::pg_type::{PgType, format_type};
use super::relations::Relations;
use crate::catalog::show_statement::PUBLIC;

/// The version of PostgreSQL whose catalog this is.
const VERSION: &str = "15.0";

/// Settings that `current_setting` and `pg_settings` tell.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("server_version", VERSION),
    ("server_version_num", "150000"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, MDY"),
    ("standard_conforming_strings", "on"),
    ("transaction_isolation", "repeatable read"),
    ("transaction_read_only", "on"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("lc_collate", "C.UTF-8"),
    ("search_path", "public"),
];

/// Registers the functions.
pub(super) fn register(context: &SessionContext, relations: &Arc<Relations>) {
    let constant = |name: &str, value: ScalarValue| {
        context.register_udf(function(name, value.data_type(), move |_| value.clone()));
    };
    constant(
        "version",
        text(&format!("PostgreSQL {VERSION} (Rapport {})", env!("CARGO_PKG_VERSION"))),
    );
    for name in ["current_database", "current_catalog"] {
        constant(name, text(DATABASE));
    }
    constant("current_schema", text(PUBLIC));
    for name in ["current_user", "session_user", "user", "current_role", "pg_get_userbyid"] {
        constant(name, text(&relations.user));
    }
    constant("pg_encoding_to_char", text("UTF8"));
    constant("pg_backend_pid", ScalarValue::Int64(Some(i64::from(std::process::id()))));
    constant("pg_my_temp_schema", ScalarValue::Int64(Some(0)));
    // A server that takes no writes is one in recovery.
    constant("pg_is_in_recovery", ScalarValue::Boolean(Some(true)));
    for name in ["pg_is_other_temp_schema", "pg_relation_is_publishable"] {
        constant(name, ScalarValue::Boolean(Some(false)));
    }
    for name in ["type", "function", "operator", "collation", "opclass"] {
        constant(&format!("pg_{name}_is_visible"), ScalarValue::Boolean(Some(true)));
    }
    for name in [
        "pg_get_expr",
        "pg_get_constraintdef",
        "pg_get_indexdef",
        "pg_get_ruledef",
        "pg_get_triggerdef",
        "pg_get_partkeydef",
        "pg_get_function_result",
        "pg_get_function_arguments",
        "pg_get_function_identity_arguments",
        "pg_get_serial_sequence",
        "pg_get_statisticsobjdef_columns",
        "pg_tablespace_location",
        "pg_size_pretty",
        "shobj_description",
        "inet_server_addr",
        "inet_client_addr",
    ] {
        constant(name, ScalarValue::Utf8(None));
    }
    for name in ["pg_relation_size", "pg_table_size", "pg_total_relation_size", "pg_database_size"]
    {
        constant(name, ScalarValue::Int64(None));
    }
    register_lookups(context, relations);
    register_others(context);
}

/// Registers the functions that look up a relation or a type.
fn register_lookups(context: &SessionContext, relations: &Arc<Relations>) {
    let known = Arc::clone(relations);
    context.register_udf(function("pg_table_is_visible", DataType::Boolean, move |args| {
        let relation = integer(args, 0).and_then(|oid| known.by_oid(oid));
        ScalarValue::Boolean(Some(relation.is_some_and(|relation| relation.schema == PUBLIC)))
    }));
    let known = Arc::clone(relations);
    context.register_udf(function("obj_description", DataType::Utf8, move |args| {
        let of_relations =
            args.get(1).is_none_or(|class| string(class).as_deref() == Some("pg_class"));
        let relation = integer(args, 0).and_then(|oid| known.by_oid(oid));
        ScalarValue::Utf8(relation.filter(|_| of_relations).map(|r| r.description.clone()))
    }));
    let known = Arc::clone(relations);
    context.register_udf(function("col_description", DataType::Utf8, move |args| {
        let relation = integer(args, 0).and_then(|oid| known.by_oid(oid));
        let number = integer(args, 1).and_then(|number| usize::try_from(number - 1).ok());
        let column = relation.zip(number).and_then(|(r, number)| r.columns.get(number));
        ScalarValue::Utf8(column.and_then(|column| column.description.clone()))
    }));
    let known = Arc::clone(relations);
    context.register_udf(function("pg_get_viewdef", DataType::Utf8, move |args| {
        let relation = integer(args, 0).and_then(|oid| known.by_oid(oid));
        ScalarValue::Utf8(relation.and_then(|relation| relation.definition.clone()))
    }));
    let known = Arc::clone(relations);
    context.register_udf(function("to_regclass", DataType::Int64, move |args| {
        ScalarValue::Int64(args.first().and_then(string).and_then(|name| known.oid(&name)))
    }));
    let known = Arc::clone(relations);
    context.register_udf(function("regclass_name", DataType::Utf8, move |args| {
        let relation = integer(args, 0).and_then(|oid| known.by_oid(oid));
        ScalarValue::Utf8(relation.map(|relation| match relation.schema.as_str() {
            PUBLIC => relation.name.clone(),
            schema => format!("{schema}.{}", relation.name),
        }))
    }));
    context.register_udf(function("format_type", DataType::Utf8, |args| {
        ScalarValue::Utf8(integer(args, 0).map(|oid| format_type(oid, integer(args, 1))))
    }));
    context.register_udf(function("to_regtype", DataType::Int64, |args| {
        let found = args.first().and_then(string).and_then(|name| type_oid(&name));
        ScalarValue::Int64(found)
    }));
}

fn register_others(context: &SessionContext) {
    for of in ["table", "schema", "database", "column", "any_column", "function", "sequence"] {
        let name = format!("has_{of}_privilege");
        context.register_udf(function(&name, DataType::Boolean, |args| {
            let asked = args.last().and_then(string).unwrap_or_default().to_uppercase();
            let reads = ["SELECT", "USAGE", "CONNECT"].iter().any(|what| asked.contains(what));
            ScalarValue::Boolean(Some(reads))
        }));
    }
    context.register_udf(function("quote_ident", DataType::Utf8, |args| {
        ScalarValue::Utf8(args.first().and_then(string).map(|name| quoted(&name)))
    }));
    context.register_udf(function("format", DataType::Utf8, |args| {
        ScalarValue::Utf8(formatted(args))
    }));
    context.register_udf(function("current_setting", DataType::Utf8, |args| {
        let name = args.first().and_then(string).unwrap_or_default();
        let known = SETTINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name));
        ScalarValue::Utf8(known.map(|(_, value)| (*value).to_owned()))
    }));
    context.register_udf(function("set_config", DataType::Utf8, |args| {
        ScalarValue::Utf8(args.get(1).and_then(string))
    }));
    let schemas = |names: &[&str]| {
        let names: Vec<ScalarValue> = names.iter().map(|name| text(name)).collect();
        ScalarValue::List(ScalarValue::new_list_nullable(&names, &DataType::Utf8))
    };
    let list = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    context.register_udf(function("current_schemas", list, move |args| match args.first() {
        Some(ScalarValue::Boolean(Some(true))) => schemas(&[PG_CATALOG, PUBLIC]),
        _ => schemas(&[PUBLIC]),
    }));
}

/// Returns a name with quotes where it needs them.
fn quoted(name: &str) -> String {
    let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Returns a text with values in the places of `%I`, as a name, and `%s`; NULL where it has others.
fn formatted(args: &[ScalarValue]) -> Option<String> {
    let pattern = args.first().and_then(string)?;
    let mut values = args.iter().skip(1);
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(next) = chars.next() {
        if next != '%' {
            out.push(next);
            continue;
        }
        match chars.next()? {
            '%' => out.push('%'),
            'I' => out.push_str(&quoted(&string(values.next()?)?)),
            's' => out.push_str(&values.next().and_then(string).unwrap_or_default()),
            _ => return None,
        }
    }
    Some(out)
}

/// Returns the number of a type by its name in SQL; a name that ends with `[]` is that of arrays.
pub(super) fn type_oid(name: &str) -> Option<i64> {
    let of_array = name.trim().strip_suffix("[]");
    let of_array = of_array.or_else(|| name.trim().strip_prefix('_'));
    match of_array {
        Some(element) => PgType::named(element).map(|t| i64::from(t.array_oid)),
        None => PgType::named(name).map(|t| i64::from(t.oid)),
    }
}

/// Builds a function that gets its arguments row by row.
fn function(
    name: &str,
    result: DataType,
    body: impl Fn(&[ScalarValue]) -> ScalarValue + Send + Sync + 'static,
) -> ScalarUDF {
    let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
    let signature = Signature::one_of(any, Volatility::Stable);
    let call = move |args: &[ColumnarValue]| -> Result<ColumnarValue> {
        let constants: Option<Vec<ScalarValue>> = args
            .iter()
            .map(|arg| match arg {
                ColumnarValue::Scalar(value) => Some(value.clone()),
                ColumnarValue::Array(_) => None,
            })
            .collect();
        if let Some(constants) = constants {
            return Ok(ColumnarValue::Scalar(body(&constants)));
        }
        let arrays = ColumnarValue::values_to_arrays(args)?;
        let rows = arrays.first().map_or(0, |array| array.len());
        let values = (0..rows).map(|row| {
            let args: Result<Vec<ScalarValue>> =
                arrays.iter().map(|array| ScalarValue::try_from_array(array, row)).collect();
            args.map(|args| body(&args))
        });
        let values: Vec<ScalarValue> = values.collect::<Result<_>>()?;
        if values.is_empty() {
            let empty = body(&vec![ScalarValue::Null; arrays.len()]);
            return Ok(ColumnarValue::Array(empty.to_array_of_size(0)?));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(values)?))
    };
    ScalarUDF::from(SimpleScalarUDF::new_with_signature(name, signature, result, Arc::new(call)))
}

fn text(text: &str) -> ScalarValue {
    ScalarValue::Utf8(Some(text.to_owned()))
}

fn string(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
            text.clone()
        }
        _ => None,
    }
}

/// Returns an argument as a number; clients write numbers as texts too.
fn integer(args: &[ScalarValue], at: usize) -> Option<i64> {
    match args.get(at)? {
        ScalarValue::Int64(value) => *value,
        ScalarValue::Int32(value) => value.map(i64::from),
        ScalarValue::Int16(value) => value.map(i64::from),
        ScalarValue::UInt64(value) => value.and_then(|value| i64::try_from(value).ok()),
        other => string(other)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_formatted_with_quotes() {
        let check = |args: &[&str], expected: Option<&str>| {
            let args: Vec<ScalarValue> = args.iter().map(|arg| text(arg)).collect();
            assert_eq!(formatted(&args).as_deref(), expected, "{args:?}");
        };
        check(&["%I.%I", "public", "growth"], Some("public.growth"));
        check(&["%I", "A \"b\""], Some("\"A \"\"b\"\"\""));
        check(&["%s is 100%%", "it"], Some("it is 100%"));
        check(&["%I"], None);
        check(&["%5s", "a"], None);
    }
}
