//! The output of a run: frames of `partner_health` and `partner_signals`, and the last day's
//! partners as structs.

use domain::{AsOf, Day, SignalName, Stage, Tier};
use polars::prelude::{
    Column, DataFrame, Float64Chunked, IntoColumn, NamedFrom, PolarsResult, Series,
};

use crate::columns::ColumnMath;
use crate::evaluation::{Evaluation, SignalColumns};
use crate::frames::ScoreError;
use crate::gates::Gate;
use crate::lifecycle::OnboardingStep;
use crate::policy::Policy;
use crate::risk::FeatureColumns;
use crate::score::ScoreInput;

/// Every partner's health on the evaluated days.
#[derive(Debug, Clone)]
pub struct ScoreOutput {
    /// The columns of `partner_health` but `revision` and `scored_at`, by day and partner id;
    /// instants as Int64 µs.
    pub health: DataFrame,
    /// The columns of `partner_signals` but `revision`: a row for each signal that applies.
    pub signals: DataFrame,
    /// The partners of the last day, by id.
    pub partners: Vec<PartnerScore>,
    /// The score of each signal, with a row for each row of `health`.
    pub scores: Vec<(&'static str, Float64Chunked)>,
    /// What risk models look at, with a row for each row of `health`.
    pub risk_features: FeatureColumns,
}

impl ScoreOutput {
    /// Returns the scores as the history of later days, [`crate::ScoreInput::history`].
    ///
    /// # Errors
    /// Polars' checks, which pass.
    pub fn history(&self) -> Result<DataFrame, ScoreError> {
        let as_of = self.health.column("as_of")?.as_materialized_series().i64()?;
        let days: Vec<Option<i32>> =
            as_of.iter().map(|micros| micros.map(|at| Day::of_micros(at).0)).collect();
        let mut columns = vec![Column::new("day".into(), days)];
        let kept = [
            "partner_id",
            "stage",
            "computed_tier",
            "tier_since",
            "gate",
            "score",
            "score_low",
            "score_high",
            "coverage",
            "gates_met",
        ];
        for name in kept {
            columns.push(self.health.column(name)?.clone());
        }
        Ok(DataFrame::new(self.health.height(), columns)?)
    }
}

/// One partner on the last evaluated day.
#[derive(Debug, Clone, PartialEq)]
pub struct PartnerScore {
    pub as_of: AsOf,
    pub partner_id: String,
    pub stage: Stage,
    /// Before go-live the step of onboarding, as in `stuck_partners`: never_called, failing,
    /// sandbox.
    pub onboarding_step: Option<OnboardingStep>,
    /// With an override the tier that a person set.
    pub tier: Tier,
    /// Since when the computed tier holds, in µs.
    pub tier_since: Option<i64>,
    /// The gate that decides the tier.
    pub gate: Option<Gate>,
    /// 0–100; of a churned partner, that of the day before it churned.
    pub score: Option<f64>,
    /// The weighted mean before the cap for partial coverage: reference + Σ contributions.
    pub mean: Option<f64>,
    /// The weighted mean of the references of the signals measured, Σ wᵢ·referenceᵢ / Σ wᵢ.
    pub reference: Option<f64>,
    /// 0–1, over the signals that apply.
    pub coverage: f64,
    /// The greatest score that this coverage allows.
    pub cap: Option<f64>,
    /// The probability that the partner leaves.
    pub risk: Option<f64>,
    /// Share of all gross, 0–1.
    pub impact_share: Option<f64>,
    pub impact_rank: Option<i64>,
    pub top_reason: String,
    pub policy_version: String,
    /// The tier without overrides.
    pub computed_tier: Tier,
    /// When the override of the tier ends, in µs.
    pub override_until: Option<i64>,
    /// In their order; none for a churned partner.
    pub signals: Vec<SignalScore>,
}

/// What one signal says of a partner, and what it adds to the score.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalScore {
    pub signal: SignalName,
    /// The weight of the policy, as far as it counts for this partner.
    pub weight: f64,
    /// The signal applies to this partner.
    pub applicable: bool,
    pub value: Option<f64>,
    /// 0–100.
    pub score: Option<f64>,
    /// The median score in the segment, shrunk to that of all, shown as "usual".
    pub reference: Option<f64>,
    /// weight × (score − reference) / Σ weights. The contributions add up to `mean` − `reference`
    /// of the partner. `None` without a score.
    pub contribution: Option<f64>,
    /// How many observations the value rests on.
    pub n: i64,
    /// The value as a sentence, or why it is missing.
    pub reason: Option<String>,
}

impl PartnerScore {
    pub fn signal(&self, name: &str) -> Option<&SignalScore> {
        self.signals.iter().find(|s| s.signal.as_str() == name)
    }
}

/// What is decided of a row after its evaluation.
pub(crate) struct ScoredRow {
    pub day: Day,
    pub stage: Stage,
    pub step: Option<OnboardingStep>,
    pub tier: Tier,
    pub tier_since: Option<i64>,
    pub gate: Option<Gate>,
    pub score: Option<f64>,
    pub computed_tier: Tier,
    pub override_until: Option<i64>,
    pub top_reason: String,
}

/// Makes a column from one value of each row.
fn column<'a, R, T>(rows: &'a [R], name: &str, of: impl Fn(&'a R) -> T) -> Column
where
    Series: NamedFrom<Vec<T>, [T]>,
{
    Column::new(name.into(), rows.iter().map(of).collect::<Vec<T>>())
}

/// Makes the frames of `partner_health` and `partner_signals`, their columns in the order of the
/// tables.
pub(crate) fn score_frames(
    evaluation: &Evaluation,
    rows: &[ScoredRow],
    input: &ScoreInput,
    policy: &Policy,
) -> PolarsResult<(DataFrame, DataFrame)> {
    let named = |series: Series, name: &str| series.with_name(name.into()).into_column();
    let (weighted, partners) = (&evaluation.weighted, &evaluation.partners);
    let is_scored = evaluation.score.is(|_| true);
    let numbers =
        |column: &crate::columns::Numbers, name: &str| named(Series::from(column.clone()), name);
    let risk_model = |risk: Option<f64>| risk.map(|_| input.risk_model.as_str());
    let risk_models: Vec<Option<&str>> = evaluation.risk.iter().map(risk_model).collect();
    let met: Vec<Option<String>> = evaluation.gates.iter().map(|met| met.to_column()).collect();
    let health = vec![
        column(rows, "as_of", |r| r.day.start_micros()),
        named(Series::from(partners.keys.ids().clone()), "partner_id"),
        column(rows, "stage", |r| r.stage.name()),
        column(rows, "tier", |r| r.tier.name()),
        column(rows, "tier_since", |r| r.tier_since),
        column(rows, "gate", |r| r.gate.map(Gate::name)),
        column(rows, "score", |r| r.score),
        numbers(&weighted.low.only_where(&is_scored), "score_low"),
        numbers(&weighted.high.only_where(&is_scored), "score_high"),
        numbers(&weighted.coverage, "coverage"),
        numbers(&weighted.cap.only_where(&is_scored), "cap"),
        Column::new("gates_met".into(), met),
        numbers(&evaluation.risk, "risk"),
        Column::new("risk_model".into(), risk_models),
        numbers(&evaluation.impact_share, "impact_share"),
        named(Series::from(evaluation.impact_rank.clone()), "impact_rank"),
        column(rows, "top_reason", |r| r.top_reason.as_str()),
        column(rows, "policy_version", |_| policy.version.as_str()),
        column(rows, "computed_tier", |r| r.computed_tier.name()),
        column(rows, "override_until", |r| r.override_until),
    ];
    let health = DataFrame::new(rows.len(), health)?;
    let mut signals = DataFrame::empty();
    for signal in &evaluation.signals {
        let of_signal = signal_frame(evaluation, signal, health.column("as_of")?)?;
        match signals.width() {
            0 => signals = of_signal,
            _ => drop(signals.vstack_mut(&of_signal)?),
        }
    }
    Ok((health, signals))
}

/// Makes the rows of one signal: those of the partners that have not churned and that it applies to.
fn signal_frame(
    evaluation: &Evaluation,
    signal: &SignalColumns,
    as_of: &Column,
) -> PolarsResult<DataFrame> {
    let rows = evaluation.partners.len();
    let named = |series: Series, name: &str| series.with_name(name.into()).into_column();
    let shown = signal.applies.clone() & !&evaluation.partners.is_churned;
    let n: Vec<i64> = signal.n.iter().map(Option::unwrap_or_default).collect();
    let available = signal.score.is(|_| true);
    let columns = vec![
        as_of.clone(),
        named(Series::from(evaluation.partners.keys.ids().clone()), "partner_id"),
        Column::new("signal".into(), vec![signal.signal.name; rows]),
        named(Series::from(available.clone()), "available"),
        named(Series::from(signal.value.clone()), "value"),
        named(Series::from(signal.score.clone()), "score"),
        named(Series::from(signal.reference.only_where(&available)), "reference"),
        named(Series::from(signal.contribution.clone()), "contribution"),
        named(Series::from(signal.weight.clone()), "weight"),
        Column::new("n".into(), n),
        Column::new("reason".into(), signal.reasons.as_slice()),
    ];
    DataFrame::new(rows, columns)?.filter(&shown)
}

/// Returns the partners of the last day.
pub(crate) fn partner_scores(
    evaluation: &Evaluation,
    rows: &[ScoredRow],
    policy: &Policy,
) -> Vec<PartnerScore> {
    let Some(last) = rows.iter().map(|row| row.day).max() else { return Vec::new() };
    let weighted = &evaluation.weighted;
    let mut partners = Vec::new();
    for (row, ((_, id), scored)) in evaluation.partners.keys.iter().zip(rows).enumerate() {
        if scored.day != last {
            continue;
        }
        let is_explained = evaluation.score.get(row).is_some();
        partners.push(PartnerScore {
            as_of: AsOf::of_day(last),
            partner_id: id.to_owned(),
            stage: scored.stage,
            onboarding_step: scored.step,
            tier: scored.tier,
            tier_since: scored.tier_since,
            gate: scored.gate,
            score: scored.score,
            mean: weighted.mean.get(row).filter(|_| is_explained),
            reference: evaluation.reference.get(row),
            coverage: weighted.coverage.get(row).unwrap_or_default(),
            cap: weighted.cap.get(row).filter(|_| is_explained),
            risk: evaluation.risk.get(row),
            impact_share: evaluation.impact_share.get(row),
            impact_rank: evaluation.impact_rank.get(row),
            top_reason: scored.top_reason.clone(),
            policy_version: policy.version.clone(),
            computed_tier: scored.computed_tier,
            override_until: scored.override_until,
            signals: match scored.stage {
                Stage::Churned => Vec::new(),
                _ => signal_scores(evaluation, row),
            },
        });
    }
    partners
}

fn signal_scores(evaluation: &Evaluation, row: usize) -> Vec<SignalScore> {
    let of_row = |signal: &SignalColumns| {
        let score = signal.score.get(row);
        SignalScore {
            signal: SignalName::new(signal.signal.name),
            weight: signal.weight.get(row).unwrap_or_default(),
            applicable: signal.applies.get(row) == Some(true),
            value: signal.value.get(row),
            score,
            reference: score.and_then(|_| signal.reference.get(row)),
            contribution: signal.contribution.get(row),
            n: signal.n.get(row).unwrap_or_default(),
            reason: signal.reasons.get(row).cloned().flatten(),
        }
    };
    evaluation.signals.iter().map(of_row).collect()
}
