//! Somebody who may read a lake and not write it: metrics, scores and reports are theirs too.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lake_types::Stream;

use crate::program::{Project, Ran, run};
use crate::simulated::{Simulated, Size, lines};

/// The system's user without rights, who reads where root wrote.
const NOBODY: u32 = 65_534;

/// A project that its reader can't write, and where the reader keeps what is made.
struct Read {
    project: Project,
    program: PathBuf,
    own: tempfile::TempDir,
}

impl Read {
    fn new() -> Self {
        let project = Project::new();
        let world = Simulated::new(Size { seed: 8, partners: 20, events: 900, days: 60 });
        world.load(&project);
        project.ok(&["score", "run"]);
        let own = tempfile::tempdir().expect("a folder");
        allow(own.path(), 0o777);
        // The build's folder may be one that others can't enter.
        let program = own.path().join("rapport");
        let built = crate::program::rapport().get_program().to_owned();
        fs::copy(built, &program).expect("a copy of the program");
        Self { project, program, own }
    }

    /// New events: every rollup of theirs is stale.
    fn fall_behind(&self) {
        let world = Simulated::new(Size { seed: 9, partners: 25, events: 300, days: 60 });
        for stream in Stream::ALL {
            let name = format!("more-{stream}.ndjson");
            self.project.write(&name, lines(&world.timeless(stream)));
            self.project.ok(&[
                "ingest",
                "load",
                "--accept-rejects",
                "--stream",
                stream.name(),
                &name,
            ]);
        }
    }

    /// The program as somebody who may read everything and write nothing of the project.
    fn reads(&self, arguments: &[&str]) -> Ran {
        for entry in walk(&self.project.path(".")) {
            let is_folder = entry.is_dir();
            let mode = if is_folder { 0o555 } else { 0o444 };
            allow(&entry, mode);
        }
        let mut command = Command::new(&self.program);
        command.current_dir(self.project.path(".")).args(arguments);
        command.env("TMPDIR", self.own.path()).env_remove("RAPPORT_CONFIG");
        if fs::metadata(self.own.path()).expect("a folder").uid() == 0 {
            command.uid(NOBODY).gid(NOBODY);
        }
        let ran = run(command);
        for entry in walk(&self.project.path(".")) {
            allow(&entry, if entry.is_dir() { 0o755 } else { 0o644 });
        }
        ran
    }

    fn out(&self, name: &str) -> String {
        self.own.path().join(name).display().to_string()
    }
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
}

/// A folder and everything below it.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { all.extend(walk(&path)) } else { all.push(path) }
    }
    all
}

#[test]
fn a_reader_has_the_answers_of_a_writer() {
    let read = Read::new();
    let as_of = "2026-02-20";
    let metrics = ["funnel", "partner_reliability", "growth", "revenue_summary"];
    let ask = |name| ["metrics", "run", name, "--as-of", as_of, "--format", "csv"];
    for stale in [false, true] {
        let runs = read.project.number("SELECT count(*) FROM runs");
        // From here on nobody brings anything up to date.
        if stale {
            read.fall_behind();
        }
        let answers = metrics.map(|name| {
            let ran = read.reads(&ask(name)).succeeded();
            assert!(ran.stderr.contains("can't be written from here"), "{ran}");
            assert_eq!(ran.stderr.contains("computed for this answer alone"), stale, "{ran}");
            ran.stdout
        });
        let preview = ["metrics", "preview", "partner_day", "--as-of", as_of];
        read.reads(&preview).succeeded();
        let query = ["sql", "SELECT count(*) FROM partner_day", "--format", "csv"];
        let counted = read.reads(&query).succeeded().stdout;
        let shown = read.reads(&["score", "run", "--as-of", as_of]).succeeded().text();
        assert_eq!(read.project.number("SELECT count(*) FROM runs"), runs);
        for (name, answer) in metrics.iter().zip(answers) {
            assert_eq!(read.project.run(&ask(name)).succeeded().stdout, answer, "{name}");
        }
        assert_eq!(read.project.run(&query).succeeded().stdout, counted);
        assert_eq!(read.project.ok(&["score", "run", "--as-of", as_of]), shown);
    }
}

#[test]
fn a_reader_writes_a_report_and_a_plan() {
    let read = Read::new();
    read.fall_behind();
    let (as_of, out) = ("2026-02-20", read.out("report"));
    let ran = read.reads(&["report", "--as-of", as_of, "--out", &out]).succeeded();
    assert!(ran.stderr.contains("can't be written from here"), "{ran}");
    let plan = read.out("plan.json");
    let planned = read.reads(&["actions", "plan", "--as-of", as_of, "--out", &plan]).succeeded();
    assert_eq!(
        read.project.ok(&["actions", "plan", "--as-of", as_of, "--out", "own.json"]),
        planned.text()
    );
    read.project.ok(&["report", "--as-of", as_of, "--out", "report"]);
    for name in ["funnel", "growth", "partner_health", "actions_plan"] {
        let file = format!("data/{name}.csv");
        let of = |folder: PathBuf| fs::read_to_string(folder.join(&file)).expect("a file");
        let untimed = |text: String| {
            let timed = name == "partner_health";
            let cut = |line: &str| line.rsplit_once(',').map_or(line, |(l, _)| l).to_owned();
            text.lines().map(|l| if timed { cut(l) } else { l.to_owned() }).collect::<Vec<_>>()
        };
        let (theirs, ours) = (of(PathBuf::from(&out)), of(read.project.path("report")));
        assert_eq!(untimed(theirs), untimed(ours), "{name}");
    }
}

#[test]
fn who_writes_without_the_right_is_told_so() {
    let read = Read::new();
    read.project.write(
        "one.ndjson",
        r#"{"event_id":"n","partner_id":"p","occurred_at":"2026-01-01T00:00:00Z","status":200}"#,
    );
    let advice = "give this user the right to read and write it";
    let load = ["ingest", "load", "--stream", "api-calls", "one.ndjson"];
    let ran = read.reads(&load);
    ran.refused(1, &["Permission denied", advice]);
    assert!(!ran.stderr.contains("has room"), "{ran}");
    let out = read.project.path("report").display().to_string();
    fs::create_dir(&out).expect("a folder");
    read.reads(&["report", "--out", &out]).refused(1, &["Permission denied", "--out"]);
}
