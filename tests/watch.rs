//! `rapport metrics watch`: every save is answered by what is wrong, and with what reads it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::program::{BUSY, Project, wait_until};

const PATIENCE: Duration = Duration::from_secs(120);

const CASES: &str = "[[case]]
name = \"one call\"
as_of = 2026-03-01
given.api_calls = [{ partner_id = \"a\", occurred_at = \"2026-02-10\" }]
expect = [{ partner_id = \"a\", calls = 1 }]
";

/// A watch that goes on, and the lines it writes.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(project: &Project, arguments: &[&str]) -> Self {
        let mut command = project.command(&[&["metrics", "watch"], arguments].concat());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program can be run");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                drop(tell.send(line.expect("text")));
            }
        });
        Self { child, lines }
    }

    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    /// The next pass.
    #[track_caller]
    fn pass(&self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// The lines of the next pass, to the empty one below its verdict.
    #[track_caller]
    fn block(&self) -> String {
        let mut text = String::new();
        loop {
            let line = self.line();
            if line.is_empty() && (text.contains("\nok ") || text.contains("\nFAIL  1 query ")) {
                return text;
            }
            text.push_str(&format!("{line}\n"));
        }
    }

    #[track_caller]
    fn ends_by(mut self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status();
        assert!(sent.expect("kill can be run").success());
        wait_until("the watch to end", PATIENCE, || {
            self.child.try_wait().expect("our own process").is_some()
        });
        assert!(self.child.wait().expect("our own process").success());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The file and what became of it, as a pass tells it.
fn saved(pass: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let saved = pass["saved"].as_array().expect("a list");
    saved.iter().map(|s| format!("{} {}", text(&s["file"]), text(&s["change"]))).collect()
}

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|name| name.as_str().expect("a name")).collect()
}

/// As editors save: a new file takes the place of the old one.
fn replace(project: &Project, file: &str, text: &str) {
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
fn every_save_is_answered() {
    let project = Project::new();
    let file = "queries/metrics/busy.sql";
    project.write(file, BUSY);
    project.write("queries/metrics/busy.test.toml", CASES);
    let watch = Watch::start(&project, &["--format", "json"]);
    let first = watch.pass();
    assert!(first["ok"] == true && saved(&first).is_empty(), "{first}");
    let checked = names(&first["checked"]);
    assert!(checked.contains(&"busy") && checked.contains(&"funnel"), "{first}");
    assert!(first["cases"].as_u64().expect("a number") > 100, "{first}");

    // A mistake, then mended in the way of an editor.
    project.write(file, BUSY.replace("sum(calls)", "sum(cals)"));
    let broken = watch.pass();
    assert_eq!(saved(&broken), [format!("{file} changed")]);
    assert_eq!(names(&broken["checked"]), ["busy"]);
    let finding = &broken["findings"][0];
    assert_eq!((&finding["code"], &finding["line"]), (&"unknown_column".into(), &8.into()));
    assert_eq!((&broken["ok"], &broken["cases"]), (&false.into(), &0.into()), "{broken}");
    replace(&project, file, BUSY);
    let mended = watch.pass();
    assert_eq!(saved(&mended), [format!("{file} changed")]);
    assert_eq!((&mended["ok"], &mended["cases"]), (&true.into(), &1.into()), "{mended}");

    // Another row than the case says.
    project.write(file, BUSY.replace("sum(calls)", "2 * sum(calls)"));
    let wrong = watch.pass();
    let failure = &wrong["failures"][0];
    assert_eq!(failure["case"], "one call");
    assert_eq!(failure["place"], "queries/metrics/busy.test.toml:5:11");
    assert!(failure["failure"].as_str().expect("text").contains("calls: expected 1, got 2"));
    // Another query does not make it right.
    let view = "queries/views/calls_seen.sql";
    let seen = BUSY.replace("WHERE environment = 'production'\n", "");
    project.write(view, &seen);
    let other = watch.pass();
    assert_eq!(saved(&other), [format!("{view} new")]);
    assert!(other["ok"] == true && names(&other["still_wrong"]) == ["busy"], "{other}");

    // Its reader waits for it, and goes with it.
    replace(
        &project,
        file,
        &BUSY.replace("usage_day WHERE environment = 'production'", "calls_seen"),
    );
    assert!(watch.pass()["ok"] == true);
    project.write(view, seen.replace("usage_day", "usage_dy"));
    let broken = watch.pass();
    assert_eq!(names(&broken["checked"]), ["calls_seen"]);
    assert_eq!(broken["findings"][0]["query"], "calls_seen");
    let reader = watch.pass();
    assert!(saved(&reader).is_empty() && names(&reader["checked"]) == ["busy"], "{reader}");
    assert_eq!(names(&reader["untested"]), ["busy"]);
    std::fs::remove_file(project.path(view)).expect("a file");
    let gone = watch.pass();
    assert_eq!(saved(&gone), [format!("{view} deleted")]);
    assert_eq!(names(&gone["checked"]), ["busy"]);
    assert_eq!(gone["findings"][0]["code"], "unknown_table");

    // A folder that comes later, with a file already in it.
    std::fs::remove_dir(project.path("queries/views")).expect("an empty folder");
    std::fs::create_dir_all(project.path("later/views")).expect("a folder");
    project.write("later/views/calls_seen.sql", &seen);
    rename(&project.path("later/views"), &project.path("queries/views"));
    let back = watch.pass();
    assert_eq!(saved(&back), [format!("{view} new")]);
    assert!(back["ok"] == true && names(&back["still_wrong"]) == ["busy"], "{back}");
    let reader = watch.pass();
    assert!(reader["ok"] == true && names(&reader["still_wrong"]).is_empty(), "{reader}");
    project.write(view, seen.replace("usage_day", "usage_dy"));
    assert_eq!(watch.pass()["findings"][0]["query"], "calls_seen");
    assert_eq!(names(&watch.pass()["untested"]), ["busy"]);

    // Another name: the old one is missing, the new one is there.
    project.write(view, &seen);
    assert_eq!(names(&watch.pass()["checked"]), ["calls_seen"]);
    assert!(watch.pass()["ok"] == true);
    rename(&project.path(view), &project.path("queries/views/calls_met.sql"));
    let renamed = watch.pass();
    assert_eq!(
        saved(&renamed),
        ["queries/views/calls_met.sql new".to_owned(), format!("{view} deleted")]
    );
    assert_eq!(names(&renamed["checked"]), ["calls_met"]);
    let reader = watch.pass();
    assert_eq!(names(&reader["checked"]), ["busy"]);
    assert_eq!(reader["findings"][0]["code"], "unknown_table");
    watch.ends_by("INT");
}

#[test]
fn only_those_named_are_looked_at_and_said_to_people() {
    let project = Project::new();
    project.write("queries/metrics/busy.sql", BUSY);
    project.write("queries/metrics/busy.test.toml", CASES);
    let watch = Watch::start(&project, &["busy"]);
    let first = watch.block();
    assert!(first.contains("1 query\nok    1 query checked, 1 case passed, "), "{first}");
    // No matter of busy.
    project.write("queries/metrics/other.sql", BUSY);
    project.write("queries/metrics/busy.sql", BUSY.replace("sum(calls)", "sum(cals)"));
    let block = watch.block();
    let finding = "queries/metrics/busy.sql:8:24: there is no column `cals`\n \
                   8 | SELECT partner_id, sum(cals) AS calls FROM usage_day WHERE";
    assert!(
        block.contains("queries/metrics/busy.sql changed") && block.contains(finding),
        "{block}"
    );
    assert!(
        block.contains("FAIL  1 query checked, 1 error, 0 warnings, 0 cases passed, "),
        "{block}"
    );
    project.write("queries/metrics/busy.sql", BUSY);
    project.write("queries/metrics/busy.test.toml", CASES.replace("calls = 1", "calls = 3"));
    let mut block = watch.block();
    if !block.contains("FAIL  busy · one call") {
        // The two files were two saves.
        block = watch.block();
    }
    let failed = "FAIL  busy · one call (queries/metrics/busy.test.toml:5:11)\n\
                  expected 1 row, got 1\n! row 1: calls: expected 3, got 1";
    assert!(block.contains(failed), "{block}");
    assert!(block.contains("FAIL  1 query checked, 0 cases passed, 1 failed, "), "{block}");
    watch.ends_by("TERM");

    project.run(&["metrics", "watch", "bsy"]).refused(2, &["busy"]);
    Project::empty().run(&["metrics", "watch"]).refused(2, &["rapport init"]);
}
