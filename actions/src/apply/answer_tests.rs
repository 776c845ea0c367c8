//! What receivers answer, and what it lets happen next.

use domain::Setting;

use super::test_plan::{DAY, HOUR, MINUTE, lines, log_of, plan, plan_of, planned};
use super::test_store::{Answer, TestStore};
use super::{Plan, verify};
use crate::deliver::{DeliveryError, Idempotency};
use crate::log::EntryKind::{
    Acknowledged, Approved, Attempted, Differs, Refused, Stopped, Verified,
};
use crate::log::History;

fn key(plan: &Plan) -> String {
    plan.changes[0].key.clone()
}

#[tokio::test]
async fn an_unconfirmed_change_blocks_the_next_one() {
    let mut world = super::test_plan::world(&["t1"]);
    (world.class, world.can_read) = (Idempotency::None, false);
    let store = TestStore::new(world);
    let first = plan(&store);
    store.world().now += HOUR;
    let mut policy = store.world().policy.clone();
    let rule = policy.rules.iter_mut().find(|rule| rule.id == "throttled").expect("a rule");
    rule.action = crate::policy::RuleAction::SetQuota(crate::policy::QuotaTarget::Step(0.2));
    let second = plan_of(&super::test_plan::input(&store.world()), &policy);
    store.world().answers.push_back(Answer::TimeoutBefore);
    assert_eq!(lines(&store, &first).await, ["t1 unconfirmed: no answer"]);
    let short: String = key(&first).chars().take(12).collect();
    let expected = format!("t1 waits: an earlier change is unconfirmed: {short}");
    assert_eq!(lines(&store, &second).await, [expected]);
    // A plan made now says so at once.
    let third = plan(&store);
    assert_eq!(third.changes, []);
    assert_eq!(third.stopped[0].guardrails.last().expect("a check").name, "unconfirmed");
}

#[tokio::test]
async fn a_receiver_that_sets_less() {
    let (store, plan) = planned(&["t1"]);
    store.world().answers.push_back(Answer::Instead(800));
    let found = lines(&store, &plan).await;
    assert!(found[0].starts_with("t1 delivered: 600 → 900, in force: 800"), "{found:?}");
    let history = History::of(&store.world().entries);
    assert_eq!(history.grant_of("t1").map(|grant| grant.per_minute), Some(800));
    // A raise that becomes a cut, and a cut that goes below what was asked for.
    for (id, below) in [("t1", 500), ("c1", 300)] {
        let (store, plan) = planned(&[id]);
        store.says(&plan, &key(&plan), Approved);
        store.world().answers.push_back(Answer::Instead(below));
        let found = lines(&store, &plan).await;
        assert!(found[0].starts_with(&format!("{id} lower than asked: ")), "{found:?}");
        assert!(History::of(&store.world().entries).grant_of(id).is_none());
    }
}

#[tokio::test]
async fn a_receiver_that_says_yes_and_changes_nothing() {
    for id in ["t1", "c1"] {
        let (store, plan) = planned(&[id]);
        store.says(&plan, &key(&plan), Approved);
        store.world().answers.push_back(Answer::Instead(600));
        assert_eq!(
            lines(&store, &plan).await,
            [format!("{id} failed: gateway took it and still has 600")]
        );
        assert!(History::of(&store.world().entries).grant_of(id).is_none());
        // It is tried again when its time has come.
        store.world().now += HOUR;
        let found = lines(&store, &plan).await;
        assert!(found[0].starts_with(&format!("{id} delivered: 600 → ")), "{found:?}");
    }
}

#[tokio::test]
async fn what_was_set_lower_differs_when_it_is_verified() {
    let (store, plan) = planned(&["t1"]);
    store.world().answers.push_back(Answer::Instead(800));
    lines(&store, &plan).await;
    let found = verify(&plan, &store, &store.channels(), "Ada").await.expect("a log");
    assert_eq!(found[0].is_in_force, Some(false));
}

#[tokio::test]
async fn a_gateway_that_cant_be_read_now() {
    let (store, plan) = planned(&["t1"]);
    let error = DeliveryError::Retryable { message: "503".to_owned(), after_seconds: None };
    store.world().read_fails = Some(error);
    let expected = "t1 failed: what is in force can't be read: 503";
    assert_eq!(lines(&store, &plan).await, [expected]);
    for pause in [2, 3, 5] {
        store.world().now += pause * MINUTE;
        assert_eq!(lines(&store, &plan).await, [expected], "the pauses grow");
        store.world().now += MINUTE;
        assert!(lines(&store, &plan).await[0].starts_with("t1 failed before"));
    }
    store.world().read_fails = Some(DeliveryError::Permanent("403".to_owned()));
    store.world().now += HOUR;
    let expected = "t1 refused: what is in force can't be read: 403";
    assert_eq!(lines(&store, &plan).await, [expected]);
    assert_eq!(log_of(&store, "t1").last(), Some(&Refused));
    assert_eq!(store.world().met, []);
}

#[tokio::test]
async fn what_is_verified() {
    let (store, plan) = planned(&["t1"]);
    lines(&store, &plan).await;
    let check = async |expected: (Option<bool>, &str)| {
        let found = verify(&plan, &store, &store.channels(), "Ada").await.expect("a log");
        let text = found[0].text.replace(" a minute", "");
        assert_eq!((found[0].is_in_force, text.as_str()), expected);
    };
    check((Some(true), "in force: 900")).await;
    store.world().gateway.insert("t1".to_owned(), 700);
    check((Some(false), "700 is in force, 900 was asked for")).await;
    store.world().read_fails = Some(DeliveryError::Permanent("403".to_owned()));
    check((None, "the receiver can't be asked: 403")).await;
    store.world().can_read = false;
    check((None, "the receiver can't tell what is in force")).await;
    let expected = [Attempted, Acknowledged, Verified, Differs];
    assert_eq!(log_of(&store, "t1"), expected);
}

#[tokio::test]
async fn production_access_is_given_once() {
    let (store, first) = planned(&["p1"]);
    store.world().now += DAY;
    let second = plan(&store);
    assert_ne!(key(&first), key(&second));
    for plan in [&first, &second] {
        store.says(plan, &key(plan), Approved);
    }
    assert!(lines(&store, &first).await[0].starts_with("p1 delivered"));
    let expected = "p1 stopped: it has production access by another plan";
    assert_eq!(lines(&store, &second).await, [expected]);
    assert_eq!(log_of(&store, "p1").last(), Some(&Stopped));
    let to = first.changes[0].to.clone();
    assert_eq!(to, Some(Setting::Production { approved: true }));
}
