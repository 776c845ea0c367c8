//! Rotating the lake's key: the new key hashes credentials and seals records from then on, and the
//! old ones still open what they sealed.

use std::collections::HashMap;

use crate::error::LakeError;
use crate::key::LakeKey;
use crate::lake::{Lake, LakeOptions};
use crate::log::paths::entry_path;
use crate::schema;
use crate::table_properties::KEY_PROPERTY;

impl Lake {
    /// Puts a new key before the others of the key file, then its fingerprint into the lake, so
    /// that a key file without the new key is refused. Returns the fingerprint.
    ///
    /// When it is interrupted between the two steps, the key file has a key in use that the lake
    /// does not know; rotating again is safe. Running workers use the old key until they are
    /// restarted.
    ///
    /// # Errors
    /// The same as [`Lake::open`], and when the file or the lake can't be written.
    pub async fn rotate_key(options: &LakeOptions) -> Result<String, LakeError> {
        let lake = Self::open(options).await?;
        let key = LakeKey::rotate(&options.key_file)?;
        crate::failpoint::hit("key renewed", "");
        let table = schema::dead_letters().name;
        let missing = || LakeError::Missing { root: options.root.clone() };
        let delta = lake.delta(&table).await?.ok_or_else(missing)?;
        let property = HashMap::from([(KEY_PROPERTY.to_owned(), key.id().to_owned())]);
        let committed = delta
            .set_tbl_properties()
            .with_properties(property)
            .with_raise_if_not_exists(false)
            .await
            .map_err(LakeError::delta(&table))?;
        let version = committed.version().unwrap_or_default();
        lake.sync_file(&format!("{table}/{}", entry_path(version))).await?;
        lake.record_commit(&table, version).await;
        Ok(key.id().to_owned())
    }
}
