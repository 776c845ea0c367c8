//! Mistakes in a policy, in the data and around a plan: none of them lowers a quota wrongly, sends a
//! change twice or reaches more partners than may be reached, and each says why it stopped.

use serde_json::Value;

use crate::support::action_project::{
    QUOTA, THROTTLED, apply, edit_policy, gateway_and_project, load, logged, plan, project_until,
    project_with_gaps, quota_changes, read_plan, today,
};
use crate::support::program::Project;

fn actions_plan(project: &Project, file: &str) -> Value {
    project.run_ok(&["actions", "plan", "--out", file]);
    read_plan(project, file)
}

/// Returns how many changes of a plan need nobody.
fn without_a_person(plan: &Value) -> usize {
    let changes = plan["changes"].as_array().expect("changes");
    changes.iter().filter(|change| change["needs_approval"] == false).count()
}

#[test]
fn data_of_three_days_ago_blocks_a_plan() {
    let project = project_until(today().plus(-3), "file", "", |_, _| false);
    let made = actions_plan(&project, "plan.json");
    assert!(made["blocked"].to_string().contains("The data end"), "{made}");
    assert!(made["changes"].as_array().is_some_and(Vec::is_empty), "{made}");
    apply(&project, "plan.json").expect_error(1, &["is blocked", "The data end"]);
    assert_eq!(logged(&project, "attempted"), 0);
}

#[test]
fn a_policy_with_a_blank_or_unknown_field_is_refused() {
    let project = project_with_gaps(|_, _| false);
    let refuse = |from: &str, to: &str, words: &[&str]| {
        let before = std::fs::read_to_string(project.path("policy.toml")).expect("a policy");
        edit_policy(&project, &[(from, to)]);
        project.run(&["actions", "plan", "--out", "plan.json"]).expect_error(2, words);
        assert!(!project.path("plan.json").exists());
        project.write("policy.toml", before);
    };
    refuse("cooldown_days = 7", "cooldown_days =", &["policy.toml:"]);
    refuse("cooldown_days = 7\n", "", &["policy.toml:", "cooldown_days"]);
    refuse("cooldown_days = 7", "cooldown_day = 7", &["policy.toml:", "cooldown_day"]);
    refuse("max_raise = 0.5", "max_raise = nan", &["policy.toml:", "max_raise"]);
    refuse("headroom = 1.2", "headroom = inf", &["policy.toml:", "headroom"]);
    refuse("id = \"throttled\"", "id = \"\"", &["policy.toml:", "id"]);
    refuse(
        "needs_upgrade\"\nset_quota = { step = 0.5 }",
        "needs_upgrade\"\nset_quota = { step = nan }",
        &["policy.toml:", "step"],
    );
    refuse("when = \"stage = 'live' AND needs_upgrade\"", "when = \"\"", &["empty condition"]);
    refuse(
        "when = \"stage = 'live' AND needs_upgrade\"",
        "when = \"random() < 0.5\"",
        &["policy.toml, line", "`random` gives something else at each run"],
    );
}

#[test]
fn a_guardrail_is_passed_over_for_a_partner_that_exists() {
    let project = project_with_gaps(|_, _| false);
    let plan = ["actions", "plan", "--out", "plan.json", "--reason", "Launch", "--by", "Ada"];
    let refused = [&plan[..], &["--override", "nobody:floor"]].concat();
    project.run(&refused).expect_error(2, &["no partner \"nobody\" in the lake"]);
    assert!(!project.path("plan.json").exists());
    project.run_ok(&[&plan[..], &["--override", "alpha:floor"]].concat());
}

#[test]
fn a_policy_for_everybody_reaches_few_also_when_it_runs_twice() {
    let project = project_with_gaps(|_, _| false);
    edit_policy(&project, &[("when = \"stage = 'live' AND needs_upgrade\"", "when = \"true\"")]);
    let first = actions_plan(&project, "first.json");
    assert_eq!((quota_changes(&first).len(), without_a_person(&first)), (40, 2), "{first}");
    let text = apply(&project, "first.json").expect_success().stdout_text();
    assert!(text.contains("2 delivered") && text.contains("38 needs approval"), "{text}");
    // Another version gives every change another key.
    edit_policy(&project, &[("version = \"1\"", "version = \"2\"")]);
    let second = actions_plan(&project, "second.json");
    assert_eq!(without_a_person(&second), 0, "{second}");
    apply(&project, "second.json").expect_success();
    assert_eq!(logged(&project, "acknowledged"), 2);
}

#[test]
fn a_rule_with_another_name_and_place_sends_nothing_again() {
    let project = project_with_gaps(|_, _| false);
    let notice = "[[rules]]\nid = \"look\"\nname = \"Look\"\nfor = \"notice\"\nwhen = \"partner_id = 'alpha'\"\n\
                  notify = { who = \"manager\", about = \"look\" }\n\n";
    edit_policy(
        &project,
        &[(
            "[[rules]]\nid = \"at-risk-large\"",
            &format!("{notice}[[rules]]\nid = \"at-risk-large\""),
        )],
    );
    let is_notice = |plan: &Value| {
        let changes = plan["changes"].as_array().expect("changes");
        changes.iter().filter(|change| change["why"]["rule_id"] == "look").count()
    };
    let first = actions_plan(&project, "first.json");
    assert_eq!(is_notice(&first), 1, "{first}");
    apply(&project, "first.json").expect_success();
    // Another name, another place, another version.
    edit_policy(&project, &[(notice, ""), ("version = \"1\"", "version = \"2\"")]);
    let moved = notice.replace("\"Look\"", "\"Look here\"");
    edit_policy(
        &project,
        &[("[[rules]]\nid = \"throttled\"", &format!("{moved}[[rules]]\nid = \"throttled\""))],
    );
    let second = actions_plan(&project, "second.json");
    assert_eq!(is_notice(&second), 0, "{second}");
}

#[test]
fn an_erasure_between_plan_and_apply_loses_and_repeats_nothing() {
    let (gateway, project) = gateway_and_project();
    plan(&project, "plan.json");
    // Two of three are sent; the third waits for a person.
    apply(&project, "plan.json").expect_success();
    assert_eq!(gateway.writes().len(), 2);
    let sent = THROTTLED.into_iter().find(|id| gateway.limit(id) == Some(900)).expect("one");
    // The log's files are written anew, with a token in place of the partner.
    let erase = ["lake", "erase", "--partner", sent, "--everywhere", "--yes"];
    project.run_ok(&erase);
    let gone = format!("SELECT count(*) FROM action_log WHERE partner_id = '{sent}'");
    assert_eq!(project.query_number(&gone), 0);
    assert_eq!(logged(&project, "acknowledged"), 2);
    project.run_ok(&["actions", "approve", "plan.json", "--all", "--by", "Ada"]);
    let output = apply(&project, "plan.json");
    // The plan speaks of a partner that is gone, so it is refused; nothing is sent to it again.
    output.expect_error(1, &[&format!("\"{sent}\" has changed"), "Make a new plan"]);
    assert_eq!(gateway.writes().len(), 2);
    let next = plan(&project, "next.json");
    assert!(!quota_changes(&next).contains(&sent.to_owned()), "{next}");
    project.run_ok(&["actions", "approve", "next.json", "--all", "--by", "Ada"]);
    apply(&project, "next.json").expect_success();
    let writes = gateway.writes();
    assert_eq!(writes.len(), 3, "{writes:?}");
    assert!(writes.iter().all(|(_, limit)| *limit == 900 && *limit > QUOTA), "{writes:?}");
}

#[test]
fn a_rollback_stops_where_somebody_changed_the_quota_since() {
    let (gateway, project) = gateway_and_project();
    plan(&project, "plan.json");
    project.run_ok(&["actions", "approve", "plan.json", "--all", "--by", "Ada"]);
    apply(&project, "plan.json").expect_success();
    gateway.set_limit("alpha", 1_500);
    project.run_ok(&["actions", "rollback", "plan.json", "--out", "back.json"]);
    let back = read_plan(&project, "back.json");
    assert_eq!(quota_changes(&back), ["beta", "gamma"], "{back}");
    assert!(back["stopped"].to_string().contains("1,500"), "{back}");
    project.run_ok(&["actions", "approve", "back.json", "--all", "--by", "Ada"]);
    apply(&project, "back.json").expect_success();
    assert_eq!((gateway.limit("alpha"), gateway.limit("beta")), (Some(1_500), Some(QUOTA)));
}

/// The built-in metric with a rate for each of some partners that is no number, and one that is.
fn throttling_without_numbers() -> String {
    let text = include_str!("../queries/metrics/throttling.sql");
    let (from, to) = (
        "    throttled_rate,\n    throttled_rate >= 0.01 OR COALESCE(utilisation >= 0.8, FALSE)",
        "    CASE partner_id WHEN 'alpha' THEN CAST('NaN' AS DOUBLE)
        WHEN 'beta' THEN CAST('Infinity' AS DOUBLE) WHEN 'gamma' THEN CAST('-Infinity' AS DOUBLE)
        WHEN 'calm-00' THEN 0.5 ELSE 0.0 END AS throttled_rate,\n    false",
    );
    assert!(text.contains(from), "the metric has another text");
    text.replace(from, to)
}

#[test]
fn what_is_no_number_meets_no_condition() {
    let project = project_with_gaps(|_, _| false);
    std::fs::create_dir_all(project.path("queries/metrics")).expect("a folder");
    project.write("queries/metrics/throttling.sql", throttling_without_numbers());
    let alert = "[[alerts]]\nid = \"throttled-now\"\nname = \"Throttled\"\nover = \"throttling\"\n\
                 when = \"throttled_rate > 0.01 OR throttled_rate < 0\"\nper = [\"partner_id\"]\n\
                 owner = \"ops\"\nabout = \"{throttled_rate}\"\nnotify = [\"manager\"]\n\n";
    edit_policy(
        &project,
        &[
            (
                "when = \"stage = 'live' AND needs_upgrade\"",
                "when = \"throttled_rate > 0.01 OR throttled_rate < 0\"",
            ),
            ("[[alerts]]\nid = \"sla-missed\"", &format!("{alert}[[alerts]]\nid = \"sla-missed\"")),
        ],
    );
    let made = actions_plan(&project, "plan.json");
    assert_eq!(quota_changes(&made), ["calm-00"], "{made}");
    apply(&project, "plan.json").expect_success();
    assert_eq!(logged(&project, "acknowledged"), 1);
    let found = project.run_ok(&["alerts", "check", "--dry-run", "--format", "csv"]);
    let own: Vec<&str> = found.lines().filter(|line| line.starts_with("throttled-now")).collect();
    assert!(own.len() == 1 && own[0].contains("calm-00"), "{found}");
}

#[test]
fn events_with_numbers_that_are_none_change_nothing() {
    let (gateway, project) = gateway_and_project();
    let (day, today) = (today().plus(-2), today());
    let event = |id: usize, partner_id: &str, rest: &str, number: &str| {
        format!(
            "{{\"event_id\":\"n{id}\",\"partner_id\":\"{partner_id}\",\
             \"occurred_at\":\"{day}T12:00:00Z\",{rest}:{number}}}\n"
        )
    };
    let quota = "\"type\":\"quota_changed\",\"quota_per_minute\"";
    let call = "\"status\":429,\"latency_ms\"";
    // The first event of each stream is as it should be.
    let mut quotas = event(0, "calm-00", quota, "600");
    let mut calls = event(0, "alpha", call, "5");
    let numbers = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "\"NaN\"", "-1"];
    for (id, number) in numbers.into_iter().enumerate() {
        quotas.push_str(&event(id + 1, "alpha", quota, number));
        calls.push_str(&event(id + 1, "calm-00", call, number));
    }
    load(&project, "partner-events", &quotas, today);
    load(&project, "api-calls", &calls, today);
    assert_eq!(project.query_number("SELECT count(*) FROM dead_letters"), 14);
    let made = plan(&project, "plan.json");
    assert_eq!(quota_changes(&made), THROTTLED, "{made}");
    assert_eq!(made["changes"][0]["from"]["per_minute"], QUOTA, "{made}");
    apply(&project, "plan.json").expect_success();
    let writes = gateway.writes();
    assert!(writes.len() == 2 && writes.iter().all(|(_, quota)| *quota == 900), "{writes:?}");
}

#[test]
fn a_rule_renamed_between_plan_and_apply_sends_once() {
    let (gateway, project) = gateway_and_project();
    plan(&project, "plan.json");
    let rename = |from: &str, to: &str| edit_policy(&project, &[(from, to)]);
    // Another name alone changes nothing that the plan does.
    rename("name = \"Throttled 1 % or more of calls", "name = \"It hits its quota");
    apply(&project, "plan.json").expect_success();
    assert_eq!(gateway.writes().len(), 2);
    // Another version of the policy needs another plan.
    rename("version = \"1\"", "version = \"2\"");
    apply(&project, "plan.json").expect_error(1, &["version \"1\"", "Make a new plan"]);
    // So does another id, which a person should not have changed: two were raised, and are not again.
    rename("id = \"throttled\"", "id = \"throttled-2\"");
    let next = plan(&project, "next.json");
    assert_eq!(quota_changes(&next).len(), 1, "{next}");
    project.run_ok(&["actions", "approve", "next.json", "--all", "--by", "Ada"]);
    apply(&project, "next.json").expect_success();
    let mut writes = gateway.writes();
    writes.sort();
    assert_eq!(writes, THROTTLED.map(|id| (id.to_owned(), 900)));
}

#[test]
fn an_erasure_of_another_partner_stops_no_plan_and_repeats_nothing() {
    let (gateway, project) = gateway_and_project();
    plan(&project, "first.json");
    // Two are sent; the third one waits, and is agreed to in the next plan.
    apply(&project, "first.json").expect_success();
    let sent = THROTTLED.into_iter().find(|id| gateway.limit(id) == Some(900)).expect("one");
    let next = plan(&project, "next.json");
    assert_eq!(quota_changes(&next).len(), 1, "{next}");
    project.run_ok(&["actions", "approve", "next.json", "--all", "--by", "Ada"]);
    project.run_ok(&["lake", "erase", "--partner", sent, "--everywhere", "--yes"]);
    // The agreement is in the log that was written anew, and so is what was sent before.
    let text = apply(&project, "next.json").expect_success().stdout_text();
    assert!(text.contains("1 delivered"), "{text}");
    apply(&project, "next.json").expect_success();
    let mut writes = gateway.writes();
    writes.sort();
    assert_eq!(writes, THROTTLED.map(|id| (id.to_owned(), 900)));
}
