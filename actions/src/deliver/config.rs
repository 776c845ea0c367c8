//! The channels as `rapport.toml` defines them in `[[actions.channels]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::{closest_name, toml_error};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::Channel;
use super::http::{HttpClient, check_url};
use super::json_lines::JsonLines;
use super::kafka::{Kafka, KafkaSettings};
use super::mail::{MailChannel, MailSecurity, MailSettings};
use super::secrets::{SecretReference, Secrets};
use super::template::{Rung, Template, TemplateChannel, TemplateInputs};
use super::webhook::Webhook;

/// The kinds of channels.
const KINDS: [&str; 5] = ["kafka", "file", "webhook", "mail", "template"];
/// The longest time that a channel may be given for one answer.
const MAX_TIMEOUT_SECONDS: u32 = 300;

/// What is wrong with a channel's definition. The text never shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("channel \"{channel}\": {reason}")]
pub struct ChannelError {
    /// The channel's name.
    pub channel: String,
    /// What is wrong and what to do.
    pub reason: String,
}

/// One `[[actions.channels]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Table")]
pub struct ChannelDefinition {
    /// The name by which policy and log refer to it.
    pub name: String,
    /// Its kind and the keys of that kind.
    #[serde(flatten)]
    pub settings: ChannelSettings,
}

/// The kind of a channel with its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChannelSettings {
    /// `kind = "kafka"`
    Kafka(KafkaDefinition),
    /// `kind = "file"`
    File(FileDefinition),
    /// `kind = "webhook"`
    Webhook(WebhookDefinition),
    /// `kind = "mail"`
    Mail(MailDefinition),
    /// `kind = "template"`
    Template(TemplateDefinition),
}

/// A Kafka topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaDefinition {
    /// The brokers to connect to first, as `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// `partner-actions` where it is not set.
    #[serde(default = "default_topic")]
    pub topic: String,
    /// Properties of librdkafka; each is a text, or a reference to a secret.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// How long an answer is waited for, from 1 to 300 s.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
}

/// A file of JSON lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDefinition {
    /// Relative to the configuration.
    pub path: PathBuf,
}

/// A receiver of Standard Webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookDefinition {
    /// Where deliveries are posted.
    pub url: String,
    /// The secrets that sign; two of them while one replaces the other.
    pub secrets: Vec<SecretReference>,
    /// How long an answer is waited for, from 1 to 300 s.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
}

/// Mail by SMTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailDefinition {
    /// The name of the mail server, which its certificate bears.
    pub server: String,
    /// 587 where it is not set.
    #[serde(default = "default_mail_port")]
    pub port: u16,
    /// How the connection is protected.
    #[serde(default)]
    pub security: MailSecurity,
    /// The user of the login, where the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where the password of the login is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretReference>,
    /// The sender, as `Rapport <rapport@example.com>`.
    pub from: String,
    /// The address of each recipient of notices and each support queue, and `default` for the rest.
    /// The recipient `partner` has its address in the mapping.
    #[serde(default)]
    pub recipients: BTreeMap<String, String>,
    /// How long an answer is waited for, from 1 to 300 s.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
}

/// An HTTP API that a template describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateDefinition {
    /// The name of a template that Rapport has, or the path of one of the project's own, which
    /// ends with `.toml`.
    pub template: String,
    /// The base of the API, where the template has none or another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where each secret is that the template names.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretReference>,
    /// Values for the template's parameters.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// What the target calls our names, such as the id of the group of each support queue.
    #[serde(default)]
    pub lookups: BTreeMap<String, BTreeMap<String, LookupValue>>,
    /// The quotas that the target knows, where it knows only some.
    #[serde(default)]
    pub quota_ladder: Vec<Rung>,
    /// How long an answer is waited for, from 1 to 300 s.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
}

/// A value of a lookup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LookupValue {
    /// A number, such as an id.
    Number(i64),
    /// A name.
    Text(String),
}

fn default_topic() -> String {
    "partner-actions".to_owned()
}

const fn default_timeout() -> u32 {
    10
}

const fn default_mail_port() -> u16 {
    587
}

impl ChannelDefinition {
    /// Returns the longest time that one request may take; `None` where there is none.
    pub fn timeout_seconds(&self) -> Option<u32> {
        match &self.settings {
            ChannelSettings::Kafka(settings) => Some(settings.timeout_seconds),
            ChannelSettings::File(_) => None,
            ChannelSettings::Webhook(settings) => Some(settings.timeout_seconds),
            ChannelSettings::Mail(settings) => Some(settings.timeout_seconds),
            ChannelSettings::Template(settings) => Some(settings.timeout_seconds),
        }
    }
}

impl TryFrom<Table> for ChannelDefinition {
    type Error = ChannelError;

    fn try_from(mut table: Table) -> Result<Self, ChannelError> {
        let name = match table.remove("name") {
            Some(Value::String(name)) if !name.trim().is_empty() => name,
            _ => return Err(error("?", "every channel needs a name: name = \"…\"")),
        };
        let Some(Value::String(kind)) = table.remove("kind") else {
            return Err(error(&name, format!("kind is missing; one of {}", KINDS.join(", "))));
        };
        let settings = match kind.as_str() {
            "kafka" => ChannelSettings::Kafka(read(&name, table)?),
            "file" => ChannelSettings::File(read(&name, table)?),
            "webhook" => ChannelSettings::Webhook(read(&name, table)?),
            "mail" => ChannelSettings::Mail(read(&name, table)?),
            "template" => ChannelSettings::Template(read(&name, table)?),
            other => {
                let meant = closest_name(other, KINDS).map_or_else(
                    || format!("; there are {}", KINDS.join(", ")),
                    |kind| format!("; did you mean \"{kind}\"?"),
                );
                return Err(error(&name, format!("there is no kind \"{other}\"{meant}")));
            }
        };
        Ok(Self { name, settings })
    }
}

/// Reads the keys of one kind. The error leaves out values, which may be misplaced secrets.
fn read<T: DeserializeOwned>(channel: &str, table: Table) -> Result<T, ChannelError> {
    Value::Table(table)
        .try_into()
        .map_err(|e: toml::de::Error| error(channel, toml_error("", None, &e.to_string()).1))
}

fn error(channel: &str, reason: impl Into<String>) -> ChannelError {
    ChannelError { channel: channel.to_owned(), reason: reason.into() }
}

/// Makes the channels and reads their secrets. Paths are relative to `folder`, and `variable`
/// returns the value of an environment variable.
///
/// # Errors
/// Fails at the first channel that can't be made: two of one name, a secret that is missing, a URL
/// without encryption, a template that does not fit.
pub fn build(
    definitions: &[ChannelDefinition],
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Box<dyn Channel>>, ChannelError> {
    let mut names = BTreeSet::new();
    let mut channels = Vec::new();
    for definition in definitions {
        let name = definition.name.as_str();
        if !names.insert(name) {
            return Err(error(name, "two channels have this name; each needs its own"));
        }
        let builder = Builder { name, folder, variable };
        let channel = match &definition.settings {
            ChannelSettings::Kafka(settings) => builder.kafka(settings),
            ChannelSettings::File(settings) => builder.file(settings),
            ChannelSettings::Webhook(settings) => builder.webhook(settings),
            ChannelSettings::Mail(settings) => builder.mail(settings),
            ChannelSettings::Template(settings) => builder.template(settings),
        };
        channels.push(channel.map_err(|reason| error(name, reason))?);
    }
    Ok(channels)
}

/// What every kind of channel is made with.
struct Builder<'a> {
    name: &'a str,
    folder: &'a Path,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

type Built = Result<Box<dyn Channel>, String>;

impl Builder<'_> {
    fn secret(&self, key: &str, reference: &SecretReference) -> Result<SecretString, String> {
        reference.read(self.folder, self.variable).map_err(|reason| format!("{key}: {reason}"))
    }

    fn kafka(&self, settings: &KafkaDefinition) -> Built {
        let mut secrets = Secrets::default();
        let mut properties = BTreeMap::new();
        for (property, text) in &settings.properties {
            let key = format!("properties.\"{property}\"");
            let value = match SecretReference::try_from(text.clone()) {
                Ok(reference) => {
                    let secret = self.secret(&key, &reference)?;
                    secrets.insert(property, secret.clone());
                    secret
                }
                Err(how) if is_secret_property(property) => return Err(format!("{key}: {how}")),
                Err(_) => text.clone().into(),
            };
            let path = value.expose_secret();
            let value = if property.ends_with(".location") && path != "probe" {
                self.folder.join(path).display().to_string().into()
            } else {
                value
            };
            properties.insert(property.clone(), value);
        }
        let settings = KafkaSettings {
            bootstrap_servers: settings.bootstrap_servers.clone(),
            topic: settings.topic.clone(),
            properties,
            timeout: timeout(settings.timeout_seconds)?,
        };
        Ok(Box::new(Kafka::new(self.name, settings, secrets)?))
    }

    fn file(&self, settings: &FileDefinition) -> Built {
        if settings.path.as_os_str().is_empty() {
            return Err("path is empty; name the file".to_owned());
        }
        Ok(Box::new(JsonLines::new(self.name, self.folder.join(&settings.path))))
    }

    fn webhook(&self, settings: &WebhookDefinition) -> Built {
        if settings.secrets.is_empty() {
            return Err("secrets is empty; a webhook is signed with at least one".to_owned());
        }
        let mut secrets = Secrets::default();
        let mut values = Vec::new();
        for (index, reference) in settings.secrets.iter().enumerate() {
            let value = self.secret("secrets", reference)?;
            secrets.insert(&index.to_string(), value.clone());
            values.push(value);
        }
        let url = check_url(&settings.url)?;
        let http = HttpClient::new(self.name, &url, timeout(settings.timeout_seconds)?, secrets)?;
        Ok(Box::new(Webhook::new(self.name, http, url, &values)?))
    }

    fn mail(&self, settings: &MailDefinition) -> Built {
        let is_loopback = settings.server == "localhost"
            || settings.server.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if settings.security == MailSecurity::None && !is_loopback {
            return Err("security = \"none\" is for a mail server on this machine only".to_owned());
        }
        let mut secrets = Secrets::default();
        let login = match (&settings.user, &settings.password) {
            (Some(user), Some(reference)) => {
                let password = self.secret("password", reference)?;
                secrets.insert("password", password.clone());
                Some((user.clone(), password))
            }
            (None, None) => None,
            _ => return Err("user and password are given together or not at all".to_owned()),
        };
        let address = |key: &str, text: &str| {
            text.parse().map_err(|_| format!("{key}: \"{text}\" is no mail address"))
        };
        let mut recipients = BTreeMap::new();
        for (who, text) in &settings.recipients {
            recipients.insert(who.clone(), address(&format!("recipients.{who}"), text)?);
        }
        let settings = MailSettings {
            server: settings.server.clone(),
            port: settings.port,
            security: settings.security,
            login,
            from: address("from", &settings.from)?,
            recipients,
            timeout: timeout(settings.timeout_seconds)?,
        };
        Ok(Box::new(MailChannel::new(self.name, settings, secrets)?))
    }

    fn template(&self, settings: &TemplateDefinition) -> Built {
        let template = Template::find(&settings.template, self.folder)?;
        let mut secrets = Secrets::default();
        for (key, reference) in &settings.secrets {
            secrets.insert(key, self.secret(&format!("secrets.{key}"), reference)?);
        }
        let inputs = TemplateInputs {
            url: settings.url.clone(),
            parameters: settings.parameters.clone(),
            lookups: settings.lookups.clone(),
            quota_ladder: settings.quota_ladder.clone(),
            timeout: timeout(settings.timeout_seconds)?,
        };
        Ok(Box::new(TemplateChannel::new(self.name, template, inputs, secrets)?))
    }
}

fn timeout(seconds: u32) -> Result<Duration, String> {
    if (1..=MAX_TIMEOUT_SECONDS).contains(&seconds) {
        Ok(Duration::from_secs(seconds.into()))
    } else {
        Err(format!("timeout_seconds is from 1 to {MAX_TIMEOUT_SECONDS}"))
    }
}

/// Whether a property of librdkafka holds a secret.
fn is_secret_property(name: &str) -> bool {
    ["password", "secret", "key.pem", "oauthbearer.config"].iter().any(|part| name.contains(part))
}
