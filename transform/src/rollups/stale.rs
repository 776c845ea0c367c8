//! Which days of a rollup are stale, and why.
//!
//! A day is stale when its stored tag differs from the tag that it would get now (see `tags`).

use std::collections::{BTreeMap, BTreeSet};

use domain::Day;
use lake::LakeError;

use crate::catalog::header::DayRange;
use crate::catalog::statement::Statement;
use crate::catalog::{Query, QueryKind};
use crate::engine::{Engine, rollup_table};
use crate::error::{Result, TransformError};
use crate::rollups::changed_columns::check_recomputable;
use crate::rollups::inputs::RollupInput;
use crate::rollups::tags::{INPUTS_TAG, day_tag, sql_prefix, stored_tags, stored_versions};

/// Why a refresh computes or removes a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaleReason {
    NeverBuilt,
    /// Another version of the engine computed the rows.
    EngineVersion,
    SqlChanged,
    /// The columns of the query differ from the stored ones.
    SchemaChanged,
    /// The rows of these tables changed on a day that the rollup's day reads.
    InputChanged(Vec<String>),
    /// The day has no input any more, so it is removed.
    InputGone,
}

/// A day that a refresh would compute or remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleDay {
    pub day: Day,
    pub reason: StaleReason,
    /// The input days that changed, as far as the log still has the earlier version.
    pub input_days: Vec<Day>,
}

/// What a refresh would do to a rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupPlan {
    pub name: String,
    /// The number of days with input.
    pub days: usize,
    pub stale: Vec<StaleDay>,
    /// Why the rollup can't be refreshed; `None` where it can.
    pub error: Option<String>,
}

impl Engine {
    /// Returns what a refresh would do, without doing it.
    ///
    /// # Errors
    /// Errors of the lake. An error of one rollup is part of its plan.
    pub async fn plan_refresh(&self) -> Result<Vec<RollupPlan>> {
        let mut plans = Vec::new();
        for query in self.catalog.of_kind(QueryKind::Rollup) {
            plans.push(match self.plan_rollup(query).await {
                Ok(plan) => plan,
                Err(error) if error.is_query_error() => RollupPlan {
                    name: query.name.clone(),
                    days: 0,
                    stale: Vec::new(),
                    error: Some(error.to_string()),
                },
                Err(other) => return Err(other),
            });
        }
        Ok(plans)
    }

    /// Returns an engine for sessions at the table versions of an earlier run. A rollup that
    /// another query had computed then is computed from the events at each read; its stored rows
    /// are not read.
    ///
    /// # Errors
    /// A version that no longer exists; errors of the lake.
    pub async fn for_versions(&self, versions: &BTreeMap<String, u64>) -> Result<Self> {
        let mut stored_by_other_sql = BTreeSet::new();
        for query in self.catalog.of_kind(QueryKind::Rollup) {
            let table = rollup_table(&query.name);
            let Some(version) = versions.get(&table) else { continue };
            let Ok(statement) = query.statement() else { continue };
            let prefix = sql_prefix(&statement.normalized());
            let is_current = |tag: &String| tag.starts_with(&prefix);
            if let Some(stored) = self.lake.snapshot(&table, Some(*version)).await?
                && !stored.files.iter().all(|f| f.tags.get(INPUTS_TAG).is_some_and(is_current))
            {
                stored_by_other_sql.insert(query.name.clone());
            }
        }
        let mut engine = self.clone();
        engine.stored_by_other_sql = stored_by_other_sql;
        Ok(engine)
    }

    async fn plan_rollup(&self, query: &Query) -> Result<RollupPlan> {
        let statement = query.statement()?;
        let inputs = self.inputs(query, statement).await?;
        let (def, _) = self.definition(query, statement, &inputs).await?;
        let base = self.lake.snapshot(&rollup_table(&query.name), None).await?;
        let stored = base.as_ref().map(stored_tags).unwrap_or_default();
        let versions = base.as_ref().map(stored_versions).unwrap_or_default();
        let columns_changed = base.is_some_and(|base| !same_columns(&base.schema, &def.schema));
        let days = if columns_changed {
            check_recomputable(query, stored.keys(), &inputs)?;
            StaleDays::of(&statement.normalized(), &inputs, &BTreeMap::new())
        } else {
            StaleDays::of(&statement.normalized(), &inputs, &stored)
        };
        let mut changes =
            InputChanges { engine: self, query, statement, inputs, cache: BTreeMap::new() };
        let mut stale = Vec::new();
        for (day, reason) in days.stale {
            let reason = if columns_changed { StaleReason::SchemaChanged } else { reason };
            let input_days = match reason {
                StaleReason::InputChanged(_) => {
                    changes.days_read_by(day, versions.get(&day)).await?
                }
                _ => Vec::new(),
            };
            stale.push(StaleDay { day, reason, input_days });
        }
        for day in days.without_input {
            stale.push(StaleDay { day, reason: StaleReason::InputGone, input_days: Vec::new() });
        }
        stale.sort_by_key(|stale| stale.day);
        Ok(RollupPlan { name: query.name.clone(), days: days.tags.len(), stale, error: None })
    }
}

/// Finds the days of a rollup's inputs that changed since earlier versions.
struct InputChanges<'a> {
    engine: &'a Engine,
    query: &'a Query,
    statement: &'a Statement,
    /// The inputs at their newest versions.
    inputs: Vec<RollupInput>,
    /// By earlier versions: the changed days of each input, or `None` where the log no longer has
    /// the versions.
    cache: BTreeMap<String, Option<Vec<BTreeSet<Day>>>>,
}

impl InputChanges<'_> {
    /// Returns the changed days that a day of the rollup reads. `versions` are those that it was
    /// computed from.
    async fn days_read_by(&mut self, day: Day, versions: Option<&String>) -> Result<Vec<Day>> {
        if self.inputs.iter().all(|input| input.day_range == DayRange::Same) {
            return Ok(vec![day]);
        }
        let Some(versions) = versions else { return Ok(Vec::new()) };
        if !self.cache.contains_key(versions) {
            let changed = self.changed_since(versions).await?;
            self.cache.insert(versions.clone(), changed);
        }
        let Some(Some(changed)) = self.cache.get(versions) else { return Ok(Vec::new()) };
        let read = self.inputs.iter().zip(changed).flat_map(|(input, changed)| {
            changed.iter().copied().filter(|other| input.day_range.covers(day, *other))
        });
        let read: BTreeSet<Day> = read.collect();
        Ok(read.into_iter().collect())
    }

    /// Returns the changed days of each input.
    async fn changed_since(&self, versions: &str) -> Result<Option<Vec<BTreeSet<Day>>>> {
        let parsed = versions.split(' ').filter_map(|version| {
            let (table, version) = version.split_once('@')?;
            Some((table.to_owned(), version.parse().ok()?))
        });
        let parsed: BTreeMap<String, u64> = parsed.collect();
        match self.engine.inputs_at(self.query, self.statement, Some(&parsed)).await {
            Ok(then) => {
                let pairs = self.inputs.iter().zip(&then);
                Ok(Some(pairs.map(|(now, then)| now.changed_since(then)).collect()))
            }
            Err(TransformError::Lake(LakeError::NoSuchVersion { .. })) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

/// What a refresh has to do for a rollup.
pub(crate) struct StaleDays {
    /// The current tag of each day with input.
    pub tags: BTreeMap<Day, String>,
    /// The days to compute, each with the reason.
    pub stale: Vec<(Day, StaleReason)>,
    /// The stored days to remove, because they have no input any more.
    pub without_input: Vec<Day>,
}

impl StaleDays {
    /// Compares the current tags with the stored ones. `sql` is the normalized statement. A day
    /// whose events are deleted is never stale.
    pub(crate) fn of(
        sql: &str,
        inputs: &[RollupInput],
        stored: &BTreeMap<Day, Option<String>>,
    ) -> Self {
        let days: BTreeSet<Day> = inputs.iter().flat_map(RollupInput::days).collect();
        let is_computable = |day: &Day| inputs.iter().all(|input| input.is_computable(*day));
        let prefix = sql_prefix(sql);
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let contents: Vec<_> = inputs.iter().map(|input| (input, input.content_by_day())).collect();
        let tags: BTreeMap<Day, String> =
            days.iter().map(|day| (*day, day_tag(&prefix, &contents, *day))).collect();
        let stale = tags
            .iter()
            .filter(|(day, _)| is_computable(day))
            .filter_map(|(day, tag)| {
                let stored = stored.get(day).map(Option::as_deref);
                Some((*day, stale_reason(stored, tag, &names)?))
            })
            .collect();
        let without_input =
            stored.keys().copied().filter(|day| !days.contains(day) && is_computable(day));
        Self { tags, stale, without_input: without_input.collect() }
    }

    /// Whether no day has to be computed or removed.
    pub(crate) fn is_empty(&self) -> bool {
        self.stale.is_empty() && self.without_input.is_empty()
    }
}

/// Compares the stored tag of a day with the current one, and returns why the day is stale. `names`
/// are those of the inputs. The outer `None` of `stored` means that the day is not stored, the
/// inner one that it has no tag.
fn stale_reason(
    stored: Option<Option<&str>>,
    current: &str,
    names: &[&str],
) -> Option<StaleReason> {
    let Some(stored) = stored else { return Some(StaleReason::NeverBuilt) };
    if stored == Some(current) {
        return None;
    }
    let parts = |tag: &str| -> Option<(String, String, Vec<String>)> {
        let (engine, rest) = tag.split_once('.')?;
        let (query, inputs) = rest.split_once('.')?;
        let inputs = inputs.split('-').map(str::to_owned).collect();
        Some((engine.to_owned(), query.to_owned(), inputs))
    };
    let (Some(stored), Some(current)) = (stored.and_then(parts), parts(current)) else {
        return Some(StaleReason::EngineVersion);
    };
    if stored.0 != current.0 {
        return Some(StaleReason::EngineVersion);
    }
    if stored.1 != current.1 || stored.2.len() != current.2.len() {
        return Some(StaleReason::SqlChanged);
    }
    let changed = names.iter().zip(stored.2.iter().zip(&current.2)).filter(|(_, (a, b))| a != b);
    Some(StaleReason::InputChanged(changed.map(|(name, _)| (*name).to_owned()).collect()))
}

/// Whether the columns have the same names and types. Types of nested columns are not compared.
fn same_columns(stored: &arrow::datatypes::Schema, now: &arrow::datatypes::Schema) -> bool {
    stored.fields().len() == now.fields().len()
        && stored.fields().iter().zip(now.fields()).all(|(a, b)| {
            let nested = a.data_type().is_nested() && b.data_type().is_nested();
            a.name() == b.name() && (nested || a.data_type() == b.data_type())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_why_a_day_is_stale() {
        #[track_caller]
        fn check(stored: Option<Option<&str>>, expected: Option<&StaleReason>) {
            assert_eq!(
                stale_reason(stored, "2.aa.11-22", &["api_calls", "billing_events"]).as_ref(),
                expected
            );
        }
        check(None, Some(&StaleReason::NeverBuilt));
        check(Some(Some("2.aa.11-22")), None);
        check(Some(Some("1.aa.11-22")), Some(&StaleReason::EngineVersion));
        check(Some(Some("0123456789abcdef")), Some(&StaleReason::EngineVersion));
        check(Some(None), Some(&StaleReason::EngineVersion));
        check(Some(Some("2.bb.11-22")), Some(&StaleReason::SqlChanged));
        check(Some(Some("2.aa.11")), Some(&StaleReason::SqlChanged));
        check(
            Some(Some("2.aa.11-33")),
            Some(&StaleReason::InputChanged(vec!["billing_events".to_owned()])),
        );
    }
}
