//! `rapport alerts`: what somebody should know of.
//!
//! - `check`: evaluates the alerts and tells people
//! - `list`: the alerts that are open
//! - `record`: snoozes and notes

mod check;
mod list;
pub(crate) mod record;

pub(crate) use list::{OpenAlert, open_alerts};

use crate::args::AlertsCommand;
use crate::output::print_line;
use crate::project::Project;

/// Runs one of the commands.
pub(crate) async fn run(project: &Project, command: &AlertsCommand) -> anyhow::Result<()> {
    match command {
        AlertsCommand::Check(options) => check::run(project, options).await,
        AlertsCommand::List(options) => list::run(project, options).await,
        AlertsCommand::Snooze(options) => print_line(&record::snooze(project, options).await?),
        AlertsCommand::Note(options) => print_line(&record::note(project, options).await?),
    }
}
