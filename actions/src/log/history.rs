//! What the rows of the log add up to: the progress of each change, and what is in force by us.

use std::collections::BTreeMap;

use domain::{ActionKind, Setting, SupportRoute};

use super::entry::{EntryKind, LogEntry, Origin};
use crate::input::QuotaChange;

/// How far a change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing was sent.
    Waiting,
    /// A person refused it.
    Rejected,
    /// An attempt began at `at` and has no outcome: another program sends it now, or was killed.
    Open { attempt: u32, at: i64 },
    /// An attempt failed; the next one may begin at `next_at`.
    Failed { attempt: u32, next_at: i64 },
    /// Nobody knows whether the receiver took it.
    Ambiguous { attempt: u32, at: i64 },
    /// The receiver took it.
    Acknowledged,
    /// It will not be sent: refused by the receiver, stopped by a guard, or waited too long.
    Ended(EntryKind),
}

/// What the log says of one change.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeHistory {
    pub partner_id: String,
    pub action: ActionKind,
    pub plan_id: String,
    pub progress: Progress,
    /// Who agreed.
    pub approved_by: Option<String>,
    /// The number of attempts that began.
    pub attempts: u32,
}

/// A raise that ends by itself. A partner has one at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The quota before the first raise, to which the partner returns, calls a minute.
    pub base: i64,
    /// The quota in force by the grant, calls a minute.
    pub per_minute: i64,
    /// µs.
    pub expires_at: i64,
    /// The instant of the newest raise, µs.
    pub raised_at: i64,
}

/// A support route that we set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInForce {
    pub route: SupportRoute,
    /// µs.
    pub since: i64,
}

/// A fold over the log.
#[derive(Debug, Clone, Default)]
pub struct History {
    changes: BTreeMap<String, ChangeHistory>,
    /// Acknowledged quotas by partner, in their order.
    quotas: BTreeMap<String, Vec<QuotaChange>>,
    grants: BTreeMap<String, Grant>,
    routes: BTreeMap<String, RouteInForce>,
    /// The instants at which changes reached partners, in their order.
    touched: Vec<(i64, String, ActionKind)>,
    /// Notices that were sent or are on their way: partner, rule and start of the episode.
    notices: BTreeMap<(String, String), i64>,
    production: BTreeMap<String, i64>,
    newest: Option<i64>,
}

impl History {
    /// Folds rows in the order of the log.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a LogEntry>) -> Self {
        let mut history = Self::default();
        for entry in entries {
            history.add(entry);
        }
        history
    }

    /// Adds one row.
    pub fn add(&mut self, entry: &LogEntry) {
        self.newest = self.newest.max(Some(entry.at));
        let change = self.changes.entry(entry.key.clone()).or_insert_with(|| ChangeHistory {
            partner_id: entry.partner_id.clone(),
            action: entry.action,
            plan_id: entry.plan_id.clone(),
            progress: Progress::Waiting,
            approved_by: None,
            attempts: 0,
        });
        let is_over = matches!(change.progress, Progress::Acknowledged | Progress::Ended(_));
        match entry.kind {
            EntryKind::Approved => {
                change.approved_by = Some(entry.by.clone());
                if change.progress == Progress::Rejected {
                    change.progress = Progress::Waiting;
                }
            }
            EntryKind::Rejected if !is_over => {
                change.approved_by = None;
                change.progress = Progress::Rejected;
            }
            EntryKind::Attempted => {
                change.attempts = change.attempts.max(entry.attempt);
                change.progress = Progress::Open { attempt: entry.attempt, at: entry.at };
            }
            EntryKind::Failed => {
                let next_at = entry.next_at.unwrap_or(entry.at);
                change.progress = Progress::Failed { attempt: entry.attempt, next_at };
            }
            EntryKind::Ambiguous => {
                change.progress = Progress::Ambiguous { attempt: entry.attempt, at: entry.at };
            }
            EntryKind::Acknowledged => {
                let is_first = change.progress != Progress::Acknowledged;
                change.progress = Progress::Acknowledged;
                if is_first {
                    self.acknowledge(entry);
                }
            }
            EntryKind::Refused | EntryKind::Stopped | EntryKind::Lapsed if !is_over => {
                change.progress = Progress::Ended(entry.kind);
            }
            EntryKind::Extended => {
                if let (Some(grant), Some(until)) =
                    (self.grants.get_mut(&entry.partner_id), entry.expires_at)
                {
                    grant.expires_at = grant.expires_at.max(until);
                }
            }
            EntryKind::Rejected
            | EntryKind::Refused
            | EntryKind::Stopped
            | EntryKind::Lapsed
            | EntryKind::Verified
            | EntryKind::Differs => {}
        }
    }

    fn acknowledge(&mut self, entry: &LogEntry) {
        let id = &entry.partner_id;
        self.touched.push((entry.at, id.clone(), entry.action));
        let in_force = entry.in_force.as_ref().or(entry.to.as_ref());
        match (entry.action, in_force) {
            (ActionKind::SetQuota, Some(Setting::Quota { per_minute })) => {
                let change = QuotaChange { at: entry.at, per_minute: *per_minute };
                self.quotas.entry(id.clone()).or_default().push(change);
                self.grant(entry, *per_minute);
            }
            (ActionKind::RouteSupport, Some(Setting::Support(route))) => {
                let route = RouteInForce { route: route.clone(), since: entry.at };
                self.routes.insert(id.clone(), route);
            }
            (ActionKind::RouteSupport, _) => {
                self.routes.remove(id);
            }
            (ActionKind::ApproveProduction, _) => {
                self.production.insert(id.clone(), entry.at);
            }
            (ActionKind::Notify, _) => {
                let key = (id.clone(), entry.rule_id.clone());
                let episode = entry.episode_start.unwrap_or(entry.at);
                self.notices.insert(key, episode);
            }
            (ActionKind::SetQuota, _) => {}
        }
    }

    /// Begins, renews or ends the grant of a partner whose quota was set.
    fn grant(&mut self, entry: &LogEntry, per_minute: i64) {
        let id = entry.partner_id.clone();
        match (entry.expires_at, entry.base_per_minute) {
            (Some(expires_at), Some(base)) if entry.origin != Origin::Expiry => {
                let grant = Grant { base, per_minute, expires_at, raised_at: entry.at };
                self.grants.insert(id, grant);
            }
            _ => {
                self.grants.remove(&id);
            }
        }
    }

    /// Ends the grants of partners whose quota somebody else has changed since. `events` are the
    /// quotas that the platform reported, by partner.
    pub fn end_grants_changed_outside(&mut self, events: &BTreeMap<String, Vec<QuotaChange>>) {
        self.grants.retain(|id, grant| {
            let outside = events.get(id).into_iter().flatten();
            let mut later = outside.filter(|change| change.at > grant.raised_at);
            !later.any(|change| change.per_minute != grant.per_minute)
        });
    }

    /// Returns what is known of a change.
    pub fn change(&self, key: &str) -> Option<&ChangeHistory> {
        self.changes.get(key)
    }

    /// Returns all changes with their keys.
    pub fn changes(&self) -> impl Iterator<Item = (&str, &ChangeHistory)> {
        self.changes.iter().map(|(key, change)| (key.as_str(), change))
    }

    /// Returns the quotas that we set, in their order.
    pub fn quotas(&self, partner_id: &str) -> &[QuotaChange] {
        self.quotas.get(partner_id).map_or(&[], Vec::as_slice)
    }

    pub fn grant_of(&self, partner_id: &str) -> Option<&Grant> {
        self.grants.get(partner_id)
    }

    pub fn grants(&self) -> impl Iterator<Item = (&str, &Grant)> {
        self.grants.iter().map(|(id, grant)| (id.as_str(), grant))
    }

    pub fn route_of(&self, partner_id: &str) -> Option<&RouteInForce> {
        self.routes.get(partner_id)
    }

    /// Returns the start of the last episode for which a rule's notice about a partner was sent.
    pub fn notice_of(&self, partner_id: &str, rule_id: &str) -> Option<i64> {
        self.notices.get(&(partner_id.to_owned(), rule_id.to_owned())).copied()
    }

    pub fn is_approved_for_production(&self, partner_id: &str) -> bool {
        self.production.contains_key(partner_id)
    }

    /// Returns the partners whose changes of a kind were acknowledged since an instant.
    pub fn touched_since(
        &self,
        since: i64,
        is_counted: impl Fn(ActionKind) -> bool,
    ) -> std::collections::BTreeSet<&str> {
        let touched =
            self.touched.iter().filter(|(at, _, action)| *at > since && is_counted(*action));
        touched.map(|(_, id, _)| id.as_str()).collect()
    }

    /// Returns the key of a change of this kind that may be in force without our knowing, other than
    /// the one given.
    pub fn unconfirmed(&self, partner_id: &str, action: ActionKind, but: &str) -> Option<&str> {
        let is_unconfirmed = |change: &ChangeHistory| {
            matches!(change.progress, Progress::Open { .. } | Progress::Ambiguous { .. })
        };
        let found = self.changes.iter().find(|(key, change)| {
            key.as_str() != but
                && change.partner_id == partner_id
                && change.action == action
                && is_unconfirmed(change)
        });
        found.map(|(key, _)| key.as_str())
    }

    /// Returns the newest instant in the log, µs.
    pub fn newest(&self) -> Option<i64> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_log::{entry, quota_entry};

    const DAY: i64 = domain::MICROS_PER_DAY;

    #[test]
    fn progress_follows_the_rows() {
        #[track_caller]
        fn check(kinds: &[EntryKind], expected: Progress) {
            let rows: Vec<LogEntry> = kinds.iter().map(|kind| entry("k", *kind)).collect();
            let history = History::of(&rows);
            assert_eq!(history.change("k").map(|change| change.progress), Some(expected));
        }
        use EntryKind::{
            Acknowledged, Ambiguous, Approved, Attempted, Failed, Lapsed, Refused, Rejected,
            Stopped,
        };
        let attempt = 1;
        check(&[Approved], Progress::Waiting);
        check(&[Approved, Rejected], Progress::Rejected);
        check(&[Rejected, Approved], Progress::Waiting);
        check(&[Attempted], Progress::Open { attempt, at: 0 });
        check(&[Attempted, Failed], Progress::Failed { attempt, next_at: 0 });
        check(&[Attempted, Failed, Attempted], Progress::Open { attempt, at: 0 });
        check(&[Attempted, Ambiguous], Progress::Ambiguous { attempt, at: 0 });
        check(&[Attempted, Ambiguous, Acknowledged], Progress::Acknowledged);
        check(&[Attempted, Refused], Progress::Ended(Refused));
        check(&[Stopped], Progress::Ended(Stopped));
        check(&[Lapsed], Progress::Ended(Lapsed));
        // What was acknowledged stays so.
        check(&[Attempted, Acknowledged, Stopped, Rejected], Progress::Acknowledged);
    }

    #[test]
    fn a_further_raise_keeps_the_first_base() {
        let mut first = quota_entry("a", 100, 150, 1);
        (first.base_per_minute, first.expires_at) = (Some(100), Some(30 * DAY));
        let mut second = quota_entry("b", 150, 200, 2);
        (second.base_per_minute, second.expires_at) = (Some(100), Some(31 * DAY));
        let history = History::of([&first, &second]);
        let grant = Grant { base: 100, per_minute: 200, expires_at: 31 * DAY, raised_at: 2 };
        assert_eq!(history.grant_of("p"), Some(&grant));
        let mut end = quota_entry("c", 200, 100, 3);
        end.origin = Origin::Expiry;
        assert_eq!(History::of([&first, &second, &end]).grant_of("p"), None);
    }

    #[test]
    fn an_outside_change_ends_a_grant() {
        let mut raise = quota_entry("a", 100, 150, 10);
        (raise.base_per_minute, raise.expires_at) = (Some(100), Some(30 * DAY));
        let check = |at, per_minute, is_left| {
            let mut history = History::of([&raise]);
            let events = BTreeMap::from([("p".to_owned(), vec![QuotaChange { at, per_minute }])]);
            history.end_grants_changed_outside(&events);
            assert_eq!(history.grant_of("p").is_some(), is_left, "{per_minute} at {at}");
        };
        // The platform reports our own change, an older one, and one of somebody else.
        check(11, 150, true);
        check(9, 100, true);
        check(11, 400, false);
    }

    #[test]
    fn an_open_change_blocks_others_of_its_kind() {
        let rows = [entry("k", EntryKind::Attempted)];
        let history = History::of(&rows);
        assert_eq!(history.unconfirmed("p", ActionKind::SetQuota, "other"), Some("k"));
        assert_eq!(history.unconfirmed("p", ActionKind::SetQuota, "k"), None);
        assert_eq!(history.unconfirmed("p", ActionKind::Notify, "other"), None);
        assert_eq!(history.unconfirmed("q", ActionKind::SetQuota, "other"), None);
    }
}
