//! Queries over the lake: rollups kept up to date by day, views, metrics, and their test cases.
//!
//! The only home of datafusion. Reading order: `header` and `catalog` (the files under
//! `queries/`), `statement` and `show`
//! (one SELECT), `graph` (who reads whom), `tables` (what queries find by
//! name), `provider` and `dedup` (the lake's tables as DataFusion reads them), `scores` (those of
//! an older program among them), `texts` (how texts
//! lie in memory), `held` (columns that stay there), `session` (one consistent set of them),
//! `slice` and
//! `condition` (some of the partners), `engine`, `stale`, `refresh`, `rebuild`, `inputs`, `arrivals` and `days` (rollups brought up to
//! date), `data_checks` (whether rows are as they should be), `diff` (two results side by side),
//! `functions` (what SQL lacks), `cases`, `case_places`, `rows` and `runner` (tests of queries), `record` (their
//! expectations written). About queries without a lake: `draft` (their plans), `lint`, `mistake`
//! and `nearest` (what `rapport metrics check` says of them), `reach` (which days a rollup reads),
//! `lineage`.

mod arrivals;
mod case_places;
mod cases;
mod catalog;
mod compact;
mod condition;
mod data_checks;
mod days;
mod dedup;
mod diff;
mod draft;
mod engine;
mod error;
mod functions;
mod graph;
mod header;
mod held;
#[cfg(test)]
mod incremental;
mod inputs;
mod lineage;
mod lint;
mod mistake;
mod nearest;
mod provider;
mod reach;
mod read_only;
mod rebuild;
mod record;
mod refresh;
mod rows;
mod runner;
mod scores;
mod session;
mod show;
mod slice;
mod stale;
mod statement;
mod tables;
mod texts;
#[cfg(test)]
mod world;

pub use case_places::Places;
pub use cases::Case;
pub use catalog::{Catalog, FileChange, Kind, Query, Saved, refused_name};
pub use data_checks::{Finding, Findings, Verdict};
pub use diff::{CellDiff, ColumnDiff, ResultDiff, diff_results};
pub use engine::{Engine, EngineOptions};
pub use error::{Result, TransformError};
pub use functions::{Function, functions};
pub use graph::Graph;
pub use header::{Check, Column, ColumnType, Header, Reach, Rule, Severity, ViewSlice};
pub use lineage::{ColumnLineage, Lineage, Node, columns, downstream, reached, upstream};
pub use lint::{check, check_header_checks};
pub use mistake::{Level, Mistake, Place};
pub use read_only::ReadOnly;
pub use record::{Change, Recording, record};
pub use refresh::{Progress, RefreshReport, RollupReport};
pub use runner::{CaseResult, run_tests};
pub use session::{QueryResult, QueryStream, Relation, RelationColumn, Session};
pub use slice::{DIMENSIONS, Part};
pub use stale::{Reason, RollupPlan, StaleDay};
pub use statement::check_statement;
pub use tables::{Settings, SlaRow, SunsetRow};
