//! ingest.

pub mod decode;
