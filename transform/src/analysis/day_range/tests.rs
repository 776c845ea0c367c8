use super::*;
use crate::analysis::empty_session::EmptySession;
use crate::catalog::header::parse_header;
use crate::catalog::lazy_cases::LazyCases;
use crate::catalog::query::ParsedSql;
use crate::catalog::{Catalog, QueryKind};

async fn plan(sql: &str) -> LogicalPlan {
    let session = EmptySession::new(&Catalog::default()).await.expect("empty tables");
    let statement = crate::catalog::statement::Statement::parse(sql, "here").expect(sql);
    session.plan(statement).await.unwrap_or_else(|e| panic!("{sql}\n{e}"))
}

/// Checks the narrowest range that a header may declare, for each table.
#[track_caller]
fn check(sql: &str, expected: &[(&str, &str)]) {
    let plan = tokio::runtime::Runtime::new().expect("a runtime").block_on(plan(sql));
    let reads = table_reads(&plan);
    let least: Vec<(String, String)> =
        reads.iter().map(|(t, r)| (t.clone(), r.days.day_range().text())).collect();
    let least: Vec<(&str, &str)> = least.iter().map(|(t, r)| (t.as_str(), r.as_str())).collect();
    assert_eq!(least, expected, "{sql}\n{reads:#?}");
}

#[test]
fn rows_of_the_same_day() {
    let same = [("api_calls", "same")];
    check("SELECT event_date, count(*) FROM api_calls GROUP BY event_date", &same);
    check(
        "SELECT event_date, max(n) FROM (SELECT event_date, partner_id, count(*) AS n FROM api_calls GROUP BY 1, 2) t GROUP BY event_date",
        &same,
    );
    check("SELECT CAST(occurred_at AS DATE) AS event_date, partner_id FROM api_calls", &same);
    check(
        "SELECT CAST(date_trunc('day', occurred_at) AS DATE) AS event_date FROM api_calls",
        &same,
    );
    check("SELECT DISTINCT event_date, partner_id FROM api_calls WHERE status = 200", &same);
    check(
        "SELECT event_date, row_number() OVER (PARTITION BY event_date ORDER BY event_id) AS n FROM api_calls",
        &same,
    );
    check(
        "SELECT event_date, partner_id FROM api_calls UNION ALL SELECT event_date, partner_id FROM billing_events",
        &[("api_calls", "same"), ("billing_events", "same")],
    );
    check("SELECT event_date, unnest([1, 2]) AS n FROM api_calls", &same);
}

#[test]
fn a_join_on_the_day_reads_the_same_day() {
    let both = [("api_calls", "same"), ("billing_events", "same")];
    check(
        "SELECT a.event_date FROM api_calls a JOIN billing_events b ON b.partner_id = a.partner_id AND b.event_date = a.event_date",
        &both,
    );
    check(
        "SELECT b.event_date FROM api_calls a LEFT JOIN billing_events b ON b.event_date = a.event_date",
        &both,
    );
    check(
        "SELECT a.event_date FROM api_calls a, billing_events b WHERE a.event_date = b.event_date",
        &both,
    );
    check("SELECT event_date FROM api_calls a JOIN billing_events b USING (event_date)", &both);
    check(
        "SELECT coalesce(a.event_date, b.event_date) AS event_date FROM (SELECT event_date FROM api_calls GROUP BY 1) a FULL JOIN billing_events b ON a.event_date = b.event_date",
        &both,
    );
    // By way of the third.
    check(
        "SELECT a.event_date FROM api_calls a JOIN billing_events b ON a.event_date = b.event_date JOIN support_events s ON s.event_date = b.event_date",
        &[("api_calls", "same"), ("billing_events", "same"), ("support_events", "same")],
    );
    check(
        "SELECT a.event_date FROM api_calls a JOIN billing_events b ON b.partner_id = a.partner_id",
        &[("api_calls", "same"), ("billing_events", "all")],
    );
    check(
        "SELECT coalesce(a.event_date, b.event_date) AS event_date FROM api_calls a FULL JOIN billing_events b ON a.partner_id = b.partner_id",
        &[("api_calls", "all"), ("billing_events", "all")],
    );
    // A condition of an outer join holds only for the matched rows.
    check(
        "SELECT a.event_date FROM api_calls a LEFT JOIN billing_events b ON a.event_date = b.event_date JOIN support_events s ON s.event_date = b.event_date",
        &[("api_calls", "same"), ("billing_events", "same"), ("support_events", "all")],
    );
}

#[test]
fn a_join_of_two_days() {
    let join =
        |on: &str| format!("SELECT a.event_date FROM api_calls a JOIN billing_events b ON {on}");
    let reads = |days| [("api_calls", "same"), ("billing_events", days)];
    check(&join("b.event_date = a.event_date - INTERVAL '1 day'"), &reads("lookback 1"));
    check(
        &join("b.event_date >= a.event_date - INTERVAL '6 days' AND b.event_date <= a.event_date"),
        &reads("lookback 6"),
    );
    check(
        &join("b.event_date BETWEEN a.event_date - INTERVAL '6 days' AND a.event_date"),
        &reads("lookback 6"),
    );
    check(&join("a.event_date >= b.event_date"), &reads("upto"));
    check(&join("a.event_date < b.event_date"), &reads("all"));
    check(&join("a.event_date = b.event_date - INTERVAL '1 day'"), &reads("all"));
    check(
        &join("b.event_date = a.event_date OR b.event_date = a.event_date - INTERVAL '1 day'"),
        &reads("all"),
    );
}

#[test]
fn a_day_that_is_moved_or_computed() {
    check(
        "SELECT event_date + INTERVAL '1 day' AS event_date FROM api_calls",
        &[("api_calls", "lookback 1")],
    );
    check(
        "SELECT event_date - INTERVAL '1 day' AS event_date FROM api_calls",
        &[("api_calls", "all")],
    );
    check("SELECT max(event_date) AS event_date FROM api_calls", &[("api_calls", "all")]);
    check(
        "SELECT CAST(ingested_at AS DATE) AS event_date, count(*) FROM api_calls GROUP BY 1",
        &[("api_calls", "all")],
    );
    check("SELECT month_start(event_date) AS event_date FROM api_calls", &[("api_calls", "all")]);
    check("SELECT partner_id FROM api_calls", &[("api_calls", "all")]);
    check(
        "SELECT event_date FROM api_calls UNION ALL SELECT event_date + INTERVAL '2 days' FROM api_calls",
        &[("api_calls", "lookback 2")],
    );
    check(
        "SELECT event_date FROM api_calls UNION ALL SELECT DATE '2026-01-01' FROM billing_events",
        &[("api_calls", "same"), ("billing_events", "all")],
    );
}

#[test]
fn windows_over_days() {
    let window =
        |over: &str| format!("SELECT event_date, count(*) OVER ({over}) AS n FROM api_calls");
    check(&window("PARTITION BY partner_id"), &[("api_calls", "all")]);
    check(&window("PARTITION BY partner_id ORDER BY event_date"), &[("api_calls", "upto")]);
    check(&window("PARTITION BY partner_id ORDER BY event_date DESC"), &[("api_calls", "all")]);
    check(&window("PARTITION BY partner_id ORDER BY occurred_at"), &[("api_calls", "all")]);
    check(
        &window(
            "PARTITION BY partner_id ORDER BY event_date RANGE BETWEEN INTERVAL '6 days' PRECEDING AND CURRENT ROW",
        ),
        &[("api_calls", "lookback 6")],
    );
    check(
        &window(
            "PARTITION BY partner_id ORDER BY event_date ROWS BETWEEN 6 PRECEDING AND CURRENT ROW",
        ),
        &[("api_calls", "upto")],
    );
    check(
        &window(
            "PARTITION BY partner_id ORDER BY event_date RANGE BETWEEN CURRENT ROW AND INTERVAL '1 day' FOLLOWING",
        ),
        &[("api_calls", "all")],
    );
    check(
        "SELECT event_date, lead(status) OVER (PARTITION BY partner_id ORDER BY event_date) AS n FROM api_calls",
        &[("api_calls", "all")],
    );
    check(
        "SELECT event_date, lag(status) OVER (PARTITION BY partner_id ORDER BY event_date) AS n FROM api_calls",
        &[("api_calls", "upto")],
    );
    let trailing = |call: &str| {
        format!(
            "SELECT event_date, {call} OVER (PARTITION BY partner_id ORDER BY event_date) AS n FROM api_calls"
        )
    };
    check(&trailing("trailing_sum(status, event_date, 7)"), &[("api_calls", "lookback 7")]);
    check(&trailing("trailing_sum(status, event_date + 1, 7)"), &[("api_calls", "all")]);
}

#[test]
fn the_number_of_a_day_is_the_day() {
    let window = |over: &str| {
        format!(
            "SELECT event_date, sum(n) OVER ({over}) AS n FROM (SELECT event_date, CAST(event_date AS INT) AS day, partner_id, count(*) AS n FROM api_calls GROUP BY event_date, partner_id)"
        )
    };
    check(&window("PARTITION BY day"), &[("api_calls", "same")]);
    check(&window("PARTITION BY partner_id ORDER BY day"), &[("api_calls", "upto")]);
    check(
        &window("ORDER BY day RANGE BETWEEN 1 PRECEDING AND CURRENT ROW"),
        &[("api_calls", "lookback 1")],
    );
    check(&window("ORDER BY n RANGE BETWEEN 1 PRECEDING AND CURRENT ROW"), &[("api_calls", "all")]);
    check(
        "SELECT CAST(CAST(event_date AS INT) + 1 AS DATE) AS event_date FROM api_calls",
        &[("api_calls", "lookback 1")],
    );
    check(
        "SELECT CAST(CAST(CAST(occurred_at AS BIGINT) AS INT) AS DATE) AS event_date FROM api_calls",
        &[("api_calls", "all")],
    );
}

#[test]
fn subqueries_and_limits_read_every_day() {
    check(
        "SELECT event_date, (SELECT count(*) FROM billing_events) AS n FROM api_calls",
        &[("api_calls", "same"), ("billing_events", "all")],
    );
    check(
        "SELECT event_date FROM api_calls WHERE partner_id IN (SELECT partner_id FROM partner_events)",
        &[("api_calls", "same"), ("partner_events", "all")],
    );
    check(
        "SELECT event_date FROM api_calls WHERE status > (SELECT avg(status) FROM api_calls)",
        &[("api_calls", "all")],
    );
    check("SELECT event_date FROM api_calls ORDER BY event_id LIMIT 10", &[("api_calls", "all")]);
    check(
        "WITH RECURSIVE r AS (SELECT event_date FROM api_calls UNION SELECT event_date FROM r) SELECT event_date FROM r",
        &[("api_calls", "all")],
    );
}

#[tokio::test]
async fn a_header_that_declares_less_gets_the_reason() {
    let sql = "SELECT event_date, count(*) OVER (PARTITION BY partner_id) AS n FROM api_calls";
    let text = |reads: &str| {
        format!(
            "/*---\ndescription = \"d\"\nreads = {reads}\n[columns]\nn = {{ type = \"Int64\" }}\n---*/\n{sql}"
        )
    };
    let plan = plan(sql).await;
    let undeclared = |reads: &str| {
        let text = text(reads);
        let query = Query {
            name: "r".to_owned(),
            kind: QueryKind::Rollup,
            header: parse_header(&text).expect("a header"),
            sql: text,
            file: "r.sql".to_owned(),
            path: None,
            cases: LazyCases::default(),
            parsed: ParsedSql::default(),
        };
        undeclared_reads(&query, &plan)
    };
    assert_eq!(undeclared("{ api_calls = \"all\" }"), []);
    assert_eq!(
        undeclared("{ api_calls = \"same\" }"),
        [UndeclaredRead {
            message: "a day of it may read any day of api_calls, and the header says \"same\": event_date is not in PARTITION BY of `count`".to_owned(),
            help: "write api_calls = \"all\", or keep the days apart in the query".to_owned(),
        }]
    );
    assert_eq!(
        undeclared("{}"),
        [UndeclaredRead {
            message: "the header does not say which days of api_calls it reads".to_owned(),
            help: "write reads = { api_calls = \"all\" }".to_owned(),
        }]
    );
}
