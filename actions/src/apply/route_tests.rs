//! What receivers are told when a support route ends.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::ActionKind;

use super::delivery::Sender;
use super::test_plan::{HOUR, input, options, planned};
use super::test_store::TestStore;
use super::{Channels, DeliveryOutcome, Plan};
use crate::deliver::{Channel, Delivery, DeliveryError, Idempotency, Receipt};
use crate::document::Change;
use crate::make_rollback;

/// A channel that keeps what it is given.
struct Recorder {
    taken: Arc<Mutex<Vec<Delivery>>>,
}

#[async_trait]
impl Channel for Recorder {
    fn name(&self) -> &'static str {
        "gateway"
    }

    fn idempotency(&self) -> Idempotency {
        Idempotency::Keyed
    }

    async fn send(&self, delivery: &Delivery) -> Result<Receipt, DeliveryError> {
        self.taken.lock().expect("no test panicked before").push(delivery.clone());
        Ok(Receipt { answer: "202".to_owned(), in_force: None })
    }
}

/// Sends a change and returns what its receiver got.
async fn sent(store: &TestStore, plan: &Plan, change: &Change) -> Delivery {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let recorder: Box<dyn Channel> = Box::new(Recorder { taken: Arc::clone(&taken) });
    let channels = Channels::from([("gateway".to_owned(), recorder)]);
    let options = options();
    let report =
        Sender { plan, change, store, channels: &channels, options: &options }.send().await;
    assert_eq!(report.expect("sent").outcome, DeliveryOutcome::Delivered);
    let mut taken = taken.lock().expect("no test panicked before");
    taken.pop().expect("a delivery")
}

fn route(plan: &Plan) -> &Change {
    let mut changes = plan.changes.iter();
    changes.find(|change| change.action == ActionKind::RouteSupport).expect("a route")
}

#[tokio::test]
async fn a_route_taken_back_closes_what_was_opened_for_it() {
    let (store, plan) = planned(&["r1"]);
    let opened = sent(&store, &plan, route(&plan)).await;
    assert!(opened.episode.is_some() && !opened.resolves, "{opened:?}");
    store.world().now += HOUR;
    let back = {
        let world = store.world();
        make_rollback(&input(&world), &world.policy, &plan.plan_id, &world.entries)
    };
    let back = back.expect("a plan");
    let closed = sent(&store, &back, route(&back)).await;
    assert_eq!((&closed.episode, closed.resolves), (&opened.episode, true));
    assert_eq!((&closed.from, &closed.to), (&opened.to, &None));
    assert!(closed.summary.ends_with(" → none"), "{closed:?}");
}

#[tokio::test]
async fn another_rule_that_ends_a_route_closes_what_was_opened_for_it() {
    for has_episode in [true, false] {
        let (store, plan) = planned(&["r1"]);
        let mut first = route(&plan).clone();
        first.episode_start = first.episode_start.filter(|_| has_episode);
        let opened = sent(&store, &plan, &first).await;
        let mut end = first.clone();
        (end.from, end.to) = (first.to.clone(), None);
        end.key = "the end".to_owned();
        end.rationale.rule_id = "healthy-again".to_owned();
        end.episode_start = Some(store.world().now);
        let closed = sent(&store, &plan, &end).await;
        // A receiver knows what had no episode by the key of its delivery.
        assert_eq!(closed.episode, Some(opened.episode.unwrap_or(opened.key)));
        assert!(closed.resolves, "{closed:?}");
    }
}
