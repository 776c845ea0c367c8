//! The lifecycle of a partner: its stage, since when, and its step of onboarding.

use domain::{Day, MICROS_PER_DAY, Stage};

/// The least number of days without a production success after which a live partner has churned; of a
/// partner that calls rarely it is three times its cadence.
pub const CHURN_DAYS: i32 = 28;
/// Days in one step of onboarding after which a partner is stuck (metric `stuck_partners`).
pub const STUCK_DAYS: i64 = 30;

/// How far a partner that is not live has come; the names are those of `stuck_partners`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnboardingStep {
    NeverCalled,
    Failing,
    Sandbox,
}

impl OnboardingStep {
    pub fn name(self) -> &'static str {
        match self {
            Self::NeverCalled => "never_called",
            Self::Failing => "failing",
            Self::Sandbox => "sandbox",
        }
    }
}

/// The dates of a partner as of its evaluated day. Instants are in µs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct PartnerDates {
    pub registered_at: Option<i64>,
    /// The first success in any environment.
    pub first_call_at: Option<i64>,
    /// The last call of any status in any environment.
    pub last_call_at: Option<i64>,
    /// The first production success.
    pub live_at: Option<i64>,
    /// The last date with a production success.
    pub last_success: Option<Day>,
    /// The median gap between active days, in days.
    pub cadence: f64,
    /// Calm days since the last success that put off churn: a planned pause is no farewell.
    pub churn_calm_days: i32,
}

impl PartnerDates {
    /// Returns the whole days without a production success before `day`; `None` before go-live.
    pub(crate) fn silent_days(&self, day: Day) -> Option<i32> {
        Some(day.0 - self.last_success?.0 - 1)
    }

    /// Returns the number of whole silent days after which the partner counts as churned.
    fn churn_days(&self) -> i32 {
        CHURN_DAYS.max((3.0 * self.cadence).ceil() as i32) + self.churn_calm_days
    }
}

/// A stage, and the instant it began where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifecycle {
    pub stage: Stage,
    /// µs.
    pub since: Option<i64>,
    /// `None` from go-live on.
    pub step: Option<OnboardingStep>,
    /// When the step of onboarding began, µs.
    pub step_since: Option<i64>,
}

/// Returns the lifecycle of a partner as of a day.
pub(crate) fn lifecycle(dates: &PartnerDates, day: Day) -> Lifecycle {
    let none = Lifecycle { stage: Stage::Live, since: dates.live_at, step: None, step_since: None };
    if dates.live_at.is_some() {
        let churn_days = dates.churn_days();
        let silent = dates.silent_days(day).filter(|silent| *silent >= churn_days);
        let Some((_, last)) = silent.zip(dates.last_success) else { return none };
        let since = Some(last.plus(churn_days + 1).start_micros());
        return Lifecycle { stage: Stage::Churned, since, ..none };
    }
    let step = match (dates.first_call_at, dates.last_call_at) {
        (Some(_), _) => OnboardingStep::Sandbox,
        (None, Some(_)) => OnboardingStep::Failing,
        (None, None) => OnboardingStep::NeverCalled,
    };
    let step_since = match (dates.first_call_at, dates.registered_at) {
        (Some(first), Some(registered)) => Some(first.max(registered)),
        (first, registered) => first.or(registered),
    };
    let onboarding =
        |since| Lifecycle { stage: Stage::Onboarding, since, step: Some(step), step_since };
    // Without a registration nothing says since when the partner is expected to get on.
    let Some(registered) = dates.registered_at else {
        return onboarding(dates.first_call_at);
    };
    let stuck_at = step_since.unwrap_or(registered) + STUCK_DAYS * MICROS_PER_DAY;
    if day.start_micros() < stuck_at {
        return onboarding(Some(registered));
    }
    Lifecycle { stage: Stage::Stuck, since: Some(stuck_at), step: Some(step), step_since }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::parse_instant;

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    #[test]
    fn every_partner_has_one_stage() {
        #[track_caller]
        fn check(
            [registered, first_call, last_call, live, last_success]: [&str; 5],
            cadence: f64,
            stage: Stage,
            step: Option<OnboardingStep>,
        ) {
            let given = |text: &str| {
                let instant =
                    if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
                (!text.is_empty()).then(|| parse_instant(&instant).expect("an instant"))
            };
            let dates = PartnerDates {
                registered_at: given(registered),
                first_call_at: given(first_call),
                last_call_at: given(last_call),
                live_at: given(live),
                last_success: (!last_success.is_empty()).then(|| day(last_success)),
                cadence,
                churn_calm_days: 0,
            };
            let found = lifecycle(&dates, day("2026-09-15"));
            assert_eq!((found.stage, found.step), (stage, step));
        }
        use OnboardingStep::{Failing, NeverCalled, Sandbox};
        use Stage::{Churned, Live, Onboarding, Stuck};
        check(["2026-09-01", "", "", "", ""], 1.0, Onboarding, Some(NeverCalled));
        // Thirty days to the microsecond, and one short of it.
        check(["2026-08-16", "", "", "", ""], 1.0, Stuck, Some(NeverCalled));
        let later = "2026-08-16T00:00:00.000001Z";
        check([later, "", "", "", ""], 1.0, Onboarding, Some(NeverCalled));
        check(["2026-08-01", "", "2026-09-10", "", ""], 1.0, Stuck, Some(Failing));
        check(["2026-08-01", "2026-08-10", "2026-09-10", "", ""], 1.0, Stuck, Some(Sandbox));
        check(["2026-08-01", "2026-09-10", "2026-09-10", "", ""], 1.0, Onboarding, Some(Sandbox));
        // A call before the registration counts from the registration.
        check(["2026-09-10", "2026-01-10", "2026-09-10", "", ""], 1.0, Onboarding, Some(Sandbox));
        check(["", "2026-01-10", "2026-01-10", "", ""], 1.0, Onboarding, Some(Sandbox));
        check(["", "", "", "", ""], 1.0, Onboarding, Some(NeverCalled));
        let live = |last| ["2026-01-01", "2026-01-02", last, "2026-01-03", last];
        // 28 whole days from 18 August to 14 September.
        check(live("2026-08-18"), 1.0, Live, None);
        check(live("2026-08-17"), 1.0, Churned, None);
        // A monthly caller is not dying every month: three of its gaps are 90 days.
        check(live("2026-08-01"), 30.0, Live, None);
        check(live("2026-06-17"), 30.0, Live, None);
        check(live("2026-06-16"), 30.0, Churned, None);
    }

    #[test]
    fn calm_days_put_off_churn() {
        let dates = PartnerDates {
            live_at: Some(0),
            last_success: Some(day("2026-08-01")),
            cadence: 1.0,
            churn_calm_days: 10,
            ..PartnerDates::default()
        };
        // 28 days from 2 August end with the 29th, and ten calm ones later with 8 September.
        assert_eq!(lifecycle(&dates, day("2026-09-08")).stage, Stage::Live);
        let churned = lifecycle(&dates, day("2026-09-09"));
        assert_eq!(churned.stage, Stage::Churned);
        assert_eq!(churned.since, Some(day("2026-09-09").start_micros()));
        assert_eq!(lifecycle(&dates, day("2027-01-01")).since, churned.since);
    }
}
