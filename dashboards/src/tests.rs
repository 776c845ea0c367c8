//! What holds for every page of a report: links lead somewhere, nothing is fetched, content is escaped.

use std::collections::{BTreeSet, HashSet};
use std::path::{Component, Path, PathBuf};

use crate::sample::programme;
use crate::{ReportInput, docs, pages, stylesheet, write_report};

/// The largest page, in bytes.
const LIMIT: usize = 200_000;

/// Values of an attribute in document order.
fn attribute<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    html.split(start.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// A path from one page to a file of the report, without `..`.
fn resolve(page: &str, href: &str) -> String {
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    let mut parts: Vec<String> = Vec::new();
    for part in folder.join(href).components() {
        match part {
            Component::ParentDir => drop(parts.pop().expect("inside the report")),
            Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            _ => panic!("{href} on {page} leads out of the report"),
        }
    }
    parts.join("/")
}

fn check_links(input: &ReportInput) {
    let data: Vec<String> = input.csv.keys().map(|name| format!("data/{name}.csv")).collect();
    check_pages(&pages(input), &data);
    let queries = ReportInput { queries: input.queries.clone(), ..ReportInput::default() };
    check_pages(&docs(&queries), &[]);
}

fn check_pages(pages: &[(String, String)], data: &[String]) {
    let mut files: BTreeSet<String> = pages.iter().map(|(path, _)| path.clone()).collect();
    files.insert("style.css".to_owned());
    files.extend(data.iter().cloned());
    assert_eq!(files.len(), pages.len() + 1 + data.len(), "two pages share a path");
    for (path, html) in pages {
        let ids: HashSet<&str> = attribute(html, "id").into_iter().collect();
        for href in attribute(html, "href") {
            match href.strip_prefix('#') {
                Some(id) => assert!(ids.contains(id), "{path}: no {href}"),
                None => {
                    assert!(files.contains(&resolve(path, href)), "{path}: {href} leads nowhere");
                }
            }
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    check_links(&programme(60, 30));
    check_links(&programme(230, 1));
    check_links(&ReportInput::default());
}

#[test]
fn pages_stand_alone_and_are_small() {
    let input = programme(2000, 60);
    for (path, html) in pages(&input) {
        assert!(html.len() < LIMIT, "{path} has {} bytes", html.len());
        for fetched in ["http://", "https://", "//cdn", "@import", "url(", " src="] {
            assert!(!html.contains(fetched), "{path} holds {fetched}");
        }
    }
    assert!(stylesheet().len() < 40_000);
}

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
fn drawings_say_what_they_are() {
    for (path, html) in pages(&programme(60, 30)) {
        for drawing in html.split("<svg").skip(1) {
            let hidden = drawing.split('>').next().is_some_and(|tag| tag.contains("aria-hidden"));
            let named = drawing.starts_with(" role=\"img\"") && drawing.contains("<title>");
            assert!(hidden || named, "{path}: {}", &drawing[..80.min(drawing.len())]);
        }
        assert_eq!(html.matches("<h1").count(), 1, "{path}");
    }
}

#[test]
fn colours_of_drawings_have_a_role() {
    let known: HashSet<String> = crate::roles::all().map(|r| format!("#{:06X}", r.light)).collect();
    for (path, html) in pages(&programme(60, 30)) {
        for name in ["fill", "stroke"] {
            for colour in attribute(&html, name).into_iter().filter(|c| *c != "none") {
                assert!(known.contains(colour), "{path}: {colour} is no role");
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
    assert!(pages[0].1.contains(&format!("<b>{active} active partners</b>")));
    let partner = pages.iter().find(|(path, _)| path == "partners/w-0001.html");
    assert!(partner.expect("a page a partner").1.contains("w-0001"));
    let lists: Vec<&str> =
        pages.iter().map(|(p, _)| p.as_str()).filter(|p| p.starts_with("health")).collect();
    assert_eq!(lists.len(), 8, "{lists:?}");
}

/// Leaves the report under the build folder, to be looked at: `target/sample-report/index.html`.
#[test]
fn a_report_is_written() {
    let out = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sample-report"));
    let input = programme(450, 120);
    let summary = write_report(&input, &out).expect("a written report");
    assert_eq!(summary.index, out.join("index.html"));
    assert!(summary.pages > 450);
    assert!(out.join("data/growth.csv").exists() && out.join("style.css").exists());
    let again = write_report(&input, &out).expect("written over");
    assert_eq!(again, summary);
    let empty =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sample-report-empty"));
    let none = ReportInput {
        currency: "USD".to_owned(),
        as_of: input.as_of,
        rapport_version: "0.1.0".to_owned(),
        ..ReportInput::default()
    };
    write_report(&none, &empty).expect("an empty report");
    let first =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sample-report-first"));
    write_report(&programme(60, 1), &first).expect("a report of the first day scored");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml/report"));
    let error = write_report(&ReportInput::default(), &file).expect_err("a file is in the way");
    assert!(error.to_string().starts_with("cannot make the folder"), "{error}");
}
