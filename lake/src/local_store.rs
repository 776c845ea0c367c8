//! The local file system as an object store that reads small parts of files without leaving the thread.
//!
//! `LocalFileSystem` hands each read to a thread for blocking calls. What is in the page cache takes some
//! microseconds to read, and waking another thread and being woken by it takes several times as long. A
//! query over a year reads a few parts of each of hundreds of files.
//!
//! What is not in the page cache is then read one part after the other, on the thread that computes with
//! it. A large read, which can wait for long, still leaves the thread.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    Result,
};

/// The largest read that does not leave the thread. Decoding so much takes some milliseconds, too.
const MAX_INLINE_BYTES: u64 = 1 << 20;

/// The local file system; paths begin at its root.
#[derive(Debug)]
pub(crate) struct LocalStore(LocalFileSystem);

impl LocalStore {
    pub(crate) fn new() -> Self {
        Self(LocalFileSystem::new())
    }

    /// Reads small parts of a file. Returns `None` for large ones, and where anything fails:
    /// `LocalFileSystem` then tells the error.
    fn read_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Option<Vec<Bytes>> {
        let sizes = ranges.iter().map(|range| range.end.saturating_sub(range.start));
        if sizes.fold(0, u64::saturating_add) > MAX_INLINE_BYTES {
            return None;
        }
        let mut file = File::open(self.0.path_to_filesystem(location).ok()?).ok()?;
        ranges.iter().map(|range| read_range(&mut file, range).ok()).collect()
    }

    /// Reads a small file or a small part of it, opens one that is large, or tells that it is absent.
    /// Returns `None` where anything else fails, likewise.
    fn read(&self, location: &Path, options: &GetOptions) -> Option<Result<GetResult>> {
        let path = self.0.path_to_filesystem(location).ok()?;
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                let path = path.to_string_lossy().into_owned();
                return Some(Err(Error::NotFound { path, source: source.into() }));
            }
            Err(_) => return None,
        };
        let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: metadata.modified().ok()?.into(),
            size: metadata.len(),
            e_tag: None,
            version: None,
        };
        let range = match &options.range {
            Some(range) => range.as_range(meta.size).ok()?,
            None => 0..meta.size,
        };
        let payload = if options.head || range.end - range.start > MAX_INLINE_BYTES {
            GetResultPayload::File(file, path)
        } else {
            let bytes = read_range(&mut file, &range).ok()?;
            GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed())
        };
        Some(Ok(GetResult { payload, meta, range, attributes: Default::default() }))
    }
}

/// # Errors
/// A file that can't be read, or that ends within the range.
fn read_range(file: &mut File, range: &Range<u64>) -> io::Result<Bytes> {
    let size = range.end.saturating_sub(range.start);
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    file.seek(SeekFrom::Start(range.start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes.into())
}

/// Lets other tasks of the thread go on after many reads, which would never wait otherwise.
async fn yield_if_busy() {
    tokio::task::coop::consume_budget().await;
}

/// Whether a request makes no conditions on the file.
fn is_unconditional(options: &GetOptions) -> bool {
    let GetOptions {
        if_match: None,
        if_none_match: None,
        if_modified_since: None,
        if_unmodified_since: None,
        version: None,
        head: _,
        range: _,
        extensions: _,
    } = options
    else {
        return false;
    };
    true
}

#[async_trait::async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.0.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        yield_if_busy().await;
        if is_unconditional(&options)
            && let Some(result) = self.read(location, &options)
        {
            return result;
        }
        self.0.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        yield_if_busy().await;
        match self.read_ranges(location, ranges) {
            Some(parts) => Ok(parts),
            None => self.0.get_ranges(location, ranges).await,
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.0.rename_opts(from, to, options).await
    }
}

impl fmt::Display for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use object_store::{GetRange, ObjectStoreExt};

    use super::*;

    /// Sizes around the largest read that does not leave the thread, and around the ends of files.
    const LARGEST: u64 = MAX_INLINE_BYTES;

    fn file(size: u64) -> (tempfile::TempDir, Path) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        std::fs::write(&path, bytes).expect("a file");
        (folder, Path::from_absolute_path(path).expect("a path"))
    }

    fn untagged(meta: ObjectMeta) -> ObjectMeta {
        ObjectMeta { e_tag: None, ..meta }
    }

    #[tokio::test]
    async fn reads_are_those_of_the_local_file_system() {
        let (own, other) = (LocalStore::new(), LocalFileSystem::new());
        for size in [0, 1, 10, LARGEST, LARGEST + 1] {
            let (folder, path) = file(size);
            let bounds = [0, 1, 9, 10, 11, LARGEST - 1, LARGEST, LARGEST + 1, LARGEST + 2];
            let bounded = bounds
                .iter()
                .flat_map(|start| bounds.iter().map(|end| *start..*end).filter(|r| !r.is_empty()));
            let ranges: Vec<_> = bounded.clone().map(GetRange::Bounded).collect();
            let ends = bounds.iter().flat_map(|n| [GetRange::Offset(*n), GetRange::Suffix(*n)]);
            let ranges = ranges.into_iter().chain(ends).map(Some).chain([None]);
            for range in ranges {
                let options = || GetOptions { range: range.clone(), ..GetOptions::default() };
                let read = async |store: &dyn ObjectStore| {
                    let result = store.get_opts(&path, options()).await?;
                    let (range, meta) = (result.range.clone(), untagged(result.meta.clone()));
                    Ok::<_, Error>((range, meta, result.bytes().await?))
                };
                let (found, expected) = (read(&own).await, read(&other).await);
                let of = |result: Result<_>| result.map_err(|error| error.to_string());
                assert_eq!(of(found), of(expected), "{size}: {range:?}");
            }
            let several: [&[_]; 3] = [&[0..1, 3..7, 2..4], &[0..2, 5..LARGEST + 3], &[]];
            let each = bounded.clone().map(|range| vec![range]);
            for ranges in each.chain(several.map(<[_]>::to_vec)) {
                let found = own.get_ranges(&path, &ranges).await.map_err(|e| e.to_string());
                let expected = other.get_ranges(&path, &ranges).await.map_err(|e| e.to_string());
                assert_eq!(found, expected, "{size}: {ranges:?}");
            }
            let head = async |store: &dyn ObjectStore| {
                store.head(&path).await.map(untagged).map_err(|error| error.to_string())
            };
            assert_eq!(head(&own).await, head(&other).await);
            drop(folder);
            assert_eq!(head(&own).await, head(&other).await);
            let of = |result: Result<GetResult>| result.map(drop).map_err(|e| e.to_string());
            assert_eq!(of(own.get(&path).await), of(other.get(&path).await));
            let of = |result: Result<Vec<_>>| result.map_err(|e| e.to_string());
            let range = std::slice::from_ref(&(0..1));
            assert_eq!(
                of(own.get_ranges(&path, range).await),
                of(other.get_ranges(&path, range).await)
            );
        }
    }

    #[tokio::test]
    async fn small_reads_do_not_leave_the_thread() {
        let (own, other) = (LocalStore::new(), LocalFileSystem::new());
        let (_folder, path) = file(LARGEST + 10);
        let is_at_once = |store: &dyn ObjectStore, range| {
            let options = GetOptions { range, ..GetOptions::default() };
            let read = async { store.get_opts(&path, options).await?.bytes().await };
            read.now_or_never().is_some_and(|bytes| bytes.is_ok())
        };
        let are_at_once = |store: &dyn ObjectStore, end| {
            store
                .get_ranges(&path, &[0..2, 5..end])
                .now_or_never()
                .is_some_and(|parts| parts.is_ok())
        };
        assert!(is_at_once(&own, Some(GetRange::Offset(10))));
        assert!(!is_at_once(&own, Some(GetRange::Offset(9))));
        assert!(!is_at_once(&own, None));
        assert!(!is_at_once(&other, Some(GetRange::Offset(10))));
        assert!(are_at_once(&own, LARGEST + 3));
        assert!(!are_at_once(&own, LARGEST + 4));
        assert!(own.head(&path).now_or_never().is_some());
        let absent = Path::from_absolute_path("/absent").expect("a path");
        assert!(own.get(&absent).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_task_that_only_reads_lets_others_go_on() {
        let (_folder, path) = file(10);
        let reads = tokio::spawn(async move {
            let store = LocalStore::new();
            for _ in 0..10_000 {
                store.get(&path).await.expect("a file");
                store.get_ranges(&path, &[0..1, 2..3]).await.expect("a file");
            }
        });
        tokio::task::yield_now().await;
        assert!(!reads.is_finished());
        reads.abort();
    }

    #[tokio::test]
    async fn conditions_are_those_of_the_local_file_system() {
        let store = LocalStore::new();
        let (_folder, path) = file(10);
        let e_tag = LocalFileSystem::new().head(&path).await.expect("a file").e_tag.expect("a tag");
        let matching = |tag: &str| GetOptions::new().with_if_match(Some(tag.to_owned()));
        assert!(store.get_opts(&path, matching(&e_tag)).await.is_ok());
        let error = store.get_opts(&path, matching("other")).await.expect_err("another tag");
        assert!(matches!(error, Error::Precondition { .. }), "{error}");
    }
}
