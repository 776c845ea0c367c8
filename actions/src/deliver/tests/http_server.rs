//! A small HTTP server that also breaks off and falls silent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) method: String,
    /// The path with its query, as sent.
    pub(super) path: String,
    /// By names in small letters.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Sends the head and half of the body, and ends the connection.
    Half {
        status: u16,
        body: String,
    },
    /// Never answers.
    Silence,
    /// Ends the connection without an answer.
    HangUp,
}

/// A running server, which ends when it is dropped.
pub(super) struct HttpServer {
    pub(super) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Reply {
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, &body.to_string())
    }

    pub(super) fn text(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.to_owned() }
    }
}

impl HttpServer {
    /// Starts a server whose answers a function gives.
    pub(super) async fn start(
        handler: impl FnMut(&Received) -> Reply + Send + 'static,
    ) -> HttpServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let received = Arc::new(Mutex::new(Vec::new()));
        let handler = Arc::new(Mutex::new(handler));
        let log = Arc::clone(&received);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, log) = (Arc::clone(&handler), Arc::clone(&log));
                tokio::spawn(async move {
                    let mut stream = stream;
                    let Some(request) = receive(&mut stream).await else { return };
                    log.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
                    let reply = {
                        let mut handler = handler.lock().unwrap_or_else(PoisonError::into_inner);
                        handler(&request)
                    };
                    answer(&mut stream, reply).await;
                });
            }
        });
        Self { url, received, task }
    }

    /// Returns the requests so far.
    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |text| text.parse().expect("a length"));
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[end + 4..].to_vec()).expect("UTF-8");
    Some(Received { method, path, headers, body })
}

async fn answer(stream: &mut TcpStream, reply: Reply) {
    let (status, headers, body, shown) = match reply {
        Reply::Answer { status, headers, body } => {
            let shown = body.len();
            (status, headers, body, shown)
        }
        Reply::Half { status, body } => {
            let shown = body.len() / 2;
            (status, Vec::new(), body, shown)
        }
        Reply::Silence => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return;
        }
        Reply::HangUp => return,
    };
    let mut text = format!("HTTP/1.1 {status} Any\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if status != 204 {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(&body.as_bytes()[..shown]);
    stream.write_all(&bytes).await.expect("written");
    stream.shutdown().await.ok();
}
