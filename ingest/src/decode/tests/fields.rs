//! Tests of single fields: ids, instants, texts, enumerations, integers, latencies, unknown fields.

use domain::Stream::{ApiCalls, BillingEvents, PartnerEvents, SupportEvents};

use super::{rejected, stored};

#[test]
fn ids() {
    let max = "é".repeat(128);
    for name in ["event_id", "partner_id"] {
        for id in [" ", "1", max.as_str(), "a/b c\u{0}"] {
            let json = serde_json::Value::from(id);
            stored(ApiCalls, &format!(r#""{name}":{json}"#), name, Some(id));
        }
        for (json, reason) in [
            ("null", "missing_field"),
            ("1", "wrong_type"),
            ("true", "wrong_type"),
            ("[]", "wrong_type"),
            ("{}", "wrong_type"),
            (r#""""#, "out_of_range"),
            (&format!(r#""{max}é""#), "out_of_range"),
        ] {
            rejected(ApiCalls, &format!(r#""{name}":{json}"#), reason, name);
        }
    }
    stored(ApiCalls, r#""event_id":"\u0041\n\ud83d\ude00""#, "event_id", Some("A\n😀"));
    stored(ApiCalls, r#""event_id":1,"event_id":"last""#, "event_id", Some("last"));
    stored(ApiCalls, r#""event\u005fid":"escaped name""#, "event_id", Some("escaped name"));
    rejected(ApiCalls, r#""event_id":"e","event_id":null"#, "missing_field", "event_id");
}

#[test]
fn instants() {
    let at = |json: &str, expected| {
        stored(ApiCalls, &format!(r#""occurred_at":{json}"#), "occurred_at", Some(expected));
    };
    at(r#""2026-05-31T14:00:00.1234567+02:00""#, "2026-05-31T12:00:00.123456Z");
    at(r#""2026-05-31 12:00:00z""#, "2026-05-31T12:00:00Z");
    at(r#""2026-05-31t23:59:60Z""#, "2026-06-01T00:00:00Z");
    at("1780228800000", "2026-05-31T12:00:00Z");
    at("1780228800000.0", "2026-05-31T12:00:00Z");
    at("1.7802288e12", "2026-05-31T12:00:00Z");
    at(r#""2000-01-01T00:00:00Z""#, "2000-01-01T00:00:00Z");
    at("946684800000", "2000-01-01T00:00:00Z");
    at(r#""2026-06-02T00:00:00Z""#, "2026-06-02T00:00:00Z");
    at(r#""2026-06-02T00:00:00.0000009Z""#, "2026-06-02T00:00:00Z");
    let no = |json: &str, reason| {
        rejected(ApiCalls, &format!(r#""occurred_at":{json}"#), reason, "occurred_at");
    };
    no("null", "missing_field");
    no("true", "wrong_type");
    no("4.5", "wrong_type");
    no("[]", "wrong_type");
    no(r#""1780228800000""#, "wrong_type");
    no(r#""2026-05-31T12:00:00""#, "wrong_type");
    no(r#""2026-02-30T12:00:00Z""#, "wrong_type");
    no(r#""1999-12-31T23:59:59.999999Z""#, "out_of_range");
    no("946684799999", "out_of_range");
    no("-1", "out_of_range");
    no(r#""2026-06-02T00:00:00.000001Z""#, "out_of_range");
    no("1780358400001", "out_of_range");
    no("9223372036854775807", "out_of_range");
    no("1e300", "out_of_range");
}

#[test]
fn texts() {
    let text = |fields: &str, column, expected| stored(ApiCalls, fields, column, expected);
    text("", "product", None);
    text(r#""product":null"#, "product", None);
    text(r#""product":"""#, "product", None);
    text(r#""product":" ""#, "product", Some(" "));
    text("", "environment", Some("production"));
    text(r#""environment":null"#, "environment", Some("production"));
    text(r#""environment":"sandbox""#, "environment", Some("sandbox"));
    text(r#""endpoint":"/v1/pay?key=1#x""#, "endpoint", Some("/v1/pay"));
    text(r#""endpoint":"/v1/pay#x?y""#, "endpoint", Some("/v1/pay"));
    text(r#""endpoint":"/v1/\u0070ay?""#, "endpoint", Some("/v1/pay"));
    text(r#""endpoint":"?a=1""#, "endpoint", None);
    text(r#""method":"get""#, "method", Some("GET"));
    text(r#""method":"POST""#, "method", Some("POST"));
    text(r#""credential_id":"key_1234567""#, "credential_id", Some("hash of 11"));
    text(r#""credential_id":"""#, "credential_id", None);
    for name in ["credential_id", "environment", "product", "endpoint", "method", "trace_id"] {
        for value in ["1", "false", "[]", "{}"] {
            rejected(ApiCalls, &format!(r#""{name}":{value}"#), "wrong_type", name);
        }
    }
}

#[test]
fn enumerations() {
    rejected(ApiCalls, r#""environment":"""#, "unknown_value", "environment");
    rejected(ApiCalls, r#""environment":"Sandbox""#, "unknown_value", "environment");
    for (stream, name) in
        [(PartnerEvents, "type"), (BillingEvents, "kind"), (SupportEvents, "type")]
    {
        for (json, reason) in [
            ("null", "missing_field"),
            ("1", "wrong_type"),
            (r#""""#, "unknown_value"),
            (r#""zzz""#, "unknown_value"),
        ] {
            rejected(stream, &format!(r#""{name}":{json}"#), reason, name);
        }
    }
    for kind in ["registered", "terms_signed", "payment_method_added", "merged"] {
        stored(PartnerEvents, &format!(r#""type":"{kind}""#), "type", Some(kind));
    }
    for kind in ["usage", "subscription", "commission", "credit", "refund"] {
        stored(BillingEvents, &format!(r#""kind":"{kind}""#), "kind", Some(kind));
    }
    for kind in ["opened", "first_response", "resolved"] {
        stored(SupportEvents, &format!(r#""type":"{kind}""#), "type", Some(kind));
    }
    for code in ["EUR", "JPY", "KWD"] {
        stored(BillingEvents, &format!(r#""currency":"{code}""#), "currency", Some(code));
    }
    for (json, reason) in [
        ("null", "missing_field"),
        ("978", "wrong_type"),
        (r#""""#, "unknown_value"),
        (r#""eur""#, "unknown_value"),
        (r#""XAU""#, "unknown_value"),
    ] {
        rejected(BillingEvents, &format!(r#""currency":{json}"#), reason, "currency");
    }
}

#[test]
fn integers_and_their_bounds() {
    let max = "9223372036854775807";
    for (stream, name, min, max) in [
        (ApiCalls, "status", "100", "599"),
        (ApiCalls, "request_bytes", "0", max),
        (ApiCalls, "response_bytes", "0", max),
        (PartnerEvents, "integration_level", "1", "4"),
        (PartnerEvents, "quota_per_minute", "0", max),
        (BillingEvents, "amount_minor", "0", max),
        (BillingEvents, "units", "0", max),
        (SupportEvents, "severity", "1", "4"),
        (SupportEvents, "csat", "1", "5"),
    ] {
        let with = |value: &str| format!(r#""{name}":{value}"#);
        for value in [min, max] {
            stored(stream, &with(value), name, Some(value));
            stored(stream, &with(&format!("{value}.0")), name, Some(value));
        }
        let below = format!("{}", min.parse::<i64>().expect("a bound") - 1);
        let above = format!("{}", max.parse::<i128>().expect("a bound") + 1);
        for value in [&below, &above, "1e30", "123456789012345678901234567890"] {
            rejected(stream, &with(value), "out_of_range", name);
        }
        for value in [r#""1""#, r#""""#, "4.5", "1e-3", "true", "[1]", "{}"] {
            rejected(stream, &with(value), "wrong_type", name);
        }
    }
    for (stream, name) in [(ApiCalls, "status"), (BillingEvents, "amount_minor")] {
        rejected(stream, &format!(r#""{name}":null"#), "missing_field", name);
    }
    for name in ["request_bytes", "response_bytes"] {
        stored(ApiCalls, &format!(r#""{name}":null"#), name, None);
    }
}

#[test]
fn latencies() {
    for (json, expected) in [
        ("null", None),
        ("0", Some("0")),
        ("-0.0", Some("0")),
        ("1.001", Some("1001")),
        ("1.0005", Some("1001")),
        ("1e-999999999", Some("0")),
    ] {
        stored(ApiCalls, &format!(r#""latency_ms":{json}"#), "latency_us", expected);
    }
    for (json, reason) in [
        ("-0.001", "out_of_range"),
        ("1e300", "out_of_range"),
        (r#""1""#, "wrong_type"),
        ("[]", "wrong_type"),
    ] {
        rejected(ApiCalls, &format!(r#""latency_ms":{json}"#), reason, "latency_ms");
    }
}

#[test]
fn tickets() {
    stored(SupportEvents, "", "ticket_id", Some("t1"));
    rejected(SupportEvents, r#""ticket_id":null"#, "missing_field", "ticket_id");
    rejected(SupportEvents, r#""ticket_id":7"#, "wrong_type", "ticket_id");
    rejected(SupportEvents, r#""ticket_id":"""#, "out_of_range", "ticket_id");
}

#[test]
fn unknown_fields_are_kept() {
    stored(ApiCalls, "", "extra", None);
    stored(ApiCalls, r#""z":[1, 2],"a":null"#, "extra", Some(r#"{"a":null,"z":[1,2]}"#));
    stored(ApiCalls, r#""Token":"x","api-key":1"#, "extra", None);
    stored(ApiCalls, r#""specversion":null"#, "extra", Some(r#"{"specversion":null}"#));
    // A field of another stream is an unknown field.
    stored(SupportEvents, r#""status":200"#, "extra", Some(r#"{"status":200}"#));
}
