//! Groups rows by keys that are one number each, where the keys can be numbered.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::physical_expr_common::physical_expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use grouping::NormalizedKeyAggregateExec;

use crate::engine::dedup::exec::DedupExec;
use crate::engine::map_batches::MapBatchesExec;
use crate::engine::optimizer::Replacement;

/// Returns a grouping by normalized keys for one that is partial, or that can read its input again: what
/// does not fit in memory, or has small groups, is grouped anew.
pub(crate) fn by_normalized_keys(plan: &dyn ExecutionPlan) -> Result<Replacement> {
    let Some(aggregate) = plan.downcast_ref::<AggregateExec>() else { return Ok(None) };
    if *aggregate.mode() != AggregateMode::Partial
        && (is_volatile(plan)? || !can_read_again(aggregate.input())?)
    {
        return Ok(None);
    }
    Ok(NormalizedKeyAggregateExec::of(aggregate)?.map(|grouped| Arc::new(grouped) as _))
}

/// Whether a plan can be executed twice, and returns its rows in the same order then: a scan of events below
/// plans that keep nothing from one execution to the next. A join, for example, hashes its build side once.
fn can_read_again(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let keeps_nothing = plan.is::<ProjectionExec>()
        || plan.is::<FilterExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<MapBatchesExec>()
        || plan.is::<NormalizedKeyAggregateExec>()
        || plan.is::<AggregateExec>();
    if plan.is::<DedupExec>() {
        return Ok(true);
    }
    if !keeps_nothing || is_volatile(plan.as_ref())? {
        return Ok(false);
    }
    plan.children().into_iter().try_fold(true, |all, child| Ok(all && can_read_again(child)?))
}

/// Whether an expression of a plan may have another value when it is computed again.
fn is_volatile(plan: &dyn ExecutionPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_expressions(&mut |expression| {
        found |= physical_expr::is_volatile(expression);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use domain::Stream;
    use toml::Value;

    use crate::engine::{Engine, EngineOptions};
    use crate::tests::engine::{TestProject, event};

    const DAYS: &str = "SELECT event_date, latency_us, count(*) AS n, max(status) AS s FROM api_calls \
        GROUP BY event_date, latency_us";
    const PARTNERS: &str = "SELECT product, partner_id, max(latency_us) AS m FROM api_calls GROUP BY product, partner_id";
    const RANDOM: &str = "SELECT product, partner_id, max(latency_us) AS m FROM api_calls \
        WHERE random() < 0.5 GROUP BY product, partner_id";
    const JOIN: &str = "SELECT a.product, b.partner_id, count(*) AS n FROM api_calls AS a \
        JOIN (SELECT DISTINCT partner_id FROM api_calls) AS b ON a.partner_id = b.partner_id GROUP BY 1, 2";

    const CALLS: u32 = 24_000;

    /// A small day of calls and a large one, each call with a latency of its own, in two files with a copy
    /// of one call.
    async fn project() -> TestProject {
        let project = TestProject::with_queries(&[]).await;
        let call = |call: u32| {
            let day = if call < 2_000 { 1 } else { 2 };
            let (hour, minute, second) = (call / 3600, call / 60 % 60, call % 60);
            let at = format!("2026-01-0{day}T{hour:02}:{minute:02}:{second:02}Z");
            let mut row = event(&format!("partner-{}", call % 7), &at);
            row.insert("product".to_owned(), Value::String(format!("product-{}", call % 3)));
            row.insert("latency_us".to_owned(), Value::Integer(call.into()));
            row
        };
        let calls: Vec<_> = (0..CALLS).map(call).collect();
        project.add(Stream::ApiCalls, &calls[..14_000]).await;
        project.add(Stream::ApiCalls, &calls[13_999..]).await;
        project
    }

    fn with_limits(project: &mut TestProject, threads: usize, memory_limit: Option<usize>) {
        let options = EngineOptions {
            reporting_currency: "USD".to_owned(),
            threads: Some(threads),
            memory_limit,
            ..EngineOptions::default()
        };
        project.engine = Engine::new(project.lake.clone(), options).expect("the queries");
    }

    #[tokio::test]
    async fn events_are_grouped_by_normalized_keys_and_again_where_memory_is_short() {
        let mut project = project().await;
        let mut answers = Vec::new();
        // The groups of the small day are returned before memory is short.
        for memory in [None, Some(1_500_000)] {
            with_limits(&mut project, 1, memory);
            let analyzed = project.rows(&format!("EXPLAIN ANALYZE {DAYS}")).await;
            assert!(analyzed.contains("NormalizedKeyAggregateExec: mode=Single"), "{analyzed}");
            let started_over = !analyzed.contains("started_over=0");
            assert_eq!(started_over, memory.is_some(), "{analyzed}");
            let rows = project.rows(DAYS).await;
            let mut rows: Vec<&str> = rows.lines().collect();
            rows.sort_unstable();
            let found = rows.iter().filter(|row| row.contains("| 2026-01-0")).count();
            assert_eq!(found, CALLS as usize);
            answers.push(rows.join("\n"));
        }
        assert_eq!(answers[0], answers[1]);
    }

    #[tokio::test]
    async fn partial_groups_of_any_plan_have_normalized_keys() {
        let mut project = project().await;
        with_limits(&mut project, 2, None);
        for sql in [PARTNERS, JOIN] {
            let plan = project.rows(&format!("EXPLAIN {sql}")).await;
            assert!(plan.contains("NormalizedKeyAggregateExec: mode=Partial"), "{plan}");
        }
        // A join that is executed again would have no rows to hash, and other rows would be filtered.
        with_limits(&mut project, 1, None);
        for (sql, stays) in [(PARTNERS, false), (JOIN, true), (RANDOM, true)] {
            let plan = project.rows(&format!("EXPLAIN {sql}")).await;
            assert_eq!(plan.contains(" AggregateExec: mode=Single"), stays, "{plan}");
        }
    }
}
