//! `rapport doctor` says what is wrong with a project, and what to do.

use std::collections::BTreeMap;

use domain::Stream;

use crate::support::program::{ProgramOutput, Project};

#[test]
fn doctor_reports_failures_of_broker_and_configuration() {
    let project = Project::new();
    // Nothing listens at port 1.
    let unreachable = "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n";
    project.write("rapport.toml", unreachable);
    let answer = project.run(&["doctor", "--format", "json"]);
    assert_eq!(answer.code, Some(3), "{answer}");
    let checks: serde_json::Value = serde_json::from_str(&answer.stdout_text()).expect("JSON");
    let state = |name: &str| {
        let of = |c: &&serde_json::Value| c["check"] == name;
        let found = checks.as_array().and_then(|all| all.iter().find(of));
        found.and_then(|c| c["state"].as_str()).unwrap_or("absent").to_owned()
    };
    let expected = [
        ("configuration", "ok"),
        ("queries", "ok"),
        ("key", "ok"),
        ("lake", "warn"),
        ("broker", "fail"),
        ("topic", "absent"),
    ];
    for (name, expected) in expected {
        assert_eq!(state(name), expected, "{name} in {answer}");
    }

    project.write("rapport.toml", "[kafka]\nbootstrap_server = \"127.0.0.1:1\"\n");
    let answer = project.run(&["doctor"]);
    assert_eq!(answer.code, Some(3), "{answer}");
    assert!(answer.stdout_text().contains("bootstrap_server"), "{answer}");
}

/// Returns the state and the finding of each check, the first one of a name.
fn doctor_checks(answer: &ProgramOutput) -> BTreeMap<String, (String, String)> {
    let checks: serde_json::Value = serde_json::from_str(&answer.stdout_text()).expect("JSON");
    let text =
        |check: &serde_json::Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    let of = |c: &serde_json::Value| (text(c, "check"), (text(c, "state"), text(c, "found")));
    checks.as_array().expect("a list").iter().rev().map(of).collect()
}

#[test]
fn doctor_reads_rates_queries_and_tables() {
    let project = Project::new();
    let doctor = ["doctor", "--format", "json"];
    let config = "[kafka]\n[kafka.topics]\n";
    // A project that does not configure Kafka loads files only.
    project.write("rapport.toml", config);
    let run_doctor = || project.run(&doctor);
    assert_eq!(run_doctor().code, Some(0), "{}", run_doctor());

    let billing_event = |id: &str, day: &str, currency: &str| {
        format!(
            r#"{{"event_id":"{id}","partner_id":"p","occurred_at":"{day}T00:00:00Z","kind":"usage","amount_minor":1,"currency":"{currency}"}}"#
        ) + "\n"
    };
    let failed_payment = |id: &str, day: &str, currency: &str| {
        billing_event(id, day, currency).replace("usage", "payment_failed")
    };
    let load = |text: String| {
        project.write("bills.ndjson", text);
        project.run_ok(&["ingest", "load", "--stream", "billing-events", "bills.ndjson"]);
    };
    project.write("rates.csv", "date,currency,rate\n2026-01-01,EUR,1.1\n");
    // A payment needs no rate.
    load(billing_event("b-1", "2026-01-02", "EUR") + &failed_payment("b-0", "2024-01-02", "JPY"));
    // The rollups hold the one currency.
    project.run_ok(&["sql", "SELECT * FROM billing_day"]);
    let answer = run_doctor();
    assert_eq!(answer.code, Some(0), "{answer}");
    assert_eq!(doctor_checks(&answer)["rates"].1, "the one currency that was billed is covered");
    load(billing_event("b-2", "2026-01-03", "GBP") + &billing_event("b-3", "2025-12-31", "EUR"));
    let answer = run_doctor();
    assert_eq!(answer.code, Some(3), "{answer}");
    let found = &doctor_checks(&answer)["rates"];
    assert_eq!(found.1, "no rate for EUR on 2025-12-31, GBP on 2026-01-03");
    project.write("rates.csv", "date,currency,rate\n2025-01-01,EUR,1.1\n2025-01-01,GBP,1.2\n");
    assert_eq!(run_doctor().code, Some(0), "{}", run_doctor());

    // A query that cannot be planned, although its header is correct.
    let query = crate::support::program::BUSY_METRIC.replace("sum(calls)", "sum(cals)");
    project.write("queries/metrics/busy.sql", query);
    let answer = run_doctor();
    assert_eq!(answer.code, Some(3), "{answer}");
    let found = &doctor_checks(&answer)["queries"];
    assert!(found.1.contains("busy.sql:") && found.1.contains("cals"), "{answer}");
    std::fs::remove_file(project.path("queries/metrics/busy.sql")).expect("our own file");

    // A table that cannot be read.
    let day = project.path("lake/raw/billing_events/event_date=2026-01-03");
    let file = std::fs::read_dir(&day).expect("a day").next().expect("a file").expect("a file");
    std::fs::write(file.path(), "cut").expect("written");
    let answer = run_doctor();
    assert_eq!(answer.code, Some(3), "{answer}");
    let found = &doctor_checks(&answer)["tables"];
    assert!(found.0 == "fail" && found.1.contains("event_date=2026-01-03"), "{answer}");

    // A project that configures Kafka needs a broker.
    project.write("rapport.toml", "[kafka]\nbootstrap_servers = \"127.0.0.1:1\"\n");
    assert_eq!(doctor_checks(&run_doctor())["broker"].0, "fail");
    let off = Stream::ALL.map(|s| format!("{} = \"\"\n", s.table())).concat();
    project.write("rapport.toml", format!("[kafka.topics]\n{off}"));
    assert_eq!(doctor_checks(&run_doctor())["broker"].0, "ok");
}
