//! What apply needs of the lake and of the clock.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::document::{Change, Plan};
use crate::input::PartnerState;
use crate::log::LogEntry;

/// The lake can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// The log and the kill switch as they are now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoreState {
    pub entries: Vec<LogEntry>,
    /// Counts the appends; see [`ActionStore::append`].
    pub version: i64,
    /// Why deliveries are stopped, where a person stopped them.
    pub stopped: Option<String>,
}

/// The lake, as apply sees it.
#[async_trait]
pub trait ActionStore: Send + Sync {
    /// Reads the log and the kill switch.
    async fn read(&self) -> Result<StoreState, StoreError>;

    /// Appends rows if nobody appended any since `version` was read, and returns whether it did.
    async fn append(&self, version: i64, rows: &[LogEntry]) -> Result<bool, StoreError>;

    /// Returns the present state of some partners, by id; the ids that no longer exist are left out.
    async fn partners(&self, ids: &[String]) -> Result<BTreeMap<String, PartnerState>, StoreError>;

    /// Returns the lowest quota that a decrease may set for the partner, or why there may be none.
    fn floor(&self, partner: &PartnerState) -> Result<i64, String>;

    /// Returns why the data are too old to lower anything by them.
    fn stale(&self) -> Option<String>;

    /// Returns why the policy in force is another one than that of a plan.
    async fn other_policy(&self, plan: &Plan) -> Result<Option<String>, StoreError>;

    /// Returns how other systems name the partner of a change; of a notice the address of its
    /// recipient.
    fn target(&self, change: &Change) -> crate::deliver::TargetIds;

    /// Returns now, µs UTC.
    fn now(&self) -> i64;

    async fn wait(&self, seconds: u64);
}
