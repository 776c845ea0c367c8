//! `rapport score show` and `movers`: parts that add up, queries that run as they are printed, and
//! what made a score change.

use std::fmt::Write as _;
use std::process::Command;

use domain::Day;
use serde_json::Value;

use crate::support::program::{Project, rapport_command, run};

const AS_OF: &str = "2026-11-26";
const FIRST_DAY: &str = "2026-07-20";
/// Up to this day all partners call as usual.
const BEFORE: &str = "2026-11-10";

/// A partner whose calls fall and fail from [`BEFORE`] on. Its id needs care in SQL and in a shell.
const FALLING: &str = "o'neil \"$HOME\" `1`";
/// It was merged into the falling partner.
const MERGED: &str = "old\\shop!";
/// It called nothing before 20 November.
const YOUNG: &str = "young";
const STEADY: [&str; 5] = ["s-1", "s-2", "s-3", "s-4", "s-5"];

fn day(text: &str) -> Day {
    text.parse().expect("a date")
}

/// The calls of a partner on one day.
#[derive(Clone, Copy, Default)]
struct Calls {
    all: usize,
    failed: usize,
    throttled: usize,
}

fn calls_of(partner: &str, date: &str) -> Calls {
    let is_before = date < BEFORE;
    match partner {
        FALLING if is_before => Calls { all: 40, failed: 0, throttled: 0 },
        FALLING => Calls { all: 18, failed: 6, throttled: 1 },
        MERGED => Calls { all: 8, failed: if is_before { 0 } else { 3 }, throttled: 0 },
        YOUNG if date < "2026-11-20" => Calls::default(),
        _ => Calls { all: 20, failed: 0, throttled: 0 },
    }
}

fn json_text(text: &str) -> String {
    Value::from(text).to_string()
}

fn partners() -> impl Iterator<Item = &'static str> {
    [FALLING, MERGED, YOUNG].into_iter().chain(STEADY)
}

/// Returns the calls of all partners as NDJSON. One call a day is slower than promised.
fn call_lines() -> String {
    let mut lines = String::new();
    for partner in partners() {
        for date in (day(FIRST_DAY).0..day(AS_OF).0).map(|day| Day(day).to_string()) {
            let calls = calls_of(partner, &date);
            for i in 0..calls.all {
                let status = match i {
                    i if i < calls.failed => 422,
                    i if i < calls.failed + calls.throttled => 429,
                    _ => 200,
                };
                let latency = if i + 1 == calls.all { 900 } else { 20 };
                writeln!(
                    lines,
                    r#"{{"event_id":"{date}-{i}","partner_id":{},"occurred_at":"{date}T10:{i:02}:00Z","status":{status},"method":"POST","endpoint":"/v1/charges","api_version":"1.4","latency_ms":{latency}}}"#,
                    json_text(partner)
                )
                .expect("a line");
            }
        }
    }
    lines
}

/// Returns a project with the partners' calls, three tickets, and one charge a month.
fn project_with_partners() -> Project {
    let project = Project::new();
    let mut events = String::new();
    for partner in partners() {
        let id = json_text(partner);
        writeln!(events, r#"{{"event_id":"r","partner_id":{id},"occurred_at":"2026-07-01T08:00:00Z","type":"registered","segment":"shops","plan":"free","quota_per_minute":5}}"#).expect("a line");
    }
    let (merged, falling) = (json_text(MERGED), json_text(FALLING));
    writeln!(events, r#"{{"event_id":"m","partner_id":{merged},"occurred_at":"2026-08-01T08:00:00Z","type":"merged","merged_into":{falling}}}"#).expect("a line");
    let tickets = (1..=3).map(|n| {
        format!(
            r#"{{"event_id":"t{n}","partner_id":{falling},"occurred_at":"2026-11-1{n}T08:00:00Z","type":"opened","ticket_id":"T{n}","severity":2}}"#
        )
    });
    project.write("calls.ndjson", call_lines());
    project.write("events.ndjson", events);
    project.write("tickets.ndjson", tickets.collect::<Vec<_>>().join("\n") + "\n");
    project.write("sla.csv", "plan,target,latency_target_ms\nfree,0.99,500\n");
    project.write("sunsets.csv", "api_version,sunset_on\n1.4,2027-03-01\n");
    for (stream, file) in [
        ("api-calls", "calls.ndjson"),
        ("partner-events", "events.ndjson"),
        ("support-events", "tickets.ndjson"),
    ] {
        project.run_ok(&["ingest", "load", "--stream", stream, "--arrival", AS_OF, file]);
    }
    project
}

fn show(project: &Project, arguments: &[&str]) -> String {
    project.run_ok(&[&["score", "show"], arguments, &["--as-of", AS_OF]].concat())
}

fn show_json(project: &Project, arguments: &[&str]) -> Value {
    let text = show(project, &[arguments, &["--format", "json"]].concat());
    serde_json::from_str(&text).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Runs a line in a shell in the project's folder, with `rapport` standing for the program.
#[track_caller]
fn run_in_shell(project: &Project, line: &str) -> String {
    let mut command = Command::new("sh");
    command.current_dir(project.path(".")).env("PROGRAM", rapport_command().get_program());
    command.args(["-c", &format!("rapport() {{ \"$PROGRAM\" \"$@\"; }}; {line}")]);
    run(command).expect_success().stdout_text()
}

#[test]
fn printed_queries_run_and_list_the_events() {
    let project = project_with_partners();
    let shown = show(&project, &[FALLING]);
    let (_, printed) = shown.split_once("The events behind it:\n").expect("queries");
    let lines: Vec<&str> = printed.lines().collect();
    let mut rows = std::collections::BTreeMap::new();
    for pair in lines.chunks(2) {
        let [of, line] = pair else { panic!("{printed}") };
        assert!(of.starts_with("# ") && line.starts_with("rapport sql "), "{printed}");
        let csv = run_in_shell(&project, &format!("{line} --format csv"));
        rows.insert(of.trim_start_matches("# ").to_owned(), csv.lines().count() - 1);
    }
    let count = |signal: &str| {
        let found = rows.iter().find(|(of, _)| of.split(" and ").any(|name| name == signal));
        *found.unwrap_or_else(|| panic!("{signal} in {rows:?}")).1
    };
    // Sixteen days of six errors and of three more under the merged id, and one call throttled.
    assert_eq!(count("errors"), 16 * (6 + 3), "{rows:?}");
    assert_eq!(count("throttling"), 16, "{rows:?}");
    // The slow call of each day of W and of each id.
    assert_eq!(count("service"), 28 * 2, "{rows:?}");
    assert_eq!(count("support"), 3, "{rows:?}");
    assert_eq!(count("growth"), 84, "{rows:?}");
    // Every call of W is one to a version that ends within a year.
    let calls = 12 * (40 + 8) + 16 * (18 + 8);
    assert_eq!(count("deprecated"), calls, "{rows:?}");
    let json = show_json(&project, &[FALLING]);
    let commands: Vec<&str> = json["queries"]
        .as_array()
        .expect("queries")
        .iter()
        .filter_map(|q| q["command"].as_str())
        .collect();
    let printed: Vec<&str> = lines.iter().skip(1).step_by(2).copied().collect();
    assert_eq!(commands, printed);
}

#[test]
fn points_add_up_to_the_score() {
    let project = project_with_partners();
    for partner in [FALLING, STEADY[0]] {
        let json = show_json(&project, &[partner]);
        let signals = json["signals"].as_array().expect("signals");
        let points: f64 = signals.iter().filter_map(|signal| signal["contribution"].as_f64()).sum();
        let sum = number(&json["reference"]) + points + number(&json["cap_effect"]);
        assert!((sum - number(&json["score"])).abs() < 1e-9, "{json}");

        let shown = show(&project, &[partner]);
        let table = shown.lines().skip_while(|line| !line.starts_with("signal ")).skip(2);
        let mut tenths = Vec::new();
        for line in table.take_while(|line| !line.is_empty()) {
            // The points stand in the columns of the header's word.
            let header = shown.lines().find(|line| line.starts_with("signal ")).expect("a header");
            let end = header.find("points").expect("points") + "points".len();
            let cell: String = line.chars().take(end).collect();
            let word = cell.rsplit(' ').next().expect("a word");
            tenths.push((word.parse::<f64>().expect(line) * 10.0).round() as i64);
        }
        let score = tenths.pop().expect("the score");
        assert_eq!(tenths.iter().sum::<i64>(), score, "{shown}");
        assert_eq!(score, (number(&json["score"]) * 10.0).round() as i64, "{shown}");
    }
}

#[test]
fn a_change_is_split_into_its_causes() {
    let project = project_with_partners();
    project.run_ok(&["score", "run", "--as-of", BEFORE]);
    // From now on growth weighs twice as much.
    let policy = scoring::DEFAULT_POLICY.replace("growth = 15", "growth = 30");
    assert_ne!(policy, scoring::DEFAULT_POLICY);
    project.write("scoring.toml", policy);
    let json = show_json(&project, &[FALLING, "--since", BEFORE]);
    let split = &json["change"]["split"];
    let causes = ["own_data", "coverage_and_cap", "peers", "model", "policy"];
    let parts: f64 = causes.iter().map(|cause| number(&split[*cause])).sum();
    let change = number(&split["score_now"]) - number(&split["score_then"]);
    assert!((parts - change).abs() < 1e-9, "{split}");
    assert!(number(&split["own_data"]) < -5.0, "{split}");
    assert!(number(&split["policy"]).abs() > 0.01, "{split}");
    let stored = |as_of: &str| {
        let rows = project.query_rows(&format!(
            "SELECT score FROM partner_health WHERE as_of = '{as_of}T00:00:00Z' AND partner_id LIKE 'o_neil%' ORDER BY revision DESC LIMIT 1"
        ));
        rows[0].parse::<f64>().expect("a score")
    };
    assert!((number(&split["score_then"]) - stored(BEFORE)).abs() < 1e-6, "{split}");
    assert!((number(&split["score_now"]) - stored(AS_OF)).abs() < 1e-6, "{split}");

    let text = show(&project, &[FALLING, "--since", BEFORE]);
    for part in ["Since 2026-11-10: score ", "own data", "coverage and cap", "peers", "policy"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    // On a day on which the partner was not live there is nothing to compare.
    let young = show(&project, &[YOUNG, "--since", BEFORE]);
    assert!(
        young.contains("There is no change to split: as of 2026-11-10 it was not live"),
        "{young}"
    );

    let refused = |since: &str, words: &[&str]| {
        let show = ["score", "show", FALLING, "--as-of", AS_OF, "--since", since];
        project.run(&show).expect_error(2, words);
    };
    refused(AS_OF, &["--since 2026-11-26 must lie before the day that is shown"]);
    refused("soon", &["--since: \"soon\" is no instant"]);
    // The partner is known, but not yet on that day.
    let early = ["score", "show", YOUNG, "--as-of", "2026-07-01"];
    project.run(&early).expect_error(2, &["no event of \"young\" lies before 2026-07-01"]);
}

#[test]
fn movers_are_listed_with_the_reason() {
    let project = project_with_partners();
    let text = project.run_ok(&["score", "movers", "--as-of", AS_OF, "--since", BEFORE]);
    let fell = text.lines().find(|line| line.starts_with("o'neil")).expect("the falling partner");
    assert!(fell.contains(" → "), "{text}");
    assert!(text.starts_with("Fell: ") && text.contains("Changes of tier: "), "{text}");
    let movers = ["score", "movers", "--as-of", AS_OF, "--since", BEFORE, "--format"];
    let csv = project.run_ok(&[&movers[..], &["csv"]].concat());
    let header = "direction,partner_id,tier_then,tier,score_then,score,change,movement,impact_share,gate,reason,set_tier\n";
    assert!(csv.starts_with(header), "{csv}");
    let all = project.run_ok(&[&movers[..], &["csv", "--limit", "0"]].concat());
    assert_eq!(all, csv, "0 is all of them");
    let json = project.run_ok(&[&movers[..], &["json", "--limit", "1"]].concat());
    let rows: Vec<Value> = serde_json::from_str(&json).expect("rows");
    assert_eq!(rows[0]["partner_id"], FALLING, "{json}");
    assert!(number(&rows[0]["movement"]) < 0.0, "{json}");
    assert_eq!(rows.iter().filter(|row| row["direction"] == "fell").count(), 1, "{json}");

    // Without scores of the day there is nothing to compare.
    let early = ["score", "movers", "--as-of", AS_OF, "--since", "2026-07-01"];
    project.run(&early).expect_error(2, &["no scores as of 2026-07-01", "rapport score run"]);
}

#[test]
fn what_people_recorded_stands_at_the_head() {
    let project = project_with_partners();
    let score = |arguments: &[&str]| {
        project.run_ok(&[&["score"], arguments, &["--by", "Ada"]].concat());
    };
    score(&["override", FALLING, "--tier", "healthy", "--reason", "They move"]);
    score(&["sentiment", FALLING, "2", "--note", "A cool call"]);
    score(&[
        "annotate",
        "--from",
        "2026-11-14",
        "--to",
        "2026-11-15",
        "--text",
        "Our gateway was down",
    ]);
    let text = show(&project, &[FALLING]);
    for part in [
        ": healthy, stage live, score ",
        "Set by Ada on ",
        ": They move\n",
        "Computed: ",
        "Sentiment 2 of 5 by Ada on ",
        ": A cool call\n",
        "Left out as calm: on 14 and 15 Nov (Our gateway was down)",
        "Incidents of the last 90 days:\n  2026-11-1",
        "Risk of leaving ",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let json = show_json(&project, &[FALLING]);
    assert_eq!(json["override"]["by"], "Ada");
    assert_eq!(json["sentiment"]["sentiment"], 2);
    assert_eq!(json["calm_days"][0]["annotation"], "Our gateway was down");
    assert_eq!(json["calm_days"][0]["last"], "2026-11-15");
}
