//! The freshness of a report: whether its data is recent enough, with a script that marks the page
//! as stale when the time has come.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use domain::format;
use maud::{Markup, PreEscaped, html};

use crate::input::ReportInput;
use crate::timestamps;

/// The advice on a stale report, also on one that becomes stale while it is open in a browser.
pub(crate) const STALE_ADVICE: &str =
    "Do not rely on tiers or quotas for today: run rapport report again once newer events are in";

/// Whether the data of a report is recent enough to act on.
pub(crate) struct Freshness {
    pub label: &'static str,
    pub advice: Option<&'static str>,
    pub is_stale: bool,
    made_at: Option<DateTime<Utc>>,
    stale_after: Option<DateTime<Utc>>,
}

impl Freshness {
    /// Returns the freshness at the instant at which the report is made.
    pub(crate) fn of(input: &ReportInput) -> Self {
        let made_at = input.generated_at;
        let stale = |label, advice| Self {
            label,
            advice: Some(advice),
            is_stale: true,
            made_at,
            stale_after: None,
        };
        let Some(watermark) = input.watermark else {
            return stale("No data yet", "Load events, then run rapport report again");
        };
        let midnight = input.as_of.and_time(NaiveTime::MIN).and_utc();
        if watermark < midnight {
            let advice = "The last hours before as of are missing: counts will still rise";
            return stale("Incomplete", advice);
        }
        let stale_after = watermark + TimeDelta::hours(input.policy.stale_hours);
        if made_at.is_some_and(|at| at > stale_after) {
            return stale("Stale", STALE_ADVICE);
        }
        Self {
            label: "Fresh",
            advice: None,
            is_stale: false,
            made_at,
            stale_after: Some(stale_after),
        }
    }

    /// Returns the instant at which a fresh report becomes stale, for the script.
    pub(crate) fn stale_after(&self) -> Option<String> {
        self.stale_after.map(timestamps::rfc_3339)
    }

    /// Returns `, as made on 15 Sep 00:10 UTC`. The label holds for that instant.
    pub(crate) fn made_at(&self, year: i32) -> Markup {
        html! { @if let Some(at) = self.made_at { span.made { ", as made on " (format::instant(at, year)) } } }
    }

    pub(crate) fn glyph(&self) -> Markup {
        let shape = if self.is_stale { WARNING } else { CHECK_MARK };
        PreEscaped(shape.to_owned())
    }
}

const WARNING: &str = r#"<svg class="glyph" viewBox="0 0 12 12" aria-hidden="true"><path d="M6 1 11.5 11H.5Z"/></svg>"#;
const CHECK_MARK: &str = r#"<svg class="glyph" viewBox="0 0 12 12" aria-hidden="true"><circle cx="6" cy="6" r="6"/><path class="tick" d="M3.4 6.2 5.2 8l3.4-3.8"/></svg>"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy_in_force::PolicyInForce;

    #[test]
    fn freshness_depends_on_the_watermark() {
        #[track_caller]
        fn check(
            watermark: Option<DateTime<Utc>>,
            made_at: Option<DateTime<Utc>>,
            (label, is_stale, stale_after): (&str, bool, Option<&str>),
        ) {
            let as_of = "2026-09-15".parse().expect("a date");
            let freshness = Freshness::of(&ReportInput {
                as_of,
                watermark,
                generated_at: made_at,
                policy: PolicyInForce { stale_hours: 36, ..PolicyInForce::default() },
                ..ReportInput::default()
            });
            assert_eq!((freshness.label, freshness.is_stale), (label, is_stale));
            assert_eq!(freshness.stale_after().as_deref(), stale_after);
            assert_eq!(freshness.advice.is_some(), is_stale);
        }
        let at = |text: &str| Some(text.parse::<DateTime<Utc>>().expect("an instant"));
        let watermark = at("2026-09-15T00:07:00Z");
        let until = Some("2026-09-16T12:07:00Z");
        check(watermark, at("2026-09-15T00:10:00Z"), ("Fresh", false, until));
        check(watermark, at("2026-09-16T12:08:00Z"), ("Stale", true, None));
        check(at("2026-09-14T23:59:59Z"), at("2026-09-15T00:10:00Z"), ("Incomplete", true, None));
        check(None, at("2026-09-15T00:10:00Z"), ("No data yet", true, None));
        check(watermark, None, ("Fresh", false, until));
    }
}
