//! Rewrites of plans that DataFusion's own optimizer does not do, or does wrong.
//!
//! - `batch_distinct`: drops the keys that repeat in a batch before they are grouped
//! - `common_subplan`: computes a subplan once that a query reads several times
//! - `distinct_texts`: compares a text with a pattern once a batch
//! - `lookup_join`: replaces a left join with a few rows by a lookup
//! - `partitionwise_aggregate`: groups each day by itself
//! - `push_down_filter`: DataFusion's rule, without a fault of it
//! - `utc_dates`: computes the date of a UTC instant as a number

pub(crate) mod batch_distinct;
pub(crate) mod common_subplan;
pub(crate) mod distinct_texts;
pub(crate) mod lookup_join;
pub(crate) mod partitionwise_aggregate;
pub(crate) mod push_down_filter;
pub(crate) mod utc_dates;
