//! Worlds of a few partners whose scores are worked out by hand, for tests.

use std::collections::{BTreeMap, BTreeSet};

use domain::MICROS_PER_DAY;
use polars::df;
use polars::prelude::DataFrame;

use crate::dormancy::{BetaGeometric, DormancyModel, FittedModel, RepeatHistory};
use crate::evaluation::EvaluationInput;
use crate::explain::DayInput;
use crate::policy::{DEFAULT_POLICY, Policy};
use crate::test_input::{DAY, day, id};

/// Partners beside the one that is explained, which comes first.
const PEERS: usize = 6;
pub(crate) const ROWS: usize = PEERS + 1;

/// A day of partners that each have the signals errors (weight 20), steadiness (10), growth (15) and
/// dormancy (20). Errors and steadiness are at 100.
#[derive(Clone)]
pub(crate) struct World {
    /// Median weekly calls of the last four weeks; 95 before. With 5 calls mixed in, 95 score 100,
    /// 70 score 50 and 45 score 0.
    pub(crate) own_calls: f64,
    pub(crate) peers_calls: f64,
    pub(crate) has_errors: bool,
    /// Of 20 opportunities, how many were active.
    pub(crate) active: i64,
    /// Of the beta distribution of dropping out: the lower, the sooner a partner leaves.
    pub(crate) delta: f64,
    pub(crate) live_days: i64,
    pub(crate) is_known: bool,
    pub(crate) policy: Policy,
}

pub(crate) fn world() -> World {
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

/// Returns the shipped policy with texts of it replaced.
pub(crate) fn policy(changes: &[(&str, &str)]) -> Policy {
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
    pub(crate) fn dormancy(&self) -> f64 {
        let history = RepeatHistory::new(self.active, 20, 20).expect("a history");
        100.0 * self.model().predict(history, 4)
    }

    /// Returns what its partners are evaluated from so many days after [`DAY`].
    pub(crate) fn input(&self, plus_days: i32) -> DayInput {
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
