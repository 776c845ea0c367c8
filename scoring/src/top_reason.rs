//! The top reason: the one sentence beside a partner that says why it is where it is.

use domain::format::{plain_date, whole_days};
use domain::{Day, MICROS_PER_DAY, Stage, Tier};

use crate::input::Partner;
use crate::lifecycle::{Lifecycle, OnboardingStep, step_since};
use crate::output::SignalScore;

/// Points against the segment from which a signal stands out.
const STANDS_OUT: f64 = 1.0;

/// What is known of a partner when its reason is chosen.
pub(crate) struct ReasonContext<'a> {
    pub partner: &'a Partner,
    pub lifecycle: Lifecycle,
    pub tier: Tier,
    pub coverage: f64,
    pub signals: &'a [SignalScore],
    pub day: Day,
    /// Days a partner must have been live for a score.
    pub min_live_days: i32,
}

/// Returns the sentence, which is under 57 characters long for values of usual length.
pub(crate) fn top_reason(context: &ReasonContext<'_>) -> String {
    match context.lifecycle.stage {
        Stage::Onboarding | Stage::Stuck => onboarding_reason(context),
        Stage::Churned => match context.partner.last_success_at {
            Some(last) => {
                let day = plain_date(Day::of_micros(last), context.day);
                format!("No production success since {day}")
            }
            None => "No production success any more".to_owned(),
        },
        Stage::Live if context.tier == Tier::InsufficientEvidence => missing_evidence(context),
        Stage::Live => outstanding_signal(context),
    }
}

fn onboarding_reason(context: &ReasonContext<'_>) -> String {
    let Some(since) = step_since(context.partner) else {
        return "Not registered, and no call has succeeded".to_owned();
    };
    let days = (context.day.start_micros() - since).max(0) / MICROS_PER_DAY;
    describe_step(context.lifecycle.step, days)
}

/// Describes a step of onboarding after so many whole days.
fn describe_step(step: Option<OnboardingStep>, days: i64) -> String {
    let for_days = whole_days(days);
    match step {
        Some(OnboardingStep::Sandbox) => format!("In the sandbox for {for_days}, not yet live"),
        Some(OnboardingStep::Failing) => {
            format!("Registered for {for_days}, no call has succeeded")
        }
        _ => format!("Registered for {for_days}, no call yet"),
    }
}

/// Says which evidence is missing for a score.
fn missing_evidence(context: &ReasonContext<'_>) -> String {
    let needed = context.min_live_days;
    let live = context.partner.live_at.map(|live| live_days(live, context.day));
    if let Some(days) = live.filter(|days| *days < i64::from(needed)) {
        return format!("Live for {}; a score needs {needed}", whole_days(days));
    }
    // The heaviest signal that is missing says why.
    let missing = context.signals.iter().filter(|s| s.applicable && s.score.is_none());
    let heaviest = missing.reduce(|kept, next| if next.weight > kept.weight { next } else { kept });
    let reason = heaviest.and_then(|s| s.reason.clone());
    reason.unwrap_or_else(|| format!("Coverage {:.2}: too little to score", context.coverage))
}

/// Returns the number of whole days since go-live.
pub(crate) fn live_days(live: i64, day: Day) -> i64 {
    (day.start_micros() - live).max(0) / MICROS_PER_DAY
}

/// Returns the reason of the signal that pulls the score down most against the segment. Where none
/// does, it is the one that costs most points, or, of a healthy partner, the one that lifts it
/// most.
fn outstanding_signal(context: &ReasonContext<'_>) -> String {
    let measured = || context.signals.iter().filter(|s| s.score.is_some());
    let reason_of_most = |points: &dyn Fn(&SignalScore) -> f64| {
        let with_points = measured().map(|s| (points(s), s));
        with_points
            .reduce(|kept, next| if next.0 > kept.0 { next } else { kept })
            .filter(|(points, _)| *points >= STANDS_OUT)
            .and_then(|(_, s)| s.reason.clone())
    };
    let weight: f64 = measured().map(|s| s.weight).sum();
    let below = |s: &SignalScore| -s.contribution.unwrap_or(0.0);
    let lost = |s: &SignalScore| s.weight * (100.0 - s.score.unwrap_or(100.0)) / weight;
    let above = |s: &SignalScore| s.contribution.unwrap_or(0.0);
    let found = match context.tier {
        Tier::Healthy => reason_of_most(&below).or_else(|| reason_of_most(&above)),
        _ => reason_of_most(&below).or_else(|| reason_of_most(&lost)),
    };
    found.unwrap_or_else(|| "Nothing stands out".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_as_sentences() {
        #[track_caller]
        fn check(step: OnboardingStep, days: i64, expected: &str) {
            assert_eq!(describe_step(Some(step), days), expected);
        }
        check(OnboardingStep::NeverCalled, 0, "Registered for less than a day, no call yet");
        check(OnboardingStep::NeverCalled, 1, "Registered for 1 day, no call yet");
        check(OnboardingStep::NeverCalled, 2, "Registered for 2 days, no call yet");
        check(OnboardingStep::Failing, 0, "Registered for less than a day, no call has succeeded");
        check(OnboardingStep::Failing, 1, "Registered for 1 day, no call has succeeded");
        check(OnboardingStep::Failing, 2, "Registered for 2 days, no call has succeeded");
        check(OnboardingStep::Sandbox, 0, "In the sandbox for less than a day, not yet live");
        check(OnboardingStep::Sandbox, 1, "In the sandbox for 1 day, not yet live");
        check(OnboardingStep::Sandbox, 2, "In the sandbox for 2 days, not yet live");
    }
}
