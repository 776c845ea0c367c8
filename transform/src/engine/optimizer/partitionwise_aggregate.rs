//! Groups the events of each day by themselves, where the groups hold the day.
//!
//! Events are sorted by day and partner, and DataFusion groups sorted rows with little memory, but
//! compares them one at a time. A hash table compares them a column at a time, in half the time or
//! less. Days share no group, so each day has a table of its own: nothing is merged between threads,
//! and the memory of a query is that of one day a thread. PostgreSQL calls this a partitionwise
//! aggregate.

use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    Distribution, LexOrdering, OrderingRequirements, PhysicalSortExpr,
};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::partial_sort::PartialSortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::InterleaveExec;
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, InputOrderMode, ReplaceChildrenOptions,
};

use crate::engine::append::AppendExec;
use crate::engine::dedup::exec::DedupExec;

/// Other children have other partitions and orders.
const RECOMPUTE: ReplaceChildrenOptions =
    ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);

/// The optimizer rule. It runs when DataFusion's rules have decided what is sorted where.
#[derive(Debug)]
pub(crate) struct PartitionwiseAggregateRule;

impl PhysicalOptimizerRule for PartitionwiseAggregateRule {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let threads = config.execution.target_partitions;
        // Units of rollups are grouped by one thread, and written in the order of partners.
        if threads == 1 {
            return Ok(plan);
        }
        // The order of several partitions is not that of the result.
        let order = plan.output_partitioning().partition_count() == 1;
        rewrite(plan, Relied { order, partitioning: false }, threads)
    }

    fn name(&self) -> &'static str {
        "partitionwise_aggregates"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What the plans above rely on.
#[derive(Debug, Clone, Copy)]
struct Relied {
    order: bool,
    /// Whether all rows with the same keys are in the partition of their hash.
    partitioning: bool,
}

impl Relied {
    /// Returns what is relied on in a child of a plan.
    fn below(
        self,
        plan: &dyn ExecutionPlan,
        is_order_kept: bool,
        order: Option<&OrderingRequirements>,
        distribution: &Distribution,
    ) -> Self {
        let needs_order = match plan.downcast_ref::<AggregateExec>() {
            Some(aggregate) => *aggregate.input_order_mode() != InputOrderMode::Linear,
            // It sorts what has an order already, and does not say that it relies on it.
            None => order.is_some() || plan.is::<PartialSortExec>(),
        };
        let is_partitioning_kept = !(plan.is::<RepartitionExec>()
            || plan.is::<CoalescePartitionsExec>()
            || plan.is::<SortPreservingMergeExec>());
        Self {
            order: needs_order || (is_order_kept && self.order),
            partitioning: matches!(distribution, Distribution::KeyPartitioned(_))
                || plan.is::<InterleaveExec>()
                || (is_partitioning_kept && self.partitioning),
        }
    }
}

/// Rewrites the aggregates of a plan.
fn rewrite(
    plan: Arc<dyn ExecutionPlan>,
    relied: Relied,
    threads: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    // Where something relies on the order of partners, sorting each day would cost what is won.
    if let Some(aggregate) = DayAggregate::of(&plan, threads)
        && (!relied.order || aggregate.is_by_day_alone(&plan))
        && !(relied.order && relied.partitioning)
    {
        let rows = aggregate.plan()?;
        if !relied.partitioning {
            return Ok(rows);
        }
        let partitioning = plan.output_partitioning().clone();
        return Ok(Arc::new(RepartitionExec::try_new(rows, partitioning)?));
    }
    let children = plan.children().into_iter().zip(plan.maintains_input_order());
    let distributions = plan.input_distribution_requirements().into_per_child();
    let requirements = plan.required_input_ordering().into_iter().zip(distributions);
    let rewritten: Vec<_> = children
        .zip(requirements)
        .map(|((child, is_order_kept), (order, distribution))| {
            let below = relied.below(plan.as_ref(), is_order_kept, order.as_ref(), &distribution);
            rewrite(Arc::clone(child), below, threads)
        })
        .collect::<Result<_>>()?;
    let is_same = plan.children().into_iter().zip(&rewritten).all(|(a, b)| Arc::ptr_eq(a, b));
    if is_same { Ok(plan) } else { plan.replace_children(rewritten, RECOMPUTE) }
}

/// An aggregate over days of events that groups by the day.
struct DayAggregate<'a> {
    /// It reads the events; the final one above it is left out.
    first: &'a AggregateExec,
    /// The output column that holds the day.
    day: usize,
    events: &'a DedupExec,
}

impl<'a> DayAggregate<'a> {
    /// Returns the aggregate that `plan` is, if it is one.
    fn of(plan: &'a Arc<dyn ExecutionPlan>, threads: usize) -> Option<Self> {
        let aggregate = plan.downcast_ref::<AggregateExec>()?;
        let repartition = aggregate.input().downcast_ref::<RepartitionExec>()?;
        let first = repartition.input().downcast_ref::<AggregateExec>()?;
        let is_plain = *aggregate.mode() == AggregateMode::FinalPartitioned
            && *first.mode() == AggregateMode::Partial
            && first.group_expr().is_single()
            && first.limit_options().is_none()
            && aggregate.limit_options().is_none()
            && first.aggr_expr().iter().all(|function| function.order_bys().is_empty());
        if !is_plain {
            return None;
        }
        let (events, in_input) = day_column(first.input())?;
        let day = first.group_expr().expr().iter().position(|(key, _)| {
            key.downcast_ref::<Column>().is_some_and(|column| column.index() == in_input)
        })?;
        // With fewer days than threads, some threads would have nothing to do.
        (events.days() >= threads).then_some(Self { first, day, events })
    }

    /// Returns whether the rows of the aggregate that is replaced have no order but that of days, which
    /// stays.
    fn is_by_day_alone(&self, replaced: &Arc<dyn ExecutionPlan>) -> bool {
        replaced.output_ordering().is_none_or(|order| {
            let first = order.first().expr.downcast_ref::<Column>();
            order.len() == 1 && first.is_some_and(|column| column.index() == self.day)
        })
    }

    /// Returns the plan that groups day by day, with its rows in the order of days.
    fn plan(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let (events, groups) = self.events.single_days();
        let first = self.first;
        let grouped: Arc<dyn ExecutionPlan> = Arc::new(AggregateExec::try_new(
            AggregateMode::SinglePartitioned,
            first.group_expr().clone(),
            first.aggr_expr().to_vec(),
            first.filter_expr().to_vec(),
            over_single_days(first.input(), events)?,
            first.input_schema(),
        )?);
        let schema = grouped.schema();
        let column = Column::new_with_schema(schema.field(self.day).name(), &schema)?;
        let ascending = SortOptions { descending: false, nulls_first: false };
        let order = LexOrdering::new([PhysicalSortExpr::new(Arc::new(column), ascending)])
            .ok_or_else(|| internal_datafusion_err!("an order by day"))?;
        Ok(Arc::new(AppendExec::new(grouped, groups, order)))
    }
}

/// Returns the scan of events below plans of one row at a time, and which column of `plan` is its day.
fn day_column(plan: &Arc<dyn ExecutionPlan>) -> Option<(&DedupExec, usize)> {
    if let Some(events) = plan.downcast_ref::<DedupExec>() {
        return Some((events, events.day_column()?));
    }
    if let Some(cooperative) = plan.downcast_ref::<CooperativeExec>() {
        return day_column(cooperative.input());
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let (events, day) = day_column(filter.input())?;
        let day = match filter.projection() {
            Some(columns) => columns.iter().position(|column| *column == day)?,
            None => day,
        };
        return filter.fetch().is_none().then_some((events, day));
    }
    let projection = plan.downcast_ref::<ProjectionExec>()?;
    let (events, day) = day_column(projection.input())?;
    let day = projection.expr().iter().position(|output| {
        output.expr.downcast_ref::<Column>().is_some_and(|column| column.index() == day)
    })?;
    Some((events, day))
}

/// Returns such plans with another scan below them.
fn over_single_days(
    plan: &Arc<dyn ExecutionPlan>,
    events: DedupExec,
) -> Result<Arc<dyn ExecutionPlan>> {
    match plan.children()[..] {
        [input] => {
            let input = over_single_days(input, events)?;
            Arc::clone(plan).replace_children(vec![input], RECOMPUTE)
        }
        _ => Ok(Arc::new(events)),
    }
}

#[cfg(test)]
mod tests {
    use domain::{Day, Stream};
    use toml::Value;

    use crate::engine::{Engine, EngineOptions};
    use crate::tests::engine::{TestProject, event};

    /// Returns a project with five days of calls, the third compacted. Partners, products and
    /// instants repeat from day to day, and each day holds a copy of an event.
    async fn project() -> TestProject {
        let project = TestProject::with_queries(&[]).await;
        let mut calls = Vec::new();
        for day in 1..=5 {
            for call in 0..40_u32 {
                let at = format!("2026-01-0{day}T{:02}:00:00Z", call % 24);
                let mut row = event(&format!("partner-{}", call % 7), &at);
                row.insert("product".to_owned(), Value::String(format!("product-{}", call % 3)));
                row.insert("status".to_owned(), Value::Integer([200, 404, 503][call as usize % 3]));
                row.insert("latency_us".to_owned(), Value::Integer(i64::from(day * call)));
                calls.push(row);
            }
        }
        project.add(Stream::ApiCalls, &calls[..100]).await;
        project.add(Stream::ApiCalls, &calls[90..]).await;
        let third: Day = "2026-01-03".parse().expect("a day");
        project.compact(Stream::ApiCalls, third).await;
        project
    }

    /// Queries over the table CALLS, and whether days are grouped by themselves, where that is not left
    /// to the plan around.
    const QUERIES: [(&str, Option<bool>); 17] = [
        ("SELECT event_date, count(*) AS n FROM CALLS GROUP BY 1", Some(true)),
        (
            "SELECT event_date, partner_id, product, count(*) AS n, sum(latency_us) AS s FROM CALLS GROUP BY 1, 2, 3",
            Some(true),
        ),
        (
            "SELECT event_date, partner_id, count(*) AS n FROM CALLS GROUP BY 1, 2 ORDER BY 1, 2",
            Some(false),
        ),
        (
            "SELECT product, event_date AS d, count(*) FILTER (WHERE status >= 500) AS n FROM CALLS WHERE status <> 404 GROUP BY 1, 2 ORDER BY d DESC, 1",
            Some(true),
        ),
        (
            "SELECT d, count(DISTINCT p) AS n FROM (SELECT event_date AS d, lower(partner_id) AS p FROM CALLS WHERE latency_us > 3) GROUP BY d",
            Some(true),
        ),
        ("SELECT DISTINCT event_date, partner_id FROM CALLS", None),
        (
            "SELECT p, avg(n) AS a FROM (SELECT event_date AS d, partner_id AS p, count(*) AS n FROM CALLS GROUP BY 1, 2) GROUP BY p",
            Some(true),
        ),
        (
            "SELECT d, p, sum(n) OVER (PARTITION BY p ORDER BY d) AS s FROM (SELECT event_date AS d, partner_id AS p, count(*) AS n FROM CALLS GROUP BY 1, 2)",
            None,
        ),
        (
            "SELECT a.d, a.n, b.m FROM (SELECT event_date AS d, count(*) AS n FROM CALLS GROUP BY 1) a JOIN (SELECT event_date AS d, max(latency_us) AS m FROM CALLS GROUP BY 1) b ON a.d = b.d",
            None,
        ),
        (
            "SELECT event_date, partner_id, count(*) AS n FROM CALLS GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 4",
            Some(false),
        ),
        ("SELECT event_date, count(*) AS n FROM CALLS GROUP BY 1 ORDER BY 1 LIMIT 4", Some(true)),
        (
            "SELECT event_date, first_value(product ORDER BY occurred_at, event_id) AS f FROM CALLS GROUP BY 1",
            Some(false),
        ),
        ("SELECT partner_id, count(*) AS n FROM CALLS GROUP BY 1", Some(false)),
        ("SELECT event_date + 0 AS d, count(*) AS n FROM CALLS GROUP BY 1", Some(false)),
        (
            "SELECT partner_id, count(*) AS n FROM CALLS WHERE event_date > '2026-01-01' AND partner_id = 'partner-3' GROUP BY 1",
            Some(false),
        ),
        (
            "SELECT event_date, product, count(*) AS n FROM CALLS GROUP BY ROLLUP (event_date, product)",
            Some(false),
        ),
        ("SELECT count(*) AS n, max(event_date) AS d FROM CALLS", Some(false)),
    ];

    #[tokio::test]
    async fn days_grouped_by_themselves_give_the_same_rows() {
        let mut project = project().await;
        for threads in [1, 2, 5] {
            let options = EngineOptions {
                reporting_currency: "USD".to_owned(),
                threads: Some(threads),
                ..EngineOptions::default()
            };
            project.engine = Engine::new(project.lake.clone(), options).expect("the queries");
            for (query, is_by_day) in QUERIES {
                let sql = query.replace("CALLS", "api_calls");
                let plan = project.rows(&format!("EXPLAIN {sql}")).await;
                let expected = is_by_day.map(|is_by_day| is_by_day && threads > 1);
                let found = plan.contains("AppendExec");
                assert_eq!(found, expected.unwrap_or(found), "{threads}: {sql}\n{plan}");
                // A limit below the aggregate keeps days together.
                let together = query.replace("CALLS", "(SELECT * FROM api_calls LIMIT 1000000)");
                let plan = project.rows(&format!("EXPLAIN {together}")).await;
                assert!(!plan.contains("AppendExec"), "{plan}");
                let is_sorted = sql.contains("ORDER BY 1") || sql.contains("ORDER BY d DESC");
                let lines = |rows: String| {
                    let mut lines: Vec<String> = rows.lines().map(str::to_owned).collect();
                    if !is_sorted {
                        lines.sort_unstable();
                    }
                    lines
                };
                let found = lines(project.rows(&sql).await);
                assert!(found.len() > 4, "{sql}: {found:?}");
                assert_eq!(found, lines(project.rows(&together).await), "{threads}: {sql}");
            }
        }
    }

    #[tokio::test]
    async fn fewer_days_than_threads_are_grouped_together() {
        let mut project = project().await;
        let options = EngineOptions {
            reporting_currency: "USD".to_owned(),
            threads: Some(6),
            ..EngineOptions::default()
        };
        project.engine = Engine::new(project.lake.clone(), options).expect("the queries");
        let sql = "EXPLAIN SELECT event_date, count(*) AS n FROM api_calls GROUP BY 1";
        let plan = project.rows(sql).await;
        assert!(!plan.contains("AppendExec"), "{plan}");
    }
}
