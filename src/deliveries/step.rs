//! What is to be done with one delivery next, from what the log says of it.

use chrono::NaiveDate;
use domain::format_instant;

use super::log::{DeliveryEntry, LogRow};

/// What is sent once: a delivery to a recipient in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeliverySubject<'a> {
    pub(crate) delivery: &'a str,
    /// `None` where the channel leads to one place.
    pub(crate) recipient: Option<&'a str>,
    pub(crate) period: NaiveDate,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeliveryStep {
    /// Nothing is to be done in this period, and why.
    Over(String),
    /// Another program sends it now.
    Elsewhere(String),
    /// A program ended while it sent it, so nobody knows whether it arrived.
    Lost,
    Due,
}

/// The rows of the log.
pub(crate) struct DeliveryHistory(Vec<LogRow>);

impl DeliveryHistory {
    /// Takes the rows in the order of their appends.
    pub(crate) fn of(rows: Vec<LogRow>) -> Self {
        Self(rows)
    }

    /// Returns the row that paused a delivery, if it is paused.
    pub(crate) fn pause(&self, delivery: &str) -> Option<&LogRow> {
        let is_switch = |row: &&LogRow| {
            let of_pause = matches!(row.entry, DeliveryEntry::Paused | DeliveryEntry::Resumed);
            of_pause && row.delivery == delivery
        };
        let newest = self.0.iter().rev().find(is_switch);
        newest.filter(|row| row.entry == DeliveryEntry::Paused)
    }

    /// Returns the newest row on what is sent once.
    pub(crate) fn newest(&self, subject: &DeliverySubject<'_>) -> Option<&LogRow> {
        self.0.iter().rev().find(|row| {
            row.delivery == subject.delivery
                && row.recipient.as_deref() == subject.recipient
                && row.period == Some(subject.period)
        })
    }

    /// Returns the newest row of a delivery that reached its recipient, of any period.
    pub(crate) fn last_sent(&self, subject: &DeliverySubject<'_>) -> Option<&LogRow> {
        self.0.iter().rev().find(|row| {
            row.delivery == subject.delivery
                && row.recipient.as_deref() == subject.recipient
                && row.entry == DeliveryEntry::Sent
        })
    }
}

/// Decides on the next step. `lease` is the time after which a program that has not told of the end
/// of a sending was killed, µs; `is_again` sends once more what is over.
pub(crate) fn next_step(
    newest: Option<&LogRow>,
    now: i64,
    lease: i64,
    is_again: bool,
) -> DeliveryStep {
    let Some(row) = newest else { return DeliveryStep::Due };
    let at = format_instant(row.at - row.at.rem_euclid(1_000_000));
    let reason = || row.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    match row.entry {
        DeliveryEntry::Sending if now < row.at + lease => {
            DeliveryStep::Elsewhere(format!("another program sends it since {at}"))
        }
        DeliveryEntry::Sending => DeliveryStep::Lost,
        _ if is_again => DeliveryStep::Due,
        DeliveryEntry::Sent | DeliveryEntry::Skipped | DeliveryEntry::Complete => {
            DeliveryStep::Over(format!("{} at {at}", row.entry.name()))
        }
        DeliveryEntry::Refused | DeliveryEntry::Unknown => {
            DeliveryStep::Over(format!("{} at {at}{}", row.entry.name(), reason()))
        }
        DeliveryEntry::Held
        | DeliveryEntry::Failed
        | DeliveryEntry::Paused
        | DeliveryEntry::Resumed => DeliveryStep::Due,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(entry: DeliveryEntry, at: i64, period: &str) -> LogRow {
        LogRow {
            at,
            entry,
            delivery: "weekly".to_owned(),
            period: period.parse().ok(),
            recipient: Some("ada@example.com".to_owned()),
            channel: None,
            as_of: None,
            figures: Some(at.to_string()),
            by: "cron".to_owned(),
            reason: Some("why".to_owned()),
        }
    }

    #[test]
    fn what_is_over_is_sent_again_only_when_asked() {
        let step = |entry, is_again| {
            let row = row(entry, 5_000_000, "2026-11-30");
            next_step(Some(&row), 6_000_000, 60_000_000, is_again)
        };
        assert_eq!(next_step(None, 0, 0, false), DeliveryStep::Due);
        for entry in [DeliveryEntry::Sent, DeliveryEntry::Skipped, DeliveryEntry::Refused] {
            assert!(matches!(step(entry, false), DeliveryStep::Over(_)), "{entry:?}");
            assert_eq!(step(entry, true), DeliveryStep::Due);
        }
        for entry in [DeliveryEntry::Held, DeliveryEntry::Failed] {
            assert_eq!(step(entry, false), DeliveryStep::Due);
        }
    }

    #[test]
    fn a_sending_without_an_end_is_lost_after_the_lease() {
        let row = row(DeliveryEntry::Sending, 5_000_000, "2026-11-30");
        for is_again in [false, true] {
            let step = |now| next_step(Some(&row), now, 60_000_000, is_again);
            assert!(matches!(step(64_999_999), DeliveryStep::Elsewhere(_)));
            assert_eq!(step(65_000_000), DeliveryStep::Lost);
        }
    }

    #[test]
    fn the_newest_row_of_a_subject_counts() {
        let mut paused = row(DeliveryEntry::Paused, 3, "");
        paused.recipient = None;
        let rows = vec![
            row(DeliveryEntry::Sent, 1, "2026-11-23"),
            row(DeliveryEntry::Held, 2, "2026-11-30"),
            paused.clone(),
        ];
        let history = DeliveryHistory::of(rows);
        let subject = DeliverySubject {
            delivery: "weekly",
            recipient: Some("ada@example.com"),
            period: "2026-11-30".parse().expect("a date"),
        };
        assert_eq!(history.newest(&subject).map(|row| row.at), Some(2));
        assert_eq!(history.last_sent(&subject).map(|row| row.at), Some(1));
        assert_eq!(history.pause("weekly").map(|row| row.at), Some(3));
        assert!(history.pause("daily").is_none());
        let resumed = LogRow { entry: DeliveryEntry::Resumed, ..paused.clone() };
        assert!(DeliveryHistory::of(vec![paused, resumed]).pause("weekly").is_none());
        let other = DeliverySubject { recipient: None, ..subject };
        assert!(history.newest(&other).is_none());
    }
}
