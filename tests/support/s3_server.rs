//! Starts a real server that speaks S3 for one test (`tests/s3/`).

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::kafka_broker::print_note;
use crate::support::program::{Project, wait_until};

/// A server in a process of its own, with the bucket `lake`. It ends like a
/// [`crate::support::kafka_broker::KafkaBroker`].
pub(crate) struct S3Server {
    dir: TempDir,
    endpoint: String,
    running: Option<Child>,
}

impl S3Server {
    /// Starts a server and waits until it answers. Without Go it prints what to install and returns
    /// `None`; with `CI=true` it fails the test.
    pub(crate) fn start() -> Option<Self> {
        let check = Command::new(script()).arg("check").output().expect("the script can be run");
        if !check.status.success() {
            let missing = String::from_utf8_lossy(&check.stderr).trim_end().to_owned();
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
            print_note(&format!("skipped, without a server that speaks S3: {missing}"));
            return None;
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut bucket = Self { dir, endpoint: String::new(), running: None };
        bucket.run("0");
        Some(bucket)
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.running.take() else { return };
        // The script and the server are one process group.
        let group = format!("-{}", child.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(child.wait());
    }

    /// Starts the server again, with the same port and files.
    pub(crate) fn restart(&mut self) {
        let address = self.endpoint.trim_start_matches("http://").to_owned();
        // The port of a killed server stays in use until the system has released it.
        wait_until(&format!("{address} to be free"), Duration::from_secs(60), || {
            TcpStream::connect(&address).is_err()
        });
        let (_, port) = address.rsplit_once(':').expect("an address with a port");
        self.run(port);
    }

    fn run(&mut self, port: &str) {
        let mut command = Command::new(script());
        command.args(["start", "--port", port, "--until-eof", "--dir"]).arg(self.dir.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("tests/s3/s3 can be run");
        let stdout = child.stdout.take().expect("a piped output");
        self.running = Some(child);
        // The script prints one line when the server answers, or gives up.
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("the script's output");
        let log = || std::fs::read_to_string(self.dir.path().join("server.log"));
        assert!(!line.is_empty(), "no server:\n{}", log().unwrap_or_default());
        line.trim_end().clone_into(&mut self.endpoint);
    }

    /// Returns `http://127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Keeps the buckets when the test ends.
    pub(crate) fn keep_files(&mut self) {
        self.dir.disable_cleanup(true);
    }

    /// Returns the folder in which the server keeps the files of a lake in the bucket.
    pub(crate) fn folder(&self, lake: &str) -> PathBuf {
        self.dir.path().join("buckets/lake").join(lake)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/s3/s3")
}

/// Returns the `[lake]` section of a lake in the bucket, and writes the file with the secret.
pub(crate) fn lake_config(project: &Project, endpoint: &str, lake: &str) -> String {
    project.write("s3.secret", "rapport-secret\n");
    format!(
        "[lake]\nroot = \"s3://lake/{lake}\"\n[lake.store]\nendpoint = \"{endpoint}\"\n\
         allow_http = true\naccess_key_id = \"rapport\"\n\
         secret_access_key = {{ file = \"s3.secret\" }}\n"
    )
}
