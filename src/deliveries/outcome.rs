//! What a run did with a delivery.

use dashboards::Message;

use super::log::DeliveryEntry;

/// What became of a delivery to one recipient.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryOutcome {
    pub(crate) delivery: String,
    /// Empty where the channel leads to one place.
    pub(crate) recipient: String,
    pub(crate) channel: String,
    pub(crate) period: String,
    pub(crate) result: DeliveryResult,
    pub(crate) reason: String,
    /// The message that a dry run would send.
    pub(crate) message: Option<Message>,
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryResult {
    /// A row of the log tells it.
    Logged(DeliveryEntry),
    /// Nothing was to be done.
    Over,
    /// Another program sends it.
    Elsewhere,
    /// It would be sent.
    Due,
}

impl DeliveryResult {
    /// Returns the word for people and programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Logged(entry) => entry.name(),
            Self::Over => "over",
            Self::Elsewhere => "elsewhere",
            Self::Due => "due",
        }
    }

    /// Returns whether somebody has to look at it.
    pub(crate) fn is_failure(self) -> bool {
        use DeliveryEntry::{Failed, Held, Refused, Unknown};
        matches!(self, Self::Logged(Failed | Held | Refused | Unknown))
    }

    /// Returns whether a later run of the period looks at it again.
    pub(crate) fn is_left(self) -> bool {
        use DeliveryEntry::{Failed, Held};
        matches!(self, Self::Logged(Failed | Held) | Self::Elsewhere | Self::Due)
    }
}
