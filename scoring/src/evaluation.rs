//! An evaluation: frames of inputs → signals → weighted score, with what is usual beside each
//! signal. It is pure, and works on columns with a row for each partner and day.

use std::collections::{BTreeMap, BTreeSet};

use domain::SignalName;
use polars::prelude::{BooleanChunked, ChunkFullNull, DataFrame, Int64Chunked};

use crate::columns::{ColumnMath, Numbers, constant, everywhere};
use crate::dormancy::DormancyModel;
use crate::frames::{InputFrame, Keys, ScoreError};
use crate::gates::{GateConditions, GateInput, gate_conditions};
use crate::partner_columns::PartnerColumns;
use crate::peers::Peers;
use crate::policy::Policy;
use crate::risk::{FeatureColumns, RiskModel};
use crate::sentences::Sentences;
use crate::signals::{Measured, RegisteredSignal, SIGNALS, SignalInput, candidates, queries_of};
use crate::weighted_score::{WEEKS, WeighedSignal, WeightedScore, weighted_score};

/// The query with a row for each partner and day.
pub const PARTNERS: &str = "scoring_partner";
/// The query with the rhythm of each partner's active days.
pub const ACTIVITY: &str = "scoring_activity";
const GROWTH: &str = "scoring_growth";
const REVENUE: &str = "scoring_revenue";
const DORMANCY: &str = "scoring_dormancy";
const IMPACT: &str = "scoring_impact";
/// The query with the calls of W.
const CALLS: &str = "scoring_errors";
/// The days of W.
const WINDOW_DAYS: f64 = 28.0;

/// Returns the queries under `queries/scoring/` that [`EvaluationInput::frames`] has the rows of;
/// those of candidates are added to them.
pub fn evaluation_queries() -> BTreeSet<&'static str> {
    let others = [PARTNERS, ACTIVITY, GROWTH, REVENUE, DORMANCY, IMPACT];
    let signals = SIGNALS.iter().filter(|signal| !signal.is_candidate);
    queries_of(signals).into_iter().chain(others).collect()
}

/// Returns the queries of all candidates, for those who want to know what each is worth.
pub fn candidate_queries() -> BTreeSet<&'static str> {
    queries_of(candidates())
}

/// Returns the queries of the candidates that the policy weighs or the risk model looks at.
pub fn candidate_queries_of(policy: &Policy, risk: Option<&RiskModel>) -> BTreeSet<&'static str> {
    let looks_at = |name: &str| risk.is_some_and(|risk| risk.model.looks_at(name));
    queries_of(candidates().filter(|candidate| {
        policy.has_signal(&SignalName::new(candidate.name)) || looks_at(candidate.name)
    }))
}

/// What partners are evaluated from. Days are Int32 days since 1970, instants Int64 µs UTC.
pub struct EvaluationInput {
    /// The rows of [`evaluation_queries`], by name, ordered by day and partner id. Candidates
    /// without a weight whose query is not among them are not measured.
    pub frames: BTreeMap<String, DataFrame>,
    /// The queries whose rows are not known, for example because an exchange rate is missing. They
    /// have no rows in `frames`, and their signals are not available.
    pub held_back: BTreeSet<String>,
    /// `None` where too little is known to fit one.
    pub dormancy: Option<DormancyModel>,
    /// The model of risk that a person adopted.
    pub risk: Option<RiskModel>,
}

/// One signal of all partners.
pub(crate) struct SignalColumns {
    pub signal: &'static RegisteredSignal,
    /// The weight of the policy, as far as it counts for each partner.
    pub weight: Numbers,
    pub applies: BooleanChunked,
    pub value: Numbers,
    pub score: Numbers,
    pub n: Int64Chunked,
    /// The median score of the segment's live partners, shrunk to that of all; NULL without a score.
    pub reference: Numbers,
    /// wᵢ(sᵢ − reference) / Σw.
    pub contribution: Numbers,
    pub reasons: Sentences,
    without_week: Vec<Numbers>,
}

/// All partners evaluated, before their tiers. Every column has a row for each partner and day.
pub(crate) struct Evaluation {
    pub partners: PartnerColumns,
    pub signals: Vec<SignalColumns>,
    pub weighted: WeightedScore,
    /// The score of partners with enough evidence; NULL for others.
    pub score: Numbers,
    /// Σ(w · reference) / Σw.
    pub reference: Numbers,
    pub gates: Vec<GateConditions>,
    /// The probability that the partner leaves.
    pub risk: Numbers,
    /// What risk models look at.
    pub risk_features: FeatureColumns,
    pub impact_share: Numbers,
    pub impact_rank: Int64Chunked,
    /// Frames that sentences of gates read.
    pub activity: InputFrame,
    pub growth: InputFrame,
    pub revenue: InputFrame,
}

/// Evaluates every partner on every day of the input.
pub(crate) fn evaluate(input: &EvaluationInput, policy: &Policy) -> Result<Evaluation, ScoreError> {
    evaluate_beside(input, policy, |partners| Peers::of(partners.keys.days(), &partners.segment))
}

/// Evaluates every partner on every day of the input beside peers that the caller groups.
pub(crate) fn evaluate_beside(
    input: &EvaluationInput,
    policy: &Policy,
    peers: impl FnOnce(&PartnerColumns) -> Peers,
) -> Result<Evaluation, ScoreError> {
    let frames = Frames::of(input)?;
    let partners = PartnerColumns::of(&frames.partners, &frames.aligned(ACTIVITY)?)?;
    let rows = partners.len();
    let peers = peers(&partners);
    let mut signals = Vec::with_capacity(SIGNALS.len());
    for signal in SIGNALS {
        let context = Context { frames: &frames, partners: &partners, peers: &peers };
        signals.push(context.signal(signal, policy)?);
    }
    let activity = frames.aligned(ACTIVITY)?;
    let risk_features = risk_features(&frames, &partners, &activity, &signals)?;
    // What follows is made of the signals of the policy alone.
    signals.retain(|signal| policy.has_signal(&SignalName::new(signal.signal.name)));
    let weighed: Vec<WeighedSignal<'_>> = signals
        .iter()
        .map(|signal| WeighedSignal {
            weight: &signal.weight,
            applies: &signal.applies,
            score: &signal.score,
            without_week: &signal.without_week,
        })
        .collect();
    let weighted = weighted_score(&weighed, &policy.evidence, rows);
    let min_days = f64::from(policy.evidence.min_live_days);
    let is_scored = partners.live_days.is(|days| days >= min_days) & partners.is_live.clone();
    let score = weighted.score.only_where(&is_scored);
    let mut reference = constant(0.0, rows);
    for signal in &mut signals {
        // The weeks are weighed, and ten columns of a million partners are much.
        signal.without_week = Vec::new();
        let weight = signal.weight.over(&weighted.weight);
        let compared = &signal.score - &signal.reference;
        signal.contribution = (&weight * &compared).only_where(&is_scored);
        let usual = weight.zip(&signal.score, |weight, _| weight) * signal.reference.clone();
        reference = reference + usual.or(0.0);
    }
    let (growth, revenue) = (frames.aligned(GROWTH)?, frames.aligned(REVENUE)?);
    let risk = risk(input.risk.as_ref(), &risk_features)?.only_where(&partners.is_live);
    let score_of = |name| score_of(&signals, name, rows);
    let gates = gate_conditions(
        &GateInput {
            partners: &partners,
            peers: &peers,
            activity: &activity,
            growth: &growth,
            revenue: &revenue,
            dormancy: &frames.aligned(DORMANCY)?,
            errors_score: &score_of("errors"),
            growth_score: &score_of("growth"),
            revenue_score: &score_of("revenue"),
            risk: &risk,
            risk_is_adopted: input.risk.as_ref().is_some_and(RiskModel::beats_baselines),
        },
        &policy.gates,
    )?;
    let impact = frames.aligned(IMPACT)?;
    Ok(Evaluation {
        reference: reference.only_where(&is_scored),
        impact_share: impact.f64("share")?.clone(),
        impact_rank: impact.i64("rank")?.clone(),
        partners,
        signals,
        weighted,
        score,
        gates,
        risk,
        risk_features,
        activity,
        growth,
        revenue,
    })
}

/// The frames of an input, by name.
struct Frames<'a> {
    input: &'a EvaluationInput,
    partners: InputFrame,
    keys: Keys,
}

impl<'a> Frames<'a> {
    fn of(input: &'a EvaluationInput) -> Result<Self, ScoreError> {
        let partners = named(input, PARTNERS)?;
        Ok(Self { input, keys: Keys::of(&partners)?, partners })
    }

    /// Returns the rows of a query in the order of the partners.
    fn aligned(&self, name: &str) -> Result<InputFrame, ScoreError> {
        named(self.input, name)?.aligned(&self.keys)
    }

    /// Returns the rows of a query with one week of W left out, or with none for 0.
    fn without_week(&self, name: &str, week: i64) -> Result<InputFrame, ScoreError> {
        named(self.input, name)?.without_week(week)?.aligned(&self.keys)
    }
}

fn named(input: &EvaluationInput, name: &str) -> Result<InputFrame, ScoreError> {
    let missing = || ScoreError::MissingFrame { frame: name.to_owned() };
    Ok(InputFrame::new(name, input.frames.get(name).ok_or_else(missing)?.clone()))
}

/// What all signals of a run share.
struct Context<'a> {
    frames: &'a Frames<'a>,
    partners: &'a PartnerColumns,
    peers: &'a Peers,
}

impl Context<'_> {
    /// Measures one signal, the weeks left out included.
    fn signal(
        &self,
        signal: &'static RegisteredSignal,
        policy: &Policy,
    ) -> Result<SignalColumns, ScoreError> {
        let input = self.frames.input;
        let declared = policy.weight(&SignalName::new(signal.name));
        let is_unasked =
            signal.is_candidate && declared == 0.0 && !input.frames.contains_key(signal.input);
        if is_unasked || input.held_back.contains(signal.input) {
            return Ok(self.without_rows(signal, declared));
        }
        let details = signal.details.iter().filter(|name| !input.held_back.contains(**name));
        let details: BTreeMap<String, InputFrame> = details
            .map(|name| Ok(((*name).to_owned(), named(input, name)?)))
            .collect::<Result<_, ScoreError>>()?;
        let rows = match signal.by_week {
            true => self.frames.without_week(signal.input, 0)?,
            false => self.frames.aligned(signal.input)?,
        };
        let given = self.input(&rows, &details);
        let measured = (signal.measure)(&given, &policy.signals)?;
        let reasons = (signal.reasons)(&given, &measured, &policy.signals)?;
        let mut without_week = Vec::new();
        for week in 1..=if signal.by_week { WEEKS } else { 0 } {
            let rows = self.frames.without_week(signal.input, week)?;
            let given = self.input(&rows, &details);
            without_week.push(applying((signal.measure)(&given, &policy.signals)?).score);
        }
        let measured = applying(measured);
        let weight = match &measured.weight_share {
            Some(share) => share * declared,
            None => constant(declared, self.partners.len()),
        };
        let reference = self.peers.median(&measured.score.only_where(&self.partners.is_live));
        Ok(SignalColumns {
            reference: reference.only_where(&measured.score.is_not_null()),
            contribution: constant(0.0, 0),
            applies: measured.applies & everywhere(declared > 0.0, self.partners.len()),
            value: measured.value,
            score: measured.score,
            n: measured.n,
            signal,
            weight,
            reasons,
            without_week,
        })
    }

    fn input<'b>(
        &'b self,
        rows: &'b InputFrame,
        details: &'b BTreeMap<String, InputFrame>,
    ) -> SignalInput<'b> {
        SignalInput {
            rows,
            partners: self.partners,
            peers: self.peers,
            dormancy: self.frames.input.dormancy.as_ref(),
            details,
        }
    }

    /// Returns a signal whose query is held back: if it has a weight, it applies to live partners
    /// and is not available.
    fn without_rows(&self, signal: &'static RegisteredSignal, declared: f64) -> SignalColumns {
        let rows = self.partners.len();
        let unknown = Numbers::full_null("unknown".into(), rows);
        let is_live = &self.partners.is_live;
        let reason = format!("Unknown: {} is held back", signal.input);
        let reasons = is_live.iter().map(|live| (live == Some(true)).then(|| reason.clone()));
        SignalColumns {
            weight: constant(declared, rows),
            applies: is_live & &everywhere(declared > 0.0, rows),
            value: unknown.clone(),
            score: unknown.clone(),
            n: Int64Chunked::full_null("n".into(), rows),
            reference: unknown.clone(),
            contribution: unknown,
            reasons: reasons.collect(),
            without_week: Vec::new(),
            signal,
        }
    }
}

/// Returns a measurement without scores of partners that the signal does not apply to.
fn applying(measured: Measured) -> Measured {
    let score = measured.score.only_where(&measured.applies);
    Measured { value: measured.value.only_where(&measured.applies), score, ..measured }
}

/// Returns the scores of a signal by its name.
pub(crate) fn score_of(signals: &[SignalColumns], name: &str, rows: usize) -> Numbers {
    let found = signals.iter().find(|signal| signal.signal.name == name);
    found.map_or_else(|| Numbers::full_null("score".into(), rows), |signal| signal.score.clone())
}

/// Returns what risk models look at. Calls are unknown where their query is held back.
fn risk_features(
    frames: &Frames<'_>,
    partners: &PartnerColumns,
    activity: &InputFrame,
    signals: &[SignalColumns],
) -> Result<FeatureColumns, ScoreError> {
    let dormancy = score_of(signals, "dormancy", partners.len());
    let calm_days = activity.count("silent_calm_days")?.or(0.0);
    let silent_days = activity.count("silent_days")? - calm_days;
    let silence = silent_days.zip(&partners.cadence, |days, cadence| days / cadence.max(1.0));
    let calls = frames.without_week(CALLS, 0)?.count("calls")?;
    let is_known = everywhere(!frames.input.held_back.contains(CALLS), partners.len());
    let call_frequency = calls.or(0.0).only_where(&is_known).map(|calls| calls / WINDOW_DAYS);
    let scores = signals.iter().map(|signal| (signal.signal.name, &signal.score));
    Ok(FeatureColumns::of_risk(scores, &dormancy, &silence, &call_frequency))
}

/// Returns the probability that each partner leaves: by the adopted model, or without one from
/// dormancy alone.
fn risk(model: Option<&RiskModel>, features: &FeatureColumns) -> Result<Numbers, ScoreError> {
    let Some(model) = model else { return Ok(features.risk_without_model()) };
    Ok(model.predict(features)?)
}
