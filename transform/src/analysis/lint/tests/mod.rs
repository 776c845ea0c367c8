use std::sync::Arc;

use super::*;

mod order;

/// A query with this header and SQL: the header is five lines and a line for each column.
fn file(grain: &str, columns: &[(&str, &str)], sql: &str) -> String {
    let mut text = format!("/*---\ndescription = \"d\"\ngrain = {grain}\n[columns]\n");
    for (name, kind) in columns {
        text.push_str(&format!("{name} = {{ type = \"{kind}\" }}\n"));
    }
    format!("{text}---*/\n{sql}")
}

fn diagnostics_of(files: &[(&str, &str)]) -> Vec<String> {
    let catalog = Arc::new(Catalog::of_texts(files));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let diagnostics = runtime.block_on(lint_queries(&catalog, &[])).expect("a check");
    diagnostics.iter().map(|f| f.render(false)).collect()
}

/// Checks the diagnostics of a metric `m` over `partner_day`-like queries.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found = diagnostics_of(&[("metrics/m.sql", text)]);
    assert_eq!(found, expected, "\n{}", found.join("\n"));
}

const ID: (&str, &str) = ("partner_id", "Utf8");
const CALLS: (&str, &str) = ("calls", "Int64");

fn metric(columns: &[(&str, &str)], sql: &str) -> String {
    file("[\"partner_id\"]", columns, sql)
}

const GOOD: &str = "SELECT partner_id, count(*) AS calls\nFROM api_calls\nWHERE event_date < $as_of\nGROUP BY partner_id\nORDER BY partner_id";

#[test]
fn a_correct_query_has_no_diagnostics() {
    check(&metric(&[ID, CALLS], GOOD), &[]);
}

#[test]
fn syntax_errors() {
    check(
        &metric(&[ID, CALLS], "SELECT partner_id, count(* AS calls\nFROM api_calls"),
        &[
            "queries/metrics/m.sql:8:28: Expected: ), found: AS\n 8 | SELECT partner_id, count(* AS calls\n   |                            ^",
        ],
    );
}

#[test]
fn unknown_names() {
    check(
        &metric(&[ID, CALLS], &GOOD.replace("SELECT partner_id", "SELECT partnr_id")),
        &[
            "queries/metrics/m.sql:8:8: there is no column `partnr_id`\n 8 | SELECT partnr_id, count(*) AS calls\n   |        ^^^^^^^^^\n   help: did you mean `partner_id`?",
        ],
    );
    check(
        &metric(&[ID, CALLS], &GOOD.replace("SELECT partner_id", "SELECT c.partner_id")),
        &[
            "queries/metrics/m.sql:8:8: there is no column `partner_id` in `c`\n 8 | SELECT c.partner_id, count(*) AS calls\n   |        ^^^^^^^^^^^^\n   help: `c.partner_id` names nothing that stands in FROM",
        ],
    );
    check(
        &metric(&[ID, CALLS], &GOOD.replace("api_calls", "api_cals")),
        &[
            "queries/metrics/m.sql:9:6: there is no table `api_cals`\n 9 | FROM api_cals\n   |      ^^^^^^^^\n   help: did you mean `api_calls`?",
        ],
    );
    check(
        &metric(&[ID, CALLS], &GOOD.replace("count(*)", "coumt(*)")),
        &[
            "queries/metrics/m.sql:8:20: there is no function `coumt`\n 8 | SELECT partner_id, coumt(*) AS calls\n   |                    ^^^^^\n   help: did you mean `count`?",
        ],
    );
    check(
        &metric(
            &[ID, CALLS],
            "SELECT partner_id, 1 AS calls\nFROM api_calls a JOIN billing_events b ON true",
        ),
        &[
            "queries/metrics/m.sql:8:8: `partner_id` is a column of several tables here\n 8 | SELECT partner_id, 1 AS calls\n   |        ^^^^^^^^^^\n   help: write which one is meant: `table.partner_id`",
        ],
    );
}

#[test]
fn missing_commas_and_conditions() {
    check(
        &metric(&[ID, CALLS], &GOOD.replace("partner_id, count", "partner_id count")),
        &[
            "queries/metrics/m.sql:8:24: Expected: end of statement, found: (\n 8 | SELECT partner_id count(*) AS calls\n   |                        ^\n   help: a comma, an operator or a bracket may be missing on this line or the one above",
        ],
    );
    check(
        &metric(&[ID, CALLS], &GOOD.replace("FROM api_calls", "FROM api_calls LEFT JOIN runs")),
        &[
            "queries/metrics/m.sql:9:21: a JOIN without ON\n 9 | FROM api_calls LEFT JOIN runs\n   |                     ^^^^\n   help: say which rows go together: `ON a.x = b.x`; or write CROSS JOIN for all of them",
        ],
    );
    let joined = "SELECT a.partner_id, count(*) AS calls\nFROM api_calls AS a\nJOIN runs AS r\nGROUP BY a.partner_id\nORDER BY a.partner_id";
    check(
        &metric(&[ID, CALLS], joined),
        &[
            "queries/metrics/m.sql:10:1: a JOIN without ON\n 10 | JOIN runs AS r\n    | ^^^^\n    help: say which rows go together: `ON a.x = b.x`; or write CROSS JOIN for all of them",
        ],
    );
    check(
        &metric(&[ID, CALLS], GOOD).replace("grain =", "grian ="),
        &[
            "queries/metrics/m.sql:3:1: unknown field `grian`, expected one of `description`, `owner`, `grain`, `tags`, `columns`, `checks`, `reads`, `keep`, `severity`, `slice`\n 3 | grian = [\"partner_id\"]\n   | ^^^^^^^^^^^^^^^^^^^^^^\n   help: did you mean `grain`?",
        ],
    );
}

#[test]
fn a_query_that_reads_itself() {
    let found = diagnostics_of(&[(
        "metrics/m.sql",
        &metric(&[ID, CALLS], &GOOD.replace("api_calls", "m")),
    )]);
    assert!(
        found[0].starts_with("queries/metrics/m.sql:9:6: the query reads itself\n"),
        "{found:?}"
    );
}

#[test]
fn every_unknown_column_of_a_select() {
    let sql = GOOD.replace("SELECT partner_id, count(*)", "SELECT partnr_id, count(statis)");
    check(
        &metric(&[ID, CALLS], &sql),
        &[
            "queries/metrics/m.sql:8:8: there is no column `partnr_id`\n 8 | SELECT partnr_id, count(statis) AS calls\n   |        ^^^^^^^^^\n   help: did you mean `partner_id`?",
            "queries/metrics/m.sql:8:25: there is no column `statis`\n 8 | SELECT partnr_id, count(statis) AS calls\n   |                         ^^^^^^\n   help: did you mean `status`?",
        ],
    );
}

#[test]
fn a_column_that_is_neither_grouped_nor_aggregated() {
    check(
        &metric(
            &[ID, ("status", "Int32")],
            "SELECT partner_id,\n  status\nFROM api_calls\nGROUP BY partner_id\nORDER BY partner_id",
        ),
        &[
            "queries/metrics/m.sql:9:3: `status` is neither in GROUP BY nor inside an aggregate\n 9 |   status\n   |   ^^^^^^\n   help: add it: `GROUP BY …, status`; or take one value of each group, as `min(status)` does",
        ],
    );
}

#[test]
fn types_that_do_not_go_together() {
    let found = diagnostics_of(&[(
        "metrics/m.sql",
        &metric(&[ID, CALLS], &GOOD.replace("count(*)", "checked_sum(partner_id)")),
    )]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("queries/metrics/m.sql:8:20: "), "{}", found[0]);
}

#[test]
fn parameters() {
    check(
        &metric(&[ID, CALLS], &GOOD.replace("$as_of", "$asof")),
        &[
            "queries/metrics/m.sql:10:20: there is no parameter `$asof`\n 10 | WHERE event_date < $asof\n    |                    ^^^^^\n    help: `$as_of` is the only one there is: did you mean that?",
        ],
    );
    let rollup = "/*---\ndescription = \"d\"\ngrain = [\"event_date\"]\nreads = { api_calls = \"same\" }\n[columns]\nevent_date = { type = \"Date32\" }\ncalls = { type = \"Int64\" }\n---*/\nSELECT event_date, count(*) AS calls\nFROM api_calls\nWHERE event_date < $as_of\nGROUP BY event_date";
    assert_eq!(
        diagnostics_of(&[("rollups/r.sql", rollup)]),
        [
            "queries/rollups/r.sql:11:20: a rollup knows no `$as_of`: its days are computed once, for all of them\n 11 | WHERE event_date < $as_of\n    |                    ^^^^^^\n    help: leave it out; who reads the rollup says `event_date < $as_of`"
        ],
    );
}

#[test]
fn volatile_functions() {
    check(
        &metric(&[ID, CALLS], &GOOD.replace("$as_of", "current_date")),
        &[
            "queries/metrics/m.sql:10:20: `current_date` gives something else at each run\n 10 | WHERE event_date < current_date\n    |                    ^^^^^^^^^^^^\n    help: use `$as_of`, the instant the query looks up to",
        ],
    );
    check(
        &metric(&[ID, CALLS], &GOOD.replace("event_date < $as_of", "occurred_at < now()")),
        &[
            "queries/metrics/m.sql:10:21: `now` gives something else at each run\n 10 | WHERE occurred_at < now()\n    |                     ^^^\n    help: use `$as_of`, the instant the query looks up to",
        ],
    );
    check(
        &metric(&[ID, CALLS], &GOOD.replace("event_date < $as_of", "random() < 0.5")),
        &[
            "queries/metrics/m.sql:10:7: `random` gives something else at each run\n 10 | WHERE random() < 0.5\n    |       ^^^^^^\n    help: derive it from the rows: the same input gives the same output",
        ],
    );
}

#[test]
fn select_star() {
    check(
        &metric(
            &[ID, CALLS],
            "WITH t AS (SELECT partner_id, count(*) AS calls FROM api_calls GROUP BY partner_id)\nSELECT * FROM t ORDER BY partner_id",
        ),
        &[
            "queries/metrics/m.sql:9:8: `SELECT *` gives other columns once its table has others\n 9 | SELECT * FROM t ORDER BY partner_id\n   |        ^\n   help: name the columns, in the order of the header",
        ],
    );
    check(
        &metric(
            &[ID, CALLS],
            "WITH t AS (SELECT * FROM api_calls)\nSELECT partner_id, count(*) AS calls FROM t GROUP BY partner_id ORDER BY partner_id",
        ),
        &[],
    );
}

#[test]
fn columns_against_the_header() {
    check(
        &metric(&[ID, ("call", "Int64")], GOOD),
        &[
            "queries/metrics/m.sql:6:1: the query gives no column `call`\n 6 | call = { type = \"Int64\" }\n   | ^^^^\n   help: the query gives `calls`: call both the same",
        ],
    );
    check(
        &metric(&[ID, CALLS, ("gross", "Decimal")], GOOD),
        &[
            "queries/metrics/m.sql:7:1: the query gives no column `gross`\n 7 | gross = { type = \"Decimal\" }\n   | ^^^^^\n   help: select it, or take it out of the header",
        ],
    );
    check(
        &metric(&[ID], GOOD),
        &[
            "queries/metrics/m.sql:7:32: `calls` is not among the columns of the header\n 7 | SELECT partner_id, count(*) AS calls\n   |                                ^^^^^\n   help: add it under [columns]: calls = { type = \"Int64\" }",
        ],
    );
    check(
        &metric(&[ID], &GOOD.replace(" AS calls", "")),
        &[
            "queries/metrics/m.sql:7:20: `count(*)` is not among the columns of the header\n 7 | SELECT partner_id, count(*)\n   |                    ^^^^^\n   help: give it a name with AS, and declare that under [columns]",
        ],
    );
    check(
        &metric(&[ID, ("calls", "Float64")], GOOD),
        &[
            "queries/metrics/m.sql:6:18: `calls` is Float64 here, and the query gives Int64\n 6 | calls = { type = \"Float64\" }\n   |                  ^^^^^^^^^\n   help: write type = \"Int64\", or CAST it in the query",
        ],
    );
    check(
        &metric(&[CALLS, ID], GOOD),
        &[
            "queries/metrics/m.sql:5:1: the query gives `partner_id` where the header has `calls`\n 5 | calls = { type = \"Int64\" }\n   | ^^^^^\n   help: list them as the query does: partner_id, calls",
        ],
    );
}

#[test]
fn sums_of_floats_and_of_money() {
    let sum = |call: &str| {
        format!(
            "SELECT partner_id, {call} AS x\nFROM billing_events\nGROUP BY partner_id\nORDER BY partner_id"
        )
    };
    check(
        &metric(&[ID, ("x", "Float64")], &sum("sum(CAST(amount_minor AS DOUBLE))")),
        &[
            "queries/metrics/m.sql:8:20: `sum` over Float64 depends on the order of its rows\n 8 | SELECT partner_id, sum(CAST(amount_minor AS DOUBLE)) AS x\n   |                    ^^^\n   help: add up integers or decimals (money with checked_sum), and divide or CAST to DOUBLE at the end",
        ],
    );
    check(
        &metric(&[ID, ("x", "Int64")], &sum("sum(amount_minor)")),
        &[
            "queries/metrics/m.sql:8:20: `sum` of money wraps without a word when it overflows\n 8 | SELECT partner_id, sum(amount_minor) AS x\n   |                    ^^^\n   help: use `checked_sum`, which is exact or fails",
        ],
    );
    check(
        &metric(&[ID, ("x", "Decimal(38, 2)")], &sum("sum(CAST(units AS DECIMAL(30, 2)))")),
        &[
            "queries/metrics/m.sql:8:20: `sum` of money wraps without a word when it overflows\n 8 | SELECT partner_id, sum(CAST(units AS DECIMAL(30, 2))) AS x\n   |                    ^^^\n   help: use `checked_sum`, which is exact or fails",
        ],
    );
    check(&metric(&[ID, ("x", "Decimal(38, 0)")], &sum("checked_sum(amount_minor)")), &[]);
    check(&metric(&[ID, ("x", "Int64")], &sum("sum(units)")), &[]);
}

#[test]
fn wrong_grains() {
    let months = "SELECT month_start(event_date) AS month, partner_id, count(*) AS calls\nFROM api_calls\nGROUP BY month_start(event_date), partner_id\nORDER BY month, partner_id";
    let columns = [("month", "Date32"), ID, CALLS];
    check(&file("[\"month\", \"partner_id\"]", &columns, months), &[]);
    check(
        &file("[\"month\"]", &columns, months),
        &[
            "queries/metrics/m.sql:3:9: the grain is [\"month\"], and the query gives a row for each (month, partner_id)\n 3 | grain = [\"month\"]\n   |         ^^^^^^^^^\n   help: write grain = [\"month\", \"partner_id\"], or group by the grain alone",
        ],
    );
    check(
        &file(
            "[\"month\", \"partner_id\"]",
            &columns,
            "SELECT month_start(event_date) AS month, min(partner_id) AS partner_id, count(*) AS calls\nFROM api_calls\nGROUP BY month_start(event_date)\nORDER BY month",
        ),
        &[
            "queries/metrics/m.sql:3:9: `partner_id` is in the grain and not in GROUP BY\n 3 | grain = [\"month\", \"partner_id\"]\n   |         ^^^^^^^^^^^^^^^^^^^^^^^\n   help: write grain = [\"month\"], or group by `partner_id` too",
        ],
    );
}

#[test]
fn test_cases_disprove_a_grain() {
    let sql = "SELECT b.kind AS partner_id, a.n AS calls\nFROM billing_events b, (SELECT count(*) AS n FROM api_calls) a\nORDER BY partner_id";
    let text = metric(&[ID, CALLS], sql);
    let cases = "[[case]]\nname = \"two of a kind\"\nas_of = 2026-02-01\ngiven.billing_events = [\n  { partner_id = \"a\", occurred_at = \"2026-01-01\", kind = \"usage\", amount_minor = 1, currency = \"USD\" },\n  { partner_id = \"b\", occurred_at = \"2026-01-01\", kind = \"usage\", amount_minor = 1, currency = \"USD\" },\n]\nexpect = []\n";
    assert_eq!(
        diagnostics_of(&[("metrics/m.sql", &text), ("metrics/m.test.toml", cases)]),
        [
            "queries/metrics/m.sql:3:9: 2 rows have partner_id = \"usage\" in the case \"two of a kind\"\n 3 | grain = [\"partner_id\"]\n   |         ^^^^^^^^^^^^^^\n   help: the grain lacks a column, or the query a GROUP BY"
        ],
    );
    assert_eq!(
        diagnostics_of(&[("metrics/m.sql", &text)]),
        [
            "queries/metrics/m.sql:3:9: warning: nothing shows that the grain tells the rows apart\n 3 | grain = [\"partner_id\"]\n   |         ^^^^^^^^^^^^^^\n   help: add a case with several rows, or [[checks]] unique = [\"partner_id\"]"
        ],
    );
}

#[test]
fn cycles() {
    let one = metric(&[ID], "SELECT partner_id\nFROM two\nORDER BY partner_id");
    let two = metric(&[ID], "SELECT partner_id\nFROM one");
    assert_eq!(
        diagnostics_of(&[("metrics/one.sql", &one), ("views/two.sql", &two)]),
        [
            "queries/metrics/one.sql:8:6: queries that read each other in a circle: one → two → one\n 8 | FROM two\n   |      ^^^\n   help: break it at one of them, with a view that holds what both need",
            "queries/views/two.sql:8:6: queries that read each other in a circle: two → one → two\n 8 | FROM one\n   |      ^^^\n   help: break it at one of them, with a view that holds what both need",
        ]
    );
}

#[test]
fn statements_that_write() {
    check(
        &metric(&[ID], "DROP TABLE api_calls"),
        &[
            "queries/metrics/m.sql:7:1: DROP is not allowed: queries only read\n 7 | DROP TABLE api_calls\n   | ^^^^\n   help: a query file holds one SELECT",
        ],
    );
    check(
        &metric(&[ID, CALLS], &format!("{GOOD};\nDELETE FROM api_calls")),
        &[
            "queries/metrics/m.sql:13:1: several statements is not allowed: queries only read\n 13 | DELETE FROM api_calls\n    | ^^^^^^\n    help: a query file holds one SELECT",
        ],
    );
    check(
        &metric(&[ID], "EXPLAIN SELECT 1"),
        &[
            "queries/metrics/m.sql:7:1: this describes a query and is none\n 7 | EXPLAIN SELECT 1\n   | ^^^^^^^\n   help: a query file holds one SELECT",
        ],
    );
}

#[test]
fn metrics_that_bypass_merges() {
    let merges = metric(&[ID], "SELECT partner_id FROM partner_events");
    let view = metric(
        &[ID],
        "SELECT c.partner_id FROM api_calls c JOIN merge_map m ON m.partner_id = c.partner_id",
    );
    let text = metric(&[ID, CALLS], GOOD);
    let found = diagnostics_of(&[
        ("metrics/m.sql", &text),
        ("views/merge_map.sql", &merges),
        ("views/usage.sql", &view),
    ]);
    assert!(
        found.contains(&"queries/metrics/m.sql:9:6: warning: `api_calls` read by itself knows no merges of partners\n 9 | FROM api_calls\n   |      ^^^^^^^^^\n   help: read it through `usage`".to_owned()),
        "{}",
        found.join("\n")
    );
}

#[test]
fn bounds_that_include_as_of() {
    let bound = |text: &str| metric(&[ID, CALLS], &GOOD.replace("event_date < $as_of", text));
    check(
        &bound("occurred_at <= $as_of"),
        &[
            "queries/metrics/m.sql:10:7: warning: an event at exactly `$as_of` counts here, and is not to be seen yet\n 10 | WHERE occurred_at <= $as_of\n    |       ^^^^^^^^^^^^^^^^^^^^^\n    help: `$as_of` is where the data ends: write `< $as_of`",
        ],
    );
    check(&bound("occurred_at < $as_of"), &[]);
    check(&bound("occurred_at <= $as_of - INTERVAL '30 days'"), &[]);
}

#[test]
fn undeclared_reads_of_a_rollup() {
    let rollup = |reads: &str, calls: &str| {
        format!(
            "/*---\ndescription = \"d\"\ngrain = [\"event_date\"]\nreads = {{ {reads} }}\n[columns]\nevent_date = {{ type = \"Date32\" }}\ncalls = {{ type = \"Int64\" }}\n---*/\nSELECT event_date, {calls} AS calls\nFROM api_calls\nGROUP BY event_date"
        )
    };
    let same = "api_calls = \"same\"";
    assert_eq!(
        diagnostics_of(&[("rollups/r.sql", &rollup(same, "count(*)"))]),
        Vec::<String>::new()
    );
    let all = "(SELECT count(*) FROM api_calls)";
    assert_eq!(
        diagnostics_of(&[("rollups/r.sql", &rollup(same, all))]),
        [
            "queries/rollups/r.sql:4:9: a day of it may read any day of api_calls, and the header says \"same\": a subquery reads it for all days at once\n 4 | reads = { api_calls = \"same\" }\n   |         ^^^^^^^^^^^^^^^^^^^^^^\n   help: write api_calls = \"all\", or keep the days apart in the query"
        ],
    );
    assert_eq!(
        diagnostics_of(&[("rollups/r.sql", &rollup("", "count(*)"))]),
        [
            "queries/rollups/r.sql:4:9: the header does not say which days of api_calls it reads\n 4 | reads = {  }\n   |         ^^^^\n   help: write reads = { api_calls = \"same\" }"
        ],
    );
}

#[test]
fn a_wrong_file_hides_no_diagnostic_of_another() {
    let bad = metric(&[ID, CALLS], &GOOD.replace("api_calls", "nowhere"));
    let reader =
        metric(&[ID, CALLS], "SELECT partner_id, cals AS calls FROM bad ORDER BY partner_id");
    let found = diagnostics_of(&[
        ("metrics/broken.sql", "/*--- colour = 3 ---*/ SELECT 1"),
        ("views/bad.sql", &bad),
        ("metrics/reader.sql", &reader),
    ]);
    let first: Vec<&str> = found.iter().filter_map(|f| f.lines().next()).collect();
    assert_eq!(first.len(), 3, "{first:#?}");
    assert!(first[0].starts_with("queries/metrics/broken.sql:1:"), "{first:#?}");
    assert_eq!(first[1], "queries/metrics/reader.sql:8:20: there is no column `cals`");
    assert_eq!(first[2], "queries/views/bad.sql:9:6: there is no table `nowhere`");
}

#[test]
fn the_built_in_queries_are_clean() {
    let catalog = Arc::new(Catalog::built_in().expect("the queries"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let diagnostics = runtime.block_on(lint_queries(&catalog, &[])).expect("a check");
    let found: Vec<String> = diagnostics.iter().map(|f| f.render(false)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
