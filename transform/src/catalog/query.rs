//! One query of the catalog, and the kinds of queries.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::catalog::header::Header;
use crate::catalog::lazy_cases::LazyCases;
use crate::catalog::statement::Statement;
use crate::catalog::test_cases::TestCase;
use crate::error::Result;

/// The purpose of a query, which the folder of its file decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueryKind {
    /// A table that is stored by day; days with new input are computed again.
    Rollup,
    /// Rows that several metrics share; they are computed by each query that reads them.
    View,
    Metric,
    Check,
    /// An internal query that the scores read.
    Scoring,
    /// An internal query that the pages of the report read.
    Page,
    /// An internal query that the action plans read.
    Plan,
}

impl QueryKind {
    pub const ALL: [Self; 7] = [
        Self::Rollup,
        Self::View,
        Self::Metric,
        Self::Check,
        Self::Scoring,
        Self::Page,
        Self::Plan,
    ];

    /// Returns whether only the program itself reads such queries. Lists, pages and completions do
    /// not show them.
    pub fn is_internal(self) -> bool {
        matches!(self, Self::Scoring | Self::Page | Self::Plan)
    }

    /// Returns the noun for one query of this kind.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Rollup => "rollup",
            Self::View => "view",
            Self::Metric => "metric",
            Self::Check => "check",
            Self::Scoring => "query of scores",
            Self::Page => "query of pages",
            Self::Plan => "query of plans",
        }
    }

    /// Returns the folder below `queries/` with the files of this kind.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Rollup => "rollups",
            Self::View => "views",
            Self::Metric => "metrics",
            Self::Check => "checks",
            Self::Scoring => "scoring",
            Self::Page => "pages",
            Self::Plan => "plans",
        }
    }
}

/// One query file and its test cases.
#[derive(Debug, Clone)]
pub struct Query {
    pub name: String,
    pub kind: QueryKind,
    pub header: Header,
    /// The whole file, header included.
    pub sql: String,
    /// The name of the file in messages: `queries/metrics/funnel.sql`.
    pub file: String,
    /// The path of the file; `None` for a built-in query.
    pub path: Option<PathBuf>,
    pub(crate) cases: LazyCases,
    pub(crate) parsed: ParsedSql,
}

/// The parsed SQL of a query, parsed at the first use. Each query that reads a view uses it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ParsedSql {
    statement: OnceLock<Statement>,
    tables: OnceLock<Vec<String>>,
}

impl Query {
    /// Returns the parsed SQL.
    ///
    /// # Errors
    /// SQL that is no single SELECT.
    pub(crate) fn statement(&self) -> Result<&Statement> {
        if let Some(parsed) = self.parsed.statement.get() {
            return Ok(parsed);
        }
        let parsed = Statement::parse(&self.sql, &self.file)?;
        Ok(self.parsed.statement.get_or_init(|| parsed))
    }

    /// Returns the names of the tables and queries that the SQL reads.
    ///
    /// # Errors
    /// Those of [`Query::statement`].
    pub(crate) fn tables(&self) -> Result<&[String]> {
        if let Some(tables) = self.parsed.tables.get() {
            return Ok(tables);
        }
        let tables = self.statement()?.tables(&self.file)?;
        Ok(self.parsed.tables.get_or_init(|| tables))
    }

    /// Returns the test cases.
    pub fn cases(&self) -> &[TestCase] {
        self.cases.get()
    }
}
