//! Queries of people, on the page of SQL.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Form, State};
use axum::http::Uri;
use axum::response::{Html, IntoResponse, Response};
use dashboards::{SqlPage, SqlResult};
use serde::Deserialize;

use crate::answer::{self, Refusal};
use crate::data_source::SourceError;
use crate::routes::pages::{live_page, view_of_path};
use crate::routes::reader::Reader;
use crate::server::App;

/// The fields of the form.
#[derive(Deserialize)]
pub(super) struct Question {
    sql: String,
}

pub(super) async fn ask(
    State(app): State<Arc<App>>,
    Extension(reader): Extension<Reader>,
    uri: Uri,
    Form(Question { sql }): Form<Question>,
) -> Result<Response, Refusal> {
    tracing::info!(by = reader.person.name, sql, "asked");
    let result = match app.source.sql(&sql).await {
        Ok(answer) => {
            SqlResult::Rows { columns: answer.columns, rows: answer.rows, is_cut: answer.is_cut }
        }
        Err(SourceError::Invalid(why)) => SqlResult::Refused(why),
        Err(error) => return Err(error.into()),
    };
    app.histories.add(&reader.person.name, &sql);
    let view = view_of_path(&uri)?;
    let report = app.reports.report(&reader.restricted(view.clone())).await?;
    let mut live = live_page(&app, &reader, &view, "ask.html", &report);
    let history = app.histories.of(&reader.person.name);
    live.sql = Some(SqlPage { query: sql, result: Some(result), history });
    let page = tokio::task::spawn_blocking(move || report.page("ask.html", &live)).await;
    let page = page.ok().flatten().ok_or_else(Refusal::not_found)?;
    Ok(Html(page).into_response())
}

pub(super) async fn csv(
    State(app): State<Arc<App>>,
    Extension(reader): Extension<Reader>,
    Form(Question { sql }): Form<Question>,
) -> Result<Response, Refusal> {
    tracing::info!(by = reader.person.name, sql, "asked");
    let answer = app.source.sql(&sql).await?;
    Ok(answer::file("text/csv; charset=utf-8", "answer.csv", answer.csv))
}
