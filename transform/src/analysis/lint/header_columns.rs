//! Lints of the columns that the header declares against those that the query gives.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::sql::sqlparser::ast::{Select, SelectItem, SetExpr, Spanned, Statement as Sql};
use domain::closest_name;

use crate::catalog::Query;
use crate::catalog::diagnostics::source_text::SourceText;
use crate::catalog::diagnostics::{Diagnostics, Span};
use crate::catalog::header::{Column, ColumnType};
use crate::catalog::statement::Statement;

pub(super) fn check(
    query: &Query,
    statement: &Statement,
    given: &Schema,
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) {
    let declared = &query.header.columns;
    if declared.is_empty() {
        // The header of a file in `checks/` declares no columns.
        return;
    }
    let is_given = |c: &&Column| given.field_with_name(&c.name).is_ok();
    let is_declared = |name: &str| declared.iter().any(|c| c.name == name);
    let mut extra: Vec<&str> =
        given.fields().iter().map(|f| f.name().as_str()).filter(|n| !is_declared(n)).collect();
    for column in declared.iter().filter(|c| !is_given(c)) {
        let span = name_span(column);
        let message = format!("the query gives no column `{}`", column.name);
        let near = closest_name(&column.name, extra.iter().copied()).map(str::to_owned);
        let help = match &near {
            Some(other) => format!("the query gives `{other}`: call both the same"),
            None => "select it, or take it out of the header".to_owned(),
        };
        diagnostics.error("column_missing", span, message, help);
        extra.retain(|name| Some(*name) != near.as_deref());
    }
    for name in extra {
        let item = given.fields().iter().position(|f| f.name() == name);
        let span = item.and_then(|item| select_item(statement, item, given.fields().len()));
        let span = span
            .or_else(|| source_text.find_word(name))
            .unwrap_or_else(|| source_text.first_token());
        let kind = given.field_with_name(name).map(|f| type_name(f.data_type()));
        let kind = kind.ok().flatten().unwrap_or_else(|| "…".to_owned());
        let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let help = if is_name {
            format!("add it under [columns]: {name} = {{ type = \"{kind}\" }}")
        } else {
            "give it a name with AS, and declare that under [columns]".to_owned()
        };
        let message = format!("`{name}` is not among the columns of the header");
        diagnostics.error("column_undeclared", span, message, help);
    }
    for column in declared {
        if let Ok(field) = given.field_with_name(&column.name) {
            check_type(column, field.data_type(), diagnostics);
        }
    }
    check_order(declared, given, diagnostics);
}

fn name_span(column: &Column) -> Span {
    Span { start: column.position, width: column.name.chars().count() }
}

fn check_type(column: &Column, given: &DataType, diagnostics: &mut Diagnostics<'_>) {
    if column.column_type.accepts(given) {
        return;
    }
    let written = if column.column_type == ColumnType::Decimal(38, 12) {
        "Decimal".to_owned()
    } else {
        column.column_type.to_string()
    };
    let span = Span { start: column.type_position, width: written.chars().count() + 2 };
    let name = type_name(given);
    let message = format!(
        "`{}` is {written} here, and the query gives {}",
        column.name,
        name.clone().unwrap_or_else(|| given.to_string())
    );
    let help = match name {
        Some(name) => format!("write type = \"{name}\", or CAST it in the query"),
        None => format!("CAST it in the query: a header has no {given}"),
    };
    diagnostics.error("column_type", span, message, help);
}

fn check_order(declared: &[Column], given: &Schema, diagnostics: &mut Diagnostics<'_>) {
    let names: Vec<&str> = given.fields().iter().map(|f| f.name().as_str()).collect();
    let header: Vec<&str> = declared.iter().map(|c| c.name.as_str()).collect();
    let (mut a, mut b) = (names.clone(), header.clone());
    a.sort_unstable();
    b.sort_unstable();
    if a != b || names == header {
        return;
    }
    let Some(at) = (0..names.len()).find(|at| names[*at] != header[*at]) else { return };
    let column = &declared[at];
    let span = name_span(column);
    let message = format!("the query gives `{}` where the header has `{}`", names[at], header[at]);
    let help = format!("list them as the query does: {}", names.join(", "));
    diagnostics.error("column_order", span, message, help);
}

/// Returns the span of the item of the SELECT list that is the output column with this index.
fn select_item(statement: &Statement, item: usize, columns: usize) -> Option<Span> {
    let Sql::Query(query) = statement.sql()? else { return None };
    let select = first_select(&query.body)?;
    if select.projection.len() != columns {
        return None;
    }
    let span = match &select.projection[item] {
        SelectItem::ExprWithAlias { alias, .. } => alias.span,
        other => other.span(),
    };
    Span::from_sql(span)
}

fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

/// Returns a type as a header writes it; `None` where a header has no such type.
fn type_name(of: &DataType) -> Option<String> {
    Some(match of {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "Utf8".to_owned(),
        DataType::Boolean
        | DataType::Int32
        | DataType::Int64
        | DataType::Float64
        | DataType::Date32 => of.to_string(),
        DataType::List(_) => "List".to_owned(),
        DataType::Decimal128(38, 12) => "Decimal".to_owned(),
        DataType::Decimal128(precision, scale) => format!("Decimal({precision}, {scale})"),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC" => {
            "Timestamp".to_owned()
        }
        _ => return None,
    })
}
