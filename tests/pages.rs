//! The folder of a report: it takes the place of the one before whole, belongs to one instant, and
//! has no large page whatever events bring; its CSVs say what they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::program::{Project, Running, entries, wait_until};
use crate::simulated::{Simulated, Size};

const PATIENCE: Duration = Duration::from_secs(300);
/// The largest page.
const LIMIT: u64 = 200_000;

/// A small programme, reported as of two instants.
const JANUARY: &str = "2026-02-01";
const MARCH: &str = "2026-03-01";

fn loaded() -> Project {
    let world = Simulated::new(Size { seed: 11, partners: 30, events: 2_000, days: 70 });
    let project = Project::new();
    world.load(&project);
    project
}

fn report(as_of: &str) -> [&str; 5] {
    ["report", "--out", "site", "--as-of", as_of]
}

/// Every file below a folder, as paths in it.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(folder.join(&inner)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = inner.join(entry.file_name());
            if entry.file_type().expect("a type").is_dir() {
                folders.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    found
}

fn marker(site: &Path) -> Value {
    let text = std::fs::read(site.join("report.json")).expect("a marker");
    serde_json::from_slice(&text).expect("JSON")
}

/// The report that stands in a folder is whole, and all of one instant; which.
#[track_caller]
fn whole(site: &Path, of: &[(&str, BTreeSet<PathBuf>)]) -> String {
    let as_of = marker(site)["as_of"].as_str().expect("an instant")[..10].to_owned();
    let (_, due) = of.iter().find(|(day, _)| *day == as_of).expect("one of the two");
    assert_eq!(&files(site), due, "as of {as_of}");
    let said = if as_of == JANUARY { "1\u{a0}Feb\u{a0}2026" } else { "1\u{a0}Mar\u{a0}2026" };
    for page in due.iter().filter(|path| path.extension().is_some_and(|e| e == "html")) {
        let text = std::fs::read_to_string(site.join(page)).expect("a page");
        assert!(text.trim_end().ends_with("</html>"), "{} is cut off", page.display());
        let as_of = format!("<span>As of </span>{said}");
        assert!(text.contains(&as_of), "{} is of another instant", page.display());
    }
    as_of
}

/// What stands beside the report: nothing but what a killed process left.
fn beside(project: &Project) -> Vec<String> {
    let names = std::fs::read_dir(project.path(".")).expect("the project");
    names
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".site"))
        .collect()
}

#[test]
fn a_report_takes_the_place_of_the_old_one_whole() {
    let project = loaded();
    let site = project.path("site");
    let of = [JANUARY, MARCH].map(|day| {
        project.ok(&report(day));
        (day, files(&site))
    });
    // Killed when so many files of the new one are there, and once it has taken its place.
    let new = project.path(".site.new");
    for due in [1, 2, 4, 8, 16, 32, usize::MAX] {
        let stands = whole(&site, &of);
        let next = if stands == JANUARY { MARCH } else { JANUARY };
        let mut running = Running::start(project.command(&report(next)));
        // What the one before left goes first.
        wait_until("a clear place", PATIENCE, || running.has_ended() || !new.exists());
        wait_until("the new report", PATIENCE, || {
            let written = ["", "data", "sql", "partners"];
            let written: usize = written.iter().map(|inner| entries(&new.join(inner))).sum();
            let placed = due == usize::MAX
                && site.join("report.json").exists()
                && marker(&site)["as_of"] == format!("{next}T00:00:00Z");
            running.has_ended() || placed || written >= due
        });
        running.kill();
        whole(&site, &of);
    }
    project.ok(&report(JANUARY));
    assert_eq!(whole(&site, &of), JANUARY);
    assert_eq!(beside(&project), Vec::<String>::new());
}

#[test]
fn a_folder_that_is_no_report_stays() {
    let project = loaded();
    std::fs::create_dir(project.path("photos")).expect("a folder");
    project.write("photos/cat.jpg", "meow");
    let out = |folder: &str| project.run(&["report", "--out", folder, "--as-of", MARCH]);
    out("photos").refused(2, &["photos can't be replaced", "it has no report.json", "--out"]);
    project.write("file", "mine");
    out("file").refused(2, &["file can't be replaced: it is a file"]);
    project.ok(&report(MARCH));
    project.write("site/notes.txt", "mine");
    out("site").refused(2, &["site can't be replaced: notes.txt is no file of one"]);
    for (name, text) in [("photos/cat.jpg", "meow"), ("file", "mine"), ("site/notes.txt", "mine")] {
        assert_eq!(std::fs::read_to_string(project.path(name)).expect("a file"), text);
    }
    // The pages of queries are a folder of their own kind.
    let docs = ["metrics", "docs", "--out", "docs"];
    project.ok(&docs);
    project.write("docs/sql/gone.html", "of a query that is gone");
    project.ok(&docs);
    assert!(!project.path("docs/sql/gone.html").exists());
    out("docs").refused(2, &["docs can't be replaced: it has no report.json of a report"]);
}

#[test]
fn pages_that_no_longer_belong_are_gone() {
    let project = loaded();
    project.ok(&report(MARCH));
    let march = files(&project.path("site"));
    project.ok(&report("2026-01-10"));
    let early = files(&project.path("site"));
    assert!(early.len() < march.len(), "fewer had registered by then");
    let pages = std::fs::read_dir(project.path("site/partners")).expect("a folder").count();
    let known = "SELECT count(*) FROM partners";
    let due = project.ok(&["sql", known, "--as-of", "2026-01-10", "--format", "csv"]);
    assert_eq!(format!("n\n{pages}"), due.trim().replace("count(*)", "n"));
}

#[test]
fn a_csv_says_what_it_is() {
    let project = loaded();
    project.ok(&report(MARCH));
    let data = project.path("site/data");
    let csvs: Vec<String> = std::fs::read_dir(&data)
        .expect("a folder")
        .filter_map(|entry| entry.expect("a file").file_name().into_string().ok())
        .filter(|name| name.ends_with(".csv"))
        .collect();
    assert!(csvs.len() > 20, "{csvs:?}");
    assert!(csvs.iter().all(|name| name != "partner_day.csv"), "other rows than the rollup's");
    for name in csvs {
        let about = std::fs::read(data.join(format!("{name}-metadata.json")));
        let about: Value = serde_json::from_slice(&about.expect("its metadata")).expect("JSON");
        assert_eq!(about["@context"], "http://www.w3.org/ns/csvw");
        assert_eq!(about["url"], name.as_str());
        assert!(about["dc:description"].as_str().is_some_and(|d| d.len() > 10), "{name}");
        assert_eq!(about["schema:temporalCoverage"], format!("../{MARCH}T00:00:00Z"));
        let run = about["prov:wasGeneratedBy"]["dc:identifier"].as_str().expect("a run");
        assert!(run.parse::<u64>().is_ok(), "{name}: {run}");
        let derived = about["prov:wasDerivedFrom"].as_array().expect("tables");
        assert!(derived.iter().any(|t| t["dc:title"] == "raw/api_calls"), "{name}: {derived:?}");
        let text = std::fs::read_to_string(data.join(&name)).expect("rows");
        let header: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
        let columns = about["tableSchema"]["columns"].as_array().expect("columns");
        let columns: Vec<&str> = columns.iter().filter_map(|c| c["name"].as_str()).collect();
        assert_eq!(header, columns, "{name}");
    }
}

#[test]
fn a_page_says_when_it_was_made_and_when_it_turns_stale() {
    let project = loaded();
    project.ok(&report(MARCH));
    let page = std::fs::read_to_string(project.path("site/index.html")).expect("a page");
    let made = marker(&project.path("site"))["made_at"].as_str().expect("an instant").to_owned();
    // The data end long before now: the script has nothing left to turn.
    assert!(page.contains("<span class=\"word\">Stale</span>"), "the world ends in March");
    assert!(!page.contains("data-until="));
    let time = format!("{}\u{a0}UTC", &made[11..16]);
    assert!(page.contains("as made on") && page.contains(&time), "no {time}");
    assert!(!page.contains("Lake version") && page.contains(" Run "));
}

/// A programme as somebody would send it who wants pages to break.
fn hostile(project: &Project) {
    let long = "\\\"'&<\u{1f600}".repeat(30_000);
    let mut partners = Vec::new();
    let mut calls = Vec::new();
    let mut bills = Vec::new();
    for i in 0..160 {
        let tail = "<".repeat(120);
        let id = format!("p{i:03}-{tail}");
        let field = if i < 12 { long.clone() } else { "\\\"".repeat(400) };
        partners.push(format!(
            r#"{{"event_id":"r{i}","partner_id":"{id}","occurred_at":"2026-01-0{}T00:00:00Z","type":"registered","name":"{i}{field}","segment":"s{i}{field}","plan":"growth","manager":"{field}","region":"{field}","quota_per_minute":10}}"#,
            i % 9 + 1
        ));
        for day in 1..28 {
            calls.push(format!(
                r#"{{"event_id":"c{i}-{day}","partner_id":"{id}","occurred_at":"2026-02-{day:02}T01:00:00Z","status":{},"product":"{}{i}","endpoint":"/{}/{i}/{day}","method":"POST","api_version":"{i}.{day}"}}"#,
                if day % 3 == 0 { 422 } else { 200 },
                "&".repeat(2_000),
                "\\\"".repeat(2_000),
            ));
        }
        bills.push(format!(
            r#"{{"event_id":"b{i}","partner_id":"{id}","occurred_at":"2026-02-0{}T00:00:00Z","kind":"usage","amount_minor":49,"currency":"USD","product":"{}"}}"#,
            i % 9 + 1,
            "<".repeat(2_000)
        ));
    }
    let old = r#"{"event_id":"old","partner_id":"old","occurred_at":"2000-01-01T00:00:00Z""#;
    partners.push(format!(r#"{old},"type":"registered"}}"#));
    calls.push(format!(r#"{old},"status":200}}"#));
    bills.push(format!(r#"{old},"kind":"usage","amount_minor":1,"currency":"USD"}}"#));
    for (stream, lines) in
        [("partner-events", partners), ("api-calls", calls), ("billing-events", bills)]
    {
        let file = format!("{stream}.ndjson");
        project.write(&file, lines.join("\n"));
        let load = ["ingest", "load", "--stream", stream, "--arrival", "2026-03-01T00:00:00Z"];
        project.ok(&[&load[..], &[&file]].concat());
    }
}

#[test]
fn no_page_is_large_on_a_hostile_world() {
    let project = Project::new();
    hostile(&project);
    project.ok(&report(MARCH));
    let site = project.path("site");
    let mut pages = 0;
    for path in files(&site) {
        if path.extension().is_some_and(|ending| ending == "html") {
            let size = std::fs::metadata(site.join(&path)).expect("a page").len();
            assert!(size < LIMIT, "{} has {size} bytes", path.display());
            pages += 1;
        }
    }
    assert!(pages > 160, "{pages} pages");
    let growth = std::fs::read_to_string(site.join("growth.html")).expect("a page");
    assert!(growth.contains("earlier rows are in the <a href=\"data/growth.csv\">CSV</a> only."));
    let months = std::fs::read_to_string(site.join("data/growth.csv")).expect("rows");
    assert!(months.lines().count() > 300, "every month since 2000");
}
