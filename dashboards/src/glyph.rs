//! Glyphs of the standings: a shape for each, always beside its word.

use maud::{Markup, PreEscaped, html};

use crate::standing::Standing;

/// The shape alone, 12 px.
pub(crate) fn glyph(standing: Standing) -> Markup {
    let shape = match standing {
        Standing::Healthy => r#"<circle cx="6" cy="6" r="4"/>"#,
        Standing::Watch => r#"<path d="M6 1.6 11 10.4H1Z"/>"#,
        Standing::AtRisk => r#"<path d="M6 .8 11.2 6 6 11.2.8 6Z"/>"#,
        Standing::Thin => {
            r#"<circle cx="6" cy="6" r="4" fill="none" stroke-width="1.5" stroke-dasharray="2 1.6"/>"#
        }
        Standing::Onboarding => r#"<path d="M2.4 1.4 10.4 6l-8 4.6Z"/>"#,
        Standing::Stuck => r#"<path d="M2 2h3v8H2zM7 2h3v8H7z"/>"#,
        Standing::Churned => {
            r#"<path d="m2.4 2.4 7.2 7.2m0-7.2-7.2 7.2" fill="none" stroke-width="1.8"/>"#
        }
    };
    PreEscaped(format!(
        r#"<svg class="glyph {}" viewBox="0 0 12 12" aria-hidden="true">{shape}</svg>"#,
        standing.slug()
    ))
}

/// Glyph and word in the standing's text colour; the short word shows where room is short.
pub(crate) fn tier(standing: Standing) -> Markup {
    html! {
        span class={ "tier " (standing.slug()) "-text" } { (glyph(standing)) (standing.word()) }
    }
}

/// The same with the short word.
pub(crate) fn tier_short(standing: Standing) -> Markup {
    html! {
        span class={ "tier " (standing.slug()) "-text" } { (glyph(standing)) (standing.short()) }
    }
}
