//! Tests of the engine over lakes in temporary folders.
//!
//! - `engine`: refreshes, sessions and duplicates, with quality counts and stale days
//! - `incremental`: rollups that are refreshed step by step equal rebuilt ones

pub(crate) mod engine;
pub(crate) mod incremental;
