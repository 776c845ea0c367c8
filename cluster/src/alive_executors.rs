//! The executors that take work from a scheduler.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ballista_core::serde::protobuf::executor_status::Status;
use ballista_scheduler::cluster::ClusterState;

/// Tells whether executors take work.
pub(crate) struct AliveExecutors {
    pub cluster: Arc<dyn ClusterState>,
    /// For how long an executor may be silent.
    pub timeout: Duration,
}

impl AliveExecutors {
    /// Returns whether an executor has asked for work within the timeout.
    pub(crate) fn any(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = now.saturating_sub(self.timeout).as_secs();
        self.cluster.executor_heartbeats().values().any(|heartbeat| {
            let status = heartbeat.status.as_ref().and_then(|status| status.status.as_ref());
            let leaves = matches!(status, Some(Status::Terminating(_) | Status::Dead(_)));
            !leaves && heartbeat.timestamp > since
        })
    }
}
