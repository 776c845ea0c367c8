//! One delivery to one recipient in one period: what is sent once.

use super::log::{DeliveryEntry, LogRow};
use super::outcome::{DeliveryOutcome, DeliveryResult};
use super::schedule::Period;
use super::step::DeliverySubject;
use crate::config::DeliveryDefinition;

/// The length of an idempotency key in hexadecimal digits.
const KEY_LENGTH: usize = 40;

/// Who gets a message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recipient {
    /// The name in the log; `None` where the channel leads to one place.
    pub(crate) label: Option<String>,
    pub(crate) address: Option<String>,
    /// Whose digest it is.
    pub(crate) manager: Option<String>,
}

impl Recipient {
    /// Returns the recipients that a delivery names, or the one place that its channel leads to.
    pub(crate) fn of(delivery: &DeliveryDefinition) -> Vec<Self> {
        let named = delivery.recipients.iter().map(|address| Self {
            label: Some(address.0.clone()),
            address: Some(address.0.clone()),
            manager: None,
        });
        let named: Vec<Self> = named.collect();
        if named.is_empty() { vec![Self::default()] } else { named }
    }

    /// Returns the recipient of a manager's digest.
    pub(crate) fn of_manager(manager: String, address: String) -> Self {
        let label = Some(format!("{manager} <{address}>"));
        Self { label, address: Some(address), manager: Some(manager) }
    }
}

/// A delivery to a recipient in a period.
#[derive(Debug, Clone)]
pub(crate) struct Dispatch<'a> {
    pub(crate) delivery: &'a DeliveryDefinition,
    pub(crate) recipient: Recipient,
    pub(crate) period: Period,
}

impl Dispatch<'_> {
    pub(crate) fn subject(&self) -> DeliverySubject<'_> {
        DeliverySubject {
            delivery: &self.delivery.name,
            recipient: self.recipient.label.as_deref(),
            period: self.period.date,
        }
    }

    /// Returns the idempotency key, which is the same in every attempt.
    pub(crate) fn key(&self) -> String {
        let recipient = self.recipient.label.as_deref().unwrap_or_default();
        let text = format!("{}\n{recipient}\n{}", self.delivery.name, self.period.date);
        lake::sha256_hex(text.as_bytes()).chars().take(KEY_LENGTH).collect()
    }

    pub(crate) fn row(&self, entry: DeliveryEntry, by: &str, at: i64) -> LogRow {
        LogRow {
            at,
            entry,
            delivery: self.delivery.name.clone(),
            period: Some(self.period.date),
            recipient: self.recipient.label.clone(),
            channel: Some(self.delivery.channel.clone()),
            as_of: None,
            figures: None,
            by: by.to_owned(),
            reason: None,
        }
    }

    pub(crate) fn outcome(&self, result: DeliveryResult, reason: String) -> DeliveryOutcome {
        DeliveryOutcome {
            delivery: self.delivery.name.clone(),
            recipient: self.recipient.label.clone().unwrap_or_default(),
            channel: self.delivery.channel.clone(),
            period: self.period.date.to_string(),
            result,
            reason,
            message: None,
        }
    }
}
