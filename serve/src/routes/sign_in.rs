//! The page to sign in, signing in with a token, and out.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Form, http::header::CACHE_CONTROL};
use axum_extra::extract::cookie::SignedCookieJar;
use chrono::Utc;
use dashboards::MessagePage;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::access::people::token_sha256;
use crate::access::rate_limits::Limited;
use crate::access::session::Identity;
use crate::answer::Refusal;
use crate::routes::openid;
use crate::server::App;

#[derive(Deserialize)]
pub(super) struct ReturnTo {
    #[serde(default)]
    pub(super) return_to: String,
}

#[derive(Deserialize)]
pub(super) struct SignIn {
    token: String,
    #[serde(default)]
    return_to: String,
}

pub(super) async fn form(State(app): State<Arc<App>>, Query(query): Query<ReturnTo>) -> Response {
    page(&app, "", &query.return_to, StatusCode::OK)
}

/// Returns the page to sign in, with a text that says why it did not work before.
pub(super) fn page(app: &App, text: &str, return_to: &str, status: StatusCode) -> Response {
    let return_to = own_path(return_to);
    let provider = app.openid_settings().map(|settings| settings.name);
    let address = utf8_percent_encode(return_to, NON_ALPHANUMERIC);
    let address = format!("/sign-in/openid?return_to={address}");
    let page = MessagePage {
        title: "Sign in",
        text,
        has_sign_in: true,
        provider: provider.as_deref().map(|name| (name, address.as_str())),
        return_to,
        ..MessagePage::default()
    };
    (status, [(CACHE_CONTROL, "no-store")], Html(page.html())).into_response()
}

pub(super) async fn sign_in(
    State(app): State<Arc<App>>,
    extensions: Extensions,
    headers: HeaderMap,
    Form(form): Form<SignIn>,
) -> Result<Response, Refusal> {
    let (sha256, now) = (token_sha256(form.token.trim()), Utc::now());
    let address = app.client_address(extensions.get(), &headers);
    app.check_limit(Limited::SignIn, None, address)?;
    let today = now.date_naive();
    let person = app.find_person(|people| people.of_token(&sha256, today).cloned()).flatten();
    let Some(person) = person else {
        let why = "This token is unknown or no longer valid";
        return Ok(page(&app, why, &form.return_to, StatusCode::UNAUTHORIZED));
    };
    app.check_limit(Limited::SignIn, Some(&person.name), None)?;
    let jar = SignedCookieJar::from_headers(&headers, app.cookies.key.clone());
    let jar = app.cookies.sign_in(jar, &Identity::Token(sha256), now);
    Ok((jar, Redirect::to(own_path(&form.return_to))).into_response())
}

pub(super) async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let jar = SignedCookieJar::from_headers(&headers, app.cookies.key.clone());
    let is_of_provider = matches!(app.cookies.identity(&jar, Utc::now()), Some(Identity::Login(_)));
    let id_token = app.cookies.id_token(&jar);
    let jar = app.cookies.sign_out(jar);
    if is_of_provider
        && let Some(answer) = openid::sign_out(&app, jar.clone(), id_token.as_deref()).await
    {
        return answer;
    }
    (jar, Redirect::to("/sign-in")).into_response()
}

/// Returns the path if it is one of this server. `//host` and `/\host` lead browsers elsewhere.
pub(super) fn own_path(path: &str) -> &str {
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
