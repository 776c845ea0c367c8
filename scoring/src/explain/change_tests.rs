//! Hand-worked changes of a score between two days.

use std::collections::{BTreeMap, BTreeSet};

use domain::{MICROS_PER_DAY, SignalName, Stage};
use polars::df;
use polars::prelude::DataFrame;

use super::change::{DayInput, ScoreChange, ScoreSplit, Unscored, split_change};
use crate::dormancy::{BetaGeometric, DormancyModel, FittedModel, RepeatHistory};
use crate::evaluation::EvaluationInput;
use crate::policy::{DEFAULT_POLICY, Policy};
use crate::test_input::{DAY, day, id};

/// Partners beside the one that is explained, which comes first.
const PEERS: usize = 6;
const ROWS: usize = PEERS + 1;

/// A day of partners that each have the signals errors (weight 20), steadiness (10), growth (15) and
/// dormancy (20). Errors and steadiness are at 100.
#[derive(Clone)]
struct World {
    /// Median weekly calls of the last four weeks; 95 before. With 5 calls mixed in, 95 score 100,
    /// 70 score 50 and 45 score 0.
    own_calls: f64,
    peers_calls: f64,
    has_errors: bool,
    /// Of 20 opportunities, how many were active.
    active: i64,
    /// Of the beta distribution of dropping out: the lower, the sooner a partner leaves.
    delta: f64,
    live_days: i64,
    is_known: bool,
    policy: Policy,
}

fn world() -> World {
    World {
        own_calls: 95.0,
        peers_calls: 95.0,
        has_errors: true,
        active: 20,
        delta: 2.783,
        live_days: 400,
        is_known: true,
        policy: policy(&[]),
    }
}

fn policy(changes: &[(&str, &str)]) -> Policy {
    let text = changes.iter().fold(DEFAULT_POLICY.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    Policy::parse(&text).expect("a policy")
}

impl World {
    fn model(&self) -> DormancyModel {
        let parameters =
            BetaGeometric { alpha: 1.204, beta: 0.75, gamma: 0.657, delta: self.delta };
        DormancyModel::BetaGeometric(FittedModel { parameters, log_likelihood: 0.0, partners: 300 })
    }

    /// The score of dormancy.
    fn dormancy(&self) -> f64 {
        let history = RepeatHistory::new(self.active, 20, 20).expect("a history");
        100.0 * self.model().predict(history, 4)
    }

    fn input(&self, plus_days: i32) -> DayInput {
        let day = day(DAY).plus(plus_days);
        let first = usize::from(!self.is_known);
        let rows: Vec<usize> = (first..ROWS).collect();
        let keyed = |columns: DataFrame| {
            let ids: Vec<String> = rows.iter().map(|row| id(*row)).collect();
            let keys = df!("day" => vec![day.0; rows.len()], "partner_id" => ids).expect("keys");
            keys.hstack(columns.columns()).expect("columns of one length")
        };
        let of = |own: f64, peers: f64| -> Vec<f64> {
            rows.iter().map(|row| if *row == 0 { own } else { peers }).collect()
        };
        let same = |value: i64| vec![value; rows.len()];
        let live_at: Vec<i64> = of(self.live_days as f64, 400.0)
            .into_iter()
            .map(|days| day.start_micros() - days as i64 * MICROS_PER_DAY)
            .collect();
        let partners = df!(
            "segment" => vec![None::<&str>; rows.len()],
            "registered_at" => live_at.clone(),
            "first_call_at" => live_at.clone(),
            "last_call_at" => same(day.start_micros() - 1),
            "live_at" => live_at,
            "last_success_date" => vec![day.0 - 1; rows.len()],
            "quota_per_minute" => vec![None::<i64>; rows.len()],
        );
        let growth = df!(
            "recent_median" => of(self.own_calls, self.peers_calls),
            "before_median" => of(95.0, 95.0),
            "weeks_recent" => same(4),
            "weeks_before" => same(8),
            "calm_days" => same(0),
            "calls_14d" => of(190.0, 190.0),
            "baseline_week_median" => of(95.0, 95.0),
            "baseline_week_lowest" => of(95.0, 95.0),
            "former_week_median" => of(95.0, 95.0),
        );
        let dormancy = df!(
            "length" => same(7),
            "x" => of(self.active as f64, 20.0).into_iter().map(|x| x as i64).collect::<Vec<_>>(),
            "t_x" => same(20),
            "n" => same(20),
        );
        let mut frames: BTreeMap<String, DataFrame> = empty_frames();
        let mut add = |name: &str, frame: DataFrame| frames.insert(name.to_owned(), frame);
        add("scoring_partner", keyed(partners.expect("columns")));
        add("scoring_growth", keyed(growth.expect("columns")));
        add("scoring_dormancy", keyed(dormancy.expect("columns")));
        add("scoring_steadiness", self.by_week(day.0, first, &steadiness_row()));
        let with_errors = if self.has_errors { first } else { 1 };
        add("scoring_errors", self.by_week(day.0, with_errors, &errors_row()));
        let evaluation = EvaluationInput {
            frames,
            held_back: BTreeSet::new(),
            dormancy: Some(self.model()),
            risk: None,
        };
        DayInput { day, evaluation, policy: self.policy.clone() }
    }

    /// Repeats one row for each partner from `first` on and each week left out.
    fn by_week(&self, day: i32, first: usize, row: &DataFrame) -> DataFrame {
        let keys: Vec<(String, i64)> =
            (first..ROWS).flat_map(|row| (0..5).map(move |week| (id(row), week))).collect();
        let (ids, weeks): (Vec<String>, Vec<i64>) = keys.into_iter().unzip();
        let rows = ids.len();
        let keys = df!("day" => vec![day; rows], "partner_id" => ids, "left_out" => weeks);
        let repeated = row.new_from_index(0, rows);
        keys.expect("keys").hstack(repeated.columns()).expect("columns of one length")
    }
}

fn errors_row() -> DataFrame {
    df!("alarm_days" => [0_i64], "calls" => [1_000_i64], "client_errors" => [5_i64]).expect("a row")
}

fn steadiness_row() -> DataFrame {
    df!(
        "active_days" => [28_i64],
        "expected_days" => [28.0],
        "baseline_days" => [84_i64],
        "deviation" => [0.2],
        "mean_daily_calls" => [14.0],
        "days_with_calls" => [28_i64],
    )
    .expect("a row")
}

/// The frames of the queries that have no rows here.
fn empty_frames() -> BTreeMap<String, DataFrame> {
    let whole = [0_i64; 0];
    let number = [0.0; 0];
    let text = [""; 0];
    let flag = [true; 0];
    let (days, left_out) = ([0_i32; 0], whole);
    let frames = [
        (
            "scoring_activity",
            df!("day" => days, "partner_id" => text, "cadence" => number, "longest_gap_180" => whole,
                "silent_days" => whole, "silent_calm_days" => whole, "churn_calm_days" => whole,
                "active_days_baseline" => whole, "calls_3d" => whole, "successes_3d" => whole, "auth_failures_3d" => whole,
                "status_3d" => whole),
        ),
        (
            "scoring_revenue",
            df!("day" => days, "partner_id" => text, "months_since_first_charge" => whole,
                "recent_mean" => number, "before_mean" => number, "last_month_gross" => number,
                "median_before" => number, "payment_failed" => flag, "last_month_calls" => whole,
                "median_calls_before" => number),
        ),
        (
            "scoring_impact",
            df!("day" => days, "partner_id" => text, "share" => number, "rank" => whole),
        ),
        (
            "scoring_error_days",
            df!("day" => days, "partner_id" => text, "event_date" => days, "calls" => whole,
                "client_error_rate" => number, "baseline_rate" => number, "alarm" => flag),
        ),
        (
            "scoring_error_cause",
            df!("day" => days, "partner_id" => text, "status" => whole, "method" => text,
                "endpoint" => text, "share" => number),
        ),
        (
            "scoring_throttling",
            df!("day" => days, "partner_id" => text, "left_out" => left_out, "throttled" => whole,
                "calls" => whole),
        ),
        (
            "scoring_service",
            df!("day" => days, "partner_id" => text, "left_out" => left_out, "target" => number,
                "latency_target_ms" => number, "calls" => whole, "server_errors" => whole,
                "latency_calls" => whole, "slow_calls" => whole),
        ),
        (
            "scoring_deprecated",
            df!("day" => days, "partner_id" => text, "left_out" => left_out, "calls" => whole,
                "versioned_calls" => whole, "exposure" => number),
        ),
        (
            "scoring_support",
            df!("day" => days, "partner_id" => text, "tickets" => whole, "calls" => whole,
                "has_ticket" => flag),
        ),
    ];
    frames.into_iter().map(|(name, frame)| (name.to_owned(), frame.expect("a frame"))).collect()
}

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
