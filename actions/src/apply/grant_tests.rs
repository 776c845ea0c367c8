//! Grants and rollbacks through apply: how a raise ends, and what is left after it is taken back.

use domain::Setting;

use super::Plan;
use super::test_plan::{DAY, HOUR, input, lines, log_of, plan, plan_of, planned, world};
use super::test_store::{Answer, TestStore};
use crate::document::Outcome;
use crate::input::QuotaChange;
use crate::log::{EntryKind, Grant, History, Origin};
use crate::make_rollback;

fn grant(store: &TestStore, id: &str) -> Option<Grant> {
    History::of(&store.world().entries).grant_of(id).cloned()
}

fn back(store: &TestStore, plan: &Plan) -> Plan {
    let world = store.world();
    make_rollback(&input(&world), &world.policy, &plan.plan_id, &world.entries).expect("a plan")
}

/// A world in which `t1` was raised from 600 to 900, and no rule asks for more.
async fn raised() -> (TestStore, Plan) {
    let (store, plan) = planned(&["t1"]);
    lines(&store, &plan).await;
    no_rules(&store);
    (store, plan)
}

fn no_rules(store: &TestStore) {
    for rule in &mut store.world().policy.rules {
        rule.condition = "nobody".to_owned();
    }
}

#[tokio::test]
async fn a_grant_ends_and_is_extended_where_that_would_hurt() {
    let (store, _) = raised().await;
    store.world().now += 30 * DAY;
    store.world().partners.get_mut("t1").expect("t1").highest_minute = Some(550);
    let extending = plan(&store);
    assert!(lines(&store, &extending).await.is_empty());
    assert_eq!(log_of(&store, "t1").last(), Some(&EntryKind::Extended));
    let until = grant(&store, "t1").expect("a grant").expires_at;
    assert_eq!(until, extending.created_at + 7 * DAY);
    // Once, however often it is applied.
    lines(&store, &extending).await;
    assert_eq!(log_of(&store, "t1").len(), 3);
    store.world().now += 7 * DAY;
    store.world().partners.get_mut("t1").expect("t1").highest_minute = Some(100);
    let ending = plan(&store);
    assert_eq!(lines(&store, &ending).await, ["t1 delivered: 900 → 600"]);
    assert_eq!(grant(&store, "t1"), None);
    assert_eq!(store.world().gateway["t1"], 600);
}

#[tokio::test]
async fn an_end_that_lapsed_or_was_stopped_is_proposed_again() {
    let (store, _) = raised().await;
    store.world().now += 30 * DAY;
    let first = plan(&store);
    store.world().now += DAY + 1;
    assert!(lines(&store, &first).await[0].starts_with("t1 stopped: waited for more than a day"));
    let second = plan(&store);
    assert_eq!(first.changes[0].key, second.changes[0].key);
    assert_eq!(lines(&store, &second).await, ["t1 delivered: 900 → 600"]);
}

#[tokio::test]
async fn a_grant_whose_end_a_person_rejects_is_extended_and_asked_about_again() {
    // Found by a random walk: the end kept its key, and was rejected for ever.
    let (store, _) = raised().await;
    store.world().now += 30 * DAY;
    let first = plan(&store);
    store.says(&first, &first.changes[0].key, EntryKind::Rejected);
    assert_eq!(lines(&store, &first).await, ["t1 rejected: 900 → 600"]);
    let second = plan(&store);
    assert_eq!(second.extensions[0].reason, "A person rejected its end");
    lines(&store, &second).await;
    store.world().now += 7 * DAY;
    let third = plan(&store);
    assert_ne!(third.changes[0].key, first.changes[0].key);
    assert_eq!(lines(&store, &third).await, ["t1 delivered: 900 → 600"]);
}

#[tokio::test]
async fn a_raise_that_waits_for_a_person_keeps_no_grant_from_its_end() {
    let (store, first) = planned(&["t1", "t2"]);
    lines(&store, &first).await;
    store.world().now += 30 * DAY;
    // A person decides on one of the two raises: that grant is extended with the reason.
    store.world().policy.guardrails.reach = 0.0;
    let next = plan(&store);
    let reasons: Vec<&str> = next.extensions.iter().map(|e| e.reason.as_str()).collect();
    assert_eq!(reasons, ["A change of its quota waits for a person"]);
    // What the capacity stops renews nothing: both grants end.
    store.world().policy.guardrails.capacity_per_minute = 600;
    let next = plan(&store);
    let origins: Vec<Origin> = next.changes.iter().map(|change| change.origin).collect();
    assert_eq!(origins, [Origin::Expiry, Origin::Expiry]);
}

#[tokio::test]
async fn a_cut_within_a_grant_is_still_a_grant() {
    let (store, _) = raised().await;
    let mut policy = super::test_plan::policy();
    policy.rules.retain(|rule| rule.id == "cut");
    policy.rules[0].condition = "stage = 'live' AND needs_upgrade".to_owned();
    policy.guardrails.reach = 1.0;
    store.world().policy = policy;
    store.world().now += 8 * DAY;
    let cut = plan(&store);
    store.says(&cut, &cut.changes[0].key, EntryKind::Approved);
    assert_eq!(lines(&store, &cut).await, ["t1 delivered: 900 → 810"]);
    let found = grant(&store, "t1").expect("a grant");
    assert_eq!((found.base, found.per_minute), (600, 810));
}

#[tokio::test]
async fn somebody_elses_value_ends_a_grant_whatever_the_caller_does() {
    // By an event of the platform, in a history that still has the grant.
    let (store, _) = raised().await;
    store.world().now += 30 * DAY;
    let event = |store: &TestStore, at, per_minute| {
        let mut world = store.world();
        let state = world.partners.get_mut("t1").expect("t1");
        state.quota_changes.push(QuotaChange { at, per_minute });
    };
    let at = store.world().now - DAY;
    event(&store, at, 1_200);
    assert!(grant(&store, "t1").is_some());
    let next = plan(&store);
    assert!(next.changes.is_empty() && next.extensions.is_empty(), "{:?}", next.changes);
    // Also where it is set back to what we had given: it is theirs now.
    event(&store, at + HOUR, 900);
    let next = plan(&store);
    assert!(next.changes.is_empty() && next.extensions.is_empty(), "{:?}", next.changes);
    // A further raise rests on their value.
    store.world().now += 8 * DAY;
    let rules = super::test_plan::policy();
    let further = plan_of(&input(&store.world()), &rules);
    assert_eq!(further.changes[0].base_per_minute, Some(900));
}

#[tokio::test]
async fn the_grant_of_a_merged_partner_is_shown() {
    let (store, first) = raised().await;
    store.world().partners.remove("t1");
    store.world().now += 30 * DAY;
    for plan in [plan(&store), back(&store, &first)] {
        assert!(plan.changes.is_empty());
        let check = plan.stopped[0].guardrails.last().expect("a check");
        assert_eq!((check.name.as_str(), check.outcome), ("partner", Outcome::Stopped));
        assert_eq!(plan.stopped[0].from, Some(Setting::Quota { per_minute: 900 }));
    }
}

#[tokio::test]
async fn a_rollback_restores_the_grant_before() {
    let (store, first) = raised().await;
    let mut policy = super::test_plan::policy();
    policy.guardrails.reach = 1.0;
    store.world().policy = policy;
    store.world().now += 8 * DAY;
    let second = plan(&store);
    store.says(&second, &second.changes[0].key, EntryKind::Approved);
    assert_eq!(lines(&store, &second).await, ["t1 delivered: 900 → 1,350"]);
    let undo = back(&store, &second);
    assert_eq!(lines(&store, &undo).await, ["t1 needs approval: 1,350 → 900"]);
    store.says(&undo, &undo.changes[0].key, EntryKind::Approved);
    assert_eq!(lines(&store, &undo).await, ["t1 delivered: 1,350 → 900"]);
    // It ends when the first one was to end.
    let found = grant(&store, "t1").expect("a grant");
    assert_eq!(found.expires_at, first.created_at + 30 * DAY);
    assert_eq!((found.base, found.per_minute), (600, 900));
    // Taken back once more, it is a grant as well: every raise ends.
    let redo = back(&store, &undo);
    assert_eq!(redo.changes[0].base_per_minute, Some(600));
    assert!(redo.changes[0].expires_at.is_some());
}

#[tokio::test]
async fn an_end_is_taken_back_by_whatever_step() {
    let (store, _) = raised().await;
    store.world().now += 30 * DAY;
    let ending = plan(&store);
    lines(&store, &ending).await;
    let undo = back(&store, &ending);
    assert_eq!(lines(&store, &undo).await, ["t1 delivered: 600 → 900"]);
    let found = grant(&store, "t1").expect("a grant");
    assert_eq!((found.base, found.expires_at), (600, undo.created_at + 7 * DAY));
    // From 600 to 1,350 at once is more than a half, and was in force before.
    let (store, _) = raised().await;
    let entry = store.world().entries[1].clone();
    let quota = |per_minute| Some(Setting::Quota { per_minute });
    let further = crate::log::LogEntry {
        key: "further".to_owned(),
        from: quota(900),
        to: quota(1_350),
        ..entry
    };
    store.world().append(further);
    store.world().gateway.insert("t1".to_owned(), 1_350);
    store.world().now += 30 * DAY;
    let ending = plan(&store);
    assert_eq!(lines(&store, &ending).await, ["t1 delivered: 1,350 → 600"]);
    let undo = back(&store, &ending);
    assert_eq!(lines(&store, &undo).await, ["t1 delivered: 600 → 1,350"]);
}

#[tokio::test]
async fn old_data_stop_what_is_lowered_and_nothing_that_is_restored() {
    let (store, first) = raised().await;
    let of_old_data = |plan: &Plan| {
        let world = store.world();
        let mut input = input(&world);
        input.watermark = Some(world.now - 40 * HOUR);
        make_rollback(&input, &world.policy, &plan.plan_id, &world.entries).expect("a plan")
    };
    let undo = of_old_data(&first);
    assert_eq!((undo.blocked.len(), undo.changes.len()), (0, 0));
    let check = undo.stopped[0].guardrails.last().expect("a check");
    assert_eq!((check.name.as_str(), check.outcome), ("usage", Outcome::Stopped));
    store.world().now += 30 * DAY;
    let ending = plan(&store);
    lines(&store, &ending).await;
    assert_eq!(of_old_data(&ending).changes.len(), 1);
}

#[tokio::test]
async fn what_was_taken_back_is_not_made_again_under_the_same_key() {
    let (store, first) = planned(&["t1"]);
    store.world().policy.guardrails.cooldown_days = 0;
    lines(&store, &first).await;
    let undo = back(&store, &first);
    store.says(&undo, &undo.changes[0].key, EntryKind::Approved);
    assert_eq!(lines(&store, &undo).await, ["t1 delivered: 900 → 600"]);
    let again = plan(&store);
    assert_eq!(again.changes, []);
    let check = again.stopped[0].guardrails.last().expect("a check");
    assert_eq!((check.name.as_str(), check.outcome), ("taken_back", Outcome::Stopped));
    // With the data of the next day it is another decision.
    store.world().now += DAY;
    assert_eq!(plan(&store).changes.len(), 1);
}

#[tokio::test]
async fn a_rollback_waits_for_usage_that_is_late() {
    let (store, first) = raised().await;
    let world = store.world();
    let mut input = input(&world);
    input.watermark = Some(input.as_of.micros() - HOUR);
    let undo =
        make_rollback(&input, &world.policy, &first.plan_id, &world.entries).expect("a plan");
    assert!(undo.changes.is_empty());
    let check = undo.stopped[0].guardrails.last().expect("a check");
    assert_eq!((check.name.as_str(), check.outcome), ("usage", Outcome::Stopped));
}

#[tokio::test]
async fn what_somebody_set_before_an_attempt_was_confirmed_came_after_it() {
    // Found by a random walk: a timeout, a change by somebody else, and a receiver that has our key.
    let mut world = world(&["t1"]);
    (world.can_read, world.class) = (false, crate::deliver::Idempotency::SearchFirst);
    let store = TestStore::new(world);
    let first = plan(&store);
    store.world().answers.push_back(Answer::TimeoutAfter);
    lines(&store, &first).await;
    {
        let mut world = store.world();
        world.now += HOUR;
        let change = QuotaChange { at: world.now, per_minute: 500 };
        world.gateway.insert("t1".to_owned(), 500);
        world.partners.get_mut("t1").expect("t1").quota_changes.push(change);
        world.now += HOUR;
    }
    assert_eq!(lines(&store, &first).await, ["t1 delivered: 600 → 900"]);
    assert_eq!(store.world().all_in_books()[0].quota_per_minute, Some(500));
    store.world().now += 31 * DAY;
    assert_eq!(plan(&store).changes[0].from, Some(Setting::Quota { per_minute: 500 }));
}

#[tokio::test]
async fn an_approval_after_the_fact_makes_no_room() {
    // Found by a random walk: `t1` was sent without a person and killed; approving it afterwards must
    // not let another plan reach one partner more.
    let mut world = world(&["t1", "t2"]);
    world.policy.guardrails.reach = 0.05;
    let store = TestStore::new(world);
    let only = |other: &str| {
        let world = store.world();
        let mut input = input(&world);
        for state in input.partners.iter_mut().filter(|state| state.partner_id == other) {
            state.quota_changes = vec![QuotaChange { at: world.now, per_minute: 600 }];
        }
        plan_of(&input, &world.policy)
    };
    let (first, second) = (only("t2"), only("t1"));
    store.world().answers.push_back(Answer::TimeoutAfter);
    lines(&store, &first).await;
    store.says(&first, &first.changes[0].key, EntryKind::Approved);
    assert!(lines(&store, &second).await[0].starts_with("t2 needs approval"));
}
