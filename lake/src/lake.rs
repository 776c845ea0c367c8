//! Opening and creating a lake, and opening and creating its tables.

use std::cmp::Ordering;
use std::future::IntoFuture;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake::DeltaTable;
use deltalake::kernel::StructField;
use deltalake::logstore::LogStoreRef;
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::SaveMode;
use object_store::ObjectStore;
use tokio::task::JoinSet;
use url::Url;

use crate::delta_runtime::run_to_completion;
use crate::delta_schema::{arrow_schema, delta_schema};
use crate::error::LakeError;
use crate::files::parquet::PendingFile;
use crate::integrity::witness;
use crate::key::LakeKey;
use crate::log::background_jobs::BackgroundJobs;
use crate::log::follower::LogFollower;
use crate::log::load::{has_log, load};
use crate::log::paths::{LOG_FOLDER, entry_path};
use crate::log::snapshot::TableSnapshot;
use crate::object_files::delete_if_exists;
use crate::schema::{self, FORMAT_VERSION, TableDef};
use crate::store::{LakeLocation, StoreOptions};
use crate::table_cache::TableCache;
use crate::table_properties::{CLEAN_UP_PROPERTY, FORMAT_PROPERTY, KEY_PROPERTY, format_of};

/// Where a lake is, and how to open it.
#[derive(Debug, Clone)]
pub struct LakeOptions {
    /// A folder, or `s3://bucket/prefix`.
    pub root: String,
    /// The file of the lake's key; it is created with a new lake.
    pub key_file: PathBuf,
    /// Options of the object store; they have no effect for a folder.
    pub store: StoreOptions,
}

/// An open lake; clones share it.
#[derive(Clone)]
pub struct Lake {
    inner: Arc<LakeInner>,
}

struct LakeInner {
    location: LakeLocation,
    key: LakeKey,
    table_cache: TableCache,
    background_jobs: BackgroundJobs,
}

impl Lake {
    /// Opens an existing lake.
    ///
    /// # Errors
    /// [`LakeError::Missing`] when there is none, [`LakeError::OtherKey`] when the key is not the
    /// lake's, [`LakeError::NewerFormat`] and [`LakeError::OlderFormat`] when a program of another
    /// format created it, [`LakeError::Unreachable`] when the object store does not answer.
    pub async fn open(options: &LakeOptions) -> Result<Self, LakeError> {
        Self::open_as(options, false).await
    }

    /// Opens a lake that may be damaged, for inspection or repair.
    ///
    /// # Errors
    /// The same as [`Lake::open`], as far as the damage lets them be detected.
    pub async fn open_damaged(options: &LakeOptions) -> Result<Self, LakeError> {
        match Self::open(options).await {
            Err(LakeError::Damaged(_) | LakeError::Delta { .. }) => {}
            opened => return opened,
        }
        let location = LakeLocation::new(&options.root, &options.store)?;
        Ok(Self::new(location, LakeKey::read(&options.key_file)?))
    }

    /// Opens an existing lake, with `any_format` also one of an older format.
    pub(crate) async fn open_as(
        options: &LakeOptions,
        any_format: bool,
    ) -> Result<Self, LakeError> {
        let location = LakeLocation::new(&options.root, &options.store)?;
        let missing = || LakeError::Missing { root: options.root.clone() };
        let name = schema::dead_letters().name;
        match has_log(&location, &name).await {
            Ok(true) => {}
            Ok(false) => return Err(missing()),
            Err(LakeError::Storage(source)) => {
                return Err(LakeError::Unreachable { root: options.root.clone(), source });
            }
            Err(error) => return Err(error),
        }
        let lake = Self::new(location, LakeKey::read(&options.key_file)?);
        lake.check_properties(&options.key_file, any_format).await?;
        Ok(lake)
    }

    /// Opens a lake, or creates it together with its key.
    ///
    /// # Errors
    /// The same as [`Lake::open`], and when the folder or the key can't be created.
    pub async fn open_or_create(options: &LakeOptions) -> Result<Self, LakeError> {
        match Self::open(options).await {
            Err(LakeError::Missing { .. }) => {}
            other => return other,
        }
        let location = LakeLocation::new(&options.root, &options.store)?;
        location.probe().await?;
        if let Some(folder) = &location.folder {
            std::fs::create_dir_all(folder)
                .map_err(|source| LakeError::Io { path: folder.clone(), source })?;
        }
        let key = if options.key_file.exists() {
            LakeKey::read(&options.key_file)?
        } else {
            LakeKey::create(&options.key_file)?
        };
        let lake = Self::new(location, key);
        // Every lake has the table of dead letters; raw tables are created with their streams.
        lake.ensure_table(&schema::dead_letters()).await?;
        lake.check_properties(&options.key_file, false).await?;
        Ok(lake)
    }

    pub(crate) fn new(location: LakeLocation, key: LakeKey) -> Self {
        let (table_cache, background_jobs) = Default::default();
        Self { inner: Arc::new(LakeInner { location, key, table_cache, background_jobs }) }
    }

    /// The store below the lake's root. Reading a damaged file of it is an error.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner.location.verified)
    }

    /// The store below the lake's root, without any check of what is read.
    pub(crate) fn unverified_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner.location.unverified)
    }

    /// The URL of the root; it ends in `/`.
    pub fn root_url(&self) -> &Url {
        &self.inner.location.root
    }

    pub fn key(&self) -> &LakeKey {
        &self.inner.key
    }

    pub(crate) fn location(&self) -> &LakeLocation {
        &self.inner.location
    }

    pub(crate) fn background_jobs(&self) -> &BackgroundJobs {
        &self.inner.background_jobs
    }

    /// The store of one table's log and files, for commits.
    pub(crate) fn log_store(&self, table: &str) -> LogStoreRef {
        self.inner.location.log_store(table)
    }

    /// Returns the tables below the root, by name.
    ///
    /// # Errors
    /// When the root can't be listed.
    pub async fn tables(&self) -> Result<Vec<String>, LakeError> {
        self.folders_with(&[LOG_FOLDER]).await
    }

    /// Returns the folders below the root that contain one of the folders `marks`, by name.
    pub(crate) async fn folders_with(&self, marks: &[&str]) -> Result<Vec<String>, LakeError> {
        let store = self.store();
        let mut found = Vec::new();
        let mut folders = store.list_with_delimiter(None).await?.common_prefixes;
        while let Some(folder) = folders.pop() {
            let below = store.list_with_delimiter(Some(&folder)).await?.common_prefixes;
            let mut names = below.iter().filter_map(object_store::path::Path::filename);
            if names.any(|name| marks.contains(&name)) {
                found.push(folder.to_string());
            } else if folder.parts().count() < 3 {
                folders.extend(below);
            }
        }
        found.sort();
        Ok(found)
    }

    pub(crate) async fn has_table(&self, table: &str) -> Result<bool, LakeError> {
        has_log(&self.inner.location, table).await
    }

    /// Checks that the storage can be written and refuses to overwrite a log entry.
    ///
    /// # Errors
    /// [`LakeError::Unreachable`], [`LakeError::NoConditionalPut`].
    pub async fn probe(&self) -> Result<(), LakeError> {
        self.inner.location.probe().await
    }

    /// Makes a file durable, by its path below the root; see [`LakeLocation::sync_file`].
    pub(crate) async fn sync_file(&self, path: &str) -> Result<(), LakeError> {
        self.inner.location.sync_file(path).await
    }

    /// Deletes a file below the root; an absent file is no error.
    pub(crate) async fn delete_file(&self, path: &str) -> Result<(), LakeError> {
        let store = &self.inner.location.verified;
        Ok(delete_if_exists(store.as_ref(), &object_store::path::Path::from(path)).await?)
    }

    /// Deletes files that were written for a table and will not be committed.
    ///
    /// # Errors
    /// When a file can't be deleted.
    pub async fn discard(&self, def: &TableDef, files: &[PendingFile]) -> Result<(), LakeError> {
        for file in files {
            self.delete_file(&file.to_data_file(def, None).path).await?;
        }
        Ok(())
    }

    /// Returns a table at its newest version, and the follower of its log at that version.
    /// Returns `None` when the table does not exist.
    pub(crate) async fn latest(
        &self,
        table: &str,
    ) -> Result<Option<(TableSnapshot, LogFollower)>, LakeError> {
        self.inner.table_cache.latest(&self.inner.location, table).await
    }

    /// Returns the Delta library's view of a table at its newest version; `None` when the table
    /// does not exist.
    pub(crate) async fn delta(&self, table: &str) -> Result<Option<DeltaTable>, LakeError> {
        self.inner.table_cache.delta(&self.inner.location, table).await
    }

    /// Drops a table from the cache, so that the next reader loads it anew.
    pub(crate) async fn evict(&self, table: &str) {
        self.inner.table_cache.evict(table).await;
    }

    /// Reads tables concurrently into the cache. Errors are dropped: the next reader of the table
    /// meets them again.
    pub async fn prefetch(&self, tables: impl IntoIterator<Item = String>) {
        let mut reads = JoinSet::new();
        for table in tables {
            let lake = self.clone();
            reads.spawn(async move { drop(lake.latest(&table).await) });
        }
        while reads.join_next().await.is_some() {}
    }

    /// Returns a table at its newest or a given version; `None` when the table does not exist.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`] for a version that does not exist yet or any longer.
    pub async fn snapshot(
        &self,
        table: &str,
        at: Option<u64>,
    ) -> Result<Option<TableSnapshot>, LakeError> {
        let Some(version) = at else {
            return Ok(self.latest(table).await?.map(|(snapshot, _)| snapshot));
        };
        let Some((newest, _)) = self.latest(table).await? else { return Ok(None) };
        if newest.version == version {
            return Ok(Some(newest));
        }
        let newest = newest.version;
        let none = || LakeError::NoSuchVersion { table: table.to_owned(), version, newest };
        if version > newest {
            return Err(none());
        }
        let pinned = async {
            let pinned =
                load(&self.inner.location, table, Some(version)).await?.ok_or_else(none)?;
            let log = pinned.log_store();
            let follower = LogFollower::load(log.as_ref(), table, Some(version)).await?;
            TableSnapshot::of(table, &pinned, &follower)
        };
        match pinned.await {
            Ok(pinned) => {
                self.inner.location.register_file_checksums(&pinned.files);
                Ok(Some(pinned))
            }
            Err(error) => {
                let log = self.log_store(table);
                match LogFollower::load(log.as_ref(), table, Some(version)).await {
                    Err(LakeError::LogCleanedUp { .. }) => Err(none()),
                    _ => Err(error),
                }
            }
        }
    }

    /// Creates the table unless it exists, and returns its newest version.
    ///
    /// # Errors
    /// [`LakeError::SchemaChanged`] when the table exists with other columns.
    pub async fn ensure_table(&self, def: &TableDef) -> Result<TableSnapshot, LakeError> {
        let mut found = self.snapshot(&def.name, None).await?;
        if found.is_none() {
            self.create_table(def).await?;
            found = self.snapshot(&def.name, None).await?;
        }
        let Some(snapshot) = found else {
            return Err(LakeError::Conflict { table: def.name.clone() });
        };
        let expected = columns(&arrow_schema(def)?);
        let found = columns(&snapshot.schema);
        if found != expected {
            return Err(LakeError::SchemaChanged { table: def.name.clone(), found, expected });
        }
        Ok(snapshot)
    }

    /// Returns whether a table has the columns of a definition.
    ///
    /// # Errors
    /// A type that Delta does not have.
    pub fn has_columns(snapshot: &TableSnapshot, def: &TableDef) -> Result<bool, LakeError> {
        Ok(columns(&snapshot.schema) == columns(&arrow_schema(def)?))
    }

    async fn create_table(&self, def: &TableDef) -> Result<(), LakeError> {
        if let Some(folder) = &self.inner.location.folder {
            let path = folder.join(&def.name);
            std::fs::create_dir_all(&path).map_err(|source| LakeError::Io { path, source })?;
        }
        let log = self.log_store(&def.name);
        // The witness is written first, so that a table never exists without one. A table that
        // has lost its log at version 0 has lost no data.
        witness::record_newest_version(log.object_store(None).as_ref(), &def.name, 0).await?;
        let kernel = delta_schema(def)?;
        let fields: Vec<StructField> = kernel.fields().cloned().collect();
        let property = |name: &str, value: String| (name.to_owned(), Some(value));
        let create = CreateBuilder::new()
            .with_log_store(log)
            .with_save_mode(SaveMode::Ignore)
            .with_columns(fields)
            .with_partition_columns(def.partition_by.iter().cloned())
            .with_raise_if_key_not_exists(false)
            .with_configuration([
                property(FORMAT_PROPERTY, FORMAT_VERSION.to_string()),
                property(KEY_PROPERTY, self.inner.key.id().to_owned()),
                property(CLEAN_UP_PROPERTY, "false".to_owned()),
            ]);
        match run_to_completion(create.into_future()).await {
            Ok(_) => self.sync_file(&format!("{}/{}", def.name, entry_path(0))).await,
            // Another process created the table at the same moment: its table counts.
            Err(_) if load(&self.inner.location, &def.name, None).await?.is_some() => Ok(()),
            Err(source) => Err(LakeError::delta(&def.name)(source)),
        }
    }

    /// Checks the lake's format and key against the properties of its table of dead letters.
    async fn check_properties(&self, key_file: &Path, any_format: bool) -> Result<(), LakeError> {
        let name = schema::dead_letters().name;
        let Some(table) = self.delta(&name).await? else { return Ok(()) };
        let state = table.snapshot().map_err(LakeError::delta(&name))?;
        let properties = state.metadata().configuration();
        let found = format_of(properties);
        let ours = FORMAT_VERSION;
        match found.cmp(&ours) {
            Ordering::Greater => return Err(LakeError::NewerFormat { table: name, found, ours }),
            Ordering::Less if !any_format => {
                return Err(LakeError::OlderFormat { found, ours });
            }
            _ => {}
        }
        match properties.get(KEY_PROPERTY) {
            Some(expected) if !self.inner.key.ids().any(|id| id == expected) => {
                Err(LakeError::OtherKey {
                    path: key_file.to_owned(),
                    given: self.inner.key.id().to_owned(),
                    expected: expected.clone(),
                })
            }
            _ => Ok(()),
        }
    }
}

/// Returns the names and types of columns as text, to compare and to show.
pub(crate) fn columns(schema: &arrow::datatypes::Schema) -> String {
    let list = schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type()));
    list.collect::<Vec<_>>().join(", ")
}
