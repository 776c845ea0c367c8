//! Finds out what became of an attempt without a clear outcome.

use domain::ActionKind;

use super::delivery::{Live, Reading, Sender, Written, in_force_answer};
use super::report::{DeliveryOutcome, short_key};
use super::step::has_lapsed;
use crate::deliver::{Channel, DeliveryError, Idempotency};
use crate::log::EntryKind;

/// What is known of the attempt.
pub(super) enum Arrival {
    /// It is in force, or the receiver has its key.
    Arrived {
        in_force: Option<domain::Setting>,
        answer: String,
    },
    /// The receiver does not have it.
    Missing,
    Unknown(String),
    /// The receiver could not be asked.
    Error(DeliveryError),
}

impl Sender<'_> {
    /// Settles an attempt by asking the receiver, and sends it again if that can harm nobody.
    ///
    /// As long as it may be in force without our knowing, it neither ends nor fails: both would let
    /// other changes be built on what nobody knows.
    pub(super) async fn recover(&self, attempt: u32, reading: &Reading) -> Written {
        let Some(channel) = self.channel() else {
            let why = "its channel is no longer configured".to_owned();
            return Ok(Some(self.report(DeliveryOutcome::Waits, why)));
        };
        let arrival = self.arrival(channel).await;
        let why_not = self.why_not_again(reading);
        match (arrival, why_not) {
            (Arrival::Arrived { in_force, answer }, _) => {
                self.acknowledge(reading, channel, in_force, answer).await
            }
            (Arrival::Error(error), _) => {
                let text = format!("the receiver can't be asked: {error}");
                Ok(Some(self.report(DeliveryOutcome::Failed, text)))
            }
            (Arrival::Unknown(what), _) => Ok(Some(self.ask_a_person(&what))),
            (Arrival::Missing, Some((kind, why))) => self.give_up(reading, kind, why).await,
            (Arrival::Missing, None) if channel.idempotency() == Idempotency::None => {
                let what = "sending it twice would be two messages";
                Ok(Some(self.ask_a_person(what)))
            }
            (Arrival::Missing, None) => self.send_attempt(attempt + 1, channel, reading).await,
        }
    }

    /// Asks the receiver whether an attempt arrived.
    pub(super) async fn arrival(&self, channel: &dyn Channel) -> Arrival {
        match self.live().await {
            Live::To => {
                let answer = in_force_answer(self.change);
                return Arrival::Arrived { in_force: None, answer };
            }
            Live::From => return Arrival::Missing,
            Live::Other(words) => {
                // The receiver rounded it, or somebody else set another value since.
                let what = format!("{} has {words}, neither from nor to", channel.name());
                return Arrival::Unknown(what);
            }
            Live::Error(error) => return Arrival::Error(error),
            Live::NotAsked => {}
        }
        match channel.idempotency() {
            // It is searched for by its own key or episode; the end of a route is sent again.
            Idempotency::SearchFirst => match channel.find(&self.delivery(&[])).await {
                Ok(Some(receipt)) => {
                    Arrival::Arrived { in_force: receipt.in_force, answer: receipt.answer }
                }
                Ok(None) => Arrival::Missing,
                Err(error) => Arrival::Error(error),
            },
            Idempotency::None => {
                Arrival::Unknown("sending it twice would be two messages".to_owned())
            }
            Idempotency::Upsert | Idempotency::Keyed => Arrival::Missing,
        }
    }

    /// Returns why the change must not be sent again, and what it ends as.
    fn why_not_again(&self, reading: &Reading) -> Option<(EntryKind, String)> {
        let found = reading.history.change(&self.change.key);
        if found.is_some_and(|found| found.is_rejected) {
            return Some((EntryKind::Failed, "a person rejected it".to_owned()));
        }
        if has_lapsed(self.plan, self.change, self.store.now()) {
            return Some((EntryKind::Lapsed, "waited for more than a day".to_owned()));
        }
        self.guards(reading).stop().map(|why| (EntryKind::Stopped, why))
    }

    /// Ends a change that did not arrive, where that is known, and else asks a person.
    async fn give_up(&self, reading: &Reading, kind: EntryKind, why: String) -> Written {
        let can_tell = self.channel().is_some_and(|channel| {
            let is_read = channel.can_read() && self.change.action == ActionKind::SetQuota;
            is_read || channel.idempotency() == Idempotency::SearchFirst
        });
        if !can_tell {
            return Ok(Some(self.ask_a_person(&format!("it is not sent again: {why}"))));
        }
        let outcome = match kind {
            EntryKind::Failed => DeliveryOutcome::Rejected,
            _ => DeliveryOutcome::Stopped,
        };
        self.end(reading, kind, outcome, format!("it did not arrive; {why}")).await
    }

    fn ask_a_person(&self, what: &str) -> super::ChangeReport {
        let short = short_key(&self.change.key);
        let text =
            format!("nobody knows whether it arrived, and {what}: rapport actions settle {short}");
        self.report(DeliveryOutcome::Ambiguous, text)
    }
}
