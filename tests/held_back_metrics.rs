//! One bad event or one broken query holds back the metrics that depend on it, and nothing else.

use crate::support::program::{ProgramOutput, Project};
use crate::support::simulated_world::{SimulatedWorld, WorldSize};

const AS_OF: &str = "2026-03-01";

/// A charge in a currency on a day before the first rate of the currency.
const CHARGE_BEFORE_FIRST_RATE: &str = r#"{"event_id":"early","partner_id":"p-000001","occurred_at":"2024-01-01T00:00:00Z","kind":"usage","amount_minor":100,"currency":"EUR"}
"#;
const NO_RATE_MESSAGE: &str = "no exchange rate for EUR on 2024-01-01";

fn project() -> Project {
    let world = SimulatedWorld::new(WorldSize { seed: 31, partners: 30, events: 3_000, days: 70 });
    let project = Project::new();
    world.load(&project);
    std::fs::create_dir_all(project.path("queries/metrics")).expect("a folder");
    std::fs::create_dir_all(project.path("queries/checks")).expect("a folder");
    project
}

fn load_charge_without_rate(project: &Project) {
    project.write("early.ndjson", CHARGE_BEFORE_FIRST_RATE);
    let load = ["ingest", "load", "--stream", "billing-events", "--arrival", AS_OF, "early.ndjson"];
    project.run_ok(&load);
}

fn page(project: &Project, name: &str) -> String {
    std::fs::read_to_string(project.path(&format!("site/{name}"))).expect(name)
}

#[track_caller]
fn assert_messages(result: &ProgramOutput, parts: &[&str]) {
    for word in parts {
        assert!(result.stderr.contains(word), "no \"{word}\" in {result}");
    }
    assert!(!result.stderr.contains("panicked"), "{result}");
}

#[test]
fn a_charge_without_a_rate_holds_back_money_metrics_only() {
    let project = project();
    let before = "2026-02-20";
    project.run_ok(&["report", "--out", "site", "--as-of", before]);
    let revenue = page(&project, "data/revenue_summary.csv");
    load_charge_without_rate(&project);

    // Every page is renewed; the pages of money keep their last good rows and say so.
    let report = project.run(&["report", "--out", "site", "--as-of", AS_OF]).expect_success();
    assert_messages(&report, &[NO_RATE_MESSAGE, "the report shows revenue_summary as it was last"]);
    assert_messages(&report, &["revenue_per_partner: ", "scores are made without it"]);
    assert_eq!(page(&project, "data/revenue_summary.csv"), revenue);
    assert!(page(&project, "sql/revenue_summary.html").contains(NO_RATE_MESSAGE));
    assert!(page(&project, "revenue.html").contains("Held back."));
    assert!(!page(&project, "health.html").contains("Held back."));
    let growth = project.run_ok(&["metrics", "run", "growth", "--as-of", AS_OF, "--format", "csv"]);
    assert_eq!(page(&project, "data/growth.csv"), growth, "as of now");

    // Scores are computed without shares of gross.
    let scored = ["score", "run", "--as-of", AS_OF, "--format", "csv"];
    let scored = project.run(&scored).expect_success();
    assert_messages(&scored, &[NO_RATE_MESSAGE, "scores are made without it"]);
    assert!(scored.stdout_text().lines().count() > 20, "{scored}");
    let shares = || {
        project.query_number(&format!(
            "SELECT count(impact_share) FROM partner_health WHERE as_of = '{AS_OF}' AND revision =
               (SELECT max(revision) FROM partner_health WHERE as_of = '{AS_OF}')"
        ))
    };
    assert_eq!(shares(), 0);
    let plan = project.run(&["actions", "plan", "--out", "plan.json", "--as-of", AS_OF]);
    assert!(plan.expect_success().stdout_text().contains("partners looked at"));

    // `data_quality` is still computed, also for billing.
    let quality =
        project.run_ok(&["metrics", "run", "data_quality", "--as-of", AS_OF, "--format", "csv"]);
    assert_eq!(quality.lines().count(), 8, "{quality}");
    assert!(quality.contains("unbilled_usage,"), "{quality}");

    // A metric that is not computed leaves no file that could be taken for a new one.
    let run = ["metrics", "run", "--as-of", before, "--out", "files"];
    std::fs::create_dir_all(project.path("files")).expect("a folder");
    project.write("files/revenue_summary.csv", "old");
    let result = project.run(&run);
    assert_eq!(result.code, Some(1), "{result}");
    assert_messages(
        &result,
        &[NO_RATE_MESSAGE, "metrics failed: ", "revenue_summary", "ends in .held now"],
    );
    assert!(project.path("files/growth.csv").is_file());
    assert!(!project.path("files/revenue_summary.csv").exists());
    let renamed_file = project.path("files/revenue_summary.csv.held");
    assert_eq!(std::fs::read(&renamed_file).expect("the old file"), b"old");
    let one = ["metrics", "run", "revenue_summary", "--as-of", AS_OF];
    project.run(&one).expect_error(1, &[NO_RATE_MESSAGE]);

    // With a rate all metrics are published again.
    let rates = std::fs::read_to_string(project.path("rates.csv")).expect("rates");
    project.write("rates.csv", format!("{rates}2023-01-01,EUR,1.1\n"));
    project.run(&run).expect_success();
    assert!(project.path("files/revenue_summary.csv").is_file() && !renamed_file.exists());
    let report = project.run(&["report", "--out", "site", "--as-of", AS_OF]).expect_success();
    assert!(
        !report.stderr.contains("held back")
            && !page(&project, "revenue.html").contains("Held back.")
    );
    assert!(shares() > 0);
}

/// Replacements of metrics that can be planned, and fail when they are computed.
const FAILING_TREND: &str = "/*---
description = \"fails over rows\"
grain = [\"partner_id\", \"event_date\"]
[columns]
partner_id = { type = \"Utf8\" }
event_date = { type = \"Date32\" }
calls = { type = \"Int64\" }
client_error_rate = { type = \"Float64\" }
server_error_rate = { type = \"Float64\" }
throttled_rate = { type = \"Float64\" }
baseline_rate = { type = \"Float64\" }
alarm = { type = \"Boolean\" }
---*/
SELECT partner_id, event_date, calls / (calls - calls) AS calls, 0.5 AS client_error_rate,
  0.5 AS server_error_rate, 0.5 AS throttled_rate, 0.5 AS baseline_rate, FALSE AS alarm
FROM usage_day ORDER BY partner_id, event_date
";
const FAILING_THROTTLING: &str = "/*---
description = \"fails over rows\"
grain = [\"partner_id\"]
[columns]
partner_id = { type = \"Utf8\" }
quota_per_minute = { type = \"Int64\" }
peak_per_minute = { type = \"Int64\" }
utilisation = { type = \"Float64\" }
throttled_rate = { type = \"Float64\" }
needs_upgrade = { type = \"Boolean\" }
---*/
SELECT partner_id, quota_per_minute / (quota_per_minute - quota_per_minute) AS quota_per_minute,
  quota_per_minute AS peak_per_minute, 0.5 AS utilisation, 0.5 AS throttled_rate,
  FALSE AS needs_upgrade
FROM partners WHERE quota_per_minute > 0 ORDER BY partner_id
";

#[test]
fn a_broken_replacement_of_a_metric_drops_only_its_signals() {
    let project = project();
    for (folder, name, broken) in [
        ("scoring", "scoring_errors", "SELECT 1"),
        ("metrics", "error_trend", FAILING_TREND),
        ("metrics", "revenue_per_partner", "SELECT 1"),
        ("metrics", "throttling", "SELECT 1"),
        ("metrics", "throttling", FAILING_THROTTLING),
    ] {
        std::fs::create_dir_all(project.path(&format!("queries/{folder}"))).expect("a folder");
        let file = format!("queries/{folder}/{name}.sql");
        project.write(&file, broken);
        let score = project.run(&["score", "run", "--as-of", AS_OF]).expect_success();
        let without = "scores are made without it";
        let is_read = ["scoring_errors", "revenue_per_partner"].contains(&name);
        assert_eq!(score.stderr.contains(without), is_read, "{name}: {score}");
        let plan =
            project.run(&["actions", "plan", "--out", "p.json", "--as-of", AS_OF]).expect_success();
        let without = "the plan is made without it";
        assert_eq!(plan.stderr.contains(without), name == "throttling", "{plan}");
        let report = project.run(&["report", "--out", "site", "--as-of", AS_OF]).expect_success();
        assert_messages(&report, &[name]);
        if name == "scoring_errors" {
            let show = ["score", "show", "p-000001", "--as-of", AS_OF];
            let shown = project.run(&show).expect_success();
            assert!(shown.stderr.contains("scoring_errors"), "{shown}");
            let measured = format!(
                "SELECT count(*) FROM partner_signals WHERE signal = 'errors' AND score IS NOT NULL
                 AND as_of = '{AS_OF}' AND revision =
                   (SELECT max(revision) FROM partner_health WHERE as_of = '{AS_OF}')"
            );
            assert_eq!(project.query_number(&measured), 0, "{broken}");
        }
        std::fs::remove_file(project.path(&file)).expect("the replacement");
    }
}

fn write_check(project: &Project, name: &str, header: &str, sql: &str) {
    let text = format!("/*---\ndescription = \"what must hold\"\n{header}---*/\n{sql}\n");
    project.write(&format!("queries/checks/{name}.sql"), text);
}

#[test]
fn a_check_that_cannot_run_holds_back_its_metrics() {
    let project = project();
    let run = ["metrics", "run", "funnel", "growth", "--as-of", AS_OF, "--out", "files"];
    project.run_ok(&run);
    // A check holds back all metrics where the metrics that it is about are unknown.
    let (all_metrics, reading_metrics) = ("funnel, growth", "funnel");
    for (header, sql, messages, held_back_names) in [
        ("", "SELECT * FROM nonesuch", "there is no table \"nonesuch\"", all_metrics),
        ("", "SELECT * FROM partners, nonesuch", "there is no table \"nonesuch\"", all_metrics),
        ("", "SELECT * FORM partners", "can't be run", all_metrics),
        ("colour = 1\n", "SELECT * FROM partners", "unknown field `colour`", all_metrics),
        ("", "SELECT nothing FROM partners", "nothing", reading_metrics),
        ("", "SELECT CAST(partner_id AS INT) FROM partners", "Cannot cast", reading_metrics),
    ] {
        write_check(&project, "wrong", header, sql);
        let result = project.run(&run);
        assert_eq!(result.code, Some(3), "{sql}: {result}");
        assert_messages(
            &result,
            &["can't be run", messages, &format!("held back by a check: {held_back_names};")],
        );
        assert!(!project.path("files/funnel.csv").exists(), "{sql}");
        assert_eq!(
            project.path("files/growth.csv").exists(),
            held_back_names == reading_metrics,
            "{sql}"
        );
        std::fs::remove_file(project.path("queries/checks/wrong.sql")).expect("a file");
        project.run_ok(&run);
    }
    write_check(&project, "wrong", "", "SELECT * FROM nonesuch");
    let report = project.run(&["report", "--out", "site", "--as-of", AS_OF]).expect_success();
    assert_messages(&report, &["can't be run", "the report shows funnel as it was last"]);
    // A check that only warns holds nothing back.
    write_check(&project, "wrong", "severity = \"warn\"\n", "SELECT * FROM nonesuch");
    let result = project.run(&run).expect_success();
    assert_messages(&result, &["rapport: warning: wrong: ", "can't be run"]);
    // A check that is about no metric is reported too.
    write_check(&project, "wrong", "", "SELECT run_id FROM runs");
    let result = project.run(&run);
    assert_eq!(result.code, Some(3), "{result}");
    assert_messages(&result, &["what must hold", "held back by a check: wrong"]);
    assert!(project.path("files/growth.csv").is_file());
    std::fs::remove_file(project.path("queries/checks/wrong.sql")).expect("a file");

    // A check in a header is reported with its position in the file.
    let metric = |check: &str| {
        format!(
            "/*---\ndescription = \"partners\"\ngrain = [\"partner_id\"]\n[columns]\npartner_id = {{ type = \"Utf8\" }}\n[[checks]]\nsql = \"{check}\"\n---*/\nSELECT partner_id FROM partners ORDER BY partner_id\n"
        )
    };
    for (check, column, messages) in [
        ("SELECT * FORM this", 17, "Expected"),
        ("SELECT * FROM that", 22, "there is no table `that`"),
        ("SELECT partnr_id FROM this", 15, "there is no column `partnr_id`"),
        ("SELECT * FROM this WHERE now() > $as_of", 33, "`now` gives something else at each run"),
        ("SELECT * FROM this WHERE $day > 1", 33, "there is no parameter `$day`"),
        ("DELETE FROM this", 8, "a check is one SELECT"),
    ] {
        project.write("queries/metrics/mine.sql", metric(check));
        let position = format!("queries/metrics/mine.sql:7:{column}: ");
        for command in ["check", "test"] {
            let result = project.run(&["metrics", command, "mine"]);
            assert_eq!(result.code, Some(3), "{check}: {result}");
            let text = result.stdout_text();
            assert!(
                text.contains(messages) && text.contains(&position),
                "{check}: {position}{messages}: {result}"
            );
        }
    }
    project.write("queries/metrics/mine.sql", metric("SELECT * FROM that"));
    let result = project.run(&["metrics", "run", "mine", "--as-of", AS_OF, "--format", "csv"]);
    assert_eq!((result.code, result.stdout.len()), (Some(3), 0), "{result}");
    assert_messages(&result, &["can't be run", "held back by a check: mine"]);
}

#[test]
fn query_files_in_wrong_folders_are_reported() {
    let project = project();
    let query = "/*---\ndescription = \"d\"\n---*/\nSELECT 1\n";
    for folder in ["check", "checks/old", "metrics/2026/q1"] {
        std::fs::create_dir_all(project.path(&format!("queries/{folder}"))).expect("a folder");
        project.write(&format!("queries/{folder}/x.sql"), query);
    }
    project.write("queries/checks/y.SQL", query);
    let messages = [
        "queries/check/x.sql:1:1: ",
        "did you mean checks/?",
        "queries/checks/old/x.sql:1:1: ",
        "queries/metrics/2026/q1/x.sql:1:1: ",
        "queries/checks/y.SQL:1:1: files of queries end in lower case",
    ];
    let check = project.run(&["metrics", "check"]);
    assert_eq!(check.code, Some(3), "{check}");
    messages
        .iter()
        .for_each(|word| assert!(check.stdout_text().contains(word), "no {word} in {check}"));
    let run = ["metrics", "run", "funnel", "--as-of", AS_OF, "--format", "csv"];
    assert_messages(&project.run(&run).expect_success(), &messages);
}
