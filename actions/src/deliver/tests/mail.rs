//! The mail channel against a real mail server (`tests/mail/`).

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use domain::{ActionKind, Setting};
use serde_json::Value;

use super::{SECRET, assert_shows_no_secret, channel, delivery, delivery_of, kind};
use crate::deliver::{Channel, Delivery, Idempotency};

/// A mail server, which ends with its standard input.
struct MailServer {
    running: Child,
    output: BufReader<ChildStdout>,
    port: u16,
}

impl MailServer {
    fn start(options: &[&str]) -> Self {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/mail"));
        let check = Command::new(folder.join("setup")).arg("check").output().expect("a shell");
        let said = String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success(), "run tests/mail/setup first ({})", said.trim());
        let own = std::env::var_os("RAPPORT_MAIL_SERVER").map(PathBuf::from);
        let python = own.unwrap_or_else(|| folder.join("env")).join("bin/python");
        let mut running = Command::new(python)
            .arg(folder.join("server.py"))
            .args(options)
            .env("MAIL_PASSWORD", format!("PASSWORD-{SECRET}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the mail server starts");
        let mut output = BufReader::new(running.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a port");
        let port = line.trim().parse().expect("a port");
        Self { running, output, port }
    }

    fn channel(&self, keys: &str) -> Box<dyn Channel> {
        let port = self.port;
        let toml = format!(
            "name = 'mail'\nkind = 'mail'\nserver = 'localhost'\nport = {port}\n\
             from = 'Rapport <rapport@example.com>'\ntimeout_seconds = 2\n{keys}"
        );
        channel(&toml).expect("a channel")
    }

    /// Returns the next mail that the server took.
    fn mail(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a mail");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.running.stdin.take());
        self.running.wait().ok();
    }
}

const PLAIN: &str = "security = 'none'\nrecipients = { manager = 'success@example.com', priority = \
                     'desk@example.com', default = 'ops@example.com' }";

fn notice(who: &str) -> Delivery {
    let to = Some(Setting::Notify { who: who.to_owned(), about: "quota".to_owned() });
    let mut delivery = Delivery { action: ActionKind::Notify, from: None, to, ..delivery() };
    if who != "partner" {
        delivery.target.email = None;
    }
    delivery
}

#[tokio::test]
async fn a_mail_is_taken_and_bears_its_key() {
    let mut server = MailServer::start(&[]);
    let channel = server.channel(PLAIN);
    assert_eq!(channel.idempotency(), Idempotency::None);
    let receipt = channel.send(&notice("manager")).await.expect("taken");
    assert_eq!(receipt.answer, "250 taken as 42");
    let mail = server.mail();
    let text = mail["text"].as_str().expect("a text");
    assert_eq!(
        (&mail["from"], &mail["to"][0]),
        (&"rapport@example.com".into(), &"success@example.com".into())
    );
    assert!(text.contains("Message-ID: <key-1@example.com>\r\n"), "{text}");
    assert!(text.contains("Acme & <Sons> (P-001)"), "{text}");

    let told = notice("manager");
    let over = Delivery { resolves: true, from: told.to.clone(), to: None, ..told };
    channel.send(&over).await.expect("taken");
    let mail = server.mail();
    assert_eq!(mail["to"][0], "success@example.com");
    assert!(mail["text"].as_str().is_some_and(|text| text.contains("Over: ")));
}

#[tokio::test]
async fn each_recipient_has_an_address() {
    let mut server = MailServer::start(&[]);
    let channel = server.channel(PLAIN);
    let cases = [
        (notice("partner"), "dev@acme.example"),
        (notice("somebody"), "ops@example.com"),
        (delivery_of(ActionKind::RouteSupport), "desk@example.com"),
        (delivery(), "ops@example.com"),
    ];
    for (delivery, address) in cases {
        channel.send(&delivery).await.expect("taken");
        assert_eq!(server.mail()["to"][0], address);
    }
    // [actions.recipients] names an address of its own.
    let mut addressed = notice("somebody");
    addressed.target.email = Some("ada@example.com".to_owned());
    channel.send(&addressed).await.expect("taken");
    assert_eq!(server.mail()["to"][0], "ada@example.com");
    let mut nameless = notice("partner");
    nameless.target.email = None;
    let error = channel.send(&nameless).await.expect_err("no address");
    assert!(error.to_string().contains("the mapping of partner P-001 has no email"), "{error}");
    let channel = server.channel("security = 'none'");
    let error = channel.send(&notice("manager")).await.expect_err("no address");
    assert!(error.to_string().contains("recipients has no entry \"manager\""), "{error}");
}

#[tokio::test]
async fn refusals_have_their_meaning() {
    let server = MailServer::start(&[]);
    let cases = [
        ("later", "retryable", "try again later"),
        ("busy", "retryable", "too little room"),
        ("never", "permanent", "no such user"),
        ("refused", "permanent", "looks like spam"),
        ("silent", "ambiguous", "did not answer within 2 s"),
        ("gone", "ambiguous", "may have taken it"),
    ];
    for (who, expected, words) in cases {
        let login = "user = 'rapport'\npassword = 'env:PASSWORD'";
        let channel =
            server.channel(&format!("security = 'none'\nrecipients.default = '{who}@example.com'"));
        let error = channel.send(&delivery()).await.expect_err(who);
        assert_eq!(kind(&error), expected, "{who}: {error}");
        assert!(error.to_string().contains(words), "{error}");
        // A server without logins takes none.
        let channel = server.channel(&format!("{login}\n{PLAIN}"));
        assert_eq!(kind(&channel.send(&delivery()).await.expect_err("no login")), "retryable");
    }
}

#[tokio::test]
async fn a_login_is_used_and_never_shown() {
    let mut server = MailServer::start(&["--login"]);
    let keys = |password: &str| format!("user = 'rapport'\npassword = '{password}'\n{PLAIN}");
    server.channel(&keys("env:PASSWORD")).send(&delivery()).await.expect("taken");
    server.mail();
    for keys in [keys("env:WRONG"), PLAIN.to_owned()] {
        let error = server.channel(&keys).send(&delivery()).await.expect_err("no login");
        assert_eq!(kind(&error), "retryable", "{error}");
        assert_shows_no_secret(&error.to_string());
    }
    // The server quotes the password.
    let keys = keys("env:PASSWORD").replace("ops@", "never@");
    let error = server.channel(&keys).send(&delivery()).await.expect_err("no such user");
    assert!(error.to_string().contains("no such user; you sent …"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_ends_the_conversation() {
    let server = MailServer::start(&["--tls"]);
    let encrypted = PLAIN.replace("'none'", "'start_tls'");
    let error = server.channel(&encrypted).send(&delivery()).await.expect_err("no trust");
    assert_eq!(kind(&error), "retryable", "{error}");
    // A server without TLS is not talked to in the clear.
    let server = MailServer::start(&[]);
    let error = server.channel(&encrypted).send(&delivery()).await.expect_err("no TLS");
    assert!(error.to_string().contains("STARTTLS is not supported"), "{error}");
}
