//! The tables of a lake as this process last read them.
//!
//! Reading two entries of a table's log tells whether the table has changed since; of a changed
//! table only the new entries are read.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake::DeltaTable;
use tokio::sync::Mutex;

use crate::delta_runtime::run_to_completion;
use crate::error::LakeError;
use crate::integrity::witness;
use crate::log::follower::LogFollower;
use crate::log::load::load;
use crate::log::snapshot::TableSnapshot;
use crate::store::LakeLocation;

/// Cached tables by name. Readers of the same table wait for each other.
#[derive(Default)]
pub(crate) struct TableCache(Mutex<HashMap<String, Slot>>);

type Slot = Arc<Mutex<Option<CachedTable>>>;

struct CachedTable {
    delta: DeltaTable,
    /// The table at a version of `delta`, mostly at the one that `delta` is at.
    latest: Option<(TableSnapshot, LogFollower)>,
}

impl TableCache {
    async fn slot(&self, table: &str) -> Slot {
        Arc::clone(self.0.lock().await.entry(table.to_owned()).or_default())
    }

    /// Returns the Delta library's view of a table at its newest version; `None` when the table
    /// does not exist.
    pub(crate) async fn delta(
        &self,
        location: &LakeLocation,
        table: &str,
    ) -> Result<Option<DeltaTable>, LakeError> {
        let slot = self.slot(table).await;
        let mut slot = slot.lock().await;
        Ok(updated(&mut slot, location, table).await?.map(|cached| cached.delta.clone()))
    }

    /// Drops a table, so that its next reader loads it anew.
    pub(crate) async fn evict(&self, table: &str) {
        *self.slot(table).await.lock().await = None;
    }

    /// Returns a table at its newest version, and the follower of its log at that version.
    pub(crate) async fn latest(
        &self,
        location: &LakeLocation,
        table: &str,
    ) -> Result<Option<(TableSnapshot, LogFollower)>, LakeError> {
        let slot = self.slot(table).await;
        let mut slot = slot.lock().await;
        // The witness is read before the log: a version that it names is in the log by now.
        let store = location.log_store(table).object_store(None);
        let lower_bound = witness::newest(store.as_ref(), table).await?.lower_bound();
        if let Some(CachedTable { delta, latest: Some((snapshot, follower)) }) = &*slot
            && lower_bound.is_none_or(|lower_bound| lower_bound <= follower.version)
            && follower.is_newest(delta.log_store().as_ref(), table).await?
        {
            return Ok(Some((snapshot.clone(), follower.clone())));
        }
        let mut attempt = 0;
        loop {
            let read = async {
                match updated(&mut slot, location, table).await? {
                    Some(cached) => cached.read(table).await.map(Some),
                    None => Ok(None),
                }
            };
            match read.await {
                // The log was cleaned up while it was read.
                Err(LakeError::Delta { .. } | LakeError::LogCleanedUp { .. }) if attempt < 2 => {
                    attempt += 1;
                    *slot = None;
                }
                Ok(Some((snapshot, follower))) => {
                    let complete =
                        witness::check_not_truncated(table, snapshot.version, lower_bound);
                    if let Err(damage) = complete {
                        *slot = None;
                        return Err(damage.into());
                    }
                    location.register_file_checksums(&snapshot.files);
                    return Ok(Some((snapshot, follower)));
                }
                Err(LakeError::Damaged(damage)) if damage.is_gone() && attempt < 2 => {
                    attempt += 1;
                    *slot = None;
                }
                read => return read,
            }
        }
    }
}

/// Brings a slot to the newest version of its table; the slot is empty when there is no table.
async fn updated<'a>(
    slot: &'a mut Option<CachedTable>,
    location: &LakeLocation,
    table: &str,
) -> Result<Option<&'a mut CachedTable>, LakeError> {
    if let Some(cached) = slot {
        let mut delta = cached.delta.clone();
        let updated = async move { delta.update_incremental(None).await.map(|()| delta) };
        match run_to_completion(updated).await {
            Ok(delta) => cached.delta = delta,
            // The entries that the update starts from may have been cleaned up: the table is
            // loaded anew.
            Err(error) => {
                tracing::debug!(table, %error, "can't be followed");
                *slot = None;
            }
        }
    }
    if slot.is_none() {
        let loaded = load(location, table, None).await?;
        *slot = loaded.map(|delta| CachedTable { delta, latest: None });
    }
    Ok(slot.as_mut())
}

impl CachedTable {
    async fn read(&mut self, table: &str) -> Result<(TableSnapshot, LogFollower), LakeError> {
        let version = self.delta.snapshot().map_err(LakeError::delta(table))?.version();
        let log = self.delta.log_store();
        let mut cached =
            self.latest.take().map(|(_, follower)| follower).filter(|f| f.version < version);
        if let Some(follower) = &mut cached {
            follower.advance(log.as_ref(), table, Some(version)).await?;
        }
        // The follower stops before an entry that was cleaned up meanwhile.
        let follower = match cached.filter(|follower| follower.version == version) {
            Some(follower) => follower,
            None => LogFollower::load(log.as_ref(), table, Some(version)).await?,
        };
        let snapshot = TableSnapshot::of(table, &self.delta, &follower)?;
        self.latest = Some((snapshot.clone(), follower.clone()));
        Ok((snapshot, follower))
    }
}
