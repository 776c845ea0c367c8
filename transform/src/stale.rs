//! Which days of a rollup are stale, and why: what each was made of against what it would be now.
//!
//! Each file of a rollup's day carries a tag, `ENGINE.QUERY.INPUT-INPUT…`: this engine's version, a
//! digest of the query, and one of each table it reads, as far as that day may read it. Files
//! never change, and a compacted one stands for those it was made of, so equal tags are equal rows.
//! A second tag names the versions of the tables that were read, to tell which days changed since.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{Context, SHA256};
use lake::{LakeError, TableSnapshot};
use lake_types::Day;

use crate::catalog::{Kind, Query};
use crate::engine::{Engine, rollup_table};
use crate::error::{Result, TransformError};
use crate::header::Reach;
use crate::inputs::Input;
use crate::rebuild::check_recomputable;
use crate::statement::Statement;

/// Raised when rows that come out of the same query and input change.
const ENGINE_VERSION: &str = "2";

/// The tag of a rollup's files that says what they were made of.
pub(crate) const INPUTS_TAG: &str = "inputs";

/// The one that says at which versions: `raw/api_calls@12 raw/billing_events@3`.
const VERSIONS_TAG: &str = "versions";

/// Characters of a digest: enough that no two are the same by chance.
const DIGITS: usize = 24;

/// Why a day is to be computed, or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    NeverBuilt,
    /// Another version of the program computes other rows.
    EngineVersion,
    SqlChanged,
    /// The query gives other columns than are stored.
    SchemaChanged,
    /// These tables hold something else on a day that is read.
    InputChanged(Vec<String>),
    /// Nothing is left that it was made of.
    InputGone,
}

/// A day that a refresh would compute or remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleDay {
    pub day: Day,
    pub reason: Reason,
    /// The days of input that changed, as far as the lake's log still tells.
    pub input_days: Vec<Day>,
}

/// What a refresh would do to a rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupPlan {
    pub name: String,
    /// Days that have input.
    pub days: usize,
    pub stale: Vec<StaleDay>,
    /// Why it can't be brought up to date, where it can't.
    pub error: Option<String>,
}

impl Engine {
    /// What a refresh would do, without doing it.
    ///
    /// # Errors
    /// The lake's own; what is wrong with a rollup stands in its plan.
    pub async fn plan(&self) -> Result<Vec<RollupPlan>> {
        let mut plans = Vec::new();
        for query in self.catalog.of_kind(Kind::Rollup) {
            plans.push(match self.plan_rollup(query).await {
                Ok(plan) => plan,
                Err(error) if error.is_of_a_query() => RollupPlan {
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

    /// The same queries for the versions of an earlier run: what was stored then of a rollup that
    /// another query had computed is left aside, and it is computed where it is read.
    ///
    /// # Errors
    /// A version that is no longer there; the lake's own.
    pub async fn for_versions(&self, versions: &BTreeMap<String, u64>) -> Result<Self> {
        let mut foreign = BTreeSet::new();
        for query in self.catalog.of_kind(Kind::Rollup) {
            let table = rollup_table(&query.name);
            let Some(version) = versions.get(&table) else { continue };
            let Ok(statement) = Statement::parse(&query.sql, &query.file) else { continue };
            let own = made_by(&statement.normalized());
            let is_own = |tag: &String| tag.starts_with(&own);
            if let Some(stored) = self.lake.snapshot(&table, Some(*version)).await?
                && !stored.files.iter().all(|f| f.tags.get(INPUTS_TAG).is_some_and(is_own))
            {
                foreign.insert(query.name.clone());
            }
        }
        let mut engine = self.clone();
        engine.foreign = foreign;
        Ok(engine)
    }

    async fn plan_rollup(&self, query: &Query) -> Result<RollupPlan> {
        let statement = Statement::parse(&query.sql, &query.file)?;
        let inputs = self.inputs(query, &statement).await?;
        let (def, _) = self.definition(query, &statement, &inputs).await?;
        let base = self.lake.snapshot(&rollup_table(&query.name), None).await?;
        let stored = base.as_ref().map(stored_tags).unwrap_or_default();
        let made_at = base.as_ref().map(stored_versions).unwrap_or_default();
        let other_columns = base.is_some_and(|base| !same_columns(&base.schema, &def.schema));
        let due = if other_columns {
            check_recomputable(query, stored.keys(), &inputs)?;
            Due::of(&statement.normalized(), &inputs, &BTreeMap::new())
        } else {
            Due::of(&statement.normalized(), &inputs, &stored)
        };
        let mut changes =
            Changes { engine: self, query, statement, inputs, known: BTreeMap::new() };
        let mut stale = Vec::new();
        for (day, reason) in due.stale {
            let reason = if other_columns { Reason::SchemaChanged } else { reason };
            let input_days = match reason {
                Reason::InputChanged(_) => changes.read_by(day, made_at.get(&day)).await?,
                _ => Vec::new(),
            };
            stale.push(StaleDay { day, reason, input_days });
        }
        for day in due.gone {
            stale.push(StaleDay { day, reason: Reason::InputGone, input_days: Vec::new() });
        }
        stale.sort_by_key(|stale| stale.day);
        Ok(RollupPlan { name: query.name.clone(), days: due.tags.len(), stale, error: None })
    }
}

/// The days of a rollup's input that changed since versions of before.
struct Changes<'a> {
    engine: &'a Engine,
    query: &'a Query,
    statement: Statement,
    /// As they are now.
    inputs: Vec<Input>,
    /// By versions of before, for each input; `None` where the log no longer has them.
    known: BTreeMap<String, Option<Vec<BTreeSet<Day>>>>,
}

impl Changes<'_> {
    /// Those that one day reads, which was made at these versions.
    async fn read_by(&mut self, day: Day, versions: Option<&String>) -> Result<Vec<Day>> {
        if self.inputs.iter().all(|input| input.reach == Reach::Same) {
            return Ok(vec![day]);
        }
        let Some(versions) = versions else { return Ok(Vec::new()) };
        if !self.known.contains_key(versions) {
            let changed = self.since(versions).await?;
            self.known.insert(versions.clone(), changed);
        }
        let Some(Some(changed)) = self.known.get(versions) else { return Ok(Vec::new()) };
        let read = self.inputs.iter().zip(changed).flat_map(|(input, changed)| {
            changed.iter().copied().filter(|other| input.reach.covers(day, *other))
        });
        let read: BTreeSet<Day> = read.collect();
        Ok(read.into_iter().collect())
    }

    async fn since(&self, versions: &str) -> Result<Option<Vec<BTreeSet<Day>>>> {
        let parsed = versions.split(' ').filter_map(|version| {
            let (table, version) = version.split_once('@')?;
            Some((table.to_owned(), version.parse().ok()?))
        });
        let parsed: BTreeMap<String, u64> = parsed.collect();
        match self.engine.inputs_at(self.query, &self.statement, Some(&parsed)).await {
            Ok(then) => {
                let pairs = self.inputs.iter().zip(&then);
                Ok(Some(pairs.map(|(now, then)| now.changed_since(then)).collect()))
            }
            Err(TransformError::Lake(LakeError::NoSuchVersion { .. })) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

/// What is to be done about a rollup.
pub(crate) struct Due {
    /// The tag of each day that has input.
    pub tags: BTreeMap<Day, String>,
    /// Days to compute.
    pub stale: Vec<(Day, Reason)>,
    /// Days to remove.
    pub gone: Vec<Day>,
}

impl Due {
    /// Sealed days stay as they were computed.
    pub(crate) fn of(text: &str, inputs: &[Input], stored: &BTreeMap<Day, Option<String>>) -> Self {
        let days: BTreeSet<Day> = inputs.iter().flat_map(Input::days).collect();
        let is_open = |day: &Day| inputs.iter().all(|input| input.is_open(*day));
        let query = made_by(text);
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let contents: Vec<_> = inputs.iter().map(|input| (input, input.contents())).collect();
        let tags: BTreeMap<Day, String> =
            days.iter().map(|day| (*day, tag(&query, &contents, *day))).collect();
        let stale = tags
            .iter()
            .filter(|(day, _)| is_open(day))
            .filter_map(|(day, tag)| {
                let held = stored.get(day).map(Option::as_deref);
                Some((*day, reason(held, tag, &names)?))
            })
            .collect();
        let gone = stored.keys().copied().filter(|day| !days.contains(day) && is_open(day));
        let gone = gone.collect();
        Self { tags, stale, gone }
    }
}

/// The tag each stored day has; `None` where its files disagree or have none.
pub(crate) fn stored_tags(base: &TableSnapshot) -> BTreeMap<Day, Option<String>> {
    let mut tags: BTreeMap<Day, Option<String>> = BTreeMap::new();
    for file in &base.files {
        let Some(day) = file.day else { continue };
        let tag = file.tags.get(INPUTS_TAG).cloned();
        tags.entry(day)
            .and_modify(|held| {
                if *held != tag {
                    *held = None;
                }
            })
            .or_insert(tag);
    }
    tags
}

/// The versions of the tables that each stored day was made of, where its file says so.
fn stored_versions(base: &TableSnapshot) -> BTreeMap<Day, String> {
    let of_file = |file: &lake::DataFile| Some((file.day?, file.tags.get(VERSIONS_TAG)?.clone()));
    base.files.iter().filter_map(of_file).collect()
}

/// The tags of a file that was made of these inputs.
pub(crate) fn file_tags(tag: &str, inputs: &[Input]) -> BTreeMap<String, String> {
    let versions: BTreeMap<&String, &u64> = inputs.iter().flat_map(|i| &i.versions).collect();
    let versions = versions.into_iter().map(|(table, version)| format!("{table}@{version}"));
    let versions: Vec<String> = versions.collect();
    BTreeMap::from([
        (INPUTS_TAG.to_owned(), tag.to_owned()),
        (VERSIONS_TAG.to_owned(), versions.join(" ")),
    ])
}

fn tag(query: &str, inputs: &[(&Input, BTreeMap<Day, String>)], day: Day) -> String {
    let inputs: Vec<String> = inputs
        .iter()
        .map(|(input, contents)| {
            let read = contents.iter().filter(|(other, _)| input.reach.covers(day, **other));
            digest([input.name.as_str()].into_iter().chain(read.map(|(_, text)| text.as_str())))
        })
        .collect();
    format!("{query}{}", inputs.join("-"))
}

/// What the tags of a query's days begin with.
fn made_by(text: &str) -> String {
    format!("{ENGINE_VERSION}.{}.", digest([text]))
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    let hex: String = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..DIGITS].to_owned()
}

/// Why a day with the one tag is not what it would be now; `names` are those of the inputs.
fn reason(held: Option<Option<&str>>, now: &str, names: &[&str]) -> Option<Reason> {
    let Some(held) = held else { return Some(Reason::NeverBuilt) };
    if held == Some(now) {
        return None;
    }
    let parts = |tag: &str| -> Option<(String, String, Vec<String>)> {
        let (engine, rest) = tag.split_once('.')?;
        let (query, inputs) = rest.split_once('.')?;
        let inputs = inputs.split('-').map(str::to_owned).collect();
        Some((engine.to_owned(), query.to_owned(), inputs))
    };
    let (Some(held), Some(now)) = (held.and_then(parts), parts(now)) else {
        return Some(Reason::EngineVersion);
    };
    if held.0 != now.0 {
        return Some(Reason::EngineVersion);
    }
    if held.1 != now.1 || held.2.len() != now.2.len() {
        return Some(Reason::SqlChanged);
    }
    let changed = names.iter().zip(held.2.iter().zip(&now.2)).filter(|(_, (a, b))| a != b);
    Some(Reason::InputChanged(changed.map(|(name, _)| (*name).to_owned()).collect()))
}

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
    fn a_tag_tells_why() {
        #[track_caller]
        fn check(held: Option<Option<&str>>, expected: Option<&Reason>) {
            assert_eq!(
                reason(held, "2.aa.11-22", &["api_calls", "billing_events"]).as_ref(),
                expected
            );
        }
        check(None, Some(&Reason::NeverBuilt));
        check(Some(Some("2.aa.11-22")), None);
        check(Some(Some("1.aa.11-22")), Some(&Reason::EngineVersion));
        check(Some(Some("0123456789abcdef")), Some(&Reason::EngineVersion));
        check(Some(None), Some(&Reason::EngineVersion));
        check(Some(Some("2.bb.11-22")), Some(&Reason::SqlChanged));
        check(Some(Some("2.aa.11")), Some(&Reason::SqlChanged));
        check(
            Some(Some("2.aa.11-33")),
            Some(&Reason::InputChanged(vec!["billing_events".to_owned()])),
        );
    }

    #[test]
    fn parts_of_a_digest_do_not_run_together() {
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
        assert_eq!(digest(["a"]).len(), DIGITS);
    }
}
