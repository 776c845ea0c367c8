//! Tests of the whole report.

use std::collections::BTreeMap;

use domain::{Day, Tier};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// The rows and days of a backtest.
#[derive(Default)]
struct World {
    rows: Vec<BacktestRow>,
    daily: Vec<DailyRow>,
    partners: usize,
    excluded: BTreeMap<String, u64>,
}

const FIRST_ORIGIN: i32 = 200;
const ORIGINS: i32 = 6;
const DAYS_APART: i32 = 30;

/// Returns partners of which some leave at each origin. A leaver is flagged by the tiers 40 days
/// before it leaves; the baselines know nothing.
fn world(partners: u32, share: f64) -> World {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut world = World { partners: partners as usize, ..World::default() };
    let mut last_success = vec![None; partners as usize];
    for origin in (0..ORIGINS).map(|at| FIRST_ORIGIN + DAYS_APART * at) {
        for partner in 0..partners {
            if last_success[partner as usize].is_some() {
                continue;
            }
            let row = row(&mut random, Day(origin), partner, share);
            if row.left {
                last_success[partner as usize] = Some(row.last_success.0);
            }
            world.rows.push(row);
        }
    }
    for day in FIRST_ORIGIN - 84..=FIRST_ORIGIN + DAYS_APART * ORIGINS {
        for partner in 0..partners {
            let last = last_success[partner as usize].unwrap_or(i32::MAX);
            if day <= last {
                let tier = if last - day <= 40 { Tier::Watch } else { Tier::Healthy };
                world.daily.push(DailyRow {
                    day: Day(day),
                    partner,
                    tier,
                    days_since_last_call: random.random_range(0.0..9.0),
                    call_frequency: random.random_range(0.0..9.0),
                });
            }
        }
    }
    world
}

fn row(random: &mut ChaCha8Rng, origin: Day, partner: u32, share: f64) -> BacktestRow {
    let left = random.random_bool(share);
    let last_success = origin.plus(-3);
    let risk: f64 = random.random_range(0.0..0.3) + if left { 0.25 } else { 0.0 };
    BacktestRow {
        origin,
        label_end: origin.plus(28),
        partner,
        left,
        risk: Some(risk),
        is_risk_fitted: origin > Day(FIRST_ORIGIN),
        health: Some(100.0 - 100.0 * risk),
        tier: if left { Tier::Watch } else { Tier::Healthy },
        days_since_last_call: random.random_range(0.0..9.0),
        call_frequency: random.random_range(0.0..9.0),
        gross_share: if partner.is_multiple_of(2) { 0.01 } else { 0.0 },
        cadence: if partner.is_multiple_of(5) { 20.0 } else { 1.0 },
        last_success,
        warned_on: Some(last_success.plus(-50)).filter(|_| !partner.is_multiple_of(3)),
        has_action: partner.is_multiple_of(7),
        size: if partner.is_multiple_of(2) { "large" } else { "small" }.to_owned(),
        plan: "pro".to_owned(),
        region: "EU".to_owned(),
    }
}

fn report(world: &World, resamples: usize) -> BacktestReport {
    let options = BacktestOptions { capacity: 10, resamples, seed: 1 };
    let World { rows, daily, partners, excluded } = world;
    backtest(&BacktestInput { rows, daily, partners: *partners, excluded, options })
}

#[track_caller]
fn check_value(figures: &Figures, statistic: Statistic, expected: [Option<f64>; 3]) {
    let Comparison { score, recency, frequency, .. } =
        figures.get(statistic).expect("a figure").comparison;
    assert_eq!([score.value, recency.value, frequency.value], expected, "{statistic:?}");
}

#[test]
fn a_score_that_knows_beats_baselines_that_do_not() {
    let mut world = world(300, 0.1);
    world.excluded.insert("suspended".to_owned(), 4);
    let report = report(&world, 60);
    for statistic in [
        Statistic::Auc,
        Statistic::HealthAuc,
        Statistic::AveragePrecision,
        Statistic::Brier,
        Statistic::BrierSkill,
        Statistic::Discrimination,
        Statistic::RiskPrecision,
        Statistic::TierPrecision,
        Statistic::GrossRecall,
        Statistic::SilentChurn,
        Statistic::HeldLeadTime,
        Statistic::FlapRate,
    ] {
        let figure = report.all.get(statistic).expect("a figure");
        assert_eq!(figure.verdict, Verdict::BeatsBoth, "{figure:?}");
    }
    assert_eq!(
        report.all.get(Statistic::SilentChurn).expect("a figure").comparison.score.value,
        Some(0.0)
    );
    let lead = report.all.get(Statistic::LeadTime).expect("a figure").comparison.score.value;
    // The sign of trouble stands 50 days before the end and the flag 40.
    let delay = report.all.get(Statistic::DetectionDelay).expect("a figure").comparison.score.value;
    assert_eq!((lead, delay), (Some(40.0), Some(10.0)));
    assert_eq!(report.excluded["suspended"], 4);
    assert_eq!(report.origins.len(), 6);
    assert_eq!(report.origins_without_model, [Day(FIRST_ORIGIN).to_string()]);
    assert!(report.reliability.len() > 1);
}

#[test]
fn parts_divide_the_rows() {
    let world = world(300, 0.1);
    let report = report(&world, 5);
    let slow = world.rows.iter().filter(|row| row.cadence > 14.0).count();
    assert_eq!(report.slow_callers.rows, slow);
    assert_eq!(report.with_action.rows + report.without_action.rows, report.all.rows);
    let names: Vec<(&str, &str)> =
        report.groups.iter().map(|g| (g.dimension.as_str(), g.group.as_str())).collect();
    let expected = [("size", "large"), ("size", "small"), ("plan", "pro"), ("region", "EU")];
    assert_eq!(names, expected);
    assert_eq!(report.groups[2].figures, report.all);
    // Every leaver is followed once: warned, or as an abrupt one.
    assert_eq!(report.all.leavers_followed + report.abrupt.leavers_followed, report.all.leavers);
    assert_eq!(report.abrupt.leavers, report.abrupt.leavers_followed);
    let delay = report.abrupt.get(Statistic::DetectionDelay).expect("a figure");
    assert_eq!(delay.comparison.score.value, None);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let world = world(100, 0.1);
    let [first, second] =
        [(); 2].map(|()| serde_json::to_string(&report(&world, 20)).expect("JSON"));
    assert_eq!(first, second);
    let read: BacktestReport = serde_json::from_str(&first).expect("JSON");
    assert_eq!((read.origins.len(), read.all.rows), (6, world.rows.len()));
}

#[test]
fn degenerate_inputs_have_figures_without_values() {
    let undefined = [None; 3];
    let nobody = report(&World::default(), 10);
    assert_eq!((nobody.all.rows, nobody.all.base_rate), (0, None));
    for figure in &nobody.all.figures {
        check_value(&nobody.all, figure.statistic, undefined);
    }

    let none_leave = report(&world(40, 0.0), 10);
    check_value(&none_leave.all, Statistic::Auc, undefined);
    check_value(&none_leave.all, Statistic::BrierSkill, undefined);
    check_value(&none_leave.all, Statistic::SilentChurn, undefined);
    check_value(&none_leave.all, Statistic::TierPrecision, [Some(0.0); 3]);

    let all_leave = report(&world(40, 1.0), 10);
    check_value(&all_leave.all, Statistic::Auc, undefined);
    check_value(&all_leave.all, Statistic::TierPrecision, [Some(1.0); 3]);

    let one_partner = report(&world(1, 0.0), 10);
    assert_eq!(one_partner.all.rows, 6);
    check_value(&one_partner.all, Statistic::Auc, undefined);
    for report in [nobody, none_leave, all_leave, one_partner] {
        let json = serde_json::to_string(&report).expect("JSON");
        assert!(!json.contains("NaN") && !json.contains("inf"));
        assert_eq!(table(&report.all).len(), report.all.figures.len());
    }
}

#[test]
fn without_any_model_the_risk_of_all_origins_is_tested() {
    let mut world = world(100, 0.1);
    for row in &mut world.rows {
        row.is_risk_fitted = false;
    }
    let report = report(&world, 5);
    assert_eq!(report.origins_without_model, report.origins);
    assert_eq!(report.all.get(Statistic::Auc).expect("a figure").rows, world.rows.len());
}
