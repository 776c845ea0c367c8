//! A real mail server (`tests/mail/`), and the mails that it took.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A mail server, which ends with its standard input.
pub(crate) struct MailServer {
    running: Child,
    port: u16,
    folder: TempDir,
}

/// A mail as it came.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) message_id: String,
    pub(crate) text: String,
    pub(crate) html: String,
    /// The name of each picture within the mail, and its bytes.
    pub(crate) pictures: Vec<(String, u64)>,
}

impl MailServer {
    pub(crate) fn start() -> Self {
        let tests = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mail"));
        let check = Command::new(tests.join("setup")).arg("check").output().expect("a shell");
        let said = String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success(), "run tests/mail/setup first ({})", said.trim());
        let own = std::env::var_os("RAPPORT_MAIL_SERVER").map(PathBuf::from);
        let python = own.unwrap_or_else(|| tests.join("env")).join("bin/python");
        let folder = tempfile::tempdir().expect("a folder");
        let mut running = Command::new(python)
            .arg(tests.join("server.py"))
            .env("MAIL_FILE", folder.path().join("mails"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the mail server starts");
        let mut line = String::new();
        let output = running.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("a port");
        let port = line.trim().parse().expect("a port");
        Self { running, port, folder }
    }

    /// Returns the lines of `rapport.toml` that define the channel `mail`.
    pub(crate) fn channel(&self) -> String {
        format!(
            "\n[[actions.channels]]\nname = \"mail\"\nkind = \"mail\"\nserver = \"localhost\"\n\
             port = {}\nsecurity = \"none\"\nfrom = \"Rapport <rapport@example.com>\"\n\
             timeout_seconds = 5\n",
            self.port
        )
    }

    /// Returns the mails that it took. One is there before its sender is told so.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        let lines = std::fs::read_to_string(self.folder.path().join("mails")).unwrap_or_default();
        let mails = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        mails
            .map(|mail| {
                let text = |key: &str| mail[key].as_str().unwrap_or_default().to_owned();
                Mail {
                    to: mail["to"][0].as_str().expect("an address").to_owned(),
                    subject: text("subject"),
                    message_id: text("message_id"),
                    text: text("plain"),
                    html: text("html"),
                    pictures: serde_json::from_value(mail["pictures"].clone()).expect("pictures"),
                }
            })
            .collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.running.stdin.take());
        self.running.wait().ok();
    }
}
