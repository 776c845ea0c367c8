//! Tests that ask the routes without a socket: every route in every role, forms, files, errors.
//!
//! - `access`: who is let in where
//! - `embedding`: usage pages inside the pages of partners
//! - `limits`: requests that come too often
//! - `rendered_pages`: views, what is kept of a page and for whom, outages
//! - `recorded_decisions`: what people decide, explain and save

mod access;
mod embedding;
mod limits;
mod recorded_decisions;
mod rendered_pages;

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
use crate::data_source::{DataSource, Decision, LakeState, SourceError, SqlAnswer, SqlValues};
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
        inactive: None,
        stage: Stage::Live,
        tier: Tier::Watch,
        tier_since: None,
        computed_tier: Some(Tier::Watch),
        score: Some(61.5),
        coverage: Some(1.0),
        gate: None,
        risk: None,
        override_until: None,
        override_since: None,
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
        // A person has set the tier of the second one.
        let day = |text: &str| Some(text.parse().expect("a day"));
        health[1].tier_since = day("2026-03-01");
        (health[1].override_since, health[1].override_until) =
            (day("2026-05-30"), day("2026-06-06"));
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

    async fn sql_values(&self, query: &str) -> Result<SqlValues, SourceError> {
        let answer = self.sql(query).await?;
        let rows = vec![vec![1.into(), serde_json::Value::Null, "".into()]];
        Ok(SqlValues { columns: answer.columns, rows, is_cut: answer.is_cut })
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
    let set = json("/api/v1/partners/p-2").await["data"].clone();
    let since = (&set["tier_since"], &set["computed_tier_since"]);
    assert_eq!(since, (&"2026-05-30".into(), &"2026-03-01".into()));
    assert_eq!(json("/api/v1/partners?tier=watch").await["data"]["total"], 2);
    assert_eq!(json("/api/v1/partners?tier=at-risk&sort=").await["data"]["total"], 0);
    assert_eq!(json("/api/v1/plan").await["data"]["changes"][0]["rule_id"], "help");
    assert_eq!(json("/api/v1/openapi.json").await["openapi"], "3.1.0");
    for (path, status, part) in [
        ("/api/v1/metrics/nothing", StatusCode::NOT_FOUND, "no metric"),
        ("/api/v1/metrics/growth?format=xml", StatusCode::BAD_REQUEST, "no format"),
        ("/api/v1/plan?colour=red", StatusCode::BAD_REQUEST, "no parameter"),
        ("/api/v1/partners?limit=0", StatusCode::BAD_REQUEST, "from 1 to"),
        ("/api/v1/partners?tier=bogus", StatusCode::BAD_REQUEST, "is unknown; there are healthy, "),
        ("/api/v1/partners?tier=AT_RISK", StatusCode::BAD_REQUEST, "AT_RISK"),
        ("/api/v1/partners?sort=bogus", StatusCode::BAD_REQUEST, "there are impact, score, "),
        ("/api/v1/partners?page=abc", StatusCode::BAD_REQUEST, "no number of a page"),
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
    assert_eq!(answer, r#"{"columns":["a"],"is_cut":false,"rows":[[1,null,""]]}"#);
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
