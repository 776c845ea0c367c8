//! The stream `billing-events`: charges: usage, subscriptions, commissions, credits, refunds.

use super::StreamDef;
use super::field::{COUNT, FieldRule, optional, required};

pub(super) const DEF: StreamDef = StreamDef {
    name: "billing-events",
    table: "billing_events",
    description: "What partners were billed, each event once",
    fields: &[
        required(
            "kind",
            FieldRule::OneOf(&["usage", "subscription", "commission", "credit", "refund"], None),
            "What was billed; credits and refunds are subtracted",
        ),
        required(
            "amount_minor",
            COUNT,
            "The amount in the currency's minor unit: 1999 is 19.99 EUR",
        ),
        required("currency", FieldRule::Currency, "The currency of the amount"),
        optional("product", FieldRule::Text, "The API product that was billed"),
        optional("units", COUNT, "How many units were billed"),
        optional("invoice_id", FieldRule::Text, "The invoice it stands on"),
    ],
};
