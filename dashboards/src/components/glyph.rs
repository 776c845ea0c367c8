//! Glyphs of the tiers: a shape for each, which always stands beside its label.

use domain::Tier;
use maud::{Markup, PreEscaped, html};

use crate::tiers;

/// Returns the shape alone, 12 px wide.
pub(crate) fn glyph(tier: Tier) -> Markup {
    let shape = match tier {
        Tier::Healthy => r#"<circle cx="6" cy="6" r="4"/>"#,
        Tier::Watch => r#"<path d="M6 1.6 11 10.4H1Z"/>"#,
        Tier::AtRisk => r#"<path d="M6 .8 11.2 6 6 11.2.8 6Z"/>"#,
        Tier::InsufficientEvidence => {
            r#"<circle cx="6" cy="6" r="4" fill="none" stroke-width="1.5" stroke-dasharray="2 1.6"/>"#
        }
        Tier::Onboarding => r#"<path d="M2.4 1.4 10.4 6l-8 4.6Z"/>"#,
        Tier::Stuck => r#"<path d="M2 2h3v8H2zM7 2h3v8H7z"/>"#,
        Tier::Churned => {
            r#"<path d="m2.4 2.4 7.2 7.2m0-7.2-7.2 7.2" fill="none" stroke-width="1.8"/>"#
        }
    };
    PreEscaped(format!(
        r#"<svg class="glyph {}" viewBox="0 0 12 12" aria-hidden="true">{shape}</svg>"#,
        tiers::slug(tier)
    ))
}

/// Returns the glyph and the label in the colour of the tier.
pub(crate) fn with_label(tier: Tier) -> Markup {
    with_text(tier, tiers::label(tier))
}

/// Returns the glyph and the short label in the colour of the tier.
pub(crate) fn with_short_label(tier: Tier) -> Markup {
    with_text(tier, tiers::short_label(tier))
}

/// Returns the glyph of a tier and another text in its colour, where something else than a partner is
/// well or not.
pub(crate) fn with_text(tier: Tier, text: &str) -> Markup {
    html! {
        span class={ "tier " (tiers::slug(tier)) "-text" } { (glyph(tier)) (text) }
    }
}
