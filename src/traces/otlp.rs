//! Spans in the JSON of OTLP: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use serde_json::{Value, json};

use super::span_layer::{AttributeValue, EndedSpan};

/// The kind of a span that is no request of another process.
const INTERNAL: u8 = 1;
/// The status of a span with an error.
const ERROR: u8 = 2;

/// Returns the body of a request with these spans.
pub(super) fn request(service: &str, spans: &[EndedSpan]) -> Value {
    let spans: Vec<Value> = spans.iter().map(span).collect();
    let version = env!("CARGO_PKG_VERSION");
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    json!({
        "resourceSpans": [{
            "resource": {
                "attributes": [text("service.name", service), text("service.version", version)],
            },
            "scopeSpans": [{
                "scope": { "name": "rapport", "version": version },
                "spans": spans,
            }],
        }],
    })
}

fn span(span: &EndedSpan) -> Value {
    let attributes: Vec<Value> = span
        .attributes
        .iter()
        .map(|(key, value)| json!({ "key": key, "value": attribute(value) }))
        .collect();
    let mut made = json!({
        "traceId": hex(&span.trace),
        "spanId": hex(&span.id),
        "name": span.name,
        "kind": INTERNAL,
        // 64-bit numbers are texts in the JSON of Protocol Buffers.
        "startTimeUnixNano": span.began.to_string(),
        "endTimeUnixNano": span.ended.to_string(),
        "attributes": attributes,
    });
    if let Some(parent) = &span.parent {
        made["parentSpanId"] = hex(parent).into();
    }
    if let Some(error) = &span.error {
        made["status"] = json!({ "code": ERROR, "message": error });
    }
    made
}

fn attribute(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Text(text) => json!({ "stringValue": text }),
        AttributeValue::Integer(number) => json!({ "intValue": number.to_string() }),
        AttributeValue::Number(number) => json!({ "doubleValue": number }),
        AttributeValue::Flag(flag) => json!({ "boolValue": flag }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
