//! The object store through which the lake's files are read and written: reading a damaged file is
//! an error.
//!
//! - Log entries and the checkpoint hint get a checksum when they are put, and are checked when
//!   they are read (`log_checksum`).
//! - A checkpoint is checked as a whole when this process first reads it, against the sizes and
//!   checksums that the table's witness names (`witness`).
//! - Data files have checksums of their blocks in the log (`block_checksum`). A read of a range
//!   fetches the whole blocks around it, and checks them. Files of older programs have no checksums
//!   and are read unchecked.
//!
//! Modules:
//!
//! - `checkpoint_upload`: the multipart upload of a checkpoint

mod checkpoint_upload;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, RenameOptions, Result,
};

use crate::integrity::block_checksum::BlockChecksums;
use crate::integrity::damage::Damage;
use crate::integrity::log_checksum;
use crate::integrity::witness::{WITNESS, checkpoint_marker, written_marker};
use crate::log::paths::{CheckpointHint, checkpoint_path, parse_log_file};
use checkpoint_upload::CheckpointUpload;

/// A store that contains a lake, and checks what is read of the lake's files.
#[derive(Debug)]
pub(crate) struct VerifiedStore {
    inner: Arc<dyn ObjectStore>,
    /// The path of the lake's root in `inner`.
    root: Path,
    /// The checksums of data files, by path below the root.
    checksums: RwLock<HashMap<String, Arc<BlockChecksums>>>,
    /// The checkpoints that this process has checked, by path below the root.
    verified_checkpoints: Mutex<HashSet<String>>,
}

/// What kind of file a path below the root names.
enum LakePath<'a> {
    LogEntry,
    CheckpointHint { table: &'a str },
    Checkpoint { table: &'a str, version: u64 },
    Other,
}

impl VerifiedStore {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, root: Path) -> Self {
        Self { inner, root, checksums: RwLock::default(), verified_checkpoints: Mutex::default() }
    }

    /// Registers the checksums of a data file, by its path below the root: from now on every read
    /// of the file is checked.
    pub(crate) fn register_checksums(&self, path: String, checksums: Arc<BlockChecksums>) {
        self.checksums.write().unwrap_or_else(PoisonError::into_inner).insert(path, checksums);
    }

    fn checksums_of(&self, relative: &str) -> Option<Arc<BlockChecksums>> {
        self.checksums.read().unwrap_or_else(PoisonError::into_inner).get(relative).cloned()
    }

    /// Returns the path below the root; `None` for a file outside of the lake.
    fn relative<'a>(&self, location: &'a Path) -> Option<&'a str> {
        let relative = location.as_ref().strip_prefix(self.root.as_ref())?;
        if self.root.as_ref().is_empty() { Some(relative) } else { relative.strip_prefix('/') }
    }

    /// Returns the path in the inner store of a path below the root.
    fn absolute(&self, relative: &str) -> Path {
        match self.root.as_ref() {
            "" => Path::from(relative),
            root => Path::from(format!("{root}/{relative}")),
        }
    }

    async fn get_whole(&self, location: &Path, options: GetOptions) -> Result<(GetResult, Bytes)> {
        let whole = GetOptions { range: None, ..options };
        take_bytes(self.inner.get_opts(location, whole).await?).await
    }

    async fn get_log_entry(
        &self,
        location: &Path,
        relative: &str,
        options: GetOptions,
    ) -> Result<GetResult> {
        let range = options.range.clone();
        let (result, bytes) = self.get_whole(location, options).await?;
        log_checksum::check(relative, &bytes).map_err(|what| Damage::new(relative, what))?;
        Ok(with_range(result, &bytes, range.as_ref()))
    }

    /// Reads the checkpoint hint. The hint only saves time, so a damaged hint and a hint at a
    /// checkpoint that is gone are treated as absent.
    async fn get_hint(
        &self,
        location: &Path,
        relative: &str,
        table: &str,
        options: GetOptions,
    ) -> Result<GetResult> {
        let (result, bytes) = self.get_whole(location, options).await?;
        let none = |why: &str| {
            tracing::debug!(table, why, "the hint at the newest checkpoint is not used");
            Error::NotFound { path: location.to_string(), source: why.into() }
        };
        log_checksum::check(relative, &bytes).map_err(|what| none(&what))?;
        let hint: CheckpointHint =
            serde_json::from_slice(&bytes).map_err(|_| none("it names no version"))?;
        let checkpoint = format!("{table}/{}", checkpoint_path(hint.version));
        match self.inner.head(&self.absolute(&checkpoint)).await {
            Err(Error::NotFound { .. }) => Err(none("its checkpoint is gone")),
            Err(error) => Err(error),
            Ok(_) => Ok(with_range(result, &bytes, None)),
        }
    }

    /// Reads a checkpoint as a whole and checks it, unless this process has done so before.
    async fn check_checkpoint(
        &self,
        location: &Path,
        relative: &str,
        table: &str,
        version: u64,
    ) -> Result<()> {
        let verified = || self.verified_checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if verified().contains(relative) {
            return Ok(());
        }
        let prefix = format!("checkpoint.{version:020}.");
        let folder = self.absolute(&format!("{table}/{WITNESS}"));
        let markers: Vec<Path> =
            self.inner.list(Some(&folder)).map_ok(|marker| marker.location).try_collect().await?;
        let names = markers.iter().filter_map(|marker| marker.filename());
        let expected: Vec<&str> = names.filter(|name| name.starts_with(&prefix)).collect();
        if !expected.is_empty() {
            let bytes = self.inner.get(location).await?.bytes().await?;
            let found = checkpoint_marker(version, bytes.len() as u64, crc32fast::hash(&bytes));
            if !expected.iter().any(|name| found.ends_with(name)) {
                return Err(Damage::changed(relative).into());
            }
        }
        verified().insert(relative.to_owned());
        Ok(())
    }

    /// Reads a range of a data file, after checking the blocks around it.
    async fn get_data_file(
        &self,
        location: &Path,
        relative: &str,
        checksums: &BlockChecksums,
        options: GetOptions,
    ) -> Result<GetResult> {
        let wanted = resolve(options.range.as_ref(), checksums.size);
        let is_whole = options.range.is_none();
        let blocks = checksums.block_range(&wanted);
        let range = (!is_whole).then(|| GetRange::Bounded(blocks.clone()));
        let got = self.inner.get_opts(location, GetOptions { range, ..options }).await;
        let result = match got {
            Ok(result) => result,
            Err(error) => return Err(self.diagnose(error, location, relative, checksums).await),
        };
        if result.meta.size != checksums.size {
            return Err(Damage::size(relative, result.meta.size, checksums.size).into());
        }
        let (mut result, bytes) = take_bytes(result).await?;
        if bytes.len() as u64 != blocks.end - blocks.start
            || !checksums.matches(blocks.start, &bytes)
        {
            return Err(Damage::changed(relative).into());
        }
        let bytes = bytes.slice(slice_range(&wanted, blocks.start));
        result.range = wanted;
        result.payload = once(bytes);
        Ok(result)
    }

    /// Returns the damage that an error of the store stands for, for a file with checksums: that
    /// the file is gone, or has another size. Any other error is returned as it is.
    async fn diagnose(
        &self,
        error: Error,
        location: &Path,
        relative: &str,
        checksums: &BlockChecksums,
    ) -> Error {
        if matches!(error, Error::NotFound { .. }) {
            return Damage::gone(relative).into();
        }
        match self.inner.head(location).await {
            Ok(meta) if meta.size != checksums.size => {
                Damage::size(relative, meta.size, checksums.size).into()
            }
            _ => error,
        }
    }

    async fn put_checkpoint(
        &self,
        location: &Path,
        table: &str,
        version: u64,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let mut crc = crc32fast::Hasher::new();
        payload.iter().for_each(|chunk| crc.update(chunk));
        let size = payload.content_length() as u64;
        let expected = checkpoint_marker(version, size, crc.finalize());
        self.inner.put(&self.absolute(&format!("{table}/{expected}")), "".into()).await?;
        let done = self.inner.put_opts(location, payload, opts).await?;
        let written = format!("{table}/{}", written_marker(version));
        self.inner.put(&self.absolute(&written), "".into()).await?;
        Ok(done)
    }
}

/// Splits a result into its bytes and a result with an empty payload.
async fn take_bytes(result: GetResult) -> Result<(GetResult, Bytes)> {
    let (meta, range) = (result.meta.clone(), result.range.clone());
    let attributes = result.attributes.clone();
    let bytes = result.bytes().await?;
    let payload = GetResultPayload::Stream(futures::stream::empty().boxed());
    Ok((GetResult { payload, meta, range, attributes }, bytes))
}

fn once(bytes: Bytes) -> GetResultPayload {
    GetResultPayload::Stream(futures::stream::once(async { Ok(bytes) }).boxed())
}

/// Returns the bytes of a file of `size` bytes that a requested range means.
fn resolve(range: Option<&GetRange>, size: u64) -> Range<u64> {
    match range {
        None => 0..size,
        Some(GetRange::Bounded(range)) => range.start.min(size)..range.end.min(size),
        Some(GetRange::Offset(start)) => *start.min(&size)..size,
        Some(GetRange::Suffix(last)) => size.saturating_sub(*last)..size,
    }
}

/// Returns a range of a file as a range of a buffer that begins at the file's byte `start`.
fn slice_range(wanted: &Range<u64>, start: u64) -> Range<usize> {
    (wanted.start - start) as usize..(wanted.end - start) as usize
}

/// Returns a result with a range of the bytes of a file that was read as a whole.
fn with_range(mut result: GetResult, bytes: &Bytes, range: Option<&GetRange>) -> GetResult {
    let wanted = resolve(range, bytes.len() as u64);
    result.payload = once(bytes.slice(slice_range(&wanted, 0)));
    result.range = wanted;
    result
}

fn classify(relative: &str) -> LakePath<'_> {
    let Some((table, name)) = relative.split_once("/_delta_log/") else { return LakePath::Other };
    if name == "_last_checkpoint" {
        return LakePath::CheckpointHint { table };
    }
    match parse_log_file(&Path::from(name)) {
        Some((_, false)) => LakePath::LogEntry,
        Some((version, true)) => LakePath::Checkpoint { table, version },
        None => LakePath::Other,
    }
}

#[async_trait::async_trait]
impl ObjectStore for VerifiedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let Some(relative) = self.relative(location) else {
            return self.inner.put_opts(location, payload, opts).await;
        };
        let payload = match classify(relative) {
            LakePath::LogEntry => {
                log_checksum::with_entry_checksum(relative, &Bytes::from(payload)).into()
            }
            LakePath::CheckpointHint { .. } => {
                log_checksum::with_hint_checksum(relative, &Bytes::from(payload)).into()
            }
            LakePath::Checkpoint { table, version } => {
                return self.put_checkpoint(location, table, version, payload, opts).await;
            }
            LakePath::Other => payload,
        };
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.inner.put_multipart_opts(location, opts).await?;
        let path = self.relative(location).map(classify);
        let Some(LakePath::Checkpoint { table, version }) = path else {
            return Ok(upload);
        };
        let (store, table) = (Arc::clone(&self.inner), self.absolute(table));
        Ok(Box::new(CheckpointUpload::new(upload, store, table, version)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let Some(relative) = self.relative(location).filter(|_| !options.head) else {
            return self.inner.get_opts(location, options).await;
        };
        match classify(relative) {
            LakePath::LogEntry => return self.get_log_entry(location, relative, options).await,
            LakePath::CheckpointHint { table } => {
                return self.get_hint(location, relative, table, options).await;
            }
            LakePath::Checkpoint { table, version } => {
                self.check_checkpoint(location, relative, table, version).await?;
            }
            LakePath::Other => {
                if let Some(checksums) = self.checksums_of(relative) {
                    return self.get_data_file(location, relative, &checksums, options).await;
                }
            }
        }
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let Some(relative) = self.relative(location) else {
            return self.inner.get_ranges(location, ranges).await;
        };
        if let LakePath::Checkpoint { table, version } = classify(relative) {
            self.check_checkpoint(location, relative, table, version).await?;
        }
        let Some(checksums) = self.checksums_of(relative) else {
            return self.inner.get_ranges(location, ranges).await;
        };
        let fetched = coalesced(ranges.iter().map(|range| checksums.block_range(range)));
        let parts = match self.inner.get_ranges(location, &fetched).await {
            Ok(parts) => parts,
            Err(error) => return Err(self.diagnose(error, location, relative, &checksums).await),
        };
        for (range, bytes) in fetched.iter().zip(&parts) {
            let is_whole = bytes.len() as u64 == range.end - range.start;
            if !is_whole || !checksums.matches(range.start, bytes) {
                return Err(Damage::changed(relative).into());
            }
        }
        let slice = |wanted: &Range<u64>| {
            let index = fetched.partition_point(|range| range.end < wanted.end);
            let (range, bytes) = (fetched.get(index)?, parts.get(index)?);
            (range.start <= wanted.start).then(|| bytes.slice(slice_range(wanted, range.start)))
        };
        let beyond = || Error::from(Damage::changed(relative));
        ranges.iter().map(|wanted| slice(wanted).ok_or_else(beyond)).collect()
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

/// Returns the ranges in order, with overlapping and adjacent ones merged.
fn coalesced(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = ranges.collect();
    sorted.sort_unstable_by_key(|range| range.start);
    let mut coalesced: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match coalesced.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => coalesced.push(range),
        }
    }
    coalesced
}

impl fmt::Display for VerifiedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checked {}", self.inner)
    }
}
