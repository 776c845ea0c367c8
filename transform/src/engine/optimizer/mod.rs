//! Rewrites of plans that DataFusion's own optimizer does not do.
//!
//! - `common_subplan`: computes a subplan once that a query reads several times
//! - `lookup_join`: replaces a left join with a few rows by a lookup

pub(crate) mod common_subplan;
pub(crate) mod lookup_join;
