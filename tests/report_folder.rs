//! The folder of a report replaces the old one as a whole, belongs to one instant, has no large
//! page, and describes its CSV files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::support::files::relative_files;
use crate::support::program::{Project, RunningProgram, count_entries, wait_until};
use crate::support::simulated_world::{SimulatedWorld, WorldSize};

const TIMEOUT: Duration = Duration::from_secs(300);
/// The largest size of a page, in bytes.
const MAX_PAGE_BYTES: u64 = 200_000;

/// The two instants of the reports.
const JANUARY: &str = "2026-02-01";
const MARCH: &str = "2026-03-01";

fn loaded() -> Project {
    let world = SimulatedWorld::new(WorldSize { seed: 11, partners: 30, events: 2_000, days: 70 });
    let project = Project::new();
    world.load(&project);
    project
}

fn report_arguments(as_of: &str) -> [&str; 5] {
    ["report", "--out", "site", "--as-of", as_of]
}

fn marker(site: &Path) -> Value {
    let text = std::fs::read(site.join("report.json")).expect("a marker");
    serde_json::from_slice(&text).expect("JSON")
}

/// Checks that the report in a folder is whole and of one instant, and returns that day.
#[track_caller]
fn assert_whole_report(site: &Path, files_by_instant: &[(&str, BTreeSet<PathBuf>)]) -> String {
    let as_of = marker(site)["as_of"].as_str().expect("an instant")[..10].to_owned();
    let (_, expected) =
        files_by_instant.iter().find(|(day, _)| *day == as_of).expect("one of the two");
    assert_eq!(&relative_files(site), expected, "as of {as_of}");
    let shown_date = if as_of == JANUARY { "1\u{a0}Feb\u{a0}2026" } else { "1\u{a0}Mar\u{a0}2026" };
    for page in expected.iter().filter(|path| path.extension().is_some_and(|e| e == "html")) {
        let text = std::fs::read_to_string(site.join(page)).expect("a page");
        assert!(text.trim_end().ends_with("</html>"), "{} is cut off", page.display());
        let as_of = format!("<span>As of </span>{shown_date}");
        assert!(text.contains(&as_of), "{} is of another instant", page.display());
    }
    as_of
}

/// Returns the temporary folders that a killed process left beside the report.
fn leftovers(project: &Project) -> Vec<String> {
    let names = std::fs::read_dir(project.path(".")).expect("the project");
    names
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".site"))
        .collect()
}

#[test]
fn a_killed_report_leaves_the_old_report_or_the_new_one_whole() {
    let project = loaded();
    let site = project.path("site");
    let files_by_instant = [JANUARY, MARCH].map(|day| {
        project.run_ok(&report_arguments(day));
        (day, relative_files(&site))
    });
    // The report is killed after that many files, and right after it has replaced the old one.
    let new_folder = project.path(".site.new");
    for file_count in [1, 2, 4, 8, 16, 32, usize::MAX] {
        let current = assert_whole_report(&site, &files_by_instant);
        let next = if current == JANUARY { MARCH } else { JANUARY };
        let mut running = RunningProgram::start(project.command(&report_arguments(next)));
        // The leftovers of the killed report are removed first.
        wait_until("removed leftovers", TIMEOUT, || running.has_ended() || !new_folder.exists());
        wait_until("the new report", TIMEOUT, || {
            let written = ["", "data", "sql", "partners"];
            let written: usize =
                written.iter().map(|inner| count_entries(&new_folder.join(inner))).sum();
            let placed = file_count == usize::MAX
                && site.join("report.json").exists()
                && marker(&site)["as_of"] == format!("{next}T00:00:00Z");
            running.has_ended() || placed || written >= file_count
        });
        running.kill();
        assert_whole_report(&site, &files_by_instant);
    }
    project.run_ok(&report_arguments(JANUARY));
    assert_eq!(assert_whole_report(&site, &files_by_instant), JANUARY);
    assert_eq!(leftovers(&project), Vec::<String>::new());
}

#[test]
fn a_folder_that_is_no_report_is_not_replaced() {
    let project = loaded();
    std::fs::create_dir(project.path("photos")).expect("a folder");
    project.write("photos/cat.jpg", "meow");
    let report_to = |folder: &str| project.run(&["report", "--out", folder, "--as-of", MARCH]);
    report_to("photos")
        .expect_error(2, &["photos can't be replaced", "it has no report.json", "--out"]);
    project.write("file", "mine");
    report_to("file").expect_error(2, &["file can't be replaced: it is a file"]);
    project.run_ok(&report_arguments(MARCH));
    project.write("site/notes.txt", "mine");
    report_to("site").expect_error(2, &["site can't be replaced: notes.txt is no file of one"]);
    for (name, text) in [("photos/cat.jpg", "meow"), ("file", "mine"), ("site/notes.txt", "mine")] {
        assert_eq!(std::fs::read_to_string(project.path(name)).expect("a file"), text);
    }
    // A folder of query pages is of another kind than a report.
    let docs = ["metrics", "docs", "--out", "docs"];
    project.run_ok(&docs);
    project.write("docs/sql/gone.html", "of a query that is gone");
    project.run_ok(&docs);
    assert!(!project.path("docs/sql/gone.html").exists());
    report_to("docs")
        .expect_error(2, &["docs can't be replaced: it has no report.json of a report"]);
}

#[test]
fn pages_of_the_old_report_are_removed() {
    let project = loaded();
    project.run_ok(&report_arguments(MARCH));
    let march = relative_files(&project.path("site"));
    project.run_ok(&report_arguments("2026-01-10"));
    let early = relative_files(&project.path("site"));
    assert!(early.len() < march.len(), "fewer had registered by then");
    let pages = std::fs::read_dir(project.path("site/partners")).expect("a folder").count();
    let known = "SELECT count(*) FROM partners";
    let expected = project.run_ok(&["sql", known, "--as-of", "2026-01-10", "--format", "csv"]);
    assert_eq!(format!("n\n{pages}"), expected.trim().replace("count(*)", "n"));
}

#[test]
fn each_csv_has_csv_on_the_web_metadata() {
    let project = loaded();
    project.run_ok(&report_arguments(MARCH));
    let data = project.path("site/data");
    let csvs: Vec<String> = std::fs::read_dir(&data)
        .expect("a folder")
        .filter_map(|entry| entry.expect("a file").file_name().into_string().ok())
        .filter(|name| name.ends_with(".csv"))
        .collect();
    assert!(csvs.len() > 20, "{csvs:?}");
    assert!(csvs.iter().all(|name| name != "partner_day.csv"), "other rows than the rollup's");
    for name in csvs {
        let metadata = std::fs::read(data.join(format!("{name}-metadata.json")));
        let metadata: Value =
            serde_json::from_slice(&metadata.expect("its metadata")).expect("JSON");
        assert_eq!(metadata["@context"], "http://www.w3.org/ns/csvw");
        assert_eq!(metadata["url"], name.as_str());
        assert!(metadata["dc:description"].as_str().is_some_and(|d| d.len() > 10), "{name}");
        assert_eq!(metadata["schema:temporalCoverage"], format!("../{MARCH}T00:00:00Z"));
        let run = metadata["prov:wasGeneratedBy"]["dc:identifier"].as_str().expect("a run");
        assert!(run.parse::<u64>().is_ok(), "{name}: {run}");
        let derived = metadata["prov:wasDerivedFrom"].as_array().expect("tables");
        assert!(derived.iter().any(|t| t["dc:title"] == "raw/api_calls"), "{name}: {derived:?}");
        let text = std::fs::read_to_string(data.join(&name)).expect("rows");
        let header: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
        let columns = metadata["tableSchema"]["columns"].as_array().expect("columns");
        let columns: Vec<&str> = columns.iter().filter_map(|c| c["name"].as_str()).collect();
        assert_eq!(header, columns, "{name}");
    }
}

#[test]
fn a_page_shows_when_it_was_made_and_whether_it_is_stale() {
    let project = loaded();
    project.run_ok(&report_arguments(MARCH));
    let page = std::fs::read_to_string(project.path("site/index.html")).expect("a page");
    let made = marker(&project.path("site"))["made_at"].as_str().expect("an instant").to_owned();
    // The data end long ago, so the page is stale from the start.
    assert!(page.contains("<span class=\"word\">Stale</span>"), "the world ends in March");
    assert!(!page.contains("data-until="));
    let time = format!("{}\u{a0}UTC", &made[11..16]);
    assert!(page.contains("as made on") && page.contains(&time), "no {time}");
    assert!(!page.contains("Lake version") && page.contains(" Run "));
}

/// Loads events with texts that are meant to break pages.
fn load_hostile_events(project: &Project) {
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
        project.run_ok(&[&load[..], &[&file]].concat());
    }
}

#[test]
fn pages_stay_small_with_hostile_events() {
    let project = Project::new();
    load_hostile_events(&project);
    project.run_ok(&report_arguments(MARCH));
    let site = project.path("site");
    let mut pages = 0;
    for path in relative_files(&site) {
        if path.extension().is_some_and(|ending| ending == "html") {
            let size = std::fs::metadata(site.join(&path)).expect("a page").len();
            assert!(size < MAX_PAGE_BYTES, "{} has {size} bytes", path.display());
            pages += 1;
        }
    }
    assert!(pages > 160, "{pages} pages");
    let growth = std::fs::read_to_string(site.join("growth.html")).expect("a page");
    assert!(growth.contains("earlier rows are in the <a href=\"data/growth.csv\">CSV</a> only."));
    let months = std::fs::read_to_string(site.join("data/growth.csv")).expect("rows");
    assert!(months.lines().count() > 300, "every month since 2000");
}
