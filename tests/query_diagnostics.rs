//! `rapport metrics check` reports each error in a query with its position and a help, and none
//! hides another.

use crate::support::program::Project;

const SQL: &str = "SELECT partner_id, sum(calls) AS calls
FROM usage_day
WHERE environment = 'production'
GROUP BY partner_id
ORDER BY partner_id
";

fn query(sql: &str) -> String {
    format!(
        "/*---\ndescription = \"calls of each partner\"\ngrain = [\"partner_id\"]\n[columns]\npartner_id = {{ type = \"Utf8\" }}\ncalls = {{ type = \"Int64\" }}\n---*/\n{sql}"
    )
}

struct BrokenQuery {
    name: &'static str,
    files: Vec<(&'static str, String)>,
    /// Lines of the output of `check`.
    diagnostic_lines: &'static [&'static str],
}

fn broken_query(
    name: &'static str,
    text: String,
    diagnostic_lines: &'static [&'static str],
) -> BrokenQuery {
    let path: &'static str = Box::leak(format!("queries/metrics/{name}.sql").into_boxed_str());
    BrokenQuery { name, files: vec![(path, text)], diagnostic_lines }
}

/// Returns a broken query for each kind of diagnostic that this file tests.
fn broken_queries() -> Vec<BrokenQuery> {
    let mut all = vec![
        broken_query(
            "misspelt_column",
            query(&SQL.replace("SELECT partner_id", "SELECT partnr_id")),
            &[
                "queries/metrics/misspelt_column.sql:8:8: there is no column `partnr_id`",
                " 8 | SELECT partnr_id, sum(calls) AS calls",
                "   |        ^^^^^^^^^",
                "   help: did you mean `partner_id`?",
            ],
        ),
        broken_query(
            "wrong_type",
            query(SQL).replace("Int64", "Float64"),
            &[
                "queries/metrics/wrong_type.sql:6:18: `calls` is Float64 here, and the query gives Int64",
                " 6 | calls = { type = \"Float64\" }",
                "   |                  ^^^^^^^^^",
                "   help: write type = \"Int64\", or CAST it in the query",
            ],
        ),
        broken_query(
            "missing_group_by",
            query(&SQL.replace("GROUP BY partner_id\n", "")),
            &[
                "queries/metrics/missing_group_by.sql:8:8: `partner_id` is neither in GROUP BY nor inside an aggregate",
                "   |        ^^^^^^^^^^",
                "   help: add it: `GROUP BY …, partner_id`; or take one value of each group, as `min(partner_id)` does",
            ],
        ),
        broken_query(
            "wrong_grain",
            query(&SQL.replace("GROUP BY partner_id", "GROUP BY partner_id, product")),
            &[
                "queries/metrics/wrong_grain.sql:3:9: the grain is [\"partner_id\"], and the query gives a row for each (partner_id, product)",
                "   help: write grain = [\"partner_id\", \"product\"], or group by the grain alone",
            ],
        ),
        broken_query(
            "float_sum",
            query("SELECT partner_id, sum(CAST(amount AS DOUBLE)) AS calls\nFROM money_day\nGROUP BY partner_id\nORDER BY partner_id\n").replace("Int64", "Float64"),
            &[
                "queries/metrics/float_sum.sql:8:20: `sum` over Float64 depends on the order of its rows",
                "   |                    ^^^",
                "   help: add up integers or decimals (money with checked_sum), and divide or CAST to DOUBLE at the end",
            ],
        ),
        broken_query(
            "undeclared_parameter",
            query(&SQL.replace("environment = 'production'", "event_date < $asof")),
            &[
                "queries/metrics/undeclared_parameter.sql:10:20: there is no parameter `$asof`",
                "    |                    ^^^^^",
                "    help: `$as_of` is the only one there is: did you mean that?",
            ],
        ),
        broken_query(
            "forbidden",
            query("DELETE FROM usage_day WHERE calls = 0\n"),
            &[
                "queries/metrics/forbidden.sql:8:1: DELETE is not allowed: queries only read",
                "   | ^^^^^^",
                "   help: a query file holds one SELECT",
            ],
        ),
    ];
    all.push(BrokenQuery {
        name: "circle",
        files: vec![
            ("queries/metrics/circle.sql", query(&SQL.replace("usage_day", "round"))),
            (
                "queries/views/round.sql",
                query("SELECT partner_id, calls, 'production' AS environment\nFROM circle\n")
                    .replace("---*/", "environment = { type = \"Utf8\" }\n---*/"),
            ),
        ],
        diagnostic_lines: &[
            "queries/metrics/circle.sql:9:6: queries that read each other in a circle: circle → round → circle",
            "   |      ^^^^^",
            "   help: break it at one of them, with a view that holds what both need",
        ],
    });
    all.push(BrokenQuery {
        name: "twice",
        files: vec![
            ("queries/metrics/twice.sql", query(SQL)),
            ("queries/views/twice.sql", query(SQL)),
        ],
        diagnostic_lines: &[
            "queries/views/twice.sql:1:1: queries/metrics/twice.sql has the name \"twice\" already",
            "   help: rename one of the two files",
        ],
    });
    all
}

fn write(project: &Project, broken: &BrokenQuery) {
    for (path, text) in &broken.files {
        let folder = project.path(path);
        std::fs::create_dir_all(folder.parent().expect("a folder")).expect("a folder");
        project.write(path, text);
    }
}

#[test]
fn each_diagnostic_has_a_position_and_a_help() {
    for broken in broken_queries() {
        let project = Project::new();
        write(&project, &broken);
        let result = project.run(&["metrics", "check"]);
        assert_eq!(result.code, Some(3), "{}: {result}", broken.name);
        let text = result.stdout_text();
        for line in broken.diagnostic_lines {
            assert!(
                text.lines().any(|l| l == *line),
                "{}: no line\n{line}\nin {result}",
                broken.name
            );
        }
        // There is one diagnostic for each wrong position; the circle has two.
        let errors = if broken.name == "circle" { "2 errors" } else { "1 error" };
        assert!(text.contains(&format!("{errors}, 0 warnings")), "{result}");
    }
}

#[test]
fn a_broken_query_hides_no_other_and_stops_no_correct_one() {
    let project = Project::new();
    let all = broken_queries();
    for broken in &all {
        write(&project, broken);
    }
    project.write("queries/metrics/right.sql", query(SQL));
    let result = project.run(&["metrics", "check"]);
    for line in all.iter().flat_map(|broken| broken.diagnostic_lines) {
        assert!(result.stdout_text().lines().any(|l| l == *line), "no line\n{line}\nin {result}");
    }
    project.run_ok(&["metrics", "check", "right", "funnel"]);
    let json = project.run(&["metrics", "check", "wrong_type", "--format", "json"]);
    assert_eq!(json.code, Some(3), "{json}");
    let found: serde_json::Value = serde_json::from_str(&json.stdout_text()).expect("JSON");
    assert_eq!(
        found,
        serde_json::json!([{
            "file": "queries/metrics/wrong_type.sql",
            "line": 6,
            "column": 18,
            "severity": "error",
            "code": "column_type",
            "message": "`calls` is Float64 here, and the query gives Int64",
            "help": "write type = \"Int64\", or CAST it in the query",
            "query": "wrong_type",
        }])
    );
    project
        .run(&["metrics", "check", "nothing"])
        .expect_error(2, &["no query is called \"nothing\""]);

    // A run computes the correct queries, and lists those that it leaves out.
    project.write("calls.ndjson", CALL);
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    let run = ["metrics", "run", "right", "--as-of", "2026-03-01", "--format", "csv"];
    let correct = project.run(&run).expect_success();
    assert_eq!(correct.stdout_text(), "partner_id,calls\np1,1\n");
    assert!(
        correct.stderr.contains("twice is left out: queries/views/twice.sql:1:1: "),
        "{correct}"
    );
    let result = project.run(&["metrics", "run", "--as-of", "2026-03-01", "--out", "out"]);
    assert_eq!(result.code, Some(1), "{result}");
    assert!(project.path("out/right.csv").is_file() && project.path("out/funnel.csv").is_file());
    assert!(
        result.stderr.contains("twice") && result.stderr.contains("misspelt_column"),
        "{result}"
    );
    let report =
        project.run(&["report", "--as-of", "2026-03-01", "--out", "pages"]).expect_success();
    assert!(report.stderr.contains("misspelt_column: "), "{report}");
}

const CALL: &str = r#"{"event_id":"e1","partner_id":"p1","occurred_at":"2026-02-03T04:05:06Z","environment":"production","status":200}
"#;

#[test]
fn a_failing_case_is_located_and_recorded_anew() {
    let project = Project::new();
    project.write("queries/metrics/right.sql", query(SQL));
    let case = "# Two partners.\n[[case]]\nname = \"two\"\nas_of = 2026-03-01\ngiven.api_calls = [\n    { partner_id = \"a\", occurred_at = \"2026-02-01\" },\n    { partner_id = \"b\", occurred_at = \"2026-02-01\" },\n]\nexpect = [\n    { partner_id = \"a\", calls = 1 },\n    { partner_id = \"b\", calls = 7 },\n]\n";
    project.write("queries/metrics/right.test.toml", case);
    let result = project.run(&["metrics", "test", "right"]);
    assert_eq!(result.code, Some(3), "{result}");
    for part in [
        "FAIL  right · two (queries/metrics/right.test.toml:11:5)",
        "calls: expected 7, got 1",
        "0 passed, 1 failed",
    ] {
        assert!(result.stdout_text().contains(part), "no {part} in {result}");
    }
    assert!(result.stderr.contains("rapport metrics test right --record"), "{result}");
    let recorded = project.run_ok(&["metrics", "test", "right", "--record"]);
    assert!(recorded.contains("calls: expected 7, got 1"), "{recorded}");
    let text = std::fs::read_to_string(project.path("queries/metrics/right.test.toml"));
    assert_eq!(text.expect("the cases"), case.replace("calls = 7", "calls = 1"));
    project.run_ok(&["metrics", "test", "right"]);
    project.run(&["metrics", "test", "funnel", "--record"]).expect_error(2, &["built in"]);
}

#[test]
fn metrics_new_writes_queries_that_pass() {
    let project = Project::new();
    project.write("calls.ndjson", CALL);
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    for kind in ["metric", "view", "rollup", "check"] {
        let name = format!("my_{kind}");
        let made = project.run(&["metrics", "new", &name, "--kind", kind]).expect_success();
        assert_eq!(
            made.stdout_text(),
            format!("queries/{kind}s/{name}.sql\nqueries/{kind}s/{name}.test.toml\n")
        );
        assert!(made.stderr.contains(&format!("rapport metrics preview {name}")), "{made}");
        project.run_ok(&["metrics", "check", &name]);
        let tested = project.run_ok(&["metrics", "test", &name]);
        assert!(tested.starts_with("ok ") && tested.ends_with(" 0 failed\n"), "{tested}");
        let rows = ["metrics", "preview", &name, "--as-of", "2026-03-01", "--format", "csv"];
        let rows = project.run_ok(&rows).lines().count();
        assert_eq!(rows, if kind == "check" { 1 } else { 2 }, "{kind}");
        let again = ["metrics", "new", name.as_str()];
        project.run(&again).expect_error(2, &["has that name already"]);
    }
    project.run_ok(&["metrics", "check"]);
    project.run(&["metrics", "new", "funnel"]).expect_error(2, &["has that name already"]);
    project.run(&["metrics", "new", "api_calls"]).expect_error(2, &["is a table of the lake"]);
    project.run(&["metrics", "new", "My-Metric"]).expect_error(2, &["is no query name"]);
}

#[test]
fn lineage_is_printed_as_tree_dot_and_json() {
    let project = Project::new();
    let text = project.run_ok(&["metrics", "lineage", "billing_day"]);
    assert_eq!(text, "billing_day (rollup)\n└─ billing_events (stream)\n");
    let down = project.run_ok(&["metrics", "lineage", "billing_events", "--down"]);
    assert!(
        down.contains("money_day (view)") && down.contains("revenue_summary (metric)"),
        "{down}"
    );
    let dot = project.run_ok(&["metrics", "lineage", "billing_day", "--format", "dot"]);
    assert!(dot.contains("\"billing_events\" -> \"billing_day\";"), "{dot}");
    let columns = project.run_ok(&["metrics", "lineage", "money_day", "--columns"]);
    assert!(
        columns
            .contains("amount\n  from     billing_day.amount_minor, currencies.unit, rates.rate\n"),
        "{columns}"
    );
    let json = ["metrics", "lineage", "money_day", "--columns", "--format", "json"];
    let json: serde_json::Value = serde_json::from_str(&project.run_ok(&json)).expect("JSON");
    assert_eq!(json["columns"][4]["origins"][0], "billing_events.amount_minor");
    project.run(&["metrics", "lineage", "nothing"]).expect_error(2, &["no query is called"]);
}
