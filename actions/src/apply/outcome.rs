//! Writes what came of one change.

use domain::Setting;
use domain::format::plain_setting;

use super::backoff::next_attempt;
use super::delivery::{Reading, Sender, Written};
use super::report::{ChangeReport, DeliveryOutcome, change_words};
use super::store::StoreError;
use crate::deliver::{Channel, DeliveryError, Receipt};
use crate::log::{EntryKind, History, Progress};

impl Sender<'_> {
    /// Writes that the receiver could not say what is in force. Nothing was sent.
    pub(super) async fn unread(
        &self,
        reading: &Reading,
        attempt: u32,
        error: &DeliveryError,
    ) -> Written {
        let text = format!("what is in force can't be read: {error}");
        let after = match error {
            DeliveryError::Retryable { after_seconds, .. } => *after_seconds,
            DeliveryError::Ambiguous(_) => None,
            DeliveryError::Permanent(_) | DeliveryError::Disabled(_) => {
                return self.end(reading, EntryKind::Refused, DeliveryOutcome::Refused, text).await;
            }
        };
        let mut entry = self.entry(EntryKind::Failed);
        entry.attempt = attempt;
        entry.next_at = Some(next_attempt(&self.change.key, attempt, entry.at, after));
        entry.answer = Some(text.clone());
        let is_written = self.store.append(reading.state.version, &[entry]).await?;
        Ok(is_written.then(|| self.report(DeliveryOutcome::Failed, text)))
    }

    /// Writes what the receiver said to an attempt.
    pub(super) async fn write_outcome(
        &self,
        attempt: u32,
        channel: &dyn Channel,
        sent: Result<Receipt, DeliveryError>,
    ) -> Result<ChangeReport, StoreError> {
        let (kind, outcome, answer, in_force, after) = match sent {
            // A receiver that says yes and changes nothing has not taken it.
            Ok(Receipt { in_force, .. }) if self.is_ignored(in_force.as_ref()) => {
                let now = plain_setting(in_force.as_ref());
                let message = format!("{} took it and still has {now}", channel.name());
                (EntryKind::Failed, DeliveryOutcome::Failed, message, None, None)
            }
            Ok(Receipt { answer, in_force }) => {
                let outcome = self.delivered(in_force.as_ref());
                (EntryKind::Acknowledged, outcome, answer, in_force, None)
            }
            Err(DeliveryError::Retryable { message, after_seconds }) => {
                (EntryKind::Failed, DeliveryOutcome::Failed, message, None, after_seconds)
            }
            Err(DeliveryError::Permanent(message) | DeliveryError::Disabled(message)) => {
                (EntryKind::Refused, DeliveryOutcome::Refused, message, None, None)
            }
            Err(DeliveryError::Ambiguous(message)) => {
                (EntryKind::Ambiguous, DeliveryOutcome::Ambiguous, message, None, None)
            }
        };
        let text = match kind {
            EntryKind::Acknowledged => self.delivered_words(in_force.as_ref()),
            _ => answer.clone(),
        };
        let mut entry = self.entry(kind);
        entry.channel = Some(channel.name().to_owned());
        entry.attempt = attempt;
        entry.in_force = in_force;
        entry.answer = Some(answer);
        if kind == EntryKind::Failed {
            entry.next_at = Some(next_attempt(&self.change.key, attempt, entry.at, after));
        }
        // What was sent was sent: the outcome is written whatever others wrote in between.
        loop {
            let state = self.store.read().await?;
            let history = History::of(&state.entries);
            let found = history.change(&self.change.key);
            if found.is_some_and(|found| found.progress == Progress::Acknowledged) {
                // Another program took it for killed, and found it in force.
                return Ok(self.report(DeliveryOutcome::Before, text));
            }
            if self.store.append(state.version, std::slice::from_ref(&entry)).await? {
                return Ok(self.report(outcome, text));
            }
        }
    }

    /// Writes that an attempt without an outcome did arrive.
    pub(super) async fn acknowledge(
        &self,
        reading: &Reading,
        channel: &dyn Channel,
        in_force: Option<Setting>,
        answer: String,
    ) -> Written {
        let mut entry = self.entry(EntryKind::Acknowledged);
        let found = reading.history.change(&self.change.key);
        entry.attempt = found.map_or(0, |found| found.attempts);
        entry.channel = Some(channel.name().to_owned());
        let report =
            self.report(self.delivered(in_force.as_ref()), self.delivered_words(in_force.as_ref()));
        entry.in_force = in_force;
        entry.answer = Some(answer);
        let is_written = self.store.append(reading.state.version, &[entry]).await?;
        Ok(is_written.then_some(report))
    }

    /// Writes that the change ends without being sent.
    pub(super) async fn end(
        &self,
        reading: &Reading,
        kind: EntryKind,
        outcome: DeliveryOutcome,
        why: String,
    ) -> Written {
        let mut entry = self.entry(kind);
        entry.answer = Some(why.clone());
        let is_written = self.store.append(reading.state.version, &[entry]).await?;
        Ok(is_written.then(|| self.report(outcome, why)))
    }

    /// Returns the outcome of a change that the receiver took. A quota that it rounded below what was
    /// asked for, and below what was in force, may hurt the partner.
    fn delivered(&self, in_force: Option<&Setting>) -> DeliveryOutcome {
        let quota = |setting: Option<&Setting>| match setting {
            Some(Setting::Quota { per_minute }) => Some(*per_minute),
            _ => None,
        };
        let (from, to) = (quota(self.change.from.as_ref()), quota(self.change.to.as_ref()));
        let is_too_low = quota(in_force).is_some_and(|now| Some(now) < to && Some(now) < from);
        if is_too_low { DeliveryOutcome::TooLow } else { DeliveryOutcome::Delivered }
    }

    /// Returns whether the receiver has what it had before.
    fn is_ignored(&self, in_force: Option<&Setting>) -> bool {
        in_force.is_some()
            && in_force == self.change.from.as_ref()
            && self.change.from != self.change.to
    }

    fn delivered_words(&self, in_force: Option<&Setting>) -> String {
        let words = change_words(self.change);
        match in_force {
            Some(_) if in_force != self.change.to.as_ref() => {
                format!("{words}, in force: {}", plain_setting(in_force))
            }
            _ => words,
        }
    }
}
