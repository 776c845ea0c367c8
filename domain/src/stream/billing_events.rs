//! The stream `billing-events`: usage, subscriptions, commissions, credits, refunds, and whether
//! payments came.

use super::StreamDef;
use super::field::{COUNT, FieldRule, optional, required};

/// The kinds that say whether a payment came. They are in no amount of money, so they need no
/// exchange rate.
pub const PAYMENT_KINDS: [&str; 2] = ["payment_failed", "payment_succeeded"];

const KINDS: [&str; 7] =
    ["usage", "subscription", "commission", "credit", "refund", PAYMENT_KINDS[0], PAYMENT_KINDS[1]];

pub(super) const DEF: StreamDef = StreamDef {
    name: "billing-events",
    table: "billing_events",
    description: "What partners were billed, each event once",
    fields: &[
        required(
            "kind",
            FieldRule::OneOf(&KINDS, None),
            "What was billed, or how its payment went; credits and refunds are subtracted, payments are in no revenue",
        ),
        required(
            "amount_minor",
            COUNT,
            "The amount in the currency's minor unit: 1999 is 19.99 EUR; of a payment what was due",
        ),
        required("currency", FieldRule::Currency, "The currency of the amount"),
        optional("product", FieldRule::Text, "The API product that was billed"),
        optional("units", COUNT, "How many units were billed"),
        optional("invoice_id", FieldRule::Text, "The invoice it stands on"),
    ],
};
