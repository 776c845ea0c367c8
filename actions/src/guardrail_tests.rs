//! The guardrails of one quota change, case by case.

use domain::{MICROS_PER_DAY, Tier};

use crate::document::{GuardrailCheck, GuardrailOverride, Outcome};
use crate::guardrails::{after_step, decide_quota};
use crate::input::{LiveQuota, PartnerState, QuotaChange};
use crate::policy::{DEFAULT_POLICY, PlanQuota, Policy, QuotaTarget};

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
#[expect(
    clippy::needless_pass_by_value,
    reason = "a table of cases reads better without references"
)]
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
    let unknown = "The present quota is unknown; a partner event with quota_per_minute sets it";
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
    // To register with a quota is no change of it.
    let new = PartnerState { registered_quota: Some(days_ago(1, 600)), ..partner(600) };
    check(&new, Step(0.5), Some((900, &[])));
}

#[test]
fn raises_add_up_over_30_days() {
    let with = |changes| PartnerState { quota_changes: changes, ..partner(600) };
    // 400 → 600 eighteen days ago, and now 900: +125 % of what it was 30 days ago.
    let person = |reason| [("thirty_days", reason)];
    let reason = person("+125 % in 30 days: a person decides");
    check(&with(vec![days_ago(40, 400), days_ago(18, 600)]), Step(0.5), Some((900, &reason)));
    check(&with(vec![days_ago(18, 400), days_ago(10, 600)]), Step(0.5), Some((900, &reason)));
    // The quota that it registered with is where it starts.
    let registered = |days, per_minute| PartnerState {
        registered_quota: Some(days_ago(days, per_minute)),
        ..with(vec![days_ago(18, 600)])
    };
    check(&registered(40, 400), Step(0.5), Some((900, &reason)));
    check(&registered(20, 400), Step(0.5), Some((900, &reason)));
    check(&registered(40, 450), Step(0.5), Some((900, &[])));
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
        let decision = decide_quota(state, &target, &policy(), NOW, &[over]).expect("a decision");
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
