//! The lake of the sample programme: its streams, its tables, and what is wrong with its data.

use chrono::TimeDelta;
use domain::Stream;

use crate::input::{HeldBackMetric, QueryDoc, ReportInput};
use crate::lake_rows::{DeliveryRow, RejectedRow, SlowestPartition, StreamRow, TableRow};
use crate::metric_rows::DataQualityRow;

pub(super) fn lake_rows(input: &mut ReportInput, partners: usize) {
    if partners == 0 {
        return;
    }
    let n = partners as i64;
    streams(input);
    tables(input, n);
    let reasons = [
        ("api-calls", "missing_field", 7 * n),
        ("api-calls", "not_json", n),
        ("billing-events", "unknown_value", 2),
        ("support-events", "<b>", 1),
    ];
    for (stream, reason, records) in reasons {
        let (stream, reason) = (stream.to_owned(), reason.to_owned());
        input.lake.rejected.push(RejectedRow { stream, reason, records });
    }
    let checks = [
        ("bad_merges", 0, None),
        ("calls_before_registration", 1, Some("w-0004")),
        ("dead_letters", 8 * n + 3, Some("calls/3/1180")),
        ("duplicate_copies", 3 * n, Some("api-calls 2026-07-04")),
        ("late_events", 21 * n, Some("api-calls 2026-01-09")),
        ("unbilled_usage", n / 3, Some("w-0011 2026-05-01")),
        ("unregistered_partners", 0, None),
    ];
    for (check, failing, sample) in checks {
        let sample = sample.filter(|_| failing > 0).map(str::to_owned);
        input.data_quality.push(DataQualityRow { check: check.to_owned(), failing, sample });
    }
    let reason =
        "the check not_null of gross fails for 3 rows; run rapport metrics check".to_owned();
    let held = HeldBackMetric { reason, shown_as_of: input.as_of.pred_opt() };
    input.held_back.insert("cohort_retention".to_owned(), held);
    deliveries(input);
    for name in ["lake_streams", "lake_rejected", "lake_tables", "deliveries"] {
        input.csv.insert(name.to_owned(), "column\n1\n".to_owned());
        let doc = QueryDoc { kind: "table".to_owned(), ..QueryDoc::default() };
        input.tables.insert(name.to_owned(), doc);
    }
}

fn deliveries(input: &mut ReportInput) {
    for (i, entry) in ["sent", "skipped", "held", "failed"].into_iter().cycle().take(30).enumerate()
    {
        input.lake.deliveries.push(DeliveryRow {
            at: input.watermark.map(|at| at - TimeDelta::days(i as i64)),
            delivery: "weekly <b>".to_owned(),
            recipient: if i % 2 == 0 { "Ada <ada@example.com>".repeat(9) } else { String::new() },
            channel: "chat".to_owned(),
            period: input.as_of.to_string(),
            entry: entry.to_owned(),
            reason: "2 metrics are held back: growth, funnel".to_owned(),
        });
    }
}

fn streams(input: &mut ReportInput) {
    for (i, stream) in Stream::ALL.into_iter().enumerate() {
        let at = input.watermark.map(|at| at - TimeDelta::hours(7 * i as i64));
        let slowest = SlowestPartition {
            partition: format!("main/{}/Zk3qP/{}", stream.name(), 5 - i),
            reached: at,
            behind_seconds: Some(120 + 25_200 * (i * i * i) as i64),
        };
        input.lake.streams.push(StreamRow {
            stream: stream.name().to_owned(),
            complete_to: at.filter(|_| i < 3),
            partitions: if i < 3 { 6 } else { 0 },
            loaded_files: if i < 3 { i as i64 } else { 0 },
            slowest: (i < 3).then_some(slowest),
        });
    }
}

fn tables(input: &mut ReportInput, n: i64) {
    let names = ["raw/api_calls", "raw/billing_events", "dead_letters", "partner_health", "runs"];
    for (i, name) in names.into_iter().enumerate() {
        let share = (5 - i as i64).pow(4);
        input.lake.tables.push(TableRow {
            table: name.to_owned(),
            version: 40 * share,
            rows: 900 * n * share,
            files: 12 * share,
            bytes: 31_000 * n * share,
            small_files: if i < 2 { 4 } else { 0 },
            copies_dropped: if i == 0 { 3 * n } else { 0 },
            erased: 0,
            retired: 0,
        });
    }
}
