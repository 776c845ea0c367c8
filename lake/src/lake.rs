//! Where the lake is and how its tables are opened and made.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::future::IntoFuture;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake::DeltaTable;
use deltalake::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};
use deltalake::kernel::{StructField, StructType};
use deltalake::logstore::LogStoreRef;
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::SaveMode;
use futures::TryStreamExt;
use object_store::ObjectStore;
use url::Url;

use crate::checkpoint::Background;
use crate::checksum::Checksums;
use crate::damage::Damage;
use crate::error::LakeError;
use crate::key::LakeKey;
use crate::known::Known;
use crate::library::to_its_end;
use crate::place::{Place, StoreOptions};
use crate::schema::{self, FORMAT_VERSION, OPENED_FROM, TableDef};
use crate::snapshot::TableSnapshot;
use crate::tail::Tail;
use crate::witness::{self, Newest};

pub(crate) const FORMAT_PROPERTY: &str = "rapport.formatVersion";
/// From which version of a table on everything has a checksum; all of it where this is not set.
pub(crate) const CHECKED_PROPERTY: &str = "rapport.checkedFrom";
pub(crate) const KEY_PROPERTY: &str = "rapport.keyFingerprint";
/// Other programs are not to delete entries of a log: the order matters (`tail`).
pub(crate) const CLEAN_UP_PROPERTY: &str = "delta.enableExpiredLogCleanup";

/// Where the lake is.
#[derive(Debug, Clone)]
pub struct LakeOptions {
    /// A folder, or `s3://bucket/prefix`.
    pub root: String,
    /// The file of the lake's key; made with a new lake.
    pub key_file: PathBuf,
    /// Of the object store; without meaning for a folder.
    pub store: StoreOptions,
}

/// An open lake; clones share it.
#[derive(Clone)]
pub struct Lake {
    inner: Arc<Inner>,
}

struct Inner {
    place: Place,
    key: LakeKey,
    known: Known,
    background: Background,
}

impl Lake {
    /// Opens a lake that exists.
    ///
    /// # Errors
    /// [`LakeError::Missing`] when there is none, [`LakeError::OtherKey`] when the key is not its
    /// own, [`LakeError::NewerFormat`] and [`LakeError::OlderFormat`] when a program of another
    /// time made it, [`LakeError::Unreachable`] when the object store does not answer.
    pub async fn open(options: &LakeOptions) -> Result<Self, LakeError> {
        Self::open_as(options, false).await
    }

    /// Opens a lake that may be damaged, to look at it or to repair it.
    ///
    /// # Errors
    /// As [`Lake::open`], where that is still to be told.
    pub async fn open_damaged(options: &LakeOptions) -> Result<Self, LakeError> {
        match Self::open(options).await {
            Err(LakeError::Damaged(_) | LakeError::Delta { .. }) => {}
            opened => return opened,
        }
        let place = Place::of(&options.root, &options.store)?;
        Ok(Self::new(place, LakeKey::read(&options.key_file)?))
    }

    pub(crate) async fn open_as(
        options: &LakeOptions,
        any_format: bool,
    ) -> Result<Self, LakeError> {
        let place = Place::of(&options.root, &options.store)?;
        let missing = || LakeError::Missing { root: options.root.clone() };
        let name = schema::dead_letters().name;
        match has_log(&place, &name).await {
            Ok(true) => {}
            Ok(false) => return Err(missing()),
            Err(LakeError::Storage(source)) => {
                return Err(LakeError::Unreachable { root: options.root.clone(), source });
            }
            Err(error) => return Err(error),
        }
        let lake = Self::new(place, LakeKey::read(&options.key_file)?);
        lake.check_properties(&options.key_file, any_format).await?;
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
        let place = Place::of(&options.root, &options.store)?;
        place.probe().await?;
        if let Some(folder) = &place.folder {
            std::fs::create_dir_all(folder)
                .map_err(|source| LakeError::Io { path: folder.clone(), source })?;
        }
        let key = if options.key_file.exists() {
            LakeKey::read(&options.key_file)?
        } else {
            LakeKey::create(&options.key_file)?
        };
        let lake = Self::new(place, key);
        // The dead letters are the table every lake has; raw tables come with their streams.
        lake.ensure_table(&schema::dead_letters()).await?;
        lake.check_properties(&options.key_file, false).await?;
        Ok(lake)
    }

    fn new(place: Place, key: LakeKey) -> Self {
        let (known, background) = Default::default();
        Self { inner: Arc::new(Inner { place, key, known, background }) }
    }

    /// Reads and writes below the lake's root; what is damaged is an error.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner.place.store)
    }

    /// The same, with whatever lies there, damaged or not.
    pub(crate) fn unchecked(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner.place.unchecked)
    }

    /// The root, ending in `/`.
    pub fn root_url(&self) -> &Url {
        &self.inner.place.root
    }

    pub fn key(&self) -> &LakeKey {
        &self.inner.key
    }

    /// Has a data file checked whenever it is read.
    pub(crate) fn know(&self, path: String, checksums: Arc<Checksums>) {
        self.inner.place.whole.know(path, checksums);
    }

    /// Has all files of a version checked whenever they are read.
    pub(crate) fn know_files(&self, snapshot: &TableSnapshot) {
        for file in &snapshot.files {
            if let Some(checksums) = &file.checksums {
                self.know(file.path.clone(), Arc::clone(checksums));
            }
        }
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
        let Some(version) = at else {
            return Ok(self.followed(table).await?.map(|(snapshot, _)| snapshot));
        };
        let Some((newest, _)) = self.followed(table).await? else { return Ok(None) };
        if newest.version == version {
            return Ok(Some(newest));
        }
        let newest = newest.version;
        let none = || LakeError::NoSuchVersion { table: table.to_owned(), version, newest };
        if version > newest {
            return Err(none());
        }
        let pinned = async {
            let pinned = load(&self.inner.place, table, Some(version)).await?.ok_or_else(none)?;
            let log = pinned.log_store();
            let tail = Tail::load(log.as_ref(), table, Some(version)).await?;
            TableSnapshot::of(table, &pinned, &tail)
        };
        match pinned.await {
            Ok(pinned) => {
                self.know_files(&pinned);
                Ok(Some(pinned))
            }
            Err(error) => {
                match Tail::load(self.log_store(table).as_ref(), table, Some(version)).await {
                    Err(LakeError::Cleaned { .. }) => Err(none()),
                    _ => Err(error),
                }
            }
        }
    }

    /// Makes the table unless it exists; its newest state either way.
    ///
    /// # Errors
    /// [`LakeError::SchemaChanged`] when it exists with other columns.
    pub async fn ensure_table(&self, def: &TableDef) -> Result<TableSnapshot, LakeError> {
        let mut found = self.snapshot(&def.name, None).await?;
        if found.is_none() {
            self.create_table(def).await?;
            found = self.snapshot(&def.name, None).await?;
        }
        let Some(snapshot) = found else {
            return Err(LakeError::Conflict { table: def.name.clone() });
        };
        let expected = columns(&canonical(def)?);
        let found = columns(&snapshot.schema);
        if found != expected {
            return Err(LakeError::SchemaChanged { table: def.name.clone(), found, expected });
        }
        Ok(snapshot)
    }

    /// Whether a table has the columns of a definition.
    ///
    /// # Errors
    /// A type that Delta does not have.
    pub fn has_columns(snapshot: &TableSnapshot, def: &TableDef) -> Result<bool, LakeError> {
        Ok(columns(&snapshot.schema) == columns(&canonical(def)?))
    }

    async fn create_table(&self, def: &TableDef) -> Result<(), LakeError> {
        if let Some(folder) = &self.inner.place.folder {
            let path = folder.join(&def.name);
            std::fs::create_dir_all(&path).map_err(|source| LakeError::Io { path, source })?;
        }
        // Before the table, so that it never was without one: nothing is lost with version 0.
        self.put_newest(&def.name, 0).await?;
        let log = self.log_store(&def.name);
        let kernel = kernel_schema(def)?;
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
        match to_its_end(create.into_future()).await {
            Ok(_) => self.sync_file(&format!("{}/{}", def.name, crate::log::entry_path(0))).await,
            // Another process made it in the same moment: that one counts.
            Err(_) if load(&self.inner.place, &def.name, None).await?.is_some() => Ok(()),
            Err(source) => Err(LakeError::delta(&def.name)(source)),
        }
    }

    /// The table's log, for commits.
    pub(crate) fn log_store(&self, table: &str) -> LogStoreRef {
        self.inner.place.log_store(table)
    }

    pub(crate) fn known(&self) -> &Known {
        &self.inner.known
    }

    pub(crate) fn place(&self) -> &Place {
        &self.inner.place
    }

    pub(crate) fn background(&self) -> &Background {
        &self.inner.background
    }

    pub(crate) async fn has_table(&self, table: &str) -> Result<bool, LakeError> {
        has_log(&self.inner.place, table).await
    }

    /// Tries whether the storage can be written, and refuses to overwrite a log entry.
    ///
    /// # Errors
    /// [`LakeError::Unreachable`], [`LakeError::Overwrites`].
    pub async fn probe(&self) -> Result<(), LakeError> {
        self.inner.place.probe().await
    }

    /// Makes a file of a local lake durable, with its folder; elsewhere a put is durable.
    pub(crate) async fn sync_file(&self, path: &str) -> Result<(), LakeError> {
        let Some(folder) = &self.inner.place.folder else { return Ok(()) };
        let path = folder.join(path);
        let synced = tokio::task::spawn_blocking(move || {
            let sync = |p: &Path| std::fs::File::open(p).and_then(|f| f.sync_all());
            sync(&path)
                .and_then(|()| path.parent().map_or(Ok(()), sync))
                .map_err(|source| LakeError::Io { path, source })
        });
        synced.await.unwrap_or(Ok(()))
    }

    async fn check_properties(&self, key_file: &Path, any_format: bool) -> Result<(), LakeError> {
        let name = schema::dead_letters().name;
        let Some(table) = self.delta(&name).await? else { return Ok(()) };
        let state = table.snapshot().map_err(LakeError::delta(&name))?;
        let properties = state.metadata().configuration();
        let found = format_of(properties);
        let ours = FORMAT_VERSION;
        match found.cmp(&ours) {
            Ordering::Greater => return Err(LakeError::NewerFormat { table: name, found, ours }),
            Ordering::Less if !any_format && found < OPENED_FROM => {
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

/// Names and types of columns, to compare and to name.
fn columns(schema: &arrow::datatypes::Schema) -> String {
    let list = schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type()));
    list.collect::<Vec<_>>().join(", ")
}

/// The version of the lake's layout that a table's properties name; 0 where they name none.
pub(crate) fn format_of(properties: &HashMap<String, String>) -> u32 {
    properties.get(FORMAT_PROPERTY).and_then(|v| v.parse().ok()).unwrap_or_default()
}

/// From which version of a table on everything has a checksum; `None` for an older format.
pub(crate) fn checked_from(properties: &HashMap<String, String>) -> Option<u64> {
    if format_of(properties) < 3 {
        return None;
    }
    Some(properties.get(CHECKED_PROPERTY).and_then(|v| v.parse().ok()).unwrap_or_default())
}

/// Whether the place holds a table of that name.
///
/// # Errors
/// [`LakeError::Damaged`] when it held one, and lost its log.
async fn has_log(place: &Place, table: &str) -> Result<bool, LakeError> {
    let found = if let Some(folder) = &place.folder {
        folder.join(table).join("_delta_log").is_dir()
    } else {
        let log = object_store::path::Path::from(format!("{table}/_delta_log"));
        place.store.list(Some(&log)).try_next().await?.is_some()
    };
    if !found {
        had_none(place, table).await?;
    }
    Ok(found)
}

/// Of a table without a log: that it was never more than begun.
async fn had_none(place: &Place, table: &str) -> Result<(), LakeError> {
    let log = place.log_store(table);
    match witness::newest(log.object_store(None).as_ref(), table).await? {
        Newest::Absent | Newest::Version(0) | Newest::Unreadable => Ok(()),
        Newest::Version(_) => Err(Damage::gone(format!("{table}/_delta_log")).into()),
    }
}

/// Loads a table; `None` when the place holds none.
pub(crate) async fn load(
    place: &Place,
    table: &str,
    at: Option<u64>,
) -> Result<Option<DeltaTable>, LakeError> {
    if !has_log(place, table).await? {
        return Ok(None);
    }
    let mut loaded = DeltaTable::new(place.log_store(table));
    let load = async move {
        match at {
            Some(version) => loaded.load_version(version).await,
            None => loaded.load().await,
        }
        .map(|()| loaded)
    };
    match to_its_end(load).await {
        Ok(loaded) => Ok(Some(loaded)),
        Err(deltalake::DeltaTableError::NotATable(_)) => {
            had_none(place, table).await?;
            Ok(None)
        }
        Err(source) => Err(diagnosed(place, table, LakeError::delta(table)(source)).await),
    }
}

/// What is wrong with a log that the library can't read: a look of our own says which file it is.
async fn diagnosed(place: &Place, table: &str, error: LakeError) -> LakeError {
    if !matches!(error, LakeError::Delta { .. }) {
        return error;
    }
    match Tail::load(place.log_store(table).as_ref(), table, None).await {
        Err(damaged @ LakeError::Damaged(_)) => damaged,
        _ => error,
    }
}

/// The table's columns as Delta writes them.
pub(crate) fn kernel_schema(def: &TableDef) -> Result<StructType, LakeError> {
    let kernel: Result<StructType, _> = def.schema.as_ref().try_into_kernel();
    kernel.map_err(LakeError::Arrow)
}

/// The table's columns as Delta gives them back.
pub(crate) fn canonical(def: &TableDef) -> Result<arrow::datatypes::Schema, LakeError> {
    let kernel = kernel_schema(def)?;
    let arrow: Result<arrow::datatypes::Schema, _> = (&kernel).try_into_arrow();
    arrow.map_err(LakeError::Arrow)
}
