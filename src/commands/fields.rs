//! `rapport ingest fields`: prints the event contracts, which are those that the decoder checks.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use domain::Stream;
use ingest::decode::{ContractField, column_description, contract};

use crate::args::{FieldsArgs, Format};
use crate::output::{self, print_line, print_table};
use crate::table::Table;

/// Prints the contracts of one stream, or of all.
pub(crate) fn run(options: &FieldsArgs) -> anyhow::Result<()> {
    let streams = Stream::ALL.into_iter().filter(|s| options.stream.is_none_or(|only| only == *s));
    if options.format == Format::Table {
        for (at, stream) in streams.enumerate() {
            if at > 0 {
                print_line("")?;
            }
            print_stream(stream)?;
        }
        return Ok(());
    }
    let fields: Vec<(Stream, ContractField)> =
        streams.flat_map(|stream| contract(stream).into_iter().map(move |f| (stream, f))).collect();
    let rows = rows(&fields)?;
    output::print_batch(&rows, options.format)
}

/// Returns what a column of an event table holds; the table is `api_calls` or `raw.api_calls`.
pub(crate) fn event_column_description(table: &str, column: &str) -> Option<String> {
    let name = table.strip_prefix("raw.").unwrap_or(table);
    let stream = Stream::ALL.into_iter().find(|stream| stream.table() == name)?;
    column_description(stream, column)
}

fn print_stream(stream: Stream) -> anyhow::Result<()> {
    print_line(&format!(
        "{stream}: one event a record, the tables {0} and raw.{0}\n",
        stream.table()
    ))?;
    let mut table = Table::new(["field", "type", "required", "may be", "what it is"], &[]);
    for field in contract(stream) {
        let required = match (field.required, field.default) {
            (true, _) => "yes".to_owned(),
            (false, Some(default)) => format!("no: {default}"),
            (false, None) => "no".to_owned(),
        };
        table.row([
            field.name.to_owned(),
            field.json_type.to_owned(),
            required,
            field.rule,
            field.description.to_owned(),
        ]);
    }
    print_table(&table)
}

fn rows(fields: &[(Stream, ContractField)]) -> anyhow::Result<RecordBatch> {
    let text = |of: &dyn Fn(&ContractField) -> Option<String>| -> ArrayRef {
        Arc::new(fields.iter().map(|(_, field)| of(field)).collect::<StringArray>())
    };
    let required: BooleanArray = fields.iter().map(|(_, field)| Some(field.required)).collect();
    let streams = StringArray::from_iter_values(fields.iter().map(|(stream, _)| stream.name()));
    let columns: [(&str, ArrayRef); 8] = [
        ("stream", Arc::new(streams)),
        ("field", text(&|f| Some(f.name.to_owned()))),
        ("type", text(&|f| Some(f.json_type.to_owned()))),
        ("required", Arc::new(required)),
        ("rule", text(&|f| Some(f.rule.clone()))),
        ("default", text(&|f| f.default.map(str::to_owned))),
        ("column", text(&|f| Some(f.column.to_owned()))),
        ("description", text(&|f| Some(f.description.to_owned()))),
    ];
    let schema: Vec<Field> = columns
        .iter()
        .map(|(name, of)| Field::new(*name, of.data_type().clone(), *name == "default"))
        .collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(schema)), columns)?)
}
