//! Every link leads to a file of the report.

use std::collections::{BTreeSet, HashSet};
use std::path::{Component, Path};

use super::attribute;
use crate::sample::programme;
use crate::{LivePage, Report, ReportInput, docs, pages};

/// Returns the path that a link on a page leads to, without `..`.
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
    let csvs = input.csv.keys().map(|name| format!("data/{name}.csv"));
    let data: Vec<String> = csvs.flat_map(|csv| [format!("{csv}-metadata.json"), csv]).collect();
    check_pages(&pages(input), &data);
    let queries = ReportInput { queries: input.queries.clone(), ..ReportInput::default() };
    check_pages(&docs(&queries), &[]);
}

fn check_pages(pages: &[(String, String)], data: &[String]) {
    let mut files: BTreeSet<String> = pages.iter().map(|(path, _)| path.clone()).collect();
    files.extend(["style.css", "script.js"].map(str::to_owned));
    files.extend(data.iter().cloned());
    assert_eq!(files.len(), pages.len() + 2 + data.len(), "two pages share a path");
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
fn the_server_finds_each_page_by_its_path() {
    let mut input = programme(450, 10);
    input.health[7].partner_id = "Ünlike / others".to_owned();
    let files = pages(&input);
    assert!(files.iter().any(|(path, _)| path == "health-2.html"));
    assert!(files.iter().any(|(path, _)| path == "health-healthy-2.html"));
    let report = Report::new(input);
    let served = |path: &str| report.page(path, &LivePage::default());
    let heading = |html: &str| {
        let (_, rest) = html.split_once("<h1>").expect("a heading");
        rest.split_once("</h1>").expect("its end").0.to_owned()
    };
    let range = |html: &str| {
        let (_, rest) = html.split_once("class=\"pager\"")?;
        Some(rest.split_once("</span>")?.0.to_owned())
    };
    for (path, html) in &files {
        let served = served(path).unwrap_or_else(|| panic!("{path} is not served"));
        assert_eq!(heading(&served), heading(html), "{path}");
        assert_eq!(range(&served), range(html), "{path}");
    }
    for path in [
        "health-1.html",
        "health-0.html",
        "health-02.html",
        "health-+2.html",
        "health-99.html",
        "health-healthy-99.html",
        "health-nobody.html",
        "health-2",
        "partners/nobody.html",
        "partners/",
        "sql/nothing.html",
        "usage/a.html",
        "",
    ] {
        assert!(served(path).is_none(), "{path}");
    }
}
