//! The rows of the tables of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

use super::super::names::{DATABASE, PG_CATALOG};
use super::super::pg_type::{PgType, TypeOfColumn};
use super::information_schema;
use super::relations::{CatalogColumn, CatalogRelation, PG_CLASS_OID, Relations, SCHEMAS};
use super::tables::CatalogTable;

/// The number of the only role, and that of the only database.
pub(super) const OWNER_OID: i64 = 10;
const DATABASE_OID: i64 = 16_383;
/// The number of the access method that tables name.
const HEAP_OID: i64 = 2;

/// A value of a row.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Int(i64),
    Bool(bool),
    Float(f64),
    Text(String),
}

/// A row by the names of its columns. A column that it lacks is 0, false or NULL.
pub(super) type Row = BTreeMap<&'static str, Cell>;

pub(super) fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// Returns the rows of a table.
pub(super) fn of(table: &CatalogTable, relations: &Relations) -> Result<RecordBatch, ArrowError> {
    let rows = match table.name.split_once('.').unwrap_or_default() {
        (PG_CATALOG, name) => pg_catalog(name, relations),
        (_, name) => information_schema::of(name, relations),
    };
    let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (name, data_type) in table.columns() {
        let cells = || rows.iter().map(|row| row.get(name));
        let column: ArrayRef = match data_type {
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(
                cells().map(|cell| if let Some(Cell::Int(value)) = cell { *value } else { 0 }),
            )),
            DataType::Boolean => Arc::new(
                cells()
                    .map(|cell| Some(matches!(cell, Some(Cell::Bool(true)))))
                    .collect::<BooleanArray>(),
            ),
            DataType::Float64 => Arc::new(Float64Array::from_iter_values(
                cells().map(|cell| if let Some(Cell::Float(value)) = cell { *value } else { 0.0 }),
            )),
            _ => Arc::new(
                cells()
                    .map(|cell| if let Some(Cell::Text(text)) = cell { Some(text) } else { None })
                    .collect::<StringArray>(),
            ),
        };
        fields.push(Field::new(name, data_type, true));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn pg_catalog(name: &str, relations: &Relations) -> Vec<Row> {
    let all = &relations.all;
    match name {
        "pg_class" => all.iter().map(class).collect(),
        "pg_namespace" => SCHEMAS
            .iter()
            .map(|(oid, name)| {
                Row::from([
                    ("oid", Cell::Int(*oid)),
                    ("nspname", text(name)),
                    ("nspowner", Cell::Int(OWNER_OID)),
                ])
            })
            .collect(),
        "pg_attribute" => all
            .iter()
            .flat_map(|relation| {
                let numbered = (1..).zip(&relation.columns);
                numbered.map(|(number, column)| attribute(relation, number, column))
            })
            .collect(),
        "pg_type" => PgType::ALL.into_iter().flat_map(types).collect(),
        "pg_description" => all.iter().flat_map(descriptions).collect(),
        "pg_tables" => all
            .iter()
            .filter(|relation| !relation.is_view)
            .map(|relation| {
                Row::from([
                    ("schemaname", text(&relation.schema)),
                    ("tablename", text(&relation.name)),
                    ("tableowner", text(&relations.user)),
                ])
            })
            .collect(),
        "pg_views" => all
            .iter()
            .filter(|relation| relation.is_view)
            .map(|relation| {
                Row::from([
                    ("schemaname", text(&relation.schema)),
                    ("viewname", text(&relation.name)),
                    ("viewowner", text(&relations.user)),
                    ("definition", text(relation.definition.as_deref().unwrap_or_default())),
                ])
            })
            .collect(),
        other => server(other, relations),
    }
}

/// Returns the rows of tables that concern the whole server.
fn server(name: &str, relations: &Relations) -> Vec<Row> {
    match name {
        "pg_database" => vec![Row::from([
            ("oid", Cell::Int(DATABASE_OID)),
            ("datname", text(DATABASE)),
            ("datdba", Cell::Int(OWNER_OID)),
            ("encoding", Cell::Int(6)),
            ("datlocprovider", text("c")),
            ("datallowconn", Cell::Bool(true)),
            ("datconnlimit", Cell::Int(-1)),
            ("datcollate", text("C.UTF-8")),
            ("datctype", text("C.UTF-8")),
        ])],
        "pg_roles" => vec![Row::from([
            ("oid", Cell::Int(OWNER_OID)),
            ("rolname", text(&relations.user)),
            ("rolinherit", Cell::Bool(true)),
            ("rolcanlogin", Cell::Bool(true)),
            ("rolconnlimit", Cell::Int(-1)),
        ])],
        "pg_user" => {
            vec![Row::from([
                ("usename", text(&relations.user)),
                ("usesysid", Cell::Int(OWNER_OID)),
            ])]
        }
        "pg_am" => vec![Row::from([
            ("oid", Cell::Int(HEAP_OID)),
            ("amname", text("heap")),
            ("amtype", text("t")),
        ])],
        "pg_tablespace" => {
            vec![Row::from([("oid", Cell::Int(1_663)), ("spcname", text("pg_default"))])]
        }
        "pg_settings" => super::functions::SETTINGS
            .iter()
            .map(|(name, value)| Row::from([("name", text(name)), ("setting", text(value))]))
            .collect(),
        _ => Vec::new(),
    }
}

fn class(relation: &CatalogRelation) -> Row {
    let kind = if relation.is_view { "v" } else { "r" };
    let schema = SCHEMAS.iter().find(|(_, name)| *name == relation.schema);
    Row::from([
        ("oid", Cell::Int(relation.oid)),
        ("relname", text(&relation.name)),
        ("relnamespace", Cell::Int(schema.map_or(0, |(oid, _)| *oid))),
        ("relowner", Cell::Int(OWNER_OID)),
        ("relam", Cell::Int(if relation.is_view { 0 } else { HEAP_OID })),
        ("reltuples", Cell::Float(-1.0)),
        ("relpersistence", text("p")),
        ("relkind", text(kind)),
        ("relnatts", Cell::Int(relation.columns.len() as i64)),
        ("relispopulated", Cell::Bool(true)),
        ("relreplident", text("n")),
    ])
}

fn attribute(relation: &CatalogRelation, number: i64, column: &CatalogColumn) -> Row {
    let TypeOfColumn { element, is_array, modifier } = column.column_type;
    Row::from([
        ("attrelid", Cell::Int(relation.oid)),
        ("attname", text(&column.name)),
        ("atttypid", Cell::Int(i64::from(column.column_type.oid()))),
        ("attlen", Cell::Int(i64::from(column.column_type.length()))),
        ("attnum", Cell::Int(number)),
        ("attndims", Cell::Int(i64::from(is_array))),
        ("attcacheoff", Cell::Int(-1)),
        ("atttypmod", Cell::Int(i64::from(modifier))),
        ("attbyval", Cell::Bool(element.length > 0 && !is_array)),
        ("attalign", text("i")),
        ("attstorage", text(if column.column_type.length() < 0 { "x" } else { "p" })),
        ("attcompression", text("")),
        ("attidentity", text("")),
        ("attgenerated", text("")),
        ("attislocal", Cell::Bool(true)),
    ])
}

/// Returns the rows of a type and of its arrays.
fn types(of: PgType) -> Vec<Row> {
    let common = || {
        Row::from([
            ("typnamespace", Cell::Int(11)),
            ("typowner", Cell::Int(OWNER_OID)),
            ("typtype", text(if of.category == "X" { "p" } else { "b" })),
            ("typisdefined", Cell::Bool(true)),
            ("typdelim", text(",")),
            ("typalign", text("i")),
            ("typstorage", text(if of.length < 0 { "x" } else { "p" })),
            ("typtypmod", Cell::Int(-1)),
        ])
    };
    let io = |suffix: &str| text(&format!("{}{suffix}", of.name));
    let mut own = common();
    own.extend([
        ("oid", Cell::Int(i64::from(of.oid))),
        ("typname", text(of.name)),
        ("typlen", Cell::Int(i64::from(of.length))),
        ("typbyval", Cell::Bool((1..=8).contains(&of.length))),
        ("typcategory", text(of.category)),
        ("typarray", Cell::Int(i64::from(of.array_oid))),
        ("typinput", io("in")),
        ("typoutput", io("out")),
        ("typreceive", io("recv")),
        ("typsend", io("send")),
    ]);
    let mut rows = vec![own];
    if of.array_oid != 0 {
        let mut array = common();
        array.extend([
            ("oid", Cell::Int(i64::from(of.array_oid))),
            ("typname", text(&format!("_{}", of.name))),
            ("typlen", Cell::Int(-1)),
            ("typcategory", text("A")),
            ("typelem", Cell::Int(i64::from(of.oid))),
            ("typinput", text("array_in")),
            ("typoutput", text("array_out")),
            ("typreceive", text("array_recv")),
            ("typsend", text("array_send")),
        ]);
        rows.push(array);
    }
    rows
}

fn descriptions(relation: &CatalogRelation) -> Vec<Row> {
    let row = |number: i64, description: &str| {
        Row::from([
            ("objoid", Cell::Int(relation.oid)),
            ("classoid", Cell::Int(PG_CLASS_OID)),
            ("objsubid", Cell::Int(number)),
            ("description", text(description)),
        ])
    };
    let columns = (1..).zip(&relation.columns).filter_map(|(number, column)| {
        column.description.as_deref().map(|description| row(number, description))
    });
    std::iter::once(row(0, &relation.description)).chain(columns).collect()
}
