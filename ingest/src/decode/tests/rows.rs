//! Tests of accepted events as rows: columns, days, and unchanged values.

use arrow::array::RecordBatch;
use domain::{Day, Stream};
use proptest::prelude::*;

use super::{ARRIVAL, batch_of, cell, event, rows_of};
use crate::decode::{DayBatches, Rows, fields};

use Stream::{ApiCalls, SupportEvents};

#[test]
fn fields_and_columns_have_one_order() {
    for stream in Stream::ALL {
        let schema = lake::schema::raw(stream).file_schema();
        let columns = schema.fields().iter().skip(3).map(|column| column.name().as_str());
        for (field, column) in fields::own_fields(stream).iter().zip(columns) {
            assert_eq!(column, field.column(), "{stream}");
        }
        assert_eq!(schema.fields().len(), 3 + fields::own_fields(stream).len() + 7, "{stream}");
    }
}

#[test]
fn rows_have_the_raw_tables_columns() {
    for stream in Stream::ALL {
        let json = event(stream, r#""x":1"#);
        let batch = batch_of(stream, &[json.as_bytes()]).expect("a valid event");
        for (column, expected) in [
            ("event_id", "e1"),
            ("partner_id", "p1"),
            ("topic", "t"),
            ("kafka_partition", "3"),
            ("kafka_offset", "0"),
            ("arrival", "2026-06-01T00:00:00Z"),
            ("ingested_at", "2026-06-01T00:00:00.000001Z"),
            ("late", "false"),
            ("extra", r#"{"x":1}"#),
        ] {
            assert_eq!(cell(&batch, column, 0).as_deref(), Some(expected), "{stream} {column}");
        }
    }
}

fn by_day(parts: Vec<&Rows>) -> Vec<(Day, RecordBatch)> {
    let days = DayBatches::new(parts);
    let batch = |rows| days.batch(rows, ARRIVAL).expect("columns of one length");
    days.iter().map(|(day, rows)| (day, batch(rows))).collect()
}

#[test]
fn days_are_split_and_sorted() {
    let records: Vec<String> = [
        ("b", "2026-05-31T00:00:00Z"),
        ("a", "2026-05-30T23:59:59.999999Z"),
        ("b", "2026-05-30T00:00:00Z"),
        ("a", "2026-05-31T12:00:00Z"),
        ("a", "2026-05-30T01:00:00Z"),
    ]
    .map(|(partner, at)| {
        event(ApiCalls, &format!(r#""partner_id":"{partner}","occurred_at":"{at}""#))
    })
    .to_vec();
    let records: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
    let first = rows_of(ApiCalls, &records[..3]).expect("valid events");
    let second = rows_of(ApiCalls, &records[3..]).expect("valid events");
    let days = by_day(vec![&first, &second]);
    let shown: Vec<(String, Vec<String>)> = days
        .iter()
        .map(|(day, batch)| {
            let row = |r| {
                let at = cell(batch, "occurred_at", r).unwrap_or_default();
                format!("{} {}", cell(batch, "partner_id", r).unwrap_or_default(), &at[11..])
            };
            (day.to_string(), (0..batch.num_rows()).map(row).collect())
        })
        .collect();
    let expected = [
        ("2026-05-30", vec!["a 01:00:00Z", "a 23:59:59.999999Z", "b 00:00:00Z"]),
        ("2026-05-31", vec!["a 12:00:00Z", "b 00:00:00Z"]),
    ]
    .map(|(day, rows)| (day.to_owned(), rows.into_iter().map(str::to_owned).collect()));
    assert_eq!(shown, expected);
    assert!(by_day(Vec::new()).is_empty());
}

proptest! {
    #[test]
    fn valid_calls_round_trip(
        ids in ("\\PC{1,40}", "\\PC{1,40}"),
        product in proptest::option::of("\\PC{1,20}"),
        millis in 946_684_800_000..=1_780_358_400_000i64,
        status in 100..=599i64,
        latency in proptest::option::of(0..=10_000_000i64),
        bytes in proptest::option::of(0..=i64::MAX),
        // A text that looks like a URL or an assignment could be redacted.
        unknown in proptest::option::of("[\\PC&&[^?=@:%#]]{0,20}"),
    ) {
        let micros = latency.map(|us| format!("{}.{:03}", us / 1000, us % 1000));
        let mut json = serde_json::json!({
            "event_id": ids.0, "partner_id": ids.1, "occurred_at": millis, "product": product,
            "status": status, "request_bytes": bytes, "pad": unknown,
        }).to_string();
        if let Some(latency) = &micros {
            json = json.replacen('{', &format!("{{\"latency_ms\":{latency},"), 1);
        }
        let batch = batch_of(ApiCalls, &[json.as_bytes()]).expect("a valid event");
        let at = |column: &str| cell(&batch, column, 0);
        prop_assert_eq!(at("event_id"), Some(ids.0));
        prop_assert_eq!(at("partner_id"), Some(ids.1));
        let occurred_at = at("occurred_at").and_then(|text| domain::parse_instant(&text));
        prop_assert_eq!(occurred_at, Some(millis * 1000));
        prop_assert_eq!(at("product"), product);
        prop_assert_eq!(at("status"), Some(status.to_string()));
        prop_assert_eq!(at("latency_us"), latency.map(|us| us.to_string()));
        prop_assert_eq!(at("request_bytes"), bytes.map(|b| b.to_string()));
        let extra: serde_json::Value =
            serde_json::from_str(&at("extra").expect("an unknown field")).expect("JSON");
        prop_assert_eq!(extra, serde_json::json!({ "pad": unknown }));
    }

    #[test]
    fn day_batches_contain_every_row(hours in proptest::collection::vec(0..240i64, 0..40)) {
        let records: Vec<String> = hours.iter().map(|hour| {
            let millis = 1_779_000_000_000 + hour * 3_600_000;
            event(SupportEvents, &format!(r#""occurred_at":{millis},"partner_id":"p{}""#, hour % 3))
        }).collect();
        let records: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
        let rows = rows_of(SupportEvents, &records).expect("valid");
        let days = by_day(vec![&rows]);
        prop_assert_eq!(days.iter().map(|(_, b)| b.num_rows()).sum::<usize>(), hours.len());
        prop_assert!(days.is_sorted_by(|a, b| a.0 < b.0));
        for (day, batch) in &days {
            let keys: Vec<(Option<String>, Option<String>)> = (0..batch.num_rows())
                .map(|r| (cell(batch, "partner_id", r), cell(batch, "occurred_at", r)))
                .collect();
            prop_assert!(keys.is_sorted());
            let on_day = |at: &Option<String>| {
                at.as_deref().is_some_and(|at| at.starts_with(&day.to_string()))
            };
            let all_on_day = keys.iter().all(|(_, at)| on_day(at));
            prop_assert!(all_on_day);
        }
    }
}
