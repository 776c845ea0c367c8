//! What the plan of a query shows without any rows.
//!
//! - `empty_session`: plans of queries over empty tables
//! - `plan_walk`: the shared walk over a plan, and the origin of each column
//! - `expressions`: questions to expressions that several analyses ask
//! - `grain`: the columns that identify a row
//! - `day_range`: the days of its inputs that one day of a rollup reads
//! - `lineage`: the tables and columns that a query and its columns are made of
//! - `lint`: the diagnostics of `rapport metrics check`

pub(crate) mod day_range;
mod empty_session;
mod expressions;
mod grain;
pub(crate) mod lineage;
pub(crate) mod lint;
mod plan_walk;
