//! Tests of usage pages inside the pages of partners: what a URL shows, and what it does not.

use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HOST, SET_COOKIE};
use axum::http::{Method, StatusCode};

use super::{Site, grant, header, request, text};
use crate::server::logged_path;

#[tokio::test]
async fn an_embedded_page_shows_one_partner_until_its_end() {
    let site = Site::of_people().await;
    let day = chrono::TimeDelta::days(1);
    let own = grant("p-1", day);
    let answer = site.get(&format!("/embed/{own}/usage.html")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let policy = header(&answer, "content-security-policy");
    assert!(policy.ends_with("frame-ancestors https://portal.example.com"), "{policy}");
    assert!(!policy.contains("unsafe") && policy.contains("default-src 'none'"), "{policy}");
    assert_eq!(header(&answer, "x-frame-options"), "");
    assert_eq!(header(&answer, SET_COOKIE), "");
    assert_eq!(header(&answer, CACHE_CONTROL), "no-store");
    assert_eq!(header(&answer, "referrer-policy"), "no-referrer");
    let page = text(answer).await;
    assert!(page.contains("&lt;script&gt;") && !page.contains("Globex"), "{page}");
    assert!(!page.contains("<nav") && !page.contains("Sign out"), "{page}");
    let csv = site.get(&format!("/embed/{own}/usage.csv")).await;
    assert_eq!(csv.status(), StatusCode::OK);
    assert!(text(csv).await.starts_with("event_date,calls"));
    // The signature of one partner counts for no other, and none for an end of one's own.
    let (_, rest) = own.split_once('.').expect("three parts");
    let (other, _) =
        grant("p-2", day).split_once('.').map(|(a, b)| (a.to_owned(), b.len())).expect("parts");
    let last = own.chars().last().expect("a signature");
    let flipped = format!("{}{}", &own[..own.len() - 2], if last == 'A' { "BB" } else { "AA" });
    for altered in [format!("{other}.{rest}"), flipped, "p-1".to_owned()] {
        for file in ["usage.html", "usage.csv"] {
            let answer = site.get(&format!("/embed/{altered}/{file}")).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{altered}");
            let policy = header(&answer, "content-security-policy");
            assert!(policy.ends_with("https://portal.example.com"), "{policy}");
            let page = text(answer).await;
            assert!(page.contains("This link does not work") && !page.contains("Globex"), "{page}");
        }
    }
    let expired = site.get(&format!("/embed/{}/usage.html", grant("p-1", -day))).await;
    assert_eq!(expired.status(), StatusCode::GONE);
    let page = text(expired).await;
    assert!(page.contains("This link has expired") && page.contains("valid until"), "{page}");
    let gone = site.get(&format!("/embed/{}/usage.html", grant("p-9", day))).await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    assert!(text(gone).await.contains("no usage to show"));
}

#[tokio::test]
async fn an_embedded_page_leads_nowhere_else() {
    let site = Site::of_people().await;
    let own = grant("p-1", chrono::TimeDelta::days(1));
    for (path, status) in [
        (format!("/embed/{own}/index.html"), StatusCode::NOT_FOUND),
        (format!("/embed/{own}/"), StatusCode::NOT_FOUND),
        (format!("/embed/{own}"), StatusCode::NOT_FOUND),
        (format!("/embed/{own}/usage.html/x"), StatusCode::NOT_FOUND),
        (format!("/usage/{own}/usage.html"), StatusCode::SEE_OTHER),
        (format!("/usage/p-1/usage.html?grant={own}"), StatusCode::SEE_OTHER),
    ] {
        assert_eq!(site.get(&path).await.status(), status, "{path}");
    }
    let with_token = {
        let mut request = request(Method::GET, "/api/v1/plan", None);
        let bearer = format!("Bearer {own}").parse().expect("a value");
        request.headers_mut().insert(AUTHORIZATION, bearer);
        request
    };
    assert_eq!(site.ask(with_token).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(logged_path(&format!("/embed/{own}/usage.html")), "/embed/…");
    assert_eq!(logged_path("/health.html"), "/health.html");
    // Every other page stays in no frame.
    for path in ["/sign-in", "/healthz", "/usage/p-1/usage.html", "/embed/x"] {
        let answer = site.get(path).await;
        let policy = header(&answer, "content-security-policy");
        assert!(policy.ends_with("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(header(&answer, "x-frame-options"), "DENY", "{path}");
    }
    // Where nobody signs in, the page counts on this machine only, as every other.
    let site = Site::of_owner().await;
    let mut elsewhere = request(Method::GET, &format!("/embed/{own}/usage.html"), None);
    elsewhere.headers_mut().insert(HOST, "rapport.example".parse().expect("a value"));
    assert_eq!(site.ask(elsewhere).await.status(), StatusCode::MISDIRECTED_REQUEST);
    // An outage of the lake says nothing of the lake to a partner.
    *site.lake.is_down.lock().expect("a lock") = true;
    assert_eq!(site.get(&format!("/embed/{own}/usage.html")).await.status(), StatusCode::OK);
}
