//! Mistakes in a policy, in the data and around a plan: none of them lowers a quota wrongly, sends a
//! change twice or reaches more partners than may be reached, and each says why it stopped.

use serde_json::Value;

use crate::support::action_project::{
    QUOTA, THROTTLED, apply, gateway_and_project, logged, plan, project_until, project_with_gaps,
    quota_changes, read_plan, today,
};
use crate::support::program::Project;

/// Changes the policy of a project.
fn edit_policy(project: &Project, edits: &[(&str, &str)]) {
    let mut policy = std::fs::read_to_string(project.path("policy.toml")).expect("a policy");
    for (from, to) in edits {
        assert!(policy.contains(from), "no {from} in the policy");
        policy = policy.replacen(from, to, 1);
    }
    project.write("policy.toml", policy);
}

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
