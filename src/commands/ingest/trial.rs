//! `rapport ingest try`: shows what a mapping makes of a file, and what would be rejected and why.

use domain::{Stream, counted, display_width, printable, thousands, truncate_to_width};
use ingest::mapping::{Mapping, StoredField, TrialOutcome, TrialResult};
use ingest::{
    FileFormat, FileHead, FileTrial, FileTrialOptions, TriedRecord, detect_format, try_file,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::file_advice::{RejectedFile, format_name};
use super::file_sources::{self, FileSource, OpenSource};
use super::rejections::{self, RejectionJson, rejections_json};
use super::stream_and_mapping;
use crate::args::{IngestTryArgs, TextFormat};
use crate::config::Config;
use crate::errors::{CheckFailed, usage_error};
use crate::output::{print_line, print_verbatim};
use crate::table::terminal_width;

/// The width of the output where it is no terminal.
const WIDTH: usize = 160;
/// What stands in place of a credential.
const HASHED: &str = "(stored as a keyed hash)";
/// The contract's field of a credential, and its column.
const CREDENTIAL: &str = "credential_id";

/// Tries a file and prints what would become of it; `config` is the project, where there is one.
pub(crate) fn run(config: Option<&Config>, options: &IngestTryArgs) -> anyhow::Result<()> {
    let (stream, mapping) = stream_and_mapping(config, options.stream, options.mapping.as_deref())?;
    let sources = file_sources::find(std::slice::from_ref(&options.file), &[])?;
    let [source] = sources.as_slice() else {
        return Err(usage_error(format!(
            "{} is a folder; give one file of it",
            options.file.display()
        )));
    };
    let opened = source.open()?;
    let trial_options = FileTrialOptions {
        stream,
        mapping,
        arrival: chrono::Utc::now().timestamp_micros(),
        limit: options.limit,
    };
    let mut trial = try_file(&opened.path, &source.name, &trial_options)
        .map_err(|error| anyhow::anyhow!("the file {}: {error}", source.shown))?;
    trial.counts.rejections.set_file(&source.shown);
    let is_rejected = trial.counts.accepted == 0 && trial.counts.rejected > 0;
    let found = is_rejected.then(|| explain(source, &opened, &trial_options)).transpose()?;
    match options.format {
        TextFormat::Text => print(source, &trial, &trial_options)?,
        TextFormat::Json => print_json(&trial, &trial_options, found.as_ref())?,
    }
    match found {
        None => Ok(()),
        Some((_, advice)) => {
            let advice = if advice.is_empty() { advice } else { format!("; {advice}") };
            let shown = printable(&source.shown);
            Err(CheckFailed(format!("{shown}: all of it would be rejected{advice}")).into())
        }
    }
}

/// Returns what a file looks like of which nothing is accepted, and what to do with it.
fn explain(
    source: &FileSource,
    opened: &OpenSource,
    options: &FileTrialOptions,
) -> anyhow::Result<(FileFormat, String)> {
    let head = FileHead::read(&opened.path)?;
    let format = detect_format(&head, options.stream, options.arrival);
    let rejected = RejectedFile {
        path: source.is_file().then_some(source.shown.as_str()),
        decompress: head.decompress_command(),
        stream: options.stream,
        mapping: options.mapping.as_ref().map(Mapping::name),
        // The user has just tried it.
        was_tried: true,
    };
    let advice = rejected.advice(&format);
    Ok((format, advice))
}

fn print(source: &FileSource, trial: &FileTrial, options: &FileTrialOptions) -> anyhow::Result<()> {
    let width = terminal_width().map_or(WIDTH, usize::from).max(40);
    for record in &trial.records {
        print_record(record, width)?;
    }
    let through = match &options.mapping {
        Some(mapping) => format!("through {}", printable(mapping.name())),
        None => "without a mapping".to_owned(),
    };
    let counts = &trial.counts;
    let left_out = match counts.skipped {
        0 => String::new(),
        skipped => format!(", {} left out by the mapping", thousands(skipped)),
    };
    print_line(&format!(
        "{} as {} {through}: of {} {} would be accepted, {} rejected{left_out}. Nothing was written.",
        printable(&source.shown),
        options.stream,
        counted(counts.records, "record"),
        thousands(counts.accepted),
        thousands(counts.rejected),
    ))?;
    rejections::rule_lines(&counts.rejections).iter().try_for_each(|line| print_line(line))
}

/// Prints a record before and after.
fn print_record(record: &TriedRecord, width: usize) -> anyhow::Result<()> {
    let TrialOutcome { mapped, result } = &record.outcome;
    let (verdict, message) = match result {
        TrialResult::Accepted(_) => ("accepted".to_owned(), None),
        TrialResult::Skipped { why } => {
            let why = why.as_deref().map(|why| format!(": {}", printable(why)));
            (format!("left out by the mapping{}", why.unwrap_or_default()), None)
        }
        TrialResult::Rejected { rejection, message } => {
            (format!("rejected as {}", printable(&rejection.to_string())), message.as_deref())
        }
    };
    print_line(&format!("line {}: {verdict}", record.line))?;
    let value = String::from_utf8_lossy(&record.value);
    print_labelled("before", &value, width)?;
    if let Some(message) = message {
        print_labelled("message", message, width)?;
    }
    match result {
        TrialResult::Accepted(fields) => print_fields(fields, width)?,
        _ => {
            if let Some(event) = mapped {
                print_labelled("after", &without_credential(event).to_string(), width)?;
            }
        }
    }
    print_line("")
}

/// Prints the fields of an event as they would be stored, several in a line.
fn print_fields(fields: &[StoredField], width: usize) -> anyhow::Result<()> {
    const LABEL: usize = 10;
    let mut line = String::new();
    let mut label = "after";
    let flush = |label: &str, line: &str| print_line(&format!("  {label:<8}{line}"));
    for field in fields.iter().filter(|field| !field.value.is_null()) {
        let value = match &field.value {
            _ if field.column == CREDENTIAL => HASHED.to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let cell = format!("{}={}", field.column, printable(&value));
        let cell = truncate_to_width(&cell, width - LABEL).into_owned();
        if !line.is_empty() && display_width(&line) + 2 + display_width(&cell) > width - LABEL {
            flush(label, &line)?;
            label = "";
            line.clear();
        }
        if !line.is_empty() {
            line.push_str("  ");
        }
        line.push_str(&cell);
    }
    flush(label, &line)
}

/// Prints a text that may be long in one line.
fn print_labelled(label: &str, text: &str, width: usize) -> anyhow::Result<()> {
    // What lies beyond the width need not be escaped.
    let start: String = text.chars().take(width).collect();
    let shown = printable(&start);
    let cut = if start.len() < text.len() { "…" } else { "" };
    let whole = format!("{shown}{cut}");
    print_line(&format!("  {label:<8}{}", truncate_to_width(&whole, width - 10)))
}

/// Returns an event as JSON, with a note in place of its credential.
fn without_credential(event: &str) -> Value {
    let mut event: Value = serde_json::from_str(event).unwrap_or_default();
    if let Some(credential) = event.get_mut(CREDENTIAL).filter(|value| !value.is_null()) {
        *credential = HASHED.into();
    }
    event
}

#[derive(Serialize)]
struct TrialJson<'a> {
    stream: &'static str,
    mapping: Option<&'a str>,
    records: u64,
    accepted: u64,
    rejected: u64,
    skipped: u64,
    rejections: Vec<RejectionJson>,
    looks_like: Option<&'static str>,
    advice: Option<&'a str>,
    shown: Vec<RecordJson<'a>>,
}

#[derive(Serialize)]
struct RecordJson<'a> {
    line: u64,
    outcome: &'static str,
    /// The record: JSON, or the text of a line that is none.
    before: Value,
    /// What the mapping made of it.
    mapped: Option<Value>,
    /// The fields as they would be stored.
    stored: Option<Map<String, Value>>,
    reason: Option<&'static str>,
    field: Option<&'static str>,
    rule: Option<&'a str>,
    /// The message of the mapping's error, or why it leaves the record out.
    message: Option<&'a str>,
}

impl<'a> RecordJson<'a> {
    fn new(record: &'a TriedRecord) -> Self {
        let TrialOutcome { mapped, result } = &record.outcome;
        let text = || String::from_utf8_lossy(&record.value).into_owned().into();
        let mut json = Self {
            line: record.line,
            outcome: "accepted",
            before: serde_json::from_slice(&record.value).unwrap_or_else(|_| text()),
            mapped: mapped.as_deref().map(without_credential),
            stored: None,
            reason: None,
            field: None,
            rule: None,
            message: None,
        };
        match result {
            TrialResult::Accepted(fields) => json.stored = Some(stored_json(fields)),
            TrialResult::Skipped { why } => {
                json.outcome = "skipped";
                json.message = why.as_deref();
            }
            TrialResult::Rejected { rejection, message } => {
                json.outcome = "rejected";
                json.reason = Some(rejection.reason.as_str());
                json.field = rejection.field;
                json.rule = Some(&rejection.detail);
                json.message = message.as_deref();
            }
        }
        json
    }
}

fn stored_json(fields: &[StoredField]) -> Map<String, Value> {
    let value = |field: &StoredField| match &field.value {
        Value::String(_) if field.column == CREDENTIAL => HASHED.into(),
        other => other.clone(),
    };
    fields.iter().map(|field| (field.column.to_owned(), value(field))).collect()
}

fn print_json(
    trial: &FileTrial,
    options: &FileTrialOptions,
    found: Option<&(FileFormat, String)>,
) -> anyhow::Result<()> {
    let counts = &trial.counts;
    let stream: Stream = options.stream;
    let json = TrialJson {
        stream: stream.name(),
        mapping: options.mapping.as_ref().map(Mapping::name),
        records: counts.records,
        accepted: counts.accepted,
        rejected: counts.rejected,
        skipped: counts.skipped,
        rejections: rejections_json(&counts.rejections),
        looks_like: found.map(|(format, _)| format_name(format)),
        advice: found.map(|(_, advice)| advice.as_str()).filter(|advice| !advice.is_empty()),
        shown: trial.records.iter().map(RecordJson::new).collect(),
    };
    print_verbatim(&serde_json::to_string_pretty(&json)?)
}
