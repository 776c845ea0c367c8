//! Growth: the weekly calls of the last four weeks beside those of the weeks before.

use domain::format::{multiple, plain_signed_percent};
use domain::{counted, thousands};
use polars::prelude::BooleanChunked;
use serde::Deserialize;

use super::signal::{Measured, Signal, SignalInput};
use crate::columns::{ColumnMath, Numbers};
use crate::formulas::{change_beside_peers, fall_score, mixed_change};
use crate::frames::ScoreError;
use crate::sentences::Sentences;
use crate::value_check::{ValueCheck, is_positive, value_check};

/// Below this many calls a week the sentence tells the calls: a percentage would claim too much.
const FEW_CALLS: f64 = 100.0;

/// The signal `growth`: 100 · clip(1 + g / 0.5, 0, 1), g = (a + 5) / (b + 5) − 1 less that of the
/// segment where it is negative. A rise is an opportunity, not health.
///
/// a is the median of calls of the last four seven-day weeks, b of the four to eight weeks before,
/// both without calm days. It does not apply to a partner that calls less than about weekly: its
/// weeks without calls come from its rhythm. Its value is g before that of the segment is taken out; its n is the
/// number of weeks.
pub(crate) struct Growth;

/// The table `[growth]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Weeks since go-live from which the signal applies.
    min_live_weeks: f64,
    /// The longest cadence, in days, with which the signal applies.
    max_cadence_days: f64,
    /// Weeks before the last four that it needs.
    min_weeks_before: i64,
    /// Calls a week that are mixed into both medians.
    mixed_calls: f64,
    /// The fall, a ratio, at which the score is 0.
    zero_fall: f64,
}

impl Signal for Growth {
    type Parameters = Parameters;

    const INPUT: &'static str = "scoring_growth";

    fn checks(parameters: &Parameters) -> Vec<ValueCheck> {
        let Parameters { min_live_weeks: live, min_weeks_before: before, .. } = *parameters;
        let (mixed, zero) = (parameters.mixed_calls, parameters.zero_fall);
        let cadence = parameters.max_cadence_days;
        let is_before = (1..=8).contains(&before);
        let is_fall = zero > 0.0 && zero <= 1.0;
        vec![
            value_check("growth.min_live_weeks", &live, "more than 0", is_positive(live)),
            value_check("growth.max_cadence_days", &cadence, "more than 0", is_positive(cadence)),
            value_check("growth.min_weeks_before", &before, "1 to 8", is_before),
            value_check("growth.mixed_calls", &mixed, "more than 0", is_positive(mixed)),
            value_check("growth.zero_fall", &zero, "more than 0, at most 1", is_fall),
        ]
    }

    fn measure(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Measured, ScoreError> {
        let least = parameters.min_live_weeks * 7.0;
        let is_old = input.partners.live_days.is(|days| days >= least);
        let applies = is_old & is_weekly(input, parameters);
        let Change { own, of_peers } = change(input, parameters)?;
        let own = own.only_where(&applies);
        let weeks = input.rows.i64("weeks_recent")? + input.rows.i64("weeks_before")?;
        Ok(Measured {
            score: fall_score(&change_beside_peers(&own, &of_peers), parameters.zero_fall),
            value: own,
            n: weeks,
            applies,
            weight_share: None,
        })
    }

    fn reasons(
        input: &SignalInput<'_>,
        measured: &Measured,
        parameters: &Parameters,
    ) -> Result<Sentences, ScoreError> {
        let Change { of_peers, .. } = change(input, parameters)?;
        let (after, before) = (input.rows.f64("recent_median")?, input.rows.f64("before_median")?);
        let (weeks, calm_days) = (input.rows.i64("weeks_before")?, input.rows.i64("calm_days")?);
        Ok(measured.sentences(|row, value| {
            let Some(_) = value else {
                return not_comparable(weeks.get(row).unwrap_or(0), parameters.min_weeks_before);
            };
            let change = Sentence {
                before: before.get(row).unwrap_or_default(),
                after: after.get(row).unwrap_or_default(),
                of_peers: of_peers.get(row).unwrap_or_default(),
                weeks: measured.n.get(row).unwrap_or_default(),
                calm_days: calm_days.get(row).unwrap_or_default(),
            };
            change.write()
        }))
    }
}

/// Returns where partners call often enough for their weeks to be compared.
fn is_weekly(input: &SignalInput<'_>, parameters: &Parameters) -> BooleanChunked {
    input.partners.cadence.is(|days| days <= parameters.max_cadence_days)
}

/// The change of weekly calls, a ratio.
struct Change {
    /// NULL with too few weeks.
    own: Numbers,
    /// The median of the segment.
    of_peers: Numbers,
}

fn change(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Change, ScoreError> {
    let least = parameters.min_weeks_before as f64;
    let is_enough = input.rows.count("weeks_before")?.is(|weeks| weeks >= least);
    let (after, before) = (input.rows.f64("recent_median")?, input.rows.f64("before_median")?);
    let is_known = is_enough & is_weekly(input, parameters);
    let own = mixed_change(before, after, parameters.mixed_calls).only_where(&is_known);
    let of_peers = input.peers.median(&own.only_where(&input.partners.is_live));
    Ok(Change { own, of_peers })
}

/// Says why nothing can be compared: calm days left too few weeks.
fn not_comparable(weeks_before: i64, needed: i64) -> String {
    if weeks_before >= needed {
        return "Calm days leave none of the last four weeks".to_owned();
    }
    format!("{} before to compare with, {needed} needed", counted(weeks_before, "week"))
}

/// What a sentence tells of a change of weekly calls.
struct Sentence {
    before: f64,
    after: f64,
    of_peers: f64,
    weeks: i64,
    calm_days: i64,
}

impl Sentence {
    fn write(&self) -> String {
        let mut text = self.change();
        if (self.of_peers * 100.0).round() < 0.0 {
            text = format!("{text}, its peers' {}", plain_signed_percent(self.of_peers));
        }
        if self.calm_days > 0 {
            text = format!("{text}, {} left out", counted(self.calm_days, "calm day"));
        }
        text
    }

    fn change(&self) -> String {
        let Self { before, after, weeks, .. } = *self;
        if before.max(after) == 0.0 {
            return "No call in most weeks, as before".to_owned();
        }
        if before.max(after) < FEW_CALLS {
            let [before, after] = [before, after].map(|calls| thousands(calls.round() as i64));
            if before == after {
                return format!("Calls level at {after} a week");
            }
            return format!("Calls {before} → {after} a week");
        }
        let change = after / before - 1.0;
        let percent = (change * 100.0).round();
        if percent == 0.0 {
            return format!("Calls level over {weeks} weeks");
        }
        if percent >= 100.0 {
            return format!("Calls {} as many in four weeks", multiple(1.0 + change));
        }
        format!("Calls {} in four weeks", plain_signed_percent(percent / 100.0))
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::test_input::{Answer, TestPartner, default_policy, live, live_for, measure};

    /// One partner's row: medians of calls a week before and of late, weeks before and of late, calm
    /// days.
    type Row = (Option<f64>, Option<f64>, i64, i64, i64);

    fn answers(rows: &[(TestPartner, Row)]) -> Vec<Answer> {
        let frame = df!(
            "before_median" => rows.iter().map(|r| r.1.0).collect::<Vec<_>>(),
            "recent_median" => rows.iter().map(|r| r.1.1).collect::<Vec<_>>(),
            "weeks_before" => rows.iter().map(|r| r.1.2).collect::<Vec<_>>(),
            "weeks_recent" => rows.iter().map(|r| r.1.3).collect::<Vec<_>>(),
            "calm_days" => rows.iter().map(|r| r.1.4).collect::<Vec<_>>(),
        );
        let partners: Vec<TestPartner> = rows.iter().map(|r| r.0.clone()).collect();
        let parameters = default_policy().signals.growth;
        let found = measure::<Growth>(&partners, &frame.expect("a frame"), &parameters);
        (0..rows.len()).map(|row| found.of(row)).collect()
    }

    fn medians(before: f64, after: f64) -> (TestPartner, Row) {
        (live(), (Some(before), Some(after), 8, 4, 0))
    }

    #[test]
    fn a_fall_takes_points_and_a_rise_gives_none() {
        #[track_caller]
        fn check(before: f64, after: f64, score: f64, reason: &str) {
            // Two peers on level calls.
            let rows = [medians(before, after), medians(700.0, 700.0), medians(700.0, 700.0)];
            let answer = &answers(&rows)[0];
            answer.check(Some(score), reason);
            assert_eq!(answer.n, 12);
        }
        check(995.0, 995.0, 100.0, "Calls level over 12 weeks");
        check(995.0, 745.0, 50.0, "Calls −25 % in four weeks");
        check(995.0, 495.0, 0.0, "Calls −50 % in four weeks");
        check(995.0, 0.0, 0.0, "Calls −100 % in four weeks");
        check(995.0, 1_300.0, 100.0, "Calls +31 % in four weeks");
        check(995.0, 2_500.0, 100.0, "Calls 2.5 times as many in four weeks");
        // Few calls are told as they are, and five mixed in keep them from large changes.
        check(20.0, 10.0, 100.0 * (1.0 - 0.4 / 0.5), "Calls 20 → 10 a week");
        check(3.0, 1.0, 50.0, "Calls 3 → 1 a week");
        check(0.0, 0.0, 100.0, "No call in most weeks, as before");
        check(3.5, 3.5, 100.0, "Calls level at 4 a week");
        check(0.0, 300.0, 100.0, "Calls over 1,000 times as many in four weeks");
    }

    #[test]
    fn the_fall_of_the_segment_is_taken_out() {
        #[track_caller]
        fn check(peers: f64, score: f64, reason: &str) {
            let peers = || medians(995.0, 1_000.0 * (1.0 + peers) - 5.0);
            answers(&[medians(995.0, 595.0), peers(), peers()])[0].check(Some(score), reason);
        }
        check(0.0, 20.0, "Calls −40 % in four weeks");
        check(-0.3, 80.0, "Calls −40 % in four weeks, its peers' −30 %");
        check(-0.6, 100.0, "Calls −40 % in four weeks, its peers' −60 %");
        check(0.5, 20.0, "Calls −40 % in four weeks");
        // One that collapses among many does not excuse itself.
        let rows = [medians(995.0, 0.0), medians(20.0, 20.0), medians(20.0, 20.0)];
        answers(&rows)[0].check(Some(0.0), "Calls −100 % in four weeks");
    }

    #[test]
    fn weeks_that_are_left_out_are_told() {
        #[track_caller]
        fn check(row: Row, score: Option<f64>, reason: &str) {
            answers(&[(live(), row)])[0].check(score, reason);
        }
        let known = Some(500.0);
        let reason = "Calls level over 10 weeks, 14 calm days left out";
        check((known, known, 8, 2, 14), Some(100.0), reason);
        let reason = "Calls level over 8 weeks, 1 calm day left out";
        check((known, known, 4, 4, 1), Some(100.0), reason);
        check((known, known, 3, 4, 9), None, "3 weeks before to compare with, 4 needed");
        check((known, None, 8, 0, 28), None, "Calm days leave none of the last four weeks");
    }

    #[test]
    fn it_applies_to_partners_that_call_about_weekly() {
        let every = |days| TestPartner { cadence: Some(days), ..live() };
        let halved = (Some(995.0), Some(495.0), 8, 4, 0);
        let level = medians(700.0, 700.0);
        let answers = answers(&[(every(8.0), halved), (every(8.5), halved), level.clone(), level]);
        answers[0].check(Some(0.0), "Calls −50 % in four weeks");
        answers[1].check_not_applicable();
        answers[2].check(Some(100.0), "Calls level over 12 weeks");
    }

    #[test]
    fn fewer_than_eight_weeks_are_no_trend() {
        let row = (Some(500.0), Some(500.0), 4, 4, 0);
        answers(&[(TestPartner::default(), row)])[0].check_not_applicable();
        answers(&[(live_for(55.99), row)])[0].check_not_applicable();
        answers(&[(live_for(56.0), row)])[0].check(Some(100.0), "Calls level over 8 weeks");
    }
}
