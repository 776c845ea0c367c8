//! The Parquet files of the tables.
//!
//! - `parquet`: writing and reading them
//! - `foreign`: files that another process wrote and this one commits
//! - `encoding`: the encodings and compressions of their columns

pub(crate) mod encoding;
mod foreign;
pub(crate) mod parquet;
