//! Files are loaded again, have grown, are loaded by processes at once, or have wrong timestamps.
//! They are compressed, come from folders and pipes, and what is rejected of them is explained.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use domain::{MICROS_PER_DAY, Stream, parse_instant};

use crate::support::program::{ProgramOutput, Project, RunningProgram, wait_until};
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
    let output = project.run_ok(&[&LOAD[..], &["--quiet", name]].concat());
    output.lines().next().unwrap_or_default().to_owned()
}

/// Loads files of which some are rejected whole, and returns the output.
#[track_caller]
fn load_rejected(project: &Project, files: &[&str]) -> ProgramOutput {
    let output = project.run(&[&LOAD[..], &["--quiet"], files].concat());
    assert_eq!(output.code, Some(3), "{output}");
    output
}

/// Returns NDJSON of calls.
fn calls(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|n| call(n) + "\n").collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("gzip")
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
    let output = project.run(&wrong);
    assert_eq!(output.code, Some(3), "{output}");
    assert!(output.stderr.contains("are events of api-calls"), "{output}");
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

#[test]
fn compressed_files_are_read_whatever_their_parts() {
    let (first, second) = (calls(0..10), calls(10..20));
    let (first, second) = (first.as_bytes(), second.as_bytes());
    let zstd = |text: &[u8]| zstd::encode_all(text, 1).expect("zstd");
    let xz = |text: &[u8]| liblzma::encode_all(text, 1).expect("xz");
    let bzip2 = |text: &[u8]| {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(text).expect("written");
        encoder.finish().expect("bzip2")
    };
    // What pzstd writes before each frame: a skippable frame with its length.
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 9, 0, 0, 0];
    let files: [(&str, Vec<u8>); 5] = [
        ("members.gz", [gzip(first), gzip(second)].concat()),
        ("padded.gz", [gzip(&[first, second].concat()), vec![0; 512]].concat()),
        ("by-pzstd.zst", [&skippable[..], &zstd(first), &skippable, &zstd(second)].concat()),
        ("streams.xz", [xz(first), xz(second)].concat()),
        ("streams.bz2", [bzip2(first), bzip2(second)].concat()),
    ];
    for (name, bytes) in files {
        let project = Project::new();
        project.write(name, bytes);
        assert!(load(&project, name).contains("20 accepted"), "{name}");
        assert_eq!(project.query_number("SELECT count(*) FROM api_calls"), 20, "{name}");
    }
}

#[test]
fn a_compressed_file_that_is_cut_off_goes_on_when_it_is_whole() {
    let project = Project::new();
    let whole = gzip(calls(0..5_000).as_bytes());
    project.write("calls.ndjson.gz", &whole[..whole.len() / 2]);
    let load_file = [&LOAD[..], &["calls.ndjson.gz"]].concat();
    let messages = ["the file calls.ndjson.gz: its gzip data ends in the middle", "Fetch it again"];
    project.run(&load_file).expect_error(1, &messages);
    // Standard input has a name too.
    let mut piped = project.command(&[&LOAD[..], &["-"]].concat());
    piped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("started");
    let half = whole[..whole.len() / 2].to_vec();
    child.stdin.take().expect("a pipe").write_all(&half).expect("written");
    let output = ProgramOutput::of(&piped, child.wait_with_output().expect("ended"));
    output.expect_error(1, &["the file -: its gzip data ends in the middle"]);
    project.write("calls.ndjson.gz", &whole);
    assert!(load(&project, "calls.ndjson.gz").contains("5,000 accepted"));
    assert_eq!(stored_rows(&project), (5_000, 0));
    let mut damaged = whole;
    // The checksum at its end.
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    project.write("damaged.gz", damaged);
    let load_damaged = [&LOAD[..], &["damaged.gz"]].concat();
    project.run(&load_damaged).expect_error(1, &["its gzip data is damaged", "gzip -t"]);
    assert_eq!(stored_rows(&project), (5_000, 0));
}

#[test]
fn folders_and_pipes_are_read() {
    let project = Project::new();
    std::fs::create_dir_all(project.path("logs/2026/empty")).expect("folders");
    std::fs::create_dir_all(project.path("logs/.cache")).expect("a folder");
    project.write("logs/b.ndjson", calls(0..5));
    project.write("logs/a.ndjson.gz", gzip(calls(5..8).as_bytes()));
    project.write("logs/2026/c.ndjson", calls(8..12));
    project.write("logs/.hidden", "no event");
    project.write("logs/.cache/d", "no event");
    project.write("logs/nothing", "");
    let output = project.run(&[&LOAD[..], &["logs"]].concat()).expect_success();
    assert!(output.stderr.contains("logs: 4 files in it and its folders"), "{output}");
    let lines: Vec<String> = output.stdout_text().lines().map(str::to_owned).collect();
    let starts = ["logs/2026/c.ndjson: 4 records", "logs/a.ndjson.gz: 3 records"];
    let more = ["logs/b.ndjson: 5 records", "logs/nothing: empty", "12 records in "];
    for (line, start) in lines.iter().zip(starts.iter().chain(&more)) {
        assert!(line.starts_with(start), "{line}: {output}");
    }
    assert_eq!(stored_rows(&project), (12, 0));

    let mkfifo = std::process::Command::new("mkfifo").arg(project.path("pipe.fifo")).status();
    assert!(mkfifo.expect("mkfifo can be run").success());
    let running = RunningProgram::start(project.command(&[&LOAD[..], &["pipe.fifo"]].concat()));
    std::fs::write(project.path("pipe.fifo"), calls(12..14)).expect("written");
    assert!(running.finish().expect_success().stdout_text().contains("2 accepted"));
    let mut piped = project.command(&[&LOAD[..], &["/dev/stdin"]].concat());
    piped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("started");
    let text = calls(14..15);
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    ProgramOutput::of(&piped, child.wait_with_output().expect("ended")).expect_success();
    assert_eq!(stored_rows(&project), (15, 0));
    let topics = "SELECT DISTINCT split_part(topic, '#', 1) FROM raw.api_calls ORDER BY 1";
    let names = ["file:a.ndjson.gz", "file:b.ndjson", "file:c.ndjson", "file:pipe.fifo"];
    let mut expected: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    expected.push("file:stdin".to_owned());
    assert_eq!(project.query_rows(topics), expected);

    let refused = |name: &str, messages: &[&str]| {
        project.run(&[&LOAD[..], &[name]].concat()).expect_error(2, messages);
    };
    refused("logs/2026/empty", &["logs/2026/empty holds no files"]);
    // The project's key is no event.
    refused(".", &["holds the project or its lake"]);
    refused("nowhere", &["there is no file nowhere"]);
    project.run(&[&LOAD[..], &["-", "-"]].concat()).expect_error(2, &["- is given twice"]);
    assert_eq!(stored_rows(&project), (15, 0));
}

#[test]
fn rejections_are_explained_with_their_lines() {
    let project = Project::new();
    let no_status = call(3).replace(r#","status":200"#, "");
    let mut lines = vec![call(0), "{bad".to_owned(), no_status, call(1)];
    lines.extend((0..7).map(|n| call(n).replace("200", "20")));
    project.write("calls.ndjson", lines.join("\n"));
    let output = project.run_ok(&[&LOAD[..], &["calls.ndjson"]].concat());
    let lines: Vec<&str> = output.lines().map(str::trim).collect();
    assert!(
        lines[0].ends_with("9 rejected (missing_field 1, not_json 1, out_of_range 7)"),
        "{output}"
    );
    assert_eq!(lines[1], "out_of_range   7  status: it lies between 100 and 599");
    assert_eq!(lines[2], "calls.ndjson, lines 5, 6, 7, 8, 9, …");
    let at = |text: &str| lines.iter().position(|line| line.starts_with(text)).expect(text);
    assert_eq!(lines[at("not_json") + 1], "calls.ndjson, line 2");
    assert_eq!(lines[at("missing_field") + 1], "calls.ndjson, line 3");
    for reason in ["out_of_range", "not_json", "missing_field"] {
        let open =
            format!("rapport ingest dead-letters --stream api-calls --reason {reason} --open");
        assert!(output.contains(&open), "{output}");
        let command: Vec<&str> = open.split(' ').skip(1).collect();
        assert!(!project.run_ok(&command).is_empty());
    }
    // The dead letters keep the rule.
    let kept = "SELECT DISTINCT detail FROM dead_letters WHERE field = 'status' ORDER BY 1";
    assert_eq!(project.query_rows(kept).last().expect("two"), "it lies between 100 and 599");
    project.write("more.ndjson", format!("{}\n[]\n", call(9)));
    let json = project.run_ok(&[&LOAD[..], &["--format", "json", "more.ndjson"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["records"], &json["rejected"]), (&2.into(), &1.into()));
    assert_eq!(json["rejections"][0]["reason"], "not_an_object");
    let first = serde_json::json!([{ "file": "more.ndjson", "line": 2 }]);
    assert_eq!(json["rejections"][0]["first"], first);
    assert_eq!(json["files"][0]["outcome"], "loaded");
}

/// A file that is rejected whole ends the load with 3, and the message says what it looks like and
/// how to read it, and quotes no value.
#[test]
fn a_file_that_is_rejected_whole_says_what_it_looks_like() {
    let project = Project::new();
    let check = |name: &str, bytes: &[u8], words: &[&str]| {
        project.write(name, bytes);
        let output = load_rejected(&project, &[name]);
        for word in words {
            assert!(output.stderr.contains(word), "no \"{word}\" in {output}");
        }
        assert!(!output.stderr.contains("hunter2"), "{output}");
        let messages = output.stderr.lines().filter(|line| line.starts_with("rapport: ")).count();
        assert_eq!(messages, 1, "{output}");
    };
    let secret = call(0).replace("p-0", "hunter2");
    let csv = "partner,time,status\nhunter2,2026-02-01,200\nhunter2,2026-02-02,200\n";
    let read_csv = "mlr --icsv --ojsonl cat calls.csv | rapport ingest load --stream api-calls -";
    check("calls.csv", csv.as_bytes(), &["a CSV with the columns partner, time, status", read_csv]);
    let headings = "Invoice No,\"Customer, ID\",Date\n4711,\"hunter2, Inc\",2026-02-01\n";
    let named = "a CSV with the columns Invoice No, \"Customer, ID\", Date, and";
    check("invoices.csv", headings.as_bytes(), &[named]);
    let cut = &secret.as_bytes()[..secret.len() / 2];
    check(
        "cut.json",
        cut,
        &["begins like JSON and ends within its first record", "fetch it again"],
    );
    let spaced = secret.replace("2026-02-01T00:00:00Z", "2026-02-01 00:00:00+00");
    check("spaced.ndjson", spaced.as_bytes(), &["the fields of an event", "mend the values"]);
    let array = format!("[\n{secret},\n{secret}\n]\n");
    let read_array = "jq -c '.[]' array.json | rapport ingest load --stream api-calls -";
    check("array.json", array.as_bytes(), &["one JSON array", read_array]);
    let zipped = "gzip -dc array.gz | jq -c '.[]' | rapport ingest load --stream api-calls -";
    let compact = array.replace('\n', "");
    check("array.gz", &gzip(compact.as_bytes()), &["one JSON array", zipped]);
    let pretty = secret.replace(',', ",\n  ");
    check("one.json", pretty.as_bytes(), &["spread over several lines", "jq -c . one.json | "]);
    let tickets = r#"{"tickets":[{"id":"hunter2"},{"id":2}],"count":2}"#;
    check(
        "export.json",
        tickets.as_bytes(),
        &["a list of records under \"tickets\"", "jq -c '.tickets[]'"],
    );
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(secret.bytes().flat_map(|b| [b, 0])).collect();
    check("calls.utf16", &utf16, &["UTF-16", "iconv -f UTF-16 -t UTF-8 calls.utf16 | "]);
    let bill = r#"{"event_id":"b","partner_id":"hunter2","occurred_at":"2026-02-01T00:00:00Z","kind":"usage","amount_minor":1,"currency":"EUR"}"#;
    let read_bill = "rapport ingest load --stream billing-events bills.ndjson";
    check("bills.ndjson", bill.as_bytes(), &["are events of billing-events", read_bill]);
    let kong = r#"{"started_at":1769904000123,"consumer":{"username":"hunter2"},"request":{"id":"r","method":"GET","uri":"/v1?key=hunter2"},"response":{"status":200}}"#;
    let read_kong = "rapport ingest load --mapping kong-http-log kong.log";
    check("kong.log", kong.as_bytes(), &["fit the recipe kong-http-log", read_kong]);
    check("page.html", b"<!DOCTYPE html>\n<p>hunter2</p>\n", &["an HTML page", "fetch it again"]);
    check("blank", b"\n\n", &["nothing but empty lines"]);
    let other = "{\"plan\":\"hunter2\",\"seats\":4}\n{\"plan\":\"hunter2\",\"seats\":5}\n";
    check("other.ndjson", other.as_bytes(), &["the fields plan, seats", "rapport ingest mappings"]);
    // Nothing is read of an archive, and without --accept-rejects nothing becomes a dead letter.
    let (_, before) = stored_rows(&project);
    check("calls.zip", b"PK\x03\x04\x14\0\0\0hunter2", &["a ZIP archive", "unzip -p calls.zip | "]);
    check("calls.parquet", b"PAR1\x15\0\x15hunter2", &["a Parquet file", "duckdb"]);
    assert_eq!(stored_rows(&project).1, before);
    let accepted = [&LOAD[..], &["--accept-rejects", "calls.zip"]].concat();
    project.run(&accepted).expect_success();
    // The last element of the array stands on a line of its own.
    assert_eq!(stored_rows(&project), (1, before + 1));
    project.write("empty", "");
    assert!(load(&project, "empty").starts_with("Nothing new: the file is empty"));
}

/// Some editors and spreadsheets put it in front of a text of any format.
#[test]
fn a_byte_order_mark_is_no_part_of_the_first_record() {
    let project = Project::new();
    project.write("calls.ndjson", format!("\u{feff}{}", calls(0..3)));
    let tried = project.run_ok(&["ingest", "try", "--stream", "api-calls", "calls.ndjson"]);
    assert!(tried.contains("of 3 records 3 would be accepted, 0 rejected"), "{tried}");
    let loaded = load(&project, "calls.ndjson");
    assert!(loaded.contains(": 3 accepted") && loaded.ends_with("0 rejected"), "{loaded}");
    project.write("calls.gz", gzip(format!("\u{feff}{}", calls(3..5)).as_bytes()));
    let loaded = load(&project, "calls.gz");
    assert!(loaded.contains(": 2 accepted") && loaded.ends_with("0 rejected"), "{loaded}");
    // A mapping of text would take it for a part of the first field.
    project.write(
        "lines.jq",
        "#---\n# stream = \"api-calls\"\n# input = \"text\"\n#---\nsplit(\",\") | {event_id: .[0], \
         partner_id: .[0], occurred_at: \"2026-02-01T09:00:00Z\", status: 200}",
    );
    project.write("lines.csv", "\u{feff}acme,x\nglobex,y\n");
    project.run_ok(&["ingest", "load", "--mapping", "lines.jq", "lines.csv"]);
    let named =
        "SELECT partner_id FROM api_calls WHERE partner_id IN ('acme', 'globex') ORDER BY 1";
    assert_eq!(project.query_rows(named), ["acme", "globex"]);
    assert_eq!(stored_rows(&project), (7, 0));
}

/// A log whose first lines fit two recipes was loaded through the second of them.
#[test]
fn a_log_that_was_loaded_through_a_fitting_recipe_gets_no_other_advice() {
    let project = Project::new();
    let line = |user: &str| {
        format!(
            "203.0.113.9 - {user} [01/Feb/2026:09:12:44 +0000] \"GET /v1/a HTTP/1.1\" 200 17 \"-\" \"curl/8.5.0\"\n"
        )
    };
    project.write("access.log", [line("acme").repeat(60), line("-").repeat(100)].concat());
    let load = ["ingest", "load", "--mapping", "nginx-combined", "access.log"];
    let output = project.run(&load).expect_success();
    assert!(output.stdout_text().contains("100 rejected"), "{output}");
    assert!(!output.stderr.contains("apache-combined"), "{output}");
}

#[test]
fn each_of_several_files_is_judged_by_itself() {
    let project = Project::new();
    project.write("good.ndjson", calls(0..3));
    project.write("array.json", format!("[\n{}\n]", call(3)));
    project.write("cut.gz", &gzip(calls(0..900).as_bytes())[..400]);
    project.write("late.ndjson", calls(4..6));
    let output = load_rejected(&project, &["good.ndjson", "array.json", "late.ndjson"]);
    assert!(output.stderr.contains("1 of 3 files could not be loaded"), "{output}");
    assert!(output.stderr.contains("array.json: 2 of its 3 records were rejected"), "{output}");
    assert_eq!(stored_rows(&project), (6, 2));
    let files = ["array.json", "cut.gz", "more.ndjson"];
    project.write("more.ndjson", calls(6..7));
    let output = project.run(&[&LOAD[..], &["--format", "json"], &files].concat());
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("cut.gz: its gzip data ends in the middle"), "{output}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let outcomes: Vec<&str> =
        (0..3).map(|n| json["files"][n]["outcome"].as_str().expect("text")).collect();
    assert_eq!(outcomes, ["nothing_new", "unreadable", "loaded"]);
    assert_eq!(stored_rows(&project), (7, 2));
}
