//! Whether the server works, and its figures.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::Utc;

use crate::http_metrics::Now;
use crate::server::App;

/// Answers as long as the server runs.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Answers with 200 once there is a report.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    match app.reports.newest() {
        Some(_) => (StatusCode::OK, "ok\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "there is no report yet\n"),
    }
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let age = app.reports.newest().map(|newest| Utc::now() - newest.made_at);
    let now = Now {
        report_age: age.map(|age| age.to_std().unwrap_or(Duration::ZERO)),
        cached_pages: app.reports.cached_pages(),
        has_outage: app.reports.outage().is_some(),
    };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], app.metrics.text(&now)).into_response()
}
