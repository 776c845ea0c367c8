//! The partners of the last evaluated day as structs, each made when it is asked for: a million of
//! them with their signals take more memory than everything else.

use std::ops::Range;

use domain::{AsOf, Day, SignalName, Stage, Tier};
use polars::prelude::{BooleanChunked, Int64Chunked};

use crate::columns::{ColumnMath, Numbers};
use crate::evaluation::{Evaluation, SignalColumns};
use crate::frames::Keys;
use crate::gates::Gate;
use crate::lifecycle::OnboardingStep;
use crate::sentences::Sentences;

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
}

/// The scored partners. Columns have a row for each partner and day; what this hands out are the
/// partners of the last day, by id.
pub struct ScoredPartners {
    pub(crate) keys: Keys,
    pub(crate) rows: Vec<ScoredRow>,
    pub(crate) top_reasons: Sentences,
    pub(crate) is_churned: BooleanChunked,
    pub(crate) signals: Vec<SignalColumns>,
    /// NULL for partners without a score of the day.
    mean: Numbers,
    cap: Numbers,
    reference: Numbers,
    coverage: Numbers,
    risk: Numbers,
    impact_share: Numbers,
    impact_rank: Int64Chunked,
    policy_version: String,
}

impl ScoredPartners {
    /// Keeps of an evaluation what partners and signals are made from.
    pub(crate) fn of(
        evaluation: Evaluation,
        rows: Vec<ScoredRow>,
        top_reasons: Sentences,
        policy_version: &str,
    ) -> Self {
        let is_scored = evaluation.score.is_not_null();
        Self {
            mean: evaluation.weighted.mean.only_where(&is_scored),
            cap: evaluation.weighted.cap.only_where(&is_scored),
            keys: evaluation.partners.keys,
            rows,
            top_reasons,
            is_churned: evaluation.partners.is_churned,
            signals: evaluation.signals,
            reference: evaluation.reference,
            coverage: evaluation.weighted.coverage,
            risk: evaluation.risk,
            impact_share: evaluation.impact_share,
            impact_rank: evaluation.impact_rank,
            policy_version: policy_version.to_owned(),
        }
    }

    pub fn len(&self) -> usize {
        self.last_day().len()
    }

    pub fn is_empty(&self) -> bool {
        self.last_day().is_empty()
    }

    /// Makes one partner after another.
    pub fn iter(&self) -> impl Iterator<Item = PartnerScore> {
        self.last_day().map(|row| self.partner(row))
    }

    /// Makes the partner with an id.
    pub fn find(&self, partner_id: &str) -> Option<PartnerScore> {
        let row = self.last_day().find(|row| self.id(*row) == partner_id)?;
        Some(self.partner(row))
    }

    /// Makes the partners of a tier.
    pub fn of_tier(&self, tier: Tier) -> impl Iterator<Item = PartnerScore> {
        let rows = self.last_day().filter(move |row| self.rows[*row].tier == tier);
        rows.map(|row| self.partner(row))
    }

    /// Returns the id of each partner.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.last_day().map(|row| self.id(row))
    }

    /// Returns the tier of each partner.
    pub fn tiers(&self) -> impl Iterator<Item = Tier> {
        self.last_day().map(|row| self.rows[row].tier)
    }

    /// Returns the rows of the last day, which are the last ones.
    fn last_day(&self) -> Range<usize> {
        let Some(last) = self.rows.last() else { return 0..0 };
        self.rows.partition_point(|row| row.day < last.day)..self.rows.len()
    }

    fn id(&self, row: usize) -> &str {
        self.keys.ids().get(row).unwrap_or_default()
    }

    fn partner(&self, row: usize) -> PartnerScore {
        let scored = &self.rows[row];
        PartnerScore {
            as_of: AsOf::of_day(scored.day),
            partner_id: self.id(row).to_owned(),
            stage: scored.stage,
            onboarding_step: scored.step,
            tier: scored.tier,
            tier_since: scored.tier_since,
            gate: scored.gate,
            score: scored.score,
            mean: self.mean.get(row),
            reference: self.reference.get(row),
            coverage: self.coverage.get(row).unwrap_or_default(),
            cap: self.cap.get(row),
            risk: self.risk.get(row),
            impact_share: self.impact_share.get(row),
            impact_rank: self.impact_rank.get(row),
            top_reason: self.top_reasons.get(row).unwrap_or_default().to_owned(),
            policy_version: self.policy_version.clone(),
            computed_tier: scored.computed_tier,
            override_until: scored.override_until,
            signals: match scored.stage {
                Stage::Churned => Vec::new(),
                _ => self.signals.iter().map(|signal| signal.of_row(row)).collect(),
            },
        }
    }
}

impl SignalColumns {
    fn of_row(&self, row: usize) -> SignalScore {
        SignalScore {
            signal: SignalName::new(self.signal.name),
            weight: self.weight.get(row).unwrap_or_default(),
            applicable: self.applies.get(row) == Some(true),
            value: self.value.get(row),
            score: self.score.get(row),
            reference: self.reference.get(row),
            contribution: self.contribution.get(row),
            n: self.n.get(row).unwrap_or_default(),
            reason: self.reasons.get(row).map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use polars::df;
    use polars::prelude::{ChunkFullNull, NewChunkedArray};

    use super::*;
    use crate::columns::{constant, everywhere};
    use crate::frames::InputFrame;

    /// Two partners on each of two days; the second one leaves between them.
    fn scored() -> ScoredPartners {
        let rows = [(99, "a", Tier::Healthy), (99, "b", Tier::Watch)];
        let rows = rows.into_iter().chain([(100, "a", Tier::Healthy), (100, "b", Tier::AtRisk)]);
        let rows: Vec<(i32, &str, Tier)> = rows.collect();
        let days: Vec<i32> = rows.iter().map(|row| row.0).collect();
        let ids: Vec<&str> = rows.iter().map(|row| row.1).collect();
        let keys = df!("day" => days, "partner_id" => ids).expect("keys");
        let scored_row = |row: &(i32, &str, Tier)| ScoredRow {
            day: Day(row.0),
            stage: Stage::Live,
            step: None,
            tier: row.2,
            tier_since: None,
            gate: None,
            score: None,
            computed_tier: row.2,
            override_until: None,
        };
        let unknown = Numbers::full_null("unknown".into(), rows.len());
        ScoredPartners {
            keys: Keys::of(&InputFrame::new("keys", keys)).expect("keys"),
            top_reasons: rows.iter().map(|row| Some(format!("{} is {}", row.1, row.2))).collect(),
            rows: rows.iter().map(scored_row).collect(),
            is_churned: everywhere(false, rows.len()),
            signals: Vec::new(),
            mean: unknown.clone(),
            cap: unknown.clone(),
            reference: unknown.clone(),
            coverage: constant(0.5, rows.len()),
            risk: unknown.clone(),
            impact_share: unknown,
            impact_rank: Int64Chunked::from_slice("rank".into(), &[1, 2, 2, 1]),
            policy_version: "v1".to_owned(),
        }
    }

    #[test]
    fn partners_are_those_of_the_last_day() {
        let scored = scored();
        assert_eq!((scored.len(), scored.is_empty()), (2, false));
        assert!(scored.ids().eq(["a", "b"]));
        assert!(scored.tiers().eq([Tier::Healthy, Tier::AtRisk]));
        let b = scored.find("b").expect("a partner");
        assert_eq!((b.as_of, b.impact_rank), (AsOf::of_day(Day(100)), Some(1)));
        assert_eq!(b.top_reason, "b is at_risk");
        assert_eq!(scored.of_tier(Tier::AtRisk).collect::<Vec<_>>(), [b]);
        assert_eq!(scored.of_tier(Tier::Watch).count(), 0);
        assert_eq!(scored.find("c"), None);
        assert_eq!(scored.iter().count(), 2);
    }
}
