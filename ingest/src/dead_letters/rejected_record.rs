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
    /// The name of the mapping that it came through.
    pub(crate) mapping: Option<String>,
    pub(crate) sealed: Vec<u8>,
}

/// Why a record was rejected.
pub(crate) struct RejectionCause {
    pub(crate) rejection: Rejection,
    /// The name of the mapping that it came through.
    pub(crate) mapping: Option<String>,
    /// The message of the mapping's error, which may quote the record.
    pub(crate) message: Option<String>,
}

/// The parts of a record beside its value.
pub(crate) struct RecordMetadata<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    /// `$position` of a line of a file. That of a Kafka record follows from its offset.
    pub(crate) position: Option<String>,
}

impl RejectedRecord {
    /// Encrypts a rejected record with the lake's key, and the message of its mapping with it. A
    /// record that is too large is truncated.
    pub(crate) fn seal(
        lake: &Lake,
        offset: i64,
        arrival: i64,
        cause: RejectionCause,
        value: &[u8],
        metadata: &RecordMetadata<'_>,
    ) -> Self {
        let RejectionCause { rejection, mapping, message } = cause;
        let kept = if value.len() > MAX_RECORD_BYTES { &value[..MAX_KEPT_BYTES] } else { value };
        let record = SealedRecord::new(metadata.key, &metadata.headers, kept);
        let record = SealedRecord { message, position: metadata.position.clone(), ..record };
        Self { offset, arrival, rejection, mapping, sealed: lake.key().seal(&record) }
    }
}
