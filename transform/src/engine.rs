//! The queries over one lake: rollups brought up to date, sessions that answer from one set of
//! table versions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionContext;
use futures::future::join_all;
use lake::{Lake, TableSnapshot};
use lake_types::{AsOf, Rates, Stream};
use tokio::sync::Semaphore;

use crate::arrivals::{ARRIVALS, Arrivals};
use crate::catalog::{Catalog, Kind};
use crate::dedup::Apart;
use crate::error::{Result, TransformError};
use crate::held::Held;
use crate::inputs::arrivals_table;
use crate::provider::{EventSource, EventTable, FileList, StoredTable, store_url};
use crate::runner::{CaseResult, run_tests};
use crate::session::{Limits, Session, new_config, new_context, own_memory};
use crate::statement::Statement;
use crate::tables::{self, Settings, SlaRow, SunsetRow};
use crate::texts;

/// Of decoded columns, for all sessions of an engine.
const HELD_BYTES: usize = 512 << 20;

/// What a configuration says of queries.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// An ISO 4217 code.
    pub reporting_currency: String,
    pub rates: Rates,
    pub sla: Vec<SlaRow>,
    pub sunsets: Vec<SunsetRow>,
    /// The project's `queries/`, where there is one.
    pub project_queries: Option<PathBuf>,
    /// Bytes that a query may hold; no limit by default.
    pub memory_limit: Option<usize>,
    /// Threads of one query; every core by default.
    pub threads: Option<usize>,
    /// Where queries put what does not fit their memory; by default where the system has its
    /// temporary files, where a process that is killed leaves them.
    pub spill_folder: Option<PathBuf>,
}

/// The queries and the lake they read.
#[derive(Clone)]
pub struct Engine {
    pub(crate) lake: Lake,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) limits: Limits,
    /// As many as threads, for what computes on one.
    pub(crate) turns: Arc<Semaphore>,
    /// What sessions share: the lake's files, and footers that were read.
    runtime: Arc<RuntimeEnv>,
    held: Arc<Held>,
    settings: Settings,
    /// Rollups that are stored as another query computed them.
    pub(crate) foreign: BTreeSet<String>,
    /// Rollups that the last refresh could not bring up to date, with why: no session reads them.
    pub(crate) broken: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Engine {
    /// Reads the queries: the built-in ones and the project's. What is wrong with one of them is a
    /// fault of the catalog.
    ///
    /// # Errors
    /// Files that can't be opened.
    pub fn new(lake: Lake, options: EngineOptions) -> Result<Self> {
        let mut catalog = Catalog::built_in()?;
        if let Some(folder) = &options.project_queries {
            catalog = catalog.with_project(folder)?;
        }
        let limits = Limits { memory: options.memory_limit, threads: options.threads };
        let mut runtime = RuntimeEnv::default();
        if let Some(bytes) = limits.memory {
            runtime.memory_pool = Arc::new(GreedyMemoryPool::new(bytes));
        }
        if let Some(folder) = options.spill_folder {
            let spilling = DiskManagerMode::Directories(vec![folder]);
            let manager = DiskManagerBuilder::default().with_mode(spilling).build();
            let fail = TransformError::sql("the folder for what queries spill");
            runtime.disk_manager = Arc::new(manager.map_err(fail)?);
        }
        runtime.register_object_store(store_url().as_ref(), lake.store());
        Ok(Self {
            lake,
            catalog: Arc::new(catalog),
            limits,
            turns: Arc::new(Semaphore::new(limits.threads())),
            runtime: Arc::new(runtime),
            held: Arc::new(Held::new(HELD_BYTES)),
            settings: Settings {
                reporting_currency: options.reporting_currency,
                rates: options.rates,
                sla: options.sla,
                sunsets: options.sunsets,
            },
            foreign: BTreeSet::new(),
            broken: Arc::default(),
        })
    }

    /// The same lake under other queries, for comparison: what is stored of a rollup that they
    /// define otherwise is left aside, and it is computed from the events where it is read.
    pub fn with_catalog(&self, catalog: Catalog) -> Self {
        let text = |catalog: &Catalog, name: &str| {
            let query = catalog.get(name)?;
            Some(Statement::parse(&query.sql, &query.file).ok()?.normalized())
        };
        let foreign: BTreeSet<String> = catalog
            .names(Kind::Rollup)
            .into_iter()
            .filter(|name| {
                self.foreign.contains(*name) || text(&catalog, name) != text(&self.catalog, name)
            })
            .map(str::to_owned)
            .collect();
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        broken.retain(|name, _| !foreign.contains(name));
        let broken = Arc::new(Mutex::new(broken));
        Self { catalog: Arc::new(catalog), foreign, broken, ..self.clone() }
    }

    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// A session over every table: at its newest, or at the versions of an earlier run, where a
    /// table that is not among them did not exist yet.
    ///
    /// # Errors
    /// A version that is no longer there; the lake's own.
    pub async fn at(
        &self,
        as_of: AsOf,
        versions: Option<&BTreeMap<String, u64>>,
    ) -> Result<Session> {
        let config = new_config(self.limits).with_extension(Arc::clone(&self.held));
        let ctx = new_context(config, own_memory(&self.runtime));
        let rollups = self.catalog.of_kind(Kind::Rollup);
        let rollups: Vec<&str> =
            rollups.map(|r| r.name.as_str()).filter(|r| !self.foreign.contains(*r)).collect();
        // Rollups before what they are made of: none then stands for arrivals that the tables of
        // events of this session lack.
        let stored_rollups = rollups.iter().map(|rollup| rollup_table(rollup));
        let mut pinned = self.pinned(stored_rollups.collect(), versions).await?;
        pinned.extend(self.pinned(tables_beside_rollups(), versions).await?);
        let mut providers: Vec<(String, Arc<dyn TableProvider>)> = Vec::new();
        for rollup in rollups {
            // One that was never built is computed where it is read.
            if let Some(snapshot) = pinned.get(&rollup_table(rollup)) {
                providers.push((rollup.to_owned(), stored(snapshot)));
            }
        }
        let mut arrivals = Arrivals::default();
        for stream in Stream::ALL {
            let def = lake::schema::raw(stream);
            let list = match pinned.get(&def.name) {
                Some(snapshot) => {
                    arrivals.add_files(stream, &snapshot.files);
                    files_of(snapshot)
                }
                None => FileList {
                    schema: def.schema,
                    partition_by: def.partition_by,
                    files: Vec::new(),
                }
                .in_views(),
            };
            let raw = format!("{}.{}", tables::RAW_SCHEMA, stream.table());
            providers.push((raw, Arc::new(StoredTable(list.clone()))));
            let events = Arc::new(EventTable(EventSource::Files(list)));
            providers.push((stream.table().to_owned(), events));
        }
        providers.push((ARRIVALS.to_owned(), arrivals_table(&arrivals, |_| true)?));
        let scores = crate::scores::tables(&pinned).await?;
        providers.extend(scores.map(|(name, table)| (name.to_owned(), table)));
        for name in tables::LAKE_TABLES {
            if providers.iter().any(|(there, _)| there == name) {
                continue;
            }
            let provider = match pinned.get(tables::lake_table(name)) {
                Some(snapshot) => stored(snapshot),
                None => empty(tables::lake_schema(name))?,
            };
            providers.push((name.to_owned(), provider));
        }
        let found = pinned.into_iter().map(|(table, snapshot)| (table, snapshot.version)).collect();
        let catalog = Arc::clone(&self.catalog);
        let mut session = Session::new(ctx, catalog, as_of, &self.settings, providers, found)?;
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, why) in broken {
            session.leave_out(&name, why)?;
        }
        Ok(session)
    }

    /// Runs the cases of the queries named, or of all.
    pub async fn test(&self, names: &[String]) -> Vec<CaseResult> {
        let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
        run_tests(&self.catalog, wanted).await
    }

    /// A DataFusion context that can read the lake's files.
    pub(crate) fn context(&self) -> SessionContext {
        new_context(new_config(self.limits), own_memory(&self.runtime))
    }

    /// As `context`, for a query that others run beside, over the same days of events.
    pub(crate) fn context_beside(&self, apart: &Arc<Apart>) -> SessionContext {
        let limits = Limits { threads: Some(1), ..self.limits };
        let config = new_config(limits).with_extension(Arc::clone(apart));
        new_context(config, own_memory(&self.runtime))
    }

    /// Reads every table of the lake side by side, before a refresh or a session that reads them
    /// one after the other.
    pub async fn read_ahead(&self) {
        let rollups = self.catalog.of_kind(Kind::Rollup).map(|rollup| rollup_table(&rollup.name));
        self.lake.read_ahead(tables_beside_rollups().into_iter().chain(rollups)).await;
    }

    /// Those of the tables that exist, at their newest or at these versions.
    async fn pinned(
        &self,
        tables: Vec<String>,
        versions: Option<&BTreeMap<String, u64>>,
    ) -> Result<BTreeMap<String, TableSnapshot>> {
        let read = tables.into_iter().map(|table| async move {
            let snapshot = match versions.map(|versions| versions.get(&table).copied()) {
                Some(None) => None,
                version => self.lake.snapshot(&table, version.flatten()).await?,
            };
            Ok::<_, TransformError>(snapshot.map(|snapshot| (table, snapshot)))
        });
        // Each to its end: to break off a read of the log makes the library panic.
        let read = join_all(read).await.into_iter();
        Ok(read.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }
}

/// Every table of the lake that is no rollup, that of the calls first: it has most to read.
fn tables_beside_rollups() -> Vec<String> {
    let streams = Stream::ALL.into_iter().map(|stream| lake::schema::raw(stream).name);
    let others = tables::LAKE_TABLES.into_iter().map(|name| tables::lake_table(name).to_owned());
    streams.chain(others).collect()
}

/// The folder of a rollup in the lake.
pub(crate) fn rollup_table(name: &str) -> String {
    format!("rollup/{name}")
}

pub(crate) fn files_of(snapshot: &TableSnapshot) -> FileList {
    FileList {
        schema: Arc::clone(&snapshot.schema),
        partition_by: snapshot.partition_by.clone(),
        files: snapshot.files.clone(),
    }
    .in_views()
}

pub(crate) fn stored(snapshot: &TableSnapshot) -> Arc<dyn TableProvider> {
    Arc::new(StoredTable(files_of(snapshot)))
}

pub(crate) fn empty(schema: SchemaRef) -> Result<Arc<dyn TableProvider>> {
    let rows = RecordBatch::new_empty(schema);
    texts::table_of(&rows).map_err(TransformError::sql("an empty table"))
}
