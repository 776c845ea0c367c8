//! What comes out: a row a partner, as a struct and as the frame of `partner_health`.

use lake_types::AsOf;
use polars::prelude::{Column, DataFrame, PolarsResult};

use crate::signals::Signal;
use crate::stage::Stage;
use crate::weigh::Tier;

/// Every partner's health at one `as_of`, by partner id.
#[derive(Debug, Clone)]
pub struct ScoreOutput {
    /// The columns of `partner_health`: `as_of`, `tier_since`, `override_until` as Int64 µs.
    pub frame: DataFrame,
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

/// The frame of `partner_health`: its columns in the order of the table, five for each signal,
/// null for those not computed yet.
pub(crate) fn frame(partners: &[PartnerScore]) -> PolarsResult<DataFrame> {
    let mut columns = head(partners);
    for signal in Signal::ALL {
        columns.extend(signal_columns(partners, signal));
    }
    DataFrame::new(partners.len(), columns)
}

fn head(partners: &[PartnerScore]) -> Vec<Column> {
    let text = |name: &str, of: &dyn Fn(&PartnerScore) -> String| {
        Column::new(name.into(), partners.iter().map(of).collect::<Vec<_>>())
    };
    let int = |name: &str, of: &dyn Fn(&PartnerScore) -> Option<i64>| {
        Column::new(name.into(), partners.iter().map(of).collect::<Vec<_>>())
    };
    let float = |name: &str, of: &dyn Fn(&PartnerScore) -> Option<f64>| {
        Column::new(name.into(), partners.iter().map(of).collect::<Vec<_>>())
    };
    vec![
        int("as_of", &|p| Some(p.as_of.micros())),
        text("partner_id", &|p| p.partner_id.clone()),
        text("stage", &|p| p.stage.name().to_owned()),
        text("tier", &|p| p.tier.name().to_owned()),
        int("tier_since", &|p| p.tier_since),
        float("score", &|p| p.score),
        float("coverage", &|p| Some(p.coverage)),
        float("impact_share", &|p| p.impact_share),
        int("impact_rank", &|p| p.impact_rank),
        text("top_reason", &|p| p.top_reason.clone()),
        text("policy_version", &|p| p.policy_version.clone()),
        text("computed_tier", &|p| p.computed_tier.name().to_owned()),
        int("override_until", &|p| p.override_until),
    ]
}

fn signal_columns(partners: &[PartnerScore], signal: Signal) -> [Column; 5] {
    let name = |suffix: &str| format!("{}_{suffix}", signal.name()).into();
    let float = |suffix, of: &dyn Fn(&SignalScore) -> Option<f64>| {
        let values = partners.iter().map(|p| p.signal(signal).and_then(of));
        Column::new(name(suffix), values.collect::<Vec<_>>())
    };
    let n = partners.iter().map(|p| p.signal(signal).map_or(0, |s| s.n));
    let reason = partners.iter().map(|p| p.signal(signal).and_then(|s| s.reason.clone()));
    [
        float("value", &|s| s.value),
        float("score", &|s| s.score),
        float("contribution", &|s| s.contribution),
        Column::new(name("n"), n.collect::<Vec<i64>>()),
        Column::new(name("reason"), reason.collect::<Vec<Option<String>>>()),
    ]
}
