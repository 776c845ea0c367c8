//! What scripts rely on: exit codes, formats, names of tables and columns, configuration.

use std::sync::LazyLock;

use domain::Stream;

use crate::support::program::{Project, rapport_command, run};
use crate::support::simulated_world::{SimulatedWorld, WorldSize};

/// A small project that the tests of this file only read.
static LOADED: LazyLock<(SimulatedWorld, Project)> = LazyLock::new(|| {
    let world = SimulatedWorld::new(WorldSize { seed: 3, partners: 30, events: 1_000, days: 40 });
    let project = Project::new();
    world.load(&project);
    (world, project)
});

/// An API call with the required fields.
const CALL: &str =
    r#"{"event_id":"e1","partner_id":"p1","occurred_at":"2026-02-03T04:05:06.25Z","status":200}"#;

fn project_with_one_call() -> Project {
    let project = Project::new();
    project.write("calls.ndjson", format!("{CALL}\n{CALL}\n"));
    let load = ["ingest", "load", "--stream", "api-calls", "--arrival", "2026-02-04"];
    project.run_ok(&[&load[..], &["calls.ndjson"]].concat());
    project
}

#[test]
fn tables_return_an_event_once_and_raw_tables_return_duplicates() {
    let project = project_with_one_call();
    assert_eq!(project.query_number("SELECT count(*) FROM raw.api_calls"), 2);
    assert_eq!(project.query_number("SELECT count(*) FROM api_calls"), 1);
    let names = ["partner_events", "billing_events", "support_events", "dead_letters", "runs"];
    let more = ["partner_day", "funnel", "partner_health"];
    for table in names.iter().chain(&more) {
        project.query_rows(&format!("SELECT * FROM {table}"));
    }
}

#[test]
fn cells_are_formatted_in_csv_json_and_parquet() {
    let project = project_with_one_call();
    let query = "SELECT partner_id, occurred_at, product, event_date, status FROM api_calls";
    let csv = project.run_ok(&["sql", query, "--format", "csv"]);
    let header = "partner_id,occurred_at,product,event_date,status";
    assert_eq!(csv, format!("{header}\np1,2026-02-03T04:05:06.25Z,,2026-02-03,200\n"));
    // Arrow formats instants in JSON; NULL must be written as null.
    let json = project.run_ok(&["sql", query, "--format", "json"]);
    let rows: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(rows[0]["partner_id"], "p1");
    assert_eq!(rows[0]["status"], 200);
    assert_eq!(rows[0].get("product"), Some(&serde_json::Value::Null));
    let none = project.run_ok(&["sql", "SELECT 1 AS one WHERE false", "--format", "json"]);
    assert_eq!(none.trim(), "[]");
    let none = project.run_ok(&["sql", "SELECT 1 AS one WHERE false", "--format", "csv"]);
    assert_eq!(none, "one\n");
    let parquet = project.run(&["sql", query, "--format", "parquet"]).expect_success().stdout;
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
}

/// Every metric with its columns in order.
const METRICS: [(&str, &str); 34] = [
    (
        "activation",
        "cohort_month,partners,observed,activated,activation_rate,ever_activated,mature",
    ),
    ("attention", "partner_id,tickets,ticket_share,gross,gross_share,calls,gap"),
    ("breadth", "partner_id,products,endpoints,versions,credentials"),
    (
        "churn_causes",
        "partner_id,last_success_at,cause,calls,client_error_rate,throttled_rate,server_error_rate,gross",
    ),
    (
        "churned_partners",
        "partner_id,live_at,last_success_at,churned_at,lifetime_days,gross_last_90d",
    ),
    (
        "cohort_retention",
        "cohort_month,months_since,cohort_size,active,retention,churned,calls,gross,complete",
    ),
    (
        "credential_hygiene",
        "partner_id,credential_id,first_seen,last_seen,age_days,days_unused,calls_28d,auth_failure_rate_28d,unused,old",
    ),
    ("data_quality", "check,failing,sample"),
    (
        "endpoint_usage",
        "month,product,method,endpoint,partners,calls,share,success_rate,throttled_rate,server_error_rate,mean_latency_ms",
    ),
    (
        "error_trend",
        "partner_id,event_date,calls,client_error_rate,server_error_rate,throttled_rate,baseline_rate,alarm",
    ),
    (
        "free_to_paid",
        "cohort_month,partners,live,paid,paid_rate,median_seconds,within_30d,within_90d,unpaid_live,unpaid_calls,unpaid_tickets",
    ),
    (
        "funnel",
        "cohort_month,registered,sandbox,production,revenue,sandbox_rate,production_rate,revenue_rate,overall_rate",
    ),
    (
        "growth",
        "month,active,new,retained,resurrected,churned,growth_rate,churn_rate,quick_ratio,complete",
    ),
    (
        "onboarding_steps",
        "cohort_month,step,name,reached,median_seconds,step_median_seconds,waiting,median_waiting_days",
    ),
    (
        "partner_reliability",
        "partner_id,calls,success_rate,client_error_rate,auth_failure_rate,throttled_rate,server_error_rate,p50_ms,p95_ms,p99_ms,calls_per_day",
    ),
    ("payment_failures", "partner_id,failed,last_failed_at,open"),
    ("product_usage", "month,product,partners,calls,success_rate,p95_ms"),
    ("programme_stage", "measure,value,stage"),
    ("programme_value", "month,gross,company_revenue,share_of_company,cost,return_on_cost"),
    ("reconciliation", "month,partner_id,product,metered,billed,difference,difference_rate"),
    ("retry_hygiene", "partner_id,throttled,retried_1s,retried_rate"),
    (
        "revenue_bridge",
        "month,start,new,reactivation,expansion,contraction,churn,end,nrr,grr,complete",
    ),
    ("revenue_by_kind", "month,kind,amount,partners,share"),
    ("revenue_by_product", "month,product,gross,net,paying_partners,gross_per_partner"),
    ("revenue_per_partner", "month,partner_id,gross,credits,refunds,net,share,rank"),
    (
        "revenue_summary",
        "month,gross,net,paying_partners,mean_gross,median_gross,top10_share,hhi,gini,complete",
    ),
    (
        "self_service",
        "cohort_month,live,touchless,touchless_rate,tickets_before_live,median_days_to_live",
    ),
    ("sla_breaches", "month,partner_id,target,availability,latency_target_ms,p99_ms,breached"),
    ("stuck_partners", "partner_id,stage,since,days_in_stage,registered_at,last_call_at"),
    (
        "support_load",
        "partner_id,opened,open_now,median_first_response_hours,tickets_per_10k_calls",
    ),
    (
        "throttling",
        "partner_id,quota_per_minute,peak_per_minute,utilisation,throttled_rate,needs_upgrade",
    ),
    (
        "time_to_first_call",
        "cohort_month,partners,reached,median_seconds,p90_seconds,within_5m,within_30m,within_1d,within_7d,within_30d",
    ),
    (
        "time_to_production",
        "cohort_month,partners,reached,median_seconds,p90_seconds,within_1d,within_7d,within_30d,within_90d",
    ),
    ("version_adoption", "month,api_version,partners,calls,share,sunset_on,days_to_sunset"),
];

#[test]
fn metrics_functions_lists_functions() {
    let project = Project::empty();
    let csv = project.run_ok(&["metrics", "functions", "--format", "csv"]);
    assert!(csv.starts_with("name,signature,does,unit,source,example,gives\n"), "{csv}");
    assert!(csv.contains("\nmonth_start,"), "{csv}");
    let table = project.run_ok(&["metrics", "functions"]);
    assert!(table.contains("gini(money)") && table.contains("Sen 1973"), "{table}");
}

#[test]
fn metrics_run_writes_one_file_per_metric() {
    let (world, project) = &*LOADED;
    let end = world.end();
    let listed = project.run_ok(&["metrics", "list", "--format", "csv"]);
    let metric_lines = listed.lines().filter(|line| line.split(',').nth(1) == Some("metric"));
    let mut names: Vec<&str> = metric_lines.filter_map(|line| line.split(',').next()).collect();
    names.sort_unstable();
    let expected: Vec<&str> = METRICS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, expected);
    for (format, starts) in [("csv", &b"cohort"[..]), ("json", b"["), ("parquet", b"PAR1")] {
        let out = format!("as-{format}");
        project.run_ok(&["metrics", "run", "--as-of", &end, "--out", &out, "--format", format]);
        for (name, columns) in METRICS {
            let path = project.path(&out).join(format!("{name}.{format}"));
            let file = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let header = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
            assert!(format != "csv" || header == columns.as_bytes(), "the columns of {name}");
        }
        let funnel = std::fs::read(project.path(&out).join(format!("funnel.{format}")));
        assert!(funnel.expect("a file").starts_with(starts), "funnel.{format}");
    }
    // One metric on standard output has the same bytes as its file.
    let run = ["metrics", "run", "growth", "--as-of", &end, "--format", "csv"];
    let file = std::fs::read_to_string(project.path("as-csv/growth.csv")).expect("a file");
    assert_eq!(project.run_ok(&run), file);
}

#[test]
fn metrics_show_prints_sql_and_metrics_test_passes() {
    let (_, project) = &*LOADED;
    let shown = project.run_ok(&["metrics", "show", "funnel"]);
    assert!(shown.contains("SELECT") && shown.contains("description"), "{shown}");
    let tested = project.run_ok(&["metrics", "test"]);
    assert!(tested.trim_end().ends_with(" 0 failed"), "{tested}");
    // Outside a project there are the built-in queries.
    let mut elsewhere = rapport_command();
    let folder = tempfile::tempdir().expect("a folder");
    elsewhere.current_dir(folder.path()).args(["metrics", "show", "funnel"]);
    assert_eq!(run(elsewhere).expect_success().stdout_text(), shown);
}

/// A project's own query, and a test case for it.
const OWN_QUERY: &str = r#"/*---
description = "How many calls there are"
owner = "tests"
grain = []

[columns]
calls = { type = "Int64", description = "Calls" }
---*/
SELECT count(*) AS calls FROM api_calls WHERE occurred_at < $as_of
"#;
const OWN_CASE: &str = r#"[[case]]
name = "one call"
as_of = 2026-03-01
given.api_calls = [{ partner_id = "a", occurred_at = "2026-02-10" }]
expect = [{ calls = 1 }]
"#;

#[test]
fn failed_checks_exit_with_code_3() {
    let project = project_with_one_call();
    project.write("queries/metrics/calls.sql", OWN_QUERY);
    project.write("queries/metrics/calls.test.toml", OWN_CASE);
    project.run_ok(&["metrics", "test", "calls"]);
    let run = ["metrics", "run", "calls", "--as-of", "2026-03-01", "--format", "csv"];
    assert_eq!(project.run_ok(&run), "calls\n1\n");
    project.write("queries/metrics/calls.test.toml", OWN_CASE.replace("calls = 1", "calls = 7"));
    let found = project.run(&["metrics", "test", "calls"]);
    assert_eq!(found.code, Some(3), "{found}");
    assert!(found.stdout_text().contains("FAIL  calls · one call"), "{found}");

    project.run_ok(&["lake", "verify"]);
    std::fs::remove_dir_all(project.path("lake/raw/api_calls/event_date=2026-02-03"))
        .expect("a day");
    let found = project.run(&["lake", "verify"]);
    assert_eq!(found.code, Some(3), "{found}");
    assert!(found.stdout_text().contains("is damaged: it is gone"), "{found}");
}

#[test]
fn sql_is_read_only() {
    let project = project_with_one_call();
    let before = project.row_counts();
    for statement in [
        "INSERT INTO api_calls SELECT * FROM api_calls",
        "CREATE TABLE t AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "COPY (SELECT 1) TO 'out.csv'",
        "SET datafusion.execution.batch_size = 1",
        "DROP TABLE api_calls",
        "SELECT 1; DROP TABLE api_calls",
    ] {
        project.run(&["sql", statement]).expect_error(2, &["read-only"]);
    }
    // A file cannot be read as a table.
    project.run(&["sql", "SELECT * FROM '/etc/passwd'"]).expect_error(2, &["no table"]);
    assert!(!project.path("out.csv").exists());
    assert_eq!(project.row_counts(), before);
}

#[test]
fn csv_tables_are_optional_unless_configured() {
    let project = project_with_one_call();
    assert_eq!(project.query_rows("SELECT * FROM sla"), Vec::<String>::new());
    for section in ["rates", "sla", "sunsets", "programme"] {
        project.write("rapport.toml", format!("[metrics]\n{section} = \"elsewhere.csv\"\n"));
        project.run(&["sql", "SELECT 1"]).expect_error(2, &["elsewhere.csv", "can't be read"]);
    }
    project.write("rapport.toml", "[metrics]\nsla = \"targets.csv\"\n");
    project.write("targets.csv", "plan,target,latency_target_ms\nscale,0.999,\n");
    assert_eq!(project.query_rows("SELECT * FROM sla"), ["scale,0.999,"]);
    // A plan or a version with two rows would double rows of every metric that joins it.
    project.write("targets.csv", "plan,target,latency_target_ms\nscale,0.999,\nscale,,200\n");
    project
        .run(&["sql", "SELECT 1"])
        .expect_error(2, &["targets.csv:3", "\"scale\": a second row of this plan"]);
    project.write("rapport.toml", "");
    project.write("sunsets.csv", "api_version,sunset_on\nv1,2026-01-01\nv1,2026-02-01\n");
    project
        .run(&["sql", "SELECT 1"])
        .expect_error(2, &["sunsets.csv:3", "\"v1\": a second row of this version"]);
}

#[test]
fn paths_are_relative_to_the_configuration() {
    let project = project_with_one_call();
    std::fs::create_dir_all(project.path("etc/deep")).expect("a folder");
    project.write("etc/rapport.toml", "[lake]\nroot = \"../lake\"\nkey_file = \"../lake.key\"\n");
    let config = project.path("etc/rapport.toml");
    let query = ["sql", "SELECT count(*) AS n FROM api_calls", "--format", "csv"];
    let mut given = rapport_command();
    given.arg("--config").arg(&config).args(query).current_dir("/");
    assert_eq!(run(given).expect_success().stdout_text(), "n\n1\n");
    // The configuration is found in a parent folder.
    let mut found = rapport_command();
    found.args(query).current_dir(project.path("etc/deep"));
    assert_eq!(run(found).expect_success().stdout_text(), "n\n1\n");
}

#[test]
fn score_run_and_actions_plan_write_their_output() {
    let (world, project) = &*LOADED;
    let end = world.end();
    let scored = project.run_ok(&["score", "run", "--as-of", &end, "--format", "csv"]);
    let partners = scored.lines().count() as i64 - 1;
    let partner_count = "SELECT count(*) AS n FROM partners";
    let partner_count = project.run_ok(&["sql", partner_count, "--as-of", &end, "--format", "csv"]);
    assert_eq!(partner_count, format!("n\n{partners}\n"));
    let stored = format!("SELECT count(*) FROM partner_health WHERE as_of = '{end}'");
    assert_eq!(project.query_number(&stored), partners);
    // The same scores are not stored twice.
    project.run_ok(&["score", "run", "--as-of", &end]);
    assert_eq!(project.query_number(&stored), partners);
    let one = scored.lines().nth(1).and_then(|line| line.split(',').nth(2)).expect("a partner");
    assert!(project.run_ok(&["score", "show", one, "--as-of", &end]).contains("signal"));
    project.run_ok(&["actions", "plan", "--out", "plan.json", "--as-of", &end]);
    let plan = std::fs::read_to_string(project.path("plan.json")).expect("a plan");
    serde_json::from_str::<serde_json::Value>(&plan).expect("a plan in JSON");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    // `SimulatedWorld` compares the program's files with the library's records.
    let size = WorldSize { seed: 8, partners: 25, events: 500, days: 20 };
    let (one, two) = (SimulatedWorld::new(size), SimulatedWorld::new(size));
    let other = SimulatedWorld::new(WorldSize { seed: 9, ..size });
    for stream in Stream::ALL {
        let values = |world: &SimulatedWorld| -> Vec<Vec<u8>> {
            world.records(stream).into_iter().map(|sent| sent.value).collect()
        };
        assert_eq!(values(&one), values(&two));
        assert_ne!(values(&one), values(&other));
    }
}
