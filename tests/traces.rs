//! Traces of the program, as an OpenTelemetry collector receives them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;
use tiny_http::{Response, Server};

use crate::support::program::{Project, run};

/// A value that stands in no message.
const TOKEN: &str = "Bearer c0llect0r-s3cret";

const CALL: &str = r#"{"event_id":"e1","partner_id":"p1","occurred_at":"2026-02-03T04:05:06Z","environment":"production","status":200}
"#;

/// A collector. It ends with the test.
struct Collector {
    server: Arc<Server>,
    requests: Receiver<(String, Value)>,
}

impl Collector {
    fn start() -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").expect("a port"));
        let (sender, requests) = channel();
        let listening = Arc::clone(&server);
        std::thread::spawn(move || {
            for mut request in listening.incoming_requests() {
                let mut body = String::new();
                request.as_reader().read_to_string(&mut body).expect("a body");
                let body = serde_json::from_str(&body).expect("JSON");
                let header = request.headers().iter().find(|h| h.field.equiv("authorization"));
                let header = header.map(|header| header.value.as_str().to_owned());
                let line = format!("{} {}", request.url(), header.unwrap_or_default());
                drop(sender.send((line, body)));
                drop(request.respond(Response::from_string("{}")));
            }
        });
        Self { server, requests }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.server_addr())
    }

    /// Returns the spans that came so far.
    fn spans(&self) -> Vec<Value> {
        let mut spans = Vec::new();
        for (line, body) in self.requests.try_iter() {
            assert_eq!(line, format!("/v1/traces {TOKEN}"));
            let resource = &body["resourceSpans"][0];
            let service = &resource["resource"]["attributes"][0];
            assert_eq!(service["key"], "service.name");
            assert_eq!(service["value"]["stringValue"], "rapport");
            let ours = resource["scopeSpans"][0]["spans"].as_array().expect("spans");
            spans.extend(ours.iter().cloned());
        }
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

fn project() -> Project {
    let project = Project::new();
    project.write("calls.ndjson", CALL);
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "calls.ndjson"]);
    project
}

const METRICS_RUN: [&str; 6] = ["metrics", "run", "funnel", "--as-of", "2026-02-04", "--quiet"];

#[test]
fn what_a_command_does_is_sent_to_the_collector() {
    let collector = Collector::start();
    let project = project();
    let mut command = project.command(&METRICS_RUN);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={TOKEN}"));
    let traced = run(command).expect_success();
    let spans = collector.spans();
    let rollup = spans.iter().find(|span| span["name"] == "rollup");
    let rollup = rollup.unwrap_or_else(|| panic!("{spans:?}"));
    assert_eq!(rollup["attributes"][0]["key"], "rollup", "{rollup}");
    let number = |key: &str| -> u128 {
        rollup[key].as_str().and_then(|text| text.parse().ok()).expect("an instant")
    };
    assert!(number("startTimeUnixNano") <= number("endTimeUnixNano"), "{rollup}");
    assert_eq!(rollup["spanId"].as_str().map(str::len), Some(16), "{rollup}");
    assert!(!traced.stderr.contains(TOKEN), "{traced}");
    // Without the setting nothing is sent, and the answer is the same.
    assert_eq!(run(project.command(&METRICS_RUN)).expect_success().stdout, traced.stdout);
    assert_eq!(collector.spans(), Vec::<Value>::new());
}

#[test]
fn a_collector_that_is_away_holds_nothing_up() {
    let project = project();
    let mut command = project.command(&METRICS_RUN);
    // Nothing listens at port 1.
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let answer = run(command).expect_success();
    assert!(answer.stderr.contains("takes no traces; the work goes on"), "{answer}");
    let mut command = project.command(&METRICS_RUN);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "no URL");
    run(command).expect_success();
}
