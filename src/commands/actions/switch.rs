//! `rapport actions stop` and `go`: the kill switch.

use crate::action_plans::{Switch, set_switch};
use crate::args::SwitchArgs;
use crate::commands::score_records::{author, option_text};
use crate::output::{print_line, print_note};
use crate::project::Project;

/// Stops deliveries, or lets them go on.
pub(super) async fn run(project: &Project, options: &SwitchArgs, stop: bool) -> anyhow::Result<()> {
    let by = author(options.by.as_deref())?;
    let reason = option_text("--reason", &options.reason)?;
    let before = Switch::read(&project.lake).await?;
    let was_stopped = before.as_ref().is_some_and(|switch| switch.stopped);
    let at = set_switch(&project.lake, stop, &by, &reason, project.now).await?;
    match before.filter(|switch| switch.stopped) {
        Some(switch) => {
            print_note(&format!("Stopped by {} at {}: {}", switch.by, switch.at, switch.reason));
        }
        None if !stop => print_note("Deliveries were not stopped"),
        None => {}
    }
    match (stop, was_stopped) {
        (true, true) => print_line(&format!("Deliveries stay stopped, by {by} at {at}")),
        (true, false) => print_line(&format!("Deliveries are stopped, by {by} at {at}")),
        (false, _) => print_line(&format!("Deliveries go on, by {by} at {at}")),
    }
}
