//! Where the lake is and how its tables are opened and made.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};
use deltalake::kernel::{StructField, StructType};
use deltalake::logstore::LogStoreRef;
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableBuilder};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use tokio::sync::Mutex;
use url::Url;

use crate::error::LakeError;
use crate::key::LakeKey;
use crate::schema::{self, FORMAT_VERSION, TableDef};
use crate::snapshot::TableSnapshot;

const FORMAT_PROPERTY: &str = "rapport.formatVersion";
const KEY_PROPERTY: &str = "rapport.keyFingerprint";

/// Where the lake is.
#[derive(Debug, Clone)]
pub struct LakeOptions {
    /// A folder or an object-store URL.
    pub root: String,
    /// The file of the lake's key; made with a new lake.
    pub key_file: PathBuf,
}

/// An open lake; clones share it.
#[derive(Clone)]
pub struct Lake {
    inner: Arc<Inner>,
}

struct Inner {
    root: Url,
    /// The root as a folder, where it is one: its files are fsynced.
    folder: Option<PathBuf>,
    store: Arc<dyn ObjectStore>,
    key: LakeKey,
    tables: Mutex<HashMap<String, DeltaTable>>,
}

impl Lake {
    /// Opens a lake that exists.
    ///
    /// # Errors
    /// [`LakeError::Missing`] when there is none, [`LakeError::OtherKey`] when the key is not its
    /// own, [`LakeError::NewerFormat`] when a newer program made it.
    pub async fn open(options: &LakeOptions) -> Result<Self, LakeError> {
        let (root, folder, store) = locate(&options.root)?;
        let missing = || LakeError::Missing { root: options.root.clone() };
        if folder.as_ref().is_some_and(|f| !f.is_dir()) {
            return Err(missing());
        }
        let name = schema::dead_letters().name;
        if load(&root, &name, None).await?.is_none() {
            return Err(missing());
        }
        let lake = Self::new(root, folder, store, LakeKey::read(&options.key_file)?);
        lake.check_properties(&options.key_file).await?;
        Ok(lake)
    }

    /// Opens a lake, or makes it with its key.
    ///
    /// # Errors
    /// As [`Lake::open`], and when the folder or the key can't be made.
    pub async fn open_or_create(options: &LakeOptions) -> Result<Self, LakeError> {
        match Self::open(options).await {
            Err(LakeError::Missing { .. }) => {}
            other => return other,
        }
        let (root, folder, store) = locate(&options.root)?;
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder)
                .map_err(|source| LakeError::Io { path: folder.clone(), source })?;
        }
        let key = if options.key_file.exists() {
            LakeKey::read(&options.key_file)?
        } else {
            LakeKey::create(&options.key_file)?
        };
        let lake = Self::new(root, folder, store, key);
        // The dead letters are the table every lake has; raw tables come with their streams.
        lake.ensure_table(&schema::dead_letters()).await?;
        lake.check_properties(&options.key_file).await?;
        Ok(lake)
    }

    fn new(root: Url, folder: Option<PathBuf>, store: Arc<dyn ObjectStore>, key: LakeKey) -> Self {
        let tables = Mutex::new(HashMap::new());
        Self { inner: Arc::new(Inner { root, folder, store, key, tables }) }
    }

    /// Reads and writes below the lake's root.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        self.inner.store.clone()
    }

    /// The root, ending in `/`.
    pub fn root_url(&self) -> &Url {
        &self.inner.root
    }

    pub fn key(&self) -> &LakeKey {
        &self.inner.key
    }

    /// A table at its newest or a given version; `None` when it does not exist yet.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`] for a version that was not reached or is no longer there.
    pub async fn snapshot(
        &self,
        table: &str,
        at: Option<u64>,
    ) -> Result<Option<TableSnapshot>, LakeError> {
        let Some(newest) = self.delta(table).await? else { return Ok(None) };
        let Some(version) = at.filter(|v| newest.version() != Some(*v)) else {
            return TableSnapshot::read(table, &newest).await.map(Some);
        };
        let newest = newest.version().unwrap_or_default();
        let none = || LakeError::NoSuchVersion { table: table.to_owned(), version, newest };
        if version > newest {
            return Err(none());
        }
        let pinned = load(&self.inner.root, table, Some(version)).await?.ok_or_else(none)?;
        TableSnapshot::read(table, &pinned).await.map(Some)
    }

    /// Makes the table unless it exists; its newest state either way.
    ///
    /// # Errors
    /// [`LakeError::SchemaChanged`] when it exists with other columns.
    pub async fn ensure_table(&self, def: &TableDef) -> Result<TableSnapshot, LakeError> {
        if self.delta(&def.name).await?.is_none() {
            self.create_table(def).await?;
        }
        let Some(snapshot) = self.snapshot(&def.name, None).await? else {
            return Err(LakeError::Conflict { table: def.name.clone() });
        };
        let columns = |schema: &arrow::datatypes::Schema| {
            let list: Vec<_> =
                schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
            list.join(", ")
        };
        let expected = columns(&canonical(def)?);
        let found = columns(&snapshot.schema);
        if found != expected {
            return Err(LakeError::SchemaChanged { table: def.name.clone(), found, expected });
        }
        Ok(snapshot)
    }

    async fn create_table(&self, def: &TableDef) -> Result<(), LakeError> {
        let url = self.table_url(&def.name);
        if let Some(folder) = &self.inner.folder {
            let path = folder.join(&def.name);
            std::fs::create_dir_all(&path).map_err(|source| LakeError::Io { path, source })?;
        }
        let log = log_store(&url, &def.name)?;
        let kernel = kernel_schema(def)?;
        let fields: Vec<StructField> = kernel.fields().cloned().collect();
        let property = |name: &str, value: String| (name.to_owned(), Some(value));
        let created = CreateBuilder::new()
            .with_log_store(log)
            .with_save_mode(SaveMode::Ignore)
            .with_columns(fields)
            .with_partition_columns(def.partition_by.iter().cloned())
            .with_raise_if_key_not_exists(false)
            .with_configuration([
                property(FORMAT_PROPERTY, FORMAT_VERSION.to_string()),
                property(KEY_PROPERTY, self.inner.key.id().to_owned()),
            ])
            .await;
        match created {
            Ok(_) => self.sync_file(&format!("{}/{}", def.name, crate::log::entry_path(0))).await,
            // Another process made it in the same moment: that one counts.
            Err(_) if load(&self.inner.root, &def.name, None).await?.is_some() => Ok(()),
            Err(source) => Err(LakeError::delta(&def.name)(source)),
        }
    }

    /// The library's handle on a table, brought up to date; `None` when there is no such table.
    pub(crate) async fn delta(&self, table: &str) -> Result<Option<DeltaTable>, LakeError> {
        let mut tables = self.inner.tables.lock().await;
        if let Some(known) = tables.get_mut(table) {
            known.update_incremental(None).await.map_err(LakeError::delta(table))?;
            return Ok(Some(known.clone()));
        }
        let Some(loaded) = load(&self.inner.root, table, None).await? else { return Ok(None) };
        tables.insert(table.to_owned(), loaded.clone());
        Ok(Some(loaded))
    }

    pub(crate) fn table_url(&self, table: &str) -> Url {
        table_url(&self.inner.root, table)
    }

    /// The table's log, for commits.
    pub(crate) fn log_store(&self, table: &str) -> Result<LogStoreRef, LakeError> {
        log_store(&self.table_url(table), table)
    }

    /// Makes a file of a local lake durable, with its folder; elsewhere a put is durable.
    pub(crate) async fn sync_file(&self, path: &str) -> Result<(), LakeError> {
        let Some(folder) = &self.inner.folder else { return Ok(()) };
        let path = folder.join(path);
        let synced = tokio::task::spawn_blocking(move || {
            let sync = |p: &Path| std::fs::File::open(p).and_then(|f| f.sync_all());
            sync(&path)
                .and_then(|()| path.parent().map_or(Ok(()), sync))
                .map_err(|source| LakeError::Io { path, source })
        });
        synced.await.unwrap_or(Ok(()))
    }

    async fn check_properties(&self, key_file: &Path) -> Result<(), LakeError> {
        let name = schema::dead_letters().name;
        let Some(table) = self.delta(&name).await? else { return Ok(()) };
        let state = table.snapshot().map_err(LakeError::delta(&name))?;
        let properties = state.metadata().configuration();
        let found: u32 =
            properties.get(FORMAT_PROPERTY).and_then(|v| v.parse().ok()).unwrap_or_default();
        if found > FORMAT_VERSION {
            return Err(LakeError::NewerFormat { table: name, found, ours: FORMAT_VERSION });
        }
        match properties.get(KEY_PROPERTY) {
            Some(expected) if expected != self.inner.key.id() => Err(LakeError::OtherKey {
                path: key_file.to_owned(),
                given: self.inner.key.id().to_owned(),
                expected: expected.clone(),
            }),
            _ => Ok(()),
        }
    }
}

fn table_url(root: &Url, table: &str) -> Url {
    let mut url = root.clone();
    url.set_path(&format!("{}{table}/", root.path()));
    url
}

fn log_store(url: &Url, table: &str) -> Result<LogStoreRef, LakeError> {
    let builder = DeltaTableBuilder::from_url(url.clone()).map_err(LakeError::delta(table))?;
    builder.build_storage().map_err(LakeError::delta(table))
}

/// Loads a table; `None` when the place holds none.
async fn load(root: &Url, table: &str, at: Option<u64>) -> Result<Option<DeltaTable>, LakeError> {
    let url = table_url(root, table);
    if let Ok(path) = url.to_file_path()
        && !path.join("_delta_log").is_dir()
    {
        return Ok(None);
    }
    let mut builder = DeltaTableBuilder::from_url(url).map_err(LakeError::delta(table))?;
    if let Some(version) = at {
        builder = builder.with_version(version);
    }
    match builder.load().await {
        Ok(loaded) => Ok(Some(loaded)),
        Err(deltalake::DeltaTableError::NotATable(_)) => Ok(None),
        Err(source) => Err(LakeError::delta(table)(source)),
    }
}

fn kernel_schema(def: &TableDef) -> Result<StructType, LakeError> {
    let kernel: Result<StructType, _> = def.schema.as_ref().try_into_kernel();
    kernel.map_err(LakeError::Arrow)
}

/// The table's columns as Delta gives them back.
pub(crate) fn canonical(def: &TableDef) -> Result<arrow::datatypes::Schema, LakeError> {
    let kernel = kernel_schema(def)?;
    let arrow: Result<arrow::datatypes::Schema, _> = (&kernel).try_into_arrow();
    arrow.map_err(LakeError::Arrow)
}

type Located = (Url, Option<PathBuf>, Arc<dyn ObjectStore>);

/// The root as a URL ending in `/`, the folder where it is one, and a store below it.
fn locate(root: &str) -> Result<Located, LakeError> {
    let wrong = |reason: String| LakeError::Root { root: root.to_owned(), reason };
    if !root.contains("://") {
        let folder = std::path::absolute(root).map_err(|e| wrong(e.to_string()))?;
        let url = Url::from_directory_path(&folder)
            .map_err(|()| wrong("the path can't be written as a URL".to_owned()))?;
        let store = LocalFileSystem::new();
        let prefix = object_store::path::Path::from_absolute_path(&folder)
            .map_err(|e| wrong(e.to_string()))?;
        return Ok((url, Some(folder), Arc::new(PrefixStore::new(store, prefix))));
    }
    let mut url = Url::parse(root).map_err(|e| wrong(e.to_string()))?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    let (store, prefix) = object_store::parse_url(&url).map_err(|e| wrong(e.to_string()))?;
    let folder = url.to_file_path().ok();
    Ok((url, folder, Arc::new(PrefixStore::new(store, prefix))))
}
