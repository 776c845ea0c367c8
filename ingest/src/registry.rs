//! A client of the Schema Registry (Confluent's API). Schemas are cached by id for ever, and
//! fetched in the background while the records that need them wait.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::decode::AvroSchema;
use crate::error::IngestError;

/// The number of requests for a schema before its records are paused.
const ATTEMPTS: u32 = 3;
/// How long an unknown id stays unknown, because it may be registered later.
const MISSING_TTL: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);
/// The greatest number of schemas that one schema may refer to. A schema counts as often as it is
/// referred to.
const MAX_REFERENCES: usize = 100;
/// The error code for an unknown id, beside the status 404.
const SCHEMA_NOT_FOUND: i64 = 40403;

/// The settings in `[kafka.schema_registry]` of rapport.toml.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// The base URL of the API, such as `http://127.0.0.1:8081`.
    pub url: String,
    /// User of basic authentication.
    pub user: Option<SecretString>,
    /// Password of basic authentication.
    pub password: Option<SecretString>,
    /// How long after a failure a schema is requested again.
    pub retry: Duration,
    /// How long a run that is to end waits for a schema.
    pub max_wait: Duration,
}

impl RegistrySettings {
    /// Returns settings for a URL without authentication and with default times.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
            retry: Duration::from_secs(5),
            max_wait: Duration::from_secs(60),
        }
    }
}

/// A schema, or `None` where the registry knows no Avro schema with the id.
type FetchedSchema = Option<Arc<AvroSchema>>;
/// A fetched schema, or what went wrong as a message.
type FetchResult = Result<FetchedSchema, String>;

/// The result of a lookup that does not wait.
pub(crate) enum SchemaLookup {
    Found(FetchedSchema),
    /// The schema has been requested. `Some` says why that has failed so far.
    Pending(Option<String>),
}

/// The registry's client with the cache of its answers.
pub(crate) struct SchemaRegistry {
    http: RegistryClient,
    runtime: Handle,
    retry: Duration,
    pub(crate) max_wait: Duration,
    schemas: HashMap<u32, CacheEntry>,
    sender: mpsc::Sender<(u32, FetchResult)>,
    answers: mpsc::Receiver<(u32, FetchResult)>,
}

/// The cached answer for an id.
enum CacheEntry {
    Found(Arc<AvroSchema>),
    Missing { until: Instant },
    Requested { failed: Option<String> },
    Failed { reason: String, until: Instant },
}

impl SchemaRegistry {
    /// # Errors
    /// Fails when the URL is invalid.
    pub(crate) fn new(settings: &RegistrySettings, runtime: &Handle) -> Result<Self, IngestError> {
        let (sender, answers) = mpsc::channel();
        Ok(Self {
            http: RegistryClient::new(settings)?,
            runtime: runtime.clone(),
            retry: settings.retry,
            max_wait: settings.max_wait,
            schemas: HashMap::new(),
            sender,
            answers,
        })
    }

    /// Returns the schema of an id without waiting. An id that is not cached is requested in the
    /// background.
    pub(crate) fn look_up(&mut self, id: u32) -> SchemaLookup {
        if let Some(CacheEntry::Found(schema)) = self.schemas.get(&id) {
            return SchemaLookup::Found(Some(Arc::clone(schema)));
        }
        while let Ok((id, answer)) = self.answers.try_recv() {
            self.store(id, answer);
        }
        let now = Instant::now();
        let failed = match self.schemas.get(&id) {
            Some(CacheEntry::Found(schema)) => {
                return SchemaLookup::Found(Some(Arc::clone(schema)));
            }
            Some(CacheEntry::Missing { until }) if now < *until => {
                return SchemaLookup::Found(None);
            }
            Some(CacheEntry::Requested { failed }) => return SchemaLookup::Pending(failed.clone()),
            Some(CacheEntry::Failed { reason, until }) if now < *until => {
                return SchemaLookup::Pending(Some(reason.clone()));
            }
            Some(CacheEntry::Failed { reason, .. }) => Some(reason.clone()),
            Some(CacheEntry::Missing { .. }) | None => None,
        };
        self.schemas.insert(id, CacheEntry::Requested { failed: failed.clone() });
        let (http, sender, pause) = (self.http.clone(), self.sender.clone(), self.retry / 20);
        self.runtime.spawn(async move {
            // The receiver is gone when the run has ended.
            drop(sender.send((id, http.fetch_with_retries(id, pause).await)));
        });
        SchemaLookup::Pending(failed)
    }

    /// Returns the schema of an id, and waits for the answer.
    ///
    /// # Errors
    /// Fails when the registry does not answer.
    pub(crate) async fn fetch(&mut self, id: u32) -> Result<FetchedSchema, IngestError> {
        match self.schemas.get(&id) {
            Some(CacheEntry::Found(schema)) => return Ok(Some(Arc::clone(schema))),
            Some(CacheEntry::Missing { .. }) => return Ok(None),
            _ => {}
        }
        let answer = self.http.fetch_with_retries(id, self.retry / 20).await;
        self.store(id, answer.clone());
        answer.map_err(|reason| IngestError::SchemaUnavailable { id, reason })
    }

    fn store(&mut self, id: u32, answer: FetchResult) {
        let now = Instant::now();
        let state = match answer {
            Ok(Some(schema)) => CacheEntry::Found(schema),
            Ok(None) => CacheEntry::Missing { until: now + MISSING_TTL },
            Err(reason) => CacheEntry::Failed { reason, until: now + self.retry },
        };
        self.schemas.insert(id, state);
    }
}

/// Returns the schema types that the registry supports, to check that it answers.
///
/// # Errors
/// Fails with what is wrong with the registry or with its settings.
pub async fn check_registry(settings: &RegistrySettings) -> Result<Vec<String>, IngestError> {
    let silent = |reason: String| IngestError::RegistryUnreachable { reason };
    let schema_types =
        RegistryClient::new(settings)?.get(&["schemas", "types"]).await.map_err(silent)?;
    Ok(schema_types.unwrap_or_default())
}

/// An HTTP client of the registry's API.
#[derive(Clone)]
struct RegistryClient {
    client: Client,
    base: String,
    user: Option<SecretString>,
    password: Option<SecretString>,
}

/// The answer for a schema id.
#[derive(Deserialize)]
struct SchemaResponse {
    schema: String,
    /// The schema type, which is Avro where it is absent.
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<SchemaReference>,
}

/// Another schema whose named types a schema uses.
#[derive(Deserialize)]
struct SchemaReference {
    subject: String,
    version: i64,
}

/// The answer of a failed request.
#[derive(Deserialize)]
struct ErrorResponse {
    error_code: Option<i64>,
    message: Option<String>,
}

impl RegistryClient {
    fn new(settings: &RegistrySettings) -> Result<Self, IngestError> {
        let wrong = |what: &str| IngestError::Setting(format!("[kafka.schema_registry]: {what}"));
        let url = Url::parse(&settings.url)
            // The message leaves out the URL, which may contain a password even where it is
            // invalid.
            .map_err(|e| wrong(&format!("the url is none: {e}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("the url holds a user or a password; give them by the environment"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("the url is the base of the API, without ? and #"));
        }
        let builder = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT);
        let builder = match url.scheme() {
            "https" => builder,
            // HTTP needs none of the system's certificates.
            "http" => builder.tls_certs_only([]),
            _ => return Err(wrong("the url begins with http:// or https://")),
        };
        let client = builder.build().map_err(|e| wrong(&describe(e)))?;
        let base = settings.url.trim_end_matches('/').to_owned();
        let (user, password) = (settings.user.clone(), settings.password.clone());
        Ok(Self { client, base, user, password })
    }

    /// Requests a schema a few times, with a growing pause.
    async fn fetch_with_retries(&self, id: u32, pause: Duration) -> FetchResult {
        let mut attempt = 1;
        loop {
            match self.schema(id).await {
                Err(reason) if attempt < ATTEMPTS => {
                    tracing::debug!(id, reason, "the Schema Registry is asked again");
                    tokio::time::sleep(pause * attempt).await;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    async fn schema(&self, id: u32) -> FetchResult {
        let Some(found) = self.get::<SchemaResponse>(&["schemas", "ids", &id.to_string()]).await?
        else {
            return Ok(None);
        };
        if let Some(schema_type) = found.schema_type.filter(|schema_type| schema_type != "AVRO") {
            tracing::warn!(
                id,
                kind = schema_type,
                "a schema that is not Avro: its records are rejected"
            );
            return Ok(None);
        }
        // The order is breadth first, so that its reverse has each schema after those that it
        // needs.
        let mut referenced = Vec::new();
        let mut open = std::collections::VecDeque::from(found.references);
        while let Some(SchemaReference { subject, version }) = open.pop_front() {
            let path = ["subjects", &subject, "versions", &version.to_string()];
            let next = self.get::<SchemaResponse>(&path).await?.ok_or_else(|| {
                format!(
                    "{} does not have {subject}, version {version}, which schema {id} needs",
                    self.base
                )
            })?;
            open.extend(next.references);
            referenced.push(next.schema);
            if referenced.len() > MAX_REFERENCES {
                return Err(format!("schema {id} refers to more than {MAX_REFERENCES} others"));
            }
        }
        referenced.reverse();
        match AvroSchema::parse(&found.schema, &referenced) {
            Ok(schema) => Ok(Some(Arc::new(schema))),
            Err(reason) => {
                tracing::warn!(id, reason, "a schema that can't be read: its records are rejected");
                Ok(None)
            }
        }
    }

    /// Sends a GET request. Returns `None` when the registry answers that there is no such schema.
    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, String> {
        let registry_error = |what: String| format!("the Schema Registry {}: {what}", self.base);
        let mut url = Url::parse(&self.base).map_err(|e| registry_error(e.to_string()))?;
        // `extend` escapes what a subject's name may contain.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut request = self
            .client
            .get(url)
            .header("accept", "application/vnd.schemaregistry.v1+json, application/json;q=0.9");
        if let Some(user) = &self.user {
            let password = self.password.as_ref().map(ExposeSecret::expose_secret);
            request = request.basic_auth(user.expose_secret(), password);
        }
        let response = request.send().await.map_err(|e| registry_error(describe(e)))?;
        let status = response.status();
        let text = response.text().await.map_err(|e| registry_error(describe(e)))?;
        if status.is_success() {
            let parsed = serde_json::from_str(&text);
            return parsed
                .map(Some)
                .map_err(|e| registry_error(format!("an answer that is none: {e}")));
        }
        let refused: Option<ErrorResponse> = serde_json::from_str(&text).ok();
        let code = refused.as_ref().and_then(|r| r.error_code);
        if status == StatusCode::NOT_FOUND && code == Some(SCHEMA_NOT_FOUND) {
            return Ok(None);
        }
        let hint = match status {
            StatusCode::NOT_FOUND => "; does its API begin at that url?",
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; check its user and password",
            _ => "",
        };
        let message: String =
            refused.and_then(|r| r.message).unwrap_or_default().chars().take(200).collect();
        Err(registry_error(format!("it answers {status} {message}").trim_end().to_owned() + hint))
    }
}

/// Returns an HTTP client's error with its root cause, without the URL.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.source().is_none() {
            text = format!("{text}: {inner}");
        }
        cause = inner.source();
    }
    text
}
