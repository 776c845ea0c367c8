//! Rollups refreshed, and days compacted, on a scheduler and executors of their own processes are those
//! of one process, whoever dies on the way.
//!
//! - `compaction`: days compacted there

mod compaction;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::files::relative_files;
use crate::support::program::{
    ProgramOutput, Project, RunningProgram, rapport_command, run, wait_until,
};
use crate::support::simulated_world::{SimulatedWorld, WorldSize};

const SIZE: WorldSize = WorldSize { seed: 41, partners: 40, events: 12_000, days: 24 };

/// Days of this world have more events than that, and are divided by partner.
const UNIT_ROWS: &str = "[cluster]\nunit_rows = 250\n";

/// The shortest silence after which the scheduler gives up an executor.
const EXECUTOR_TIMEOUT: &str = "10";

const TIMEOUT: Duration = Duration::from_secs(180);

/// A lake with the world's events and no rollups, and the instant at which the world ends.
static LOADED: LazyLock<(Project, String)> = LazyLock::new(|| {
    let project = Project::new();
    let world = SimulatedWorld::new(SIZE);
    world.load(&project);
    let path = project.path("rapport.toml");
    let config = std::fs::read_to_string(&path).expect("a configuration");
    assert!(config.contains("[cluster]\n"));
    let config = config.replacen("[cluster]\n", UNIT_ROWS, 1);
    std::fs::write(&path, config).expect("a configuration");
    (project, world.end())
});

/// The metrics and the rollups that one process makes of the world.
static LOCAL: LazyLock<(Metrics, Files)> = LazyLock::new(|| {
    let project = loaded_project();
    let metrics = project.run_all_metrics(&LOADED.1);
    (metrics, rollups(&project))
});

type Metrics = Vec<(String, Vec<u8>)>;

/// For each table and day, what the log says of the files, without their names and times.
type Files = BTreeMap<(String, String), Vec<Value>>;

/// Returns a copy of the loaded lake.
fn loaded_project() -> Project {
    let project = Project::empty();
    let from = LOADED.0.path(".");
    for path in relative_files(&from) {
        let target = project.path(".").join(&path);
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        std::fs::copy(from.join(&path), target).expect("a copy");
    }
    project
}

/// Puts settings in the place of `unit_rows`.
fn set_in_cluster_section(project: &Project, settings: &str) {
    let path = project.path("rapport.toml");
    let config = std::fs::read_to_string(&path).expect("a configuration");
    assert!(config.contains(UNIT_ROWS));
    let config = config.replacen(UNIT_ROWS, &format!("[cluster]\n{settings}"), 1);
    std::fs::write(path, config).expect("a configuration");
}

/// Returns the files of the newest version of each rollup.
fn rollups(project: &Project) -> Files {
    newest_files(project, "rollup")
}

/// Returns the files of the newest version of each raw table.
fn events(project: &Project) -> Files {
    newest_files(project, "raw")
}

/// Returns the files of the newest version of each table below a folder of the lake. The checksums among
/// the tags stand for the bytes of the files.
fn newest_files(project: &Project, folder: &str) -> Files {
    let mut files: BTreeMap<PathBuf, Value> = BTreeMap::new();
    let folder = project.path("lake").join(folder);
    let is_entry = |path: &PathBuf| {
        let version = path
            .file_stem()
            .is_some_and(|stem| stem.to_string_lossy().chars().all(|digit| digit.is_ascii_digit()));
        version && path.extension().is_some_and(|extension| extension == "json")
    };
    for path in relative_files(&folder).into_iter().filter(is_entry) {
        let table = path.parent().and_then(Path::parent).expect("a table").to_owned();
        let text = std::fs::read_to_string(folder.join(&path)).expect("an entry of a log");
        for action in text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
            let path = |action: &Value| table.join(action["path"].as_str().expect("a path"));
            if let Some(added) = action.get("add") {
                files.insert(path(added), added.clone());
            }
            if let Some(removed) = action.get("remove") {
                files.remove(&path(removed));
            }
        }
    }
    let mut tables = Files::new();
    for (path, mut file) in files {
        let table = path.iter().next().expect("a table").to_string_lossy().into_owned();
        // Dead letters have no day.
        let day = file["partitionValues"]["event_date"].as_str().unwrap_or_default().to_owned();
        let fields = file.as_object_mut().expect("an object");
        fields.retain(|name, _| ["size", "stats", "tags"].contains(&name.as_str()));
        tables.entry((table, day)).or_default().push(file);
    }
    for files in tables.values_mut() {
        files.sort_by_key(Value::to_string);
    }
    tables
}

/// A scheduler and its executors on this machine.
struct Cluster {
    address: String,
    logs: Project,
    executors: usize,
    _scheduler: RunningProgram,
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

impl Cluster {
    fn start() -> Self {
        let (address, logs) = (free_address(), Project::empty());
        let mut command = rapport_command();
        command.args(["cluster", "scheduler", "--listen", &address]);
        command.args(["--executor-timeout", EXECUTOR_TIMEOUT]);
        let scheduler = RunningProgram::start_logging(command, &logs.path("scheduler"));
        wait_until("the scheduler", TIMEOUT, || scheduler.messages_so_far().contains("listens on"));
        Self { address, logs, executors: 0, _scheduler: scheduler }
    }

    /// Starts an executor on the lake of a project; it stops at the failpoint.
    fn add_executor(&mut self, project: &Project, failpoint: Option<&str>) -> RunningProgram {
        self.executors += 1;
        let listen = free_address();
        let mut command = project.command(&["-v", "cluster", "executor", "--units", "1"]);
        command.args(["--scheduler", &self.address, "--listen", &listen]);
        if let Some(failpoint) = failpoint {
            command.env("RAPPORT_FAULT", failpoint);
        }
        let log = self.logs.path(&format!("executor-{}", self.executors));
        let executor = RunningProgram::start_logging(command, &log);
        wait_until("the executor", TIMEOUT, || {
            executor.messages_so_far().contains("takes work from")
        });
        executor
    }

    /// Returns the command that compacts every closed day on this cluster.
    fn compact(&self, project: &Project) -> std::process::Command {
        project.command(&["-v", "lake", "compact", "--cluster", &self.address])
    }

    /// Returns the command that computes all metrics with rollups from this cluster.
    fn metrics_run(&self, project: &Project) -> std::process::Command {
        let mut command = project.command(&["-v", "metrics", "run", "--as-of", &LOADED.1]);
        command.args(["--out", "metrics-out", "--cluster", &self.address]);
        command
    }
}

/// Returns how many units an executor has written so far.
fn written(executor: &RunningProgram) -> usize {
    executor.messages_so_far().matches("a unit is written").count()
}

/// Returns the units of the jobs that a refresh had run.
fn units_of_jobs(output: &ProgramOutput) -> usize {
    let of_job = |line: &str| {
        let units = line.split(" units=").nth(1)?.split_whitespace().next()?;
        units.parse::<usize>().ok()
    };
    output.stderr.lines().filter(|line| line.contains("a job is done")).filter_map(of_job).sum()
}

#[track_caller]
fn assert_same_files(found: &Files, expected: &Files) {
    let days = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(days(found), days(expected));
    for (day, files) in expected {
        assert_eq!(&found[day], files, "{day:?}");
    }
}

/// Checks that a project has the rollups that one process computes, and the same metrics.
#[track_caller]
fn assert_same_as_local(project: &Project) {
    let (metrics, expected) = &*LOCAL;
    assert_same_files(&rollups(project), expected);
    assert!(&project.run_all_metrics(&LOADED.1) == metrics, "the metrics differ");
    let compared = project.run_ok(&["cluster", "compare"]);
    assert!(compared.contains(": 0 differ, "), "{compared}");
}

#[test]
fn rollups_of_a_cluster_are_those_of_one_process() {
    let project = loaded_project();
    let mut cluster = Cluster::start();
    let one = cluster.add_executor(&project, None);
    let two = cluster.add_executor(&project, None);
    let running = RunningProgram::start_logging(
        cluster.metrics_run(&project),
        &cluster.logs.path("coordinator"),
    );
    let output = running.finish().expect_success();
    let units = units_of_jobs(&output);
    assert!(units > 100, "many units are expected: {output}");
    assert_eq!(written(&one) + written(&two), units, "each unit runs once");
    assert!(written(&one) > 0 && written(&two) > 0, "both executors take part");
    assert!(rollups(&project).values().any(|files| files.len() > 1), "some day is divided");
    assert_same_as_local(&project);
    let before = rollups(&project);
    let rebuilt = project.run_ok(&["cluster", "rebuild", "--cluster", &cluster.address]);
    assert!(rebuilt.contains(&cluster.address), "{rebuilt}");
    assert!(written(&one) + written(&two) > units, "everything is computed again");
    assert!(rollups(&project) == before, "a rebuild changes nothing");
}

#[test]
fn another_executor_takes_over_from_one_that_is_killed() {
    let project = loaded_project();
    let mut cluster = Cluster::start();
    let file = project.path("failpoint");
    let point = format!("file put:rollup/partner_day@3={}", file.display());
    let stopped = cluster.add_executor(&project, Some(&point));
    let other = cluster.add_executor(&project, None);
    let log = cluster.logs.path("coordinator");
    let running = RunningProgram::start_logging(cluster.metrics_run(&project), &log);
    wait_until("a unit that has written a file", TIMEOUT, || file.exists());
    assert!(written(&stopped) > 0, "it has done units before");
    stopped.kill();
    running.finish().expect_success();
    assert!(written(&other) > 0);
    assert_same_as_local(&project);
}

#[test]
fn without_any_executor_nothing_is_committed() {
    let project = loaded_project();
    let mut cluster = Cluster::start();
    let file = project.path("failpoint");
    let executor = cluster.add_executor(&project, Some(&format!("file={}", file.display())));
    let log = cluster.logs.path("coordinator");
    let running = RunningProgram::start_logging(cluster.metrics_run(&project), &log);
    wait_until("a unit that writes a file", TIMEOUT, || file.exists());
    executor.kill();
    let killed_at = Instant::now();
    let output = running.finish();
    // The executor is silent for its timeout, and then the jobs wait for another one as long.
    assert!(killed_at.elapsed() < Duration::from_secs(40), "{:?}", killed_at.elapsed());
    output.expect_error(1, &["the cluster at ", "executors were lost"]);
    assert!(rollups(&project).is_empty(), "nothing is committed");
    let _other = cluster.add_executor(&project, None);
    run(cluster.metrics_run(&project)).expect_success();
    assert_same_as_local(&project);
}

#[test]
fn a_refresh_that_is_killed_before_its_commit_is_run_again() {
    let project = loaded_project();
    let mut cluster = Cluster::start();
    let _executor = cluster.add_executor(&project, None);
    let file = project.path("failpoint");
    let mut command = cluster.metrics_run(&project);
    let point = format!("entry:rollup/endpoint_day={}", file.display());
    command.env("RAPPORT_FAULT", point);
    let running = RunningProgram::start_logging(command, &cluster.logs.path("coordinator"));
    wait_until("a commit", TIMEOUT, || file.exists());
    running.kill();
    std::fs::remove_file(&file).expect("the file of the failpoint");
    run(cluster.metrics_run(&project)).expect_success();
    assert_same_as_local(&project);
}

#[test]
fn a_cluster_that_is_not_there_is_named() {
    let project = loaded_project();
    let address = free_address();
    let output = project.run(&["metrics", "run", "funnel", "--cluster", &address]);
    output.expect_error(1, &[&address, "check the scheduler"]);
}

#[test]
fn while_no_executor_comes_a_command_waits_and_then_ends() {
    let project = loaded_project();
    set_in_cluster_section(&project, "executor_wait_seconds = 3\n");
    let before = events(&project);
    let cluster = Cluster::start();
    for command in [cluster.metrics_run(&project), cluster.compact(&project)] {
        let started = Instant::now();
        let output = run(command);
        output.expect_error(1, &[&cluster.address, "no executor took work", " for 3 s"]);
        let took = started.elapsed();
        assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(40), "{took:?}");
    }
    assert!(rollups(&project).values().all(Vec::is_empty), "nothing is committed");
    assert_same_files(&events(&project), &before);
}
