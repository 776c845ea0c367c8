//! The one sentence that stands beside a partner: why it is where it is.

use lake_types::{Day, MICROS_PER_DAY, counted};

use crate::input::Partner;
use crate::output::SignalScore;
use crate::policy::Policy;
use crate::stage::{Placed, Stage, Waiting, waiting_since};
use crate::weigh::Tier;
use crate::words;

/// Points against the segment from which a signal stands out.
const STANDS_OUT: f64 = 1.0;

/// What is known of a partner when its sentence is chosen.
pub(crate) struct Case<'a> {
    pub partner: &'a Partner,
    pub placed: Placed,
    pub tier: Tier,
    pub coverage: f64,
    pub signals: &'a [SignalScore],
    pub day: Day,
    pub policy: &'a Policy,
}

/// The sentence; under 57 characters for values of usual length.
pub(crate) fn top_reason(case: &Case<'_>) -> String {
    match case.placed.stage {
        Stage::Onboarding | Stage::Stuck => waiting(case),
        Stage::Churned => match case.partner.last_success_at {
            Some(last) => {
                let day = words::date(Day::of_micros(last), case.day);
                format!("No production success since {day}")
            }
            None => "No production success any more".to_owned(),
        },
        Stage::Live if case.tier == Tier::InsufficientEvidence => thin(case),
        Stage::Live => standing_out(case),
    }
}

fn waiting(case: &Case<'_>) -> String {
    let Some(since) = waiting_since(case.partner) else {
        return "Not registered, and no call has succeeded".to_owned();
    };
    waiting_for(case.placed.waiting, (case.day.start_micros() - since).max(0) / MICROS_PER_DAY)
}

/// What it waits for, after so many whole days.
fn waiting_for(waiting: Option<Waiting>, days: i64) -> String {
    let for_days = whole_days(days);
    match waiting {
        Some(Waiting::Sandbox) => format!("In the sandbox for {for_days}, not yet live"),
        Some(Waiting::Failing) => format!("Registered for {for_days}, no call has succeeded"),
        _ => format!("Registered for {for_days}, no call yet"),
    }
}

fn whole_days(days: i64) -> String {
    if days == 0 { "less than a day".to_owned() } else { counted(days, "day") }
}

fn thin(case: &Case<'_>) -> String {
    let needed = case.policy.evidence.min_live_days;
    let live = case.partner.live_at.map(|live| live_days(live, case.day));
    if let Some(days) = live.filter(|days| *days < i64::from(needed)) {
        return format!("Live for {}; a score needs {needed}", whole_days(days));
    }
    // The heaviest signal that is missing says why.
    let missing = case.signals.iter().filter(|s| s.applicable && s.score.is_none());
    let heaviest = missing.reduce(|kept, next| if next.weight > kept.weight { next } else { kept });
    let reason = heaviest.and_then(|s| s.reason.clone());
    reason.unwrap_or_else(|| format!("Coverage {:.2}: too little to score", case.coverage))
}

/// Whole days since go-live.
pub(crate) fn live_days(live: i64, day: Day) -> i64 {
    (day.start_micros() - live).max(0) / MICROS_PER_DAY
}

/// What pulls the score down most against the segment; where nothing does, what costs most
/// points, unless the partner is healthy: then what lifts it most.
fn standing_out(case: &Case<'_>) -> String {
    let measured = || case.signals.iter().filter(|s| s.score.is_some());
    let pick = |points: &dyn Fn(&SignalScore) -> f64| {
        let with = measured().map(|s| (points(s), s));
        with.reduce(|kept, next| if next.0 > kept.0 { next } else { kept })
            .filter(|(points, _)| *points >= STANDS_OUT)
            .and_then(|(_, s)| s.reason.clone())
    };
    let weight: f64 = measured().map(|s| s.weight).sum();
    let below = |s: &SignalScore| -s.contribution.unwrap_or(0.0);
    let lost = |s: &SignalScore| s.weight * (100.0 - s.score.unwrap_or(100.0)) / weight;
    let above = |s: &SignalScore| s.contribution.unwrap_or(0.0);
    let found = match case.tier {
        Tier::Healthy => pick(&below).or_else(|| pick(&above)),
        _ => pick(&below).or_else(|| pick(&lost)),
    };
    found.unwrap_or_else(|| "Nothing stands out".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_in_words() {
        #[track_caller]
        fn check(waiting: Waiting, days: i64, due: &str) {
            assert_eq!(waiting_for(Some(waiting), days), due);
        }
        check(Waiting::NeverCalled, 0, "Registered for less than a day, no call yet");
        check(Waiting::NeverCalled, 1, "Registered for 1 day, no call yet");
        check(Waiting::NeverCalled, 2, "Registered for 2 days, no call yet");
        check(Waiting::Failing, 0, "Registered for less than a day, no call has succeeded");
        check(Waiting::Failing, 1, "Registered for 1 day, no call has succeeded");
        check(Waiting::Failing, 2, "Registered for 2 days, no call has succeeded");
        check(Waiting::Sandbox, 0, "In the sandbox for less than a day, not yet live");
        check(Waiting::Sandbox, 1, "In the sandbox for 1 day, not yet live");
        check(Waiting::Sandbox, 2, "In the sandbox for 2 days, not yet live");
    }
}
