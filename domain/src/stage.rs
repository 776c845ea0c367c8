//! The lifecycle stage of a partner: where it is, which is not how well it does.

use serde::{Deserialize, Serialize};

use crate::named_enum::named_enum;

/// Where a partner is in its life, in the order partners go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Not live yet.
    Onboarding,
    /// Not live, and too long in one step of onboarding.
    Stuck,
    /// It has had a success in production, and has had one lately.
    Live,
    /// It was live and has stopped.
    Churned,
}

impl Stage {
    pub const ALL: [Self; 4] = [Self::Onboarding, Self::Stuck, Self::Live, Self::Churned];

    /// The name in the column `stage`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Onboarding => "onboarding",
            Self::Stuck => "stuck",
            Self::Live => "live",
            Self::Churned => "churned",
        }
    }
}

named_enum!(Stage, "stage");
