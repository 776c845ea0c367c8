//! The event contracts as data: for each stream its fields, in the order they are looked at, with
//! their rules. They become the columns of the raw table that follow `occurred_at`, in this order.

use lake_types::Stream;

/// What every event carries, in the order it is looked at.
pub(super) const COMMON: [&str; 3] = ["event_id", "occurred_at", "partner_id"];

/// The greatest number of fields of its own that a stream has.
pub(super) const MOST: usize = 11;

/// One field of a stream's event.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) rule: Rule,
}

/// What a field may hold and how it is stored.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// Any string; an empty one is NULL.
    Text,
    /// A string of 1 to 128 code points.
    Id,
    /// A string of which only the keyed hash is stored.
    Credential,
    /// A route template: stored up to its query string or fragment.
    Route,
    /// Stored in upper case.
    Method,
    /// An ISO 4217 code with a minor unit, in upper case.
    Currency,
    /// One of a list; the second is what an absent one means.
    OneOf(&'static [&'static str], Option<&'static str>),
    /// An integer within these bounds.
    Integer(i64, i64),
    /// Milliseconds, not negative; stored as integer microseconds.
    Millis,
}

/// A stream's own fields, in the order of its table in the contract.
pub(super) fn of(stream: Stream) -> &'static [Field] {
    match stream {
        Stream::ApiCalls => API_CALLS,
        Stream::PartnerEvents => PARTNER_EVENTS,
        Stream::BillingEvents => BILLING_EVENTS,
        Stream::SupportEvents => SUPPORT_EVENTS,
    }
}

const fn optional(name: &'static str, rule: Rule) -> Field {
    Field { name, required: false, rule }
}

const fn required(name: &'static str, rule: Rule) -> Field {
    Field { name, required: true, rule }
}

const COUNT: Rule = Rule::Integer(0, i64::MAX);

const API_CALLS: &[Field] = &[
    optional("credential_id", Rule::Credential),
    optional("environment", Rule::OneOf(&["sandbox", "production"], Some("production"))),
    optional("product", Rule::Text),
    optional("endpoint", Rule::Route),
    optional("method", Rule::Method),
    optional("api_version", Rule::Text),
    required("status", Rule::Integer(100, 599)),
    optional("latency_ms", Rule::Millis),
    optional("request_bytes", COUNT),
    optional("response_bytes", COUNT),
    optional("trace_id", Rule::Text),
];

const PARTNER_EVENTS: &[Field] = &[
    required(
        "type",
        Rule::OneOf(
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
    ),
    optional("name", Rule::Text),
    optional("segment", Rule::Text),
    optional("plan", Rule::Text),
    optional("integration_level", Rule::Integer(1, 4)),
    optional("manager", Rule::Text),
    optional("region", Rule::Text),
    optional("quota_per_minute", COUNT),
    optional("merged_into", Rule::Text),
];

const BILLING_EVENTS: &[Field] = &[
    required(
        "kind",
        Rule::OneOf(&["usage", "subscription", "commission", "credit", "refund"], None),
    ),
    required("amount_minor", COUNT),
    required("currency", Rule::Currency),
    optional("product", Rule::Text),
    optional("units", COUNT),
    optional("invoice_id", Rule::Text),
];

const SUPPORT_EVENTS: &[Field] = &[
    required("type", Rule::OneOf(&["opened", "first_response", "resolved"], None)),
    required("ticket_id", Rule::Id),
    optional("severity", Rule::Integer(1, 4)),
    optional("csat", Rule::Integer(1, 5)),
];
