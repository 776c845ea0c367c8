//! `rapport actions`: from a plan to deliveries, and back.
//!
//! - `decide`: approve and reject
//! - `apply`: apply, deliver and verify
//! - `rollback`: a plan that takes another one back
//! - `settle`: what became of a change that nobody knows of
//! - `log`: what was done
//! - `switch`: stop and go
//! - `simulate`: what a policy would have done

mod apply;
pub(crate) mod decide;
mod log;
mod rollback;
mod settle;
mod simulate;
mod switch;

pub(crate) use apply::{Deliverer, failures};

use crate::args::ActionsCommand;
use crate::commands::plan;
use crate::project::Project;

/// Runs one of the commands.
pub(crate) async fn run(project: &Project, command: &ActionsCommand) -> anyhow::Result<()> {
    match command {
        ActionsCommand::Plan(options) => plan::run(project, options).await,
        ActionsCommand::Approve(options) => decide::approve(project, options).await,
        ActionsCommand::Reject(options) => decide::reject(project, options).await,
        ActionsCommand::Apply(options) => apply::apply(project, options).await,
        ActionsCommand::Deliver(options) => apply::deliver(project, options).await,
        ActionsCommand::Verify(options) => apply::verify(project, options).await,
        ActionsCommand::Rollback(options) => rollback::run(project, options).await,
        ActionsCommand::Settle(options) => settle::run(project, options).await,
        ActionsCommand::Log(options) => log::run(project, options).await,
        ActionsCommand::Stop(options) => switch::run(project, options, true).await,
        ActionsCommand::Go(options) => switch::run(project, options, false).await,
        ActionsCommand::Simulate(options) => simulate::run(project, options).await,
    }
}
