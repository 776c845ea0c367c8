//! The engine: the queries over one lake, and the DataFusion plans that answer them.
//!
//! - `context`: DataFusion contexts, their options and rules
//! - `memory_pool`: the memory of one query
//! - `table_names`: the names of all tables that a query may read
//! - `file_list`: the data files of a table at one version, and their Parquet scan
//! - `footers`: footers of files with their page indexes
//! - `scan`: the table providers of the lake
//! - `dedup`: the removal of duplicate events
//! - `column_cache`: decoded columns that queries share
//! - `utf8_view`: the types of strings in tables and results
//! - `score_tables`: tables of scores, also those of an older program
//! - `append`: the plan that reads partitions one after the other
//! - `map_batches`: the plan that changes each batch by itself
//! - `arrivals`: the table `arrivals`, which counts records by stream and day
//! - `optimizer`: rewrites of plans
//! - `sort_merge_join`: runs a query again with sort-merge joins where memory is short
//! - `query_columns`: a result's columns compared with the header's
//! - `session`: one consistent set of tables, and queries over it
//! - `predicate` and `slice`: sessions of some partners
//! - `condition`: conditions of policies
//! - `read_only`: queries over a lake that can't be written

pub(crate) mod append;
pub(crate) mod arrivals;
pub(crate) mod column_cache;
pub(crate) mod condition;
pub(crate) mod context;
pub(crate) mod dedup;
pub(crate) mod file_list;
pub(crate) mod footers;
pub(crate) mod map_batches;
pub(crate) mod memory_pool;
pub(crate) mod optimizer;
pub(crate) mod predicate;
pub(crate) mod query_columns;
pub(crate) mod read_only;
pub(crate) mod scan;
pub(crate) mod score_tables;
pub(crate) mod session;
pub(crate) mod slice;
pub(crate) mod sort_merge_join;
pub(crate) mod table_names;
pub(crate) mod utf8_view;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::catalog::TableProvider;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionContext;
use domain::{AsOf, ExchangeRates, Stream};
use futures::future::join_all;
use lake::{Lake, TableSnapshot};
use tokio::sync::Semaphore;

use crate::catalog::built_in_tables::ARRIVALS;
use crate::catalog::built_in_tables::{self, ProgrammeRow, Settings, SlaRow, SunsetRow};
use crate::catalog::{Catalog, QueryKind};
use crate::engine::arrivals::{Arrivals, arrivals_table};
use crate::engine::column_cache::ColumnCache;
use crate::engine::context::{QueryLimits, new_config, new_context, with_own_memory_pool};
use crate::engine::dedup::duplicate_free_days::DuplicateFreeDays;
use crate::engine::file_list::{FileList, store_url};
use crate::engine::memory_pool::new_memory_pool;
use crate::engine::scan::{EventSource, EventTable, StoredTable, empty_table, stored_table};
use crate::engine::session::Session;
use crate::error::{Result, TransformError};
use crate::rollups::division::{DEFAULT_UNIT_ROWS, PartnerCounts};
use crate::rollups::unit::UnitRunner;

/// The size of the column cache, which all sessions of an engine share.
const COLUMN_CACHE_BYTES: usize = 256 << 20;

/// The settings of an engine.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// An ISO 4217 code.
    pub reporting_currency: String,
    pub rates: ExchangeRates,
    pub sla: Vec<SlaRow>,
    pub sunsets: Vec<SunsetRow>,
    pub programme: Vec<ProgrammeRow>,
    /// The folder `queries/` of the project, where there is one.
    pub project_queries: Option<PathBuf>,
    /// The memory of one query in bytes; without a limit by default.
    pub memory_limit: Option<usize>,
    /// The threads of one query; one for each core by default.
    pub threads: Option<usize>,
    /// The folder for rows that do not fit the memory of a query. The default is the system's
    /// folder for temporary files, in which a killed process leaves them.
    pub spill_folder: Option<PathBuf>,
    /// The most input rows of one unit of a refresh; a million by default. Larger days are divided
    /// by partner.
    pub unit_rows: Option<u64>,
}

/// A lake and the queries over it.
#[derive(Clone)]
pub struct Engine {
    pub(crate) lake: Lake,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) limits: QueryLimits,
    /// One permit for each thread. A query that runs on one thread takes one.
    pub(crate) compute_permits: Arc<Semaphore>,
    /// Shared by all sessions: the lake's object store, cached footers, the folder for spilling.
    runtime: Arc<RuntimeEnv>,
    column_cache: Arc<ColumnCache>,
    settings: Settings,
    /// Rollups whose stored rows were not computed by the current SQL. They are computed from the
    /// events at each read.
    pub(crate) stored_by_other_sql: BTreeSet<String>,
    /// Rollups that the last refresh could not compute, each with the reason. No session reads
    /// them.
    pub(crate) failed_rollups: Arc<Mutex<BTreeMap<String, String>>>,
    /// The most input rows of one unit of a refresh.
    pub(crate) unit_rows: u64,
    /// Runs the units of refreshes and compactions elsewhere; without one they run in this process.
    pub(crate) unit_runner: Option<Arc<dyn UnitRunner>>,
    /// Whether a refresh computes every day, also where nothing changed.
    pub(crate) recomputes_all: bool,
    /// Shared by the rollups, which divide days with many events by partner.
    pub(crate) partner_counts: Arc<PartnerCounts>,
}

impl Engine {
    /// Creates an engine with the built-in queries and those of the project. The catalog keeps a
    /// diagnostic for each query that is wrong.
    ///
    /// # Errors
    /// Files that can't be opened.
    pub fn new(lake: Lake, options: EngineOptions) -> Result<Self> {
        let mut catalog = Catalog::built_in()?;
        if let Some(folder) = &options.project_queries {
            catalog = catalog.with_project(folder)?;
        }
        let limits = QueryLimits { memory: options.memory_limit, threads: options.threads };
        let memory_pool = new_memory_pool(limits.memory);
        let mut runtime = RuntimeEnv { memory_pool, ..RuntimeEnv::default() };
        if let Some(folder) = options.spill_folder {
            let mode = DiskManagerMode::Directories(vec![folder]);
            let manager = DiskManagerBuilder::default().with_mode(mode).build();
            let fail = TransformError::sql("the folder for what queries spill");
            runtime.disk_manager = Arc::new(manager.map_err(fail)?);
        }
        runtime.register_object_store(store_url().as_ref(), lake.store());
        Ok(Self {
            lake,
            catalog: Arc::new(catalog),
            limits,
            compute_permits: Arc::new(Semaphore::new(limits.threads())),
            runtime: Arc::new(runtime),
            column_cache: Arc::new(ColumnCache::new(COLUMN_CACHE_BYTES)),
            settings: Settings {
                reporting_currency: options.reporting_currency,
                rates: options.rates,
                sla: options.sla,
                sunsets: options.sunsets,
                programme: options.programme,
            },
            stored_by_other_sql: BTreeSet::new(),
            failed_rollups: Arc::default(),
            unit_rows: options.unit_rows.unwrap_or(DEFAULT_UNIT_ROWS).max(1),
            unit_runner: None,
            recomputes_all: false,
            partner_counts: Arc::default(),
        })
    }

    /// Returns an engine over the same lake whose refreshes and compactions run elsewhere. It still commits what
    /// they write.
    pub fn with_unit_runner(&self, runner: Arc<dyn UnitRunner>) -> Self {
        Self { unit_runner: Some(runner), ..self.clone() }
    }

    /// Returns an engine over the same lake with other queries, for a comparison. A rollup whose
    /// SQL differs is computed from the events at each read; its stored rows are not read.
    pub fn with_catalog(&self, catalog: Catalog) -> Self {
        let sql = |catalog: &Catalog, name: &str| {
            let query = catalog.get(name)?;
            Some(query.statement().ok()?.normalized())
        };
        let stored_by_other_sql: BTreeSet<String> = catalog
            .names(QueryKind::Rollup)
            .into_iter()
            .filter(|name| {
                self.stored_by_other_sql.contains(*name)
                    || sql(&catalog, name) != sql(&self.catalog, name)
            })
            .map(str::to_owned)
            .collect();
        let mut failed = self.failed_rollups.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failed.retain(|name, _| !stored_by_other_sql.contains(name));
        let failed_rollups = Arc::new(Mutex::new(failed));
        let catalog = Arc::new(catalog);
        Self { catalog, stored_by_other_sql, failed_rollups, ..self.clone() }
    }

    /// Returns an engine over the same lake whose refreshes compute every day again.
    pub fn recomputing_all(&self) -> Self {
        Self { recomputes_all: true, ..self.clone() }
    }

    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Opens a session over all tables, at their newest versions or at those of an earlier run. A
    /// table without a version in `versions` did not exist then.
    ///
    /// # Errors
    /// A version that no longer exists; errors of the lake.
    pub async fn open_session(
        &self,
        as_of: AsOf,
        versions: Option<&BTreeMap<String, u64>>,
    ) -> Result<Session> {
        let config = new_config(self.limits).with_extension(Arc::clone(&self.column_cache));
        let ctx = new_context(config, with_own_memory_pool(&self.runtime));
        let rollups = self.catalog.of_kind(QueryKind::Rollup);
        let rollups: Vec<&str> = rollups
            .map(|r| r.name.as_str())
            .filter(|r| !self.stored_by_other_sql.contains(*r))
            .collect();
        // Rollups are pinned before the tables of events that they are computed from. So no rollup
        // counts an event that the session's tables lack.
        let stored_rollups = rollups.iter().map(|rollup| rollup_table(rollup));
        let mut pinned = self.pin(stored_rollups.collect(), versions).await?;
        pinned.extend(self.pin(tables_beside_rollups(), versions).await?);
        let providers = self.providers(&rollups, &pinned).await?;
        let versions =
            pinned.into_iter().map(|(table, snapshot)| (table, snapshot.version)).collect();
        let catalog = Arc::clone(&self.catalog);
        let mut session = Session::new(ctx, catalog, as_of, &self.settings, providers, versions)?;
        let failed = self.failed_rollups.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, reason) in failed {
            session.make_unavailable(&name, reason)?;
        }
        Ok(session)
    }

    /// Returns the tables of a session by their names in SQL: the stored ones of `rollups`, and all
    /// others of the lake.
    async fn providers(
        &self,
        rollups: &[&str],
        pinned: &BTreeMap<String, TableSnapshot>,
    ) -> Result<Vec<(String, Arc<dyn TableProvider>)>> {
        let mut providers: Vec<(String, Arc<dyn TableProvider>)> = Vec::new();
        for rollup in rollups {
            // A rollup that was never stored is computed at each read.
            if let Some(snapshot) = pinned.get(&rollup_table(rollup)) {
                providers.push(((*rollup).to_owned(), stored_table(snapshot)));
            }
        }
        let mut arrivals = Arrivals::default();
        for stream in Stream::ALL {
            let def = lake::schema::raw(stream);
            let list = match pinned.get(&def.name) {
                Some(snapshot) => {
                    arrivals.add_files(stream, &snapshot.files);
                    FileList::of_snapshot(snapshot)
                }
                None => FileList::of_def(&def, Arc::default()).with_utf8_view(),
            };
            let raw = format!("{}.{}", built_in_tables::RAW_SCHEMA, stream.table());
            providers.push((raw, Arc::new(StoredTable(list.clone()))));
            let events = Arc::new(EventTable(EventSource::Files(list)));
            providers.push((stream.table().to_owned(), events));
        }
        providers.push((ARRIVALS.to_owned(), arrivals_table(&arrivals, |_| true)?));
        let scores = score_tables::tables(pinned).await?;
        providers.extend(scores.map(|(name, table)| (name.to_owned(), table)));
        for name in built_in_tables::LAKE_TABLES {
            if providers.iter().any(|(provided, _)| provided == name) {
                continue;
            }
            let schema = built_in_tables::lake_schema(name);
            let provider: Arc<dyn TableProvider> =
                match pinned.get(built_in_tables::lake_table(name)) {
                    Some(snapshot) => {
                        let list = FileList::of_snapshot(snapshot).with_columns_of(&schema);
                        Arc::new(StoredTable(list))
                    }
                    None => empty_table(schema)?,
                };
            providers.push((name.to_owned(), provider));
        }
        Ok(providers)
    }

    /// Returns a DataFusion context that can read the lake's files.
    pub(crate) fn context(&self) -> SessionContext {
        new_context(new_config(self.limits), with_own_memory_pool(&self.runtime))
    }

    /// Returns a context with one thread, for queries that run side by side over the same days of
    /// events. They share what is known about duplicates, where it is given; without it, each query
    /// looks for those among the rows that it reads.
    pub(crate) fn single_threaded_context(
        &self,
        duplicate_free_days: Option<&Arc<DuplicateFreeDays>>,
    ) -> SessionContext {
        let limits = QueryLimits { threads: Some(1), ..self.limits };
        let mut config = new_config(limits);
        if let Some(days) = duplicate_free_days {
            config = config.with_extension(Arc::clone(days));
        }
        new_context(config, with_own_memory_pool(&self.runtime))
    }

    /// Reads the logs of all tables at once, before a refresh or a session reads them one after the
    /// other.
    pub async fn prefetch(&self) {
        let rollups =
            self.catalog.of_kind(QueryKind::Rollup).map(|rollup| rollup_table(&rollup.name));
        self.lake.prefetch(tables_beside_rollups().into_iter().chain(rollups)).await;
    }

    /// Returns a table at its newest version or at that of `versions`. A table that does not exist,
    /// or that has no version in `versions`, is `None`.
    pub(crate) async fn snapshot_at(
        &self,
        table: &str,
        versions: Option<&BTreeMap<String, u64>>,
    ) -> Result<Option<TableSnapshot>> {
        match versions.map(|versions| versions.get(table).copied()) {
            Some(None) => Ok(None),
            version => Ok(self.lake.snapshot(table, version.flatten()).await?),
        }
    }

    /// Returns the existing tables of a list at their newest or at given versions.
    async fn pin(
        &self,
        tables: Vec<String>,
        versions: Option<&BTreeMap<String, u64>>,
    ) -> Result<BTreeMap<String, TableSnapshot>> {
        let read = tables.into_iter().map(|table| async move {
            let snapshot = self.snapshot_at(&table, versions).await?;
            Ok::<_, TransformError>(snapshot.map(|snapshot| (table, snapshot)))
        });
        // Every read ends before an error is returned, because the Delta library panics when a read
        // of the log is cancelled.
        let read = join_all(read).await.into_iter();
        Ok(read.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }
}

/// Returns the lake's tables other than rollups. Those of events come first, because their logs are
/// the longest.
fn tables_beside_rollups() -> Vec<String> {
    let streams = Stream::ALL.into_iter().map(|stream| lake::schema::raw(stream).name);
    let others = built_in_tables::LAKE_TABLES
        .into_iter()
        .map(|name| built_in_tables::lake_table(name).to_owned());
    streams.chain(others).collect()
}

/// Returns the name of a rollup's table in the lake, which is also its folder.
pub(crate) fn rollup_table(name: &str) -> String {
    format!("rollup/{name}")
}
