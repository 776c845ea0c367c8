//! Starts a real Apache Kafka broker with a port and a folder of its own (`tests/kafka/`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::program::wait_until;

/// A broker in a process of its own. It ends when this is dropped. It also ends with the process of
/// the test, since its script stops at the end of its standard input.
pub(crate) struct KafkaBroker {
    dir: TempDir,
    bootstrap: String,
    running: Option<Child>,
    secure: bool,
}

/// One record of a topic, as `kcat` prints it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConsumedRecord {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) value: String,
}

impl KafkaBroker {
    /// Starts a broker and waits until it answers. Without Java, Maven or kcat it prints what to
    /// install and returns `None`; with `CI=true` it fails the test.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(false)
    }

    /// As [`KafkaBroker::start`], with the secured listeners of `tests/kafka/kafka start --secure`.
    pub(crate) fn start_secure() -> Option<Self> {
        Self::start_with(true)
    }

    fn start_with(secure: bool) -> Option<Self> {
        if let Err(missing) = missing_prerequisite() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
            print_note(&format!("skipped, without a real Kafka broker: {missing}"));
            return None;
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut broker = Self { dir, bootstrap: String::new(), running: None, secure };
        broker.run();
        Some(broker)
    }

    /// Returns `127.0.0.1:PORT`, which is the same after each start.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Returns the address of a secured listener such as `SASL_SSL`.
    pub(crate) fn listener(&self, protocol: &str) -> String {
        let text = self.secure_file("listeners");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{protocol} ")));
        line.expect("such a listener").to_owned()
    }

    /// Reads one of the files that `--secure` writes.
    pub(crate) fn secure_file(&self, name: &str) -> String {
        std::fs::read_to_string(self.secure_path(name)).expect("a file of a secured broker")
    }

    pub(crate) fn secure_path(&self, name: &str) -> PathBuf {
        self.dir.path().join("secure").join(name)
    }

    pub(crate) fn create_topic(&self, name: &str, partitions: u32) {
        let (_, port) = self.bootstrap.split_once(':').expect("an address with a port");
        let mut command = Command::new(script());
        command.args(["topic", name, &partitions.to_string(), "--port", port]);
        run_command(&mut command);
    }

    pub(crate) fn delete_topic(&self, name: &str) {
        let (_, port) = self.bootstrap.split_once(':').expect("an address with a port");
        run_command(Command::new(script()).args(["delete", name, "--port", port]));
    }

    /// Stops the broker cleanly.
    pub(crate) fn stop(&mut self) {
        let mut child = self.running.take().expect("a running broker");
        // The script stops at the end of its standard input.
        drop(child.stdin.take());
        child.wait().expect("the broker's script ends");
    }

    /// Kills the broker.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.running.take() else { return };
        // The script and the broker are one process group.
        let group = format!("-{}", child.id());
        let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
        // This must not panic, since it also runs while a failed test unwinds.
        if !killed.is_ok_and(|status| status.success()) {
            print_note(&format!("could not end the broker's process group {group}"));
        }
        drop(child.wait());
    }

    /// Starts the broker again, with the same port and data.
    pub(crate) fn restart(&mut self) {
        assert!(self.running.is_none(), "the broker runs already");
        // The port of a killed broker stays in use until the system has released it.
        let bootstrap = self.bootstrap.clone();
        wait_until(&format!("{bootstrap} to be free"), Duration::from_secs(60), || {
            TcpStream::connect(&bootstrap).is_err()
        });
        self.run();
    }

    /// Produces each line of a file with kcat. The text before the first `key_delimiter` of a line
    /// is its key. Returns once the broker has all records.
    pub(crate) fn produce_file(&self, topic: &str, key_delimiter: Option<char>, file: &Path) {
        let mut command = self.producer(topic, key_delimiter);
        run_command(command.arg("-l").arg(file));
    }

    /// Produces each line of a text, like [`KafkaBroker::produce_file`].
    pub(crate) fn produce(&self, topic: &str, key_delimiter: Option<char>, lines: &str) {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(lines.as_bytes()).expect("room for the lines");
        self.produce_file(topic, key_delimiter, file.path());
    }

    /// Produces one record of any bytes with these headers.
    pub(crate) fn produce_record(
        &self,
        (topic, partition): (&str, i32),
        headers: &[&str],
        value: &[u8],
    ) {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(value).expect("room for the record");
        let mut command = self.producer(topic, None);
        command.args(["-p", &partition.to_string()]);
        for header in headers {
            command.args(["-H", header]);
        }
        run_command(command.arg(file.path()));
    }

    /// Returns every record of a topic, ordered by partition and offset. Values must hold no
    /// newline.
    pub(crate) fn records(&self, topic: &str) -> Vec<ConsumedRecord> {
        let mut command = Command::new("kcat");
        command.args(["-C", "-b", &self.bootstrap, "-t", topic, "-o", "beginning", "-e", "-q"]);
        let output = run_command(command.args(["-f", "%p\t%o\t%s\n"]));
        let text = String::from_utf8(output.stdout).expect("values in UTF-8");
        let mut records: Vec<ConsumedRecord> = text.lines().map(record).collect();
        records.sort();
        records
    }

    /// Returns the offset after the last record of each partition that has records.
    pub(crate) fn end_offsets(&self, topic: &str) -> BTreeMap<i32, i64> {
        let mut command = Command::new("kcat");
        command.args(["-C", "-b", &self.bootstrap, "-t", topic, "-o", "beginning", "-e", "-q"]);
        let output = run_command(command.args(["-f", "%p\t%o\t\n"]));
        let text = String::from_utf8(output.stdout).expect("numbers");
        let mut ends = BTreeMap::new();
        for ConsumedRecord { partition, offset, .. } in text.lines().map(record) {
            let end = ends.entry(partition).or_insert(0);
            *end = (offset + 1).max(*end);
        }
        ends
    }

    /// Returns the broker's log, for the message of a failed test.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("broker.log")).unwrap_or_default()
    }

    fn run(&mut self) {
        let mut command = Command::new(script());
        command.args(["start", "--port", "0", "--until-eof", "--dir"]).arg(self.dir.path());
        if self.secure {
            command.arg("--secure");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("tests/kafka/kafka can be run");
        let stdout = child.stdout.take().expect("a piped output");
        self.running = Some(child);
        // The script prints one line when the broker answers, or gives up within a minute.
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("the script's output");
        assert!(!line.is_empty(), "the broker did not start:\n{}", self.log());
        line.trim_end().clone_into(&mut self.bootstrap);
    }

    fn producer(&self, topic: &str, key_delimiter: Option<char>) -> Command {
        let mut command = Command::new("kcat");
        command.args(["-P", "-b", &self.bootstrap, "-t", topic, "-X", "acks=all"]);
        if let Some(delimiter) = key_delimiter {
            command.args(["-K", &delimiter.to_string()]);
        }
        command
    }
}

impl Drop for KafkaBroker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn record(line: &str) -> ConsumedRecord {
    let mut fields = line.splitn(3, '\t');
    let mut field = || fields.next().unwrap_or_else(|| panic!("a record in `{line}`"));
    ConsumedRecord {
        partition: field().parse().expect("a partition"),
        offset: field().parse().expect("an offset"),
        value: field().to_owned(),
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/kafka")
}

/// Returns an error with what this machine lacks for a broker, and how to install it.
fn missing_prerequisite() -> Result<(), String> {
    let check = Command::new(script()).arg("check").output().map_err(|e| e.to_string())?;
    if !check.status.success() {
        return Err(String::from_utf8_lossy(&check.stderr).trim_end().to_owned());
    }
    match Command::new("kcat").arg("-V").output() {
        Ok(_) => Ok(()),
        Err(_) => {
            Err("kcat is missing; it produces and reads records: apt-get install kcat".into())
        }
    }
}

/// Runs a command to its end; panics with its standard error when it fails.
#[track_caller]
pub(crate) fn run_command(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    output
}

/// Prints a note to the terminal, also when the test passes: it bypasses the capture of test
/// output.
pub(crate) fn print_note(text: &str) {
    let mut terminal: Box<dyn Write> = match File::options().append(true).open("/dev/stderr") {
        Ok(file) => Box::new(file),
        Err(_) => Box::new(std::io::stderr()),
    };
    drop(writeln!(terminal, "{text}"));
}

#[test]
fn a_restarted_broker_keeps_its_records() {
    let Some(mut broker) = KafkaBroker::start() else { return };
    broker.create_topic("words", 3);
    let words: Vec<String> = (0..1000).map(|n| format!("word {n}")).collect();
    let lines: String = words.iter().map(|word| format!("key of {word}|{word}\n")).collect();
    broker.produce("words", Some('|'), &lines);
    let check = |broker: &KafkaBroker| {
        let records = broker.records("words");
        let mut values: Vec<_> = records.iter().map(|record| record.value.clone()).collect();
        values.sort_unstable();
        let mut expected = words.clone();
        expected.sort_unstable();
        assert_eq!(values, expected, "{}", broker.log());
        assert_eq!(records.iter().map(|record| record.partition).max(), Some(2));
    };
    check(&broker);
    let address = broker.bootstrap().to_owned();
    broker.stop();
    broker.restart();
    check(&broker);
    broker.kill();
    broker.restart();
    check(&broker);
    assert_eq!(broker.bootstrap(), address);
}
