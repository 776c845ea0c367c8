//! `rapport deliver`: reports by mail and chat.
//!
//! - `send`: the command, and what it prints
//! - `run`: one run over all deliveries
//! - `messages`: the messages, from the report of the newest data
//! - `log`: what was sent, skipped, held back or failed
//! - `pause`: pauses and resumes a delivery

mod log;
mod messages;
mod pause;
mod run;
mod send;

pub(crate) use log::delivery_rows;

use domain::closest_name;

use crate::args::{DeliverReportsArgs, DeliveriesCommand};
use crate::config::{Config, DeliveryDefinition};
use crate::errors::usage_error;
use crate::project::Project;

/// Runs one of the commands.
pub(crate) async fn run(project: &Project, options: &DeliverReportsArgs) -> anyhow::Result<()> {
    match &options.command {
        None => send::run(project, options).await,
        Some(DeliveriesCommand::Log(options)) => log::run(project, options).await,
        Some(DeliveriesCommand::Pause(options)) => pause::run(project, options, true).await,
        Some(DeliveriesCommand::Resume(options)) => pause::run(project, options, false).await,
    }
}

/// Returns the delivery of a name.
///
/// # Errors
/// A name that no delivery has, with the one that was probably meant.
fn find<'a>(config: &'a Config, name: &str) -> anyhow::Result<&'a DeliveryDefinition> {
    let deliveries = config.deliveries();
    deliveries.iter().find(|delivery| delivery.name == name).ok_or_else(|| {
        let known = deliveries.iter().map(|delivery| delivery.name.as_str());
        let meant = closest_name(name, known)
            .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        usage_error(format!("rapport.toml defines no delivery \"{name}\"{meant}"))
    })
}
