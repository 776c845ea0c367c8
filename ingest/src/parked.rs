//! A partition that waits: its next record needs a schema that the Schema Registry does not give.

use std::time::{Duration, Instant};

use crate::error::IngestError;
use crate::part::Part;

/// How often the log says again that a partition waits.
const REMIND: Duration = Duration::from_secs(60);

/// Since when a partition has waited, and why.
pub(crate) struct Parked {
    pub(crate) since: Instant,
    reason: String,
    logged: Instant,
}

impl Parked {
    /// What is to be said when nobody wants to wait any longer.
    pub(crate) fn error(&self, part: &Part) -> IngestError {
        let (topic, partition, offset) = (part.topic.clone(), part.partition, part.next);
        IngestError::Parked { topic, partition, offset, reason: self.reason.clone() }
    }
}

/// Parks a partition for a reason, or lets it go on for none; the log says so.
pub(crate) fn note(parked: &mut Option<Parked>, part: &Part, reason: Option<String>) {
    let (topic, partition, offset) = (&part.topic, part.partition, part.next);
    let Some(reason) = reason else {
        if let Some(was) = parked.take() {
            let waited = was.since.elapsed().as_secs();
            tracing::info!(topic, partition, offset, waited, "the partition goes on");
        }
        return;
    };
    let now = Instant::now();
    let again = parked.as_ref();
    let due = again.is_none_or(|p| p.reason != reason || p.logged.elapsed() >= REMIND);
    if due {
        tracing::warn!(
            topic,
            partition,
            offset,
            reason,
            "the partition waits for a schema, which is asked for again every few seconds; the others go on"
        );
    }
    let since = again.map_or(now, |p| p.since);
    let logged = again.filter(|_| !due).map_or(now, |p| p.logged);
    *parked = Some(Parked { since, reason, logged });
}
