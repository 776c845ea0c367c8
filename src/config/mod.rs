//! The configuration of a project: flags win over the environment, the environment over
//! `rapport.toml`, and that over the defaults. Paths are relative to the file's folder.
//!
//! - `file`: the sections of `rapport.toml` and the commented defaults below it
//! - `check`: what must hold of the values
//! - `deliveries`: the deliveries of reports
//! - `mappings`: the mappings of streams, and those that a command line names
//! - `reference_data`: the CSV files beside it

mod check;
mod deliveries;
mod file;
mod mappings;
mod reference_data;

pub(crate) use check::check_servers;
pub(crate) use deliveries::{DeliveryDefinition, DigestKind};
pub(crate) use file::{DEFAULTS, Recipient, template};
pub(crate) use mappings::{NO_MAPPING, given_mapping, mapping_name};

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use actions::deliver::ChannelDefinition;
use anyhow::Context;
use domain::{Stream, toml_error};
use ingest::{KafkaSettings, RegistrySettings};
use lake::{LakeOptions, StoreOptions};
use secrecy::{ExposeSecret, SecretString};
use serve::LimitSettings;

use crate::errors::{UsageError, usage_error};
use crate::text_file::without_bom;
use crate::{secret_settings, store_options};
use file::{OptionalFile, RapportToml};

const FILE: &str = "rapport.toml";

/// What is said where no configuration is named and none is found.
const NO_PROJECT: &str = "no rapport.toml here or in a folder above: run `rapport init DIR` to make \
                          a project, or give --config FILE";

/// The configuration of a project. It may hold secrets, so it has no `Debug`.
#[derive(Clone)]
pub(crate) struct Config {
    /// The folder that paths are relative to.
    pub(crate) folder: PathBuf,
    /// Whether the file or the environment sets anything of Kafka: a project may only load files.
    pub(crate) names_kafka: bool,
    values: RapportToml,
    store: StoreOptions,
    /// Where the file names each stream's mapping.
    mapping_positions: BTreeMap<Stream, String>,
}

/// Holds for how many days records are kept; `None` means for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) api_calls: Option<u32>,
    pub(crate) dead_letters: Option<u32>,
}

impl Config {
    /// Reads the file given, or the nearest `rapport.toml` in this folder or one above.
    pub(crate) fn find(given: Option<&Path>) -> anyhow::Result<Self> {
        Self::find_if_any(given)?.ok_or_else(|| usage_error(NO_PROJECT))
    }

    /// Reads what [`Config::find`] does, or returns `None` where there is no project.
    pub(crate) fn find_if_any(given: Option<&Path>) -> anyhow::Result<Option<Self>> {
        if let Some(path) = given {
            return Self::read(path).map(Some);
        }
        let here = std::env::current_dir().context("the current folder")?;
        let found = here.ancestors().map(|folder| folder.join(FILE)).find(|path| path.is_file());
        found.map(|path| Self::read(&path)).transpose()
    }

    /// Returns the defaults, for commands that run without a project.
    pub(crate) fn without_project() -> anyhow::Result<Self> {
        let values = RapportToml::parse("").context("the defaults of rapport.toml")?;
        Ok(Self {
            folder: PathBuf::new(),
            names_kafka: false,
            values,
            store: StoreOptions::default(),
            mapping_positions: BTreeMap::new(),
        })
    }

    /// Reads one configuration file and what the environment sets over it.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let text = without_bom(&text);
        let values = RapportToml::parse(text).map_err(|e| {
            let (at, what) = toml_error(text, e.span(), e.message());
            usage_error(format!("{}:{at}: {what}", path.display()))
        })?;
        check::check(&values, path, text)?;
        deliveries::check(&values, path, text)?;
        let mapping_positions = mappings::positions(&values, path, text);
        let path = std::path::absolute(path).context("the configuration's folder")?;
        // Object-store paths can't hold `..`.
        let folder = path.parent().unwrap_or(Path::new("/"));
        let folder = folder.canonicalize().context("the configuration's folder")?;
        let names_kafka = values.kafka.is_set;
        let store = StoreOptions::default();
        let mut config = Self { folder, names_kafka, values, store, mapping_positions };
        config.apply_environment()?;
        if config.values.lake.root.starts_with("s3://") {
            config.store = config.read_store()?;
        }
        Ok(config)
    }

    /// Reads the options of the object store from the file and the environment.
    fn read_store(&self) -> anyhow::Result<StoreOptions> {
        // A variable that is not UTF-8 is none of the program's.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        store_options::read(&self.values.lake.store, &self.folder, variables)
    }

    /// Puts the values of environment variables over those of the file.
    fn apply_environment(&mut self) -> anyhow::Result<()> {
        let RapportToml { lake, kafka, .. } = &mut self.values;
        let settings = [
            ("RAPPORT_LAKE_ROOT", &mut lake.root),
            ("RAPPORT_KAFKA_BOOTSTRAP_SERVERS", &mut kafka.bootstrap_servers),
            ("RAPPORT_SCHEMA_REGISTRY_URL", &mut kafka.schema_registry.url),
        ];
        for (name, setting) in settings {
            let Ok(value) = std::env::var(name) else { continue };
            check::check_variable(name, &value)?;
            *setting = value;
            self.names_kafka |= name == "RAPPORT_KAFKA_BOOTSTRAP_SERVERS";
        }
        Ok(())
    }

    /// Returns how the lake is opened.
    pub(crate) fn lake(&self) -> LakeOptions {
        let lake = &self.values.lake;
        let root = if lake.root.contains("://") {
            lake.root.clone()
        } else {
            resolve_path(&self.folder, Path::new(&lake.root)).display().to_string()
        };
        LakeOptions { root, key_file: self.folder.join(&lake.key_file), store: self.store.clone() }
    }

    /// Returns how the lake is opened beside another place, such as a backup in a bucket.
    pub(crate) fn lake_beside(&self, other: &str) -> anyhow::Result<LakeOptions> {
        let options = self.lake();
        if options.root.starts_with("s3://") || !other.starts_with("s3://") {
            return Ok(options);
        }
        Ok(LakeOptions { store: self.read_store()?, ..options })
    }

    /// Returns the address of the cluster's scheduler; `None` where this process works alone.
    pub(crate) fn cluster(&self) -> Option<&str> {
        Some(self.values.cluster.scheduler.as_str()).filter(|address| !address.is_empty())
    }

    /// Puts an address of the command line over that of the file.
    pub(crate) fn set_cluster(&mut self, scheduler: Option<&str>) {
        if let Some(scheduler) = scheduler {
            scheduler.clone_into(&mut self.values.cluster.scheduler);
        }
    }

    /// Returns for how long work waits for the first executor of the cluster.
    pub(crate) fn executor_wait(&self) -> Duration {
        Duration::from_secs(self.values.cluster.executor_wait_seconds)
    }

    /// Returns the most events that are computed in one piece.
    pub(crate) fn unit_rows(&self) -> u64 {
        self.values.cluster.unit_rows.get()
    }

    /// Returns for how long records are kept.
    pub(crate) fn retention(&self) -> Retention {
        let section = &self.values.lake.retention;
        Retention {
            api_calls: section.api_calls.map(|days| days.0),
            dead_letters: section.dead_letters.map(|days| days.0),
        }
    }

    /// Returns how the Kafka cluster is reached and which topics are read.
    pub(crate) fn kafka(&self) -> anyhow::Result<KafkaSettings> {
        let kafka = &self.values.kafka;
        let enabled = kafka.topics.iter().filter(|(_, topic)| !topic.is_empty());
        let topics: BTreeMap<Stream, String> = enabled.map(|(s, t)| (s, t.to_owned())).collect();
        let distinct: std::collections::BTreeSet<_> = topics.values().collect();
        if distinct.len() < topics.len() {
            return Err(usage_error(
                "[kafka.topics]: two streams have the same topic; each needs its own",
            ));
        }
        Ok(KafkaSettings {
            bootstrap_servers: kafka.bootstrap_servers.clone(),
            group_id: kafka.group_id.clone(),
            topics,
            properties: self.kafka_properties()?,
            registry: self.registry(),
            // A command that reads the topics adds them; the others need none.
            mappings: BTreeMap::new(),
            embedded: false,
        })
    }

    /// Returns librdkafka's properties, with secrets read from where the file says they are.
    fn kafka_properties(&self) -> anyhow::Result<BTreeMap<String, SecretString>> {
        let mut properties = BTreeMap::new();
        for (name, value) in &self.values.kafka.properties {
            let label = format!("[kafka.properties] \"{name}\"");
            let mut value = secret_settings::resolve(&label, value, &self.folder)?;
            let text = value.expose_secret();
            // Paths of certificates and keys are relative to the configuration, as all its paths.
            if name.starts_with("ssl.") && name.ends_with(".location") && text != "probe" {
                value = resolve_path(&self.folder, Path::new(text)).display().to_string().into();
            }
            properties.insert(name.clone(), value);
        }
        Ok(properties)
    }

    /// Returns how the Schema Registry is reached. Its user and password come from the environment
    /// only.
    pub(crate) fn registry(&self) -> Option<RegistrySettings> {
        let url = Some(&self.values.kafka.schema_registry.url).filter(|url| !url.is_empty())?;
        let secret = |name: &str| {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            let value = value.map(SecretString::from);
            value.iter().for_each(secret_settings::register);
            value
        };
        Some(RegistrySettings {
            user: secret("RAPPORT_SCHEMA_REGISTRY_USER"),
            password: secret("RAPPORT_SCHEMA_REGISTRY_PASSWORD"),
            ..RegistrySettings::new(url)
        })
    }

    /// Returns the currency that money is shown in, an ISO 4217 code.
    pub(crate) fn reporting_currency(&self) -> &str {
        &self.values.metrics.reporting_currency
    }

    /// Returns the folder of the project's own queries, where it has any.
    pub(crate) fn queries(&self) -> Option<PathBuf> {
        Some(self.queries_folder()).filter(|folder| folder.is_dir())
    }

    /// Returns where the project's own queries are, or would be.
    pub(crate) fn queries_folder(&self) -> PathBuf {
        self.folder.join("queries")
    }

    /// Returns the path and the text of the scoring policy; `None` means the built-in one.
    pub(crate) fn scoring_policy(&self) -> anyhow::Result<Option<(PathBuf, String)>> {
        self.policy(&self.values.scoring.policy)
    }

    /// Returns where the scoring policy is, or would be.
    pub(crate) fn scoring_policy_path(&self) -> PathBuf {
        self.folder.join(&self.values.scoring.policy.path)
    }

    /// Returns the path and the text of the action policy; `None` means the built-in one.
    pub(crate) fn actions_policy(&self) -> anyhow::Result<Option<(PathBuf, String)>> {
        self.policy(&self.values.actions.policy)
    }

    /// Returns the path of the mapping of partners, if there is one.
    pub(crate) fn actions_mapping(&self) -> Option<PathBuf> {
        self.values.actions.mapping.find_in(&self.folder)
    }

    /// Returns the channels that the configuration defines.
    pub(crate) fn action_channels(&self) -> &[ChannelDefinition] {
        &self.values.actions.channels
    }

    /// Returns the name of the channel of each kind of action.
    pub(crate) fn action_routes(&self) -> &BTreeMap<String, String> {
        &self.values.actions.deliver
    }

    /// Returns where the recipients of notices are.
    pub(crate) fn recipients(&self) -> &BTreeMap<String, Recipient> {
        &self.values.actions.recipients
    }

    /// Returns the deliveries of reports.
    pub(crate) fn deliveries(&self) -> &[DeliveryDefinition] {
        &self.values.deliveries
    }

    /// Returns the goals of the project.
    pub(crate) fn targets(&self) -> &dashboards::Targets {
        &self.values.targets
    }

    /// Returns how the pages are served.
    pub(crate) fn serve(&self) -> ServeSettings {
        let section = &self.values.serve;
        ServeSettings {
            listen: section.listen.clone(),
            access: section.access.find_in(&self.folder),
            access_path: self.folder.join(&section.access.path),
            is_behind_tls: section.behind_tls,
            refresh_every: Duration::from_secs(section.refresh_seconds.max(1)),
            chromium: match section.chromium.as_str() {
                "" => None,
                path => Some(resolve_path(&self.folder, Path::new(path))),
            },
            public_url: self.public_url().map(str::to_owned),
            embed_ancestors: section.embed_ancestors.clone(),
            embed_version: section.embed_version,
            limits: LimitSettings {
                sign_ins_per_minute: section.sign_ins_per_minute,
                sql_per_minute: section.sql_per_minute,
            },
            postgres: self.postgres(),
        }
    }

    /// Returns where BI tools connect.
    fn postgres(&self) -> PostgresSettings {
        let section = &self.values.serve.postgres;
        let resolve = |path: &str| resolve_path(&self.folder, Path::new(path));
        let is_named = !section.certificate.is_empty();
        PostgresSettings {
            listen: (!section.listen.is_empty()).then(|| section.listen.clone()),
            certificate: is_named.then(|| (resolve(&section.certificate), resolve(&section.key))),
            connections: section.connections.get().into(),
            timeout: Duration::from_secs(section.statement_seconds.get().into()),
        }
    }

    /// Returns where people reach the served pages, without a slash at its end, if that is known.
    pub(crate) fn public_url(&self) -> Option<&str> {
        let url = self.values.serve.public_url.trim_end_matches('/');
        (!url.is_empty()).then_some(url)
    }

    fn policy(&self, file: &OptionalFile) -> anyhow::Result<Option<(PathBuf, String)>> {
        let Some(path) = file.find_in(&self.folder) else { return Ok(None) };
        let text = std::fs::read_to_string(&path).map_err(|e| {
            usage_error(format!("the policy {} can't be read: {e}", path.display()))
        })?;
        Ok(Some((path, text)))
    }

    /// Returns a digest of everything besides the lake that a run's figures depend on.
    pub(crate) fn digest(&self) -> anyhow::Result<String> {
        let mut text = toml::to_string(&self.values).context("the configuration as text")?;
        let metrics = &self.values.metrics;
        for file in [&metrics.rates, &metrics.sla, &metrics.sunsets, &metrics.programme] {
            let path = self.folder.join(&file.path);
            text.push_str(&std::fs::read_to_string(path).unwrap_or_default());
        }
        for policy in [self.scoring_policy()?, self.actions_policy()?].into_iter().flatten() {
            text.push_str(&policy.1);
        }
        Ok(lake::sha256_hex(text.as_bytes()))
    }
}

/// How the pages are served.
pub(crate) struct ServeSettings {
    pub(crate) listen: String,
    /// The file of people who may sign in, if there is one.
    pub(crate) access: Option<PathBuf>,
    /// Where that file would be.
    pub(crate) access_path: PathBuf,
    pub(crate) is_behind_tls: bool,
    pub(crate) refresh_every: Duration,
    /// The program that makes PDF and PNG files; `None`: the one that is installed.
    pub(crate) chromium: Option<PathBuf>,
    /// Where people reach the pages, if that is not the address of the server.
    pub(crate) public_url: Option<String>,
    /// The sites that may embed usage pages, as they were written.
    pub(crate) embed_ancestors: Vec<String>,
    pub(crate) embed_version: u32,
    pub(crate) limits: LimitSettings,
    pub(crate) postgres: PostgresSettings,
}

/// Where BI tools connect.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "the feature postgres reads it"))]
pub(crate) struct PostgresSettings {
    pub(crate) listen: Option<String>,
    /// The files of the certificate with its chain, and of its key.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    /// How many connections are open at once.
    pub(crate) connections: usize,
    /// How long a statement may take.
    pub(crate) timeout: Duration,
}

/// Refuses a configuration that is named and is no file. Every command asks this first, also those
/// that go on without a project: a wrong name would leave the project out without a word.
pub(crate) fn check_given(given: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = given else { return Ok(()) };
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(usage_error(format!(
            "the configuration {} is a folder; name the file in it",
            path.display()
        ))),
        Ok(_) => Ok(()),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Returns whether an error of [`Config::find`] says only that there is no project.
pub(crate) fn is_no_project(error: &anyhow::Error) -> bool {
    error.downcast_ref::<UsageError>().is_some_and(|error| error.0 == NO_PROJECT)
}

fn unreadable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    let path = path.display();
    usage_error(match error.kind() {
        ErrorKind::NotFound => {
            format!("there is no configuration {path}; `rapport init DIR` makes one")
        }
        _ => format!("the configuration {path} can't be read: {error}"),
    })
}

/// Joins a path to a folder and takes `.` and `..` out of it.
fn resolve_path(folder: &Path, path: &Path) -> PathBuf {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_configuration_must_be_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(FILE);
        let check = |path: &Path, message: &str| {
            let error = check_given(Some(path)).expect_err("refused");
            assert!(error.to_string().contains(message), "{error}");
            assert!(!is_no_project(&error), "{error}");
        };
        check(&file, "there is no configuration");
        check(folder.path(), "is a folder; name the file in it");
        std::fs::write(&file, "").expect("room for a file");
        check_given(Some(&file)).expect("a file");
        check_given(None).expect("none is named");
        assert!(is_no_project(&usage_error(NO_PROJECT)));
        assert!(NO_PROJECT.starts_with(&format!("no {FILE} here")), "{NO_PROJECT}");
    }

    #[test]
    fn paths_are_resolved_from_the_project() {
        let check = |path: &str, whole: &str| {
            assert_eq!(resolve_path(Path::new("/srv/project"), Path::new(path)), Path::new(whole));
        };
        check("lake", "/srv/project/lake");
        check("./lake", "/srv/project/lake");
        check("../lake", "/srv/lake");
        check("../../../lake", "/lake");
        check("/data/../lake", "/lake");
    }
}
