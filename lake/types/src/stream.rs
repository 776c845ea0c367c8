//! The four event streams and what they are called in Kafka, in the lake and on the command line.

use std::fmt;
use std::str::FromStr;

/// One of the four streams of events. Its order is the order pages and reports list them in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    ApiCalls,
    PartnerEvents,
    BillingEvents,
    SupportEvents,
}

/// The name given is none of the four streams.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown stream \"{0}\"; it is one of api-calls, partner-events, billing-events, support-events"
)]
pub struct UnknownStream(pub String);

impl Stream {
    pub const ALL: [Self; 4] =
        [Self::ApiCalls, Self::PartnerEvents, Self::BillingEvents, Self::SupportEvents];

    /// The name on the command line, in `dead_letters.stream`, and the default Kafka topic.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiCalls => "api-calls",
            Self::PartnerEvents => "partner-events",
            Self::BillingEvents => "billing-events",
            Self::SupportEvents => "support-events",
        }
    }

    /// The name of its table in SQL; the raw table is `raw.` and this.
    pub fn table(self) -> &'static str {
        match self {
            Self::ApiCalls => "api_calls",
            Self::PartnerEvents => "partner_events",
            Self::BillingEvents => "billing_events",
            Self::SupportEvents => "support_events",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Stream {
    type Err = UnknownStream;

    fn from_str(text: &str) -> Result<Self, UnknownStream> {
        Self::ALL
            .into_iter()
            .find(|s| s.name() == text || s.table() == text)
            .ok_or_else(|| UnknownStream(text.to_owned()))
    }
}
