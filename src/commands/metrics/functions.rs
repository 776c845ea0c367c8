//! `rapport metrics functions`: the SQL functions that DataFusion lacks.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use transform::{Function, functions};

use crate::args::Format;
use crate::output::{self, Rows, Table, note};

/// One cell of the list.
type Text = fn(&Function) -> &'static str;

pub(super) fn list(format: Format) -> anyhow::Result<()> {
    let all = functions();
    if format == Format::Table {
        let mut table = Table::new(["function", "what it does", "in", "after"], &[]);
        for function in &all {
            table.row([function.signature, function.does, function.unit, function.source]);
        }
        output::show(&table)?;
        note("\nEach has an example: `rapport metrics functions --format json`.");
        return Ok(());
    }
    let columns: [(&str, Text); 7] = [
        ("name", Function::name),
        ("signature", |f| f.signature),
        ("does", |f| f.does),
        ("unit", |f| f.unit),
        ("source", |f| f.source),
        ("example", |f| f.example),
        ("gives", |f| f.gives),
    ];
    let fields: Vec<_> =
        columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, false)).collect();
    let texts = columns
        .iter()
        .map(|(_, of)| -> ArrayRef { Arc::new(StringArray::from_iter_values(all.iter().map(of))) });
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), texts.collect())?;
    output::print(&Rows { schema: &schema, batches: &[batch] }, format)
}
