//! Receives what units wrote, checks it, and puts together the files of each day.

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, future};
use lake::{Lake, PendingFile};

use crate::engine::Engine;
use crate::error::{Result, TransformError};
use crate::rollups::compute::{DayFiles, LocalRunner, RollupQuery};
use crate::rollups::tags::file_tags;
use crate::rollups::unit::{RollupUnit, UnitOutput, WorkUnit};

impl Engine {
    /// Runs units where this engine runs them: on the cluster, or else by `local`.
    pub(crate) fn results<'a>(
        &'a self,
        rollup: RollupQuery<'a>,
        units: Vec<RollupUnit>,
        local: &'a LocalRunner<'a>,
    ) -> UnitResults<'a> {
        let outputs = match &self.unit_runner {
            Some(runner) => runner.run(units.iter().cloned().map(WorkUnit::Rollup).collect()),
            None => local.run(units.clone()),
        };
        let foreign = self.unit_runner.is_some();
        let check = OutputCheck { lake: &self.lake, rollup, foreign };
        UnitResults { check, outputs, units: units.into(), incomplete: Vec::new() }
    }
}

/// The results of the units of one rollup, in their order.
pub(crate) struct UnitResults<'a> {
    check: OutputCheck<'a>,
    outputs: BoxStream<'a, Result<UnitOutput>>,
    /// The units whose output has not come yet.
    units: VecDeque<RollupUnit>,
    /// The files of a day of which only some ranges are computed.
    incomplete: Vec<PendingFile>,
}

/// Checks the outputs of units.
#[derive(Clone, Copy)]
struct OutputCheck<'a> {
    lake: &'a Lake,
    rollup: RollupQuery<'a>,
    /// Whether other processes write the files.
    foreign: bool,
}

impl UnitResults<'_> {
    /// Waits for days that are complete, and returns their files and those of the days that are
    /// complete already, so that one commit has them all. Returns `None` after the last ones.
    ///
    /// # Errors
    /// The first error of a unit; an output that is not what its unit asked for.
    pub(crate) async fn next(&mut self) -> Result<Option<DayFiles>> {
        let mut days = DayFiles::new();
        while let Some(unit) = self.units.front().cloned() {
            let output = match self.outputs.next().now_or_never() {
                Some(output) => output,
                None if days.is_empty() => self.outputs.next().await,
                None => break,
            };
            match self.days_of(&unit, output).await {
                Ok(more) => days.extend(more),
                // The days before it are committed first.
                Err(error) if !days.is_empty() => {
                    self.outputs = stream::once(future::err(error)).boxed();
                    break;
                }
                Err(error) => return Err(error),
            }
            self.units.pop_front();
        }
        Ok((!days.is_empty()).then_some(days))
    }

    /// Returns the files of the days that are complete with the output of a unit.
    async fn days_of(
        &mut self,
        unit: &RollupUnit,
        output: Option<Result<UnitOutput>>,
    ) -> Result<DayFiles> {
        let missing = || Err(self.check.wrong("fewer outputs than units came back"));
        let output = output.unwrap_or_else(missing)?;
        self.check.check(unit, &output).await?;
        let Some(range) = &unit.partners else {
            return Ok(output.files.into_iter().map(|(day, file)| (day, vec![file])).collect());
        };
        self.incomplete.extend(output.files.into_iter().map(|(_, file)| file));
        if range.to.is_some() { Ok(DayFiles::new()) } else { self.complete_day(unit).await }
    }

    /// Returns the files of a day whose last range was computed.
    async fn complete_day(&mut self, unit: &RollupUnit) -> Result<DayFiles> {
        let mut files = std::mem::take(&mut self.incomplete);
        let Some((day, tag)) = unit.days.first_key_value() else { return Ok(Vec::new()) };
        if files.is_empty() {
            let def = self.check.rollup.def;
            let empty = [RecordBatch::new_empty(def.file_schema())];
            let tags = file_tags(tag, &unit.versions);
            files.push(self.check.lake.write_file(def, Some(*day), &empty, tags).await?);
        }
        Ok(vec![(*day, files)])
    }
}

impl OutputCheck<'_> {
    /// Checks that an output has one file for each day of its unit, and what other processes wrote.
    async fn check(self, unit: &RollupUnit, output: &UnitOutput) -> Result<()> {
        let days = output.files.iter().map(|(day, _)| day);
        let complete = if unit.partners.is_some() {
            output.files.len() <= 1 && days.clone().all(|day| unit.days.contains_key(day))
        } else {
            days.eq(unit.days.keys())
        };
        if !complete {
            return Err(self.wrong("the files are not those of the days that were asked for"));
        }
        if self.foreign {
            for (day, file) in &output.files {
                let tag = unit.days.get(day).map(String::as_str).unwrap_or_default();
                let tags = file_tags(tag, &unit.versions);
                self.lake.accept_file(self.rollup.def, *day, file, &tags).await?;
            }
        }
        Ok(())
    }

    fn wrong(self, what: &str) -> TransformError {
        let rollup = self.rollup.query.name.clone();
        TransformError::UnitOutput { rollup, what: what.to_owned() }
    }
}
