//! Compaction: rewrites the events of days without duplicates as few large files, sorted as all raw
//! files are.
//!
//! A day with many events is divided by partner. The copies of an event have the same partner, so each
//! range finds its own. The division follows from the rows of the files alone, and so do the new files,
//! wherever the units run and however many at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{Day, Stream};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use lake::{CompactedDay, DataFile, TableDef, TableSnapshot};

use crate::engine::Engine;
use crate::engine::file_list::FileList;
use crate::error::{Result, TransformError};
use crate::rollups::division::range_starts;
use crate::rollups::unit::{CompactionUnit, PartnerRange, UnitOutput, WorkUnit};

/// How many times as many rows as a unit of a rollup a unit of a compaction has. At 27 bytes for an
/// event, the default of four million rows fills about one file.
const ROWS_OF_UNITS: u64 = 4;

/// A day that was compacted, and how many copies of events it no longer has.
type DayWithoutCopies = (CompactedDay, u64);

impl Engine {
    /// Writes the new files of days and does not commit them. Returns them with the number of copies
    /// that each day loses. In this process at most `at_once` units run at once.
    ///
    /// # Errors
    /// A file that can't be read or written; an output that does not account for every stored row.
    pub async fn compact_days(
        &self,
        stream: Stream,
        base: &TableSnapshot,
        days: &[Day],
        at_once: usize,
    ) -> Result<Vec<DayWithoutCopies>> {
        let def = lake::schema::raw(stream);
        let mut units = Vec::new();
        for day in days {
            units.extend(self.compaction_units(base, *day).await?);
        }
        let mut outputs = self.compaction_outputs(base, units.clone(), at_once);
        let mut compacted = Vec::new();
        let mut day = UnitOutput::default();
        for unit in &units {
            let Some(output) = outputs.try_next().await? else {
                return Err(wrong(base, "fewer outputs than units came back"));
            };
            self.check_foreign_files(&def, unit, &output).await?;
            day.files.extend(output.files);
            day.copies += output.copies;
            if unit.partners.as_ref().is_none_or(|range| range.to.is_none()) {
                compacted.push(compacted_day(base, unit.day, std::mem::take(&mut day))?);
            }
        }
        Ok(compacted)
    }

    /// Runs units where this engine runs them. The outputs come in the order of the units.
    fn compaction_outputs<'a>(
        &'a self,
        base: &'a TableSnapshot,
        units: Vec<CompactionUnit>,
        at_once: usize,
    ) -> BoxStream<'a, Result<UnitOutput>> {
        let units = units.into_iter();
        match &self.unit_runner {
            Some(runner) => runner.run(units.map(WorkUnit::Compaction).collect()),
            None => stream::iter(units.map(move |unit| self.compact_unit(base, unit)))
                .buffered(at_once.max(1))
                .boxed(),
        }
    }

    /// Returns the units of a day: one, or where its rows are many one for each range of partners.
    async fn compaction_units(
        &self,
        base: &TableSnapshot,
        day: Day,
    ) -> Result<Vec<CompactionUnit>> {
        let (table, version) = (base.table.clone(), base.version);
        let whole = CompactionUnit { table, version, day, partners: None };
        let limit = self.unit_rows.saturating_mul(ROWS_OF_UNITS);
        if base.of_day(day).map(|file| file.rows).sum::<u64>() <= limit {
            return Ok(vec![whole]);
        }
        let rows = self.rows_by_partner(files_of_day(base, day)).await;
        let rows = rows.map_err(TransformError::sql("compaction"))?;
        let ranges = PartnerRange::between(&range_starts(&rows, limit));
        let of = |range| CompactionUnit { partners: Some(range), ..whole.clone() };
        Ok(ranges.into_iter().map(of).collect())
    }

    /// Checks what another process wrote for a unit.
    async fn check_foreign_files(
        &self,
        def: &TableDef,
        unit: &CompactionUnit,
        output: &UnitOutput,
    ) -> Result<()> {
        if self.unit_runner.is_some() {
            for (_, file) in &output.files {
                self.lake.accept_file(def, unit.day, file, &BTreeMap::new()).await?;
            }
        }
        Ok(())
    }
}

/// Returns the files of a day.
pub(crate) fn files_of_day(snapshot: &TableSnapshot, day: Day) -> FileList {
    FileList {
        schema: Arc::clone(&snapshot.schema),
        partition_by: snapshot.partition_by.clone(),
        files: snapshot.of_day(day).cloned().collect(),
    }
}

/// Gives the files of a day the tags that depend on the whole day.
///
/// # Errors
/// Files that do not account for every stored row: it is in one of them, or a copy of one that is.
fn compacted_day(base: &TableSnapshot, day: Day, output: UnitOutput) -> Result<DayWithoutCopies> {
    let UnitOutput { files, copies } = output;
    let old: Vec<&DataFile> = base.of_day(day).collect();
    let rows_before: u64 = old.iter().map(|file| file.rows).sum();
    let rows_after: u64 = files.iter().map(|(_, file)| file.rows).sum();
    let no_original = rows_after == 0 && copies > 0;
    if no_original || rows_after.checked_add(copies) != Some(rows_before) {
        let what = format!(
            "{day} has {rows_before} rows, of which {rows_after} and {copies} copies came back"
        );
        return Err(wrong(base, &what));
    }
    let dropped_before: u64 = old.iter().map(|file| file.dropped_copies()).sum();
    let mut tags = BTreeMap::new();
    if copies == 0 {
        tags.insert(lake::COMPACTED_FROM_TAG.to_owned(), lake::content_identity(old.into_iter()));
    }
    let files = files.into_iter().enumerate().map(|(index, (_, file))| {
        let mut tags = tags.clone();
        // The count is that of the whole day, so only one file gets it.
        let count = if index == 0 { dropped_before + copies } else { 0 };
        tags.insert(lake::DROPPED_COPIES_TAG.to_owned(), count.to_string());
        file.with_tags(tags)
    });
    Ok((CompactedDay { day, files: files.collect(), data_change: copies > 0 }, copies))
}

/// Returns the error of an output that is not what was asked for.
pub(crate) fn wrong(base: &TableSnapshot, what: &str) -> TransformError {
    TransformError::UnitOutput { rollup: base.table.clone(), what: what.to_owned() }
}
