//! The location of a lake's files: a folder, or a bucket of a store that speaks S3.
//!
//! A bucket must support conditional puts (`If-None-Match: *`): only the refusal to overwrite a log
//! entry keeps several workers from losing each other's commits. A new lake checks this first.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use domain::redact;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use object_store::{ObjectStoreScheme, PutMode, PutOptions};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::error::LakeError;
use crate::integrity::block_checksum::BlockChecksums;
use crate::integrity::verified_store::VerifiedStore;
use crate::local_store::LocalStore;
use crate::log::folder_log_store::FolderLogStore;
use crate::log::snapshot::DataFile;

/// Options of an object store under the names of the crate object_store: `endpoint`, `region`,
/// `allow_http`, `access_key_id` … The values may be secrets.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions(pub BTreeMap<String, SecretString>);

impl StoreOptions {
    /// Returns the canonical name of an option, which may have several names. Returns `None` for an
    /// unknown option, for one that the lake's root gives, and for one of which a lake needs a
    /// fixed value.
    pub fn name(name: &str) -> Option<String> {
        match name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            Err(_) | Ok(AmazonS3ConfigKey::Bucket | AmazonS3ConfigKey::ConditionalPut) => None,
            Ok(key) => Some(key.as_ref().to_owned()),
        }
    }

    /// Returns whether the option, given by its canonical name, is a secret. Secrets are not read
    /// from configuration files.
    pub fn is_secret(name: &str) -> bool {
        let secrets = ["aws_secret_access_key", "aws_session_token", "aws_sse_customer_key_base64"];
        secrets.contains(&name)
    }
}

/// How failed requests are retried. Together with the last try, an unreachable store is an error
/// within about half a minute.
const RETRIES: RetryConfig = RetryConfig {
    backoff: BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(3),
        base: 2.0,
    },
    // The timeout ends the retries.
    max_retries: 100,
    retry_timeout: Duration::from_secs(12),
};
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time that one request may take; the option `timeout` raises it for slow connections.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The root of a lake, with the stores that read and write below it.
#[derive(Clone)]
pub(crate) struct LakeLocation {
    /// The URL of the root; it ends in `/`.
    pub(crate) root: Url,
    /// The root as a folder of the local file system, whose files are fsynced; `None` for a bucket.
    pub(crate) folder: Option<PathBuf>,
    /// The store below the root; reading a damaged file is an error.
    pub(crate) verified: Arc<dyn ObjectStore>,
    /// The store below the root, without any check of what is read.
    pub(crate) unverified: Arc<dyn ObjectStore>,
    /// The store of the whole file system or bucket, in which the files of the lake are checked.
    whole: Arc<VerifiedStore>,
}

impl LakeLocation {
    /// Parses a root: a path, a `file://` URL or an `s3://` URL.
    ///
    /// # Errors
    /// [`LakeError::Root`] for another scheme, and for options that the store does not take.
    pub(crate) fn new(root: &str, options: &StoreOptions) -> Result<Self, LakeError> {
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
            Some(_) => Arc::new(LocalStore::new()),
            None => Arc::new(bucket(&root, options).map_err(wrong)?),
        };
        let (_, prefix) = ObjectStoreScheme::parse(&root).map_err(|e| wrong(e.to_string()))?;
        let unverified = Arc::new(PrefixStore::new(Arc::clone(&whole), prefix.clone()));
        let whole = Arc::new(VerifiedStore::new(whole, prefix.clone()));
        let checked: Arc<dyn ObjectStore> = Arc::<VerifiedStore>::clone(&whole);
        let verified = Arc::new(PrefixStore::new(checked, prefix));
        Ok(Self { root, folder, verified, unverified, whole })
    }

    pub(crate) fn table_url(&self, table: &str) -> Url {
        let mut url = self.root.clone();
        url.set_path(&format!("{}{table}/", self.root.path()));
        url
    }

    /// The store of one table's log and files, for commits.
    pub(crate) fn log_store(&self, table: &str) -> LogStoreRef {
        let below = PrefixStore::new(Arc::clone(&self.verified), Path::from(table));
        let config = StorageConfig::default();
        let whole = Arc::clone(&self.whole);
        let log = default_logstore(Arc::new(below), whole, &self.table_url(table), &config);
        if self.folder.is_some() { Arc::new(FolderLogStore(log)) } else { log }
    }

    /// Registers the checksums of a data file, by its path below the root: from now on every read
    /// of the file is checked.
    pub(crate) fn register_checksums(&self, path: String, checksums: Arc<BlockChecksums>) {
        self.whole.register_checksums(path, checksums);
    }

    /// Registers the checksums of all files of a table version.
    pub(crate) fn register_file_checksums(&self, files: &[DataFile]) {
        for file in files {
            if let Some(checksums) = &file.checksums {
                self.register_checksums(file.path.clone(), Arc::clone(checksums));
            }
        }
    }

    /// Makes a file of a local lake durable, and its folder; in a bucket every put is durable.
    ///
    /// # Errors
    /// [`LakeError::Io`].
    pub(crate) async fn sync_file(&self, path: &str) -> Result<(), LakeError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = folder.join(path);
        let synced = tokio::task::spawn_blocking(move || {
            let sync = |p: &std::path::Path| std::fs::File::open(p).and_then(|f| f.sync_all());
            sync(&path)
                .and_then(|()| path.parent().map_or(Ok(()), sync))
                .map_err(|source| LakeError::Io { path, source })
        });
        synced.await.unwrap_or(Ok(()))
    }

    /// Checks that the store can be reached, and that it refuses to put a file that exists.
    ///
    /// # Errors
    /// [`LakeError::Unreachable`], [`LakeError::NoConditionalPut`].
    pub(crate) async fn probe(&self) -> Result<(), LakeError> {
        if self.folder.is_some() {
            return Ok(());
        }
        let unreachable = |source| LakeError::Unreachable { root: self.root.to_string(), source };
        let path = Path::from(format!("probe-{}", uuid::Uuid::now_v7()));
        let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = || self.verified.put_opts(&path, "there can be one".into(), create());
        put().await.map_err(unreachable)?;
        let again = put().await;
        let deleted = self.verified.delete(&path).await;
        match again {
            Err(object_store::Error::AlreadyExists { .. }) => deleted.map_err(unreachable),
            Err(source) => Err(unreachable(source)),
            Ok(_) => Err(LakeError::NoConditionalPut { root: self.root.to_string() }),
        }
    }
}

fn bucket(root: &Url, options: &StoreOptions) -> Result<AmazonS3, String> {
    let timeouts =
        ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_connect_timeout(CONNECT_TIMEOUT);
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
    let is_unencrypted = endpoint.is_some_and(|e| e.starts_with("http://"));
    let allowed = value(AmazonS3ConfigKey::Client(object_store::ClientConfigKey::AllowHttp));
    if is_unencrypted && allowed.as_deref() != Some("true") {
        return Err("its endpoint is http://, which carries events in the clear; where that is \
                    meant, set allow_http = true in [lake.store]"
            .to_owned());
    }
    builder.build().map_err(|e| build_error(&e.to_string(), options))
}

/// Returns why the store can't be built. A reason that quotes the value of an option names the
/// option instead, because the value may be a secret.
fn build_error(reason: &str, options: &StoreOptions) -> String {
    let quoted = |value: &SecretString| {
        !value.expose_secret().is_empty() && reason.contains(value.expose_secret())
    };
    match options.0.iter().find(|(_, value)| quoted(value)) {
        Some((name, _)) => format!(
            "[lake.store] {} has a value that it can't have",
            name.strip_prefix("aws_").unwrap_or(name)
        ),
        None => redact(reason, options.0.values().map(ExposeSecret::expose_secret)),
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
            match (LakeLocation::new(root, &StoreOptions(pairs.collect())), expected) {
                (Ok(location), Ok(url)) => assert_eq!(location.table_url("raw/x").as_str(), url),
                (Err(error), Err(words)) => {
                    assert!(error.to_string().contains(words), "{error}");
                    assert!(!error.to_string().contains("hush"), "{error}");
                }
                (location, expected) => {
                    panic!("{root}: {:?}, not {expected:?}", location.map(|l| l.root))
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
