//! Rows as conditions of the policy see them: what is no finite number is not known.

use arrow::datatypes::DataType;
use transform::Session;

/// Returns the SQL of the same rows with NULL in place of NaN and the infinities. To the engine NaN is
/// greater than every number, so that a limit would be passed by what a division by zero left.
/// `rows` is a query in brackets, or the name of a table.
///
/// # Errors
/// What is wrong with the query.
pub(crate) async fn finite_rows(session: &Session, rows: &str) -> anyhow::Result<String> {
    let schema = session.sql(&format!("SELECT * FROM {rows} LIMIT 0")).await?.schema;
    let floats = schema.fields().iter().filter(|field| {
        matches!(field.data_type(), DataType::Float16 | DataType::Float32 | DataType::Float64)
    });
    let replaced: Vec<String> = floats
        .map(|field| {
            let name = format!("\"{}\"", field.name().replace('"', "\"\""));
            format!("CASE WHEN abs({name}) < CAST('Infinity' AS DOUBLE) THEN {name} END AS {name}")
        })
        .collect();
    Ok(match replaced.is_empty() {
        true => format!("SELECT * FROM {rows}"),
        false => format!("SELECT * REPLACE ({}) FROM {rows}", replaced.join(", ")),
    })
}
