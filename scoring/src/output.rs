//! The output of a run: a row a partner, as structs and as frames of `partner_health` and
//! `partner_signals`.

use domain::{AsOf, SignalName, Stage, Tier};
use polars::prelude::{Column, DataFrame, NamedFrom, PolarsResult, Series};

use crate::lifecycle::OnboardingStep;

/// Every partner's health at one `as_of`, by partner id.
#[derive(Debug, Clone)]
pub struct ScoreOutput {
    /// The columns of `partner_health` but `revision` and `scored_at`: `as_of`, `tier_since`,
    /// `override_until` as Int64 µs.
    pub health: DataFrame,
    /// The columns of `partner_signals` but `revision`: `as_of` as Int64 µs.
    pub signals: DataFrame,
    pub partners: Vec<PartnerScore>,
    /// The tiers follow from the thresholds alone, day by day. Commands and pages that show them say
    /// so.
    pub provisional: bool,
}

/// One row of `partner_health`.
#[derive(Debug, Clone, PartialEq)]
pub struct PartnerScore {
    pub as_of: AsOf,
    pub partner_id: String,
    pub stage: Stage,
    /// Before go-live the step of onboarding, as in `stuck_partners`: never_called, failing,
    /// sandbox.
    pub onboarding_step: Option<OnboardingStep>,
    pub tier: Tier,
    /// Since when the tier holds, in µs; where nothing earlier is known, since the first
    /// evaluation.
    pub tier_since: Option<i64>,
    /// 0–100; of a churned partner, that of the day before.
    pub score: Option<f64>,
    /// The weighted mean before the cap for partial coverage: reference + Σ contributions.
    pub mean: Option<f64>,
    /// The weighted mean of the references of the signals measured, Σ wᵢ·referenceᵢ / Σ wᵢ.
    pub reference: Option<f64>,
    /// 0–1, over the signals that apply.
    pub coverage: f64,
    /// Share of all gross, 0–1.
    pub impact_share: Option<f64>,
    pub impact_rank: Option<i64>,
    pub top_reason: String,
    pub policy_version: String,
    /// The tier without overrides.
    pub computed_tier: Tier,
    /// When the override of the tier ends, in µs.
    pub override_until: Option<i64>,
    /// The signals that this version computes, in their order; none for a churned partner.
    pub signals: Vec<SignalScore>,
}

/// What one signal says of a partner, and what it adds to the score.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalScore {
    pub signal: SignalName,
    pub weight: f64,
    /// The signal applies to this partner.
    pub applicable: bool,
    pub value: Option<f64>,
    /// 0–100.
    pub score: Option<f64>,
    /// The median score in the segment, shown as "usual".
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

/// Makes the frame of `partner_health`, its columns in the order of the table.
pub(crate) fn health_frame(partners: &[PartnerScore]) -> PolarsResult<DataFrame> {
    let rows = FrameRows(partners.iter().collect::<Vec<_>>());
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

/// Makes the frame of `partner_signals`: a row for each signal that applies to a partner, by
/// partner and then in the order of signals.
pub(crate) fn signals_frame(partners: &[PartnerScore]) -> PolarsResult<DataFrame> {
    let applying = |p: &'_ PartnerScore| p.signals.iter().filter(|s| s.applicable).count();
    let count = partners.iter().map(applying).sum();
    let rows = partners.iter().flat_map(|p| p.signals.iter().map(move |s| (p, s)));
    let rows = FrameRows(rows.filter(|(_, signal)| signal.applicable).collect());
    let columns = vec![
        rows.column("as_of", |(p, _)| p.as_of.micros()),
        rows.column("partner_id", |(p, _)| p.partner_id.clone()),
        rows.column("signal", |(_, s)| s.signal.to_string()),
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

/// The rows that a frame is made of.
struct FrameRows<R>(Vec<R>);

impl<R> FrameRows<R> {
    /// Makes a column from one value of each row.
    fn column<T>(&self, name: &str, of: impl Fn(&R) -> T) -> Column
    where
        Series: NamedFrom<Vec<T>, [T]>,
    {
        Column::new(name.into(), self.0.iter().map(of).collect::<Vec<T>>())
    }
}
