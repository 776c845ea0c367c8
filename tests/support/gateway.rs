//! A small server that speaks the part of Kong's Admin API that a quota needs, with its state.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tiny_http::{Method, Response, Server};

/// What the gateway has and has seen.
#[derive(Default)]
pub(crate) struct GatewayState {
    /// The limit of each consumer, calls a minute.
    pub(crate) limits: BTreeMap<String, i64>,
    /// The limits that were written, in their order.
    pub(crate) writes: Vec<(String, i64)>,
    /// Answers every request with 503.
    pub(crate) is_down: bool,
}

/// The server. It ends with the test.
pub(crate) struct Gateway {
    server: Arc<Server>,
    pub(crate) state: Arc<Mutex<GatewayState>>,
}

impl Gateway {
    /// Starts a gateway with these limits.
    pub(crate) fn start(limits: &[(&str, i64)]) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").expect("a port"));
        let limits = limits.iter().map(|(id, limit)| ((*id).to_owned(), *limit)).collect();
        let state = Arc::new(Mutex::new(GatewayState { limits, ..GatewayState::default() }));
        let gateway = Self { server: Arc::clone(&server), state: Arc::clone(&state) };
        std::thread::spawn(move || {
            for mut request in server.incoming_requests() {
                let mut body = String::new();
                request.as_reader().read_to_string(&mut body).expect("a body");
                let (status, answer) = answer(
                    &mut state.lock().expect("state"),
                    request.method(),
                    request.url(),
                    &body,
                );
                let response = Response::from_string(answer.to_string()).with_status_code(status);
                // A client that was killed takes no answer.
                let _ = request.respond(response);
            }
        });
        gateway
    }

    /// Returns the lines of `rapport.toml` that send quotas here.
    pub(crate) fn configuration(&self) -> String {
        let address = self.server.server_addr();
        format!(
            "\n[[actions.channels]]\nname = \"kong\"\n\
             kind = \"template\"\ntemplate = \"kong\"\nurl = \"http://{address}\"\n\
             timeout_seconds = 5\n"
        )
    }

    pub(crate) fn limit(&self, consumer: &str) -> Option<i64> {
        self.state.lock().expect("state").limits.get(consumer).copied()
    }

    pub(crate) fn set_limit(&self, consumer: &str, limit: i64) {
        self.state.lock().expect("state").limits.insert(consumer.to_owned(), limit);
    }

    pub(crate) fn writes(&self) -> Vec<(String, i64)> {
        self.state.lock().expect("state").writes.clone()
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.state.lock().expect("state").is_down = is_down;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

fn answer(state: &mut GatewayState, method: &Method, url: &str, body: &str) -> (u16, Value) {
    if state.is_down {
        return (503, json!({"message": "Service unavailable"}));
    }
    let path = url.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (consumer, plugin) = match parts.as_slice() {
        ["consumers", consumer, "plugins"] => ((*consumer).to_owned(), None),
        ["consumers", consumer, "plugins", id] => ((*consumer).to_owned(), Some((*id).to_owned())),
        _ => return (404, json!({"message": "Not found"})),
    };
    let shown = |id: &str, limit: i64| {
        json!({"id": id, "name": "rate-limiting", "service": null, "route": null,
               "consumer": {"id": consumer}, "config": {"minute": limit, "policy": "redis"}})
    };
    match (method, plugin) {
        (Method::Get, None) => {
            let limit = state.limits.get(&consumer);
            let data: Vec<Value> = limit
                .iter()
                .map(|limit| shown("00000000-0000-4000-8000-000000000001", **limit))
                .collect();
            (200, json!({"data": data, "next": null}))
        }
        (Method::Patch | Method::Put, Some(id)) => {
            let sent: Value = serde_json::from_str(body).unwrap_or_default();
            let Some(limit) = sent["config"]["minute"].as_i64() else {
                return (400, json!({"message": "schema violation"}));
            };
            state.limits.insert(consumer.clone(), limit);
            state.writes.push((consumer.clone(), limit));
            (200, shown(&id, limit))
        }
        _ => (405, json!({"message": "Method not allowed"})),
    }
}
