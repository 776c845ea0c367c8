//! The explanation of one partner's score as data, which is also its JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use domain::{AsOf, Day, Stage};
use polars::prelude::DataFrame;
use scoring::explain::{ERROR_DAYS, effective_weights, recent_incidents};
use scoring::{
    Gate, OnboardingStep, PAYING, PartnerScore, PayingLikelihood, ScoreOutput, SignalScore,
};
use serde::Serialize;
use transform::Session;

use super::evidence::{Evidence, Incident, Query, ShownOpportunity};
use super::records::{CalmDays, Judgement, Override, Records};
use super::since::{self, Change};
use crate::commands::plan::scored_session;
use crate::commands::score_records::check_partner;
use crate::errors::usage_error;
use crate::metric_pipeline::OutcomePrinter;
use crate::project::Project;
use crate::scores::{EvaluatedDays, paying_model, query_frames};

/// The query with what a partner may be ready for.
pub(super) const OPPORTUNITIES: &str = "scoring_opportunities";

/// What is to be explained.
pub(super) struct Asked<'a> {
    pub(super) partner_id: &'a str,
    pub(super) as_of: AsOf,
    /// Explains the change since this day too.
    pub(super) since: Option<Day>,
    pub(super) config: Option<&'a Path>,
}

/// Why a partner has its score. Dates are days as 2026-01-31, instants RFC 3339.
#[derive(Serialize)]
pub(super) struct Explanation {
    pub(super) partner_id: String,
    pub(super) as_of: String,
    pub(super) tier: &'static str,
    pub(super) computed_tier: &'static str,
    /// Since when the computed tier holds.
    pub(super) tier_since: Option<String>,
    /// The tier that a person set.
    #[serde(rename = "override")]
    pub(super) set: Option<Override>,
    pub(super) gate: Option<DecidingGate>,
    pub(super) stage: &'static str,
    pub(super) onboarding_step: Option<&'static str>,
    /// 0–100; of a churned partner that of the day before it churned.
    pub(super) score: Option<f64>,
    /// Σ w·reference / Σ w. With all contributions and `cap_effect` it adds up to the score.
    pub(super) reference: Option<f64>,
    pub(super) cap_effect: Option<f64>,
    pub(super) cap: Option<f64>,
    pub(super) coverage: f64,
    pub(super) risk: Option<Risk>,
    pub(super) impact_share: Option<f64>,
    pub(super) impact_rank: Option<i64>,
    pub(super) sentiment: Option<Judgement>,
    pub(super) top_reason: String,
    pub(super) calm_days: Vec<CalmDays>,
    pub(super) policy_version: String,
    pub(super) signals: Vec<ShownSignal>,
    pub(super) opportunities: Vec<ShownOpportunity>,
    pub(super) incidents: Vec<Incident>,
    pub(super) queries: Vec<Query>,
    pub(super) change: Option<Change>,
    #[serde(skip)]
    pub(super) score_of_partner: PartnerScore,
    #[serde(skip)]
    pub(super) day: Day,
}

/// The gate that decides the tier.
#[derive(Serialize)]
pub(super) struct DecidingGate {
    pub(super) name: &'static str,
    /// The best tier that it allows.
    pub(super) tier: &'static str,
    pub(super) since: Option<String>,
    /// It decided the first scored day already.
    pub(super) may_be_older: bool,
}

/// The probability that the partner leaves.
#[derive(Serialize)]
pub(super) struct Risk {
    pub(super) probability: f64,
    pub(super) model: Option<String>,
}

/// What one signal says of the partner.
#[derive(Serialize)]
pub(super) struct ShownSignal {
    pub(super) signal: String,
    pub(super) applicable: bool,
    pub(super) weight: f64,
    /// The share of the spread of all scores that goes with the signal, 0–1.
    pub(super) effective_weight: Option<f64>,
    pub(super) value: Option<f64>,
    pub(super) score: Option<f64>,
    pub(super) reference: Option<f64>,
    pub(super) contribution: Option<f64>,
    pub(super) n: i64,
    pub(super) reason: Option<String>,
}

/// Scores the partners and gathers the explanation of one.
pub(super) async fn explain(project: &Project, asked: &Asked<'_>) -> anyhow::Result<Explanation> {
    let (id, day) = (asked.partner_id, asked.as_of.day());
    let (session, scored) = scored_session(project, asked.as_of).await?;
    let Some(partner) = scored.partners.find(id) else {
        // It says who stands for a partner that was merged away.
        check_partner(project, id).await?;
        return Err(usage_error(format!(
            "no event of \"{id}\" lies before {day}: its first scores are of a later day"
        )));
    };
    let records = Records::read(&session, &partner).await?;
    let evaluated = EvaluatedDays::open(project, &session, asked.as_of, &[day]).await?;
    let queries = BTreeSet::from([ERROR_DAYS, OPPORTUNITIES, PAYING]);
    let mut printer = OutcomePrinter::default();
    let (frames, _) = query_frames(&evaluated, &queries, &mut printer).await?;
    let incidents = match frames.get(ERROR_DAYS) {
        Some(frame) => recent_incidents(frame, id, day)?,
        None => Vec::new(),
    };
    let evidence =
        Evidence { partner: &partner, asked, merged: &records.merged, incidents: &incidents };
    let change = match asked.since {
        Some(since) => Some(since::change(project, &session, &evaluated, asked, since).await?),
        None => None,
    };
    let paying = paying(project, &session, &partner, frames.get(PAYING)).await?;
    let weights: BTreeMap<&str, Option<f64>> = effective_weights(&scored)?.into_iter().collect();
    Ok(Explanation {
        partner_id: id.to_owned(),
        as_of: day.to_string(),
        tier: partner.tier.name(),
        computed_tier: partner.computed_tier.name(),
        tier_since: partner.tier_since.map(|since| Day::of_micros(since).to_string()),
        gate: partner.gate.map(|gate| records.deciding_gate(gate)),
        stage: partner.stage.name(),
        onboarding_step: partner.onboarding_step.map(OnboardingStep::name),
        score: partner.score,
        reference: partner.reference,
        cap_effect: partner.score.zip(partner.mean).map(|(score, mean)| score - mean),
        cap: partner.cap,
        coverage: partner.coverage,
        risk: risk(&scored, &partner)?,
        impact_share: partner.impact_share,
        impact_rank: partner.impact_rank,
        top_reason: partner.top_reason.clone(),
        policy_version: partner.policy_version.clone(),
        signals: partner.signals.iter().map(|signal| shown(signal, &weights)).collect(),
        opportunities: evidence.opportunities(&session, frames.get(OPPORTUNITIES), paying).await?,
        queries: evidence.queries(),
        incidents: incidents.iter().map(Incident::of).collect(),
        set: records.set,
        sentiment: records.sentiment,
        calm_days: records.calm_days,
        change,
        score_of_partner: partner,
        day,
    })
}

fn shown(signal: &SignalScore, weights: &BTreeMap<&str, Option<f64>>) -> ShownSignal {
    ShownSignal {
        signal: signal.signal.to_string(),
        applicable: signal.applicable,
        weight: signal.weight,
        effective_weight: weights.get(signal.signal.as_str()).copied().flatten(),
        value: signal.value,
        score: signal.score,
        reference: signal.reference,
        contribution: signal.contribution,
        n: signal.n,
        reason: signal.reason.clone(),
    }
}

/// Returns how likely partners like a live one that has not paid became paying. `frame` has the rows
/// of [`PAYING`].
async fn paying(
    project: &Project,
    session: &Session,
    partner: &PartnerScore,
    frame: Option<&DataFrame>,
) -> anyhow::Result<Option<PayingLikelihood>> {
    let Some(frame) = frame.filter(|_| partner.stage == Stage::Live) else { return Ok(None) };
    let model = paying_model(project, session, partner.as_of.day()).await?;
    let Some(model) = model else { return Ok(None) };
    Ok(model.likelihood_of(frame, &partner.partner_id)?)
}

/// Returns the risk with the name of its model, which stands in the rows of `partner_health`.
fn risk(scored: &ScoreOutput, partner: &PartnerScore) -> anyhow::Result<Option<Risk>> {
    let Some(probability) = partner.risk else { return Ok(None) };
    let health: &DataFrame = &scored.health;
    let column = |name| health.column(name).map(polars::prelude::Column::as_materialized_series);
    let (days, ids) = (column("as_of")?.i64()?, column("partner_id")?.str()?);
    let models = column("risk_model")?.str()?;
    let at = Some(partner.as_of.micros());
    let row = days
        .iter()
        .zip(ids.iter())
        .position(|(day, id)| day == at && id == Some(partner.partner_id.as_str()));
    let model = row.and_then(|row| models.get(row)).map(str::to_owned);
    Ok(Some(Risk { probability, model }))
}

impl Records {
    /// Returns the deciding gate with the first day of its present spell.
    fn deciding_gate(&self, gate: Gate) -> DecidingGate {
        let open = self.gate_spells.iter().rfind(|spell| spell.ended_on.is_none());
        let spell = open.filter(|spell| spell.gate == gate.name());
        DecidingGate {
            name: gate.name(),
            tier: gate.tier().name(),
            since: spell.map(|spell| Day::of_date(spell.first_day).to_string()),
            may_be_older: spell.is_some_and(|spell| spell.may_be_older),
        }
    }
}
