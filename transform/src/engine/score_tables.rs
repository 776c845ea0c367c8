//! The tables `partner_health` and `partner_signals`, with the columns of today for every lake.
//!
//! An older program stored each signal as five columns of `partner_health`, and had no revisions.
//! Such lakes stay readable: `partner_health` gets the columns that it lacks, and the rows of
//! `partner_signals` are computed from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use lake::schema::{partner_health, partner_signals};
use lake::{TableDef, TableSnapshot};

use crate::engine::scan::{empty_table, stored_table};
use crate::error::{Result, TransformError};

/// Numbers the revisions of a day by the instants of their scores.
const WITH_REVISIONS: &str = "SELECT *,
    CAST(dense_rank() OVER (PARTITION BY as_of ORDER BY scored_at) AS BIGINT) AS revision
  FROM stored";

/// The end of a signal's column names in a table of an older program.
const CONTRIBUTION_SUFFIX: &str = "_contribution";

/// Returns `partner_health` and `partner_signals` at pinned table versions, by name.
pub(crate) async fn tables(
    pinned: &BTreeMap<String, TableSnapshot>,
) -> Result<[(&'static str, Arc<dyn TableProvider>); 2]> {
    let (health, signals) = (partner_health(), partner_signals());
    let scored = pinned.get(&health.name);
    let health_table = table(scored, &health).await?;
    let signals_table = match (pinned.get(&signals.name), scored) {
        (None, Some(scored)) => match unpivoted(&scored.schema) {
            Some(rows) => view(scored, &rows).await?,
            None => empty_table(signals.schema)?,
        },
        (stored, _) => table(stored, &signals).await?,
    };
    Ok([("partner_health", health_table), ("partner_signals", signals_table)])
}

/// Returns a table with the columns of today.
async fn table(snapshot: Option<&TableSnapshot>, def: &TableDef) -> Result<Arc<dyn TableProvider>> {
    let Some(snapshot) = snapshot else { return empty_table(Arc::clone(&def.schema)) };
    let names = |schema: &Schema| -> Vec<String> {
        schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    if names(&snapshot.schema) == names(&def.schema) {
        return Ok(stored_table(snapshot));
    }
    view(snapshot, &completed(&snapshot.schema, &def.schema)).await
}

/// Returns a query over a stored table as a view. The query names the table `stored`.
async fn view(snapshot: &TableSnapshot, sql: &str) -> Result<Arc<dyn TableProvider>> {
    let ctx = SessionContext::new();
    let fail = |error| TransformError::sql("the scores of an older program")(error);
    ctx.register_table("stored", stored_table(snapshot)).map_err(fail)?;
    Ok(ctx.sql(sql).await.map_err(fail)?.into_view())
}

fn has(schema: &Schema, column: &str) -> bool {
    schema.field_with_name(column).is_ok()
}

fn with_revisions(found: &Schema) -> &'static str {
    if has(found, "revision") { "SELECT * FROM stored" } else { WITH_REVISIONS }
}

/// Returns a query for the columns of today. A column that the table lacks is NULL.
fn completed(found: &Schema, today: &Schema) -> String {
    let columns = today.fields().iter().map(|field| {
        let name = field.name();
        if name == "revision" || has(found, name) {
            return name.clone();
        }
        format!("CAST(NULL AS {}) AS {name}", sql_type(field.data_type()))
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    format!("SELECT {columns} FROM ({})", with_revisions(found))
}

fn sql_type(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Float64 => "DOUBLE",
        DataType::Int64 => "BIGINT",
        DataType::Boolean => "BOOLEAN",
        DataType::Timestamp(..) => "TIMESTAMP",
        _ => "VARCHAR",
    }
}

/// Returns a query with a row for each signal that has a score or a reason. Returns `None` where
/// the table has no columns of signals.
fn unpivoted(found: &Schema) -> Option<String> {
    let signals =
        found.fields().iter().filter_map(|field| field.name().strip_suffix(CONTRIBUTION_SUFFIX));
    let rows = signals.map(|name| {
        format!(
            "SELECT as_of, revision, partner_id, '{name}' AS signal,
               {name}_score IS NOT NULL AS available, {name}_value AS value,
               {name}_score AS score, CAST(NULL AS DOUBLE) AS reference,
               {name}_contribution AS contribution, CAST(NULL AS DOUBLE) AS weight,
               {name}_n AS n, {name}_reason AS reason
             FROM ranked WHERE {name}_score IS NOT NULL OR {name}_reason IS NOT NULL"
        )
    });
    let rows: Vec<String> = rows.collect();
    let all = || format!("WITH ranked AS ({}) {}", with_revisions(found), rows.join(" UNION ALL "));
    (!rows.is_empty()).then(all)
}
