//! Plans that are refused as a whole, and what a person sees of each.

use super::test_plan::{DAY, HOUR, MINUTE, lines, log_of, plan, planned, refusal, start};
use crate::document::Plan;
use crate::input::QuotaChange;
use crate::log::EntryKind;

#[tokio::test]
async fn a_plan_edited_by_hand() {
    let (store, mut plan) = planned(&["t1"]);
    plan.changes[0].to = Some(domain::Setting::Quota { per_minute: 6_000 });
    let expected = format!(
        "the plan {} was edited: its digest does not fit its content. Change the policy and make a new \
         plan",
        plan.plan_id
    );
    assert_eq!(refusal(&store, &plan).await, expected);
    let (store, mut plan) = planned(&["c1"]);
    plan.changes[0].needs_approval = false;
    assert!(refusal(&store, &plan).await.contains("was edited"));
}

#[tokio::test]
async fn a_plan_of_another_policy() {
    let (store, plan) = planned(&["t1"]);
    store.world().policy.version = "2".to_owned();
    let expected = format!("{}: the policy \"2\" is in force", plan.plan_id);
    assert_eq!(refusal(&store, &plan).await, expected);
}

#[tokio::test]
async fn a_plan_from_the_future() {
    let (store, plan) = planned(&["t1"]);
    store.world().now -= HOUR;
    let expected = format!(
        "the plan {} is of 2026-09-15T09:00:00Z, which lies ahead of the clock. One of the two clocks \
         is wrong",
        plan.plan_id
    );
    assert_eq!(refusal(&store, &plan).await, expected);
    // Five minutes are no other clock.
    store.world().now += 55 * MINUTE;
    assert_eq!(lines(&store, &plan).await, ["t1 delivered: 600 → 900"]);
}

#[tokio::test]
async fn a_plan_older_than_a_week() {
    let (store, plan) = planned(&["t1"]);
    store.world().now += 7 * DAY + 1;
    let expected = format!(
        "the plan {} is of 2026-09-15T09:00:00Z, more than 7 days ago. Make a new plan",
        plan.plan_id
    );
    assert_eq!(refusal(&store, &plan).await, expected);
}

#[tokio::test]
async fn a_partner_that_drifted() {
    let (store, plan) = planned(&["t1", "t2"]);
    let change = QuotaChange { at: start() - HOUR, per_minute: 700 };
    store.world().partners.get_mut("t2").expect("t2").quota_changes.push(change);
    let expected = format!(
        "the partner \"t2\" has changed since the plan {} was made: its quota, its route, or the \
         partner itself. Make a new plan",
        plan.plan_id
    );
    assert_eq!(refusal(&store, &plan).await, expected);
}

#[tokio::test]
async fn a_partner_that_is_gone_or_merged() {
    let (store, plan) = planned(&["t1"]);
    store.world().partners.clear();
    assert!(refusal(&store, &plan).await.contains("the partner \"t1\" has changed"));
}

#[tokio::test]
async fn the_kill_switch_before_a_plan() {
    let (store, plan) = planned(&["t1"]);
    store.world().stopped = Some("Ada: an incident".to_owned());
    let expected =
        "deliveries are stopped: Ada: an incident. `rapport actions go` resumes them".to_owned();
    assert_eq!(refusal(&store, &plan).await, expected);
    let blocked = self::plan(&store);
    store.world().stopped = None;
    let expected = format!(
        "the plan {} is blocked: Deliveries are stopped: Ada: an incident. `rapport actions go` resumes \
         them",
        blocked.plan_id
    );
    assert_eq!(refusal(&store, &blocked).await, expected);
}

#[tokio::test]
async fn a_log_ahead_of_the_clock() {
    let (store, plan) = planned(&["c1"]);
    store.world().now += HOUR;
    store.says(&plan, &plan.changes[0].key, EntryKind::Approved);
    store.world().now -= HOUR;
    let expected = "the log of actions has rows of 2026-09-15T10:00:00Z, which lies ahead of the \
                    clock. One of the two clocks is wrong";
    assert_eq!(refusal(&store, &plan).await, expected);
}

#[tokio::test]
async fn a_clock_an_hour_ahead_changes_nothing_but_the_age() {
    let (store, plan) = planned(&["t1"]);
    store.world().now += HOUR;
    assert_eq!(lines(&store, &plan).await, ["t1 delivered: 600 → 900"]);
    assert_eq!(lines(&store, &plan).await, ["t1 done before: 600 → 900"]);
}

#[tokio::test]
async fn an_erasure_of_the_log_between_plan_and_apply() {
    let (store, plan) = planned(&["t1", "t2"]);
    lines(&store, &plan).await;
    {
        let mut world = store.world();
        world.entries.clear();
        world.version += 1;
        world.now += HOUR;
    }
    // The gateway has what was sent, and nothing shows any more that it was we who sent it.
    assert_eq!(
        lines(&store, &plan).await,
        [
            "t1 stopped: gateway has 900 already: somebody else set it",
            "t2 stopped: gateway has 900 already: somebody else set it"
        ]
    );
    assert_eq!(store.world().met.len(), 2);
    // An erasure of the partner itself.
    let (store, plan) = planned(&["t1"]);
    {
        let mut world = store.world();
        world.partners.clear();
        world.entries.clear();
        world.version += 1;
    }
    assert!(refusal(&store, &plan).await.contains("the partner \"t1\" has changed"));
}

#[tokio::test]
async fn no_channel() {
    let (store, plan) = planned(&["t1"]);
    let mut other = plan.clone();
    other.changes[0].channel = Some("kong".to_owned());
    let sign = |plan: &mut Plan| plan.digest = plan.content_digest().expect("JSON");
    sign(&mut other);
    assert_eq!(lines(&store, &other).await, ["t1 waits: no channel \"kong\" is configured"]);
    other.changes[0].channel = None;
    sign(&mut other);
    let expected = ["t1 waits: no channel is configured for set_quota"];
    assert_eq!(lines(&store, &other).await, expected);
    assert_eq!(log_of(&store, "t1"), []);
}

#[tokio::test]
async fn numbers_that_are_none() {
    use crate::document::Contribution;
    let (store, _) = planned(&["t1"]);
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, -0.0] {
        {
            let mut world = store.world();
            let state = world.partners.get_mut("t1").expect("t1");
            let signal = domain::SignalName::new("errors");
            state.contributions = vec![Contribution { signal, points: odd, reason: None }; 4];
            (state.throttled_rate, state.utilisation) = (Some(odd), Some(odd));
        }
        let plan = plan(&store);
        let text = serde_json::to_string_pretty(&plan).expect("JSON");
        let read: Plan = serde_json::from_str(&text).expect("a plan");
        assert_eq!(read, plan);
        assert_eq!(read.content_digest().expect("JSON"), read.digest, "{odd}");
        store.world().gateway.insert("t1".to_owned(), 600);
        assert_eq!(lines(&store, &read).await, ["t1 delivered: 600 → 900"]);
        store.world().entries.clear();
    }
}
