//! Tests of the lints of orders that are not total.

use super::*;

#[test]
fn metrics_without_a_total_order() {
    check(
        &metric(&[ID, CALLS], &GOOD.replace("\nORDER BY partner_id", "")),
        &[
            "queries/metrics/m.sql:8:1: without ORDER BY the rows come in any order\n 8 | SELECT partner_id, count(*) AS calls\n   | ^^^^^^\n   help: end with `ORDER BY partner_id`",
        ],
    );
    check(
        &metric(&[ID, CALLS], &GOOD.replace("ORDER BY partner_id", "ORDER BY calls DESC")),
        &[
            "queries/metrics/m.sql:12:1: rows that differ only in `partner_id` come in any order\n 12 | ORDER BY calls DESC\n    | ^^^^^\n    help: add `partner_id` to ORDER BY",
        ],
    );
    check(
        &metric(&[ID, CALLS], &GOOD.replace("ORDER BY partner_id", "ORDER BY calls DESC, 1")),
        &[],
    );
    check(&file("[]", &[CALLS], "SELECT count(*) AS calls FROM api_calls"), &[]);
}

#[test]
fn functions_without_a_total_order() {
    let ranked = |over: &str| {
        let sql = format!(
            "WITH u AS (\n  SELECT partner_id, count(*) AS n FROM api_calls GROUP BY partner_id\n)\nSELECT partner_id, CAST(row_number() OVER ({over}) AS BIGINT) AS calls\nFROM u\nORDER BY partner_id"
        );
        metric(&[ID, CALLS], &sql)
    };
    check(&ranked("ORDER BY n DESC, partner_id"), &[]);
    check(
        &ranked("ORDER BY n DESC"),
        &[
            "queries/metrics/m.sql:11:25: the ORDER BY of `row_number` does not tell apart rows that differ only in `partner_id`\n 11 | SELECT partner_id, CAST(row_number() OVER (ORDER BY n DESC) AS BIGINT) AS calls\n    |                         ^^^^^^^^^^\n    help: add `partner_id` to that ORDER BY",
        ],
    );
    check(
        &ranked(""),
        &[
            "queries/metrics/m.sql:11:25: `row_number` without ORDER BY takes the rows as they come\n 11 | SELECT partner_id, CAST(row_number() OVER () AS BIGINT) AS calls\n    |                         ^^^^^^^^^^\n    help: order by columns that tell the rows apart",
        ],
    );
    check(
        &metric(
            &[ID, ("plan", "Utf8")],
            "SELECT partner_id, last_value(plan ORDER BY event_date) AS plan\nFROM partner_events\nGROUP BY partner_id\nORDER BY partner_id",
        ),
        &[
            "queries/metrics/m.sql:8:20: the ORDER BY of `last_value` does not tell apart rows that differ only in `event_id`\n 8 | SELECT partner_id, last_value(plan ORDER BY event_date) AS plan\n   |                    ^^^^^^^^^^\n   help: add `event_id` to that ORDER BY",
        ],
    );
    check(
        &metric(
            &[ID, ("plan", "Utf8")],
            "SELECT partner_id, last_value(plan ORDER BY occurred_at, event_id) AS plan\nFROM partner_events\nGROUP BY partner_id\nORDER BY partner_id",
        ),
        &[],
    );
    check(
        &metric(
            &[ID, CALLS],
            "SELECT partner_id, n AS calls\nFROM (\n  SELECT partner_id, count(*) AS n FROM api_calls GROUP BY partner_id\n  ORDER BY n DESC LIMIT 10\n) t\nORDER BY partner_id",
        ),
        &[
            "queries/metrics/m.sql:11:19: the ORDER BY of `LIMIT` does not tell apart rows that differ only in `partner_id`\n 11 |   ORDER BY n DESC LIMIT 10\n    |                   ^^^^^\n    help: add `partner_id` to that ORDER BY",
        ],
    );
}
