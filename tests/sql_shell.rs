//! `rapport sql`: at a terminal, with a query as argument, from files and through pipes.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use crate::support::program::{ProgramOutput, Project, rapport_command, wait_until};
use crate::support::simulated_world::{SimulatedWorld, WorldSize};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A small project with a recorded run, which the tests of this file only read.
static LOADED: LazyLock<Project> = LazyLock::new(|| {
    let world = SimulatedWorld::new(WorldSize { seed: 5, partners: 12, events: 400, days: 40 });
    let project = Project::new();
    world.load(&project);
    project.run_ok(&["metrics", "run", "growth", "--as-of", "2026-02-01", "--format", "csv"]);
    project
});

/// A query that does not end while a test waits.
const ENDLESS_QUERY: &str = "SELECT value FROM generate_series(1, 1000000000000)";

/// A shell at a terminal of 100 columns.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<String>>,
    /// The end of the text that was waited for last.
    seen: usize,
}

impl Terminal {
    /// Opens a shell; `state` is the folder of its history.
    fn open(project: &Project, state: &Path) -> Self {
        let program = rapport_command().get_program().to_string_lossy().into_owned();
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
        terminal.wait_for("rapport> ");
        terminal
    }

    fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("a keyboard");
        self.keys.flush().expect("a keyboard");
    }

    /// Waits until the text appears after the text that was waited for before.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let mut end = None;
        let deadline = std::time::Instant::now() + TIMEOUT;
        while end.is_none() {
            let screen = self.screen.lock().expect("a screen").clone();
            end = screen[self.seen..].find(text).map(|at| self.seen + at + text.len());
            let late = std::time::Instant::now() > deadline;
            assert!(end.is_some() || !late, "no \"{text}\" in {:?}", &screen[self.seen..]);
            std::thread::park_timeout(Duration::from_millis(5));
        }
        self.seen = end.unwrap_or(self.seen);
    }

    /// Enters a line, and waits for the texts of its answer.
    #[track_caller]
    fn enter(&mut self, line: &str, answer: &[&str]) {
        self.type_keys(&format!("{line}\r"));
        answer.iter().for_each(|text| self.wait_for(text));
        self.wait_for("rapport> ");
    }

    fn exit_with(mut self, how: &str) {
        self.type_keys(how);
        wait_until("the shell to end", TIMEOUT, || {
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
fn the_shell_answers_statements_and_commands() {
    let state = tempfile::tempdir().expect("a folder");
    let mut shell = Terminal::open(&LOADED, state.path());
    shell.enter("SELECT 40 + 2 AS answer;", &["answer", "42", "1 row in "]);
    // A statement of several lines ends with a semicolon.
    shell.type_keys("SELECT 'one'\r");
    shell.enter("|| 'two' AS both;", &["both", "onetwo"]);
    shell.enter("\\d", &["name", "growth", "metric", "api_calls", "each once", "raw.api_calls"]);
    shell.enter("\\d growth", &["metric: ", "month", "Date32", "churn_rate", "Float64", "ratio"]);
    shell.enter("\\df", &["month_start(date or instant)", "first day of its month"]);
    shell.enter("\\timing off", &[]);
    shell.enter("SELECT 7 AS seven; SELECT 8 AS eight;", &["seven", "7", "eight", "8"]);
    // The shell goes on after an error.
    shell.enter("SELECT stats FROM api_calls;", &["rapport: your query, line 1", "stats"]);
    shell.enter("DROP TABLE runs;", &["this is DROP; the lake is read-only"]);
    shell.enter("\\nonsense", &["\\nonsense is no command"]);
    shell.enter("\\as_of 2026-01-20", &["As of 2026-01-20T00:00:00Z, the newest tables."]);
    shell.enter("SELECT CAST($as_of AS DATE) AS day;", &["2026-01-20"]);
    shell.enter("\\at 2099-01-01", &["As of 2026-02-01T00:00:00Z, the tables of run "]);
    shell.enter("\\at newest", &["the newest tables."]);
    // A wide cell is truncated.
    shell.enter("SELECT repeat('wide', 50) AS wide;", &["widewide", "…"]);
    shell.enter(
        "EXPLAIN SELECT sum(calls) FROM partner_day;",
        &["physical_plan\r\n", "AggregateExec"],
    );
    shell.enter("EXPLAIN ANALYZE SELECT sum(calls) FROM partner_day;", &["output_rows=1"]);
    shell.exit_with("\u{4}");
}

#[test]
fn tab_completes_names_and_history_is_kept() {
    let state = tempfile::tempdir().expect("a folder");
    let mut shell = Terminal::open(&LOADED, state.path());
    shell.type_keys("SEL\t");
    shell.wait_for("SELECT");
    shell.type_keys(" coho\t FROM fun\t");
    // A column is completed once the table is known.
    shell.wait_for("funnel");
    shell.type_keys("\u{3}");
    shell.wait_for("rapport> ");
    shell.type_keys("SELECT count(*) AS months FROM fun\t");
    shell.wait_for("funnel");
    shell.enter(";", &["months"]);
    shell.enter(
        "SELECT * FROM funnel WHERE cohort_m\t IS NULL;",
        &["WHERE cohort_month", " IS NULL;", "overall_rate", "1 row in "],
    );
    shell.exit_with("\\q\r");
    let history = state.path().join("rapport/history");
    let text = std::fs::read_to_string(&history).expect("a history");
    assert!(text.contains("SELECT count(*) AS months FROM funnel;"), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&history).expect("a history").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only the user may read the history");
    }
    let mut again = Terminal::open(&LOADED, state.path());
    // Up, three times: \q, the query with WHERE, the count.
    again.type_keys("\u{1b}[A\u{1b}[A\u{1b}[A");
    again.enter("", &["AS months FROM funnel;", "months"]);
    again.exit_with("\u{4}");
}

#[test]
fn ctrl_c_stops_a_query_and_the_shell_goes_on() {
    let state = tempfile::tempdir().expect("a folder");
    let mut shell = Terminal::open(&LOADED, state.path());
    shell.type_keys(&format!("SELECT 1; SELECT count(*) FROM ({ENDLESS_QUERY});\r"));
    // The first statement is answered, so the second one runs.
    shell.wait_for("1 row in ");
    shell.type_keys("\u{3}");
    shell.wait_for("Stopped.");
    shell.enter("SELECT 6 * 7 AS answer;", &["42"]);
    // A table on the terminal stops after 1,000 rows; a file would have all of them.
    shell.enter(&format!("{ENDLESS_QUERY};"), &["1000\r\n", "The first 1,000 rows"]);
    shell.exit_with("\u{4}");
}

#[test]
fn statements_are_read_from_files_and_pipes() {
    let project = &*LOADED;
    let file = project.path("two.sql");
    let text = "-- two;\nSELECT 1 AS one;\n\\format json\nSELECT ';' AS two;\n";
    std::fs::write(&file, text).expect("a file");
    let answers = project.run_ok(&["sql", "-f", "two.sql", "--format", "csv"]);
    assert_eq!(answers, "one\n1\n[{\"two\":\";\"}]\n");
    let result =
        run_piped(project, &["sql", "--format", "csv"], "SELECT 1 AS one;\nSELECT 2 AS two");
    assert_eq!(result.stdout_text(), "one\n1\n\ntwo\n2\n");
    assert!(result.stderr.is_empty(), "{result}");
    let result = run_piped(project, &["sql", "--format", "csv"], "\\timing on\nSELECT 1 AS one");
    assert!(result.stdout_text() == "one\n1\n" && result.stderr.contains("1 row in "), "{result}");
    // An error has its position, and no statement before it writes anything.
    let check_error = |text: &str, messages: &[&str]| {
        std::fs::write(&file, text).expect("a file");
        project.run(&["sql", "-f", "two.sql"]).expect_error(2, messages);
    };
    check_error("SELECT 1;\n\nDELETE FROM runs;", &["this is DELETE; the lake is read-only"]);
    check_error("\n\nSELECT nothing FROM runs", &["two.sql, line 3", "nothing"]);
    check_error("", &["only one SELECT"]);
    check_error("\\i two.sql", &["files that read each other"]);
    project.run(&["sql", "-f", "no.sql"]).expect_error(2, &["no.sql can't be read"]);
    project.run(&["sql", "SELECT 1; DROP TABLE runs"]).expect_error(2, &["this is DROP"]);
    project.run(&["sql", "SELECT 1", "-f", "two.sql"]).expect_error(2, &["cannot be used with"]);
}

#[test]
fn answers_are_written_to_files() {
    let project = &*LOADED;
    let script = "\\format csv\n\\o answer.csv\nSELECT 1 AS one;\n\\format parquet\n\\o answer.parquet\n\
                  SELECT value FROM generate_series(1, 100000);\n\\o\n\\format csv\nSELECT 2 AS two;";
    let result = run_piped(project, &["sql"], script);
    assert_eq!(result.stdout_text(), "two\n2\n", "{result}");
    assert_eq!(std::fs::read_to_string(project.path("answer.csv")).expect("a file"), "one\n1\n");
    let parquet = std::fs::read(project.path("answer.parquet")).expect("a file");
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    let two = "\\format parquet\n\\o two.parquet\nSELECT 1;\nSELECT 2;";
    let result = run_with_input(project, &["sql"], two);
    assert!(result.code == Some(2) && result.stderr.contains("holds one answer"), "{result}");
}

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    for format in ["csv", "json", "parquet", "table"] {
        let mut command = LOADED.command(&["sql", ENDLESS_QUERY, "--format", format]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let mut reader = BufReader::new(child.stdout.take().expect("its output"));
        // Output arrives long before the end, since the rows are streamed.
        let mut first = Vec::new();
        reader.by_ref().take(64).read_until(b'\n', &mut first).expect("some output");
        assert!(!first.is_empty());
        drop(reader);
        let output = child.wait_with_output().expect("our own process");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && stderr.is_empty(), "{format}: {stderr}");
    }
}

#[test]
fn at_reads_the_tables_of_a_recorded_run() {
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
        project.run_ok(&load);
    };
    let load = |id: u32, arrival: &str| load_of(id, "2026-02-03", arrival);
    let metric = ["metrics", "run", "growth", "--as-of", "2026-02-04", "--format", "csv"];
    project.run(&["sql", "SELECT 1", "--at", "x"]).expect_error(1, &["no lake"]);
    load(1, "2026-02-05");
    project.run(&["sql", "SELECT 1", "--at", "x"]).expect_error(2, &["no run yet", "metrics run"]);
    project.run_ok(&metric);
    load(2, "2026-02-06");
    project.run_ok(&metric);
    load(3, "2026-02-07");
    let runs = project.query_rows("SELECT run_id, started_at FROM runs ORDER BY started_at");
    let [first, second] = [0, 1].map(|i| runs[i].split_once(',').expect("two fields"));
    let at = |run: &str| {
        let raw = "SELECT count(*) FROM raw.api_calls";
        let summed = "SELECT sum(calls) FROM partner_day WHERE event_date < $as_of";
        [raw, summed]
            .map(|query| project.run_ok(&["sql", query, "--format", "csv", "--at", run]))
            .map(|text| text.lines().nth(1).expect("a row").to_owned())
    };
    assert_eq!(at(first.0), ["1", "1"]);
    assert_eq!(at(&first.0[..first.0.len() - 1]), ["1", "1"]);
    assert_eq!(at(second.0), ["2", "2"]);
    assert_eq!(at(first.1), ["1", "1"]);
    assert_eq!(at("2099-01-01"), ["2", "2"]);
    assert_eq!(at("1"), ["1", "1"]);
    assert_eq!(at("2"), ["2", "2"]);
    assert_eq!(project.query_number("SELECT count(*) FROM raw.api_calls"), 3);
    let check_refused = |run: &str, messages: &[&str]| {
        project.run(&["sql", "SELECT 1", "--at", run]).expect_error(2, messages);
    };
    check_refused("ffffffff", &["no run \"ffffffff\"", "nearest is ", second.0]);
    check_refused("77", &["no run of number 77", second.0]);
    check_refused("2001-01-01", &["no run yet; the first is ", first.0]);
    // The day is compacted, and the old files are deleted, as a vacuum does a week later.
    load_of(4, "2026-02-25", "2026-02-26");
    project.run_ok(&["lake", "compact", "--before", "2026-03-01"]);
    let folder = project.path("lake/raw/api_calls/event_date=2026-02-03");
    for file in old_files(&folder) {
        std::fs::remove_file(file).expect("a file");
    }
    let query = "SELECT count(DISTINCT event_id) FROM raw.api_calls";
    let messages = ["`rapport lake vacuum` has deleted", "younger run"];
    project.run(&["sql", query, "--at", first.0]).expect_error(1, &messages);
    assert_eq!(project.query_number(query), 4);
}

/// Returns all files of a day but the newest.
fn old_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a day");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    // The names of files begin with their instant.
    files.sort();
    files.pop();
    files
}

/// Runs the program with a text on standard input.
fn run_with_input(project: &Project, arguments: &[&str], input: &str) -> ProgramOutput {
    let mut command = project.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be run");
    let mut pipe = child.stdin.take().expect("its input");
    pipe.write_all(input.as_bytes()).expect("a pipe");
    drop(pipe);
    ProgramOutput::of(&command, child.wait_with_output().expect("our own process"))
}

#[track_caller]
fn run_piped(project: &Project, arguments: &[&str], input: &str) -> ProgramOutput {
    run_with_input(project, arguments, input).expect_success()
}

#[test]
fn show_describe_and_information_schema_list_tables_and_columns() {
    let project = &*LOADED;
    let csv = |query: &str| project.run_ok(&["sql", query, "--format", "csv"]);
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
    let listed = project.run_ok(&["metrics", "list", "--format", "csv"]);
    let metrics = listed.lines().filter(|line| line.contains(",metric,")).count();
    assert_eq!(project.query_number(of_schema), i64::try_from(metrics).expect("few"));
    let type_keys = "SELECT t.table_type, c.ordinal_position, c.data_type, c.unit
                 FROM information_schema.columns c JOIN information_schema.tables t
                   ON t.table_schema = c.table_schema AND t.table_name = c.table_name
                 WHERE c.table_name = 'partner_day' AND c.column_name = 'calls'";
    assert_eq!(project.query_rows(type_keys), ["BASE TABLE,6,Int64,calls"]);

    project
        .run(&["sql", "DESCRIBE funel"])
        .expect_error(2, &["there is no table \"funel\"", "funnel"]);
    project
        .run(&["sql", "SHOW ALL"])
        .expect_error(2, &["\"SHOW ALL\" is not answered", "SHOW TABLES"]);
    project.run(&["sql", "SHOW FUNCTIONS"]).expect_error(2, &["rapport metrics functions"]);
}
