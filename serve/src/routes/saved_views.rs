//! The views of the list of partners that readers save, each for themselves.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Form, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::SignedCookieJar;
use dashboards::Notice;
use serde::Deserialize;

use crate::answer::Refusal;
use crate::data_source::SourceError;
use crate::routes::pages::{LIST, list_query, parameters};
use crate::routes::reader::Reader;
use crate::server::App;
use crate::view::View;

/// The longest name of a view in characters.
const MAX_NAME: usize = 60;
/// The most views of a person.
const MAX_VIEWS: usize = 50;

/// The fields of the form that saves a view.
#[derive(Deserialize)]
pub(super) struct NewView {
    name: String,
    /// The view of the page as one segment of a path.
    view: String,
    /// The query of the page.
    query: String,
}

/// The field of the form that deletes a view.
#[derive(Deserialize)]
pub(super) struct ViewName {
    name: String,
}

type Parts = (State<Arc<App>>, Extension<Reader>, HeaderMap);

pub(super) async fn save(
    (State(app), Extension(reader), headers): Parts,
    Form(form): Form<NewView>,
) -> Result<Response, Refusal> {
    // What is saved is written anew, so that a link leads to the list and nowhere else.
    let view = View::of_segment(&form.view).map_err(Refusal::invalid)?;
    let query = list_query(&parameters(&form.query))?.url_query(0);
    let path = view.path(&format!("{LIST}?{query}"));
    let (name, by) = (form.name.trim(), &reader.person.name);
    let saved = match checked_name(name) {
        Err(why) => Err(SourceError::Invalid(why)),
        Ok(()) => {
            let known = app.source.saved_views(by).await?;
            let is_new = known.iter().all(|view| view.name != name);
            if is_new && known.len() >= MAX_VIEWS {
                let why = format!("you have {MAX_VIEWS} views; delete one first");
                Err(SourceError::Invalid(why))
            } else {
                app.save_view(name, Some(&path), by).await
            }
        }
    };
    answer(&app, &headers, saved, &format!("Saved as {name}"), &path)
}

pub(super) async fn delete(
    (State(app), Extension(reader), headers): Parts,
    Form(form): Form<ViewName>,
) -> Result<Response, Refusal> {
    let deleted = app.save_view(&form.name, None, &reader.person.name).await;
    answer(&app, &headers, deleted, &format!("Deleted {}", form.name), &format!("/{LIST}"))
}

/// Leads to the list, which says what became of the form.
fn answer(
    app: &App,
    headers: &HeaderMap,
    done: Result<(), SourceError>,
    text: &str,
    path: &str,
) -> Result<Response, Refusal> {
    let notice = match done {
        Ok(()) => Notice { text: text.to_owned(), is_error: false },
        Err(SourceError::Failed(why)) => return Err(SourceError::Failed(why).into()),
        Err(error) => Notice { text: format!("Nothing was saved: {error}"), is_error: true },
    };
    let jar = SignedCookieJar::from_headers(headers, app.cookies.key.clone());
    let jar = app.cookies.keep_notice(jar, &notice);
    Ok((jar, Redirect::to(path)).into_response())
}

/// Refuses a name that no link could show.
fn checked_name(name: &str) -> Result<(), String> {
    match name.chars().count() {
        0 => Err("the view needs a name".to_owned()),
        1..=MAX_NAME if name.chars().any(char::is_control) => {
            Err("the name has a character that can't be shown".to_owned())
        }
        1..=MAX_NAME => Ok(()),
        length => Err(format!("the name has {length} characters, and {MAX_NAME} are the most")),
    }
}
