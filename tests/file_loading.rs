//! Files are loaded again, have grown, are loaded by processes at once, or have wrong timestamps.

use std::path::PathBuf;
use std::time::Duration;

use domain::{MICROS_PER_DAY, Stream, parse_instant};

use crate::support::program::{Project, RunningProgram, wait_until};
use crate::support::simulated_world::{
    FIRST_DAY, SimulatedWorld, WorldSize, check_late_flags, ndjson,
};

const LOAD: [&str; 4] = ["ingest", "load", "--stream", "api-calls"];

fn call(number: usize) -> String {
    let (hour, minute) = (number / 60 % 24, number % 60);
    format!(
        r#"{{"event_id":"e-{number}","partner_id":"p-{}","occurred_at":"2026-02-01T{hour:02}:{minute:02}:00Z","status":200}}"#,
        number % 7
    )
}

/// Loads a file, and returns the summary.
#[track_caller]
fn load(project: &Project, name: &str) -> String {
    project.run_ok(&[&LOAD[..], &["--quiet", name]].concat())
}

/// Returns the number of rows of the raw table, and of dead letters.
#[track_caller]
fn stored_rows(project: &Project) -> (i64, i64) {
    let dead_letters = project.query_number("SELECT count(*) FROM dead_letters");
    (project.query_number("SELECT count(*) FROM raw.api_calls"), dead_letters)
}

#[test]
fn a_file_that_has_grown_continues_where_it_ended() {
    let project = Project::new();
    let first: String = (0..100).map(|n| call(n) + "\n").collect::<String>() + "bad 1\nbad 2\n";
    project.write("access.log", &first);
    let output = load(&project, "access.log");
    assert!(
        output.contains("100 accepted") && output.trim_end().ends_with("(not_json 2)"),
        "{output}"
    );
    let second = format!("{first}{}\nbad 3\n{{\"event_id\":\"e-", call(100));
    project.write("access.log", &second);
    let output = load(&project, "access.log");
    let expected = "1 accepted (0 late), 2 rejected (not_json 2); 102 lines were loaded before";
    assert!(output.trim_end().ends_with(expected), "{output}");
    assert_eq!(stored_rows(&project), (101, 4));
    assert!(load(&project, "access.log").starts_with("Nothing new"));
    // The log is rotated, and its incomplete last line is complete now.
    let third = format!("{second}{}\n", &call(101)[r#"{"event_id":"e-"#.len()..]);
    project.write("access.log.1", &third);
    let output = load(&project, "access.log.1");
    assert!(output.contains("1 accepted") && output.contains("; 104 lines"), "{output}");
    assert_eq!(stored_rows(&project), (102, 4));
    assert_eq!(project.query_number("SELECT count(*) FROM api_calls"), 102);
    // A file that was loaded as another stream is no duplicate.
    let wrong = ["ingest", "load", "--stream", "support-events", "--quiet", "access.log"];
    project.run_ok(&wrong);
    assert_eq!(stored_rows(&project), (102, 4 + 105));
    project.run_ok(&["lake", "verify"]);
    // The position of a record is its file and its line.
    let positions = project.query_rows(
        "SELECT split_part(topic, '#', 1), kafka_offset FROM dead_letters
         WHERE stream = 'api-calls' ORDER BY arrival, 2",
    );
    let log = |line: usize| format!("file:access.log,{line}");
    assert_eq!(positions, [log(100), log(101), log(103), log(104)]);
    project.run_ok(&["lake", "verify"]);
}

#[test]
fn processes_that_load_one_file_at_once_store_it_once() {
    let project = Project::new();
    let text: String = (0..30_000)
        .map(|n| if n % 50 == 49 { "bad\n".to_owned() } else { call(n) + "\n" })
        .collect();
    project.write("calls.ndjson", text);
    let start_at_failpoint = |name: &str, point: &str| {
        let failpoint_file = project.path(name);
        let mut command = project.command(&[&LOAD[..], &["--quiet", "calls.ndjson"]].concat());
        command.env("RAPPORT_FAULT", format!("{point}={}", failpoint_file.display()));
        let running = RunningProgram::start(command);
        wait_until(point, Duration::from_secs(60), || failpoint_file.exists());
        (running, failpoint_file)
    };
    // One process is about to commit its dead letters; the other one has committed its dead letters
    // and not yet its events.
    let (one, before_dead_letters) = start_at_failpoint("one", "checked:raw/dead_letters");
    let (other, between) = start_at_failpoint("other", "dead letters committed");
    let resume = |(running, failpoint_file): (RunningProgram, PathBuf)| {
        std::fs::remove_file(failpoint_file).expect("the file it waits by");
        running.finish().expect_success().stdout_text()
    };
    let output = resume((one, before_dead_letters));
    assert!(output.starts_with("30,000 records") && output.contains("29,400 accepted"), "{output}");
    let output = resume((other, between));
    assert!(output.starts_with("Nothing new"), "{output}");
    assert_eq!(stored_rows(&project), (29_400, 600));

    // The same without failpoints.
    let text: String = (0..20_000).map(|n| call(50_000 + n) + "\n").collect();
    project.write("more.ndjson", text);
    let load = [&LOAD[..], &["--quiet", "more.ndjson"]].concat();
    let processes = [(); 3].map(|()| RunningProgram::start(project.command(&load)));
    for process in processes {
        process.finish().expect_success();
    }
    assert_eq!(stored_rows(&project), (49_400, 600));
    project.run_ok(&["lake", "verify"]);
}

#[test]
fn a_producer_with_a_wrong_clock_makes_no_other_event_late() {
    let mut options = WorldSize { seed: 21, partners: 30, events: 20_000, days: 40 }.options();
    options.rates.malformed = 0.05;
    let world = SimulatedWorld::from_options(options);
    let project = Project::new();
    // All records, also those that are two days ahead of their arrival: they are valid much later.
    let sent = world.records(Stream::ApiCalls);
    project.write("calls.ndjson", ndjson(&sent));
    let output =
        project.run_ok(&[&LOAD[..], &["--arrival", "2027-01-01", "calls.ndjson"]].concat());
    let late = check_late_flags(&project, Stream::ApiCalls);
    // The others are late only where they were sent late, a few in a thousand.
    let all = project.query_number("SELECT count(*) FROM raw.api_calls");
    assert!(late > 0 && (late as i64) < all / 50, "{late} of {all}: {output}");
    let ahead = "SELECT count(*) FROM (SELECT to_unixtime(occurred_at)
        - to_unixtime(lag(occurred_at) OVER (ORDER BY kafka_offset)) AS seconds
        FROM raw.api_calls) WHERE seconds > 86400";
    assert!(project.query_number(ahead) >= 3, "no clock was ahead");
    // One record is two days ahead, the ones after it are on time.
    let end = parse_instant(FIRST_DAY).expect("an instant") + 20 * MICROS_PER_DAY;
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
    let output =
        project.run_ok(&[&LOAD[..], &["--arrival", "2027-01-01", "wrong.ndjson"]].concat());
    assert!(output.contains("200 accepted (0 late)"), "{output}");
}
