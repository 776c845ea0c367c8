//! Asks the receivers whether what a plan set is in force.

use domain::format::plain_setting;
use domain::{ActionKind, Setting};

use super::store::{ActionStore, StoreError};
use super::{Channels, log_entry};
use crate::document::Plan;
use crate::log::{EntryKind, LogEntry};

/// What a receiver says of one change that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    pub partner_id: String,
    pub expected: Option<Setting>,
    /// `None`: the receiver can't tell.
    pub is_in_force: Option<bool>,
    pub text: String,
}

/// Compares every quota that a plan set with what its receiver has now, and writes the result to the
/// log.
///
/// # Errors
/// When the log can't be read or written.
pub async fn verify(
    plan: &Plan,
    store: &dyn ActionStore,
    channels: &Channels,
    by: &str,
) -> Result<Vec<VerifyReport>, StoreError> {
    let acknowledged: Vec<LogEntry> = store
        .read()
        .await?
        .entries
        .into_iter()
        .filter(|e| e.plan_id == plan.plan_id && e.kind == EntryKind::Acknowledged)
        .collect();
    let mut reports = Vec::new();
    for change in plan.changes.iter().filter(|change| change.action == ActionKind::SetQuota) {
        let Some(sent) = acknowledged.iter().find(|entry| entry.key == change.key) else {
            continue;
        };
        // Not what the receiver made of it: a quota that it set lower differs.
        let expected = sent.to.clone();
        let channel = change.channel.as_ref().and_then(|name| channels.get(name));
        let read = match channel.filter(|channel| channel.can_read()) {
            Some(channel) => Some(channel.read(&store.target(change)).await),
            None => None,
        };
        let (is_in_force, text) = match read {
            None => (None, "the receiver can't tell what is in force".to_owned()),
            Some(Err(error)) => (None, format!("the receiver can't be asked: {error}")),
            Some(Ok(live)) if live == expected => {
                (Some(true), format!("in force: {}", plain_setting(live.as_ref())))
            }
            Some(Ok(live)) => {
                let (live, sent) = (plain_setting(live.as_ref()), plain_setting(expected.as_ref()));
                (Some(false), format!("{live} is in force, {sent} was asked for"))
            }
        };
        if let Some(is_in_force) = is_in_force {
            let kind = if is_in_force { EntryKind::Verified } else { EntryKind::Differs };
            let mut entry = log_entry(plan, change, kind, store.now(), by);
            entry.answer = Some(text.clone());
            while !store.append(store.read().await?.version, std::slice::from_ref(&entry)).await? {}
        }
        let partner_id = change.partner_id.clone();
        reports.push(VerifyReport { partner_id, expected, is_in_force, text });
    }
    Ok(reports)
}
