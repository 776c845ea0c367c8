//! A partition that is paused because the Schema Registry does not give its next record's schema.

use std::time::{Duration, Instant};

use crate::error::IngestError;
use crate::partition_buffer::PartitionBuffer;

/// The interval at which the log repeats that a partition is paused.
const REMIND_INTERVAL: Duration = Duration::from_secs(60);

/// Since when a partition is paused, and why.
pub(crate) struct PausedPartition {
    pub(crate) since: Instant,
    reason: String,
    logged: Instant,
}

impl PausedPartition {
    /// Returns the error of a run that waits no longer.
    pub(crate) fn error(&self, buffer: &PartitionBuffer) -> IngestError {
        let (topic, partition, offset) =
            (buffer.topic.clone(), buffer.partition, buffer.next_offset);
        IngestError::PartitionPaused { topic, partition, offset, reason: self.reason.clone() }
    }
}

/// Pauses a partition for a reason, or resumes it without one, and logs the change.
pub(crate) fn update(
    paused: &mut Option<PausedPartition>,
    buffer: &PartitionBuffer,
    reason: Option<String>,
) {
    let (topic, partition, offset) = (&buffer.topic, buffer.partition, buffer.next_offset);
    let Some(reason) = reason else {
        if let Some(resumed) = paused.take() {
            let waited = resumed.since.elapsed().as_secs();
            tracing::info!(topic, partition, offset, waited, "the partition goes on");
        }
        return;
    };
    let now = Instant::now();
    let previous = paused.as_ref();
    let log_now =
        previous.is_none_or(|p| p.reason != reason || p.logged.elapsed() >= REMIND_INTERVAL);
    if log_now {
        tracing::warn!(
            topic,
            partition,
            offset,
            reason,
            "the partition waits for a schema, which is asked for again every few seconds; the others go on"
        );
    }
    let since = previous.map_or(now, |p| p.since);
    let logged = previous.filter(|_| !log_now).map_or(now, |p| p.logged);
    *paused = Some(PausedPartition { since, reason, logged });
}
