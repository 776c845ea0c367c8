//! The test of the scores: history replayed from a folder and from a lake, a fit, and its adoption.

use std::fmt::Write as _;

use domain::Day;
use serde_json::Value;

use crate::support::program::Project;

const FIRST_DAY: &str = "2025-01-01";
/// Room for six origins and the days that they need before and after.
const DAYS: i32 = 290;
const PARTNERS: i32 = 90;
/// Every second partner leaves; the others call to the end.
const FIRST_LAST_CALL: i32 = 130;
const REPLAY: [&str; 7] = ["score", "backtest", "--resamples", "20", "--format", "json", "--quiet"];

fn first_day() -> Day {
    FIRST_DAY.parse().expect("a date")
}

/// Returns how many calls a partner makes on a day, counted from the first. One that leaves fades
/// over 40 days.
fn calls_on(partner: i32, day: i32) -> i32 {
    let usual = 4 + (partner * 7 + day * 5) % 3;
    if partner % 2 == 0 {
        return usual;
    }
    let last = FIRST_LAST_CALL + partner * 5 / 3;
    match last - day {
        left if left < 0 => 0,
        left if left < 20 => 1,
        left if left < 40 => usual / 2,
        _ => usual,
    }
}

/// Writes the folder `events`: calls, registrations, and a suspension of the first partner, which
/// lies in the label's window of the last origin but one.
fn write_events(project: &Project) {
    let (mut calls, mut events) = (String::new(), String::new());
    for partner in 0..PARTNERS {
        let plan = if partner % 3 == 0 { "free" } else { "scale" };
        writeln!(
            events,
            r#"{{"event_id":"r-{partner}","partner_id":"p-{partner:02}","occurred_at":"{FIRST_DAY}T00:00:00Z","type":"registered","segment":"shops","plan":"{plan}","region":"EU"}}"#
        )
        .expect("text");
        for day in 0..DAYS {
            let date = first_day().plus(day);
            for call in 0..calls_on(partner, day) {
                let status = if (partner + day + call) % 50 == 0 { 422 } else { 200 };
                writeln!(
                    calls,
                    r#"{{"event_id":"c-{partner}-{day}-{call}","partner_id":"p-{partner:02}","occurred_at":"{date}T{:02}:00:00Z","status":{status}}}"#,
                    1 + 2 * call
                )
                .expect("text");
            }
        }
    }
    let suspended = first_day().plus(DAYS - 50);
    writeln!(
        events,
        r#"{{"event_id":"s","partner_id":"p-00","occurred_at":"{suspended}T00:00:00Z","type":"suspended"}}"#
    )
    .expect("text");
    std::fs::create_dir(project.path("events")).expect("a folder");
    project.write("events/api-calls.ndjson", calls);
    project.write("events/partner-events.ndjson", events);
}

/// Returns a project whose lake has the events of its folder `events`.
fn project_with_lake() -> Project {
    let project = Project::new();
    write_events(&project);
    for stream in ["api-calls", "partner-events"] {
        let file = format!("events/{stream}.ndjson");
        project.run_ok(&["ingest", "load", "--quiet", "--stream", stream, &file]);
    }
    project
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Returns the value of the score of a statistic over all rows.
fn value(report: &Value, statistic: &str) -> f64 {
    let figures = report["all"]["figures"].as_array().expect("figures");
    let figure = figures.iter().find(|figure| figure["statistic"] == statistic);
    figure.expect("a statistic")["comparison"]["score"]["value"].as_f64().expect("a value")
}

#[test]
fn a_folder_and_a_lake_of_the_same_events_give_the_same_report() {
    let folder = Project::empty();
    write_events(&folder);
    let options = ["--events", "events", "--out", "report.json", "--rows", "rows.csv"];
    let printed = folder.run_ok(&[&REPLAY[..], &options].concat());
    let written = std::fs::read_to_string(folder.path("report.json")).expect("a file");
    assert_eq!(written, printed);
    assert!(!folder.path("lake").exists());

    let report = &json(&printed)["report"];
    let origins: Vec<Day> = report["origins"]
        .as_array()
        .expect("origins")
        .iter()
        .map(|day| day.as_str().expect("a date").parse().expect("a date"))
        .collect();
    assert_eq!(origins.len(), 6, "{origins:?}");
    assert!(origins.windows(2).all(|pair| pair[0].plus(28) == pair[1]), "{origins:?}");
    // The data is complete to the midnight before the last call.
    assert_eq!(origins.last(), Some(&first_day().plus(DAYS - 29)));
    let (rows, left) = (report["all"]["rows"].as_u64(), report["all"]["leavers"].as_u64());
    let csv = std::fs::read_to_string(folder.path("rows.csv")).expect("a file");
    assert_eq!(rows, Some(csv.lines().count() as u64 - 1));
    let has_left = |line: &&str| line.split(',').nth(3) == Some("true");
    assert_eq!(left, Some(csv.lines().filter(has_left).count() as u64));
    assert!(left > Some(10), "{left:?} left");
    assert!(report["excluded"]["suspended"].as_u64() > Some(0), "{}", report["excluded"]);
    assert!(value(report, "auc") > 0.8, "{}", value(report, "auc"));

    let project = project_with_lake();
    let before = project.row_counts();
    assert_eq!(json(&project.run_ok(&REPLAY))["report"], *report);
    assert_eq!(project.row_counts(), before);
    assert_eq!(project.query_number("SELECT count(*) FROM partner_health"), 0);
}

#[test]
fn what_a_fit_proposes_is_in_force_once_it_is_adopted() {
    let project = project_with_lake();
    let fit = ["score", "fit", "--out", "proposed.toml", "--resamples", "20", "--quiet"];
    let printed = project.run_ok(&fit);
    assert!(printed.contains("AUC of health on"), "{printed}");
    let proposed = std::fs::read_to_string(project.path("proposed.toml")).expect("a policy");
    assert!(proposed.contains("version = \"4\""), "{proposed}");
    assert!(!project.path("scoring.toml").exists(), "nothing is adopted yet");

    let adopt = ["score", "adopt", "proposed.toml", "--by", "Ada"];
    let risk = std::fs::read_to_string(project.path("proposed.risk.json")).expect("a model");
    project.write("other.risk.json", risk.replacen("\"errors\"", "\"weather\"", 1));
    let other = [&adopt[..], &["--risk", "other.risk.json"]].concat();
    project.run(&other).expect_error(2, &["other.risk.json", "`weather`", "not computed"]);
    assert!(!project.path("scoring.toml").exists(), "a refused model adopts nothing");

    let model = [&adopt[..], &["--risk", "proposed.risk.json", "--from", "2025-10-01"]].concat();
    let adopted = project.run_ok(&model);
    assert!(adopted.contains("policy 4, before 3, adopted by Ada"), "{adopted}");
    assert!(adopted.contains("The forecast gate"), "{adopted}");
    let policy = std::fs::read_to_string(project.path("scoring.toml")).expect("a policy");
    assert_eq!(policy, proposed);
    let models = "SELECT kind, adopted_by, CAST(as_of AS DATE) FROM models WHERE kind = 'risk'";
    assert_eq!(project.query_rows(models), ["risk,Ada,2025-10-01"]);

    project.write("same.toml", proposed.replacen("errors = ", "errors = 1", 1));
    let same = ["score", "adopt", "same.toml", "--by", "Ada"];
    project.run(&same).expect_error(2, &["has its version \"4\"", "raise it"]);
}

#[test]
fn what_can_not_be_replayed_is_refused() {
    let folder = Project::empty();
    let refused = |options: &[&str], words: &[&str]| {
        folder.run(&[&REPLAY[..], options].concat()).expect_error(2, words);
    };
    refused(&[], &["no project", "--events"]);
    refused(&["--events", "nowhere"], &["there is no folder nowhere"]);
    std::fs::create_dir(folder.path("events")).expect("a folder");
    refused(&["--events", "events"], &["no api-calls.ndjson"]);
    let call = |day: &str| {
        format!(
            r#"{{"event_id":"{day}","partner_id":"p","occurred_at":"{day}T00:00:00Z","status":200}}"#
        )
    };
    folder.write("events/api-calls.ndjson", [call("2025-01-01"), call("2025-06-01")].join("\n"));
    refused(&["--events", "events"], &["1 origin", "needs 6", "2025-04-23"]);
    refused(&["--events", "events", "--every", "27"], &["--every"]);
}
