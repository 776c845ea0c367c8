//! Queries over the lake: rollups kept up to date by day, views, metrics, and their test cases.
//!
//! The only home of datafusion. Reading order: `header` and `catalog` (the files under
//! `queries/`), `statement` (one SELECT), `tables` (what queries find by name), `provider` and
//! `dedup` (the lake's tables as DataFusion reads them), `session` (one consistent set of them),
//! `slice` (some of the partners), `engine`, `refresh`, `inputs`, `arrivals` and `days` (rollups
//! brought up to date), `checks` (whether rows are as they should be), `diff` (two results side by
//! side), `functions` (what SQL lacks),
//! `cases`, `rows` and `runner` (tests of queries).

mod arrivals;
mod cases;
mod catalog;
mod checks;
mod compact;
mod days;
mod dedup;
mod diff;
mod engine;
mod error;
mod functions;
mod header;
#[cfg(test)]
mod incremental;
mod inputs;
mod provider;
mod refresh;
mod rows;
mod runner;
mod session;
mod slice;
mod statement;
mod tables;
#[cfg(test)]
mod world;

pub use cases::Case;
pub use catalog::{Catalog, Kind, Query};
pub use checks::{Finding, Findings, Verdict};
pub use diff::{CellDiff, ColumnDiff, ResultDiff, diff_results};
pub use engine::{Engine, EngineOptions};
pub use error::{Result, TransformError};
pub use functions::{Function, functions};
pub use header::{Check, Column, ColumnType, Header, Reach, Rule, Severity, ViewSlice};
pub use refresh::{Progress, RefreshReport, RollupReport};
pub use runner::{CaseResult, run_tests};
pub use session::{QueryResult, QueryStream, Relation, RelationColumn, Session};
pub use slice::{DIMENSIONS, Part};
pub use statement::check_statement;
pub use tables::{Settings, SlaRow, SunsetRow};
