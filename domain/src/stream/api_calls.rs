//! The stream `api-calls`: calls of the platform's APIs.

use super::StreamDef;
use super::field::{COUNT, FieldRule, optional, required};

pub(super) const DEF: StreamDef = StreamDef {
    name: "api-calls",
    table: "api_calls",
    description: "API calls, each once",
    fields: &[
        optional(
            "credential_id",
            FieldRule::Credential,
            "The API key or client that called; only its keyed hash is stored",
        ),
        optional(
            "environment",
            FieldRule::OneOf(&["sandbox", "production"], Some("production")),
            "Where the call was made",
        ),
        optional("product", FieldRule::Text, "The API product that was called"),
        optional(
            "endpoint",
            FieldRule::Route,
            "The route template that was called, as /v1/orders/{id}",
        ),
        optional("method", FieldRule::Method, "The HTTP method"),
        optional("api_version", FieldRule::Text, "The version of the API that was called"),
        required("status", FieldRule::Integer(100, 599), "The HTTP status of the answer"),
        optional("latency_ms", FieldRule::Millis, "How long the answer took"),
        optional("request_bytes", COUNT, "The size of the request, in bytes"),
        optional("response_bytes", COUNT, "The size of the answer, in bytes"),
        optional(
            "trace_id",
            FieldRule::Text,
            "The id of the trace it belongs to; carried, not used",
        ),
    ],
};
