//! Tests that ask the routes without a socket: every route in every role, forms, files, errors.
//!
//! - `embedding`: usage pages inside the pages of partners
//! - `limits`: requests that come too often

mod embedding;
mod limits;

use std::collections::BTreeMap;
use std::io::Read;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, ETAG, HOST, LOCATION,
    SET_COOKIE,
};
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use dashboards::{ChangeDecision, ChangeStatus, HealthRow, PlanRow, ReportInput, SavedView};
use domain::{ActionKind, Stage, Tier};
use flate2::read::GzDecoder;
use tower::ServiceExt;

use crate::access::embed::{Ancestors, EmbedSettings, new_embed};
use crate::access::people::token_sha256;
use crate::access::rate_limits::{LimitSettings, RateLimits};
use crate::access::role::{Permission, Role};
use crate::data_source::{DataSource, Decision, LakeState, SourceError, SqlAnswer};
use crate::routes::ROUTES;
use crate::server::{Access, App, ServeOptions, router};
use crate::view::View;
use crate::{People, Verdict};

/// A name that is markup, as an event may bring one.
const MARKUP: &str = "<script>alert(1)</script>";

/// A lake of two partners, each with its manager, that counts what it is asked.
#[derive(Default)]
struct FakeLake {
    version: Mutex<u64>,
    views: Mutex<Vec<View>>,
    decisions: Mutex<Vec<(Decision, String)>>,
    is_down: Mutex<bool>,
    /// By who saved it and its name.
    saved_views: Mutex<BTreeMap<(String, String), String>>,
    /// What a person decided on the change of the first partner.
    approved: Mutex<Option<bool>>,
}

impl FakeLake {
    fn fail_if_down(&self) -> Result<(), SourceError> {
        let is_down = *self.is_down.lock().expect("a lock");
        if is_down { Err(SourceError::Failed("the store is away".to_owned())) } else { Ok(()) }
    }
}

fn partner(id: &str, name: &str, manager: &str) -> HealthRow {
    HealthRow {
        partner_id: id.to_owned(),
        name: Some(name.to_owned()),
        manager: Some(manager.to_owned()),
        segment: Some("startup".to_owned()),
        as_of: "2026-06-01".parse().expect("a day"),
        plan: None,
        region: None,
        integration_level: None,
        stage: Stage::Live,
        tier: Tier::Watch,
        tier_since: None,
        computed_tier: Some(Tier::Watch),
        score: Some(61.5),
        coverage: Some(1.0),
        gate: None,
        risk: None,
        override_until: None,
        impact_share: None,
        impact_rank: None,
        top_reason: None,
        policy_version: "1".to_owned(),
        signals: Vec::new(),
    }
}

fn change(partner: &str) -> PlanRow {
    PlanRow {
        partner_id: partner.to_owned(),
        kind: ActionKind::RouteSupport,
        from: None,
        to: None,
        until: None,
        rule: "Help who struggles".to_owned(),
        rule_id: "help".to_owned(),
        why: "Help who struggles: errors".to_owned(),
        guardrails: Vec::new(),
        hits: Vec::new(),
        needs_approval: true,
        status: ChangeStatus { can_approve: true, can_reject: true, ..ChangeStatus::default() },
    }
}

#[async_trait]
impl DataSource for FakeLake {
    async fn state(&self) -> Result<LakeState, SourceError> {
        self.fail_if_down()?;
        let version = self.version.lock().expect("a lock").to_string();
        let as_of = "2026-06-01".parse().expect("a day");
        Ok(LakeState { as_of, versions: BTreeMap::from([("raw/api_calls".to_owned(), version)]) })
    }

    async fn report(&self, view: &View) -> Result<ReportInput, SourceError> {
        self.fail_if_down()?;
        self.views.lock().expect("a lock").push(view.clone());
        let manager = view.filters.get("manager");
        let mut health = vec![partner("p-1", MARKUP, "Mara"), partner("p-2", "Globex", "Tom")];
        health.retain(|row| manager.is_none_or(|manager| row.manager.as_ref() == Some(manager)));
        let mut input = ReportInput {
            as_of: view.as_of.unwrap_or("2026-06-01".parse().expect("a day")),
            currency: "USD".to_owned(),
            run: Some("7".to_owned()),
            plan: health.iter().map(|row| change(&row.partner_id)).collect(),
            health,
            ..ReportInput::default()
        };
        if let Some(is_approved) = *self.approved.lock().expect("a lock")
            && let Some(first) = input.plan.first_mut()
        {
            let at = "2026-06-01T10:00:00Z".parse().expect("an instant");
            let decision = ChangeDecision { is_approved, by: "Mara".to_owned(), at, reason: None };
            first.status = ChangeStatus {
                decision: Some(decision),
                can_approve: !is_approved,
                can_reject: is_approved,
                ..ChangeStatus::default()
            };
        }
        input.plan_facts.plan_id = "plan-1".to_owned();
        input.csv.insert("growth".to_owned(), "month,active\n2026-05-01,2\n".to_owned());
        Ok(input)
    }

    async fn sql(&self, query: &str) -> Result<SqlAnswer, SourceError> {
        match query {
            "SELECT 1" => Ok(SqlAnswer {
                columns: vec!["a".to_owned()],
                rows: vec![vec!["1".to_owned()]],
                ..SqlAnswer::default()
            }),
            _ => Err(SourceError::Invalid("only SELECT".to_owned())),
        }
    }

    async fn saved_views(&self, by: &str) -> Result<Vec<SavedView>, SourceError> {
        let all = self.saved_views.lock().expect("a lock").clone();
        let own = all.into_iter().filter(|((of, _), _)| of == by);
        Ok(own.map(|((_, name), path)| SavedView { name, path }).collect())
    }

    async fn save_view(&self, name: &str, path: Option<&str>, by: &str) -> Result<(), SourceError> {
        let mut all = self.saved_views.lock().expect("a lock");
        let key = (by.to_owned(), name.to_owned());
        match path {
            Some(path) => all.insert(key, path.to_owned()),
            None => all.remove(&key),
        };
        Ok(())
    }

    async fn decide(&self, decision: &Decision, by: &str) -> Result<String, SourceError> {
        self.decisions.lock().expect("a lock").push((decision.clone(), by.to_owned()));
        Ok("1 change approved".to_owned())
    }
}

fn token(role: Role) -> String {
    format!("rapport_{}", role.name())
}

/// Returns one person a role; the manager is Mara.
fn people() -> People {
    let mut text = String::new();
    for role in [Role::Leadership, Role::Manager, Role::Engineer, Role::Partner] {
        let name = if role == Role::Manager { "Mara" } else { role.name() };
        let digest = token_sha256(&token(role));
        text.push_str(&format!(
            "[[people]]\nname = \"{name}\"\nrole = \"{}\"\ntoken_sha256 = \"{digest}\"\n",
            role.name()
        ));
        if role == Role::Partner {
            text.push_str("partner = \"p-1\"\n");
        }
    }
    People::parse(&text).expect("people")
}

/// What the server signs with.
const SECRET: [u8; 32] = [7; 32];

/// Returns limits that no test meets by chance.
fn limits(per_minute: u32) -> LimitSettings {
    let per_minute = NonZeroU32::new(per_minute).expect("a number above 0");
    LimitSettings { sign_ins_per_minute: per_minute, sql_per_minute: per_minute }
}

struct Site {
    lake: Arc<FakeLake>,
    app: Arc<App>,
    router: Router,
}

impl Site {
    async fn new(access: Access) -> Self {
        Self::with_limits(access, None).await
    }

    /// Makes a site with limits of its own.
    async fn with_limits(access: Access, own: Option<RateLimits>) -> Self {
        let lake = Arc::new(FakeLake::default());
        let options = ServeOptions {
            address: "127.0.0.1:0".parse().expect("an address"),
            access,
            is_behind_tls: false,
            secret: Some(SECRET.to_vec()),
            refresh_every: Duration::from_secs(1),
            report_rows: 1 << 20,
            page_bytes: 1 << 20,
            chromium: None,
            limits: limits(1_000),
            embed: EmbedSettings {
                ancestors: Ancestors::parse(&["https://portal.example.com".to_owned()])
                    .expect("a site"),
                version: 1,
            },
        };
        let mut app = App::new(lake.clone(), &options);
        if let Some(own) = own {
            app.limits = own;
        }
        let app = Arc::new(app);
        app.reports.refresh(chrono::Utc::now()).await.expect("the first report");
        let router = router(&app);
        Self { lake, app, router }
    }

    async fn of_people() -> Self {
        Self::new(Access::People(people())).await
    }

    async fn of_owner() -> Self {
        Self::new(Access::Owner("ada".to_owned())).await
    }

    async fn ask(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.expect("an answer")
    }

    async fn get(&self, path: &str) -> Response {
        self.ask(request(Method::GET, path, None)).await
    }

    async fn post(&self, path: &str, form: &str) -> Response {
        self.ask(post(path, form)).await
    }
}

fn request(method: Method, path: &str, role: Option<Role>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
    if let Some(role) = role {
        request = request.header(AUTHORIZATION, format!("Bearer {}", token(role)));
    }
    request.body(Body::empty()).expect("a request")
}

fn post(path: &str, form: &str) -> Request<Body> {
    let request = Request::builder().method(Method::POST).uri(path).header(HOST, "localhost");
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.body(Body::from(form.to_owned())).expect("a request")
}

async fn text(answer: Response) -> String {
    let bytes = to_bytes(answer.into_body(), 1 << 24).await.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn header(answer: &Response, name: impl axum::http::header::AsHeaderName) -> String {
    let value = answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
    value.unwrap_or_default()
}

/// Returns the part of an embedded page's URL that lets one in, valid for some time from now.
fn grant(partner: &str, valid: chrono::TimeDelta) -> String {
    let path = new_embed(&SECRET, 1, partner, chrono::Utc::now() + valid);
    path.split('/').nth(2).expect("a grant").to_owned()
}

/// Returns a path that fits a pattern.
fn example(pattern: &str) -> String {
    pattern
        .replace("{view}", "segment=startup")
        .replace("{page}", "health.html")
        .replace("{partner}", "p-1")
        .replace("{grant}", &grant("p-1", chrono::TimeDelta::days(1)))
        .replace("{file}", "growth.csv")
        .replace("{kind}", "note")
        .replace("{name}", "growth")
        .replace("{id}", "p-1")
}

#[tokio::test]
async fn every_route_lets_in_whom_it_names_and_nobody_else() {
    let site = Site::of_people().await;
    for route in &ROUTES {
        let path = example(route.path);
        let of = |role| request(route.method.clone(), &path, role);
        let nobody = site.ask(of(None)).await;
        let what = format!("{} {path}", route.method);
        match route.needs {
            None => assert_ne!(nobody.status(), StatusCode::FORBIDDEN, "{what}"),
            Some(_) if route.method == Method::GET && !path.starts_with("/api/") => {
                assert_eq!(nobody.status(), StatusCode::SEE_OTHER, "{what}");
                assert!(header(&nobody, LOCATION).starts_with("/sign-in?return_to="), "{what}");
            }
            Some(_) => assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED, "{what}"),
        }
        for role in [Role::Leadership, Role::Manager, Role::Engineer, Role::Partner] {
            let status = site.ask(of(Some(role))).await.status();
            let is_in = status != StatusCode::FORBIDDEN && status != StatusCode::UNAUTHORIZED;
            let may = route.needs.is_none_or(|needs| role.may(needs));
            assert_eq!(is_in, may, "{what} as {}: {status}", role.name());
        }
    }
    // A token that nobody has lets nobody in, whatever the cookie says.
    let wrong = request(Method::GET, "/api/v1/plan", None);
    let (mut parts, body) = wrong.into_parts();
    parts.headers.insert(AUTHORIZATION, "Bearer rapport_guess".parse().expect("a value"));
    let answer = site.ask(Request::from_parts(parts, body)).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn roles_have_no_more_than_they_need() {
    let of = |role: Role| Permission::ALL.map(|permission| role.may(permission));
    // Read, decide, SQL, operate, usage.
    assert_eq!(of(Role::Leadership), [true, false, false, false, true]);
    assert_eq!(of(Role::Manager), [true, true, false, false, true]);
    assert_eq!(of(Role::Engineer), [true, false, true, true, true]);
    assert_eq!(of(Role::Partner), [false, false, false, false, true]);
    assert_eq!(of(Role::Owner), [true; 5]);
}

#[tokio::test]
async fn a_manager_sees_and_decides_on_its_own_partners_only() {
    let site = Site::of_people().await;
    let manager = |path: &str| request(Method::GET, path, Some(Role::Manager));
    let own = text(site.ask(manager("/partners.html")).await).await;
    assert!(own.contains("p-1") && !own.contains("p-2"), "{own}");
    let others = site.ask(manager("/partners/p-2.html")).await;
    assert_eq!(others.status(), StatusCode::NOT_FOUND);
    let others = text(site.ask(manager("/view/manager=Tom/partners.html")).await).await;
    assert!(!others.contains("p-2") && others.contains("p-1"));
    let api = site.ask(manager("/api/v1/partners/p-2?manager=Tom")).await;
    assert_eq!(api.status(), StatusCode::NOT_FOUND);
    for (form, status) in [
        ("partner=p-2&text=x", StatusCode::BAD_REQUEST),
        ("partner=p-1&text=x", StatusCode::SEE_OTHER),
    ] {
        let (mut parts, body) = post("/decisions/note", form).into_parts();
        let bearer = format!("Bearer {}", token(Role::Manager));
        parts.headers.insert(AUTHORIZATION, bearer.parse().expect("a value"));
        let answer = site.ask(Request::from_parts(parts, body)).await;
        assert_eq!(answer.status(), status, "{form}");
    }
    // All of a rule are those that the manager sees.
    let (mut parts, body) = post("/decisions/approve", "plan=plan-1&rule=help").into_parts();
    let bearer = format!("Bearer {}", token(Role::Manager));
    parts.headers.insert(AUTHORIZATION, bearer.parse().expect("a value"));
    assert_eq!(site.ask(Request::from_parts(parts, body)).await.status(), StatusCode::SEE_OTHER);
    let decisions = site.lake.decisions.lock().expect("a lock").clone();
    let (Decision::Plan(decision), by) = decisions.last().expect("a decision") else {
        panic!("{decisions:?}");
    };
    assert_eq!((by.as_str(), decision.verdict), ("Mara", Verdict::Approve));
    assert_eq!(decision.partners, ["p-1"]);
}

#[tokio::test]
async fn somebody_signs_in_reads_and_signs_out() {
    let site = Site::of_people().await;
    let wrong = site.post("/sign-in", "token=rapport_guess&return_to=%2Fhealth.html").await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert!(text(wrong).await.contains("no longer valid"));
    let form = format!("token={}&return_to=%2Fhealth.html", token(Role::Leadership));
    let answer = site.post("/sign-in", &form).await;
    assert_eq!(
        (answer.status(), header(&answer, LOCATION)),
        (StatusCode::SEE_OTHER, "/health.html".to_owned())
    );
    let cookie = header(&answer, SET_COOKIE);
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    let with_cookie = |cookie: &str| {
        let (mut parts, body) = request(Method::GET, "/health.html", None).into_parts();
        parts.headers.insert(COOKIE, cookie.parse().expect("a value"));
        Request::from_parts(parts, body)
    };
    let page = site.ask(with_cookie(&cookie)).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(text(page).await.contains("Sign out"));
    // A cookie that was changed, and one whose token was taken away, count for nothing.
    let changed = cookie.replace("rapport_session=", "rapport_session=x");
    assert_eq!(site.ask(with_cookie(&changed)).await.status(), StatusCode::SEE_OTHER);
    *site.app.access.write().expect("a lock") = Access::People(People::default());
    assert_eq!(site.ask(with_cookie(&cookie)).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn filters_of_a_query_go_into_the_path() {
    let site = Site::of_owner().await;
    let answer = site.get("/funnel.html?segment=startup&plan=&as_of=2026-05-01").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let path = header(&answer, LOCATION);
    assert_eq!(path, "/view/as_of=2026-05-01&segment=startup/funnel.html");
    let page = text(site.get(&path).await).await;
    assert!(page.contains("Only partners with segment"), "{page}");
    assert_eq!(
        header(&site.get("/view/segment=startup/x.html?segment=").await, LOCATION),
        "/x.html"
    );
    for (path, status) in [
        ("/view/colour=red/funnel.html", StatusCode::BAD_REQUEST),
        ("/funnel.html?as_of=soon", StatusCode::BAD_REQUEST),
        ("/nothing.html", StatusCode::NOT_FOUND),
        ("/partners/..%2f..%2frapport.toml", StatusCode::NOT_FOUND),
        ("/data/..%2frapport.toml", StatusCode::NOT_FOUND),
        ("/data/growth.csv", StatusCode::OK),
        ("/data/growth.csv-metadata.json", StatusCode::OK),
        ("/data/growth.parquet", StatusCode::NOT_FOUND),
        ("/a/b/c/d", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(site.get(path).await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn a_report_and_a_page_are_computed_once() {
    let site = Site::of_owner().await;
    let paths =
        ["/index.html", "/view/segment=startup/index.html", "/view/segment=startup/growth.html"];
    for _ in 0..3 {
        for path in paths {
            assert_eq!(site.get(path).await.status(), StatusCode::OK, "{path}");
        }
    }
    // What the tiles compare with changes no figure of the report.
    let compared = site.get("/view/compare=target/index.html").await;
    assert_eq!(compared.status(), StatusCode::OK);
    assert_eq!(site.lake.views.lock().expect("a lock").len(), 2);
    let first = site.get("/index.html").await;
    let etag = header(&first, ETAG);
    let (mut parts, body) = request(Method::GET, "/index.html", None).into_parts();
    parts.headers.insert("if-none-match", etag.parse().expect("a value"));
    let again = site.ask(Request::from_parts(parts, body)).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    // It is compressed for whoever takes that, and for nobody else.
    let plain = text(first).await;
    for (accepted, is_compressed) in
        [("gzip, deflate, br", true), ("GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false)]
    {
        let (mut parts, body) = request(Method::GET, "/index.html", None).into_parts();
        parts.headers.insert(ACCEPT_ENCODING, accepted.parse().expect("a value"));
        let answer = site.ask(Request::from_parts(parts, body)).await;
        assert_eq!(header(&answer, CONTENT_ENCODING) == "gzip", is_compressed, "{accepted}");
        let body = to_bytes(answer.into_body(), 1 << 24).await.expect("a body");
        let mut read = String::new();
        match is_compressed {
            true => GzDecoder::new(&body[..]).read_to_string(&mut read).expect("gzip"),
            false => (&body[..]).read_to_string(&mut read).expect("UTF-8"),
        };
        assert_eq!(read, plain, "{accepted}");
    }
    // The same state needs no new report; another one does, and nothing of before is shown.
    let now = chrono::Utc::now();
    assert_eq!(site.app.reports.refresh(now).await, Ok(false));
    *site.lake.version.lock().expect("a lock") += 1;
    assert_eq!(site.app.reports.refresh(now).await, Ok(true));
    site.get("/view/segment=startup/index.html").await;
    assert_eq!(site.lake.views.lock().expect("a lock").len(), 4);
}

#[tokio::test]
async fn nobody_gets_a_page_that_was_made_for_somebody_else() {
    const ROLES: [Role; 4] = [Role::Engineer, Role::Manager, Role::Leadership, Role::Partner];
    let paths = [
        "/index.html",
        "/health.html",
        "/partners.html",
        "/partners.html?q=a",
        "/partners/p-1.html",
        "/actions.html",
        "/metrics.html",
        "/view/segment=startup/index.html",
        "/view/as_of=2026-03-31/index.html",
        "/ask.html",
    ];
    for backwards in [false, true] {
        let shared = Site::of_people().await;
        for path in paths {
            let mut roles = ROLES;
            if backwards {
                roles.reverse();
            }
            for role in roles {
                let of_role = || request(Method::GET, path, Some(role));
                let answer = shared.ask(of_role()).await;
                let alone = Site::of_people().await.ask(of_role()).await;
                let what = format!("{path} as {}", role.name());
                assert_eq!(answer.status(), alone.status(), "{what}");
                assert_eq!(text(answer).await, text(alone).await, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn an_outage_leaves_the_last_figures_and_says_so() {
    let site = Site::of_owner().await;
    assert!(!text(site.get("/index.html").await).await.contains("could not be read"));
    *site.lake.is_down.lock().expect("a lock") = true;
    assert!(site.app.reports.refresh(chrono::Utc::now()).await.is_err());
    let page = text(site.get("/index.html").await).await;
    assert!(
        page.contains("New data could not be read since") && page.contains("the store is away"),
        "{page}"
    );
    let filtered = site.get("/view/segment=startup/index.html").await;
    assert_eq!(filtered.status(), StatusCode::SERVICE_UNAVAILABLE);
    *site.lake.is_down.lock().expect("a lock") = false;
    assert_eq!(site.app.reports.refresh(chrono::Utc::now()).await, Ok(false));
    assert!(!text(site.get("/index.html").await).await.contains("could not be read"));
}

#[tokio::test]
async fn a_decision_is_recorded_and_told_once() {
    let site = Site::of_owner().await;
    let form = "partner=p-1&tier=at_risk&days=7&reason=they+leave";
    let answer = site.post("/decisions/override", form).await;
    assert_eq!(header(&answer, LOCATION), "/partners/p-1.html");
    let recorded = site.lake.decisions.lock().expect("a lock").clone();
    let tier = Some(Tier::AtRisk);
    let (partner, reason) = ("p-1".to_owned(), "they leave".to_owned());
    let expected = Decision::Override { partner, tier, days: 7, reason };
    assert_eq!(recorded, [(expected, "ada".to_owned())]);
    let cookie = header(&answer, SET_COOKIE).split(';').next().expect("a cookie").to_owned();
    let (mut parts, body) = request(Method::GET, "/partners/p-1.html", None).into_parts();
    parts.headers.insert(COOKIE, cookie.parse().expect("a value"));
    let page = site.ask(Request::from_parts(parts, body)).await;
    assert!(header(&page, SET_COOKIE).contains("Max-Age=0"), "it is told once");
    assert!(text(page).await.contains("1 change approved"));
    for (path, form, part) in [
        ("/decisions/override", "partner=p-9&tier=&days=7&reason=x", "no partner of this id"),
        ("/decisions/override", "partner=p-1&tier=best&days=7&reason=x", "no such tier"),
        ("/decisions/override", "partner=p-1&tier=watch&days=x&reason=x", "whole number"),
        ("/decisions/approve", "plan=plan-0&rule=help", "plan has changed"),
        ("/decisions/approve", "plan=plan-1&rule=other", "open for this decision"),
        ("/decisions/burn", "", "nothing at this address"),
    ] {
        let answer = site.post(path, form).await;
        assert!(answer.status().is_client_error(), "{path} {form}");
        let page = text(answer).await;
        assert!(page.contains(part), "{path} {form}: {page}");
    }
    // A page of another site can't send the form.
    let (mut parts, body) = post("/decisions/note", "partner=p-1&text=x").into_parts();
    parts.headers.insert("sec-fetch-site", "cross-site".parse().expect("a value"));
    let answer = site.ask(Request::from_parts(parts, body)).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(site.lake.decisions.lock().expect("a lock").len(), 1);
}

#[tokio::test]
async fn days_are_explained_by_whoever_sees_the_partners() {
    let site = Site::of_people().await;
    let sent = async |role: Role, form: &str| {
        let (mut parts, body) = post("/decisions/annotate", form).into_parts();
        let bearer = format!("Bearer {}", token(role));
        parts.headers.insert(AUTHORIZATION, bearer.parse().expect("a value"));
        site.ask(Request::from_parts(parts, body)).await
    };
    for (role, form, status) in [
        (Role::Manager, "partner=p-1&from=2026-05-01&to=2026-05-02&text=x", StatusCode::SEE_OTHER),
        (Role::Manager, "partner=p-2&from=2026-05-01&text=x", StatusCode::BAD_REQUEST),
        (Role::Manager, "from=2026-05-01&text=x", StatusCode::FORBIDDEN),
        (Role::Manager, "partner=p-1&from=soon&text=x", StatusCode::BAD_REQUEST),
        (Role::Leadership, "partner=p-1&from=2026-05-01&text=x", StatusCode::FORBIDDEN),
    ] {
        assert_eq!(sent(role, form).await.status(), status, "{form}");
    }
    let data = request(Method::GET, "/data.html", Some(Role::Manager));
    assert!(!text(site.ask(data).await).await.contains("decisions/annotate"));
    let day = |text: &str| text.parse::<chrono::NaiveDate>().expect("a day");
    let of = |partner: Option<&str>, last: &str| Decision::Annotation {
        partner: partner.map(str::to_owned),
        first: day("2026-05-01"),
        last: day(last),
        text: "x".to_owned(),
    };
    let recorded = site.lake.decisions.lock().expect("a lock").clone();
    assert_eq!(recorded, [(of(Some("p-1"), "2026-05-02"), "Mara".to_owned())]);
    let site = Site::of_owner().await;
    assert!(text(site.get("/data.html").await).await.contains("decisions/annotate"));
    let answer = site.post("/decisions/annotate", "from=2026-05-01&to=&text=x").await;
    assert_eq!(header(&answer, LOCATION), "/data.html");
    let recorded = site.lake.decisions.lock().expect("a lock").clone();
    assert_eq!(recorded, [(of(None, "2026-05-01"), "ada".to_owned())]);
}

#[tokio::test]
async fn readers_choose_columns_and_save_views_for_themselves() {
    let site = Site::of_people().await;
    let as_role = |role: Role, path: &str| request(Method::GET, path, Some(role));
    let list = "/partners.html?columns=score&columns=segment&sort=risk";
    let page = text(site.ask(as_role(Role::Leadership, list)).await).await;
    assert!(page.contains(">Segment</th>") && !page.contains(">Manager</th>"), "{page}");
    let send = async |role: Role, path: &str, form: &str| {
        let (mut parts, body) = post(path, form).into_parts();
        let bearer = format!("Bearer {}", token(role));
        parts.headers.insert(AUTHORIZATION, bearer.parse().expect("a value"));
        site.ask(Request::from_parts(parts, body)).await
    };
    let form = "name=My+%3Cview%3E&view=segment%3Dstartup&query=columns%3Dscore%26evil%3D%2F%2Fx";
    let answer = send(Role::Leadership, "/views/save", form).await;
    let path = "/view/segment=startup/partners.html?sort=impact&columns=score";
    assert_eq!(
        (answer.status(), header(&answer, LOCATION)),
        (StatusCode::SEE_OTHER, path.to_owned())
    );
    let own = text(site.ask(as_role(Role::Leadership, "/partners.html")).await).await;
    assert!(own.contains("My &lt;view&gt;") && own.contains("columns=score\""), "{own}");
    let others = text(site.ask(as_role(Role::Manager, "/partners.html")).await).await;
    assert!(!others.contains("My &lt;view&gt;"), "{others}");
    for form in ["name=&view=&query=", "name=x&view=colour%3Dred&query="] {
        send(Role::Leadership, "/views/save", form).await;
    }
    assert_eq!(site.lake.saved_views.lock().expect("a lock").len(), 1);
    let answer = send(Role::Manager, "/views/delete", "name=My+%3Cview%3E").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(site.lake.saved_views.lock().expect("a lock").len(), 1, "it is somebody else's");
    let answer = send(Role::Leadership, "/views/delete", "name=My+%3Cview%3E").await;
    assert_eq!(header(&answer, LOCATION), "/partners.html");
    assert!(site.lake.saved_views.lock().expect("a lock").is_empty());
}

#[tokio::test]
async fn a_decision_on_a_change_is_shown_and_can_be_undone() {
    let site = Site::of_owner().await;
    let decided = async |is_approved: bool| {
        *site.lake.approved.lock().expect("a lock") = Some(is_approved);
        *site.lake.version.lock().expect("a lock") += 1;
        site.app.reports.refresh(chrono::Utc::now()).await.expect("a report");
        text(site.get("/actions.html").await).await
    };
    let page = decided(true).await;
    for words in ["Approved", "Mara", "Take back", "Not sent yet", "approved and not sent yet"] {
        assert!(page.contains(words), "no {words}");
    }
    let approve = "plan=plan-1&rule=help&partner=p-1";
    let answer = site.post("/decisions/approve", approve).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let answer = site.post("/decisions/reject", &format!("{approve}&reason=no")).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    // All of a rule are those on which nobody has decided.
    let answer = site.post("/decisions/approve", "plan=plan-1&rule=help").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let decisions = site.lake.decisions.lock().expect("a lock").clone();
    let partners = decisions.iter().map(|(decision, _)| match decision {
        Decision::Plan(decision) => decision.partners.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(partners.collect::<Vec<_>>(), [["p-1"], ["p-2"]]);
    let page = decided(false).await;
    assert!(page.contains("Rejected") && page.contains("Approve after all"));
    assert_eq!(site.post("/decisions/approve", approve).await.status(), StatusCode::SEE_OTHER);
    let plan = text(site.get("/api/v1/plan").await).await;
    assert!(plan.contains(r#""verdict":"rejected""#), "{plan}");
}

#[tokio::test]
async fn pages_have_headers_and_escape_what_events_say() {
    let site = Site::of_owner().await;
    let answer = site.get("/partners.html?q=%3Cscript%3E").await;
    let policy = header(&answer, "content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")]
    {
        assert_eq!(header(&answer, name), value);
    }
    let page = text(answer).await;
    assert!(page.contains("&lt;script&gt;") && !page.contains(MARKUP), "{page}");
    assert!(!page.contains(" style=\"") && !page.contains("<script>"), "the policy forbids both");
    let large = format!("partner=p-1&text={}", "x".repeat(70_000));
    let answer = site.post("/decisions/note", &large).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn another_name_of_this_machine_reads_nothing_where_nobody_signs_in() {
    let named = |host: &str| {
        let request = Request::builder().uri("/api/v1/plan").header(HOST, host);
        request.body(Body::empty()).expect("a request")
    };
    let site = Site::of_owner().await;
    let answer = site.ask(named("rebound.example")).await;
    assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
    assert!(!text(answer).await.contains("plan-1"));
    assert_eq!(site.ask(named("127.0.0.1:8080")).await.status(), StatusCode::OK);
    // Whoever signs in may reach the server by any name.
    let site = Site::of_people().await;
    let answer = site.ask(named("rapport.example")).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn programs_get_json() {
    let site = Site::of_owner().await;
    let json = async |path: &str| -> serde_json::Value {
        serde_json::from_str(&text(site.get(path).await).await).expect("JSON")
    };
    let rows = json("/api/v1/metrics/growth").await;
    assert_eq!(rows["data"][0]["month"], "2026-05-01");
    assert_eq!((&rows["as_of"], &rows["run"]), (&"2026-06-01".into(), &"7".into()));
    assert_eq!(json("/api/v1/partners?limit=1").await["data"]["total"], 2);
    assert_eq!(json("/api/v1/partners?q=glob").await["data"]["partners"][0]["partner_id"], "p-2");
    assert_eq!(json("/api/v1/partners/p-1").await["data"]["score"], 61.5);
    assert_eq!(json("/api/v1/plan").await["data"]["changes"][0]["rule_id"], "help");
    assert_eq!(json("/api/v1/openapi.json").await["openapi"], "3.1.0");
    for (path, status, part) in [
        ("/api/v1/metrics/nothing", StatusCode::NOT_FOUND, "no metric"),
        ("/api/v1/metrics/growth?format=xml", StatusCode::BAD_REQUEST, "no format"),
        ("/api/v1/plan?colour=red", StatusCode::BAD_REQUEST, "no parameter"),
        ("/api/v1/partners?limit=0", StatusCode::BAD_REQUEST, "from 1 to"),
        ("/api/v1/partners/p-9", StatusCode::NOT_FOUND, "no partner"),
    ] {
        let answer = site.get(path).await;
        assert_eq!(answer.status(), status, "{path}");
        let body = text(answer).await;
        assert!(body.starts_with("{\"error\":") && body.contains(part), "{path}: {body}");
    }
    let question = |body: &str| {
        let request = Request::builder().method(Method::POST).uri("/api/v1/sql");
        let request = request.header(CONTENT_TYPE, "application/json");
        request.body(Body::from(body.to_owned())).expect("a request")
    };
    let answer = text(site.ask(question("{\"sql\":\"SELECT 1\"}")).await).await;
    assert_eq!(answer, r#"{"columns":["a"],"is_cut":false,"rows":[["1"]]}"#);
    let refused = site.ask(question("{\"sql\":\"DROP TABLE x\"}")).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let figures = text(site.get("/metrics").await).await;
    assert!(
        figures.contains("rapport_serve_requests_total{route=\"/api/v1/plan\",status=\"200\"} 1"),
        "{figures}"
    );
}

#[test]
fn an_address_beyond_this_machine_needs_people_and_tls() {
    let options = |address: &str, access, is_behind_tls| ServeOptions {
        address: address.parse().expect("an address"),
        access,
        is_behind_tls,
        secret: None,
        refresh_every: Duration::from_secs(1),
        report_rows: 1,
        page_bytes: 1,
        chromium: None,
        limits: limits(1),
        embed: EmbedSettings::default(),
    };
    let owner = || Access::Owner("ada".to_owned());
    let check = crate::server::check_exposure;
    assert!(check(&options("127.0.0.1:80", owner(), false)).is_ok());
    assert!(check(&options("[::1]:80", owner(), false)).is_ok());
    for (access, is_behind_tls, part) in [
        (owner(), true, "access.toml"),
        (Access::People(People::default()), true, "access.toml"),
        (Access::People(people()), false, "TLS"),
    ] {
        let error = check(&options("0.0.0.0:80", access, is_behind_tls)).expect_err("refused");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(check(&options("0.0.0.0:80", Access::People(people()), true)).is_ok());
}
