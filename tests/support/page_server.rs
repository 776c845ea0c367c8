//! A running `rapport serve`, and the requests of its readers.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Method, Url};
use tokio::runtime::Runtime;

use super::program::{Project, RunningProgram, wait_until};

/// The pages of a project, served until this is dropped.
pub(crate) struct PageServer {
    pub(crate) program: RunningProgram,
    pub(crate) address: String,
    runtime: Runtime,
    client: reqwest::Client,
}

/// An answer of the server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: String,
    pub(crate) text: String,
}

impl PageServer {
    /// Starts the server at a free port and waits until it answers.
    pub(crate) fn start(project: &Project) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address").to_string();
        drop(free);
        let mut command = project.command(&["serve", "--listen", &address]);
        command.env("USER", "ada");
        let mut program = RunningProgram::start_logging(command, &project.path("serve.log"));
        wait_until("the server", Duration::from_secs(120), || {
            assert!(!program.has_ended(), "{}", program.messages_so_far());
            TcpStream::connect(&address).is_ok()
        });
        let runtime = Runtime::new().expect("a runtime");
        let client = reqwest::Client::builder().redirect(Policy::none()).build();
        let address = format!("http://{address}");
        Self { program, address, runtime, client: client.expect("a client") }
    }

    /// Reads a page.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None, None)
    }

    /// Reads a file.
    pub(crate) fn get_bytes(&self, path: &str) -> Vec<u8> {
        self.runtime.block_on(async {
            let answer = self.client.get(format!("{}{path}", self.address)).send().await;
            let answer = answer.unwrap_or_else(|e| panic!("{path}: {e}"));
            answer.bytes().await.expect("a body").to_vec()
        })
    }

    /// Reads a page with a token.
    pub(crate) fn get_as(&self, token: &str, path: &str) -> Answer {
        self.ask(Method::GET, path, Some(token), None)
    }

    /// Sends a form.
    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.ask(Method::POST, path, None, Some(form))
    }

    /// Sends JSON.
    pub(crate) fn post_json(&self, path: &str, body: &serde_json::Value) -> Answer {
        let url = format!("{}{path}", self.address);
        self.runtime.block_on(async {
            let request = self.client.post(&url).header(CONTENT_TYPE, "application/json");
            let answer = request.body(body.to_string()).send().await;
            let answer = answer.unwrap_or_else(|e| panic!("{url}: {e}"));
            Answer {
                status: answer.status().as_u16(),
                location: String::new(),
                text: answer.text().await.expect("a body"),
            }
        })
    }

    fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        form: Option<&[(&str, &str)]>,
    ) -> Answer {
        let url = format!("{}{path}", self.address);
        self.runtime.block_on(async {
            let mut request = self.client.request(method, &url);
            if let Some(token) = token {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            if let Some(form) = form {
                let body = Url::parse_with_params(&url, form).expect("a URL");
                let body = body.query().unwrap_or_default().to_owned();
                request =
                    request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
            }
            let answer = request.send().await.unwrap_or_else(|e| panic!("{url}: {e}"));
            let location = answer.headers().get(LOCATION);
            Answer {
                status: answer.status().as_u16(),
                location: location
                    .map(|l| l.to_str().expect("text").to_owned())
                    .unwrap_or_default(),
                text: answer.text().await.expect("a body"),
            }
        })
    }
}
