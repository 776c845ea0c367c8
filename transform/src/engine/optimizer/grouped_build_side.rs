//! Hashes the side of a join that groups rows, where DataFusion would hash rows that nothing grouped.
//!
//! Without a count of distinct keys, DataFusion takes a grouping to return as many rows as it reads. So a
//! table and a grouping of it seem equally large, and it hashes whichever is on the left: all calls, to
//! join the last call of each partner. It also divides both sides by their keys, which copies every call;
//! here each thread looks its own calls up in one hash table of the groups. One thread fills that table,
//! which takes longer than two if there are as many groups as calls.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

use crate::engine::optimizer::Replacement;

/// Returns a join that hashes the side that groups rows, where only one does, and does not seem to return
/// more rows than the other.
pub(crate) fn hash_groups(plan: &dyn ExecutionPlan) -> Result<Replacement> {
    let Some(join) = plan.downcast_ref::<HashJoinExec>() else { return Ok(None) };
    if *join.partition_mode() != PartitionMode::Partitioned || join.null_aware {
        return Ok(None);
    }
    let (left, right) = (join.left(), join.right());
    let (groups, others, is_swapped) = match (groups_rows(left), groups_rows(right)) {
        (true, false) => (left, right, false),
        (false, true) if join.join_type().supports_swap() => (right, left, true),
        _ => return Ok(None),
    };
    let rows = |side: &Arc<dyn ExecutionPlan>| -> Result<Option<usize>> {
        let found = StatisticsContext::new().compute(side.as_ref(), &StatisticsArgs::new())?;
        Ok(found.num_rows.get_value().copied())
    };
    let are_fewer = rows(groups)?.zip(rows(others)?).is_some_and(|(g, o)| g <= o);
    match (are_fewer, is_swapped) {
        (false, _) => Ok(None),
        (true, true) => join.swap_inputs(PartitionMode::CollectLeft).map(Some),
        (true, false) => {
            join.builder().with_partition_mode(PartitionMode::CollectLeft).build_exec().map(Some)
        }
    }
}

/// Whether rows are the groups of a grouping, or some of them.
fn groups_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return !aggregate.group_expr().is_empty();
    }
    let passes_on = plan.is::<ProjectionExec>() || plan.is::<FilterExec>();
    passes_on && plan.children().iter().all(|input| groups_rows(input))
}

#[cfg(test)]
mod tests {
    use arrow::compute::concat_batches;
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use domain::Day;

    use super::*;
    use crate::engine::scan::{EventSource, EventTable};

    const GROUPS: &str = "(SELECT k, max(v) AS n FROM t GROUP BY k)";

    /// Queries over rows `t` and groups `g` of them, and whether they hash the groups.
    const QUERIES: [(&str, bool); 7] = [
        ("SELECT t.text, g.n FROM t JOIN GROUPS g ON g.n = t.v", true),
        ("SELECT t.text FROM t JOIN GROUPS g ON g.k = t.k AND g.n = t.v", true),
        ("SELECT t.text, g.n FROM t LEFT JOIN GROUPS g ON g.n = t.v", true),
        ("SELECT t.text FROM t WHERE v IN (SELECT n FROM GROUPS)", true),
        ("SELECT t.text FROM t WHERE NOT EXISTS (SELECT 1 FROM GROUPS g WHERE g.n = t.v)", true),
        ("SELECT t.text, g.n FROM t FULL JOIN GROUPS g ON g.n = t.v + 1", true),
        ("SELECT a.text FROM t AS a JOIN t AS b ON a.v = b.v + 5", false),
    ];

    /// Whether the first side of the join of a plan, its build side, groups rows, and whether the other
    /// side is divided by its keys.
    fn hashes_groups(plan: &dyn ExecutionPlan) -> (bool, bool) {
        let shown = displayable(plan).indent(false).to_string();
        let (_, below) = shown.split_once("HashJoinExec: mode=").expect(&shown);
        let is_divided = below.starts_with("Partitioned");
        let depth = |line: &&str| line.len() - line.trim_start().len();
        let mut lines = below.lines().skip(1);
        let first = lines.next().expect("a side");
        let mut side = std::iter::once(first).chain(lines.take_while(|l| depth(l) > depth(&first)));
        (side.any(|line| line.contains("AggregateExec")), is_divided)
    }

    #[tokio::test]
    async fn groups_are_hashed() {
        let mut config = SessionConfig::new().with_target_partitions(2);
        // So few rows would be collected by every thread.
        config.options_mut().optimizer.hash_join_single_partition_threshold = 0;
        config.options_mut().optimizer.hash_join_single_partition_threshold_rows = 0;
        let ours = crate::engine::context::new_context(config.clone(), Arc::default());
        let theirs = SessionContext::new_with_config(config);
        // A table of events, whose scan estimates rows and no bytes.
        let events = "SELECT value AS v, value / 100 AS k, 'row ' || value AS text, \
            'p' || lpad(CAST(value / 1000 AS VARCHAR), 3, '0') AS partner_id, \
            'e' || value AS event_id, 't' AS topic, CAST(0 AS INT) AS kafka_partition, \
            value AS kafka_offset, DATE '2026-01-01' AS event_date FROM generate_series(1, 10000)";
        let events = theirs.sql(events).await.expect("a query").collect().await.expect("rows");
        let events = concat_batches(&events[0].schema(), &events).expect("one batch");
        for context in [&ours, &theirs] {
            let days = vec![(Day(20_454), events.clone())];
            let table = EventTable(EventSource::Memory(events.schema(), days));
            context.register_table("t", Arc::new(table)).expect("registered");
        }
        let mut swapped = 0;
        for (query, expected) in QUERIES {
            let sorted = format!("SELECT * FROM ({}) ORDER BY 1", query.replace("GROUPS", GROUPS));
            let (mut found, mut hashed) = (Vec::new(), Vec::new());
            for context in [&ours, &theirs] {
                let frame = context.sql(&sorted).await.expect("a query");
                let plan = frame.clone().create_physical_plan().await.expect("a plan");
                hashed.push(hashes_groups(plan.as_ref()));
                let rows = frame.collect().await.expect("rows");
                found.push(pretty_format_batches(&rows).expect("a table").to_string());
            }
            // DataFusion divides both sides. A join without groups stays as it was.
            assert_eq!(hashed[0], (expected, !expected), "{query}");
            assert!(hashed[1].1, "{query}");
            assert!(found[0] == found[1] && found[0].lines().count() > 4, "{query}\n{}", found[0]);
            swapped += usize::from(hashed[0].0 && !hashed[1].0);
        }
        assert!(swapped > 2, "DataFusion hashes the groups of all but {swapped} queries by itself");
    }
}
