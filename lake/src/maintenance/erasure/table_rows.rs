//! Erasing partners from the rows of a table.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use domain::{Day, Stream};
use futures::StreamExt;

use crate::error::LakeError;
use crate::files::parquet::{FileWriter, PendingFile, batches};
use crate::lake::Lake;
use crate::log::snapshot::{COMPACTED_FROM_TAG, DataFile, TableSnapshot};
use crate::maintenance::erasure::cells::replace_ids;
use crate::maintenance::erasure::dead_letters::match_dead_letters;
use crate::maintenance::erasure::partners::Erasure;
use crate::maintenance::erasure::scan::CONCURRENT_FILES;
use crate::schema::{self, TableDef};

/// The number of new attempts after another process has rewritten a day.
const MAX_RETRIES: usize = 5;

/// The size of the files whose days are rewritten in one commit. A conflict repeats that much work.
const GROUP_BYTES: u64 = 256 << 20;

/// What was erased from one table, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableErasure {
    pub table: String,
    /// The number of deleted rows.
    pub dropped: u64,
    /// The number of rows in which a token replaces an id.
    pub replaced: u64,
    /// The number of rewritten files.
    pub files: u64,
}

/// Returns the transaction id that counts the records of a stream which were erased from a table.
pub fn erased_count_id(stream: &str) -> String {
    format!("erased/{stream}")
}

/// The transaction id that counts the copies which compaction had dropped from files that an
/// erasure has emptied. Other files carry that count as a tag.
const COPIES_OF_ERASED: &str = "copies";

/// Returns the number of copies of events that compaction has dropped from a table, copies of
/// erased events included.
pub fn dropped_copies(snapshot: &TableSnapshot) -> u64 {
    let of_erased = snapshot.txns.get(COPIES_OF_ERASED).and_then(|n| u64::try_from(*n).ok());
    let of_files = snapshot.files.iter().map(DataFile::dropped_copies);
    of_files.sum::<u64>() + of_erased.unwrap_or_default()
}

/// How the rows of a table are erased.
enum ErasureRule {
    /// Events of a stream: the partner's rows are deleted.
    Events(Stream),
    /// Sealed records: those that contain the partner's id are deleted.
    DeadLetters,
    /// Rows that are computed from events: the partner's rows are deleted.
    Rollup,
    /// History: the rows stay, with a token in place of the id.
    History,
}

impl ErasureRule {
    fn of(table: &str) -> Self {
        if table == schema::dead_letters().name {
            return Self::DeadLetters;
        }
        if let Some(stream) = Stream::ALL.into_iter().find(|s| schema::raw(*s).name == table) {
            return Self::Events(stream);
        }
        if table.starts_with("rollup/") { Self::Rollup } else { Self::History }
    }

    /// Returns whether the files with the partner's rows are found by the bounds of `partner_id`.
    /// Ids in other columns are then found by [`Lake::scan_for_ids`].
    fn uses_bounds(&self) -> bool {
        // Partner events contain the ids of other partners, into which they were merged.
        matches!(self, Self::Rollup)
            || matches!(self, Self::Events(s) if *s != Stream::PartnerEvents)
    }
}

impl Lake {
    /// Erases partners from a table: rewrites the files that may contain them by their bounds, or
    /// only the files of `only`. Each commit rewrites some days, and counts the deleted records.
    /// With `dry_run` nothing is written.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] when other processes keep rewriting a day; errors of the storage.
    pub async fn erase(
        &self,
        erasure: &Erasure,
        table: &str,
        only: Option<&BTreeSet<String>>,
        dry_run: bool,
    ) -> Result<TableErasure, LakeError> {
        let mut done = TableErasure { table: table.to_owned(), ..TableErasure::default() };
        let Some(first) = self.snapshot(table, None).await? else { return Ok(done) };
        let task = ErasureTask { erasure, rule: ErasureRule::of(table), only, dry_run };
        for days in task.groups(&first) {
            let mut attempt = 0;
            loop {
                let mut of_days = TableErasure::default();
                match self.erase_days(&task, table, &days, &mut of_days).await {
                    Err(LakeError::Conflict { .. }) if attempt < MAX_RETRIES => attempt += 1,
                    Err(other) => return Err(other),
                    Ok(()) => {
                        done.dropped += of_days.dropped;
                        done.replaced += of_days.replaced;
                        done.files += of_days.files;
                        break;
                    }
                }
            }
        }
        Ok(done)
    }

    async fn erase_days(
        &self,
        task: &ErasureTask<'_>,
        table: &str,
        days: &BTreeSet<Option<Day>>,
        done: &mut TableErasure,
    ) -> Result<(), LakeError> {
        let Some(base) = self.snapshot(table, None).await? else { return Ok(()) };
        let def = base.definition();
        let (mut old, mut new) = (Vec::new(), Vec::new());
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let files = base.files.iter().filter(|f| days.contains(&f.day) && task.concerns(f));
        let table_def = &def;
        let cleanings: Vec<_> = files
            .map(|file| async move { (file, self.erase_file(task, table_def, file).await) })
            .collect();
        let mut cleanings = futures::stream::iter(cleanings).buffered(CONCURRENT_FILES);
        while let Some((file, cleaned)) = cleanings.next().await {
            let Some(cleaned) = cleaned? else { continue };
            done.dropped += cleaned.dropped.values().sum::<u64>();
            done.replaced += cleaned.replaced;
            done.files += 1;
            for (stream, rows) in cleaned.dropped.iter().filter(|(stream, _)| !stream.is_empty()) {
                *counts.entry(erased_count_id(stream)).or_default() += rows;
            }
            if cleaned.copies > 0 {
                *counts.entry(COPIES_OF_ERASED.to_owned()).or_default() += cleaned.copies;
            }
            old.push(file);
            new.extend(cleaned.file);
        }
        if old.is_empty() || task.dry_run {
            return Ok(());
        }
        self.replace_files(&def, &base, &old, &new, &counts).await
    }

    /// Rewrites a file without the partners; returns `None` when it does not contain them.
    async fn erase_file(
        &self,
        task: &ErasureTask<'_>,
        def: &TableDef,
        file: &DataFile,
    ) -> Result<Option<CleanedFile>, LakeError> {
        let mut writer = if task.dry_run { None } else { Some(self.file_writer(def, file.day)?) };
        let mut cleaned = CleanedFile::default();
        for batch in batches(self.bytes(&file.path).await?, &file.path)? {
            let batch = task.clean(self, &batch?, &mut cleaned)?;
            if let Some(writer) = &mut writer {
                writer.write(&batch)?;
            }
        }
        if cleaned.dropped.is_empty() && cleaned.replaced == 0 {
            return Ok(None);
        }
        if let Some(writer) = writer {
            cleaned.file = task.finish(writer, file).await?;
            if cleaned.file.is_none() {
                cleaned.copies = file.dropped_copies();
            }
        }
        Ok(Some(cleaned))
    }
}

/// The erasure of one table.
struct ErasureTask<'a> {
    erasure: &'a Erasure,
    rule: ErasureRule,
    only: Option<&'a BTreeSet<String>>,
    dry_run: bool,
}

/// The result of erasing partners from a file.
#[derive(Default)]
struct CleanedFile {
    /// The number of deleted rows, by stream; under an empty name for rows that are no records.
    dropped: BTreeMap<String, u64>,
    replaced: u64,
    /// The number of copies that compaction had dropped, when no file is left to carry it.
    copies: u64,
    file: Option<PendingFile>,
}

impl ErasureTask<'_> {
    /// Returns the days of the files to rewrite, in groups that are committed together.
    fn groups(&self, snapshot: &TableSnapshot) -> Vec<BTreeSet<Option<Day>>> {
        let mut bytes: BTreeMap<Option<Day>, u64> = BTreeMap::new();
        for file in snapshot.files.iter().filter(|f| self.concerns(f)) {
            *bytes.entry(file.day).or_default() += file.size;
        }
        let mut groups: Vec<BTreeSet<Option<Day>>> = Vec::new();
        let mut filled = GROUP_BYTES;
        for (day, size) in bytes {
            if filled + size > GROUP_BYTES {
                groups.push(BTreeSet::new());
                filled = 0;
            }
            filled += size;
            if let Some(group) = groups.last_mut() {
                group.insert(day);
            }
        }
        groups
    }

    /// Returns whether a file may contain the partners.
    fn concerns(&self, file: &DataFile) -> bool {
        if let Some(only) = self.only {
            return only.contains(&file.path);
        }
        !self.rule.uses_bounds()
            || file.partners.as_ref().is_none_or(|(low, high)| {
                self.erasure.matcher.ids().any(|id| low.as_str() <= id && id <= high.as_str())
            })
    }

    /// Returns a batch without the partners, and adds to the counts of `cleaned`.
    fn clean(
        &self,
        lake: &Lake,
        batch: &RecordBatch,
        cleaned: &mut CleanedFile,
    ) -> Result<RecordBatch, LakeError> {
        let matcher = &self.erasure.matcher;
        let mut count = |stream: &str, rows: usize| {
            if rows > 0 {
                *cleaned.dropped.entry(stream.to_owned()).or_default() += rows as u64;
            }
        };
        let kept = match self.rule {
            ErasureRule::History => batch.clone(),
            ErasureRule::DeadLetters => {
                let named = match_dead_letters(matcher, lake.key(), batch).named;
                let streams = batch.column_by_name("stream").and_then(|c| c.as_string_opt::<i32>());
                for row in (0..batch.num_rows()).filter(|row| named[*row]) {
                    count(streams.map_or("", |s| s.value(row)), 1);
                }
                without_rows(batch, &named)?
            }
            ErasureRule::Events(_) | ErasureRule::Rollup => {
                let ids = batch.column_by_name("partner_id").and_then(|c| c.as_string_opt::<i32>());
                let theirs: Vec<bool> = (0..batch.num_rows())
                    .map(|row| ids.is_some_and(|c| c.is_valid(row) && matcher.is_id(c.value(row))))
                    .collect();
                let rows = theirs.iter().filter(|t| **t).count();
                count(
                    if let ErasureRule::Events(stream) = self.rule { stream.name() } else { "" },
                    rows,
                );
                without_rows(batch, &theirs)?
            }
        };
        let (batch, replaced) = replace_ids(matcher, &kept)?;
        cleaned.replaced += replaced;
        Ok(batch)
    }

    /// Ends the new file; a file of events without rows is dropped.
    async fn finish(
        &self,
        writer: FileWriter,
        old: &DataFile,
    ) -> Result<Option<PendingFile>, LakeError> {
        let mut tags = old.tags.clone();
        // The new file no longer holds the events of the files that the old one replaced.
        tags.remove(COMPACTED_FROM_TAG);
        // The tags of a rollup's file tell what its day was computed from, so an empty file stays.
        if writer.rows() > 0 || matches!(self.rule, ErasureRule::Rollup) {
            return writer.finish(tags).await.map(Some);
        }
        Ok(None)
    }
}

/// Returns the batch without the marked rows.
fn without_rows(batch: &RecordBatch, rows: &[bool]) -> Result<RecordBatch, LakeError> {
    if !rows.contains(&true) {
        return Ok(batch.clone());
    }
    let kept: BooleanArray = rows.iter().map(|gone| Some(!gone)).collect();
    Ok(filter_record_batch(batch, &kept)?)
}
