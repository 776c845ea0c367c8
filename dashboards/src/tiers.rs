//! How the tiers of partners are named and coloured on the pages.

use domain::Tier;

use crate::theme::{self, ColourRole};

/// The tiers of live partners.
pub(crate) const LIVE: [Tier; 4] =
    [Tier::Healthy, Tier::Watch, Tier::AtRisk, Tier::InsufficientEvidence];

/// The tiers of partners that are registered, but not live yet.
pub(crate) const NOT_LIVE_YET: [Tier; 2] = [Tier::Onboarding, Tier::Stuck];

/// Returns the tier with this name. A tier that this version does not know counts as too little
/// evidence.
pub fn parse(name: &str) -> Tier {
    name.parse().unwrap_or(Tier::InsufficientEvidence)
}

/// Returns the tier as it stands on a page.
pub(crate) fn label(tier: Tier) -> &'static str {
    match tier {
        Tier::Healthy => "Healthy",
        Tier::Watch => "Watch",
        Tier::AtRisk => "At risk",
        Tier::InsufficientEvidence => "Too little evidence",
        Tier::Onboarding => "Onboarding",
        Tier::Stuck => "Stuck",
        Tier::Churned => "Churned",
    }
}

/// Returns the label for places with little room.
pub(crate) fn short_label(tier: Tier) -> &'static str {
    if tier == Tier::InsufficientEvidence { "Thin evidence" } else { label(tier) }
}

/// Returns the name of the tier in file names and CSS classes.
pub(crate) fn slug(tier: Tier) -> &'static str {
    match tier {
        Tier::Healthy => "healthy",
        Tier::Watch => "watch",
        Tier::AtRisk => "at-risk",
        Tier::InsufficientEvidence => "thin",
        Tier::Onboarding => "onboarding",
        Tier::Stuck => "stuck",
        Tier::Churned => "churned",
    }
}

/// Returns the colour of the tier in charts.
pub(crate) fn colour(tier: Tier) -> ColourRole {
    match tier {
        Tier::Healthy => theme::HEALTHY,
        Tier::Watch => theme::WATCH,
        Tier::AtRisk => theme::AT_RISK,
        Tier::InsufficientEvidence => theme::THIN,
        Tier::Onboarding => theme::ONBOARDING,
        Tier::Stuck => theme::STUCK,
        Tier::Churned => theme::CHURNED,
    }
}

pub(crate) fn is_live(tier: Tier) -> bool {
    LIVE.contains(&tier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_tier_is_too_little_evidence() {
        for (name, tier) in [
            ("healthy", Tier::Healthy),
            ("", Tier::InsufficientEvidence),
            ("x", Tier::InsufficientEvidence),
        ] {
            assert_eq!(parse(name), tier);
        }
    }
}
