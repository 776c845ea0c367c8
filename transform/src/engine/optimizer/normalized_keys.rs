//! Groups rows by keys that are one number each, where the keys can be numbered.

use std::sync::Arc;

use datafusion::common::Result;
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
/// does not fit in memory is grouped anew.
pub(crate) fn by_normalized_keys(plan: &dyn ExecutionPlan) -> Result<Replacement> {
    let Some(aggregate) = plan.downcast_ref::<AggregateExec>() else { return Ok(None) };
    if *aggregate.mode() != AggregateMode::Partial && !can_read_again(aggregate.input()) {
        return Ok(None);
    }
    Ok(NormalizedKeyAggregateExec::of(aggregate)?.map(|grouped| Arc::new(grouped) as _))
}

/// Whether a plan can be executed twice, and returns its rows in the same order then: a scan of events below
/// plans that keep nothing from one execution to the next. A join, for example, hashes its build side once.
fn can_read_again(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let keeps_nothing = plan.is::<ProjectionExec>()
        || plan.is::<FilterExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<MapBatchesExec>()
        || plan.is::<NormalizedKeyAggregateExec>()
        || plan.is::<AggregateExec>();
    plan.is::<DedupExec>() || (keeps_nothing && plan.children().into_iter().all(can_read_again))
}
