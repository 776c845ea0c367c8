//! Whether the grain tells the rows of a query apart, and whether their order is one.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;

use super::facts::{Doubt, Facts, Ids, Reading};
use super::text::Words;
use crate::catalog::{Catalog, Kind, Query};
use crate::header::{Check, Rule};
use crate::mistake::{Area, Mistakes};
use crate::runner::{session_of, text_of};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grain {
    /// Shown by the plan, or said to be wrong.
    Known,
    /// Only rows can tell.
    Unknown,
}

pub(super) fn check(
    query: &Query,
    plan: &LogicalPlan,
    keys: &dyn Fn(&str) -> Vec<Vec<String>>,
    words: &Words,
    mistakes: &mut Mistakes<'_>,
) -> Grain {
    let (reading, facts) = Reading::of(plan, keys);
    for found in &reading.doubts {
        doubt(found, words, mistakes);
    }
    let ids: Option<Vec<usize>> = query
        .header
        .grain
        .iter()
        .map(|name| {
            let at = plan.schema().fields().iter().position(|f| f.name() == name)?;
            facts.columns.get(at).copied()
        })
        .collect();
    // A grain of a column that is not there: the columns have been said.
    let Some(ids) = ids else { return Grain::Known };
    if query.kind == Kind::Metric {
        order(query, &reading, &facts, &ids, words, mistakes);
    }
    if ids.is_empty() {
        return Grain::Known;
    }
    grain(query, plan, &reading, &facts, &ids, mistakes)
}

fn grain(
    query: &Query,
    plan: &LogicalPlan,
    reading: &Reading<'_>,
    facts: &Facts,
    ids: &[usize],
    mistakes: &mut Mistakes<'_>,
) -> Grain {
    let area = Area { place: query.header.grain_place, width: usize::MAX };
    let all: Ids = ids.iter().copied().collect();
    let shown = |id: &usize| {
        let at = facts.columns.iter().position(|column| column == id);
        at.map_or_else(|| reading.name(*id), |at| plan.schema().field(at).name().as_str())
            .to_owned()
    };
    let groups = reading.groups.as_deref().unwrap_or_default();
    if reading.tells_apart(facts, &all).is_ok() {
        let follows = reading.closure(&groups.iter().copied().collect());
        let extra = ids.iter().zip(&query.header.grain).find(|(id, _)| {
            let others: Ids = all.iter().copied().filter(|other| other != *id).collect();
            !groups.contains(id)
                && follows.contains(id)
                && reading.groups.is_some()
                && reading.tells_apart(facts, &others).is_ok()
        });
        if let Some((_, name)) = extra {
            let groups: Vec<String> = groups.iter().map(shown).collect();
            let message = format!("`{name}` is in the grain and not in GROUP BY");
            let help = if groups.is_empty() {
                "the query gives one row: leave the grain out".to_owned()
            } else {
                format!("write grain = {groups:?}, or group by `{name}` too")
            };
            mistakes.error("grain", area, message, help);
        }
        return Grain::Known;
    }
    let closure = reading.closure(&all);
    if groups.iter().any(|id| !closure.contains(id)) {
        let groups: Vec<String> = groups.iter().map(shown).collect();
        let message = format!(
            "the grain is {:?}, and the query gives a row for each ({})",
            query.header.grain,
            groups.join(", ")
        );
        let help = format!("write grain = {groups:?}, or group by the grain alone");
        mistakes.error("grain", area, message, help);
        return Grain::Known;
    }
    Grain::Unknown
}

fn order(
    query: &Query,
    reading: &Reading<'_>,
    facts: &Facts,
    grain: &[usize],
    words: &Words,
    mistakes: &mut Mistakes<'_>,
) {
    if reading.tells_apart(facts, &Ids::new()).is_ok() {
        return;
    }
    let names = &query.header.grain;
    let Some(order) = &facts.order else {
        let help = if names.is_empty() {
            "say its grain in the header, and end with ORDER BY over it".to_owned()
        } else {
            format!("end with `ORDER BY {}`", names.join(", "))
        };
        let message = "without ORDER BY the rows come in any order";
        mistakes.error("order", words.first(), message, help);
        return;
    };
    let closure = reading.closure(order);
    let lacking: Vec<&str> = grain
        .iter()
        .zip(names)
        .filter(|(id, _)| !closure.contains(id))
        .map(|(_, name)| name.as_str())
        .collect();
    if reading.tells_apart(facts, order).is_ok() || (!grain.is_empty() && lacking.is_empty()) {
        return;
    }
    let area = words.last("order").unwrap_or_else(|| words.first());
    if grain.is_empty() {
        let message = "nothing shows that this order is one: the header names no grain";
        mistakes.error("order", area, message, "say the grain, and order by it".to_owned());
        return;
    }
    let lacking = lacking.join(", ");
    let message = format!("rows that differ only in `{lacking}` come in any order");
    mistakes.error("order", area, message, format!("add `{lacking}` to ORDER BY"));
}

fn doubt(doubt: &Doubt, words: &Words, mistakes: &mut Mistakes<'_>) {
    let what = &doubt.what;
    let word = what.split(' ').next().unwrap_or_default();
    let area = doubt.place.and_then(|place| words.before(place, word));
    let area = area.or_else(|| words.word(word)).unwrap_or_else(|| words.first());
    if !doubt.ordered {
        let message = format!("`{what}` without ORDER BY takes the rows as they come");
        let help = "order by columns that tell the rows apart".to_owned();
        mistakes.error("order", area, message, help);
    } else if doubt.missing.is_empty() {
        let message = format!("nothing shows that the ORDER BY of `{what}` tells its rows apart");
        let help = "order by columns that do, such as those of a GROUP BY below".to_owned();
        mistakes.warning("order", area, message, help);
    } else {
        let missing: Vec<&str> = doubt.missing.iter().map(String::as_str).collect();
        let missing = missing.join(", ");
        let message = format!(
            "the ORDER BY of `{what}` does not tell apart rows that differ only in `{missing}`"
        );
        mistakes.error("order", area, message, format!("add `{missing}` to that ORDER BY"));
    }
}

/// Looks for two rows of one grain in what the query gives for its cases.
pub(super) async fn check_cases(
    catalog: &Arc<Catalog>,
    query: &Query,
    mistakes: &mut Mistakes<'_>,
) {
    let area = Area { place: query.header.grain_place, width: usize::MAX };
    let grain = &query.header.grain;
    let mut rows = 0;
    for case in &query.cases {
        let Ok(Ok(session)) = session_of(catalog, case) else { continue };
        // A case that fails is told of by the tests.
        let Ok(result) = session.metric(&query.name).await else { continue };
        let mut seen: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        for batch in &result.batches {
            let columns: Option<Vec<_>> = grain.iter().map(|g| batch.column_by_name(g)).collect();
            let Some(columns) = columns else { return };
            for row in 0..batch.num_rows() {
                let key: Vec<String> = columns.iter().map(|c| text_of(c, row)).collect();
                *seen.entry(key).or_default() += 1;
            }
        }
        rows += seen.len();
        if let Some((key, times)) = seen.iter().find(|(_, times)| **times > 1) {
            let values: Vec<String> =
                grain.iter().zip(key).map(|(name, value)| format!("{name} = {value}")).collect();
            let message =
                format!("{times} rows have {} in the case \"{}\"", values.join(", "), case.name);
            let help = "the grain lacks a column, or the query a GROUP BY".to_owned();
            mistakes.error("grain", area, message, help);
            return;
        }
    }
    let watched = |check: &Check| matches!(&check.rule, Rule::Unique(columns) if columns.iter().all(|c| grain.contains(c)));
    if rows < 2 && !query.header.checks.iter().any(watched) {
        let message = "nothing shows that the grain tells the rows apart";
        let help = format!("add a case with several rows, or [[checks]] unique = {grain:?}");
        mistakes.warning("grain", area, message, help);
    }
}
