//! Rows of a log for tests.

use domain::{ActionKind, Setting};

use crate::log::{EntryKind, LogEntry, Origin};

/// Returns a row about the quota of the partner `p`.
pub(crate) fn entry(key: &str, kind: EntryKind) -> LogEntry {
    LogEntry {
        at: 0,
        kind,
        plan_id: "plan".to_owned(),
        key: key.to_owned(),
        partner_id: "p".to_owned(),
        action: ActionKind::SetQuota,
        origin: Origin::Rule,
        rule_id: "rule".to_owned(),
        from: None,
        to: None,
        in_force: None,
        expires_at: None,
        base_per_minute: None,
        episode_start: None,
        channel: None,
        attempt: 1,
        next_at: None,
        by: "Ada".to_owned(),
        answer: None,
        policy_version: "1".to_owned(),
    }
}

/// Returns a row that acknowledges a quota.
pub(crate) fn quota_entry(key: &str, from: i64, to: i64, at: i64) -> LogEntry {
    LogEntry {
        at,
        from: Some(Setting::Quota { per_minute: from }),
        to: Some(Setting::Quota { per_minute: to }),
        ..entry(key, EntryKind::Acknowledged)
    }
}
