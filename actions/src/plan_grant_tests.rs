//! Grants, episodes and rollbacks in whole plans.

use std::collections::BTreeSet;

use domain::{MICROS_PER_DAY, Setting, Tier};

use crate::document::Plan;
use crate::episodes::Holding;
use crate::input::{PartnerState, PlanInput, QuotaChange};
use crate::log::{EntryKind, History, LogEntry, Origin};
use crate::make_rollback;
use crate::plan_tests::{DAY, HOUR, input, made, partner, policy};
use crate::test_log::quota_entry;

/// Returns a raise of the partner `t`, acknowledged so many days before the plan, as a grant.
fn raise(base: i64, from: i64, to: i64, days_ago: i64, ends_in_days: i64) -> LogEntry {
    let now = DAY.start_micros() + 9 * HOUR;
    let mut entry = quota_entry("raise", from, to, now - days_ago * MICROS_PER_DAY);
    entry.partner_id = "t".to_owned();
    entry.base_per_minute = Some(base);
    entry.expires_at = Some(now + ends_in_days * MICROS_PER_DAY);
    entry
}

/// Returns the input of a plan in which no rule asks for a quota: the partner is `x` for rules.
fn granted(entries: &[LogEntry], highest_minute: Option<i64>) -> PlanInput {
    let mut state = partner("x", Tier::Healthy, Some(1));
    state.highest_minute = highest_minute;
    state.quota_per_minute = Some(900);
    let mut input = input(vec![state]);
    let renamed: Vec<LogEntry> = entries
        .iter()
        .map(|entry| LogEntry { partner_id: "x".to_owned(), ..entry.clone() })
        .collect();
    input.history = History::of(&renamed);
    input
}

#[test]
fn a_grant_ends_at_the_quota_before_it() {
    let plan = made(&granted(&[raise(600, 600, 900, 31, -1)], Some(400)), &policy());
    let change = &plan.changes[0];
    assert_eq!(change.from, Some(Setting::Quota { per_minute: 900 }));
    assert_eq!(change.to, Some(Setting::Quota { per_minute: 600 }));
    assert_eq!((change.origin, change.needs_approval), (Origin::Expiry, false));
    // A step of -33 % a few days after another change: an end is exempt from both.
    assert!(plan.stopped.is_empty() && plan.extensions.is_empty());
    // It has not ended yet.
    let early = made(&granted(&[raise(600, 600, 900, 29, 1)], Some(400)), &policy());
    assert!(early.changes.is_empty() && early.extensions.is_empty());
}

#[test]
fn a_grant_is_extended_where_its_end_could_hurt() {
    #[track_caller]
    fn check(input: &PlanInput, reason: &str) {
        let plan = made(input, &policy());
        assert!(plan.changes.is_empty(), "{:?}", plan.changes);
        assert_eq!(plan.extensions[0].reason, reason);
        assert_eq!(plan.extensions[0].until, plan.created_at + 7 * MICROS_PER_DAY);
    }
    let ended = [raise(600, 600, 900, 31, -1)];
    let floor = "The floor is 1.2 × the highest minute: 612, above the 600 before the grant";
    check(&granted(&ended, Some(510)), floor);
    check(&granted(&ended, None), "No usage is known: nothing shows that less is enough");
    check(&granted(&ended, Some(0)), "Usage is zero, which may be an outage: no decrease");
    let mut gap = granted(&ended, Some(100));
    gap.partners[0].usage_gap = Some("12 Sep has no calls at all".to_owned());
    check(&gap, "12 Sep has no calls at all");
    let mut late = granted(&ended, Some(100));
    late.watermark = Some(DAY.start_micros() - HOUR);
    check(&late, "Usage came late: no decrease yet");
}

#[test]
fn a_further_raise_keeps_the_first_base() {
    let mut input = input(vec![PartnerState {
        quota_per_minute: Some(900),
        ..partner("t", Tier::Healthy, Some(1))
    }]);
    input.history = History::of([&raise(600, 600, 900, 31, -1)]);
    let plan = made(&input, &policy());
    let change = &plan.changes[0];
    assert_eq!(change.to, Some(Setting::Quota { per_minute: 1_350 }));
    assert_eq!((change.base_per_minute, change.origin), (Some(600), Origin::Rule));
    assert_eq!(plan.changes.len(), 1);
}

#[test]
fn what_other_plans_changed_counts_for_the_reach() {
    // 40 partners: two may change in seven days, and another plan changed two.
    let mut partners = vec![partner("t0", Tier::Healthy, Some(1))];
    partners.extend((0..39).map(|i| partner(&format!("x{i:02}"), Tier::Healthy, None)));
    let mut input = input(partners);
    let changed = |id: &str, days| LogEntry {
        partner_id: id.to_owned(),
        key: id.to_owned(),
        ..raise(600, 600, 700, days, 20)
    };
    let reach = |input: &PlanInput| made(input, &policy()).changes[0].needs_approval;
    input.history = History::of(&[changed("x00", 1), changed("x01", 8)]);
    assert!(!reach(&input));
    input.history = History::of(&[changed("x00", 1), changed("x01", 6)]);
    assert!(reach(&input));
}

#[test]
fn a_notice_is_sent_once_an_episode() {
    let mut input = input(vec![partner("u", Tier::Healthy, None)]);
    let plan = made(&input, &policy());
    let notice = plan.changes[0].clone();
    assert_eq!(notice.rationale.rule_id, "quota-nearly-used");
    let start = notice.episode_start.expect("an episode");
    // The next day it is sent, and the episode goes on.
    let holding = Holding::from([("quota-nearly-used", BTreeSet::from(["u".to_owned()]))]);
    input.episodes.evaluate(input.as_of.micros(), start, &holding);
    let sent = LogEntry {
        action: notice.action,
        partner_id: "u".to_owned(),
        rule_id: notice.rationale.rule_id.clone(),
        episode_start: notice.episode_start,
        from: None,
        to: notice.to.clone(),
        ..quota_entry(&notice.key, 1, 2, start)
    };
    input.history = History::of([&sent]);
    assert!(made(&input, &policy()).changes.is_empty());
}

#[test]
fn like_cases_with_unlike_treatment_are_listed() {
    let mut recent = partner("t1", Tier::Healthy, Some(2));
    let at = DAY.start_micros() - MICROS_PER_DAY;
    recent.quota_changes = vec![QuotaChange { at, per_minute: 600 }];
    let mut other_plan = partner("t2", Tier::Healthy, Some(3));
    other_plan.plan = Some("scale".to_owned());
    let mut policy = policy();
    policy.guardrails.reach = 1.0;
    let partners = vec![partner("t0", Tier::Healthy, Some(1)), recent, other_plan];
    let plan = made(&input(partners), &policy);
    assert_eq!(plan.unlike.len(), 1);
    let treatments: Vec<_> = plan.unlike[0].treatments.iter().collect();
    let (changed, stopped) = ("changed as asked".to_owned(), "stopped by cooldown".to_owned());
    assert_eq!(
        treatments,
        [(&changed, &vec!["t0".to_owned()]), (&stopped, &vec!["t1".to_owned()])]
    );
}

#[test]
fn a_rollback_restores_and_never_cuts_below_the_floor() {
    #[track_caller]
    fn check(
        entries: &[LogEntry],
        highest: i64,
        in_force: i64,
        expected: Result<i64, &str>,
    ) -> Plan {
        let mut state = partner("t", Tier::Healthy, Some(1));
        (state.highest_minute, state.quota_per_minute) = (Some(highest), Some(in_force));
        let mut input = input(vec![state]);
        input.history = History::of(entries);
        let plan = make_rollback(&input, &policy(), "plan", entries).expect("a plan");
        match expected {
            Ok(to) => {
                let change = &plan.changes[0];
                assert_eq!(change.to, Some(Setting::Quota { per_minute: to }));
                assert!(change.needs_approval && change.origin == Origin::Rollback);
            }
            Err(reason) => {
                assert!(plan.changes.is_empty());
                let checks = &plan.stopped[0].guardrails;
                assert!(checks.iter().any(|check| check.reason == reason), "{checks:?}");
            }
        }
        plan
    }
    let raised = raise(600, 600, 900, 1, 29);
    check(std::slice::from_ref(&raised), 400, 900, Ok(600));
    let below = "600 is below the floor, 1.2 × the highest minute: 720. Roll back again when the usage \
                 has fallen; a person may set 600 at the gateway all the same";
    check(std::slice::from_ref(&raised), 600, 900, Err(below));
    // It was raised from less than the contract.
    let below = "100 is below the floor, the contract's 300. Where the policy has a wrong contract, mend \
                 it and roll back again; a person may set 100 at the gateway all the same";
    check(&[raise(100, 100, 900, 1, 29)], 10, 900, Err(below));
    // A later change was built on it.
    let later = LogEntry {
        plan_id: "later".to_owned(),
        key: "later".to_owned(),
        ..raise(600, 900, 1_200, 0, 30)
    };
    check(&[raised.clone(), later], 400, 1_200, Err("The plan later changed it again since"));
    let outside = "The quota in force is 1,000 and not the plan's 900";
    check(&[raised], 400, 1_000, Err(outside));
    // A second raise of one grant is taken back to the first one, which still ends.
    let first = LogEntry { plan_id: "first".to_owned(), ..raise(600, 600, 900, 10, 20) };
    let second = LogEntry { key: "second".to_owned(), ..raise(600, 900, 1_200, 1, 29) };
    let plan = check(&[first, second], 400, 1_200, Ok(900));
    assert_eq!(plan.changes[0].base_per_minute, Some(600));
    assert!(plan.changes[0].expires_at.is_some());
}

#[test]
fn what_was_never_acknowledged_is_not_taken_back() {
    let entry = LogEntry { kind: EntryKind::Failed, ..raise(600, 600, 900, 1, 29) };
    let input = input(vec![partner("t", Tier::Healthy, Some(1))]);
    let plan = make_rollback(&input, &policy(), "plan", &[entry]).expect("a plan");
    assert!(plan.changes.is_empty() && plan.stopped.is_empty());
    assert_eq!(plan.takes_back.as_deref(), Some("plan"));
}
