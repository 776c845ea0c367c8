//! Where the lake's files are: a folder, or a bucket of a store that speaks S3.
//!
//! A bucket must refuse to put what is there already (`If-None-Match: *`): commits of several
//! workers are told apart by nothing else. A new lake tries that first.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use lake_types::hide;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use object_store::{ObjectStoreScheme, PutMode, PutOptions};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::checked::CheckedStore;
use crate::error::LakeError;

/// Options of an object store by the names that object_store gives them: `endpoint`, `region`,
/// `allow_http`, `access_key_id` … Their values may be secrets.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions(pub BTreeMap<String, SecretString>);

impl StoreOptions {
    /// The one name of an option that has several; `None` where there is no such option, or where
    /// the lake's root says it, or where a lake can be had with one value only.
    pub fn name(name: &str) -> Option<String> {
        match name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            Err(_) | Ok(AmazonS3ConfigKey::Bucket | AmazonS3ConfigKey::ConditionalPut) => None,
            Ok(key) => Some(key.as_ref().to_owned()),
        }
    }

    /// Whether the option, by its one name, is a secret, which stands in no configuration file.
    pub fn is_secret(name: &str) -> bool {
        let secrets = ["aws_secret_access_key", "aws_session_token", "aws_sse_customer_key_base64"];
        secrets.contains(&name)
    }
}

/// A request that fails is tried again for so long; together with the last try a store that can't
/// be reached is an error within about half a minute.
const RETRIES: RetryConfig = RetryConfig {
    backoff: BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(3),
        base: 2.0,
    },
    // The time is what ends them.
    max_retries: 100,
    retry_timeout: Duration::from_secs(12),
};
const CONNECT: Duration = Duration::from_secs(5);
/// What one answer may take; the option `timeout` gives files on a slow line more.
const ANSWER: Duration = Duration::from_secs(30);

/// The lake's root.
#[derive(Clone)]
pub(crate) struct Place {
    /// Ends in `/`.
    pub(crate) root: Url,
    /// The root as a folder, where it is one: its files are fsynced.
    pub(crate) folder: Option<PathBuf>,
    /// Reads and writes below the root, and gives nothing that is damaged.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The same, with whatever lies there.
    pub(crate) unchecked: Arc<dyn ObjectStore>,
    /// The whole file system or bucket, the lake in it checked.
    pub(crate) whole: Arc<CheckedStore>,
}

impl Place {
    pub(crate) fn of(root: &str, options: &StoreOptions) -> Result<Self, LakeError> {
        let wrong = |reason: String| LakeError::Root { root: root.to_owned(), reason };
        let (root, folder) = match root.split_once("://") {
            None => {
                let folder = std::path::absolute(root).map_err(|e| wrong(e.to_string()))?;
                let url = Url::from_directory_path(&folder)
                    .map_err(|()| wrong("the path can't be written as a URL".to_owned()))?;
                (url, Some(folder))
            }
            Some((scheme @ ("s3" | "file"), _)) => {
                let mut url = Url::parse(root).map_err(|e| wrong(e.to_string()))?;
                if !url.path().ends_with('/') {
                    url.set_path(&format!("{}/", url.path()));
                }
                let folder = (scheme == "file").then(|| url.to_file_path().ok()).flatten();
                (url, folder)
            }
            Some((scheme, _)) => {
                let why = format!("there is no lake at {scheme}:// yet");
                return Err(wrong(format!("{why}; a folder and s3://bucket/prefix are possible")));
            }
        };
        let whole: Arc<dyn ObjectStore> = match folder {
            Some(_) => Arc::new(LocalFileSystem::new()),
            None => Arc::new(bucket(&root, options).map_err(wrong)?),
        };
        let (_, prefix) = ObjectStoreScheme::parse(&root).map_err(|e| wrong(e.to_string()))?;
        let unchecked = Arc::new(PrefixStore::new(Arc::clone(&whole), prefix.clone()));
        let whole = Arc::new(CheckedStore::new(whole, prefix.clone()));
        let checked: Arc<dyn ObjectStore> = Arc::<CheckedStore>::clone(&whole);
        let store = Arc::new(PrefixStore::new(checked, prefix));
        Ok(Self { root, folder, store, unchecked, whole })
    }

    pub(crate) fn table_url(&self, table: &str) -> Url {
        let mut url = self.root.clone();
        url.set_path(&format!("{}{table}/", self.root.path()));
        url
    }

    /// A table's log, for commits.
    pub(crate) fn log_store(&self, table: &str) -> LogStoreRef {
        let below = PrefixStore::new(Arc::clone(&self.store), Path::from(table));
        let config = StorageConfig::default();
        let whole = Arc::clone(&self.whole);
        default_logstore(Arc::new(below), whole, &self.table_url(table), &config)
    }

    /// That the store can be reached, and that of two who put the same file one is refused.
    ///
    /// # Errors
    /// [`LakeError::Unreachable`], [`LakeError::Overwrites`].
    pub(crate) async fn probe(&self) -> Result<(), LakeError> {
        if self.folder.is_some() {
            return Ok(());
        }
        let unreachable = |source| LakeError::Unreachable { root: self.root.to_string(), source };
        let path = Path::from(format!("probe-{}", uuid::Uuid::now_v7()));
        let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = || self.store.put_opts(&path, "there can be one".into(), create());
        put().await.map_err(unreachable)?;
        let again = put().await;
        let deleted = self.store.delete(&path).await;
        match again {
            Err(object_store::Error::AlreadyExists { .. }) => deleted.map_err(unreachable),
            Err(source) => Err(unreachable(source)),
            Ok(_) => Err(LakeError::Overwrites { root: self.root.to_string() }),
        }
    }
}

fn bucket(root: &Url, options: &StoreOptions) -> Result<AmazonS3, String> {
    let timeouts = ClientOptions::new().with_timeout(ANSWER).with_connect_timeout(CONNECT);
    let mut builder = AmazonS3Builder::new()
        .with_url(root.as_str())
        .with_retry(RETRIES)
        .with_client_options(timeouts);
    for (name, value) in &options.0 {
        let key: AmazonS3ConfigKey =
            name.parse().map_err(|_| format!("[lake.store] has no option \"{name}\""))?;
        builder = builder.with_config(key, value.expose_secret());
    }
    let value = |key: AmazonS3ConfigKey| builder.get_config_value(&key);
    let endpoint = value(AmazonS3ConfigKey::S3Endpoint).or(value(AmazonS3ConfigKey::Endpoint));
    let in_the_clear = endpoint.is_some_and(|e| e.starts_with("http://"));
    let allowed = value(AmazonS3ConfigKey::Client(object_store::ClientConfigKey::AllowHttp));
    if in_the_clear && allowed.as_deref() != Some("true") {
        return Err("its endpoint is http://, which carries events in the clear; where that is \
                    meant, set allow_http = true in [lake.store]"
            .to_owned());
    }
    builder.build().map_err(|e| quoting(&e.to_string(), options))
}

/// Why the store can't be had: the option whose value is quoted, without that value.
fn quoting(reason: &str, options: &StoreOptions) -> String {
    let quoted = |value: &SecretString| {
        !value.expose_secret().is_empty() && reason.contains(value.expose_secret())
    };
    match options.0.iter().find(|(_, value)| quoted(value)) {
        Some((name, _)) => format!(
            "[lake.store] {} has a value that it can't have",
            name.strip_prefix("aws_").unwrap_or(name)
        ),
        None => hide(reason, options.0.values().map(ExposeSecret::expose_secret)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_and_options() {
        #[track_caller]
        fn check(root: &str, options: &[(&str, &str)], expected: Result<&str, &str>) {
            let pairs = options.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            match (Place::of(root, &StoreOptions(pairs.collect())), expected) {
                (Ok(place), Ok(url)) => assert_eq!(place.table_url("raw/x").as_str(), url),
                (Err(error), Err(words)) => {
                    assert!(error.to_string().contains(words), "{error}");
                    assert!(!error.to_string().contains("hush"), "{error}");
                }
                (place, expected) => {
                    panic!("{root}: {:?}, not {expected:?}", place.map(|p| p.root))
                }
            }
        }
        check("/data/lake", &[], Ok("file:///data/lake/raw/x/"));
        check("file:///data/lake", &[], Ok("file:///data/lake/raw/x/"));
        check("s3://bucket", &[], Ok("s3://bucket/raw/x/"));
        check("s3://bucket/a/b/", &[("region", "eu-west-1")], Ok("s3://bucket/a/b/raw/x/"));
        check("gs://bucket/a", &[], Err("a folder and s3://bucket/prefix are possible"));
        check("s3://bucket", &[("colour", "red")], Err("no option \"colour\""));
        check("s3://bucket", &[("secret_access_key", "x")], Err("Missing AccessKeyId"));
        check("s3://bucket", &[("allow_http", "hush")], Err("allow_http has a value that"));
        check("s3://bucket", &[("timeout", "hush")], Err("timeout has a value that"));
        let http = ("endpoint", "http://127.0.0.1:1");
        check("s3://bucket", &[http], Err("allow_http = true"));
        check("s3://bucket", &[http, ("allow_http", "true")], Ok("s3://bucket/raw/x/"));
    }

    #[test]
    fn options_are_shown_without_their_values() {
        let secret = StoreOptions([("secret_access_key".into(), "hush".into())].into());
        assert!(!format!("{secret:?}").contains("hush"), "{secret:?}");
        let check = |name: &str, expected: Option<(&str, bool)>| {
            let found = StoreOptions::name(name);
            let found = found.as_deref().map(|name| (name, StoreOptions::is_secret(name)));
            assert_eq!(found, expected, "{name}");
        };
        check("endpoint", Some(("aws_endpoint", false)));
        check("AWS_ENDPOINT_URL", Some(("aws_endpoint", false)));
        check("secret_access_key", Some(("aws_secret_access_key", true)));
        check("AWS_SESSION_TOKEN", Some(("aws_session_token", true)));
        check("timeout", Some(("timeout", false)));
        check("bucket", None);
        check("conditional_put", None);
        check("AWS_PROFILE", None);
    }
}
