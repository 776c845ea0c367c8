//! The stream `support-events`: support tickets: opened, answered, resolved.

use super::StreamDef;
use super::field::{FieldRule, optional, required};

pub(super) const DEF: StreamDef = StreamDef {
    name: "support-events",
    table: "support_events",
    description: "Tickets opened, answered and resolved, each event once",
    fields: &[
        required(
            "type",
            FieldRule::OneOf(&["opened", "first_response", "resolved"], None),
            "What happened to the ticket",
        ),
        required("ticket_id", FieldRule::Id, "The ticket, the same in all its events"),
        optional("severity", FieldRule::Integer(1, 4), "How severe it is; 1 is the most"),
        optional("csat", FieldRule::Integer(1, 5), "How satisfied the partner was; 5 is the most"),
    ],
};
