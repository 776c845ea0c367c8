//! Faults that need a lake of their own: a full disk, deleted records, a topic that is recreated.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::fault_injection::background_producer::TopicProducer;
use crate::fault_injection::fault_kinds::{FaultKind, FaultTally, InjectFault};
use crate::fault_injection::kafka_admin::config;
use crate::fault_injection::lake_under_test::{API_CALLS_TABLE, LakeUnderTest, TIMEOUT};
use crate::fault_injection::positions::log_folder;
use crate::support::kafka_broker::{print_note, run_command};
use crate::support::program::{ProgramOutput, Project, RunningProgram, count_entries, wait_until};

pub(crate) fn kinds() -> Vec<FaultKind> {
    let fault = |name: &str, copies, inject: InjectFault| FaultKind {
        name: name.to_owned(),
        copies,
        inject,
    };
    let mut kinds = vec![
        fault("records deleted before a worker starts", 1, Box::new(records_deleted_before_start)),
        fault(
            "records deleted while a worker is stopped",
            1,
            Box::new(records_deleted_while_stopped),
        ),
        fault("a topic is deleted and recreated", 1, Box::new(topic_recreated)),
    ];
    if can_mount() {
        kinds.push(fault("a full disk", 2, Box::new(full_disk)));
    } else {
        print_note("the fault of a full disk is skipped: only root may mount a file system");
    }
    kinds
}

/// Holds a topic of one partition and a project that reads it.
struct OwnLake {
    project: Project,
    topic: String,
    topic_producer: TopicProducer,
    sent: usize,
}

impl OwnLake {
    fn new(test: &mut LakeUnderTest<'_>, name: &str) -> Self {
        let topic =
            test.unique_path(name).file_name().expect("a name").to_string_lossy().into_owned();
        let topic = format!("{}{topic}", test.prefix);
        test.admin.create(&topic, 1);
        let project = Project::new();
        let others = "partner_events = \"\"\nbilling_events = \"\"\nsupport_events = \"\"";
        let topics = format!("{API_CALLS_TABLE} = \"{topic}\"\n{others}");
        project.write("rapport.toml", config(test.broker.bootstrap(), &topic, &topics));
        Self {
            project,
            topic,
            topic_producer: TopicProducer::new(test.broker.bootstrap()),
            sent: 0,
        }
    }

    /// Produces that many more valid calls.
    fn send(&mut self, calls: usize) {
        for number in self.sent..self.sent + calls {
            let event = format!(
                r#"{{"event_id":"e{number}","partner_id":"p{}","occurred_at":"2026-01-0{}T00:00:00Z","status":200}}"#,
                number % 7,
                1 + number % 3,
            );
            self.topic_producer.send(&self.topic, "p", Some(event.as_bytes()), "event");
        }
        self.topic_producer.finish();
        self.sent += calls;
    }

    fn run(&self, flags: &[&str]) -> ProgramOutput {
        let run = ["ingest", "run", "--until-caught-up", "--flush-rows", "100", "--quiet"];
        self.project.run(&[&run[..], flags].concat())
    }

    /// Starts a worker that runs until it gets a signal.
    fn start(&self) -> RunningProgram {
        let command = self.project.command(&["ingest", "run", "--flush-rows", "100", "--quiet"]);
        RunningProgram::start(command)
    }

    fn await_commits(&self, commits: usize) {
        let log = log_folder(&self.project.path("lake"), API_CALLS_TABLE);
        wait_until("commits", TIMEOUT, || count_entries(&log) > commits);
    }

    /// Verifies the lake, and looks up the offsets from 0 to `end` except those that were deleted.
    fn account_for_offsets(&self, end: usize, deleted: std::ops::Range<usize>) -> FaultTally {
        self.project.run_ok(&["lake", "verify"]);
        let mut found: BTreeMap<usize, u64> = BTreeMap::new();
        for row in
            self.project.query_rows(&format!("SELECT kafka_offset FROM raw.{API_CALLS_TABLE}"))
        {
            *found.entry(row.parse().expect("an offset")).or_default() += 1;
        }
        let expected: Vec<usize> = (0..end).filter(|offset| !deleted.contains(offset)).collect();
        assert!(
            found.keys().all(|offset| expected.contains(offset)),
            "offsets that were never sent"
        );
        let lost = expected.iter().filter(|offset| !found.contains_key(offset)).count();
        let duplicated = found.values().filter(|n| **n > 1).count();
        let numbers = [expected.len(), lost, duplicated].map(|n| n as u64);
        FaultTally { times: 0, records: numbers[0], lost: numbers[1], duplicated: numbers[2] }
    }
}

/// Kafka's retention deletes records while no worker runs.
fn records_deleted_before_start(test: &mut LakeUnderTest<'_>) -> FaultTally {
    let mut own = OwnLake::new(test, "retention");
    own.send(250);
    own.run(&[]).expect_success();
    own.send(400);
    let first = 251 + test.random.below(399) as usize;
    test.admin.truncate(&own.topic, 0, first as i64);
    assert_names_deleted_range(&own, &own.run(&[]), 250..first);
    own.run(&["--accept-gap"]).expect_success();
    own.account_for_offsets(own.sent, 250..first)
}

/// Kafka's retention deletes the records that a stopped worker was to read next.
fn records_deleted_while_stopped(test: &mut LakeUnderTest<'_>) -> FaultTally {
    let mut own = OwnLake::new(test, "retention");
    own.send(300);
    let worker = own.start();
    own.await_commits(3);
    worker.signal("STOP");
    // The answer to the pending fetch holds some of the first 100 records, and none of the others.
    own.send(100);
    own.send(400);
    let first = 600 + test.random.below(200) as usize;
    test.admin.truncate(&own.topic, 0, first as i64);
    worker.signal("CONT");
    let result = worker.finish();
    // The worker may have committed what it had fetched before it was stopped.
    let rows =
        own.project.query_number(&format!("SELECT count(*) FROM raw.{API_CALLS_TABLE}")) as usize;
    assert_names_deleted_range(&own, &result, rows..first);
    own.run(&["--accept-gap"]).expect_success();
    own.account_for_offsets(own.sent, rows..first)
}

/// Checks that the message names the deleted range and the flag that accepts the loss.
fn assert_names_deleted_range(
    own: &OwnLake,
    result: &ProgramOutput,
    deleted: std::ops::Range<usize>,
) {
    let range = format!("records {} to {} are gone", deleted.start, deleted.end - 1);
    result.expect_error(1, &[&format!("{}/0", own.topic), &range, "--accept-gap"]);
}

/// Nothing of a recreated topic is read, since its offsets begin again at 0.
fn topic_recreated(test: &mut LakeUnderTest<'_>) -> FaultTally {
    let mut own = OwnLake::new(test, "recreated");
    own.send(300);
    own.run(&[]).expect_success();
    test.admin.delete(&own.topic);
    test.admin.create(&own.topic, 1);
    let before = own.sent;
    own.topic_producer = TopicProducer::new(test.broker.bootstrap());
    own.send(500);
    for _ in 0..2 {
        own.run(&[]).expect_error(1, &["was deleted and made anew", "another name"]);
    }
    own.account_for_offsets(before, 0..0)
}

/// The lake's disk is full at a write of a commit, and has room again later.
fn full_disk(test: &mut LakeUnderTest<'_>) -> FaultTally {
    let mut own = OwnLake::new(test, "disk");
    let disk = SmallDisk::mount(own.project.path("lake"));
    own.send(300);
    own.run(&[]).expect_success();
    for _ in 0..3 {
        own.send(600);
        disk.fill(test.random.below(60 << 10));
        own.run(&[]).expect_error(1, &["No space left on device"]);
        disk.free();
        if test.random.below(2) == 0 {
            own.run(&[]).expect_success();
        }
    }
    own.run(&[]).expect_success();
    own.account_for_offsets(own.sent, 0..0)
}

/// A small file system in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder to mount on");
        run_command(
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&folder),
        );
        Self(folder)
    }

    /// Fills the disk but for that many bytes.
    fn fill(&self, left: u64) {
        let output = run_command(Command::new("df").args(["-B1", "--output=avail"]).arg(&self.0));
        let text = String::from_utf8(output.stdout).expect("numbers");
        let free: u64 = text.lines().nth(1).and_then(|n| n.trim().parse().ok()).expect("a number");
        let ballast = vec![0; free.saturating_sub(left) as usize];
        std::fs::write(self.0.join("ballast"), ballast).expect("room for the ballast");
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("the ballast");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

/// Whether this process may mount file systems.
fn can_mount() -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mount = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(folder.path()).output();
    let mounted = mount.is_ok_and(|output| output.status.success());
    if mounted {
        drop(SmallDisk(folder.path().to_owned()));
    }
    mounted
}
