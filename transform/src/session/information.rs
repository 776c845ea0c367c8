//! `information_schema`: what there is to ask, as tables that other programs look into.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::MemorySchemaProvider;

use super::{Relation, RelationColumn, Session};
use crate::error::{Result, TransformError};
use crate::show::PUBLIC;
use crate::texts;

/// The name of the schema, with the dot after it.
pub(super) const PREFIX: &str = "information_schema.";

impl Session {
    /// Registers `tables` and `columns`, once.
    pub(super) async fn register_information(&self) -> Result<()> {
        self.information.get_or_try_init(|| self.make_information()).await.copied()
    }

    async fn make_information(&self) -> Result<()> {
        let fail = || TransformError::sql("information_schema");
        let relations = self.relations();
        let mut columns = Vec::new();
        for relation in &relations {
            // What can't be described is still a table.
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
            let table = texts::table_of(&rows).map_err(fail())?;
            self.ctx.register_table(format!("{PREFIX}{name}"), table).map_err(fail())?;
        }
        Ok(())
    }
}

type Batch = std::result::Result<RecordBatch, arrow::error::ArrowError>;

fn tables_batch(catalog: &str, relations: &[Relation]) -> Batch {
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

fn columns_batch(catalog: &str, columns: &[(&Relation, i64, RelationColumn)]) -> Batch {
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

fn batch(columns: Vec<(&str, ArrayRef)>) -> Batch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, c)| Field::new(*name, c.data_type().clone(), true)).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn schema_and_name(relation: &str) -> (&str, &str) {
    relation.split_once('.').unwrap_or((PUBLIC, relation))
}
