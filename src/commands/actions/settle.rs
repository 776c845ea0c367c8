//! `rapport actions settle`: a person says what became of a change of which nobody knows.

use actions::log::{ChangeHistory, EntryKind, History, LogEntry, Progress};

use crate::action_plans::LogTable;
use crate::args::SettleArgs;
use crate::commands::score_records::{author, option_text};
use crate::errors::usage_error;
use crate::output::print_line;
use crate::project::Project;

/// The fewest characters of a key.
const MIN_KEY: usize = 6;

/// Writes what became of the change.
pub(super) async fn run(project: &Project, options: &SettleArgs) -> anyhow::Result<()> {
    let by = author(options.by.as_deref())?;
    let reason = option_text("--reason", &options.reason)?;
    let log = LogTable::new(project.lake.clone());
    let (entries, _) = log.read().await?;
    let history = History::of(&entries);
    let key = found(&history, &options.key)?;
    let attempt = entries.iter().rev().find(|e| e.key == key && e.kind == EntryKind::Attempted);
    let Some(attempt) = attempt else { anyhow::bail!("the log has no attempt of {key}") };
    let kind = match options.delivered {
        true => EntryKind::Acknowledged,
        false => EntryKind::Failed,
    };
    let entry = LogEntry {
        at: project.now,
        kind,
        by: by.clone(),
        answer: Some(format!("settled by a person: {reason}")),
        next_at: (kind == EntryKind::Failed).then_some(project.now),
        ..attempt.clone()
    };
    log.append_always(&[entry]).await?;
    let word = if options.delivered { "delivered" } else { "not delivered; it may be sent again" };
    print_line(&format!("{} {}: {word}, says {by}", attempt.partner_id, attempt.action))
}

/// Returns the key that the text begins, of a change that waits to be settled.
fn found(history: &History, beginning: &str) -> anyhow::Result<String> {
    if beginning.len() < MIN_KEY {
        return Err(usage_error(format!("give at least {MIN_KEY} characters of the key")));
    }
    let same: Vec<(&str, &ChangeHistory)> =
        history.changes().filter(|(key, _)| key.starts_with(beginning)).collect();
    match same.as_slice() {
        [] => Err(usage_error(format!("the log has no change whose key begins with {beginning}"))),
        [(key, change)] => match change.progress {
            Progress::Open { .. } | Progress::Ambiguous { .. } => Ok((*key).to_owned()),
            _ => Err(usage_error(format!(
                "what became of {beginning} is known; see `rapport actions log`"
            ))),
        },
        several => Err(usage_error(format!(
            "{} changes have keys that begin with {beginning}; give more of it",
            several.len()
        ))),
    }
}
