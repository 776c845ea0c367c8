//! Reading and deleting files of an object store that may be absent.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, Result};

/// Returns the bytes of a file, or `None` when there is none.
pub(crate) async fn get_if_exists(store: &dyn ObjectStore, path: &Path) -> Result<Option<Bytes>> {
    match store.get(path).await {
        Ok(found) => found.bytes().await.map(Some),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether a file exists.
pub(crate) async fn exists(store: &dyn ObjectStore, path: &Path) -> Result<bool> {
    match store.head(path).await {
        Ok(_) => Ok(true),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Deletes a file. An absent file is no error: another process may have deleted it.
pub(crate) async fn delete_if_exists(store: &dyn ObjectStore, path: &Path) -> Result<()> {
    match store.delete(path).await {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Deletes files, as many in one request as the store takes, in any order. Absent files are no errors.
pub(crate) async fn delete_all(
    store: &dyn ObjectStore,
    paths: impl IntoIterator<Item = Path, IntoIter: Send + 'static>,
) -> Result<()> {
    let mut deleted = store.delete_stream(futures::stream::iter(paths).map(Ok).boxed());
    loop {
        match deleted.try_next().await {
            Ok(Some(_)) | Err(Error::NotFound { .. }) => {}
            Ok(None) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
