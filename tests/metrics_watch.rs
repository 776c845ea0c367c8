//! `rapport metrics watch` checks every saved query and the queries that read it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::support::program::{BUSY_METRIC, Project, wait_until};

const TIMEOUT: Duration = Duration::from_secs(120);

const CASES: &str = "[[case]]
name = \"one call\"
as_of = 2026-03-01
given.api_calls = [{ partner_id = \"a\", occurred_at = \"2026-02-10\" }]
expect = [{ partner_id = \"a\", calls = 1 }]
";

/// Holds a running watch, and the lines that it writes.
struct WatchProcess {
    child: Child,
    lines: Receiver<String>,
}

impl WatchProcess {
    fn start(project: &Project, arguments: &[&str]) -> Self {
        let mut command = project.command(&[&["metrics", "watch"], arguments].concat());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program can be run");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                drop(sender.send(line.expect("text")));
            }
        });
        Self { child, lines }
    }

    #[track_caller]
    fn next_line(&self) -> String {
        self.lines.recv_timeout(TIMEOUT).expect("a line")
    }

    /// Returns the next pass.
    #[track_caller]
    fn next_pass(&self) -> Value {
        let line = self.next_line();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// Returns the lines of the next pass, up to the empty line below its result.
    #[track_caller]
    fn next_block(&self) -> String {
        let mut text = String::new();
        loop {
            let line = self.next_line();
            if line.is_empty() && (text.contains("\nok ") || text.contains("\nFAIL  1 query ")) {
                return text;
            }
            text.push_str(&format!("{line}\n"));
        }
    }

    #[track_caller]
    fn end_by_signal(mut self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status();
        assert!(sent.expect("kill can be run").success());
        wait_until("the watch to end", TIMEOUT, || {
            self.child.try_wait().expect("our own process").is_some()
        });
        assert!(self.child.wait().expect("our own process").success());
    }
}

impl Drop for WatchProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns the saved files of a pass, and what happened to each.
fn saved_files(pass: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let saved = pass["saved"].as_array().expect("a list");
    saved.iter().map(|s| format!("{} {}", text(&s["file"]), text(&s["change"]))).collect()
}

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|name| name.as_str().expect("a name")).collect()
}

/// Saves as editors do: a new file replaces the old one.
fn save_by_rename(project: &Project, file: &str, text: &str) {
    let path = project.path(file);
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let beside = path.with_file_name(format!(".{name}.tmp"));
    std::fs::write(&beside, text).expect("a file");
    rename(&beside, &path);
}

fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).expect("a file");
}

#[test]
fn every_save_checks_the_query_and_its_readers() {
    let project = Project::new();
    let file = "queries/metrics/busy.sql";
    project.write(file, BUSY_METRIC);
    project.write("queries/metrics/busy.test.toml", CASES);
    let watch = WatchProcess::start(&project, &["--format", "json"]);
    let first = watch.next_pass();
    assert!(first["ok"] == true && saved_files(&first).is_empty(), "{first}");
    let checked = names(&first["checked"]);
    assert!(checked.contains(&"busy") && checked.contains(&"funnel"), "{first}");
    assert!(first["cases"].as_u64().expect("a number") > 100, "{first}");

    // An error is saved, then fixed in the way of an editor.
    project.write(file, BUSY_METRIC.replace("sum(calls)", "sum(cals)"));
    let broken = watch.next_pass();
    assert_eq!(saved_files(&broken), [format!("{file} changed")]);
    assert_eq!(names(&broken["checked"]), ["busy"]);
    let diagnostic = &broken["findings"][0];
    assert_eq!((&diagnostic["code"], &diagnostic["line"]), (&"unknown_column".into(), &8.into()));
    assert_eq!((&broken["ok"], &broken["cases"]), (&false.into(), &0.into()), "{broken}");
    save_by_rename(&project, file, BUSY_METRIC);
    let fixed = watch.next_pass();
    assert_eq!(saved_files(&fixed), [format!("{file} changed")]);
    assert_eq!((&fixed["ok"], &fixed["cases"]), (&true.into(), &1.into()), "{fixed}");

    // The query returns another row than the case expects.
    project.write(file, BUSY_METRIC.replace("sum(calls)", "2 * sum(calls)"));
    let wrong = watch.next_pass();
    let failure = &wrong["failures"][0];
    assert_eq!(failure["case"], "one call");
    assert_eq!(failure["place"], "queries/metrics/busy.test.toml:5:11");
    assert!(failure["failure"].as_str().expect("text").contains("calls: expected 1, got 2"));
    // Saving another query does not fix it.
    let view = "queries/views/calls_seen.sql";
    let seen = BUSY_METRIC.replace("WHERE environment = 'production'\n", "");
    project.write(view, &seen);
    let other = watch.next_pass();
    assert_eq!(saved_files(&other), [format!("{view} new")]);
    assert!(other["ok"] == true && names(&other["still_wrong"]) == ["busy"], "{other}");

    // A query that reads a broken one is not tested.
    save_by_rename(
        &project,
        file,
        &BUSY_METRIC.replace("usage_day WHERE environment = 'production'", "calls_seen"),
    );
    assert!(watch.next_pass()["ok"] == true);
    project.write(view, seen.replace("usage_day", "usage_dy"));
    let broken = watch.next_pass();
    assert_eq!(names(&broken["checked"]), ["calls_seen"]);
    assert_eq!(broken["findings"][0]["query"], "calls_seen");
    let reader = watch.next_pass();
    assert!(saved_files(&reader).is_empty() && names(&reader["checked"]) == ["busy"], "{reader}");
    assert_eq!(names(&reader["untested"]), ["busy"]);
    std::fs::remove_file(project.path(view)).expect("a file");
    let gone = watch.next_pass();
    assert_eq!(saved_files(&gone), [format!("{view} deleted")]);
    assert_eq!(names(&gone["checked"]), ["busy"]);
    assert_eq!(gone["findings"][0]["code"], "unknown_table");

    // A folder is added later, with a file in it.
    std::fs::remove_dir(project.path("queries/views")).expect("an empty folder");
    std::fs::create_dir_all(project.path("later/views")).expect("a folder");
    project.write("later/views/calls_seen.sql", &seen);
    rename(&project.path("later/views"), &project.path("queries/views"));
    let back = watch.next_pass();
    assert_eq!(saved_files(&back), [format!("{view} new")]);
    assert!(back["ok"] == true && names(&back["still_wrong"]) == ["busy"], "{back}");
    let reader = watch.next_pass();
    assert!(reader["ok"] == true && names(&reader["still_wrong"]).is_empty(), "{reader}");
    project.write(view, seen.replace("usage_day", "usage_dy"));
    assert_eq!(watch.next_pass()["findings"][0]["query"], "calls_seen");
    assert_eq!(names(&watch.next_pass()["untested"]), ["busy"]);

    // A renamed file is deleted under its old name, and new under the other.
    project.write(view, &seen);
    assert_eq!(names(&watch.next_pass()["checked"]), ["calls_seen"]);
    assert!(watch.next_pass()["ok"] == true);
    rename(&project.path(view), &project.path("queries/views/calls_met.sql"));
    let renamed = watch.next_pass();
    assert_eq!(
        saved_files(&renamed),
        ["queries/views/calls_met.sql new".to_owned(), format!("{view} deleted")]
    );
    assert_eq!(names(&renamed["checked"]), ["calls_met"]);
    let reader = watch.next_pass();
    assert_eq!(names(&reader["checked"]), ["busy"]);
    assert_eq!(reader["findings"][0]["code"], "unknown_table");
    watch.end_by_signal("INT");
}

#[test]
fn named_queries_are_watched_and_reported_as_text() {
    let project = Project::new();
    project.write("queries/metrics/busy.sql", BUSY_METRIC);
    project.write("queries/metrics/busy.test.toml", CASES);
    let watch = WatchProcess::start(&project, &["busy"]);
    let first = watch.next_block();
    assert!(first.contains("1 query\nok    1 query checked, 1 case passed, "), "{first}");
    // A query that is not watched.
    project.write("queries/metrics/other.sql", BUSY_METRIC);
    project.write("queries/metrics/busy.sql", BUSY_METRIC.replace("sum(calls)", "sum(cals)"));
    let next_block = watch.next_block();
    let diagnostic = "queries/metrics/busy.sql:8:24: there is no column `cals`\n \
                   8 | SELECT partner_id, sum(cals) AS calls FROM usage_day WHERE";
    assert!(
        next_block.contains("queries/metrics/busy.sql changed") && next_block.contains(diagnostic),
        "{next_block}"
    );
    assert!(
        next_block.contains("FAIL  1 query checked, 1 error, 0 warnings, 0 cases passed, "),
        "{next_block}"
    );
    project.write("queries/metrics/busy.sql", BUSY_METRIC);
    project.write("queries/metrics/busy.test.toml", CASES.replace("calls = 1", "calls = 3"));
    let mut next_block = watch.next_block();
    if !next_block.contains("FAIL  busy · one call") {
        // The two files may be reported in two passes.
        next_block = watch.next_block();
    }
    let failed = "FAIL  busy · one call (queries/metrics/busy.test.toml:5:11)\n\
                  expected 1 row, got 1\n! row 1: calls: expected 3, got 1";
    assert!(next_block.contains(failed), "{next_block}");
    assert!(
        next_block.contains("FAIL  1 query checked, 0 cases passed, 1 failed, "),
        "{next_block}"
    );
    watch.end_by_signal("TERM");

    project.run(&["metrics", "watch", "bsy"]).expect_error(2, &["busy"]);
    Project::empty().run(&["metrics", "watch"]).expect_error(2, &["rapport init"]);
}
