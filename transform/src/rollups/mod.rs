//! Rollups: tables of one row for each grain and day, refreshed as events arrive.
//!
//! - `inputs`: the tables that a rollup reads
//! - `tags`: the tags of a rollup's files, which record what a day was computed from
//! - `stale`: which days of a rollup are stale, and why
//! - `compute`: computes days and writes their files
//! - `day_writer`: writes rows that come day by day as one file for each day
//! - `audit`: checks written days before they are committed
//! - `refresh`: computes the stale days of every rollup
//! - `rebuild`: computes all days of a rollup whose columns changed
//! - `changed_columns`: refuses a change of columns that needs deleted events
//! - `report`: the progress and the result of a refresh
//! - `compaction`: the events of a day in few large files

pub(crate) mod audit;
pub(crate) mod changed_columns;
pub(crate) mod compaction;
pub(crate) mod compute;
pub(crate) mod day_writer;
pub(crate) mod inputs;
pub(crate) mod rebuild;
pub(crate) mod refresh;
pub(crate) mod report;
pub(crate) mod stale;
pub(crate) mod tags;
