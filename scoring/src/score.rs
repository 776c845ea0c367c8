//! The run: partners → stages → readings → scores, tiers, contributions and reasons.

use std::collections::{BTreeMap, BTreeSet};

use lake_types::{AsOf, Day};

use crate::impact::{Impact, impacts};
use crate::input::{Partner, Portfolio, ScoreError, ScoreInput, read, read_revenue};
use crate::output::{PartnerScore, ScoreOutput, SignalScore, health_frame, signals_frame};
use crate::policy::Policy;
use crate::reason::{Case, live_days, top_reason};
use crate::signals::{Question, Reading, SegmentCv, Signal, TREND_DAYS, read_all, segment_cv};
use crate::stage::{Placed, Stage, Waiting, churn_day, place};
use crate::weigh::{Tier, Usual, Weighed, tier, usual, weigh};

/// Scores every partner of `input` as of an instant; the rows are ordered by partner id.
///
/// # Errors
/// Names the frame and column that is missing, of another type or null, or the partner id that
/// one frame has and `partners` lacks.
pub fn score(input: &ScoreInput, policy: &Policy, as_of: AsOf) -> Result<ScoreOutput, ScoreError> {
    let portfolio = read(input, as_of)?;
    let revenue = input.revenue.as_ref().map(|revenue| read_revenue(revenue, as_of));
    let revenue = revenue.transpose()?.unwrap_or_default();
    let (impact, without) = impacts(&revenue, as_of);

    let looked: Vec<Looked<'_>> =
        portfolio.partners.values().map(|p| look(p, &portfolio, policy, as_of)).collect();
    let segment_cvs = segment_cvs(&looked, &portfolio, policy);
    let readings: Vec<Vec<(Signal, Reading)>> = looked
        .iter()
        .map(|looked| {
            let Some((day, segment_cv)) =
                looked.day.and_then(|day| segment_cvs.get_key_value(&day))
            else {
                return Vec::new();
            };
            let (partner, day, run_day) = (looked.partner, *day, as_of.day());
            let mut readings = read_all(&Question { partner, day, run_day, policy, segment_cv });
            if input.errors.is_none() {
                errors_are_unknown(&mut readings);
            }
            readings
        })
        .collect();
    let live = looked.iter().zip(&readings).filter(|(l, _)| l.placed.stage == Stage::Live);
    let usual = usual(live.map(|(l, r)| (l.partner.segment.as_deref(), r.as_slice())));

    let run = Run { policy, as_of, usual: &usual };
    let rows = looked.iter().zip(&readings).map(|(looked, readings)| {
        let impact = impact.get(looked.partner.id.as_str()).copied().or(without);
        row(&run, looked, readings, impact)
    });
    let partners: Vec<PartnerScore> = rows.collect();
    let (health, signals) = (health_frame(&partners)?, signals_frame(&partners)?);
    Ok(ScoreOutput { health, signals, partners, provisional: true })
}

/// Without the metric that it is read from, the signal has no answer, whoever is asked.
fn errors_are_unknown(readings: &mut [(Signal, Reading)]) {
    for (signal, reading) in readings {
        if *signal == Signal::Errors && *reading != Reading::NotApplicable {
            *reading = Reading::Missing("Unknown: error_trend is held back".to_owned());
        }
    }
}

/// What all rows share.
struct Run<'a> {
    policy: &'a Policy,
    as_of: AsOf,
    usual: &'a Usual<'a>,
}

/// A partner, its stage, and the day it is looked at from: `as_of`, or of a churned one the day
/// before it churned, where the input reaches back to all that was known then.
#[derive(Clone, Copy)]
struct Looked<'a> {
    partner: &'a Partner,
    placed: Placed,
    day: Option<Day>,
}

fn look<'a>(
    partner: &'a Partner,
    portfolio: &Portfolio,
    policy: &Policy,
    as_of: AsOf,
) -> Looked<'a> {
    let placed = place(partner, as_of);
    let Some(churned) = churn_day(partner).filter(|_| placed.stage == Stage::Churned) else {
        return Looked { partner, placed, day: Some(as_of.day()) };
    };
    let day = churned.plus(-1);
    let recent = day.plus(-policy.windows.recent_days);
    let all = recent.plus(-policy.windows.baseline_days);
    let needed = partner.live_at.map_or(all, |live| all.max(Day::of_micros(live)));
    let traffic_known = portfolio.first_day.is_some_and(|first| first <= needed);
    let alarms_known = recent >= as_of.day().plus(-TREND_DAYS);
    Looked { partner, placed, day: Some(day).filter(|_| traffic_known && alarms_known) }
}

/// What was usual in each segment on each day that someone is looked at from.
fn segment_cvs<'a>(
    looked: &[Looked<'a>],
    portfolio: &'a Portfolio,
    policy: &Policy,
) -> BTreeMap<Day, SegmentCv<'a>> {
    let days: BTreeSet<Day> = looked.iter().filter_map(|l| l.day).collect();
    let of = |day| (day, segment_cv(portfolio.partners.values(), day, policy));
    days.into_iter().map(of).collect()
}

fn row(
    run: &Run<'_>,
    looked: &Looked<'_>,
    readings: &[(Signal, Reading)],
    impact: Option<Impact>,
) -> PartnerScore {
    let Looked { partner, placed, .. } = *looked;
    let weighed = weigh(readings, run.policy);
    let fresh = old_enough(looked, run.policy).then(|| weighed.score(run.policy)).flatten();
    let (score, coverage) = match placed.stage {
        Stage::Onboarding | Stage::Stuck => (None, weighed.coverage),
        Stage::Live => (fresh, weighed.coverage),
        Stage::Churned => stored_score(partner).unwrap_or((fresh, weighed.coverage)),
    };
    let tier = match placed.stage {
        Stage::Onboarding => Tier::Onboarding,
        Stage::Stuck => Tier::Stuck,
        Stage::Churned => Tier::Churned,
        Stage::Live => tier(score, run.policy),
    };
    // A frozen score stands without its parts: they were those of another day.
    let explained = placed.stage == Stage::Live && score.is_some();
    let signals = match placed.stage {
        Stage::Churned => Vec::new(),
        _ => signals(run, partner, readings, &weighed, explained),
    };
    let (policy, day) = (run.policy, run.as_of.day());
    let case = Case { partner, placed, tier, coverage, signals: &signals, day, policy };
    PartnerScore {
        as_of: run.as_of,
        partner_id: partner.id.clone(),
        stage: placed.stage,
        stage_detail: placed.waiting.map(Waiting::name),
        tier,
        tier_since: tier_since(run, partner, placed, tier),
        score,
        mean: weighed.mean.filter(|_| explained),
        usual: explained.then(|| usual_mean(&signals, &weighed)),
        coverage,
        impact_share: impact.map(|i| i.share),
        impact_rank: impact.and_then(|i| i.rank),
        top_reason: top_reason(&case),
        policy_version: run.policy.version.clone(),
        computed_tier: tier,
        override_until: None,
        signals,
    }
}

/// Whether a partner had been live for long enough on the day it is looked at from.
fn old_enough(looked: &Looked<'_>, policy: &Policy) -> bool {
    let lived = looked.partner.live_at.zip(looked.day).map(|(live, day)| live_days(live, day));
    lived.is_some_and(|days| days >= i64::from(policy.evidence.min_live_days))
}

/// Score and coverage as stored on the day before the partner churned, or frozen from it since. A
/// row from before then, or from an earlier absence, is of another time.
fn stored_score(partner: &Partner) -> Option<(Option<f64>, f64)> {
    let (stored, churned) = (partner.previous.as_ref()?, churn_day(partner)?);
    let frozen = stored.stage == Stage::Churned.name() && stored.as_of >= churned.start_micros();
    let day_before = stored.as_of == churned.plus(-1).start_micros();
    (frozen || day_before).then_some((stored.score, stored.coverage))
}

/// As before while the tier is the same; else when the stage began, or this evaluation.
fn tier_since(run: &Run<'_>, partner: &Partner, placed: Placed, tier: Tier) -> Option<i64> {
    match &partner.previous {
        Some(previous) if previous.tier == tier.name() => previous.tier_since,
        _ if placed.stage == Stage::Live => Some(run.as_of.micros()),
        _ => placed.since,
    }
}

fn signals(
    run: &Run<'_>,
    partner: &Partner,
    readings: &[(Signal, Reading)],
    weighed: &Weighed,
    explained: bool,
) -> Vec<SignalScore> {
    let rows = readings.iter().map(|(signal, reading)| {
        let weight = run.policy.weight(*signal);
        let empty = SignalScore {
            signal: *signal,
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
                let key = (partner.segment.as_deref(), *signal);
                let reference = run.usual.get(&key).copied();
                let against = reference.filter(|_| explained && weighed.weight > 0.0);
                let points = |usual| weight * (measured.score - usual) / weighed.weight;
                SignalScore {
                    value: Some(measured.value),
                    score: Some(measured.score),
                    reference,
                    contribution: against.map(points),
                    n: measured.n,
                    reason: Some(measured.reason.clone()),
                    ..empty
                }
            }
        }
    });
    rows.collect()
}

/// Σ wᵢ·referenceᵢ / Σ wᵢ over the signals measured.
fn usual_mean(signals: &[SignalScore], weighed: &Weighed) -> f64 {
    let points: f64 = signals.iter().filter_map(|s| Some(s.weight * s.reference?)).sum();
    points / weighed.weight
}
