//! Errors that a partner itself causes: days on which they raised the alarm of `error_trend`, and
//! their lasting level.

use domain::counted;
use domain::format::plain_percent;
use serde::Deserialize;

use super::signal::{Measured, NO_CALLS, Signal, SignalInput};
use crate::columns::{ColumnMath, Numbers};
use crate::error_details::{ERROR_CAUSE, ERROR_DAYS, ErrorCauses, ErrorDays};
use crate::formulas::excess_score;
use crate::frames::ScoreError;
use crate::incident::{describe, incident_to_report, incidents};
use crate::sentences::Sentences;
use crate::value_check::{ValueCheck, is_positive, value_check};

/// Days before the evaluated one of which alarms are known.
const KNOWN_DAYS: i32 = 90;
/// Days before the evaluated one in which an incident is told: those of W.
const RECENT_DAYS: i32 = 28;
/// Below this score of the level the sentence names the level.
const CONSPICUOUS: f64 = 80.0;

/// The signal `errors`: min(trend, level). The trend is 100 · (1 − min(1, alarm days in W / 7)), so
/// that a change is seen; the level is 100 · clip(1 − log2(r / s) / 3, 0, 1), so that an error rate
/// that lasts does not become usual.
///
/// s is 1 %, or more where the median of the segment's partners is more, and
/// r = (errors + 100 · s) / (calls + 100). Its value is errors / calls in W, 429 not counted; its n
/// is the number of calls.
pub(crate) struct Errors;

/// The table `[errors]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Alarm days in W at which the score is 0.
    alarm_days: f64,
    /// The error rate that is usual even where the segment's is lower.
    usual_rate: f64,
    /// Calls at the usual rate that are mixed into each partner's.
    mixed_calls: f64,
    /// Doublings of the usual rate at which the score is 0.
    doublings: f64,
    /// The longest cadence, in days, with which it applies without calls.
    max_silent_cadence_days: f64,
}

impl Signal for Errors {
    type Parameters = Parameters;

    const INPUT: &'static str = "scoring_errors";
    const BY_WEEK: bool = true;
    const DETAILS: &'static [&'static str] = &[ERROR_DAYS, ERROR_CAUSE];

    fn checks(parameters: &Parameters) -> Vec<ValueCheck> {
        let Parameters { alarm_days: alarms, usual_rate, mixed_calls, doublings, .. } = *parameters;
        let cadence = parameters.max_silent_cadence_days;
        let is_rate = usual_rate > 0.0 && usual_rate < 1.0;
        vec![
            value_check("errors.alarm_days", &alarms, "more than 0", is_positive(alarms)),
            value_check("errors.usual_rate", &usual_rate, "between 0 and 1", is_rate),
            value_check(
                "errors.mixed_calls",
                &mixed_calls,
                "more than 0",
                is_positive(mixed_calls),
            ),
            value_check("errors.doublings", &doublings, "more than 0", is_positive(doublings)),
            value_check(
                "errors.max_silent_cadence_days",
                &cadence,
                "more than 0",
                is_positive(cadence),
            ),
        ]
    }

    fn measure(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Measured, ScoreError> {
        let Level { rate, score: level, .. } = level(input, parameters)?;
        let most = parameters.alarm_days;
        let alarms = input.rows.count("alarm_days")?.or(0.0);
        let trend = alarms.map(|days| 100.0 * (1.0 - (days / most).min(1.0)));
        // A monthly caller has four weeks without a call now and then, which says nothing of it.
        let longest = parameters.max_silent_cadence_days;
        let is_frequent = input.partners.cadence.is(|days| days <= longest);
        let has_calls = input.rows.count("calls")?.is(|calls| calls > 0.0);
        let applies = input.partners.live_days.is_not_null() & (has_calls | is_frequent);
        Ok(Measured {
            score: trend.lesser(&level).only_where(&applies),
            value: rate.only_where(&applies),
            n: input.rows.i64("calls")?.clone(),
            applies,
            weight_share: None,
        })
    }

    fn reasons(
        input: &SignalInput<'_>,
        measured: &Measured,
        parameters: &Parameters,
    ) -> Result<Sentences, ScoreError> {
        let Level { usual, score: level, .. } = level(input, parameters)?;
        let alarms = input.rows.i64("alarm_days")?;
        let incidents = Incidents::of(input)?;
        Ok(measured.sentences(|row, rate| {
            let Some(rate) = rate else { return NO_CALLS.to_owned() };
            let alarm_days = alarms.get(row).filter(|days| *days > 0);
            if let Some(incident) = alarm_days.and_then(|_| incidents.sentence(row)) {
                return incidents.with_cause(incident, row);
            }
            let rate = plain_percent(rate);
            if level.get(row).is_some_and(|level| level < CONSPICUOUS) {
                let usual = plain_percent(usual.get(row).unwrap_or_default());
                let lasting = format!("4xx {rate} of calls, up to {usual} is usual");
                return incidents.with_cause(lasting, row);
            }
            match alarm_days {
                Some(days) => format!("4xx above usual on {} of 28", counted(days, "day")),
                None => format!("4xx as usual, {rate} of calls"),
            }
        }))
    }
}

/// The lasting level of each partner's errors.
struct Level {
    /// Errors over calls; NULL without calls.
    rate: Numbers,
    /// The rate up to which errors are usual.
    usual: Numbers,
    score: Numbers,
}

fn level(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Level, ScoreError> {
    let calls = input.rows.count("calls")?;
    let errors = input.rows.count("client_errors")?;
    let mixed = parameters.mixed_calls;
    let rate = errors.over(&calls);
    let of_peers = input.peers.median(&rate.only_where(&input.partners.is_live));
    let usual = of_peers.or(0.0).map(|rate| rate.max(parameters.usual_rate));
    let shrunk = (&errors + &(&usual * mixed)).over(&(&calls + mixed));
    let score = excess_score(&shrunk.over(&usual), parameters.doublings);
    Ok(Level { score: score.only_where(&rate.is_not_null()), rate, usual })
}

/// The frames that incidents are told from; `None` where they are held back.
struct Incidents<'a> {
    input: &'a SignalInput<'a>,
    days: Option<ErrorDays<'a>>,
    causes: Option<ErrorCauses>,
}

impl<'a> Incidents<'a> {
    fn of(input: &'a SignalInput<'a>) -> Result<Self, ScoreError> {
        let keys = &input.partners.keys;
        let causes = input.details.get(ERROR_CAUSE);
        Ok(Self {
            input,
            days: input.details.get(ERROR_DAYS).map(ErrorDays::of).transpose()?,
            causes: causes.map(|frame| ErrorCauses::of(frame, keys)).transpose()?,
        })
    }

    /// Describes the incident of a row that matters most, if one had an alarm in W.
    fn sentence(&self, row: usize) -> Option<String> {
        let (day, id) = self.input.partners.keys.get(row)?;
        let days = self.days.as_ref()?.of_partner(day, id);
        let found = incidents(&days, day.plus(-KNOWN_DAYS));
        let incident = incident_to_report(&found, day.plus(-RECENT_DAYS), day)?;
        Some(describe(incident, &days, day, day))
    }

    /// Adds what most of the errors are, where that is known.
    fn with_cause(&self, sentence: String, row: usize) -> String {
        match self.causes.as_ref().and_then(|causes| causes.of_row(row)) {
            Some(cause) => format!("{sentence}, mostly {cause}"),
            None => sentence,
        }
    }
}

#[cfg(test)]
mod tests {
    use polars::df;
    use polars::prelude::DataFrame;

    use super::*;
    use crate::test_input::{
        Answer, DAY, TestPartner, day, default_policy, id, live, measure, measure_with_details,
    };

    /// The counts of a partner in W: alarm days, calls, client errors.
    type Counts = Option<(i64, i64, i64)>;

    fn frame(counts: &[Counts]) -> DataFrame {
        let column = |of: fn((i64, i64, i64)) -> i64| -> Vec<Option<i64>> {
            counts.iter().map(|counts| counts.map(of)).collect()
        };
        df!(
            "alarm_days" => column(|c| c.0),
            "calls" => column(|c| c.1),
            "client_errors" => column(|c| c.2),
        )
        .expect("a frame")
    }

    fn answer(counts: Counts, details: &[(&str, DataFrame)]) -> Answer {
        let parameters = default_policy().signals.errors;
        measure_with_details::<Errors>(&[live()], &frame(&[counts]), details, &parameters).of(0)
    }

    /// Days that end before the evaluated one, oldest first: `.` calm, `!` alarm, ` ` no calls.
    fn days(pattern: &str) -> DataFrame {
        let first = day(DAY).plus(-(pattern.len() as i32));
        let shown = pattern.bytes().enumerate().filter(|(_, b)| *b != b' ');
        let (dates, alarms): (Vec<i32>, Vec<bool>) =
            shown.map(|(i, b)| (first.plus(i as i32).0, b == b'!')).unzip();
        let rows = dates.len();
        let rates = alarms.iter().map(|alarm| if *alarm { 0.026 } else { 0.009 });
        df!(
            "day" => vec![day(DAY).0; rows],
            "partner_id" => vec![id(0); rows],
            "event_date" => dates,
            "calls" => vec![1_000_i64; rows],
            "client_error_rate" => rates.collect::<Vec<f64>>(),
            "baseline_rate" => vec![0.008; rows],
            "alarm" => alarms,
        )
        .expect("a frame")
    }

    fn cause(method: Option<&str>, endpoint: Option<&str>, share: f64) -> DataFrame {
        df!(
            "day" => [day(DAY).0],
            "partner_id" => [id(0)],
            "status" => [422_i64],
            "method" => [method],
            "endpoint" => [endpoint],
            "share" => [share],
        )
        .expect("a frame")
    }

    #[test]
    fn alarm_days_take_points_and_are_told_as_incidents() {
        #[track_caller]
        fn check(pattern: &str, score: f64, reason: &str) {
            let alarms = pattern.bytes().filter(|b| *b == b'!').count();
            // Errors at 0.9 % of calls: their level is usual.
            let counts = Some((alarms.min(28) as i64, 28_000, 252));
            answer(counts, &[(ERROR_DAYS, days(pattern))]).check(Some(score), reason);
        }
        let tripled = |day: &str| format!("4xx tripled on {day}: 0.8 % → 2.6 %");
        check("..!!", 100.0 * 5.0 / 7.0, &tripled("13 Sep"));
        check("!!!!!!!!!!", 0.0, &tripled("5 Sep"));
        check("!!!..", 100.0 * 4.0 / 7.0, "4xx 2.6 % from 10 to 12 Sep, 0.9 % in the 2 days since");
        check("!!!........", 100.0 * 4.0 / 7.0, "4xx 2.6 % from 4 to 6 Sep, back to 0.9 %");
        check("! !", 100.0 * 5.0 / 7.0, &tripled("12 Sep"));
        // It began before W.
        check(&format!(".{}", "!".repeat(30)), 0.0, &tripled("16 Aug"));
    }

    #[test]
    fn the_level_is_beside_one_percent_or_that_of_the_peers() {
        #[track_caller]
        fn check(calls: i64, errors: i64, score: f64, reason: &str) {
            // Two peers fail at 0.5 %, so that up to 1 % is usual.
            let counts = [Some((0, calls, errors)), Some((0, 1_000, 5)), Some((0, 1_000, 5))];
            let parameters = default_policy().signals.errors;
            let answers = measure::<Errors>(&vec![live(); 3], &frame(&counts), &parameters);
            answers.of(0).check(Some(score), reason);
            answers.of(1).check(Some(100.0), "4xx as usual, 0.5 % of calls");
        }
        // r = (21 + 1) / 1,100 = 2 %, one doubling; 43: two; 87: three.
        let lasting = |rate: &str| format!("4xx {rate} of calls, up to 1.0 % is usual");
        check(1_000, 21, 200.0 / 3.0, &lasting("2.1 %"));
        check(1_000, 43, 100.0 / 3.0, &lasting("4.3 %"));
        check(1_000, 87, 0.0, &lasting("8.7 %"));
        check(1_000, 1_000, 0.0, &lasting("100 %"));
        // r = 12 / 1,100: so little more is not worth a sentence of its own.
        let little = 100.0 * (1.0 - (12.0f64 / 11.0).log2() / 3.0);
        check(1_000, 11, little, "4xx as usual, 1.1 % of calls");
        // One call, which fails: r = 2 / 101.
        let one = 100.0 * (1.0 - (200.0f64 / 101.0).log2() / 3.0);
        check(1, 1, one, &lasting("100 %"));
        check(1, 0, 100.0, "4xx as usual, 0 % of calls");
    }

    #[test]
    fn what_fails_alike_everywhere_is_usual() {
        #[track_caller]
        fn check(calls: i64, errors: i64, score: f64, reason: &str) {
            answer(Some((0, calls, errors)), &[]).check(Some(score), reason);
        }
        check(1_000, 9, 100.0, "4xx as usual, 0.9 % of calls");
        check(1_000, 0, 100.0, "4xx as usual, 0 % of calls");
        // A single partner is its own segment, so that its rate is the usual one.
        check(1_000, 90, 100.0, "4xx as usual, 9.0 % of calls");
        let counts = [Some((0, 1, 1)), Some((0, 1_000, 5)), Some((0, 500, 500))];
        let segments = [None, Some("shops"), None];
        let partners = segments.map(|segment| TestPartner { segment, ..live() });
        let parameters = default_policy().signals.errors;
        // The median rate of all is 1: everything fails as usual. Of the segment of one it is
        // (0.005 + 20 · 1) / 21.
        let answers = measure::<Errors>(&partners, &frame(&counts), &parameters);
        answers.of(0).check(Some(100.0), "4xx as usual, 100 % of calls");
        answers.of(1).check(Some(100.0), "4xx as usual, 0.5 % of calls");
    }

    #[test]
    fn the_usual_rate_is_that_of_live_partners() {
        // Three that churned fail at 30 %; the two that are live at 2 %.
        let churned = TestPartner { last_success: Some(day("2026-03-01")), ..live() };
        let partners = [live(), live(), churned.clone(), churned.clone(), churned];
        let failing = Some((0, 1_000, 300));
        let counts = [Some((0, 1_000, 20)), Some((0, 1_000, 20)), failing, failing, failing];
        let parameters = default_policy().signals.errors;
        let answers = measure::<Errors>(&partners, &frame(&counts), &parameters);
        answers.of(0).check(Some(100.0), "4xx as usual, 2.0 % of calls");
        answers.of(2).check(Some(0.0), "4xx 30 % of calls, up to 2.0 % is usual");
    }

    #[test]
    fn the_cause_of_at_least_half_of_the_errors_is_named() {
        #[track_caller]
        fn check(cause: DataFrame, expected: &str) {
            let details = [(ERROR_DAYS, days("..!!")), (ERROR_CAUSE, cause)];
            let reason = format!("4xx tripled on 13 Sep: 0.8 % → 2.6 %{expected}");
            answer(Some((2, 4_000, 70)), &details).check(Some(500.0 / 7.0), &reason);
        }
        let on = |share| cause(Some("POST"), Some("/v2/charges"), share);
        check(on(0.5), ", mostly 422 on POST /v2/charges");
        check(on(0.49), "");
        check(cause(None, Some("/v2/charges"), 1.0), ", mostly 422 on /v2/charges");
        check(cause(None, None, 1.0), ", mostly 422");
        check(on(0.9).head(Some(0)), "");
    }

    #[test]
    fn without_calls_or_details() {
        answer(None, &[]).check(None, NO_CALLS);
        answer(Some((0, 0, 0)), &[]).check(None, NO_CALLS);
        // The days of the alarms are held back.
        let told = "4xx above usual on 2 days of 28";
        answer(Some((2, 4_000, 40)), &[]).check(Some(500.0 / 7.0), told);
        let parameters = default_policy().signals.errors;
        let rare = |cadence| [TestPartner { cadence: Some(cadence), ..live() }];
        let silent = measure::<Errors>(&rare(14.0), &frame(&[None]), &parameters);
        silent.of(0).check(None, NO_CALLS);
        let silent = measure::<Errors>(&rare(30.0), &frame(&[None]), &parameters);
        silent.of(0).check_not_applicable();
        let unborn = [TestPartner::default()];
        let answers = measure::<Errors>(&unborn, &frame(&[Some((0, 9, 9))]), &parameters);
        answers.of(0).check_not_applicable();
    }
}
