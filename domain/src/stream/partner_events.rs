//! The stream `partner-events`: what happens to partners: registration, approvals, plans, quotas, the end.

use super::StreamDef;
use super::field::{COUNT, FieldRule, optional, required};

pub(super) const DEF: StreamDef = StreamDef {
    name: "partner-events",
    table: "partner_events",
    description: "Registrations, changes and merges of partners, each once",
    fields: &[
        required(
            "type",
            FieldRule::OneOf(
                &[
                    "registered",
                    "terms_signed",
                    "sandbox_key_issued",
                    "production_requested",
                    "production_approved",
                    "payment_method_added",
                    "plan_changed",
                    "quota_changed",
                    "profile_updated",
                    "suspended",
                    "reinstated",
                    "offboarded",
                    "merged",
                ],
                None,
            ),
            "What happened to the partner",
        ),
        optional("name", FieldRule::Text, "The partner's name, from now on"),
        optional("segment", FieldRule::Text, "The partner's segment, from now on"),
        optional(
            "plan",
            FieldRule::Text,
            "The partner's plan, from now on; sla.csv has its targets",
        ),
        optional(
            "integration_level",
            FieldRule::Integer(1, 4),
            "How deep the partner's integration is, from now on",
        ),
        optional("manager", FieldRule::Text, "Who looks after the partner, from now on"),
        optional("region", FieldRule::Text, "The partner's region, from now on"),
        optional(
            "quota_per_minute",
            COUNT,
            "How many calls a minute the partner may make, from now on",
        ),
        optional(
            "merged_into",
            FieldRule::Text,
            "Of a merged event: the partner_id that goes on; without it the event has no effect",
        ),
    ],
};
