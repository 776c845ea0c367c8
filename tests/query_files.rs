//! A project's query files and their test cases: positions of errors, missing cases, byte-order
//! marks, integer division.

use crate::support::program::{BUSY_METRIC, Project};

const QUERY_FILE: &str = "queries/metrics/busy.sql";
const CASES_FILE: &str = "queries/metrics/busy.test.toml";

fn project() -> Project {
    let project = Project::new();
    std::fs::create_dir_all(project.path("queries/metrics")).expect("a folder");
    project.write(QUERY_FILE, BUSY_METRIC);
    project
}

#[test]
fn errors_in_a_case_are_reported_at_the_value() {
    let project = project();
    let head = "[[case]]\nname = \"one\"\n";
    for (rest, position, message) in [
        ("as_of = \"noon\"\nexpect = []\n", "3:9", "\"noon\""),
        (
            "as_of = 2026-01-01\nrates = [\n  [\"2026-01-01\", \"XXY\", \"1\"],\n]\nexpect = []\n",
            "5:3",
            "XXY",
        ),
        ("as_of = 2026-01-01\nexpect = []\nerror = \"e\"\n", "5:9", "either `expect"),
        ("as_of = 2026-01-01\ngiven.api_calls = 3\nexpect = []\n", "4:19", "not a list of rows"),
        (
            "as_of = 2026-01-01\ngiven.api_cals = [{}]\nexpect = []\n",
            "4:18",
            "there is no such table",
        ),
        (
            "as_of = 2026-01-01\ngiven.api_calls = [\n  { partner_id = \"a\" },\n]\nexpect = []\n",
            "5:3",
            "row 1 has no occurred_at",
        ),
        (
            "as_of = 2026-01-01\ngiven.api_calls = [\n  { partner_id = \"a\", occurred_at = \"soon\" },\n]\nexpect = []\n",
            "5:37",
            "\"soon\" is no instant",
        ),
        (
            "as_of = 2026-01-01\ngiven.api_calls = [\n  { occurred_at = \"2025-12-01\", partner = \"a\" },\n]\nexpect = []\n",
            "5:43",
            "no column \"partner\"",
        ),
        (
            "as_of = 2026-01-01\ngiven.api_calls = [\n  { occurred_at = \"2025-12-01\", partner_id = \"a\", status = \"x\" },\n]\nexpect = []\n",
            "5:60",
            "status = \"x\" is no Int32",
        ),
        (
            "as_of = 2026-01-01\nexpect = [\n  { partner_id = \"a\", call = 1 },\n]\n",
            "5:30",
            "no column \"call\"; did you mean `calls`?",
        ),
        (
            "as_of = 2026-01-01\nexpect = [\n  { partner_id = \"a\", calls = \"many\" },\n]\n",
            "5:31",
            "calls = \"many\" is no Int64",
        ),
        ("as_of = 2026-01-01\nerror = \"no\"\n", "4:9", "expected an error with \"no\", got rows"),
        (
            "as_of = 2026-01-01\nexpect = [{ partner_id = \"a\" }]\n",
            "4:11",
            "expected 1 row, got 0",
        ),
        ("as_of = 2026-01-01\nexpct = []\n", "4:1", "unknown field `expct`"),
    ] {
        project.write(CASES_FILE, format!("{head}{rest}"));
        let result = project.run(&["metrics", "test", "busy"]);
        assert_eq!(result.code, Some(3), "{result}");
        let position = format!("{CASES_FILE}:{position}");
        assert!(result.stdout_text().contains(&position), "no {position} in {result}");
        assert!(result.stdout_text().contains(message), "no {message} in {result}");
    }
}

#[test]
fn a_query_without_cases_does_not_pass() {
    let project = project();
    let no_cases_line = "none  busy · no cases: write them in queries/metrics/busy.test.toml";
    let named = project.run(&["metrics", "test", "busy"]);
    assert_eq!(named.code, Some(3), "{named}");
    assert!(
        named.stdout_text().contains(no_cases_line) && named.stdout_text().contains("0 passed"),
        "{named}"
    );
    assert!(
        named.stderr.contains("no cases: busy") && named.stderr.contains("[[case]]"),
        "{named}"
    );
    let all = project.run(&["metrics", "test"]).expect_success();
    assert!(all.stdout_text().contains(no_cases_line), "{all}");
    project.write(CASES_FILE, "[[case]]\nname = \"empty\"\nas_of = 2026-01-01\nexpect = []\n");
    let passed = project.run_ok(&["metrics", "test", "busy"]);
    assert_eq!(passed, "ok    busy · empty\n1 passed, 0 failed\n");
}

#[test]
fn a_case_fails_when_a_check_holds_its_rows_back() {
    let project = project();
    let header = "[[checks]]\nsql = \"SELECT * FROM this WHERE calls < 2\"\n---*/";
    project.write(QUERY_FILE, BUSY_METRIC.replacen("---*/", header, 1));
    project.write(
        CASES_FILE,
        "[[case]]\nname = \"few\"\nas_of = 2026-02-01\ngiven.api_calls = [{ partner_id = \"a\", occurred_at = \"2026-01-01\" }]\nexpect = [{ partner_id = \"a\", calls = 1 }]\n",
    );
    let result = project.run(&["metrics", "test", "busy"]);
    assert_eq!(result.code, Some(3), "{result}");
    assert!(result.stdout_text().contains("a check of the header holds them back"), "{result}");
}

/// Returns a text as editors on Windows save it.
fn with_byte_order_mark(text: &str) -> String {
    format!("\u{feff}{text}")
}

#[test]
fn a_byte_order_mark_is_ignored_in_every_file() {
    let project = project();
    let cases =
        "[[case]]\nname = \"empty\"\nas_of = 2026-01-01\nexpect = [{ partner_id = \"a\" }]\n";
    project.write(QUERY_FILE, with_byte_order_mark(BUSY_METRIC));
    project.write(CASES_FILE, with_byte_order_mark(cases));
    project.run_ok(&["metrics", "check", "busy"]);
    let result = project.run(&["metrics", "test", "busy"]);
    assert!(result.stdout_text().contains(&format!("{CASES_FILE}:4:11")), "{result}");
    project.run_ok(&["metrics", "test", "busy", "--record"]);
    project.run_ok(&["metrics", "test", "busy"]);

    let config = std::fs::read_to_string(project.path("rapport.toml")).expect("a file");
    project.write("rapport.toml", with_byte_order_mark(&config));
    project.write("rates.csv", with_byte_order_mark("date,currency,rate\n2025-01-01,EUR,1.1\n"));
    project
        .write("sla.csv", with_byte_order_mark("plan,target,latency_target_ms\ngold,0.999,200\n"));
    project.write("sunsets.csv", with_byte_order_mark("api_version,sunset_on\nv1,2026-01-01\n"));
    let event = r#"{"event_id":"e","partner_id":"a","occurred_at":"2025-12-30T00:00:00Z","kind":"usage","amount_minor":100,"currency":"EUR"}"#;
    project.write("bills.ndjson", event);
    project.run_ok(&["ingest", "load", "--stream", "billing-events", "bills.ndjson"]);
    project.write("ask.sql", with_byte_order_mark("SELECT 1 AS one"));
    assert_eq!(project.run_ok(&["sql", "-f", "ask.sql", "--format", "csv"]), "one\n1\n");
    let gross = "SELECT CAST(gross AS VARCHAR) FROM revenue_summary";
    assert_eq!(project.query_rows(gross), ["1.100000000000"]);
    assert_eq!(project.query_rows("SELECT plan, target FROM sla"), ["gold,0.999"]);
    assert_eq!(project.query_rows("SELECT api_version FROM sunsets"), ["v1"]);
}

#[test]
fn integer_division_is_warned_about() {
    let project = project();
    let query_with = |expression: &str| {
        format!(
            "/*---\ndescription = \"d\"\ngrain = [\"partner_id\"]\n[columns]\npartner_id = {{ type = \"Utf8\" }}\nrate = {{ type = \"Float64\", unit = \"ratio\" }}\n[[checks]]\nunique = [\"partner_id\"]\n---*/\nSELECT partner_id, {expression} AS rate\nFROM usage_day GROUP BY partner_id ORDER BY partner_id\n"
        )
    };
    for (expression, expects_warning) in [
        ("CAST(sum(successes) / sum(calls) AS DOUBLE)", true),
        ("sum(successes) / sum(calls) * 1.0", true),
        ("CAST(max(calls) / 28 AS DOUBLE)", true),
        ("CAST(sum(successes) AS DOUBLE) / sum(calls)", false),
        ("sum(successes) / CAST(sum(calls) AS DOUBLE)", false),
        ("CASE WHEN sum(calls) / 2 > 1 THEN 1.0 ELSE 0.5 END", false),
    ] {
        project.write(QUERY_FILE, query_with(expression));
        let result = project.run(&["metrics", "check", "busy"]).expect_success();
        let found = result.stdout_text().contains("warning: ")
            && result.stdout_text().contains("drops the fraction");
        assert_eq!(found, expects_warning, "{expression}: {result}");
        if expects_warning {
            assert!(result.stdout_text().contains("AS DOUBLE) / "), "{result}");
        }
    }
    // The same through a CTE.
    let inner = "/*---\ndescription = \"d\"\ngrain = [\"partner_id\"]\n[columns]\npartner_id = { type = \"Utf8\" }\nrate = { type = \"Float64\" }\n[[checks]]\nunique = [\"partner_id\"]\n---*/\nWITH r AS (SELECT partner_id, sum(successes) / sum(calls) AS part FROM usage_day GROUP BY partner_id)\nSELECT partner_id, CAST(part AS DOUBLE) AS rate FROM r ORDER BY partner_id\n";
    project.write(QUERY_FILE, inner);
    let result = project.run(&["metrics", "check", "busy"]).expect_success();
    assert!(result.stdout_text().contains("drops the fraction"), "{result}");
    // No built-in query does it.
    std::fs::remove_file(project.path(QUERY_FILE)).expect("a file");
    let result = project.run_ok(&["metrics", "check"]);
    assert!(!result.contains("drops the fraction"), "{result}");
}
