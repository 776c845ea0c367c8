//! What time does to actions: clocks that differ, receivers that are down for a day, agreements that
//! nobody uses, and conditions that flicker from day to day.

use std::time::Duration;

use domain::Day;
use serde_json::Value;

use crate::support::action_project::{
    Calls, DatedProject, LEASE_SECONDS, QUOTA, THROTTLED, apply, edit_policy, logged, plan,
    quota_changes,
};
use crate::support::program::{Project, RunningProgram, wait_until};

const HOUR: i64 = 3_600;

/// Partners that go on as before.
fn usual(partner_id: &str, _: Day) -> Calls {
    Calls::usual(partner_id)
}

fn approve(project: &Project, file: &str) {
    project.run_ok(&["actions", "approve", file, "--all", "--by", "Grace"]);
}

/// Returns what the file holds that notices and routes go to: action, partner, and whether it is over.
fn lines_of_the_file(project: &Project) -> Vec<(String, String, bool)> {
    let text = std::fs::read_to_string(project.path("partner-actions.ndjson")).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines
        .map(|line| {
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            (text("action"), text("partner_id"), line["resolves"] == true)
        })
        .collect()
}

#[test]
fn a_clock_that_is_an_hour_behind_sends_nothing() {
    let dated = DatedProject::start();
    let project = &dated.project;
    plan(project, "plan.json");
    project.move_clock(-HOUR);
    apply(project, "plan.json")
        .expect_error(1, &["which lies ahead of the clock", "One of the two clocks is wrong"]);
    assert_eq!((dated.gateway.writes().len(), logged(project, "attempted")), (0, 0));

    // A plan of the slow machine is sent by the other one.
    plan(project, "slow.json");
    project.move_clock(HOUR);
    approve(project, "slow.json");
    apply(project, "slow.json").expect_success();
    assert_eq!(dated.gateway.writes().len(), 3);

    // Now the slow machine knows that it is slow: the log is ahead of it.
    project.move_clock(-HOUR);
    let blocked = plan(project, "blocked.json");
    assert!(blocked["blocked"].to_string().contains("The clock is behind the newest row"));
    apply(project, "blocked.json").expect_error(1, &["is blocked", "The clock is behind"]);
    apply(project, "slow.json").expect_error(1, &["the log of actions has rows of", "is wrong"]);
    // Whatever its clock says, its kill switch works.
    project.run_ok(&["actions", "stop", "--reason", "Who knows the time", "--by", "Ada"]);
    project.move_clock(HOUR);
    apply(project, "plan.json").expect_error(1, &["Who knows the time"]);
    assert_eq!(dated.gateway.writes().len(), 3);
}

#[test]
fn a_clock_that_is_an_hour_ahead_doubles_no_delivery() {
    let dated = DatedProject::start();
    let project = &dated.project;
    plan(project, "plan.json");
    approve(project, "plan.json");
    // One machine has written that it sends the first change, and is slow to do it.
    let fault = project.path("reached");
    let mut command = project.command(&["actions", "apply", "plan.json", "--by", "Ada"]);
    command.env("RAPPORT_ACTIONS_LEASE_SECONDS", (10 * LEASE_SECONDS).to_string());
    command.env("RAPPORT_FAULT", format!("entry put:actions/log@1={}", fault.display()));
    let slow = RunningProgram::start(command);
    wait_until("the failpoint", Duration::from_secs(120), || fault.exists());
    // To the clock of another one it was killed an hour ago.
    project.move_clock(HOUR);
    apply(project, "plan.json").expect_success();
    std::fs::remove_file(&fault).expect("the file of the failpoint");
    let output = slow.finish();
    let mut writes = dated.gateway.writes();
    writes.sort();
    let once = THROTTLED.map(|id| (id.to_owned(), 900));
    assert_eq!(writes, once, "{output}");
    assert!(output.stdout_text().contains("not sent: another program took it over"), "{output}");
    assert_eq!((logged(project, "attempted"), logged(project, "acknowledged")), (4, 3));
    // The machine whose clock is right waits until the time has come that the log speaks of.
    project.move_clock(-HOUR);
    apply(project, "plan.json").expect_error(1, &["the log of actions has rows of"]);
    project.move_clock(HOUR + 600);
    apply(project, "plan.json").expect_success();
    assert_eq!(dated.gateway.writes().len(), 3);
}

#[test]
fn two_clocks_end_a_grant_once() {
    let mut dated = DatedProject::start();
    plan(&dated.project, "plan.json");
    approve(&dated.project, "plan.json");
    apply(&dated.project, "plan.json").expect_success();
    let calm = |id: &str, _| if THROTTLED.contains(&id) { Calls::Many } else { Calls::Few };
    dated.pass_days(1, calm);
    dated.report_quotas();
    dated.pass_days(29, calm);
    // Half an hour before the end. A machine whose clock is an hour ahead ends the grants.
    let project = &dated.project;
    project.move_clock(-HOUR / 2);
    assert!(quota_changes(&plan(project, "early.json")).is_empty());
    project.move_clock(HOUR);
    assert_eq!(quota_changes(&plan(project, "ahead.json")), THROTTLED);
    apply(project, "ahead.json").expect_success();
    let ended = dated.gateway.writes();
    assert_eq!(ended.len(), 6);
    // The other machine neither ends them again nor before its time.
    project.move_clock(-HOUR);
    assert!(plan(project, "behind.json")["blocked"].to_string().contains("The clock is behind"));
    project.move_clock(2 * HOUR);
    assert!(quota_changes(&plan(project, "later.json")).is_empty());
    apply(project, "later.json").expect_success();
    apply(project, "ahead.json").expect_success();
    assert_eq!(dated.gateway.writes(), ended);
    assert!(THROTTLED.into_iter().all(|id| dated.gateway.limit(id) == Some(QUOTA)));
}

#[test]
fn what_waited_a_day_for_its_receiver_is_not_sent() {
    let mut dated = DatedProject::start();
    plan(&dated.project, "plan.json");
    // Two changes are acknowledged before the gateway goes down; the third is agreed to after it.
    apply(&dated.project, "plan.json").expect_success();
    let before = dated.gateway.writes();
    assert_eq!(before.len(), 2);
    dated.gateway.set_down(true);
    approve(&dated.project, "plan.json");
    let failed = apply(&dated.project, "plan.json");
    assert_eq!(failed.code, Some(3), "{failed}");
    assert!(failed.stdout_text().contains("503"), "{failed}");
    // Hours later it still is.
    dated.project.move_clock(10 * HOUR);
    let failed = dated.project.run(&["actions", "deliver", "--by", "cron"]);
    assert!(failed.stdout_text().contains("503"), "{failed}");
    // The next day it is back, and the change is too old.
    dated.project.move_clock(-10 * HOUR);
    dated.pass_days(1, usual);
    dated.project.move_clock(HOUR);
    dated.gateway.set_down(false);
    let late = dated.project.run_ok(&["actions", "deliver", "--by", "cron"]);
    assert!(late.contains("waited for more than a day; a new plan may propose it again"), "{late}");
    let again = apply(&dated.project, "plan.json").expect_success().stdout_text();
    assert!(
        again.contains("waited for more than a day; a new plan may propose it again"),
        "{again}"
    );
    assert_eq!(dated.gateway.writes(), before);

    // A new plan proposes it again, and asks again.
    let made = plan(&dated.project, "new.json");
    assert_eq!(quota_changes(&made).len(), 1, "{made}");
    let text = apply(&dated.project, "new.json").expect_success().stdout_text();
    assert!(text.contains("1 needs approval"), "{text}");
    approve(&dated.project, "new.json");
    apply(&dated.project, "new.json").expect_success();
    let mut writes = dated.gateway.writes();
    writes.sort();
    assert_eq!(writes, THROTTLED.map(|id| (id.to_owned(), 900)));
}

#[test]
fn what_waited_some_hours_for_its_receiver_is_sent_once() {
    let dated = DatedProject::start();
    let project = &dated.project;
    plan(project, "plan.json");
    approve(project, "plan.json");
    dated.gateway.set_down(true);
    // Two failures stop the rest.
    assert_eq!(apply(project, "plan.json").code, Some(3));
    project.move_clock(3 * HOUR);
    dated.gateway.set_down(false);
    let text = project.run_ok(&["actions", "deliver", "--by", "cron"]);
    assert!(text.contains("3 changes delivered, 0 failed"), "{text}");
    project.run_ok(&["actions", "deliver", "--by", "cron"]);
    apply(project, "plan.json").expect_success();
    assert_eq!((dated.gateway.writes().len(), logged(project, "acknowledged")), (3, 3));
}

#[test]
fn an_agreement_that_nobody_uses_lapses() {
    let mut dated = DatedProject::start();
    plan(&dated.project, "plan.json");
    approve(&dated.project, "plan.json");
    dated.pass_days(1, usual);
    dated.project.move_clock(HOUR);
    let text = apply(&dated.project, "plan.json").expect_success().stdout_text();
    assert_eq!(text.matches("waited for more than a day").count(), 3, "{text}");
    // Agreeing once more does not bring it back.
    approve(&dated.project, "plan.json");
    let text = apply(&dated.project, "plan.json").expect_success().stdout_text();
    assert!(text.contains("waited for more than a day; a new plan may propose it again"), "{text}");
    dated.pass_days(7, usual);
    apply(&dated.project, "plan.json")
        .expect_error(1, &["more than 7 days ago", "Make a new plan"]);
    assert!(dated.gateway.writes().is_empty());
}

#[test]
fn a_condition_that_flickers_acts_once() {
    let mut dated = DatedProject::start();
    // Alpha's conditions hold on the odd days up to the 21st, of which the first is the 15th.
    let flickers = "date_part('day', as_of) IN (15, 17, 19, 21) AND partner_id = 'alpha'";
    let rules = format!(
        "[[rules]]\nid = \"tell\"\nname = \"Tell\"\nfor = \"notice\"\nwhen = \"{flickers}\"\n\
         notify = {{ who = \"manager\", about = \"look\" }}\n\n\
         [[rules]]\nid = \"route\"\nname = \"Route\"\nfor = \"support\"\nwhen = \"{flickers}\"\n\
         route_support = {{ queue = \"look\", priority = 1, sla_hours = 4 }}\n\n"
    );
    let first = "[[rules]]\nid = \"at-risk-large\"";
    edit_policy(
        &dated.project,
        &[
            (first, &format!("{rules}{first}")),
            ("when = \"stage = 'live' AND needs_upgrade\"", &format!("when = \"{flickers}\"")),
        ],
    );
    let own = |dated: &DatedProject, action: &str| -> Vec<bool> {
        let lines = lines_of_the_file(&dated.project).into_iter();
        let own = lines.filter(|(of, id, _)| of == action && id == "alpha");
        own.map(|(.., is_over)| is_over).collect()
    };
    for day in 15..=28 {
        let file = format!("plan-{day}.json");
        let made = plan(&dated.project, &file);
        if (16..28).contains(&day) {
            assert_eq!(made["changes"], Value::Array(Vec::new()), "on the {day}th");
        }
        // Between the last day on which they hold and the end of the episode nothing needs to be sent.
        if !(22..28).contains(&day) {
            apply(&dated.project, &file).expect_success();
        }
        if day < 28 {
            assert_eq!(own(&dated, "notify"), [false], "on the {day}th");
            assert_eq!(own(&dated, "route_support"), [false], "on the {day}th");
        }
        // The cooldown has passed on the 22nd, when the condition no longer holds.
        assert_eq!(dated.gateway.writes(), [("alpha".to_owned(), 900)], "on the {day}th");
        dated.pass_days(1, usual);
    }
    // Seven evaluations after the last day on which they held, both are over, and that is told once.
    assert_eq!(own(&dated, "notify"), [false, true]);
    assert_eq!(own(&dated, "route_support"), [false, true]);
    let events =
        "SELECT count(*) FROM action_episodes WHERE rule_id = 'tell' AND event = 'started'";
    assert_eq!(dated.project.query_number(events), 1);
}
