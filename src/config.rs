//! `rapport.toml`: file < environment < flags; paths are relative to its folder.
//!
//! `check` is what must hold of its values, `files` reads the CSV files beside it.

mod check;
mod files;

pub(crate) use check::check_servers;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use ingest::{KafkaSettings, RegistrySettings};
use lake::{LakeOptions, StoreOptions};
use lake_types::{Stream, toml_mistake};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::failure::usage;
use crate::{setting, store};

const FILE: &str = "rapport.toml";

/// The configuration of a project, with the folder its paths are relative to. Not to be printed
/// whole: it may hold secrets.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    #[serde(skip)]
    pub(crate) folder: PathBuf,
    /// Whether anything is said of Kafka, here or in the environment: a project may load files only.
    #[serde(skip)]
    pub(crate) names_kafka: bool,
    // Where events come from and go to changes no figure: both stay out of the digest.
    #[serde(skip_serializing)]
    lake: LakeSection,
    #[serde(skip_serializing)]
    kafka: KafkaSection,
    metrics: MetricsSection,
    scoring: PolicySection,
    actions: PolicySection,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct LakeSection {
    root: String,
    key_file: PathBuf,
    store: BTreeMap<String, toml::Value>,
    retention: RetentionSection,
    #[serde(skip)]
    options: StoreOptions,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct RetentionSection {
    api_calls: Option<Days>,
    dead_letters: Option<Days>,
}

/// A number of days, written `400d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
struct Days(u32);

/// For how many days something is kept; `None` for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) api_calls: Option<u32>,
    pub(crate) dead_letters: Option<u32>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct KafkaSection {
    bootstrap_servers: String,
    group_id: String,
    topics: Topics,
    properties: BTreeMap<String, toml::Value>,
    schema_registry: RegistrySection,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct RegistrySection {
    url: String,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Topics {
    api_calls: String,
    partner_events: String,
    billing_events: String,
    support_events: String,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct MetricsSection {
    reporting_currency: String,
    rates: Option<PathBuf>,
    sla: Option<PathBuf>,
    sunsets: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct PolicySection {
    policy: Option<PathBuf>,
}

impl Default for LakeSection {
    fn default() -> Self {
        Self {
            root: "lake".to_owned(),
            key_file: "lake.key".into(),
            store: BTreeMap::new(),
            retention: RetentionSection::default(),
            options: StoreOptions::default(),
        }
    }
}

impl TryFrom<String> for Days {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
        days.filter(|days| *days > 0)
            .map(Self)
            .ok_or_else(|| format!("\"{text}\" is no number of days; write 400d"))
    }
}

impl From<Days> for String {
    fn from(days: Days) -> Self {
        format!("{}d", days.0)
    }
}

impl Default for KafkaSection {
    fn default() -> Self {
        Self {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            group_id: "rapport".to_owned(),
            topics: Topics::default(),
            properties: BTreeMap::new(),
            schema_registry: RegistrySection::default(),
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        let name = |stream: Stream| stream.name().to_owned();
        Self {
            api_calls: name(Stream::ApiCalls),
            partner_events: name(Stream::PartnerEvents),
            billing_events: name(Stream::BillingEvents),
            support_events: name(Stream::SupportEvents),
        }
    }
}

impl Default for MetricsSection {
    fn default() -> Self {
        Self { reporting_currency: "USD".to_owned(), rates: None, sla: None, sunsets: None }
    }
}

impl Config {
    /// Reads the file given, or the nearest `rapport.toml` here or in a folder above.
    pub(crate) fn find(given: Option<&Path>) -> anyhow::Result<Self> {
        Self::find_if_any(given)?.ok_or_else(|| {
            usage(format!(
                "no {FILE} here or in a folder above: run `rapport init DIR` to make a project, or give --config FILE"
            ))
        })
    }

    /// As [`Config::find`], for commands that need no project.
    pub(crate) fn find_if_any(given: Option<&Path>) -> anyhow::Result<Option<Self>> {
        if let Some(path) = given {
            return Self::read(path).map(Some);
        }
        let here = std::env::current_dir().context("the current folder")?;
        let found = here.ancestors().map(|folder| folder.join(FILE)).find(|path| path.is_file());
        found.map(|path| Self::read(&path)).transpose()
    }

    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => usage(format!(
                "there is no configuration {}; `rapport init DIR` makes one",
                path.display()
            )),
            _ => usage(format!("the configuration {} can't be read: {e}", path.display())),
        })?;
        // What spreadsheets and editors put in front is no part of it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut config: Self = toml::from_str(text).map_err(|e| {
            let (at, what) = toml_mistake(text, e.span(), e.message());
            usage(format!("{}:{at}: {what}", path.display()))
        })?;
        check::check(&config, path, text)?;
        let kafka = text.parse::<toml::Table>().ok().and_then(|table| table.get("kafka").cloned());
        config.names_kafka = kafka.is_some_and(|section| says_something(&section));
        let path = std::path::absolute(path).context("the configuration's folder")?;
        // Without `..`, which object-store paths do not know.
        let folder = path.parent().unwrap_or(Path::new("/"));
        config.folder = folder.canonicalize().context("the configuration's folder")?;
        config.take_variables()?;
        if config.lake.root.starts_with("s3://") {
            // A variable that is no text is none of ours.
            let variables = std::env::vars_os().filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.into_string().ok()?))
            });
            config.lake.options = store::options(&config.lake.store, &config.folder, variables)?;
        }
        Ok(config)
    }

    /// What the environment says wins over the file.
    fn take_variables(&mut self) -> anyhow::Result<()> {
        let settings = [
            ("RAPPORT_LAKE_ROOT", &mut self.lake.root),
            ("RAPPORT_KAFKA_BOOTSTRAP_SERVERS", &mut self.kafka.bootstrap_servers),
            ("RAPPORT_SCHEMA_REGISTRY_URL", &mut self.kafka.schema_registry.url),
        ];
        for (name, setting) in settings {
            let Ok(value) = std::env::var(name) else { continue };
            check::variable(name, &value)?;
            *setting = value;
            self.names_kafka |= name == "RAPPORT_KAFKA_BOOTSTRAP_SERVERS";
        }
        Ok(())
    }

    pub(crate) fn lake(&self) -> LakeOptions {
        let root = if self.lake.root.contains("://") {
            self.lake.root.clone()
        } else {
            resolved(&self.folder, Path::new(&self.lake.root)).display().to_string()
        };
        LakeOptions {
            root,
            key_file: self.folder.join(&self.lake.key_file),
            store: self.lake.options.clone(),
        }
    }

    pub(crate) fn retention(&self) -> Retention {
        let kept = &self.lake.retention;
        Retention {
            api_calls: kept.api_calls.map(|days| days.0),
            dead_letters: kept.dead_letters.map(|days| days.0),
        }
    }

    pub(crate) fn kafka(&self) -> anyhow::Result<KafkaSettings> {
        let topics = &self.kafka.topics;
        let all = [
            (Stream::ApiCalls, &topics.api_calls),
            (Stream::PartnerEvents, &topics.partner_events),
            (Stream::BillingEvents, &topics.billing_events),
            (Stream::SupportEvents, &topics.support_events),
        ];
        let on = all.into_iter().filter(|(_, topic)| !topic.is_empty());
        let topics: BTreeMap<Stream, String> = on.map(|(s, t)| (s, t.clone())).collect();
        let distinct: std::collections::BTreeSet<_> = topics.values().collect();
        if distinct.len() < topics.len() {
            return Err(usage(
                "[kafka.topics]: two streams have the same topic; each needs its own",
            ));
        }
        Ok(KafkaSettings {
            bootstrap_servers: self.kafka.bootstrap_servers.clone(),
            group_id: self.kafka.group_id.clone(),
            topics,
            properties: self.kafka_properties()?,
            registry: self.registry(),
            embedded: false,
        })
    }

    /// librdkafka's properties, with the secrets that stand elsewhere.
    fn kafka_properties(&self) -> anyhow::Result<BTreeMap<String, SecretString>> {
        let mut properties = BTreeMap::new();
        for (name, value) in &self.kafka.properties {
            let label = format!("[kafka.properties] \"{name}\"");
            let mut value = setting::read(&label, value, &self.folder)?;
            let text = value.expose_secret();
            // Certificates and keys lie beside the configuration, as all its files do.
            if name.starts_with("ssl.") && name.ends_with(".location") && text != "probe" {
                value = resolved(&self.folder, Path::new(text)).display().to_string().into();
            }
            properties.insert(name.clone(), value);
        }
        Ok(properties)
    }

    /// The Schema Registry; its user and password stand in the environment only.
    pub(crate) fn registry(&self) -> Option<RegistrySettings> {
        let url = Some(&self.kafka.schema_registry.url).filter(|url| !url.is_empty())?;
        let secret = |name: &str| {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            let value = value.map(SecretString::from);
            value.iter().for_each(setting::remember);
            value
        };
        Some(RegistrySettings {
            user: secret("RAPPORT_SCHEMA_REGISTRY_USER"),
            password: secret("RAPPORT_SCHEMA_REGISTRY_PASSWORD"),
            ..RegistrySettings::new(url)
        })
    }

    pub(crate) fn reporting_currency(&self) -> &str {
        &self.metrics.reporting_currency
    }

    /// The project's own queries, where it has any.
    pub(crate) fn queries(&self) -> Option<PathBuf> {
        Some(self.queries_folder()).filter(|folder| folder.is_dir())
    }

    /// Where the project's own queries are, or would be.
    pub(crate) fn queries_folder(&self) -> PathBuf {
        self.folder.join("queries")
    }

    /// The text of a policy and where it came from: the file named, else the default file where it
    /// exists.
    pub(crate) fn scoring_policy(&self) -> anyhow::Result<Option<(PathBuf, String)>> {
        self.policy(self.scoring.policy.as_deref(), "scoring.toml")
    }

    pub(crate) fn actions_policy(&self) -> anyhow::Result<Option<(PathBuf, String)>> {
        self.policy(self.actions.policy.as_deref(), "policy.toml")
    }

    fn policy(
        &self,
        named: Option<&Path>,
        default: &str,
    ) -> anyhow::Result<Option<(PathBuf, String)>> {
        let path = self.folder.join(named.unwrap_or(Path::new(default)));
        if named.is_none() && !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|e| usage(format!("the policy {} can't be read: {e}", path.display())))?;
        Ok(Some((path, text)))
    }

    /// A digest of everything that a run's figures depend on besides the lake.
    pub(crate) fn digest(&self) -> anyhow::Result<String> {
        let mut text = toml::to_string(self).context("the configuration as text")?;
        for name in ["rates.csv", "sla.csv", "sunsets.csv"] {
            let named = match name {
                "rates.csv" => &self.metrics.rates,
                "sla.csv" => &self.metrics.sla,
                _ => &self.metrics.sunsets,
            };
            let path = self.folder.join(named.as_deref().unwrap_or(Path::new(name)));
            text.push_str(&std::fs::read_to_string(path).unwrap_or_default());
        }
        for policy in [self.scoring_policy()?, self.actions_policy()?].into_iter().flatten() {
            text.push_str(&policy.1);
        }
        Ok(lake::digest(text.as_bytes()))
    }
}

/// A path as seen from a folder, each `..` taking back the name before it.
fn resolved(folder: &Path, path: &Path) -> PathBuf {
    let mut whole = folder.to_owned();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(whole.pop()),
            Component::CurDir => {}
            part => whole.push(part),
        }
    }
    whole
}

/// Whether a section sets anything: `rapport init` writes them all, empty.
fn says_something(value: &toml::Value) -> bool {
    value.as_table().is_none_or(|table| table.values().any(says_something))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lake_may_lie_beside_the_project() {
        let check = |path: &str, whole: &str| {
            assert_eq!(resolved(Path::new("/srv/project"), Path::new(path)), Path::new(whole));
        };
        check("lake", "/srv/project/lake");
        check("./lake", "/srv/project/lake");
        check("../lake", "/srv/lake");
        check("../../../lake", "/lake");
        check("/data/../lake", "/lake");
    }
}
