//! Views in the path, pages that are kept for readers who see the same, and outages.

use super::*;

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
async fn a_parameter_that_does_not_count_is_refused() {
    let site = Site::of_owner().await;
    for (path, part) in [
        ("/funnel.html?sgment=startup", "There is no parameter &quot;sgment&quot; here"),
        ("/funnel.html?tier=watch", "there are as_of, run, compare, grain, segment, "),
        ("/view/segment=startup/funnel.html?x=", "There is no parameter &quot;x&quot; here"),
        ("/partners.html?tier=bogus", "there are healthy, watch, at_risk, "),
        ("/partners.html?sort=bogus", "there are impact, score, "),
        ("/partners.html?page=0", "no number of a page"),
        ("/partners.html?columns=tier,colour", "columns &quot;colour&quot; is unknown"),
        ("/growth.html?as=gif", "as &quot;gif&quot; is unknown"),
        ("/growth.html?chart=churn", "chart needs as=svg or as=png"),
        ("/data/growth.csv?sgment=startup", "There is no parameter &quot;sgment&quot; here"),
    ] {
        let answer = site.get(path).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
        let page = text(answer).await;
        assert!(page.contains(part), "{path}: {page}");
    }
    for path in ["/partners.html?tier=at-risk", "/partners.html?q=&tier=&sort=impact"] {
        assert_eq!(site.get(path).await.status(), StatusCode::OK, "{path}");
    }
    // What restricts the report goes into the path, and all else stays.
    for (path, location) in [
        (
            "/partners.html?segment=startup&tier=watch&q=a%26b",
            "/view/segment=startup/partners.html?tier=watch&q=a%26b",
        ),
        ("/data/growth.csv?segment=startup", "/view/segment=startup/data/growth.csv"),
        ("/%2Fevil.example?segment=", "/"),
    ] {
        assert_eq!(header(&site.get(path).await, LOCATION), location, "{path}");
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
