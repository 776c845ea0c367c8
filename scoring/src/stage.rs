//! The lifecycle stage: where a partner is, which is not how well it does.

use lake_types::{AsOf, Day, MICROS_PER_DAY};

use crate::input::Partner;

/// Days without a production success after which a live partner has churned (metrics.md, "Words").
pub const CHURN_DAYS: i32 = 28;
/// Days in one stage before go-live after which a partner is stuck (metric `stuck_partners`).
pub const STUCK_DAYS: i64 = 30;

/// Where a partner is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Onboarding,
    Stuck,
    Live,
    Churned,
}

impl Stage {
    /// The name in the column `stage`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Onboarding => "onboarding",
            Self::Stuck => "stuck",
            Self::Live => "live",
            Self::Churned => "churned",
        }
    }
}

/// How far a partner that is not live has come; the names of `stuck_partners`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    NeverCalled,
    Failing,
    Sandbox,
}

impl Waiting {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NeverCalled => "never_called",
            Self::Failing => "failing",
            Self::Sandbox => "sandbox",
        }
    }
}

/// A stage, and the instant it began where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub stage: Stage,
    pub since: Option<i64>,
    pub waiting: Option<Waiting>,
}

/// The stage of a partner at `as_of`.
pub(crate) fn place(partner: &Partner, as_of: AsOf) -> Placed {
    if let Some(live) = partner.live_at {
        let churned = churn_day(partner).filter(|day| *day <= as_of.day());
        return match churned {
            Some(day) => {
                Placed { stage: Stage::Churned, since: Some(day.start_micros()), waiting: None }
            }
            None => Placed { stage: Stage::Live, since: Some(live), waiting: None },
        };
    }
    let waiting = match (partner.first_call_at, partner.last_call_at) {
        (Some(_), _) => Waiting::Sandbox,
        (None, Some(_)) => Waiting::Failing,
        (None, None) => Waiting::NeverCalled,
    };
    let onboarding = |since| Placed { stage: Stage::Onboarding, since, waiting: Some(waiting) };
    // Without a registration nothing says since when it is expected to get on.
    let Some(registered) = partner.registered_at else {
        return onboarding(partner.first_call_at);
    };
    let since = partner.first_call_at.map_or(registered, |first| first.max(registered));
    if as_of.micros() - since < STUCK_DAYS * MICROS_PER_DAY {
        return onboarding(Some(registered));
    }
    Placed {
        stage: Stage::Stuck,
        since: Some(since + STUCK_DAYS * MICROS_PER_DAY),
        waiting: Some(waiting),
    }
}

/// The first midnight at which a live partner counts as churned, if no success follows.
pub(crate) fn churn_day(partner: &Partner) -> Option<Day> {
    // Churned from the instant after last success + 28 d; the midnight after that instant sees it.
    let last = partner.last_success_at?;
    Some(Day::of_micros(last).plus(CHURN_DAYS + 1))
}

/// Since when a partner waits in what it waits for, in µs.
pub(crate) fn waiting_since(partner: &Partner) -> Option<i64> {
    match (partner.first_call_at, partner.registered_at) {
        (Some(first), Some(registered)) => Some(first.max(registered)),
        (first, registered) => first.or(registered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, day, partner};

    #[test]
    fn every_partner_has_one_stage() {
        #[track_caller]
        fn check(
            [registered, first_call, last_call, live, last_success]: [&str; 5],
            stage: Stage,
            waiting: Option<Waiting>,
        ) {
            let given = |text: &str| (!text.is_empty()).then(|| at(text));
            let mut p = partner("p");
            p.registered_at = given(registered);
            p.first_call_at = given(first_call);
            p.last_call_at = given(last_call);
            p.live_at = given(live);
            p.last_success_at = given(last_success);
            let placed = place(&p, AsOf::of_day(day("2026-09-15")));
            assert_eq!((placed.stage, placed.waiting), (stage, waiting));
        }
        use Stage::{Churned, Live, Onboarding, Stuck};
        use Waiting::{Failing, NeverCalled, Sandbox};
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
