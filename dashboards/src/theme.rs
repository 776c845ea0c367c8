//! The colours of the pages, each with a role in the light and the dark theme, and the style rules
//! made from them.

use std::fmt::Write as _;

/// A purpose that a colour serves. Every `light` value is unique: charts are drawn in light
/// colours, and the style sheet finds the role of a colour by this value for the dark theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColourRole {
    /// The name of the CSS variable.
    pub name: &'static str,
    /// The colours as 0xRRGGBB.
    pub light: u32,
    pub dark: u32,
}

const fn role(name: &'static str, light: u32, dark: u32) -> ColourRole {
    ColourRole { name, light, dark }
}

pub(crate) const PAGE: ColourRole = role("page", 0xFFFFFF, 0x0F151B);
pub(crate) const SURFACE: ColourRole = role("surface", 0xF5F7F9, 0x151D25);
pub(crate) const HOVER: ColourRole = role("hover", 0xF3F6F8, 0x1B252E);
pub(crate) const HAIR: ColourRole = role("hair", 0xE2E7EC, 0x26313B);
pub(crate) const RULE: ColourRole = role("rule", 0xC2CBD4, 0x43515E);
pub(crate) const GRID: ColourRole = role("grid", 0xE8ECF0, 0x1F2932);
pub(crate) const AXIS: ColourRole = role("axis", 0x86929E, 0x76848F);
pub(crate) const INK: ColourRole = role("ink", 0x14202B, 0xE7ECF1);
pub(crate) const INK_2: ColourRole = role("ink-2", 0x475563, 0xAAB6C1);
pub(crate) const INK_3: ColourRole = role("ink-3", 0x66727E, 0x8896A3);
/// A line of this role is dotted by the style sheet.
pub(crate) const MARK: ColourRole = role("mark", 0x5F6B77, 0x8E9BA8);
pub(crate) const LINK: ColourRole = role("link", 0x0B5BA6, 0x7DBBF2);
pub(crate) const SERIES: ColourRole = role("series", 0x1F66AE, 0x5FA8EA);
pub(crate) const SERIES_LABEL: ColourRole = role("series-label", 0x1A5F9F, 0x74B5EE);
pub(crate) const SERIES_2: ColourRole = role("series-2", 0x5494CE, 0xB4D8F7);
pub(crate) const SERIES_2_LABEL: ColourRole = role("series-2-label", 0x2C70AD, 0xB4D8F8);
pub(crate) const NEGATIVE: ColourRole = role("negative", 0xC24E1B, 0xF0894F);
pub(crate) const RETAINED: ColourRole = role("retained", 0xD3DDE6, 0x2B3843);
pub(crate) const RETAINED_LINE: ColourRole = role("retained-line", 0x7E90A1, 0x74879A);
pub(crate) const HEALTHY: ColourRole = role("healthy", 0x1B7F79, 0x3FB8AD);
pub(crate) const HEALTHY_TEXT: ColourRole = role("healthy-text", 0x14665F, 0x56C8BD);
pub(crate) const WATCH: ColourRole = role("watch", 0xBF7400, 0xE3A436);
pub(crate) const WATCH_TEXT: ColourRole = role("watch-text", 0x8A5300, 0xEBB458);
pub(crate) const AT_RISK: ColourRole = role("at-risk", 0xB3202E, 0xEE5F6B);
pub(crate) const AT_RISK_TEXT: ColourRole = role("at-risk-text", 0xA51B29, 0xF58A92);
pub(crate) const THIN: ColourRole = role("thin", 0x8B96A1, 0x707D89);
pub(crate) const ONBOARDING: ColourRole = role("onboarding", 0x4A86C5, 0xA9CDF2);
pub(crate) const STUCK: ColourRole = role("stuck", 0x7B559F, 0x9E7DCF);
pub(crate) const CHURNED: ColourRole = role("churned", 0x38434D, 0xC3CCD5);
pub(crate) const HEALTHY_AREA: ColourRole = role("healthy-area", 0xB5D9D5, 0x1E4F4E);
pub(crate) const WATCH_AREA: ColourRole = role("watch-area", 0xE8C17D, 0x6B5226);
pub(crate) const HEALTHY_BAND: ColourRole = role("healthy-band", 0xEBF4F3, 0x13262A);
pub(crate) const AT_RISK_BAND: ColourRole = role("at-risk-band", 0xF9ECED, 0x2B1A21);
pub(crate) const UNCERTAINTY: ColourRole = role("uncertainty", 0xD7E5F4, 0x1D3448);
pub(crate) const USUAL: ColourRole = role("usual", 0xEDF0F3, 0x1A232B);
pub(crate) const GOOD: ColourRole = role("good", 0x14665E, 0x56C8BE);
pub(crate) const BAD: ColourRole = role("bad", 0xA8400F, 0xF49B69);
pub(crate) const ON_FILL: ColourRole = role("on-fill", 0xFEFEFE, 0x0B1116);

/// The fills of the retention heatmap, from low to high. Step i begins at `STEP_FROM[i]`.
pub(crate) const STEPS: [ColourRole; 7] = [
    role("step-0", 0xF0F5FA, 0x14212D),
    role("step-1", 0xDBE8F4, 0x193247),
    role("step-2", 0xBAD4EB, 0x1F4766),
    role("step-3", 0x90BADD, 0x295F88),
    role("step-4", 0x629BC9, 0x478CBC),
    role("step-5", 0x3575AE, 0x6AA8D5),
    role("step-6", 0x1A5A93, 0x9CCBED),
];
pub(crate) const STEP_FROM: [f64; 7] = [0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];

/// The text on each fill of the heatmap. The dark theme changes from dark to light text at another
/// step than the light theme, so each step has a role of its own.
pub(crate) const STEP_TEXT: [ColourRole; 7] = [
    role("step-text-0", 0x14202A, 0xE7ECF1),
    role("step-text-1", 0x14202C, 0xE7ECF1),
    role("step-text-2", 0x14202D, 0xE7ECF1),
    role("step-text-3", 0x14202E, 0xE7ECF1),
    role("step-text-4", 0x14202F, 0x0B1116),
    role("step-text-5", 0xFEFEFD, 0x0B1116),
    role("step-text-6", 0xFEFEFC, 0x0B1116),
];

const SINGLE_ROLES: [ColourRole; 38] = [
    PAGE,
    SURFACE,
    HOVER,
    HAIR,
    RULE,
    GRID,
    AXIS,
    INK,
    INK_2,
    INK_3,
    MARK,
    LINK,
    SERIES,
    SERIES_LABEL,
    SERIES_2,
    SERIES_2_LABEL,
    NEGATIVE,
    RETAINED,
    RETAINED_LINE,
    HEALTHY,
    HEALTHY_TEXT,
    WATCH,
    WATCH_TEXT,
    AT_RISK,
    AT_RISK_TEXT,
    THIN,
    ONBOARDING,
    STUCK,
    CHURNED,
    HEALTHY_AREA,
    WATCH_AREA,
    HEALTHY_BAND,
    AT_RISK_BAND,
    UNCERTAINTY,
    USUAL,
    GOOD,
    BAD,
    ON_FILL,
];

/// Returns every role once.
pub(crate) fn all() -> impl Iterator<Item = ColourRole> {
    SINGLE_ROLES.into_iter().chain(STEPS).chain(STEP_TEXT)
}

/// Returns the heatmap step of a retention share in 0–1.
pub(crate) fn step_of(share: f64) -> usize {
    STEP_FROM.iter().rposition(|from| share >= *from).unwrap_or(0)
}

/// Returns the CSS variables of both themes, and the rules that change the colours of charts in the
/// dark theme. The dark theme is for screens only: printed pages are always light.
pub(crate) fn stylesheet() -> String {
    let (mut light, mut dark, mut drawn) = (String::new(), String::new(), String::new());
    for ColourRole { name, light: day, dark: night } in all() {
        // Writing to a String cannot fail.
        let _ = write!(light, "--{name}:#{day:06X};");
        let _ = write!(dark, "--{name}:#{night:06X};");
        let _ = write!(
            drawn,
            "svg [fill=\"#{day:06X}\"]{{fill:#{night:06X}}}svg [stroke=\"#{day:06X}\"]{{stroke:#{night:06X}}}"
        );
    }
    // Written out, the dots of a long line would take more room than the rest of its chart.
    let dotted = format!("svg [stroke=\"#{:06X}\"]{{stroke-dasharray:4 8}}", MARK.light);
    format!(
        ":root{{color-scheme:light dark;{light}}}\n{dotted}\n\
         @media screen and (prefers-color-scheme:dark){{:root{{{dark}}}{drawn}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn contrast(a: u32, b: u32) -> f64 {
        let luminance = |hex: u32| {
            let part = |shift: u32| {
                let c = f64::from((hex >> shift) & 0xFF) / 255.0;
                if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
        };
        let (x, y) = (luminance(a), luminance(b));
        (x.max(y) + 0.05) / (x.min(y) + 0.05)
    }

    #[test]
    fn every_light_colour_names_one_role() {
        let mut seen = HashSet::new();
        for role in all() {
            assert!(seen.insert(role.light), "{} shares its light colour", role.name);
        }
    }

    #[test]
    fn roles_reach_their_contrast() {
        #[track_caller]
        fn check(role: ColourRole, at_least: f64) {
            for (colour, page) in [(role.light, PAGE.light), (role.dark, PAGE.dark)] {
                let ratio = contrast(colour, page);
                assert!(ratio >= at_least, "{} has {ratio:.2}, needs {at_least}", role.name);
            }
        }
        let text = [
            INK,
            INK_2,
            INK_3,
            LINK,
            SERIES_LABEL,
            SERIES_2_LABEL,
            HEALTHY_TEXT,
            WATCH_TEXT,
            AT_RISK_TEXT,
            GOOD,
            BAD,
        ];
        for role in text {
            check(role, 4.5);
        }
        let graphic = [
            AXIS,
            SERIES,
            SERIES_2,
            NEGATIVE,
            RETAINED_LINE,
            HEALTHY,
            WATCH,
            AT_RISK,
            ONBOARDING,
            STUCK,
            CHURNED,
        ];
        for role in graphic {
            check(role, 3.0);
        }
        for (step, text) in STEPS.iter().zip(STEP_TEXT) {
            assert!(contrast(step.light, text.light) >= 4.8, "{} light", step.name);
            assert!(contrast(step.dark, text.dark) >= 4.8, "{} dark", step.name);
        }
    }

    #[test]
    fn steps_begin_where_they_say() {
        for (share, step) in [(0.0, 0), (0.49, 0), (0.5, 1), (0.9, 5), (0.95, 6), (1.0, 6)] {
            assert_eq!(step_of(share), step, "{share}");
        }
    }
}
