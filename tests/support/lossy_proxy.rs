//! A proxy before an S3 server that loses some of the server's answers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Forwards everything to a server, but loses the answer to every nth put of a log entry, although
/// the server does it: the connection ends, or an error of the server replaces the answer.
pub(crate) struct LossyProxy {
    endpoint: String,
    lost: Arc<AtomicUsize>,
}

impl LossyProxy {
    pub(crate) fn before(endpoint: &str, every: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = endpoint.trim_start_matches("http://").to_owned();
        let lost = Arc::new(AtomicUsize::new(0));
        let (puts, count) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&lost));
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let loss = ResponseLoss {
                    every,
                    puts: Arc::clone(&puts),
                    lost: Arc::clone(&count),
                    next: Arc::default(),
                };
                forward(client, server, loss);
            }
        });
        Self { endpoint: format!("http://{address}"), lost }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns how many answers were lost so far.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

/// Decides which answers are lost.
#[derive(Clone)]
struct ResponseLoss {
    every: usize,
    /// The puts of log entries so far, on all connections.
    puts: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
    /// Whether the next answer on this connection is lost.
    next: Arc<AtomicBool>,
}

impl ResponseLoss {
    fn observe_request(&self, bytes: &[u8]) {
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4_096)]).to_ascii_lowercase();
        let entry = head.starts_with("put ")
            && head.contains("/_delta_log/")
            && head.contains("if-none-match: *");
        if entry && self.puts.fetch_add(1, Ordering::SeqCst) % self.every == self.every - 1 {
            self.next.store(true, Ordering::SeqCst);
        }
    }
}

/// Forwards between client and server. A client sends its next request only after an answer, so the
/// first bytes after a request are its answer.
fn forward(client: TcpStream, server: TcpStream, loss: ResponseLoss) {
    for socket in [&client, &server] {
        // Without it the end of each longer answer waits 40 ms for a delayed acknowledgement.
        socket.set_nodelay(true).expect("a socket");
    }
    let (mut from_client, mut to_client) = (client.try_clone().expect("a socket"), client);
    let (mut from_server, mut to_server) = (server.try_clone().expect("a socket"), server);
    let request_observer = loss.clone();
    std::thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(n @ 1..) = from_client.read(&mut bytes) {
            request_observer.observe_request(&bytes[..n]);
            if to_server.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
        drop(to_server.shutdown(std::net::Shutdown::Both));
    });
    std::thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(n @ 1..) = from_server.read(&mut bytes) {
            if loss.next.load(Ordering::SeqCst) {
                let lost = loss.lost.fetch_add(1, Ordering::SeqCst);
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
