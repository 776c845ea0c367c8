//! The statistics of a backtest: their names, their units, and which values are better.

use serde::{Deserialize, Serialize};

use super::bootstrap::Better;

/// A statistic that is reported of the score and of both baselines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Of the risk R.
    Auc,
    /// Of the health H, on the rows that have one.
    HealthAuc,
    AveragePrecision,
    BrierSkill,
    Brier,
    Miscalibration,
    Discrimination,
    Uncertainty,
    /// Share of leavers among the k partners of highest risk at each origin.
    RiskPrecision,
    /// Share of leavers among the k partners of worst tier, then lowest health, at each origin.
    TierPrecision,
    /// Share of the leavers that were flagged at the origin.
    Recall,
    /// Share of the leavers' gross that was flagged at the origin.
    GrossRecall,
    /// Share of the leavers that were `healthy` 28 days before their last success.
    SilentChurn,
    /// Median days from the first flag to the last success.
    LeadTime,
    /// Median days from the beginning of the flag that held until the last success.
    HeldLeadTime,
    /// Median days from the first sign of trouble to the first flag.
    DetectionDelay,
    /// Changes undone within 28 days, a partner-month.
    FlapRate,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A number with three decimals.
    Number,
    /// A share, in percent.
    Share,
    Days,
}

impl Statistic {
    /// The name in a table.
    pub fn words(self) -> &'static str {
        match self {
            Self::Auc => "AUC of risk",
            Self::HealthAuc => "AUC of health",
            Self::AveragePrecision => "average precision",
            Self::BrierSkill => "Brier skill",
            Self::Brier => "Brier score",
            Self::Miscalibration => "miscalibration",
            Self::Discrimination => "discrimination",
            Self::Uncertainty => "uncertainty",
            Self::RiskPrecision => "precision of risk among the k worst",
            Self::TierPrecision => "precision of tiers among the k worst",
            Self::Recall => "recall",
            Self::GrossRecall => "recall by gross",
            Self::SilentChurn => "silent churn",
            Self::LeadTime => "lead time",
            Self::HeldLeadTime => "lead time of the flag that held",
            Self::DetectionDelay => "detection delay",
            Self::FlapRate => "flaps a partner-month",
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::RiskPrecision
            | Self::TierPrecision
            | Self::Recall
            | Self::GrossRecall
            | Self::SilentChurn
            | Self::FlapRate => Unit::Share,
            Self::LeadTime | Self::HeldLeadTime | Self::DetectionDelay => Unit::Days,
            _ => Unit::Number,
        }
    }

    pub(crate) fn better(self) -> Better {
        match self {
            Self::Brier
            | Self::Miscalibration
            | Self::SilentChurn
            | Self::DetectionDelay
            | Self::FlapRate => Better::Lower,
            _ => Better::Higher,
        }
    }

    /// Whether the values of the score and of the baselines can differ: the uncertainty is that of
    /// the labels.
    pub(crate) fn is_compared(self) -> bool {
        self != Self::Uncertainty
    }
}
