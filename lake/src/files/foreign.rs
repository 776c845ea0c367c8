//! Files that another process wrote and this one commits: they are checked before.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::Day;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::error::LakeError;
use crate::files::parquet::PendingFile;
use crate::integrity::block_checksum::{BlockChecksums, CHECKSUM_TAG};
use crate::lake::Lake;
use crate::log::snapshot::DataFile;
use crate::schema::TableDef;

impl Lake {
    /// Checks a file of a day that another process wrote: it is in the folder of the day, has these
    /// tags and checksums, and the store has all of its bytes. Reads of the file are checked from
    /// now on.
    ///
    /// # Errors
    /// [`LakeError::ForeignFile`] where the file is not such a file.
    pub async fn accept_file(
        &self,
        def: &TableDef,
        day: Day,
        file: &PendingFile,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), LakeError> {
        let refuse = |reason: &str| LakeError::ForeignFile {
            table: def.name.clone(),
            path: file.add.path.clone(),
            reason: reason.to_owned(),
        };
        let column = def.partition_by.as_deref().unwrap_or_default();
        let folder = format!("{column}={day}/part-");
        let name = file.add.path.strip_prefix(&folder);
        let is_file_name = |name: &str| name.ends_with(".parquet") && !name.contains(['/', '\\']);
        let value = file.add.partition_values.get(column).cloned().flatten();
        if !name.is_some_and(is_file_name) || value != Some(day.to_string()) {
            return Err(refuse(&format!("is not in the folder of {day}")));
        }
        if !tags.iter().all(|(tag, value)| file.tag(tag) == Some(value)) {
            return Err(refuse("was computed from other tables or by another query"));
        }
        let checksums = file.checksums().ok_or_else(|| refuse("has no checksums"))?;
        let path = format!("{}/{}", def.name, file.add.path);
        let stored = match self.store().head(&Path::from(path.as_str())).await {
            Err(object_store::Error::NotFound { .. }) => return Err(refuse("is not in the lake")),
            stored => stored?.size,
        };
        if stored != file.bytes || file.add.size != i64::try_from(stored).unwrap_or(-1) {
            return Err(refuse(&format!("has {stored} bytes instead of {}", file.bytes)));
        }
        self.location().register_checksums(path, Arc::new(checksums));
        Ok(())
    }
}

impl PendingFile {
    /// Returns whether a committed file has the same bytes, by size and checksums.
    pub fn has_bytes_of(&self, committed: &DataFile) -> bool {
        let own = self.checksums();
        own.is_some() && own.as_ref() == committed.checksums.as_deref()
    }

    /// Returns the file with more tags, which the log will have.
    #[must_use]
    pub fn with_tags(mut self, tags: BTreeMap<String, String>) -> Self {
        let tags = tags.into_iter().map(|(name, value)| (name, Some(value)));
        self.add.tags.get_or_insert_default().extend(tags);
        self
    }

    /// Returns the value of a tag.
    pub fn tag(&self, name: &str) -> Option<&String> {
        self.add.tags.as_ref()?.get(name)?.as_ref()
    }

    fn checksums(&self) -> Option<BlockChecksums> {
        BlockChecksums::parse(self.tag(CHECKSUM_TAG)?, self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{def, options, rows};

    #[tokio::test]
    async fn only_the_file_that_was_asked_for_is_accepted() {
        let dir = tempfile::tempdir().expect("a folder");
        let lake = Lake::open_or_create(&options(&dir)).await.expect("a lake");
        let day: Day = "2026-03-01".parse().expect("a day");
        let tags = BTreeMap::from([("inputs".to_owned(), "2.aa.11".to_owned())]);
        let written = lake.write_file(&def(), Some(day), &[rows(&[1, 2])], tags.clone()).await;
        let text = serde_json::to_string(&written.expect("a file")).expect("JSON");
        let file: PendingFile = serde_json::from_str(&text).expect("a file");
        lake.accept_file(&def(), day, &file, &tags).await.expect("the file");

        let refused = |file: PendingFile, day: Day, tags: BTreeMap<String, String>| {
            let lake = lake.clone();
            async move {
                let refused = lake.accept_file(&def(), day, &file, &tags).await;
                refused.expect_err("a refusal").to_string()
            }
        };
        let text = refused(file.clone(), day.plus(1), tags.clone()).await;
        assert!(text.contains("is not in the folder of 2026-03-02"), "{text}");
        let other = BTreeMap::from([("inputs".to_owned(), "2.bb.11".to_owned())]);
        let text = refused(file.clone(), day, other).await;
        assert!(text.contains("by another query"), "{text}");
        let mut short = file.clone();
        short.bytes -= 1;
        let text = refused(short, day, tags.clone()).await;
        assert!(text.contains(" bytes instead of "), "{text}");
        let mut outside = file.clone();
        outside.add.path = format!("event_date={day}/part-../../x.parquet");
        let text = refused(outside, day, tags.clone()).await;
        assert!(text.contains("is not in the folder"), "{text}");
        let path = format!("raw/things/{}", file.add.path);
        lake.store().delete(&Path::from(path)).await.expect("deleted");
        let text = refused(file, day, tags).await;
        assert!(text.contains("is not in the lake"), "{text}");
    }
}
