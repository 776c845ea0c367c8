//! Finds an earlier run, whose table versions are read again: `sql --at`, `metrics diff --run`.

use std::collections::BTreeMap;

use anyhow::Context;
use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use domain::{AsOf, format_instant, parse_instant};
use transform::{Engine, Session, TransformError};

use crate::errors::{UsageError, usage_error};
use crate::project::Project;

/// A row of the table `runs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) started_at: i64,
    pub(crate) as_of: AsOf,
    pub(crate) versions: BTreeMap<String, u64>,
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.id, format_instant(self.started_at))
    }
}

impl Run {
    /// Opens a session of an engine on the run's tables.
    pub(crate) async fn session(&self, engine: &Engine, as_of: AsOf) -> anyhow::Result<Session> {
        engine
            .open_session(as_of, Some(&self.versions))
            .await
            .map_err(|error| self.explained(error))
    }

    /// Adds advice to an error if the run can't be read again.
    pub(crate) fn explained(&self, error: TransformError) -> anyhow::Error {
        self.gone(&error).unwrap_or_else(|| error.into())
    }

    /// Returns the advice, if the error means that the run can't be read again.
    pub(crate) fn gone(&self, error: &TransformError) -> Option<anyhow::Error> {
        if error.is_missing_file() {
            return Some(anyhow::anyhow!(
                "run {self} answered from files that `rapport lake vacuum` has deleted since: ask \
                 a younger run, or the newest tables"
            ));
        }
        let TransformError::Lake(gone @ lake::LakeError::NoSuchVersion { .. }) = error else {
            return None;
        };
        Some(anyhow::anyhow!(
            "run {self} can't be read any longer: {gone}, as old entries of a table's log go; ask \
             a younger run, or the newest tables"
        ))
    }
}

/// Returns the run that an option names: by its id or the start of it, by the number that the
/// report's pages show, or by an instant, which means the newest run that had started by then.
pub(crate) async fn find(project: &Project, option: &str, text: &str) -> anyhow::Result<Run> {
    let now = AsOf::at_or_before(project.now);
    let all = runs(&project.engine.open_session(now, None).await?).await?;
    let found = if let Some(instant) = parse_instant(text) {
        at_instant(all, instant)
    } else {
        match text.parse() {
            Ok(number) if text.len() < PREFIX && !text.starts_with('0') => {
                numbered(project, &all, number).await
            }
            _ => by_id(all, text),
        }
    };
    // Other errors come from the lake and have nothing to do with the option.
    found.map_err(|error| match error.downcast::<UsageError>() {
        Ok(UsageError(message)) => usage_error(format!("{option}: {message}")),
        Err(error) => error,
    })
}

/// A text of fewer digits is the number of a run, not the start of an id.
const PREFIX: usize = 8;

/// Returns every run, the oldest first.
async fn runs(session: &Session) -> anyhow::Result<Vec<Run>> {
    let rows = session.ordered_rows("runs", &["started_at", "run_id"], None).await?;
    let mut runs = Vec::new();
    for batch in &rows.batches {
        let column = |name: &str| {
            batch.column_by_name(name).with_context(|| format!("the table runs has no {name}"))
        };
        let ids = column("run_id")?.as_string::<i32>();
        let versions = column("versions")?.as_string::<i32>();
        let started = column("started_at")?.as_primitive::<TimestampMicrosecondType>();
        let as_of = column("as_of")?.as_primitive::<TimestampMicrosecondType>();
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
    usage_error(
        "the lake has recorded no run yet; `rapport metrics run`, `score run`, `actions plan` and \
         `report` record theirs",
    )
}

fn at_instant(mut all: Vec<Run>, instant: i64) -> anyhow::Result<Run> {
    let first = all.first().ok_or_else(none_yet)?.to_string();
    let begun = all.iter().filter(|run| run.started_at <= instant).count();
    let newest = begun.checked_sub(1).ok_or_else(|| {
        usage_error(format!(
            "at {} there was no run yet; the first is {first}",
            format_instant(instant)
        ))
    })?;
    Ok(all.swap_remove(newest))
}

fn by_id(mut all: Vec<Run>, text: &str) -> anyhow::Result<Run> {
    let wanted = text.to_ascii_lowercase();
    let found: Vec<usize> = (0..all.len()).filter(|i| all[*i].id.starts_with(&wanted)).collect();
    match found.as_slice() {
        [one] => Ok(all.swap_remove(*one)),
        [] => {
            // Ids are version 7 UUIDs, which sort by time.
            let nearest = all.iter().max_by_key(|run| {
                let common = run.id.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b);
                (common.count(), run.started_at)
            });
            let nearest = nearest.ok_or_else(none_yet)?;
            Err(usage_error(format!(
                "there is no run \"{text}\"; the nearest is {nearest}. \
                 `rapport sql \"SELECT run_id, started_at FROM runs\"` lists them; an instant means \
                 the newest run that had begun"
            )))
        }
        [first, second, ..] => Err(usage_error(format!(
            "several runs begin with \"{text}\", such as {} and {}; give more of the id",
            all[*first], all[*second]
        ))),
    }
}

/// Returns the run whose row was added by this version of the table `runs`.
async fn numbered(project: &Project, all: &[Run], number: u64) -> anyhow::Result<Run> {
    let none = || {
        all.last().map_or_else(none_yet, |newest| {
            usage_error(format!(
                "there is no run of number {number}, as a report's pages show it; the newest \
                 run is {newest}"
            ))
        })
    };
    let now = AsOf::at_or_before(project.now);
    let at = async |version: u64| -> anyhow::Result<Vec<Run>> {
        let versions = BTreeMap::from([(lake::schema::runs().name, version)]);
        runs(&project.engine.open_session(now, Some(&versions)).await?).await
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
        assert!(error.contains("the first is 0199aaaa-1"), "{error}");
    }
}
