//! A Schema Registry that knows one schema, for replays of Avro records.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use crate::fault_injection::background_producer::SCHEMA;

/// Answers every request with the producer's schema, as long as the test runs.
pub(crate) struct StubRegistry {
    url: String,
}

impl StubRegistry {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The client may have been killed in the meantime.
                drop(answer(stream));
            }
        });
        Self { url }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    // A request ends with an empty line; what it asks for is known.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let body = serde_json::json!({ "schema": SCHEMA, "schemaType": "AVRO" }).to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}
