//! Steadiness: the days a partner called of those its weekday pattern expects, and how even its
//! daily calls are.

use std::collections::BTreeMap;

use domain::format::plain_percent_with_places;
use domain::{Day, counted};
use serde::Deserialize;

use super::signal::{Measurement, Reading, SegmentCv, Signal, SignalContext, between};
use crate::input::{DayCalls, Partner};
use crate::robust_statistics::{MAD_TO_SIGMA, median, median_absolute_deviation};
use crate::value_check::{ValueCheck, value_check};
use crate::windows::Windows;

/// The signal `steadiness`. Its value is active days / expected days, at most 1; its n is the
/// number of days of B that the weekday pattern rests on.
///
/// A day is active if it has a production success. The number of days expected in W is the sum,
/// over the days of W, of the share of the same weekday's days in B that were active.
pub(crate) struct Steadiness;

/// The table `[steadiness]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Days of B since go-live that a weekday pattern needs.
    pattern_days: i32,
}

impl Signal for Steadiness {
    type Parameters = Parameters;
    type Data = ();

    fn checks(parameters: &Parameters, windows: &Windows) -> Vec<ValueCheck> {
        let pattern = parameters.pattern_days;
        let is_in_baseline = (7..=windows.baseline_days).contains(&pattern);
        let expected = "7 to windows.baseline_days";
        vec![value_check("steadiness.pattern_days", &pattern, expected, is_in_baseline)]
    }

    fn read(context: &SignalContext<'_>, parameters: &Parameters, (): &()) -> Reading {
        let needed = parameters.pattern_days;
        let Some(live) = context.first_live_day() else { return Reading::NotApplicable };
        let from = context.baseline_start().max(live);
        let to = context.recent_start();
        let pattern_days = (to.0 - from.0).max(0);
        if pattern_days < needed {
            let days = counted(needed + context.windows.recent_days, "day");
            return Reading::Missing(format!("A weekday pattern needs {days} of traffic"));
        }
        let shares = weekday_shares(context.calls(from, to), from, to);
        let expected: f64 = days(to, context.day).map(|d| shares[weekday(d)]).sum();
        if expected == 0.0 {
            let silent = counted(pattern_days, "day");
            return Reading::Missing(format!("No usual weekday: silent for {silent} before"));
        }
        let recent = context.calls(to, context.day);
        let active = recent.iter().filter(|d| d.successes > 0).count();
        let ratio = (active as f64 / expected).min(1.0);
        let peers = context.segment_cv.get(&context.partner.segment.as_deref()).copied();
        let own = cv(recent);
        let excess = own.zip(peers).map_or(0.0, |(own, peers)| (own - peers).max(0.0));
        Reading::Measured(Measurement {
            value: ratio,
            score: 100.0 * ratio * (-excess).exp(),
            n: i64::from(pattern_days),
            reason: reason(active, expected, ratio, own.zip(peers)),
        })
    }
}

/// Says which loss is larger: missed days, or uneven calls. `cvs` are the partner's own and its
/// segment's.
fn reason(active: usize, expected: f64, ratio: f64, cvs: Option<(f64, f64)>) -> String {
    let uneven = cvs.filter(|(own, peers)| (peers - own).exp() < ratio.min(0.95));
    if let Some((own, peers)) = uneven {
        let varies = format!("Daily calls vary by {}", plain_percent_with_places(own, 0));
        // The median of the peers: where it rounds to nothing, half of them vary by that little.
        return match (peers * 100.0).round() {
            0.0 => format!("{varies}, half of its peers' hardly"),
            _ => format!("{varies}, its peers' by {}", plain_percent_with_places(peers, 0)),
        };
    }
    let expected = expected.round().max(1.0);
    if active as f64 >= expected {
        return "Called on every expected day".to_owned();
    }
    format!("Called on {active} of {}", counted(expected as i64, "expected day"))
}

/// Returns the median cv of each segment on a day, over its partners with a success in W.
pub(crate) fn segment_cv<'a>(
    partners: impl Iterator<Item = &'a Partner>,
    day: Day,
    windows: &Windows,
) -> SegmentCv<'a> {
    let from = windows.recent_start(day);
    let mut by_segment: BTreeMap<Option<&str>, Vec<f64>> = BTreeMap::new();
    for partner in partners {
        let recent = between(&partner.days, |d| d.day, from, day);
        if !recent.iter().any(|d| d.successes > 0) {
            continue;
        }
        if let Some(cv) = cv(recent) {
            by_segment.entry(partner.segment.as_deref()).or_default().push(cv);
        }
    }
    let medians = by_segment.into_iter().filter_map(|(s, cvs)| Some((s, median(&cvs)?)));
    medians.collect()
}

/// Returns the robust coefficient of variation of the calls on days with calls, 1.4826 · MAD /
/// median, or `None` with fewer than two such days.
fn cv(days: &[DayCalls]) -> Option<f64> {
    let calls: Vec<f64> = days.iter().filter(|d| d.calls > 0).map(|d| d.calls as f64).collect();
    if calls.len() < 2 {
        return None;
    }
    Some(MAD_TO_SIGMA * median_absolute_deviation(&calls)? / median(&calls)?)
}

/// Returns for each weekday the share of its days from `from` to before `to` that were active.
fn weekday_shares(calls: &[DayCalls], from: Day, to: Day) -> [f64; 7] {
    let (mut active, mut all) = ([0.0; 7], [0.0; 7]);
    for day in days(from, to) {
        all[weekday(day)] += 1.0;
    }
    for day in calls.iter().filter(|d| d.successes > 0) {
        active[weekday(day.day)] += 1.0;
    }
    std::array::from_fn(|i| if all[i] == 0.0 { 0.0 } else { active[i] / all[i] })
}

fn days(from: Day, to: Day) -> impl Iterator<Item = Day> {
    (from.0..to.0).map(Day)
}

/// Numbers the weekdays from 0; which one is 0 does not matter.
fn weekday(day: Day) -> usize {
    day.0.rem_euclid(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_input::{
        at, day, default_policy, measured, partner, read_signal_with_cv, traffic,
    };

    const AS_OF: &str = "2026-09-15";

    fn read(partner: &Partner, segment_cv: &SegmentCv<'_>) -> Reading {
        let parameters = default_policy().signals.steadiness;
        read_signal_with_cv::<Steadiness>(partner, AS_OF, segment_cv, &parameters, &())
    }

    /// A partner that called on the days (counted back from the day before `as_of`) and as often
    /// as `calls` says.
    fn caller(live: &str, calls: impl Fn(i32) -> i64) -> Partner {
        let mut p = partner("p");
        p.live_at = Some(at(live));
        let end = day(AS_OF);
        let from = Day::of_micros(at(live)).0;
        p.days = traffic((from..end.0).map(|d| (Day(d), calls(end.0 - 1 - d))));
        p
    }

    #[track_caller]
    fn check(p: &Partner, peers: f64, value: f64, score: f64, reason: &str) {
        let peers = SegmentCv::from([(None, peers)]);
        let answer = measured(read(p, &peers));
        assert!((answer.value - value).abs() < 1e-9, "{}", answer.value);
        assert!((answer.score - score).abs() < 1e-6, "{}", answer.score);
        assert_eq!(answer.reason, reason);
    }

    #[test]
    fn active_of_expected_days() {
        let every = caller("2026-01-01", |_| 50);
        check(&every, 0.0, 1.0, 100.0, "Called on every expected day");
        // Five days a week; in W the last week is missing.
        let weekdays = caller("2026-01-01", |ago| if ago % 7 < 5 { 50 } else { 0 });
        check(&weekdays, 0.0, 1.0, 100.0, "Called on every expected day");
        let gone = caller("2026-01-01", |ago| if ago % 7 < 5 && ago >= 7 { 50 } else { 0 });
        check(&gone, 0.0, 0.75, 75.0, "Called on 15 of 20 expected days");
        // Silent in W.
        let silent = caller("2026-01-01", |ago| if ago >= 28 { 50 } else { 0 });
        check(&silent, 0.0, 0.0, 0.0, "Called on 0 of 28 expected days");
        // One day a week: one expected day in four weeks of which three have passed without one.
        let weekly = caller("2026-01-01", |ago| if ago % 28 == 3 && ago >= 28 { 50 } else { 0 });
        check(&weekly, 0.0, 0.0, 0.0, "Called on 0 of 1 expected day");
        // One active day in W: no spread to speak of.
        let once = caller("2026-01-01", |ago| if ago >= 28 || ago == 3 { 50 } else { 0 });
        check(&once, 0.0, 1.0 / 28.0, 100.0 / 28.0, "Called on 1 of 28 expected days");
    }

    #[test]
    fn uneven_calls_cost_against_the_segment() {
        // Half the days 50, half 150: median 100, MAD 50, cv 0.7413.
        let p = caller("2026-01-01", |ago| if ago % 2 == 0 { 50 } else { 150 });
        let reason = "Daily calls vary by 74 %, half of its peers' hardly";
        check(&p, 0.0, 1.0, 100.0 * (-0.7413f64).exp(), reason);
        let reason = "Daily calls vary by 74 %, its peers' by 50 %";
        check(&p, 0.5, 1.0, 100.0 * (-0.2413f64).exp(), reason);
        check(&p, 0.9, 1.0, 100.0, "Called on every expected day");
    }

    #[test]
    fn days_as_sentences() {
        let check = |active, expected, sentence: &str| {
            assert_eq!(reason(active, expected, active as f64 / expected, None), sentence);
        };
        check(0, 0.3, "Called on 0 of 1 expected day");
        check(0, 2.0, "Called on 0 of 2 expected days");
        check(1, 2.0, "Called on 1 of 2 expected days");
        check(1, 1.2, "Called on every expected day");
        check(2, 2.4, "Called on every expected day");
    }

    #[test]
    fn a_pattern_needs_evidence() {
        #[track_caller]
        fn missing(p: &Partner, part: &str) {
            match read(p, &SegmentCv::new()) {
                Reading::Missing(reason) => assert!(reason.contains(part), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
        missing(&caller("2026-08-05", |_| 1), "needs 42 days of traffic");
        let just = caller("2026-08-04", |_| 1);
        check(&just, 0.0, 1.0, 100.0, "Called on every expected day");
        missing(
            &caller("2026-01-01", |ago| i64::from(!(28..112).contains(&ago))),
            "No usual weekday",
        );
        let unborn = read(&partner("p"), &SegmentCv::new());
        assert_eq!(unborn, Reading::NotApplicable);
    }

    #[test]
    fn the_segments_median_counts_those_that_called() {
        let even = caller("2026-01-01", |_| 100);
        let uneven = caller("2026-01-01", |ago| if ago % 2 == 0 { 50 } else { 150 });
        let once = caller("2026-01-01", |ago| i64::from(ago == 1));
        let silent = caller("2026-01-01", |ago| i64::from(ago > 40));
        let policy = default_policy();
        let median_cv = |partners: &[&Partner]| {
            segment_cv(partners.iter().copied(), day(AS_OF), &policy.windows).get(&None).copied()
        };
        assert_eq!(median_cv(&[&silent, &once]), None);
        assert_eq!(median_cv(&[&even, &even, &uneven, &silent, &once]), Some(0.0));
        let between = median_cv(&[&even, &uneven]).expect("a median");
        assert!((between - 0.7413 / 2.0).abs() < 1e-12, "{between}");
    }
}
