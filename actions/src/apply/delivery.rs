//! Sends one change, and writes what came of it.

use domain::format::plain_setting;
use domain::{ActionKind, Setting};

use super::backoff::next_attempt;
use super::step::{Step, next_step};
use super::store::{ActionStore, StoreError, StoreState};
use super::{ApplyOptions, Channels, log_entry};
use crate::deliver::{Channel, Delivery, DeliveryError, Idempotency, Receipt};
use crate::document::{Change, Plan};
use crate::input::PartnerState;
use crate::log::{EntryKind, History, LogEntry};
use crate::rollback::is_decrease;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// What came of one change.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeReport {
    pub partner_id: String,
    pub action: ActionKind,
    pub key: String,
    pub outcome: DeliveryOutcome,
    /// `600 → 900`, or why not.
    pub text: String,
}

/// What came of one change, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    Delivered,
    /// The log says that nothing is left to do.
    Before,
    /// A person has to agree first.
    NeedsApproval,
    Rejected,
    /// A later call goes on with it.
    Waits,
    /// A guard stopped it at the last moment.
    Stopped,
    Failed,
    Refused,
    /// Nobody knows whether it arrived; a person settles it.
    Ambiguous,
    /// The kill switch was thrown.
    Halted,
}

impl DeliveryOutcome {
    /// Returns whether the plan should not go on after two of these.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Refused | Self::Ambiguous)
    }

    /// Returns the word for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Before => "done before",
            Self::NeedsApproval => "needs approval",
            Self::Rejected => "rejected",
            Self::Waits => "waits",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Ambiguous => "unconfirmed",
            Self::Halted => "halted",
        }
    }
}

/// Sends one change of a plan.
pub(super) struct Sender<'a> {
    pub plan: &'a Plan,
    pub change: &'a Change,
    pub store: &'a dyn ActionStore,
    pub channels: &'a Channels,
    pub options: &'a ApplyOptions,
    /// The partner as it is now; `None`: it no longer exists.
    pub partner: Option<&'a PartnerState>,
}

/// Whether a change may be sent, by what its receiver has now.
enum LiveCheck {
    MaySend,
    /// It is in force already.
    InForce(String),
    Stop(String),
    /// The receiver can't say.
    Error(DeliveryError),
}

impl Sender<'_> {
    /// Brings the change as far as it comes now.
    pub(super) async fn send(&self) -> Result<ChangeReport, StoreError> {
        loop {
            let state = self.store.read().await?;
            if let Some(why) = &state.stopped {
                return Ok(self.report(DeliveryOutcome::Halted, format!("stopped: {why}")));
            }
            let history = History::of(&state.entries);
            let lease = self.options.lease_seconds * MICROS_PER_SECOND;
            let now = self.store.now();
            let step = next_step(self.change, &history, self.plan.created_at, now, lease);
            // `None`: somebody else wrote to the log in between, so what was decided may be wrong.
            if let Some(report) = self.take(step, &state).await? {
                return Ok(report);
            }
        }
    }

    async fn take(
        &self,
        step: Step,
        state: &StoreState,
    ) -> Result<Option<ChangeReport>, StoreError> {
        let report = |outcome, text: String| Ok(Some(self.report(outcome, text)));
        match step {
            Step::Over => report(DeliveryOutcome::Before, self.words()),
            Step::Rejected => report(DeliveryOutcome::Rejected, self.words()),
            Step::NeedsApproval => report(DeliveryOutcome::NeedsApproval, self.words()),
            Step::NotYet(why) => report(DeliveryOutcome::Waits, why),
            Step::Blocked(key) => {
                let short: String = key.chars().take(12).collect();
                report(DeliveryOutcome::Waits, format!("an earlier change is unconfirmed: {short}"))
            }
            Step::Lapse => {
                let why = "waited for more than a day; a new plan may propose it again".to_owned();
                self.end(state, EntryKind::Lapsed, DeliveryOutcome::Stopped, why).await
            }
            Step::Send(attempt) => self.attempt(attempt, state, false).await,
            Step::Recover(attempt) => self.recover(attempt, state).await,
        }
    }

    /// Sends an attempt, if the guards still pass and nobody else sends it.
    async fn attempt(
        &self,
        attempt: u32,
        state: &StoreState,
        is_resent: bool,
    ) -> Result<Option<ChangeReport>, StoreError> {
        if let Some(why) = self.guard() {
            return self.end(state, EntryKind::Stopped, DeliveryOutcome::Stopped, why).await;
        }
        let Some(channel) = self.channel() else {
            let why = match &self.change.channel {
                Some(name) => format!("no channel \"{name}\" is configured"),
                None => format!("no channel is configured for {}", self.change.action),
            };
            return Ok(Some(self.report(DeliveryOutcome::Waits, why)));
        };
        match self.live_check(channel, is_resent).await {
            LiveCheck::MaySend => {}
            LiveCheck::InForce(answer) => {
                return self.end_as_acknowledged(state, attempt, answer).await;
            }
            LiveCheck::Stop(why) => {
                return self.end(state, EntryKind::Stopped, DeliveryOutcome::Stopped, why).await;
            }
            LiveCheck::Error(error) => return self.unread(state, attempt, &error).await,
        }
        let mut entry = self.entry(EntryKind::Attempted);
        entry.attempt = attempt;
        if !self.store.append(state.version, &[entry]).await? {
            return Ok(None);
        }
        let sent = channel.send(&self.delivery()).await;
        self.write_outcome(attempt, channel, sent).await.map(Some)
    }

    /// Finds out what became of an attempt without an outcome, and sends it again if that can harm
    /// nobody.
    async fn recover(
        &self,
        attempt: u32,
        state: &StoreState,
    ) -> Result<Option<ChangeReport>, StoreError> {
        let Some(channel) = self.channel() else {
            let why = "its channel is no longer configured".to_owned();
            return Ok(Some(self.report(DeliveryOutcome::Waits, why)));
        };
        match channel.idempotency() {
            Idempotency::Upsert | Idempotency::Keyed => {
                self.attempt(attempt + 1, state, true).await
            }
            Idempotency::SearchFirst => match channel.find(&self.delivery()).await {
                Ok(Some(receipt)) => self.end_as_acknowledged(state, attempt, receipt.answer).await,
                Ok(None) => self.attempt(attempt + 1, state, true).await,
                Err(error) => {
                    let text = format!("the receiver can't be asked: {error}");
                    Ok(Some(self.report(DeliveryOutcome::Failed, text)))
                }
            },
            Idempotency::None => {
                let short: String = self.change.key.chars().take(12).collect();
                let text = format!(
                    "nobody knows whether it arrived, and sending it twice would be two messages: \
                     rapport actions settle {short}"
                );
                Ok(Some(self.report(DeliveryOutcome::Ambiguous, text)))
            }
        }
    }

    /// Returns why the change must not be sent any more.
    fn guard(&self) -> Option<String> {
        let Some(partner) = self.partner else {
            return Some("the partner no longer exists".to_owned());
        };
        if let Some(why) = &partner.unmapped {
            return Some(why.clone());
        }
        if !is_decrease(self.change.from.as_ref(), self.change.to.as_ref()) {
            return None;
        }
        let Some(Setting::Quota { per_minute: to }) = self.change.to else { return None };
        let passed_over = |name: &str| {
            let is_it = |o: &crate::document::GuardrailOverride| {
                o.partner_id == self.change.partner_id && o.guardrail == name
            };
            self.plan.overrides.iter().any(is_it)
        };
        match self.store.floor(partner) {
            Err(_) if passed_over("usage") => None,
            Err(gap) => Some(gap),
            Ok(floor) if to < floor && !passed_over("floor") => {
                Some(format!("the usage has risen since: the floor is {floor} now"))
            }
            Ok(_) => None,
        }
    }

    /// Compares what the receiver has with what the plan expects there.
    async fn live_check(&self, channel: &dyn Channel, is_resent: bool) -> LiveCheck {
        if self.change.action != ActionKind::SetQuota {
            return LiveCheck::MaySend;
        }
        if self.change.from.is_none() {
            return LiveCheck::Stop("the present quota is unknown".to_owned());
        }
        if !channel.can_read() {
            return LiveCheck::MaySend;
        }
        let live = match channel.read(&self.store.target(&self.change.partner_id)).await {
            Ok(live) => live,
            Err(error) => return LiveCheck::Error(error),
        };
        let words = plain_setting(live.as_ref());
        if live == self.change.from {
            return LiveCheck::MaySend;
        }
        if is_resent && live == self.change.to {
            return LiveCheck::InForce(format!("in force: {words}"));
        }
        let expected = plain_setting(self.change.from.as_ref());
        LiveCheck::Stop(format!(
            "{} has {words} and not {expected}: somebody else changed it",
            channel.name()
        ))
    }

    /// Writes that the receiver could not say what is in force. Nothing was sent.
    async fn unread(
        &self,
        state: &StoreState,
        attempt: u32,
        error: &DeliveryError,
    ) -> Result<Option<ChangeReport>, StoreError> {
        let text = format!("what is in force can't be read: {error}");
        let after = match error {
            DeliveryError::Retryable { after_seconds, .. } => *after_seconds,
            DeliveryError::Ambiguous(_) => None,
            DeliveryError::Permanent(_) | DeliveryError::Disabled(_) => {
                return self.end(state, EntryKind::Stopped, DeliveryOutcome::Refused, text).await;
            }
        };
        let mut entry = self.entry(EntryKind::Failed);
        entry.attempt = attempt;
        entry.next_at = Some(next_attempt(&self.change.key, attempt, entry.at, after));
        entry.answer = Some(text.clone());
        let is_written = self.store.append(state.version, &[entry]).await?;
        Ok(is_written.then(|| self.report(DeliveryOutcome::Failed, text)))
    }

    /// Writes what the receiver said to an attempt.
    async fn write_outcome(
        &self,
        attempt: u32,
        channel: &dyn Channel,
        sent: Result<Receipt, DeliveryError>,
    ) -> Result<ChangeReport, StoreError> {
        let (kind, outcome, answer, in_force, after) = match sent {
            Ok(Receipt { answer, in_force }) => {
                (EntryKind::Acknowledged, DeliveryOutcome::Delivered, answer, in_force, None)
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
        let mut entry = self.entry(kind);
        entry.channel = Some(channel.name().to_owned());
        entry.attempt = attempt;
        entry.in_force = in_force;
        entry.answer = Some(answer.clone());
        if kind == EntryKind::Failed {
            entry.next_at = Some(next_attempt(&self.change.key, attempt, entry.at, after));
        }
        let text = match kind {
            EntryKind::Acknowledged => self.words(),
            _ => answer,
        };
        // What was sent was sent: the outcome is written whatever others wrote in between.
        loop {
            let state = self.store.read().await?;
            if self.store.append(state.version, std::slice::from_ref(&entry)).await? {
                return Ok(self.report(outcome, text));
            }
        }
    }

    async fn end_as_acknowledged(
        &self,
        state: &StoreState,
        attempt: u32,
        answer: String,
    ) -> Result<Option<ChangeReport>, StoreError> {
        let mut entry = self.entry(EntryKind::Acknowledged);
        entry.attempt = attempt;
        entry.answer = Some(answer);
        let is_written = self.store.append(state.version, &[entry]).await?;
        Ok(is_written.then(|| self.report(DeliveryOutcome::Delivered, self.words())))
    }

    /// Writes that the change ends without being sent.
    async fn end(
        &self,
        state: &StoreState,
        kind: EntryKind,
        outcome: DeliveryOutcome,
        why: String,
    ) -> Result<Option<ChangeReport>, StoreError> {
        let mut entry = self.entry(kind);
        entry.answer = Some(why.clone());
        let is_written = self.store.append(state.version, &[entry]).await?;
        Ok(is_written.then(|| self.report(outcome, why)))
    }

    fn entry(&self, kind: EntryKind) -> LogEntry {
        log_entry(self.plan, self.change, kind, self.store.now(), &self.options.by)
    }

    fn channel(&self) -> Option<&dyn Channel> {
        let name = self.change.channel.as_ref()?;
        self.channels.get(name).map(AsRef::as_ref)
    }

    fn delivery(&self) -> Delivery {
        let change = self.change;
        let rationale = &change.rationale;
        Delivery {
            key: change.key.clone(),
            action: change.action,
            partner_id: change.partner_id.clone(),
            name: change.name.clone(),
            target: self.store.target(&change.partner_id),
            from: change.from.clone(),
            to: change.to.clone(),
            summary: format!("{}: {}", rationale.rule, rationale.reason),
            details: details(change),
            episode: change
                .episode_start
                .map(|start| format!("{}/{}/{start}", rationale.rule_id, change.partner_id)),
            resolves: false,
            created_at: self.plan.created_at,
        }
    }

    /// Returns `600 → 900`.
    fn words(&self) -> String {
        let (from, to) = (self.change.from.as_ref(), self.change.to.as_ref());
        match to {
            Some(Setting::Notify { about, .. }) => format!("tell {}: {about}", plain_setting(to)),
            _ => format!("{} → {}", plain_setting(from), plain_setting(to)),
        }
    }

    fn report(&self, outcome: DeliveryOutcome, text: String) -> ChangeReport {
        ChangeReport {
            partner_id: self.change.partner_id.clone(),
            action: self.change.action,
            key: self.change.key.clone(),
            outcome,
            text,
        }
    }
}

/// Says in a few sentences why a change is made.
fn details(change: &Change) -> String {
    let rationale = &change.rationale;
    let mut lines = vec![format!("{} ({}).", rationale.reason, rationale.tier.words())];
    for contribution in &rationale.contributions {
        let reason = contribution.reason.as_deref().unwrap_or("no evidence");
        lines.push(format!("{} {:+.1}: {reason}.", contribution.signal, contribution.points));
    }
    lines.join("\n")
}
