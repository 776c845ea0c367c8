//! Simulated partners, from their calls of each day to their tiers: flat ones stay healthy, and
//! falling ones are seen within the days of the design's table.

use std::collections::BTreeMap;

use polars::prelude::{Column, DataFrame, DataType};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::columns::Numbers;
use crate::frames::InputFrame;
use crate::gates::{GateInput, default_gates, gate_conditions};
use crate::partner_columns::PartnerColumns;
use crate::peers::Peers;
use crate::robust_statistics::median_of;
use crate::tier::policy::default_tiers;

/// Days that a partner is known before its first evaluation.
const PAST: usize = 196;
/// The share of growth in the weights of the signals.
const GROWTH_SHARE: f64 = 15.0 / 95.0;

/// The production calls of one partner, and its successes, by day.
#[derive(Clone)]
struct Series {
    calls: Vec<f64>,
    successes: Vec<f64>,
}

impl Series {
    fn of(calls: Vec<f64>) -> Self {
        Self { successes: calls.clone(), calls }
    }

    /// Returns the calls of `weeks` weeks before a day, each week's, the latest first.
    fn weeks(&self, day: usize, weeks: std::ops::RangeInclusive<usize>) -> Vec<f64> {
        weeks.map(|week| self.calls[day - 7 * week..day - 7 * (week - 1)].iter().sum()).collect()
    }

    fn week_median(&self, day: usize, weeks: std::ops::RangeInclusive<usize>) -> f64 {
        median_of(&mut self.weeks(day, weeks)).expect("a week")
    }

    /// Returns the days with a success of the 180 before a day.
    fn active_days(&self, day: usize) -> Vec<usize> {
        (day - 180..day).filter(|at| self.successes[*at] > 0.0).collect()
    }
}

/// What one partner's frames say on one day.
struct Inputs {
    calls_14d: f64,
    baseline_week: f64,
    lowest_week: f64,
    former_week: f64,
    growth_score: f64,
    cadence: Option<f64>,
    longest_gap: Option<i64>,
    silent_days: Option<i64>,
    active_days_baseline: i64,
    calls_3d: i64,
    successes_3d: i64,
}

impl Inputs {
    fn of(series: &Series, day: usize) -> Self {
        let active = series.active_days(day);
        let gaps: Vec<f64> = active.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let (recent, before) = (series.week_median(day, 1..=4), series.week_median(day, 5..=12));
        let growth = (recent + 5.0) / (before + 5.0) - 1.0;
        let last_days = |values: &[f64]| values[day - 3..day].iter().sum::<f64>() as i64;
        Self {
            calls_14d: series.calls[day - 14..day].iter().sum(),
            baseline_week: series.week_median(day, 5..=16),
            lowest_week: series.weeks(day, 5..=16).into_iter().fold(f64::INFINITY, f64::min),
            former_week: series.week_median(day, 17..=28),
            growth_score: 100.0 * (1.0 + growth / 0.5).clamp(0.0, 1.0),
            cadence: median_of(&mut gaps.clone()),
            longest_gap: gaps.iter().map(|gap| *gap as i64).max(),
            silent_days: active.last().map(|last| (day - last - 1) as i64),
            active_days_baseline: active
                .iter()
                .filter(|at| (day - 112..day - 28).contains(*at))
                .count() as i64,
            calls_3d: last_days(&series.calls),
            successes_3d: last_days(&series.successes),
        }
    }
}

/// Returns the tiers of partners from the first day on which [`PAST`] days are known. The score is
/// that of a partner whose growth alone is not perfect.
fn tiers(portfolio: &[Series]) -> Vec<Vec<TierState>> {
    let days = PAST..=portfolio[0].calls.len();
    let keys: Vec<(usize, usize)> =
        days.flat_map(|day| (0..portfolio.len()).map(move |partner| (day, partner))).collect();
    let inputs: Vec<Inputs> =
        keys.iter().map(|(day, partner)| Inputs::of(&portfolio[*partner], *day)).collect();
    let frames = Frames { keys: &keys, inputs: &inputs };
    let mut histories: BTreeMap<usize, Vec<DailyRow>> = BTreeMap::new();
    for (((day, partner), input), gates) in keys.iter().zip(&inputs).zip(frames.conditions()) {
        let row = DailyRow {
            day: Day(*day as i32),
            stage: Stage::Live,
            score: Some(100.0 - GROWTH_SHARE * (100.0 - input.growth_score)),
            score_low: None,
            score_high: None,
            gates,
            stored: None,
        };
        histories.entry(*partner).or_default().push(row);
    }
    let (tiers, gates) = (default_tiers(), default_gates());
    histories.values().map(|rows| fold(rows, &tiers, &gates)).collect()
}

/// The frames of a simulated portfolio.
struct Frames<'a> {
    keys: &'a [(usize, usize)],
    inputs: &'a [Inputs],
}

impl Frames<'_> {
    fn conditions(&self) -> Vec<GateConditions> {
        let activity = self.frame(vec![
            self.column("cadence", |i| i.cadence),
            self.count("longest_gap_180", |i| i.longest_gap),
            self.count("silent_days", |i| i.silent_days),
            self.count("silent_calm_days", |_| Some(0)),
            self.count("churn_calm_days", |_| Some(0)),
            self.count("active_days_baseline", |i| Some(i.active_days_baseline)),
            self.count("calls_3d", |i| Some(i.calls_3d)),
            self.count("successes_3d", |i| Some(i.successes_3d)),
        ]);
        let growth = self.frame(vec![
            self.column("calls_14d", |i| Some(i.calls_14d)),
            self.column("baseline_week_median", |i| Some(i.baseline_week)),
            self.column("baseline_week_lowest", |i| Some(i.lowest_week)),
            self.column("former_week_median", |i| Some(i.former_week)),
        ]);
        let revenue = self.frame(vec![
            self.column("last_month_gross", |_| None),
            self.column("median_before", |_| None),
            self.count("last_month_calls", |_| None),
            self.column("median_calls_before", |_| None),
        ]);
        let partners = PartnerColumns::of(&self.partners(), &activity).expect("partners");
        let peers = Peers::of(partners.keys.days(), &partners.segment);
        let scores =
            |of: fn(&Inputs) -> Option<f64>| self.inputs.iter().map(of).collect::<Numbers>();
        let input = GateInput {
            peers: &peers,
            partners: &partners,
            activity: &activity,
            growth: &growth,
            revenue: &revenue,
            dormancy: &self.frame(vec![self.count("length", |_| Some(7))]),
            errors_score: &scores(|_| Some(100.0)),
            growth_score: &scores(|i| Some(i.growth_score)),
            revenue_score: &scores(|_| None),
            risk: &scores(|_| None),
            risk_is_adopted: false,
        };
        gate_conditions(&input, &default_gates()).expect("conditions")
    }

    fn partners(&self) -> InputFrame {
        let rows = self.keys.len();
        let last = self.keys.iter().zip(self.inputs).map(|((day, _), input)| {
            input.silent_days.map(|silent| *day as i32 - 1 - silent as i32)
        });
        self.frame(vec![
            Column::full_null("segment".into(), rows, &DataType::String),
            self.count("quota_per_minute", |_| None),
            self.count("registered_at", |_| Some(0)),
            self.count("first_call_at", |_| Some(0)),
            self.count("live_at", |_| Some(0)),
            self.count("last_call_at", |_| Some(0)),
            Column::new("last_success_date".into(), last.collect::<Vec<Option<i32>>>()),
        ])
    }

    fn frame(&self, columns: Vec<Column>) -> InputFrame {
        let days: Vec<i32> = self.keys.iter().map(|(day, _)| *day as i32).collect();
        let ids: Vec<String> = self.keys.iter().map(|(_, id)| format!("{id:05}")).collect();
        let keys = [Column::new("day".into(), days), Column::new("partner_id".into(), ids)];
        let columns = keys.into_iter().chain(columns).collect();
        InputFrame::new("simulated", DataFrame::new(self.keys.len(), columns).expect("a frame"))
    }

    fn column(&self, name: &str, of: impl Fn(&Inputs) -> Option<f64>) -> Column {
        Column::new(name.into(), self.inputs.iter().map(of).collect::<Vec<_>>())
    }

    fn count(&self, name: &str, of: impl Fn(&Inputs) -> Option<i64>) -> Column {
        Column::new(name.into(), self.inputs.iter().map(of).collect::<Vec<_>>())
    }
}

/// Returns a number of events from a Poisson distribution: events at exponential distances.
fn poisson(random: &mut ChaCha8Rng, mean: f64) -> f64 {
    let (mut events, mut at) = (0.0, 0.0);
    loop {
        at -= (1.0 - random.random::<f64>()).ln();
        if at > mean {
            return events;
        }
        events += 1.0;
    }
}

/// Returns a series with so many days, of which the mean of each is given.
fn noisy(random: &mut ChaCha8Rng, days: usize, mean: impl Fn(usize) -> f64) -> Series {
    Series::of((0..days).map(|day| poisson(random, mean(day))).collect())
}

#[test]
fn flat_partners_stay_healthy_for_a_year() {
    for calls_a_day in [3.0, 5.0] {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let portfolio: Vec<Series> =
            (0..100).map(|_| noisy(&mut random, PAST + 364, |_| calls_a_day)).collect();
        for (partner, states) in tiers(&portfolio).iter().enumerate() {
            assert_eq!(states.len(), 365);
            let left = states.iter().position(|state| state.tier != Tier::Healthy);
            assert_eq!(left, None, "partner {partner} at {calls_a_day} calls a day");
        }
    }
}

/// Returns for each falling partner how many days of its fall were evaluated when it first had at
/// least this tier, and the gate that decided. The other partners are flat.
fn seen(falling: &[Series], flat: &[Series], tier: Tier) -> Vec<(usize, Option<Gate>)> {
    let portfolio: Vec<Series> = falling.iter().chain(flat).cloned().collect();
    let states = tiers(&portfolio).into_iter().take(falling.len());
    let first = states.map(|states| {
        // The first evaluation sees nothing of the fall.
        let day = states.iter().position(|state| state.tier >= tier).expect("the fall is seen");
        (day, states[day].gate)
    });
    first.collect()
}

#[test]
fn falling_partners_are_seen_by_the_day_of_the_table() {
    let mut random = ChaCha8Rng::seed_from_u64(12);
    let days = PAST + 60;
    let flat: Vec<Series> = (0..20).map(|_| noisy(&mut random, days, |_| 40.0)).collect();
    let mut check = |lost: f64, fall_days: usize, by_day: usize, tier: Tier, gate: Gate| {
        let level = |day: usize| {
            let fallen = (day + 1).saturating_sub(PAST).min(fall_days) as f64 / fall_days as f64;
            1.0 - lost * fallen
        };
        let smooth = Series::of((0..days).map(|day| 100.0 * level(day)).collect());
        let uneven = (0..9).map(|_| noisy(&mut random, days, |day| 60.0 * level(day)));
        let found = seen(&[smooth].into_iter().chain(uneven).collect::<Vec<_>>(), &flat, tier);
        let case = format!("-{lost} over {fall_days} days: {found:?}");
        assert!(found.iter().all(|(_, decides)| *decides == Some(gate)), "{case}");
        // Of the uneven ones the day of the table is that of the median.
        let mut uneven: Vec<usize> = found[1..].iter().map(|(day, _)| *day).collect();
        uneven.sort_unstable();
        assert!(found[0].0 <= by_day && uneven[4] <= by_day, "{case}");
    };
    check(0.5, 1, 11, Tier::Watch, Gate::Decline);
    check(0.5, 28, 26, Tier::Watch, Gate::Decline);
    check(0.7, 1, 14, Tier::AtRisk, Gate::Collapse);
    check(0.7, 28, 40, Tier::AtRisk, Gate::Collapse);
    check(0.9, 1, 11, Tier::AtRisk, Gate::Collapse);
    check(0.9, 28, 30, Tier::AtRisk, Gate::Collapse);
}

#[test]
fn failing_and_silent_partners_are_seen_by_the_day_of_the_table() {
    let days = PAST + 60;
    let steady = Series::of(vec![20.0; days]);
    let flat = vec![steady.clone(); 20];
    let mut failing = steady;
    failing.successes[PAST..].fill(0.0);
    assert_eq!(seen(&[failing], &flat, Tier::AtRisk), [(3, Some(Gate::Dead))]);
    // Too few calls for a collapse: three a day are 21 a week.
    let calls = (0..days).map(|day| if day < PAST { 3.0 } else { 0.0 }).collect();
    let silent = Series::of(calls);
    assert_eq!(seen(&[silent], &flat, Tier::AtRisk), [(14, Some(Gate::Silence))]);
}

#[test]
fn a_collapsed_partner_is_not_healthy_before_its_calls_are_back() {
    let days = PAST + 140;
    let flat = vec![Series::of(vec![40.0; days]); 20];
    let fallen = Series::of((0..days).map(|day| if day < PAST { 100.0 } else { 20.0 }).collect());
    let portfolio: Vec<Series> = flat.into_iter().chain([fallen]).collect();
    let states = tiers(&portfolio).pop().expect("the fallen partner");
    let tier_on = |day: usize| states[day].tier;
    let first = states.iter().position(|state| state.tier == Tier::AtRisk).expect("a collapse");
    assert!(first <= 14, "seen on day {first}");
    assert!((first..first + 90).all(|day| tier_on(day) == Tier::AtRisk));
    assert_eq!(tier_on(first + 90), Tier::Watch);
}
