//! Tests of the fold over days: bands, their counts, gates and their ends, and what is stored.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::gates::{Condition, default_gates};
use crate::tier::policy::default_tiers;

use Condition::{
    BelowHalf, Collapse, Dead, ForecastAtRisk, ForecastWatch, LowErrors, LowGrowth, LowRevenue,
    RevenueGone, Silence,
};

/// The rows of one partner, from day 0 on.
#[derive(Clone, Default)]
struct Rows {
    rows: Vec<DailyRow>,
    next_day: i32,
}

impl Rows {
    /// Adds evaluations of a live partner, one a day.
    fn add(self, days: i32, score: impl Into<Option<f64>>, conditions: &[Condition]) -> Self {
        let (score, gates) = (score.into(), GateConditions::of(conditions));
        self.repeat(days, DailyRow { score, gates, ..live() })
    }

    /// Adds evaluations whose score is in a range when one week is left out.
    fn range(self, days: i32, score: f64, [low, high]: [f64; 2]) -> Self {
        let (score_low, score_high) = (Some(low), Some(high));
        self.repeat(days, DailyRow { score: Some(score), score_low, score_high, ..live() })
    }

    /// Adds days of a partner that is not live, with what a churned one may keep.
    fn stage(self, days: i32, stage: Stage) -> Self {
        let gates = GateConditions::of(&[Collapse, Silence]);
        self.repeat(days, DailyRow { stage, gates, score: Some(90.0), ..live() })
    }

    /// Leaves days without an evaluation.
    fn gap(mut self, days: i32) -> Self {
        self.next_day += days;
        self
    }

    fn repeat(mut self, days: i32, row: DailyRow) -> Self {
        for _ in 0..days {
            self.rows.push(DailyRow { day: Day(self.next_day), ..row });
            self.next_day += 1;
        }
        self
    }
}

fn live() -> DailyRow {
    DailyRow {
        day: Day(0),
        stage: Stage::Live,
        score: None,
        score_low: None,
        score_high: None,
        gates: GateConditions::NONE,
        stored: None,
    }
}

fn states(rows: &[DailyRow]) -> Vec<TierState> {
    fold(rows, &default_tiers(), &default_gates())
}

/// Checks the tiers of all rows, given as changes: the day from which each tier and gate are stored.
#[track_caller]
fn check(rows: &Rows, expected: &[(i32, Tier, Option<Gate>)]) {
    let mut found: Vec<(i32, Tier, Option<Gate>)> = Vec::new();
    for (row, state) in rows.rows.iter().zip(states(&rows.rows)) {
        if found.last().is_none_or(|last| (last.1, last.2) != (state.tier, state.gate)) {
            found.push((row.day.0, state.tier, state.gate));
        }
    }
    assert_eq!(found, expected);
}

use Tier::{AtRisk, Churned, Healthy, InsufficientEvidence, Onboarding, Stuck, Watch};

#[test]
fn the_first_evaluation_takes_the_band_of_its_score() {
    let first = |score: f64| Rows::default().add(1, score, &[]);
    check(&first(39.9), &[(0, AtRisk, None)]);
    check(&first(40.0), &[(0, Watch, None)]);
    check(&first(75.0), &[(0, Watch, None)]);
    check(&first(75.1), &[(0, Healthy, None)]);
}

#[test]
fn a_downgrade_by_the_score_needs_three_evaluations_in_a_row() {
    let healthy = || Rows::default().add(1, 80.0, &[]);
    check(&healthy().add(50, 67.0, &[]), &[(0, Healthy, None)]);
    check(&healthy().add(5, 66.9, &[]), &[(0, Healthy, None), (3, Watch, None)]);
    check(&healthy().add(2, 66.0, &[]).add(1, 67.0, &[]).add(2, 66.0, &[]), &[(0, Healthy, None)]);
    check(&healthy().add(3, 39.0, &[]), &[(0, Healthy, None), (3, AtRisk, None)]);
    // Below 67 for three days, below 40 for two of them, then for three.
    let falling = healthy().add(1, 60.0, &[]).add(3, 39.0, &[]);
    check(&falling, &[(0, Healthy, None), (3, Watch, None), (4, AtRisk, None)]);
    // The score must also hold with any week left out.
    check(&healthy().range(50, 60.0, [55.0, 67.0]), &[(0, Healthy, None)]);
    let narrow = healthy().range(3, 60.0, [55.0, 66.9]);
    check(&narrow, &[(0, Healthy, None), (3, Watch, None)]);
    // A range that lacks the score itself does not hide it.
    check(&healthy().range(50, 67.0, [50.0, 60.0]), &[(0, Healthy, None)]);
}

#[test]
fn an_upgrade_by_the_score_needs_fourteen_evaluations_in_a_row() {
    let watch = || Rows::default().add(1, 60.0, &[]);
    let at_risk = || Rows::default().add(1, 30.0, &[]);
    check(&watch().add(50, 75.0, &[]), &[(0, Watch, None)]);
    check(&watch().add(13, 75.1, &[]), &[(0, Watch, None)]);
    check(&watch().add(14, 75.1, &[]), &[(0, Watch, None), (14, Healthy, None)]);
    check(&watch().add(13, 80.0, &[]).add(1, 75.0, &[]).add(13, 80.0, &[]), &[(0, Watch, None)]);
    check(&at_risk().add(50, 48.0, &[]), &[(0, AtRisk, None)]);
    check(&at_risk().add(14, 48.1, &[]), &[(0, AtRisk, None), (14, Watch, None)]);
    check(&at_risk().add(14, 80.0, &[]), &[(0, AtRisk, None), (14, Healthy, None)]);
    check(&watch().range(50, 80.0, [75.0, 90.0]), &[(0, Watch, None)]);
    let narrow = watch().range(14, 80.0, [75.1, 90.0]);
    check(&narrow, &[(0, Watch, None), (14, Healthy, None)]);
}

#[test]
fn a_low_signal_limits_to_watch_after_seven_evaluations() {
    let healthy = || Rows::default().add(1, 90.0, &[]);
    for (condition, gate) in
        [(LowErrors, Gate::LowErrors), (LowGrowth, Gate::LowGrowth), (LowRevenue, Gate::LowRevenue)]
    {
        check(&healthy().add(6, 90.0, &[condition]), &[(0, Healthy, None)]);
        let low = healthy().add(7, 90.0, &[condition]);
        check(&low, &[(0, Healthy, None), (7, Watch, Some(gate))]);
    }
    let broken = healthy().add(6, 90.0, &[LowErrors]).add(1, 90.0, &[]).add(6, 90.0, &[LowErrors]);
    check(&broken, &[(0, Healthy, None)]);
    // One after the other is no run.
    let other = healthy().add(4, 90.0, &[LowErrors]).add(4, 90.0, &[LowGrowth]);
    check(&other, &[(0, Healthy, None)]);
    // It is the reason where the score says the same, and not where the score says worse.
    let equal = Rows::default().add(7, 60.0, &[LowErrors]);
    check(&equal, &[(0, Watch, None), (6, Watch, Some(Gate::LowErrors))]);
    let worse = Rows::default().add(7, 30.0, &[LowErrors]);
    check(&worse, &[(0, AtRisk, None)]);
    // It ends after 28 evaluations without the seven in a row.
    let ends = healthy().add(10, 90.0, &[LowErrors]).add(30, 90.0, &[]);
    check(&ends, &[(0, Healthy, None), (7, Watch, Some(Gate::LowErrors)), (38, Healthy, None)]);
    // Back to healthy it goes through the upper threshold.
    let between = healthy().add(10, 70.0, &[LowErrors]).add(30, 70.0, &[]);
    let watched = [(0, Healthy, None), (7, Watch, Some(Gate::LowErrors)), (38, Watch, None)];
    check(&between, &watched);
}

#[test]
fn two_low_signals_set_at_risk() {
    let healthy = || Rows::default().add(1, 90.0, &[]);
    let both = healthy().add(7, 90.0, &[LowErrors, LowRevenue]);
    check(&both, &[(0, Healthy, None), (7, AtRisk, Some(Gate::TwoLowSignals))]);
    let later = healthy().add(4, 90.0, &[LowErrors]).add(7, 90.0, &[LowErrors, LowGrowth]);
    let two = (11, AtRisk, Some(Gate::TwoLowSignals));
    check(&later, &[(0, Healthy, None), (7, Watch, Some(Gate::LowErrors)), two]);
    // One of them ends: fourteen evaluations later the other one decides.
    let one = both.add(20, 90.0, &[LowErrors]);
    let expected = [
        (0, Healthy, None),
        (7, AtRisk, Some(Gate::TwoLowSignals)),
        (21, Watch, Some(Gate::LowErrors)),
    ];
    check(&one, &expected);
}

#[test]
fn dead_and_silence_set_at_risk_at_once_until_fourteen_evaluations_without() {
    for (condition, gate) in [(Dead, Gate::Dead), (Silence, Gate::Silence)] {
        let healthy = || Rows::default().add(1, 90.0, &[]);
        let (first, set) = ((0, Healthy, None), (1, AtRisk, Some(gate)));
        let once = healthy().add(1, 90.0, &[condition]);
        check(&once.clone().add(13, 90.0, &[]), &[first, set]);
        check(&once.clone().add(14, 90.0, &[]), &[first, set, (15, Healthy, None)]);
        let twice = once.clone().add(10, 90.0, &[]).add(1, 90.0, &[condition]).add(14, 90.0, &[]);
        check(&twice, &[first, set, (26, Healthy, None)]);
        check(&once.add(14, 70.0, &[]), &[first, set, (15, Watch, None)]);
    }
    // Of several the one that says most is the reason.
    let all = Rows::default().add(1, 90.0, &[Collapse, BelowHalf, Silence, Dead]);
    check(&all, &[(0, AtRisk, Some(Gate::Dead))]);
    let two = Rows::default().add(1, 90.0, &[Collapse, BelowHalf, Silence]);
    check(&two, &[(0, AtRisk, Some(Gate::Silence))]);
}

#[test]
fn a_gate_does_not_end_at_risk_by_the_score() {
    let dead = [Dead];
    let low = || Rows::default().add(5, 35.0, &[]);
    // The score is between the two thresholds of at_risk, before the gate and after it.
    let disturbed = low().add(20, 44.0, &[]).add(3, 44.0, &dead).add(40, 44.0, &[]);
    let gate = Some(Gate::Dead);
    check(&disturbed, &[(0, AtRisk, None), (25, AtRisk, gate), (41, AtRisk, None)]);
    // It falls below 40 behind the gate only.
    let behind = Rows::default().add(5, 70.0, &[]).add(4, 35.0, &dead).add(40, 44.0, &[]);
    check(&behind, &[(0, Watch, None), (5, AtRisk, gate), (22, AtRisk, None)]);
    // It leaves at_risk behind the gate.
    let better = low().add(16, 50.0, &dead).add(40, 44.0, &[]);
    check(&better, &[(0, AtRisk, None), (5, AtRisk, gate), (34, Watch, None)]);
}

#[test]
fn a_collapse_ends_when_calls_are_half_of_their_level_or_after_ninety_days() {
    let healthy = || Rows::default().add(1, 90.0, &[]);
    let (first, set) = ((0, Healthy, None), (1, AtRisk, Some(Gate::Collapse)));
    // It recovers: fourteen evaluations without, then watch, then the upgrade.
    let recovered = healthy().add(10, 90.0, &[Collapse, BelowHalf]).add(40, 90.0, &[]);
    check(&recovered, &[first, set, (24, Watch, None), (37, Healthy, None)]);
    // It stays below half of its level.
    let half = healthy().add(10, 90.0, &[Collapse, BelowHalf]).add(140, 90.0, &[BelowHalf]);
    check(&half, &[first, set, (91, Watch, None), (104, Healthy, None)]);
    // Its condition holds on: a collapse begins anew only after fourteen evaluations without.
    let on = healthy().add(140, 90.0, &[Collapse, BelowHalf]);
    check(&on, &[first, set, (91, Watch, None), (104, Healthy, None)]);
    let short = on.clone().add(13, 90.0, &[]).add(9, 90.0, &[Collapse]);
    check(&short, &[first, set, (91, Watch, None), (104, Healthy, None)]);
    let again = on.add(14, 90.0, &[]).add(9, 90.0, &[Collapse]);
    let second = (155, AtRisk, Some(Gate::Collapse));
    check(&again, &[first, set, (91, Watch, None), (104, Healthy, None), second]);
    // A second fall on the way down begins a new time of ninety days.
    let twice = healthy()
        .add(10, 90.0, &[Collapse, BelowHalf])
        .add(40, 90.0, &[BelowHalf])
        .add(60, 90.0, &[Collapse, BelowHalf])
        .add(40, 90.0, &[BelowHalf]);
    check(&twice, &[first, set, (141, Watch, None)]);
    // By the score it stays at_risk.
    let low = healthy().add(10, 30.0, &[Collapse, BelowHalf]).add(20, 30.0, &[]);
    check(&low, &[first, set, (24, AtRisk, None)]);
}

#[test]
fn gone_revenue_limits_to_watch_at_once() {
    let gone = Rows::default().add(1, 90.0, &[]).add(30, 90.0, &[RevenueGone]).add(28, 90.0, &[]);
    let set = (1, Watch, Some(Gate::RevenueGone));
    check(&gone, &[(0, Healthy, None), set, (58, Healthy, None)]);
}

#[test]
fn a_forecast_counts_after_three_evaluations() {
    let healthy = || Rows::default().add(1, 90.0, &[]);
    check(&healthy().add(2, 90.0, &[ForecastWatch]), &[(0, Healthy, None)]);
    let watch = healthy().add(3, 90.0, &[ForecastWatch]);
    let set = (3, Watch, Some(Gate::ForecastWatch));
    check(&watch, &[(0, Healthy, None), set]);
    let worse =
        watch.add(3, 90.0, &[ForecastWatch, ForecastAtRisk]).add(20, 90.0, &[ForecastWatch]);
    let at_risk = (6, AtRisk, Some(Gate::ForecastAtRisk));
    let back = (20, Watch, Some(Gate::ForecastWatch));
    check(&worse, &[(0, Healthy, None), set, at_risk, back]);
}

#[test]
fn the_stage_stands_for_the_tier_of_a_partner_that_is_not_live() {
    let lived = Rows::default()
        .stage(3, Stage::Onboarding)
        .stage(2, Stage::Stuck)
        .add(2, None, &[])
        .add(2, 70.0, &[])
        .stage(3, Stage::Churned)
        .add(2, 76.0, &[]);
    let expected = [
        (0, Onboarding, None),
        (3, Stuck, None),
        (5, InsufficientEvidence, None),
        (7, Watch, None),
        (9, Churned, None),
        (12, Healthy, None),
    ];
    check(&lived, &expected);
    // Nothing is counted across a time in which it was not live.
    let parted = Rows::default().add(6, 90.0, &[LowErrors]).stage(1, Stage::Churned).add(
        6,
        90.0,
        &[LowErrors],
    );
    check(&parted, &[(0, Healthy, None), (6, Churned, None), (7, Healthy, None)]);
}

#[test]
fn with_insufficient_evidence_only_gates_of_at_risk_speak() {
    let watch = Rows::default().add(10, None, &[LowErrors, RevenueGone]);
    check(&watch, &[(0, InsufficientEvidence, None)]);
    let dead = Rows::default().add(1, None, &[Dead]).add(15, None, &[]);
    check(&dead, &[(0, AtRisk, Some(Gate::Dead)), (14, InsufficientEvidence, None)]);
    // The band starts anew after it, and so do its counts.
    let between = Rows::default().add(1, 90.0, &[]).add(1, None, &[]).add(13, 70.0, &[]);
    check(&between, &[(0, Healthy, None), (1, InsufficientEvidence, None), (2, Watch, None)]);
}

#[test]
fn a_day_without_a_row_is_no_evaluation() {
    let falling = Rows::default().add(1, 90.0, &[]).add(2, 60.0, &[]).gap(10);
    check(&falling, &[(0, Healthy, None)]);
    check(&falling.add(1, 60.0, &[]), &[(0, Healthy, None), (13, Watch, None)]);
    let held = Rows::default().add(1, 90.0, &[Dead]).add(12, 90.0, &[]).gap(30).add(2, 90.0, &[]);
    check(&held, &[(0, AtRisk, Some(Gate::Dead)), (44, Healthy, None)]);
    // The ninety days of a collapse are days.
    let gap =
        Rows::default().add(1, 90.0, &[Collapse, BelowHalf]).gap(89).add(1, 90.0, &[BelowHalf]);
    check(&gap, &[(0, AtRisk, Some(Gate::Collapse)), (90, Watch, None)]);
}

#[test]
fn a_tier_and_its_gate_have_their_own_first_day() {
    let rows = Rows::default().add(3, 30.0, &[]).add(2, 30.0, &[Collapse, BelowHalf]).add(
        2,
        30.0,
        &[Collapse, BelowHalf, Dead],
    );
    let micros = |day: i32| Day(day).start_micros();
    let since: Vec<(i64, Option<i64>)> =
        states(&rows.rows).iter().map(|state| (state.tier_since, state.gate_since)).collect();
    let none = (0, None);
    let (collapse, dead) = ((0, Some(micros(3))), (0, Some(micros(5))));
    assert_eq!(since, [none, none, none, collapse, collapse, dead, dead]);
}

#[test]
fn a_stored_tier_is_kept() {
    let mut rows = Rows::default().add(1, 70.0, &[]).add(2, 70.0, &[]).rows;
    let stored = StoredTier { tier: Healthy, gate: None, tier_since: -5 };
    rows[0].stored = Some(stored);
    let found = states(&rows);
    assert!(found.iter().all(|state| (state.tier, state.tier_since) == (Healthy, -5)));
    // The reason stored tells whether a collapse is in force on the first row.
    let mut rows = Rows::default().add(20, 90.0, &[Collapse, BelowHalf]).rows;
    rows[0].stored = Some(stored);
    assert!(states(&rows).iter().all(|state| state.tier == Healthy));
    let collapsed = StoredTier { tier: AtRisk, gate: Some(Gate::Collapse), tier_since: -5 };
    rows[0].stored = Some(collapsed);
    assert!(states(&rows).iter().all(|state| state.gate == Some(Gate::Collapse)));
}

/// Makes a history in which scores and conditions stay for random times, so that every count is
/// reached and missed.
fn random_history(random: &mut ChaCha8Rng, days: i32) -> Vec<DailyRow> {
    let mut rows = Rows::default();
    let (mut score, mut stage, mut gates) = (Some(70.0_f64), Stage::Live, GateConditions::NONE);
    while rows.next_day < days {
        if random.random_bool(0.15) {
            score = random.random_bool(0.97).then(|| random.random_range(25.0..95.0));
        }
        if random.random_bool(0.02) {
            stage = Stage::ALL[random.random_range(0..Stage::ALL.len())];
        } else if stage != Stage::Live && random.random_bool(0.1) {
            stage = Stage::Live;
        }
        if random.random_bool(0.12) {
            gates = GateConditions::NONE;
            for condition in Condition::ALL {
                if random.random_bool(0.12) {
                    gates.insert(condition);
                }
            }
        }
        let spread = random.random_range(0.0..4.0);
        let score_low = score.map(|score| score - spread);
        let score_high = score.map(|score| score + spread);
        rows = rows.repeat(1, DailyRow { stage, score, score_low, score_high, gates, ..live() });
        if random.random_bool(0.01) {
            rows = rows.gap(1);
        }
    }
    rows.rows
}

#[test]
fn a_run_a_day_finds_what_one_run_over_all_days_finds() {
    for seed in 0..60 {
        let mut rows = random_history(&mut ChaCha8Rng::seed_from_u64(seed), 420);
        let at_once = states(&rows);
        for today in 0..rows.len() {
            let first = rows.partition_point(|row| row.day < rows[today].day.plus(-HISTORY_DAYS));
            let state = states(&rows[first..=today]).last().copied().expect("a row of today");
            let key = |s: &TierState| (s.tier, s.gate, s.tier_since);
            let day = rows[today].day.0;
            assert_eq!(key(&state), key(&at_once[today]), "seed {seed}, day {day}");
            let TierState { tier, gate, tier_since, .. } = state;
            rows[today].stored = Some(StoredTier { tier, gate, tier_since });
        }
        assert_eq!(states(&rows).len(), at_once.len());
    }
}

#[test]
fn what_always_holds_of_a_fold() {
    for seed in 100..200 {
        let rows = random_history(&mut ChaCha8Rng::seed_from_u64(seed), 420);
        let found = states(&rows);
        for (at, (row, state)) in rows.iter().zip(&found).enumerate() {
            let is_live = row.stage == Stage::Live;
            assert!(state.tier_since <= row.day.start_micros());
            assert_eq!(state.gate.is_some(), state.gate_since.is_some());
            assert!(state.gate.is_none_or(|gate| is_live && gate.tier() == state.tier));
            for condition in [Dead, Silence] {
                assert!(!is_live || !row.gates.contains(condition) || state.tier == AtRisk);
            }
            let is_gone = is_live && row.score.is_some() && row.gates.contains(RevenueGone);
            assert!(!is_gone || state.tier != Healthy);
            // No tier without a gate gets worse by the score within three days of getting better.
            let worse = at > 2 && found[at - 1].tier == Healthy && state.tier == Watch;
            if worse && state.gate.is_none() {
                assert!(found[at - 3..at].iter().all(|before| before.tier == Healthy));
            }
        }
    }
}
