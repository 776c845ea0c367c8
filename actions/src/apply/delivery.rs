//! Sends one change.

use domain::ActionKind;
use domain::format::plain_setting;

use super::guards::Guards;
use super::recover::Arrival;
use super::report::{ChangeReport, DeliveryOutcome, change_words, details, short_key, summary};
use super::step::{Step, next_step};
use super::store::{ActionStore, StoreError, StoreState};
use super::{ApplyOptions, Channels, log_entry};
use crate::deliver::{Channel, Delivery, DeliveryError};
use crate::document::{Change, Plan};
use crate::input::PartnerState;
use crate::log::{EntryKind, History, LogEntry, Progress};

const MICROS_PER_SECOND: i64 = 1_000_000;

/// Sends one change of a plan.
pub(super) struct Sender<'a> {
    pub plan: &'a Plan,
    pub change: &'a Change,
    pub store: &'a dyn ActionStore,
    pub channels: &'a Channels,
    pub options: &'a ApplyOptions,
}

/// The log and the partner as they were read before a decision.
pub(super) struct Reading {
    pub state: StoreState,
    pub history: History,
    /// `None`: the partner no longer exists.
    pub partner: Option<PartnerState>,
}

/// What a receiver has in place of what is to be changed.
pub(super) enum Live {
    /// Nothing can be told, or nothing needs to be.
    NotAsked,
    From,
    To,
    Other(String),
    Error(DeliveryError),
}

/// What was written: `None` where somebody else wrote to the log in between, so that what was decided
/// may be wrong.
pub(super) type Written = Result<Option<ChangeReport>, StoreError>;

impl<'a> Sender<'a> {
    /// Brings the change as far as it comes now.
    pub(super) async fn send(&self) -> Result<ChangeReport, StoreError> {
        loop {
            let state = self.store.read().await?;
            if let Some(why) = &state.stopped {
                return Ok(self.report(DeliveryOutcome::Halted, format!("stopped: {why}")));
            }
            let history = History::of(&state.entries);
            let step = next_step(self.plan, self.change, &history, self.store.now(), self.lease());
            if let Some(report) = self.take(step, state, history).await? {
                return Ok(report);
            }
        }
    }

    async fn take(&self, step: Step, state: StoreState, history: History) -> Written {
        let report = |outcome, text: String| Ok(Some(self.report(outcome, text)));
        match step {
            Step::Over => report(DeliveryOutcome::Before, change_words(self.change)),
            Step::Ended(why) => report(DeliveryOutcome::EndedBefore, why),
            Step::Rejected => report(DeliveryOutcome::Rejected, change_words(self.change)),
            Step::NeedsApproval => {
                report(DeliveryOutcome::NeedsApproval, change_words(self.change))
            }
            Step::NotYet(why) => report(DeliveryOutcome::Waits, why),
            Step::FailedBefore(why) => report(DeliveryOutcome::FailedBefore, why),
            Step::Blocked(key) => {
                let short = short_key(&key);
                report(DeliveryOutcome::Waits, format!("an earlier change is unconfirmed: {short}"))
            }
            Step::Lapse => self.lapse(&self.reading(state, history).await?).await,
            Step::Send(attempt) => {
                self.attempt(attempt, &self.reading(state, history).await?).await
            }
            Step::Recover(attempt) => {
                self.recover(attempt, &self.reading(state, history).await?).await
            }
        }
    }

    /// Reads the partner as it is now.
    async fn reading(&self, state: StoreState, history: History) -> Result<Reading, StoreError> {
        let id = &self.change.partner_id;
        let partner = self.store.partners(std::slice::from_ref(id)).await?.remove(id);
        Ok(Reading { state, history, partner })
    }

    /// Ends a change that waited too long. An attempt that failed may be in force all the same.
    async fn lapse(&self, reading: &Reading) -> Written {
        if let (true, Some(channel)) = (self.was_sent(reading), self.channel()) {
            match self.arrival(channel).await {
                Arrival::Arrived { in_force, answer } => {
                    return self.acknowledge(reading, channel, in_force, answer).await;
                }
                Arrival::Error(error) => {
                    let text = format!("what is in force can't be read: {error}");
                    return Ok(Some(self.report(DeliveryOutcome::Failed, text)));
                }
                Arrival::Missing | Arrival::Unknown(_) => {}
            }
        }
        let why = "waited for more than a day; a new plan may propose it again".to_owned();
        self.end(reading, EntryKind::Lapsed, DeliveryOutcome::Stopped, why).await
    }

    /// Sends an attempt, if the guards still pass and nobody else sends it.
    async fn attempt(&self, attempt: u32, reading: &Reading) -> Written {
        let was_sent = self.was_sent(reading);
        // What is in force already needs no guard, and must be known before one ends the change.
        if let (true, Some(channel)) = (was_sent, self.channel()) {
            match self.arrival(channel).await {
                Arrival::Arrived { in_force, answer } => {
                    return self.acknowledge(reading, channel, in_force, answer).await;
                }
                Arrival::Error(error) => return self.unread(reading, attempt, &error).await,
                Arrival::Missing | Arrival::Unknown(_) => {}
            }
        }
        let guards = self.guards(reading);
        if let Some(why) = guards.stop() {
            return self.end(reading, EntryKind::Stopped, DeliveryOutcome::Stopped, why).await;
        }
        if let Some(why) = guards.ask(self.store.now()) {
            return Ok(Some(self.report(DeliveryOutcome::NeedsApproval, why)));
        }
        let Some(channel) = self.channel() else {
            let why = match &self.change.channel {
                Some(name) => format!("no channel \"{name}\" is configured"),
                None => format!("no channel is configured for {}", self.change.action),
            };
            return Ok(Some(self.report(DeliveryOutcome::Waits, why)));
        };
        match self.live().await {
            Live::NotAsked | Live::From => self.send_attempt(attempt, channel, reading).await,
            Live::To => {
                let why = format!(
                    "{} has {} already: somebody else set it",
                    channel.name(),
                    plain_setting(self.change.to.as_ref())
                );
                self.end(reading, EntryKind::Stopped, DeliveryOutcome::Stopped, why).await
            }
            Live::Other(words) => {
                let expected = plain_setting(self.change.from.as_ref());
                let why = format!(
                    "{} has {words} and not {expected}: somebody else changed it",
                    channel.name()
                );
                self.end(reading, EntryKind::Stopped, DeliveryOutcome::Stopped, why).await
            }
            Live::Error(error) => self.unread(reading, attempt, &error).await,
        }
    }

    /// Appends the trace of an attempt, looks once more whether it may be sent, and sends it.
    pub(super) async fn send_attempt(
        &self,
        attempt: u32,
        channel: &dyn Channel,
        reading: &Reading,
    ) -> Written {
        let mut entry = self.entry(EntryKind::Attempted);
        entry.attempt = attempt;
        entry.channel = Some(channel.name().to_owned());
        let begun = entry.at;
        if !self.store.append(reading.state.version, &[entry]).await? {
            return Ok(None);
        }
        // Asking the receiver and writing the row took time.
        let state = self.store.read().await?;
        if let Some(why) = self.why_not_now(&state, attempt, begun) {
            let error = DeliveryError::Retryable {
                message: format!("not sent: {why}"),
                after_seconds: None,
            };
            let report = self.write_outcome(attempt, channel, Err(error)).await?;
            let is_halted = state.stopped.is_some();
            let text = report.text.clone();
            return Ok(Some(if is_halted {
                self.report(DeliveryOutcome::Halted, text)
            } else {
                report
            }));
        }
        let sent = channel.send(&self.delivery(&reading.state.entries)).await;
        self.write_outcome(attempt, channel, sent).await.map(Some)
    }

    /// Returns why an attempt whose trace is in the log is not sent after all.
    fn why_not_now(&self, state: &StoreState, attempt: u32, begun: i64) -> Option<String> {
        if let Some(why) = &state.stopped {
            return Some(format!("stopped: {why}"));
        }
        let history = History::of(&state.entries);
        let found = history.change(&self.change.key);
        let is_ours = found.is_some_and(|found| {
            matches!(found.progress, Progress::Open { attempt: open, .. } if open == attempt)
        });
        if !is_ours {
            return Some("another program took it over".to_owned());
        }
        if found.is_some_and(|found| found.is_rejected) {
            return Some("a person rejected it".to_owned());
        }
        // Another program may take it over from now on.
        let is_late = self.store.now() >= begun + self.lease();
        is_late.then(|| "the attempt took too long to begin".to_owned())
    }

    /// Asks the receiver what is in force, if it can tell.
    pub(super) async fn live(&self) -> Live {
        let channel = self.channel().filter(|channel| channel.can_read());
        let Some(channel) = channel.filter(|_| self.change.action == ActionKind::SetQuota) else {
            return Live::NotAsked;
        };
        match channel.read(&self.store.target(self.change)).await {
            Ok(live) if live == self.change.from => Live::From,
            Ok(live) if live == self.change.to => Live::To,
            Ok(live) => Live::Other(plain_setting(live.as_ref())),
            Err(error) => Live::Error(error),
        }
    }

    pub(super) fn guards<'r>(&'r self, reading: &'r Reading) -> Guards<'r> {
        Guards {
            plan: self.plan,
            change: self.change,
            store: self.store,
            history: &reading.history,
            partner: reading.partner.as_ref(),
            was_sent: self.was_sent(reading),
            can_read: self.channel().is_some_and(Channel::can_read),
        }
    }

    fn was_sent(&self, reading: &Reading) -> bool {
        reading.history.change(&self.change.key).is_some_and(|found| found.was_sent)
    }

    pub(super) fn entry(&self, kind: EntryKind) -> LogEntry {
        log_entry(self.plan, self.change, kind, self.store.now(), &self.options.by)
    }

    pub(super) fn channel(&self) -> Option<&'a dyn Channel> {
        let name = self.change.channel.as_ref()?;
        self.channels.get(name).map(AsRef::as_ref)
    }

    /// The time after which an attempt without an outcome was killed, µs.
    fn lease(&self) -> i64 {
        self.options.lease_seconds.saturating_mul(MICROS_PER_SECOND)
    }

    /// Returns what the receiver gets. `entries` is the log, which knows what was opened for a route
    /// that ends.
    pub(super) fn delivery(&self, entries: &[LogEntry]) -> Delivery {
        let change = self.change;
        let target = self.store.target(change);
        let rule_id = &change.rationale.rule_id;
        let episode = match change.ends_route() {
            true => opened_episode(entries, change),
            false => episode_name(rule_id, &change.partner_id, change.episode_start),
        };
        Delivery {
            key: change.key.clone(),
            action: change.action,
            partner_id: change.partner_id.clone(),
            name: change.name.clone(),
            from: change.from.clone(),
            to: change.to.clone(),
            summary: summary(change),
            details: details(change, target.recipient.as_deref()),
            target,
            episode,
            resolves: change.resolves() || change.ends_route(),
            created_at: self.plan.created_at,
        }
    }

    pub(super) fn report(&self, outcome: DeliveryOutcome, text: String) -> ChangeReport {
        ChangeReport::new(self.change, outcome, text)
    }
}

/// Returns what an episode is called at receivers.
fn episode_name(rule_id: &str, partner_id: &str, start: Option<i64>) -> Option<String> {
    start.map(|start| format!("{rule_id}/{partner_id}/{start}"))
}

/// Returns the episode of the delivery that set the route which a change ends, as receivers know it: by
/// its key where it had none.
fn opened_episode(entries: &[LogEntry], change: &Change) -> Option<String> {
    let is_it = |entry: &&LogEntry| {
        entry.kind == EntryKind::Acknowledged
            && entry.action == ActionKind::RouteSupport
            && entry.partner_id == change.partner_id
            && entry.to.is_some()
            && entry.in_force.as_ref().or(entry.to.as_ref()) == change.from.as_ref()
    };
    let entry = entries.iter().rev().find(is_it)?;
    let name = episode_name(&entry.rule_id, &entry.partner_id, entry.episode_start);
    Some(name.unwrap_or_else(|| entry.key.clone()))
}

/// Returns the answer that stands in the log where the receiver was asked.
pub(super) fn in_force_answer(change: &Change) -> String {
    format!("in force: {}", plain_setting(change.to.as_ref()))
}
