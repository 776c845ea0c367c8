//! Writes a call of the contract as Kong's http-log plugin would, for the cost of a mapping.

use serde_json::{Value, json};

/// Returns a call in Kong's shape, with the headers that such records carry. What is no call, such
/// as a malformed record, stays as it is.
pub(super) fn kong_record(call: &[u8]) -> Vec<u8> {
    let Ok(Value::Object(call)) = serde_json::from_slice(call) else { return call.to_owned() };
    let field = |name: &str| call.get(name).cloned().unwrap_or_default();
    let is_sandbox = call.get("environment").is_some_and(|environment| environment == "sandbox");
    let host = if is_sandbox { "sandbox.example.com" } else { "api.example.com" };
    let endpoint = call.get("endpoint").and_then(Value::as_str).unwrap_or("/");
    let latency = field("latency_ms");
    let record = json!({
        "started_at": field("occurred_at"),
        "client_ip": "192.0.2.10",
        "upstream_uri": endpoint,
        "consumer": { "id": "6f1de2b0-3c7e-4f62-9d35-1c5b7f0c2a11", "username": field("partner_id") },
        "authenticated_entity": { "id": field("credential_id") },
        "request": {
            "id": field("event_id"),
            "method": field("method"),
            "uri": format!("{endpoint}?page=1&limit=50"),
            "url": format!("https://{host}:8443{endpoint}?page=1&limit=50"),
            "size": field("request_bytes"),
            "querystring": { "page": "1", "limit": "50" },
            "headers": {
                "host": host,
                "accept": "application/json",
                "accept-encoding": "gzip, deflate",
                "user-agent": "partner-client/4.2",
                "x-forwarded-for": "198.51.100.7",
            },
        },
        "response": {
            "status": field("status"),
            "size": field("response_bytes"),
            "headers": {
                "content-type": "application/json; charset=utf-8",
                "x-kong-proxy-latency": "2",
                "x-kong-upstream-latency": "31",
                "via": "kong/3.8.0",
            },
        },
        "latencies": { "request": latency, "proxy": latency, "kong": 2 },
        "service": { "id": "f1c5", "name": field("product"), "host": "backend", "port": 8080 },
        "route": { "id": "9ab0", "name": field("product"), "paths": [endpoint] },
        "trace_id": { "w3c": field("trace_id") },
    });
    serde_json::to_vec(&record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use domain::Stream;
    use ingest::mapping::{Mapping, Trial, TrialRecord, TrialResult};

    use super::*;

    #[test]
    fn the_recipe_reads_the_record_and_finds_the_call_in_it() {
        let call = br#"{"event_id":"e-1","partner_id":"p-1","occurred_at":"2026-01-01T00:00:00Z","credential_id":"ck","environment":"sandbox","product":"pay","endpoint":"/v1/pay","method":"GET","status":429,"latency_ms":12.5,"request_bytes":10,"response_bytes":20}"#;
        let mut plain = Trial::new(Stream::ApiCalls, None);
        let mapping = Mapping::built_in("kong-http-log").expect("a recipe");
        let mut mapped = Trial::new(Stream::ApiCalls, Some(mapping));
        let run = |trial: &mut Trial, value: &[u8]| {
            let record = TrialRecord {
                value,
                key: None,
                headers: &[],
                topic: "t",
                position: "t/0/0",
                arrival: 1_780_272_000_000_000,
            };
            match trial.run(&record).result {
                TrialResult::Accepted(fields) => fields,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(run(&mut mapped, &kong_record(call)), run(&mut plain, call));
    }

    #[test]
    fn what_is_no_call_stays_as_it_is() {
        for text in [&b"{broken"[..], b"", b"[1]"] {
            assert_eq!(kong_record(text), text);
        }
    }
}
