//! Every link leads to a file of the report.

use std::collections::{BTreeSet, HashSet};
use std::path::{Component, Path};

use super::attribute;
use crate::sample::programme;
use crate::{ReportInput, docs, pages};

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
