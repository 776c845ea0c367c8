//! The multipart upload of a checkpoint, between the two markers of the witness.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{
    MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutResult, Result, UploadPart,
};

use crate::integrity::witness::{checkpoint_marker, written_marker};

/// The upload of a checkpoint that is too large for one put.
#[derive(Debug)]
pub(super) struct CheckpointUpload {
    upload: Box<dyn MultipartUpload>,
    store: Arc<dyn ObjectStore>,
    /// The path of the table in `store`.
    table: Path,
    version: u64,
    size: u64,
    crc: crc32fast::Hasher,
}

impl CheckpointUpload {
    pub(super) fn new(
        upload: Box<dyn MultipartUpload>,
        store: Arc<dyn ObjectStore>,
        table: Path,
        version: u64,
    ) -> Self {
        Self { upload, store, table, version, size: 0, crc: crc32fast::Hasher::new() }
    }
}

#[async_trait::async_trait]
impl MultipartUpload for CheckpointUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.size += data.content_length() as u64;
        data.iter().for_each(|chunk| self.crc.update(chunk));
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let expected = checkpoint_marker(self.version, self.size, self.crc.clone().finalize());
        let marker = |name: &str| Path::from(format!("{}/{name}", self.table));
        self.store.put(&marker(&expected), "".into()).await?;
        let done = self.upload.complete().await?;
        self.store.put(&marker(&written_marker(self.version)), "".into()).await?;
        Ok(done)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
