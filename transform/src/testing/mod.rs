//! The test cases of queries: rows in, rows out.
//!
//! - `rows`: rows of a case in TOML as Arrow batches
//! - `cells`: cells as text, and their comparison
//! - `runner`: runs cases and compares the rows
//! - `record`: writes the rows that a query returns into its cases
//! - `diff`: compares two results of a metric

pub(crate) mod cells;
pub(crate) mod diff;
pub(crate) mod record;
pub(crate) mod rows;
pub(crate) mod runner;
