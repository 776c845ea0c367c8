//! Delivery: how a change reaches the system that it concerns.
//!
//! A channel sends one delivery at a time, and says afterwards what is known of it. It neither
//! retries nor remembers: the outbox does, see `outbox`.
//!
//! - `config`: the channels as `rapport.toml` defines them
//! - `secrets`: where their secrets are
//! - `message`: the JSON of a delivery
//! - `kafka`, `json_lines`, `webhook`, `mail`, `template`: a channel each
//! - `http`: what `webhook` and `template` share

mod config;
mod http;
mod json_lines;
mod kafka;
mod mail;
mod message;
mod secrets;
mod template;
#[cfg(test)]
mod tests;
mod webhook;

pub use config::{
    ChannelDefinition, ChannelError, ChannelSettings, FileDefinition, KafkaDefinition, LookupValue,
    MailDefinition, TemplateDefinition, WebhookDefinition, build,
};
pub use mail::{MailSecurity, is_mail_address};
pub use secrets::SecretReference;
pub use template::Rung;

use async_trait::async_trait;
use domain::{ActionKind, Setting};

/// One change, addressed to one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The idempotency key; the same in every attempt.
    pub key: String,
    pub action: ActionKind,
    pub partner_id: String,
    pub name: Option<String>,
    /// How the channel's system names the partner.
    pub target: TargetIds,
    pub from: Option<Setting>,
    pub to: Option<Setting>,
    /// A line for people: `At risk: Calls −62 % in two weeks`.
    pub summary: String,
    /// Why, in a few sentences.
    pub details: String,
    /// The episode that it belongs to; a channel that opens incidents resolves them by it.
    pub episode: Option<String>,
    /// The episode is over: close what was opened for it.
    pub resolves: bool,
    /// When the plan was made, µs UTC.
    pub created_at: i64,
}

/// A report, addressed to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportMessage {
    /// The idempotency key; the same in every attempt.
    pub key: String,
    /// The mail address that it goes to, for channels of mail.
    pub to: Option<String>,
    pub subject: String,
    pub text: String,
    /// The same as HTML, for receivers that show it.
    pub html: String,
    /// The pictures that the HTML names.
    pub pictures: Vec<ReportPicture>,
    /// When it was made, µs UTC.
    pub created_at: i64,
}

/// A picture of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportPicture {
    /// What the HTML calls it after `cid:` (RFC 2392).
    pub content_id: String,
    pub png: Vec<u8>,
}

/// A row of the mapping: how other systems name a partner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetIds {
    pub consumer: Option<String>,
    pub key: Option<String>,
    pub app: Option<String>,
    pub organisation: Option<String>,
    pub email: Option<String>,
    /// Who is told, where the person is known by name.
    pub recipient: Option<String>,
}

/// What a channel promises about a delivery that is sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Idempotency {
    /// The request states the whole result, so repeating it changes nothing.
    Upsert,
    /// The receiver drops a second request with the same key.
    Keyed,
    /// The receiver can be asked whether it has the key.
    SearchFirst,
    /// A second request is a second message, so that after any doubt a person decides.
    None,
}

/// What the receiver said of a delivery that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The answer, redacted and shortened, for the log.
    pub answer: String,
    /// The value in force after a rung or a rounding that the receiver made; `None` where it is what
    /// was sent.
    pub in_force: Option<Setting>,
}

/// Why a delivery was not acknowledged. The text never shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The receiver did not take it and may do so later, or a repetition harms nobody: 429, 5xx, no
    /// connection.
    #[error("{message}")]
    Retryable {
        message: String,
        /// The earliest time for the next attempt that the receiver named, in seconds.
        after_seconds: Option<u64>,
    },
    /// The receiver will never take it: most 4xx, an unknown consumer.
    #[error("{0}")]
    Permanent(String),
    /// The receiver may or may not have taken it: a timeout after the request was sent, or 5xx of a
    /// receiver that can't tell repetitions.
    #[error("{0}")]
    Ambiguous(String),
    /// The receiver wants no more deliveries of any partner (410).
    #[error("{0}")]
    Disabled(String),
}

/// A receiver of deliveries.
#[async_trait]
pub trait Channel: Send + Sync {
    /// The name in the configuration.
    fn name(&self) -> &str;

    fn idempotency(&self) -> Idempotency;

    /// Whether [`Channel::read`] can tell the value in force. Most receivers can't be asked.
    fn can_read(&self) -> bool {
        false
    }

    /// Returns the value in force at the receiver; `None` where it has none.
    async fn read(&self, _target: &TargetIds) -> Result<Option<Setting>, DeliveryError> {
        Ok(None)
    }

    /// Returns the receipt of an earlier attempt with this key. It is asked for where the idempotency
    /// is [`Idempotency::SearchFirst`].
    async fn find(&self, _delivery: &Delivery) -> Result<Option<Receipt>, DeliveryError> {
        Ok(None)
    }

    async fn send(&self, delivery: &Delivery) -> Result<Receipt, DeliveryError>;

    /// Whether [`Channel::send_report`] can bring reports to people.
    fn carries_reports(&self) -> bool {
        false
    }

    /// Whether a report shows its pictures there.
    fn shows_pictures(&self) -> bool {
        false
    }

    /// Sends a report.
    async fn send_report(&self, _report: &ReportMessage) -> Result<Receipt, DeliveryError> {
        Err(DeliveryError::Permanent(format!("channel \"{}\" carries no reports", self.name())))
    }
}
