//! `rapport metrics functions`: the SQL functions that DataFusion lacks.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use transform::{Function, functions};

use crate::args::Format;
use crate::output::{self, Rows, Table, line};

/// One cell of the list.
type Text = fn(&Function) -> &'static str;

pub(super) fn list(format: Format) -> anyhow::Result<()> {
    let all = functions();
    if format == Format::Table {
        return all.iter().try_for_each(block);
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

/// A function as a block of its own: its signature, then what there is to say of it.
fn block(function: &Function) -> anyhow::Result<()> {
    line(function.signature)?;
    let mut table = Table::new(["", ""], &[]);
    table.row(["  does", function.does]);
    table.row(["  unit", function.unit]);
    if !function.source.is_empty() {
        table.row(["  source", function.source]);
    }
    table.row(["  example", function.example]);
    table.row(["  gives", function.gives]);
    output::show(&table)?;
    line("")
}
