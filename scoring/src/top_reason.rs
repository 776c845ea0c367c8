//! The top reason: the one sentence beside a partner that says why it is where it is.

use domain::format::{plain_date, whole_days};
use domain::{Day, MICROS_PER_DAY, Stage, Tier};

use crate::evaluation::{Evaluation, SignalColumns};
use crate::frames::ScoreError;
use crate::gate_reason::gate_reason;
use crate::gates::Gate;
use crate::lifecycle::OnboardingStep;
use crate::policy::Policy;
use crate::tier::TierPolicy;

/// Points against the segment from which a signal stands out.
const STANDS_OUT: f64 = 1.0;

/// Returns the sentence of one row, which is at most 60 characters long for values of usual length.
pub(crate) fn top_reason(
    evaluation: &Evaluation,
    row: usize,
    (tier, gate): (Tier, Option<Gate>),
    day: Day,
    policy: &Policy,
) -> Result<String, ScoreError> {
    if let Some(gate) = gate {
        return gate_reason(gate, evaluation, row);
    }
    let lifecycle = &evaluation.partners.lifecycles[row];
    Ok(match lifecycle.stage {
        Stage::Onboarding | Stage::Stuck => match lifecycle.step_since {
            None => "Not registered, and no call has succeeded".to_owned(),
            Some(since) => {
                let days = (day.start_micros() - since).max(0) / MICROS_PER_DAY;
                describe_step(lifecycle.step, days)
            }
        },
        Stage::Churned => match evaluation.partners.silent_days.get(row) {
            Some(days) => {
                let last = plain_date(day.plus(-(days as i32) - 1), day);
                format!("No production success since {last}")
            }
            None => "No production success any more".to_owned(),
        },
        Stage::Live if tier == Tier::InsufficientEvidence => {
            missing_evidence(evaluation, row, policy)
        }
        Stage::Live => match waiting_upgrade(evaluation, row, tier, &policy.tiers) {
            Some(reason) => reason,
            None => outstanding_signal(evaluation, row, tier),
        },
    })
}

/// Says why a partner has a worse tier than its score alone would give: a better one needs to hold for
/// some evaluations, with any one week left out. `None` where the tier is that of the score.
fn waiting_upgrade(
    evaluation: &Evaluation,
    row: usize,
    tier: Tier,
    tiers: &TierPolicy,
) -> Option<String> {
    let above = match tier {
        Tier::Watch => tiers.healthy_above,
        Tier::AtRisk => tiers.at_risk_left_above,
        _ => return None,
    };
    let score = evaluation.score.get(row).filter(|score| *score > above)?;
    let low = evaluation.weighted.low.get(row).unwrap_or(score);
    Some(describe_wait(score, low, above, tiers.upgrade_evaluations))
}

/// Describes a score above a threshold that has not held: `low` is the least one with any one week left
/// out.
fn describe_wait(score: f64, low: f64, above: f64, evaluations: u32) -> String {
    let score = plain_number(score);
    match low > above {
        true => {
            format!(
                "Score {score}; without its best week above {above} for under {evaluations} days"
            )
        }
        false => format!("Score {score}, but {} without its best week", plain_number(low)),
    }
}

/// Returns a score without decimals, towards 0: one of 74.9 is not above 75.
fn plain_number(score: f64) -> String {
    format!("{:.0}", score.floor())
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
fn missing_evidence(evaluation: &Evaluation, row: usize, policy: &Policy) -> String {
    let needed = policy.evidence.min_live_days;
    let live_days = evaluation.partners.live_days.get(row).map(f64::floor);
    if let Some(days) = live_days.filter(|days| *days < f64::from(needed)) {
        return format!("Live for {}; a score needs {needed}", whole_days(days as i64));
    }
    // The heaviest signal that is missing says why.
    let is_missing = |signal: &&SignalColumns| {
        signal.applies.get(row) == Some(true) && signal.score.get(row).is_none()
    };
    let weight = |signal: &SignalColumns| signal.weight.get(row).unwrap_or_default();
    let missing = evaluation.signals.iter().filter(is_missing);
    let heaviest =
        missing.reduce(|kept, next| if weight(next) > weight(kept) { next } else { kept });
    let reason = heaviest.and_then(|signal| signal.reasons.get(row)).map(str::to_owned);
    let coverage = evaluation.weighted.coverage.get(row).unwrap_or_default();
    reason.unwrap_or_else(|| format!("Coverage {coverage:.2}: too little to score"))
}

/// Returns the reason of the signal that pulls the score down most against the segment. Where none
/// does, it is the one that costs most points, or, of a healthy partner, the one that lifts it
/// most.
fn outstanding_signal(evaluation: &Evaluation, row: usize, tier: Tier) -> String {
    let measured = || evaluation.signals.iter().filter(|signal| signal.score.get(row).is_some());
    let reason_of_most = |points: &dyn Fn(&SignalColumns) -> f64| {
        let with_points = measured().map(|signal| (points(signal), signal));
        with_points
            .reduce(|kept, next| if next.0 > kept.0 { next } else { kept })
            .filter(|(points, _)| *points >= STANDS_OUT)
            .and_then(|(_, signal)| signal.reasons.get(row))
    };
    let total = evaluation.weighted.weight.get(row).filter(|weight| *weight > 0.0).unwrap_or(1.0);
    let contribution = |signal: &SignalColumns| signal.contribution.get(row).unwrap_or_default();
    let below = |signal: &SignalColumns| -contribution(signal);
    let lost = |signal: &SignalColumns| {
        let weight = signal.weight.get(row).unwrap_or_default();
        weight * (100.0 - signal.score.get(row).unwrap_or(100.0)) / total
    };
    let found = match tier {
        Tier::Healthy => reason_of_most(&below).or_else(|| reason_of_most(&contribution)),
        _ => reason_of_most(&below).or_else(|| reason_of_most(&lost)),
    };
    found.unwrap_or("Nothing stands out").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_that_waits_for_a_better_score_says_so() {
        let weeks = "Score 81, but 74 without its best week";
        assert_eq!(describe_wait(81.4, 74.9, 75.0, 14), weeks);
        let days = "Score 81; without its best week above 75 for under 14 days";
        assert_eq!(describe_wait(81.4, 75.1, 75.0, 14), days);
    }

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
