//! Steadiness: the days a partner called of those its weekday pattern expects, and how even they are.

use std::collections::BTreeMap;

use lake_types::{Day, counted};

use super::{Measured, Question, Reading, SegmentCv, between};
use crate::input::{DayCalls, Partner};
use crate::policy::Policy;
use crate::robust::{MAD_TO_SIGMA, mad, median};

/// The value is active days / expected days, at most 1; n the days of B the pattern rests on.
///
/// The days expected of W are the sum, over its days, of the share of the same weekday's days in B
/// on which the partner was active. A day is active with a production success.
pub(super) fn read(question: &Question<'_>) -> Reading {
    let needed = question.policy.steadiness.pattern_days;
    let Some(live) = question.first_live_day() else { return Reading::NotApplicable };
    let from = question.baseline_from().max(live);
    let to = question.recent_from();
    let pattern_days = (to.0 - from.0).max(0);
    if pattern_days < needed {
        let recent = question.policy.windows.recent_days;
        return Reading::Missing(format!(
            "A weekday pattern needs {} of traffic",
            counted(i64::from(needed + recent), "day")
        ));
    }
    let shares = weekday_shares(question.calls(from, to), from, to);
    let expected: f64 = days(to, question.day).map(|d| shares[weekday(d)]).sum();
    if expected == 0.0 {
        let silent = counted(i64::from(pattern_days), "day");
        return Reading::Missing(format!("No usual weekday: silent for {silent} before"));
    }
    let recent = question.calls(to, question.day);
    let active = recent.iter().filter(|d| d.successes > 0).count();
    let ratio = (active as f64 / expected).min(1.0);
    let usual = question.segment_cv.get(&question.partner.segment.as_deref()).copied();
    let own = cv(recent);
    let excess = own.zip(usual).map_or(0.0, |(own, usual)| (own - usual).max(0.0));
    Reading::Measured(Measured {
        value: ratio,
        score: 100.0 * ratio * (-excess).exp(),
        n: i64::from(pattern_days),
        reason: reason(active, expected, ratio, own.zip(usual)),
    })
}

/// The larger of the two losses, in words.
fn reason(active: usize, expected: f64, ratio: f64, cvs: Option<(f64, f64)>) -> String {
    let uneven = cvs.filter(|(own, usual)| (usual - own).exp() < ratio.min(0.95));
    if let Some((own, usual)) = uneven {
        let (own, usual) = (own * 100.0, usual * 100.0);
        let told = format!("Daily calls vary by {own:.0} %");
        // The median of peers: where it is nothing, half of them vary by that little.
        return match usual.round() {
            0.0 => format!("{told}, half of its peers' hardly"),
            _ => format!("{told}, its peers' by {usual:.0} %"),
        };
    }
    let expected = expected.round().max(1.0);
    if active as f64 >= expected {
        return "Called on every expected day".to_owned();
    }
    format!("Called on {active} of {}", counted(expected as i64, "expected day"))
}

/// The median cv of each segment on a day, over its partners with a success in W.
pub(super) fn segment_cv<'a>(
    partners: impl Iterator<Item = &'a Partner>,
    day: Day,
    policy: &Policy,
) -> SegmentCv<'a> {
    let from = day.plus(-policy.windows.recent_days);
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

/// 1.4826 · MAD / median of the calls of days with calls; `None` under two such days.
fn cv(days: &[DayCalls]) -> Option<f64> {
    let calls: Vec<f64> = days.iter().filter(|d| d.calls > 0).map(|d| d.calls as f64).collect();
    if calls.len() < 2 {
        return None;
    }
    Some(MAD_TO_SIGMA * mad(&calls)? / median(&calls)?)
}

/// Of the days from `from` to before `to`, the share of each weekday's that were active.
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

/// Any numbering of weekdays serves: the same weekday has the same number.
fn weekday(day: Day) -> usize {
    day.0.rem_euclid(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{asked_with, at, day, default_policy, measured, partner, traffic};

    const AS_OF: &str = "2026-09-15";

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
    fn check(p: &Partner, usual: f64, value: f64, score: f64, reason: &str) {
        let usual = SegmentCv::from([(None, usual)]);
        let answer = measured(asked_with(p, AS_OF, &usual, read));
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
        let words = "Daily calls vary by 74 %, half of its peers' hardly";
        check(&p, 0.0, 1.0, 100.0 * (-0.7413f64).exp(), words);
        let words = "Daily calls vary by 74 %, its peers' by 50 %";
        check(&p, 0.5, 1.0, 100.0 * (-0.2413f64).exp(), words);
        check(&p, 0.9, 1.0, 100.0, "Called on every expected day");
    }

    #[test]
    fn days_in_words() {
        let check = |active, expected, due: &str| {
            assert_eq!(reason(active, expected, active as f64 / expected, None), due);
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
            match asked_with(p, AS_OF, &SegmentCv::new(), read) {
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
        let unborn = asked_with(&partner("p"), AS_OF, &SegmentCv::new(), read);
        assert_eq!(unborn, Reading::NotApplicable);
    }

    #[test]
    fn the_segments_median_counts_those_that_called() {
        let even = caller("2026-01-01", |_| 100);
        let uneven = caller("2026-01-01", |ago| if ago % 2 == 0 { 50 } else { 150 });
        let once = caller("2026-01-01", |ago| i64::from(ago == 1));
        let silent = caller("2026-01-01", |ago| i64::from(ago > 40));
        let policy = default_policy();
        let usual = |partners: &[&Partner]| {
            segment_cv(partners.iter().copied(), day(AS_OF), &policy).get(&None).copied()
        };
        assert_eq!(usual(&[&silent, &once]), None);
        assert_eq!(usual(&[&even, &even, &uneven, &silent, &once]), Some(0.0));
        let between = usual(&[&even, &uneven]).expect("a median");
        assert!((between - 0.7413 / 2.0).abs() < 1e-12, "{between}");
    }
}
