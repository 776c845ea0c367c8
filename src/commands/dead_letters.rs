//! `rapport ingest dead-letters` and `rapport ingest replay`: lists rejected records, and checks
//! them again.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::TimestampMicrosecondArray;
use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use domain::{Day, Stream, agree, counted, thousands};
use ingest::{DeadLetter, RejectedBy, ReplayCounts, ReplayMapping, ReplayOptions};
use lake::Lake;

use crate::args::{DeadLettersArgs, ReplayArgs};
use crate::config::{Config, NO_MAPPING, given_mapping, mapping_name};
use crate::errors::usage_error;
use crate::output::{self, print_line};
use crate::progress::Spinner;

/// Lists the newest dead letters that the options select.
pub(crate) async fn list(config: &Config, options: &DeadLettersArgs) -> anyhow::Result<()> {
    let lake = Lake::open(&config.lake()).await?;
    let snapshot = ingest::dead_letter_table(&lake).await?;
    let days: BTreeSet<Day> = snapshot.files.iter().filter_map(|f| f.day).collect();
    let mut dead_letters: Vec<DeadLetter> = Vec::new();
    for day in days.into_iter().rev() {
        let mut of_day = ingest::dead_letters_of_day(&lake, &snapshot, day).await?;
        of_day.sort_by_key(|dead_letter| std::cmp::Reverse(dead_letter.arrival));
        dead_letters
            .extend(of_day.into_iter().filter(|dead_letter| is_selected(dead_letter, options)));
        if dead_letters.len() >= options.limit {
            break;
        }
    }
    dead_letters.truncate(options.limit);
    let rows = rows(&lake, &dead_letters, options.open)?;
    output::print_batch(&rows, options.format)
}

fn is_selected(dead_letter: &DeadLetter, options: &DeadLettersArgs) -> bool {
    options.stream.is_none_or(|s| dead_letter.stream == s.name())
        && options.reason.is_none_or(|r| dead_letter.reason == r.as_str())
}

fn rows(lake: &Lake, dead_letters: &[DeadLetter], open: bool) -> anyhow::Result<RecordBatch> {
    let text = |of: &dyn Fn(&DeadLetter) -> Option<String>| -> ArrayRef {
        Arc::new(dead_letters.iter().map(of).collect::<StringArray>())
    };
    let arrivals: Vec<i64> = dead_letters.iter().map(|l| l.arrival).collect();
    let mut fields = vec![
        Field::new("arrival", lake::schema::instant(), false),
        Field::new("stream", DataType::Utf8, false),
        Field::new("topic", DataType::Utf8, false),
        Field::new("kafka_partition", DataType::Int32, false),
        Field::new("kafka_offset", DataType::Int64, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("field", DataType::Utf8, true),
        Field::new("mapping", DataType::Utf8, true),
        Field::new("detail", DataType::Utf8, true),
    ];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from(arrivals).with_timezone("UTC")),
        text(&|l| Some(l.stream.clone())),
        text(&|l| Some(l.topic.clone())),
        Arc::new(Int32Array::from_iter_values(dead_letters.iter().map(|l| l.partition))),
        Arc::new(Int64Array::from_iter_values(dead_letters.iter().map(|l| l.offset))),
        text(&|l| Some(l.reason.clone())),
        text(&|l| l.field.clone()),
        text(&|l| l.mapping.clone()),
        text(&|l| l.detail.clone()),
    ];
    if open {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (mut keys, mut headers, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut messages = Vec::new();
        for dead_letter in dead_letters {
            let record = dead_letter.open(lake)?;
            keys.push(record.key_bytes().map(text));
            let pairs: Vec<(String, Option<String>)> =
                record.header_bytes().into_iter().map(|(n, v)| (n, v.map(text))).collect();
            // They are pairs because a record may have several headers of one name.
            headers.push((!pairs.is_empty()).then(|| serde_json::json!(pairs).to_string()));
            values.push(text(record.bytes()));
            messages.push(record.message);
        }
        for (name, column) in [
            ("key", StringArray::from(keys)),
            ("headers", StringArray::from(headers)),
            ("value", StringArray::from(values)),
            ("message", StringArray::from(messages)),
        ] {
            fields.push(Field::new(name, DataType::Utf8, true));
            columns.push(Arc::new(column));
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Maps and checks the dead letters of one stream, or of all, again.
pub(crate) async fn replay(
    config: &Config,
    options: &ReplayArgs,
    quiet: bool,
) -> anyhow::Result<()> {
    let mapping = match options.mapping.as_deref() {
        None => ReplayMapping::AsRecorded,
        Some(NO_MAPPING) => ReplayMapping::Absent,
        Some(given) => ReplayMapping::Use(given_mapping(Some(config), given)?),
    };
    // A mapping fits the stream that it names and no other.
    let only = match (&mapping, options.stream) {
        (ReplayMapping::Use(mapping), given) => match (mapping.stream(), given) {
            (Some(of), Some(given)) if of != given => {
                let name = mapping.name();
                return Err(usage_error(format!(
                    "--mapping {name} gives {of}, and --stream is {given}"
                )));
            }
            (None, None) => {
                let message = "--mapping needs --stream here, because this mapping names none";
                return Err(usage_error(message.to_owned()));
            }
            (of, given) => given.or(of),
        },
        (_, given) => given,
    };
    let lake = Lake::open(&config.lake()).await?;
    let rejected_by = match options.from.as_deref() {
        None if mapping == ReplayMapping::AsRecorded => None,
        None => only_origin(&lake, only).await?,
        Some(NO_MAPPING) => Some(RejectedBy::NoMapping),
        Some(given) => Some(RejectedBy::Mapping(mapping_name(config, given))),
    };
    let registry = config.registry();
    let resolve = |name: &str| config.named_mapping(name).map_err(|error| format!("{error:#}"));
    let spinner = Spinner::start("replay", quiet);
    let mut total = ReplayCounts::default();
    for stream in Stream::ALL.into_iter().filter(|s| only.is_none_or(|only| only == *s)) {
        let (registry, mapping) = (registry.as_ref(), &mapping);
        let rejected_by = rejected_by.as_ref();
        let options = ReplayOptions { stream, registry, mapping, rejected_by, resolve: &resolve };
        let done = ingest::replay(&lake, &options, &mut |done| {
            spinner.set_message(format!("{stream}: {} accepted", thousands(done.accepted)));
        })
        .await?;
        total.accepted += done.accepted;
        total.rejected += done.rejected;
        total.left_out += done.left_out;
        total.skipped += done.skipped;
        total.finished += done.finished;
    }
    drop(spinner);
    print_line(&format!(
        "{} accepted, {} still rejected, {} left alone (cut off, or not read past yet)",
        counted(total.accepted, "dead letter"),
        thousands(total.rejected),
        thousands(total.skipped)
    ))?;
    if total.left_out > 0 {
        print_line(&format!(
            "{} {} left out by the mapping now, and no dead {} any longer",
            counted(total.left_out, "record"),
            agree(total.left_out, "is", "are"),
            agree(total.left_out, "letter", "letters")
        ))?;
    }
    if total.finished > 0 {
        print_line(&format!(
            "{} of a replay that had died {} finished",
            thousands(total.finished),
            agree(total.finished, "was", "were")
        ))?;
    }
    Ok(())
}

/// Returns the one mapping that the dead letters came through: records of several formats don't go
/// through one mapping by accident. Returns `None` where there are no dead letters.
async fn only_origin(lake: &Lake, only: Option<Stream>) -> anyhow::Result<Option<RejectedBy>> {
    let mut found = BTreeSet::new();
    for stream in Stream::ALL.into_iter().filter(|s| only.is_none_or(|only| only == *s)) {
        found.extend(ingest::rejected_by(lake, stream).await?);
    }
    if found.len() < 2 {
        return Ok(found.pop_first());
    }
    let name = |origin: &RejectedBy| match origin {
        RejectedBy::NoMapping => NO_MAPPING.to_owned(),
        RejectedBy::Mapping(name) => name.clone(),
    };
    let names: Vec<String> =
        found.iter().map(|origin| format!("--from {}", name(origin))).collect();
    Err(usage_error(format!(
        "these dead letters came through different mappings; say which of them go through this one: {}",
        names.join(" or ")
    )))
}
