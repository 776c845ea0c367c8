//! Changes one by one: waves, approvals, answers of the receiver, and the last look before sending.

use domain::Tier;

use super::Plan;
use super::test_plan::{
    DAY, HOUR, MINUTE, lines, log_of, plan, plan_of, planned, refusal, run, start,
};
use super::test_store::{Answer, Moment, TestStore};
use crate::deliver::Idempotency;
use crate::input::QuotaChange;
use crate::log::EntryKind::{Approved, Attempted, Failed, Lapsed, Rejected};
use crate::log::History;

/// What becomes of a partner between plan and apply.
type Edit = fn(&mut crate::input::PartnerState);

fn key(plan: &Plan) -> String {
    plan.changes[0].key.clone()
}

/// Returns a program that does something once, before its `number`th moment of a kind, from 1.
fn once(
    store: &TestStore,
    kind: Moment,
    number: usize,
    act: impl Fn(&mut super::test_store::World) + Send + Sync + 'static,
) -> TestStore {
    let world = store.clone();
    let seen = std::sync::atomic::AtomicUsize::new(0);
    store.with_hook(move |moment| {
        let is_it =
            moment == kind && seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1 == number;
        if is_it {
            act(&mut world.world());
        }
        std::future::ready(())
    })
}

#[tokio::test]
async fn waves_of_one_then_a_twentieth_then_the_rest() {
    let ids: Vec<String> = (0..41).map(|i| format!("t{i:02}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (store, plan) = planned(&ids);
    run(&store, &plan).await.expect("applied");
    let world = store.world();
    let at =
        |minutes: i64| world.met.iter().filter(|met| met.at == start() + minutes * MINUTE).count();
    assert_eq!((at(0), at(10), at(20)), (1, 3, 37));
}

#[tokio::test]
async fn a_kill_does_not_shorten_the_bake_time() {
    let (store, plan) = planned(&["t1", "t2", "t3"]);
    // Killed while it waits for the second wave.
    let killed = once(&store, Moment::Wait, 1, |world| world.is_dead = true);
    assert!(run(&killed, &plan).await.is_err());
    {
        let mut world = store.world();
        (world.now, world.waited) = (start() + MINUTE, 0);
    }
    lines(&store, &plan).await;
    let at: Vec<i64> = store.world().met.iter().map(|met| (met.at - start()) / MINUTE).collect();
    assert_eq!(at, [0, 10, 20]);
}

#[tokio::test]
async fn two_failures_stop_the_plan() {
    let (store, plan) = planned(&["t1", "t2", "t3", "t4"]);
    store.world().answers.extend([Answer::Broken, Answer::Permanent]);
    let expected =
        ["t1 failed: 500", "t2 refused: 404: no such consumer", "halted: 2 changes failed"];
    assert_eq!(lines(&store, &plan).await, expected);
    assert_eq!(store.world().met.len(), 2);
    // The bake time was long enough for the first one, and the second one is over.
    let again = lines(&store, &plan).await;
    let expected = [
        "t1 delivered: 600 → 900",
        "t2 ended before: 404: no such consumer",
        "t3 delivered: 600 → 900",
        "t4 delivered: 600 → 900",
    ];
    assert_eq!(again, expected);
}

#[tokio::test]
async fn a_receiver_that_is_down_is_not_tried_by_everybody() {
    let (store, plan) = planned(&["t1", "t2", "t3", "t4", "t5"]);
    store.world().answers.extend(vec![Answer::TooMany(86_000); 9]);
    for _ in 0..3 {
        assert_eq!(lines(&store, &plan).await.last().expect("a line"), "halted: 2 changes failed");
    }
    assert_eq!(store.world().met.len(), 2);
}

#[tokio::test]
async fn approvals() {
    let (store, plan) = planned(&["c1"]);
    assert_eq!(lines(&store, &plan).await, ["c1 needs approval: 600 → 540"]);
    store.says(&plan, &key(&plan), Rejected);
    assert_eq!(lines(&store, &plan).await, ["c1 rejected: 600 → 540"]);
    store.says(&plan, &key(&plan), Approved);
    assert_eq!(lines(&store, &plan).await, ["c1 delivered: 600 → 540"]);
    store.says(&plan, &key(&plan), Rejected);
    assert_eq!(lines(&store, &plan).await, ["c1 done before: 600 → 540"]);
    assert_eq!(store.world().met.len(), 1);
}

#[tokio::test]
async fn a_rejection_while_it_is_sent_makes_nothing_known() {
    // A message that may have arrived is rejected and approved: it is not sent again.
    let (store, plan) = planned(&["u1"]);
    store.world().class = Idempotency::None;
    store.world().answers.push_back(Answer::TimeoutAfter);
    assert_eq!(lines(&store, &plan).await, ["u1 unconfirmed: no answer"]);
    store.says(&plan, &key(&plan), Rejected);
    store.says(&plan, &key(&plan), Approved);
    store.world().now += HOUR;
    let short: String = key(&plan).chars().take(12).collect();
    let expected = format!(
        "u1 unconfirmed: nobody knows whether it arrived, and sending it twice would be two messages: \
         rapport actions settle {short}"
    );
    assert_eq!(lines(&store, &plan).await, [expected]);
    assert_eq!(store.world().effects(&key(&plan)), 1);
}

#[tokio::test]
async fn a_rejection_between_the_trace_and_the_delivery() {
    let (store, plan) = planned(&["t1"]);
    let (other, rejected) = (store.clone(), plan.clone());
    let hooked = store.with_hook(move |moment| {
        let is_first = !log_of(&other, "t1").contains(&Rejected);
        if moment == Moment::AfterAppend && is_first {
            other.says(&rejected, &rejected.changes[0].key, Rejected);
        }
        std::future::ready(())
    });
    assert_eq!(lines(&hooked, &plan).await, ["t1 failed: not sent: a person rejected it"]);
    assert_eq!(lines(&store, &plan).await, ["t1 rejected: 600 → 900"]);
    assert_eq!(store.world().met, []);
}

#[tokio::test]
async fn a_failed_attempt_waits_for_its_time() {
    let (store, plan) = planned(&["t1"]);
    store.world().answers.push_back(Answer::Broken);
    assert_eq!(lines(&store, &plan).await, ["t1 failed: 500"]);
    let early = lines(&store, &plan).await;
    assert!(early[0].starts_with("t1 failed before: the next attempt is due at 2026-09-15T09:01"));
    store.world().now += 2 * MINUTE;
    assert_eq!(lines(&store, &plan).await, ["t1 delivered: 600 → 900"]);
    // The receiver asks for an hour.
    let (store, plan) = planned(&["t1"]);
    store.world().answers.push_back(Answer::TooMany(3_600));
    lines(&store, &plan).await;
    store.world().now += 59 * MINUTE;
    assert!(lines(&store, &plan).await[0].contains("due at 2026-09-15T10:00"));
    store.world().now += MINUTE;
    assert_eq!(lines(&store, &plan).await, ["t1 delivered: 600 → 900"]);
}

#[tokio::test]
async fn a_quota_change_lapses_after_a_day_and_a_new_plan_brings_it_again() {
    let (store, first) = planned(&["t1"]);
    store.world().answers.push_back(Answer::Broken);
    lines(&store, &first).await;
    store.world().now += DAY + 1;
    let expected = "t1 stopped: waited for more than a day; a new plan may propose it again";
    assert_eq!(lines(&store, &first).await, [expected]);
    assert_eq!(log_of(&store, "t1"), [Attempted, Failed, Lapsed]);
    let expected = "t1 ended before: waited for more than a day; a new plan may propose it again";
    assert_eq!(lines(&store, &first).await, [expected]);
    let second = plan(&store);
    assert_eq!(lines(&store, &second).await, ["t1 delivered: 600 → 900"]);
}

#[tokio::test]
async fn an_error_after_the_change_was_made() {
    let (store, plan) = planned(&["t1"]);
    store.world().answers.push_back(Answer::BrokenAfter);
    assert_eq!(lines(&store, &plan).await, ["t1 failed: 500"]);
    assert_eq!(store.world().gateway["t1"], 900);
    // Whatever becomes of the partner: what is in force is known, so that the grant ends one day.
    store.world().partners.get_mut("t1").expect("t1").unmapped = Some("no consumer".to_owned());
    store.world().now += DAY + 1;
    assert_eq!(lines(&store, &plan).await, ["t1 delivered: 600 → 900"]);
    assert!(History::of(&store.world().entries).grant_of("t1").is_some());
    assert_eq!(store.world().met.len(), 1);
}

#[tokio::test]
async fn somebody_else_at_the_gateway() {
    let (store, plan) = planned(&["t1"]);
    store.world().gateway.insert("t1".to_owned(), 700);
    let expected =
        "t1 stopped: gateway has 700 a minute and not 600 a minute: somebody else changed it";
    let found = lines(&store, &plan).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].replace(" a minute", ""), expected.replace(" a minute", ""));
    assert_eq!(store.world().gateway["t1"], 700);
    assert_eq!(store.world().met, []);
    // The value that was to be set is there already: it is not ours, and no grant of ours.
    let (store, plan) = planned(&["t1"]);
    store.world().gateway.insert("t1".to_owned(), 900);
    assert!(lines(&store, &plan).await[0].ends_with("already: somebody else set it"));
    assert!(History::of(&store.world().entries).grant_of("t1").is_none());
}

#[tokio::test]
async fn somebody_else_where_the_gateway_cant_be_read() {
    let mut world = super::test_plan::world(&["t1"]);
    world.can_read = false;
    let store = TestStore::new(world);
    let plan = plan(&store);
    assert!(!plan.changes[0].can_be_verified);
    // The books hear of it after the plan was checked, before the delivery.
    let outside = |world: &mut super::test_store::World| {
        let change = QuotaChange { at: world.now + 1, per_minute: 700 };
        world.partners.get_mut("t1").expect("t1").quota_changes.push(change);
    };
    let hooked = once(&store, Moment::Partners, 2, outside);
    let expected = "t1 stopped: its quota was set to 700 since the plan was made";
    assert_eq!(lines(&hooked, &plan).await, [expected]);
    assert_eq!(store.world().met, []);
}

#[tokio::test]
async fn a_partner_that_was_suspended_since_the_plan() {
    let (store, plan) = planned(&["t1"]);
    let why = "The partner was suspended on 15 Sep 2026: nothing is set until it is reinstated";
    store.world().partners.get_mut("t1").expect("t1").inactive = Some(why.to_owned());
    assert_eq!(lines(&store, &plan).await, [format!("t1 stopped: {why}")]);
    assert_eq!(store.world().met, []);
}

#[tokio::test]
async fn usage_rose_since_the_plan() {
    let (store, plan) = planned(&["c1"]);
    store.says(&plan, &key(&plan), Approved);
    store.world().partners.get_mut("c1").expect("c1").highest_minute = Some(480);
    let expected = "c1 stopped: the usage has risen since: the floor is 576 now";
    assert_eq!(lines(&store, &plan).await, [expected]);
    // Usage that went missing, and a partner that is no longer well.
    let cases: [(Edit, &str); 3] = [
        (|p| p.usage_gap = Some("14 Sep is missing".to_owned()), "14 Sep is missing"),
        (|p| p.highest_minute = Some(0), "Usage is zero, which may be an outage: no decrease"),
        (
            |p| p.tier = Tier::AtRisk,
            "only a healthy partner's quota is cut; this one is at risk now",
        ),
    ];
    for (edit, reason) in cases {
        let (store, plan) = planned(&["c1"]);
        store.says(&plan, &key(&plan), Approved);
        edit(store.world().partners.get_mut("c1").expect("c1"));
        assert_eq!(lines(&store, &plan).await, [format!("c1 stopped: {reason}")]);
        assert_eq!(store.world().met, []);
    }
}

#[tokio::test]
async fn a_policy_that_changes_between_two_waves() {
    let (store, plan) = planned(&["t1", "t2"]);
    let change = |world: &mut super::test_store::World| world.policy.version = "2".to_owned();
    let changed = once(&store, Moment::Wait, 1, change);
    let expected = ["t1 delivered: 600 → 900", "halted: the policy \"2\" is in force"];
    assert_eq!(lines(&changed, &plan).await, expected);
    assert_eq!(store.world().met.len(), 1);
}

#[tokio::test]
async fn nothing_is_lowered_by_old_data() {
    let stale = "The data end 52 hours before now";
    let (store, plan) = planned(&["c1"]);
    store.says(&plan, &key(&plan), Approved);
    store.world().stale = Some(stale.to_owned());
    assert_eq!(lines(&store, &plan).await, [format!("c1 stopped: {stale}")]);
    let (store, plan) = planned(&["t1"]);
    store.world().stale = Some(stale.to_owned());
    assert_eq!(lines(&store, &plan).await, ["t1 delivered: 600 → 900"]);
}

#[tokio::test]
async fn an_approval_does_not_hold_for_a_change_that_passes_over_a_guardrail() {
    let (store, plan) = planned(&["c1"]);
    store.says(&plan, &key(&plan), Approved);
    store.world().partners.get_mut("c1").expect("c1").highest_minute = Some(480);
    let overriding = {
        let world = store.world();
        let mut input = super::test_plan::input(&world);
        input.overrides = vec![crate::document::GuardrailOverride {
            partner_id: "c1".to_owned(),
            guardrail: "floor".to_owned(),
            by: "Mallory".to_owned(),
            reason: "trust me".to_owned(),
        }];
        plan_of(&input, &world.policy)
    };
    assert_eq!(overriding.changes[0].to, plan.changes[0].to);
    assert_ne!(key(&overriding), key(&plan));
    assert_eq!(lines(&store, &overriding).await, ["c1 needs approval: 600 → 540"]);
}

#[tokio::test]
async fn a_partner_that_vanishes_half_way_and_one_without_a_mapping() {
    let (store, plan) = planned(&["t1", "t2"]);
    let gone = |world: &mut super::test_store::World| {
        world.partners.remove("t2");
    };
    let hooked = once(&store, Moment::AfterSend, 1, gone);
    let expected = ["t1 delivered: 600 → 900", "t2 stopped: the partner no longer exists"];
    assert_eq!(lines(&hooked, &plan).await, expected);
    let (store, plan) = planned(&["t1"]);
    let why = "the mapping has no consumer for t1";
    store.world().partners.get_mut("t1").expect("t1").unmapped = Some(why.to_owned());
    assert_eq!(lines(&store, &plan).await, [format!("t1 stopped: {why}")]);
}

#[tokio::test]
async fn the_kill_switch_half_way() {
    let (store, plan) = planned(&["t1", "t2"]);
    let stop = |world: &mut super::test_store::World| world.stopped = Some("Ada: stop".to_owned());
    let hooked = once(&store, Moment::Wait, 1, stop);
    let expected = ["t1 delivered: 600 → 900", "t2 halted: stopped: Ada: stop"];
    assert_eq!(lines(&hooked, &plan).await[..2], expected);
    // It is thrown while the gateway is asked: the delivery that follows sees it.
    let (store, plan) = planned(&["t1"]);
    let hooked = once(&store, Moment::Asked, 1, stop);
    let expected = "t1 halted: not sent: stopped: Ada: stop";
    assert_eq!(lines(&hooked, &plan).await[0], expected);
    assert_eq!(store.world().met, []);
    assert!(refusal(&store, &plan).await.contains("deliveries are stopped"));
    store.world().stopped = None;
    store.world().now += HOUR;
    assert_eq!(lines(&store, &plan).await, ["t1 delivered: 600 → 900"]);
}

#[tokio::test]
async fn plans_that_were_made_at_once_share_the_reach_and_the_capacity() {
    let both = |edit: fn(&mut crate::policy::GuardrailSettings)| {
        let mut world = super::test_plan::world(&["t1", "t2", "x3"]);
        edit(&mut world.policy.guardrails);
        let input = super::test_plan::input(&world);
        let of = |other: &str| {
            let mut input = input.clone();
            for state in &mut input.partners {
                if state.partner_id == other {
                    // Its cooldown keeps it out of this plan.
                    state.quota_changes = vec![QuotaChange { at: start(), per_minute: 600 }];
                }
            }
            plan_of(&input, &world.policy)
        };
        let plans = (of("t2"), of("t1"));
        (TestStore::new(world), plans)
    };
    let (store, (first, second)) = both(|limits| limits.reach = 0.05);
    assert!(!first.changes[0].needs_approval && !second.changes[0].needs_approval);
    assert_eq!(lines(&store, &first).await, ["t1 delivered: 600 → 900"]);
    let expected = "t2 needs approval: other plans have changed 1 partner in 7 days: a person decides \
                    on this one";
    assert_eq!(lines(&store, &second).await, [expected]);
    store.says(&second, &key(&second), Approved);
    assert_eq!(lines(&store, &second).await, ["t2 delivered: 600 → 900"]);
    let (store, (first, second)) = both(|limits| limits.capacity_per_minute = 400);
    lines(&store, &first).await;
    let expected = "t2 stopped: other plans have used the capacity of 400: 300 more is too much";
    assert_eq!(lines(&store, &second).await, [expected]);
}
