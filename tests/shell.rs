//! `rapport sql`: typed into at a terminal, given as text, from a file and through pipes.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use crate::program::{Project, Ran, rapport, wait_until};
use crate::simulated::{Simulated, Size};

const PATIENCE: Duration = Duration::from_secs(60);

/// A small project that the tests here only read, with a run on record.
static LOADED: LazyLock<Project> = LazyLock::new(|| {
    let world = Simulated::new(Size { seed: 5, partners: 12, events: 400, days: 40 });
    let project = Project::new();
    world.load(&project);
    project.ok(&["metrics", "run", "growth", "--as-of", "2026-02-01", "--format", "csv"]);
    project
});

/// A number that no machine counts to while a test waits.
const ENDLESS: &str = "SELECT value FROM generate_series(1, 1000000000000)";

/// A shell at a terminal of 100 columns.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<String>>,
    /// Where what was waited for last ended.
    seen: usize,
}

impl Terminal {
    /// `state` is where the history is kept.
    fn open(project: &Project, state: &Path) -> Self {
        let program = rapport().get_program().to_string_lossy().into_owned();
        let shell = format!("stty cols 100 rows 40; exec '{program}' sql");
        let mut command = Command::new("script");
        command.args(["-q", "-e", "-c", &shell, "/dev/null"]).current_dir(project.path("."));
        command.envs([("XDG_STATE_HOME", state.as_os_str()), ("TERM", "xterm".as_ref())]);
        command.env("NO_COLOR", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("script, which makes a terminal");
        let keys = child.stdin.take().expect("a keyboard");
        let mut output = child.stdout.take().expect("a screen");
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                shown.lock().expect("a screen").push_str(&text);
            }
        });
        let mut terminal = Self { child, keys, screen, seen: 0 };
        terminal.shows("rapport> ");
        terminal
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("a keyboard");
        self.keys.flush().expect("a keyboard");
    }

    /// Waits until this shows, after what was waited for before.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        let mut end = None;
        let deadline = std::time::Instant::now() + PATIENCE;
        while end.is_none() {
            let screen = self.screen.lock().expect("a screen").clone();
            end = screen[self.seen..].find(text).map(|at| self.seen + at + text.len());
            let late = std::time::Instant::now() > deadline;
            assert!(end.is_some() || !late, "no \"{text}\" in {:?}", &screen[self.seen..]);
            std::thread::park_timeout(Duration::from_millis(5));
        }
        self.seen = end.unwrap_or(self.seen);
    }

    /// A line, and what it brings.
    #[track_caller]
    fn asks(&mut self, line: &str, answer: &[&str]) {
        self.types(&format!("{line}\r"));
        answer.iter().for_each(|text| self.shows(text));
        self.shows("rapport> ");
    }

    fn leaves(mut self, how: &str) {
        self.types(how);
        wait_until("the shell to end", PATIENCE, || {
            self.child.try_wait().expect("our own process").is_some()
        });
        assert!(self.child.wait().expect("our own process").success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_conversation() {
    let state = tempfile::tempdir().expect("a folder");
    let mut shell = Terminal::open(&LOADED, state.path());
    shell.asks("SELECT 40 + 2 AS answer;", &["answer", "42", "1 row in "]);
    // Several lines, up to the semicolon.
    shell.types("SELECT 'one'\r");
    shell.asks("|| 'two' AS both;", &["both", "onetwo"]);
    shell.asks("\\d", &["name", "growth", "metric", "api_calls", "each once", "raw.api_calls"]);
    shell.asks("\\d growth", &["metric: ", "month", "Date32", "churn_rate", "Float64", "ratio"]);
    shell.asks("\\df", &["month_start(date or instant)", "first day of its month"]);
    shell.asks("\\timing off", &[]);
    shell.asks("SELECT 7 AS seven; SELECT 8 AS eight;", &["seven", "7", "eight", "8"]);
    // Wrong ones are told, and the conversation goes on.
    shell.asks("SELECT stats FROM api_calls;", &["rapport: your query, line 1", "stats"]);
    shell.asks("DROP TABLE runs;", &["this is DROP; the lake is read-only"]);
    shell.asks("\\nonsense", &["\\nonsense is no command"]);
    shell.asks("\\as_of 2026-01-20", &["As of 2026-01-20T00:00:00Z, the newest tables."]);
    shell.asks("SELECT CAST($as_of AS DATE) AS day;", &["2026-01-20"]);
    shell.asks("\\at 2099-01-01", &["As of 2026-02-01T00:00:00Z, the tables of run "]);
    shell.asks("\\at newest", &["the newest tables."]);
    // A cell wider than anybody reads is cut.
    shell.asks("SELECT repeat('wide', 50) AS wide;", &["widewide", "…"]);
    shell.asks(
        "EXPLAIN SELECT sum(calls) FROM partner_day;",
        &["physical_plan\r\n", "AggregateExec"],
    );
    shell.asks("EXPLAIN ANALYZE SELECT sum(calls) FROM partner_day;", &["output_rows=1"]);
    shell.leaves("\u{4}");
}

#[test]
fn what_is_typed_is_completed_and_remembered() {
    let state = tempfile::tempdir().expect("a folder");
    let mut shell = Terminal::open(&LOADED, state.path());
    shell.types("SEL\t");
    shell.shows("SELECT");
    shell.types(" coho\t FROM fun\t");
    // The column is known once the table is.
    shell.shows("funnel");
    shell.types("\u{3}");
    shell.shows("rapport> ");
    shell.types("SELECT count(*) AS months FROM fun\t");
    shell.shows("funnel");
    shell.asks(";", &["months"]);
    shell.asks(
        "SELECT * FROM funnel WHERE cohort_m\t IS NULL;",
        &["WHERE cohort_month", " IS NULL;", "overall_rate", "1 row in "],
    );
    shell.leaves("\\q\r");
    let history = state.path().join("rapport/history");
    let text = std::fs::read_to_string(&history).expect("a history");
    assert!(text.contains("SELECT count(*) AS months FROM funnel;"), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&history).expect("a history").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "queries are nobody else's business");
    }
    let mut again = Terminal::open(&LOADED, state.path());
    // Up, three times: \q, the one with WHERE, the count.
    again.types("\u{1b}[A\u{1b}[A\u{1b}[A");
    again.asks("", &["AS months FROM funnel;", "months"]);
    again.leaves("\u{4}");
}

#[test]
fn control_c_stops_a_query() {
    let state = tempfile::tempdir().expect("a folder");
    let mut shell = Terminal::open(&LOADED, state.path());
    shell.types(&format!("SELECT 1; SELECT count(*) FROM ({ENDLESS});\r"));
    // The first is answered: the second is on its way.
    shell.shows("1 row in ");
    shell.types("\u{3}");
    shell.shows("Stopped.");
    shell.asks("SELECT 6 * 7 AS answer;", &["42"]);
    // A table for people ends; a file would have all of it.
    shell.asks(&format!("{ENDLESS};"), &["1000\r\n", "The first 1,000 rows"]);
    shell.leaves("\u{4}");
}

#[test]
fn statements_from_a_file_and_from_a_pipe() {
    let project = &*LOADED;
    let file = project.path("two.sql");
    let text = "-- two;\nSELECT 1 AS one;\n\\format json\nSELECT ';' AS two;\n";
    std::fs::write(&file, text).expect("a file");
    let answers = project.ok(&["sql", "-f", "two.sql", "--format", "csv"]);
    assert_eq!(answers, "one\n1\n[{\"two\":\";\"}]\n");
    let ran = piped(project, &["sql", "--format", "csv"], "SELECT 1 AS one;\nSELECT 2 AS two");
    assert_eq!(ran.text(), "one\n1\n\ntwo\n2\n");
    assert!(ran.stderr.is_empty(), "{ran}");
    let ran = piped(project, &["sql", "--format", "csv"], "\\timing on\nSELECT 1 AS one");
    assert!(ran.text() == "one\n1\n" && ran.stderr.contains("1 row in "), "{ran}");
    // The place of what is wrong, and nothing done before it where it would write.
    let wrong = |text: &str, words: &[&str]| {
        std::fs::write(&file, text).expect("a file");
        project.run(&["sql", "-f", "two.sql"]).refused(2, words);
    };
    wrong("SELECT 1;\n\nDELETE FROM runs;", &["this is DELETE; the lake is read-only"]);
    wrong("\n\nSELECT nothing FROM runs", &["two.sql, line 3", "nothing"]);
    wrong("", &["only one SELECT"]);
    wrong("\\i two.sql", &["files that read each other"]);
    project.run(&["sql", "-f", "no.sql"]).refused(2, &["no.sql can't be read"]);
    project.run(&["sql", "SELECT 1; DROP TABLE runs"]).refused(2, &["this is DROP"]);
    project.run(&["sql", "SELECT 1", "-f", "two.sql"]).refused(2, &["cannot be used with"]);
}

#[test]
fn answers_go_to_files() {
    let project = &*LOADED;
    let script = "\\format csv\n\\o answer.csv\nSELECT 1 AS one;\n\\format parquet\n\\o answer.parquet\n\
                  SELECT value FROM generate_series(1, 100000);\n\\o\n\\format csv\nSELECT 2 AS two;";
    let ran = piped(project, &["sql"], script);
    assert_eq!(ran.text(), "two\n2\n", "{ran}");
    assert_eq!(std::fs::read_to_string(project.path("answer.csv")).expect("a file"), "one\n1\n");
    let parquet = std::fs::read(project.path("answer.parquet")).expect("a file");
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    let two = "\\format parquet\n\\o two.parquet\nSELECT 1;\nSELECT 2;";
    let ran = start(project, &["sql"], two);
    assert!(ran.code == Some(2) && ran.stderr.contains("holds one answer"), "{ran}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    for format in ["csv", "json", "parquet", "table"] {
        let mut command = LOADED.command(&["sql", ENDLESS, "--format", format]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let mut reader = BufReader::new(child.stdout.take().expect("its output"));
        // Something comes long before the end: the rows are not gathered.
        let mut first = Vec::new();
        reader.by_ref().take(64).read_until(b'\n', &mut first).expect("some output");
        assert!(!first.is_empty());
        drop(reader);
        let output = child.wait_with_output().expect("our own process");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{format}: {said}");
    }
}

#[test]
fn tables_as_a_run_read_them() {
    let call = |id: u32, day: &str| {
        format!(
            r#"{{"event_id":"e{id}","partner_id":"p1","occurred_at":"{day}T04:05:06Z","status":200}}"#
        )
    };
    let project = Project::new();
    let load_of = |id: u32, day: &str, arrival: &str| {
        project.write("calls.ndjson", call(id, day) + "\n");
        let load =
            ["ingest", "load", "--stream", "api-calls", "--arrival", arrival, "calls.ndjson"];
        project.ok(&load);
    };
    let load = |id: u32, arrival: &str| load_of(id, "2026-02-03", arrival);
    let metric = ["metrics", "run", "growth", "--as-of", "2026-02-04", "--format", "csv"];
    project.run(&["sql", "SELECT 1", "--at", "x"]).refused(1, &["no lake"]);
    load(1, "2026-02-05");
    project.run(&["sql", "SELECT 1", "--at", "x"]).refused(2, &["no run yet", "metrics run"]);
    project.ok(&metric);
    load(2, "2026-02-06");
    project.ok(&metric);
    load(3, "2026-02-07");
    let runs = project.rows("SELECT run_id, started_at FROM runs ORDER BY started_at");
    let [first, second] = [0, 1].map(|i| runs[i].split_once(',').expect("two fields"));
    let at = |run: &str| {
        let raw = "SELECT count(*) FROM raw.api_calls";
        let summed = "SELECT sum(calls) FROM partner_day WHERE event_date < $as_of";
        [raw, summed]
            .map(|query| project.ok(&["sql", query, "--format", "csv", "--at", run]))
            .map(|text| text.lines().nth(1).expect("a row").to_owned())
    };
    assert_eq!(at(first.0), ["1", "1"]);
    assert_eq!(at(&first.0[..first.0.len() - 1]), ["1", "1"]);
    assert_eq!(at(second.0), ["2", "2"]);
    assert_eq!(at(first.1), ["1", "1"]);
    assert_eq!(at("2099-01-01"), ["2", "2"]);
    assert_eq!(at("1"), ["1", "1"]);
    assert_eq!(at("2"), ["2", "2"]);
    assert_eq!(project.number("SELECT count(*) FROM raw.api_calls"), 3);
    let refused = |run: &str, words: &[&str]| {
        project.run(&["sql", "SELECT 1", "--at", run]).refused(2, words);
    };
    refused("ffffffff", &["no run \"ffffffff\"", "nearest is ", second.0]);
    refused("77", &["no run of number 77", second.0]);
    refused("2001-01-01", &["no run yet; the first is ", first.0]);
    // Compacted once the day is over, and the old files deleted, as a vacuum does it a week later.
    load_of(4, "2026-02-25", "2026-02-26");
    project.ok(&["lake", "compact", "--before", "2026-03-01"]);
    let folder = project.path("lake/raw/api_calls/event_date=2026-02-03");
    for file in parts_of_before(&folder) {
        std::fs::remove_file(file).expect("a file");
    }
    let query = "SELECT count(DISTINCT event_id) FROM raw.api_calls";
    let words = ["`rapport lake vacuum` has deleted", "younger run"];
    project.run(&["sql", query, "--at", first.0]).refused(1, &words);
    assert_eq!(project.number(query), 4);
}

/// All but the newest file of a day.
fn parts_of_before(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a day");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    // Their names begin with their instant.
    files.sort();
    files.pop();
    files
}

/// Runs it with this on standard input.
fn start(project: &Project, arguments: &[&str], input: &str) -> Ran {
    let mut command = project.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be run");
    let mut pipe = child.stdin.take().expect("its input");
    pipe.write_all(input.as_bytes()).expect("a pipe");
    drop(pipe);
    Ran::of(&command, child.wait_with_output().expect("our own process"))
}

#[track_caller]
fn piped(project: &Project, arguments: &[&str], input: &str) -> Ran {
    start(project, arguments, input).succeeded()
}

#[test]
fn what_there_is_can_be_asked_in_sql() {
    let project = &*LOADED;
    let csv = |query: &str| project.ok(&["sql", query, "--format", "csv"]);
    let tables = csv("SHOW TABLES");
    assert!(tables.starts_with("table_schema,table_name,kind,description\n"), "{tables}");
    for line in ["public,funnel,metric,", "public,partners,view,", "raw,api_calls,table,"] {
        assert!(tables.lines().any(|l| l.starts_with(line)), "no {line} in {tables}");
    }
    assert!(tables.lines().all(|line| !line.ends_with(',')), "each is described: {tables}");
    let some = csv("SHOW TABLES LIKE 'partner\\_day%'");
    assert_eq!(some.lines().count(), 2, "{some}");
    assert_eq!(csv("SHOW TABLES IN raw").lines().count(), 5);

    let columns = csv("SHOW COLUMNS FROM funnel");
    assert!(
        columns.starts_with(
            "column_name,data_type,is_nullable,unit,description\ncohort_month,Date32,"
        )
    );
    assert_eq!(columns, csv("DESCRIBE funnel"));
    assert!(csv("DESC raw.api_calls").contains("\nevent_id,Utf8,"));
    assert_eq!(csv("SHOW COLUMNS FROM funnel LIKE 'reg%'").lines().count(), 2);

    let of_schema = "SELECT count(*) FROM information_schema.tables WHERE kind = 'metric'";
    let listed = project.ok(&["metrics", "list", "--format", "csv"]);
    let metrics = listed.lines().filter(|line| line.contains(",metric,")).count();
    assert_eq!(project.number(of_schema), i64::try_from(metrics).expect("few"));
    let types = "SELECT t.table_type, c.ordinal_position, c.data_type, c.unit
                 FROM information_schema.columns c JOIN information_schema.tables t
                   ON t.table_schema = c.table_schema AND t.table_name = c.table_name
                 WHERE c.table_name = 'partner_day' AND c.column_name = 'calls'";
    assert_eq!(project.rows(types), ["BASE TABLE,6,Int64,calls"]);

    project.run(&["sql", "DESCRIBE funel"]).refused(2, &["there is no table \"funel\"", "funnel"]);
    project.run(&["sql", "SHOW ALL"]).refused(2, &["\"SHOW ALL\" is not answered", "SHOW TABLES"]);
    project.run(&["sql", "SHOW FUNCTIONS"]).refused(2, &["rapport metrics functions"]);
}
