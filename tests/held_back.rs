//! One event or one broken query holds back what is made of it, says so, and stops nothing else.

use crate::program::{Project, Ran};
use crate::simulated::{Simulated, Size};

const DAY: &str = "2026-03-01";

/// A charge in a currency on a day before its first rate.
const EARLY: &str = r#"{"event_id":"early","partner_id":"p-000001","occurred_at":"2024-01-01T00:00:00Z","kind":"usage","amount_minor":100,"currency":"EUR"}
"#;
const NO_RATE: &str = "no exchange rate for EUR on 2024-01-01";

fn project() -> Project {
    let world = Simulated::new(Size { seed: 31, partners: 30, events: 3_000, days: 70 });
    let project = Project::new();
    world.load(&project);
    std::fs::create_dir_all(project.path("queries/metrics")).expect("a folder");
    std::fs::create_dir_all(project.path("queries/checks")).expect("a folder");
    project
}

fn charge_without_rate(project: &Project) {
    project.write("early.ndjson", EARLY);
    let load = ["ingest", "load", "--stream", "billing-events", "--arrival", DAY, "early.ndjson"];
    project.ok(&load);
}

fn page(project: &Project, name: &str) -> String {
    std::fs::read_to_string(project.path(&format!("site/{name}"))).expect(name)
}

#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word), "no \"{word}\" in {ran}");
    }
    assert!(!ran.stderr.contains("panicked"), "{ran}");
}

#[test]
fn one_event_without_a_rate_holds_back_money_alone() {
    let project = project();
    let before = "2026-02-20";
    project.ok(&["report", "--out", "site", "--as-of", before]);
    let revenue = page(&project, "data/revenue_summary.csv");
    charge_without_rate(&project);

    // Every page is renewed; those of money keep their last good rows and say so.
    let report = project.run(&["report", "--out", "site", "--as-of", DAY]).succeeded();
    says(&report, &[NO_RATE, "the report shows revenue_summary as it was last"]);
    says(&report, &["revenue_per_partner: ", "scores are made without it"]);
    assert_eq!(page(&project, "data/revenue_summary.csv"), revenue);
    assert!(page(&project, "sql/revenue_summary.html").contains(NO_RATE));
    assert!(page(&project, "revenue.html").contains("Held back."));
    assert!(!page(&project, "health.html").contains("Held back."));
    let growth = project.ok(&["metrics", "run", "growth", "--as-of", DAY, "--format", "csv"]);
    assert_eq!(page(&project, "data/growth.csv"), growth, "as of now");

    // Scores are made, without shares of gross.
    let scored = ["score", "run", "--as-of", DAY, "--format", "csv"];
    let scored = project.run(&scored).succeeded();
    says(&scored, &[NO_RATE, "scores are made without it"]);
    assert!(scored.text().lines().count() > 20, "{scored}");
    let shares = || {
        project.number(&format!(
            "SELECT count(impact_share) FROM partner_health WHERE as_of = '{DAY}' AND revision =
               (SELECT max(revision) FROM partner_health WHERE as_of = '{DAY}')"
        ))
    };
    assert_eq!(shares(), 0);
    let plan = project.run(&["actions", "plan", "--out", "plan.json", "--as-of", DAY]);
    assert!(plan.succeeded().text().contains("partners looked at"));

    // The quality of the data can still be asked, that of billing too.
    let quality =
        project.ok(&["metrics", "run", "data_quality", "--as-of", DAY, "--format", "csv"]);
    assert_eq!(quality.lines().count(), 8, "{quality}");
    assert!(quality.contains("unbilled_usage,"), "{quality}");

    // What was not computed is no file that somebody takes for a new one.
    let run = ["metrics", "run", "--as-of", before, "--out", "files"];
    std::fs::create_dir_all(project.path("files")).expect("a folder");
    project.write("files/revenue_summary.csv", "old");
    let ran = project.run(&run);
    assert_eq!(ran.code, Some(1), "{ran}");
    says(&ran, &[NO_RATE, "metrics failed: ", "revenue_summary", "ends in .held now"]);
    assert!(project.path("files/growth.csv").is_file());
    assert!(!project.path("files/revenue_summary.csv").exists());
    let aside = project.path("files/revenue_summary.csv.held");
    assert_eq!(std::fs::read(&aside).expect("the old file"), b"old");
    let one = ["metrics", "run", "revenue_summary", "--as-of", DAY];
    project.run(&one).refused(1, &[NO_RATE]);

    // With a rate everything is whole again.
    let rates = std::fs::read_to_string(project.path("rates.csv")).expect("rates");
    project.write("rates.csv", format!("{rates}2023-01-01,EUR,1.1\n"));
    project.run(&run).succeeded();
    assert!(project.path("files/revenue_summary.csv").is_file() && !aside.exists());
    let report = project.run(&["report", "--out", "site", "--as-of", DAY]).succeeded();
    assert!(
        !report.stderr.contains("held back")
            && !page(&project, "revenue.html").contains("Held back.")
    );
    assert!(shares() > 0);
}

/// Replacements of metrics that can be planned, and fail over rows.
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
fn a_broken_replacement_costs_its_signals_alone() {
    let project = project();
    for (name, broken) in [
        ("error_trend", "SELECT 1"),
        ("error_trend", FAILING_TREND),
        ("revenue_per_partner", "SELECT 1"),
        ("throttling", "SELECT 1"),
        ("throttling", FAILING_THROTTLING),
    ] {
        let file = format!("queries/metrics/{name}.sql");
        project.write(&file, broken);
        let score = project.run(&["score", "run", "--as-of", DAY]).succeeded();
        let without = "scores are made without it";
        assert_eq!(score.stderr.contains(without), name != "throttling", "{score}");
        let plan = project.run(&["actions", "plan", "--out", "p.json", "--as-of", DAY]).succeeded();
        let without = "the plan is made without it";
        assert_eq!(plan.stderr.contains(without), name == "throttling", "{plan}");
        let report = project.run(&["report", "--out", "site", "--as-of", DAY]).succeeded();
        says(&report, &[name]);
        if name == "error_trend" {
            let show = ["score", "show", "p-000001", "--as-of", DAY];
            let shown = project.run(&show).succeeded();
            assert!(shown.stderr.contains("error_trend"), "{shown}");
            let measured = format!(
                "SELECT count(*) FROM partner_signals WHERE signal = 'errors' AND score IS NOT NULL
                 AND as_of = '{DAY}' AND revision =
                   (SELECT max(revision) FROM partner_health WHERE as_of = '{DAY}')"
            );
            assert_eq!(project.number(&measured), 0, "{broken}");
        }
        std::fs::remove_file(project.path(&file)).expect("the replacement");
    }
}

fn check_file(project: &Project, name: &str, header: &str, sql: &str) {
    let text = format!("/*---\ndescription = \"what must hold\"\n{header}---*/\n{sql}\n");
    project.write(&format!("queries/checks/{name}.sql"), text);
}

#[test]
fn what_cannot_be_checked_is_not_published() {
    let project = project();
    let run = ["metrics", "run", "funnel", "growth", "--as-of", DAY, "--out", "files"];
    project.ok(&run);
    // Where it can't be told which metrics one is about, it is about all.
    let (all, readers) = ("funnel, growth", "funnel");
    for (header, sql, said, held) in [
        ("", "SELECT * FROM nonesuch", "there is no table \"nonesuch\"", all),
        ("", "SELECT * FROM partners, nonesuch", "there is no table \"nonesuch\"", all),
        ("", "SELECT * FORM partners", "can't be run", all),
        ("colour = 1\n", "SELECT * FROM partners", "unknown field `colour`", all),
        ("", "SELECT nothing FROM partners", "nothing", readers),
        ("", "SELECT CAST(partner_id AS INT) FROM partners", "Cannot cast", readers),
    ] {
        check_file(&project, "wrong", header, sql);
        let ran = project.run(&run);
        assert_eq!(ran.code, Some(3), "{sql}: {ran}");
        says(&ran, &["can't be run", said, &format!("held back by a check: {held};")]);
        assert!(!project.path("files/funnel.csv").exists(), "{sql}");
        assert_eq!(project.path("files/growth.csv").exists(), held == readers, "{sql}");
        std::fs::remove_file(project.path("queries/checks/wrong.sql")).expect("a file");
        project.ok(&run);
    }
    check_file(&project, "wrong", "", "SELECT * FROM nonesuch");
    let report = project.run(&["report", "--out", "site", "--as-of", DAY]).succeeded();
    says(&report, &["can't be run", "the report shows funnel as it was last"]);
    // One that only warns says so and lets them through.
    check_file(&project, "wrong", "severity = \"warn\"\n", "SELECT * FROM nonesuch");
    let ran = project.run(&run).succeeded();
    says(&ran, &["rapport: warning: wrong: ", "can't be run"]);
    // What is about no metric is said too.
    check_file(&project, "wrong", "", "SELECT run_id FROM runs");
    let ran = project.run(&run);
    assert_eq!(ran.code, Some(3), "{ran}");
    says(&ran, &["what must hold", "held back by a check: wrong"]);
    assert!(project.path("files/growth.csv").is_file());
    std::fs::remove_file(project.path("queries/checks/wrong.sql")).expect("a file");

    // A check in a header likewise, at its place in the file.
    let metric = |check: &str| {
        format!(
            "/*---\ndescription = \"partners\"\ngrain = [\"partner_id\"]\n[columns]\npartner_id = {{ type = \"Utf8\" }}\n[[checks]]\nsql = \"{check}\"\n---*/\nSELECT partner_id FROM partners ORDER BY partner_id\n"
        )
    };
    for (check, column, said) in [
        ("SELECT * FORM this", 17, "Expected"),
        ("SELECT * FROM that", 22, "there is no table `that`"),
        ("SELECT partnr_id FROM this", 15, "there is no column `partnr_id`"),
        ("SELECT * FROM this WHERE now() > $as_of", 33, "`now` gives something else at each run"),
        ("SELECT * FROM this WHERE $day > 1", 33, "there is no parameter `$day`"),
        ("DELETE FROM this", 8, "a check is one SELECT"),
    ] {
        project.write("queries/metrics/mine.sql", metric(check));
        let place = format!("queries/metrics/mine.sql:7:{column}: ");
        for command in ["check", "test"] {
            let ran = project.run(&["metrics", command, "mine"]);
            assert_eq!(ran.code, Some(3), "{check}: {ran}");
            let text = ran.text();
            assert!(text.contains(said) && text.contains(&place), "{check}: {place}{said}: {ran}");
        }
    }
    project.write("queries/metrics/mine.sql", metric("SELECT * FROM that"));
    let ran = project.run(&["metrics", "run", "mine", "--as-of", DAY, "--format", "csv"]);
    assert_eq!((ran.code, ran.stdout.len()), (Some(3), 0), "{ran}");
    says(&ran, &["can't be run", "held back by a check: mine"]);
}

#[test]
fn files_in_a_wrong_place_are_named() {
    let project = project();
    let query = "/*---\ndescription = \"d\"\n---*/\nSELECT 1\n";
    for folder in ["check", "checks/old", "metrics/2026/q1"] {
        std::fs::create_dir_all(project.path(&format!("queries/{folder}"))).expect("a folder");
        project.write(&format!("queries/{folder}/x.sql"), query);
    }
    project.write("queries/checks/y.SQL", query);
    let said = [
        "queries/check/x.sql:1:1: ",
        "did you mean checks/?",
        "queries/checks/old/x.sql:1:1: ",
        "queries/metrics/2026/q1/x.sql:1:1: ",
        "queries/checks/y.SQL:1:1: files of queries end in lower case",
    ];
    let check = project.run(&["metrics", "check"]);
    assert_eq!(check.code, Some(3), "{check}");
    said.iter().for_each(|word| assert!(check.text().contains(word), "no {word} in {check}"));
    let run = ["metrics", "run", "funnel", "--as-of", DAY, "--format", "csv"];
    says(&project.run(&run).succeeded(), &said);
}
