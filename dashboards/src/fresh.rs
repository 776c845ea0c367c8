//! How far a report can be relied on: said with the instant it was made, and turning by itself
//! when it is old.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use maud::{Markup, PreEscaped, html};

use crate::input::ReportInput;
use crate::words;

/// What a stale report says, also one that turned so where it is read.
pub(crate) const OLD: &str =
    "Do not rely on tiers or quotas for today: run rapport report again once newer events are in";

pub(crate) struct State {
    pub word: &'static str,
    pub advice: Option<&'static str>,
    pub stale: bool,
    made: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl State {
    /// As of the instant the report is made.
    pub(crate) fn of(input: &ReportInput) -> Self {
        let made = input.generated_at;
        let stale =
            |word, advice| Self { word, advice: Some(advice), stale: true, made, until: None };
        let Some(watermark) = input.watermark else {
            return stale("No data yet", "Load events, then run rapport report again");
        };
        let midnight = input.as_of.and_time(NaiveTime::MIN).and_utc();
        if watermark < midnight {
            let advice = "The last hours before as of are missing: counts will still rise";
            return stale("Incomplete", advice);
        }
        let until = watermark + TimeDelta::hours(input.policy.stale_hours);
        if made.is_some_and(|made| made > until) {
            return stale("Stale", OLD);
        }
        Self { word: "Fresh", advice: None, stale: false, made, until: Some(until) }
    }

    /// When a fresh report turns stale, for the script.
    pub(crate) fn until(&self) -> Option<String> {
        self.until.map(|at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    /// `, as made on 15 Sep 00:10 UTC`: true whenever it is read.
    pub(crate) fn made(&self, year: i32) -> Markup {
        html! { @if let Some(made) = self.made { span.made { ", as made on " (words::instant(made, year)) } } }
    }

    pub(crate) fn glyph(&self) -> Markup {
        let shape = if self.stale { WARNING } else { TICK };
        PreEscaped(shape.to_owned())
    }
}

const WARNING: &str = r#"<svg class="glyph" viewBox="0 0 12 12" aria-hidden="true"><path d="M6 1 11.5 11H.5Z"/></svg>"#;
const TICK: &str = r#"<svg class="glyph" viewBox="0 0 12 12" aria-hidden="true"><circle cx="6" cy="6" r="6"/><path class="tick" d="M3.4 6.2 5.2 8l3.4-3.8"/></svg>"#;

/// Turns a fresh page stale when its time has come, also while it stays open.
pub(crate) fn script() -> Markup {
    PreEscaped(format!("<script>{}</script>", include_str!("fresh.js")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicyInForce;

    #[test]
    fn a_report_is_as_good_as_its_data() {
        #[track_caller]
        fn check(
            watermark: Option<DateTime<Utc>>,
            made: Option<DateTime<Utc>>,
            (word, stale, until): (&str, bool, Option<&str>),
        ) {
            let as_of = "2026-09-15".parse().expect("a date");
            let state = State::of(&ReportInput {
                as_of,
                watermark,
                generated_at: made,
                policy: PolicyInForce { stale_hours: 36, ..PolicyInForce::default() },
                ..ReportInput::default()
            });
            assert_eq!((state.word, state.stale, state.until().as_deref()), (word, stale, until));
            assert_eq!(state.advice.is_some(), stale);
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
