//! Lists what a session offers: its tables with their columns, and its functions.

use super::Session;
use crate::catalog::QueryKind;
use crate::catalog::built_in_tables;
use crate::engine::table_names::base_tables;
use crate::error::{Result, TransformError};
use arrow::datatypes::{DataType, TimeUnit};

/// A table, view, metric or rollup, by its name in SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    pub name: String,
    /// `table`, `rollup`, `view` or `metric`.
    pub kind: &'static str,
    pub description: String,
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    pub name: String,
    /// The type in the spelling of a query's header: `Utf8`, `Decimal(38, 12)`.
    pub kind: String,
    pub unit: Option<String>,
    pub description: Option<String>,
}

impl Session {
    /// Returns everything that a statement can name: metrics, views, rollups, then tables.
    pub fn relations(&self) -> Vec<Relation> {
        let kinds = [
            (QueryKind::Metric, "metric"),
            (QueryKind::View, "view"),
            (QueryKind::Rollup, "rollup"),
        ];
        let mut relations = Vec::new();
        for (kind, kind_name) in kinds {
            relations.extend(self.catalog.of_kind(kind).map(|query| Relation {
                name: query.name.clone(),
                kind: kind_name,
                description: query.header.description.clone(),
            }));
        }
        relations.extend(base_tables().into_iter().map(|name| Relation {
            kind: "table",
            description: built_in_tables::description(&name).to_owned(),
            name,
        }));
        relations
    }

    /// Returns the columns of a relation. Those of a query come from its header.
    ///
    /// # Errors
    /// [`TransformError::UnknownTable`] with the known names.
    pub async fn columns(&self, name: &str) -> Result<Vec<RelationColumn>> {
        if let Some(query) = self.catalog.get(name) {
            let columns = query.header.columns.iter().map(|column| RelationColumn {
                name: column.name.clone(),
                kind: column.column_type.to_string(),
                unit: column.unit.clone(),
                description: column.description.clone(),
            });
            return Ok(columns.collect());
        }
        let location = "the description of a table";
        if !self.ctx.table_exist(name).map_err(TransformError::sql(location))? {
            return Err(self.unknown_table(name.to_owned(), location));
        }
        let table = self.ctx.table_provider(name).await.map_err(TransformError::sql(location))?;
        let schema = table.schema();
        let columns = schema.fields().iter().map(|field| RelationColumn {
            name: field.name().clone(),
            kind: type_name(field.data_type()),
            unit: None,
            description: None,
        });
        Ok(columns.collect())
    }

    /// Returns the names of all functions, with those of DataFusion, in alphabetical order.
    pub fn function_names(&self) -> Vec<String> {
        let state = self.ctx.state();
        let mut names: Vec<String> = state.scalar_functions().keys().cloned().collect();
        names.extend(state.aggregate_functions().keys().cloned());
        names.extend(state.window_functions().keys().cloned());
        names.extend(state.table_functions().keys().cloned());
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Returns an Arrow type in the spelling of a query's header.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "Utf8".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "Timestamp".to_owned(),
        DataType::Decimal128(precision, scale) => format!("Decimal({precision}, {scale})"),
        DataType::List(_) => "List".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_described() {
        for name in base_tables() {
            assert!(!built_in_tables::description(&name).is_empty(), "{name}");
        }
        assert_eq!(type_name(&lake::schema::instant()), "Timestamp");
        assert_eq!(type_name(&DataType::Decimal128(38, 12)), "Decimal(38, 12)");
    }
}
