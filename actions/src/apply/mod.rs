//! Apply: delivers the changes of a plan, each at most once.
//!
//! - `store`: what apply needs of the lake
//! - `check`: whether a plan may be applied at all
//! - `step`: what is to be done with one change, from what the log says of it
//! - `wave`: in which order and in what portions changes are sent
//! - `delivery`: sends one change
//! - `outcome`: writes what came of it
//! - `guards`: looks at a change once more before it is sent
//! - `recover`: finds out what became of an attempt that was killed
//! - `report`: what came of a change, for people
//! - `verify`: asks the receivers whether what was sent is in force
//!
//! Before anything is sent, an `attempted` row is appended to the log on the condition that nobody
//! appended another one since it was read. So two programs never send the same attempt, and a kill
//! leaves a trace: an attempt without an outcome.

mod backoff;
mod check;
mod delivery;
mod guards;
mod outcome;
mod recover;
mod report;
mod step;
mod store;
mod verify;
mod wave;

use std::collections::{BTreeMap, BTreeSet};

use crate::deliver::Channel;
use crate::document::{Change, Plan};
use crate::log::{EntryKind, History, LogEntry, Origin};

pub use check::{ApplyRefusal, PLAN_DAYS};
pub use report::{ChangeReport, DeliveryOutcome};
pub use store::{ActionStore, StoreError, StoreState};
pub use verify::{VerifyReport, verify};

use delivery::Sender;
use step::is_over;
use wave::waves;

/// Failures after which nothing more of a plan is sent.
const MAX_FAILURES: usize = 2;

/// The channels by their names.
pub type Channels = BTreeMap<String, Box<dyn Channel>>;

/// How a plan is applied.
#[derive(Debug, Clone, PartialEq)]
pub struct ApplyOptions {
    pub by: String,
    /// Seconds between two waves.
    pub bake_seconds: u64,
    /// Seconds after which an attempt without an outcome was killed. Longer than any channel waits for
    /// an answer: a request that is still on its way then may arrive beside its repetition.
    pub lease_seconds: i64,
}

/// Why a plan was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Refused(#[from] ApplyRefusal),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the plan could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What came of a plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApplyReport {
    pub changes: Vec<ChangeReport>,
    /// Why the rest of the plan was not sent.
    pub halted: Option<String>,
}

/// Applies a plan: sends what may be sent, in waves, and writes what came of each change. A second
/// call goes on where the first one was interrupted.
///
/// # Errors
/// Why the plan is refused; then nothing is sent and nothing is written.
pub async fn apply(
    plan: &Plan,
    store: &dyn ActionStore,
    channels: &Channels,
    options: &ApplyOptions,
) -> Result<ApplyReport, ApplyError> {
    check::check(plan, store).await?;
    extend_grants(plan, store, options).await?;
    let mut report = ApplyReport::default();
    let state = store.read().await?;
    let mut failures = 0;
    let mut sent = BTreeSet::new();
    for wave in waves(plan, &History::of(&state.entries)) {
        bake(plan, &wave, &sent, store, options).await?;
        // Somebody may have changed the policy in the meantime.
        if let Some(why) = store.other_policy(plan).await? {
            report.halted = Some(why);
            return Ok(report);
        }
        for change in wave {
            sent.insert(change.key.as_str());
            let done = Sender { plan, change, store, channels, options }.send().await?;
            failures += usize::from(done.outcome.is_failure());
            let halts = done.outcome == DeliveryOutcome::Halted;
            let text = done.text.clone();
            report.changes.push(done);
            if halts {
                report.halted = Some(text);
                return Ok(report);
            }
            if failures >= MAX_FAILURES {
                report.halted = Some(format!("{MAX_FAILURES} changes failed"));
                return Ok(report);
            }
        }
    }
    Ok(report)
}

/// Returns whether nothing more happens to any change of a plan.
pub fn is_finished(plan: &Plan, history: &History) -> bool {
    plan.changes.iter().all(|change| is_over(plan, change, history))
}

/// Waits until the last wave has been in force for some time, also where another call sent it.
/// `earlier` are the keys of the waves before.
async fn bake(
    plan: &Plan,
    wave: &[&Change],
    earlier: &BTreeSet<&str>,
    store: &dyn ActionStore,
    options: &ApplyOptions,
) -> Result<(), StoreError> {
    let state = store.read().await?;
    let history = History::of(&state.entries);
    if state.stopped.is_some() || wave.iter().all(|change| is_over(plan, change, &history)) {
        return Ok(());
    }
    let is_earlier =
        |entry: &&LogEntry| entry.kind == EntryKind::Attempted && earlier.contains(&*entry.key);
    let newest = state.entries.iter().filter(is_earlier).map(|entry| entry.at).max();
    let Some(newest) = newest else { return Ok(()) };
    let passed = u64::try_from((store.now() - newest) / 1_000_000).unwrap_or(0);
    let left = options.bake_seconds.saturating_sub(passed);
    if left > 0 {
        store.wait(left).await;
    }
    Ok(())
}

/// Writes the extensions of a plan to the log, each once.
async fn extend_grants(
    plan: &Plan,
    store: &dyn ActionStore,
    options: &ApplyOptions,
) -> Result<(), ApplyError> {
    loop {
        let state = store.read().await?;
        let is_new = |key: &str| {
            !state.entries.iter().any(|e| e.key == key && e.kind == EntryKind::Extended)
        };
        let rows: Vec<LogEntry> = plan
            .extensions
            .iter()
            .filter(|extension| is_new(&extension.key))
            .map(|extension| LogEntry {
                at: store.now(),
                kind: EntryKind::Extended,
                plan_id: plan.plan_id.clone(),
                key: extension.key.clone(),
                partner_id: extension.partner_id.clone(),
                action: domain::ActionKind::SetQuota,
                origin: Origin::Expiry,
                rule_id: "grant-end".to_owned(),
                from: None,
                to: None,
                in_force: None,
                expires_at: Some(extension.until),
                base_per_minute: Some(extension.base_per_minute),
                episode_start: None,
                channel: None,
                attempt: 0,
                next_at: None,
                by: options.by.clone(),
                answer: Some(extension.reason.clone()),
                policy_version: plan.policy_version.clone(),
            })
            .collect();
        if rows.is_empty() || store.append(state.version, &rows).await? {
            return Ok(());
        }
    }
}

/// Returns a row about a change of a plan.
pub fn log_entry(plan: &Plan, change: &Change, kind: EntryKind, at: i64, by: &str) -> LogEntry {
    LogEntry {
        at,
        kind,
        plan_id: plan.plan_id.clone(),
        key: change.key.clone(),
        partner_id: change.partner_id.clone(),
        action: change.action,
        origin: change.origin,
        rule_id: change.rationale.rule_id.clone(),
        from: change.from.clone(),
        to: change.to.clone(),
        in_force: None,
        expires_at: change.expires_at,
        base_per_minute: change.base_per_minute,
        episode_start: change.episode_start,
        channel: change.channel.clone(),
        attempt: 0,
        next_at: None,
        by: by.to_owned(),
        answer: None,
        policy_version: plan.policy_version.clone(),
    }
}

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod grant_tests;
#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod random_walk;
#[cfg(test)]
mod route_tests;
#[cfg(test)]
mod send_tests;
#[cfg(test)]
mod test_plan;
#[cfg(test)]
mod test_store;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk_checks;
