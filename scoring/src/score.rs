//! A run: evaluated days, and the tiers that follow from them and from the days before.

use std::collections::HashMap;

use domain::{Day, Stage, Tier};
use polars::prelude::DataFrame;

use crate::evaluation::{Evaluation, EvaluationInput, evaluate};
use crate::frames::{InputFrame, ScoreError};
use crate::output::ScoreOutput;
use crate::policy::Policy;
use crate::score_history::ScoreHistory;
use crate::scored_partners::ScoredRow;
use crate::tier::{DailyRow, TierState, fold};
use crate::top_reason::top_reason;

/// What a run scores.
pub struct ScoreInput {
    pub evaluation: EvaluationInput,
    /// The newest scores of the days before, as far back as tiers look.
    pub history: ScoreHistory,
    /// The tiers that persons set, a row each: `partner_id`, tier, at, end, the last two in µs.
    pub overrides: DataFrame,
    /// A day, and the time by the clock, µs. That day shows the overrides that are in force by the
    /// clock, every other one those at its end.
    pub clock: Option<(Day, i64)>,
    /// What the risk is computed by, in words.
    pub risk_model: String,
}

/// Scores every partner on every day of the input.
///
/// # Errors
/// Names the frame and the column that is missing, of another type or null.
pub fn score(input: &ScoreInput, policy: &Policy) -> Result<ScoreOutput, ScoreError> {
    let evaluation = evaluate(&input.evaluation, policy)?;
    let rows = scored_rows(&evaluation, input, policy)?;
    let reason_of = |(row, scored): (usize, &ScoredRow)| {
        let tier = (scored.computed_tier, scored.gate);
        top_reason(&evaluation, row, tier, scored.day, policy).map(Some)
    };
    let top_reasons = rows.iter().enumerate().map(reason_of).collect::<Result<_, _>>()?;
    ScoreOutput::of(evaluation, rows, top_reasons, input, policy)
}

/// Decides what follows from the evaluation of each row.
fn scored_rows(
    evaluation: &Evaluation,
    input: &ScoreInput,
    policy: &Policy,
) -> Result<Vec<ScoredRow>, ScoreError> {
    let overrides = overrides(&InputFrame::new("overrides", input.overrides.clone()))?;
    let tiers = tiers(evaluation, &input.history, policy);
    let mut rows = Vec::with_capacity(evaluation.partners.len());
    for (row, (day, id)) in evaluation.partners.keys.iter().enumerate() {
        let (state, score) = tiers[row];
        let lifecycle = &evaluation.partners.lifecycles[row];
        let is_live = lifecycle.stage == Stage::Live;
        let set = overrides.get(id).filter(|_| is_live).and_then(|spells| {
            let clock = input.clock.filter(|(today, _)| *today == day);
            let at = clock.map_or(day.plus(1).start_micros() - 1, |(_, now)| now);
            spells.iter().rev().find(|spell| spell.holds(at))
        });
        rows.push(ScoredRow {
            day,
            stage: lifecycle.stage,
            step: lifecycle.step,
            tier: set.map_or(state.tier, |spell| spell.tier),
            tier_since: match lifecycle.stage {
                Stage::Live => Some(state.tier_since),
                _ => lifecycle.since,
            },
            gate: state.gate,
            score,
            computed_tier: state.tier,
            override_until: set.map(|spell| spell.end),
        });
    }
    Ok(rows)
}

/// A tier that a person set, from when to when, µs.
struct OverrideSpell {
    tier: Tier,
    at: i64,
    end: i64,
}

impl OverrideSpell {
    fn holds(&self, at: i64) -> bool {
        (self.at..self.end).contains(&at)
    }
}

/// Returns the overrides by partner, in the order in which they were set.
fn overrides(frame: &InputFrame) -> Result<HashMap<String, Vec<OverrideSpell>>, ScoreError> {
    let (ids, tiers) = (frame.str("partner_id")?, frame.str("tier")?);
    let (starts, ends) = (frame.i64("at")?, frame.i64("end")?);
    let mut spells: HashMap<String, Vec<OverrideSpell>> = HashMap::new();
    for (row, id) in ids.iter().enumerate() {
        let tier = tiers.get(row).and_then(|tier| tier.parse().ok());
        let known = id.zip(tier).zip(starts.get(row).zip(ends.get(row)));
        let Some(((id, tier), (at, end))) = known else { continue };
        spells.entry(id.to_owned()).or_default().push(OverrideSpell { tier, at, end });
    }
    spells.values_mut().for_each(|spells| spells.sort_by_key(|spell| spell.at));
    Ok(spells)
}

/// Returns for each row the tier, and the score, which of a churned partner is that of the day
/// before it churned.
fn tiers(
    evaluation: &Evaluation,
    history: &ScoreHistory,
    policy: &Policy,
) -> Vec<(TierState, Option<f64>)> {
    let keys = &evaluation.partners.keys;
    let mut numbers = history.partners().clone();
    let mut rows: Vec<(u32, usize)> =
        keys.iter().enumerate().map(|(row, (_, id))| (numbers.of(id), row)).collect();
    // The rows are ordered by day, and stay so for each partner.
    rows.sort_unstable();
    let none =
        TierState { tier: Tier::InsufficientEvidence, tier_since: 0, gate: None, gate_since: None };
    let mut tiers = vec![(none, None); keys.len()];
    let mut stored_days = history.by_partner();
    let mut daily = Vec::new();
    for of_partner in rows.chunk_by(|a, b| a.0 == b.0) {
        daily.clear();
        stored_days.read(of_partner[0].0, &mut daily);
        let stored = daily.len();
        daily.extend(of_partner.iter().filter_map(|(_, row)| daily_row(evaluation, *row)));
        let mut last_score = daily[..stored].last().and_then(|row| row.score);
        let states = fold(&daily, &policy.tiers, &policy.gates).into_iter().zip(&daily);
        for ((state, of_day), (_, row)) in states.skip(stored).zip(of_partner) {
            // Of a churned partner a stored score is the frozen one.
            if of_day.stage != Stage::Churned {
                last_score = of_day.score;
            }
            tiers[*row] = (state, last_score);
        }
    }
    tiers
}

/// Returns the evaluation of a row as tiers fold over it.
fn daily_row(evaluation: &Evaluation, row: usize) -> Option<DailyRow> {
    let (day, _) = evaluation.partners.keys.get(row)?;
    let score = evaluation.score.get(row);
    Some(DailyRow {
        day,
        stage: evaluation.partners.lifecycles[row].stage,
        score,
        score_low: score.and_then(|_| evaluation.weighted.low.get(row)),
        score_high: score.and_then(|_| evaluation.weighted.high.get(row)),
        gates: evaluation.gates[row],
        stored: None,
    })
}
