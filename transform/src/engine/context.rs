//! DataFusion contexts as this crate uses them: their options, rules and functions.

use std::num::NonZero;
use std::sync::Arc;

use datafusion::catalog::MemorySchemaProvider;
use datafusion::common::Result;
use datafusion::common::format::MetricType;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::catalog::built_in_tables;
use crate::engine::memory_pool::new_memory_pool;
use crate::engine::optimizer::NodeRule;
use crate::engine::optimizer::distinct_texts::over_distinct_texts;
use crate::engine::optimizer::filter_pushdown::guarded;
use crate::engine::optimizer::grouped_build_side::hash_groups;
use crate::engine::optimizer::lookup_join::lookup;
use crate::engine::optimizer::normalized_keys::by_normalized_keys;
use crate::engine::optimizer::owned_batches::over_owned_batches;
use crate::engine::optimizer::partitionwise_aggregate::PartitionwiseAggregateRule;
use crate::engine::optimizer::push_down_filter::GuardedPushDownFilter;
use crate::engine::optimizer::utc_dates::UtcDatesRule;

/// The share of the machine that one query may use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QueryLimits {
    /// Memory in bytes; without a limit by default.
    pub memory: Option<usize>,
    /// Threads; one for each core by default.
    pub threads: Option<usize>,
}

impl QueryLimits {
    pub(crate) fn threads(self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        self.threads.unwrap_or_else(cores).max(1)
    }
}

/// The size of the smaller side of a join up to which all threads share one hash table of it. DataFusion's
/// default is a sixteenth, and the rows of both sides are divided between the threads above it: that costs
/// each row of events more than finding its match. Of a side whose bytes nobody knows, DataFusion's own bound of
/// 131,072 rows holds.
const MAX_SHARED_BUILD_SIDE_BYTES: usize = 16 << 20;

/// Returns the options of every query: the time zone is UTC, and filters are pushed into Parquet.
pub(crate) fn new_config(limits: QueryLimits) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(limits.threads());
    let options = config.options_mut();
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.parquet.pushdown_filters = true;
    options.sql_parser.collect_spans = true;
    // EXPLAIN ANALYZE shows rows and times, not every counter.
    options.explain.analyze_level = MetricType::Summary;
    options.sql_parser.map_string_types_to_utf8view = false;
    // It finds the keys of an aggregate by name, and two of them may have the same: `GROUP BY a.k, b.k`.
    options.optimizer.top_down_join_key_reordering = false;
    options.optimizer.hash_join_single_partition_threshold = MAX_SHARED_BUILD_SIDE_BYTES;
    config
}

/// Returns a context with the functions and optimizer rules of this crate.
pub(crate) fn new_context(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionContext {
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_optimizer_rules(optimizer_rules())
        .with_physical_optimizer_rules(physical_optimizer_rules())
        .build();
    let ctx = SessionContext::new_with_state(state);
    crate::functions::register(&ctx);
    ctx
}

/// Returns DataFusion's rules for logical plans with those of this crate.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    for rule in &mut rules {
        let guarded = GuardedPushDownFilter::default();
        if rule.name() == guarded.name() {
            *rule = Arc::new(guarded);
        }
    }
    rules.push(Arc::new(UtcDatesRule));
    rules
}

/// Returns DataFusion's rules for physical plans with those of this crate.
pub(crate) fn physical_optimizer_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules: Vec<_> = PhysicalOptimizer::new().rules.into_iter().map(guarded).collect();
    let join_selection = rules.iter().position(|rule| rule.name() == "join_selection");
    let join_selection = join_selection.expect("DataFusion chooses the sides of joins");
    let hash_groups = NodeRule { name: "grouped_build_side", replace: hash_groups };
    rules.insert(join_selection + 1, Arc::new(hash_groups));
    rules.insert(join_selection, Arc::new(NodeRule { name: "lookup_join", replace: lookup }));
    rules.push(Arc::new(PartitionwiseAggregateRule));
    rules.push(Arc::new(NodeRule { name: "distinct_texts", replace: over_distinct_texts }));
    rules.push(Arc::new(NodeRule { name: "normalized_keys", replace: by_normalized_keys }));
    rules.push(Arc::new(NodeRule { name: "owned_batches", replace: over_owned_batches }));
    rules
}

/// Returns a context for queries that read no lake.
pub(crate) fn context_without_lake() -> SessionContext {
    new_context(new_config(QueryLimits::default()), Arc::default())
}

/// Returns a runtime with the same object stores and cached footers, and with a memory pool of its
/// own. The new pool is as large as the given one.
pub(crate) fn with_own_memory_pool(runtime: &RuntimeEnv) -> Arc<RuntimeEnv> {
    let limit = match runtime.memory_pool.memory_limit() {
        MemoryLimit::Finite(bytes) => Some(bytes),
        MemoryLimit::Infinite | MemoryLimit::Unknown => None,
    };
    Arc::new(RuntimeEnv { memory_pool: new_memory_pool(limit), ..runtime.clone() })
}

/// Registers the schema of `raw.api_calls` and the other raw tables.
pub(crate) fn add_raw_schema(ctx: &SessionContext) -> Result<()> {
    let options = ctx.copied_config().options().catalog.clone();
    if let Some(catalog) = ctx.catalog(&options.default_catalog) {
        catalog
            .register_schema(built_in_tables::RAW_SCHEMA, Arc::new(MemorySchemaProvider::new()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;

    use super::*;

    #[tokio::test]
    async fn keys_of_one_name_are_joined_each_with_its_own() {
        let limits = QueryLimits { threads: Some(2), ..QueryLimits::default() };
        let mut config = new_config(limits);
        // Both sides of the join are partitioned by its keys, as large ones are.
        config.options_mut().optimizer.hash_join_single_partition_threshold = 0;
        config.options_mut().optimizer.hash_join_single_partition_threshold_rows = 0;
        let ctx = new_context(config, Arc::default());
        let sql = "WITH a AS (SELECT value AS k FROM generate_series(1, 3)), \
             b AS (SELECT value AS k FROM generate_series(11, 13)), \
             g AS (SELECT a.k AS x, b.k AS y, count(*) AS n FROM a CROSS JOIN b GROUP BY a.k, b.k), \
             h AS (SELECT value AS p, value + 10 AS q FROM generate_series(1, 3)) \
             SELECT count(*) AS n FROM h JOIN g ON g.y = h.q AND g.x = h.p";
        let rows = ctx.sql(sql).await.expect("a plan").collect().await.expect("rows");
        let found = pretty_format_batches(&rows).expect("a table").to_string();
        assert_eq!(found, "+---+\n| n |\n+---+\n| 3 |\n+---+");
    }

    #[tokio::test]
    async fn rows_are_not_divided_between_threads_to_join_a_much_smaller_table() {
        let limits = QueryLimits { threads: Some(2), ..QueryLimits::default() };
        let ctx = new_context(new_config(limits), Arc::default());
        for (table, rows) in [("few", 100_000), ("many", 300_000)] {
            let sql = format!("SELECT value AS a, value + 1 AS b FROM generate_series(1, {rows})");
            let rows = ctx.sql(&sql).await.expect("a plan").cache().await.expect("rows");
            ctx.register_table(table, rows.into_view()).expect("a new table");
        }
        let sql = "EXPLAIN SELECT many.b FROM many JOIN few ON few.a = many.a AND few.b = many.b";
        let rows = ctx.sql(sql).await.expect("a plan").collect().await.expect("rows");
        let plan = pretty_format_batches(&rows).expect("a table").to_string();
        assert!(plan.contains("mode=CollectLeft") && !plan.contains("RepartitionExec"), "{plan}");
    }
}
