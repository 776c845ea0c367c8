//! A user who may read a lake and not write it gets metrics, scores and reports.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use domain::Stream;

use crate::support::program::{ProgramOutput, Project, run};
use crate::support::simulated_world::{SimulatedWorld, WorldSize, ndjson};

/// The user id of `nobody`, who reads what root wrote.
const NOBODY: u32 = 65_534;

/// Holds a project that its reader cannot write, and a folder of the reader's own.
struct ReadOnlyProject {
    project: Project,
    program: PathBuf,
    own: tempfile::TempDir,
}

impl ReadOnlyProject {
    fn new() -> Self {
        let project = Project::new();
        let world = SimulatedWorld::new(WorldSize { seed: 8, partners: 20, events: 900, days: 60 });
        world.load(&project);
        project.run_ok(&["score", "run"]);
        let own = tempfile::tempdir().expect("a folder");
        set_mode(own.path(), 0o777);
        // Other users may not be able to enter the folder of the build.
        let program = own.path().join("rapport");
        let built = crate::support::program::rapport_command().get_program().to_owned();
        fs::copy(built, &program).expect("a copy of the program");
        Self { project, program, own }
    }

    /// Loads new events, so that rollups are stale.
    fn make_rollups_stale(&self) {
        let world = SimulatedWorld::new(WorldSize { seed: 9, partners: 25, events: 300, days: 60 });
        for stream in Stream::ALL {
            let name = format!("more-{stream}.ndjson");
            self.project.write(&name, ndjson(&world.time_independent_records(stream)));
            self.project.run_ok(&[
                "ingest",
                "load",
                "--accept-rejects",
                "--stream",
                stream.name(),
                &name,
            ]);
        }
    }

    /// Runs the program as a user who may read everything in the project and write nothing.
    fn run_as_reader(&self, arguments: &[&str]) -> ProgramOutput {
        for entry in folder_and_contents(&self.project.path(".")) {
            let is_folder = entry.is_dir();
            let mode = if is_folder { 0o555 } else { 0o444 };
            set_mode(&entry, mode);
        }
        let mut command = Command::new(&self.program);
        command.current_dir(self.project.path(".")).args(arguments);
        command.env("TMPDIR", self.own.path()).env_remove("RAPPORT_CONFIG");
        if fs::metadata(self.own.path()).expect("a folder").uid() == 0 {
            command.uid(NOBODY).gid(NOBODY);
        }
        let result = run(command);
        for entry in folder_and_contents(&self.project.path(".")) {
            set_mode(&entry, if entry.is_dir() { 0o755 } else { 0o644 });
        }
        result
    }

    fn out(&self, name: &str) -> String {
        self.own.path().join(name).display().to_string()
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
}

/// Returns a folder and everything below it.
fn folder_and_contents(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { all.extend(folder_and_contents(&path)) } else { all.push(path) }
    }
    all
}

#[test]
fn a_reader_gets_the_answers_of_a_writer() {
    let read_only = ReadOnlyProject::new();
    let as_of = "2026-02-20";
    let metrics = ["funnel", "partner_reliability", "growth", "revenue_summary"];
    let metrics_run = |name| ["metrics", "run", name, "--as-of", as_of, "--format", "csv"];
    for stale in [false, true] {
        let runs = read_only.project.query_number("SELECT count(*) FROM runs");
        // From here on nothing refreshes the rollups.
        if stale {
            read_only.make_rollups_stale();
        }
        let answers = metrics.map(|name| {
            let result = read_only.run_as_reader(&metrics_run(name)).expect_success();
            assert!(result.stderr.contains("can't be written from here"), "{result}");
            assert_eq!(result.stderr.contains("computed for this answer alone"), stale, "{result}");
            result.stdout
        });
        let preview = ["metrics", "preview", "partner_day", "--as-of", as_of];
        read_only.run_as_reader(&preview).expect_success();
        let query = ["sql", "SELECT count(*) FROM partner_day", "--format", "csv"];
        let counted = read_only.run_as_reader(&query).expect_success().stdout;
        let shown = read_only
            .run_as_reader(&["score", "run", "--as-of", as_of])
            .expect_success()
            .stdout_text();
        assert_eq!(read_only.project.query_number("SELECT count(*) FROM runs"), runs);
        for (name, answer) in metrics.iter().zip(answers) {
            assert_eq!(
                read_only.project.run(&metrics_run(name)).expect_success().stdout,
                answer,
                "{name}"
            );
        }
        assert_eq!(read_only.project.run(&query).expect_success().stdout, counted);
        assert_eq!(read_only.project.run_ok(&["score", "run", "--as-of", as_of]), shown);
    }
}

#[test]
fn a_reader_writes_a_report_and_a_plan() {
    let read_only = ReadOnlyProject::new();
    read_only.make_rollups_stale();
    let (as_of, out) = ("2026-02-20", read_only.out("report"));
    let result =
        read_only.run_as_reader(&["report", "--as-of", as_of, "--out", &out]).expect_success();
    assert!(result.stderr.contains("can't be written from here"), "{result}");
    let plan = read_only.out("plan.json");
    let planned = read_only
        .run_as_reader(&["actions", "plan", "--as-of", as_of, "--out", &plan])
        .expect_success();
    assert_eq!(
        read_only.project.run_ok(&["actions", "plan", "--as-of", as_of, "--out", "own.json"]),
        planned.stdout_text()
    );
    read_only.project.run_ok(&["report", "--as-of", as_of, "--out", "report"]);
    for name in ["funnel", "growth", "partner_health", "actions_plan"] {
        let file = format!("data/{name}.csv");
        let read_file = |folder: PathBuf| fs::read_to_string(folder.join(&file)).expect("a file");
        // The time of the scores is the last column, and their revision the second: a reader stores
        // none.
        let without_time = |text: String| {
            let timed = name == "partner_health";
            let cut = |line: &str| {
                let (line, _) = line.rsplit_once(',').unwrap_or((line, ""));
                let mut columns: Vec<&str> = line.split(',').collect();
                columns.remove(1);
                columns.join(",")
            };
            text.lines().map(|l| if timed { cut(l) } else { l.to_owned() }).collect::<Vec<_>>()
        };
        let (readers, writers) =
            (read_file(PathBuf::from(&out)), read_file(read_only.project.path("report")));
        assert_eq!(without_time(readers), without_time(writers), "{name}");
    }
}

#[test]
fn a_reader_that_writes_gets_a_clear_error() {
    let read_only = ReadOnlyProject::new();
    read_only.project.write(
        "one.ndjson",
        r#"{"event_id":"n","partner_id":"p","occurred_at":"2026-01-01T00:00:00Z","status":200}"#,
    );
    let advice = "give this user the right to read and write it";
    let load = ["ingest", "load", "--stream", "api-calls", "one.ndjson"];
    let result = read_only.run_as_reader(&load);
    result.expect_error(1, &["Permission denied", advice]);
    assert!(!result.stderr.contains("has room"), "{result}");
    let out = read_only.project.path("report").display().to_string();
    fs::create_dir(&out).expect("a folder");
    read_only
        .run_as_reader(&["report", "--out", &out])
        .expect_error(1, &["Permission denied", "--out"]);
}
