//! Runs units that another process sends: it finds their query and inputs by itself, and refuses
//! those of another query or another program.

use std::sync::Arc;

use lake::{TableDef, TableSnapshot};

use crate::catalog::Query;
use crate::catalog::header::Check;
use crate::catalog::statement::Statement;
use crate::engine::Engine;
use crate::engine::dedup::duplicate_free_days::DuplicateFreeDays;
use crate::error::{Result, TransformError};
use crate::rollups::bounded_cache::BoundedCache;
use crate::rollups::compute::RollupQuery;
use crate::rollups::inputs::RollupInput;
use crate::rollups::tags::sql_prefix;
use crate::rollups::unit::{CompactionUnit, RollupUnit, UnitOutput, WorkUnit, column_texts};

/// The most rollups, each at given versions, that are kept for the units that follow.
const MAX_PREPARED: usize = 32;

/// The most raw tables, each at a given version, that are kept for the units that follow.
const MAX_TABLES: usize = 4;

/// A rollup and the versions of its inputs, as text.
type PreparedKey = (String, String);

/// Runs units over one lake.
pub struct UnitExecutor {
    engine: Engine,
    prepared: BoundedCache<PreparedKey, PreparedRollup, MAX_PREPARED>,
    tables: BoundedCache<(String, u64), TableSnapshot, MAX_TABLES>,
    duplicate_free_days: Arc<DuplicateFreeDays>,
}

/// A rollup with its inputs at the versions of a unit.
struct PreparedRollup {
    query: Query,
    statement: Statement,
    inputs: Vec<RollupInput>,
    def: TableDef,
    checks: Vec<Check>,
}

impl UnitExecutor {
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            prepared: BoundedCache::default(),
            tables: BoundedCache::default(),
            duplicate_free_days: Arc::default(),
        }
    }

    /// Runs a unit and writes its files.
    ///
    /// # Errors
    /// A unit of another query, with other columns or of a table that is not there; a query that
    /// fails; errors of the lake.
    pub async fn run(&self, unit: WorkUnit) -> Result<UnitOutput> {
        match unit {
            WorkUnit::Rollup(unit) => self.compute(unit).await,
            WorkUnit::Compaction(unit) => self.compact(unit).await,
        }
    }

    async fn compact(&self, unit: CompactionUnit) -> Result<UnitOutput> {
        let cell = self.tables.cell((unit.table.clone(), unit.version));
        let read = async {
            let table = self.engine.lake.snapshot(&unit.table, Some(unit.version)).await?;
            table.ok_or_else(|| TransformError::UnitOutput {
                rollup: unit.table.clone(),
                what: "the lake of an executor has no such table".to_owned(),
            })
        };
        let base = cell.get_or_try_init(|| read).await?;
        self.engine.compact_unit(base, unit).await
    }

    async fn compute(&self, unit: RollupUnit) -> Result<UnitOutput> {
        let cell = self.prepared.cell((unit.rollup.clone(), format!("{:?}", unit.versions)));
        let prepared = cell.get_or_try_init(|| self.prepare(&unit)).await?;
        check_query(prepared, &unit)?;
        let rollup = RollupQuery {
            query: &prepared.query,
            statement: &prepared.statement,
            inputs: &prepared.inputs,
            def: &prepared.def,
            checks: &prepared.checks,
            duplicate_free_days: &self.duplicate_free_days,
        };
        self.engine.compute_unit(rollup, unit).await
    }

    async fn prepare(&self, unit: &RollupUnit) -> Result<PreparedRollup> {
        let query = self.engine.catalog().find(&unit.rollup)?.clone();
        let statement = query.statement()?.clone();
        let inputs = self.engine.inputs_at(&query, &statement, Some(&unit.versions)).await?;
        let (def, checks) = self.engine.definition(&query, &statement, &inputs).await?;
        Ok(PreparedRollup { query, statement, inputs, def, checks })
    }
}

/// Refuses a unit that was made by another version of the engine, from other SQL, or for other
/// columns.
fn check_query(prepared: &PreparedRollup, unit: &RollupUnit) -> Result<()> {
    let prefix = sql_prefix(&prepared.statement.normalized());
    let same_sql = unit.days.values().all(|tag| tag.starts_with(&prefix));
    if same_sql && unit.columns == column_texts(&prepared.def.schema) {
        return Ok(());
    }
    Err(TransformError::OtherQuery { rollup: unit.rollup.clone() })
}
