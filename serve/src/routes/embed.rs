//! The usage page of a partner inside the pages of that partner, at a URL that expires. Whoever has the
//! URL sees the page; no cookie counts or is set.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use chrono::Utc;
use dashboards::{LivePage, MessagePage, Report};
use serde::Deserialize;

use crate::access::embed::InvalidGrant;
use crate::answer;
use crate::headers::Framed;
use crate::server::App;
use crate::view::View;

#[derive(Deserialize)]
pub(super) struct Grant {
    grant: String,
}

type Parts = (State<Arc<App>>, Path<Grant>);

/// Why an embedded page shows nothing.
struct EmbedRefusal {
    status: StatusCode,
    title: &'static str,
    why: String,
}

impl EmbedRefusal {
    fn no_usage() -> Self {
        let why = "This partner has no usage to show".to_owned();
        Self { status: StatusCode::NOT_FOUND, title: "Not found", why }
    }
}

impl From<InvalidGrant> for EmbedRefusal {
    fn from(invalid: InvalidGrant) -> Self {
        match invalid {
            InvalidGrant::Altered => Self {
                status: StatusCode::NOT_FOUND,
                title: "This link does not work",
                why:
                    "The address is incomplete, was changed, or no longer counts: ask for a new one"
                        .to_owned(),
            },
            InvalidGrant::Expired(until) => Self {
                status: StatusCode::GONE,
                title: "This link has expired",
                why: format!(
                    "It was valid until {} UTC: ask for a new one",
                    until.format("%Y-%m-%d %H:%M")
                ),
            },
        }
    }
}

impl IntoResponse for EmbedRefusal {
    fn into_response(self) -> Response {
        let page = MessagePage { title: self.title, text: &self.why, ..MessagePage::default() };
        (self.status, Html(page.html())).into_response()
    }
}

/// Returns the report, and the partner whose usage it shows.
async fn usage(
    (State(app), Path(Grant { grant })): Parts,
) -> Result<(Arc<Report>, String), EmbedRefusal> {
    let partner = app.embed.partner(&grant, Utc::now())?;
    let report = app.reports.report(&View::default()).await.map_err(|error| {
        // What is wrong with the lake is for its operators.
        tracing::warn!(%error, "an embedded page can't be shown");
        EmbedRefusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "Not available now",
            why: "The usage can't be read at the moment: try again later".to_owned(),
        }
    })?;
    Ok((report, partner))
}

async fn page_of(parts: Parts) -> Result<Response, EmbedRefusal> {
    let (report, partner) = usage(parts).await?;
    let live = LivePage { is_for_partner: true, ..LivePage::default() };
    let page = tokio::task::spawn_blocking(move || report.usage_page(&partner, &live)).await;
    let page = page.ok().flatten().ok_or_else(EmbedRefusal::no_usage)?;
    Ok(Html(page).into_response())
}

async fn csv_of(parts: Parts) -> Result<Response, EmbedRefusal> {
    let (report, partner) = usage(parts).await?;
    let csv = report.usage_csv(&partner).ok_or_else(EmbedRefusal::no_usage)?;
    Ok(answer::file("text/csv; charset=utf-8", "usage.csv", csv))
}

pub(super) async fn page(parts: Parts) -> Response {
    framed(page_of(parts).await)
}

pub(super) async fn csv(parts: Parts) -> Response {
    framed(csv_of(parts).await)
}

/// Lets the sites of the configuration show an answer inside their pages. Nothing keeps it beyond the
/// end of the URL.
fn framed(answer: Result<Response, EmbedRefusal>) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(Framed);
    response
}
