//! Starts a real Schema Registry with a port and a folder of its own (`tests/registry/`).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::kafka_broker::print_note;
use crate::support::program::wait_until;

/// A registry in a process of its own, which ends like a
/// [`crate::support::kafka_broker::KafkaBroker`].
pub(crate) struct SchemaRegistry {
    dir: TempDir,
    url: String,
    running: Option<Child>,
}

impl SchemaRegistry {
    /// Starts a registry and waits until it answers. Without Java 21, or where the registry has not
    /// been fetched, it prints what to do and returns `None`.
    pub(crate) fn start() -> Option<Self> {
        let check = Command::new(script()).arg("check").output().expect("the script can be run");
        if !check.status.success() {
            let missing = String::from_utf8_lossy(&check.stderr);
            print_note(&format!("skipped, without a real Schema Registry: {}", missing.trim_end()));
            return None;
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut registry = Self { dir, url: String::new(), running: None };
        registry.run("0");
        Some(registry)
    }

    /// Returns the base URL of its API, which is the same after each start.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Stops the registry, and keeps its schemas.
    pub(crate) fn stop(&mut self) {
        let mut child = self.running.take().expect("a running registry");
        // The script stops at the end of its standard input.
        drop(child.stdin.take());
        child.wait().expect("the registry's script ends");
    }

    pub(crate) fn restart(&mut self) {
        let address = self.address().to_owned();
        wait_until(&format!("{address} to be free"), Duration::from_secs(60), || {
            TcpStream::connect(&address).is_err()
        });
        let (_, port) = address.split_once(':').expect("an address with a port");
        self.run(port);
    }

    /// Registers a schema under a subject, and returns its id.
    pub(crate) fn register(&self, subject: &str, schema: &str) -> u32 {
        let body = serde_json::json!({ "schema": schema }).to_string();
        let (length, address) = (body.len(), self.address());
        let path = &self.url[self.url.find(address).expect("an address") + address.len()..];
        let mut stream = TcpStream::connect(address).expect("a running registry");
        write!(
            stream,
            "POST {path}/subjects/{subject}/versions HTTP/1.1\r\nhost: {address}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        )
        .expect("the request is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let id = answer.split_once("\"id\":").map(|(_, rest)| rest);
        let id = id.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
        id.and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no id: {answer}"))
    }

    /// Returns host and port.
    fn address(&self) -> &str {
        let rest = self.url.strip_prefix("http://").expect("a url");
        rest.split('/').next().expect("an address")
    }

    fn run(&mut self, port: &str) {
        let mut command = Command::new(script());
        command.args(["start", "--port", port, "--until-eof", "--dir"]).arg(self.dir.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("tests/registry/registry can be run");
        let stdout = child.stdout.take().expect("a piped output");
        self.running = Some(child);
        // The script prints one line when the registry answers, or gives up.
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("the script's output");
        let log = || std::fs::read_to_string(self.dir.path().join("registry.log"));
        assert!(!line.is_empty(), "the registry did not start:\n{}", log().unwrap_or_default());
        line.trim_end().clone_into(&mut self.url);
    }
}

impl Drop for SchemaRegistry {
    fn drop(&mut self) {
        let Some(mut child) = self.running.take() else { return };
        // The script and the registry are one process group.
        let group = format!("-{}", child.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(child.wait());
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registry/registry")
}
