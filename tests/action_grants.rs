//! Raises that end by themselves, and plans that are taken back: no quota is cut below what its partner
//! uses, and each grant ends once.

use domain::Day;
use serde_json::Value;

use crate::support::action_project::{
    Calls, DatedProject, QUOTA, THROTTLED, apply, load, logged, plan, quota_changes, read_plan,
};
use crate::support::program::Project;

/// The quota that the rule gives for 30 days.
const GRANTED: i64 = 900;

/// Usage of which no rule speaks.
fn calm(partner_id: &str, _: Day) -> Calls {
    if THROTTLED.contains(&partner_id) { Calls::Many } else { Calls::Few }
}

/// Applies a plan with the agreement of a person to what it changes of one partner.
fn approve_and_apply(project: &Project, file: &str, partner_id: &str) {
    project.run_ok(&["actions", "approve", file, "--partner", partner_id, "--by", "Grace"]);
    apply(project, file).expect_success();
}

/// Returns a project on the day after three partners were raised for 30 days, which `plan.json` did and
/// the platform has reported.
fn raised() -> DatedProject {
    let mut dated = DatedProject::start();
    plan(&dated.project, "plan.json");
    dated.project.run_ok(&["actions", "approve", "plan.json", "--all", "--by", "Grace"]);
    apply(&dated.project, "plan.json").expect_success();
    assert_eq!(limits(&dated), [GRANTED; 3]);
    dated.pass_days(1, calm);
    dated.report_quotas();
    dated
}

/// Returns the quotas of alpha, beta and gamma at the gateway.
fn limits(dated: &DatedProject) -> [i64; 3] {
    THROTTLED.map(|id| dated.gateway.limit(id).expect("a quota"))
}

/// Returns the quotas that were sent for a partner, in their order.
fn sent_to(dated: &DatedProject, partner_id: &str) -> Vec<i64> {
    let writes = dated.gateway.writes().into_iter();
    writes.filter(|(id, _)| id == partner_id).map(|(_, quota)| quota).collect()
}

/// Returns why the grant of a partner is to go on, by a plan.
fn extension<'a>(plan: &'a Value, partner_id: &str) -> &'a str {
    let extensions = plan["extensions"].as_array().expect("extensions");
    let own = extensions.iter().find(|extension| extension["partner_id"] == partner_id);
    own.and_then(|extension| extension["reason"].as_str()).unwrap_or_default()
}

/// Returns why nothing is done for a partner, by a plan.
fn stopped<'a>(plan: &'a Value, partner_id: &str) -> &'a Value {
    let stopped = plan["stopped"].as_array().expect("a list");
    stopped.iter().find(|change| change["partner_id"] == partner_id).unwrap_or(&Value::Null)
}

#[test]
fn a_grant_does_not_end_below_what_its_partner_uses() {
    let mut dated = raised();
    let first = dated.today;
    // Alpha has 550 calls in a minute, of beta a day is missing, and gamma needs no more than before.
    dated.pass_days(30, |id, day| match (id, day.0 - first.0) {
        ("alpha", 20) => Calls::InOneMinute(550),
        ("beta", 25) => Calls::Missing,
        _ => calm(id, day),
    });
    let made = plan(&dated.project, "end.json");
    assert_eq!(quota_changes(&made), ["gamma"], "{made}");
    let why = "The floor is 1.2 × the highest minute: 660, above the 600 before the grant";
    assert_eq!(extension(&made, "alpha"), why);
    assert!(extension(&made, "beta").contains("may be missing: no decrease"), "{made}");
    // The agreement to a raise covers its end.
    let output = apply(&dated.project, "end.json").expect_success();
    let said =
        "alpha: its grant should end and goes on: The floor is 1.2 × the highest minute: 660";
    assert!(output.stderr.contains(said), "{output}");
    assert_eq!(limits(&dated), [GRANTED, GRANTED, QUOTA]);
    apply(&dated.project, "end.json").expect_success();
    assert_eq!(logged(&dated.project, "extended"), 2);

    // A week later alpha's minute and beta's gap still are within the 28 days.
    dated.pass_days(8, calm);
    let made = plan(&dated.project, "later.json");
    assert_eq!(quota_changes(&made), [""; 0], "{made}");
    assert_eq!(extension(&made, "alpha"), why);
    apply(&dated.project, "later.json").expect_success();
    assert_eq!(limits(&dated), [GRANTED, GRANTED, QUOTA]);

    // Then both could end, but alpha needs its quota again before the plan is applied.
    dated.pass_days(20, calm);
    let made = plan(&dated.project, "both.json");
    assert_eq!(quota_changes(&made), ["alpha", "beta"], "{made}");
    dated.pass_days(1, |id, day| match id {
        "alpha" => Calls::InOneMinute(550),
        _ => calm(id, day),
    });
    // A quota change lapses after a day.
    dated.project.move_clock(-3_600);
    let text = apply(&dated.project, "both.json").expect_success().stdout_text();
    assert!(text.contains("the usage has risen since: the floor is 660 now"), "{text}");
    assert_eq!(limits(&dated), [GRANTED, QUOTA, QUOTA]);
    assert_eq!(sent_to(&dated, "alpha"), [GRANTED]);
}

#[test]
fn a_further_raise_keeps_the_first_base_and_ends_once() {
    let mut dated = raised();
    // All three had calls throttled in the last 28 days, and a person agrees to more for alpha: more
    // than +100 % in 30 days is not given without one.
    dated.pass_days(9, calm);
    let made = plan(&dated.project, "more.json");
    assert_eq!(quota_changes(&made), THROTTLED, "{made}");
    let (to, base) =
        (&made["changes"][0]["to"]["per_minute"], &made["changes"][0]["base_per_minute"]);
    assert_eq!((to, base), (&1_350.into(), &QUOTA.into()), "{made}");
    apply(&dated.project, "more.json").expect_success();
    assert_eq!(limits(&dated), [GRANTED; 3]);
    approve_and_apply(&dated.project, "more.json", "alpha");
    // Somebody else gives beta a quota of its own.
    dated.gateway.set_limit("beta", 1_000);
    dated.pass_days(1, calm);
    dated.report_quotas();

    // When the first grant would have ended, only gamma's does: alpha's was renewed, and beta's is no
    // grant of ours any more.
    dated.pass_days(20, calm);
    let made = plan(&dated.project, "first-end.json");
    assert_eq!(quota_changes(&made), ["gamma"], "{made}");
    assert_eq!(made["extensions"], Value::Array(Vec::new()), "{made}");
    apply(&dated.project, "first-end.json").expect_success();
    assert_eq!(limits(&dated), [1_350, 1_000, QUOTA]);

    // When the second one ends, alpha has what it had before the first.
    dated.pass_days(11, calm);
    let made = plan(&dated.project, "second-end.json");
    assert_eq!(quota_changes(&made), ["alpha"], "{made}");
    apply(&dated.project, "second-end.json").expect_success();
    apply(&dated.project, "second-end.json").expect_success();
    assert_eq!(quota_changes(&plan(&dated.project, "after.json")), [""; 0]);
    assert_eq!(limits(&dated), [QUOTA, 1_000, QUOTA]);
    assert_eq!(sent_to(&dated, "alpha"), [GRANTED, 1_350, QUOTA]);
    assert_eq!(sent_to(&dated, "beta"), [GRANTED]);
}

#[test]
fn a_quota_that_somebody_else_set_ends_a_grant() {
    let mut dated = raised();
    dated.pass_days(30, calm);
    // Alpha changed its plan, and the event about it tells its quota. Nobody reports that of beta, and
    // what an event about gamma's name tells is what the platform told last.
    let day = dated.today.plus(-1);
    let event = |id: &str, rest: &str| {
        format!(
            "{{\"event_id\":\"told\",\"partner_id\":\"{id}\",\"occurred_at\":\"{day}T12:00:00Z\",{rest}}}\n"
        )
    };
    let plan_of_alpha = r#""type":"plan_changed","plan":"growth","quota_per_minute":2000"#;
    let name = format!(r#""type":"profile_updated","name":"Gamma","quota_per_minute":{GRANTED}"#);
    let events = event("alpha", plan_of_alpha) + &event("gamma", &name);
    load(&dated.project, "partner-events", &events, dated.today);
    dated.gateway.set_limit("beta", 1_000);
    let made = plan(&dated.project, "end.json");
    assert_eq!(quota_changes(&made), ["gamma"], "{made}");
    assert_eq!(made["extensions"], Value::Array(Vec::new()), "{made}");
    let differs = made["differences"].as_array().expect("a list");
    let differs: Vec<&Value> = differs.iter().map(|of| &of["partner_id"]).collect();
    assert_eq!(differs, ["beta"], "{made}");
    apply(&dated.project, "end.json").expect_success();
    assert_eq!(limits(&dated), [GRANTED, 1_000, QUOTA]);
}

#[test]
fn merged_partners_keep_room_for_both_of_their_peaks() {
    let mut dated = raised();
    let first = dated.today;
    // Two pairs have their highest minutes on different days. Together they are 590 and 490 calls.
    dated.pass_days(29, |id, day| match (id, day.0 - first.0) {
        ("alpha", 10) => Calls::InOneMinute(300),
        ("calm-00", 12) => Calls::InOneMinute(290),
        ("beta", 10) => Calls::InOneMinute(250),
        ("calm-01", 12) => Calls::InOneMinute(240),
        _ => calm(id, day),
    });
    let day = dated.today.plus(-1);
    let merged = |from: &str, into: &str| {
        format!(
            "{{\"event_id\":\"m\",\"partner_id\":\"{from}\",\"occurred_at\":\"{day}T12:00:00Z\",\
             \"type\":\"merged\",\"merged_into\":\"{into}\"}}\n"
        )
    };
    let merges = merged("calm-00", "alpha") + &merged("calm-01", "beta");
    load(&dated.project, "partner-events", &merges, dated.today);
    // Taking the raise back is stopped for the same reason as its end.
    dated.project.run_ok(&["actions", "rollback", "plan.json", "--out", "back.json"]);
    let back = read_plan(&dated.project, "back.json");
    assert_eq!(quota_changes(&back), ["beta", "gamma"], "{back}");
    let why = stopped(&back, "alpha").to_string();
    assert!(why.contains("600 is below the floor, 1.2 × the highest minute: 708"), "{back}");

    dated.pass_days(1, calm);
    let made = plan(&dated.project, "end.json");
    assert_eq!(quota_changes(&made), ["beta", "gamma"], "{made}");
    assert!(extension(&made, "alpha").contains("708, above the 600"), "{made}");
    apply(&dated.project, "end.json").expect_success();
    assert_eq!(limits(&dated), [GRANTED, QUOTA, QUOTA]);
}

#[test]
fn a_rollback_stops_at_the_usage_and_at_a_later_change() {
    let mut dated = raised();
    let first = dated.today;
    dated.pass_days(9, |id, day| match (id, day.0 - first.0) {
        ("alpha", 4) => Calls::InOneMinute(550),
        _ => calm(id, day),
    });
    assert_eq!(quota_changes(&plan(&dated.project, "more.json")), THROTTLED);
    approve_and_apply(&dated.project, "more.json", "beta");
    assert_eq!(limits(&dated), [GRANTED, 1_350, GRANTED]);

    dated.project.run_ok(&["actions", "rollback", "plan.json", "--out", "back.json"]);
    let back = read_plan(&dated.project, "back.json");
    assert_eq!(quota_changes(&back), ["gamma"], "{back}");
    let floor = stopped(&back, "alpha").to_string();
    assert!(floor.contains("600 is below the floor, 1.2 × the highest minute: 660"), "{back}");
    let later = stopped(&back, "beta").to_string();
    assert!(later.contains("changed it again since"), "{back}");
    approve_and_apply(&dated.project, "back.json", "gamma");
    assert_eq!(limits(&dated), [GRANTED, 1_350, QUOTA]);
}
