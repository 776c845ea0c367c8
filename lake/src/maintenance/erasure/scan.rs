//! Scanning every file below the lake's root for ids, in any spelling, which proves an erasure.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use bytes::Bytes;
use domain::counted;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use parquet::file::metadata::{ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use crate::error::LakeError;
use crate::files::parquet::{batches, corrupt};
use crate::lake::Lake;
use crate::log::paths::{LOG_FOLDER, parse_log_file};
use crate::maintenance::erasure::cells::token_for;
use crate::maintenance::erasure::dead_letters::match_dead_letters;
use crate::maintenance::erasure::id_matcher::IdMatcher;
use crate::maintenance::erasure::partners::Erasure;
use crate::maintenance::erasure::report_folders;
use crate::schema;

/// The role of a file in the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileRole {
    /// The newest version of its table names the file.
    Live,
    /// The newest version of its table does not name the file: it may be deleted.
    Unreferenced,
    /// No version names the file yet: a worker may be about to commit it.
    Uncommitted,
    /// The file belongs to a table's log.
    Log,
    /// The file records the folder of a report.
    ReportRecord,
    /// The file is none of the lake's own.
    Other,
}

/// A file that contains the id of a partner, or may contain it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMatch {
    /// The table that the file belongs to; empty for none.
    pub table: String,
    /// The path below the lake's root.
    pub path: String,
    pub role: FileRole,
    /// Where in the file the id is, or why the file could not be searched.
    pub what: String,
    /// Why the file could not be searched, so that it only may contain an id.
    pub unread: Option<UnreadReason>,
}

/// Why a file could not be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreadReason {
    Damaged,
    /// It has records that were sealed with a key that is not in the key file.
    SealedWithOtherKey,
    /// It has rejected records that are compressed.
    Compressed,
}

/// The result of searching a file.
enum ScanOutcome {
    /// The file contains an id, in the part described.
    Found(String),
    /// The file could not be searched; the text describes the reason.
    Unread(UnreadReason, String),
}

/// The number of files that are fetched at once: a bucket answers a single request late, and many
/// requests at a time.
pub(super) const CONCURRENT_FILES: usize = 8;

/// The state of repeated scans. Data files, log entries and checkpoints never change, so a clean one
/// is not searched again.
#[derive(Default)]
pub struct ErasureScan {
    clean: BTreeSet<String>,
    /// The number of files of the last scan.
    pub files: u64,
    /// The bytes of these files.
    pub bytes: u64,
}

/// The age, in µs, from which on a file that no version names belongs to a commit that failed.
const ABANDONED_AGE: i64 = 3_600_000_000;

impl Lake {
    /// Returns every file below the root that contains the id of a partner, or may contain it.
    /// `now`, in µs, distinguishes files that are about to be committed from those of failed
    /// commits.
    ///
    /// # Errors
    /// When a file can't be read, unless it was deleted meanwhile.
    pub async fn scan_for_ids(
        &self,
        erasure: &Erasure,
        scan: &mut ErasureScan,
        now: i64,
    ) -> Result<Vec<FileMatch>, LakeError> {
        let tables = self.tables().await?;
        let files: Vec<_> = self.store().list(None).try_collect().await?;
        scan.files = files.len() as u64;
        scan.bytes = files.iter().map(|file| file.size).sum();
        let mut matches = Vec::new();
        let unclean = files.into_iter().filter(|f| !scan.clean.contains(f.location.as_ref()));
        let searches: Vec<_> = unclean
            .map(|file| {
                let path = file.location.to_string();
                let table = tables.iter().find(|t| path.starts_with(&format!("{t}/")));
                let in_log = table.is_some_and(|t| path.starts_with(&format!("{t}/{LOG_FOLDER}/")));
                async move {
                    let of_table = table.map(String::as_str);
                    let found = self.search_file(erasure, &path, of_table, in_log).await;
                    (file, path, table, in_log, found)
                }
            })
            .collect();
        let mut searches = futures::stream::iter(searches).buffered(CONCURRENT_FILES);
        while let Some((file, path, table, in_log, found)) = searches.next().await {
            let found = match found {
                Err(error) if error.is_gone() => continue,
                // A damaged data file is no error: an unreferenced one is deleted.
                Err(error) if !in_log && is_damage(&error) => {
                    Some(ScanOutcome::Unread(UnreadReason::Damaged, DAMAGED.into()))
                }
                other => other?,
            };
            let (what, unread) = match found {
                Some(ScanOutcome::Found(what)) => (what, None),
                Some(ScanOutcome::Unread(reason, what)) => (what, Some(reason)),
                None => {
                    if is_immutable(&path, in_log) {
                        scan.clean.insert(path);
                    }
                    continue;
                }
            };
            let table = table.cloned().unwrap_or_default();
            let age = now - file.last_modified.timestamp_micros();
            let is_report_record = path.starts_with(&format!("{}/", report_folders::FOLDER));
            let role = match (table.is_empty(), in_log) {
                (true, _) if is_report_record => FileRole::ReportRecord,
                (true, _) => FileRole::Other,
                (_, true) => FileRole::Log,
                _ if age > ABANDONED_AGE => FileRole::Unreferenced,
                _ => FileRole::Uncommitted,
            };
            matches.push(FileMatch { table, path, role, what, unread });
        }
        self.assign_roles(&mut matches).await?;
        Ok(matches)
    }

    /// Distinguishes live, unreferenced and uncommitted data files.
    async fn assign_roles(&self, matches: &mut [FileMatch]) -> Result<(), LakeError> {
        let is_data =
            |t: &FileMatch| matches!(t.role, FileRole::Unreferenced | FileRole::Uncommitted);
        let tables: BTreeSet<String> =
            matches.iter().filter(|t| is_data(t)).map(|t| t.table.clone()).collect();
        let mut files_of: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
        for table in tables {
            // The log is read before the newest version: a file that the log names and that version
            // does not name is not coming back.
            let logged = self.logged_files(&table).await?;
            let newest = self.snapshot(&table, None).await?;
            let live = newest.map(|s| s.files.iter().map(|f| f.path.clone()).collect());
            files_of.insert(table, (logged, live.unwrap_or_default()));
        }
        for file in matches.iter_mut().filter(|t| is_data(t)) {
            let Some((logged, live)) = files_of.get(&file.table) else { continue };
            if live.contains(&file.path) {
                file.role = FileRole::Live;
            } else if logged.contains(&file.path) {
                file.role = FileRole::Unreferenced;
            }
        }
        Ok(())
    }

    /// Searches a file for the id of a partner.
    async fn search_file(
        &self,
        erasure: &Erasure,
        path: &str,
        table: Option<&str>,
        in_log: bool,
    ) -> Result<Option<ScanOutcome>, LakeError> {
        let matcher = &erasure.matcher;
        let bytes = self.bytes(path).await?;
        if !path.ends_with(".parquet") {
            let found =
                if in_log { matcher.is_in_statistics(&bytes) } else { matcher.is_in_bytes(&bytes) };
            return Ok(found.then(|| ScanOutcome::Found("its text".to_owned())));
        }
        let is_dead_letters = table.is_some_and(|t| t == schema::dead_letters().name);
        for batch in batches(bytes.clone(), path)? {
            let batch = batch?;
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                let contains_id = |name: &str, text: &str| {
                    if in_log {
                        let is_id = name == "partner_id" && matcher.is_id(text);
                        return is_id || matcher.is_in_statistics(text.as_bytes());
                    }
                    token_for(matcher, name, text).is_some()
                };
                if any_text(field.name(), column, &contains_id) {
                    return Ok(Some(ScanOutcome::Found(format!("column {}", field.name()))));
                }
            }
            if is_dead_letters {
                let found = match_dead_letters(matcher, self.key(), &batch);
                if found.named.contains(&true) {
                    return Ok(Some(ScanOutcome::Found("a sealed record".to_owned())));
                }
                if found.sealed_with_other_key > 0 {
                    let records = counted(found.sealed_with_other_key, "record");
                    let what =
                        format!("{records} sealed with another key, which nobody could open");
                    let reason = UnreadReason::SealedWithOtherKey;
                    return Ok(Some(ScanOutcome::Unread(reason, what)));
                }
                if found.compressed > 0 {
                    let records = counted(found.compressed, "record");
                    let what =
                        format!("{records} rejected and compressed, which nobody looked into");
                    return Ok(Some(ScanOutcome::Unread(UnreadReason::Compressed, what)));
                }
            }
        }
        if in_log {
            return Ok(None);
        }
        Ok(find_in_parquet(matcher, &bytes, path)?.map(ScanOutcome::Found))
    }
}

/// Returns whether a file never changes once it is written.
fn is_immutable(path: &str, in_log: bool) -> bool {
    if in_log { parse_log_file(&Path::from(path)).is_some() } else { path.ends_with(".parquet") }
}

const DAMAGED: &str = "it is damaged, so nobody could look into it";

fn is_damage(error: &LakeError) -> bool {
    matches!(error, LakeError::Damaged(_) | LakeError::Parquet(_) | LakeError::Arrow(_))
}

/// Returns whether `is_match` holds for any text of a column, nested ones included. It gets the
/// name of the text's field, and the text.
fn any_text(field: &str, column: &ArrayRef, is_match: &dyn Fn(&str, &str) -> bool) -> bool {
    let is = |text: &str| is_match(field, text);
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().flatten().any(is),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().flatten().any(is),
        DataType::Utf8View => column.as_string_view().iter().flatten().any(is),
        DataType::Struct(fields) => {
            let below = fields.iter().zip(column.as_struct().columns());
            below.into_iter().any(|(field, column)| any_text(field.name(), column, is_match))
        }
        DataType::List(_) => any_text(field, column.as_list::<i32>().values(), is_match),
        DataType::Map(_, _) => {
            column.as_map().entries().columns().iter().any(|c| any_text(field, c, is_match))
        }
        _ => false,
    }
}

/// Returns where a Parquet file contains an id besides its cells: in its statistics or its bytes.
fn find_in_parquet(
    matcher: &IdMatcher,
    bytes: &Bytes,
    path: &str,
) -> Result<Option<String>, LakeError> {
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(bytes)
        .map_err(|e| corrupt(path)(e.to_string()))?;
    for column in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let bounds = match column.statistics() {
            Some(Statistics::ByteArray(s)) => [s.min_bytes_opt(), s.max_bytes_opt()],
            _ => continue,
        };
        let name = column.column_descr().name();
        let texts = bounds.into_iter().flatten().filter_map(|b| std::str::from_utf8(b).ok());
        if texts.into_iter().any(|text| token_for(matcher, name, text).is_some()) {
            return Ok(Some(format!("the statistics of {name}")));
        }
    }
    Ok(matcher.is_in_parquet(bytes).then(|| "the bytes".to_owned()))
}
