//! Listening, and the limits of requests.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA512, digest};
use aws_lc_rs::hmac;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Router, ServiceExt};
use axum_extra::extract::cookie::Key;
use dashboards::SavedView;
use moka::future::Cache;
use subprocess::Chromium;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use tracing::Instrument;
use tracing::field::Empty;

use crate::access::database_access::DatabaseAccess;
use crate::access::embed::{Embed, EmbedSettings};
use crate::access::openid::provider::Provider;
use crate::access::openid::settings::OpenIdSettings;
use crate::access::people::{People, Person};
use crate::access::rate_limits::{LimitClock, LimitSettings, Limited, RateLimits, Requester};
use crate::access::session::Cookies;
use crate::access::{client_address, cross_site, local_host, signing_key};
use crate::answer::Refusal;
use crate::data_source::{DataSource, SourceError};
use crate::headers;
use crate::http_metrics::HttpMetrics;
use crate::live_reports::{CacheSizes, LiveReports};
use crate::query_history::QueryHistories;
use crate::routes;

/// The largest body of a request: the longest form has a few thousand characters.
const MAX_BODY_BYTES: usize = 64 << 10;
/// A request that takes longer is given up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the saved views of a person are in memory, and of how many persons.
const SAVED_VIEWS_KEPT: Duration = Duration::from_secs(30);
const MAX_READERS: u64 = 10_000;
/// How long requests under way may take when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Who is let in.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everybody on this machine does everything, under this name.
    Owner(String),
    /// The people of `access.toml`.
    People(People),
}

/// How the server listens and what it keeps.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    pub address: SocketAddr,
    pub access: Access,
    /// Whether a proxy in front of the server ends TLS, so that browsers reach it by HTTPS.
    pub is_behind_tls: bool,
    /// 32 secret bytes or more, from which the keys of cookies and of URLs are derived. `None`: random
    /// ones, so that everybody signs in again after a restart, and no URL of an embedded page counts.
    pub secret: Option<Vec<u8>>,
    /// How often the lake is looked at for new data.
    pub refresh_every: Duration,
    /// The rows of partners, a few hundred bytes each, in reports of other days and filters in memory.
    pub report_rows: u64,
    /// The bytes of rendered pages in memory.
    pub page_bytes: u64,
    /// The program that makes PDF and PNG files, if there is one.
    pub chromium: Option<PathBuf>,
    pub limits: LimitSettings,
    pub embed: EmbedSettings,
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("can't listen at {address}: {source}; choose another address with --listen")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("{0}")]
    Unsafe(&'static str),
    #[error("the first report can't be made: {0}")]
    FirstReport(SourceError),
    #[error("the server stopped: {0}")]
    Stopped(std::io::Error),
}

/// What every route uses.
pub(crate) struct App {
    pub(crate) source: Arc<dyn DataSource>,
    pub(crate) reports: LiveReports,
    pub(crate) access: RwLock<Access>,
    pub(crate) cookies: Cookies,
    pub(crate) metrics: HttpMetrics,
    pub(crate) histories: QueryHistories,
    pub(crate) chromium: Chromium,
    /// By person. What another server has saved is seen a little later.
    saved_views: Cache<String, Arc<Vec<SavedView>>>,
    pub(crate) limits: RateLimits,
    pub(crate) embed: Embed,
    pub(crate) provider: Provider,
    /// What the values of an attempt to sign in at the provider are derived by.
    pub(crate) attempt_key: hmac::Key,
    /// What verifiers of users who do not exist are made with.
    pub(crate) database_key: hmac::Key,
    pub(crate) is_behind_tls: bool,
}

impl App {
    pub(crate) fn new(source: Arc<dyn DataSource>, options: &ServeOptions) -> Self {
        let random = signing_key::random::<32>();
        let secret = options.secret.as_deref().filter(|secret| secret.len() >= 32);
        let secret = secret.unwrap_or(&random);
        let key = Key::from(digest(&SHA512, secret).as_ref());
        let sizes = CacheSizes { report_rows: options.report_rows, page_bytes: options.page_bytes };
        Self {
            reports: LiveReports::new(Arc::clone(&source), sizes),
            source,
            access: RwLock::new(options.access.clone()),
            cookies: Cookies { key, is_secure: options.is_behind_tls },
            metrics: HttpMetrics::new(),
            histories: QueryHistories::default(),
            chromium: Chromium::new(options.chromium.clone()),
            saved_views: Cache::builder()
                .max_capacity(MAX_READERS)
                .time_to_live(SAVED_VIEWS_KEPT)
                .build(),
            limits: RateLimits::new(options.limits, LimitClock::new(Instant::now)),
            attempt_key: signing_key::derive(secret, b"rapport serve openid"),
            database_key: signing_key::derive(secret, b"rapport serve database"),
            provider: Provider::default(),
            embed: Embed::new(secret, &options.embed),
            is_behind_tls: options.is_behind_tls,
        }
    }

    /// Returns the views of the list of partners that a person has saved: none while the lake can't
    /// be read.
    pub(crate) async fn saved_views(&self, by: &str) -> Vec<SavedView> {
        let read = async { self.source.saved_views(by).await.map(Arc::new) };
        match self.saved_views.try_get_with(by.to_owned(), read).await {
            Ok(views) => views.to_vec(),
            Err(error) => {
                tracing::warn!(%error, "the saved views can't be read");
                Vec::new()
            }
        }
    }

    /// Saves a view of a person. Without a path, the view is deleted.
    pub(crate) async fn save_view(
        &self,
        name: &str,
        path: Option<&str>,
        by: &str,
    ) -> Result<(), SourceError> {
        let saved = self.source.save_view(name, path, by).await;
        self.saved_views.invalidate(by).await;
        saved
    }

    /// Returns whoever does everything, where nobody needs to sign in.
    pub(crate) fn owner(&self) -> Option<Person> {
        match &*self.access.read().unwrap_or_else(PoisonError::into_inner) {
            Access::Owner(name) => Some(Person::owner(name)),
            Access::People(_) => None,
        }
    }

    /// Returns the address that a request comes from, which a request without a socket has not.
    pub(crate) fn client_address(
        &self,
        from: Option<&ConnectInfo<SocketAddr>>,
        headers: &HeaderMap,
    ) -> Option<IpAddr> {
        let peer = from?.0.ip();
        let of_proxy = self.find_person(|people| client_address::of(peer, headers, people.proxy()));
        Some(of_proxy.unwrap_or(peer))
    }

    /// Counts a request of somebody, by the person and the address that are known.
    pub(crate) fn check_limit(
        &self,
        what: Limited,
        person: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        let all = [
            person.map(|name| Requester::Person(name.to_owned())),
            address.map(Requester::of_address),
        ];
        for by in all.iter().flatten() {
            if let Err(wait) = self.limits.check(what, by) {
                tracing::warn!(?what, ?by, ?wait, "too many requests");
                let what = match what {
                    Limited::SignIn => "attempts to sign in",
                    Limited::Sql => "queries",
                };
                return Err(Refusal::too_many(what, wait));
            }
        }
        Ok(())
    }

    /// Returns the OpenID provider that people sign in at.
    pub(crate) fn openid_settings(&self) -> Option<OpenIdSettings> {
        self.find_person(|people| people.openid().cloned()).flatten()
    }

    /// Asks who there is.
    pub(crate) fn find_person<T>(&self, find: impl FnOnce(&People) -> T) -> Option<T> {
        match &*self.access.read().unwrap_or_else(PoisonError::into_inner) {
            Access::Owner(_) => None,
            Access::People(people) => Some(find(people)),
        }
    }
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    app: Arc<App>,
    refresh_every: Duration,
}

impl Server {
    /// Listens, and makes the first report.
    ///
    /// # Errors
    /// Fails when the address is taken, when others could reach the server without signing in or
    /// read along, and when the lake can't be read. A lake without events has no report yet.
    pub async fn start(
        source: Arc<dyn DataSource>,
        options: &ServeOptions,
    ) -> Result<Self, ServeError> {
        check_exposure(options)?;
        let address = options.address;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| ServeError::Listen { address, source })?;
        let app = Arc::new(App::new(source, options));
        match app.reports.refresh(chrono::Utc::now()).await {
            // The pages say what to do, and the first report follows the first events.
            Ok(_) | Err(SourceError::NoData(_)) => {}
            Err(error) => return Err(ServeError::FirstReport(error)),
        }
        Ok(Self { listener, app, refresh_every: options.refresh_every })
    }

    /// Returns where it listens; for port 0, with the port that the system chose.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Returns why there is no report yet, if that is so.
    pub fn missing_report(&self) -> Option<String> {
        match self.app.reports.newest() {
            Some(_) => None,
            None => self.app.reports.outage().map(|outage| outage.why),
        }
    }

    /// Returns what lets other people in from now on.
    pub fn replace_access(&self) -> impl Fn(Access) + Send + 'static {
        let app = Arc::clone(&self.app);
        move |access| *app.access.write().unwrap_or_else(PoisonError::into_inner) = access
    }

    /// Returns who may ask in SQL from a BI tool.
    pub fn database_access(&self) -> DatabaseAccess {
        DatabaseAccess::new(Arc::clone(&self.app))
    }

    /// Answers until `stop` is ready, and then finishes what it has begun, for a few seconds at
    /// most.
    ///
    /// # Errors
    /// Fails when the socket does.
    pub async fn run(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let refreshing = AbortOnDrop(tokio::spawn({
            let app = Arc::clone(&self.app);
            async move { app.reports.keep_fresh(self.refresh_every).await }
        }));
        let router = router(&self.app);
        let service =
            ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(router);
        let (stopped, is_stopped) = tokio::sync::oneshot::channel();
        let serving = axum::serve(self.listener, service).with_graceful_shutdown(async move {
            stop.await;
            let _ = stopped.send(());
        });
        let given_up = async move {
            let _ = is_stopped.await;
            tokio::time::sleep(STOP_TIMEOUT).await;
        };
        let served = tokio::select! {
            served = serving => served,
            () = given_up => Ok(()),
        };
        drop(refreshing);
        served.map_err(ServeError::Stopped)
    }
}

/// Refuses to be reached by others without a sign-in, or in plain text.
pub(crate) fn check_exposure(options: &ServeOptions) -> Result<(), ServeError> {
    let is_open = match &options.access {
        Access::Owner(_) => true,
        Access::People(people) => people.is_empty(),
    };
    if options.address.ip().is_loopback() {
        return Ok(());
    }
    if is_open {
        return Err(ServeError::Unsafe(
            "an address beyond this machine needs access.toml with the people who may sign in; \
             `rapport serve --new-token` makes a token",
        ));
    }
    if !options.is_behind_tls {
        return Err(ServeError::Unsafe(
            "an address beyond this machine needs a proxy in front that ends TLS: say so with \
             --behind-tls, or listen at 127.0.0.1",
        ));
    }
    Ok(())
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns all routes with their limits and headers.
pub(crate) fn router(app: &Arc<App>) -> Router {
    routes::all(app)
        .layer(middleware::from_fn(refuse_cross_site))
        .layer(middleware::from_fn_with_state(Arc::clone(app), refuse_other_names))
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST_TIMEOUT))
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(|_| {
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The server has a fault; its log says more",
            )
            .into_response()
        }))
        .layer(middleware::from_fn_with_state(Arc::clone(app), headers::add))
        .layer(middleware::from_fn_with_state(Arc::clone(app), count))
        .with_state(Arc::clone(app))
}

async fn refuse_cross_site(request: Request, next: Next) -> Response {
    if cross_site::is_allowed(request.method(), request.headers()) {
        return next.run(request).await;
    }
    Refusal::new(StatusCode::FORBIDDEN, "A page of another site has sent this form").into_response()
}

async fn refuse_other_names(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.owner().is_none() || local_host::is_named(request.headers()) {
        return next.run(request).await;
    }
    let why = "Where nobody signs in, the server answers to localhost and 127.0.0.1 only";
    Refusal::new(StatusCode::MISDIRECTED_REQUEST, why).into_response()
}

async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let (method, path) = (request.method().clone(), logged_path(request.uri().path()).to_owned());
    let from = app.client_address(request.extensions().get(), request.headers());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let pattern = route.as_ref().map_or("none", MatchedPath::as_str);
    let span = tracing::info_span!("request", %method, route = pattern, status = Empty);
    let response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    span.record("status", status);
    app.metrics.count(pattern, status, took);
    tracing::info!(%method, path, status, millis = took.as_millis(), ?from, "answered");
    response
}

/// Returns the path that the log shows. Whoever has the URL of an embedded page sees it, so that the log
/// has none.
pub(crate) fn logged_path(path: &str) -> &str {
    if path.starts_with("/embed/") { "/embed/…" } else { path }
}
