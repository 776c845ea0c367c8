//! A lake that this process may read and not write: what a refresh would store is computed where it
//! is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use lake_types::Stream;

use crate::engine::Engine;
use crate::error::{Result, TransformError};
use crate::session::Session;
use crate::texts;

/// How rollups are answered from where none can be brought up to date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOnly {
    /// Rollups of which days are stale: computed from the events.
    pub computed: Vec<String>,
    /// Those that are read as they are stored, stale, with how many days: retention has sealed
    /// days, and events of those are gone.
    pub stale: BTreeMap<String, usize>,
    /// Rollups whose query is wrong, with why.
    pub failed: BTreeMap<String, String>,
}

impl Engine {
    /// The same lake and queries without a refresh, and what that means for the rollups.
    ///
    /// # Errors
    /// The lake's own.
    pub async fn without_writing(&self) -> Result<(Self, ReadOnly)> {
        let mut found = ReadOnly::default();
        let sealed = self.has_sealed_days().await?;
        for rollup in self.plan().await? {
            match (rollup.error, rollup.stale.len()) {
                (Some(why), _) => drop(found.failed.insert(rollup.name, why)),
                (None, 0) => {}
                (None, days) if sealed => drop(found.stale.insert(rollup.name, days)),
                (None, _) => found.computed.push(rollup.name),
            }
        }
        let foreign: BTreeSet<String> = found.computed.iter().cloned().collect();
        let broken = Arc::new(Mutex::new(found.failed.clone()));
        let mut engine = self.clone();
        engine.foreign = foreign;
        engine.broken = broken;
        Ok((engine, found))
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
    /// Reads rows as if a table held them too.
    ///
    /// # Errors
    /// Rows of other columns than the table's.
    pub async fn add_rows(&self, table: &str, rows: &RecordBatch) -> Result<()> {
        let fail = || TransformError::sql(table);
        let ctx = self.context();
        let kept = ctx.table(table).await.map_err(fail())?;
        let added = texts::table_of(rows).and_then(|rows| ctx.read_table(rows));
        let both = kept.union_by_name(added.map_err(fail())?).map_err(fail())?.into_view();
        ctx.deregister_table(table).map_err(fail())?;
        ctx.register_table(table, both).map(drop).map_err(fail())
    }
}
