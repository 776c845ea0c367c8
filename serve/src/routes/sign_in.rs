//! Signing in with a token, and out.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Form, http::header::CACHE_CONTROL};
use axum_extra::extract::cookie::SignedCookieJar;
use chrono::Utc;
use dashboards::MessagePage;
use serde::Deserialize;

use crate::access::people::token_sha256;
use crate::server::App;

#[derive(Deserialize)]
pub(super) struct ReturnTo {
    #[serde(default)]
    return_to: String,
}

#[derive(Deserialize)]
pub(super) struct SignIn {
    token: String,
    #[serde(default)]
    return_to: String,
}

pub(super) async fn form(Query(query): Query<ReturnTo>) -> Response {
    page("", &query.return_to, StatusCode::OK)
}

fn page(text: &str, return_to: &str, status: StatusCode) -> Response {
    let return_to = own_path(return_to);
    let page = MessagePage {
        title: "Sign in",
        text,
        has_sign_in: true,
        return_to,
        ..MessagePage::default()
    };
    (status, [(CACHE_CONTROL, "no-store")], Html(page.html())).into_response()
}

pub(super) async fn sign_in(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(form): Form<SignIn>,
) -> Response {
    let (sha256, now) = (token_sha256(form.token.trim()), Utc::now());
    let is_known = app.find_person(|people| people.of_token(&sha256, now.date_naive()).is_some());
    if is_known != Some(true) {
        return page(
            "This token is unknown or no longer valid",
            &form.return_to,
            StatusCode::UNAUTHORIZED,
        );
    }
    let jar = SignedCookieJar::from_headers(&headers, app.cookies.key.clone());
    let jar = app.cookies.sign_in(jar, &sha256, now);
    (jar, Redirect::to(own_path(&form.return_to))).into_response()
}

pub(super) async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let jar = SignedCookieJar::from_headers(&headers, app.cookies.key.clone());
    (app.cookies.sign_out(jar), Redirect::to("/sign-in")).into_response()
}

/// Returns the path if it is one of this server. `//host` and `/\host` lead browsers elsewhere.
fn own_path(path: &str) -> &str {
    let mut rest = path.chars();
    let is_own = rest.next() == Some('/')
        && !matches!(rest.next(), Some('/' | '\\'))
        && !path.chars().any(char::is_control);
    if is_own { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        let check = |path: &str, expected: &str| assert_eq!(own_path(path), expected);
        check("/health.html?x=1", "/health.html?x=1");
        check("", "/");
        check("https://evil.example/", "/");
        check("//evil.example/", "/");
        check("/\\evil.example/", "/");
        check("/\n/evil.example", "/");
        check("javascript:alert(1)", "/");
    }
}
