//! The tables, views and metrics of a session, with the numbers and types by which the catalog knows
//! them.

use super::super::names::PG_CATALOG;
use super::super::pg_type::{PgType, TypeOfColumn};
use super::tables;
use crate::catalog::show_statement::PUBLIC;
use crate::engine::session::Session;
use crate::engine::session::relations::RelationColumn;
use arrow::datatypes::{DataType, TimeUnit};

/// The number of the first relation; those below are PostgreSQL's own.
const FIRST_OID: i64 = 16_384;

/// The schemas and their numbers.
pub(super) const SCHEMAS: [(i64, &str); 4] =
    [(11, PG_CATALOG), (2_200, PUBLIC), (13_000, super::INFORMATION_SCHEMA), (16_000, "raw")];

/// The number of `pg_class` itself, to which descriptions refer.
pub(super) const PG_CLASS_OID: i64 = 1_259;

/// Everything that clients can read.
pub(super) struct Relations {
    pub(super) user: String,
    pub(super) all: Vec<CatalogRelation>,
}

/// A table, view or metric.
pub(super) struct CatalogRelation {
    pub(super) oid: i64,
    pub(super) schema: String,
    pub(super) name: String,
    /// Whether it is a query; else it is a table of the lake.
    pub(super) is_view: bool,
    pub(super) description: String,
    /// The SQL of a query.
    pub(super) definition: Option<String>,
    pub(super) columns: Vec<CatalogColumn>,
}

pub(super) struct CatalogColumn {
    pub(super) name: String,
    pub(super) column_type: TypeOfColumn,
    pub(super) description: Option<String>,
}

impl Relations {
    pub(super) fn by_oid(&self, oid: i64) -> Option<&CatalogRelation> {
        usize::try_from(oid - FIRST_OID).ok().and_then(|at| self.all.get(at))
    }

    /// Returns the number of a relation by a name that may have a schema and quotes.
    pub(super) fn oid(&self, name: &str) -> Option<i64> {
        let plain = name.replace('"', "");
        let (schema, name) = plain.split_once('.').unwrap_or((PUBLIC, plain.as_str()));
        let found = self.all.iter().find(|r| r.schema == schema && r.name == name);
        let own = tables::ALL.iter().position(|table| {
            let (of, table) = table.name.split_once('.').unwrap_or_default();
            table == name && (schema == of || schema == PUBLIC)
        });
        let own = own.map(|at| match name {
            "pg_class" => PG_CLASS_OID,
            _ => 1_000 + at as i64,
        });
        found.map(|relation| relation.oid).or(own)
    }
}

/// Reads the relations of a session. A relation whose columns can't be found is listed without any.
pub(super) async fn relations_of(session: &Session, user: &str) -> Relations {
    let mut all = Vec::new();
    for (oid, relation) in (FIRST_OID..).zip(session.relations()) {
        let columns = session.columns(&relation.name).await.unwrap_or_default();
        let (schema, name) = relation.name.split_once('.').unwrap_or((PUBLIC, &relation.name));
        let is_view = matches!(relation.kind, "metric" | "view");
        let query = session.catalog().get(&relation.name).filter(|_| is_view);
        all.push(CatalogRelation {
            oid,
            schema: schema.to_owned(),
            name: name.to_owned(),
            is_view,
            description: relation.description,
            definition: query.map(|query| query.sql.trim().to_owned()),
            columns: columns.into_iter().map(catalog_column).collect(),
        });
    }
    Relations { user: user.to_owned(), all }
}

fn catalog_column(column: RelationColumn) -> CatalogColumn {
    let description = match (column.description, column.unit) {
        (Some(description), Some(unit)) => Some(format!("{description} ({unit})")),
        (description, unit) => description.or(unit),
    };
    CatalogColumn { name: column.name, column_type: type_of(&column.kind), description }
}

/// Returns the type of a column by its spelling in a header.
fn type_of(kind: &str) -> TypeOfColumn {
    let decimal = |text: &str| {
        let (precision, scale) =
            text.strip_prefix("Decimal(")?.strip_suffix(')')?.split_once(',')?;
        Some(DataType::Decimal128(precision.trim().parse().ok()?, scale.trim().parse().ok()?))
    };
    match kind {
        "Utf8" => TypeOfColumn::of(&DataType::Utf8),
        "Boolean" => TypeOfColumn::of(&DataType::Boolean),
        "Int32" => TypeOfColumn::of(&DataType::Int32),
        "Int64" => TypeOfColumn::of(&DataType::Int64),
        "Float64" => TypeOfColumn::of(&DataType::Float64),
        "Date32" => TypeOfColumn::of(&DataType::Date32),
        "Timestamp" => {
            TypeOfColumn::of(&DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
        }
        "List" => TypeOfColumn { element: PgType::JSON, is_array: false, modifier: -1 },
        other => TypeOfColumn::of(
            &decimal(other).unwrap_or_else(|| other.parse().unwrap_or(DataType::Utf8)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_headers_have_a_number() {
        let check = |kind: &str, oid: u32| assert_eq!(type_of(kind).oid(), oid, "{kind}");
        check("Utf8", 25);
        check("Int64", 20);
        check("UInt64", 1_700);
        check("Decimal(38, 12)", 1_700);
        check("Timestamp", 1_184);
        check("List", 114);
    }
}
