//! One lake with its topics, and the workers that run in it while faults are injected.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use domain::Stream;

use crate::fault_injection::background_producer::{BackgroundProducer, GATEWAY_MAPPING};
use crate::fault_injection::kafka_admin::{KafkaAdmin, config};
use crate::fault_injection::positions::{LakePositions, Offsets, newest_version};
use crate::support::kafka_broker::{KafkaBroker, print_note};
use crate::support::lossy_proxy::LossyProxy;
use crate::support::program::{Project, RunningProgram, wait_until};
use crate::support::s3_server::{S3Server, lake_config};
use crate::support::seeded_random::SeededRandom;

/// How long a wait may take; a machine that compiles at the same time is slow.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(240);
pub(crate) const API_CALLS_TABLE: &str = "api_calls";
/// The file of the mapping of the calls, in rounds that have one.
pub(crate) const MAPPING_FILE: &str = "gateway.jq";
const PARTITIONS: [(Stream, i32); 4] = [
    (Stream::ApiCalls, 3),
    (Stream::PartnerEvents, 1),
    (Stream::BillingEvents, 2),
    (Stream::SupportEvents, 1),
];

/// Holds a lake, its topics and their producer, from the first fault to the final accounting.
pub(crate) struct LakeUnderTest<'b> {
    pub(crate) broker: &'b mut KafkaBroker,
    pub(crate) admin: &'b KafkaAdmin,
    pub(crate) random: &'b mut SeededRandom,
    pub(crate) project: Project,
    /// The folder with the lake's files, also of a lake in a bucket.
    pub(crate) lake: PathBuf,
    pub(crate) bucket: Option<&'b mut S3Server>,
    /// The `[lake]` section of the configuration.
    lake_section: String,
    name: String,
    /// The prefix of the names of its topics.
    pub(crate) prefix: String,
    pub(crate) positions: LakePositions,
    /// Whether the calls come through a mapping.
    pub(crate) with_mapping: bool,
    /// Produces until the round ends.
    pub(crate) producer: Option<BackgroundProducer>,
    /// The partners that were erased, with the positions at the end of the erasure.
    pub(crate) erased: Vec<(String, Offsets)>,
    /// Whether compaction may have dropped duplicates.
    pub(crate) compacted: bool,
    fault_number: u32,
    /// How many unique paths were handed out.
    unique_paths: u32,
}

/// The servers that all rounds use.
pub(crate) struct Servers<'b> {
    pub(crate) broker: &'b mut KafkaBroker,
    pub(crate) admin: &'b KafkaAdmin,
    /// The server of the lakes, where they do not lie in folders.
    pub(crate) bucket: Option<&'b mut S3Server>,
}

/// A process that waits at a failpoint until it is resumed.
pub(crate) struct StoppedProcess {
    pub(crate) running: RunningProgram,
    file: PathBuf,
}

impl StoppedProcess {
    pub(crate) fn kill(self) {
        self.running.kill();
        drop(std::fs::remove_file(self.file));
    }

    pub(crate) fn resume(self) -> RunningProgram {
        std::fs::remove_file(self.file).expect("the file it waits by");
        self.running
    }
}

/// Keeps the files of a round that fails, so that its logs can be read.
impl Drop for LakeUnderTest<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.project.keep_files();
            if let Some(bucket) = &mut self.bucket {
                bucket.keep_files();
            }
            let (project, lake) = (self.project.path(""), self.lake.display());
            print_note(&format!("kept: {} and {lake}", project.display()));
        }
    }
}

impl<'b> LakeUnderTest<'b> {
    pub(crate) fn create(
        servers: &'b mut Servers<'_>,
        random: &'b mut SeededRandom,
        number: usize,
    ) -> Self {
        let Servers { broker, admin, bucket } = servers;
        let name = format!("round-{number}");
        let prefix = format!("{name}-");
        for (stream, partitions) in PARTITIONS {
            admin.create(&format!("{prefix}{stream}"), partitions);
        }
        let project = Project::new();
        let lake = bucket.as_ref().map_or_else(|| project.path("lake"), |b| b.folder(&name));
        let positions = LakePositions::new(&lake, project.path("lake.key"));
        // Every other round has a mapping, the first one too.
        let with_mapping = number % 2 == 1;
        project.write(MAPPING_FILE, GATEWAY_MAPPING);
        let seed = random.below(1 << 40);
        let producer = BackgroundProducer::start(broker.bootstrap(), &prefix, seed, with_mapping);
        let mut test = Self {
            broker,
            admin,
            random,
            project,
            lake,
            bucket: bucket.as_deref_mut(),
            lake_section: String::new(),
            name,
            prefix,
            positions,
            with_mapping,
            producer: Some(producer),
            erased: Vec::new(),
            compacted: false,
            fault_number: 0,
            unique_paths: 0,
        };
        test.lose_store_answers(20);
        test
    }

    /// Puts a proxy before the store that loses the answer to every `every`th put of a log entry,
    /// although the put is done. Does nothing for a lake in a folder.
    pub(crate) fn lose_store_answers(&mut self, every: usize) {
        let Some(bucket) = &self.bucket else { return };
        let proxy = LossyProxy::before(bucket.endpoint(), every);
        self.lake_section = lake_config(&self.project, proxy.endpoint(), &self.name);
        self.project.write("rapport.toml", &self.lake_section);
    }

    /// Gives the workers of the next fault consumer groups of their own, so that they need not wait
    /// until the broker gives up workers that were killed. The lake holds the positions to start
    /// at.
    pub(crate) fn next_fault(&mut self) {
        self.fault_number += 1;
    }

    /// Returns a path in the project that nothing else uses.
    pub(crate) fn unique_path(&mut self, name: &str) -> PathBuf {
        self.unique_paths += 1;
        self.project.path(&format!("{name}-{}", self.unique_paths))
    }

    /// Returns the command of a worker that commits after every 50 rows, in one of the fault's
    /// groups.
    pub(crate) fn worker_command(&self, group: &str) -> Command {
        self.worker_command_with(group, &["--flush-rows", "50"])
    }

    pub(crate) fn worker_command_with(&self, group: &str, flags: &[&str]) -> Command {
        let topics: String = Stream::ALL
            .iter()
            .map(|stream| format!("{} = \"{}{stream}\"\n", stream.table(), self.prefix))
            .collect();
        let name = format!("{group}.toml");
        let group = format!("{}{}-{group}", self.prefix, self.fault_number);
        let kafka = config(self.broker.bootstrap(), &group, &topics);
        let mapping = if self.with_mapping {
            format!("[ingest.mapping]\napi_calls = \"{MAPPING_FILE}\"\n")
        } else {
            String::new()
        };
        self.project.write(&name, format!("{}{kafka}{mapping}", self.lake_section));
        let run = ["--config", &name, "ingest", "run", "--flush-seconds", "1", "--quiet"];
        self.project.command(&[&run[..], flags].concat())
    }

    /// Returns a command of the program in the project.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.project.command(arguments)
    }

    /// Starts a process whose standard error goes to a file.
    pub(crate) fn start(&mut self, command: Command) -> RunningProgram {
        let log = self.unique_path("stderr");
        RunningProgram::start_logging(command, &log)
    }

    /// Starts a process and waits until it stops at the failpoint, `name[:table]@pass`.
    pub(crate) fn run_until_stopped(&mut self, command: Command, point: &str) -> StoppedProcess {
        match self.try_run_until_stopped(command, point) {
            Ok(stopped) => stopped,
            Err(running) => panic!("it ended before it came to {point}: {}", running.finish()),
        }
    }

    /// As [`Self::run_until_stopped`], but returns a process that ends before the failpoint.
    pub(crate) fn try_run_until_stopped(
        &mut self,
        mut command: Command,
        point: &str,
    ) -> Result<StoppedProcess, Box<RunningProgram>> {
        let file = self.unique_path("failpoint");
        command.env("RAPPORT_FAULT", format!("{point}={}", file.display()));
        let mut running = self.start(command);
        let mut ended = false;
        wait_until(point, TIMEOUT, || {
            ended = running.has_ended();
            ended || file.exists()
        });
        if ended { Err(Box::new(running)) } else { Ok(StoppedProcess { running, file }) }
    }

    /// Returns the newest version of the table of API calls.
    pub(crate) fn newest_version(&self) -> u64 {
        newest_version(&self.lake, API_CALLS_TABLE)
    }

    /// Waits for that many commits of API calls by any process; the given process must not end in
    /// the meantime.
    pub(crate) fn await_commits(&self, running: &mut RunningProgram, commits: u64) {
        let awaited = self.newest_version() + commits;
        wait_until(&format!("version {awaited}"), TIMEOUT, || {
            assert!(!running.has_ended(), "it ended by itself: {}", running.messages_so_far());
            self.newest_version() >= awaited
        });
    }

    /// Starts a worker and waits for its first commit.
    pub(crate) fn start_committing_worker(&mut self, group: &str) -> RunningProgram {
        let mut running = self.start(self.worker_command(group));
        self.await_commits(&mut running, 1);
        running
    }

    /// Sends SIGTERM to a worker, which must end with exit code 0.
    pub(crate) fn terminate_worker(&self, running: RunningProgram) {
        running.terminate();
        running.finish().expect_success();
    }

    /// Lets one worker read everything, undisturbed.
    pub(crate) fn catch_up(&mut self) {
        self.next_fault();
        let worker = self.worker_command_with("last", &["--until-caught-up"]);
        self.start(worker).finish().expect_success();
    }
}
