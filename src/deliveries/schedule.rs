//! When a delivery is due: daily, weekly or monthly, at a time of day in a time zone.

use chrono::{
    DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveTime, TimeDelta, TimeZone as _, Weekday,
};
use chrono_tz::{TZ_VARIANTS, Tz};
use domain::{closest_name, printable};
use serde::Deserialize;

/// How a schedule is written.
const EXAMPLES: &str =
    "\"daily at 07:00\", \"weekly on monday at 07:00\" or \"monthly on 1 at 07:00\"";
/// The most days between two occurrences, and some to spare for zones that skip a day.
const MOST_DAYS: u64 = 35;

/// The days of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recurrence {
    Daily,
    Weekly(Weekday),
    /// In a month that is shorter, its last day.
    Monthly(u32),
}

/// A recurring time: `weekly on monday at 07:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Schedule {
    recurrence: Recurrence,
    time: NaiveTime,
}

/// A time zone by its IANA name, such as `Europe/Berlin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct TimeZone(Tz);

/// The stretch from one occurrence of a schedule to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    /// The date of the occurrence in the time zone of the schedule, which names the period.
    pub(crate) date: NaiveDate,
    /// The instant of the occurrence, µs.
    pub(crate) begins_at: i64,
}

impl Default for TimeZone {
    fn default() -> Self {
        Self(Tz::UTC)
    }
}

impl TryFrom<String> for TimeZone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            let known = TZ_VARIANTS.iter().map(|zone| zone.name());
            let meant = closest_name(&text, known)
                .map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"));
            format!(
                "\"{}\" is no time zone of the IANA database, such as \"Europe/Berlin\"{meant}",
                printable(&text)
            )
        })
    }
}

impl TryFrom<String> for Schedule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let wrong =
            |what: &str| format!("\"{}\" is no schedule{what}; write {EXAMPLES}", printable(&text));
        let (recurrence, time) = match words.as_slice() {
            ["daily", "at", time] => (Recurrence::Daily, *time),
            ["weekly", "on", day, "at", time] => {
                let day = day.parse().map_err(|_| wrong(": it names no day of the week"))?;
                (Recurrence::Weekly(day), *time)
            }
            ["monthly", "on", day, "at", time] => {
                let day = day.parse().ok().filter(|day| (1..=31).contains(day));
                let day = day.ok_or_else(|| wrong(": the day of a month is from 1 to 31"))?;
                (Recurrence::Monthly(day), *time)
            }
            _ => return Err(wrong("")),
        };
        let time = NaiveTime::parse_from_str(time, "%H:%M")
            .map_err(|_| wrong(": its time is from 00:00 to 23:59"))?;
        Ok(Self { recurrence, time })
    }
}

impl Schedule {
    /// Returns the period that an instant lies in.
    pub(crate) fn period(self, zone: TimeZone, now: i64) -> Option<Period> {
        let local = DateTime::from_timestamp_micros(now)?.with_timezone(&zone.0).date_naive();
        // A date that a zone skips is told by the next one, which may be today.
        let newest = local.checked_add_days(Days::new(1))?;
        (0..=MOST_DAYS).find_map(|back| {
            let date = newest.checked_sub_days(Days::new(back))?;
            let begins_at = self.occurrence(zone, date).filter(|_| self.falls_on(date))?;
            (begins_at <= now).then_some(Period { date, begins_at })
        })
    }

    fn falls_on(self, date: NaiveDate) -> bool {
        match self.recurrence {
            Recurrence::Daily => true,
            Recurrence::Weekly(day) => date.weekday() == day,
            Recurrence::Monthly(day) => {
                let next = date.checked_add_days(Days::new(1));
                let is_last = next.is_none_or(|next| next.month() != date.month());
                date.day() == day || (is_last && date.day() < day)
            }
        }
    }

    /// Returns the instant of the time of day on a date. Of a time that comes twice, when clocks go
    /// back, it is the first; of one that is skipped, when they go forward, the instant after the gap.
    fn occurrence(self, zone: TimeZone, date: NaiveDate) -> Option<i64> {
        const MINUTES_PER_DAY: i64 = 24 * 60;
        let wanted = date.and_time(self.time);
        (0..=MINUTES_PER_DAY).find_map(|minutes| {
            let local = wanted.checked_add_signed(TimeDelta::minutes(minutes))?;
            match zone.0.from_local_datetime(&local) {
                LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => {
                    Some(at.timestamp_micros())
                }
                LocalResult::None => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::{format_instant, parse_instant};

    use super::*;

    fn schedule(text: &str) -> Result<Schedule, String> {
        Schedule::try_from(text.to_owned())
    }

    fn zone(text: &str) -> Result<TimeZone, String> {
        TimeZone::try_from(text.to_owned())
    }

    /// Checks the date of the period that an instant lies in, and the instant at which it begins.
    #[track_caller]
    fn check(text: &str, zone_name: &str, now: &str, date: &str, begins_at: &str) {
        let (schedule, zone) =
            (schedule(text).expect("a schedule"), zone(zone_name).expect("zone"));
        let period = schedule.period(zone, parse_instant(now).expect("an instant"));
        let period = period.expect("a period");
        assert_eq!(
            (period.date.to_string().as_str(), &*format_instant(period.begins_at)),
            (date, begins_at)
        );
    }

    #[test]
    fn a_period_lasts_to_the_next_occurrence() {
        let check = |now, date, at| check("daily at 07:00", "Europe/Berlin", now, date, at);
        check("2026-07-01T04:59:59Z", "2026-06-30", "2026-06-30T05:00:00Z");
        check("2026-07-01T05:00:00Z", "2026-07-01", "2026-07-01T05:00:00Z");
        check("2026-07-02T04:59:59Z", "2026-07-01", "2026-07-01T05:00:00Z");
    }

    #[test]
    fn weeks_and_months_go_on_over_the_end_of_the_year() {
        let weekly = |now, date, at| check("weekly on thursday at 08:30", "UTC", now, date, at);
        weekly("2026-12-31T08:29:59Z", "2026-12-24", "2026-12-24T08:30:00Z");
        weekly("2026-12-31T08:30:00Z", "2026-12-31", "2026-12-31T08:30:00Z");
        weekly("2027-01-07T08:29:59Z", "2026-12-31", "2026-12-31T08:30:00Z");
        let monthly = |now, date, at| check("monthly on 1 at 00:00", "Asia/Tokyo", now, date, at);
        monthly("2026-12-31T14:59:59Z", "2026-12-01", "2026-11-30T15:00:00Z");
        monthly("2026-12-31T15:00:00Z", "2027-01-01", "2026-12-31T15:00:00Z");
        let daily = |now, date, at| check("daily at 23:00", "America/New_York", now, date, at);
        daily("2027-01-01T03:59:59Z", "2026-12-30", "2026-12-31T04:00:00Z");
        daily("2027-01-01T04:00:00Z", "2026-12-31", "2027-01-01T04:00:00Z");
    }

    #[test]
    fn a_short_month_has_its_last_day() {
        let check = |text, now, date| check(text, "UTC", now, date, &format!("{date}T07:00:00Z"));
        check("monthly on 31 at 07:00", "2026-02-28T07:00:00Z", "2026-02-28");
        check("monthly on 31 at 07:00", "2026-03-30T23:00:00Z", "2026-02-28");
        check("monthly on 31 at 07:00", "2026-04-30T07:00:00Z", "2026-04-30");
        // 2028 has a leap day.
        check("monthly on 30 at 07:00", "2028-02-28T23:00:00Z", "2028-01-30");
        check("monthly on 30 at 07:00", "2028-02-29T07:00:00Z", "2028-02-29");
        check("monthly on 29 at 07:00", "2027-02-28T07:00:00Z", "2027-02-28");
        check("daily at 07:00", "2028-02-29T07:00:00Z", "2028-02-29");
        check("daily at 07:00", "2028-03-01T06:59:00Z", "2028-02-29");
        check("weekly on tuesday at 07:00", "2028-03-06T07:00:00Z", "2028-02-29");
    }

    #[test]
    fn daylight_saving_skips_and_repeats_no_period() {
        // In Berlin 2:30 does not exist on 29 March 2026 and comes twice on 25 October.
        let berlin = |now, date, at| check("daily at 02:30", "Europe/Berlin", now, date, at);
        berlin("2026-03-29T00:59:59Z", "2026-03-28", "2026-03-28T01:30:00Z");
        berlin("2026-03-29T01:00:00Z", "2026-03-29", "2026-03-29T01:00:00Z");
        berlin("2026-03-30T00:30:00Z", "2026-03-30", "2026-03-30T00:30:00Z");
        berlin("2026-10-25T00:29:59Z", "2026-10-24", "2026-10-24T00:30:00Z");
        berlin("2026-10-25T00:30:00Z", "2026-10-25", "2026-10-25T00:30:00Z");
        berlin("2026-10-25T01:30:00Z", "2026-10-25", "2026-10-25T00:30:00Z");
        berlin("2026-10-26T01:30:00Z", "2026-10-26", "2026-10-26T01:30:00Z");
        // The hour stays that of the wall clock.
        let monday =
            |now, date, at| check("weekly on monday at 07:00", "Europe/Berlin", now, date, at);
        monday("2026-03-23T12:00:00Z", "2026-03-23", "2026-03-23T06:00:00Z");
        monday("2026-03-30T12:00:00Z", "2026-03-30", "2026-03-30T05:00:00Z");
        // In Havana midnight itself is skipped; Samoa once skipped a whole day.
        check(
            "daily at 00:00",
            "America/Havana",
            "2026-03-08T12:00:00Z",
            "2026-03-08",
            "2026-03-08T05:00:00Z",
        );
        check(
            "daily at 07:00",
            "Pacific/Apia",
            "2011-12-30T10:00:00Z",
            "2011-12-30",
            "2011-12-30T10:00:00Z",
        );
    }

    #[test]
    fn every_instant_of_years_is_in_one_period() {
        for (text, zone_name) in [
            ("daily at 02:30", "America/New_York"),
            ("weekly on sunday at 02:15", "Europe/London"),
            ("monthly on 31 at 02:00", "Australia/Lord_Howe"),
        ] {
            let (schedule, zone) = (schedule(text).expect("one"), zone(zone_name).expect("one"));
            let mut now = parse_instant("2026-01-01").expect("an instant");
            let end = parse_instant("2029-01-01").expect("an instant");
            let mut last = schedule.period(zone, now).expect("a period");
            while now < end {
                let period = schedule.period(zone, now).expect("a period");
                assert!(period.begins_at <= now && period.date >= last.date, "{text} {now}");
                assert_eq!(period.date == last.date, period.begins_at == last.begins_at, "{text}");
                last = period;
                now += 30 * 60 * 1_000_000;
            }
        }
    }

    #[test]
    fn mistakes_are_told() {
        let refuses = |text: &str, words: &str| {
            let error = schedule(text).expect_err(text);
            assert!(error.contains(words) && error.contains("\"daily at 07:00\""), "{error}");
        };
        refuses("hourly", "is no schedule; write");
        refuses("weekly on funday at 07:00", "names no day of the week");
        refuses("monthly on 32 at 07:00", "from 1 to 31");
        refuses("monthly on 0 at 07:00", "from 1 to 31");
        refuses("daily at 25:00", "from 00:00 to 23:59");
        refuses("daily at 7", "from 00:00 to 23:59");
        let error = zone("Europe/Berln").expect_err("no zone");
        assert!(error.contains("did you mean \"Europe/Berlin\"?"), "{error}");
    }
}
