//! The pages of `rapport serve` in Chromium: axe-core on every page, and what people do on them, with
//! and without JavaScript (`tests/browser/`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::kafka_broker::print_note;
use crate::support::page_server::PageServer;
use crate::support::program::{Project, run};

/// Returns a path in the folder of the scripts.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(name)
}

/// Returns whether there is a browser. Without one it prints what to install; with `CI=true` it fails
/// the test.
fn has_browser() -> bool {
    let check = Command::new(script("setup")).arg("check").output().expect("a shell");
    let missing = String::from_utf8_lossy(&check.stderr).trim_end().to_owned();
    assert!(check.status.success() || std::env::var("CI").as_deref() != Ok("true"), "{missing}");
    if !check.status.success() {
        print_note(&format!("skipped, without a browser: {missing}"));
    }
    check.status.success()
}

/// Returns a project whose data ends today, with scores, a plan and a report.
fn simulated_project(partners: &str, events: &str, days: &str) -> Project {
    let project = Project::empty();
    let size = ["--partners", partners, "--events", events, "--days", days];
    project.run_ok(&[&["demo", "--dir", ".", "--seed", "1"], size.as_slice()].concat());
    project
}

/// Runs a suite of the scripts, which must find nothing.
#[track_caller]
fn examine(suite: &str, server: &PageServer, people: &Value) {
    let mut command = Command::new("node");
    command.arg(script("pages.mjs")).args([suite, &server.address]);
    command.env("PEOPLE", people.to_string());
    let examined = run(command);
    assert_eq!(examined.code, Some(0), "{}{examined}", server.program.messages_so_far());
}

#[test]
fn every_page_and_form_works_in_a_browser() {
    if !has_browser() {
        return;
    }
    let project = simulated_project("60", "20000", "120");
    let server = PageServer::start(&project);
    examine("open", &server, &Value::Null);
    // The files that Chromium makes of pages and charts.
    let print = |path: &str, kind: &str| {
        let file = server.get_bytes(path);
        let is_kind = file.windows(kind.len()).take(2).any(|window| window == kind.as_bytes());
        assert!(is_kind, "{path}: {}", String::from_utf8_lossy(&file));
    };
    print("/growth.html?as=pdf", "%PDF");
    print("/view/segment=startup/growth.html?as=pdf", "%PDF");
    print("/growth.html?chart=churn&as=png", "PNG");
    print("/growth.html?chart=churn&as=svg", "<svg xmlns=");
    assert_eq!(server.get("/growth.html?chart=nothing&as=png").status, 404);
    assert_eq!(server.get("/growth.html?chart=churn&as=gif").status, 400);
}

#[test]
fn people_sign_in_and_see_what_is_theirs() {
    if !has_browser() {
        return;
    }
    let project = simulated_project("30", "5000", "60");
    let row =
        "SELECT manager, partner_id FROM partners WHERE manager IS NOT NULL ORDER BY partner_id";
    let row = project.query_rows(row).remove(0);
    let (manager, partner_id) = row.split_once(',').expect("two columns");
    let mut access = String::new();
    let mut people = json!({ "partner_id": partner_id, "manager_name": manager });
    for (role, name) in [
        ("leadership", "Zoë"),
        ("manager", manager),
        ("engineer", "Ada"),
        ("partner", "Their engineer"),
    ] {
        let mut arguments = vec!["serve", "--new-token", role, "--name", name];
        if role == "partner" {
            arguments.extend(["--partner", partner_id]);
        }
        let made = project.run(&arguments).expect_success();
        let token = made.stderr.split_whitespace().find(|word| word.starts_with("rapport_"));
        people[role] = json!(token.expect("a token"));
        writeln!(access, "{}", made.stdout_text()).expect("room");
    }
    project.write("access.toml", access);
    let server = PageServer::start(&project);
    examine("signed-in", &server, &people);
}
