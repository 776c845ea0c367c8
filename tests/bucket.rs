//! A real server that speaks S3 for one test (`tests/s3/`), and a proxy before it that swallows
//! answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::kafka::note;
use crate::program::{Project, wait_until};

/// A server in a process of its own with the bucket `lake`; it ends like a
/// [`crate::kafka::Broker`].
pub(crate) struct Bucket {
    dir: TempDir,
    endpoint: String,
    running: Option<Child>,
}

impl Bucket {
    /// Starts a server and waits until it answers. `None`, with a note of what to install, on a
    /// machine without Go; under `CI=true` that fails the test.
    pub(crate) fn start() -> Option<Self> {
        let check = Command::new(script()).arg("check").output().expect("the script can be run");
        if !check.status.success() {
            let missing = String::from_utf8_lossy(&check.stderr).trim_end().to_owned();
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
            note(&format!("skipped, without a server that speaks S3: {missing}"));
            return None;
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut bucket = Self { dir, endpoint: String::new(), running: None };
        bucket.run("0");
        Some(bucket)
    }

    /// Ends the server as a power cut would.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.running.take() else { return };
        // Script and server are a process group.
        let group = format!("-{}", child.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(child.wait());
    }

    /// Starts the server again, on the same port and files.
    pub(crate) fn start_again(&mut self) {
        let address = self.endpoint.trim_start_matches("http://").to_owned();
        // A server that was killed holds its port until the system has cleared it away.
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

    /// `http://127.0.0.1:PORT`
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The files of a lake in the bucket, as the server keeps them.
    pub(crate) fn folder(&self, lake: &str) -> PathBuf {
        self.dir.path().join("buckets/lake").join(lake)
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.kill();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/s3/s3")
}

/// The `[lake]` section of a lake in the bucket; the project gets the file with the secret.
pub(crate) fn lake_section(project: &Project, endpoint: &str, lake: &str) -> String {
    project.write("s3.secret", "rapport-secret\n");
    format!(
        "[lake]\nroot = \"s3://lake/{lake}\"\n[lake.store]\nendpoint = \"{endpoint}\"\n\
         allow_http = true\naccess_key_id = \"rapport\"\n\
         secret_access_key = {{ file = \"s3.secret\" }}\n"
    )
}

/// Passes everything on to a server, but of every so many puts of a log entry, which the server
/// does, the answer is lost: the connection ends, or an error of the server takes its place.
pub(crate) struct Proxy {
    endpoint: String,
    lost: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) fn before(endpoint: &str, every: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = endpoint.trim_start_matches("http://").to_owned();
        let lost = Arc::new(AtomicUsize::new(0));
        let (puts, count) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&lost));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let swallow = Swallow {
                    every,
                    puts: Arc::clone(&puts),
                    lost: Arc::clone(&count),
                    next: Arc::default(),
                };
                pass_on(client, server, swallow);
            }
        });
        Self { endpoint: format!("http://{address}"), lost }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How many answers were lost so far.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Swallow {
    every: usize,
    /// Puts of log entries so far, on all connections.
    puts: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
    /// Whether the next answer on this connection is lost.
    next: Arc<AtomicBool>,
}

impl Swallow {
    fn see_request(&self, bytes: &[u8]) {
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4_096)]).to_ascii_lowercase();
        let entry = head.starts_with("put ")
            && head.contains("/_delta_log/")
            && head.contains("if-none-match: *");
        if entry && self.puts.fetch_add(1, Ordering::SeqCst) % self.every == self.every - 1 {
            self.next.store(true, Ordering::SeqCst);
        }
    }
}

/// A client asks again only after an answer, so what comes first after a request is its answer.
fn pass_on(client: TcpStream, server: TcpStream, swallow: Swallow) {
    for socket in [&client, &server] {
        // Or the end of each longer answer waits 40 ms for a word that its beginning came.
        socket.set_nodelay(true).expect("a socket");
    }
    let (mut from_client, mut to_client) = (client.try_clone().expect("a socket"), client);
    let (mut from_server, mut to_server) = (server.try_clone().expect("a socket"), server);
    let watching = swallow.clone();
    std::thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(n @ 1..) = from_client.read(&mut bytes) {
            watching.see_request(&bytes[..n]);
            if to_server.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
        drop(to_server.shutdown(std::net::Shutdown::Both));
    });
    std::thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(n @ 1..) = from_server.read(&mut bytes) {
            if swallow.next.load(Ordering::SeqCst) {
                let lost = swallow.lost.fetch_add(1, Ordering::SeqCst);
                if lost % 2 == 1 {
                    let error = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\
                                 connection: close\r\n\r\n";
                    drop(to_client.write_all(error.as_bytes()));
                }
                break;
            }
            if to_client.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
        drop(to_client.shutdown(std::net::Shutdown::Both));
        drop(from_server.shutdown(std::net::Shutdown::Both));
    });
}
