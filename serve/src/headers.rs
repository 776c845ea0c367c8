//! The headers of every answer: what pages may load, and who may show them.

use std::sync::{Arc, LazyLock};

use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::server::App;

/// What a page may load: our own style sheet, script and images, and nothing else. No inline style or
/// script counts.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'";

/// Returns the content policy of pages that these sites may show inside their own.
pub(crate) fn content_policy(frame_ancestors: &str) -> HeaderValue {
    let policy = format!("{CONTENT_POLICY}; frame-ancestors {frame_ancestors}");
    // The sites are checked where they are read. Without a policy nothing may be loaded.
    HeaderValue::from_str(&policy)
        .unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
}

/// The content policy of pages that no site may show inside its own.
static PAGE_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| content_policy("'none'"));

/// Marks an answer that other sites may show inside their pages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Framed;

/// Adds the headers that every answer has.
pub(crate) async fn add(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let is_framed = response.extensions().get::<Framed>().is_some();
    let headers = response.headers_mut();
    let policy = if is_framed { app.embed.policy.clone() } else { PAGE_POLICY.clone() };
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    if !is_framed {
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    let fixed = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            if is_framed { "cross-origin" } else { "same-origin" },
        ),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if app.is_behind_tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}
