//! Every route in every role, managers and their partners, signing in and out.

use super::*;

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
            let answer = site.ask(of(Some(role))).await;
            if route.path == "/" && role == Role::Partner {
                assert_eq!(header(&answer, LOCATION), "/usage/p-1/usage.html");
                continue;
            }
            let status = answer.status();
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
async fn a_partner_that_signs_in_gets_to_its_own_usage() {
    let site = Site::of_people().await;
    let answer = site.post("/sign-in", &format!("token={}", token(Role::Partner))).await;
    assert_eq!(header(&answer, LOCATION), "/");
    let partner = |path: &str| request(Method::GET, path, Some(Role::Partner));
    let first = site.ask(partner("/")).await;
    assert_eq!(first.status(), StatusCode::SEE_OTHER);
    let own = site.ask(partner(&header(&first, LOCATION))).await;
    assert_eq!(own.status(), StatusCode::OK);
    assert!(text(own).await.contains(": usage"));
    let refused = site.ask(partner("/index.html")).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(text(refused).await.contains("href=\"/\""));
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
