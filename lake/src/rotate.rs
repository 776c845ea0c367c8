//! A new key for the lake: credentials are hashed and records sealed by it from now on; what the
//! old ones sealed can still be opened.

use std::collections::HashMap;

use crate::error::LakeError;
use crate::key::LakeKey;
use crate::lake::{KEY_PROPERTY, Lake, LakeOptions};
use crate::schema;

impl Lake {
    /// Puts a new key before the others of the key file, then its fingerprint into the lake, so
    /// that a key file without it is refused. The fingerprint.
    ///
    /// Killed between the two, the file has a key more than the lake knows of, which is in use as
    /// well; rotating again is fine. Workers that run keep the old key until they are restarted.
    ///
    /// # Errors
    /// As [`Lake::open`], and when the file or the lake can't be written.
    pub async fn rotate_key(options: &LakeOptions) -> Result<String, LakeError> {
        let lake = Self::open(options).await?;
        let key = LakeKey::renew(&options.key_file)?;
        crate::fault::point("key renewed", "");
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
        lake.sync_file(&format!("{table}/{}", crate::log::entry_path(version))).await?;
        lake.witness(&table, version).await;
        Ok(key.id().to_owned())
    }
}
