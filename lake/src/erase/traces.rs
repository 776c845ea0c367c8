//! The proof of an erasure: every file below the lake's root, looked through for the ids, in
//! whatever spelling.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use bytes::Bytes;
use futures::TryStreamExt;
use lake_types::counted;
use object_store::path::Path;
use parquet::file::metadata::{ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::names::Names;
use super::{Erasure, letters_that_name, reports, token_for};
use crate::error::LakeError;
use crate::file::{batches, corrupt};
use crate::lake::Lake;
use crate::schema;

/// Which part a file plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The newest version of its table names it.
    Live,
    /// No version names it any longer that the newest builds on: it may be deleted.
    Dead,
    /// No version names it yet: somebody may be about to commit it.
    Pending,
    /// Of a table's log.
    Log,
    /// Notes which folder a report was written to.
    Note,
    Other,
}

/// A file that names a partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The table it belongs to; empty for none.
    pub table: String,
    /// Below the lake's root.
    pub path: String,
    pub place: Place,
    /// Where in the file, or why nobody could look into it.
    pub what: String,
    /// Whether it only may name one: nobody could look into it.
    pub is_unread: bool,
}

/// What a look into a file has found.
enum Seen {
    Named(String),
    Unread(String),
}

/// Looks through the lake again and again; files that never change and were clean stay so.
#[derive(Default)]
pub struct Scan {
    clean: BTreeSet<String>,
    /// Files looked at by the last scan.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A file that no version names and that is this old, in µs, is of a commit that never came.
const ABANDONED: i64 = 3_600_000_000;

impl Lake {
    /// The tables below the root, by name.
    ///
    /// # Errors
    /// When the root can't be listed.
    pub async fn tables(&self) -> Result<Vec<String>, LakeError> {
        self.folders_with(&["_delta_log"]).await
    }

    /// The folders below the root that hold one of these folders.
    pub(crate) async fn folders_with(&self, marks: &[&str]) -> Result<Vec<String>, LakeError> {
        let store = self.store();
        let mut names = Vec::new();
        let mut folders = store.list_with_delimiter(None).await?.common_prefixes;
        while let Some(folder) = folders.pop() {
            let below = store.list_with_delimiter(Some(&folder)).await?.common_prefixes;
            if below.iter().filter_map(Path::filename).any(|name| marks.contains(&name)) {
                names.push(folder.to_string());
            } else if folder.parts().count() < 3 {
                folders.extend(below);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Every file below the root that names one of the partners. `now`, µs, tells files that are
    /// about to be committed from those that never were.
    ///
    /// # Errors
    /// When a file can't be read; one that goes meanwhile is none.
    pub async fn traces(
        &self,
        erasure: &Erasure,
        scan: &mut Scan,
        now: i64,
    ) -> Result<Vec<Trace>, LakeError> {
        // The log before the newest version: what it names and that does not is gone for good.
        let tables = self.tables().await?;
        let files: Vec<_> = self.store().list(None).try_collect().await?;
        (scan.files, scan.bytes) = (0, 0);
        let mut traces = Vec::new();
        for file in files {
            let path = file.location.to_string();
            scan.files += 1;
            scan.bytes += file.size;
            if scan.clean.contains(&path) {
                continue;
            }
            let table = tables.iter().find(|t| path.starts_with(&format!("{t}/")));
            let of_log = table.is_some_and(|t| path.starts_with(&format!("{t}/_delta_log/")));
            let found = match self.look(erasure, &path, table.map(String::as_str), of_log).await {
                Err(error) if error.is_gone() => continue,
                // Dead files may be damaged: they are deleted.
                Err(error) if !of_log && is_unreadable(&error) => {
                    Some(Seen::Unread(DAMAGED.into()))
                }
                other => other?,
            };
            let (what, is_unread) = match found {
                Some(Seen::Named(what)) => (what, false),
                Some(Seen::Unread(what)) => (what, true),
                None => {
                    if !of_log && path.ends_with(".parquet") {
                        scan.clean.insert(path);
                    }
                    continue;
                }
            };
            let table = table.cloned().unwrap_or_default();
            let age = now - file.last_modified.timestamp_micros();
            let is_note = path.starts_with(&format!("{}/", reports::FOLDER));
            let place = match (table.is_empty(), of_log) {
                (true, _) if is_note => Place::Note,
                (true, _) => Place::Other,
                (_, true) => Place::Log,
                _ if age > ABANDONED => Place::Dead,
                _ => Place::Pending,
            };
            traces.push(Trace { table, path, place, what, is_unread });
        }
        self.locate(&mut traces).await?;
        Ok(traces)
    }

    /// Tells live files from dead ones.
    async fn locate(&self, traces: &mut [Trace]) -> Result<(), LakeError> {
        let data = |t: &Trace| matches!(t.place, Place::Dead | Place::Pending);
        let tables: BTreeSet<String> =
            traces.iter().filter(|t| data(t)).map(|t| t.table.clone()).collect();
        let mut known: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
        for table in tables {
            let logged = self.logged_files(&table).await?;
            let newest = self.snapshot(&table, None).await?;
            let live = newest.map(|s| s.files.into_iter().map(|f| f.path).collect());
            known.insert(table, (logged, live.unwrap_or_default()));
        }
        for trace in traces.iter_mut().filter(|t| data(t)) {
            let Some((logged, live)) = known.get(&trace.table) else { continue };
            if live.contains(&trace.path) {
                trace.place = Place::Live;
            } else if logged.contains(&trace.path) {
                trace.place = Place::Dead;
            }
        }
        Ok(())
    }

    /// Where the file names a partner, or may.
    async fn look(
        &self,
        erasure: &Erasure,
        path: &str,
        table: Option<&str>,
        of_log: bool,
    ) -> Result<Option<Seen>, LakeError> {
        let names = &erasure.names;
        let bytes = self.bytes(path).await?;
        if !path.ends_with(".parquet") {
            let found = if of_log { names.in_statistics(&bytes) } else { names.in_part(&bytes) };
            return Ok(found.then(|| Seen::Named("its text".to_owned())));
        }
        let letters = table.is_some_and(|t| t == schema::dead_letters().name);
        for batch in batches(bytes.clone(), path)? {
            let batch = batch?;
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                let named = |name: &str, text: &str| {
                    if of_log {
                        let id = name == "partner_id" && names.is(text);
                        return id || names.in_statistics(text.as_bytes());
                    }
                    token_for(names, name, text).is_some()
                };
                if texts_name(field.name(), column, &named) {
                    return Ok(Some(Seen::Named(format!("column {}", field.name()))));
                }
            }
            if letters {
                let opened = letters_that_name(names, self.key(), &batch);
                if opened.named.contains(&true) {
                    return Ok(Some(Seen::Named("a sealed record".to_owned())));
                }
                if opened.closed > 0 {
                    let closed = counted(opened.closed, "record");
                    let what = format!("{closed} sealed with another key, which nobody could open");
                    return Ok(Some(Seen::Unread(what)));
                }
                if opened.packed > 0 {
                    let packed = counted(opened.packed, "record");
                    let what =
                        format!("{packed} rejected and compressed, which nobody looked into");
                    return Ok(Some(Seen::Unread(what)));
                }
            }
        }
        if of_log {
            return Ok(None);
        }
        Ok(parquet_names(names, &bytes, path)?.map(Seen::Named))
    }
}

const DAMAGED: &str = "it is damaged, so nobody could look into it";

fn is_unreadable(error: &LakeError) -> bool {
    matches!(error, LakeError::Damaged(_) | LakeError::Parquet(_) | LakeError::Arrow(_))
}

/// Whether any text in the column, however deep, is one that `named` tells by its field.
fn texts_name(field: &str, column: &ArrayRef, named: &dyn Fn(&str, &str) -> bool) -> bool {
    let is = |text: &str| named(field, text);
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().flatten().any(is),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().flatten().any(is),
        DataType::Utf8View => column.as_string_view().iter().flatten().any(is),
        DataType::Struct(fields) => {
            let below = fields.iter().zip(column.as_struct().columns());
            below.into_iter().any(|(field, column)| texts_name(field.name(), column, named))
        }
        DataType::List(_) => texts_name(field, column.as_list::<i32>().values(), named),
        DataType::Map(_, _) => {
            column.as_map().entries().columns().iter().any(|c| texts_name(field, c, named))
        }
        _ => false,
    }
}

/// Whether the statistics or the bytes of a Parquet file, its cells aside, hold an id.
fn parquet_names(names: &Names, bytes: &Bytes, path: &str) -> Result<Option<String>, LakeError> {
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
        if texts.into_iter().any(|text| token_for(names, name, text).is_some()) {
            return Ok(Some(format!("the statistics of {name}")));
        }
    }
    Ok(names.in_parquet(bytes).then(|| "the bytes".to_owned()))
}
