//! `rapport actions log`: what was approved, sent and answered.

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};

use crate::args::LogArgs;
use crate::commands::score_records::{print_list, session};
use crate::project::Project;

/// The columns of the table for people; files have all of them.
const SHOWN: usize = 10;

/// Prints the rows, newest first.
pub(super) async fn run(project: &Project, options: &LogArgs) -> anyhow::Result<()> {
    let found = session(project).await?.metric("action_history").await?;
    let all = concat_batches(&found.schema, &found.batches)?;
    let rows = of_column(&all, "partner_id", options.partner.as_deref())?;
    let rows = of_column(&rows, "plan_id", options.plan.as_deref())?;
    let rows = rows.slice(0, options.limit.min(rows.num_rows()));
    let rows = match options.format {
        crate::args::Format::Table => rows.project(&(0..SHOWN).collect::<Vec<_>>())?,
        _ => rows,
    };
    print_list(&rows, options.format, "The log of actions has no such row")
}

/// Keeps the rows with a text in a column.
fn of_column(
    rows: &RecordBatch,
    column: &str,
    wanted: Option<&str>,
) -> anyhow::Result<RecordBatch> {
    let Some(wanted) = wanted else { return Ok(rows.clone()) };
    let texts = arrow::compute::cast(
        rows.column_by_name(column).ok_or_else(|| anyhow::anyhow!("no column {column}"))?,
        &arrow::datatypes::DataType::Utf8,
    )?;
    let texts = texts.as_string::<i32>();
    let kept: BooleanArray = texts.iter().map(|text| Some(text == Some(wanted))).collect();
    Ok(filter_record_batch(rows, &kept)?)
}
