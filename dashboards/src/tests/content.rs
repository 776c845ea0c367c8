//! What the pages say, and that content is escaped.

use super::attribute;
use crate::sample::programme;
use crate::{ReportInput, pages};

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
    check(&pages, "growth.html", "first one starts this");
    check(&pages, "revenue.html", "Billing events fill this page");
    check(&pages, "health.html", "rapport score run");
    check(&pages, "metrics.html", "rapport metrics run");
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
