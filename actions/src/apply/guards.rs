//! The guards that look at a change once more just before it is sent.

use domain::{ActionKind, MICROS_PER_DAY, Setting, Tier, counted, thousands};

use super::store::ActionStore;
use crate::document::{Change, Plan};
use crate::input::PartnerState;
use crate::limits::{REACH_DAYS, granted, raise, tells_the_partner};
use crate::log::{History, Origin};
use crate::plan::standing;
use crate::rollback::is_decrease;

/// What the guards look at.
pub(super) struct Guards<'a> {
    pub plan: &'a Plan,
    pub change: &'a Change,
    pub store: &'a dyn ActionStore,
    pub history: &'a History,
    /// The partner as it is now; `None`: it no longer exists.
    pub partner: Option<&'a PartnerState>,
    /// An attempt began before, so that the books may show the change already.
    pub was_sent: bool,
    /// The receiver can tell what is in force.
    pub can_read: bool,
}

impl Guards<'_> {
    /// Returns why the change must not be sent any more.
    pub(super) fn stop(&self) -> Option<String> {
        let is_notice = self.change.action == ActionKind::Notify;
        if is_notice && !tells_the_partner(self.change.to.as_ref()) {
            // It may be about no partner at all.
            return None;
        }
        let Some(partner) = self.partner else {
            return Some("the partner no longer exists".to_owned());
        };
        if let Some(why) = &partner.unmapped {
            return Some(why.clone());
        }
        let (action, from, to) =
            (self.change.action, self.change.from.as_ref(), self.change.to.as_ref());
        let ends = self.change.origin != Origin::Rule && is_decrease(from, to);
        if let Some(check) = standing(partner, action, to).filter(|_| !ends) {
            return Some(check.reason);
        }
        match self.change.action {
            ActionKind::SetQuota => self.quota(partner),
            ActionKind::RouteSupport => {
                let route = partner.support.clone().map(Setting::Support);
                (route != self.change.from).then(|| "its support goes elsewhere by now".to_owned())
            }
            ActionKind::ApproveProduction => {
                let is_approved = self.history.is_approved_for_production(&partner.partner_id);
                is_approved.then(|| "it has production access by another plan".to_owned())
            }
            ActionKind::Notify => None,
        }
    }

    /// Returns why a person has to decide after all: other plans were applied since this one was made,
    /// and together they would reach more partners than may be reached without a person.
    pub(super) fn ask(&self, now: i64) -> Option<String> {
        let history = self.history;
        let found = history.change(&self.change.key);
        let is_approved = found.is_some_and(|found| found.approved_by.is_some());
        if is_approved || self.change.origin == Origin::Expiry {
            return None;
        }
        let class = self.change.reach_class()?;
        let since = now - REACH_DAYS * MICROS_PER_DAY;
        let reached = history.touched_without_approval(since, class);
        let is_beyond = reached.len() >= self.plan.limits.reach
            && !reached.contains(self.change.partner_id.as_str());
        is_beyond.then(|| {
            format!(
                "other plans have changed {} in {REACH_DAYS} days: a person decides on this one",
                counted(reached.len(), "partner")
            )
        })
    }

    fn quota(&self, partner: &PartnerState) -> Option<String> {
        if self.change.from.is_none() {
            return Some("the present quota is unknown".to_owned());
        }
        let (from, to) = (self.change.from.as_ref(), self.change.to.as_ref());
        let quota = |per_minute| Setting::Quota { per_minute };
        // The platform may have reported our own attempt already.
        let is_ours = |setting: &Setting| self.was_sent && Some(setting) == to;
        let since = partner.quota_changes.iter().filter(|c| c.at > self.plan.created_at);
        if let Some(other) = since.map(|c| c.per_minute).find(|other| !is_ours(&quota(*other))) {
            let other = thousands(other);
            return Some(format!("its quota was set to {other} since the plan was made"));
        }
        let books = partner.quota_per_minute.map(quota);
        if !self.can_read && books.as_ref() != from && !books.as_ref().is_some_and(is_ours) {
            return Some("its quota is another one in our books by now".to_owned());
        }
        if is_decrease(from, to) { self.decrease(partner) } else { self.capacity() }
    }

    fn decrease(&self, partner: &PartnerState) -> Option<String> {
        let Some(Setting::Quota { per_minute: to }) = self.change.to else { return None };
        if let Some(stale) = self.store.stale() {
            return Some(stale);
        }
        let is_healthy = partner.tier == Tier::Healthy || self.is_overridden("health");
        if self.change.origin == Origin::Rule && !is_healthy {
            let tier = partner.tier.words();
            return Some(format!("only a healthy partner's quota is cut; this one is {tier} now"));
        }
        match self.store.floor(partner) {
            Err(_) if self.is_overridden("usage") => None,
            Err(gap) => Some(gap),
            Ok(floor) if to < floor && !self.is_overridden("floor") => {
                let floor = thousands(floor);
                Some(format!("the usage has risen since: the floor is {floor} now"))
            }
            Ok(_) => None,
        }
    }

    /// Returns why a raise no longer fits: other plans have granted what was left.
    fn capacity(&self) -> Option<String> {
        let capacity = self.plan.limits.capacity_per_minute;
        let (used, more) = (granted(self.history), raise(self.change));
        if used.saturating_add(more) <= capacity || self.is_overridden("capacity") {
            return None;
        }
        let (more, capacity) = (thousands(more), thousands(capacity));
        Some(format!("other plans have used the capacity of {capacity}: {more} more is too much"))
    }

    fn is_overridden(&self, name: &str) -> bool {
        let is_it = |o: &crate::document::GuardrailOverride| {
            o.partner_id == self.change.partner_id && o.guardrail == name
        };
        self.plan.overrides.iter().any(is_it)
    }
}
