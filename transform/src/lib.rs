//! Queries over the lake: rollups that are brought up to date by day, views, metrics, and their
//! tests.
//!
//! This crate is the only home of DataFusion. Its modules, in reading order:
//!
//! - `catalog`: the query files: headers, statements, test cases, dependencies, diagnostics
//! - `engine`: sessions over one version of the lake's tables, scans, deduplication, slices
//! - `rollups`: stale days of rollups, and their refresh, rebuild and compaction
//! - `analysis`: grain, day range, lineage and lints of queries, from their plans
//! - `data_checks`: checks of the rows of queries
//! - `functions`: the SQL functions that DataFusion lacks
//! - `postgres`: what clients of the PostgreSQL protocol ask, with the feature of that name
//! - `testing`: the runner of test cases, their recording, and the comparison of results
//! - `error`: the errors of this crate

mod analysis;
mod catalog;
mod data_checks;
mod engine;
mod error;
mod functions;
#[cfg(feature = "postgres")]
pub mod postgres;
mod rollups;
mod testing;
#[cfg(test)]
mod tests;

pub use analysis::lineage::{
    ColumnLineage, Lineage, LineageNode, affected_queries, column_lineage, downstream, upstream,
};
pub use analysis::lint::{lint_header_checks, lint_queries};
pub use catalog::built_in_tables::{ProgrammeRow, Settings, SlaRow, SunsetRow};
pub use catalog::diagnostics::{Diagnostic, Severity};
pub use catalog::graph::DependencyGraph;
pub use catalog::header::{
    Check, CheckPosition, CheckRule, CheckSeverity, Column, ColumnType, DayRange, Header, ViewSlice,
};
pub use catalog::statement::check_statement;
pub use catalog::test_cases::TestCase;
pub use catalog::{Catalog, ChangedFile, FileChange, Query, QueryKind, invalid_name_reason};
pub use data_checks::{CheckOutcome, Violation, Violations};
pub use engine::read_only::ReadOnlyRollups;
pub use engine::session::Session;
pub use engine::session::query::{QueryResult, QueryStream};
pub use engine::session::relations::{Relation, RelationColumn};
pub use engine::slice::{DIMENSIONS, PartnerSegment};
pub use engine::{Engine, EngineOptions};
pub use error::{Result, TransformError};
pub use functions::{FunctionDoc, functions};
pub use rollups::comparison::RollupComparison;
pub use rollups::report::{RefreshProgress, RefreshReport, RollupReport};
pub use rollups::stale::{RollupPlan, StaleDay, StaleReason};
pub use rollups::unit::{
    CompactionUnit, PartnerRange, RollupUnit, UnitOutput, UnitRunner, WorkUnit,
};
pub use rollups::unit_executor::UnitExecutor;
pub use testing::diff::{CellDiff, ColumnDiff, ResultDiff, diff_results};
pub use testing::record::{CaseChange, Recording, record};
pub use testing::runner::{CaseResult, run_tests};
