//! A data engineer's files: places in test files, queries without cases, byte-order marks,
//! divisions of whole numbers.

use crate::program::{BUSY, Project};

const QUERY: &str = "queries/metrics/busy.sql";
const CASES: &str = "queries/metrics/busy.test.toml";

fn project() -> Project {
    let project = Project::new();
    std::fs::create_dir_all(project.path("queries/metrics")).expect("a folder");
    project.write(QUERY, BUSY);
    project
}

#[test]
fn what_is_wrong_in_a_case_is_said_at_the_value() {
    let project = project();
    let head = "[[case]]\nname = \"one\"\n";
    for (rest, place, said) in [
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
        project.write(CASES, format!("{head}{rest}"));
        let ran = project.run(&["metrics", "test", "busy"]);
        assert_eq!(ran.code, Some(3), "{ran}");
        let place = format!("{CASES}:{place}");
        assert!(ran.text().contains(&place), "no {place} in {ran}");
        assert!(ran.text().contains(said), "no {said} in {ran}");
    }
}

#[test]
fn a_query_without_cases_does_not_pass() {
    let project = project();
    let none = "none  busy · no cases: write them in queries/metrics/busy.test.toml";
    let named = project.run(&["metrics", "test", "busy"]);
    assert_eq!(named.code, Some(3), "{named}");
    assert!(named.text().contains(none) && named.text().contains("0 passed"), "{named}");
    assert!(
        named.stderr.contains("no cases: busy") && named.stderr.contains("[[case]]"),
        "{named}"
    );
    let all = project.run(&["metrics", "test"]).succeeded();
    assert!(all.text().contains(none), "{all}");
    project.write(CASES, "[[case]]\nname = \"empty\"\nas_of = 2026-01-01\nexpect = []\n");
    let passed = project.ok(&["metrics", "test", "busy"]);
    assert_eq!(passed, "ok    busy · empty\n1 passed, 0 failed\n");
}

#[test]
fn rows_that_a_check_holds_back_are_no_passed_case() {
    let project = project();
    let header = "[[checks]]\nsql = \"SELECT * FROM this WHERE calls < 2\"\n---*/";
    project.write(QUERY, BUSY.replacen("---*/", header, 1));
    project.write(
        CASES,
        "[[case]]\nname = \"few\"\nas_of = 2026-02-01\ngiven.api_calls = [{ partner_id = \"a\", occurred_at = \"2026-01-01\" }]\nexpect = [{ partner_id = \"a\", calls = 1 }]\n",
    );
    let ran = project.run(&["metrics", "test", "busy"]);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.text().contains("a check of the header holds them back"), "{ran}");
}

/// As an editor on Windows saves it.
fn marked(text: &str) -> String {
    format!("\u{feff}{text}")
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file() {
    let project = project();
    let cases =
        "[[case]]\nname = \"empty\"\nas_of = 2026-01-01\nexpect = [{ partner_id = \"a\" }]\n";
    project.write(QUERY, marked(BUSY));
    project.write(CASES, marked(cases));
    project.ok(&["metrics", "check", "busy"]);
    let ran = project.run(&["metrics", "test", "busy"]);
    assert!(ran.text().contains(&format!("{CASES}:4:11")), "{ran}");
    project.ok(&["metrics", "test", "busy", "--record"]);
    project.ok(&["metrics", "test", "busy"]);

    let config = std::fs::read_to_string(project.path("rapport.toml")).expect("a file");
    project.write("rapport.toml", marked(&config));
    project.write("rates.csv", marked("date,currency,rate\n2025-01-01,EUR,1.1\n"));
    project.write("sla.csv", marked("plan,target,latency_target_ms\ngold,0.999,200\n"));
    project.write("sunsets.csv", marked("api_version,sunset_on\nv1,2026-01-01\n"));
    let event = r#"{"event_id":"e","partner_id":"a","occurred_at":"2025-12-30T00:00:00Z","kind":"usage","amount_minor":100,"currency":"EUR"}"#;
    project.write("bills.ndjson", event);
    project.ok(&["ingest", "load", "--stream", "billing-events", "bills.ndjson"]);
    project.write("ask.sql", marked("SELECT 1 AS one"));
    assert_eq!(project.ok(&["sql", "-f", "ask.sql", "--format", "csv"]), "one\n1\n");
    let gross = "SELECT CAST(gross AS VARCHAR) FROM revenue_summary";
    assert_eq!(project.rows(gross), ["1.100000000000"]);
    assert_eq!(project.rows("SELECT plan, target FROM sla"), ["gold,0.999"]);
    assert_eq!(project.rows("SELECT api_version FROM sunsets"), ["v1"]);
}

#[test]
fn a_division_of_whole_numbers_is_warned_of() {
    let project = project();
    let with = |expression: &str| {
        format!(
            "/*---\ndescription = \"d\"\ngrain = [\"partner_id\"]\n[columns]\npartner_id = {{ type = \"Utf8\" }}\nrate = {{ type = \"Float64\", unit = \"ratio\" }}\n[[checks]]\nunique = [\"partner_id\"]\n---*/\nSELECT partner_id, {expression} AS rate\nFROM usage_day GROUP BY partner_id ORDER BY partner_id\n"
        )
    };
    for (expression, warned) in [
        ("CAST(sum(successes) / sum(calls) AS DOUBLE)", true),
        ("sum(successes) / sum(calls) * 1.0", true),
        ("CAST(max(calls) / 28 AS DOUBLE)", true),
        ("CAST(sum(successes) AS DOUBLE) / sum(calls)", false),
        ("sum(successes) / CAST(sum(calls) AS DOUBLE)", false),
        ("CASE WHEN sum(calls) / 2 > 1 THEN 1.0 ELSE 0.5 END", false),
    ] {
        project.write(QUERY, with(expression));
        let ran = project.run(&["metrics", "check", "busy"]).succeeded();
        let found = ran.text().contains("warning: ") && ran.text().contains("drops the fraction");
        assert_eq!(found, warned, "{expression}: {ran}");
        if warned {
            assert!(ran.text().contains("AS DOUBLE) / "), "{ran}");
        }
    }
    // Through a CTE too.
    let inner = "/*---\ndescription = \"d\"\ngrain = [\"partner_id\"]\n[columns]\npartner_id = { type = \"Utf8\" }\nrate = { type = \"Float64\" }\n[[checks]]\nunique = [\"partner_id\"]\n---*/\nWITH r AS (SELECT partner_id, sum(successes) / sum(calls) AS part FROM usage_day GROUP BY partner_id)\nSELECT partner_id, CAST(part AS DOUBLE) AS rate FROM r ORDER BY partner_id\n";
    project.write(QUERY, inner);
    let ran = project.run(&["metrics", "check", "busy"]).succeeded();
    assert!(ran.text().contains("drops the fraction"), "{ran}");
    // None of the built-in queries does it.
    std::fs::remove_file(project.path(QUERY)).expect("a file");
    let ran = project.ok(&["metrics", "check"]);
    assert!(!ran.contains("drops the fraction"), "{ran}");
}
