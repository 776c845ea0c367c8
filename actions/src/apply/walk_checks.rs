//! The promises of apply, as properties of what the gateway met and of what the log says.

use std::collections::{BTreeMap, BTreeSet};

use domain::{ActionKind, Setting};

use super::test_plan::DAY;
use super::test_store::{Met, World};
use super::{Change, Plan};
use crate::deliver::Idempotency;
use crate::grants::grant_in_force;
use crate::guardrails::floor;
use crate::limits::reach_limit;
use crate::log::{EntryKind, History, LogEntry, Origin};

/// What was seen before the newest step.
pub(super) struct Promises {
    /// What to set to walk the same walk again.
    pub name: String,
    log: Vec<LogEntry>,
    met: usize,
    acknowledged: BTreeSet<String>,
    changes: BTreeMap<(String, String), Change>,
    reach: usize,
    /// Of each raise in force: the quota before the first raise, and the one now.
    raised: BTreeMap<String, (i64, i64)>,
    /// Quota changes by rules without an approval.
    alone: Vec<(i64, String)>,
}

impl Promises {
    pub(super) fn new(world: &World) -> Self {
        Self {
            name: String::new(),
            log: Vec::new(),
            met: 0,
            acknowledged: BTreeSet::new(),
            changes: BTreeMap::new(),
            reach: reach_limit(world.partners.len(), &world.policy),
            raised: BTreeMap::new(),
            alone: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, plan: &Plan) {
        for change in &plan.changes {
            self.changes.insert((plan.plan_id.clone(), change.key.clone()), change.clone());
        }
    }

    /// Checks what has happened since the last call.
    pub(super) fn check(&mut self, world: &World) {
        let name = self.name.clone();
        assert!(world.entries.starts_with(&self.log), "{name}: a row of the log was changed");
        self.check_log(world);
        for index in self.met..world.met.len() {
            self.check_delivery(world, &world.met[index]);
        }
        self.met = world.met.len();
        self.log.extend_from_slice(&world.entries[self.log.len()..]);
    }

    fn check_log(&mut self, world: &World) {
        let name = &self.name;
        for entry in &world.entries[self.log.len()..] {
            let is_again = entry.kind == EntryKind::Acknowledged
                && !self.acknowledged.insert(entry.key.clone());
            assert!(!is_again, "{name}: acknowledged twice: {entry:?}");
            let has_reason = entry.answer.as_ref().is_some_and(|reason| !reason.is_empty());
            let is_bare = entry.kind == EntryKind::Extended && !has_reason;
            assert!(!is_bare, "{name}: extended without a reason: {entry:?}");
        }
    }

    fn check_delivery(&mut self, world: &World, met: &Met) {
        let earlier = &world.entries[..met.rows];
        let name = self.context(world, met);
        assert!(!met.saw_stop, "{name}: sent although deliveries were stopped");
        let is_over =
            |entry: &LogEntry| entry.key == met.key && entry.kind == EntryKind::Acknowledged;
        assert!(!earlier.iter().any(is_over), "{name}: sent after it was acknowledged");
        if world.class != Idempotency::Upsert {
            assert!(world.effects(&met.key) <= 1, "{name}: it arrived twice");
        }
        let is_ours =
            |entry: &&LogEntry| entry.key == met.key && entry.kind == EntryKind::Attempted;
        let attempt = earlier.iter().rfind(is_ours).expect("an attempt leaves a trace first");
        let change = &self.changes[&(attempt.plan_id.clone(), met.key.clone())];
        let history = History::of(earlier);
        let found = history.change(&met.key).expect("a change");
        let is_approved = found.approved_by.is_some();
        assert!(!found.is_rejected, "{name}: sent although a person rejected it");
        assert!(is_approved || !change.needs_approval, "{name}: sent without its approval");
        if met.action == ActionKind::SetQuota && met.had_effect {
            let change = change.clone();
            self.check_quota(world, met, &change, is_approved, &name);
        }
    }

    /// Says what led to a delivery.
    fn context(&self, world: &World, met: &Met) -> String {
        let earlier = world.entries[..met.rows].iter();
        let row = |entry: &LogEntry| {
            let (at, kind, key) = (entry.at - met.at, entry.kind, &entry.key[..6]);
            format!("{} s: {kind} {key} of {}", at / 1_000_000, entry.plan_id)
        };
        let rows = earlier.filter(|entry| entry.partner_id == met.partner_id).map(row);
        let rows: Vec<String> = rows.collect();
        let state = world.partners.get(&met.partner_id);
        let events = state.map_or(&[][..], |state| &state.quota_changes);
        let (class, can_read) = (world.class, world.can_read);
        format!("{}: {met:?} after {rows:#?}, {events:?}, {class:?} {can_read}", self.name)
    }

    fn check_quota(
        &mut self,
        world: &World,
        met: &Met,
        change: &Change,
        is_approved: bool,
        name: &str,
    ) {
        let (before, after) = (met.before.expect("a quota"), met.after.expect("a quota"));
        let quota = |per_minute| Some(Setting::Quota { per_minute });
        assert_eq!(change.from, quota(before), "{name}: written over what somebody else set");
        if after < before {
            let floor = met.floor.unwrap_or_else(|| panic!("{name}: lowered without usage"));
            assert!(after >= floor, "{name}: lowered below the floor {floor}");
            let may = is_approved || change.origin == Origin::Expiry;
            assert!(may, "{name}: lowered without an approval");
        } else {
            let limit = before as f64 * 1.5 + 1e-6;
            assert!(after as f64 <= limit, "{name}: raised by more than a half");
            let partner = &world.partners[&met.partner_id];
            let ceiling = world.policy.plans[partner.plan.as_deref().expect("a plan")].ceiling;
            assert!(after <= ceiling, "{name}: raised above the ceiling");
        }
        self.check_base(met, change, (before, after), name);
        if change.origin == Origin::Rule && !is_approved {
            self.alone.push((met.at, met.partner_id.clone()));
            let since = met.at - 7 * DAY;
            let recent = self.alone.iter().filter(|(at, _)| *at > since);
            let ids: BTreeSet<&str> = recent.map(|(_, id)| id.as_str()).collect();
            assert!(ids.len() <= self.reach, "{name}: beyond the reach: {ids:?}");
        }
    }

    /// Checks that a grant ends at the quota before its first raise.
    fn check_base(&mut self, met: &Met, change: &Change, (before, after): (i64, i64), name: &str) {
        // A value that somebody else set in between has ended what was there.
        let known = self.raised.remove(&met.partner_id).filter(|(_, quota)| *quota == before);
        let base = match change.origin {
            Origin::Expiry => {
                if let Some((base, _)) = known {
                    assert_eq!(after, base, "{name}: a grant ends elsewhere");
                }
                None
            }
            Origin::Rollback => change.base_per_minute,
            Origin::Rule if after > before => {
                assert!(change.expires_at.is_some(), "{name}: a raise without an end");
                let base = change.base_per_minute.expect("a base");
                assert!(base <= before, "{name}: a base above what was in force");
                Some(known.map_or(base, |(base, _)| base))
            }
            Origin::Rule => known.map(|(base, _)| base).filter(|base| after > *base),
        };
        if let Some(base) = base {
            self.raised.insert(met.partner_id.clone(), (base, after));
        }
    }

    /// Checks after some quiet months that only those grants are left whose end would hurt.
    pub(super) fn check_grants(&self, world: &World) {
        let name = &self.name;
        let history = History::of(&world.entries);
        for state in world.all_in_books() {
            let id = &state.partner_id;
            let Some(grant) = grant_in_force(&history, &state) else { continue };
            if world.gateway.get(id) != Some(&grant.per_minute) {
                // Somebody else changed it, and no event has said so.
                continue;
            }
            let floor = floor(&state, &world.policy).expect("usage is known").per_minute;
            let rows = world.entries.iter().filter(|entry| entry.partner_id == *id);
            let words = |entry: &LogEntry| {
                let answer = entry.answer.as_deref().unwrap_or_default();
                let (kind, origin) = (entry.kind, entry.origin.name());
                format!("{}: {kind} {origin} {} {answer}", entry.at, &entry.key[..6])
            };
            let rows: Vec<String> = rows.map(words).collect();
            let is_kept = floor > grant.base;
            assert!(is_kept, "{name}: the grant of {id} never ended: {grant:?} {rows:#?}");
        }
    }
}
