//! Detecting damage: checksums of files, witnesses of logs, and a store that checks what it reads.
//!
//! - `damage`: a damaged file, as an error with advice
//! - `block_checksum`: checksums of data files
//! - `log_checksum`: checksums of log entries and checkpoint hints
//! - `witness`: files beside a log that tell what the log must contain
//! - `verified_store`: the object store that checks every read

pub(crate) mod block_checksum;
pub(crate) mod damage;
pub(crate) mod log_checksum;
pub(crate) mod verified_store;
pub(crate) mod witness;
