//! Queries over a lake that this process may read but not write.
//!
//! Stale rollups are computed from the events at each read, because a refresh can't store them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use domain::Stream;

use crate::engine::Engine;
use crate::engine::session::Session;
use crate::engine::utf8_view;
use crate::error::{Result, TransformError};

/// How rollups are read where none can be refreshed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOnlyRollups {
    /// Rollups with stale days, which are computed from the events.
    pub computed: Vec<String>,
    /// Rollups that are read as they are stored, each with its number of stale days. Retention has
    /// deleted the events of sealed days, so these rollups can't be computed.
    pub stale: BTreeMap<String, usize>,
    /// Rollups whose query is wrong, each with the reason.
    pub failed: BTreeMap<String, String>,
}

impl Engine {
    /// Returns an engine that never refreshes, and how it reads each rollup.
    ///
    /// # Errors
    /// Errors of the lake.
    pub async fn without_writing(&self) -> Result<(Self, ReadOnlyRollups)> {
        let mut rollups = ReadOnlyRollups::default();
        let sealed = self.has_sealed_days().await?;
        for rollup in self.plan_refresh().await? {
            match (rollup.error, rollup.stale.len()) {
                (Some(why), _) => drop(rollups.failed.insert(rollup.name, why)),
                (None, 0) => {}
                (None, days) if sealed => drop(rollups.stale.insert(rollup.name, days)),
                (None, _) => rollups.computed.push(rollup.name),
            }
        }
        let computed: BTreeSet<String> = rollups.computed.iter().cloned().collect();
        let failed = Arc::new(Mutex::new(rollups.failed.clone()));
        let mut engine = self.clone();
        engine.stored_by_other_sql = computed;
        engine.failed_rollups = failed;
        Ok((engine, rollups))
    }

    async fn has_sealed_days(&self) -> Result<bool> {
        for stream in Stream::ALL {
            let raw = self.lake.snapshot(&lake::schema::raw(stream).name, None).await?;
            if raw.is_some_and(|raw| lake::sealed_before(&raw.txns).is_some()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Session {
    /// Replaces the rows of a table of this session; the lake is not changed. Call it before
    /// anything of the session reads the table.
    ///
    /// # Errors
    /// Errors of DataFusion.
    pub fn replace_rows(&self, table: &str, rows: &RecordBatch) -> Result<()> {
        let fail = || TransformError::sql(table);
        let ctx = self.context();
        let rows = utf8_view::table_of(rows).map_err(fail())?;
        ctx.deregister_table(table).map_err(fail())?;
        ctx.register_table(table, rows).map(drop).map_err(fail())
    }

    /// Adds rows to a table of this session; the lake is not changed.
    ///
    /// # Errors
    /// Rows whose columns differ from the table's.
    pub async fn add_rows(&self, table: &str, rows: &RecordBatch) -> Result<()> {
        let fail = || TransformError::sql(table);
        let ctx = self.context();
        let stored = ctx.table(table).await.map_err(fail())?;
        let added = utf8_view::table_of(rows).and_then(|rows| ctx.read_table(rows));
        let both = stored.union_by_name(added.map_err(fail())?).map_err(fail())?.into_view();
        ctx.deregister_table(table).map_err(fail())?;
        ctx.register_table(table, both).map(drop).map_err(fail())
    }
}
