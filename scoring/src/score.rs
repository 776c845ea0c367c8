//! A run: evaluated days, and the tiers that follow from them and from the days before.

use std::collections::HashMap;

use domain::{Day, Stage, Tier};
use polars::prelude::{DataFrame, NamedFrom, Series};

use crate::evaluation::{Evaluation, EvaluationInput, evaluate};
use crate::frames::{InputFrame, ScoreError};
use crate::gates::{Gate, GateConditions};
use crate::output::ScoreOutput;
use crate::policy::Policy;
use crate::scored_partners::ScoredRow;
use crate::tier::{DailyRow, StoredTier, TierState, fold};
use crate::top_reason::top_reason;

/// What a run scores.
pub struct ScoreInput {
    pub evaluation: EvaluationInput,
    /// The newest scores of the days before, as far back as tiers look, ordered by day and partner
    /// id: day, `partner_id`, stage, `computed_tier`, `tier_since`?, gate?, score?, `score_low`?,
    /// `score_high`?, coverage, `gates_met`?; "?" marks columns that may be null.
    pub history: DataFrame,
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
    let history = InputFrame::new("history", input.history.clone());
    let tiers = tiers(evaluation, &history, policy)?;
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

/// A partner on a day of its history or of the run.
struct PartnerDay<'a> {
    id: &'a str,
    daily: DailyRow,
    /// The row of the run; `None` for a stored day.
    row: Option<usize>,
}

/// Returns for each row the tier, and the score, which of a churned partner is that of the day
/// before it churned.
fn tiers(
    evaluation: &Evaluation,
    history: &InputFrame,
    policy: &Policy,
) -> Result<Vec<(TierState, Option<f64>)>, ScoreError> {
    let mut daily_rows: Vec<PartnerDay<'_>> = Vec::with_capacity(evaluation.partners.len());
    for (id, daily) in stored_rows(history)? {
        daily_rows.push(PartnerDay { id, daily, row: None });
    }
    let weighted = &evaluation.weighted;
    for (row, (day, id)) in evaluation.partners.keys.iter().enumerate() {
        let score = evaluation.score.get(row);
        let daily = DailyRow {
            day,
            stage: evaluation.partners.lifecycles[row].stage,
            score,
            score_low: score.and_then(|_| weighted.low.get(row)),
            score_high: score.and_then(|_| weighted.high.get(row)),
            gates: evaluation.gates[row],
            stored: None,
        };
        daily_rows.push(PartnerDay { id, daily, row: Some(row) });
    }
    // The sort is stable: the days of a partner stay in their order.
    daily_rows.sort_by_key(|day| day.id);
    let none =
        TierState { tier: Tier::InsufficientEvidence, tier_since: 0, gate: None, gate_since: None };
    let mut tiers = vec![(none, None); evaluation.partners.len()];
    for days in daily_rows.chunk_by(|a, b| a.id == b.id) {
        let daily: Vec<DailyRow> = days.iter().map(|day| day.daily).collect();
        let mut last_score = None;
        for (state, day) in fold(&daily, &policy.tiers, &policy.gates).into_iter().zip(days) {
            // Of a churned partner a stored score is the frozen one.
            if day.daily.stage != Stage::Churned || day.row.is_none() {
                last_score = day.daily.score;
            }
            if let Some(row) = day.row {
                tiers[row] = (state, last_score);
            }
        }
    }
    Ok(tiers)
}

/// Reads the stored days. A row of a partner, a tier or a gate whose name is unknown is an error of
/// the lake; it counts as not stored.
fn stored_rows(history: &InputFrame) -> Result<Vec<(&str, DailyRow)>, ScoreError> {
    let (days, ids) = (history.i32("day")?, history.str("partner_id")?);
    let (stages, tiers) = (history.str("stage")?, history.str("computed_tier")?);
    let (since, gates) = (history.i64("tier_since")?, history.str("gate")?);
    let [score, low, high] =
        [history.f64("score")?, history.f64("score_low")?, history.f64("score_high")?];
    let met = history.str("gates_met")?;
    let mut rows = Vec::with_capacity(ids.len());
    let mut last_day = None;
    for row in 0..ids.len() {
        let day = history.required("day", row, days.get(row))?;
        if last_day.is_some_and(|last| last > day) {
            return Err(ScoreError::Unordered { frame: history.name.clone(), row });
        }
        last_day = Some(day);
        let Some(stage) = stages.get(row).and_then(|name| name.parse::<Stage>().ok()) else {
            continue;
        };
        let tier = tiers.get(row).and_then(|name| name.parse::<Tier>().ok());
        let gate = gates.get(row).and_then(|name| name.parse::<Gate>().ok());
        let start = Day(day).start_micros();
        let daily = DailyRow {
            day: Day(day),
            stage,
            score: score.get(row),
            score_low: low.get(row),
            score_high: high.get(row),
            gates: GateConditions::from_column(met.get(row)).unwrap_or(GateConditions::NONE),
            stored: tier.map(|tier| StoredTier {
                tier,
                gate,
                tier_since: since.get(row).unwrap_or(start),
            }),
        };
        rows.push((history.required("partner_id", row, ids.get(row))?, daily));
    }
    Ok(rows)
}

/// Makes a history without rows, for a lake that was never scored.
///
/// # Errors
/// Polars' checks, which pass.
pub fn empty_history() -> Result<DataFrame, ScoreError> {
    let text = |name: &str| Series::new(name.into(), Vec::<String>::new()).into();
    let number = |name: &str| Series::new(name.into(), Vec::<f64>::new()).into();
    let columns = vec![
        Series::new("day".into(), Vec::<i32>::new()).into(),
        text("partner_id"),
        text("stage"),
        text("computed_tier"),
        Series::new("tier_since".into(), Vec::<i64>::new()).into(),
        text("gate"),
        number("score"),
        number("score_low"),
        number("score_high"),
        number("coverage"),
        text("gates_met"),
    ];
    Ok(DataFrame::new(0, columns)?)
}
