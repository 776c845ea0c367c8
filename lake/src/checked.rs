//! The lake's object store as everybody reads and writes it: nothing damaged comes out of it.
//!
//! - Entries of a log and the hint at its checkpoint are given a checksum when they are put, and
//!   are checked when they are got (`stamped`).
//! - A checkpoint is checked as a whole when this process first reads it, against the sums beside
//!   the log (`witness`).
//! - Of data files, whose checksums stand in the log, whole blocks are read around what is asked
//!   for, and checked (`checksum`). A file of an older program has none, and is read as it is.

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
    PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

use crate::checksum::Checksums;
use crate::damage::Damage;
use crate::stamped;
use crate::witness::{WITNESS, checkpoint_marker, written_marker};

/// A store with the lake somewhere in it.
#[derive(Debug)]
pub(crate) struct CheckedStore {
    inner: Arc<dyn ObjectStore>,
    /// Where the lake's root is.
    root: Path,
    /// Of data files, by their path below the root.
    known: RwLock<HashMap<String, Arc<Checksums>>>,
    /// Checkpoints that were found to be what was written.
    sound: Mutex<HashSet<String>>,
}

/// What a path below the root is.
enum Kind<'a> {
    Entry,
    Hint { table: &'a str },
    Checkpoint { table: &'a str, version: u64 },
    Other,
}

impl CheckedStore {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, root: Path) -> Self {
        Self { inner, root, known: RwLock::default(), sound: Mutex::default() }
    }

    /// From now on the file, by its path below the root, is checked when it is read.
    pub(crate) fn know(&self, path: String, checksums: Arc<Checksums>) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(path, checksums);
    }

    fn known(&self, below: &str) -> Option<Arc<Checksums>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(below).cloned()
    }

    /// The path below the root; `None` for what is no file of the lake.
    fn below<'a>(&self, location: &'a Path) -> Option<&'a str> {
        let below = location.as_ref().strip_prefix(self.root.as_ref())?;
        if self.root.as_ref().is_empty() { Some(below) } else { below.strip_prefix('/') }
    }

    fn full(&self, below: &str) -> Path {
        match self.root.as_ref() {
            "" => Path::from(below),
            root => Path::from(format!("{root}/{below}")),
        }
    }

    async fn whole(&self, location: &Path, options: GetOptions) -> Result<(GetResult, Bytes)> {
        let whole = GetOptions { range: None, ..options };
        emptied(self.inner.get_opts(location, whole).await?).await
    }

    async fn get_stamped(
        &self,
        location: &Path,
        below: &str,
        options: GetOptions,
    ) -> Result<GetResult> {
        let range = options.range.clone();
        let (result, bytes) = self.whole(location, options).await?;
        stamped::check(below, &bytes).map_err(|what| Damage::new(below, what))?;
        Ok(part(result, &bytes, range.as_ref()))
    }

    /// The hint only saves time: one that is damaged, or leads nowhere, is as good as none.
    async fn get_hint(
        &self,
        location: &Path,
        below: &str,
        table: &str,
        options: GetOptions,
    ) -> Result<GetResult> {
        let (result, bytes) = self.whole(location, options).await?;
        let none = |why: &str| {
            tracing::debug!(table, why, "the hint at the newest checkpoint is not used");
            Error::NotFound { path: location.to_string(), source: why.into() }
        };
        stamped::check(below, &bytes).map_err(|what| none(&what))?;
        let hint: crate::tail::Checkpoint =
            serde_json::from_slice(&bytes).map_err(|_| none("it names no version"))?;
        let checkpoint = format!("{table}/{}", crate::tail::checkpoint_path(hint.version));
        match self.inner.head(&self.full(&checkpoint)).await {
            Err(Error::NotFound { .. }) => Err(none("its checkpoint is gone")),
            Err(error) => Err(error),
            Ok(_) => Ok(part(result, &bytes, None)),
        }
    }

    /// Reads a checkpoint as a whole, unless this process has.
    async fn check_checkpoint(
        &self,
        location: &Path,
        below: &str,
        table: &str,
        version: u64,
    ) -> Result<()> {
        let sound = || self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        if sound().contains(below) {
            return Ok(());
        }
        let prefix = format!("checkpoint.{version:020}.");
        let folder = self.full(&format!("{table}/{WITNESS}"));
        let markers: Vec<Path> =
            self.inner.list(Some(&folder)).map_ok(|marker| marker.location).try_collect().await?;
        let names = markers.iter().filter_map(|marker| marker.filename());
        let sums: Vec<&str> = names.filter(|name| name.starts_with(&prefix)).collect();
        if !sums.is_empty() {
            let bytes = self.inner.get(location).await?.bytes().await?;
            let found = checkpoint_marker(version, bytes.len() as u64, crc32fast::hash(&bytes));
            if !sums.iter().any(|name| found.ends_with(name)) {
                return Err(Damage::changed(below).into());
            }
        }
        sound().insert(below.to_owned());
        Ok(())
    }

    /// A part of a data file, with the blocks around it looked at.
    async fn get_checked(
        &self,
        location: &Path,
        below: &str,
        checksums: &Checksums,
        options: GetOptions,
    ) -> Result<GetResult> {
        let wanted = resolve(options.range.as_ref(), checksums.size);
        let whole = options.range.is_none();
        let around = checksums.around(&wanted);
        let range = (!whole).then(|| GetRange::Bounded(around.clone()));
        let got = self.inner.get_opts(location, GetOptions { range, ..options }).await;
        let result = match got {
            Ok(result) => result,
            Err(error) => return Err(self.explained(error, location, below, checksums).await),
        };
        if result.meta.size != checksums.size {
            return Err(Damage::size(below, result.meta.size, checksums.size).into());
        }
        let (mut result, bytes) = emptied(result).await?;
        if bytes.len() as u64 != around.end - around.start || !checksums.agree(around.start, &bytes)
        {
            return Err(Damage::changed(below).into());
        }
        let bytes = bytes.slice(inside(&wanted, around.start));
        result.range = wanted;
        result.payload = once(bytes);
        Ok(result)
    }

    /// What an error of the store means for a file that is known.
    async fn explained(
        &self,
        error: Error,
        location: &Path,
        below: &str,
        checksums: &Checksums,
    ) -> Error {
        if matches!(error, Error::NotFound { .. }) {
            return Damage::gone(below).into();
        }
        match self.inner.head(location).await {
            Ok(meta) if meta.size != checksums.size => {
                Damage::size(below, meta.size, checksums.size).into()
            }
            _ => error,
        }
    }
}

/// An answer without its bytes, and these.
async fn emptied(result: GetResult) -> Result<(GetResult, Bytes)> {
    let (meta, range) = (result.meta.clone(), result.range.clone());
    let attributes = result.attributes.clone();
    let bytes = result.bytes().await?;
    let payload = GetResultPayload::Stream(futures::stream::empty().boxed());
    Ok((GetResult { payload, meta, range, attributes }, bytes))
}

fn once(bytes: Bytes) -> GetResultPayload {
    GetResultPayload::Stream(futures::stream::once(async { Ok(bytes) }).boxed())
}

/// The bytes of a file that a range means.
fn resolve(range: Option<&GetRange>, size: u64) -> Range<u64> {
    match range {
        None => 0..size,
        Some(GetRange::Bounded(range)) => range.start.min(size)..range.end.min(size),
        Some(GetRange::Offset(start)) => *start.min(&size)..size,
        Some(GetRange::Suffix(last)) => size.saturating_sub(*last)..size,
    }
}

/// A part of a file, as a part of bytes that begin at `start`.
fn inside(wanted: &Range<u64>, start: u64) -> Range<usize> {
    (wanted.start - start) as usize..(wanted.end - start) as usize
}

/// An answer with these bytes of a file that was read whole.
fn part(mut result: GetResult, bytes: &Bytes, range: Option<&GetRange>) -> GetResult {
    let wanted = resolve(range, bytes.len() as u64);
    result.payload = once(bytes.slice(inside(&wanted, 0)));
    result.range = wanted;
    result
}

fn kind(below: &str) -> Kind<'_> {
    let Some((table, name)) = below.split_once("/_delta_log/") else { return Kind::Other };
    if name == "_last_checkpoint" {
        return Kind::Hint { table };
    }
    match crate::tail::version_of(&Path::from(name)) {
        Some((_, false)) => Kind::Entry,
        Some((version, true)) => Kind::Checkpoint { table, version },
        None => Kind::Other,
    }
}

#[async_trait::async_trait]
impl ObjectStore for CheckedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let Some(below) = self.below(location) else {
            return self.inner.put_opts(location, payload, opts).await;
        };
        match kind(below) {
            Kind::Entry => {
                let stamped = stamped::entry(below, &Bytes::from(payload));
                self.inner.put_opts(location, stamped.into(), opts).await
            }
            Kind::Hint { .. } => {
                let stamped = stamped::hint(below, &Bytes::from(payload));
                self.inner.put_opts(location, stamped.into(), opts).await
            }
            Kind::Checkpoint { table, version } => {
                let mut crc = crc32fast::Hasher::new();
                payload.iter().for_each(|part| crc.update(part));
                let size = payload.content_length() as u64;
                let may_be = checkpoint_marker(version, size, crc.finalize());
                self.inner.put(&self.full(&format!("{table}/{may_be}")), "".into()).await?;
                let done = self.inner.put_opts(location, payload, opts).await?;
                let written = format!("{table}/{}", written_marker(version));
                self.inner.put(&self.full(&written), "".into()).await?;
                Ok(done)
            }
            Kind::Other => self.inner.put_opts(location, payload, opts).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.inner.put_multipart_opts(location, opts).await?;
        let Some(Kind::Checkpoint { table, version }) = self.below(location).map(kind) else {
            return Ok(upload);
        };
        Ok(Box::new(CheckpointUpload {
            upload,
            store: Arc::clone(&self.inner),
            table: self.full(table),
            version,
            size: 0,
            crc: crc32fast::Hasher::new(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let Some(below) = self.below(location).filter(|_| !options.head) else {
            return self.inner.get_opts(location, options).await;
        };
        match kind(below) {
            Kind::Entry => return self.get_stamped(location, below, options).await,
            Kind::Hint { table } => return self.get_hint(location, below, table, options).await,
            Kind::Checkpoint { table, version } => {
                self.check_checkpoint(location, below, table, version).await?;
            }
            Kind::Other => {
                if let Some(checksums) = self.known(below) {
                    return self.get_checked(location, below, &checksums, options).await;
                }
            }
        }
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let Some(below) = self.below(location) else {
            return self.inner.get_ranges(location, ranges).await;
        };
        if let Kind::Checkpoint { table, version } = kind(below) {
            self.check_checkpoint(location, below, table, version).await?;
        }
        let Some(checksums) = self.known(below) else {
            return self.inner.get_ranges(location, ranges).await;
        };
        let fetched = joined(ranges.iter().map(|range| checksums.around(range)));
        let parts = match self.inner.get_ranges(location, &fetched).await {
            Ok(parts) => parts,
            Err(error) => return Err(self.explained(error, location, below, &checksums).await),
        };
        for (range, bytes) in fetched.iter().zip(&parts) {
            let whole = bytes.len() as u64 == range.end - range.start;
            if !whole || !checksums.agree(range.start, bytes) {
                return Err(Damage::changed(below).into());
            }
        }
        let slice = |wanted: &Range<u64>| {
            let index = fetched.partition_point(|range| range.end < wanted.end);
            let (range, bytes) = (fetched.get(index)?, parts.get(index)?);
            (range.start <= wanted.start).then(|| bytes.slice(inside(wanted, range.start)))
        };
        let beyond = || Error::from(Damage::changed(below));
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

/// Ranges in order, those that touch as one.
fn joined(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = ranges.collect();
    sorted.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

impl fmt::Display for CheckedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checked {}", self.inner)
    }
}

/// A checkpoint that is so large that it is put in parts.
#[derive(Debug)]
struct CheckpointUpload {
    upload: Box<dyn MultipartUpload>,
    store: Arc<dyn ObjectStore>,
    table: Path,
    version: u64,
    size: u64,
    crc: crc32fast::Hasher,
}

#[async_trait::async_trait]
impl MultipartUpload for CheckpointUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.size += data.content_length() as u64;
        data.iter().for_each(|part| self.crc.update(part));
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let may_be = checkpoint_marker(self.version, self.size, self.crc.clone().finalize());
        let marker = |name: &str| Path::from(format!("{}/{name}", self.table));
        self.store.put(&marker(&may_be), "".into()).await?;
        let done = self.upload.complete().await?;
        self.store.put(&marker(&written_marker(self.version)), "".into()).await?;
        Ok(done)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    const FILE: &str = "raw/things/part-1.parquet";

    async fn store(bytes: &[u8]) -> (Arc<InMemory>, CheckedStore) {
        let inner = Arc::new(InMemory::new());
        let store = CheckedStore::new(inner.clone(), Path::from("a/lake"));
        store.know(FILE.to_owned(), Arc::new(Checksums::of(bytes)));
        store.put(&path(FILE), bytes.to_vec().into()).await.expect("put");
        (inner, store)
    }

    fn path(below: &str) -> Path {
        Path::from(format!("a/lake/{below}"))
    }

    #[tokio::test]
    async fn parts_of_a_file_are_what_they_were() {
        let bytes: Vec<u8> =
            (0..400_000u32).map(|n| (n.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect();
        let (inner, store) = store(&bytes).await;
        let ranges = [399_000..400_000, 5..6, 100..140_000, 0..131_072, 131_072..131_073];
        let read = store.get_ranges(&path(FILE), &ranges).await.expect("parts");
        for (range, read) in ranges.iter().zip(read) {
            assert_eq!(read, bytes[range.start as usize..range.end as usize], "{range:?}");
            assert_eq!(store.get_range(&path(FILE), range.clone()).await.expect("a part"), read);
        }
        let suffix = GetOptions { range: Some(GetRange::Suffix(9)), ..GetOptions::default() };
        let read = store.get_opts(&path(FILE), suffix).await.expect("the end");
        assert_eq!((read.range.clone(), read.meta.size), (399_991..400_000, 400_000));
        assert_eq!(read.bytes().await.expect("read"), bytes[399_991..]);

        // Where a block is damaged, what lies beside it is still had.
        let mut damaged = bytes.clone();
        damaged[140_000] ^= 1;
        inner.put(&path(FILE), damaged.into()).await.expect("put");
        let far = store.get_range(&path(FILE), 0..10).await.expect("far from it");
        assert_eq!(far, bytes[..10]);
        for range in [131_072..131_073, 130_000..150_000, 262_143..400_000] {
            let error = store.get_ranges(&path(FILE), &[range]).await.expect_err("damaged");
            assert_eq!(Damage::behind(&error), Some(&Damage::changed(FILE)));
        }
        assert!(store.get(&path(FILE)).await.is_err());

        inner.put(&path(FILE), bytes[..200_000].to_vec().into()).await.expect("put");
        let error =
            store.get_ranges(&path(FILE), &[0..1, 300_000..300_001]).await.expect_err("cut");
        assert_eq!(Damage::behind(&error), Some(&Damage::size(FILE, 200_000, 400_000)));
        inner.delete(&path(FILE)).await.expect("deleted");
        let error = store.get(&path(FILE)).await.expect_err("gone");
        assert!(Damage::behind(&error).is_some_and(Damage::is_gone));
    }

    #[tokio::test]
    async fn entries_and_checkpoints_are_checked_and_a_bad_hint_is_none() {
        let (inner, store) = store(b"").await;
        let log = |name: &str| path(&format!("runs/_delta_log/{name}"));
        let entry = log("00000000000000000010.json");
        store.put(&entry, "{\"commitInfo\":{\"a\":1}}".into()).await.expect("put");
        store.get(&entry).await.expect("what was put");
        inner.copy(&entry, &log("00000000000000000011.json")).await.expect("copied");
        let error = store.get(&log("00000000000000000011.json")).await.expect_err("of another");
        assert!(Damage::behind(&error).is_some());

        let (hint, checkpoint) =
            (log("_last_checkpoint"), log("00000000000000000010.checkpoint.parquet"));
        store.put(&hint, "{\"version\":10,\"size\":1}".into()).await.expect("put");
        assert!(matches!(store.get(&hint).await, Err(Error::NotFound { .. })), "leads nowhere");
        store.put(&checkpoint, "ten bytes!".into()).await.expect("put");
        store.get(&hint).await.expect("a hint");
        for second in ["ten bytes?", "ten bytes."] {
            let other = CheckedStore::new(inner.clone(), Path::from("a/lake"));
            inner.put(&checkpoint, second.into()).await.expect("put");
            let error = other.get_range(&checkpoint, 0..1).await.expect_err("changed");
            assert!(Damage::behind(&error).is_some());
            // Another process may have written it, too.
            other.put(&checkpoint, second.into()).await.expect("put");
            other.get_ranges(&checkpoint, &[0..1, 4..5]).await.expect("as it was put");
        }
        let mut upload = store.put_multipart(&checkpoint).await.expect("begun");
        upload.put_part("in ".into()).await.expect("put");
        upload.put_part("parts".into()).await.expect("put");
        upload.complete().await.expect("put");
        let other = CheckedStore::new(inner.clone(), Path::from("a/lake"));
        other.get(&checkpoint).await.expect("as it was put");
        inner.put(&hint, "{\"version\":10,\"size\":".into()).await.expect("put");
        assert!(matches!(store.get(&hint).await, Err(Error::NotFound { .. })), "cut");
    }
}
