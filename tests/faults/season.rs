//! One lake and its topics under fault after fault: what a season holds, and how workers run in it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use lake_types::Stream;

use crate::bucket::{Bucket, Proxy, lake_section};
use crate::faults::broker::{Admin, config};
use crate::faults::feed::Feed;
use crate::faults::luck::Luck;
use crate::faults::positions::{Offsets, Positions, version};
use crate::kafka::Broker;
use crate::program::{Project, Running, wait_until};

/// How long anything that is waited for may take: a machine that compiles meanwhile is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);
pub(crate) const CALLS: &str = "api_calls";
const PARTITIONS: [(Stream, i32); 4] = [
    (Stream::ApiCalls, 3),
    (Stream::PartnerEvents, 1),
    (Stream::BillingEvents, 2),
    (Stream::SupportEvents, 1),
];

/// A lake, its topics and who fills them, from the first fault to the count.
pub(crate) struct Season<'b> {
    pub(crate) broker: &'b mut Broker,
    pub(crate) admin: &'b Admin,
    pub(crate) luck: &'b mut Luck,
    pub(crate) project: Project,
    /// The lake's files, also where the lake is in a bucket.
    pub(crate) lake: PathBuf,
    pub(crate) bucket: Option<&'b mut Bucket>,
    /// Where the lake is, as a configuration says it.
    section: String,
    name: String,
    /// What the names of its topics begin with.
    pub(crate) prefix: String,
    pub(crate) positions: Positions,
    /// Until the season ends.
    pub(crate) feed: Option<Feed>,
    /// Partners that were erased, with the positions when that had ended.
    pub(crate) erased: Vec<(String, Offsets)>,
    /// Compaction may have dropped copies of events.
    pub(crate) compacted: bool,
    round: u32,
    /// Files handed out so far, so that each has a name of its own.
    files: u32,
}

/// What all seasons stand on.
pub(crate) struct Ground<'b> {
    pub(crate) broker: &'b mut Broker,
    pub(crate) admin: &'b Admin,
    /// Where the lakes are, if not in folders.
    pub(crate) bucket: Option<&'b mut Bucket>,
}

/// A process that stands still at a point until it is let go.
pub(crate) struct Held {
    pub(crate) running: Running,
    file: PathBuf,
}

impl Held {
    pub(crate) fn kill(self) {
        self.running.kill();
        drop(std::fs::remove_file(self.file));
    }

    pub(crate) fn let_go(self) -> Running {
        std::fs::remove_file(self.file).expect("the file it waits by");
        self.running
    }
}

impl<'b> Season<'b> {
    pub(crate) fn begin(ground: &'b mut Ground<'_>, luck: &'b mut Luck, number: usize) -> Self {
        let Ground { broker, admin, bucket } = ground;
        let name = format!("season-{number}");
        let prefix = format!("{name}-");
        for (stream, partitions) in PARTITIONS {
            admin.create(&format!("{prefix}{stream}"), partitions);
        }
        let project = Project::new();
        let lake = bucket.as_ref().map_or_else(|| project.path("lake"), |b| b.folder(&name));
        let positions = Positions::new(&lake, project.path("lake.key"));
        let feed = Feed::start(broker.bootstrap(), &prefix, luck.below(1 << 40));
        let mut season = Self {
            broker,
            admin,
            luck,
            project,
            lake,
            bucket: bucket.as_deref_mut(),
            section: String::new(),
            name,
            prefix,
            positions,
            feed: Some(feed),
            erased: Vec::new(),
            compacted: false,
            round: 0,
            files: 0,
        };
        season.forget_answers(20);
        season
    }

    /// From now on the store is asked through a proxy that loses the answer to every so many log
    /// entries, which are put all the same. A folder gives no answers that could be lost.
    pub(crate) fn forget_answers(&mut self, every: usize) {
        let Some(bucket) = &self.bucket else { return };
        let proxy = Proxy::before(bucket.endpoint(), every);
        self.section = lake_section(&self.project, proxy.endpoint(), &self.name);
        self.project.write("rapport.toml", &self.section);
    }

    /// A new fault: its workers are groups of their own, which need not wait until the broker has
    /// given up those that were killed before. Where they begin is for the lake to say.
    pub(crate) fn next_round(&mut self) {
        self.round += 1;
    }

    /// A file of the project that nothing else is called.
    pub(crate) fn file(&mut self, name: &str) -> PathBuf {
        self.files += 1;
        self.project.path(&format!("{name}-{}", self.files))
    }

    /// A worker of one of the round's groups that commits after every 50 rows.
    pub(crate) fn worker(&self, group: &str) -> Command {
        self.worker_with(group, &["--flush-rows", "50"])
    }

    pub(crate) fn worker_with(&self, group: &str, flags: &[&str]) -> Command {
        let topics: String = Stream::ALL
            .iter()
            .map(|stream| format!("{} = \"{}{stream}\"\n", stream.table(), self.prefix))
            .collect();
        let name = format!("{group}.toml");
        let group = format!("{}{}-{group}", self.prefix, self.round);
        let kafka = config(self.broker.bootstrap(), &group, &topics);
        self.project.write(&name, format!("{}{kafka}", self.section));
        let run = ["--config", &name, "ingest", "run", "--flush-seconds", "1", "--quiet"];
        self.project.command(&[&run[..], flags].concat())
    }

    /// The program in the project, with the season's topics and no group.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.project.command(arguments)
    }

    /// Starts a process; what it says on stderr goes to a file.
    pub(crate) fn start(&mut self, command: Command) -> Running {
        let log = self.file("said");
        Running::start_logging(command, &log)
    }

    /// Starts a process and waits until it stands still at the point, `name[:of]@pass`.
    pub(crate) fn hold(&mut self, command: Command, point: &str) -> Held {
        match self.try_hold(command, point) {
            Ok(held) => held,
            Err(running) => panic!("it ended before it came to {point}: {}", running.finish()),
        }
    }

    /// As `hold`; a process that ended without coming there is given back.
    pub(crate) fn try_hold(&mut self, mut command: Command, point: &str) -> Result<Held, Running> {
        let file = self.file("held");
        command.env("RAPPORT_FAULT", format!("{point}={}", file.display()));
        let mut running = self.start(command);
        let mut ended = false;
        wait_until(point, PATIENCE, || {
            ended = running.has_ended();
            ended || file.exists()
        });
        if ended { Err(running) } else { Ok(Held { running, file }) }
    }

    /// The newest version of the API calls' table.
    pub(crate) fn version(&self) -> u64 {
        version(&self.lake, CALLS)
    }

    /// Waits until so many commits of API calls have come, by whomever; the process must not end
    /// meanwhile.
    pub(crate) fn await_commits(&self, running: &mut Running, commits: u64) {
        let due = self.version() + commits;
        wait_until(&format!("version {due}"), PATIENCE, || {
            assert!(!running.has_ended(), "it ended by itself: {}", running.said());
            self.version() >= due
        });
    }

    /// Starts a worker that has committed something.
    pub(crate) fn working(&mut self, group: &str) -> Running {
        let mut running = self.start(self.worker(group));
        self.await_commits(&mut running, 1);
        running
    }

    /// Tells a worker to end, which it does well.
    pub(crate) fn end(&self, running: Running) {
        running.terminate();
        running.finish().succeeded();
    }

    /// One worker reads all there is, undisturbed.
    pub(crate) fn catch_up(&mut self) {
        self.next_round();
        let worker = self.worker_with("last", &["--until-caught-up"]);
        self.start(worker).finish().succeeded();
    }
}
