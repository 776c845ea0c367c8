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
        let reason = "The present quota is unknown; a quota_changed event sets it".to_owned();
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

/// Returns the quota that a change starts from: what the gateway says, if it was asked.
pub(crate) fn quota_in_force(state: &PartnerState) -> Option<i64> {
    match state.live_quota {
        LiveQuota::Is(live) => live,
        LiveQuota::NotAsked | LiveQuota::Unknown(_) => state.quota_per_minute,
    }
}

/// Compares what the gateway says with our books, if it was asked.
fn live_check(state: &PartnerState) -> Option<GuardrailCheck> {
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
        Some(0) => return Err("Usage is zero, which may be an outage: no decrease".to_owned()),
        Some(highest) => highest,
    };
    let plan = state.plan.as_deref();
    let contract = plan.and_then(|p| policy.plans.get(p)).map_or(0, |quota| quota.contract);
    let headroom = policy.guardrails.headroom;
    let needed = (highest as f64 * headroom).ceil() as i64;
    let per_minute = contract.max(needed);
    let name = match contract > needed {
        true => format!("the contract's {}", thousands(contract)),
        false => format!("{headroom} × the highest minute: {}", thousands(needed)),
    };
    Ok(Floor { per_minute, name })
}

/// Returns a quota after a step, in whole calls, rounded so that the change is no more than the
/// step.
fn after_step(from: i64, step: f64) -> i64 {
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
        let changes = &self.state.quota_changes;
        let then = changes.iter().filter(|c| c.at <= since).max_by_key(|c| c.at);
        if let Some(then) = then {
            return then.per_minute;
        }
        let lowest = changes.iter().filter(|c| c.at <= self.now).map(|c| c.per_minute).min();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::QuotaChange;
    use crate::policy::{DEFAULT_POLICY, PlanQuota};

    const NOW: i64 = 1_000 * MICROS_PER_DAY;

    fn policy() -> Policy {
        let mut policy = Policy::parse(DEFAULT_POLICY).expect("the shipped policy");
        policy.plans.insert("small".to_owned(), PlanQuota { contract: 500, ceiling: 1_200 });
        policy
    }

    fn partner(from: i64) -> PartnerState {
        PartnerState {
            plan: Some("small".to_owned()),
            quota_per_minute: Some(from),
            highest_minute: Some(100),
            ..PartnerState::of_tier("p", Tier::Healthy)
        }
    }

    fn days_ago(days: i64, per_minute: i64) -> QuotaChange {
        QuotaChange { at: NOW - days * MICROS_PER_DAY, per_minute }
    }

    /// `expected`: the quota it ends at, and the guardrails that did not just pass.
    #[track_caller]
    fn check(state: &PartnerState, target: QuotaTarget, expected: Option<(i64, &[(&str, &str)])>) {
        let decision = decide_quota(state, &target, &policy(), NOW, &[]);
        let found = decision.as_ref().map(|d| {
            let checks = d.guardrails.iter().filter(|g| g.outcome != Outcome::Passed);
            (d.to, checks.map(|g| (g.name.as_str(), g.reason.as_str())).collect::<Vec<_>>())
        });
        assert_eq!(found, expected.map(|(to, checks)| (to, checks.to_vec())));
    }

    use QuotaTarget::{PerMinute, Step};

    #[test]
    fn raises() {
        check(&partner(600), Step(0.5), Some((900, &[])));
        check(&partner(600), Step(0.2), Some((720, &[])));
        check(&partner(600), PerMinute(600), None);
        let step = "Asked 1,080, cut to +50 %: 900";
        check(&partner(600), PerMinute(1_080), Some((900, &[("step", step)])));
        let ceiling = "1,500, cut to the plan's ceiling: 1,200";
        check(&partner(1_000), Step(0.5), Some((1_200, &[("ceiling", ceiling)])));
        let at_it = "Already at the plan's ceiling of 1,200";
        check(&partner(1_200), Step(0.5), Some((1_200, &[("ceiling", at_it)])));
        let tiny = "A step of +50 % leaves 1 as it is";
        check(&partner(1), PerMinute(9), Some((1, &[("step", tiny)])));
        // In whole calls a step asks for no more than its share: nothing is cut from it then.
        check(&partner(5), Step(0.5), Some((7, &[])));
        check(&partner(3), Step(0.5), Some((4, &[])));
        check(&partner(2), Step(0.5), Some((3, &[])));
        let nothing = "The step asked for leaves 1 as it is";
        check(&partner(1), Step(0.5), Some((1, &[("step", nothing)])));
        let zero = "A quota of 0 is a decision of its own; a person raises it";
        check(&partner(0), Step(0.5), Some((0, &[("quota", zero)])));
        let unknown = "The present quota is unknown; a quota_changed event sets it";
        let nothing = PartnerState { quota_per_minute: None, ..partner(0) };
        check(&nothing, Step(0.5), Some((0, &[("quota", unknown)])));
    }

    #[test]
    fn raises_of_unknown_plans() {
        let other = PartnerState { plan: Some("gold".to_owned()), ..partner(600) };
        let reason = "The policy knows no plan \"gold\": a person decides";
        check(&other, Step(0.5), Some((900, &[("ceiling", reason)])));
        let none = PartnerState { plan: None, ..partner(600) };
        let reason = "The partner's plan is unknown: a person decides";
        check(&none, Step(0.5), Some((900, &[("ceiling", reason)])));
    }

    #[test]
    /// Stops a change too soon after the last one.
    fn cooldown() {
        for (days, reason) in [
            (0, Some("Last change less than a day ago, 7 needed")),
            (1, Some("Last change 1 day ago, 7 needed")),
            (2, Some("Last change 2 days ago, 7 needed")),
            (6, Some("Last change 6 days ago, 7 needed")),
            (7, None),
            (18, None),
        ] {
            let changes = vec![days_ago(days, 600), days_ago(100, 600)];
            let state = PartnerState { quota_changes: changes, ..partner(600) };
            let stopped: Vec<_> = reason.map(|reason| ("cooldown", reason)).into_iter().collect();
            check(&state, Step(0.5), Some((900, &stopped)));
        }
    }

    #[test]
    fn raises_add_up_over_30_days() {
        let with = |changes| PartnerState { quota_changes: changes, ..partner(600) };
        // 400 → 600 eighteen days ago, and now 900: +125 % of what it was 30 days ago.
        let person = |reason| [("thirty_days", reason)];
        let reason = person("+125 % in 30 days: a person decides");
        check(&with(vec![days_ago(40, 400), days_ago(18, 600)]), Step(0.5), Some((900, &reason)));
        check(&with(vec![days_ago(18, 400), days_ago(10, 600)]), Step(0.5), Some((900, &reason)));
        // Exactly +100 % needs nobody.
        check(&with(vec![days_ago(40, 450), days_ago(18, 600)]), Step(0.5), Some((900, &[])));
        check(&with(vec![days_ago(40, 400), days_ago(30, 600)]), Step(0.5), Some((900, &[])));
        let from_zero = person("From 0 in 30 days: a person decides");
        check(&with(vec![days_ago(40, 0), days_ago(18, 600)]), Step(0.5), Some((900, &from_zero)));
    }

    #[test]
    fn cuts() {
        let person = ("decrease", "A cut is decided by a person");
        check(&partner(1_000), Step(-0.1), Some((900, &[person])));
        check(&partner(1_000), Step(-0.05), Some((950, &[person])));
        let tiny = ("step", "The step asked for leaves 5 as it is");
        let small = PartnerState { plan: None, highest_minute: Some(1), ..partner(5) };
        check(&small, Step(-0.1), Some((5, &[tiny, person])));
        let step = ("step", "Asked 300, held to −10 %: 900");
        check(&partner(1_000), PerMinute(300), Some((900, &[step, person])));
        let peak = |peak| PartnerState { highest_minute: Some(peak), ..partner(1_000) };
        let floor = ("floor", "900, held to 1.2 × the highest minute: 960");
        check(&peak(800), Step(-0.1), Some((960, &[floor, person])));
        let floor = ("floor", "The floor is 1.2 × the highest minute: 1,080");
        check(&peak(900), Step(-0.1), Some((1_000, &[floor, person])));
        let floor = ("floor", "468, held to the contract's 500");
        check(&partner(520), Step(-0.1), Some((500, &[floor, person])));
        let floor = ("floor", "The floor is the contract's 500");
        check(&partner(500), Step(-0.1), Some((500, &[floor, person])));
    }

    #[test]
    fn no_cut_on_poor_health_or_poor_evidence() {
        let person = ("decrease", "A cut is decided by a person");
        for (tier, shown) in [
            (Tier::AtRisk, "at risk"),
            (Tier::Watch, "watch"),
            (Tier::InsufficientEvidence, "insufficient evidence"),
        ] {
            let state = PartnerState { tier, ..partner(1_000) };
            let reason = format!("Only a healthy partner's quota is cut; this one is {shown}");
            check(&state, Step(-0.1), Some((900, &[("health", &reason), person])));
        }
        let usage = |highest_minute, usage_gap: Option<&str>, reason: &str| {
            let usage_gap = usage_gap.map(str::to_owned);
            let state = PartnerState { highest_minute, usage_gap, ..partner(1_000) };
            check(&state, Step(-0.1), Some((900, &[("usage", reason), person])));
        };
        usage(None, None, "No usage is known: nothing shows that less is enough");
        usage(Some(0), None, "Usage is zero, which may be an outage: no decrease");
        usage(Some(100), Some("A day is missing"), "A day is missing");
        // A raise asks for none of it.
        let state = PartnerState { tier: Tier::AtRisk, highest_minute: None, ..partner(600) };
        check(&state, Step(0.5), Some((900, &[])));
    }

    #[test]
    fn ladders() {
        let ladder = |rungs: &[i64]| QuotaTarget::Ladder(rungs.to_vec());
        check(&partner(600), ladder(&[60, 600, 800]), Some((800, &[])));
        check(&partner(700), ladder(&[60, 600, 800]), Some((800, &[])));
        check(&partner(800), ladder(&[60, 600, 800]), None);
        // No rung lies within the step, and between rungs there is nothing.
        let far = ("step", "A step of +50 % leaves 600 as it is");
        check(&partner(600), ladder(&[60, 600, 1_000]), Some((600, &[far])));
    }

    #[test]
    fn the_gateway_is_believed_and_a_person_asked() {
        let live = |live_quota| PartnerState { live_quota, ..partner(600) };
        check(&live(LiveQuota::Is(Some(600))), Step(0.5), Some((900, &[])));
        let other =
            "The gateway has 700, our books say 600: somebody else changed it, a person decides";
        check(&live(LiveQuota::Is(Some(700))), Step(0.5), Some((1_050, &[("live", other)])));
        let down = "The gateway can't say what is in force: no connection";
        let unknown = LiveQuota::Unknown("no connection".to_owned());
        check(&live(unknown), Step(0.5), Some((900, &[("live", down)])));
    }

    #[test]
    fn a_person_passes_over_guardrails_by_name() {
        let overridden = |guardrail: &str, state: &PartnerState, target: QuotaTarget| {
            let over = GuardrailOverride {
                partner_id: "p".to_owned(),
                guardrail: guardrail.to_owned(),
                by: "Ada".to_owned(),
                reason: "A launch".to_owned(),
            };
            let decision =
                decide_quota(state, &target, &policy(), NOW, &[over]).expect("a decision");
            let is_named = |g: &&GuardrailCheck| g.outcome == Outcome::Overridden;
            let named: Vec<String> =
                decision.guardrails.iter().filter(is_named).map(|g| g.name.clone()).collect();
            (decision.to, decision.is_stopped(), named.join(","))
        };
        let yes = |name: &str, to| (to, false, name.to_owned());
        assert_eq!(overridden("step", &partner(600), PerMinute(1_100)), yes("step", 1_100));
        assert_eq!(overridden("ceiling", &partner(1_000), Step(0.5)), yes("ceiling", 1_500));
        let recent = PartnerState { quota_changes: vec![days_ago(1, 600)], ..partner(600) };
        assert_eq!(overridden("cooldown", &recent, Step(0.5)), yes("cooldown", 900));
        let poor = PartnerState { tier: Tier::Watch, ..partner(1_000) };
        assert_eq!(overridden("health", &poor, Step(-0.1)), yes("health", 900));
        let busy = PartnerState { highest_minute: Some(900), ..partner(1_000) };
        assert_eq!(overridden("floor", &busy, Step(-0.1)), yes("floor", 900));
        let silent = PartnerState { highest_minute: Some(0), ..partner(1_000) };
        assert_eq!(overridden("usage", &silent, Step(-0.1)), yes("usage", 900));
        // Another name passes over nothing.
        assert_eq!(overridden("floor", &recent, Step(0.5)), (900, true, String::new()));
    }

    #[test]
    fn a_step_is_never_more_than_its_share() {
        for from in 1..3_000 {
            for step in [0.5, 0.1, 0.15, -0.1, -0.35] {
                let to = after_step(from, step);
                let moved = (to - from) as f64;
                let most = from as f64 * step;
                assert!(moved.abs() <= most.abs() + 1e-5, "{from} {step}: {to}");
                assert!((moved - most).abs() < 1.0, "{from} {step}: {to}");
            }
        }
    }
}
