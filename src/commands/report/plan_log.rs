//! How the changes of the pending plan stand by the log of actions: what people decided, and how far
//! each delivery has come.

use std::collections::BTreeMap;

use actions::log::{EntryKind, History, LogEntry, Progress};
use actions::{Change, Plan};
use chrono::{DateTime, Utc};
use dashboards::{ChangeDecision, ChangeDelivery, ChangeStatus};
use domain::format_instant;

use crate::commands::actions::decide;

/// The log of actions, as a plan looks at it.
pub(super) struct PlanLog<'a> {
    plan: &'a Plan,
    history: History,
    /// The newest approval and the newest rejection of each change, by its key.
    decisions: BTreeMap<(&'a str, bool), &'a LogEntry>,
}

impl<'a> PlanLog<'a> {
    /// Reads the entries in the order of the log.
    pub(super) fn new(plan: &'a Plan, entries: &'a [LogEntry]) -> Self {
        let mut decisions = BTreeMap::new();
        for entry in entries {
            if matches!(entry.kind, EntryKind::Approved | EntryKind::Rejected) {
                let is_approved = entry.kind == EntryKind::Approved;
                decisions.insert((entry.key.as_str(), is_approved), entry);
            }
        }
        Self { plan, history: History::of(entries), decisions }
    }

    pub(super) fn status(&self, change: &Change) -> ChangeStatus {
        let is_open = |kind| decide::is_open(&self.history, self.plan, change, kind);
        ChangeStatus {
            decision: self.decision(change),
            delivery: self.delivery(change),
            can_approve: is_open(EntryKind::Approved),
            can_reject: is_open(EntryKind::Rejected),
        }
    }

    /// Returns what a person decided. A decision on what has ended since does not count any more.
    fn decision(&self, change: &Change) -> Option<ChangeDecision> {
        let found = self.history.change(&change.key)?;
        let is_approved = !found.is_rejected;
        let entry = self.decisions.get(&(change.key.as_str(), is_approved))?;
        (found.is_rejected || found.approved_by.is_some()).then(|| ChangeDecision {
            is_approved,
            by: entry.by.clone(),
            at: DateTime::<Utc>::from_timestamp_micros(entry.at).unwrap_or_default(),
            reason: entry.answer.clone(),
        })
    }

    fn delivery(&self, change: &Change) -> ChangeDelivery {
        let Some(found) = self.history.change(&change.key) else { return ChangeDelivery::NotSent };
        match found.progress {
            Progress::Acknowledged => ChangeDelivery::Taken,
            Progress::Open { .. } => ChangeDelivery::Sending,
            Progress::Ambiguous { .. } => ChangeDelivery::Unknown,
            Progress::Failed { .. } => ChangeDelivery::Failed,
            Progress::Waiting | Progress::Rejected => ChangeDelivery::NotSent,
            // Another plan may bring it again.
            Progress::Ended(_) => match found.ended_in.get(&self.plan.plan_id) {
                Some(why) => ChangeDelivery::Ended(why.clone()),
                None => ChangeDelivery::NotSent,
            },
        }
    }
}

/// Returns what a person decided as text: `approved by Ada at 2026-11-28T12:00:00Z`.
pub(super) fn decision_text(status: &ChangeStatus) -> String {
    let Some(decision) = &status.decision else { return String::new() };
    let verdict = if decision.is_approved { EntryKind::Approved } else { EntryKind::Rejected };
    let at = format_instant(decision.at.timestamp_micros());
    format!("{verdict} by {} at {at}", decision.by)
}

#[cfg(test)]
mod tests {
    use actions::log::Origin;
    use domain::{ActionKind, Setting};

    use super::*;

    fn entry(kind: EntryKind, plan_id: &str, by: &str) -> LogEntry {
        LogEntry {
            at: 1_000_000,
            kind,
            plan_id: plan_id.to_owned(),
            key: "k".to_owned(),
            partner_id: "p".to_owned(),
            action: ActionKind::SetQuota,
            origin: Origin::Rule,
            rule_id: "raise".to_owned(),
            from: Some(Setting::Quota { per_minute: 600 }),
            to: Some(Setting::Quota { per_minute: 900 }),
            in_force: None,
            expires_at: None,
            base_per_minute: None,
            episode_start: None,
            channel: None,
            attempt: 0,
            next_at: None,
            by: by.to_owned(),
            answer: None,
            policy_version: "1".to_owned(),
        }
    }

    /// Returns a plan of one change that waits for a person.
    fn plan() -> Plan {
        serde_json::from_value(serde_json::json!({
            "plan_id": "plan-1", "policy_version": "1", "as_of": "2026-06-01T00:00:00Z",
            "created_at": "2026-06-01T00:00:00Z", "versions": {}, "states": {},
            "state_digest": "", "partners": 1,
            "limits": { "reach": 1, "capacity_per_minute": 1 }, "blocked": [],
            "changes": [{
                "partner_id": "p", "name": null, "action": "set_quota", "origin": "rule",
                "from": { "per_minute": 600 }, "to": { "per_minute": 900 },
                "why": {
                    "rule_id": "raise", "rule": "Raise", "condition": "true", "tier": null,
                    "reason": "", "contributions": [],
                },
                "guardrails": [], "needs_approval": true, "expires_at": null,
                "base_per_minute": null, "episode_start": null, "channel": null,
                "can_be_verified": false, "key": "k",
            }],
            "stopped": [], "extensions": [], "differences": [], "unlike": [], "overrides": [],
            "digest": "",
        }))
        .expect("a plan")
    }

    #[test]
    fn a_decision_counts_until_the_change_is_taken_or_has_ended() {
        use ChangeDelivery::{Ended, NotSent, Sending, Taken};
        use EntryKind::{Acknowledged, Approved, Attempted, Lapsed, Rejected};
        let plan = plan();
        let check = |kinds: &[(EntryKind, &str)], text: &str, delivery: ChangeDelivery, open| {
            let entries: Vec<LogEntry> =
                kinds.iter().map(|(kind, by)| entry(*kind, "plan-1", by)).collect();
            let status = PlanLog::new(&plan, &entries).status(&plan.changes[0]);
            assert_eq!(decision_text(&status), text, "{kinds:?}");
            assert_eq!((status.can_approve, status.can_reject), open, "{kinds:?}");
            assert_eq!(status.delivery, delivery, "{kinds:?}");
        };
        let (ada, tom) =
            ("approved by Ada at 1970-01-01T00:00:01Z", "rejected by Tom at 1970-01-01T00:00:01Z");
        check(&[], "", NotSent, (true, true));
        check(&[(Approved, "Ada")], ada, NotSent, (false, true));
        check(&[(Approved, "Ada"), (Rejected, "Tom")], tom, NotSent, (true, false));
        check(&[(Rejected, "Tom"), (Approved, "Ada")], ada, NotSent, (false, true));
        check(&[(Approved, "Ada"), (Attempted, "Eve")], ada, Sending, (false, true));
        let taken = [(Approved, "Ada"), (Attempted, "Eve"), (Acknowledged, "Eve")];
        check(&taken, ada, Taken, (false, false));
        check(&[(Approved, "Ada"), (Lapsed, "Eve")], "", Ended(String::new()), (false, false));
    }
}
