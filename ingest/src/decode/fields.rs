//! The event contracts as data: for each stream its fields, in the order they are looked at, with
//! their rules. They become the columns of the raw table that follow `occurred_at`, in this order.

use lake_types::Stream;

/// What every event carries, in the order it is looked at.
pub(super) const COMMON: [&str; 3] =
    [COMMON_FIELDS[0].name, COMMON_FIELDS[1].name, COMMON_FIELDS[2].name];

/// The greatest number of fields of its own that a stream has.
pub(super) const MOST: usize = 11;

/// One field of a stream's event.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) rule: Rule,
    /// For people who produce events: what it is.
    pub(super) about: &'static str,
}

impl Field {
    /// The column of the raw table that it becomes.
    pub(super) fn column(&self) -> &'static str {
        match self.rule {
            Rule::Millis => "latency_us",
            _ => self.name,
        }
    }
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
    /// When it occurred: of the field that all events have alone.
    Instant,
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

const fn optional(name: &'static str, rule: Rule, about: &'static str) -> Field {
    Field { name, required: false, rule, about }
}

const fn required(name: &'static str, rule: Rule, about: &'static str) -> Field {
    Field { name, required: true, rule, about }
}

const COUNT: Rule = Rule::Integer(0, i64::MAX);

pub(super) const COMMON_FIELDS: [Field; 3] = [
    required(
        "event_id",
        Rule::Id,
        "The idempotency key: a retry carries the same, and the event counts once",
    ),
    required(
        "occurred_at",
        Rule::Instant,
        "When it happened; the event is filed under its UTC date",
    ),
    required(
        "partner_id",
        Rule::Id,
        "The partner it is about; the record's key should be the same",
    ),
];

const API_CALLS: &[Field] = &[
    optional(
        "credential_id",
        Rule::Credential,
        "The API key or client that called; only its keyed hash is stored",
    ),
    optional(
        "environment",
        Rule::OneOf(&["sandbox", "production"], Some("production")),
        "Where the call was made",
    ),
    optional("product", Rule::Text, "The API product that was called"),
    optional("endpoint", Rule::Route, "The route template that was called, as /v1/orders/{id}"),
    optional("method", Rule::Method, "The HTTP method"),
    optional("api_version", Rule::Text, "The version of the API that was called"),
    required("status", Rule::Integer(100, 599), "The HTTP status of the answer"),
    optional("latency_ms", Rule::Millis, "How long the answer took"),
    optional("request_bytes", COUNT, "The size of the request, in bytes"),
    optional("response_bytes", COUNT, "The size of the answer, in bytes"),
    optional("trace_id", Rule::Text, "The id of the trace it belongs to; carried, not used"),
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
        "What happened to the partner",
    ),
    optional("name", Rule::Text, "The partner's name, from now on"),
    optional("segment", Rule::Text, "The partner's segment, from now on"),
    optional("plan", Rule::Text, "The partner's plan, from now on; sla.csv has its targets"),
    optional(
        "integration_level",
        Rule::Integer(1, 4),
        "How deep the partner's integration is, from now on",
    ),
    optional("manager", Rule::Text, "Who looks after the partner, from now on"),
    optional("region", Rule::Text, "The partner's region, from now on"),
    optional(
        "quota_per_minute",
        COUNT,
        "How many calls a minute the partner may make, from now on",
    ),
    optional(
        "merged_into",
        Rule::Text,
        "Of a merged event: the partner_id that goes on; without it the event has no effect",
    ),
];

const BILLING_EVENTS: &[Field] = &[
    required(
        "kind",
        Rule::OneOf(&["usage", "subscription", "commission", "credit", "refund"], None),
        "What was billed; credits and refunds are subtracted",
    ),
    required("amount_minor", COUNT, "The amount in the currency's minor unit: 1999 is 19.99 EUR"),
    required("currency", Rule::Currency, "The currency of the amount"),
    optional("product", Rule::Text, "The API product that was billed"),
    optional("units", COUNT, "How many units were billed"),
    optional("invoice_id", Rule::Text, "The invoice it stands on"),
];

const SUPPORT_EVENTS: &[Field] = &[
    required(
        "type",
        Rule::OneOf(&["opened", "first_response", "resolved"], None),
        "What happened to the ticket",
    ),
    required("ticket_id", Rule::Id, "The ticket, the same in all its events"),
    optional("severity", Rule::Integer(1, 4), "How severe it is; 1 is the most"),
    optional("csat", Rule::Integer(1, 5), "How satisfied the partner was; 5 is the most"),
];
