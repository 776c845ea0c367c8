//! One run over all deliveries: what is due is sent, and what became of it is logged.

use actions::Channels;
use actions::deliver::{DeliveryError, ReportMessage, ReportPicture};
use dashboards::{Message, MessageChart, headline_charts};
use domain::counted;
use subprocess::Chromium;

use super::messages::{MessageSource, held_back, managers};
use crate::action_plans::lease_seconds;
use crate::chromium_program;
use crate::config::{DeliveryDefinition, DigestKind};
use crate::deliveries::{
    DeliveryEntry, DeliveryHistory, DeliveryLog, DeliveryOutcome, DeliveryResult, DeliveryStep,
    Dispatch, LogRow, Recipient, next_step, report_channels,
};
use crate::project::Project;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// Why nobody knows whether a message arrived.
const LOST: &str = "the program ended while it sent it, so nobody knows whether it arrived; \
                    `rapport deliver --again NAME` sends it once more";

/// How the deliveries are run.
pub(super) struct RunOptions {
    /// Who is named in the log.
    pub(super) by: String,
    /// Sends once more what is over in this period.
    pub(super) is_again: bool,
    /// Sends and logs nothing.
    pub(super) is_dry: bool,
}

/// A run.
pub(super) struct DeliveryRun<'a> {
    project: &'a Project,
    options: &'a RunOptions,
    log: DeliveryLog,
    channels: Channels,
    source: MessageSource<'a>,
    chromium: Chromium,
    /// The time after which a program that has not told of the end of a sending was killed, µs.
    lease: i64,
    outcomes: Vec<DeliveryOutcome>,
    /// The managers without an address.
    unreachable: Vec<String>,
}

impl<'a> DeliveryRun<'a> {
    /// Opens the channels of the deliveries that are run.
    pub(super) fn new(
        project: &'a Project,
        deliveries: &[&DeliveryDefinition],
        options: &'a RunOptions,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            project,
            options,
            log: DeliveryLog::new(&project.lake),
            channels: report_channels(&project.config, deliveries)?,
            source: MessageSource::new(project),
            chromium: Chromium::new(chromium(project)),
            lease: lease_seconds(&project.config) * MICROS_PER_SECOND,
            outcomes: Vec::new(),
            unreachable: Vec::new(),
        })
    }

    /// Sends what is due. Returns what became of each delivery, and the managers without an address.
    pub(super) async fn run(
        mut self,
        deliveries: &[&DeliveryDefinition],
    ) -> anyhow::Result<(Vec<DeliveryOutcome>, Vec<String>)> {
        for delivery in deliveries {
            self.deliver(delivery).await?;
        }
        self.unreachable.sort_unstable();
        self.unreachable.dedup();
        Ok((self.outcomes, self.unreachable))
    }

    async fn deliver(&mut self, delivery: &DeliveryDefinition) -> anyhow::Result<()> {
        let Some(period) = delivery.schedule.period(delivery.time_zone, self.project.now) else {
            anyhow::bail!("{}: the clock shows a time that no calendar has", delivery.name)
        };
        let whole = Dispatch { delivery, recipient: Recipient::default(), period };
        let history = self.history().await?.0;
        if let Some(why) = pause(delivery, &history) {
            let result = DeliveryResult::Logged(DeliveryEntry::Paused);
            self.outcomes.push(whole.outcome(result, why));
            return Ok(());
        }
        match delivery.digest {
            Some(DigestKind::Manager) => self.digests(&whole, &history).await,
            None => {
                for recipient in Recipient::of(delivery) {
                    self.dispatch(&Dispatch { delivery, recipient, period }).await?;
                }
                Ok(())
            }
        }
    }

    /// Sends the digests of all managers. A row tells when none of them is left, so that the report is
    /// not made at each run.
    async fn digests(
        &mut self,
        whole: &Dispatch<'_>,
        history: &DeliveryHistory,
    ) -> anyhow::Result<()> {
        if let DeliveryStep::Over(why) = self.step(whole, history) {
            self.outcomes.push(whole.outcome(DeliveryResult::Over, why));
            return Ok(());
        }
        let (delivery, period) = (whole.delivery, whole.period);
        let input = self.source.input(delivery).await?;
        let before = self.outcomes.len();
        for manager in managers(&input) {
            let known = self.project.config.recipients().get(&manager);
            let Some(address) = known.and_then(|known| known.email.clone()) else {
                self.unreachable.push(manager);
                continue;
            };
            let recipient = Recipient::of_manager(manager, address);
            self.dispatch(&Dispatch { delivery, recipient, period }).await?;
        }
        let own = &self.outcomes[before..];
        let is_complete = !own.is_empty() && !own.iter().any(|outcome| outcome.result.is_left());
        if is_complete && !self.options.is_dry {
            let row = whole.row(DeliveryEntry::Complete, &self.options.by, now());
            let reason = Some(counted(own.len(), "manager"));
            self.log.append_always(&LogRow { reason, ..row }).await?;
        }
        Ok(())
    }

    /// Returns the rows of the log, and the number of appends.
    async fn history(&self) -> anyhow::Result<(DeliveryHistory, i64)> {
        let (rows, version) = self.log.read().await?;
        Ok((DeliveryHistory::of(rows), version))
    }

    fn step(&self, dispatch: &Dispatch<'_>, history: &DeliveryHistory) -> DeliveryStep {
        let newest = history.newest(&dispatch.subject());
        next_step(newest, now(), self.lease, self.options.is_again)
    }

    /// Brings one message as far as it comes now.
    async fn dispatch(&mut self, dispatch: &Dispatch<'_>) -> anyhow::Result<()> {
        loop {
            let (history, version) = self.history().await?;
            let done = match self.step(dispatch, &history) {
                DeliveryStep::Over(why) => Some(dispatch.outcome(DeliveryResult::Over, why)),
                DeliveryStep::Elsewhere(why) => {
                    Some(dispatch.outcome(DeliveryResult::Elsewhere, why))
                }
                DeliveryStep::Lost => self.lost(version, dispatch).await?,
                DeliveryStep::Due => {
                    let (message, row) = self.due(dispatch, &history).await?;
                    match (self.options.is_dry, row.entry) {
                        (true, _) => Some(dry_outcome(dispatch, message, row)),
                        (false, DeliveryEntry::Sending) => {
                            self.send(version, dispatch, &message, row).await?
                        }
                        (false, _) => self.note(version, dispatch, &history, row).await?,
                    }
                }
            };
            // Without an outcome somebody else wrote to the log in between, so that what was decided
            // may be wrong.
            if let Some(done) = done {
                self.outcomes.push(done);
                return Ok(());
            }
        }
    }

    /// Notes that nobody knows whether a message arrived. Sent again, it has no outcome yet.
    async fn lost(
        &self,
        version: i64,
        dispatch: &Dispatch<'_>,
    ) -> anyhow::Result<Option<DeliveryOutcome>> {
        let row = dispatch.row(DeliveryEntry::Unknown, &self.options.by, now());
        let row = LogRow { reason: Some(LOST.to_owned()), ..row };
        let is_noted = self.options.is_dry || self.log.append(version, &row).await?;
        let result = DeliveryResult::Logged(DeliveryEntry::Unknown);
        let is_over = is_noted && (self.options.is_dry || !self.options.is_again);
        Ok(is_over.then(|| dispatch.outcome(result, LOST.to_owned())))
    }

    /// Makes a message that is due, and decides whether it is to be sent: the entry of its row is
    /// `sending`, `held` or `skipped`.
    async fn due(
        &mut self,
        dispatch: &Dispatch<'_>,
        history: &DeliveryHistory,
    ) -> anyhow::Result<(Message, LogRow)> {
        let input = self.source.input(dispatch.delivery).await?;
        let manager = dispatch.recipient.manager.as_deref();
        let message = self.source.message(dispatch.delivery, manager).await?;
        let figures = lake::sha256_hex(message.figures()?.as_bytes());
        let last = history.last_sent(&dispatch.subject()).filter(|_| !self.options.is_again);
        let is_same = |last: &&LogRow| last.figures.as_ref() == Some(&figures);
        let (entry, reason) = match (held_back(dispatch.delivery, &input), last.filter(is_same)) {
            (Some(why), _) => (DeliveryEntry::Held, Some(why)),
            (None, Some(last)) => {
                let of = last.period.map_or_else(String::new, |date| format!(" of {date}"));
                let why = format!("no figure has changed since the message{of}");
                (DeliveryEntry::Skipped, Some(why))
            }
            (None, None) => (DeliveryEntry::Sending, None),
        };
        let row = dispatch.row(entry, &self.options.by, now());
        Ok((message, LogRow { as_of: Some(input.as_of), figures: Some(figures), reason, ..row }))
    }

    /// Logs why a message is not sent. What the newest row says already is not repeated.
    async fn note(
        &self,
        version: i64,
        dispatch: &Dispatch<'_>,
        history: &DeliveryHistory,
        row: LogRow,
    ) -> anyhow::Result<Option<DeliveryOutcome>> {
        self.check_writable()?;
        let newest = history.newest(&dispatch.subject());
        let is_known =
            newest.is_some_and(|newest| newest.entry == row.entry && newest.reason == row.reason);
        if !is_known && !self.log.append(version, &row).await? {
            return Ok(None);
        }
        let result = DeliveryResult::Logged(row.entry);
        Ok(Some(dispatch.outcome(result, row.reason.unwrap_or_default())))
    }

    /// Sends a message: a row before it, and a row after it.
    async fn send(
        &mut self,
        version: i64,
        dispatch: &Dispatch<'_>,
        message: &Message,
        row: LogRow,
    ) -> anyhow::Result<Option<DeliveryOutcome>> {
        self.check_writable()?;
        let pictures = self.pictures(dispatch).await?;
        if !self.log.append(version, &LogRow { at: now(), ..row.clone() }).await? {
            return Ok(None);
        }
        let (entry, reason) = self.post(dispatch, message, pictures).await;
        let row = LogRow { at: now(), entry, reason: Some(reason.clone()), ..row };
        self.log.append_always(&row).await?;
        Ok(Some(dispatch.outcome(DeliveryResult::Logged(entry), reason)))
    }

    /// Returns the charts of a message with their pictures, where its channel shows them and Chromium is
    /// installed. A message never waits for one that can't be drawn.
    async fn pictures(
        &mut self,
        dispatch: &Dispatch<'_>,
    ) -> anyhow::Result<Vec<(MessageChart, ReportPicture)>> {
        let delivery = dispatch.delivery;
        let channel = self.channels.get(&delivery.channel);
        let is_shown = channel.is_some_and(|channel| channel.shows_pictures());
        let is_wanted = delivery.charts && delivery.digest.is_none();
        if !is_shown || !is_wanted || !self.chromium.is_installed() {
            return Ok(Vec::new());
        }
        let input = self.source.input(delivery).await?;
        let mut pictures = Vec::new();
        for chart in headline_charts(&input) {
            match self.chromium.png(&chart.drawing).await {
                Ok(png) => {
                    let content_id = chart.content_id.to_owned();
                    pictures.push((chart, ReportPicture { content_id, png: png.to_vec() }));
                }
                Err(error) => tracing::warn!(%error, "a mail goes without a chart"),
            }
        }
        Ok(pictures)
    }

    async fn post(
        &self,
        dispatch: &Dispatch<'_>,
        message: &Message,
        pictures: Vec<(MessageChart, ReportPicture)>,
    ) -> (DeliveryEntry, String) {
        let Some(channel) = self.channels.get(&dispatch.delivery.channel) else {
            return (DeliveryEntry::Failed, "its channel is not open".to_owned());
        };
        let (charts, pictures): (Vec<_>, Vec<_>) = pictures.into_iter().unzip();
        let report = ReportMessage {
            key: dispatch.key(),
            to: dispatch.recipient.address.clone(),
            subject: message.subject.clone(),
            text: message.text(),
            html: message.html(&charts),
            pictures,
            created_at: now(),
        };
        match channel.send_report(&report).await {
            Ok(receipt) => (DeliveryEntry::Sent, receipt.answer),
            Err(DeliveryError::Retryable { message, .. }) => (DeliveryEntry::Failed, message),
            Err(DeliveryError::Ambiguous(why)) => (DeliveryEntry::Unknown, why),
            Err(DeliveryError::Permanent(why) | DeliveryError::Disabled(why)) => {
                (DeliveryEntry::Refused, why)
            }
        }
    }

    fn check_writable(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.project.is_read_only(),
            "the lake can't be written from here, so nothing is sent: nobody could know later that it was"
        );
        Ok(())
    }
}

/// Returns the program that draws charts. Without it mails have none, which stops no delivery.
fn chromium(project: &Project) -> Option<std::path::PathBuf> {
    let found = chromium_program::find(project.config.serve().chromium.as_deref());
    found.unwrap_or_else(|error| {
        tracing::warn!(%error, "mails go without charts");
        None
    })
}

/// Returns why a delivery is paused, if it is.
fn pause(delivery: &DeliveryDefinition, history: &DeliveryHistory) -> Option<String> {
    if delivery.paused {
        return Some("rapport.toml has paused = true".to_owned());
    }
    let row = history.pause(&delivery.name)?;
    let why = row.reason.as_deref().unwrap_or_default();
    Some(format!("by {} at {}: {why}", row.by, domain::format_instant(row.at)))
}

/// Returns what a run that sends nothing would do.
fn dry_outcome(dispatch: &Dispatch<'_>, message: Message, row: LogRow) -> DeliveryOutcome {
    let reason = row.reason.unwrap_or_default();
    match row.entry {
        DeliveryEntry::Sending => DeliveryOutcome {
            message: Some(message),
            ..dispatch.outcome(DeliveryResult::Due, reason)
        },
        entry => dispatch.outcome(DeliveryResult::Logged(entry), reason),
    }
}

/// The clock of the machine: a run may take long.
fn now() -> i64 {
    chrono::Utc::now().timestamp_micros()
}
