//! `rapport ingest dead-letters` and `rapport ingest replay`: lists rejected records, and checks
//! them again.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::TimestampMicrosecondArray;
use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use domain::{Day, Stream, agree, counted, thousands};
use ingest::{DeadLetter, ReplayCounts};
use lake::Lake;

use crate::args::DeadLettersArgs;
use crate::config::Config;
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
    ];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from(arrivals).with_timezone("UTC")),
        text(&|l| Some(l.stream.clone())),
        text(&|l| Some(l.topic.clone())),
        Arc::new(Int32Array::from_iter_values(dead_letters.iter().map(|l| l.partition))),
        Arc::new(Int64Array::from_iter_values(dead_letters.iter().map(|l| l.offset))),
        text(&|l| Some(l.reason.clone())),
        text(&|l| l.field.clone()),
    ];
    if open {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (mut keys, mut headers, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for dead_letter in dead_letters {
            let record = dead_letter.open(lake)?;
            keys.push(record.key_bytes().map(text));
            let pairs: Vec<(String, Option<String>)> =
                record.header_bytes().into_iter().map(|(n, v)| (n, v.map(text))).collect();
            // They are pairs because a record may have several headers of one name.
            headers.push((!pairs.is_empty()).then(|| serde_json::json!(pairs).to_string()));
            values.push(text(record.bytes()));
        }
        for (name, column) in [
            ("key", StringArray::from(keys)),
            ("headers", StringArray::from(headers)),
            ("value", StringArray::from(values)),
        ] {
            fields.push(Field::new(name, DataType::Utf8, true));
            columns.push(Arc::new(column));
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Checks the dead letters of one stream, or of all, again.
pub(crate) async fn replay(
    config: &Config,
    stream: Option<Stream>,
    quiet: bool,
) -> anyhow::Result<()> {
    let lake = Lake::open(&config.lake()).await?;
    let registry = config.registry();
    let spinner = Spinner::start("replay", quiet);
    let mut total = ReplayCounts::default();
    for stream in Stream::ALL.into_iter().filter(|s| stream.is_none_or(|only| only == *s)) {
        let done = ingest::replay(&lake, stream, registry.as_ref(), &mut |done| {
            spinner.set_message(format!("{stream}: {} accepted", thousands(done.accepted)));
        })
        .await?;
        total.accepted += done.accepted;
        total.rejected += done.rejected;
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
    if total.finished > 0 {
        print_line(&format!(
            "{} of a replay that had died {} finished",
            thousands(total.finished),
            agree(total.finished, "was", "were")
        ))?;
    }
    Ok(())
}
