//! What a partner itself sees: its own usage and nothing else.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use dashboards::{LivePage, Report};
use serde::Deserialize;

use crate::answer::{self, Refusal};
use crate::routes::reader::Reader;
use crate::server::App;
use crate::view::View;

#[derive(Deserialize)]
pub(super) struct Partner {
    partner: String,
}

type Parts = (State<Arc<App>>, Extension<Reader>, Path<Partner>);

/// Returns the report, the partner and what the page shows besides, if the reader may see it. A partner
/// that the reader may not see is one that does not exist.
async fn usage(parts: Parts) -> Result<(Arc<Report>, String, LivePage), Refusal> {
    let (State(app), Extension(reader), Path(Partner { partner })) = parts;
    if reader.person.partner.as_ref().is_some_and(|own| *own != partner) {
        return Err(Refusal::not_found());
    }
    let report = app.reports.report(&reader.restricted(View::default())).await?;
    let live =
        LivePage { is_for_partner: true, is_signed_in: reader.is_signed_in, ..LivePage::default() };
    Ok((report, partner, live))
}

pub(super) async fn page(parts: Parts) -> Result<Response, Refusal> {
    let (report, partner, live) = usage(parts).await?;
    let page = tokio::task::spawn_blocking(move || report.usage_page(&partner, &live)).await;
    let page = page.ok().flatten().ok_or_else(Refusal::not_found)?;
    Ok(Html(page).into_response())
}

pub(super) async fn csv(parts: Parts) -> Result<Response, Refusal> {
    let (report, partner, _) = usage(parts).await?;
    let csv = report.usage_csv(&partner).ok_or_else(Refusal::not_found)?;
    Ok(answer::file("text/csv; charset=utf-8", "usage.csv", csv))
}
