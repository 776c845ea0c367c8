//! What the rows of the log add up to: the progress of each change, and what is in force by us.

use std::collections::{BTreeMap, BTreeSet};

use domain::{ActionKind, Setting, SupportRoute};

use super::entry::{EntryKind, LogEntry, Origin};
use crate::digest::resolution_key;
use crate::input::QuotaChange;
use crate::limits::ReachClass;

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
    /// With what it is counted where the reach of plans is limited.
    class: Option<ReachClass>,
    pub plan_id: String,
    pub origin: Origin,
    pub progress: Progress,
    /// Who agreed.
    pub approved_by: Option<String>,
    /// A person refused it, and nobody has agreed since. It is not sent, also where an attempt is
    /// unconfirmed and `progress` says so.
    pub is_rejected: bool,
    /// The number of the newest attempt.
    pub attempts: u32,
    /// An attempt began, so that the receiver may have taken it whatever it said.
    pub was_sent: bool,
    /// An attempt began before anybody had agreed. Agreeing afterwards does not change that.
    pub was_sent_alone: bool,
    /// The plans in which it ended without being taken, and why. Another plan may bring it again.
    pub ended_in: BTreeMap<String, String>,
    /// How far the delivery has come, whatever a person said since.
    delivery: Progress,
    /// The instant of the newest attempt, µs.
    attempted_at: Option<i64>,
}

impl ChangeHistory {
    fn of(entry: &LogEntry) -> Self {
        Self {
            partner_id: entry.partner_id.clone(),
            action: entry.action,
            class: ReachClass::of(entry.action, entry.to.as_ref()),
            plan_id: entry.plan_id.clone(),
            origin: entry.origin,
            progress: Progress::Waiting,
            approved_by: None,
            is_rejected: false,
            attempts: 0,
            was_sent: false,
            was_sent_alone: false,
            ended_in: BTreeMap::new(),
            delivery: Progress::Waiting,
            attempted_at: None,
        }
    }

    /// Returns whether the receiver may have taken it without our knowing.
    pub fn is_unconfirmed(&self) -> bool {
        matches!(self.delivery, Progress::Open { .. } | Progress::Ambiguous { .. })
    }

    /// Adds a row that is about this change. What was acknowledged stays so: an outcome that another
    /// program wrote too late takes nothing back.
    fn add(&mut self, entry: &LogEntry) {
        let (attempt, at) = (entry.attempt, entry.at);
        // The outcome of an attempt that another one has followed.
        let is_late = attempt > 0 && attempt < self.attempts;
        let has_ended = self.ended_in.contains_key(&entry.plan_id);
        match entry.kind {
            EntryKind::Acknowledged => self.delivery = Progress::Acknowledged,
            _ if self.delivery == Progress::Acknowledged => {}
            EntryKind::Approved => {
                self.approved_by = Some(entry.by.clone());
                self.is_rejected = false;
            }
            EntryKind::Rejected => {
                self.approved_by = None;
                self.is_rejected = true;
            }
            EntryKind::Attempted => {
                self.attempts = self.attempts.max(attempt);
                self.was_sent = true;
                self.attempted_at = Some(at);
                self.was_sent_alone |= self.approved_by.is_none();
                self.delivery = Progress::Open { attempt, at };
            }
            EntryKind::Failed if !is_late && !has_ended => {
                self.attempts = self.attempts.max(attempt);
                let next_at = entry.next_at.unwrap_or(at);
                self.delivery = Progress::Failed { attempt, next_at };
            }
            EntryKind::Ambiguous if !is_late => {
                self.delivery = Progress::Ambiguous { attempt, at };
            }
            EntryKind::Refused | EntryKind::Stopped | EntryKind::Lapsed if !is_late => {
                self.delivery = Progress::Ended(entry.kind);
                // The next plan asks again.
                self.approved_by = None;
                let why = entry.answer.clone().unwrap_or_default();
                self.ended_in.insert(entry.plan_id.clone(), why);
            }
            EntryKind::Failed
            | EntryKind::Ambiguous
            | EntryKind::Refused
            | EntryKind::Stopped
            | EntryKind::Lapsed
            | EntryKind::Extended
            | EntryKind::Verified
            | EntryKind::Differs => {}
        }
        self.progress = match self.delivery {
            Progress::Waiting | Progress::Failed { .. } if self.is_rejected => Progress::Rejected,
            delivery => delivery,
        };
    }
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
    /// The instant of the newest change of the quota within the grant, µs.
    pub raised_at: i64,
}

/// A support route that we set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInForce {
    pub route: SupportRoute,
    /// µs.
    pub since: i64,
}

/// A change that reached a partner.
#[derive(Debug, Clone)]
struct Touch {
    at: i64,
    partner_id: String,
    class: Option<ReachClass>,
    is_approved: bool,
}

/// A notice that was sent and has not been resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentNotice {
    /// The key of the change that sent it.
    pub key: String,
    pub about: String,
    /// When the episode began for which it was sent, µs.
    pub episode_start: i64,
    pub channel: Option<String>,
}

/// Whom a notice is about, the rule that asked for it, and who was told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoticeSubject {
    pub partner_id: String,
    pub rule_id: String,
    pub who: String,
}

/// A fold over the log.
#[derive(Debug, Clone, Default)]
pub struct History {
    changes: BTreeMap<String, ChangeHistory>,
    /// Acknowledged quotas by partner, in their order.
    quotas: BTreeMap<String, Vec<QuotaChange>>,
    grants: BTreeMap<String, Grant>,
    routes: BTreeMap<String, RouteInForce>,
    /// The changes that reached partners, in their order. The end of a grant is none.
    touched: Vec<Touch>,
    /// The newest notice of each subject that was sent.
    notices: BTreeMap<NoticeSubject, SentNotice>,
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
        if entry.kind == EntryKind::Extended {
            self.extend(entry);
            return;
        }
        let change = self.changes.entry(entry.key.clone());
        let change = change.or_insert_with(|| ChangeHistory::of(entry));
        let was_acknowledged = change.progress == Progress::Acknowledged;
        change.add(entry);
        let was_alone = change.was_sent_alone || change.approved_by.is_none();
        let since = change.attempted_at.unwrap_or(entry.at);
        if entry.kind == EntryKind::Acknowledged && !was_acknowledged {
            self.acknowledge(entry, since, !was_alone);
        }
    }

    /// Lets a grant end later.
    fn extend(&mut self, entry: &LogEntry) {
        if let (Some(grant), Some(until)) =
            (self.grants.get_mut(&entry.partner_id), entry.expires_at)
        {
            grant.expires_at = grant.expires_at.max(until);
        }
    }

    /// Adds what the receiver took. It is in force since it was sent, which may be long before its
    /// receiver could be asked: what somebody else set in between came after it.
    fn acknowledge(&mut self, entry: &LogEntry, since: i64, is_approved: bool) {
        let id = &entry.partner_id;
        if entry.origin != Origin::Expiry {
            let (at, partner_id) = (entry.at, id.clone());
            let class = ReachClass::of(entry.action, entry.to.as_ref());
            self.touched.push(Touch { at, partner_id, class, is_approved });
        }
        let in_force = entry.in_force.as_ref().or(entry.to.as_ref());
        match (entry.action, in_force) {
            (ActionKind::SetQuota, Some(Setting::Quota { per_minute })) => {
                let change = QuotaChange { at: since, per_minute: *per_minute };
                self.quotas.entry(id.clone()).or_default().push(change);
                self.grant(entry, since, *per_minute);
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
            (ActionKind::Notify, _) => self.keep_notice(entry),
            (ActionKind::SetQuota, _) => {}
        }
    }

    /// Keeps a notice that was sent, or removes one that is resolved.
    fn keep_notice(&mut self, entry: &LogEntry) {
        let Some(Setting::Notify { who, about }) = entry.to.as_ref().or(entry.from.as_ref()) else {
            return;
        };
        let subject = NoticeSubject {
            partner_id: entry.partner_id.clone(),
            rule_id: entry.rule_id.clone(),
            who: who.clone(),
        };
        if entry.to.is_some() {
            let notice = SentNotice {
                key: entry.key.clone(),
                about: about.clone(),
                episode_start: entry.episode_start.unwrap_or(entry.at),
                channel: entry.channel.clone(),
            };
            self.notices.insert(subject, notice);
            return;
        }
        // A newer notice of the subject stays.
        if self.notices.get(&subject).is_some_and(|n| resolution_key(&n.key) == entry.key) {
            self.notices.remove(&subject);
        }
    }

    /// Begins, renews, lowers or ends the grant of a partner whose quota was set. A cut that leaves the
    /// quota above the base is still a grant, and ends when it was to end.
    fn grant(&mut self, entry: &LogEntry, since: i64, per_minute: i64) {
        let id = entry.partner_id.clone();
        let before = self.grants.remove(&id);
        let grant = match (entry.origin, entry.expires_at, entry.base_per_minute) {
            (Origin::Expiry, ..) => None,
            (_, Some(expires_at), Some(base)) => {
                Some(Grant { base, per_minute, expires_at, raised_at: since })
            }
            (Origin::Rule, ..) => before.filter(|grant| {
                // Otherwise somebody else changed the quota before, which ended the grant.
                entry.from == Some(Setting::Quota { per_minute: grant.per_minute })
            }),
            (Origin::Rollback, ..) => None,
        };
        let grant = grant.map(|grant| Grant { per_minute, raised_at: since, ..grant });
        // A receiver that knows only rungs may have left the quota at the base, or set it lower.
        if let Some(grant) = grant.filter(|grant| grant.per_minute > grant.base) {
            self.grants.insert(id, grant);
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

    /// Returns the support routes in force, by partner.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &RouteInForce)> {
        self.routes.iter().map(|(id, route)| (id.as_str(), route))
    }

    pub fn route_of(&self, partner_id: &str) -> Option<&RouteInForce> {
        self.routes.get(partner_id)
    }

    /// Returns the newest notice of a subject that was sent and is not resolved.
    pub fn notice(&self, subject: &NoticeSubject) -> Option<&SentNotice> {
        self.notices.get(subject)
    }

    /// Returns all notices that were sent and are not resolved.
    pub fn notices(&self) -> impl Iterator<Item = (&NoticeSubject, &SentNotice)> {
        self.notices.iter()
    }

    pub fn is_approved_for_production(&self, partner_id: &str) -> bool {
        self.production.contains_key(partner_id)
    }

    /// Returns the partners whose changes of a class were acknowledged since an instant.
    pub(crate) fn touched_since(&self, since: i64, class: ReachClass) -> BTreeSet<&str> {
        let touched = self.touched.iter();
        let touched = touched.filter(|touch| touch.at > since && touch.class == Some(class));
        touched.map(|touch| touch.partner_id.as_str()).collect()
    }

    /// Returns the partners that changes of a class reached since an instant, or may have reached,
    /// without anybody's approval. Ends of grants don't count.
    pub(crate) fn touched_without_approval(&self, since: i64, class: ReachClass) -> BTreeSet<&str> {
        let touched = self.touched.iter();
        let touched = touched
            .filter(|touch| touch.at > since && !touch.is_approved && touch.class == Some(class));
        // The receiver may have taken what it said it had not.
        let may_be = |change: &ChangeHistory| {
            let has_failed = matches!(change.delivery, Progress::Failed { .. });
            change.is_unconfirmed() || has_failed && change.was_sent
        };
        let on_the_way = self.changes.values().filter(|change| {
            may_be(change)
                && change.was_sent_alone
                && change.origin != Origin::Expiry
                && change.class == Some(class)
        });
        let ids = touched.map(|touch| touch.partner_id.as_str());
        ids.chain(on_the_way.map(|change| change.partner_id.as_str())).collect()
    }

    /// Returns the key of a change of a partner that may be in force without our knowing, other than
    /// the one given. Notices change nothing.
    pub fn unconfirmed(&self, partner_id: &str, but: &str) -> Option<&str> {
        let found = self.changes.iter().find(|(key, change)| {
            key.as_str() != but
                && change.partner_id == partner_id
                && change.action != ActionKind::Notify
                && change.is_unconfirmed()
        });
        found.map(|(key, _)| key.as_str())
    }

    /// Returns the newest instant in the log, µs.
    pub fn newest(&self) -> Option<i64> {
        self.newest
    }
}
