//! Ids, instants, days and money: the light crate that every room may import.
//!
//! Reading order: `stream` (the four event streams), `time` (instants, days, `AsOf`), `money`
//! (decimals, currencies, rates), `words` (counts in sentences), `printable` (text for people),
//! `mistake` (mistakes in files), `secret` (values that no message shows).

mod mistake;
mod money;
mod printable;
mod secret;
mod stream;
mod time;
mod words;

pub use mistake::{Position, nearest, toml_mistake};
pub use money::{
    CurrencyError, MONEY_SCALE, Money, Rates, RatesError, minor_units, parse_decimal, to_f64,
};
pub use printable::{columns, cut, into_printable, printable, printable_lines};
pub use secret::{hide, holds_credentials};
pub use stream::{Stream, UnknownStream};
pub use time::{
    AsOf, AsOfError, Day, MICROS_PER_DAY, format_instant, month_of, next_month, parse_instant,
};
pub use words::{agree, counted, thousands};
