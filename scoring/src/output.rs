//! What comes out: a row a partner, as a struct and as frames of `partner_health` and `partner_signals`.

use lake_types::AsOf;
use polars::prelude::{Column, DataFrame, NamedFrom, PolarsResult, Series};

use crate::signals::Signal;
use crate::stage::Stage;
use crate::weigh::Tier;

/// Every partner's health at one `as_of`, by partner id.
#[derive(Debug, Clone)]
pub struct ScoreOutput {
    /// The columns of `partner_health` but `revision` and `scored_at`: `as_of`, `tier_since`,
    /// `override_until` as Int64 µs.
    pub health: DataFrame,
    /// The columns of `partner_signals` but `revision`: `as_of` as Int64 µs.
    pub signals: DataFrame,
    pub partners: Vec<PartnerScore>,
    /// The tiers are read off the thresholds alone, day by day, and say so where they are shown.
    pub provisional: bool,
}

/// One row of `partner_health`.
#[derive(Debug, Clone, PartialEq)]
pub struct PartnerScore {
    pub as_of: AsOf,
    pub partner_id: String,
    pub stage: Stage,
    /// Before go-live how far it has come, as in `stuck_partners`: never_called, failing, sandbox.
    pub stage_detail: Option<&'static str>,
    pub tier: Tier,
    /// µs; where nothing earlier is known, the first evaluation.
    pub tier_since: Option<i64>,
    /// 0–100; of a churned partner, that of the day before.
    pub score: Option<f64>,
    /// The weighted mean before the cap for partial coverage: usual + Σ contributions.
    pub mean: Option<f64>,
    /// What a partner of the segment with these signals usually has: Σ wᵢ·referenceᵢ / Σ wᵢ.
    pub usual: Option<f64>,
    /// 0–1, over the signals that apply.
    pub coverage: f64,
    /// Share of gross, 0–1.
    pub impact_share: Option<f64>,
    pub impact_rank: Option<i64>,
    pub top_reason: String,
    pub policy_version: String,
    /// The tier without overrides.
    pub computed_tier: Tier,
    /// µs.
    pub override_until: Option<i64>,
    /// The signals this version computes, in order; none for a churned partner.
    pub signals: Vec<SignalScore>,
}

/// What one signal says of a partner, and what it adds to the score.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalScore {
    pub signal: Signal,
    pub weight: f64,
    /// Whether it can be asked of this partner at all.
    pub applicable: bool,
    pub value: Option<f64>,
    /// 0–100.
    pub score: Option<f64>,
    /// The segment's median score: "usual".
    pub reference: Option<f64>,
    /// weight × (score − reference) / Σ weights; they add up to `mean` − `usual`. Null with the score.
    pub contribution: Option<f64>,
    /// What the value rests on; 0 for nothing.
    pub n: i64,
    /// A sentence; of a missing signal, why it is missing.
    pub reason: Option<String>,
}

impl PartnerScore {
    pub fn signal(&self, signal: Signal) -> Option<&SignalScore> {
        self.signals.iter().find(|s| s.signal == signal)
    }
}

/// The frame of `partner_health`: its columns in the order of the table.
pub(crate) fn health_frame(partners: &[PartnerScore]) -> PolarsResult<DataFrame> {
    let rows = Rows(partners.iter().collect::<Vec<_>>());
    let columns = vec![
        rows.column("as_of", |p| p.as_of.micros()),
        rows.column("partner_id", |p| p.partner_id.clone()),
        rows.column("stage", |p| p.stage.name()),
        rows.column("tier", |p| p.tier.name()),
        rows.column("tier_since", |p| p.tier_since),
        rows.column("score", |p| p.score),
        rows.column("coverage", |p| p.coverage),
        rows.column("impact_share", |p| p.impact_share),
        rows.column("impact_rank", |p| p.impact_rank),
        rows.column("top_reason", |p| p.top_reason.clone()),
        rows.column("policy_version", |p| p.policy_version.clone()),
        rows.column("computed_tier", |p| p.computed_tier.name()),
        rows.column("override_until", |p| p.override_until),
    ];
    DataFrame::new(partners.len(), columns)
}

/// The frame of `partner_signals`: a row for each signal that applies to a partner, in the order
/// of partners and then of signals.
pub(crate) fn signals_frame(partners: &[PartnerScore]) -> PolarsResult<DataFrame> {
    let applying = |p: &'_ PartnerScore| p.signals.iter().filter(|s| s.applicable).count();
    let count = partners.iter().map(applying).sum();
    let rows = partners.iter().flat_map(|p| p.signals.iter().map(move |s| (p, s)));
    let rows = Rows(rows.filter(|(_, signal)| signal.applicable).collect());
    let columns = vec![
        rows.column("as_of", |(p, _)| p.as_of.micros()),
        rows.column("partner_id", |(p, _)| p.partner_id.clone()),
        rows.column("signal", |(_, s)| s.signal.name()),
        rows.column("available", |(_, s)| s.score.is_some()),
        rows.column("value", |(_, s)| s.value),
        rows.column("score", |(_, s)| s.score),
        rows.column("reference", |(_, s)| s.reference),
        rows.column("contribution", |(_, s)| s.contribution),
        rows.column("weight", |(_, s)| s.weight),
        rows.column("n", |(_, s)| s.n),
        rows.column("reason", |(_, s)| s.reason.clone()),
    ];
    DataFrame::new(count, columns)
}

/// What a frame is made of.
struct Rows<R>(Vec<R>);

impl<R> Rows<R> {
    fn column<T>(&self, name: &str, of: impl Fn(&R) -> T) -> Column
    where
        Series: NamedFrom<Vec<T>, [T]>,
    {
        Column::new(name.into(), self.0.iter().map(of).collect::<Vec<T>>())
    }
}
