//! Runs the compiled program in a project of its own, and shows its output when a check fails.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tempfile::{NamedTempFile, TempDir};

use crate::support::fake_clock::move_clock;
use crate::support::kafka_broker::print_note;

/// How long a wait may take.
const TIMEOUT: Duration = Duration::from_secs(300);

/// A project's own metric, `queries/metrics/busy.sql`.
pub(crate) const BUSY_METRIC: &str = "/*---
description = \"production calls of each partner\"
grain = [\"partner_id\"]
[columns]
partner_id = { type = \"Utf8\" }
calls = { type = \"Int64\" }
---*/
SELECT partner_id, sum(calls) AS calls FROM usage_day WHERE environment = 'production'
GROUP BY partner_id ORDER BY partner_id
";

/// A project in a temporary folder.
pub(crate) struct Project {
    dir: TempDir,
    /// Seconds by which the clock that the program sees is ahead of the real one.
    clock_offset: AtomicI64,
}

/// The exit code and the output of a run of the program.
pub(crate) struct ProgramOutput {
    command: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Project {
    /// Creates a project by `rapport init`.
    pub(crate) fn new() -> Self {
        let project = Self::empty();
        project.run_ok(&["init", "."]);
        project
    }

    /// Creates an empty folder.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Self { dir, clock_offset: AtomicI64::new(0) }
    }

    /// Returns a path in the project.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Keeps the folder when the test ends.
    pub(crate) fn keep_files(&mut self) {
        self.dir.disable_cleanup(true);
    }

    /// Writes a file into the project.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).expect("room for a file");
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> ProgramOutput {
        run(self.command(arguments))
    }

    /// Returns a command of the program in the project's folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = rapport_command();
        command.current_dir(self.dir.path()).args(arguments);
        let offset = self.clock_offset.load(Ordering::Relaxed);
        if offset != 0 {
            move_clock(&mut command, offset);
        }
        command
    }

    /// Moves the clock that the program sees by so many seconds, for the commands made from now on.
    pub(crate) fn move_clock(&self, seconds: i64) {
        self.clock_offset.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Runs the program, which must succeed, and returns its standard output.
    #[track_caller]
    pub(crate) fn run_ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).expect_success().stdout_text()
    }

    /// Returns the rows of a query as CSV, without the header.
    #[track_caller]
    pub(crate) fn query_rows(&self, query: &str) -> Vec<String> {
        let text = self.run_ok(&["sql", query, "--format", "csv"]);
        text.lines().skip(1).map(str::to_owned).collect()
    }

    /// Returns the one number that a query returns.
    #[track_caller]
    pub(crate) fn query_number(&self, query: &str) -> i64 {
        let rows = self.query_rows(query);
        assert_eq!(rows.len(), 1, "{query}: {rows:?}");
        rows[0].parse().unwrap_or_else(|_| panic!("{query}: {rows:?}"))
    }

    /// Returns how many rows each table holds, duplicates included, in ascending order.
    #[track_caller]
    pub(crate) fn row_counts(&self) -> Vec<i64> {
        let tables = ["raw.api_calls", "raw.partner_events", "raw.billing_events"];
        let more = ["raw.support_events", "dead_letters"];
        let counted = tables.iter().chain(&more).map(|t| format!("SELECT count(*) FROM {t}"));
        let rows = self.query_rows(&counted.collect::<Vec<_>>().join(" UNION ALL "));
        // A union keeps no order.
        let mut counts: Vec<i64> = rows.iter().map(|r| r.parse().expect("a count")).collect();
        counts.sort_unstable();
        counts
    }

    /// Computes every metric as of an instant, and returns its CSV file by name.
    #[track_caller]
    pub(crate) fn run_all_metrics(&self, as_of: &str) -> Vec<(String, Vec<u8>)> {
        let out = self.path("metrics-out");
        let _ = std::fs::remove_dir_all(&out);
        self.run_ok(&["metrics", "run", "--as-of", as_of, "--out", "metrics-out"]);
        let mut files: Vec<_> = std::fs::read_dir(&out)
            .expect("a folder of metrics")
            .map(|entry| entry.expect("a file").path())
            .map(|path| {
                let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
                (name, std::fs::read(&path).expect("a file"))
            })
            .collect();
        files.sort();
        files
    }
}

impl ProgramOutput {
    pub(crate) fn of(command: &Command, output: Output) -> Self {
        Self {
            command: format!("{command:?}"),
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn expect_success(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// Returns the standard output as text.
    pub(crate) fn stdout_text(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("output in UTF-8")
    }

    /// Checks that the program ended with this code and one message on standard error that holds
    /// each of these parts, and wrote nothing to standard output.
    #[track_caller]
    pub(crate) fn expect_error(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        assert!(self.stdout.is_empty(), "standard output is for data only: {self}");
        for word in words {
            assert!(self.stderr.contains(word), "no \"{word}\" in {self}");
        }
        let messages = self.stderr.lines().filter(|line| line.starts_with("rapport: ")).count();
        let by_clap = self.stderr.starts_with("error: ");
        assert!(messages == 1 || by_clap, "one message is expected: {self}");
        assert!(!self.stderr.contains("panicked"), "{self}");
    }
}

impl fmt::Display for ProgramOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        let (code, stderr) = (self.code, &self.stderr);
        write!(f, "{}\nended with {code:?}\nstdout: {stdout}\nstderr: {stderr}", self.command)
    }
}

/// A running program; it is killed when this is dropped. What it prints goes to files: a pipe that nobody reads
/// would stop a program that prints more than a pipe holds.
pub(crate) struct RunningProgram {
    child: Child,
    command: String,
    stdout: NamedTempFile,
    /// The file of its standard error.
    log: PathBuf,
    /// Deletes that file in the end, where nobody else does.
    _temporary_log: Option<NamedTempFile>,
}

impl RunningProgram {
    pub(crate) fn start(command: Command) -> Self {
        let log = NamedTempFile::new().expect("a file for messages");
        let mut running = Self::start_logging(command, log.path());
        running._temporary_log = Some(log);
        running
    }

    /// Starts the program with standard error in a file that can be read while it runs.
    pub(crate) fn start_logging(mut command: Command, log: &Path) -> Self {
        let stdout = NamedTempFile::new().expect("a file for output");
        let file = std::fs::File::create(log).expect("a file for messages");
        command.stdin(Stdio::null()).stderr(file);
        command.stdout(stdout.reopen().expect("a file for output"));
        let child = command.spawn().expect("the program can be run");
        let (command, log) = (format!("{command:?}"), log.to_owned());
        Self { child, command, stdout, log, _temporary_log: None }
    }

    /// Returns what it has written to standard error so far.
    pub(crate) fn messages_so_far(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our own process").is_some()
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("our own process");
    }

    /// Sends SIGTERM, as a service manager does.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by its name, such as `STOP` for SIGSTOP.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.expect("kill can be run").success());
    }

    /// Returns the peak memory of the running program in KiB, 0 where the system does not report
    /// it.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn finish(mut self) -> ProgramOutput {
        wait_until(&self.command.clone(), TIMEOUT, || self.has_ended());
        let stdout = std::fs::read(self.stdout.path()).expect("its output");
        let code = self.child.wait().expect("our own process").code();
        let (command, stderr) = (self.command.clone(), self.messages_so_far());
        ProgramOutput { command, code, stdout, stderr }
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_note(&format!("was running: {}\n{}", self.command, self.messages_so_far()));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns a command of the program, in an environment that does not configure it.
/// `RAPPORT_PROGRAM` names another build, such as a copy for a long run, or a release.
pub(crate) fn rapport_command() -> Command {
    let built = || env!("CARGO_BIN_EXE_rapport").into();
    let mut command = Command::new(std::env::var_os("RAPPORT_PROGRAM").unwrap_or_else(built));
    let registry = ["SCHEMA_REGISTRY_URL", "SCHEMA_REGISTRY_USER", "SCHEMA_REGISTRY_PASSWORD"];
    for name in ["CONFIG", "LOG", "LAKE_ROOT", "KAFKA_BOOTSTRAP_SERVERS"].iter().chain(&registry) {
        command.env_remove(format!("RAPPORT_{name}"));
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn run(mut command: Command) -> ProgramOutput {
    let output = command.stdin(Stdio::null()).output().expect("the program can be run");
    ProgramOutput::of(&command, output)
}

/// Polls until the condition holds; panics at the deadline with what was waited for.
#[track_caller]
pub(crate) fn wait_until(what: &str, timeout: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + timeout;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {timeout:?} in vain for: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Returns the number of entries of a folder, 0 where the folder does not exist.
pub(crate) fn count_entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn a_program_may_print_more_than_a_pipe_holds() {
    let project = Project::new();
    let call =
        r#"{"event_id":"a","partner_id":"b","status":200,"occurred_at":"2026-01-02T10:00:00Z"}"#;
    project.write("call.ndjson", call);
    project.run_ok(&["ingest", "load", "--stream", "api-calls", "call.ndjson"]);
    let query = "SELECT value FROM generate_series(1, 100000)";
    let running = RunningProgram::start(project.command(&["sql", query, "--format", "csv"]));
    let printed = running.finish().expect_success().stdout_text();
    assert_eq!((printed.lines().count(), printed.len() > 1 << 17), (100_001, true));
}
