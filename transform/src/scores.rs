//! The tables of scores as queries read them, also where a lake has them as an older program wrote them.
//!
//! Once a signal was five columns of `partner_health`, and the instant of a score told its revision.
//! Versions of that time stay readable: `partner_health` gets the columns it lacks, and
//! `partner_signals` is read out of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use lake::schema::{partner_health, partner_signals};
use lake::{TableDef, TableSnapshot};

use crate::engine::{empty, stored};
use crate::error::{Result, TransformError};

/// The table as stored, with revisions: those of one day are counted by the instants of their scores.
const RANKED: &str = "SELECT *,
    CAST(dense_rank() OVER (PARTITION BY as_of ORDER BY scored_at) AS BIGINT) AS revision
  FROM stored";

/// What marks the columns of a signal in a table of an older program.
const MARK: &str = "_contribution";

/// `partner_health` and `partner_signals` of a set of table versions, by name.
pub(crate) async fn tables(
    pinned: &BTreeMap<String, TableSnapshot>,
) -> Result<[(&'static str, Arc<dyn TableProvider>); 2]> {
    let (health, signals) = (partner_health(), partner_signals());
    let scored = pinned.get(&health.name);
    let health_table = table(scored, &health).await?;
    let signals_table = match (pinned.get(&signals.name), scored) {
        (None, Some(scored)) => match unpivoted(&scored.schema) {
            Some(rows) => view(scored, &rows).await?,
            None => empty(signals.schema)?,
        },
        (kept, _) => table(kept, &signals).await?,
    };
    Ok([("partner_health", health_table), ("partner_signals", signals_table)])
}

/// A table with the columns of today.
async fn table(kept: Option<&TableSnapshot>, def: &TableDef) -> Result<Arc<dyn TableProvider>> {
    let Some(kept) = kept else { return empty(Arc::clone(&def.schema)) };
    let names = |schema: &Schema| -> Vec<String> {
        schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    if names(&kept.schema) == names(&def.schema) {
        return Ok(stored(kept));
    }
    view(kept, &completed(&kept.schema, &def.schema)).await
}

/// A query over a stored table, which it calls `stored`.
async fn view(snapshot: &TableSnapshot, sql: &str) -> Result<Arc<dyn TableProvider>> {
    let ctx = SessionContext::new();
    let fail = |error| TransformError::sql("the scores of an older program")(error);
    ctx.register_table("stored", stored(snapshot)).map_err(fail)?;
    Ok(ctx.sql(sql).await.map_err(fail)?.into_view())
}

fn has(schema: &Schema, column: &str) -> bool {
    schema.field_with_name(column).is_ok()
}

fn with_revisions(found: &Schema) -> &'static str {
    if has(found, "revision") { "SELECT * FROM stored" } else { RANKED }
}

/// The columns of today, NULL where the table has none such.
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

fn sql_type(of: &DataType) -> &'static str {
    match of {
        DataType::Float64 => "DOUBLE",
        DataType::Int64 => "BIGINT",
        DataType::Boolean => "BOOLEAN",
        DataType::Timestamp(..) => "TIMESTAMP",
        _ => "VARCHAR",
    }
}

/// A row for each signal that was measured or said why not; `None` where the table has none.
fn unpivoted(found: &Schema) -> Option<String> {
    let signals = found.fields().iter().filter_map(|field| field.name().strip_suffix(MARK));
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
