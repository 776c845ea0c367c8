//! What people decide, explain and save on pages.

use super::*;

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
async fn a_page_of_an_earlier_plan_decides_on_a_change_that_is_still_the_same() {
    let site = Site::of_owner().await;
    let page = text(site.get("/actions.html").await).await;
    assert!(page.contains(r#"name="asked" value="route_support null null""#), "{page}");
    let same = "plan=plan-0&rule=help&partner=p-1&asked=route_support+null+null";
    for (form, status) in [
        (same, StatusCode::SEE_OTHER),
        ("plan=plan-0&rule=help&partner=p-1&asked=set_quota+null+null", StatusCode::BAD_REQUEST),
        ("plan=plan-0&rule=help&partner=p-1", StatusCode::BAD_REQUEST),
        ("plan=plan-0&rule=help&asked=route_support+null+null", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(site.post("/decisions/approve", form).await.status(), status, "{form}");
    }
    let decisions = site.lake.decisions.lock().expect("a lock").clone();
    let [(Decision::Plan(decision), _)] = decisions.as_slice() else { panic!("{decisions:?}") };
    assert_eq!((decision.plan.as_str(), decision.partners.len()), ("plan-1", 1));
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
        is_calm: partner.is_some(),
    };
    let recorded = site.lake.decisions.lock().expect("a lock").clone();
    assert_eq!(recorded, [(of(Some("p-1"), "2026-05-02"), "Mara".to_owned())]);
    let site = Site::of_owner().await;
    assert!(text(site.get("/data.html").await).await.contains("decisions/annotate"));
    let answer = site.post("/decisions/annotate", "from=2026-05-01&to=&text=x&mark_only=yes").await;
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
