//! What a quota change may be: each guardrail passes, changes, stops, or asks for a person.

use lake_types::{MICROS_PER_DAY, counted, thousands};

use crate::document::{Guardrail, Outcome};
use crate::input::PartnerState;
use crate::policy::{Policy, QuotaTarget};

/// Days over which raises add up for the guardrail `thirty_days`.
const ADD_UP_DAYS: i64 = 30;

/// What became of the quota that a rule asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision {
    /// `None` where it could not even be worked out.
    pub asked: Option<i64>,
    pub to: i64,
    pub guardrails: Vec<Guardrail>,
}

impl Decision {
    pub(crate) fn stopped(&self) -> bool {
        self.guardrails.iter().any(|g| g.outcome == Outcome::Stopped)
    }
}

pub(crate) fn guardrail(name: &str, outcome: Outcome, reason: String) -> Guardrail {
    Guardrail { name: name.to_owned(), outcome, reason }
}

/// Holds what a rule asks for against the guardrails that look at one partner; `None` when the
/// quota is already what was asked. `now` in µs; `usage_late`: the usage of nobody is whole.
pub(crate) fn decide(
    state: &PartnerState,
    target: QuotaTarget,
    policy: &Policy,
    now: i64,
    usage_late: bool,
) -> Option<Decision> {
    let Some(from) = state.quota_per_minute else {
        let reason = "The present quota is unknown; a quota_changed event sets it".to_owned();
        let guardrails = vec![guardrail("quota", Outcome::Stopped, reason)];
        return Some(Decision { asked: None, to: 0, guardrails });
    };
    let asked = match target {
        QuotaTarget::PerMinute(quota) => quota,
        QuotaTarget::Step(step) => stepped(from, step),
    };
    let case = Case { state, policy, from, asked, now };
    let cut = match target {
        QuotaTarget::PerMinute(_) if asked == from && from > 0 => return None,
        QuotaTarget::PerMinute(_) => asked < from,
        // One too small to move the quota is stopped as a step, with that reason.
        QuotaTarget::Step(step) => step < 0.0,
    };
    let (to, guardrails) = if cut { case.cut(usage_late) } else { case.raise() };
    Some(Decision { asked: Some(asked), to, guardrails })
}

/// A quota after a step, in whole calls: one that is no more than the step.
fn stepped(from: i64, step: f64) -> i64 {
    // Far below what a quota counts, far above what a product of floats is off by.
    const HAIR: f64 = 1e-6;
    let to = from as f64 * (1.0 + step);
    if step < 0.0 { (to - HAIR).ceil() as i64 } else { (to + HAIR).floor() as i64 }
}

struct Case<'a> {
    state: &'a PartnerState,
    policy: &'a Policy,
    from: i64,
    asked: i64,
    now: i64,
}

impl Case<'_> {
    fn raise(&self) -> (i64, Vec<Guardrail>) {
        let from = self.from;
        if from == 0 {
            let reason = "A quota of 0 is a decision of its own; a person raises it".to_owned();
            return (0, vec![guardrail("quota", Outcome::Stopped, reason)]);
        }
        let mut checks = vec![self.cooldown()];
        let limit = self.policy.guardrails.max_raise;
        let held = self.asked.min(stepped(from, limit));
        checks.push(self.step(held, limit));
        let (to, ceiling) = self.ceiling(held);
        checks.push(ceiling);
        checks.push(self.thirty_days(to));
        (to, checks)
    }

    fn cut(&self, usage_late: bool) -> (i64, Vec<Guardrail>) {
        let mut checks = vec![self.health(), self.usage(usage_late), self.cooldown()];
        let limit = self.policy.guardrails.max_cut;
        let held = self.asked.max(stepped(self.from, -limit));
        checks.push(self.step(held, -limit));
        let (to, floor) = self.floor(held);
        checks.push(floor);
        let reason = "A cut is decided by a person".to_owned();
        checks.push(guardrail("decrease", Outcome::NeedsApproval, reason));
        (to, checks)
    }

    fn cooldown(&self) -> Guardrail {
        let needed = self.policy.guardrails.cooldown_days;
        let past = self.state.quota_changes.iter().map(|c| c.at).filter(|at| *at <= self.now);
        let Some(last) = past.max() else {
            return guardrail("cooldown", Outcome::Passed, "No change before".to_owned());
        };
        let ago = match (self.now - last) / MICROS_PER_DAY {
            0 => "less than a day".to_owned(),
            days => counted(days, "day"),
        };
        let reason = format!("Last change {ago} ago, {needed} needed");
        let passed = self.now - last >= needed * MICROS_PER_DAY;
        guardrail("cooldown", if passed { Outcome::Passed } else { Outcome::Stopped }, reason)
    }

    fn step(&self, stepped: i64, limit: f64) -> Guardrail {
        let limit = percent(limit);
        if stepped == self.from {
            let tried = match self.asked {
                asked if asked == self.from => "The step asked for".to_owned(),
                _ => format!("A step of {limit}"),
            };
            let reason = format!("{tried} leaves {} as it is", thousands(self.from));
            return guardrail("step", Outcome::Stopped, reason);
        }
        if stepped == self.asked {
            let change = percent(self.asked as f64 / self.from as f64 - 1.0);
            return guardrail("step", Outcome::Passed, format!("{change}, limit {limit}"));
        }
        let (asked, to) = (thousands(self.asked), thousands(stepped));
        let verb = if stepped < self.asked { "cut" } else { "held" };
        guardrail("step", Outcome::Changed, format!("Asked {asked}, {verb} to {limit}: {to}"))
    }

    fn ceiling(&self, stepped: i64) -> (i64, Guardrail) {
        let check = |to, outcome, reason| (to, guardrail("ceiling", outcome, reason));
        let plan = self.state.plan.as_deref();
        let Some(quota) = plan.and_then(|plan| self.policy.plans.get(plan)) else {
            let reason = match plan {
                Some(plan) => format!("The policy knows no plan \"{plan}\": a person decides"),
                None => "The partner's plan is unknown: a person decides".to_owned(),
            };
            return check(stepped, Outcome::NeedsApproval, reason);
        };
        let ceiling = thousands(quota.ceiling);
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

    /// Raises of the last 30 days and this one together.
    fn thirty_days(&self, to: i64) -> Guardrail {
        let limit = self.policy.guardrails.approval_above_30d;
        let base = self.quota_30_days_ago();
        let change = if base == 0 { f64::INFINITY } else { to as f64 / base as f64 - 1.0 };
        if change > limit {
            let told = if base == 0 { "From 0".to_owned() } else { percent(change) };
            let reason = format!("{told} in {ADD_UP_DAYS} days: a person decides");
            return guardrail("thirty_days", Outcome::NeedsApproval, reason);
        }
        let (change, limit) = (percent(change), percent(limit));
        let reason = format!("{change} in {ADD_UP_DAYS} days, limit {limit}");
        guardrail("thirty_days", Outcome::Passed, reason)
    }

    /// The quota in force then; where that is not known, the lowest since.
    fn quota_30_days_ago(&self) -> i64 {
        let since = self.now - ADD_UP_DAYS * MICROS_PER_DAY;
        let changes = &self.state.quota_changes;
        let then = changes.iter().filter(|c| c.at <= since).max_by_key(|c| c.at);
        if let Some(then) = then {
            return then.per_minute;
        }
        let lowest = changes.iter().filter(|c| c.at <= self.now).map(|c| c.per_minute).min();
        lowest.map_or(self.from, |lowest| lowest.min(self.from))
    }

    /// Poor health never lowers a quota, nor does health that is not known.
    fn health(&self) -> Guardrail {
        let tier = self.state.tier.replace('_', " ");
        if self.state.tier == "healthy" {
            return guardrail("health", Outcome::Passed, "The partner is healthy".to_owned());
        }
        let reason = format!("Only a healthy partner's quota is cut; this one is {tier}");
        guardrail("health", Outcome::Stopped, reason)
    }

    fn usage(&self, all_late: bool) -> Guardrail {
        let stop = |reason: &str| guardrail("usage", Outcome::Stopped, reason.to_owned());
        match self.state.peak_per_minute {
            None => stop("No usage is known: nothing shows that less is enough"),
            Some(0) => stop("Usage is zero, which may be an outage: no cut"),
            Some(_) if all_late || self.state.usage_late => stop("Usage came late: no cut yet"),
            Some(peak) => {
                let reason = format!("Peak of {} a minute in 28 days", thousands(peak));
                guardrail("usage", Outcome::Passed, reason)
            }
        }
    }

    fn floor(&self, stepped: i64) -> (i64, Guardrail) {
        let plan = self.state.plan.as_deref();
        let contract = plan.and_then(|p| self.policy.plans.get(p)).map_or(0, |q| q.contract);
        let headroom = self.policy.guardrails.headroom;
        let peak = self.state.peak_per_minute.unwrap_or(0);
        let needed = (peak as f64 * headroom).ceil() as i64;
        let floor = contract.max(needed);
        let named = match floor {
            f if f == contract && contract > needed => {
                format!("the contract's {}", thousands(floor))
            }
            _ => format!("{headroom} × the peak: {}", thousands(floor)),
        };
        let check = |to, outcome, reason| (to, guardrail("floor", outcome, reason));
        if floor >= self.from {
            return check(self.from, Outcome::Stopped, format!("The floor is {named}"));
        }
        if stepped < floor {
            let reason = format!("{}, held to {named}", thousands(stepped));
            return check(floor, Outcome::Changed, reason);
        }
        let reason = format!("{} is not below {named}", thousands(stepped));
        check(stepped, Outcome::Passed, reason)
    }
}

/// A share in 0–1 and beyond, with the digits it needs: `0.04 %`, `6.3 %`, `98 %`, `0 %`.
pub(crate) fn share(share: f64) -> String {
    let value = share * 100.0;
    match value.abs() {
        x if x < 5e-7 => "0 %".to_owned(),
        x if x < 0.005 => "under 0.01 %".to_owned(),
        x if x < 0.095 => format!("{value:.2} %"),
        x if x < 9.95 => format!("{value:.1} %"),
        _ => format!("{value:.0} %"),
    }
}

/// `+50 %`, `−10 %`.
fn percent(share: f64) -> String {
    let sign = if share < 0.0 { "−" } else { "+" };
    format!("{sign}{:.0} %", share.abs() * 100.0)
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
            partner_id: "p".to_owned(),
            plan: Some("small".to_owned()),
            tier: "healthy".to_owned(),
            quota_per_minute: Some(from),
            peak_per_minute: Some(100),
            ..PartnerState::default()
        }
    }

    fn days_ago(days: i64, per_minute: i64) -> QuotaChange {
        QuotaChange { at: NOW - days * MICROS_PER_DAY, per_minute }
    }

    /// `expected`: the quota it ends at, and the guardrails that did not just pass.
    #[track_caller]
    fn check(state: &PartnerState, target: QuotaTarget, expected: Option<(i64, &[(&str, &str)])>) {
        let decision = decide(state, target, &policy(), NOW, false);
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
    fn raises_of_plans_nobody_knows() {
        let other = PartnerState { plan: Some("gold".to_owned()), ..partner(600) };
        let reason = "The policy knows no plan \"gold\": a person decides";
        check(&other, Step(0.5), Some((900, &[("ceiling", reason)])));
        let none = PartnerState { plan: None, ..partner(600) };
        let reason = "The partner's plan is unknown: a person decides";
        check(&none, Step(0.5), Some((900, &[("ceiling", reason)])));
    }

    #[test]
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
        let small = PartnerState { plan: None, peak_per_minute: Some(1), ..partner(5) };
        check(&small, Step(-0.1), Some((5, &[tiny, person])));
        let step = ("step", "Asked 300, held to −10 %: 900");
        check(&partner(1_000), PerMinute(300), Some((900, &[step, person])));
        let peak = |peak| PartnerState { peak_per_minute: Some(peak), ..partner(1_000) };
        let floor = ("floor", "900, held to 1.2 × the peak: 960");
        check(&peak(800), Step(-0.1), Some((960, &[floor, person])));
        let floor = ("floor", "The floor is 1.2 × the peak: 1,080");
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
            ("at_risk", "at risk"),
            ("watch", "watch"),
            ("insufficient_evidence", "insufficient evidence"),
        ] {
            let state = PartnerState { tier: tier.to_owned(), ..partner(1_000) };
            let reason = format!("Only a healthy partner's quota is cut; this one is {shown}");
            check(&state, Step(-0.1), Some((900, &[("health", &reason), person])));
        }
        let usage = |peak, usage_late, reason: &str| {
            let state = PartnerState { peak_per_minute: peak, usage_late, ..partner(1_000) };
            check(&state, Step(-0.1), Some((900, &[("usage", reason), person])));
        };
        usage(None, false, "No usage is known: nothing shows that less is enough");
        usage(Some(0), false, "Usage is zero, which may be an outage: no cut");
        usage(Some(100), true, "Usage came late: no cut yet");
        let decision = decide(&partner(1_000), Step(-0.1), &policy(), NOW, true);
        assert!(decision.expect("a decision").stopped());
        // A raise asks for none of it.
        let state =
            PartnerState { tier: "at_risk".to_owned(), peak_per_minute: None, ..partner(600) };
        check(&state, Step(0.5), Some((900, &[])));
    }

    #[test]
    fn numbers_in_words() {
        assert_eq!([0.5, -0.1, 1.25].map(percent), ["+50 %", "−10 %", "+125 %"]);
        let shares = [0.0, 0.00001, 0.0004, 0.063, 0.98, 1.04].map(share);
        assert_eq!(shares, ["0 %", "under 0.01 %", "0.04 %", "6.3 %", "98 %", "104 %"]);
    }

    #[test]
    fn a_step_is_never_more_than_its_share() {
        for from in 1..3_000 {
            for step in [0.5, 0.1, 0.15, -0.1, -0.35] {
                let to = stepped(from, step);
                let moved = (to - from) as f64;
                let most = from as f64 * step;
                assert!(moved.abs() <= most.abs() + 1e-5, "{from} {step}: {to}");
                assert!((moved - most).abs() < 1.0, "{from} {step}: {to}");
            }
        }
    }
}
