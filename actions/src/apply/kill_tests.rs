//! The program is killed at every moment, and another one runs at every moment: each change arrives
//! once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::Plan;
use super::test_plan::{LEASE, lines, plan, run, world};
use super::test_store::{Answer, Moment, TestStore, World};
use crate::deliver::Idempotency;
use crate::log::{EntryKind, History, Progress};

/// A raise and a notice in a world of this class.
fn setup(class: Idempotency, can_read: bool) -> (TestStore, Plan) {
    let mut world = world(&["t1", "u2"]);
    (world.class, world.can_read) = (class, can_read);
    let store = TestStore::new(world);
    let plan = plan(&store);
    (store, plan)
}

const CLASSES: [Idempotency; 4] =
    [Idempotency::Upsert, Idempotency::Keyed, Idempotency::SearchFirst, Idempotency::None];

/// Checks the end: each change is acknowledged once, or a person is asked about it.
fn check_end(world: &World, plan: &Plan, found: &[String], context: &str) {
    let history = History::of(&world.entries);
    for (change, line) in plan.changes.iter().zip(found) {
        let effects = world.effects(&change.key);
        assert!(effects <= 1, "{context}: {effects} of {line}");
        let is_acknowledged = |entry: &&crate::log::LogEntry| {
            entry.key == change.key && entry.kind == EntryKind::Acknowledged
        };
        let acknowledged = world.entries.iter().filter(is_acknowledged).count();
        match history.change(&change.key).map(|found| found.progress) {
            Some(Progress::Acknowledged) => {
                assert_eq!(acknowledged, 1, "{context}: {line}");
                assert!(effects >= 1, "{context}: {line}");
            }
            Some(Progress::Open { .. } | Progress::Ambiguous { .. }) => {
                assert_eq!(world.class, Idempotency::None, "{context}: {line}");
                assert!(line.contains("rapport actions settle"), "{context}: {line}");
            }
            other => panic!("{context}: {other:?}, {line}"),
        }
    }
}

#[tokio::test]
async fn a_kill_at_every_moment() {
    for class in CLASSES {
        for can_read in [true, false] {
            let mut kills = 0;
            for kill_at in 0.. {
                let (store, plan) = setup(class, can_read);
                store.world().kill_at = Some(kill_at);
                let is_killed = run(&store, &plan).await.is_err();
                {
                    let mut world = store.world();
                    let is_reached = world.moments.len() > kill_at;
                    if !is_reached {
                        assert!(!is_killed);
                        break;
                    }
                    world.kill_at = None;
                    world.now += (LEASE + 1) * 1_000_000;
                }
                kills += 1;
                let found = lines(&store, &plan).await;
                let context = format!("{class:?}, read {can_read}, killed at {kill_at}");
                check_end(&store.world(), &plan, &found, &context);
            }
            assert!(kills > 20, "{kills}");
        }
    }
}

#[tokio::test]
async fn two_kills() {
    for class in CLASSES {
        for first in 0..30 {
            for second in 0..30 {
                let (store, plan) = setup(class, true);
                for kill_at in [first, second] {
                    store.world().kill_at = Some(kill_at);
                    drop(run(&store, &plan).await);
                    let mut world = store.world();
                    world.kill_at = None;
                    world.now += (LEASE + 1) * 1_000_000;
                }
                let found = lines(&store, &plan).await;
                let context = format!("{class:?}, killed at {first} and {second}");
                check_end(&store.world(), &plan, &found, &context);
            }
        }
    }
}

#[tokio::test]
async fn two_programs_at_once() {
    for class in CLASSES {
        let mut steps = 0;
        for step in 0.. {
            let (store, plan) = setup(class, true);
            let count = Arc::new(AtomicUsize::new(0));
            let (other, others_plan, counted) = (store.clone(), plan.clone(), Arc::clone(&count));
            let hooked = store.with_hook(move |_| {
                let is_it = counted.fetch_add(1, Relaxed) == step;
                let (other, plan) = (other.clone(), others_plan.clone());
                async move {
                    if is_it {
                        run(&other, &plan).await.expect("applied");
                    }
                }
            });
            // Refused as drifted where the other one has begun: that is fine too.
            drop(run(&hooked, &plan).await);
            if count.load(Relaxed) <= step {
                break;
            }
            steps += 1;
            store.world().now += (LEASE + 1) * 1_000_000;
            let found = lines(&store, &plan).await;
            let context = format!("{class:?}, the other one at step {step}");
            let world = store.world();
            check_end(&world, &plan, &found, &context);
            for change in &plan.changes {
                assert_eq!(world.effects(&change.key), 1, "{context}: one send");
            }
        }
        assert!(steps > 20, "{steps}");
    }
}

#[tokio::test]
async fn a_timeout_before_and_after() {
    for answer in [Answer::TimeoutBefore, Answer::TimeoutAfter] {
        for class in CLASSES {
            for can_read in [true, false] {
                let (store, plan) = setup(class, can_read);
                store.world().answers.push_back(answer.clone());
                store.world().answers.push_back(answer.clone());
                lines(&store, &plan).await;
                store.world().now += (LEASE + 1) * 1_000_000;
                let found = lines(&store, &plan).await;
                let context = format!("{class:?}, read {can_read}, {answer:?}");
                check_end(&store.world(), &plan, &found, &context);
            }
        }
    }
}

#[tokio::test]
async fn a_kill_and_then_a_guard_keep_what_is_in_force_known() {
    // The raise arrived, the program was killed, and the partner lost its mapping: the log says that
    // the raise is in force, so that its grant ends one day.
    let (store, plan) = setup(Idempotency::Upsert, true);
    let killer = store.clone();
    let hooked = store.with_hook(move |moment| {
        if moment == Moment::AfterSend {
            killer.world().is_dead = true;
        }
        std::future::ready(())
    });
    drop(run(&hooked, &plan).await);
    {
        let mut world = store.world();
        world.partners.get_mut("t1").expect("t1").unmapped = Some("no consumer".to_owned());
        world.now += (LEASE + 1) * 1_000_000;
    }
    assert_eq!(lines(&store, &plan).await[0], "t1 delivered: 600 → 900");
    assert!(History::of(&store.world().entries).grant_of("t1").is_some());
    assert_eq!(store.world().met.len(), 2);
}

#[tokio::test]
async fn what_may_have_arrived_never_just_fails() {
    // A timeout after the change, and then a gateway that can't be asked: the change is still
    // unconfirmed, and blocks others.
    let (store, plan) = setup(Idempotency::Upsert, true);
    store.world().answers.push_back(Answer::TimeoutAfter);
    lines(&store, &plan).await;
    let down =
        crate::deliver::DeliveryError::Retryable { message: "503".to_owned(), after_seconds: None };
    store.world().read_fails = Some(down);
    store.world().now += (LEASE + 1) * 1_000_000;
    assert_eq!(lines(&store, &plan).await[0], "t1 failed: the receiver can't be asked: 503");
    let key = &plan.changes[0].key;
    {
        let world = store.world();
        let history = History::of(&world.entries);
        let found = history.change(key).expect("a change");
        assert!(matches!(found.progress, Progress::Ambiguous { .. }));
    }
    store.world().read_fails = None;
    assert_eq!(lines(&store, &plan).await[0], "t1 delivered: 600 → 900");
    assert_eq!(store.world().effects(key), 1);
}
