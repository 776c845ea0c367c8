//! The contents of `rapport.toml`: the project's file laid over the commented defaults.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use actions::deliver::ChannelDefinition;
use dashboards::Targets;
use domain::Stream;
use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue, Deserializer, Error};

use super::deliveries::DeliveryDefinition;

/// The commented defaults. They are written nowhere else.
pub(crate) const DEFAULTS: &str = include_str!("default_rapport.toml");

/// The values of `rapport.toml`, section by section.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RapportToml {
    // The lake's place and the Kafka cluster change no figure, so both stay out of the digest.
    #[serde(skip_serializing)]
    pub(super) lake: LakeSection,
    #[serde(skip_serializing)]
    pub(super) kafka: KafkaSection,
    // What a mapping makes of records is in the lake.
    #[serde(skip_serializing)]
    pub(super) ingest: IngestSection,
    // Where rollups are computed changes no figure.
    #[serde(skip_serializing)]
    pub(super) cluster: ClusterSection,
    pub(super) metrics: MetricsSection,
    pub(super) scoring: PolicySection,
    pub(super) actions: ActionsSection,
    // Goals change no figure.
    #[serde(skip_serializing)]
    pub(super) targets: Targets,
    // Who reads the pages changes no figure.
    #[serde(skip_serializing)]
    pub(super) serve: ServeSection,
    #[serde(default, skip_serializing)]
    pub(super) deliveries: Vec<DeliveryDefinition>,
}

/// Where rollups are computed and days compacted, and in pieces of which size.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterSection {
    pub(super) scheduler: String,
    pub(super) unit_rows: NonZeroU64,
    pub(super) executor_wait_seconds: u64,
}

/// How `rapport serve` listens and who may sign in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServeSection {
    pub(super) listen: String,
    pub(super) access: OptionalFile,
    pub(super) behind_tls: bool,
    pub(super) refresh_seconds: u64,
    pub(super) chromium: String,
    pub(super) public_url: String,
    pub(super) embed_ancestors: Vec<String>,
    pub(super) embed_version: u32,
    pub(super) sign_ins_per_minute: NonZeroU32,
    pub(super) sql_per_minute: NonZeroU32,
    pub(super) postgres: PostgresSection,
}

/// Where BI tools connect.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PostgresSection {
    pub(super) listen: String,
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) connections: NonZeroU16,
    pub(super) statement_seconds: NonZeroU16,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LakeSection {
    pub(super) root: String,
    pub(super) key_file: PathBuf,
    pub(super) store: BTreeMap<String, toml::Value>,
    pub(super) retention: RetentionSection,
}

/// Holds for how many days records are kept; `None` means for ever.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionSection {
    pub(super) api_calls: Option<RetentionDays>,
    pub(super) dead_letters: Option<RetentionDays>,
}

/// A number of days, written `400d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct RetentionDays(pub(super) u32);

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KafkaSection {
    pub(super) bootstrap_servers: String,
    pub(super) group_id: String,
    pub(super) topics: Topics,
    pub(super) properties: BTreeMap<String, toml::Value>,
    pub(super) schema_registry: RegistrySection,
    /// Whether the project's file sets any value of the section.
    #[serde(skip)]
    pub(super) is_set: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegistrySection {
    pub(super) url: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IngestSection {
    mapping: BTreeMap<StreamKey, String>,
}

impl IngestSection {
    /// Returns the streams that have a mapping, each with the name of its recipe or file.
    pub(super) fn mappings(&self) -> impl Iterator<Item = (Stream, &str)> {
        self.mapping.iter().map(|(key, name)| (key.0, name.as_str()))
    }
}

/// The topic of each stream. An empty name turns the stream off.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Topics(BTreeMap<StreamKey, String>);

impl Topics {
    pub(super) fn iter(&self) -> impl Iterator<Item = (Stream, &str)> {
        self.0.iter().map(|(key, topic)| (key.0, topic.as_str()))
    }
}

/// A stream as a key of a section: the name of its table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct StreamKey(Stream);

impl StreamKey {
    const ALL: [&str; Stream::ALL.len()] = {
        let mut names = [""; Stream::ALL.len()];
        let mut i = 0;
        while i < names.len() {
            names[i] = Stream::ALL[i].definition().table;
            i += 1;
        }
        names
    };
}

impl<'de> Deserialize<'de> for StreamKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        let stream = Stream::ALL.into_iter().find(|stream| stream.table() == key);
        stream.map(Self).ok_or_else(|| serde::de::Error::unknown_field(&key, &Self::ALL))
    }
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricsSection {
    pub(super) reporting_currency: String,
    #[serde(skip_serializing_if = "OptionalFile::is_default")]
    pub(super) rates: OptionalFile,
    #[serde(skip_serializing_if = "OptionalFile::is_default")]
    pub(super) sla: OptionalFile,
    #[serde(skip_serializing_if = "OptionalFile::is_default")]
    pub(super) sunsets: OptionalFile,
    #[serde(skip_serializing_if = "OptionalFile::is_default")]
    pub(super) programme: OptionalFile,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActionsSection {
    #[serde(skip_serializing_if = "OptionalFile::is_default")]
    pub(super) policy: OptionalFile,
    // Where actions go changes no figure.
    #[serde(skip_serializing)]
    pub(super) mapping: OptionalFile,
    #[serde(default, skip_serializing)]
    pub(super) channels: Vec<ChannelDefinition>,
    #[serde(skip_serializing)]
    pub(super) deliver: BTreeMap<String, String>,
    #[serde(default, skip_serializing)]
    pub(super) recipients: BTreeMap<String, Recipient>,
}

/// Where a recipient of notices is.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipient {
    /// The channel; without one that of all notices.
    pub(crate) channel: Option<String>,
    pub(crate) email: Option<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicySection {
    #[serde(skip_serializing_if = "OptionalFile::is_default")]
    pub(super) policy: OptionalFile,
}

/// A file beside `rapport.toml`. The default one may be absent; one that the project's file names
/// must exist.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(from = "PathBuf", into = "PathBuf")]
pub(super) struct OptionalFile {
    pub(super) path: PathBuf,
    pub(super) is_named: bool,
}

impl OptionalFile {
    fn is_default(&self) -> bool {
        !self.is_named
    }

    /// Returns where the file is, or `None` for a default file that is absent.
    pub(super) fn find_in(&self, folder: &Path) -> Option<PathBuf> {
        let path = folder.join(&self.path);
        (self.is_named || path.exists()).then_some(path)
    }
}

impl From<PathBuf> for OptionalFile {
    fn from(path: PathBuf) -> Self {
        Self { path, is_named: false }
    }
}

impl From<OptionalFile> for PathBuf {
    fn from(file: OptionalFile) -> Self {
        file.path
    }
}

impl TryFrom<String> for RetentionDays {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
        days.filter(|days| *days > 0)
            .map(Self)
            .ok_or_else(|| format!("\"{text}\" is no number of days; write 400d"))
    }
}

impl RapportToml {
    /// Parses the text of a project's file over the defaults.
    ///
    /// # Errors
    /// Text that is no TOML, an unknown key, or a value of the wrong type, with its span in `text`.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let project = DeTable::parse(text)?;
        let mut merged = DeTable::parse(DEFAULTS)?;
        overlay(merged.get_mut(), project.get_ref());
        let mut parsed = Self::deserialize(Deserializer::from(merged))?;
        let project = project.get_ref();
        parsed.kafka.is_set = project.get("kafka").is_some_and(|value| sets_any(value.get_ref()));
        let files = [
            ("metrics", "rates", &mut parsed.metrics.rates),
            ("metrics", "sla", &mut parsed.metrics.sla),
            ("metrics", "sunsets", &mut parsed.metrics.sunsets),
            ("metrics", "programme", &mut parsed.metrics.programme),
            ("scoring", "policy", &mut parsed.scoring.policy),
            ("actions", "policy", &mut parsed.actions.policy),
            ("actions", "mapping", &mut parsed.actions.mapping),
        ];
        for (section, key, file) in files {
            let section = project.get(section).and_then(|value| value.get_ref().as_table());
            file.is_named = section.is_some_and(|table| table.contains_key(key));
        }
        Ok(parsed)
    }
}

/// Puts the values of `over` in place of those of `base`; tables are merged key by key. Every value
/// keeps its span, so errors point into the text that it comes from.
fn overlay<'i>(base: &mut DeTable<'i>, over: &DeTable<'i>) {
    for (key, value) in over {
        if let DeValue::Table(inner) = value.get_ref()
            && let Some(below) = base.get_mut(key)
            && let DeValue::Table(table) = below.get_mut()
        {
            overlay(table, inner);
            continue;
        }
        base.remove(key);
        base.insert(key.clone(), value.clone());
    }
}

/// Returns whether a table sets a value, at any depth: `rapport init` writes empty tables.
fn sets_any(value: &DeValue<'_>) -> bool {
    value.as_table().is_none_or(|table| table.values().any(|value| sets_any(value.get_ref())))
}

/// Returns the file of a new project: the defaults with every value commented out.
pub(crate) fn template() -> String {
    let mut text = String::with_capacity(DEFAULTS.len());
    for line in DEFAULTS.lines() {
        if !line.is_empty() && !line.starts_with(['#', '[']) {
            text.push_str("# ");
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_sets_nothing_and_shows_every_default() {
        let parsed = RapportToml::parse(&template()).expect("TOML");
        assert!(!parsed.kafka.is_set && !parsed.metrics.rates.is_named);
        let values = DEFAULTS.lines().filter(|line| !line.starts_with(['#', '[']));
        for line in values.filter(|line| !line.is_empty()) {
            assert!(template().contains(&format!("\n# {line}\n")), "{line}");
        }
    }

    #[test]
    fn default_topics_are_named_as_their_streams() {
        let topics = RapportToml::parse("").expect("TOML").kafka.topics;
        let named = Stream::ALL.map(|stream| (stream, stream.name()));
        assert_eq!(topics.iter().collect::<Vec<_>>(), named);
    }

    #[test]
    fn the_project_file_is_laid_over_the_defaults() {
        let text = "kafka.topics.api_calls = \"\"\n[metrics]\nsla = \"sla.csv\"";
        let parsed = RapportToml::parse(text).expect("TOML");
        let topics: BTreeMap<_, _> = parsed.kafka.topics.iter().collect();
        assert_eq!(topics[&Stream::ApiCalls], "");
        assert_eq!(topics[&Stream::BillingEvents], "billing-events");
        assert!(parsed.kafka.is_set);
        assert!(parsed.metrics.sla.is_named && !parsed.metrics.rates.is_named);
        assert_eq!(parsed.metrics.rates.path, Path::new("rates.csv"));
        // What the digest is made of: no default file, and nothing of the lake and Kafka.
        let digested: toml::Table =
            toml::from_str(&toml::to_string(&parsed).expect("TOML")).expect("TOML");
        let expected =
            "metrics = { reporting_currency = 'USD', sla = 'sla.csv' }\nscoring = {}\nactions = {}";
        assert_eq!(digested, toml::from_str::<toml::Table>(expected).expect("TOML"));
    }

    #[test]
    fn errors_point_into_the_project_file() {
        let check = |text: &str, start: usize| {
            let error = RapportToml::parse(text).err().expect(text);
            assert_eq!(error.span().map(|span| span.start), Some(start), "{text}");
        };
        check("[lake]\nrot = \"x\"", 7);
        check("[lake]\nroot = 1", 14);
        check("kafka = 1", 8);
        check("[lake.retention]\napi_calls = \"1\"", 29);
    }
}
