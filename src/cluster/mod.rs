//! The cluster that computes rollups and compacts, in programs that are built with one.
//!
//! - `ballista`: the cluster of programs that are built with the feature `cluster`
//! - `unavailable`: what other programs say instead

#[cfg(feature = "cluster")]
mod ballista;
#[cfg(not(feature = "cluster"))]
mod unavailable;

#[cfg(feature = "cluster")]
pub(crate) use ballista::{on_cluster, run_executor, run_scheduler};
#[cfg(not(feature = "cluster"))]
pub(crate) use unavailable::{on_cluster, run_executor, run_scheduler};
