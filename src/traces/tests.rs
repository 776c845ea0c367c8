//! Traces as a collector receives them.

use std::sync::mpsc::sync_channel;

use tracing_subscriber::prelude::*;

use super::otlp;
use super::settings::Settings;
use super::span_layer::{EndedSpan, SpanLayer};

fn settings(variables: &[(&str, &str)]) -> Option<Settings> {
    Settings::read(&|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn the_environment_names_the_collector() {
    #[track_caller]
    fn check(variables: &[(&str, &str)], expected: Option<(&str, &str, usize)>) {
        let found = settings(variables);
        let found = found.as_ref().map(|s| (s.url.as_str(), s.service.as_str(), s.headers.len()));
        assert_eq!(found, expected, "{variables:?}");
    }
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");
    check(&[], None);
    check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], None);
    check(&[endpoint], Some(("http://127.0.0.1:4318/v1/traces", "rapport", 0)));
    check(&[endpoint, ("OTEL_SDK_DISABLED", "true")], None);
    let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://host/t");
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer x, tenant=a");
    let name = ("OTEL_SERVICE_NAME", "nightly");
    check(&[endpoint, of_traces, headers, name], Some(("http://host/t", "nightly", 2)));
}

#[test]
fn spans_keep_their_parents_attributes_and_errors() {
    let (sender, ended) = sync_channel(8);
    let subscriber = tracing_subscriber::registry().with(SpanLayer::new(sender));
    tracing::subscriber::with_default(subscriber, || {
        let round = tracing::info_span!("round", number = 3);
        let _entered = round.enter();
        let stage = tracing::info_span!("ingest", topic = "calls", rows = tracing::field::Empty);
        stage.record("rows", 7);
        stage.in_scope(|| tracing::error!("the disk is full"));
    });
    let ended: Vec<EndedSpan> = ended.try_iter().collect();
    assert_eq!(ended.iter().map(|span| span.name).collect::<Vec<_>>(), ["ingest", "round"]);
    assert_eq!((ended[0].parent, ended[0].trace), (Some(ended[1].id), ended[1].trace));
    assert!(ended[1].parent.is_none() && ended[1].began <= ended[0].began);
    let request = otlp::request("rapport", &ended);
    let spans = &request["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(spans[0]["status"]["message"], "the disk is full");
    assert_eq!(spans[0]["status"]["code"], 2);
    assert_eq!(spans[0]["parentSpanId"], spans[1]["spanId"]);
    assert!(spans[0]["traceId"].as_str().is_some_and(|id| id.len() == 32));
    let attributes = spans[0]["attributes"].to_string();
    let expected = r#"[{"key":"topic","value":{"stringValue":"calls"}},{"key":"rows","value":{"intValue":"7"}}]"#;
    assert_eq!(attributes, expected);
    let service = &request["resourceSpans"][0]["resource"]["attributes"][0]["value"];
    assert_eq!(service["stringValue"], "rapport");
}
