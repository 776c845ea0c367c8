//! A small server that takes messages as the incoming webhook of a chat does.

use std::sync::{Arc, Mutex};

use tiny_http::{Response, Server};

/// The secret part of its URL.
pub(crate) const CHAT_SECRET: &str = "T0/B0/Xs3cr3tWebhook42";

/// The server. It ends with the test.
pub(crate) struct ChatServer {
    server: Arc<Server>,
    state: Arc<Mutex<ChatState>>,
}

struct ChatState {
    /// What it answers.
    status: u16,
    messages: Vec<String>,
}

impl ChatServer {
    pub(crate) fn start() -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").expect("a port"));
        let state = Arc::new(Mutex::new(ChatState { status: 200, messages: Vec::new() }));
        let chat = Self { server: Arc::clone(&server), state: Arc::clone(&state) };
        std::thread::spawn(move || {
            for mut request in server.incoming_requests() {
                let mut body = String::new();
                request.as_reader().read_to_string(&mut body).expect("a body");
                let mut state = state.lock().expect("state");
                let is_ours = request.url() == format!("/{CHAT_SECRET}");
                let status = if is_ours { state.status } else { 404 };
                if status == 200 {
                    state.messages.push(body);
                }
                let answer = if status == 200 { "ok" } else { "no_service" };
                let response = Response::from_string(answer).with_status_code(status);
                // A client that was killed takes no answer.
                let _ = request.respond(response);
            }
        });
        chat
    }

    /// Returns its URL, which is a secret.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/{CHAT_SECRET}", self.server.server_addr())
    }

    pub(crate) fn set_status(&self, status: u16) {
        self.state.lock().expect("state").status = status;
    }

    /// Returns the bodies of the messages that it took.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.state.lock().expect("state").messages.clone()
    }
}

impl Drop for ChatServer {
    fn drop(&mut self) {
        self.server.unblock();
    }
}
