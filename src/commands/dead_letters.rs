//! `rapport ingest dead-letters | replay`.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::TimestampMicrosecondArray;
use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use ingest::{Letter, Replayed};
use lake::Lake;
use lake_types::{Day, Stream, agree, counted};

use crate::args::DeadLetters;
use crate::config::Config;
use crate::output::{self, Rows, line};
use crate::progress::{Stage, count};

pub(crate) async fn list(config: &Config, options: &DeadLetters) -> anyhow::Result<()> {
    let lake = Lake::open(&config.lake()).await?;
    let snapshot = ingest::dead_letters(&lake).await?;
    let days: BTreeSet<Day> = snapshot.files.iter().filter_map(|f| f.day).collect();
    let mut letters: Vec<Letter> = Vec::new();
    for day in days.into_iter().rev() {
        let mut of_day = ingest::letters_of_day(&lake, &snapshot, day).await?;
        of_day.sort_by_key(|letter| std::cmp::Reverse(letter.arrival));
        letters.extend(of_day.into_iter().filter(|letter| wanted(letter, options)));
        if letters.len() >= options.limit {
            break;
        }
    }
    letters.truncate(options.limit);
    let rows = rows(&lake, &letters, options.open)?;
    output::print(&Rows { schema: &rows.schema(), batches: &[rows] }, options.format)
}

fn wanted(letter: &Letter, options: &DeadLetters) -> bool {
    options.stream.is_none_or(|s| letter.stream == s.name())
        && options.reason.is_none_or(|r| letter.reason == r.as_str())
}

fn rows(lake: &Lake, letters: &[Letter], open: bool) -> anyhow::Result<RecordBatch> {
    let text = |of: &dyn Fn(&Letter) -> Option<String>| -> ArrayRef {
        Arc::new(letters.iter().map(of).collect::<StringArray>())
    };
    let arrivals: Vec<i64> = letters.iter().map(|l| l.arrival).collect();
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
        Arc::new(Int32Array::from_iter_values(letters.iter().map(|l| l.partition))),
        Arc::new(Int64Array::from_iter_values(letters.iter().map(|l| l.offset))),
        text(&|l| Some(l.reason.clone())),
        text(&|l| l.field.clone()),
    ];
    if open {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (mut keys, mut headers, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for letter in letters {
            let record = letter.open(lake)?;
            keys.push(record.key_bytes().map(text));
            let pairs: Vec<(String, Option<String>)> =
                record.header_bytes().into_iter().map(|(n, v)| (n, v.map(text))).collect();
            // As pairs: a record may have several headers of one name.
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

pub(crate) async fn replay(
    config: &Config,
    stream: Option<Stream>,
    quiet: bool,
) -> anyhow::Result<()> {
    let lake = Lake::open(&config.lake()).await?;
    let registry = config.registry();
    let stage = Stage::begin("replay", quiet);
    let mut total = Replayed::default();
    for stream in Stream::ALL.into_iter().filter(|s| stream.is_none_or(|only| only == *s)) {
        let done = ingest::replay(&lake, stream, registry.as_ref(), &mut |done| {
            stage.say(format!("{stream}: {} accepted", count(done.accepted)));
        })
        .await?;
        total.accepted += done.accepted;
        total.rejected += done.rejected;
        total.skipped += done.skipped;
        total.finished += done.finished;
    }
    drop(stage);
    line(&format!(
        "{} accepted, {} still rejected, {} left alone (cut off, or not read past yet)",
        counted(total.accepted, "dead letter"),
        count(total.rejected),
        count(total.skipped)
    ))?;
    if total.finished > 0 {
        line(&format!(
            "{} of a replay that had died {} finished",
            count(total.finished),
            agree(total.finished, "was", "were")
        ))?;
    }
    Ok(())
}
