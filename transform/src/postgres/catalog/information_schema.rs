//! The rows of `information_schema`.

use super::super::names::{DATABASE, PG_CATALOG};
use super::super::pg_type::{PgType, TypeOfColumn, format_type};
use super::relations::{CatalogColumn, CatalogRelation, Relations, SCHEMAS};
use super::rows::{Cell, Row, text};

/// Returns the rows of a table.
pub(super) fn of(name: &str, relations: &Relations) -> Vec<Row> {
    let all = relations.all.iter();
    match name {
        "schemata" => SCHEMAS
            .iter()
            .map(|(_, name)| {
                Row::from([
                    ("catalog_name", text(DATABASE)),
                    ("schema_name", text(name)),
                    ("schema_owner", text(&relations.user)),
                ])
            })
            .collect(),
        "tables" => all
            .map(|relation| {
                let kind = if relation.is_view { "VIEW" } else { "BASE TABLE" };
                let mut row = named(relation);
                row.extend([
                    ("table_type", text(kind)),
                    ("is_insertable_into", text("NO")),
                    ("is_typed", text("NO")),
                    ("description", text(&relation.description)),
                ]);
                row
            })
            .collect(),
        "views" => all
            .filter(|relation| relation.is_view)
            .map(|relation| {
                let mut row = named(relation);
                row.extend([
                    ("view_definition", text(relation.definition.as_deref().unwrap_or_default())),
                    ("check_option", text("NONE")),
                    ("is_updatable", text("NO")),
                    ("is_insertable_into", text("NO")),
                ]);
                row
            })
            .collect(),
        "columns" => all
            .flat_map(|relation| {
                let numbered = (1..).zip(&relation.columns);
                numbered.map(|(number, column)| information_column(relation, number, column))
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn named(relation: &CatalogRelation) -> Row {
    Row::from([
        ("table_catalog", text(DATABASE)),
        ("table_schema", text(&relation.schema)),
        ("table_name", text(&relation.name)),
    ])
}

fn information_column(relation: &CatalogRelation, number: i64, column: &CatalogColumn) -> Row {
    let TypeOfColumn { element, is_array, modifier } = column.column_type;
    let udt = if is_array { format!("_{}", element.name) } else { element.name.to_owned() };
    let sql_name =
        if is_array { "ARRAY".to_owned() } else { format_type(i64::from(element.oid), None) };
    let mut row = named(relation);
    row.extend([
        ("column_name", text(&column.name)),
        ("ordinal_position", Cell::Int(number)),
        ("is_nullable", text("YES")),
        ("data_type", Cell::Text(sql_name)),
        ("udt_catalog", text(DATABASE)),
        ("udt_schema", text(PG_CATALOG)),
        ("udt_name", Cell::Text(udt)),
        ("is_identity", text("NO")),
        ("is_generated", text("NEVER")),
        ("is_updatable", text("NO")),
    ]);
    let bits = match element {
        PgType::INT2 => 16,
        PgType::INT4 => 32,
        PgType::INT8 => 64,
        PgType::FLOAT8 => 53,
        _ => 0,
    };
    if modifier >= 4 {
        row.insert("numeric_precision", Cell::Int(i64::from((modifier - 4) >> 16)));
        row.insert("numeric_precision_radix", Cell::Int(10));
        row.insert("numeric_scale", Cell::Int(i64::from((modifier - 4) & 0xffff)));
    } else if bits > 0 {
        row.insert("numeric_precision", Cell::Int(bits));
        row.insert("numeric_precision_radix", Cell::Int(2));
    }
    if let Some(description) = &column.description {
        row.insert("description", text(description));
    }
    row
}
