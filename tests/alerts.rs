//! `rapport alerts`: what holds is told once, listed, snoozed, noted, and resolved when it is over.

use serde_json::Value;

use crate::support::program::{ProgramOutput, Project};

/// A failed payment of `acme`, calls of two partners up to the 19th, and an open ticket.
const CALLS: &str = r#"{"event_id":"c1","partner_id":"acme","occurred_at":"2026-03-18T08:00:00Z","status":200}
{"event_id":"c2","partner_id":"globex","occurred_at":"2026-03-19T08:00:00Z","status":200}
{"event_id":"c3","partner_id":"globex","occurred_at":"2026-03-20T02:00:00Z","status":200}
"#;
const PARTNERS: &str = r#"{"event_id":"r1","partner_id":"acme","occurred_at":"2026-03-01T08:00:00Z","type":"registered","name":"Acme","manager":"Ada"}
{"event_id":"r2","partner_id":"globex","occurred_at":"2026-03-01T08:00:00Z","type":"registered","manager":"Bo"}
"#;
const FAILED_PAYMENT: &str = r#"{"event_id":"b1","partner_id":"acme","occurred_at":"2026-03-15T08:00:00Z","kind":"payment_failed","amount_minor":100,"currency":"USD"}
"#;
const PAID: &str = r#"{"event_id":"b2","partner_id":"acme","occurred_at":"2026-03-19T09:00:00Z","kind":"payment_succeeded","amount_minor":100,"currency":"USD"}
"#;
const TICKETS: &str = r#"{"event_id":"t1","partner_id":"globex","occurred_at":"2026-03-10T08:00:00Z","type":"opened","ticket_id":"T-1"}
{"event_id":"t2","partner_id":"globex","occurred_at":"2026-03-11T08:00:00Z","type":"opened","ticket_id":"T-2"}
{"event_id":"t3","partner_id":"globex","occurred_at":"2026-03-11T09:00:00Z","type":"first_response","ticket_id":"T-2"}
{"event_id":"t4","partner_id":"acme","occurred_at":"2026-03-10T08:00:00Z","type":"opened","ticket_id":"T-1"}
"#;

fn load(project: &Project, stream: &str, events: &str) {
    project.write("events.ndjson", events);
    let arrival = ["--arrival", "2026-03-20T03:00:00Z", "events.ndjson"];
    project.run_ok(&[&["ingest", "load", "--stream", stream][..], &arrival].concat());
}

fn project() -> Project {
    let project = Project::new();
    for (stream, events) in [
        ("api-calls", CALLS),
        ("partner-events", PARTNERS),
        ("billing-events", FAILED_PAYMENT),
        ("support-events", TICKETS),
    ] {
        load(&project, stream, events);
    }
    project
}

/// Puts other alerts in place of those of the policy, which has no rules then.
fn only_alerts(project: &Project, alerts: &str) {
    let policy = actions::DEFAULT_POLICY;
    let rules = policy.find("[[rules]]").expect("rules");
    let guardrails = policy.find("[guardrails]").expect("guardrails");
    let policy = format!("{}{alerts}\n{}", &policy[..rules], &policy[guardrails..]);
    project.write("policy.toml", policy);
}

const PAYMENT_ALERT: &str = r#"
[[alerts]]
id = "payment-failed"
name = "A payment failed"
over = "payment_failures"
when = "open"
per = ["partner_id"]
owner = "finance"
about = "{failed} failed"
notify = ["manager"]
"#;

fn check(project: &Project, arguments: &[&str]) -> ProgramOutput {
    project.run(&[&["alerts", "check", "--by", "cron"], arguments].concat())
}

fn list(project: &Project) -> Vec<Value> {
    let text = project.run_ok(&["alerts", "list", "--format", "json"]);
    serde_json::from_str(&text).expect("JSON")
}

/// Returns what the default channel has written: the alert, the partner, and whether it is over.
fn sent(project: &Project) -> Vec<(String, String, bool)> {
    let text = std::fs::read_to_string(project.path("partner-actions.ndjson")).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines
        .map(|line| {
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            (text("summary"), text("partner_id"), line["resolves"] == true)
        })
        .collect()
}

#[test]
fn an_alert_is_told_once_snoozed_noted_and_resolved() {
    let project = project();
    only_alerts(&project, PAYMENT_ALERT);
    let dry = check(&project, &["--dry-run", "--format", "csv"]).expect_success().stdout_text();
    assert!(dry.contains("payment-failed,acme") && dry.contains("1 failed"), "{dry}");
    assert!(sent(&project).is_empty() && list(&project).is_empty());

    let first = check(&project, &[]).expect_success();
    assert!(first.stderr.contains("1 notice sent"), "{first}");
    let told = [("A payment failed: 1 failed".to_owned(), "acme".to_owned(), false)];
    assert_eq!(sent(&project), told);
    check(&project, &[]).expect_success();
    assert_eq!(sent(&project), told, "once an episode");
    let open = list(&project);
    assert_eq!(open.len(), 1);
    let said = |key: &str| open[0][key].as_str().unwrap_or_default();
    assert_eq!((said("alert_id"), said("partner_id")), ("payment-failed", "acme"));
    assert_eq!((said("state"), said("owner"), said("told")), ("holds", "finance", "manager"));

    let of_acme = ["payment-failed", "--partner", "acme", "--by", "Ada"];
    let snooze = [&["alerts", "snooze"][..], &of_acme, &["--reason", "They change banks"]].concat();
    let snoozed = project.run_ok(&[&snooze[..], &["--days", "3"]].concat());
    assert!(snoozed.contains("payment-failed of acme: snoozed until"), "{snoozed}");
    let note = ["alerts", "note", "payment-failed", "--partner", "acme", "--by", "Ada"];
    project.run_ok(&[&note[..], &["Finance called them"]].concat());
    // Nothing is said of an alert that is open for somebody else only.
    let of_globex = ["payment-failed", "--partner", "globex", "--by", "Ada"];
    let note = [&["alerts", "note"][..], &of_globex, &["They called"]].concat();
    project.run(&note).expect_error(2, &["is not open for \"globex\""]);
    let snooze = [&["alerts", "snooze"][..], &of_globex, &["--reason", "Later"]].concat();
    project.run(&snooze).expect_error(2, &["is not open for \"globex\""]);
    let open = list(&project);
    assert!(open[0]["snoozed_until"].as_str().is_some_and(|until| until.starts_with("20")));
    assert_eq!(open[0]["note"], "Ada: Finance called them");

    // It is paid. Evaluations of later days do not find it any more.
    load(&project, "billing-events", PAID);
    for day in 21..=27 {
        assert_eq!(sent(&project), told);
        check(&project, &["--as-of", &format!("2026-03-{day}")]).expect_success();
    }
    assert!(list(&project).is_empty());
    let all = sent(&project);
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!((all[1].0.as_str(), all[1].2), ("A payment failed: 1 failed", true));
    check(&project, &["--as-of", "2026-03-28"]).expect_success();
    assert_eq!(sent(&project).len(), 2);
}

#[test]
fn the_page_tells_no_alert_from_no_check() {
    let project = project();
    only_alerts(&project, PAYMENT_ALERT);
    let check_page = |said: &str, unsaid: &str| {
        project.run_ok(&["report", "--out", "pages"]);
        let page = std::fs::read_to_string(project.path("pages/alerts.html")).expect("a page");
        assert!(page.contains(said) && !page.contains(unsaid), "{page}");
    };
    check_page("Nobody has looked yet", "No alert is open");
    check(&project, &[]).expect_success();
    check_page("A payment failed", "Nobody has looked yet");
    load(&project, "billing-events", PAID);
    for day in 21..=27 {
        check(&project, &["--as-of", &format!("2026-03-{day}")]).expect_success();
    }
    check_page("No alert is open", "Nobody has looked yet");
}

#[test]
fn a_snoozed_alert_is_not_told_and_the_switch_stops_all() {
    let project = project();
    only_alerts(&project, PAYMENT_ALERT);
    let snooze = ["alerts", "snooze", "payment-failed", "--reason", "Later", "--by", "Ada"];
    project.run_ok(&snooze);
    check(&project, &[]).expect_success();
    assert!(sent(&project).is_empty());
    assert_eq!(list(&project).len(), 1);
    project.run_ok(&[&snooze[..], &["--end"]].concat());
    project.run_ok(&["actions", "stop", "--reason", "Quiet", "--by", "Ada"]);
    let stopped = check(&project, &[]).expect_success();
    assert!(stopped.stderr.contains("Nobody is told: Deliveries are stopped"), "{stopped}");
    assert!(sent(&project).is_empty());
    project.run_ok(&["actions", "go", "--reason", "On", "--by", "Ada"]);
    check(&project, &[]).expect_success();
    assert_eq!(sent(&project).len(), 1);
}

#[test]
fn late_data_and_metrics_held_back_are_told() {
    let project = project();
    let policy = actions::DEFAULT_POLICY;
    let first = policy.find("[[alerts]]\nid = \"data-late\"").expect("the alert");
    let guardrails = policy.find("# ------").expect("a line");
    let end = policy[first..].find("# -----").expect("the end") + first;
    assert!(guardrails < first);
    only_alerts(&project, &policy[first..end]);
    std::fs::create_dir_all(project.path("queries/metrics")).expect("a folder");
    let broken = "/*---\ndescription = \"No partner\"\ngrain = [\"partner_id\"]\n[columns]\n\
                  partner_id = { type = \"Utf8\" }\n[[checks]]\n\
                  sql = \"SELECT * FROM this\"\n---*/\nSELECT partner_id FROM partners ORDER BY 1\n";
    project.write("queries/metrics/no_partner.sql", broken);
    check(&project, &[]).expect_success();
    let open = list(&project);
    let ids: Vec<&str> = open.iter().filter_map(|alert| alert["alert_id"].as_str()).collect();
    assert_eq!(ids, ["data-late", "metric-held-back:no_partner"]);
    assert!(open[0]["about"].as_str().is_some_and(|about| about.contains("api-calls is complete")));
    let told: Vec<String> = sent(&project).into_iter().map(|(summary, _, _)| summary).collect();
    assert!(told[0].starts_with("The data is late: "), "{told:?}");
    assert!(told[1].contains("no_partner"), "{told:?}");
}

#[test]
fn a_ticket_without_an_answer_goes_to_the_next_contact() {
    let project = project();
    // Both partners are routed now, and the data ends long before: every ticket waits a negative time.
    let rules = r#"
[[rules]]
id = "all"
name = "Everybody"
for = "support"
when = "true"
route_support = { queue = "it's us", priority = 1, sla_hours = 4 }

[[alerts]]
id = "unanswered"
name = "A ticket waits"
over = "unanswered_tickets"
when = "hours_waiting > sla_hours - 100000000 AND partner_id = 'globex'"
per = ["partner_id", "ticket_id"]
owner = "support"
about = "{ticket_id} waits in {queue}, promised are {sla_hours} hours"
notify = ["support-lead", "head-of-support"]
"#;
    only_alerts(&project, &format!("{rules}{PAYMENT_ALERT}"));
    let policy = std::fs::read_to_string(project.path("policy.toml")).expect("a policy");
    let policy = policy
        .replace("stale_hours = 36", "stale_hours = 87600")
        .replace("reach = 0.05", "reach = 1.0");
    project.write("policy.toml", policy.replace("bake_minutes = 10", "bake_minutes = 0"));
    project.run_ok(&["actions", "plan", "--out", "plan.json"]);
    project.run_ok(&["actions", "apply", "plan.json", "--by", "Ada"]);
    check(&project, &["--format", "csv"]).expect_success();
    let told = sent(&project);
    let waits: Vec<_> =
        told.iter().filter(|(summary, ..)| summary.starts_with("A ticket")).collect();
    assert_eq!(waits.len(), 2, "one ticket of one partner, two people: {told:?}");
    assert!(waits[0].0.contains("T-1 waits in it's us, promised are 4 hours"), "{told:?}");
    let ids: Vec<Value> =
        list(&project).into_iter().map(|alert| alert["alert_id"].clone()).collect();
    assert_eq!(ids, ["unanswered:T-1", "payment-failed"]);
}

#[test]
fn what_is_wrong_with_an_alert_is_said_with_its_line() {
    let project = project();
    let refused = |alert: &str, words: &[&str]| {
        only_alerts(&project, alert);
        check(&project, &[]).expect_error(2, words);
    };
    let of = |from: &str, to: &str| PAYMENT_ALERT.replace(from, to);
    refused(
        &of("payment_failures", "payment_failure"),
        &["policy.toml, line", "A payment failed", "payment_failures"],
    );
    refused(&of("when = \"open\"", "when = \"opened\""), &["line", "opened"]);
    refused(&of("{failed}", "{failing}"), &["line", "failing"]);
    refused(&of("{failed}", "{failed"), &["brace"]);
    refused(&of("owner = \"finance\"\n", ""), &["owner"]);
    refused(
        &of("over = \"payment_failures\"", "over = \"a; DROP TABLE b\""),
        &["a table or a column is expected"],
    );
    refused(
        &format!("{PAYMENT_ALERT}{PAYMENT_ALERT}"),
        &["has the id \"payment-failed\" of another"],
    );
    only_alerts(&project, PAYMENT_ALERT);
    let snooze = ["alerts", "snooze", "payment-faild", "--reason", "x", "--by", "Ada"];
    project.run(&snooze).expect_error(2, &["no alert \"payment-faild\"", "\"payment-failed\""]);
    let note = ["alerts", "note", "payment-failed", "--partner", "acne", "x", "--by", "Ada"];
    project.run(&note).expect_error(2, &["did you mean \"acme\"?"]);
    assert!(sent(&project).is_empty());
}

#[test]
fn a_recipient_that_nobody_defined_is_told() {
    let project = project();
    only_alerts(&project, PAYMENT_ALERT);
    let recipients = |text: &str| {
        let toml = std::fs::read_to_string(project.path("rapport.toml")).expect("a configuration");
        let (before, _) = toml.split_once("\n[actions.recipients]").expect("the table");
        project.write("rapport.toml", format!("{before}\n[actions.recipients]\n{text}"));
    };
    let policy = std::fs::read_to_string(project.path("policy.toml")).expect("a policy");
    project.write("policy.toml", policy.replace("[\"manager\"]", "[\"finanse\"]"));
    let doctor = || project.run(&["doctor", "--format", "csv"]).stdout_text();
    assert!(!doctor().contains("recipients"), "without a table all notices go to one channel");
    recipients("finance = { email = \"finance@example.com\" }\n");
    let meant = "has no \"finanse\", whom payment-failed of the policy would tell";
    let told = check(&project, &["--dry-run"]).expect_success();
    assert!(told.stderr.contains(meant), "{told}");
    assert!(told.stderr.contains("did you mean \"finance\"?"), "{told}");
    let planned = project.run(&["actions", "plan", "--out", "plan.json"]).expect_success();
    assert!(planned.stderr.contains(meant), "{planned}");
    assert!(doctor().contains("recipients,warn"), "{}", doctor());
    recipients("finanse = { email = \"finance@example.com\" }\n");
    let told = check(&project, &["--dry-run"]).expect_success();
    assert!(!told.stderr.contains("finanse"), "{told}");
    assert!(!doctor().contains("recipients"), "{}", doctor());
}
