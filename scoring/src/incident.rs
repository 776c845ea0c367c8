//! Incidents: stretches of days on which a partner's own errors were above what is usual for it.
//!
//! The only place where an incident is found and described: reasons, pages and plans carry its
//! sentence.

use domain::format::{plain_date, plain_date_range, plain_percent};
use domain::{Day, counted};

/// Days without an alarm after which an incident is over.
const ENDS_AFTER: i32 = 7;

/// Below this many calls an incident is described in calls: a share of so few calls would claim too
/// much. The metric `error_trend` mixes as many calls into each rate.
const FEW_CALLS: i64 = 100;

/// One row of the metric `error_trend`: a day of a partner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ErrorDay {
    pub day: Day,
    pub calls: i64,
    pub client_error_rate: Option<f64>,
    pub baseline_rate: Option<f64>,
    pub alarm: bool,
}

/// Alarm days that belong together: fewer than seven days lie between one and the next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Incident {
    /// The first alarm day.
    pub first: Day,
    /// The last alarm day.
    pub last: Day,
    pub alarm_days: usize,
    /// Calls on alarm days.
    pub calls: i64,
    /// Client errors on alarm days.
    pub errors: f64,
    /// A day between the first and the last had calls and no alarm.
    pub interrupted: bool,
    /// The error rate before the first day; `None` where that is not known.
    pub rate_before: Option<f64>,
}

impl Incident {
    /// Returns client errors over calls on alarm days.
    fn rate(&self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.errors / self.calls as f64 }
    }

    /// Returns whether it had ended before `day`: the seven days before had no alarm.
    pub(crate) fn is_over(&self, day: Day) -> bool {
        is_week_apart(self.last, day)
    }
}

/// Returns whether seven whole days or more lie between an alarm and a later day.
fn is_week_apart(alarm: Day, later: Day) -> bool {
    later.0 - alarm.0 > ENDS_AFTER
}

/// Finds the incidents of a partner, oldest first. `known_from` is the first day of which alarms
/// are known.
pub(crate) fn incidents(days: &[ErrorDay], known_from: Day) -> Vec<Incident> {
    let mut found: Vec<Incident> = Vec::new();
    let mut quiet = false;
    for day in days {
        if !day.alarm {
            quiet = true;
            continue;
        }
        let errors = day.client_error_rate.unwrap_or(0.0) * day.calls as f64;
        match found.last_mut().filter(|open| !is_week_apart(open.last, day.day)) {
            Some(open) => {
                open.last = day.day;
                open.alarm_days += 1;
                open.calls += day.calls;
                open.errors += errors;
                open.interrupted |= quiet;
            }
            None => found.push(Incident {
                first: day.day,
                last: day.day,
                alarm_days: 1,
                calls: day.calls,
                errors,
                interrupted: false,
                // An alarm just before `known_from` would belong to the incident, and would be part
                // of the rate before it.
                rate_before: day
                    .baseline_rate
                    .filter(|_| is_week_apart(known_from.plus(-1), day.day)),
            }),
        }
        quiet = false;
    }
    found
}

/// Returns the incident to report on a day: the one that goes on, or else, of those with an alarm
/// since `from`, the one with most alarm days, and the latest of equals.
pub(crate) fn incident_to_report(incidents: &[Incident], from: Day, day: Day) -> Option<&Incident> {
    let recent = || incidents.iter().filter(|i| i.last >= from && i.last < day);
    recent().find(|i| !i.is_over(day)).or_else(|| recent().max_by_key(|i| i.alarm_days))
}

/// Describes an incident in a sentence, as it stands before `day`. `days` are the partner's. Dates
/// have their year where it is not that of `seen_from`.
pub(crate) fn describe(incident: &Incident, days: &[ErrorDay], day: Day, seen_from: Day) -> String {
    if incident.last.plus(1) == day {
        return describe_ongoing(incident, seen_from);
    }
    // The alarms of a later incident are described by that incident.
    let is_quiet = |d: &&ErrorDay| d.day > incident.last && d.day < day && !d.alarm;
    let after: Vec<&ErrorDay> = days.iter().filter(is_quiet).collect();
    let extent = extent(incident, seen_from);
    let Some(rate_after) = error_rate(&after) else {
        return format!("{extent}, no call since");
    };
    let (before, during) = (incident.rate_before.unwrap_or(0.0), incident.rate());
    let has_recovered = rate_after < f64::midpoint(before, during);
    let rate_after = plain_percent(rate_after);
    match day.0 - incident.last.0 - 1 {
        _ if incident.is_over(day) && has_recovered => format!("{extent}, back to {rate_after}"),
        _ if incident.is_over(day) => format!("{extent}, {rate_after} since"),
        1 => format!("{extent}, {rate_after} a day later"),
        n => format!("{extent}, {rate_after} in the {n} days since"),
    }
}

/// Describes an incident whose last alarm was on the day before.
fn describe_ongoing(incident: &Incident, seen_from: Day) -> String {
    let first = plain_date(incident.first, seen_from);
    let rate = plain_percent(incident.rate());
    let Some(before) = incident.rate_before else {
        return format!("4xx high since {first} or before: {rate}");
    };
    let usual = plain_percent(before);
    if incident.calls < FEW_CALLS {
        return format!("{}, {usual} before", extent(incident, seen_from));
    }
    format!("4xx {} on {first}: {usual} → {rate}", growth(incident.rate() / before))
}

/// Says how much and when: `4xx 12 % from 10 to 17 Nov`, `4xx on 3 of 9 calls on 10 Nov`.
fn extent(incident: &Incident, seen_from: Day) -> String {
    let how_much = if incident.calls < FEW_CALLS {
        let calls = counted(incident.calls, "call");
        format!("4xx on {:.0} of {calls}", incident.errors)
    } else {
        format!("4xx {}", plain_percent(incident.rate()))
    };
    let when = plain_date_range(incident.first, incident.last, seen_from);
    if incident.interrupted {
        let days = counted(incident.alarm_days, "day");
        return format!("{how_much} on {days} {when}");
    }
    format!("{how_much} {when}")
}

fn growth(factor: f64) -> String {
    match factor {
        f if !f.is_finite() || f < 1.75 => "up".to_owned(),
        f if f < 2.5 => "doubled".to_owned(),
        f if f < 3.5 => "tripled".to_owned(),
        f => format!("up {f:.0}-fold"),
    }
}

/// Returns client errors over calls, or `None` without calls.
pub(crate) fn error_rate(days: &[&ErrorDay]) -> Option<f64> {
    let calls: i64 = days.iter().map(|d| d.calls).sum();
    let errors: f64 =
        days.iter().map(|d| d.client_error_rate.unwrap_or(0.0) * d.calls as f64).sum();
    (calls > 0).then(|| errors / calls as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_input::day;

    const AS_OF: &str = "2026-11-26";

    /// Makes the days before `AS_OF`, oldest first, from a letter each: `.` is calm at 1.2 %, `!`
    /// an alarm at 26 %, `-` no calls, `f` an alarm on nine calls, three of them errors. The
    /// baseline moves with the errors, as in `error_trend`.
    fn trend(pattern: &str) -> Vec<ErrorDay> {
        let first = day(AS_OF).plus(-(pattern.len() as i32));
        let mut baseline = 0.007;
        let mut days = Vec::new();
        for (i, letter) in pattern.bytes().enumerate().filter(|(_, letter)| *letter != b'-') {
            let (calls, rate) = match letter {
                b'f' => (9, 3.0 / 9.0),
                b'!' => (1_000, 0.26),
                _ => (1_000, 0.012),
            };
            days.push(ErrorDay {
                day: first.plus(i as i32),
                calls,
                client_error_rate: Some(rate),
                baseline_rate: Some(baseline),
                alarm: letter != b'.',
            });
            baseline += (rate - baseline) / 84.0;
        }
        days
    }

    fn found(days: &[ErrorDay]) -> Vec<Incident> {
        incidents(days, day(AS_OF).plus(-90))
    }

    #[track_caller]
    fn check(pattern: &str, expected: &str) {
        let (days, day) = (trend(pattern), day(AS_OF));
        let all = found(&days);
        let incident = incident_to_report(&all, day.plus(-28), day).expect("an incident");
        assert_eq!(describe(incident, &days, day, day), expected, "{pattern}");
        assert!(expected.chars().count() <= 57, "{expected}");
    }

    #[test]
    fn an_incident_starts_at_its_first_alarm() {
        check(".........!!!!!!!!!!!!!!!!", "4xx up 35-fold on 10 Nov: 0.8 % → 26 %");
        check(".........!", "4xx up 35-fold on 25 Nov: 0.8 % → 26 %");
        check("..!!", "4xx up 37-fold on 24 Nov: 0.7 % → 26 %");
        // Days without calls neither end nor prolong it.
        check("..!--!", "4xx up 37-fold on 22 Nov: 0.7 % → 26 %");
    }

    #[test]
    fn quiet_days_do_not_restart_an_incident() {
        check(".........!!!!!!.!!!!!!!!!", "4xx up 35-fold on 10 Nov: 0.8 % → 26 %");
        check(".........!......!", "4xx up 35-fold on 18 Nov: 0.8 % → 26 %");
        // Seven quiet days end it: the next alarm begins another.
        check("!.......!", "4xx up 26-fold on 25 Nov: 1.0 % → 26 %");
        check(".!!!!!!!!.", "4xx 26 % from 17 to 24 Nov, 1.2 % a day later");
        check(".!!!!!!!!..", "4xx 26 % from 16 to 23 Nov, 1.2 % in the 2 days since");
        check(".!.!!.", "4xx 26 % on 3 days from 21 to 24 Nov, 1.2 % a day later");
    }

    #[test]
    fn an_incident_that_is_over_is_described_as_recovered() {
        check("!!!!!!!!........", "4xx 26 % from 10 to 17 Nov, back to 1.2 %");
        check(".!......", "4xx 26 % on 19 Nov, 1.2 % in the 6 days since");
        check(".!.......", "4xx 26 % on 18 Nov, back to 1.2 %");
        check(".!!--------", "4xx 26 % on 16 and 17 Nov, no call since");
        // It has not recovered where the errors stay and only the alarm has become quiet.
        let mut days = trend(".!!!!!!!!!........");
        days.iter_mut().for_each(|d| d.client_error_rate = d.client_error_rate.map(|r| r.max(0.2)));
        let day = day(AS_OF);
        let all = found(&days);
        let text = describe(&all[0], &days, day, day);
        assert_eq!(text, "4xx 26 % from 9 to 17 Nov, 20 % since");
    }

    #[test]
    fn few_calls_are_described_as_calls() {
        check("..........f", "4xx on 3 of 9 calls on 25 Nov, 0.8 % before");
        check(".......ff", "4xx on 6 of 18 calls on 24 and 25 Nov, 0.7 % before");
        check("..f........", "4xx on 3 of 9 calls on 17 Nov, back to 1.2 %");
        check("..f.", "4xx on 3 of 9 calls on 24 Nov, 1.2 % a day later");
        // Eleven days of nine calls are 99 calls; one more day makes a share meaningful.
        check(".fffffffffff", "4xx on 33 of 99 calls from 15 to 25 Nov, 0.7 % before");
        check(".ffffffffffff", "4xx up 47-fold on 14 Nov: 0.7 % → 33 %");
    }

    #[test]
    fn one_call_and_two() {
        let described = |calls: i64, errors: f64| {
            let first = day("2026-11-25");
            let incident = Incident {
                first,
                last: first,
                alarm_days: 1,
                calls,
                errors,
                interrupted: false,
                rate_before: Some(0.0),
            };
            describe(&incident, &[], day(AS_OF), day(AS_OF))
        };
        assert_eq!(described(1, 1.0), "4xx on 1 of 1 call on 25 Nov, 0 % before");
        assert_eq!(described(2, 1.0), "4xx on 1 of 2 calls on 25 Nov, 0 % before");
        assert_eq!(described(2, 2.0), "4xx on 2 of 2 calls on 25 Nov, 0 % before");
        assert_eq!(described(100, 2.0), "4xx up on 25 Nov: 0 % → 2.0 %");
    }

    #[test]
    fn the_ongoing_incident_is_reported_else_the_longest() {
        check("!!!!........!", "4xx up 14-fold on 25 Nov: 1.8 % → 26 %");
        check("!!!!........!........", "4xx 26 % from 5 to 8 Nov, back to 1.2 %");
        check(".!........!........", "4xx 26 % on 17 Nov, back to 1.2 %");
        // An incident with its last alarm before the window is not reported.
        let days = trend(&format!("!{}", ".".repeat(28)));
        let all = found(&days);
        assert_eq!(all.len(), 1);
        assert_eq!(incident_to_report(&all, day(AS_OF).plus(-28), day(AS_OF)), None);
        assert_eq!(incident_to_report(&[], day(AS_OF).plus(-28), day(AS_OF)), None);
    }

    #[test]
    fn an_incident_from_before_the_known_days_has_no_rate_before() {
        let expected = "4xx high since 28 Aug or before: 26 %";
        check(&"!".repeat(90), expected);
        // The first six days are quiet, the seventh day may still belong to an alarm of before.
        check(&format!("......{}", "!".repeat(84)), "4xx high since 3 Sep or before: 26 %");
        check(&format!(".......{}", "!".repeat(83)), "4xx up 35-fold on 4 Sep: 0.7 % → 26 %");
    }

    #[test]
    fn growth_as_words() {
        let words = [0.9, 1.74, 1.75, 2.49, 2.5, 3.49, 3.5, 12.4, f64::INFINITY].map(growth);
        let expected = [
            "up",
            "up",
            "doubled",
            "doubled",
            "tripled",
            "tripled",
            "up 4-fold",
            "up 12-fold",
            "up",
        ];
        assert_eq!(words, expected);
    }
}
