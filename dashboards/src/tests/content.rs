//! What the pages say, and that content is escaped.

use super::attribute;
use crate::sample::programme;
use crate::{Comparison, Grain, LivePage, Report, ReportInput, pages};

#[test]
fn content_is_escaped() {
    let input = programme(60, 10);
    for (path, html) in pages(&input) {
        assert!(!html.contains("<script>alert"), "{path}");
        assert!(!html.contains("onload=\"alert"), "{path}");
        assert!(!html.contains("'<b>'"), "{path}");
        // No attribute value holds an angle bracket or runs into the next one.
        for name in ["href", "title", "class", "style"] {
            for value in attribute(&html, name) {
                assert!(!value.contains('<'), "{path}: {name}=\"{value}\"");
            }
        }
    }
}

#[test]
fn an_empty_lake_says_what_to_do() {
    #[track_caller]
    fn check(pages: &[(String, String)], path: &str, words: &str) {
        let html = &pages.iter().find(|(p, _)| p == path).expect("the page").1;
        assert!(html.contains(words), "{path} does not say: {words}");
    }
    let pages = pages(&ReportInput::default());
    check(&pages, "index.html", "No events yet");
    check(&pages, "funnel.html", "rapport ingest load --stream partner-events");
    check(&pages, "funnel.html", "Nobody has taken a step yet");
    check(&pages, "growth.html", "first one starts this");
    check(&pages, "growth.html", "No partner has churned yet");
    check(&pages, "revenue.html", "Billing events fill this page");
    check(&pages, "revenue.html", "Revenue retention needs two whole months");
    check(&pages, "health.html", "rapport score run");
    check(&pages, "metrics.html", "rapport metrics run");
    check(&pages, "activation.html", "rapport ingest load --stream partner-events");
    check(&pages, "service.html", "rapport ingest load --stream api-calls");
    check(&pages, "service.html", "[metrics] sla");
    check(&pages, "actions.html", "rapport actions plan");
    check(&pages, "actions.html", "Nothing has been sent yet");
    check(&pages, "alerts.html", "rapport alerts check");
    check(&pages, "data.html", "rapport ingest run");
    check(&pages, "data.html", "rapport metrics run data_quality");
    check(&pages, "data.html", "rapport deliver every hour");
}

/// Returns the HTML of one page.
fn page<'a>(pages: &'a [(String, String)], path: &str) -> &'a str {
    &pages.iter().find(|(p, _)| p == path).expect("the page").1
}

#[test]
fn tiles_are_compared_with_what_the_reader_chooses() {
    let mut input = programme(60, 10);
    input.targets.active_partners = Some(1_000.0);
    let report = Report::new(input);
    let page = |comparison| {
        let live = LivePage { comparison, ..LivePage::default() };
        report.page("index.html", &live).expect("the page")
    };
    let [previous, last_year, target] = Comparison::ALL.map(page);
    assert!(previous.contains("</data></span> on "), "{previous}");
    // The sample has no year before; a goal that is not set is told too.
    assert!(last_year.contains("No figure of "), "{last_year}");
    assert!(target.contains("against target") && target.contains("No target"), "{target}");
    assert_ne!(previous, target);
}

/// Checks what a page says, and what it does not.
#[track_caller]
fn check_words(html: &str, said: &[&str], unsaid: &[&str]) {
    said.iter().for_each(|words| assert!(html.contains(words), "no \"{words}\" in {html}"));
    unsaid.iter().for_each(|words| assert!(!html.contains(words), "\"{words}\" in {html}"));
}

#[test]
fn charts_over_time_are_by_the_grain_that_the_reader_chooses() {
    // 15 September 2026 is a Tuesday: the week and the month are not over.
    let report = Report::new(programme(60, 30));
    let page = |path: &str, grain: Option<Grain>| {
        let live = LivePage { grain, ..LivePage::default() };
        report.page(path, &live).expect("the page")
    };
    let service = |grain| page("service.html", grain);
    let (day, week) = (service(Some(Grain::Day)), service(Some(Grain::Week)));
    check_words(
        &service(None),
        &["60 days to 14", "by day", ">Each its own<"],
        &[">now<", "Stays by"],
    );
    check_words(&day, &["60 days to 14", "data/partner_traffic.csv"], &[">now<"]);
    check_words(
        &week,
        &["13 weeks to 14", "Now: 1 of 7 days of the week", ">now<"],
        &["data/partner_traffic.csv"],
    );
    check_words(&week, &["data/partner_traffic_week.csv", "week of 7\u{a0}Sep"], &[]);
    check_words(&week, &["Stays by month: a target (SLA) is one of a month"], &[]);
    check_words(
        &service(Some(Grain::Month)),
        &["13 months to 14", "Now: 14 of 30 days of the month", ">now<", "in Aug"],
        &["Stays by"],
    );
    let revenue = page("revenue.html", Some(Grain::Week));
    check_words(&revenue, &["Gross revenue by week", "data/revenue_week.csv", ">now<"], &[]);
    check_words(
        &revenue,
        &["a partner of several weeks would count several times"],
        &["Gross revenue by month"],
    );
    let growth = page("growth.html", Some(Grain::Day));
    check_words(&growth, &["Stays by month", "type=\"hidden\" name=\"grain\" value=\"day\""], &[]);
    check_words(&page("growth.html", Some(Grain::Month)), &[], &["Stays by"]);
    let health = page("health.html", Some(Grain::Week));
    check_words(&health, &["each week on its last scored day"], &[]);
    let scored = report.input().health.iter().find(|row| row.current_score().is_some());
    let partner = report.partner_page(&scored.expect("a score").partner_id).expect("a page");
    let partner = page(&partner, Some(Grain::Month));
    check_words(&partner, &["by month; errors", "Stays by day: a score is one of a day"], &[]);
}

#[test]
fn data_says_what_is_wrong_and_what_is_held_back() {
    let all = pages(&programme(60, 5));
    let data = page(&all, "data.html");
    // Two of the four streams have events, and one is further behind than the policy allows.
    for words in [
        "API calls",
        "partition 5",
        "A field is missing",
        "Late events",
        "sql/cohort_retention.html",
        "1 metric",
        "raw/api_calls",
        "weekly &lt;b&gt;",
        "Skipped",
    ] {
        assert!(data.contains(words), "no {words}");
    }
}

#[test]
fn what_looks_at_the_whole_lake_is_left_out_for_some_partners() {
    let mut input = programme(24, 5);
    input.data_quality.clear();
    input.of_all_partners.insert("data_quality".to_owned());
    let all = pages(&input);
    assert!(page(&all, "data.html").contains("say nothing about some of the partners"));
    assert!(page(&all, "metrics.html").contains("Of all partners only."));
    assert!(page(&all, "sql/data_quality.html").contains("Of all partners only."));
}

#[test]
fn charts_mark_annotations_and_say_what_they_are() {
    let input = programme(60, 30);
    let all = pages(&input);
    for path in ["index.html", "growth.html", "revenue.html", "health.html", "service.html"] {
        let html = page(&all, path);
        assert_eq!(html.matches("<ul class=\"marks\"").count(), 1, "{path}");
        assert!(html.contains("Release of API v7 &lt;b&gt;"), "{path}");
        assert!(html.contains("Marked: "), "{path} describes no mark");
        assert!(!html.contains("Quota 400 → 600 calls a minute</bdi>"), "{path}");
    }
    let id = input.annotations[1].partner_id.clone().expect("a partner");
    let own = page(&all, &crate::paths::partner(&id));
    assert!(own.contains("Quota 400 → 600 calls a minute</bdi>"), "{own}");
    assert_eq!(own.matches("<ul class=\"marks\"").count(), 1);
    let data = page(&all, "data.html");
    assert!(data.contains("all partners") && data.contains("Our incident"));
}

#[test]
fn revenue_says_why_it_changed() {
    let all = pages(&programme(230, 5));
    let revenue = page(&all, "revenue.html");
    for words in ["Why revenue changed", "no product given", "Subscription", "NRR"] {
        assert!(revenue.contains(words), "no {words}");
    }
    let growth = page(&all, "growth.html");
    assert!(growth.contains("Stopped at once"));
}

#[test]
fn service_tells_ours_from_theirs() {
    let all = pages(&programme(60, 30));
    let service = page(&all, "service.html");
    for words in [
        "failed by our doing",
        "Ours: throttled (429)",
        "Theirs: client errors (4xx)",
        "past, still in use",
        "no endpoint sent",
        "/v2/charges/{id}",
    ] {
        assert!(service.contains(words), "no {words}");
    }
}

#[test]
fn activation_marks_cohorts_that_mature() {
    let all = pages(&programme(230, 5));
    let activation = page(&all, "activation.html");
    for words in [
        "Half within",
        "matures 30\u{a0}Oct",
        "series hatched",
        "days since registration",
        "true curve",
    ] {
        assert!(activation.contains(words), "no {words}");
    }
}

#[test]
fn actions_say_why_and_who_agrees() {
    let mut input = programme(230, 5);
    let all = pages(&input);
    let actions = page(&all, "actions.html");
    for words in [
        "Made smaller:",
        "For a person:",
        "Help for partners at risk",
        "Last change 3 days ago, 7 needed",
        "Stopped by cooldown",
        "Taken by the receiver",
        "Quota 600 → 900 calls a minute until",
        "by <bdi>Mara Lindqvist</bdi>",
        "they leave &lt;soon&gt;",
        "Not sent yet",
    ] {
        assert!(actions.contains(words), "no {words}");
    }
    input.plan_facts.blocked = vec!["the switch is off <b>".to_owned()];
    let all = pages(&input);
    assert!(page(&all, "actions.html").contains("the switch is off &lt;b&gt;"));
}

#[test]
fn partners_show_what_people_recorded() {
    let all = pages(&programme(60, 5));
    let with = |words: &str| {
        let found = all.iter().filter(|(path, _)| path.starts_with("partners/"));
        found.filter(|(_, html)| html.contains(words)).count()
    };
    for words in [
        "Spoke with &lt;their&gt; engineers",
        "Sentiment 2 of 5",
        "Judged by people",
        "In force",
        "Replaced by watch",
        "Nothing has been noted",
        "Nobody has set the tier",
    ] {
        assert!(with(words) > 0, "no page says {words}");
    }
}

#[test]
fn alerts_say_who_was_told_and_what_is_snoozed() {
    let mut input = programme(230, 5);
    input.alerts[0].misses = 2;
    input.alerts[0].snoozed_until = None;
    input.alerts[1].snoozed_until = input.scored_at.map(|at| at + chrono::TimeDelta::days(6));
    let all = pages(&input);
    let alerts = page(&all, "alerts.html");
    for words in ["its manager, finance", "nobody", "Snoozed", "at the last 2 checks", "Holds"] {
        assert!(alerts.contains(words), "no {words}");
    }
}

#[test]
fn a_tier_that_a_person_set_has_its_own_day() {
    let mut input = programme(60, 5);
    let day = |text: &str| text.parse::<chrono::NaiveDate>().ok();
    let on_watch = |row: &&mut crate::HealthRow| row.tier == domain::Tier::Watch;
    let row = input.health.iter_mut().find(on_watch).expect("one on watch");
    row.tier_since = day("2026-02-03");
    (row.override_since, row.override_until) = (day("2026-09-11"), day("2026-09-18"));
    let id = row.partner_id.clone();
    let all = pages(&input);
    check_words(
        page(&all, &crate::paths::partner(&id)),
        &["since 11\u{a0}Sep", "set by a person on 11\u{a0}Sep until 18\u{a0}Sep"],
        &["since 3\u{a0}Feb"],
    );
    check_words(page(&all, "health-watch.html"), &[">11\u{a0}Sep</td>"], &[">3\u{a0}Feb</td>"]);
}

#[test]
fn stuck_partners_have_the_share_of_the_table() {
    let mut input = programme(60, 5);
    let line = |text: &str| format!(" stuck before production</a><span>{text}</span>");
    let all = pages(&input);
    assert!(page(&all, "index.html").contains(&line("no revenue in Aug")));
    let is_stuck = |row: &&mut crate::HealthRow| row.tier == domain::Tier::Stuck;
    let row = input.health.iter_mut().find(is_stuck).expect("a stuck partner");
    row.impact_share = Some(0.03);
    let all = pages(&input);
    assert!(page(&all, "index.html").contains(&line("3.0\u{202f}% of gross")));
}

#[test]
fn no_alert_is_open_only_where_somebody_has_looked() {
    let mut input = programme(24, 5);
    input.alerts.clear();
    input.has_found_alerts = true;
    let all = pages(&input);
    check_words(page(&all, "alerts.html"), &["No alert is open"], &["Nobody has looked"]);
    input.has_found_alerts = false;
    let all = pages(&input);
    let alerts = page(&all, "alerts.html");
    check_words(alerts, &["Nobody has looked yet", "rapport alerts check"], &["No alert is open"]);
}

#[test]
fn a_partner_itself_sees_nothing_of_the_others() {
    let input = programme(60, 30);
    let charged = input.revenue_per_partner.iter().find(|row| row.share.is_some());
    let id = charged.expect("a charge").partner_id.clone();
    let report = Report::new(input);
    let live = LivePage { is_for_partner: true, ..LivePage::default() };
    let own = report.usage_page(&id, &live).expect("a page");
    let others = [">Share</th>", ">Rank</th>", "of gross", "Marked: ", "data/"];
    check_words(&own, &["Gross by month", ">Refunds</th>"], &others);
    let path = report.partner_page(&id).expect("a page");
    let colleagues = report.page(&path, &LivePage::default()).expect("a page");
    check_words(&colleagues, &[">Share</th>", ">Rank</th>"], &[]);
}

#[test]
fn a_quick_ratio_of_nothing_gained_is_no_missing_ratio() {
    let mut input = programme(60, 5);
    for row in &mut input.growth {
        (row.new, row.resurrected, row.churned) = (0, 0, 1);
        row.quick_ratio = Some(0.0);
    }
    let all = pages(&input);
    check_words(
        page(&all, "growth.html"),
        &["a month without gains stands at its foot", "<title>Quick ratio by month</title>"],
        &["there is no ratio", "have no ratio"],
    );
    for row in &mut input.growth {
        (row.churned, row.quick_ratio) = (0, None);
    }
    let all = pages(&input);
    check_words(
        page(&all, "growth.html"),
        &["No partner has been lost yet, so there is no ratio"],
        &["<title>Quick ratio by month</title>", "stands at its foot"],
    );
}

#[test]
fn who_counts_as_in_production_for_charges_alone_is_told() {
    let mut input = programme(60, 5);
    let mut stuck = input.stuck_partners.take().expect("stuck partners");
    stuck.truncate(1);
    stuck[0].stage = "sandbox".to_owned();
    input.stuck_partners = Some(stuck);
    let all = pages(&input);
    let words = "charged without a successful call there";
    check_words(page(&all, "funnel.html"), &[], &[words]);
    // One of those in the sandbox was charged, and so nobody is before production.
    let row = input.funnel.iter_mut().find(|row| row.cohort_month.is_none()).expect("all");
    row.production += 1;
    row.sandbox = row.production;
    let all = pages(&input);
    let told = format!("1 partner</data> was {words}");
    let said = [told.as_str(), "Stuck for 30 days or more: <data"];
    for path in ["index.html", "funnel.html"] {
        check_words(page(&all, path), &said, &["Nobody stopped here"]);
    }
}

#[test]
fn the_same_input_gives_the_same_pages() {
    assert_eq!(pages(&programme(60, 5)), pages(&programme(60, 5)));
}

#[test]
fn figures_reach_the_pages() {
    let input = programme(60, 5);
    let pages = pages(&input);
    let (now, _) = input.last_growth();
    let active = now.expect("a whole month").active;
    assert!(pages[0].1.contains(&format!("{active} active partners</data></b>")));
    let partner = pages.iter().find(|(path, _)| path == "partners/w-0001.html");
    assert!(partner.expect("a page a partner").1.contains("w-0001"));
    let lists: Vec<&str> =
        pages.iter().map(|(p, _)| p.as_str()).filter(|p| p.starts_with("health")).collect();
    // The list of all partners has two pages, and each of the seven tiers has one.
    assert_eq!(lists.len(), 9, "{lists:?}");
}
