//! One consistent set of tables at one `as_of`, and the read-only queries over it.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Schema, SchemaRef};
use datafusion::catalog::{MemorySchemaProvider, TableProvider};
use datafusion::common::format::MetricType;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{
    GreedyMemoryPool, MemoryLimit, MemoryPool, UnboundedMemoryPool,
};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use lake_types::{AsOf, Day, Stream};
use tokio::sync::{Mutex, OnceCell};

use crate::arrivals::ARRIVALS;
use crate::catalog::{Catalog, Kind, Query};
use crate::error::{Result, TransformError};
use crate::nearest::nearest;
use crate::slice::Slice;
use crate::statement::Statement;
use crate::tables::{self, Settings};
use crate::texts;

mod information;
mod lookup;
mod relations;
mod shared;
mod stream;

use lookup::Lookups;
pub use relations::{Relation, RelationColumn};
pub use stream::QueryStream;

/// How much of the machine queries may use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    /// Bytes of one query; no limit by default.
    pub memory: Option<usize>,
    /// Threads of one query; every core by default.
    pub threads: Option<usize>,
}

impl Limits {
    pub(crate) fn threads(self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        self.threads.unwrap_or_else(cores).max(1)
    }
}

/// Rows of a query. `batches` are of `schema`; strings are Utf8.
#[derive(Debug, Clone)]
pub struct QueryResult {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
}

impl QueryResult {
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// A set of tables, fixed, and what is computed from them.
pub struct Session {
    ctx: SessionContext,
    catalog: Arc<Catalog>,
    as_of: AsOf,
    versions: BTreeMap<String, u64>,
    /// Where only some partners are looked at.
    slice: Option<Slice>,
    /// Queries that can't be read, with why.
    left_out: BTreeMap<String, String>,
    /// Those of the catalog's queries that somebody has registered, or is about to.
    views: Mutex<BTreeMap<String, Arc<OnceCell<()>>>>,
    /// Whether `information_schema` has been made.
    information: OnceCell<()>,
}

/// The first day and currency of a billing event that has no rate.
const MISSING_RATE: &str = "SELECT b.currency, min(b.event_date) AS event_date \
     FROM billing_day b \
     LEFT JOIN (SELECT currency, min(valid_from) AS valid_from FROM rates GROUP BY currency) r \
       ON r.currency = b.currency \
     WHERE b.event_date < $as_of \
       AND b.currency NOT IN (SELECT reporting_currency FROM settings) \
       AND (r.valid_from IS NULL OR b.event_date < r.valid_from) \
     GROUP BY b.currency ORDER BY event_date, b.currency LIMIT 1";

/// Of the rows of a view that is kept; one that is larger is computed wherever it is read.
const KEPT_BYTES: usize = 256 << 20;

/// The view whose readers need every rate.
const MONEY_VIEW: &str = "money_day";

impl Session {
    /// A session over tables that are named as SQL names them (`partner_day`, `raw.api_calls`).
    /// Queries of the catalog that are not among them are planned when they are read.
    pub(crate) fn new(
        ctx: SessionContext,
        catalog: Arc<Catalog>,
        as_of: AsOf,
        settings: &Settings,
        tables: Vec<(String, Arc<dyn TableProvider>)>,
        versions: BTreeMap<String, u64>,
    ) -> Result<Self> {
        register_settings(&ctx, settings).map_err(TransformError::sql("the settings"))?;
        register_tables(&ctx, tables).map_err(TransformError::sql("the lake's tables"))?;
        Ok(Self {
            ctx,
            catalog,
            as_of,
            versions,
            slice: None,
            left_out: BTreeMap::new(),
            views: Mutex::default(),
            information: OnceCell::new(),
        })
    }

    /// The same `as_of`, versions and settings; partners through the slice only.
    pub(crate) async fn sliced(whole: &Self, slice: Slice) -> Result<Self> {
        let fail = || TransformError::sql("the settings");
        let ctx = new_context(whole.ctx.copied_config(), whole.ctx.runtime_env());
        for name in tables::SETTING_TABLES {
            let table = whole.ctx.table_provider(name).await.map_err(fail())?;
            ctx.register_table(name, table).map_err(fail())?;
        }
        Ok(Self {
            ctx,
            catalog: Arc::clone(&whole.catalog),
            as_of: whole.as_of,
            versions: whole.versions.clone(),
            slice: Some(slice),
            left_out: whole.left_out.clone(),
            views: Mutex::default(),
            information: OnceCell::new(),
        })
    }

    /// Bars a query, so that nobody reads what is stored of it: who asks is told why.
    ///
    /// # Errors
    /// DataFusion's own.
    pub(crate) fn leave_out(&mut self, name: &str, why: String) -> Result<()> {
        self.ctx.deregister_table(name).map_err(TransformError::sql(name))?;
        self.left_out.insert(name.to_owned(), why);
        Ok(())
    }

    pub fn as_of(&self) -> AsOf {
        self.as_of
    }

    /// The version of each table that is read.
    pub fn versions(&self) -> &BTreeMap<String, u64> {
        &self.versions
    }

    /// Rows of a query of the catalog, in the order its SQL gives, with the columns of its header.
    ///
    /// # Errors
    /// An unknown name, a missing exchange rate, other columns than the header's, DataFusion's own.
    pub async fn metric(&self, name: &str) -> Result<QueryResult> {
        let query = self.catalog.find(name)?;
        if name == MONEY_VIEW {
            // Read through its name, it is checked like for everyone who reads it.
            return self.run(&format!("SELECT * FROM {MONEY_VIEW}"), &query.file).await;
        }
        let result = self.run(&query.sql, &query.file).await?;
        check_columns(query, &result.schema)?;
        Ok(result)
    }

    /// The columns that `metric` would give, without computing it.
    ///
    /// # Errors
    /// As `metric`, but for those of a run.
    pub async fn metric_schema(&self, name: &str) -> Result<SchemaRef> {
        let query = self.catalog.find(name)?;
        let frame = self.frame(&query.sql, &query.file).await?;
        check_columns(query, frame.schema().as_arrow())?;
        Ok(texts::plain(frame.schema().as_arrow()))
    }

    /// Rows of any SELECT over tables, rollups, views and metrics.
    ///
    /// # Errors
    /// Anything that is no SELECT, and as `metric`.
    pub async fn sql(&self, text: &str) -> Result<QueryResult> {
        self.run(text, "your query").await
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) fn context(&self) -> &SessionContext {
        &self.ctx
    }

    /// The rows of a view, not yet computed.
    pub(crate) async fn view(&self, name: &str) -> Result<DataFrame> {
        let statement = Statement::parse(&format!("SELECT * FROM {name}"), name)?;
        self.register_needed(&statement, name).await?;
        self.ctx.table(name).await.map_err(TransformError::sql(name))
    }

    pub(crate) async fn run(&self, text: &str, place: &str) -> Result<QueryResult> {
        self.run_statement(Statement::parse(text, place)?, place).await
    }

    pub(crate) async fn run_statement(
        &self,
        statement: Statement,
        place: &str,
    ) -> Result<QueryResult> {
        let mut rows = self.stream_statement(statement, place).await?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await? {
            batches.push(batch);
        }
        Ok(QueryResult { schema: rows.schema, batches })
    }

    async fn frame(&self, text: &str, place: &str) -> Result<DataFrame> {
        let statement = Statement::parse(text, place)?;
        self.register_needed(&statement, place).await?;
        self.plan(statement, place).await
    }

    async fn plan(&self, statement: Statement, place: &str) -> Result<DataFrame> {
        let fail = || TransformError::sql(place);
        let bound = statement.bind(self.as_of);
        let plan = self.ctx.state().statement_to_plan(bound).await.map_err(fail())?;
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        read_only.verify_plan(&plan).map_err(fail())?;
        self.ctx.execute_logical_plan(plan).await.map_err(fail())
    }

    /// Registers the queries that a statement reads, and makes sure of every exchange rate where
    /// money is among them.
    async fn register_needed(&self, statement: &Statement, place: &str) -> Result<()> {
        if statement.tables(place)?.iter().any(|table| table.starts_with(information::PREFIX)) {
            self.register_information().await?;
        }
        if let Some(table) = statement.described()
            && !self.relations().iter().any(|relation| relation.name == table)
        {
            return Err(self.unknown_table(table.to_owned(), place));
        }
        let mut needed = Vec::new();
        self.needed(statement, place, &mut Vec::new(), &mut needed)?;
        self.register_among(&needed, statement, place).await
    }

    /// Registers those of the queries that a statement names, side by side. Two statements that
    /// need one wait for the same.
    fn register_among<'a>(
        &'a self,
        needed: &'a [String],
        statement: &Statement,
        place: &str,
    ) -> BoxFuture<'a, Result<()>> {
        let names = statement.tables(place);
        async move {
            let named = names?.into_iter().filter(|name| needed.contains(name));
            let registered = named.map(|name| async move {
                let mut views = self.views.lock().await;
                let view = Arc::clone(views.entry(name.clone()).or_default());
                drop(views);
                view.get_or_try_init(|| self.register(needed, name)).await.copied()
            });
            // Of several errors always the same one.
            join_all(registered).await.into_iter().collect()
        }
        .boxed()
    }

    /// Registers a query, those it reads first.
    async fn register(&self, needed: &[String], name: String) -> Result<()> {
        let query = self.catalog.find(&name)?;
        let fail = || TransformError::sql(&query.file);
        if let Some((slice, how)) = self.slice.as_ref().zip(query.header.slice) {
            let view = slice.view(&name, how).await?.into_view();
            return self.ctx.register_table(name, view).map(drop).map_err(fail());
        }
        let statement = Statement::parse(&query.sql, &query.file)?;
        self.register_among(needed, &statement, &query.file).await?;
        if name == MONEY_VIEW {
            self.check_rates().await?;
        }
        let view = self.plan(statement, &query.file).await?;
        check_columns(query, view.schema().as_arrow())?;
        let rows = if query.header.keep {
            shared::rows(&self.ctx, view.logical_plan(), KEPT_BYTES).await.map_err(fail())?
        } else {
            None
        };
        let table = rows.map_or_else(|| view.into_view(), |rows| rows as _);
        self.ctx.register_table(name, table).map(drop).map_err(fail())
    }

    /// Appends the names of catalog queries not yet registered, each once.
    fn needed(
        &self,
        statement: &Statement,
        place: &str,
        path: &mut Vec<String>,
        order: &mut Vec<String>,
    ) -> Result<()> {
        for name in statement.tables(place)? {
            if let Some(at) = path.iter().position(|p| *p == name) {
                let circle = [&path[at..], std::slice::from_ref(&name)].concat();
                return Err(TransformError::Cycle(circle.join(" → ")));
            }
            if let Some(why) = self.left_out.get(&name) {
                return Err(TransformError::LeftOut { name, why: why.clone() });
            }
            let registered =
                self.ctx.table_exist(name.as_str()).map_err(TransformError::sql(place))?;
            self.refuse_every_partner(&name, place)?;
            let Some(query) = self.catalog.get(&name) else {
                if registered || self.ctx.table_function(&name).is_ok() {
                    continue;
                }
                if let Some(fault) = self.catalog.left_out().get(&name) {
                    return Err(TransformError::of_file(fault));
                }
                return Err(self.unknown_table(name, place));
            };
            if registered || order.contains(&name) {
                continue;
            }
            if self.slice.is_some() && query.header.slice.is_some() {
                order.push(name);
                continue;
            }
            path.push(name.clone());
            let inner = Statement::parse(&query.sql, &query.file)?;
            self.needed(&inner, &query.file, path, order)?;
            path.pop();
            order.push(name);
        }
        Ok(())
    }

    /// Tables of the lake hold every partner; a slice is reached through views.
    fn refuse_every_partner(&self, table: &str, place: &str) -> Result<()> {
        let rollup = self.catalog.get(table).is_some_and(|q| q.kind == Kind::Rollup);
        if self.slice.is_some() && (rollup || tables::is_of_lake(table)) {
            return Err(TransformError::PastTheViews {
                place: place.to_owned(),
                table: table.to_owned(),
            });
        }
        Ok(())
    }

    fn unknown_table(&self, name: String, place: &str) -> TransformError {
        let known = known_tables(&self.catalog);
        let hint = match nearest(&name, known.iter().copied()) {
            Some(other) => format!("did you mean \"{other}\"?"),
            None => format!("there are {}, raw.api_calls (and so on)", known.join(", ")),
        };
        TransformError::UnknownTable { place: place.to_owned(), name, hint }
    }

    async fn check_rates(&self) -> Result<()> {
        const PLACE: &str = "the check of exchange rates";
        let statement = Statement::parse(MISSING_RATE, PLACE)?;
        let frame = self.plan(statement, PLACE).await?;
        let batches = frame.collect().await.map_err(TransformError::sql(PLACE))?;
        let Some(missing) = batches.iter().find(|b| b.num_rows() > 0) else { return Ok(()) };
        let fail = |e: arrow::error::ArrowError| TransformError::sql(PLACE)(e.into());
        let currency = cast(missing.column(0), &DataType::Utf8).map_err(fail)?;
        Err(TransformError::NoRate {
            currency: currency.as_string::<i32>().value(0).to_owned(),
            day: Day(missing.column(1).as_primitive::<Date32Type>().value(0)),
        })
    }
}

/// Every name a query may read, but for the schema `raw`.
pub(crate) fn known_tables(catalog: &Catalog) -> Vec<&str> {
    let mut known: Vec<&str> = Stream::ALL.iter().map(|s| s.table()).collect();
    known.push(ARRIVALS);
    known.extend(tables::LAKE_TABLES);
    known.extend(tables::SETTING_TABLES);
    known.extend(catalog.queries().map(|q| q.name.as_str()));
    known
}

/// As DataFusion's queries are to run here: in UTC, filters pushed into Parquet.
pub(crate) fn new_config(limits: Limits) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(limits.threads());
    let options = config.options_mut();
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.parquet.pushdown_filters = true;
    options.sql_parser.collect_spans = true;
    // EXPLAIN ANALYZE gives rows and times, not every counter.
    options.explain.analyze_level = MetricType::Summary;
    options.sql_parser.map_string_types_to_utf8view = false;
    config
}

/// The same files and footers, with as much memory once more.
pub(crate) fn own_memory(runtime: &RuntimeEnv) -> Arc<RuntimeEnv> {
    let memory_pool: Arc<dyn MemoryPool> = match runtime.memory_pool.memory_limit() {
        MemoryLimit::Finite(bytes) => Arc::new(GreedyMemoryPool::new(bytes)),
        MemoryLimit::Infinite | MemoryLimit::Unknown => Arc::new(UnboundedMemoryPool::default()),
    };
    Arc::new(RuntimeEnv { memory_pool, ..runtime.clone() })
}

/// A context that knows our functions.
pub(crate) fn new_context(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionContext {
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_physical_optimizer_rule(Arc::new(Lookups))
        .build();
    let ctx = SessionContext::new_with_state(state);
    crate::functions::register(&ctx);
    ctx
}

/// A context for queries that read no lake.
pub(crate) fn context_without_lake() -> SessionContext {
    new_context(new_config(Limits::default()), Arc::default())
}

fn register_settings(
    ctx: &SessionContext,
    settings: &Settings,
) -> std::result::Result<(), DataFusionError> {
    for (name, batch) in tables::setting_tables(settings)? {
        ctx.register_table(name, texts::table_of(&batch)?)?;
    }
    Ok(())
}

fn register_tables(
    ctx: &SessionContext,
    tables: Vec<(String, Arc<dyn TableProvider>)>,
) -> std::result::Result<(), DataFusionError> {
    add_raw_schema(ctx)?;
    for (name, table) in tables {
        // A setting table that is given by hand stands in for the one made of the settings.
        ctx.deregister_table(name.as_str())?;
        ctx.register_table(name.as_str(), table)?;
    }
    Ok(())
}

/// Makes room for `raw.api_calls` and its siblings.
pub(crate) fn add_raw_schema(ctx: &SessionContext) -> std::result::Result<(), DataFusionError> {
    let options = ctx.copied_config().options().catalog.clone();
    if let Some(catalog) = ctx.catalog(&options.default_catalog) {
        catalog.register_schema(tables::RAW_SCHEMA, Arc::new(MemorySchemaProvider::new()))?;
    }
    Ok(())
}

pub(crate) fn check_columns(query: &Query, actual: &Schema) -> Result<()> {
    let declared = &query.header.columns;
    if query.kind == Kind::Check && declared.is_empty() {
        return Ok(());
    }
    let same = declared.len() == actual.fields().len()
        && declared
            .iter()
            .zip(actual.fields())
            .all(|(d, a)| d.name == *a.name() && d.kind.accepts(a.data_type()));
    if same {
        return Ok(());
    }
    let mut lines = Vec::new();
    for i in 0..declared.len().max(actual.fields().len()) {
        let header =
            declared.get(i).map_or("nothing".to_owned(), |d| format!("{} {}", d.name, d.kind));
        let given = actual
            .fields()
            .get(i)
            .map_or("nothing".to_owned(), |a| format!("{} {}", a.name(), a.data_type()));
        let equal = declared
            .get(i)
            .zip(actual.fields().get(i))
            .is_some_and(|(d, a)| d.name == *a.name() && d.kind.accepts(a.data_type()));
        if !equal {
            lines.push(format!("  column {}: header {header}, query {given}", i + 1));
        }
    }
    Err(TransformError::Columns { file: query.file.clone(), difference: lines.join("\n") })
}
