//! A rollup whose columns changed: all its days computed anew, and put in place in one commit.

use std::collections::BTreeMap;
use std::pin::pin;

use futures::StreamExt;
use lake::LakeError;
use lake_types::Day;

use crate::catalog::Query;
use crate::engine::Engine;
use crate::error::{Result, TransformError};
use crate::header::Severity;
use crate::inputs::Input;
use crate::refresh::{Progress, Rollup, RollupReport};
use crate::stale::{Due, stored_tags};
use crate::statement::Statement;

impl Engine {
    /// Which days of a rollup, by its table, can be computed once more: the first of them, `None`
    /// where all can.
    ///
    /// # Errors
    /// No such rollup; what it reads can't be read.
    pub async fn recomputable_from(&self, table: &str) -> Result<Option<Day>> {
        let query = self.catalog.find(table.strip_prefix("rollup/").unwrap_or(table))?;
        let statement = Statement::parse(&query.sql, &query.file)?;
        let inputs = self.inputs(query, &statement).await?;
        Ok(inputs.iter().filter_map(Input::first_open).max())
    }

    /// Until it is done, what is stored is as it was; versions of before stay readable.
    ///
    /// # Errors
    /// Days that can't be computed, or that a check holds back; [`LakeError::Conflict`].
    pub(crate) async fn rebuild(
        &self,
        rollup: Rollup<'_>,
        report: &mut RollupReport,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<()> {
        let Rollup { query, statement, inputs, def, .. } = rollup;
        let conflict = || LakeError::Conflict { table: def.name.clone() };
        let base = self.lake.snapshot(&def.name, None).await?.ok_or_else(conflict)?;
        let stored = stored_tags(&base);
        check_recomputable(query, stored.keys(), inputs)?;
        let Due { tags, stale, .. } = Due::of(&statement.normalized(), inputs, &BTreeMap::new());
        let days: Vec<Day> = stale.into_iter().map(|(day, _)| day).collect();
        let mut done = 0;
        let say = |done| {
            progress(Progress { rollup: query.name.clone(), days_done: done, days: days.len() });
        };
        report.findings.clear();
        report.held.clear();
        say(0);
        let mut files = Vec::new();
        let mut computed = pin!(self.computed(rollup, &days, &tags));
        while let Some(chunk) = computed.next().await {
            let chunk = chunk?;
            done += chunk.len();
            files.extend(self.hold_back(rollup, chunk, report).await?);
            say(done);
        }
        if let Some(found) = report.findings.iter().find(|f| f.severity == Severity::Error) {
            return Err(refused(query, &format!("a check fails on them: {found}")));
        }
        report.rows += files.iter().flat_map(|(_, f)| f).map(|f| f.rows).sum::<u64>();
        report.days += files.len();
        report.removed += stored.keys().filter(|day| !tags.contains_key(*day)).count();
        let files = files.into_iter().map(|(day, files)| (Some(day), files)).collect();
        self.lake.replace_columns(def, &base, files).await?;
        Ok(())
    }
}

/// Refuses other columns for a rollup that holds days whose events are gone.
pub(crate) fn check_recomputable<'a>(
    query: &Query,
    stored: impl Iterator<Item = &'a Day>,
    inputs: &[Input],
) -> Result<()> {
    let sealed: Vec<&Day> =
        stored.filter(|day| inputs.iter().any(|input| !input.is_open(**day))).collect();
    let (Some(first), Some(last)) = (sealed.first(), sealed.last()) else { return Ok(()) };
    let days = match sealed.len() {
        1 => format!("{first} is"),
        n => format!("{n} days from {first} to {last} are"),
    };
    Err(refused(query, &format!("{days} sealed by retention: their events are gone")))
}

fn refused(query: &Query, why: &str) -> TransformError {
    TransformError::File {
        file: query.file.clone(),
        line: query.header.columns.first().map_or(1, |column| column.place.line),
        message: format!(
            "its columns changed, and the days that are stored can't be computed anew: {why}; keep the columns, or give the query another name"
        ),
    }
}
