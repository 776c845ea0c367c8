//! Errors: days in W on which the partner's own errors raised the alarm of `error_trend`.

use std::collections::BTreeMap;

use domain::format::plain_percent;
use domain::{Day, counted};
use serde::Deserialize;

use super::signal::{Measurement, MetricFrames, Reading, Signal, SignalContext, between};
use crate::incident::{ErrorDay, describe, error_rate, incident_to_report, incidents};
use crate::input::{InputFrame, ScoreError};
use crate::value_check::{ValueCheck, value_check};
use crate::windows::Windows;

/// Days that the metric `error_trend` goes back. Of the time before, no alarm is known.
pub(crate) const ERROR_TREND_DAYS: i32 = 90;

/// The metric that the signal reads: partner_id, event_date, calls (Int64), client_error_rate?,
/// baseline_rate? (Float64), alarm (Boolean); "?" marks columns that may be null.
const ERROR_TREND: &str = "error_trend";

/// The signal `errors`. Its value is the number of alarm days; its n is the number of days with
/// calls and a baseline.
pub(crate) struct Errors;

/// The table `[errors]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Alarm days in W at which the score is 0.
    alarm_days: i32,
}

impl Signal for Errors {
    type Parameters = Parameters;
    /// The rows of `error_trend` by partner and day. `None`: the metric is held back.
    type Data = Option<BTreeMap<String, Vec<ErrorDay>>>;

    const METRICS: &'static [&'static str] = &[ERROR_TREND];

    fn checks(parameters: &Parameters, _windows: &Windows) -> Vec<ValueCheck> {
        let alarms = parameters.alarm_days;
        vec![value_check("errors.alarm_days", &alarms, "1 or more", alarms >= 1)]
    }

    fn load(metrics: &MetricFrames<'_>) -> Result<Self::Data, ScoreError> {
        let Some(frame) = metrics.frames.get(ERROR_TREND) else { return Ok(None) };
        let frame = InputFrame { name: "errors", frame };
        let (ids, dates) = (frame.str("partner_id")?, frame.i32("event_date")?);
        let (calls, alarms) = (frame.i64("calls")?, frame.bool("alarm")?);
        let (rates, baselines) = (frame.f64("client_error_rate")?, frame.f64("baseline_rate")?);
        let rows = ids.iter().zip(dates.iter()).zip(calls.iter().zip(alarms.iter()));
        let rows = rows.zip(rates.iter().zip(baselines.iter()));
        let mut by_partner: BTreeMap<String, Vec<ErrorDay>> = BTreeMap::new();
        for (row, (((id, day), (calls, alarm)), (rate, baseline))) in rows.enumerate() {
            let error_day = ErrorDay {
                day: Day(frame.required("event_date", row, day)?),
                calls: frame.required("calls", row, calls)?,
                client_error_rate: rate,
                baseline_rate: baseline,
                alarm: frame.required("alarm", row, alarm)?,
            };
            if error_day.day < metrics.as_of.day() {
                let id = frame.known_partner(metrics.partners, row, id)?;
                by_partner.entry(id.to_owned()).or_default().push(error_day);
            }
        }
        by_partner.values_mut().for_each(|days| days.sort_by_key(|d| d.day));
        Ok(Some(by_partner))
    }

    fn read(
        context: &SignalContext<'_>,
        parameters: &Parameters,
        by_partner: &Self::Data,
    ) -> Reading {
        let Some(by_partner) = by_partner else {
            return Reading::Missing(format!("Unknown: {ERROR_TREND} is held back"));
        };
        let all = by_partner.get(&context.partner.id).map_or(&[][..], Vec::as_slice);
        let recent = between(all, |d| d.day, context.recent_start(), context.day);
        let n = recent.iter().filter(|d| d.baseline_rate.is_some()).count();
        if n == 0 {
            let days = counted(context.windows.recent_days, "day");
            return Reading::Missing(format!("No production call in {days}"));
        }
        let alarms = recent.iter().filter(|d| d.alarm).count();
        let share = alarms as f64 / f64::from(parameters.alarm_days);
        let seen = between(all, |d| d.day, Day(i32::MIN), context.day);
        Reading::Measured(Measurement {
            value: alarms as f64,
            score: 100.0 * (1.0 - share.min(1.0)),
            n: n as i64,
            reason: reason(seen, recent, context),
        })
    }
}

/// Describes the incident that matters most, or says that there is none.
fn reason(seen: &[ErrorDay], recent: &[ErrorDay], context: &SignalContext<'_>) -> String {
    let (day, run_day) = (context.day, context.run_day);
    let found = incidents(seen, run_day.plus(-ERROR_TREND_DAYS));
    match incident_to_report(&found, context.recent_start(), day) {
        Some(incident) => describe(incident, seen, day, run_day),
        None => {
            let recent: Vec<&ErrorDay> = recent.iter().collect();
            format!("4xx as usual, {} of calls", plain_percent(error_rate(&recent).unwrap_or(0.0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_input::{day, default_policy, measured, partner, read_signal};

    /// Days that end before 15 September, oldest first: `.` calm, `!` alarm, ` ` no calls,
    /// `?` no baseline.
    fn trend(pattern: &str) -> Vec<ErrorDay> {
        let first = day("2026-09-15").plus(-(pattern.len() as i32));
        let days = pattern.bytes().enumerate().filter(|(_, b)| *b != b' ');
        days.map(|(i, b)| ErrorDay {
            day: first.plus(i as i32),
            calls: 1_000,
            client_error_rate: Some(if b == b'!' { 0.026 } else { 0.009 }),
            baseline_rate: (b != b'?').then_some(0.008),
            alarm: b == b'!',
        })
        .collect()
    }

    fn read(pattern: &str) -> Reading {
        let data = Some(BTreeMap::from([("p".to_owned(), trend(pattern))]));
        let parameters = default_policy().signals.errors;
        read_signal::<Errors>(&partner("p"), "2026-09-15", &parameters, &data)
    }

    #[test]
    fn alarm_days_take_points() {
        #[track_caller]
        fn check(pattern: &str, value: f64, score: f64, n: i64, reason: &str) {
            let answer = measured(read(pattern));
            assert!((answer.score - score).abs() < 1e-9, "{}", answer.score);
            assert_eq!((answer.value, answer.n, answer.reason.as_str()), (value, n, reason));
        }
        let tripled = |day: &str| format!("4xx tripled on {day}: 0.8 % → 2.6 %");
        check("....", 0.0, 100.0, 4, "4xx as usual, 0.9 % of calls");
        check("..!!", 2.0, 100.0 * 5.0 / 7.0, 4, &tripled("13 Sep"));
        check("!!!!!!!!!!", 10.0, 0.0, 10, &tripled("5 Sep"));
        let quiet = "4xx 2.6 % from 10 to 12 Sep, 0.9 % in the 2 days since";
        check("!!!..", 3.0, 100.0 * 4.0 / 7.0, 5, quiet);
        let over = "4xx 2.6 % from 4 to 6 Sep, back to 0.9 %";
        check("!!!........", 3.0, 100.0 * 4.0 / 7.0, 11, over);
        check("! !", 2.0, 100.0 * 5.0 / 7.0, 2, &tripled("12 Sep"));
        check("??.", 0.0, 100.0, 1, "4xx as usual, 0.9 % of calls");
        // It began before W, 28 days; only the alarms within take points.
        let long = format!(".{}", "!".repeat(30));
        check(&long, 28.0, 0.0, 28, &tripled("16 Aug"));
        // An alarm before W is forgotten.
        check(&format!("!{}", ".".repeat(28)), 0.0, 100.0, 28, "4xx as usual, 0.9 % of calls");
    }

    #[test]
    fn silence_is_no_evidence() {
        for pattern in ["", "????", &format!(".{}", " ".repeat(28))] {
            let reading = read(pattern);
            let reason = "No production call in 28 days".to_owned();
            assert_eq!(reading, Reading::Missing(reason), "{pattern:?}");
        }
    }
}
