//! The Schema Registry (Confluent's API): schemas by id, kept for ever, fetched while the records
//! that need them wait.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::decode::Schema;
use crate::error::IngestError;

/// How often a schema is asked for in a row before its records wait.
const ATTEMPTS: u32 = 3;
/// An id that the registry does not know may be registered later.
const MISSING: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most schemas that one schema may refer to, each counted as often as it is named.
const MOST_REFERENCES: usize = 100;
/// What the API calls an unknown id, beside the status 404.
const SCHEMA_NOT_FOUND: i64 = 40403;

/// The registry as `[kafka.schema_registry]` says.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// Where its API begins, such as `http://127.0.0.1:8081`.
    pub url: String,
    /// Basic authentication.
    pub user: Option<SecretString>,
    pub password: Option<SecretString>,
    /// How long after a failure it is asked again.
    pub retry: Duration,
    /// How long a run that is to end waits for it.
    pub patience: Duration,
}

impl RegistrySettings {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
            retry: Duration::from_secs(5),
            patience: Duration::from_secs(60),
        }
    }
}

/// A schema, or `None` for an id that has none.
type Found = Option<Arc<Schema>>;
/// What went wrong, for people.
type Answer = Result<Found, String>;

/// What is known of an id right now.
pub(crate) enum LookUp {
    Found(Found),
    /// It has been asked for; `Some` says why that has failed so far.
    Waiting(Option<String>),
}

/// The registry and what it has answered.
pub(crate) struct Registry {
    http: Http,
    runtime: Handle,
    retry: Duration,
    pub(crate) patience: Duration,
    schemas: HashMap<u32, State>,
    sender: mpsc::Sender<(u32, Answer)>,
    answers: mpsc::Receiver<(u32, Answer)>,
}

enum State {
    Found(Arc<Schema>),
    Missing { until: Instant },
    Asked { failed: Option<String> },
    Failed { reason: String, until: Instant },
}

impl Registry {
    /// # Errors
    /// When the URL is none.
    pub(crate) fn new(settings: &RegistrySettings, runtime: &Handle) -> Result<Self, IngestError> {
        let (sender, answers) = mpsc::channel();
        Ok(Self {
            http: Http::new(settings)?,
            runtime: runtime.clone(),
            retry: settings.retry,
            patience: settings.patience,
            schemas: HashMap::new(),
            sender,
            answers,
        })
    }

    /// What an id stands for, without waiting: what is not known is asked for meanwhile.
    pub(crate) fn look_up(&mut self, id: u32) -> LookUp {
        if let Some(State::Found(schema)) = self.schemas.get(&id) {
            return LookUp::Found(Some(Arc::clone(schema)));
        }
        while let Ok((id, answer)) = self.answers.try_recv() {
            self.note(id, answer);
        }
        let now = Instant::now();
        let failed = match self.schemas.get(&id) {
            Some(State::Found(schema)) => return LookUp::Found(Some(Arc::clone(schema))),
            Some(State::Missing { until }) if now < *until => return LookUp::Found(None),
            Some(State::Asked { failed }) => return LookUp::Waiting(failed.clone()),
            Some(State::Failed { reason, until }) if now < *until => {
                return LookUp::Waiting(Some(reason.clone()));
            }
            Some(State::Failed { reason, .. }) => Some(reason.clone()),
            Some(State::Missing { .. }) | None => None,
        };
        self.schemas.insert(id, State::Asked { failed: failed.clone() });
        let (http, sender, pause) = (self.http.clone(), self.sender.clone(), self.retry / 20);
        self.runtime.spawn(async move {
            // Nobody listens any longer when the run has ended.
            drop(sender.send((id, http.ask(id, pause).await)));
        });
        LookUp::Waiting(failed)
    }

    /// What an id stands for, waiting for the answer.
    ///
    /// # Errors
    /// When the registry gives none.
    pub(crate) async fn fetch(&mut self, id: u32) -> Result<Found, IngestError> {
        match self.schemas.get(&id) {
            Some(State::Found(schema)) => return Ok(Some(Arc::clone(schema))),
            Some(State::Missing { .. }) => return Ok(None),
            _ => {}
        }
        let answer = self.http.ask(id, self.retry / 20).await;
        self.note(id, answer.clone());
        answer.map_err(|reason| IngestError::Registry { id, reason })
    }

    fn note(&mut self, id: u32, answer: Answer) {
        let now = Instant::now();
        let state = match answer {
            Ok(Some(schema)) => State::Found(schema),
            Ok(None) => State::Missing { until: now + MISSING },
            Err(reason) => State::Failed { reason, until: now + self.retry },
        };
        self.schemas.insert(id, state);
    }
}

/// Asks the registry what kinds of schemas it has, to see that it answers.
///
/// # Errors
/// What is wrong with it, or with its settings.
pub async fn check_registry(settings: &RegistrySettings) -> Result<Vec<String>, IngestError> {
    let silent = |reason: String| IngestError::RegistrySilent { reason };
    let kinds = Http::new(settings)?.get(&["schemas", "types"]).await.map_err(silent)?;
    Ok(kinds.unwrap_or_default())
}

#[derive(Clone)]
struct Http {
    client: Client,
    base: String,
    user: Option<SecretString>,
    password: Option<SecretString>,
}

/// The answer for an id.
#[derive(Deserialize)]
struct Registered {
    schema: String,
    /// Avro where it is not told.
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

/// Another schema whose names this one uses.
#[derive(Deserialize)]
struct Reference {
    subject: String,
    version: i64,
}

/// The answer that says what is wrong.
#[derive(Deserialize)]
struct Refused {
    error_code: Option<i64>,
    message: Option<String>,
}

impl Http {
    fn new(settings: &RegistrySettings) -> Result<Self, IngestError> {
        let wrong = |what: &str| IngestError::Setting(format!("[kafka.schema_registry]: {what}"));
        let url = Url::parse(&settings.url)
            // It may hold a password although it can't be read.
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
            // Needs none of the system's certificates.
            "http" => builder.tls_certs_only([]),
            _ => return Err(wrong("the url begins with http:// or https://")),
        };
        let client = builder.build().map_err(|e| wrong(&describe(e)))?;
        let base = settings.url.trim_end_matches('/').to_owned();
        let (user, password) = (settings.user.clone(), settings.password.clone());
        Ok(Self { client, base, user, password })
    }

    /// Asks a few times, the pause doubling in between.
    async fn ask(&self, id: u32, pause: Duration) -> Answer {
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

    async fn schema(&self, id: u32) -> Answer {
        let Some(found) = self.get::<Registered>(&["schemas", "ids", &id.to_string()]).await?
        else {
            return Ok(None);
        };
        if let Some(kind) = found.kind.filter(|kind| kind != "AVRO") {
            tracing::warn!(id, kind, "a schema that is not Avro: its records are rejected");
            return Ok(None);
        }
        // Breadth first, so that the reverse has each schema after those that it needs.
        let mut referenced = Vec::new();
        let mut open = std::collections::VecDeque::from(found.references);
        while let Some(Reference { subject, version }) = open.pop_front() {
            let path = ["subjects", &subject, "versions", &version.to_string()];
            let next = self.get::<Registered>(&path).await?.ok_or_else(|| {
                format!(
                    "{} does not have {subject}, version {version}, which schema {id} needs",
                    self.base
                )
            })?;
            open.extend(next.references);
            referenced.push(next.schema);
            if referenced.len() > MOST_REFERENCES {
                return Err(format!("schema {id} refers to more than {MOST_REFERENCES} others"));
            }
        }
        referenced.reverse();
        match Schema::parse(&found.schema, &referenced) {
            Ok(schema) => Ok(Some(Arc::new(schema))),
            Err(reason) => {
                tracing::warn!(id, reason, "a schema that can't be read: its records are rejected");
                Ok(None)
            }
        }
    }

    /// `None` when the registry says that there is no such schema.
    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, String> {
        let said = |what: String| format!("the Schema Registry {}: {what}", self.base);
        let mut url = Url::parse(&self.base).map_err(|e| said(e.to_string()))?;
        // Escapes what a subject's name may hold.
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
        let response = request.send().await.map_err(|e| said(describe(e)))?;
        let status = response.status();
        let text = response.text().await.map_err(|e| said(describe(e)))?;
        if status.is_success() {
            let parsed = serde_json::from_str(&text);
            return parsed.map(Some).map_err(|e| said(format!("an answer that is none: {e}")));
        }
        let refused: Option<Refused> = serde_json::from_str(&text).ok();
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
        Err(said(format!("it answers {status} {message}").trim_end().to_owned() + hint))
    }
}

/// An error of the client with what is behind it, without the URL.
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
