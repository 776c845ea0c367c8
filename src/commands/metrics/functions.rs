//! `rapport metrics functions`: the SQL functions that DataFusion lacks.

use transform::{FunctionDoc, functions};

use crate::args::Format;
use crate::output::{self, print_line};
use crate::rows::text_batch;
use crate::table::Table;

/// Returns a cell of the list.
type FunctionText = fn(&FunctionDoc) -> &'static str;

/// Lists the functions.
pub(super) fn list(format: Format) -> anyhow::Result<()> {
    let all = functions();
    if format == Format::Table {
        return all.iter().try_for_each(print_function);
    }
    let columns: [(&str, FunctionText); 7] = [
        ("name", FunctionDoc::name),
        ("signature", |f| f.signature),
        ("does", |f| f.description),
        ("unit", |f| f.unit),
        ("source", |f| f.source),
        ("example", |f| f.example),
        ("gives", |f| f.example_result),
    ];
    let texts = |of: FunctionText| all.iter().map(|f| of(f).to_owned()).collect();
    let rows = text_batch(columns.map(|(name, of)| (name, texts(of))))?;
    output::print_batch(&rows, format)
}

/// Prints a function: its signature, then a line for each of its texts.
fn print_function(function: &FunctionDoc) -> anyhow::Result<()> {
    print_line(function.signature)?;
    let mut table = Table::new(["", ""], &[]);
    table.row(["  does", function.description]);
    table.row(["  unit", function.unit]);
    if !function.source.is_empty() {
        table.row(["  source", function.source]);
    }
    table.row(["  example", function.example]);
    table.row(["  gives", function.example_result]);
    output::print_table(&table)?;
    print_line("")
}
