//! What is at which URL. Each route names the permission that it needs, and a test asks every route
//! in every role.
//!
//! - `reader`: who asks, and what they may see
//! - `pages`: the pages of the report and their data
//! - `decisions`: the forms by which people decide
//! - `ask`: queries of people
//! - `usage`: what a partner itself sees
//! - `embed`: the same inside the pages of the partner
//! - `api`: the same data as JSON
//! - `openapi`: the description of the API
//! - `saved_views`: the views of the list of partners that readers save
//! - `sign_in`: signing in and out
//! - `openid`: signing in at an OpenID provider
//! - `operation`: whether the server works, and its figures

mod api;
mod ask;
mod decisions;
mod embed;
mod openapi;
mod openid;
mod operation;
mod pages;
mod reader;
mod saved_views;
mod sign_in;
mod usage;

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::routing::{MethodRouter, get, post};

use crate::access::openid::settings::{CALLBACK_PATH, SIGNED_OUT_PATH};
use crate::access::role::Permission;
use crate::answer::Refusal;
use crate::server::App;

/// A route.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// The pattern of the path.
    pub(crate) path: &'static str,
    /// What it needs; `None` for what everybody may see.
    pub(crate) needs: Option<Permission>,
    handler: fn() -> MethodRouter<Arc<App>>,
}

const fn of(
    method: Method,
    path: &'static str,
    needs: Option<Permission>,
    handler: fn() -> MethodRouter<Arc<App>>,
) -> Route {
    Route { method, path, needs, handler }
}

const READ: Option<Permission> = Some(Permission::Read);
const DECIDE: Option<Permission> = Some(Permission::Decide);
const SQL: Option<Permission> = Some(Permission::Sql);
const USAGE: Option<Permission> = Some(Permission::Usage);

/// Every route.
pub(crate) static ROUTES: [Route; 46] = [
    of(Method::GET, "/healthz", None, || get(operation::healthz)),
    of(Method::GET, "/readyz", None, || get(operation::readyz)),
    of(Method::GET, "/metrics", Some(Permission::Operate), || get(operation::metrics)),
    of(Method::GET, "/style.css", None, || get(pages::style)),
    of(Method::GET, "/script.js", None, || get(pages::script)),
    of(Method::GET, "/view/{view}/style.css", None, || get(pages::style)),
    of(Method::GET, "/view/{view}/script.js", None, || get(pages::script)),
    of(Method::GET, "/sign-in", None, || get(sign_in::form)),
    of(Method::POST, "/sign-in", None, || post(sign_in::sign_in)),
    of(Method::GET, "/sign-in/openid", None, || get(openid::begin)),
    of(Method::GET, CALLBACK_PATH, None, || get(openid::finish)),
    of(Method::GET, SIGNED_OUT_PATH, None, || get(openid::signed_out)),
    of(Method::POST, "/sign-out", None, || post(sign_in::sign_out)),
    of(Method::GET, "/", READ, || get(pages::index)),
    of(Method::GET, "/{page}", READ, || get(pages::page)),
    of(Method::GET, "/ask.html", READ, || get(pages::ask)),
    of(Method::GET, "/view/{view}/ask.html", READ, || get(pages::ask)),
    of(Method::POST, "/ask.html", SQL, || post(ask::ask)),
    of(Method::POST, "/ask.csv", SQL, || post(ask::csv)),
    of(Method::POST, "/view/{view}/ask.html", SQL, || post(ask::ask)),
    of(Method::POST, "/view/{view}/ask.csv", SQL, || post(ask::csv)),
    of(Method::GET, "/usage/{partner}/usage.html", USAGE, || get(usage::page)),
    of(Method::GET, "/usage/{partner}/usage.csv", USAGE, || get(usage::csv)),
    of(Method::GET, "/embed/{grant}/usage.html", None, || get(embed::page)),
    of(Method::GET, "/embed/{grant}/usage.csv", None, || get(embed::csv)),
    of(Method::GET, "/partners/{file}", READ, || get(pages::partner)),
    of(Method::GET, "/sql/{file}", READ, || get(pages::query)),
    of(Method::GET, "/data/{file}", READ, || get(pages::data)),
    of(Method::GET, "/view/{view}/", READ, || get(pages::index)),
    of(Method::GET, "/view/{view}/{page}", READ, || get(pages::page)),
    of(Method::GET, "/view/{view}/partners/{file}", READ, || get(pages::partner)),
    of(Method::GET, "/view/{view}/sql/{file}", READ, || get(pages::query)),
    of(Method::GET, "/view/{view}/data/{file}", READ, || get(pages::data)),
    of(Method::POST, "/decisions/{kind}", DECIDE, || post(decisions::decide)),
    of(Method::POST, "/view/{view}/decisions/{kind}", DECIDE, || post(decisions::decide)),
    of(Method::POST, "/views/save", READ, || post(saved_views::save)),
    of(Method::POST, "/views/delete", READ, || post(saved_views::delete)),
    of(Method::GET, "/api/v1/openapi.json", READ, || get(openapi::document)),
    of(Method::GET, "/api/v1/freshness", READ, || get(api::freshness)),
    of(Method::GET, "/api/v1/metrics", READ, || get(api::metrics)),
    of(Method::GET, "/api/v1/metrics/{name}", READ, || get(api::metric)),
    of(Method::GET, "/api/v1/partners", READ, || get(api::partners)),
    of(Method::GET, "/api/v1/partners/{id}", READ, || get(api::partner)),
    of(Method::GET, "/api/v1/plan", READ, || get(api::plan)),
    of(Method::GET, "/api/v1/alerts", READ, || get(api::alerts)),
    of(Method::POST, "/api/v1/sql", SQL, || post(api::sql)),
];

/// Returns the router of all routes.
pub(crate) fn all(app: &Arc<App>) -> Router<Arc<App>> {
    let mut router = Router::new();
    for route in &ROUTES {
        let guarded = match route.needs {
            None => (route.handler)(),
            Some(needs) => reader::guarded((route.handler)(), app, needs, route.kind()),
        };
        router = router.route(route.path, guarded);
    }
    router.fallback(async || Refusal::not_found())
}

/// Who asks a route, and so how a refusal looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteKind {
    /// Programs, which read JSON.
    Api,
    /// People, who can sign in and then see the page.
    Page,
    /// People who have filled in a form.
    Form,
}

impl Route {
    fn kind(&self) -> RouteKind {
        match self.method == Method::GET {
            _ if self.path.starts_with("/api/") => RouteKind::Api,
            true => RouteKind::Page,
            false => RouteKind::Form,
        }
    }
}
