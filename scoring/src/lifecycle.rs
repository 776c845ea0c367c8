//! The lifecycle of a partner: its stage, since when, and its step of onboarding.

use domain::{AsOf, Day, MICROS_PER_DAY, Stage};

use crate::input::Partner;

/// Days without a production success after which a live partner has churned (metrics.md, "Words").
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

/// A stage, and the instant it began where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifecycle {
    pub stage: Stage,
    /// µs.
    pub since: Option<i64>,
    /// `None` from go-live on.
    pub step: Option<OnboardingStep>,
}

/// Returns the lifecycle of a partner at `as_of`.
pub(crate) fn lifecycle(partner: &Partner, as_of: AsOf) -> Lifecycle {
    if let Some(live) = partner.live_at {
        let (stage, since) = match churn_day(partner).filter(|day| *day <= as_of.day()) {
            Some(day) => (Stage::Churned, day.start_micros()),
            None => (Stage::Live, live),
        };
        return Lifecycle { stage, since: Some(since), step: None };
    }
    let step = match (partner.first_call_at, partner.last_call_at) {
        (Some(_), _) => OnboardingStep::Sandbox,
        (None, Some(_)) => OnboardingStep::Failing,
        (None, None) => OnboardingStep::NeverCalled,
    };
    let onboarding = |since| Lifecycle { stage: Stage::Onboarding, since, step: Some(step) };
    // Without a registration nothing says since when the partner is expected to get on.
    let Some(registered) = partner.registered_at else {
        return onboarding(partner.first_call_at);
    };
    let step_since = partner.first_call_at.map_or(registered, |first| first.max(registered));
    if as_of.micros() - step_since < STUCK_DAYS * MICROS_PER_DAY {
        return onboarding(Some(registered));
    }
    Lifecycle {
        stage: Stage::Stuck,
        since: Some(step_since + STUCK_DAYS * MICROS_PER_DAY),
        step: Some(step),
    }
}

/// Returns the first midnight at which a live partner counts as churned, if no success follows.
pub(crate) fn churn_day(partner: &Partner) -> Option<Day> {
    // It has churned from the instant after last success + 28 days; the next midnight sees it.
    let last = partner.last_success_at?;
    Some(Day::of_micros(last).plus(CHURN_DAYS + 1))
}

/// Returns the instant at which the present step of onboarding began, in µs.
pub(crate) fn step_since(partner: &Partner) -> Option<i64> {
    match (partner.first_call_at, partner.registered_at) {
        (Some(first), Some(registered)) => Some(first.max(registered)),
        (first, registered) => first.or(registered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_input::{at, day, partner};

    #[test]
    fn every_partner_has_one_stage() {
        #[track_caller]
        fn check(
            [registered, first_call, last_call, live, last_success]: [&str; 5],
            stage: Stage,
            step: Option<OnboardingStep>,
        ) {
            let given = |text: &str| (!text.is_empty()).then(|| at(text));
            let mut p = partner("p");
            p.registered_at = given(registered);
            p.first_call_at = given(first_call);
            p.last_call_at = given(last_call);
            p.live_at = given(live);
            p.last_success_at = given(last_success);
            let found = lifecycle(&p, AsOf::of_day(day("2026-09-15")));
            assert_eq!((found.stage, found.step), (stage, step));
        }
        use OnboardingStep::{Failing, NeverCalled, Sandbox};
        use Stage::{Churned, Live, Onboarding, Stuck};
        check(["2026-09-01", "", "", "", ""], Onboarding, Some(NeverCalled));
        // Thirty days to the microsecond, and one short of it.
        check(["2026-08-16", "", "", "", ""], Stuck, Some(NeverCalled));
        check(["2026-08-16T00:00:00.000001Z", "", "", "", ""], Onboarding, Some(NeverCalled));
        check(["2026-08-01", "", "2026-09-10", "", ""], Stuck, Some(Failing));
        check(["2026-08-01", "2026-08-10", "2026-09-10", "", ""], Stuck, Some(Sandbox));
        check(["2026-08-01", "2026-09-10", "2026-09-10", "", ""], Onboarding, Some(Sandbox));
        // A call before the registration counts from the registration.
        check(["2026-09-10", "2026-01-10", "2026-09-10", "", ""], Onboarding, Some(Sandbox));
        check(["", "2026-01-10", "2026-01-10", "", ""], Onboarding, Some(Sandbox));
        check(["", "", "", "", ""], Onboarding, Some(NeverCalled));
        let live = |last| ["2026-01-01", "2026-01-02", last, "2026-01-03", last];
        check(live("2026-09-14T23:00:00Z"), Live, None);
        check(live("2026-08-18"), Live, None);
        check(live("2026-08-17T23:59:59.999999Z"), Churned, None);
        check(["", "2026-01-02", "2026-09-10", "2026-01-03", "2026-09-10"], Live, None);
    }

    #[test]
    fn churn_shows_at_the_midnight_after() {
        let mut p = partner("p");
        p.last_success_at = Some(at("2026-08-18"));
        assert_eq!(churn_day(&p), Some(day("2026-09-16")));
        p.last_success_at = Some(at("2026-08-17T23:59:59.999999Z"));
        assert_eq!(churn_day(&p), Some(day("2026-09-15")));
    }
}
