//! Hand-worked changes of a score between two days.

use domain::{SignalName, Stage};

use super::change::{ScoreChange, ScoreSplit, Unscored, split_change};
use crate::test_input::id;
use crate::test_world::{World, policy, world};

#[track_caller]
fn split(then: &World, now: &World) -> ScoreSplit {
    split_change(&then.input(0), &now.input(7), &id(0)).expect("a split")
}

#[track_caller]
fn change(then: &World, now: &World) -> ScoreChange {
    match split(then, now) {
        ScoreSplit::Split(change) => change,
        unscored @ ScoreSplit::Unscored { .. } => panic!("{unscored:?}"),
    }
}

/// Own data, coverage and cap, peers, model, policy.
fn parts(change: &ScoreChange) -> [f64; 5] {
    [change.own_data, change.coverage, change.peers, change.model, change.policy]
}

#[track_caller]
fn check(then: &World, now: &World, expected: [f64; 5]) {
    let change = change(then, now);
    for (found, expected) in parts(&change).into_iter().zip(expected) {
        assert!((found - expected).abs() < 1e-9, "{change:?}, {expected}");
    }
    let sum: f64 = parts(&change).iter().sum();
    assert!((sum - (change.now - change.then)).abs() < 1e-9, "{change:?}");
}

#[test]
fn a_single_cause_leaves_the_other_parts_at_zero() {
    let then = world();
    check(&then, &then, [0.0; 5]);
    // Growth falls from 100 to 50, at 15 of 65.
    let fallen = World { own_calls: 70.0, ..world() };
    check(&then, &fallen, [-15.0 * 50.0 / 65.0, 0.0, 0.0, 0.0, 0.0]);
    check(&fallen, &then, [15.0 * 50.0 / 65.0, 0.0, 0.0, 0.0, 0.0]);
    // The median of the peers falls by a tenth, which is taken out of the partner's own quarter.
    let beside_fallen_peers = World { own_calls: 70.0, peers_calls: 85.0, ..world() };
    check(&fallen, &beside_fallen_peers, [0.0, 0.0, 15.0 * 20.0 / 65.0, 0.0, 0.0]);
    // Another model of dormancy.
    let refitted = World { delta: 0.1, ..world() };
    let model = 20.0 * (refitted.dormancy() - then.dormancy()) / 65.0;
    assert!(model < -0.1, "{model}");
    check(&then, &refitted, [0.0, 0.0, 0.0, model, 0.0]);
    // Growth weighs 30 of 80 instead of 15 of 65.
    let other = World { policy: policy(&[("growth = 15", "growth = 30")]), ..fallen.clone() };
    let weighed = |growth: f64| {
        (20.0 * 100.0 + 10.0 * 100.0 + growth * 50.0 + 20.0 * fallen.dormancy()) / (50.0 + growth)
    };
    check(&fallen, &other, [0.0, 0.0, 0.0, 0.0, weighed(30.0) - weighed(15.0)]);
}

#[test]
fn a_signal_that_is_missing_counts_as_coverage() {
    let (then, now) = (world(), World { has_errors: false, ..world() });
    let mean = (10.0 * 100.0 + 15.0 * 100.0 + 20.0 * then.dormancy()) / 45.0;
    let cap = 70.0 + 30.0 * (45.0 / 65.0 - 0.6) / 0.4;
    let whole = (4_500.0 + 20.0 * then.dormancy()) / 65.0;
    check(&then, &now, [0.0, mean.min(cap) - whole, 0.0, 0.0, 0.0]);
    check(&now, &then, [0.0, whole - mean.min(cap), 0.0, 0.0, 0.0]);
    // A fall at the same time: errors keep their score of then in the first part, and under the cap
    // the fall does not show in the second.
    let fallen = World { own_calls: 70.0, ..now.clone() };
    let own = -15.0 * 50.0 / 65.0;
    let mean = (10.0 * 100.0 + 15.0 * 50.0 + 20.0 * then.dormancy()) / 45.0;
    check(&then, &fallen, [own, mean.min(cap) - (whole + own), 0.0, 0.0, 0.0]);
    // Under the cap a fall of the mean takes nothing.
    let little = World { own_calls: 90.0, ..now.clone() };
    let change = change(&now, &little);
    assert_eq!(parts(&change), [0.0; 5]);
    let growth = change.signals.iter().find(|s| s.signal == SignalName::new("growth"));
    let growth = growth.expect("growth was available");
    assert!((growth.points + 15.0 * 10.0 / 45.0).abs() < 1e-9, "{growth:?}");
}

#[test]
fn all_causes_at_once_add_up() {
    let then = World { own_calls: 80.0, active: 18, ..world() };
    let now = World {
        own_calls: 50.0,
        peers_calls: 85.0,
        has_errors: false,
        active: 19,
        delta: 0.1,
        policy: policy(&[("growth = 15", "growth = 25"), ("zero_fall = 0.5", "zero_fall = 0.6")]),
        ..world()
    };
    let change = change(&then, &now);
    let parts = parts(&change);
    assert!(parts.iter().all(|part| part.abs() > 0.1), "{change:?}");
    assert!((parts.iter().sum::<f64>() - (change.now - change.then)).abs() < 1e-9, "{change:?}");
    let own: f64 = change.signals.iter().map(|signal| signal.points).sum();
    assert!((own - change.own_data).abs() < 1e-9, "{change:?}");
}

#[test]
fn a_score_that_is_missing_in_between_counts_for_a_later_part() {
    // Without errors three quarters of the weights are needed: 45 of 65 are too few, but for the
    // policy of now they are enough.
    let strict = policy(&[("min_coverage = 0.6", "min_coverage = 0.75")]);
    let then = World { policy: strict, ..world() };
    let now = World { has_errors: false, ..world() };
    let change = change(&then, &now);
    assert_eq!(parts(&change)[..4], [0.0; 4]);
    assert!((change.policy - (change.now - change.then)).abs() < 1e-9, "{change:?}");
    assert!(change.policy < -1.0, "{change:?}");
}

#[test]
fn without_a_score_on_both_days_there_is_no_split() {
    #[track_caller]
    fn check(then: &World, now: &World, expected: [Option<Unscored>; 2]) {
        match split(then, now) {
            ScoreSplit::Unscored { then, now } => assert_eq!([then, now], expected),
            ScoreSplit::Split(change) => panic!("{change:?}"),
        }
    }
    let young = World { live_days: 20, ..world() };
    check(&young, &world(), [Some(Unscored::TooLittleEvidence), None]);
    check(&world(), &young, [None, Some(Unscored::TooLittleEvidence)]);
    let unknown = World { is_known: false, ..world() };
    check(&unknown, &world(), [Some(Unscored::Unknown), None]);
    // Not live before the day.
    let onboarding = World { live_days: -5, ..world() };
    let found = split(&onboarding, &world());
    assert!(
        matches!(found, ScoreSplit::Unscored { then: Some(_), now: None }),
        "{found:?}, {}",
        Stage::Onboarding.name()
    );
}
