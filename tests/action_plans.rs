//! `rapport actions`: a plan is made, approved, applied, interrupted, stopped and taken back, and the
//! gateway counts what reaches it.

use std::time::Duration;

use serde_json::Value;

use crate::support::action_project::{
    DatedProject, LEASE_SECONDS, QUOTA, THROTTLED, apply, gateway_and_project, logged, plan,
    project_with_gaps, quota_changes, read_plan, today,
};
use crate::support::program::{Project, RunningProgram, wait_until};

#[test]
fn a_mornings_work_is_done_and_taken_back() {
    let (gateway, project) = gateway_and_project();
    let made = plan(&project, "plan.json");
    assert_eq!(quota_changes(&made), THROTTLED);
    // Two of 40 partners may change without a person; the third waits.
    let applied = apply(&project, "plan.json").expect_success();
    let text = applied.stdout_text();
    assert!(text.contains("2 delivered") && text.contains("1 needs approval"), "{text}");
    assert_eq!(gateway.writes().len(), 2);
    let waiting = THROTTLED.into_iter().find(|id| gateway.limit(id) == Some(QUOTA));
    let waiting = waiting.expect("a partner that waits");
    project.run_ok(&["actions", "approve", "plan.json", "--partner", waiting, "--by", "Grace"]);
    apply(&project, "plan.json").expect_success();
    assert!(THROTTLED.into_iter().all(|id| gateway.limit(id) == Some(900)));
    // Nothing is left to send.
    apply(&project, "plan.json").expect_success();
    assert_eq!((gateway.writes().len(), logged(&project, "acknowledged")), (3, 3));
    let verified = project.run_ok(&["actions", "verify", "plan.json", "--by", "Ada"]);
    assert!(verified.contains("3 quotas set by the plan, 0 differ"), "{verified}");
    let log = project.run_ok(&["actions", "log", "--partner", waiting, "--format", "csv"]);
    assert!(log.contains("approved") && log.contains("Grace") && log.contains("kong"), "{log}");
    // The next plan knows what is in force, and its cooldown.
    let next = plan(&project, "next.json");
    assert!(quota_changes(&next).is_empty(), "{next}");
    assert!(next["stopped"].to_string().contains("cooldown"), "{next}");

    project.run_ok(&["actions", "rollback", "plan.json", "--out", "back.json"]);
    let back = read_plan(&project, "back.json");
    assert_eq!(quota_changes(&back), THROTTLED);
    apply(&project, "back.json").expect_success();
    assert_eq!(gateway.writes().len(), 3, "a decrease needs a person");
    project.run_ok(&["actions", "approve", "back.json", "--all", "--by", "Grace"]);
    apply(&project, "back.json").expect_success();
    assert!(THROTTLED.into_iter().all(|id| gateway.limit(id) == Some(QUOTA)));
    assert_eq!(gateway.writes().len(), 6);
}

#[test]
fn a_plan_that_no_longer_fits_is_refused() {
    let (gateway, project) = gateway_and_project();
    plan(&project, "plan.json");
    let text = std::fs::read_to_string(project.path("plan.json")).expect("a plan");
    project.write("edited.json", text.replace("\"per_minute\": 900", "\"per_minute\": 9000"));
    apply(&project, "edited.json").expect_error(1, &["was edited", "make a new plan"]);
    apply(&project, "no-plan.json").expect_error(2, &["no file", "no plan of this id"]);
    let policy = std::fs::read_to_string(project.path("policy.toml")).expect("a policy");
    project.write("policy.toml", policy.replace("version = \"1\"", "version = \"2\""));
    apply(&project, "plan.json").expect_error(1, &["version \"1\"", "\"2\" is in force"]);
    project.write("policy.toml", policy);
    // A quota event of somebody else arrives between plan and apply.
    let today = today();
    let event = format!(
        r#"{{"event_id":"other","partner_id":"alpha","occurred_at":"{}T12:00:00Z","type":"quota_changed","quota_per_minute":700}}"#,
        today.plus(-3)
    );
    project.write("other.ndjson", event);
    let load = ["ingest", "load", "--stream", "partner-events", "--arrival"];
    project.run_ok(&[&load[..], &[&format!("{today}T00:00:40Z"), "other.ndjson"]].concat());
    apply(&project, "plan.json").expect_error(1, &["\"alpha\" has changed", "Make a new plan"]);
    assert!(gateway.writes().is_empty());
}

#[test]
fn what_somebody_else_changed_at_the_gateway_is_not_overwritten() {
    let (gateway, project) = gateway_and_project();
    plan(&project, "plan.json");
    project.run_ok(&["actions", "approve", "plan.json", "--all", "--by", "Ada"]);
    gateway.set_limit("beta", 1_000);
    let text = apply(&project, "plan.json").stdout_text();
    assert!(text.contains("kong has 1,000 and not 600: somebody else changed it"), "{text}");
    assert_eq!(gateway.limit("beta"), Some(1_000));
    assert_eq!(gateway.limit("alpha"), Some(900));
    let next = plan(&project, "next.json");
    let difference = &next["differences"][0];
    assert_eq!((&difference["partner_id"], &difference["live"]), (&"beta".into(), &1_000.into()));
}

#[test]
fn the_kill_switch_stops_before_the_next_delivery() {
    let (gateway, project) = gateway_and_project();
    plan(&project, "plan.json");
    project.run_ok(&["actions", "stop", "--reason", "The gateway is mended", "--by", "Ada"]);
    apply(&project, "plan.json").expect_error(1, &["The gateway is mended", "actions go"]);
    let blocked = plan(&project, "blocked.json");
    assert!(blocked["blocked"].to_string().contains("The gateway is mended"), "{blocked}");
    project.run_ok(&["actions", "go", "--reason", "It is mended", "--by", "Ada"]);

    // Thrown when the first attempt is about to be written to the log.
    let fault = project.path("reached");
    let mut command = project.command(&["actions", "apply", "plan.json", "--by", "Ada"]);
    command.env("RAPPORT_FAULT", format!("entry:actions/log@1={}", fault.display()));
    let running = RunningProgram::start(command);
    wait_until("the failpoint", Duration::from_secs(120), || fault.exists());
    project.run_ok(&["actions", "stop", "--reason", "Stop", "--by", "Ada"]);
    std::fs::remove_file(&fault).expect("the file of the failpoint");
    let output = running.finish();
    assert_eq!(output.code, Some(3), "{output}");
    assert!(output.stdout_text().contains("halted"), "{output}");
    assert!(gateway.writes().is_empty(), "{:?}", gateway.writes());
}

#[test]
fn the_kill_switch_thrown_half_way_leaves_the_rest_for_later() {
    let DatedProject { gateway, project, .. } = DatedProject::start();
    plan(&project, "plan.json");
    project.run_ok(&["actions", "approve", "plan.json", "--all", "--by", "Ada"]);
    // Thrown when the first change was taken, and the attempt of the second one is in the log.
    let fault = project.path("reached");
    let mut command = project.command(&["actions", "apply", "plan.json", "--by", "Ada"]);
    command.env("RAPPORT_FAULT", format!("entry put:actions/log@3={}", fault.display()));
    let running = RunningProgram::start(command);
    wait_until("the failpoint", Duration::from_secs(120), || fault.exists());
    project.run_ok(&["actions", "stop", "--reason", "Half is enough", "--by", "Ada"]);
    std::fs::remove_file(&fault).expect("the file of the failpoint");
    let output = running.finish();
    assert_eq!(output.code, Some(3), "{output}");
    assert!(output.stdout_text().contains("Half is enough"), "{output}");
    assert_eq!(gateway.writes().len(), 1, "{output}");
    apply(&project, "plan.json").expect_error(1, &["Half is enough", "actions go"]);
    assert_eq!(gateway.writes().len(), 1);

    project.run_ok(&["actions", "go", "--reason", "All is well", "--by", "Ada"]);
    // What was halted is due again a minute or two later.
    project.move_clock(180);
    apply(&project, "plan.json").expect_success();
    let mut writes = gateway.writes();
    writes.sort();
    assert_eq!(writes, THROTTLED.map(|id| (id.to_owned(), 900)));
}

#[test]
fn a_kill_at_any_step_loses_and_doubles_nothing() {
    let (gateway, project) = gateway_and_project();
    plan(&project, "plan.json");
    project.run_ok(&["actions", "approve", "plan.json", "--all", "--by", "Ada"]);
    // Before and after each of the first commits: before an attempt is known, after it and before it
    // is sent, after it was sent and before that is written, and after that.
    for (step, point) in
        [("entry", 1), ("entry put", 1), ("entry", 1), ("entry put", 2), ("entry", 2)]
    {
        let fault = project.path(&format!("reached {step} {point}"));
        let mut command = project.command(&["actions", "apply", "plan.json", "--by", "Ada"]);
        command.env("RAPPORT_ACTIONS_LEASE_SECONDS", LEASE_SECONDS.to_string());
        command.env("RAPPORT_FAULT", format!("{step}:actions/log@{point}={}", fault.display()));
        let mut running = RunningProgram::start(command);
        wait_until("the failpoint or the end", Duration::from_secs(120), || {
            fault.exists() || running.has_ended()
        });
        running.kill();
        std::thread::sleep(Duration::from_secs(LEASE_SECONDS + 1));
    }
    apply(&project, "plan.json").expect_success();
    assert!(THROTTLED.into_iter().all(|id| gateway.limit(id) == Some(900)));
    assert_eq!(logged(&project, "acknowledged"), 3);
    // A write that was not acknowledged may be repeated: it states the whole value.
    let writes = gateway.writes();
    assert!(writes.iter().all(|(_, limit)| *limit == 900), "{writes:?}");
    let before = writes.len();
    apply(&project, "plan.json").expect_success();
    assert_eq!(gateway.writes().len(), before);
}

#[test]
fn two_programs_apply_one_plan_once() {
    let (gateway, project) = gateway_and_project();
    plan(&project, "plan.json");
    project.run_ok(&["actions", "approve", "plan.json", "--all", "--by", "Ada"]);
    let start = || {
        RunningProgram::start(project.command(&["actions", "apply", "plan.json", "--by", "Ada"]))
    };
    let running: Vec<RunningProgram> = (0..3).map(|_| start()).collect();
    for program in running {
        let output = program.finish();
        assert!(output.code.is_some(), "{output}");
    }
    apply(&project, "plan.json").expect_success();
    assert_eq!((gateway.writes().len(), logged(&project, "acknowledged")), (3, 3));
}

#[test]
fn a_gateway_that_is_down_gets_its_changes_later() {
    let (gateway, project) = gateway_and_project();
    project.run_ok(&["actions", "plan", "--out", "plan.json"]);
    gateway.set_down(true);
    let output = apply(&project, "plan.json");
    assert_eq!(output.code, Some(3), "{output}");
    assert!(output.stderr.contains("not all was sent: 2 changes failed"), "{output}");
    assert!(output.stdout_text().contains("503"), "{output}");
    gateway.set_down(false);
    // Not before its time.
    let text = apply(&project, "plan.json").stdout_text();
    assert!(text.contains("the next attempt is due at"), "{text}");
    assert!(gateway.writes().len() <= 1);
}

#[test]
fn a_partner_that_the_mapping_lacks_is_stopped_with_its_reason() {
    let (gateway, project) = gateway_and_project();
    let mapping = std::fs::read_to_string(project.path("mapping.csv")).expect("a mapping");
    project.write("mapping.csv", mapping.replace("beta,beta,,,,\n", ""));
    let made = plan(&project, "plan.json");
    assert_eq!(quota_changes(&made), ["alpha", "gamma"]);
    assert!(made["stopped"].to_string().contains("has no row for it"), "{made}");
    apply(&project, "plan.json").expect_success();
    assert_eq!(gateway.limit("beta"), Some(QUOTA));
}

#[test]
fn no_quota_is_lowered_on_usage_that_is_missing_or_zero() {
    let cut = |project: &Project| {
        let policy = std::fs::read_to_string(project.path("policy.toml")).expect("a policy");
        let rules = policy.find("[[rules]]").expect("rules");
        let guardrails = policy.find("[guardrails]").expect("guardrails");
        let rule = "[[rules]]\nid = \"cut\"\nname = \"Cut\"\nfor = \"quota\"\nwhen = \"true\"\n\
                    set_quota = { step = -0.1 }\n\n";
        let text = format!("{}{rule}{}", &policy[..rules], &policy[guardrails..]);
        // The contract of the plan is no reason here.
        project.write("policy.toml", text.replace("contract = 300", "contract = 0"));
        project.run_ok(&["actions", "plan", "--out", "plan.json"]);
        read_plan(project, "plan.json")
    };
    let today = today();
    let with_gap = project_with_gaps(|_, day| day == today.plus(-10));
    let made = cut(&with_gap);
    assert!(quota_changes(&made).is_empty(), "{made}");
    assert!(made["stopped"].to_string().contains("Nobody called on"), "{made}");
    let one_gap = project_with_gaps(|id, day| id == "alpha" && day == today.plus(-3));
    let made = cut(&one_gap);
    assert!(!quota_changes(&made).contains(&"alpha".to_owned()), "{made}");
    assert!(made["stopped"].to_string().contains("may be missing"), "{made}");
    let silent = project_with_gaps(|id, day| id == "alpha" && day.0 >= today.0 - 29);
    let made = cut(&silent);
    assert!(!quota_changes(&made).contains(&"alpha".to_owned()), "{made}");
    // All cuts need a person.
    let changes = made["changes"].as_array().expect("changes");
    assert!(changes.iter().all(|change| change["needs_approval"] == true), "{made}");
}

#[test]
fn the_default_channel_is_a_file() {
    let project = project_with_gaps(|_, _| false);
    project.run_ok(&["actions", "plan", "--out", "plan.json"]);
    apply(&project, "plan.json").expect_success();
    let lines = std::fs::read_to_string(project.path("partner-actions.ndjson")).expect("a file");
    let lines: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["to"]["per_minute"], 900);
    apply(&project, "plan.json").expect_success();
    let again = std::fs::read_to_string(project.path("partner-actions.ndjson")).expect("a file");
    assert_eq!(again.lines().count(), 2);
}

#[test]
fn a_simulation_says_what_a_policy_would_have_done() {
    let project = project_with_gaps(|_, _| false);
    project.run_ok(&["score", "run"]);
    let table = project.run_ok(&["actions", "simulate", "--days", "5", "--format", "csv"]);
    let row = table.lines().find(|line| line.starts_with("\"Throttled")).expect("the rule");
    let cells: Vec<&str> = row.rsplitn(9, ',').collect();
    // Two of the three are raised without a person, each by 300 for 30 days.
    assert_eq!((cells[7], cells[3]), ("2", "18000"), "{table}");
    assert_eq!(project.query_number("SELECT count(*) FROM action_log"), 0);
    let refused = |options: &[&str], word: &str| {
        project.run(&[&["actions", "simulate"], options].concat()).expect_error(2, &[word]);
    };
    refused(&["--days", "0"], "1..=730");
    refused(&["--from", "2026-02-02", "--to", "2026-02-01"], "lies after --to 2026-02-01");
    refused(&["--from", "2020-01-01", "--to", "2026-02-01"], "730 at most are replayed");
}
