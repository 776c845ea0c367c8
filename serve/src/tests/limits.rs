//! Tests of attempts to sign in and of queries that come too often.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{Method, Request, StatusCode};

use super::{Site, header, limits, people, post, request, text, token};
use crate::People;
use crate::access::people::token_sha256;
use crate::access::rate_limits::{LimitClock, Limited, RateLimits};
use crate::access::role::Role;
use crate::server::Access;

/// A clock that passes only when it is told to.
#[derive(Clone)]
struct SetClock {
    begun: Instant,
    passed: Arc<Mutex<Duration>>,
}

impl SetClock {
    fn new() -> Self {
        Self { begun: Instant::now(), passed: Arc::default() }
    }

    fn limits(&self, per_minute: u32) -> RateLimits {
        let clock = self.clone();
        let now = move || clock.begun + *clock.passed.lock().expect("a lock");
        RateLimits::new(limits(per_minute), LimitClock::new(now))
    }

    fn pass(&self, seconds: u64) {
        *self.passed.lock().expect("a lock") += Duration::from_secs(seconds);
    }
}

/// Returns a request that comes from an address, with a value of `X-Forwarded-For`.
fn from(mut request: Request<Body>, address: &str, forwarded: Option<&str>) -> Request<Body> {
    let address: SocketAddr = address.parse().expect("an address");
    request.extensions_mut().insert(ConnectInfo(address));
    if let Some(forwarded) = forwarded {
        request.headers_mut().insert("x-forwarded-for", forwarded.parse().expect("a value"));
    }
    request
}

#[tokio::test]
async fn attempts_to_sign_in_are_limited_by_address() {
    let clock = SetClock::new();
    let text_of_access = "[proxy]\naddress_header = \"X-Forwarded-For\"\nfrom = [\"10.0.0.7\"]\n";
    let entry = format!(
        "[[people]]\nname = \"Ada\"\nrole = \"engineer\"\ntoken_sha256 = \"{}\"\n",
        token_sha256(&token(Role::Engineer))
    );
    let people = People::parse(&format!("{text_of_access}{entry}")).expect("people");
    let site = Site::with_limits(Access::People(people), Some(clock.limits(2))).await;
    let attempt = async |address: &str, forwarded: Option<&str>| {
        site.ask(from(post("/sign-in", "token=rapport_guess"), address, forwarded)).await
    };
    for _ in 0..2 {
        let answer = attempt("10.0.0.8:4000", None).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    let answer = attempt("10.0.0.8:4001", None).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&answer, RETRY_AFTER), "30");
    let page = text(answer).await;
    assert!(
        page.contains("Too many attempts to sign in in a short time: try again in 30 s"),
        "{page}"
    );
    // Whoever invents a header stays one address; behind the proxy each client is one of its own.
    let invented = attempt("10.0.0.8:4002", Some("203.0.113.1")).await;
    assert_eq!(invented.status(), StatusCode::TOO_MANY_REQUESTS);
    for _ in 0..2 {
        let answer = attempt("10.0.0.7:4000", Some("203.0.113.1")).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    let same = attempt("10.0.0.7:4000", Some("198.51.100.1, 203.0.113.1")).await;
    assert_eq!(same.status(), StatusCode::TOO_MANY_REQUESTS);
    let other = attempt("10.0.0.7:4000", Some("203.0.113.2")).await;
    assert_eq!(other.status(), StatusCode::UNAUTHORIZED);
    // A wrong token in a header is an attempt too, and a right one counts in spite of others' attempts.
    let with_token = |token: &str| {
        let mut request = request(Method::GET, "/api/v1/plan", None);
        let bearer = format!("Bearer {token}").parse().expect("a value");
        request.headers_mut().insert(AUTHORIZATION, bearer);
        from(request, "10.0.0.8:4003", None)
    };
    let wrong = site.ask(with_token("rapport_guess")).await;
    assert_eq!(wrong.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&wrong, RETRY_AFTER), "30");
    let body = text(wrong).await;
    assert!(body.starts_with("{\"error\":{\"message\":\"Too many attempts"), "{body}");
    assert_eq!(site.ask(with_token(&token(Role::Engineer))).await.status(), StatusCode::OK);
    clock.pass(30);
    let answer = attempt("10.0.0.8:4001", None).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn attempts_to_sign_in_are_limited_by_person() {
    let clock = SetClock::new();
    let site = Site::with_limits(Access::People(people()), Some(clock.limits(2))).await;
    let attempt = async |address: &str, role: Role| {
        let form = format!("token={}", token(role));
        site.ask(from(post("/sign-in", &form), address, None)).await.status()
    };
    assert_eq!(attempt("10.0.0.1:80", Role::Engineer).await, StatusCode::SEE_OTHER);
    assert_eq!(attempt("10.0.0.2:80", Role::Engineer).await, StatusCode::SEE_OTHER);
    assert_eq!(attempt("10.0.0.3:80", Role::Engineer).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(attempt("10.0.0.3:80", Role::Leadership).await, StatusCode::SEE_OTHER);
    clock.pass(60);
    assert_eq!(attempt("10.0.0.3:80", Role::Engineer).await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn queries_are_limited_by_person_and_by_address() {
    let clock = SetClock::new();
    let site = Site::with_limits(Access::People(people()), Some(clock.limits(2))).await;
    let page = |address: &str| {
        let mut request = from(post("/ask.html", "sql=SELECT+1"), address, None);
        let bearer = format!("Bearer {}", token(Role::Engineer)).parse().expect("a value");
        request.headers_mut().insert(AUTHORIZATION, bearer);
        request
    };
    let api = |address: &str| {
        let mut request = request(Method::POST, "/api/v1/sql", Some(Role::Engineer));
        request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().expect("a value"));
        *request.body_mut() = Body::from("{\"sql\":\"SELECT 1\"}");
        from(request, address, None)
    };
    // The page and the API share what a person has.
    assert_eq!(site.ask(page("10.0.0.1:80")).await.status(), StatusCode::OK);
    assert_eq!(site.ask(api("10.0.0.2:80")).await.status(), StatusCode::OK);
    let refused = site.ask(page("10.0.0.3:80")).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&refused, RETRY_AFTER), "30");
    assert!(text(refused).await.contains("Too many queries in a short time"));
    let refused = site.ask(api("10.0.0.3:80")).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&refused, RETRY_AFTER), "30");
    let body: serde_json::Value = serde_json::from_str(&text(refused).await).expect("JSON");
    assert_eq!(body["error"]["status"], 429);
    // Reading is not limited.
    let read = request(Method::GET, "/ask.html", Some(Role::Engineer));
    assert_eq!(site.ask(read).await.status(), StatusCode::OK);
    // An address that has asked under several names is limited too.
    clock.pass(60);
    for name in ["Ada", "Tom"] {
        let address = "10.0.0.9".parse().ok();
        assert!(site.app.check_limit(Limited::Sql, Some(name), address).is_ok());
    }
    assert_eq!(site.ask(api("10.0.0.9:80")).await.status(), StatusCode::TOO_MANY_REQUESTS);
}
