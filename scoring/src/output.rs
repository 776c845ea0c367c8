//! The output of a run: the frames of `partner_health` and `partner_signals`, and the last day's
//! partners.

use domain::Day;
use polars::prelude::{
    Column, DataFrame, Float64Chunked, IntoColumn, NamedFrom, PolarsResult, Series,
};

use crate::columns::{ColumnMath, Numbers};
use crate::evaluation::{Evaluation, SignalColumns};
use crate::frames::ScoreError;
use crate::gates::Gate;
use crate::policy::Policy;
use crate::risk::FeatureColumns;
use crate::score::ScoreInput;
use crate::score_history::ScoreHistory;
use crate::scored_partners::{ScoredPartners, ScoredRow};
use crate::sentences::Sentences;

/// Every partner's health on the evaluated days.
pub struct ScoreOutput {
    /// The columns of `partner_health` but `revision` and `scored_at`, by day and partner id;
    /// instants as Int64 µs.
    pub health: DataFrame,
    /// The partners of the last day, by id.
    pub partners: ScoredPartners,
    /// The score of each signal, with a row for each row of `health`.
    pub scores: Vec<(&'static str, Float64Chunked)>,
    /// What risk models look at, with a row for each row of `health`.
    pub risk_features: FeatureColumns,
}

impl ScoreOutput {
    /// Makes the output of evaluated rows.
    pub(crate) fn of(
        evaluation: Evaluation,
        rows: Vec<ScoredRow>,
        top_reasons: Sentences,
        input: &ScoreInput,
        policy: &Policy,
    ) -> Result<Self, ScoreError> {
        let health = health_frame(&evaluation, &rows, &top_reasons, input, policy)?;
        let of_signal = |signal: &SignalColumns| (signal.signal.name, signal.score.clone());
        let scores = evaluation.signals.iter().map(of_signal).collect();
        let risk_features = evaluation.risk_features.clone();
        let partners = ScoredPartners::of(evaluation, rows, top_reasons, &policy.version);
        Ok(Self { health, partners, scores, risk_features })
    }

    /// Makes the columns of `partner_signals` but `revision`, one signal after another: a row for
    /// each partner that has not churned and that the signal applies to. All of them at once are
    /// ten times the rows of `health`.
    pub fn signal_frames(&self) -> impl Iterator<Item = Result<DataFrame, ScoreError>> {
        self.partners.signals.iter().map(|signal| Ok(self.signal_frame(signal)?))
    }

    fn signal_frame(&self, signal: &SignalColumns) -> PolarsResult<DataFrame> {
        let (partners, rows) = (&self.partners, self.health.height());
        let shown = signal.applies.clone() & !&partners.is_churned;
        let n: Vec<i64> = signal.n.iter().map(Option::unwrap_or_default).collect();
        let columns = vec![
            self.health.column("as_of")?.clone(),
            named(Series::from(partners.keys.ids().clone()), "partner_id"),
            Column::new("signal".into(), vec![signal.signal.name; rows]),
            named(Series::from(signal.score.is_not_null()), "available"),
            numbers(&signal.value, "value"),
            numbers(&signal.score, "score"),
            numbers(&signal.reference, "reference"),
            numbers(&signal.contribution, "contribution"),
            numbers(&signal.weight, "weight"),
            Column::new("n".into(), n),
            signal.reasons.to_column("reason")?,
        ];
        DataFrame::new(rows, columns)?.filter(&shown)
    }

    /// Adds the scores to the history of later days.
    ///
    /// # Errors
    /// Polars' checks, which pass.
    pub fn add_to(&self, history: &mut ScoreHistory) -> Result<(), ScoreError> {
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
            "gates_met",
        ];
        for name in kept {
            columns.push(self.health.column(name)?.clone());
        }
        history.add(DataFrame::new(self.health.height(), columns)?)
    }
}

/// Makes a column from one value of each row.
fn column<'a, R, T>(rows: &'a [R], name: &str, of: impl Fn(&'a R) -> T) -> Column
where
    Series: NamedFrom<Vec<T>, [T]>,
{
    Column::new(name.into(), rows.iter().map(of).collect::<Vec<T>>())
}

fn named(series: Series, name: &str) -> Column {
    series.with_name(name.into()).into_column()
}

fn numbers(column: &Numbers, name: &str) -> Column {
    named(Series::from(column.clone()), name)
}

/// Makes the frame of `partner_health`, its columns in the order of the table.
fn health_frame(
    evaluation: &Evaluation,
    rows: &[ScoredRow],
    top_reasons: &Sentences,
    input: &ScoreInput,
    policy: &Policy,
) -> PolarsResult<DataFrame> {
    let (weighted, partners) = (&evaluation.weighted, &evaluation.partners);
    let is_scored = evaluation.score.is(|_| true);
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
        top_reasons.to_column("top_reason")?,
        column(rows, "policy_version", |_| policy.version.as_str()),
        column(rows, "computed_tier", |r| r.computed_tier.name()),
        column(rows, "override_until", |r| r.override_until),
    ];
    DataFrame::new(rows.len(), health)
}
