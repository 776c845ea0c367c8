//! Divides the stale days of a rollup into units of work, and the partners of a day into ranges.
//!
//! The division follows from the rows of the tables and a limit alone, never from the number of
//! threads or machines. So every division of the same days is the same, and so are the files.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result as DataFusionResult;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::prelude::{col, lit};
use domain::Day;
use futures::StreamExt;

use crate::engine::Engine;
use crate::engine::file_list::FileList;
use crate::engine::scan::StoredTable;
use crate::error::{Result, TransformError};
use crate::rollups::bounded_cache::BoundedCache;
use crate::rollups::compute::RollupQuery;
use crate::rollups::inputs::RollupInput;
use crate::rollups::tags::input_versions;
use crate::rollups::unit::{PARTNER_COLUMN, PartnerRange, RollupUnit, column_texts};

/// The most input rows of a unit by default. With fewer, planning takes a large share of the time;
/// with more, the groups no longer fit the memory.
pub(crate) const DEFAULT_UNIT_ROWS: u64 = 1_000_000;

/// The most days whose partners are remembered with their rows.
const MAX_COUNTED_DAYS: usize = 64;

impl Engine {
    /// Divides days into units, in their order. Days with few rows share a unit; a day with many is
    /// divided by partner, where the rollup has a row for each partner.
    pub(crate) async fn units(
        &self,
        rollup: RollupQuery<'_>,
        days: &[Day],
        tags: &BTreeMap<Day, String>,
    ) -> Result<Vec<RollupUnit>> {
        let versions = input_versions(rollup.inputs);
        let columns = column_texts(&rollup.def.schema);
        let rows = rows_by_day(rollup.inputs);
        let mut units = Vec::new();
        for days in chunks(days, &rows, self.unit_rows) {
            let unit = RollupUnit {
                rollup: rollup.query.name.clone(),
                versions: versions.clone(),
                days: days.iter().map(|day| (*day, tag_of(tags, *day))).collect(),
                partners: None,
                columns: columns.clone(),
            };
            match days[..] {
                [day] if rows.get(&day) > Some(&self.unit_rows) && has_partner(rollup) => {
                    let ranges = self.partner_ranges(rollup, day).await?;
                    let of = |range| RollupUnit { partners: Some(range), ..unit.clone() };
                    units.extend(ranges.into_iter().map(of));
                }
                _ => units.push(unit),
            }
        }
        Ok(units)
    }

    /// Divides the partners of a day into ranges with about as many rows as a unit may have.
    async fn partner_ranges(&self, rollup: RollupQuery<'_>, day: Day) -> Result<Vec<PartnerRange>> {
        let mut rows: BTreeMap<String, u64> = BTreeMap::new();
        for list in rollup.inputs.iter().filter_map(|input| input.stored_files(day)) {
            let counted = self.rows_by_partner(list).await;
            for (partner, count) in &*counted.map_err(TransformError::sql(&rollup.query.file))? {
                *rows.entry(partner.clone()).or_default() += count;
            }
        }
        Ok(PartnerRange::between(&range_starts(&rows, self.unit_rows)))
    }

    /// Returns the rows of each partner in the files of a day, duplicates included.
    pub(crate) async fn rows_by_partner(&self, list: FileList) -> DataFusionResult<PartnerRows> {
        let paths = list.files.iter().map(|file| file.path.clone()).collect();
        let counted = self.partner_counts.cell(paths);
        let counting = async move { self.count_by_partner(list).await.map(Arc::new) };
        counted.get_or_try_init(|| counting).await.cloned()
    }

    /// Counts the rows of each partner, duplicates included.
    async fn count_by_partner(&self, list: FileList) -> DataFusionResult<BTreeMap<String, u64>> {
        let rows = self.context().read_table(Arc::new(StoredTable(list)))?;
        let by_partner = rows.aggregate(vec![col(PARTNER_COLUMN)], vec![count(lit(1))])?;
        let mut batches = by_partner.execute_stream().await?;
        let mut counted = BTreeMap::new();
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let partners = cast(batch.column(0), &DataType::Utf8)?;
            let counts = batch.column(1).as_primitive::<Int64Type>();
            for (partner, rows) in partners.as_string::<i32>().iter().zip(counts.values()) {
                counted.insert(partner.unwrap_or_default().to_owned(), rows.unsigned_abs());
            }
        }
        Ok(counted)
    }
}

/// The rows of each partner in files.
pub(crate) type PartnerRows = Arc<BTreeMap<String, u64>>;

/// The rows of each partner by the paths of a day's files, so that the rollups of a refresh count them
/// once.
pub(crate) type PartnerCounts = BoundedCache<Vec<String>, PartnerRows, MAX_COUNTED_DAYS>;

fn tag_of(tags: &BTreeMap<Day, String>, day: Day) -> String {
    tags.get(&day).cloned().unwrap_or_default()
}

/// Whether each row of a rollup belongs to one partner.
fn has_partner(rollup: RollupQuery<'_>) -> bool {
    let field = rollup.def.schema.field_with_name(PARTNER_COLUMN);
    rollup.query.header.grain.iter().any(|column| column == PARTNER_COLUMN)
        && field.is_ok_and(|field| matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View))
}

/// Returns the input rows of each day, without those of other days that it may read too.
fn rows_by_day(inputs: &[RollupInput]) -> BTreeMap<Day, u64> {
    let mut by_day: BTreeMap<Day, u64> = BTreeMap::new();
    for (day, rows) in inputs.iter().flat_map(RollupInput::row_counts) {
        *by_day.entry(day).or_default() += rows;
    }
    by_day
}

/// Divides days into chunks of at most so many rows, but at least one day.
fn chunks(days: &[Day], rows_of: &BTreeMap<Day, u64>, limit: u64) -> Vec<Vec<Day>> {
    let mut chunks: Vec<Vec<Day>> = Vec::new();
    let mut filled = 0;
    for day in days {
        let rows = rows_of.get(day).copied().unwrap_or_default();
        if chunks.is_empty() || filled + rows > limit {
            chunks.push(Vec::new());
            filled = 0;
        }
        filled += rows;
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(*day);
        }
    }
    chunks
}

/// Returns the partners at which a new range begins. A range has at most so many rows, but at least
/// one partner.
pub(crate) fn range_starts(rows: &BTreeMap<String, u64>, limit: u64) -> Vec<String> {
    let mut starts = Vec::new();
    let mut filled = 0;
    for (partner, rows) in rows {
        if filled > 0 && filled + rows > limit {
            starts.push(partner.clone());
            filled = 0;
        }
        filled += rows;
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_share_a_chunk_until_it_is_full() {
        let days: Vec<Day> = (0..5).map(Day).collect();
        let rows = BTreeMap::from([(Day(0), 4), (Day(1), 5), (Day(2), 2), (Day(3), 40)]);
        let lengths: Vec<usize> = chunks(&days, &rows, 10).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1, 1, 1], "a day without rows follows a full chunk");
    }

    #[test]
    fn a_large_partner_has_a_range_of_its_own() {
        let rows = [("a", 3), ("b", 4), ("c", 30), ("d", 1), ("e", 9)];
        let rows = rows.into_iter().map(|(name, rows)| (name.to_owned(), rows)).collect();
        assert_eq!(range_starts(&rows, 10), ["c", "d"]);
        assert!(range_starts(&BTreeMap::new(), 10).is_empty());
    }
}
