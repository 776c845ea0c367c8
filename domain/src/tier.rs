//! The tier of a partner: how well it does.

use serde::{Deserialize, Serialize};

use crate::named_enum::named_enum;

/// How a partner does. Before go-live and after churn its stage stands in the tier's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    Healthy,
    Watch,
    AtRisk,
    /// Live, but too little is known for a score.
    InsufficientEvidence,
    Onboarding,
    Stuck,
    Churned,
}

impl Tier {
    pub const ALL: [Self; 7] = [
        Self::Healthy,
        Self::Watch,
        Self::AtRisk,
        Self::InsufficientEvidence,
        Self::Onboarding,
        Self::Stuck,
        Self::Churned,
    ];

    /// The name in the column `tier`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Watch => "watch",
            Self::AtRisk => "at_risk",
            Self::InsufficientEvidence => "insufficient_evidence",
            Self::Onboarding => "onboarding",
            Self::Stuck => "stuck",
            Self::Churned => "churned",
        }
    }

    /// The name inside a sentence: `at risk`.
    pub fn words(self) -> String {
        self.name().replace('_', " ")
    }
}

named_enum!(Tier, "tier");
