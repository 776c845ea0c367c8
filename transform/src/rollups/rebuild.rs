//! Rebuilds a rollup whose columns changed: computes all its days and replaces them in one commit.

use std::collections::BTreeMap;

use domain::Day;
use lake::LakeError;

use crate::catalog::header::CheckSeverity;
use crate::engine::Engine;
use crate::error::Result;
use crate::rollups::changed_columns::{check_recomputable, refused_columns};
use crate::rollups::compute::{LocalRunner, RollupQuery};
use crate::rollups::inputs::RollupInput;
use crate::rollups::report::{RefreshProgress, RollupReport};
use crate::rollups::stale::StaleDays;
use crate::rollups::tags::stored_tags;

impl Engine {
    /// Returns the first day of a rollup that can be computed again, or `None` where all can.
    /// `table` is the name of its table in the lake.
    ///
    /// # Errors
    /// An unknown rollup; input that can't be read.
    pub async fn recomputable_from(&self, table: &str) -> Result<Option<Day>> {
        let query = self.catalog.find(table.strip_prefix("rollup/").unwrap_or(table))?;
        let inputs = self.inputs(query, query.statement()?).await?;
        Ok(inputs.iter().filter_map(RollupInput::first_computable).max())
    }

    /// Computes all days of a rollup and replaces the stored ones. The stored rows stay until all
    /// days are computed, and earlier versions stay readable.
    ///
    /// # Errors
    /// Days that can't be computed or that violate a check; [`LakeError::Conflict`].
    pub(crate) async fn rebuild(
        &self,
        rollup: RollupQuery<'_>,
        report: &mut RollupReport,
        progress: &(dyn Fn(RefreshProgress) + Sync),
    ) -> Result<()> {
        let RollupQuery { query, statement, inputs, def, .. } = rollup;
        let conflict = || LakeError::Conflict { table: def.name.clone() };
        let base = self.lake.snapshot(&def.name, None).await?.ok_or_else(conflict)?;
        let stored = stored_tags(&base);
        check_recomputable(query, stored.keys(), inputs)?;
        let StaleDays { tags, stale, .. } =
            StaleDays::of(&statement.normalized(), inputs, &BTreeMap::new());
        let days: Vec<Day> = stale.into_iter().map(|(day, _)| day).collect();
        let mut done = 0;
        let report_progress = |done| {
            progress(RefreshProgress {
                rollup: query.name.clone(),
                days_done: done,
                days: days.len(),
            });
        };
        report.violations.clear();
        report.blocked.clear();
        report_progress(0);
        let mut files = Vec::new();
        let units = self.units(rollup, &days, &tags).await?;
        let local = LocalRunner { engine: self, rollup };
        let mut results = self.results(rollup, units, &local);
        while let Some(chunk) = results.next().await? {
            done += chunk.len();
            files.extend(self.audit(rollup, chunk, report).await?);
            report_progress(done);
        }
        let blocking = report.violations.iter().find(|v| v.severity == CheckSeverity::Error);
        if let Some(violation) = blocking {
            return Err(refused_columns(query, &format!("a check fails on them: {violation}")));
        }
        report.rows += files.iter().flat_map(|(_, f)| f).map(|f| f.rows).sum::<u64>();
        report.days += files.len();
        report.removed += stored.keys().filter(|day| !tags.contains_key(*day)).count();
        let files = files.into_iter().map(|(day, files)| (Some(day), files)).collect();
        self.lake.replace_columns(def, &base, files).await?;
        Ok(())
    }
}
