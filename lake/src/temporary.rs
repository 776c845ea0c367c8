//! A lake for a benchmark, which is deleted afterwards.

use std::path::Path;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{PutMode, PutOptions};
use uuid::Uuid;

use crate::delta_runtime::wait_for_background_work;
use crate::error::LakeError;
use crate::lake::{Lake, LakeOptions};
use crate::store::StoreOptions;

/// A new lake in a folder or a bucket.
pub struct TemporaryLake {
    pub lake: Lake,
    pub options: LakeOptions,
}

impl TemporaryLake {
    /// Creates a lake with a new name below `parent`, a folder or `s3://bucket/prefix`. Its key is
    /// written to `key_folder`.
    ///
    /// # Errors
    /// The same as [`Lake::open_or_create`].
    pub async fn create(
        parent: &str,
        key_folder: &Path,
        store: StoreOptions,
    ) -> Result<Self, LakeError> {
        let name = format!("rapport-bench-{}", Uuid::new_v4().simple());
        let root = format!("{}/{name}", parent.trim_end_matches('/'));
        let key_file = key_folder.join(format!("{name}.key"));
        let options = LakeOptions { root, key_file, store };
        let lake = Lake::open_or_create(&options).await?;
        Ok(Self { lake, options })
    }

    /// Puts an object that must not exist yet, and makes it durable.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<(), LakeError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let path = ObjectPath::from(name);
        let put = self.lake.store().put_opts(&path, bytes.into(), options).await;
        put.map_err(LakeError::Storage)?;
        self.lake.sync_file(name).await
    }

    /// Deletes every object of the lake.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn remove(self) -> Result<(), LakeError> {
        // Checkpoints would be written into what is deleted.
        wait_for_background_work().await;
        if let Some(folder) = &self.lake.location().folder {
            return std::fs::remove_dir_all(folder)
                .map_err(|source| LakeError::Io { path: folder.clone(), source });
        }
        let store = self.lake.store();
        let paths = store.list(None).map_ok(|object| object.location).boxed();
        let deleted = store.delete_stream(paths).try_for_each(|_| async { Ok(()) }).await;
        deleted.map_err(LakeError::Storage)
    }
}
