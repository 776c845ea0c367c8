//! The kinds of answers: pages, files, JSON and errors.

use std::time::Duration;

use axum::Json;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    RETRY_AFTER, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use dashboards::MessagePage;
use serde_json::json;
use subprocess::ChromiumError;

use crate::data_source::SourceError;
use crate::live_reports::RenderedPage;

/// What a browser asks again each time, with the validator of what it has.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Why something is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// What went wrong, as a sentence without its full stop.
    pub(crate) why: String,
    /// Whether a program asked, which reads JSON.
    pub(crate) is_api: bool,
    /// The seconds after which the same request may be answered.
    pub(crate) retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), is_api: false, retry_after: None }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing at this address")
    }

    pub(crate) fn invalid(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    /// Refuses what comes more often than it may; `what` says what that is.
    pub(crate) fn too_many(what: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let why = format!("Too many {what} in a short time: try again in {seconds} s");
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, why) }
    }

    /// Returns the refusal for a program.
    pub(crate) fn for_api(self) -> Self {
        Self { is_api: true, ..self }
    }
}

impl From<SourceError> for Refusal {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Invalid(why) => Self::new(StatusCode::BAD_REQUEST, why),
            SourceError::NoData(why) => Self::new(StatusCode::SERVICE_UNAVAILABLE, why),
            SourceError::Gone(why) => Self::new(StatusCode::GONE, why),
            SourceError::Failed(why) => {
                tracing::warn!(%why, "the lake could not answer");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, why)
            }
        }
    }
}

impl From<ChromiumError> for Refusal {
    fn from(error: ChromiumError) -> Self {
        match error {
            ChromiumError::Missing => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            ChromiumError::TimedOut | ChromiumError::Failed(_) => {
                tracing::warn!(%error, "no file was made");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let retry_after = self.retry_after;
        let mut response = self.body();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl Refusal {
    fn body(self) -> Response {
        if self.is_api {
            let body = json!({ "error": { "status": self.status.as_u16(), "message": self.why } });
            return (self.status, Json(body)).into_response();
        }
        let (title, next) = match self.status {
            StatusCode::NOT_FOUND => ("Not found", Some(("/", "To the overview"))),
            // That is not the overview for everybody.
            StatusCode::FORBIDDEN => ("Not for this role", Some(("/", "To the first page"))),
            StatusCode::GONE => ("No longer there", Some(("/", "To the newest figures"))),
            StatusCode::TOO_MANY_REQUESTS => ("Too many requests", None),
            StatusCode::SERVICE_UNAVAILABLE => ("Not available now", None),
            _ => ("This does not work", Some(("/", "To the overview"))),
        };
        let page = MessagePage { title, text: &self.why, next, ..MessagePage::default() };
        (self.status, Html(page.html())).into_response()
    }
}

/// Returns a page, or that the browser has it already.
pub(crate) fn page(page: &RenderedPage, request: &HeaderMap) -> Response {
    let takes_gzip = takes_gzip(request);
    let body = || if takes_gzip { page.gzip.clone() } else { page.html.clone() };
    let mut answer = validated("text/html; charset=utf-8", &page.etag, request, body);
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding, cookie"));
    if takes_gzip && answer.status() == StatusCode::OK {
        answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// Returns whether whoever asks takes gzip (RFC 9110, section 12.5.3).
fn takes_gzip(request: &HeaderMap) -> bool {
    let accepted = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let quality = quality.trim().trim_start_matches("q=").parse::<f64>();
        name.trim().eq_ignore_ascii_case("gzip") && quality.is_ok_and(|quality| quality > 0.0)
    })
}

/// Returns a body with a validator, or that the browser has it already.
fn validated(
    kind: &'static str,
    etag: &str,
    request: &HeaderMap,
    body: impl FnOnce() -> bytes::Bytes,
) -> Response {
    let opaque = |etag: &str| etag.trim().trim_start_matches("W/").to_owned();
    let is_same = |known: &str| opaque(known) == opaque(etag);
    let known = request.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_known = known.is_some_and(|all| all.split(',').any(is_same));
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, ASK_AGAIN);
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, etag);
    }
    if is_known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    (headers, body()).into_response()
}

/// Returns a file to keep, with its name.
pub(crate) fn file(kind: &'static str, name: &str, body: impl Into<bytes::Bytes>) -> Response {
    let disposition = HeaderName::from_static("content-disposition");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, ASK_AGAIN);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(disposition, value);
    }
    (headers, body.into()).into_response()
}

/// Returns a part of every page, such as the style sheet.
pub(crate) fn asset(kind: &'static str, body: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ];
    (headers, body).into_response()
}
