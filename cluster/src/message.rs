//! What travels between the program that commits and the executors: units, and the replies to them.

use serde::{Deserialize, Serialize};
use transform::{UnitOutput, WorkUnit};

/// A unit on its way to an executor. It has no secret.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The place of the unit among those of its job.
    pub index: usize,
    /// The version of the program that sends it.
    pub program: String,
    pub unit: WorkUnit,
}

/// The reply of an executor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub index: usize,
    /// The address of the executor.
    pub executor: String,
    pub result: UnitResult,
}

/// What came of a unit. Errors that may pass are no reply: they fail the task, and the scheduler has
/// it run again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum UnitResult {
    Written(UnitOutput),
    Failed(String),
}

/// What the scheduler says to work that comes while no executor takes any. The sender knows it by this
/// text, because the errors of the scheduler travel as texts.
pub(crate) const NO_EXECUTOR: &str = "no executor takes work from the scheduler";
