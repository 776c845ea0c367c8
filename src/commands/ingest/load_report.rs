//! What a load did: printed for people and as JSON, and the error it ends with.

use std::time::Duration;

use domain::{agree, counted, printable, thousands};
use ingest::mapping::Mapping;
use ingest::{FileFormat, IngestCounts, LoadOptions};
use serde::Serialize;

use super::file_advice::format_name;
use super::rejections;
use super::summary::{self, CountsJson};
use crate::errors::CheckFailed;
use crate::output::{print_line, print_note, print_verbatim};

/// What became of a file.
pub(super) struct FileOutcome {
    /// How the command line names the file.
    pub(super) shown: String,
    pub(super) counts: IngestCounts,
    pub(super) took: Duration,
    pub(super) state: FileState,
    /// What it looks like, where it was rejected.
    pub(super) format: Option<FileFormat>,
    /// What it looks like and what to do, where there is something to say.
    pub(super) advice: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FileState {
    Loaded,
    /// The lake has its bytes already.
    NothingNew,
    Empty,
    /// Every record was rejected, or all that are not a part of JSON by accident.
    RejectedWhole,
    /// Most of its first records were rejected, and nothing further was committed.
    Stopped,
    /// It is an archive or a binary format; nothing of it was read.
    Refused,
    /// It can't be read or decompressed to its end.
    Unreadable,
}

/// Prints the counts of all files, and what is to be said of single ones.
pub(super) fn print(outcomes: &[FileOutcome], took: Duration) -> anyhow::Result<()> {
    if let [only] = outcomes {
        match only.state {
            FileState::Empty => return print_line("Nothing new: the file is empty"),
            FileState::NothingNew => {
                return print_line(
                    "Nothing new: the lake has these bytes already, or there are none",
                );
            }
            FileState::Unreadable | FileState::Refused => return Ok(()),
            FileState::Loaded | FileState::RejectedWhole | FileState::Stopped => {}
        }
    } else {
        for outcome in outcomes {
            print_line(&format!("{}: {}", printable(&outcome.shown), file_line(outcome)))?;
        }
    }
    let total = total(outcomes);
    if total.records > 0 || outcomes.len() > 1 {
        let before = match total.already_stored {
            0 => String::new(),
            n => format!("; {} {} loaded before", counted(n, "line"), agree(n, "was", "were")),
        };
        print_line(&format!("{}{before}", summary::line(&total, took)))?;
    }
    rejections::print(&total.rejections)?;
    summary::print_sealed_note(&total);
    // Most of these were rejected, and some were not.
    let noted = outcomes.iter().filter(|outcome| outcome.state == FileState::Loaded);
    for outcome in noted.filter(|outcome| !outcome.advice.is_empty()) {
        print_note(&format!("{}: {}", printable(&outcome.shown), outcome.advice));
    }
    Ok(())
}

/// Returns what became of one of several files.
fn file_line(outcome: &FileOutcome) -> String {
    match outcome.state {
        FileState::Loaded | FileState::RejectedWhole => {
            let records = counted(outcome.counts.records, "record");
            format!("{records}, {}", summary::outcome(&outcome.counts))
        }
        FileState::NothingNew => "nothing new".to_owned(),
        FileState::Empty => "empty".to_owned(),
        FileState::Stopped => "stopped, because most records were rejected".to_owned(),
        FileState::Refused => "not loaded".to_owned(),
        FileState::Unreadable => "not loaded to its end".to_owned(),
    }
}

fn total(outcomes: &[FileOutcome]) -> IngestCounts {
    let mut total = IngestCounts::default();
    outcomes.iter().for_each(|outcome| total.add(&outcome.counts));
    total
}

/// Returns the error with which the load ends, where a file can't be read or was rejected whole.
pub(super) fn verdict(outcomes: &[FileOutcome], accept_rejects: bool) -> anyhow::Result<()> {
    let problems: Vec<String> = outcomes
        .iter()
        .filter(|outcome| !accept_rejects || outcome.state == FileState::Unreadable)
        .filter_map(problem)
        .collect();
    let text = match problems.as_slice() {
        [] => return Ok(()),
        [only] if outcomes.len() == 1 => only.clone(),
        several => {
            let of = format!("{} of {}", several.len(), counted(outcomes.len() as u64, "file"));
            format!("{of} could not be loaded:\n  {}", several.join("\n  "))
        }
    };
    if outcomes.iter().any(|outcome| outcome.state == FileState::Unreadable) {
        return Err(anyhow::anyhow!(text));
    }
    Err(CheckFailed(text).into())
}

/// Returns what is wrong with a file that holds no events or can't be read.
fn problem(outcome: &FileOutcome) -> Option<String> {
    let FileOutcome { shown, counts, advice, .. } = outcome;
    let shown = printable(shown);
    let rejected = thousands(counts.rejected);
    let advice = match advice.as_str() {
        "" => String::new(),
        advice => format!("; {advice}"),
    };
    match outcome.state {
        FileState::Loaded | FileState::NothingNew | FileState::Empty => None,
        FileState::Unreadable => Some(outcome.advice.clone()),
        FileState::Refused => Some(format!("{shown}: {}", outcome.advice)),
        FileState::RejectedWhole if counts.accepted > 0 => {
            let records = thousands(counts.records);
            Some(format!("{shown}: {rejected} of its {records} records were rejected{advice}"))
        }
        FileState::RejectedWhole if counts.rejected == 1 => {
            Some(format!("{shown}: its only record was rejected{advice}"))
        }
        FileState::RejectedWhole => {
            Some(format!("{shown}: all of its {rejected} records were rejected{advice}"))
        }
        FileState::Stopped => Some(format!(
            "{shown}: {rejected} of its first {} records were rejected, so nothing further of it was \
             committed; --accept-rejects goes on all the same{advice}",
            thousands(counts.records)
        )),
    }
}

#[derive(Serialize)]
struct LoadJson<'a> {
    stream: &'static str,
    mapping: Option<&'a str>,
    #[serde(flatten)]
    counts: CountsJson,
    files: Vec<FileJson<'a>>,
}

#[derive(Serialize)]
struct FileJson<'a> {
    file: &'a str,
    outcome: FileState,
    looks_like: Option<&'static str>,
    advice: Option<&'a str>,
    #[serde(flatten)]
    counts: CountsJson,
}

impl<'a> FileJson<'a> {
    fn new(outcome: &'a FileOutcome) -> Self {
        Self {
            file: &outcome.shown,
            outcome: outcome.state,
            looks_like: outcome.format.as_ref().map(format_name),
            advice: Some(outcome.advice.as_str()).filter(|advice| !advice.is_empty()),
            counts: CountsJson::new(&outcome.counts, outcome.took),
        }
    }
}

/// Prints the same as JSON.
pub(super) fn print_json(
    outcomes: &[FileOutcome],
    options: &LoadOptions,
    took: Duration,
) -> anyhow::Result<()> {
    let json = LoadJson {
        stream: options.stream.name(),
        mapping: options.mapping.as_ref().map(Mapping::name),
        counts: CountsJson::new(&total(outcomes), took),
        files: outcomes.iter().map(FileJson::new).collect(),
    };
    print_verbatim(&serde_json::to_string_pretty(&json)?)
}
