//! Signing in at an OpenID provider: the way there, and the way back.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::SignedCookieJar;
use chrono::Utc;
use dashboards::MessagePage;
use serde::Deserialize;

use crate::access::openid::OpenIdError;
use crate::access::openid::attempt::{Attempt, is_equal};
use crate::access::openid::provider::{SignedIn, error_code};
use crate::access::openid::settings::OpenIdSettings;
use crate::access::people::Person;
use crate::access::rate_limits::Limited;
use crate::access::session::Identity;
use crate::answer::Refusal;
use crate::routes::sign_in::{self, ReturnTo, own_path};
use crate::server::App;

/// What the provider sends a browser back with (RFC 6749, section 4.1.2, and RFC 9207).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Callback {
    code: String,
    state: String,
    error: String,
    iss: Option<String>,
}

/// Leads to the provider.
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(query): Query<ReturnTo>,
) -> Result<Response, Refusal> {
    let settings = app.openid_settings().ok_or_else(Refusal::not_found)?;
    let attempt = Attempt::new(own_path(&query.return_to));
    let secrets = attempt.secrets(&app.attempt_key);
    let url = match app.provider.authorization_url(&settings, &secrets).await {
        Ok(url) => url,
        Err(error) => return Ok(refused(&app, &settings, &error, &attempt.return_to)),
    };
    let jar = SignedCookieJar::from_headers(&headers, app.cookies.key.clone());
    let jar = app.cookies.keep_attempt(jar, &attempt, Utc::now());
    Ok((jar, Redirect::to(url.as_str())).into_response())
}

/// Signs in whoever comes back from the provider.
pub(super) async fn finish(
    State(app): State<Arc<App>>,
    extensions: Extensions,
    headers: HeaderMap,
    Query(callback): Query<Callback>,
) -> Result<Response, Refusal> {
    let settings = app.openid_settings().ok_or_else(Refusal::not_found)?;
    let jar = SignedCookieJar::from_headers(&headers, app.cookies.key.clone());
    let now = Utc::now();
    let attempt = app
        .cookies
        .attempt(&jar, now)
        .filter(|attempt| is_equal(&callback.state, &attempt.secrets(&app.attempt_key).state));
    let Some(attempt) = attempt else {
        let why = "This sign-in was begun in another browser or too long ago: begin again";
        return Ok(sign_in::page(&app, why, "/", StatusCode::BAD_REQUEST));
    };
    let address = app.client_address(extensions.get(), &headers);
    app.check_limit(Limited::SignIn, None, address)?;
    match signed_in(&app, &settings, &attempt, &callback).await {
        Ok((signed_in, person)) => {
            app.check_limit(Limited::SignIn, Some(&person.name), None)?;
            tracing::info!(by = person.name, "signed in at the OpenID provider");
            let jar = app.cookies.keep_id_token(jar, &signed_in.id_token);
            let jar = app.cookies.sign_in(jar, &Identity::Login(signed_in.login), now);
            let jar = app.cookies.drop_attempt(jar);
            Ok((jar, Redirect::to(own_path(&attempt.return_to))).into_response())
        }
        Err(error) => {
            let answer = refused(&app, &settings, &error, &attempt.return_to);
            Ok((app.cookies.drop_attempt(jar), answer).into_response())
        }
    }
}

/// Returns whoever the provider tells of, and which person that is here.
async fn signed_in(
    app: &App,
    settings: &OpenIdSettings,
    attempt: &Attempt,
    callback: &Callback,
) -> Result<(SignedIn, Person), OpenIdError> {
    let refuse = |why: String| Err(OpenIdError::Refused(why));
    // A provider that names itself is the one that was asked: codes of two are not mixed up.
    if callback.iss.as_ref().is_some_and(|issuer| *issuer != settings.issuer) {
        return refuse("the answer is of another provider".to_owned());
    }
    if !callback.error.is_empty() {
        return refuse(format!("it says {}", error_code(&callback.error)));
    }
    let (secrets, now) = (attempt.secrets(&app.attempt_key), Utc::now());
    let signed_in = app.provider.login(settings, &secrets, &callback.code, now).await?;
    let login = &signed_in.login;
    let today = now.date_naive();
    let person = app.find_person(|people| people.of_openid(login, today).cloned()).flatten();
    match person {
        Some(person) => Ok((signed_in, person)),
        None => refuse(format!("nobody here has the login {login}")),
    }
}

/// What the provider sends a browser back with after it signed out.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SignedOut {
    state: String,
}

/// Returns a page that leads to the provider, where the session ends too, or `None` if the provider
/// offers no such place or can't be asked. A form that led there itself would be stopped by the
/// content policy.
pub(super) async fn sign_out(
    app: &App,
    jar: SignedCookieJar,
    id_token: Option<&str>,
) -> Option<Response> {
    let settings = app.openid_settings()?;
    let attempt = Attempt::new("/");
    let state = attempt.secrets(&app.attempt_key).state;
    let url = app.provider.end_session_url(&settings, id_token, &state).await;
    let url = url.unwrap_or_else(|error| {
        tracing::warn!(%error, "somebody signed out here and not at the OpenID provider");
        None
    })?;
    let label = format!("Sign out at {}", settings.name);
    let text = format!("You are signed out here. Go on to sign out at {} too", settings.name);
    let page = MessagePage {
        title: "Signed out",
        text: &text,
        next: Some((url.as_str(), label.as_str())),
        goes_on: true,
        ..MessagePage::default()
    };
    let jar = app.cookies.keep_attempt(jar, &attempt, Utc::now());
    Some((jar, [(CACHE_CONTROL, "no-store")], Html(page.html())).into_response())
}

/// Greets whoever comes back after signing out at the provider.
pub(super) async fn signed_out(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(query): Query<SignedOut>,
) -> Result<Response, Refusal> {
    let settings = app.openid_settings().ok_or_else(Refusal::not_found)?;
    let jar = SignedCookieJar::from_headers(&headers, app.cookies.key.clone());
    let attempt = app.cookies.attempt(&jar, Utc::now());
    let is_own = attempt
        .is_some_and(|attempt| is_equal(&query.state, &attempt.secrets(&app.attempt_key).state));
    if !is_own {
        return Ok(Redirect::to("/sign-in").into_response());
    }
    let text = format!("You are signed out here and at {}", settings.name);
    let page = sign_in::page(&app, &text, "/", StatusCode::OK);
    Ok((app.cookies.drop_attempt(jar), page).into_response())
}

/// Returns the page to sign in, which says why the provider lets nobody in.
fn refused(app: &App, settings: &OpenIdSettings, error: &OpenIdError, return_to: &str) -> Response {
    tracing::warn!(%error, "nobody was signed in by the OpenID provider");
    let name = &settings.name;
    match error {
        OpenIdError::Refused(why) => {
            let why = format!("{name} does not let you in: {why}");
            sign_in::page(app, &why, return_to, StatusCode::UNAUTHORIZED)
        }
        // What exactly went wrong is for operators, in the log.
        OpenIdError::Unavailable(_) => {
            let why = format!("{name} can’t be asked at the moment: try again later");
            sign_in::page(app, &why, return_to, StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}
