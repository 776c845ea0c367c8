//! Rollups: tables of one row for each grain and day, refreshed as events arrive.
//!
//! - `inputs`: the tables that a rollup reads
//! - `tags`: the tags of a rollup's files, which record what a day was computed from
//! - `stale`: which days of a rollup are stale, and why
//! - `unit`: units of work, and who runs them
//! - `division`: divides days into units
//! - `compute`: computes a unit and writes its files
//! - `unit_executor`: runs units that another process sends
//! - `unit_results`: checks what units wrote, and puts the files of each day together
//! - `day_writer`: writes rows that come day by day as one file for each day
//! - `audit`: checks written days before they are committed
//! - `refresh`: computes the stale days of every rollup
//! - `rebuild`: computes all days of a rollup whose columns changed
//! - `comparison`: compares stored rollups with what this process computes
//! - `changed_columns`: refuses a change of columns that needs deleted events
//! - `report`: the progress and the result of a refresh
//! - `compaction`: rewrites the events of days as few large files
//! - `compaction_unit`: rewrites those of a unit
//! - `bounded_cache`: values that units share

pub(crate) mod audit;
pub(crate) mod bounded_cache;
pub(crate) mod changed_columns;
pub(crate) mod compaction;
pub(crate) mod compaction_unit;
pub(crate) mod comparison;
pub(crate) mod compute;
pub(crate) mod day_writer;
pub(crate) mod division;
pub(crate) mod inputs;
pub(crate) mod rebuild;
pub(crate) mod refresh;
pub(crate) mod report;
pub(crate) mod stale;
pub(crate) mod tags;
pub(crate) mod unit;
pub(crate) mod unit_executor;
pub(crate) mod unit_results;
