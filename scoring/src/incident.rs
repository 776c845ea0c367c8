//! Incidents: stretches of days on which a partner's own errors stood above what is usual for it.
//!
//! The only place where an incident is found and told: reasons, pages and plans carry its sentence.

use lake_types::{Day, counted};

use crate::input::ErrorDay;
use crate::words;

/// Days without an alarm after which an incident is over.
const ENDS_AFTER: i32 = 7;

/// Calls under which an incident is told in calls: a share of so few would say more than is known.
/// It is as many calls as `error_trend` mixes into each rate.
const FEW_CALLS: i64 = 100;

/// Alarm days that belong together: less than seven days lie between one and the next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Incident {
    /// Its first and its last alarm day.
    pub first: Day,
    pub last: Day,
    pub alarm_days: usize,
    /// Calls and client errors of its alarm days.
    pub calls: i64,
    pub errors: f64,
    /// Whether a day between the first and the last had calls and no alarm.
    pub interrupted: bool,
    /// The rate of the days before it; `None` where what came before is not known.
    pub before: Option<f64>,
}

impl Incident {
    /// Client errors over calls on its alarm days.
    fn rate(&self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.errors / self.calls as f64 }
    }

    /// Whether it has ended before `day`: the last seven days had no alarm.
    fn is_over(&self, day: Day) -> bool {
        ends(self.last, day)
    }
}

/// Whether seven whole days lie between an alarm and another day.
fn ends(alarm: Day, other: Day) -> bool {
    other.0 - alarm.0 > ENDS_AFTER
}

/// The incidents of a partner, oldest first; `known_from` is the first day that alarms are known of.
pub(crate) fn incidents(days: &[ErrorDay], known_from: Day) -> Vec<Incident> {
    let mut found: Vec<Incident> = Vec::new();
    let mut quiet = false;
    for day in days {
        if !day.alarm {
            quiet = true;
            continue;
        }
        let errors = day.client_error_rate.unwrap_or(0.0) * day.calls as f64;
        match found.last_mut().filter(|open| !ends(open.last, day.day)) {
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
                // An alarm just before what is known would belong to it, and its days to the rate.
                before: day.baseline_rate.filter(|_| ends(known_from.plus(-1), day.day)),
            }),
        }
        quiet = false;
    }
    found
}

/// The incident to tell of on a day: the one that goes on, else of those with an alarm since `from`
/// the one with most alarm days, of equals the latest.
pub(crate) fn told_of(incidents: &[Incident], from: Day, day: Day) -> Option<&Incident> {
    let recent = || incidents.iter().filter(|i| i.last >= from && i.last < day);
    recent().find(|i| !i.is_over(day)).or_else(|| recent().max_by_key(|i| i.alarm_days))
}

/// An incident as a sentence, as it stands before `day`. `days` are the partner's; the year is
/// said where it is not that of `seen_from`.
pub(crate) fn sentence(incident: &Incident, days: &[ErrorDay], day: Day, seen_from: Day) -> String {
    // The alarms of a later incident are its own story.
    let quiet = |d: &&ErrorDay| d.day > incident.last && d.day < day && !d.alarm;
    let after: Vec<&ErrorDay> = days.iter().filter(quiet).collect();
    if incident.last.plus(1) == day {
        return going_on(incident, seen_from);
    }
    let Some(now) = rate(&after) else {
        return format!("{}, no call since", lasted(incident, seen_from));
    };
    let (before, during) = (incident.before.unwrap_or(0.0), incident.rate());
    let recovered = now < f64::midpoint(before, during);
    let now = words::percent(now);
    let told = lasted(incident, seen_from);
    match day.0 - incident.last.0 - 1 {
        _ if incident.is_over(day) && recovered => format!("{told}, back to {now}"),
        _ if incident.is_over(day) => format!("{told}, {now} since"),
        1 => format!("{told}, {now} a day later"),
        n => format!("{told}, {now} in the {n} days since"),
    }
}

/// The alarm of the day before holds.
fn going_on(incident: &Incident, seen_from: Day) -> String {
    let first = words::date(incident.first, seen_from);
    let now = words::percent(incident.rate());
    let Some(before) = incident.before else {
        return format!("4xx high since {first} or before: {now}");
    };
    let usual = words::percent(before);
    if incident.calls < FEW_CALLS {
        return format!("{}, {usual} before", lasted(incident, seen_from));
    }
    format!("4xx {} on {first}: {usual} → {now}", grown(incident.rate() / before))
}

/// How much and when: `4xx 12 % from 10 to 17 Nov`, `4xx on 3 of 9 calls on 10 Nov`.
fn lasted(incident: &Incident, seen_from: Day) -> String {
    let how_much = if incident.calls < FEW_CALLS {
        let calls = counted(incident.calls, "call");
        format!("4xx on {:.0} of {calls}", incident.errors)
    } else {
        format!("4xx {}", words::percent(incident.rate()))
    };
    let when = words::dates(incident.first, incident.last, seen_from);
    if incident.interrupted {
        let days = counted(incident.alarm_days as i64, "day");
        return format!("{how_much} on {days} {when}");
    }
    format!("{how_much} {when}")
}

fn grown(times: f64) -> String {
    match times {
        t if !t.is_finite() || t < 1.75 => "up".to_owned(),
        t if t < 2.5 => "doubled".to_owned(),
        t if t < 3.5 => "tripled".to_owned(),
        t => format!("up {t:.0}-fold"),
    }
}

/// Client errors over calls; `None` without calls.
pub(crate) fn rate(days: &[&ErrorDay]) -> Option<f64> {
    let calls: i64 = days.iter().map(|d| d.calls).sum();
    let errors: f64 =
        days.iter().map(|d| d.client_error_rate.unwrap_or(0.0) * d.calls as f64).sum();
    (calls > 0).then(|| errors / calls as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::day;

    const AS_OF: &str = "2026-11-26";

    /// Days that end before `AS_OF`, oldest first, a letter each: `.` calm at 1.2 %, `!` an alarm at
    /// 26 %, `-` no calls, `f` an alarm on nine calls, three of them errors. What is usual moves with
    /// the errors, as in `error_trend`.
    fn trend(pattern: &str) -> Vec<ErrorDay> {
        let first = day(AS_OF).plus(-(pattern.len() as i32));
        let mut usual = 0.007;
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
                baseline_rate: Some(usual),
                alarm: letter != b'.',
            });
            usual += (rate - usual) / 84.0;
        }
        days
    }

    fn known(days: &[ErrorDay]) -> Vec<Incident> {
        incidents(days, day(AS_OF).plus(-90))
    }

    #[track_caller]
    fn check(pattern: &str, sentence_due: &str) {
        let (days, day) = (trend(pattern), day(AS_OF));
        let found = known(&days);
        let incident = told_of(&found, day.plus(-28), day).expect("an incident");
        assert_eq!(sentence(incident, &days, day, day), sentence_due, "{pattern}");
        assert!(sentence_due.chars().count() <= 57, "{sentence_due}");
    }

    #[test]
    fn it_starts_at_its_first_alarm_and_is_told_against_the_days_before() {
        check(".........!!!!!!!!!!!!!!!!", "4xx up 35-fold on 10 Nov: 0.8 % → 26 %");
        check(".........!", "4xx up 35-fold on 25 Nov: 0.8 % → 26 %");
        check("..!!", "4xx up 37-fold on 24 Nov: 0.7 % → 26 %");
        // Days without calls neither end nor prolong it.
        check("..!--!", "4xx up 37-fold on 22 Nov: 0.7 % → 26 %");
    }

    #[test]
    fn quiet_days_do_not_restart_it() {
        check(".........!!!!!!.!!!!!!!!!", "4xx up 35-fold on 10 Nov: 0.8 % → 26 %");
        check(".........!......!", "4xx up 35-fold on 18 Nov: 0.8 % → 26 %");
        // Seven end it: the next alarm is another's first.
        check("!.......!", "4xx up 26-fold on 25 Nov: 1.0 % → 26 %");
        check(".!!!!!!!!.", "4xx 26 % from 17 to 24 Nov, 1.2 % a day later");
        check(".!!!!!!!!..", "4xx 26 % from 16 to 23 Nov, 1.2 % in the 2 days since");
        check(".!.!!.", "4xx 26 % on 3 days from 21 to 24 Nov, 1.2 % a day later");
    }

    #[test]
    fn one_that_is_over_is_told_as_recovered() {
        check("!!!!!!!!........", "4xx 26 % from 10 to 17 Nov, back to 1.2 %");
        check(".!......", "4xx 26 % on 19 Nov, 1.2 % in the 6 days since");
        check(".!.......", "4xx 26 % on 18 Nov, back to 1.2 %");
        check(".!!--------", "4xx 26 % on 16 and 17 Nov, no call since");
        // What came after is no recovery where the errors stay and only the alarm has become quiet.
        let mut days = trend(".!!!!!!!!!........");
        days.iter_mut().for_each(|d| d.client_error_rate = d.client_error_rate.map(|r| r.max(0.2)));
        let day = day(AS_OF);
        let found = known(&days);
        let told = sentence(&found[0], &days, day, day);
        assert_eq!(told, "4xx 26 % from 9 to 17 Nov, 20 % since");
    }

    #[test]
    fn a_few_calls_are_told_as_calls() {
        check("..........f", "4xx on 3 of 9 calls on 25 Nov, 0.8 % before");
        check(".......ff", "4xx on 6 of 18 calls on 24 and 25 Nov, 0.7 % before");
        check("..f........", "4xx on 3 of 9 calls on 17 Nov, back to 1.2 %");
        check("..f.", "4xx on 3 of 9 calls on 24 Nov, 1.2 % a day later");
        // Eleven days of nine calls are 99; with one more, shares can be said.
        check(".fffffffffff", "4xx on 33 of 99 calls from 15 to 25 Nov, 0.7 % before");
        check(".ffffffffffff", "4xx up 47-fold on 14 Nov: 0.7 % → 33 %");
    }

    #[test]
    fn one_call_and_two() {
        let told = |calls: i64, errors: f64| {
            let first = day("2026-11-25");
            let incident = Incident {
                first,
                last: first,
                alarm_days: 1,
                calls,
                errors,
                interrupted: false,
                before: Some(0.0),
            };
            sentence(&incident, &[], day(AS_OF), day(AS_OF))
        };
        assert_eq!(told(1, 1.0), "4xx on 1 of 1 call on 25 Nov, 0 % before");
        assert_eq!(told(2, 1.0), "4xx on 1 of 2 calls on 25 Nov, 0 % before");
        assert_eq!(told(2, 2.0), "4xx on 2 of 2 calls on 25 Nov, 0 % before");
        assert_eq!(told(100, 2.0), "4xx up on 25 Nov: 0 % → 2.0 %");
    }

    #[test]
    fn the_one_that_goes_on_is_told_else_the_longest() {
        check("!!!!........!", "4xx up 14-fold on 25 Nov: 1.8 % → 26 %");
        check("!!!!........!........", "4xx 26 % from 5 to 8 Nov, back to 1.2 %");
        check(".!........!........", "4xx 26 % on 17 Nov, back to 1.2 %");
        // One with its last alarm before the window is not told any more.
        let days = trend(&format!("!{}", ".".repeat(28)));
        let found = known(&days);
        assert_eq!(found.len(), 1);
        assert_eq!(told_of(&found, day(AS_OF).plus(-28), day(AS_OF)), None);
        assert_eq!(told_of(&[], day(AS_OF).plus(-28), day(AS_OF)), None);
    }

    #[test]
    fn what_began_before_anything_is_known_has_no_before() {
        let due = "4xx high since 28 Aug or before: 26 %";
        check(&"!".repeat(90), due);
        // The first six days are quiet, the seventh day may still belong to an alarm of before.
        check(&format!("......{}", "!".repeat(84)), "4xx high since 3 Sep or before: 26 %");
        check(&format!(".......{}", "!".repeat(83)), "4xx up 35-fold on 4 Sep: 0.7 % → 26 %");
    }

    #[test]
    fn growth_in_words() {
        let words = [0.9, 1.74, 1.75, 2.49, 2.5, 3.49, 3.5, 12.4, f64::INFINITY].map(grown);
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
