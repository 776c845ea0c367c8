//! The split of a change of the score between two days into what caused it.
//!
//! The causes are replaced one after another, those of the earlier day by those of the later one:
//! the partner's own data, then coverage and cap, then its peers, then the model of dormancy, then
//! the policy. Each part is the change of the score at its step, so that the parts add up exactly.
//! Where a partner has no score in between, the change counts for the next step that has one.
//!
//! What the queries themselves take from other partners, calm days and the usual error rates of
//! alarms, counts as the partner's own data.

use std::collections::BTreeMap;

use domain::{Day, SignalName, Stage};
use polars::prelude::{ChunkCompareEq, DataFrame};

use crate::evaluation::{Evaluation, EvaluationInput, SignalColumns, evaluate, evaluate_beside};
use crate::frames::{InputFrame, ScoreError};
use crate::peers::Peers;
use crate::policy::Policy;

/// What all partners of one day are evaluated from.
pub struct DayInput {
    pub day: Day,
    /// Its frames have rows of this day alone.
    pub evaluation: EvaluationInput,
    pub policy: Policy,
}

/// A change of the score in its parts, in points.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreChange {
    pub then: f64,
    pub now: f64,
    /// The scores of the signals that were available then, its peers, the model and the policy held.
    pub own_data: f64,
    /// Which signals are available and how much they weigh, and the cap that follows.
    pub coverage: f64,
    pub peers: f64,
    pub model: f64,
    pub policy: f64,
    /// What the signals that were available then add to `own_data`, in their order. They add up to
    /// it unless the cap limits the score.
    pub signals: Vec<SignalChange>,
}

/// What the own data of one signal changed.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalChange {
    pub signal: SignalName,
    pub score_then: f64,
    pub score_now: f64,
    /// w · (score now − score then) / Σ w.
    pub points: f64,
}

/// Why a partner has no score on a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unscored {
    /// The partner was not known.
    Unknown,
    /// It was not live, or had churned.
    Stage(Stage),
    /// It was live, for too short a time or with too little evidence.
    TooLittleEvidence,
}

/// The split of a change, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub enum ScoreSplit {
    Split(ScoreChange),
    /// On at least one of the days there is no score to compare.
    Unscored {
        then: Option<Unscored>,
        now: Option<Unscored>,
    },
}

/// Splits the change of a partner's score between two days.
///
/// # Errors
/// Names the frame and the column that is missing, of another type or null.
pub fn split_change(
    then: &DayInput,
    now: &DayInput,
    partner_id: &str,
) -> Result<ScoreSplit, ScoreError> {
    let last = evaluate(&now.evaluation, &now.policy)?;
    let first = Overlaid::evaluate(then, now, partner_id)?;
    let scores = [first.score_then(), score_of(&last, row_of(&last, now.day, partner_id))];
    let [Ok(score_then), Ok(score_now)] = scores else {
        let [then, now] = scores.map(Result::err);
        return Ok(ScoreSplit::Unscored { then, now });
    };
    let (signals, own) = first.own_data();
    let with_peers = |dormancy: &DayInput, policy: &Policy| -> Result<Option<f64>, ScoreError> {
        let input = EvaluationInput {
            frames: now.evaluation.frames.clone(),
            held_back: now.evaluation.held_back.clone(),
            dormancy: dormancy.evaluation.dormancy.clone(),
            risk: None,
        };
        let evaluation = evaluate(&input, policy)?;
        Ok(score_of(&evaluation, row_of(&evaluation, now.day, partner_id)).ok())
    };
    let steps = [
        own,
        first.score_now(),
        with_peers(then, &then.policy)?,
        with_peers(now, &then.policy)?,
        Some(score_now),
    ];
    let mut before = score_then;
    let [own_data, coverage, peers, model, policy] = steps.map(|score| {
        let after = score.unwrap_or(before);
        let part = after - before;
        before = after;
        part
    });
    Ok(ScoreSplit::Split(ScoreChange {
        then: score_then,
        now: score_now,
        own_data,
        coverage,
        peers,
        model,
        policy,
        signals,
    }))
}

/// All partners of the earlier day, and one of the later day beside the peers of the earlier one.
struct Overlaid {
    evaluation: Evaluation,
    /// The rows of the partner.
    then: Option<usize>,
    now: Option<usize>,
}

impl Overlaid {
    fn evaluate(then: &DayInput, now: &DayInput, partner_id: &str) -> Result<Self, ScoreError> {
        let mut frames: BTreeMap<String, DataFrame> = then.evaluation.frames.clone();
        for (name, frame) in &mut frames {
            let Some(later) = now.evaluation.frames.get(name) else { continue };
            frame.vstack_mut(&of_partner(name, later, partner_id)?)?;
        }
        let input = EvaluationInput {
            frames,
            held_back: then.evaluation.held_back.clone(),
            dormancy: then.evaluation.dormancy.clone(),
            risk: None,
        };
        let (mut row_then, mut row_now) = (None, None);
        let evaluation = evaluate_beside(&input, &then.policy, |partners| {
            let row_on = |day| partners.keys.iter().position(|key| key == (day, partner_id));
            (row_then, row_now) = (row_on(then.day), row_on(now.day));
            let peers = Peers::of(partners.keys.days(), &partners.segment);
            match row_now.zip(row_then) {
                Some((row, as_row)) => peers.comparing(row, as_row),
                None => peers,
            }
        })?;
        Ok(Self { evaluation, then: row_then, now: row_now })
    }

    fn score_then(&self) -> Result<f64, Unscored> {
        score_of(&self.evaluation, self.then)
    }

    fn score_now(&self) -> Option<f64> {
        score_of(&self.evaluation, self.now).ok()
    }

    /// Returns what the own data of each signal that was available then changes, and the score with
    /// these changes. Weights and cap are those of then. A signal that is not available any more
    /// keeps its score.
    fn own_data(&self) -> (Vec<SignalChange>, Option<f64>) {
        let Some((then, now)) = self.then.zip(self.now) else { return (Vec::new(), None) };
        let weighted = &self.evaluation.weighted;
        let known = weighted.mean.get(then).zip(weighted.weight.get(then));
        let Some(((mean, total), cap)) = known.zip(weighted.cap.get(then)) else {
            return (Vec::new(), None);
        };
        let change = |signal: &SignalColumns| {
            let score_then = signal.score.get(then)?;
            let score_now = signal.score.get(now).unwrap_or(score_then);
            let weight = signal.weight.get(then)? / total;
            Some(SignalChange {
                signal: SignalName::new(signal.signal.name),
                score_then,
                score_now,
                points: weight * (score_now - score_then),
            })
        };
        let signals: Vec<SignalChange> =
            self.evaluation.signals.iter().filter_map(change).collect();
        let moved = mean + signals.iter().map(|signal| signal.points).sum::<f64>();
        (signals, Some(moved.min(cap)))
    }
}

fn of_partner(name: &str, frame: &DataFrame, partner_id: &str) -> Result<DataFrame, ScoreError> {
    let rows = InputFrame::new(name, frame.clone()).str("partner_id")?.equal(partner_id);
    Ok(frame.filter(&rows)?)
}

fn row_of(evaluation: &Evaluation, day: Day, partner_id: &str) -> Option<usize> {
    evaluation.partners.keys.iter().position(|key| key == (day, partner_id))
}

fn score_of(evaluation: &Evaluation, row: Option<usize>) -> Result<f64, Unscored> {
    let row = row.ok_or(Unscored::Unknown)?;
    let stage = evaluation.partners.lifecycles.get(row).map(|lifecycle| lifecycle.stage);
    match (evaluation.score.get(row), stage) {
        (Some(score), _) => Ok(score),
        (None, Some(Stage::Live)) => Err(Unscored::TooLittleEvidence),
        (None, Some(stage)) => Err(Unscored::Stage(stage)),
        (None, None) => Err(Unscored::Unknown),
    }
}
