//! Who asks, and what they may see. A handler behind [`guarded`] gets the [`Reader`] as an extension.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::MethodRouter;
use axum_extra::extract::cookie::SignedCookieJar;
use chrono::Utc;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::access::people::{Person, token_sha256};
use crate::access::rate_limits::Limited;
use crate::access::role::Permission;
use crate::access::session::Identity;
use crate::answer::Refusal;
use crate::routes::RouteKind;
use crate::server::App;
use crate::view::{ESCAPED, View};

/// Whoever asks.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) person: Person,
    /// Whether the person has signed in by a form and can sign out.
    pub(crate) is_signed_in: bool,
}

impl Reader {
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.person.role.may(permission)
    }

    /// Returns the view that the person may see of the one asked for: a manager sees its own
    /// partners only, whatever the URL says.
    pub(crate) fn restricted(&self, mut view: View) -> View {
        if let Some(manager) = self.person.only_manager() {
            view.filters.insert("manager", manager.to_owned());
        }
        view
    }
}

/// Returns a route that only those get to who have a permission.
pub(super) fn guarded(
    route: MethodRouter<Arc<App>>,
    app: &Arc<App>,
    needs: Permission,
    kind: RouteKind,
) -> MethodRouter<Arc<App>> {
    let state = (Arc::clone(app), needs, kind);
    route.layer(middleware::from_fn_with_state(state, guard))
}

async fn guard(
    State((app, needs, kind)): State<(Arc<App>, Permission, RouteKind)>,
    mut request: Request,
    next: Next,
) -> Response {
    let refuse = |refusal: Refusal| {
        let is_api = kind == RouteKind::Api;
        if is_api { refusal.for_api() } else { refusal }.into_response()
    };
    let address = app.client_address(request.extensions().get(), request.headers());
    let Some(reader) = reader(&app, &request) else {
        // A token that nobody has is an attempt to sign in.
        if bearer(request.headers()).is_some()
            && let Err(refusal) = app.check_limit(Limited::SignIn, None, address)
        {
            return refuse(refusal);
        }
        if kind != RouteKind::Page {
            let why = "Sign in first, or send the header Authorization: Bearer TOKEN";
            return refuse(Refusal::new(StatusCode::UNAUTHORIZED, why));
        }
        let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
        let wanted = utf8_percent_encode(wanted, NON_ALPHANUMERIC);
        return Redirect::to(&format!("/sign-in?return_to={wanted}")).into_response();
    };
    if !reader.may(needs)
        && let Some(home) = own_home(&reader, request.uri().path())
    {
        return Redirect::to(&home).into_response();
    }
    if !reader.may(needs) {
        let why = format!("This is not for the role {}", reader.person.role.name());
        return refuse(Refusal::new(StatusCode::FORBIDDEN, why));
    }
    if needs == Permission::Sql
        && let Err(refusal) = app.check_limit(Limited::Sql, Some(&reader.person.name), address)
    {
        return refuse(refusal);
    }
    request.extensions_mut().insert(reader);
    next.run(request).await
}

/// Returns the page that the first page leads a partner to: that of its own usage. Whoever signs in
/// gets to the first page, and so do the links of refusals.
fn own_home(reader: &Reader, path: &str) -> Option<String> {
    let partner = reader.person.partner.as_deref().filter(|_| path == "/")?;
    Some(format!("/usage/{}/usage.html", utf8_percent_encode(partner, ESCAPED)))
}

/// Returns who asks: by a token in the header, by the trusted proxy, or by the cookie.
fn reader(app: &App, request: &Request) -> Option<Reader> {
    if let Some(person) = app.owner() {
        return Some(Reader { person, is_signed_in: false });
    }
    let (headers, now) = (request.headers(), Utc::now());
    let today = now.date_naive();
    let of_token =
        |sha256: &str| app.find_person(|people| people.of_token(sha256, today).cloned())?;
    if let Some(token) = bearer(headers) {
        let person = of_token(&token_sha256(token))?;
        return Some(Reader { person, is_signed_in: false });
    }
    if let Some(ConnectInfo(from)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let person = app.find_person(|people| people.of_proxy(from.ip(), header, today).cloned());
        if let Some(person) = person.flatten() {
            return Some(Reader { person, is_signed_in: false });
        }
    }
    let jar = SignedCookieJar::from_headers(headers, app.cookies.key.clone());
    let person = match app.cookies.identity(&jar, now)? {
        Identity::Token(sha256) => of_token(&sha256)?,
        Identity::Login(login) => {
            app.find_person(|people| people.of_openid(&login, today).cloned())??
        }
    };
    Some(Reader { person, is_signed_in: true })
}

/// Returns the token of the header `Authorization` (RFC 6750).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
