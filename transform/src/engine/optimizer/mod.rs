//! Rewrites of plans that DataFusion's own optimizer does not do, or does wrong.
//!
//! - `common_subplan`: computes a subplan once that a query reads several times
//! - `distinct_texts`: compares a text with a pattern once a batch
//! - `filter_pushdown`, `push_down_filter`: DataFusion's rules for physical and for logical plans, each
//!   without a fault of it
//! - `grouped_build_side`: hashes the side of a join that groups rows
//! - `lookup_join`: replaces a left join with a few rows by a lookup
//! - `normalized_keys`: groups by keys that are one number each
//! - `owned_batches`: copies batches that are held, so that they take the memory of their rows
//! - `partitionwise_aggregate`: groups each day by itself
//! - `utc_dates`: computes the date of a UTC instant as a number

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

pub(crate) mod common_subplan;
pub(crate) mod distinct_texts;
pub(crate) mod filter_pushdown;
pub(crate) mod grouped_build_side;
pub(crate) mod lookup_join;
pub(crate) mod normalized_keys;
pub(crate) mod owned_batches;
pub(crate) mod partitionwise_aggregate;
pub(crate) mod push_down_filter;
pub(crate) mod utc_dates;

/// A rule for physical plans that looks at one node at a time, children first.
#[derive(Debug)]
pub(crate) struct NodeRule {
    pub name: &'static str,
    /// Returns what takes the place of a node, with the same rows; `None` where it stays.
    pub replace: fn(&dyn ExecutionPlan) -> Result<Replacement>,
}

/// What takes the place of a node, if anything does.
pub(crate) type Replacement = Option<Arc<dyn ExecutionPlan>>;

impl PhysicalOptimizerRule for NodeRule {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let replaced = plan.transform_up(|node| {
            let replaced = (self.replace)(node.as_ref())?;
            Ok(replaced.map_or_else(|| Transformed::no(node), Transformed::yes))
        });
        replaced.map(|done| done.data)
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn schema_check(&self) -> bool {
        true
    }
}
