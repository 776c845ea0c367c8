//! The Parquet files of the tables.
//!
//! - `parquet`: writing and reading them
//! - `encoding`: the encodings and compressions of their columns

pub(crate) mod encoding;
pub(crate) mod parquet;
