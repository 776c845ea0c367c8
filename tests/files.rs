//! Files that are loaded: again, grown, by two processes at once, and with clocks that are wrong.

use std::path::PathBuf;
use std::time::Duration;

use lake_types::{MICROS_PER_DAY, Stream, parse_instant};

use crate::program::{Project, Running, wait_until};
use crate::simulated::{FROM, Simulated, Size, check_late, lines};

const LOAD: [&str; 4] = ["ingest", "load", "--stream", "api-calls"];

fn call(number: usize) -> String {
    let (hour, minute) = (number / 60 % 24, number % 60);
    format!(
        r#"{{"event_id":"e-{number}","partner_id":"p-{}","occurred_at":"2026-02-01T{hour:02}:{minute:02}:00Z","status":200}}"#,
        number % 7
    )
}

/// Loads a file; what the program said of it.
#[track_caller]
fn load(project: &Project, name: &str) -> String {
    project.ok(&[&LOAD[..], &["--quiet", name]].concat())
}

/// Rows of the raw table, dead letters.
#[track_caller]
fn stored(project: &Project) -> (i64, i64) {
    let letters = project.number("SELECT count(*) FROM dead_letters");
    (project.number("SELECT count(*) FROM raw.api_calls"), letters)
}

#[test]
fn a_log_that_has_grown_goes_on_where_it_ended() {
    let project = Project::new();
    let first: String = (0..100).map(|n| call(n) + "\n").collect::<String>() + "bad 1\nbad 2\n";
    project.write("access.log", &first);
    let said = load(&project, "access.log");
    assert!(said.contains("100 accepted") && said.trim_end().ends_with("(not_json 2)"), "{said}");
    let second = format!("{first}{}\nbad 3\n{{\"event_id\":\"e-", call(100));
    project.write("access.log", &second);
    let said = load(&project, "access.log");
    let due = "1 accepted (0 late), 2 rejected (not_json 2); 102 lines were loaded before";
    assert!(said.trim_end().ends_with(due), "{said}");
    assert_eq!(stored(&project), (101, 4));
    assert!(load(&project, "access.log").starts_with("Nothing new"));
    // Rotated; the half line is whole now.
    let third = format!("{second}{}\n", &call(101)[r#"{"event_id":"e-"#.len()..]);
    project.write("access.log.1", &third);
    let said = load(&project, "access.log.1");
    assert!(said.contains("1 accepted") && said.contains("; 104 lines"), "{said}");
    assert_eq!(stored(&project), (102, 4));
    assert_eq!(project.number("SELECT count(*) FROM api_calls"), 102);
    // What was loaded as another stream first is no double.
    let wrong = ["ingest", "load", "--stream", "support-events", "--quiet", "access.log"];
    project.ok(&wrong);
    assert_eq!(stored(&project), (102, 4 + 105));
    project.ok(&["lake", "verify"]);
    // A record is told by the file and the line that it was read from.
    let places = project.rows(
        "SELECT split_part(topic, '#', 1), kafka_offset FROM dead_letters
         WHERE stream = 'api-calls' ORDER BY arrival, 2",
    );
    let log = |line: usize| format!("file:access.log,{line}");
    assert_eq!(places, [log(100), log(101), log(103), log(104)]);
    project.ok(&["lake", "verify"]);
}

#[test]
fn processes_that_load_one_file_at_once_share_it() {
    let project = Project::new();
    let text: String = (0..30_000)
        .map(|n| if n % 50 == 49 { "bad\n".to_owned() } else { call(n) + "\n" })
        .collect();
    project.write("calls.ndjson", text);
    let start = |name: &str, point: &str| {
        let held = project.path(name);
        let mut command = project.command(&[&LOAD[..], &["--quiet", "calls.ndjson"]].concat());
        command.env("RAPPORT_FAULT", format!("{point}={}", held.display()));
        let running = Running::start(command);
        wait_until(point, Duration::from_secs(60), || held.exists());
        (running, held)
    };
    // One is about to commit its dead letters when the other has, and has not yet its events.
    let (one, before_both) = start("one", "checked:raw/dead_letters");
    let (other, between) = start("other", "dead letters committed");
    let go_on = |(running, held): (Running, PathBuf)| {
        std::fs::remove_file(held).expect("the file it waits by");
        running.finish().succeeded().text()
    };
    let said = go_on((one, before_both));
    assert!(said.starts_with("30,000 records") && said.contains("29,400 accepted"), "{said}");
    let said = go_on((other, between));
    assert!(said.starts_with("Nothing new"), "{said}");
    assert_eq!(stored(&project), (29_400, 600));

    // And without anybody's help.
    let text: String = (0..20_000).map(|n| call(50_000 + n) + "\n").collect();
    project.write("more.ndjson", text);
    let load = [&LOAD[..], &["--quiet", "more.ndjson"]].concat();
    let processes = [(); 3].map(|()| Running::start(project.command(&load)));
    for process in processes {
        process.finish().succeeded();
    }
    assert_eq!(stored(&project), (49_400, 600));
    project.ok(&["lake", "verify"]);
}

#[test]
fn a_clock_that_is_wrong_makes_nobody_else_late() {
    let mut options = Size { seed: 21, partners: 30, events: 20_000, days: 40 }.options();
    options.rates.malformed = 0.05;
    let world = Simulated::drawn(options);
    let project = Project::new();
    // All of them, those two days ahead of their time too: they are valid long after.
    let sent = world.sent(Stream::ApiCalls);
    project.write("calls.ndjson", lines(&sent));
    let said = project.ok(&[&LOAD[..], &["--arrival", "2027-01-01", "calls.ndjson"]].concat());
    let late = check_late(&project, Stream::ApiCalls);
    // The others are as late as they were sent, a few in a thousand.
    let all = project.number("SELECT count(*) FROM raw.api_calls");
    assert!(late > 0 && (late as i64) < all / 50, "{late} of {all}: {said}");
    let ahead = "SELECT count(*) FROM (SELECT to_unixtime(occurred_at)
        - to_unixtime(lag(occurred_at) OVER (ORDER BY kafka_offset)) AS seconds
        FROM raw.api_calls) WHERE seconds > 86400";
    assert!(project.number(ahead) >= 3, "no clock was ahead");
    // One record two days ahead, and then as before.
    let end = parse_instant(FROM).expect("an instant") + 20 * MICROS_PER_DAY;
    let one = |n: i64, at: i64| {
        let at = at / 1_000;
        format!(
            "{{\"event_id\":\"w-{n}\",\"partner_id\":\"p\",\"occurred_at\":{at},\"status\":200}}\n"
        )
    };
    let minute = 60_000_000;
    let wrong = one(0, end) + &one(1, end + 2 * MICROS_PER_DAY);
    let after: String = (2..200).map(|n| one(n, end + n * minute)).collect();
    project.write("wrong.ndjson", wrong + &after);
    let said = project.ok(&[&LOAD[..], &["--arrival", "2027-01-01", "wrong.ndjson"]].concat());
    assert!(said.contains("200 accepted (0 late)"), "{said}");
}
