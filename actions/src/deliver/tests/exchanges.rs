//! Each template against the recorded exchange beside it, `templates/NAME.exchange.toml`.
//!
//! The file holds what the vendor answers, which a person writes by the vendor's documentation, and
//! what the template sends and makes of it. With `UPDATE_EXPECT=1` the latter is written anew.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{ActionKind, Setting};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::http_server::{HttpServer, Received, Reply};
use super::{SECRET, assert_shows_no_secret, channel, delivery_of, kind};
use crate::deliver::template::Template;
use crate::deliver::{Delivery, DeliveryError, Receipt};

/// The headers that every HTTP client sends, or that change from run to run.
const COMMON_HEADERS: [&str; 4] = ["accept", "content-length", "host", "user-agent"];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExchangeFile {
    /// The keys of the channel besides template and URL.
    #[serde(default)]
    channel: toml::Table,
    step: Vec<Step>,
}

/// One call of a channel, the requests that it leads to, and its outcome.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    call: Call,
    action: ActionKind,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    resolves: bool,
    /// The quota, where it is not the usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_minute: Option<i64>,
    #[serde(default)]
    outcome: String,
    exchange: Vec<Exchange>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Call {
    Read,
    Find,
    Send,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    #[serde(default)]
    request: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    body: String,
    status: u16,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    answer: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

#[tokio::test]
async fn templates_send_what_was_recorded() {
    let is_update = std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1");
    for name in Template::names() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("templates")
            .join(format!("{name}.exchange.toml"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| {
            panic!("the template {name} has no exchange {}: {e}", path.display())
        });
        let file: ExchangeFile = toml::from_str(&text).expect(&name);
        let played = play(&name, &file).await;
        let comment: String = text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .map(|l| format!("{l}\n"))
            .collect();
        let expected = format!("{comment}\n{}", toml::to_string_pretty(&played).expect("TOML"));
        if is_update {
            std::fs::write(&path, expected).expect("written");
        } else {
            assert_eq!(text, expected, "{name}: UPDATE_EXPECT=1 writes what is sent now");
        }
    }
}

/// Makes the calls of an exchange and returns it as it went.
async fn play(name: &str, file: &ExchangeFile) -> ExchangeFile {
    let answers: Arc<Mutex<VecDeque<Reply>>> = Arc::default();
    let shared = Arc::clone(&answers);
    let server = HttpServer::start(move |_| {
        let next = shared.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.unwrap_or_else(|| Reply::text(599, "no answer is recorded for this request"))
    })
    .await;
    let template = format!(
        "name = 'target'\nkind = 'template'\ntemplate = '{name}'\nurl = '{}'\n",
        server.url
    );
    let toml = template + &toml::to_string(&file.channel).expect("TOML");
    let channel = channel(&toml).expect(name);
    let mut steps = Vec::new();
    let mut seen = 0;
    for step in &file.step {
        let replies = step.exchange.iter().map(|e| Reply::text(e.status, &e.answer));
        *answers.lock().unwrap_or_else(PoisonError::into_inner) = replies.collect();
        let mut delivery = Delivery { resolves: step.resolves, ..delivery_of(step.action) };
        if let Some(per_minute) = step.per_minute {
            delivery.to = Some(Setting::Quota { per_minute });
        }
        let outcome = match step.call {
            Call::Read => outcome(channel.read(&delivery.target).await.map(|s| format!("{s:?}"))),
            Call::Find => outcome(
                channel.find(&delivery).await.map(|found| found.map_or("None".to_owned(), shown)),
            ),
            Call::Send => outcome(channel.send(&delivery).await.map(shown)),
        };
        assert_shows_no_secret(&outcome);
        let received = server.received().split_off(seen);
        seen += received.len();
        assert_eq!(received.len(), step.exchange.len(), "{name}: {received:?}, {outcome}");
        let exchange = received.iter().zip(&step.exchange).map(|(r, e)| recorded(r, e)).collect();
        let (call, action, resolves, per_minute) =
            (step.call, step.action, step.resolves, step.per_minute);
        steps.push(Step { call, action, resolves, per_minute, outcome, exchange });
    }
    ExchangeFile { channel: file.channel.clone(), step: steps }
}

fn outcome(result: Result<String, DeliveryError>) -> String {
    result.unwrap_or_else(|error| format!("{}: {error}", kind(&error)))
}

fn shown(receipt: Receipt) -> String {
    let in_force =
        receipt.in_force.map_or(String::new(), |setting| format!("; in force: {setting:?}"));
    format!("{}{in_force}", receipt.answer)
}

fn recorded(request: &Received, exchange: &Exchange) -> Exchange {
    // Stand-ins for secrets and the partner's key.
    let hide = |text: &str| {
        let text = text.replace("VE9LRU4tczNjcjN0LTAxMjM0NTY3ODk=", "<base64 of the secret>");
        text.replace(&format!("TOKEN-{SECRET}"), "<the secret>")
            .replace("5f4dcc3b5aa765d61d83", "<the key>")
    };
    let headers =
        request.headers.iter().filter(|(name, _)| !COMMON_HEADERS.contains(&name.as_str()));
    Exchange {
        request: hide(&format!("{} {}", request.method, request.path)),
        headers: headers.map(|(name, value)| (name.clone(), hide(value))).collect(),
        body: hide(&sorted(&request.body)),
        status: exchange.status,
        answer: exchange.answer.clone(),
    }
}

/// Returns JSON with its keys in order, whatever order this build of serde_json keeps.
fn sorted(text: &str) -> String {
    fn sort(value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields: BTreeMap<String, Value> = fields.into_iter().collect();
                Value::Object(fields.into_iter().map(|(key, value)| (key, sort(value))).collect())
            }
            Value::Array(items) => Value::Array(items.into_iter().map(sort).collect()),
            other => other,
        }
    }
    serde_json::from_str(text).map_or_else(|_| text.to_owned(), |value| sort(value).to_string())
}
