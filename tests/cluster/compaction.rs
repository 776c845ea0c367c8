//! Days compacted on a cluster have the files that one process writes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use super::{
    Cluster, Files, LOADED, LOCAL, TIMEOUT, assert_same_files, events, loaded_project,
    set_in_cluster_section, units_of_jobs, written,
};
use crate::support::files::relative_files;
use crate::support::program::{Project, RunningProgram, run, wait_until};

/// Days of this world have more than four times as many, and are divided when they are compacted.
const SMALL_UNITS: &str = "unit_rows = 40\n";

/// The raw tables that one process makes of the world when it compacts them.
static LOCAL_COMPACTED: LazyLock<Files> = LazyLock::new(|| {
    let project = project_to_compact();
    project.run_ok(&["lake", "compact", "--units", "1"]);
    events(&project)
});

/// Returns a copy of the loaded lake, of which days are compacted in small units.
fn project_to_compact() -> Project {
    let project = loaded_project();
    set_in_cluster_section(&project, SMALL_UNITS);
    project
}

#[test]
fn a_lake_compacted_on_a_cluster_is_that_of_one_process() {
    let project = project_to_compact();
    let mut cluster = Cluster::start();
    let one = cluster.add_executor(&project, None);
    let two = cluster.add_executor(&project, None);
    let running =
        RunningProgram::start_logging(cluster.compact(&project), &cluster.logs.path("coordinator"));
    let output = running.finish().expect_success();
    assert!(output.stdout_text().contains(" days: "), "{output}");
    assert_eq!(written(&one) + written(&two), units_of_jobs(&output), "each unit runs once");
    assert!(written(&one) > 0 && written(&two) > 0, "both executors take part");
    let found = events(&project);
    assert!(found.values().any(|files| files.len() > 1), "some day is divided");
    assert_same_files(&found, &LOCAL_COMPACTED);
    assert!(project.run_all_metrics(&LOADED.1) == LOCAL.0, "the metrics differ");
    project.run_ok(&["lake", "verify"]);
    let again = project.run_ok(&["lake", "compact", "--cluster", &cluster.address]);
    assert!(again.starts_with("0 days"), "{again}");
}

/// Returns the data files of a raw table on the disk that no entry of its log names.
fn orphans(project: &Project, table: &str) -> BTreeSet<PathBuf> {
    let folder = project.path("lake/raw").join(table);
    let (mut files, mut named) = (BTreeSet::new(), String::new());
    for path in relative_files(&folder) {
        if path.extension().is_some_and(|extension| extension == "json") {
            named += &std::fs::read_to_string(folder.join(&path)).expect("an entry of a log");
        } else if path.extension().is_some_and(|extension| extension == "parquet")
            && !path.starts_with("_delta_log")
        {
            files.insert(path);
        }
    }
    files.retain(|path| {
        let name = path.file_name().expect("a name").to_string_lossy();
        !named.contains(name.as_ref())
    });
    files.into_iter().map(|path| folder.join(path)).collect()
}

#[test]
fn another_executor_takes_over_a_compaction() {
    let project = project_to_compact();
    let mut cluster = Cluster::start();
    let file = project.path("failpoint");
    let point = format!("file put:raw/api_calls@3={}", file.display());
    let stopped = cluster.add_executor(&project, Some(&point));
    let other = cluster.add_executor(&project, None);
    let log = cluster.logs.path("coordinator");
    let running = RunningProgram::start_logging(cluster.compact(&project), &log);
    wait_until("a unit that has written a file", TIMEOUT, || file.exists());
    stopped.kill();
    running.finish().expect_success();
    assert!(written(&other) > 0);
    assert_same_files(&events(&project), &LOCAL_COMPACTED);
    let left = orphans(&project, "api_calls");
    assert!(!left.is_empty(), "the killed executor leaves the file that it had written");
    let old = SystemTime::now() - Duration::from_secs(3 * 3_600);
    for path in &left {
        let file = std::fs::File::options().write(true).open(path).expect("a file");
        file.set_modified(old).expect("an older file");
    }
    project.run_ok(&["lake", "vacuum", "--retention-hours", "1"]);
    assert!(orphans(&project, "api_calls").is_empty());
    assert_same_files(&events(&project), &LOCAL_COMPACTED);
}

#[test]
fn a_compaction_that_is_killed_before_its_commit_is_run_again() {
    let project = project_to_compact();
    let before = events(&project);
    let mut cluster = Cluster::start();
    let _executor = cluster.add_executor(&project, None);
    let file = project.path("failpoint");
    let mut command = cluster.compact(&project);
    command.env("RAPPORT_FAULT", format!("entry:raw/api_calls={}", file.display()));
    let running = RunningProgram::start_logging(command, &cluster.logs.path("coordinator"));
    wait_until("a commit", TIMEOUT, || file.exists());
    running.kill();
    std::fs::remove_file(&file).expect("the file of the failpoint");
    assert_same_files(&events(&project), &before);
    run(cluster.compact(&project)).expect_success();
    assert_same_files(&events(&project), &LOCAL_COMPACTED);
}
