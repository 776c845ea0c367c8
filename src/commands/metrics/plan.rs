//! `rapport metrics plan`: which days of the rollups are stale, and why; computes nothing.

use std::collections::{BTreeMap, BTreeSet};

use domain::Day;
use serde_json::{Value, json};
use transform::{RollupPlan, StaleReason};

use crate::args::TextFormat;
use crate::output::{self, print_note, print_verbatim};
use crate::project::Project;
use crate::table::Table;

/// Prints the stale days of each rollup.
pub(super) async fn run(project: &Project, format: TextFormat) -> anyhow::Result<()> {
    let plans = project.engine.plan_refresh().await?;
    if format == TextFormat::Json {
        let plans: Vec<Value> = plans.iter().map(json_of).collect();
        return print_verbatim(&serde_json::to_string_pretty(&plans)?);
    }
    let mut table = Table::new(["rollup", "days", "stale", "why"], &[1, 2]);
    for plan in &plans {
        let cells = [plan.name.clone(), plan.days.to_string(), plan.stale.len().to_string()];
        let [name, days, stale] = cells;
        for (i, why) in reasons(plan).into_iter().enumerate() {
            table.row(if i == 0 {
                [name.clone(), days.clone(), stale.clone(), why]
            } else {
                [String::new(), String::new(), String::new(), why]
            });
        }
    }
    output::print_table(&table)?;
    if plans.iter().any(|plan| !plan.stale.is_empty()) {
        print_note("\nThe next run, report or query computes them; `rapport metrics run` does.");
    }
    Ok(())
}

/// Returns a line for each reason: the days it applies to, then why.
fn reasons(plan: &RollupPlan) -> Vec<String> {
    if let Some(error) = &plan.error {
        return vec![error.clone()];
    }
    if plan.stale.is_empty() {
        return vec!["up to date".to_owned()];
    }
    let mut groups: BTreeMap<String, (Vec<Day>, BTreeSet<Day>)> = BTreeMap::new();
    for stale in &plan.stale {
        let (days, changed) = groups.entry(reason(&stale.reason)).or_default();
        days.push(stale.day);
        changed.extend(&stale.input_days);
    }
    let line = |(reason, (days, changed)): (String, (Vec<Day>, BTreeSet<Day>))| {
        let changed: Vec<Day> = changed.into_iter().collect();
        // Where only the days themselves changed, they are named already.
        if changed.is_empty() || changed == days {
            return format!("{}: {reason}", day_ranges(&days));
        }
        format!("{}: {reason} on {}", day_ranges(&days), day_ranges(&changed))
    };
    groups.into_iter().map(line).collect()
}

fn reason(reason: &StaleReason) -> String {
    match reason {
        StaleReason::NeverBuilt => "never built".to_owned(),
        StaleReason::EngineVersion => "built by another version of the program".to_owned(),
        StaleReason::SqlChanged => "its SQL changed".to_owned(),
        StaleReason::SchemaChanged => "its columns changed".to_owned(),
        StaleReason::InputChanged(tables) => format!("{} changed", tables.join(", ")),
        StaleReason::InputGone => "nothing left to make it of".to_owned(),
    }
}

/// Returns consecutive days as one range each; of many ranges the first few.
fn day_ranges(days: &[Day]) -> String {
    const MAX_RANGES: usize = 4;
    let mut ranges: Vec<(Day, Day)> = Vec::new();
    for day in days {
        match ranges.last_mut() {
            Some((_, to)) if to.plus(1) == *day => *to = *day,
            _ => ranges.push((*day, *day)),
        }
    }
    let text = |(from, to): &(Day, Day)| {
        if from == to { from.to_string() } else { format!("{from} to {to}") }
    };
    let shown: Vec<String> = ranges.iter().take(MAX_RANGES).map(text).collect();
    let more = ranges.len().saturating_sub(MAX_RANGES);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", shown.join(", "))
}

fn json_of(plan: &RollupPlan) -> Value {
    let days: Vec<Value> = plan
        .stale
        .iter()
        .map(|stale| {
            let (reason, tables) = match &stale.reason {
                StaleReason::InputChanged(tables) => ("input_changed", tables.as_slice()),
                StaleReason::NeverBuilt => ("never_built", &[][..]),
                StaleReason::EngineVersion => ("engine_version", &[][..]),
                StaleReason::SqlChanged => ("sql_changed", &[][..]),
                StaleReason::SchemaChanged => ("schema_changed", &[][..]),
                StaleReason::InputGone => ("input_gone", &[][..]),
            };
            json!({
                "day": stale.day.to_string(),
                "reason": reason,
                "tables": tables,
                "input_days": stale.input_days.iter().map(Day::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "rollup": plan.name, "days": plan.days, "stale": days, "error": plan.error })
}

#[cfg(test)]
mod tests {
    use transform::StaleDay;

    use super::*;

    #[test]
    fn a_line_names_the_days_and_what_changed() {
        #[track_caller]
        fn check(stale: &[(i32, StaleReason, &[i32])], lines: &[&str]) {
            let day = |(day, reason, input): &(i32, StaleReason, &[i32])| StaleDay {
                day: Day(*day),
                reason: reason.clone(),
                input_days: input.iter().map(|day| Day(*day)).collect(),
            };
            let stale = stale.iter().map(day).collect();
            let plan = RollupPlan { name: "r".to_owned(), days: 9, stale, error: None };
            assert_eq!(reasons(&plan), lines);
        }
        let calls = || StaleReason::InputChanged(vec!["api_calls".to_owned()]);
        check(&[], &["up to date"]);
        check(
            &[(0, StaleReason::NeverBuilt, &[]), (1, calls(), &[1]), (3, calls(), &[3])],
            &["1970-01-02, 1970-01-04: api_calls changed", "1970-01-01: never built"],
        );
        check(
            &[(1, calls(), &[1]), (2, calls(), &[1]), (3, calls(), &[1, 3])],
            &["1970-01-02 to 1970-01-04: api_calls changed on 1970-01-02, 1970-01-04"],
        );
        check(&[(1, calls(), &[])], &["1970-01-02: api_calls changed"]);
    }

    #[test]
    fn consecutive_days_are_one_range() {
        let days: Vec<Day> = [0, 1, 2, 5, 7, 9, 11, 13].map(Day).to_vec();
        assert_eq!(
            day_ranges(&days),
            "1970-01-01 to 1970-01-03, 1970-01-06, 1970-01-08, 1970-01-10 and 2 more"
        );
    }
}
