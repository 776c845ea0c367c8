//! `rapport deliver pause` and `resume`.

use super::find;
use crate::args::PauseArgs;
use crate::commands::score_records::{author, option_text};
use crate::deliveries::{DeliveryEntry, DeliveryHistory, DeliveryLog, LogRow};
use crate::output::{print_line, print_note};
use crate::project::Project;

/// Pauses a delivery, or lets it go on.
pub(super) async fn run(project: &Project, options: &PauseArgs, pause: bool) -> anyhow::Result<()> {
    let by = author(options.by.as_deref())?;
    let reason = option_text("--reason", &options.reason)?;
    let delivery = find(&project.config, &options.name)?;
    let log = DeliveryLog::new(&project.lake);
    let was_paused = DeliveryHistory::of(log.read().await?.0).pause(&delivery.name).is_some();
    let entry = if pause { DeliveryEntry::Paused } else { DeliveryEntry::Resumed };
    let row = LogRow {
        at: project.now,
        entry,
        delivery: delivery.name.clone(),
        period: None,
        recipient: None,
        channel: None,
        as_of: None,
        figures: None,
        by: by.clone(),
        reason: Some(reason),
    };
    log.append_always(&row).await?;
    match (pause, was_paused) {
        (true, true) => print_note("It was paused before"),
        (false, false) => print_note("It was not paused by a command"),
        _ => {}
    }
    if !pause && delivery.paused {
        print_note("It stays paused as long as rapport.toml has paused = true");
    }
    print_line(&format!("{}: {} by {by}", delivery.name, entry.name()))
}
