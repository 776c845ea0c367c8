//! `--at`: a run of before, whose table versions are read again.

use std::collections::BTreeMap;

use anyhow::Context;
use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use lake_types::{AsOf, format_instant, parse_instant};
use transform::Session;

use crate::failure::usage;
use crate::project::Project;

/// A row of the table `runs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) started_at: i64,
    pub(super) as_of: AsOf,
    pub(super) versions: BTreeMap<String, u64>,
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.id, format_instant(self.started_at))
    }
}

/// The run that is meant: by its id or the start of it, by the number that the report's pages show,
/// or by an instant, where the newest run that had begun counts.
pub(super) async fn find(project: &Project, text: &str) -> anyhow::Result<Run> {
    let now = AsOf::at_or_before(project.now);
    let all = runs(&project.engine.at(now, None).await?).await?;
    if let Some(instant) = parse_instant(text) {
        return at_instant(all, instant);
    }
    match text.parse() {
        Ok(number) if text.len() < PREFIX && !text.starts_with('0') => {
            numbered(project, &all, number).await
        }
        _ => by_id(all, text),
    }
}

/// Digits fewer than these are the number of a run, not the start of an id.
const PREFIX: usize = 8;

/// Every run, the oldest first.
async fn runs(session: &Session) -> anyhow::Result<Vec<Run>> {
    let rows = session
        .sql("SELECT run_id, started_at, as_of, versions FROM runs ORDER BY started_at, run_id")
        .await?;
    let mut runs = Vec::new();
    for batch in &rows.batches {
        let (ids, versions) =
            (batch.column(0).as_string::<i32>(), batch.column(3).as_string::<i32>());
        let started = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        let as_of = batch.column(2).as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            let id = ids.value(row).to_owned();
            runs.push(Run {
                versions: serde_json::from_str(versions.value(row))
                    .with_context(|| format!("the versions of run {id} in the table runs"))?,
                started_at: started.value(row),
                as_of: AsOf::at_or_before(as_of.value(row)),
                id,
            });
        }
    }
    Ok(runs)
}

fn none_yet() -> anyhow::Error {
    usage(
        "--at: the lake has recorded no run yet; `rapport metrics run`, `score run`, `actions plan` \
         and `report` record theirs",
    )
}

fn at_instant(mut all: Vec<Run>, instant: i64) -> anyhow::Result<Run> {
    let first = all.first().ok_or_else(none_yet)?.to_string();
    let begun = all.iter().filter(|run| run.started_at <= instant).count();
    let newest = begun.checked_sub(1).ok_or_else(|| {
        usage(format!("--at {}: the first run is {first}", format_instant(instant)))
    })?;
    Ok(all.swap_remove(newest))
}

fn by_id(mut all: Vec<Run>, text: &str) -> anyhow::Result<Run> {
    let wanted = text.to_ascii_lowercase();
    let found: Vec<usize> = (0..all.len()).filter(|i| all[*i].id.starts_with(&wanted)).collect();
    match found.as_slice() {
        [one] => Ok(all.swap_remove(*one)),
        [] => {
            // Ids are in the order of their instants.
            let nearest = all.iter().max_by_key(|run| {
                let common = run.id.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b);
                (common.count(), run.started_at)
            });
            let nearest = nearest.ok_or_else(none_yet)?;
            Err(usage(format!(
                "--at: there is no run \"{text}\"; the nearest is {nearest}. \
                 `rapport sql \"SELECT run_id, started_at FROM runs\"` lists them; an instant means \
                 the newest run that had begun"
            )))
        }
        [first, second, ..] => Err(usage(format!(
            "--at: several runs begin with \"{text}\", such as {} and {}; give more of the id",
            all[*first], all[*second]
        ))),
    }
}

/// The run whose row came with this version of the table `runs`.
async fn numbered(project: &Project, all: &[Run], number: u64) -> anyhow::Result<Run> {
    let none = || {
        all.last().map_or_else(none_yet, |newest| {
            usage(format!(
                "--at: there is no run of number {number}, as a report's pages show it; the newest \
                 run is {newest}"
            ))
        })
    };
    let now = AsOf::at_or_before(project.now);
    let at = async |version: u64| -> anyhow::Result<Vec<Run>> {
        let versions = BTreeMap::from([(lake::schema::runs().name, version)]);
        runs(&project.engine.at(now, Some(&versions)).await?).await
    };
    let before = match number.checked_sub(1) {
        Some(before) => at(before).await.map_err(|_| none())?,
        None => return Err(none()),
    };
    let with = at(number).await.map_err(|_| none())?;
    with.into_iter().find(|run| !before.contains(run)).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, started_at: i64) -> Run {
        Run {
            id: id.to_owned(),
            started_at,
            as_of: AsOf::at_or_before(started_at),
            versions: BTreeMap::new(),
        }
    }

    fn all() -> Vec<Run> {
        vec![
            run("0199aaaa-1", 1_000_000),
            run("0199bbbb-2", 2_000_000),
            run("0199bbcc-3", 3_000_000),
        ]
    }

    #[test]
    fn runs_are_found_by_what_is_known_of_them() {
        let id = |found: anyhow::Result<Run>| found.map(|run| run.id).map_err(|e| e.to_string());
        let check = |text: &str, expected: &str| {
            assert_eq!(id(by_id(all(), text)), Ok(expected.to_owned()), "{text}");
        };
        check("0199aaaa-1", "0199aaaa-1");
        check("0199BBCC", "0199bbcc-3");
        let wrong = |text: &str, words: &[&str]| {
            let error = id(by_id(all(), text)).expect_err(text);
            words.iter().for_each(|word| assert!(error.contains(word), "{error}"));
        };
        wrong("0199bb", &["several runs", "0199bbbb-2", "0199bbcc-3"]);
        wrong(
            "0199aaab",
            &["no run \"0199aaab\"", "nearest is 0199aaaa-1 of 1970-01-01T00:00:01Z"],
        );
        assert!(id(by_id(Vec::new(), "x")).expect_err("none").contains("no run yet"));
    }

    #[test]
    fn an_instant_means_the_newest_run_that_had_begun() {
        let check = |instant, expected: &str| {
            assert_eq!(at_instant(all(), instant).expect("a run").id, expected);
        };
        check(1_000_000, "0199aaaa-1");
        check(2_999_999, "0199bbbb-2");
        check(i64::MAX, "0199bbcc-3");
        let error = at_instant(all(), 999_999).expect_err("too early").to_string();
        assert!(error.contains("the first run is 0199aaaa-1"), "{error}");
    }
}
