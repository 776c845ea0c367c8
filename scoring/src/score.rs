//! A run: partners → lifecycles → readings → scores, tiers, contributions and reasons.

use std::collections::{BTreeMap, BTreeSet};

use domain::{AsOf, Day, SignalName, Stage, Tier};

use crate::impact::{Impact, impacts};
use crate::input::{Partner, Portfolio, ScoreError, ScoreInput, read_portfolio, read_revenue};
use crate::lifecycle::{Lifecycle, churn_day, lifecycle};
use crate::output::{PartnerScore, ScoreOutput, SignalScore, health_frame, signals_frame};
use crate::policy::Policy;
use crate::signals::{
    ERROR_TREND_DAYS, MetricFrames, Reading, SegmentCv, SignalContext, SignalData, read_all,
    segment_cv,
};
use crate::top_reason::{ReasonContext, live_days, top_reason};
use crate::weighted_score::{SegmentMedians, WeightedScore, tier_of_score, weighted_score};

/// Scores every partner of `input` as of an instant; the rows are ordered by partner id.
///
/// # Errors
/// Names the frame and column that is missing, of another type or null, or the partner id that
/// one frame has and `partners` lacks.
pub fn score(input: &ScoreInput, policy: &Policy, as_of: AsOf) -> Result<ScoreOutput, ScoreError> {
    let portfolio = read_portfolio(input, as_of)?;
    let (frames, partners) = (&input.metrics, &portfolio.partners);
    let data = SignalData::load(&MetricFrames { frames, partners, as_of })?;
    let revenue = input.revenue.as_ref().map(|revenue| read_revenue(revenue, as_of));
    let revenue = revenue.transpose()?.unwrap_or_default();
    let (impact, impact_of_others) = impacts(&revenue, as_of);

    let subjects: Vec<Subject<'_>> =
        partners.values().map(|p| subject(p, &portfolio, policy, as_of)).collect();
    let segment_cvs = segment_cvs(&subjects, &portfolio, policy);
    let readings: Vec<Vec<(SignalName, Reading)>> = subjects
        .iter()
        .map(|subject| {
            let Some((day, segment_cv)) =
                subject.day.and_then(|day| segment_cvs.get_key_value(&day))
            else {
                return Vec::new();
            };
            let (partner, day, run_day) = (subject.partner, *day, as_of.day());
            let windows = &policy.windows;
            let context = SignalContext { partner, day, run_day, windows, segment_cv };
            read_all(&context, &policy.signals, &data)
        })
        .collect();
    let live = subjects.iter().zip(&readings).filter(|(s, _)| s.lifecycle.stage == Stage::Live);
    let segment_medians =
        SegmentMedians::of(live.map(|(s, r)| (s.partner.segment.as_deref(), r.as_slice())));

    let run = Run { policy, as_of, segment_medians: &segment_medians };
    let rows = subjects.iter().zip(&readings).map(|(subject, readings)| {
        let impact = impact.get(subject.partner.id.as_str()).copied().or(impact_of_others);
        partner_score(&run, subject, readings, impact)
    });
    let partners: Vec<PartnerScore> = rows.collect();
    let (health, signals) = (health_frame(&partners)?, signals_frame(&partners)?);
    Ok(ScoreOutput { health, signals, partners, provisional: true })
}

/// What all partners of a run share.
struct Run<'a> {
    policy: &'a Policy,
    as_of: AsOf,
    segment_medians: &'a SegmentMedians<'a>,
}

/// A partner that is scored, and the day it is looked at from.
#[derive(Clone, Copy)]
struct Subject<'a> {
    partner: &'a Partner,
    lifecycle: Lifecycle,
    /// The day of the run, or of a churned partner the day before it churned; `None` where the
    /// input does not go back far enough for that.
    day: Option<Day>,
}

fn subject<'a>(
    partner: &'a Partner,
    portfolio: &Portfolio,
    policy: &Policy,
    as_of: AsOf,
) -> Subject<'a> {
    let lifecycle = lifecycle(partner, as_of);
    let Some(churned) = churn_day(partner).filter(|_| lifecycle.stage == Stage::Churned) else {
        return Subject { partner, lifecycle, day: Some(as_of.day()) };
    };
    let day = churned.plus(-1);
    let (recent, baseline) = (policy.windows.recent_start(day), policy.windows.baseline_start(day));
    let needed = partner.live_at.map_or(baseline, |live| baseline.max(Day::of_micros(live)));
    let is_traffic_known = portfolio.first_day.is_some_and(|first| first <= needed);
    let are_alarms_known = recent >= as_of.day().plus(-ERROR_TREND_DAYS);
    let day = Some(day).filter(|_| is_traffic_known && are_alarms_known);
    Subject { partner, lifecycle, day }
}

/// Returns the cv of each segment on each day that a partner is looked at from.
fn segment_cvs<'a>(
    subjects: &[Subject<'a>],
    portfolio: &'a Portfolio,
    policy: &Policy,
) -> BTreeMap<Day, SegmentCv<'a>> {
    let days: BTreeSet<Day> = subjects.iter().filter_map(|s| s.day).collect();
    let of = |day| (day, segment_cv(portfolio.partners.values(), day, &policy.windows));
    days.into_iter().map(of).collect()
}

fn partner_score(
    run: &Run<'_>,
    subject: &Subject<'_>,
    readings: &[(SignalName, Reading)],
    impact: Option<Impact>,
) -> PartnerScore {
    let Subject { partner, lifecycle, .. } = *subject;
    let weighted = weighted_score(readings, run.policy);
    let fresh = is_old_enough(subject, run.policy).then(|| weighted.score(run.policy)).flatten();
    let (score, coverage) = match lifecycle.stage {
        Stage::Onboarding | Stage::Stuck => (None, weighted.coverage),
        Stage::Live => (fresh, weighted.coverage),
        Stage::Churned => frozen_score(partner).unwrap_or((fresh, weighted.coverage)),
    };
    let tier = match lifecycle.stage {
        Stage::Onboarding => Tier::Onboarding,
        Stage::Stuck => Tier::Stuck,
        Stage::Churned => Tier::Churned,
        Stage::Live => tier_of_score(score, run.policy),
    };
    // A frozen score has no contributions: they were those of another day.
    let is_explained = lifecycle.stage == Stage::Live && score.is_some();
    let signals = match lifecycle.stage {
        Stage::Churned => Vec::new(),
        _ => signal_scores(run, partner, readings, &weighted, is_explained),
    };
    let reason = ReasonContext {
        partner,
        lifecycle,
        tier,
        coverage,
        signals: &signals,
        day: run.as_of.day(),
        min_live_days: run.policy.evidence.min_live_days,
    };
    PartnerScore {
        as_of: run.as_of,
        partner_id: partner.id.clone(),
        stage: lifecycle.stage,
        onboarding_step: lifecycle.step,
        tier,
        tier_since: tier_since(run, partner, lifecycle, tier),
        score,
        mean: weighted.mean.filter(|_| is_explained),
        reference: is_explained.then(|| mean_reference(&signals, &weighted)),
        coverage,
        impact_share: impact.map(|i| i.share),
        impact_rank: impact.and_then(|i| i.rank),
        top_reason: top_reason(&reason),
        policy_version: run.policy.version.clone(),
        computed_tier: tier,
        override_until: None,
        signals,
    }
}

/// Returns whether a partner had been live for long enough on the day it is looked at from.
fn is_old_enough(subject: &Subject<'_>, policy: &Policy) -> bool {
    let live = subject.partner.live_at.zip(subject.day).map(|(live, day)| live_days(live, day));
    live.is_some_and(|days| days >= i64::from(policy.evidence.min_live_days))
}

/// Returns score and coverage as stored on the day before the partner churned, or as frozen from it
/// since. A row from before that day, or from an earlier absence, does not count.
fn frozen_score(partner: &Partner) -> Option<(Option<f64>, f64)> {
    let (stored, churned) = (partner.previous.as_ref()?, churn_day(partner)?);
    let is_frozen = stored.stage == Some(Stage::Churned) && stored.as_of >= churned.start_micros();
    let is_of_day_before = stored.as_of == churned.plus(-1).start_micros();
    (is_frozen || is_of_day_before).then_some((stored.score, stored.coverage))
}

/// Returns since when a tier holds: as before while it is the same, or else since the stage began
/// or since this evaluation.
fn tier_since(run: &Run<'_>, partner: &Partner, lifecycle: Lifecycle, tier: Tier) -> Option<i64> {
    match &partner.previous {
        Some(previous) if previous.tier == Some(tier) => previous.tier_since,
        _ if lifecycle.stage == Stage::Live => Some(run.as_of.micros()),
        _ => lifecycle.since,
    }
}

fn signal_scores(
    run: &Run<'_>,
    partner: &Partner,
    readings: &[(SignalName, Reading)],
    weighted: &WeightedScore,
    is_explained: bool,
) -> Vec<SignalScore> {
    let rows = readings.iter().map(|(signal, reading)| {
        let weight = run.policy.weight(signal);
        let empty = SignalScore {
            signal: signal.clone(),
            weight,
            applicable: weight > 0.0,
            value: None,
            score: None,
            reference: None,
            contribution: None,
            n: 0,
            reason: None,
        };
        match reading {
            Reading::NotApplicable => SignalScore { applicable: false, ..empty },
            Reading::Missing(why) => SignalScore { reason: Some(why.clone()), ..empty },
            Reading::Measured(measured) => {
                let reference = run.segment_medians.get(partner.segment.as_deref(), signal);
                let compared = reference.filter(|_| is_explained && weighted.weight > 0.0);
                let points = |median| weight * (measured.score - median) / weighted.weight;
                SignalScore {
                    value: Some(measured.value),
                    score: Some(measured.score),
                    reference,
                    contribution: compared.map(points),
                    n: measured.n,
                    reason: Some(measured.reason.clone()),
                    ..empty
                }
            }
        }
    });
    rows.collect()
}

/// Returns Σ wᵢ·referenceᵢ / Σ wᵢ over the signals measured.
fn mean_reference(signals: &[SignalScore], weighted: &WeightedScore) -> f64 {
    let points: f64 = signals.iter().filter_map(|s| Some(s.weight * s.reference?)).sum();
    points / weighted.weight
}
