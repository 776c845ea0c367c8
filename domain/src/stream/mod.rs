//! The streams of events: each is defined by one [`StreamDef`] in a file of its own.
//!
//! The decoder, the raw tables, the topics and the tables that queries read follow from the
//! definitions.

mod api_calls;
mod billing_events;
mod field;
mod partner_events;
mod support_events;

use std::fmt;
use std::str::FromStr;

pub use self::billing_events::PAYMENT_KINDS;
pub use self::field::{COMMON_FIELDS, FieldDef, FieldRule};
use crate::named_enum::UnknownName;

/// What a stream is called, and which fields its events have.
#[derive(Debug)]
pub struct StreamDef {
    /// The name on the command line, in `dead_letters.stream`, and the default Kafka topic.
    pub name: &'static str,
    /// The name of its table in SQL; the raw table is `raw.` and this.
    pub table: &'static str,
    /// What its table holds, for lists of tables.
    pub description: &'static str,
    /// Its own fields, in the order in which they are checked. They become the columns of the raw
    /// table after `occurred_at`, in the same order.
    pub fields: &'static [FieldDef],
}

/// One of the streams of events. Pages and reports list them in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    ApiCalls,
    PartnerEvents,
    BillingEvents,
    SupportEvents,
}

impl Stream {
    pub const ALL: [Self; 4] =
        [Self::ApiCalls, Self::PartnerEvents, Self::BillingEvents, Self::SupportEvents];

    pub const fn definition(self) -> &'static StreamDef {
        match self {
            Self::ApiCalls => &api_calls::DEF,
            Self::PartnerEvents => &partner_events::DEF,
            Self::BillingEvents => &billing_events::DEF,
            Self::SupportEvents => &support_events::DEF,
        }
    }

    /// Returns [`StreamDef::name`].
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// Returns [`StreamDef::table`].
    pub fn table(self) -> &'static str {
        self.definition().table
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the name or the table of a stream.
impl FromStr for Stream {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let named = |stream: &Self| stream.name() == text || stream.table() == text;
        Self::ALL.into_iter().find(named).ok_or_else(|| UnknownName {
            what: "stream",
            given: text.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}
