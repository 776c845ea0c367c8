//! The vocabulary that all crates share. It is light and imports none of them.
//!
//! - `stream`: the streams of events and the fields of their events
//! - `time`: instants, days, and the instant up to which a metric looks (`AsOf`)
//! - `money`: exact decimals, currencies, exchange rates
//! - `stage`: where a partner is in its life
//! - `tier`: how a partner does
//! - `signal`: the name of a health signal
//! - `action`: what a plan changes of a partner, and from what to what
//! - `named_enum`: reading an enum back from the names of its variants
//! - `format`: how values are written for people
//! - `text_position`: line and column in a text
//! - `toml_error`: errors of the TOML parser, reworded for people
//! - `closest_name`: the known name that was probably meant
//! - `redact`: hiding secrets in messages

mod action;
mod closest_name;
pub mod format;
mod money;
mod named_enum;
mod redact;
mod signal;
mod stage;
mod stream;
mod text_position;
mod tier;
mod time;
mod toml_error;

pub use action::{ActionKind, Setting, SupportRoute};
pub use closest_name::closest_name;
pub use format::{
    agree, counted, display_width, into_printable, into_printable_lines, printable,
    printable_lines, thousands, truncate_to_width,
};
pub use money::{
    CurrencyError, ExchangeRateError, ExchangeRates, MONEY_SCALE, Money, minor_units,
    parse_decimal, to_f64,
};
pub use named_enum::UnknownName;
pub use redact::{has_credentials, redact};
pub use signal::SignalName;
pub use stage::Stage;
pub use stream::{COMMON_FIELDS, FieldDef, FieldRule, PAYMENT_KINDS, Stream, StreamDef};
pub use text_position::Position;
pub use tier::Tier;
pub use time::{
    AsOf, AsOfError, Day, MICROS_PER_DAY, format_instant, month_of, next_month, parse_instant,
};
pub use toml_error::toml_error;
