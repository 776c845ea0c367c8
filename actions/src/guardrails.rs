//! The guardrails of one quota change: each passes it, changes it, stops it, or asks for a person.

use domain::format::{plain_signed_percent, whole_days};
use domain::{MICROS_PER_DAY, Tier, thousands};

use crate::document::GuardrailOverride;
use crate::document::{GuardrailCheck, Outcome};
use crate::input::{LiveQuota, PartnerState};
use crate::policy::{Policy, QuotaTarget};

/// Days over which the guardrail `thirty_days` adds up raises.
const RAISE_SUM_DAYS: i64 = 30;

/// What became of the quota that a rule asked for. Quotas are in calls a minute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QuotaDecision {
    /// `None` where the present quota is not known.
    pub asked: Option<i64>,
    pub to: i64,
    pub guardrails: Vec<GuardrailCheck>,
}

impl QuotaDecision {
    /// Returns whether a guardrail stopped the change.
    pub(crate) fn is_stopped(&self) -> bool {
        self.guardrails.iter().any(|g| g.outcome == Outcome::Stopped)
    }
}

pub(crate) fn guardrail_check(name: &str, outcome: Outcome, reason: String) -> GuardrailCheck {
    GuardrailCheck { name: name.to_owned(), outcome, reason }
}

/// Checks the quota that a rule asks for by the guardrails of one partner. Returns `None` if the
/// quota already is what was asked. `now` is in µs.
pub(crate) fn decide_quota(
    state: &PartnerState,
    target: &QuotaTarget,
    policy: &Policy,
    now: i64,
    overrides: &[GuardrailOverride],
) -> Option<QuotaDecision> {
    let Some(from) = quota_in_force(state) else {
        let reason = "The present quota is unknown; a partner event with quota_per_minute sets it"
            .to_owned();
        let guardrails = vec![guardrail_check("quota", Outcome::Stopped, reason)];
        return Some(QuotaDecision { asked: None, to: 0, guardrails });
    };
    let asked = match target {
        QuotaTarget::PerMinute(quota) => *quota,
        QuotaTarget::Step(step) => after_step(from, *step),
        // Above the last rung there is none, and the quota stays.
        QuotaTarget::Ladder(rungs) => {
            rungs.iter().copied().find(|rung| *rung > from).unwrap_or(from)
        }
    };
    let is_ladder = matches!(target, QuotaTarget::Ladder(_));
    let request = QuotaRequest { state, policy, from, asked, is_ladder, now, overrides };
    let cut = match target {
        QuotaTarget::PerMinute(_) if asked == from && from > 0 => return None,
        QuotaTarget::PerMinute(_) => asked < from,
        // A step too small to move the quota is stopped by the guardrail `step`.
        QuotaTarget::Step(step) => *step < 0.0,
        QuotaTarget::Ladder(_) if asked == from => return None,
        QuotaTarget::Ladder(_) => false,
    };
    let (to, mut guardrails) = if cut { request.cut() } else { request.raise() };
    guardrails.extend(live_check(state));
    Some(QuotaDecision { asked: Some(asked), to, guardrails })
}

/// Checks a raise that restores what was before: it needs no cooldown and may be of any size, and what
/// was in force is known to be possible. All of it or nothing.
pub(crate) fn check_restored_raise(
    state: &PartnerState,
    policy: &Policy,
    (from, to): (i64, i64),
    now: i64,
    overrides: &[GuardrailOverride],
) -> Vec<GuardrailCheck> {
    let is_ladder = true;
    let request = QuotaRequest { state, policy, from, asked: to, is_ladder, now, overrides };
    let (allowed, ceiling) = request.ceiling(to);
    let mut checks = vec![ceiling, request.thirty_days(allowed)];
    if allowed != to {
        for check in checks.iter_mut().filter(|check| check.outcome == Outcome::Changed) {
            check.outcome = Outcome::Stopped;
        }
    }
    checks
}

/// Returns the quota that a change starts from: what the gateway says, if it was asked.
pub(crate) fn quota_in_force(state: &PartnerState) -> Option<i64> {
    match state.live_quota {
        LiveQuota::Is(live) => live,
        LiveQuota::NotAsked | LiveQuota::Unknown(_) => state.quota_per_minute,
    }
}

/// Compares what the gateway says with our books, if it was asked.
pub(crate) fn live_check(state: &PartnerState) -> Option<GuardrailCheck> {
    let known = |quota: Option<i64>| quota.map_or_else(|| "none".to_owned(), thousands);
    match &state.live_quota {
        LiveQuota::NotAsked => None,
        LiveQuota::Unknown(why) => {
            let reason = format!("The gateway can't say what is in force: {why}");
            Some(guardrail_check("live", Outcome::Stopped, reason))
        }
        LiveQuota::Is(live) if *live == state.quota_per_minute => {
            let reason = format!("The gateway has {} too", known(*live));
            Some(guardrail_check("live", Outcome::Passed, reason))
        }
        LiveQuota::Is(live) => {
            let reason = format!(
                "The gateway has {}, our books say {}: somebody else changed it, a person decides",
                known(*live),
                known(state.quota_per_minute)
            );
            Some(guardrail_check("live", Outcome::NeedsApproval, reason))
        }
    }
}

/// Returns the lowest quota that a decrease may set, calls a minute.
///
/// # Errors
/// Why there may be no decrease: the usage is unknown, zero or incomplete.
pub fn lowest_quota(state: &PartnerState, policy: &Policy) -> Result<i64, String> {
    floor(state, policy).map(|floor| floor.per_minute)
}

/// The lowest quota that a decrease may set, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Floor {
    /// Calls a minute.
    pub per_minute: i64,
    /// `1.2 × the highest minute: 600`.
    pub name: String,
    /// It is what was promised, and not what is used.
    pub is_contract: bool,
}

/// Returns the floor of a partner's quota: its contract, or its highest minute with headroom.
///
/// # Errors
/// Why the usage can't be relied on: it is unknown, zero or incomplete. Then nothing is decreased.
pub(crate) fn floor(state: &PartnerState, policy: &Policy) -> Result<Floor, String> {
    if let Some(gap) = &state.usage_gap {
        return Err(gap.clone());
    }
    let highest = match state.highest_minute {
        None => return Err("No usage is known: nothing shows that less is enough".to_owned()),
        Some(highest) if highest <= 0 => {
            return Err("Usage is zero, which may be an outage: no decrease".to_owned());
        }
        Some(highest) => highest,
    };
    let plan = state.plan.as_deref();
    let contract = plan.and_then(|p| policy.plans.get(p)).map_or(0, |quota| quota.contract);
    let headroom = policy.guardrails.headroom;
    let needed = (highest as f64 * headroom).ceil() as i64;
    let per_minute = contract.max(needed);
    let is_contract = contract > needed;
    let name = match is_contract {
        true => format!("the contract's {}", thousands(contract)),
        false => format!("{headroom} × the highest minute: {}", thousands(needed)),
    };
    Ok(Floor { per_minute, name, is_contract })
}

/// Returns a quota after a step, in whole calls, rounded so that the change is no more than the
/// step.
pub(crate) fn after_step(from: i64, step: f64) -> i64 {
    // Far below one call, and far above the rounding error of a product of floats.
    const EPSILON: f64 = 1e-6;
    let to = from as f64 * (1.0 + step);
    if step < 0.0 { (to - EPSILON).ceil() as i64 } else { (to + EPSILON).floor() as i64 }
}

/// A quota that was asked for, with what guardrails look at.
struct QuotaRequest<'a> {
    state: &'a PartnerState,
    policy: &'a Policy,
    from: i64,
    asked: i64,
    /// Only what was asked for will do, and nothing between two rungs.
    is_ladder: bool,
    now: i64,
    overrides: &'a [GuardrailOverride],
}

impl QuotaRequest<'_> {
    /// Returns whether a person passes over a guardrail for this partner.
    fn is_overridden(&self, guardrail: &str) -> bool {
        let is_it = |o: &GuardrailOverride| {
            o.partner_id == self.state.partner_id && o.guardrail == guardrail
        };
        self.overrides.iter().any(is_it)
    }

    /// Returns a check that stops the change, unless a person passes over it.
    fn stops(&self, name: &str, reason: String) -> GuardrailCheck {
        let is_overridden = self.is_overridden(name);
        let outcome = if is_overridden { Outcome::Overridden } else { Outcome::Stopped };
        guardrail_check(name, outcome, reason)
    }

    /// Returns the quota after the guardrails of a raise, and their results.
    fn raise(&self) -> (i64, Vec<GuardrailCheck>) {
        let from = self.from;
        if from == 0 {
            let reason = "A quota of 0 is a decision of its own; a person raises it".to_owned();
            return (0, vec![guardrail_check("quota", Outcome::Stopped, reason)]);
        }
        let mut checks = vec![self.cooldown()];
        let limit = self.policy.guardrails.max_raise;
        let limited = match self.is_overridden("step") {
            true => self.asked,
            false => self.asked.min(after_step(from, limit)),
        };
        let limited = if self.is_ladder && limited < self.asked { from } else { limited };
        checks.push(self.step(limited, limit));
        let (to, ceiling) = self.ceiling(limited);
        checks.push(ceiling);
        checks.push(self.thirty_days(to));
        (to, checks)
    }

    /// Returns the quota after the guardrails of a cut, and their results.
    fn cut(&self) -> (i64, Vec<GuardrailCheck>) {
        let mut checks = vec![self.health(), self.cooldown()];
        let limit = self.policy.guardrails.max_cut;
        let limited = match self.is_overridden("step") {
            true => self.asked,
            false => self.asked.max(after_step(self.from, -limit)),
        };
        checks.push(self.step(limited, -limit));
        let (to, floor) = self.above_floor(limited);
        checks.extend(floor);
        let reason = "A cut is decided by a person".to_owned();
        checks.push(guardrail_check("decrease", Outcome::NeedsApproval, reason));
        (to, checks)
    }

    /// Stops a change too soon after the last one.
    fn cooldown(&self) -> GuardrailCheck {
        let needed = self.policy.guardrails.cooldown_days;
        let past = self.state.quota_changes.iter().map(|c| c.at).filter(|at| *at <= self.now);
        let Some(last) = past.max() else {
            return guardrail_check("cooldown", Outcome::Passed, "No change before".to_owned());
        };
        let ago = whole_days((self.now - last) / MICROS_PER_DAY);
        let reason = format!("Last change {ago} ago, {needed} needed");
        if self.now - last >= needed * MICROS_PER_DAY {
            return guardrail_check("cooldown", Outcome::Passed, reason);
        }
        self.stops("cooldown", reason)
    }

    /// Says what the largest step allowed, `limit`, made of the quota that was asked for. Stops a
    /// step too small to change the quota.
    fn step(&self, stepped: i64, limit: f64) -> GuardrailCheck {
        let limit = plain_signed_percent(limit);
        if stepped == self.from {
            let step = match self.asked {
                asked if asked == self.from => "The step asked for".to_owned(),
                _ => format!("A step of {limit}"),
            };
            let reason = format!("{step} leaves {} as it is", thousands(self.from));
            return guardrail_check("step", Outcome::Stopped, reason);
        }
        if stepped == self.asked {
            let change = plain_signed_percent(self.asked as f64 / self.from as f64 - 1.0);
            let outcome = match self.is_overridden("step") {
                true => Outcome::Overridden,
                false => Outcome::Passed,
            };
            return guardrail_check("step", outcome, format!("{change}, limit {limit}"));
        }
        let (asked, to) = (thousands(self.asked), thousands(stepped));
        let verb = if stepped < self.asked { "cut" } else { "held" };
        guardrail_check("step", Outcome::Changed, format!("Asked {asked}, {verb} to {limit}: {to}"))
    }

    /// Cuts a raise to the ceiling of the partner's plan, and stops it if the quota is there
    /// already.
    fn ceiling(&self, stepped: i64) -> (i64, GuardrailCheck) {
        let check = |to, outcome, reason| (to, guardrail_check("ceiling", outcome, reason));
        let plan = self.state.plan.as_deref();
        let Some(quota) = plan.and_then(|plan| self.policy.plans.get(plan)) else {
            let reason = match plan {
                Some(plan) => format!("The policy knows no plan \"{plan}\": a person decides"),
                None => "The partner's plan is unknown: a person decides".to_owned(),
            };
            return check(stepped, Outcome::NeedsApproval, reason);
        };
        let ceiling = thousands(quota.ceiling);
        if self.is_overridden("ceiling") {
            let reason = format!("{}, the plan's ceiling is {ceiling}", thousands(stepped));
            return check(stepped, Outcome::Overridden, reason);
        }
        if quota.ceiling <= self.from {
            let reason = format!("Already at the plan's ceiling of {ceiling}");
            return check(self.from, Outcome::Stopped, reason);
        }
        if stepped > quota.ceiling {
            let reason = format!("{}, cut to the plan's ceiling: {ceiling}", thousands(stepped));
            return check(quota.ceiling, Outcome::Changed, reason);
        }
        let reason = format!("{} of the plan's {ceiling}", thousands(stepped));
        check(stepped, Outcome::Passed, reason)
    }

    /// Adds up the raises of the last 30 days and this one.
    fn thirty_days(&self, to: i64) -> GuardrailCheck {
        let limit = self.policy.guardrails.approval_above_30d;
        let base = self.quota_30_days_ago();
        let change = if base == 0 { f64::INFINITY } else { to as f64 / base as f64 - 1.0 };
        if change > limit {
            let raise = if base == 0 { "From 0".to_owned() } else { plain_signed_percent(change) };
            let reason = format!("{raise} in {RAISE_SUM_DAYS} days: a person decides");
            return guardrail_check("thirty_days", Outcome::NeedsApproval, reason);
        }
        let (change, limit) = (plain_signed_percent(change), plain_signed_percent(limit));
        let reason = format!("{change} in {RAISE_SUM_DAYS} days, limit {limit}");
        guardrail_check("thirty_days", Outcome::Passed, reason)
    }

    /// Returns the quota in force 30 days ago, or the lowest since where that is not known.
    fn quota_30_days_ago(&self) -> i64 {
        let since = self.now - RAISE_SUM_DAYS * MICROS_PER_DAY;
        let known = || self.state.registered_quota.iter().chain(&self.state.quota_changes);
        if let Some(then) = known().filter(|c| c.at <= since).max_by_key(|c| c.at) {
            return then.per_minute;
        }
        let lowest = known().filter(|c| c.at <= self.now).map(|c| c.per_minute).min();
        lowest.map_or(self.from, |lowest| lowest.min(self.from))
    }

    /// Stops a cut unless the partner is healthy: poor or unknown health never lowers a quota.
    fn health(&self) -> GuardrailCheck {
        if self.state.tier == Tier::Healthy {
            return guardrail_check("health", Outcome::Passed, "The partner is healthy".to_owned());
        }
        let reason = format!(
            "Only a healthy partner's quota is cut; this one is {}",
            self.state.tier.words()
        );
        self.stops("health", reason)
    }

    /// Stops a cut unless recent usage is known to be complete and above zero, holds it at the floor,
    /// and stops it if the quota is there already.
    fn above_floor(&self, stepped: i64) -> (i64, Vec<GuardrailCheck>) {
        let floor = match floor(self.state, self.policy) {
            Ok(floor) => floor,
            Err(why) => {
                let check = self.stops("usage", why);
                return (stepped, vec![check]);
            }
        };
        let check = |to, check| (to, vec![check]);
        if self.is_overridden("floor") {
            let reason = format!("{}, the floor is {}", thousands(stepped), floor.name);
            return check(stepped, guardrail_check("floor", Outcome::Overridden, reason));
        }
        if floor.per_minute >= self.from {
            let reason = format!("The floor is {}", floor.name);
            return check(self.from, guardrail_check("floor", Outcome::Stopped, reason));
        }
        if stepped < floor.per_minute {
            let reason = format!("{}, held to {}", thousands(stepped), floor.name);
            return check(floor.per_minute, guardrail_check("floor", Outcome::Changed, reason));
        }
        let reason = format!("{} is not below {}", thousands(stepped), floor.name);
        check(stepped, guardrail_check("floor", Outcome::Passed, reason))
    }
}
