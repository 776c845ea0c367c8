//! The tables `information_schema.tables` and `information_schema.columns`, which other programs
//! read to find out what a session offers.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::MemorySchemaProvider;

use super::Session;
use super::relations::{Relation, RelationColumn};
use crate::catalog::show_statement::PUBLIC;
use crate::engine::utf8_view;
use crate::error::{Result, TransformError};

/// The name of the schema and the dot after it.
pub(super) const PREFIX: &str = "information_schema.";

impl Session {
    /// Registers `tables` and `columns` at the first call; later calls do nothing.
    pub(super) async fn register_information_schema(&self) -> Result<()> {
        self.information_schema.get_or_try_init(|| self.create_information_schema()).await.copied()
    }

    async fn create_information_schema(&self) -> Result<()> {
        let fail = || TransformError::sql("information_schema");
        let relations = self.relations();
        let mut columns = Vec::new();
        for relation in &relations {
            // A relation whose columns can't be found is still listed as a table.
            let described = self.columns(&relation.name).await.unwrap_or_default();
            let numbered = (1..).zip(described);
            columns.extend(numbered.map(|(position, column)| (relation, position, column)));
        }
        let options = self.ctx.copied_config().options().catalog.clone();
        let catalog = options.default_catalog.as_str();
        if let Some(provider) = self.ctx.catalog(catalog) {
            let name = PREFIX.trim_end_matches('.');
            let schema = Arc::new(MemorySchemaProvider::new());
            provider.register_schema(name, schema).map_err(fail())?;
        }
        let tables = tables_batch(catalog, &relations).map_err(|e| fail()(e.into()))?;
        let columns = columns_batch(catalog, &columns).map_err(|e| fail()(e.into()))?;
        for (name, rows) in [("tables", tables), ("columns", columns)] {
            let table = utf8_view::table_of(&rows).map_err(fail())?;
            self.ctx.register_table(format!("{PREFIX}{name}"), table).map_err(fail())?;
        }
        Ok(())
    }
}

type BatchResult = std::result::Result<RecordBatch, arrow::error::ArrowError>;

fn tables_batch(catalog: &str, relations: &[Relation]) -> BatchResult {
    let of = |value: &dyn Fn(&Relation) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(relations.iter().map(value)))
    };
    batch(vec![
        ("table_catalog", of(&|_| catalog.to_owned())),
        ("table_schema", of(&|relation| schema_and_name(&relation.name).0.to_owned())),
        ("table_name", of(&|relation| schema_and_name(&relation.name).1.to_owned())),
        (
            "table_type",
            of(&|relation| match relation.kind {
                "table" | "rollup" => "BASE TABLE".to_owned(),
                _ => "VIEW".to_owned(),
            }),
        ),
        ("kind", of(&|relation| relation.kind.to_owned())),
        ("description", of(&|relation| relation.description.clone())),
    ])
}

fn columns_batch(catalog: &str, columns: &[(&Relation, i64, RelationColumn)]) -> BatchResult {
    type Row<'a> = (&'a Relation, i64, RelationColumn);
    let of = |value: &dyn Fn(&Row<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(columns.iter().map(value).collect::<StringArray>())
    };
    let positions = columns.iter().map(|(_, position, _)| *position);
    batch(vec![
        ("table_catalog", of(&|_| Some(catalog.to_owned()))),
        ("table_schema", of(&|row| Some(schema_and_name(&row.0.name).0.to_owned()))),
        ("table_name", of(&|row| Some(schema_and_name(&row.0.name).1.to_owned()))),
        ("column_name", of(&|row| Some(row.2.name.clone()))),
        ("ordinal_position", Arc::new(Int64Array::from_iter_values(positions))),
        ("column_default", of(&|_| None)),
        ("is_nullable", of(&|_| Some("YES".to_owned()))),
        ("data_type", of(&|row| Some(row.2.kind.clone()))),
        ("unit", of(&|row| row.2.unit.clone())),
        ("description", of(&|row| row.2.description.clone())),
    ])
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> BatchResult {
    let fields: Vec<Field> =
        columns.iter().map(|(name, c)| Field::new(*name, c.data_type().clone(), true)).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn schema_and_name(relation: &str) -> (&str, &str) {
    relation.split_once('.').unwrap_or((PUBLIC, relation))
}
