//! Refreshes of rollups and compactions on several machines, by Apache DataFusion Ballista.
//!
//! The program that refreshes or compacts divides the work into units (`transform::WorkUnit`) and commits
//! what they write, as it does alone. This crate carries the units to executors and their outputs back. In
//! reading order:
//!
//! - `message`: what travels: units, and the replies to them
//! - `units_exec`: the plan of a job: a list of units, and the node that runs each
//! - `codec`: the encoding of that node
//! - `runner`: sends units to the scheduler and waits for the replies
//! - `scheduler`: hands out tasks, retries them, and notices lost executors
//! - `alive_executors`: tells the scheduler whether an executor takes work
//! - `executor`: runs units on the lake that its own configuration names
//! - `error`: the errors of this crate
//!
//! Without the feature `ballista` the crate is empty.

#![cfg(feature = "ballista")]

mod alive_executors;
mod codec;
mod error;
mod executor;
mod message;
mod runner;
mod scheduler;
#[cfg(test)]
mod tests;
mod units_exec;

pub use error::ClusterError;
pub use executor::{ExecutorSettings, run_executor};
pub use runner::ClusterRunner;
pub use scheduler::{SchedulerSettings, run_scheduler};
