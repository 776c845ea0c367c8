//! Tests of data checks over rollups, metrics and files in `checks/`.

use domain::Stream;

use super::*;
use crate::tests::engine::{TestProject, as_of, event};

const ROLLUP: &str = "/*---
description = \"calls\"
grain = [\"event_date\", \"partner_id\"]
reads = { api_calls = \"same\" }
[columns]
event_date = { type = \"Date32\" }
partner_id = { type = \"Utf8\" }
calls = { type = \"Int64\" }
[[checks]]
unique = [\"event_date\", \"partner_id\"]
[[checks]]
sql = \"SELECT * FROM this WHERE calls > 2\"
[[checks]]
sql = \"SELECT * FROM this WHERE calls > 1\"
severity = \"warn\"
---*/
SELECT event_date, partner_id, count(*) AS calls FROM api_calls GROUP BY event_date, partner_id";

const METRIC: &str = "/*---
description = \"calls\"
grain = [\"partner_id\"]
[columns]
partner_id = { type = \"Utf8\" }
calls = { type = \"Int64\" }
[[checks]]
unique = [\"calls\"]
[[checks]]
sql = \"SELECT t.* FROM this t JOIN partners p ON p.partner_id = t.partner_id WHERE calls > 5 ORDER BY 1\"
[[checks]]
sql = \"SELECT nothing FROM this\"
severity = \"warn\"
---*/
SELECT partner_id, sum(calls) AS calls FROM daily_calls GROUP BY partner_id ORDER BY partner_id";

const FILE: &str = "/*---
description = \"every partner is registered\"
severity = \"warn\"
---*/
SELECT partner_id FROM partners WHERE registered IS NULL ORDER BY partner_id";

async fn project() -> TestProject {
    TestProject::with_queries(&[
        ("rollups/daily_calls.sql", ROLLUP),
        ("metrics/busy.sql", METRIC),
        ("checks/registered.sql", FILE),
    ])
    .await
}

async fn daily(project: &TestProject) -> RollupDays {
    let report = project.engine.refresh(&mut |_| {}).await.expect("a refresh");
    let rollup = report.rollups.into_iter().find(|r| r.name == "daily_calls");
    let rollup = rollup.expect("the rollup");
    RollupDays {
        days: rollup.days,
        blocked: rollup.blocked.iter().map(ToString::to_string).collect(),
        violations: rollup.violations.iter().map(ToString::to_string).collect(),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct RollupDays {
    days: usize,
    blocked: Vec<String>,
    violations: Vec<String>,
}

#[tokio::test]
async fn a_day_that_violates_a_check_is_not_replaced() {
    let project = project().await;
    let at = |day: &str, hour: u8| event("a", &format!("{day}T{hour:02}:00:00Z"));
    project.add(Stream::ApiCalls, &[at("2026-01-01", 1), at("2026-01-02", 1)]).await;
    let clean = RollupDays { days: 2, blocked: Vec::new(), violations: Vec::new() };
    assert_eq!(daily(&project).await, clean);
    project
        .add(Stream::ApiCalls, &[at("2026-01-01", 2), at("2026-01-01", 3), at("2026-01-02", 2)])
        .await;
    let expected = RollupDays {
        days: 1,
        blocked: vec!["2026-01-01".to_owned()],
        violations: [
            "the check SELECT * FROM this WHERE calls > 2: event_date = 2026-01-01, partner_id = a, calls = 3",
            "the check SELECT * FROM this WHERE calls > 1: event_date = 2026-01-01, partner_id = a, calls = 3",
            "the check SELECT * FROM this WHERE calls > 1: event_date = 2026-01-02, partner_id = a, calls = 2",
        ]
        .map(|f| format!("daily_calls: a row fails {f}"))
        .to_vec(),
    };
    let found = daily(&project).await;
    assert_eq!(found.blocked, expected.blocked);
    assert_eq!(found.days, expected.days);
    assert_eq!(found.violations.len(), 3, "{found:?}");
    let rows = "SELECT event_date, calls FROM daily_calls ORDER BY event_date";
    let text = project.rows(rows).await;
    assert!(
        text.contains("| 2026-01-01 | 1     |") && text.contains("| 2026-01-02 | 2     |"),
        "{text}"
    );
    // Every refresh computes the day again and reports it, until its rows are right.
    assert_eq!(daily(&project).await.blocked, expected.blocked);
}

#[tokio::test]
async fn rows_of_a_metric_are_checked() {
    let project = project().await;
    let calls = |partner: &str, n: u8| {
        (1..=n).map(|d| event(partner, &format!("2026-01-{d:02}T00:00:00Z"))).collect::<Vec<_>>()
    };
    project.add(Stream::ApiCalls, &[calls("a", 6), calls("b", 6), calls("c", 1)].concat()).await;
    project.engine.refresh(&mut |_| {}).await.expect("a refresh");
    let session = project.engine.open_session(as_of("2026-02-01"), None).await.expect("a session");
    let outcome = session.run_check_files().await;
    let rows = session.metric("busy").await.expect("rows");
    let violations = session.check("busy", &rows, &outcome).await.expect("violations");
    let texts: Vec<String> = violations.0.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert_eq!(
        texts[..2],
        [
            "busy: a row fails the check unique = [\"calls\"]: calls = 6, rows = 2",
            "busy: 2 rows fail the check SELECT t.* FROM this t JOIN partners p ON p.partner_id = t.partner_id WHERE calls > 5 ORDER BY 1; the first: partner_id = a, calls = 6",
        ]
    );
    assert!(
        texts[2].starts_with("busy: the check SELECT nothing FROM this can't be run: "),
        "{texts:?}"
    );
    assert_eq!(violations.blocking().map(|v| v.check.as_str()), Some("unique = [\"calls\"]"));

    // A file concerns the metrics that read its tables.
    let all: Vec<String> = outcome.0.iter().map(|(violation, _)| violation.to_string()).collect();
    assert_eq!(
        all,
        [
            "registered: 3 rows fail the check every partner is registered; the first: partner_id = a"
        ]
    );
    let funnel = session.metric("funnel").await.expect("rows");
    let of_funnel = session.check("funnel", &funnel, &outcome).await.expect("violations");
    assert_eq!(of_funnel.0.len(), 1);
    assert!(of_funnel.blocking().is_none());
}

#[test]
fn grouped_columns_need_no_unique_check() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let context = SessionContext::new();
        let unproven_checks = |sql: &'static str| {
            let context = context.clone();
            async move {
                let frame = context.sql(sql).await.expect("a plan");
                let unique = CheckRule::Unique(vec!["a".to_owned(), "b".to_owned()]);
                let check = Check { rule: unique, severity: CheckSeverity::Error };
                unproven(&[check], frame.schema()).len()
            }
        };
        let rows = "(VALUES (1, 2, 3)) AS t(a, b, c)";
        let sql = |text: String| -> &'static str { text.leak() };
        assert_eq!(
            unproven_checks(sql(format!(
                "SELECT a, b, count(*) FROM {rows} GROUP BY a, b ORDER BY a"
            )))
            .await,
            0
        );
        assert_eq!(
            unproven_checks(sql(format!("SELECT b, a, count(*) FROM {rows} GROUP BY b, a"))).await,
            0
        );
        assert_eq!(
            unproven_checks(sql(format!("SELECT a, b, count(*) FROM {rows} GROUP BY a, b, c")))
                .await,
            1
        );
        assert_eq!(unproven_checks(sql(format!("SELECT a, b, c FROM {rows}"))).await, 1);
    });
}
