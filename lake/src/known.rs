//! The tables of a lake as this process read them last: whether one has changed since takes a look
//! at two entries of its log, and of one that has, only what came is read.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake::DeltaTable;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::error::LakeError;
use crate::lake::{Lake, load};
use crate::library::to_its_end;
use crate::place::Place;
use crate::snapshot::TableSnapshot;
use crate::tail::Tail;
use crate::witness;

/// By name; who reads a table waits for others that read the same one.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<String, Slot>>);

type Slot = Arc<Mutex<Option<Table>>>;

struct Table {
    delta: DeltaTable,
    /// As of a version of `delta`, mostly the one it is at.
    read: Option<(TableSnapshot, Tail)>,
}

impl Known {
    async fn slot(&self, table: &str) -> Slot {
        Arc::clone(self.0.lock().await.entry(table.to_owned()).or_default())
    }
}

impl Lake {
    /// The library's view of a table at its newest version; `None` when it does not exist yet.
    pub(crate) async fn delta(&self, table: &str) -> Result<Option<DeltaTable>, LakeError> {
        let slot = self.known().slot(table).await;
        let mut slot = slot.lock().await;
        Ok(newest(&mut slot, self.place(), table).await?.map(|known| known.delta.clone()))
    }

    /// Has the table read anew by who asks for it next.
    pub(crate) async fn forget_known(&self, table: &str) {
        *self.known().slot(table).await.lock().await = None;
    }

    /// Reads tables side by side, so that who asks for one next finds it read. Nothing comes of an
    /// error: who asks meets it again.
    pub async fn read_ahead(&self, tables: impl IntoIterator<Item = String>) {
        let mut reads = JoinSet::new();
        for table in tables {
            let lake = self.clone();
            reads.spawn(async move { drop(lake.followed(&table).await) });
        }
        while reads.join_next().await.is_some() {}
    }

    /// A table at its newest version, and its log from there on.
    pub(crate) async fn followed(
        &self,
        table: &str,
    ) -> Result<Option<(TableSnapshot, Tail)>, LakeError> {
        let slot = self.known().slot(table).await;
        let mut slot = slot.lock().await;
        // It is asked before the log: what it says was committed is there now.
        let store = self.log_store(table).object_store(None);
        let floor = witness::newest(store.as_ref(), table).await?.floor();
        if let Some(Table { delta, read: Some((snapshot, tail)) }) = &*slot
            && floor.is_none_or(|floor| floor <= tail.version)
            && tail.is_newest(delta.log_store().as_ref(), table).await?
        {
            return Ok(Some((snapshot.clone(), tail.clone())));
        }
        let mut attempt = 0;
        loop {
            let read = async {
                match newest(&mut slot, self.place(), table).await? {
                    Some(known) => known.read(table).await.map(Some),
                    None => Ok(None),
                }
            };
            match read.await {
                // The log was cleaned up while it was read.
                Err(LakeError::Delta { .. } | LakeError::Cleaned { .. }) if attempt < 2 => {
                    attempt += 1;
                    *slot = None;
                }
                Ok(Some((snapshot, tail))) => {
                    if let Err(damage) = witness::cut_off(table, snapshot.version, floor) {
                        *slot = None;
                        return Err(damage.into());
                    }
                    self.know_files(&snapshot);
                    return Ok(Some((snapshot, tail)));
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

async fn newest<'a>(
    slot: &'a mut Option<Table>,
    place: &Place,
    table: &str,
) -> Result<Option<&'a mut Table>, LakeError> {
    if let Some(known) = slot {
        let mut delta = known.delta.clone();
        let updated = async move { delta.update_incremental(None).await.map(|()| delta) };
        match to_its_end(updated).await {
            Ok(delta) => known.delta = delta,
            // What it builds on may have been cleaned up; then it is loaded anew.
            Err(error) => {
                tracing::debug!(table, %error, "can't be followed");
                *slot = None;
            }
        }
    }
    if slot.is_none() {
        let loaded = load(place, table, None).await?;
        *slot = loaded.map(|delta| Table { delta, read: None });
    }
    Ok(slot.as_mut())
}

impl Table {
    async fn read(&mut self, table: &str) -> Result<(TableSnapshot, Tail), LakeError> {
        let version = self.delta.snapshot().map_err(LakeError::delta(table))?.version();
        let log = self.delta.log_store();
        let mut known = self.read.take().map(|(_, tail)| tail).filter(|t| t.version < version);
        if let Some(tail) = &mut known {
            tail.advance(log.as_ref(), table, Some(version)).await?;
        }
        // It stops where the next entry was cleaned up meanwhile.
        let tail = match known.filter(|tail| tail.version == version) {
            Some(tail) => tail,
            None => Tail::load(log.as_ref(), table, Some(version)).await?,
        };
        let snapshot = TableSnapshot::of(table, &self.delta, &tail)?;
        self.read = Some((snapshot.clone(), tail.clone()));
        Ok((snapshot, tail))
    }
}
