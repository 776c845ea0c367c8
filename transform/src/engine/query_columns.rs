//! The comparison of a result's columns with those that the query's header declares.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::catalog::{Query, QueryKind};
use crate::error::{Result, TransformError};

impl Query {
    /// Whether a result has the columns of the header.
    pub fn accepts(&self, schema: &Schema) -> bool {
        check_columns(self, schema).is_ok()
    }

    /// Returns the columns of the header, for a result without rows.
    pub fn declared_schema(&self) -> SchemaRef {
        let fields = self.header.columns.iter().map(|column| {
            let data_type = column.column_type.arrow_type().unwrap_or(DataType::Null);
            Field::new(&column.name, data_type, true)
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// Compares the columns of a result with those of the header, by position. A check without declared
/// columns may have any.
///
/// # Errors
/// [`TransformError::Columns`] with one line for each column that differs.
pub(crate) fn check_columns(query: &Query, actual: &Schema) -> Result<()> {
    let declared = &query.header.columns;
    if query.kind == QueryKind::Check && declared.is_empty() {
        return Ok(());
    }
    let same = declared.len() == actual.fields().len()
        && declared
            .iter()
            .zip(actual.fields())
            .all(|(d, a)| d.name == *a.name() && d.column_type.accepts(a.data_type()));
    if same {
        return Ok(());
    }
    let mut lines = Vec::new();
    for i in 0..declared.len().max(actual.fields().len()) {
        let header = declared
            .get(i)
            .map_or("nothing".to_owned(), |d| format!("{} {}", d.name, d.column_type));
        let given = actual
            .fields()
            .get(i)
            .map_or("nothing".to_owned(), |a| format!("{} {}", a.name(), a.data_type()));
        let equal = declared
            .get(i)
            .zip(actual.fields().get(i))
            .is_some_and(|(d, a)| d.name == *a.name() && d.column_type.accepts(a.data_type()));
        if !equal {
            lines.push(format!("  column {}: header {header}, query {given}", i + 1));
        }
    }
    Err(TransformError::Columns { file: query.file.clone(), difference: lines.join("\n") })
}
