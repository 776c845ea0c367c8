//! The run: partners → stages → readings → scores, tiers, contributions and reasons.

use std::collections::BTreeMap;

use lake_types::{AsOf, Day};

use crate::impact::{Impact, impacts};
use crate::input::{Partner, Portfolio, ScoreError, ScoreInput, read, read_revenue};
use crate::output::{PartnerScore, ScoreOutput, SignalScore, frame};
use crate::policy::Policy;
use crate::reason::{Case, live_days, top_reason};
use crate::signals::{Question, Reading, SegmentCv, Signal, read_all, segment_cv};
use crate::stage::{Placed, Stage, Waiting, churn_day, place};
use crate::weigh::{Tier, Usual, Weighed, tier, usual, weigh};

/// Scores every partner of `input` as of an instant; the rows are ordered by partner id.
///
/// # Errors
/// Names the frame and column that is missing, of another type or null, or the partner id that
/// one frame has and `partners` lacks.
pub fn score(input: &ScoreInput, policy: &Policy, as_of: AsOf) -> Result<ScoreOutput, ScoreError> {
    let portfolio = read(input, as_of)?;
    let revenue = read_revenue(&input.revenue, as_of)?;
    let (impact, without) = impacts(&revenue, as_of);

    let placed: Vec<(&Partner, Placed)> =
        portfolio.partners.values().map(|p| (p, place(p, as_of))).collect();
    let segment_cvs = segment_cvs(&placed, &portfolio, policy, as_of);
    let readings: Vec<Vec<(Signal, Reading)>> = placed
        .iter()
        .map(|(partner, placed)| {
            let day = evaluated_on(partner, *placed, as_of);
            read_all(&Question {
                partner,
                day,
                run_day: as_of.day(),
                policy,
                segment_cv: &segment_cvs[&day],
            })
        })
        .collect();
    let live = placed.iter().zip(&readings).filter(|((_, p), _)| p.stage == Stage::Live);
    let usual = usual(live.map(|((p, _), r)| (p.segment.as_deref(), r.as_slice())));

    let run = Run { policy, as_of, usual: &usual, first_day: portfolio.first_day };
    let rows = placed.iter().zip(&readings).map(|((partner, placed), readings)| {
        let impact = impact.get(partner.id.as_str()).copied().or(without);
        row(&run, partner, *placed, readings, impact)
    });
    let partners: Vec<PartnerScore> = rows.collect();
    Ok(ScoreOutput { frame: frame(&partners)?, partners, provisional: true })
}

/// What all rows share.
struct Run<'a> {
    policy: &'a Policy,
    as_of: AsOf,
    usual: &'a Usual<'a>,
    first_day: Option<Day>,
}

/// The day a partner is looked at from: a churned one from the day before it churned.
fn evaluated_on(partner: &Partner, placed: Placed, as_of: AsOf) -> Day {
    let frozen = churn_day(partner).filter(|_| placed.stage == Stage::Churned);
    frozen.map_or(as_of.day(), |day| day.plus(-1))
}

/// What was usual in each segment on each day that someone is looked at from.
fn segment_cvs<'a>(
    placed: &[(&'a Partner, Placed)],
    portfolio: &'a Portfolio,
    policy: &Policy,
    as_of: AsOf,
) -> BTreeMap<Day, SegmentCv<'a>> {
    let mut days: BTreeMap<Day, SegmentCv<'_>> = BTreeMap::new();
    for (partner, stage) in placed {
        days.entry(evaluated_on(partner, *stage, as_of))
            .or_insert_with_key(|day| segment_cv(portfolio.partners.values(), *day, policy));
    }
    days
}

fn row(
    run: &Run<'_>,
    partner: &Partner,
    placed: Placed,
    readings: &[(Signal, Reading)],
    impact: Option<Impact>,
) -> PartnerScore {
    let weighed = weigh(readings, run.policy);
    let (score, coverage) = match placed.stage {
        Stage::Onboarding | Stage::Stuck => (None, weighed.coverage),
        Stage::Live => (live_score(run, partner, &weighed), weighed.coverage),
        Stage::Churned => frozen_score(run, partner, placed, &weighed),
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

/// The score of a live partner, `None` under too little evidence.
fn live_score(run: &Run<'_>, partner: &Partner, weighed: &Weighed) -> Option<f64> {
    let needed = i64::from(run.policy.evidence.min_live_days);
    let live = partner.live_at.map_or(0, |live| live_days(live, run.as_of.day()));
    weighed.score(run.policy).filter(|_| live >= needed)
}

/// Score and coverage of the day before a partner churned: as stored then, else computed, else
/// unknown where the traffic given does not reach back that far.
fn frozen_score(
    run: &Run<'_>,
    partner: &Partner,
    placed: Placed,
    weighed: &Weighed,
) -> (Option<f64>, f64) {
    let churned = evaluated_on(partner, placed, run.as_of).plus(1);
    // A row from before the last success, or a longer gap in the history, is of another time.
    let stored = partner.previous.as_ref().filter(|p| {
        let same_churn = p.stage == Stage::Churned.name() && p.as_of >= churned.start_micros();
        same_churn || p.as_of == churned.plus(-1).start_micros()
    });
    if let Some(stored) = stored {
        return (stored.score, stored.coverage);
    }
    let windows = &run.policy.windows;
    let needed = churned.plus(-1 - windows.recent_days - windows.baseline_days);
    let live = partner.live_at.map_or(needed, Day::of_micros);
    if run.first_day.is_none_or(|first| first > needed.max(live)) {
        return (None, 0.0);
    }
    let days = partner.live_at.map_or(0, |live| live_days(live, churned.plus(-1)));
    let old_enough = days >= i64::from(run.policy.evidence.min_live_days);
    (weighed.score(run.policy).filter(|_| old_enough), weighed.coverage)
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
