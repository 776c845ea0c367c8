//! Checks days of a rollup after they are written and before they are committed.
//!
//! This is the pattern write–audit–publish: a day that violates a check of severity error is not
//! committed, so its rows from before stay.

use std::sync::Arc;

use domain::Day;
use lake::PendingFile;

use crate::catalog::header::CheckSeverity;
use crate::data_checks::{CheckedRows, Violation};
use crate::engine::Engine;
use crate::engine::file_list::FileList;
use crate::engine::scan::StoredTable;
use crate::error::Result;
use crate::rollups::compute::{DayFiles, RollupQuery};
use crate::rollups::report::RollupReport;

impl Engine {
    /// Runs the checks over written days. Returns the days to commit, and adds the violations and
    /// the blocked days to the report.
    pub(crate) async fn audit(
        &self,
        rollup: RollupQuery<'_>,
        files: DayFiles,
        report: &mut RollupReport,
    ) -> Result<DayFiles> {
        let violations = self.violations(rollup, &files).await?;
        let blocks = |violation: &Violation| violation.severity == CheckSeverity::Error;
        if !violations.iter().any(blocks) {
            report.violations.extend(violations);
            return Ok(files);
        }
        // Each day is checked alone to find those that the violations are in.
        let mut passed = Vec::new();
        for day in files {
            let violations = self.violations(rollup, std::slice::from_ref(&day)).await?;
            if violations.iter().any(blocks) {
                report.blocked.push(day.0);
            } else {
                passed.push(day);
            }
            report.violations.extend(violations);
        }
        Ok(passed)
    }

    async fn violations(
        &self,
        RollupQuery { query, def, checks, .. }: RollupQuery<'_>,
        days: &[(Day, Vec<PendingFile>)],
    ) -> Result<Vec<Violation>> {
        if checks.is_empty() {
            return Ok(Vec::new());
        }
        let written = |(day, files): &(Day, Vec<PendingFile>)| {
            files.iter().map(|f| f.to_data_file(def, Some(*day))).collect::<Vec<_>>()
        };
        let files = days.iter().flat_map(written).collect();
        let list = FileList::of_def(def, files).with_utf8_view();
        let this = Arc::new(StoredTable(list));
        CheckedRows { query, this, session: None }.run_in(&self.context(), checks).await
    }
}
