//! Compares stored rollups with what this process computes from the same events.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use datafusion::error::DataFusionError;
use domain::Day;
use lake::{DataFile, Lake, PendingFile, TableDef, TableSnapshot};

use crate::catalog::{Query, QueryKind};
use crate::engine::dedup::duplicate_free_days::DuplicateFreeDays;
use crate::engine::{Engine, rollup_table};
use crate::error::{Result, TransformError};
use crate::rollups::compute::{LocalRunner, RollupQuery};
use crate::rollups::stale::StaleDays;
use crate::rollups::tags::INPUTS_TAG;

/// How the stored days of a rollup differ from those that this process computes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RollupComparison {
    pub name: String,
    /// The number of days that were compared.
    pub days: usize,
    /// The number of those days whose files are the same byte for byte.
    pub same_bytes: usize,
    /// The days with other rows or tags, and those that are not stored.
    pub different: Vec<Day>,
}

impl Engine {
    /// Computes every rollup in this process, writes it into the lake `scratch`, and compares it with
    /// what is stored.
    ///
    /// # Errors
    /// A rollup that can't be computed; errors of the lakes.
    pub async fn compare_rollups(&self, scratch: &Lake) -> Result<Vec<RollupComparison>> {
        // The events are still read from this engine's lake.
        let mut engine = self.clone();
        engine.lake = scratch.clone();
        engine.unit_runner = None;
        let mut comparisons = Vec::new();
        for query in self.catalog.of_kind(QueryKind::Rollup) {
            comparisons.push(self.compare_rollup(query, &engine).await?);
        }
        Ok(comparisons)
    }

    async fn compare_rollup(&self, query: &Query, other: &Self) -> Result<RollupComparison> {
        let mut comparison =
            RollupComparison { name: query.name.clone(), ..RollupComparison::default() };
        let statement = query.statement()?;
        let inputs = self.inputs(query, statement).await?;
        let (def, checks) = self.definition(query, statement, &inputs).await?;
        let stored = self.lake.snapshot(&rollup_table(&query.name), None).await?;
        let known = Arc::<DuplicateFreeDays>::default();
        let rollup = RollupQuery {
            query,
            statement,
            inputs: &inputs,
            def: &def,
            checks: &checks,
            duplicate_free_days: &known,
        };
        let StaleDays { tags, stale, .. } =
            StaleDays::of(&statement.normalized(), &inputs, &BTreeMap::new());
        let days: Vec<Day> = stale.into_iter().map(|(day, _)| day).collect();
        let units = self.units(rollup, &days, &tags).await?;
        let local = LocalRunner { engine: other, rollup };
        let mut results = other.results(rollup, units, &local);
        while let Some(days) = results.next().await? {
            for (day, files) in days {
                let computed = ComputedDay { def: &def, day, files: &files, lake: &other.lake };
                comparison.days += 1;
                if computed.has_bytes_of(stored.as_ref()) {
                    comparison.same_bytes += 1;
                } else if !computed.has_rows_of(query, &self.lake, stored.as_ref()).await? {
                    comparison.different.push(day);
                }
            }
        }
        Ok(comparison)
    }
}

/// A day as this process computes it.
struct ComputedDay<'a> {
    def: &'a TableDef,
    day: Day,
    files: &'a [PendingFile],
    lake: &'a Lake,
}

impl ComputedDay<'_> {
    /// Returns whether each file has the bytes of a stored one, and all have the same tag.
    fn has_bytes_of(&self, stored: Option<&TableSnapshot>) -> bool {
        let stored: Vec<&DataFile> = stored.into_iter().flat_map(|s| s.of_day(self.day)).collect();
        let same = |file: &PendingFile| stored.iter().any(|stored| file.has_bytes_of(stored));
        stored.len() == self.files.len() && self.files.iter().all(same) && self.has_tags(&stored)
    }

    /// Returns whether the stored files have the same rows and the same tag.
    async fn has_rows_of(
        &self,
        query: &Query,
        lake: &Lake,
        stored: Option<&TableSnapshot>,
    ) -> Result<bool> {
        let stored: Vec<&DataFile> = stored.into_iter().flat_map(|s| s.of_day(self.day)).collect();
        if stored.is_empty() || !self.has_tags(&stored) {
            return Ok(false);
        }
        let mut then = Vec::new();
        for file in stored {
            then.extend(lake.read_file(&file.path, &[]).await?);
        }
        let mut now = Vec::new();
        for file in self.files {
            let path = file.to_data_file(self.def, Some(self.day)).path;
            now.extend(self.lake.read_file(&path, &[]).await?);
        }
        let fail = TransformError::sql(&query.file);
        let sorted = |batches: &[RecordBatch]| sorted(batches, &query.header.grain);
        let pair = sorted(&then).and_then(|then| Ok((then, sorted(&now)?))).map_err(fail)?;
        Ok(pair.0 == pair.1)
    }

    fn has_tags(&self, stored: &[&DataFile]) -> bool {
        let tag = self.files.first().and_then(|file| file.tag(INPUTS_TAG));
        stored.iter().all(|file| file.tags.get(INPUTS_TAG) == tag)
    }
}

/// Returns the rows as one batch, sorted by the columns of the grain.
fn sorted(
    batches: &[RecordBatch],
    grain: &[String],
) -> std::result::Result<RecordBatch, DataFusionError> {
    let Some(first) = batches.first() else {
        return Ok(RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty())));
    };
    let all = concat_batches(&first.schema(), batches)?;
    let columns = grain.iter().filter_map(|name| all.column_by_name(name));
    let order: Vec<SortColumn> =
        columns.map(|values| SortColumn { values: Arc::clone(values), options: None }).collect();
    if order.is_empty() {
        return Ok(all);
    }
    Ok(take_record_batch(&all, &lexsort_to_indices(&order, None)?)?)
}
