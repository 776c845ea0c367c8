//! A rejected record before it is written, encrypted with the lake's key.

use lake::{Lake, SealedRecord};

use crate::decode::{MAX_RECORD_BYTES, Rejection};

/// The number of bytes that are kept of a record that is too large. Such a record can't be
/// replayed.
const MAX_KEPT_BYTES: usize = 64 << 10;

/// A rejected record, sealed as soon as it was rejected.
pub(crate) struct RejectedRecord {
    pub(crate) offset: i64,
    pub(crate) arrival: i64,
    pub(crate) rejection: Rejection,
    pub(crate) sealed: Vec<u8>,
}

/// The parts of a record beside its value.
pub(crate) struct RecordMetadata<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl RejectedRecord {
    /// Encrypts a rejected record with the lake's key. A record that is too large is truncated.
    pub(crate) fn seal(
        lake: &Lake,
        offset: i64,
        arrival: i64,
        rejection: Rejection,
        value: &[u8],
        metadata: &RecordMetadata<'_>,
    ) -> Self {
        let kept = if value.len() > MAX_RECORD_BYTES { &value[..MAX_KEPT_BYTES] } else { value };
        let record = SealedRecord::new(metadata.key, &metadata.headers, kept);
        Self { offset, arrival, rejection, sealed: lake.key().seal(&record) }
    }
}
