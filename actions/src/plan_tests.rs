//! Whole plans over a few partners: first match wins, limits, blocks, determinism.

use std::collections::BTreeSet;

use domain::{AsOf, Day, MICROS_PER_DAY, Setting, SignalName, SupportRoute, Tier};

use crate::alerts::Snoozes;
use crate::document::{Contribution, Outcome, Plan};
use crate::episodes::{Episodes, Holding};
use crate::input::ChannelsInForce;
use crate::input::{PartnerState, PlanInput, QuotaChange};
use crate::log::History;
use crate::plan_table::plan_table;
use crate::policy::{DEFAULT_POLICY, Policy};
use crate::test_log::quota_entry;
use crate::{PlanError, make_plan, match_rules};

pub(crate) const DAY: Day = Day(20_711); // 15 September 2026
pub(crate) const HOUR: i64 = 3_600_000_000;

pub(crate) fn policy() -> Policy {
    Policy::parse(DEFAULT_POLICY).expect("the shipped policy")
}

pub(crate) fn partner(id: &str, tier: Tier, rank: Option<i64>) -> PartnerState {
    let contribution = |signal, points| {
        let signal = SignalName::new(signal);
        Contribution { signal, points, reason: None }
    };
    PartnerState {
        plan: Some("growth".to_owned()),
        top_reason: "4xx tripled on 5 Sep: 0.8 % → 2.6 %".to_owned(),
        contributions: vec![
            contribution("growth", 1.0),
            contribution("errors", -20.400_06),
            contribution("onboarding", 0.5),
            contribution("steadiness", -7.0),
        ],
        impact_rank: rank,
        quota_per_minute: Some(600),
        highest_minute: Some(500),
        ..PartnerState::of_tier(id, tier)
    }
}

pub(crate) fn input(partners: Vec<PartnerState>) -> PlanInput {
    PlanInput {
        as_of: AsOf::of_day(DAY),
        scored_as_of: Some(AsOf::of_day(DAY)),
        created_at: DAY.start_micros() + 9 * HOUR,
        watermark: Some(DAY.start_micros() + 8 * HOUR),
        stopped: None,
        versions: [("rollup/partner_day".to_owned(), 12)].into(),
        partners,
        history: History::default(),
        episodes: Episodes::default(),
        overrides: Vec::new(),
        channels: ChannelsInForce::default(),
        snoozes: Snoozes::default(),
    }
}

/// Answers the conditions of the shipped policy from the partners; the throttled ones have an id
/// that begins with `t`.
fn evaluate(partners: &[PartnerState], condition: &str) -> Result<BTreeSet<String>, String> {
    let large = |p: &PartnerState| p.impact_rank.is_some_and(|rank| rank <= 20);
    let holds = |p: &PartnerState| match condition {
        "tier = 'at_risk' AND impact_rank <= 20" => p.tier == Tier::AtRisk && large(p),
        "tier = 'at_risk'" => p.tier == Tier::AtRisk,
        "stage = 'stuck'" => p.tier == Tier::Stuck,
        "stage = 'live' AND utilisation >= 0.8 AND utilisation < 1" => {
            p.partner_id.starts_with('u')
        }
        "tier = 'watch' AND impact_rank <= 20" => p.tier == Tier::Watch && large(p),
        "stage = 'live' AND needs_upgrade" => p.partner_id.starts_with('t'),
        _ => condition == "true",
    };
    Ok(partners.iter().filter(|p| holds(p)).map(|p| p.partner_id.clone()).collect())
}

pub(crate) fn made(input: &PlanInput, policy: &Policy) -> Plan {
    let mut input = input.clone();
    let evaluate = |condition: &str| evaluate(&input.partners, condition);
    let matches = match_rules(policy, &input.partners, &evaluate).expect("matches");
    let holding: Holding<'_> =
        matches.iter().map(|(rule, ids)| (rule.id.as_str(), ids.clone())).collect();
    input.episodes.evaluate(input.as_of.micros(), input.created_at, &holding);
    make_plan(&input, policy, &matches).expect("a plan")
}

fn route(queue: &str, priority: u32, sla_hours: u32) -> SupportRoute {
    SupportRoute { queue: queue.to_owned(), priority, sla_hours }
}

#[test]
fn the_first_rule_of_each_kind_wins() {
    #[track_caller]
    fn check(state: &PartnerState, expected: &[(&str, &str, &str)]) {
        let plan = made(&input(vec![state.clone()]), &policy());
        let rows = plan_table(&plan);
        let found: Vec<_> = rows.iter().zip(&plan.changes).collect();
        let found: Vec<_> = found
            .iter()
            .map(|(r, c)| (r.action, r.change.as_str(), c.rationale.rule.as_str()))
            .collect();
        assert_eq!(found, expected);
    }
    let large = ("support", "none → partner-success P1, 4 h", "Large partner at risk");
    let raise = (
        "quota",
        "600 → 900, until 15 Oct 2026",
        "Throttled 1 % or more of calls, or peaks at 80 % of its quota",
    );
    check(&partner("a", Tier::AtRisk, Some(3)), &[large]);
    check(&partner("t", Tier::AtRisk, Some(3)), &[large, raise]);
    check(&partner("t", Tier::Healthy, Some(3)), &[raise]);
    let small = ("support", "none → integration-help P2, 24 h", "At risk");
    check(&partner("a", Tier::AtRisk, Some(21)), &[small]);
    check(&partner("a", Tier::AtRisk, None), &[small]);
    let stuck = ("support", "none → onboarding P3, 48 h", "Stuck before go-live");
    check(&partner("a", Tier::Stuck, None), &[stuck]);
    check(
        &partner("a", Tier::Watch, Some(1)),
        &[("notify", "tell its manager", "Large partner on watch")],
    );
    check(&partner("a", Tier::Healthy, Some(1)), &[]);
    // Recovered: it leaves the queue.
    let routed = |tier, queue, priority, sla| PartnerState {
        support: Some(route(queue, priority, sla)),
        ..partner("a", tier, Some(3))
    };
    let left = ("support", "partner-success P1, 4 h → none", "Nothing to do");
    check(&routed(Tier::Healthy, "partner-success", 1, 4), &[left]);
}

#[test]
fn a_setting_that_already_holds_is_no_change() {
    let mut large = partner("a", Tier::AtRisk, Some(3));
    large.support = Some(route("partner-success", 1, 4));
    let plan = made(&input(vec![large, partner("c", Tier::Healthy, None)]), &policy());
    assert_eq!((plan.changes.len(), plan.stopped.len(), plan.partners), (0, 0, 2));
    assert!(plan.blocked.is_empty());
}

#[test]
fn a_partner_without_a_matching_rule_keeps_what_it_has() {
    let mut policy = policy();
    policy.rules.retain(|rule| rule.condition != "true");
    let mut state = partner("a", Tier::Healthy, None);
    state.support = Some(route("partner-success", 1, 4));
    assert!(made(&input(vec![state]), &policy).changes.is_empty());
}

#[test]
fn stale_inputs_and_the_kill_switch_block() {
    #[track_caller]
    fn check(change: impl Fn(&mut PlanInput, &mut Policy), reasons: &[&str]) {
        let mut input = input(vec![partner("t", Tier::AtRisk, Some(1))]);
        let mut policy = policy();
        change(&mut input, &mut policy);
        let plan = made(&input, &policy);
        assert_eq!(plan.blocked, reasons);
        assert_eq!(plan.changes.is_empty(), !reasons.is_empty());
    }
    let now = DAY.start_micros() + 9 * HOUR;
    check(|_, _| {}, &[]);
    check(
        |i, _| i.stopped = Some("Ada: an incident".to_owned()),
        &["Deliveries are stopped: Ada: an incident. `rapport actions go` resumes them"],
    );
    check(
        |i, _| {
            let later = quota_entry("k", 1, 2, i.created_at + HOUR);
            i.history = History::of([&later]);
        },
        &["The clock is behind the newest row of the log of actions: one of the two is wrong"],
    );
    check(|i, _| i.created_at = DAY.start_micros() + 44 * HOUR, &[]);
    check(
        |i, _| i.created_at = DAY.start_micros() + 44 * HOUR + 1,
        &[
            "The data end 36 hours before now, at 2026-09-15T08:00:00Z; the limit is 36. Ingest first",
        ],
    );
    for (hours, age) in [(1, "1 hour"), (2, "2 hours")] {
        let expected = format!(
            "The data end {age} before now, at 2026-09-15T08:00:00Z; the limit is {hours}. Ingest first"
        );
        check(
            |i, p| {
                p.guardrails.stale_hours = hours;
                i.created_at = DAY.start_micros() + (8 + hours) * HOUR + 1;
            },
            &[&expected],
        );
    }
    check(|i, _| i.watermark = None, &["Nothing has been ingested: the lake has no watermark"]);
    check(
        |i, _| i.scored_as_of = None,
        &["No partner has been scored yet. Run `rapport score run`"],
    );
    check(
        |i, _| i.scored_as_of = Some(AsOf::of_day(DAY.plus(-1))),
        &["Scores are as of 2026-09-14, the lake reaches 2026-09-15. Run `rapport score run`"],
    );
    // The watermark has just not reached the day the scores are of.
    check(|i, _| i.watermark = Some(now - 10 * HOUR), &[]);
}

#[test]
fn beyond_its_reach_a_plan_needs_a_person() {
    // 40 partners: two may be routed and two raised without one.
    let mut partners: Vec<_> =
        (0..5).map(|i| partner(&format!("a{i}"), Tier::AtRisk, None)).collect();
    partners[3].impact_rank = Some(7);
    partners.extend((0..3).map(|i| partner(&format!("t{i}"), Tier::Healthy, Some(10 - i))));
    partners.extend((0..32).map(|i| partner(&format!("x{i:02}"), Tier::Healthy, None)));
    let plan = made(&input(partners), &policy());
    let free: Vec<_> = plan.changes.iter().filter(|c| !c.needs_approval).collect();
    let ids: Vec<_> = free.iter().map(|c| c.partner_id.as_str()).collect();
    assert_eq!(ids, ["a0", "a3", "t1", "t2"]);
    assert_eq!(plan.changes.len(), 8);
    let reach = |id: &str| {
        let change = plan.changes.iter().find(|c| c.partner_id == id).expect("a change");
        change.guardrails.iter().find(|g| g.name == "reach").expect("reach").clone()
    };
    assert_eq!(reach("t2").reason, "Number 1 of 2 in 7 days without a person");
    assert_eq!(reach("t1").reason, "Number 2 of 2 in 7 days without a person");
    let beyond = |n: u8| {
        format!(
            "Number {n} in 7 days, 2 of 40 partners may without a person (5 %): a person decides on this one"
        )
    };
    assert_eq!(reach("t0").reason, beyond(3));
    assert_eq!(
        (reach("t2").outcome, reach("t0").outcome),
        (Outcome::Passed, Outcome::NeedsApproval)
    );
    assert_eq!(reach("a1").reason, beyond(3));
}

#[test]
fn one_partner_alone_is_within_reach() {
    let plan = made(&input(vec![partner("t", Tier::Healthy, None)]), &policy());
    let reach = plan.changes[0].guardrails.iter().find(|g| g.name == "reach").expect("reach");
    assert_eq!(reach.reason, "Number 1 of 1 in 7 days without a person");
    // Two are beyond it: one may.
    let two = vec![partner("t1", Tier::Healthy, Some(1)), partner("t2", Tier::Healthy, Some(2))];
    let plan = made(&input(two), &policy());
    let last = plan.changes[1].guardrails.iter().find(|g| g.name == "reach").expect("reach");
    let expected = "Number 2 in 7 days, 1 of 2 partners may without a person (5 %): a person decides on this one";
    assert_eq!(last.reason, expected);
}

#[test]
fn the_reason_of_a_quota_change_is_how_the_quota_is_used() {
    #[track_caller]
    fn check(throttled_rate: Option<f64>, utilisation: Option<f64>, expected: &str) {
        let state =
            PartnerState { throttled_rate, utilisation, ..partner("t", Tier::AtRisk, None) };
        let plan = made(&input(vec![state]), &policy());
        let why = |at: usize| plan.changes[at].rationale.reason.as_str();
        assert_eq!(why(0), "4xx tripled on 5 Sep: 0.8 % → 2.6 %", "of support");
        assert_eq!(why(1), expected);
    }
    let both = "6.3 % of calls throttled, busiest minute at 98 % of the quota";
    check(Some(0.063), Some(0.98), both);
    check(Some(0.0), Some(1.04), "0 % of calls throttled, busiest minute at 104 % of the quota");
    check(Some(0.01), None, "1.0 % of calls throttled");
    check(None, Some(0.8), "Busiest minute at 80 % of the quota");
    check(None, None, "4xx tripled on 5 Sep: 0.8 % → 2.6 %");
}

#[test]
fn a_notice_about_the_quota_says_how_it_is_used() {
    let (throttled_rate, utilisation) = (Some(0.0), Some(0.9));
    let state = PartnerState { throttled_rate, utilisation, ..partner("u", Tier::Healthy, None) };
    let plan = made(&input(vec![state]), &policy());
    let why = plan.changes[0].rationale.reason.as_str();
    assert_eq!(why, "0 % of calls throttled, busiest minute at 90 % of the quota");
}

#[test]
fn nothing_is_set_for_a_suspended_partner() {
    #[track_caller]
    fn check(state: &PartnerState, changes: &[&str], stopped: usize) {
        let plan = made(&input(vec![state.clone()]), &policy());
        let rows = plan_table(&plan);
        let found: Vec<_> = rows.iter().take(plan.changes.len()).map(|r| &r.change).collect();
        assert_eq!(found, changes);
        let checks = plan.stopped.iter().filter_map(|s| s.guardrails.last());
        assert_eq!(checks.filter(|check| check.name == "standing").count(), stopped);
    }
    let why = "The partner was suspended on 12 Sep 2026: nothing is set until it is reinstated";
    let suspended =
        |id, tier, rank| PartnerState { inactive: Some(why.to_owned()), ..partner(id, tier, rank) };
    // A raise and a route, which another partner in its place gets.
    let set = ["none → partner-success P1, 4 h", "600 → 900, until 15 Oct 2026"];
    check(&partner("t", Tier::AtRisk, Some(3)), &set, 0);
    check(&suspended("t", Tier::AtRisk, Some(3)), &[], 2);
    // Our own people are told, and what ends does end.
    check(&suspended("a", Tier::Watch, Some(1)), &["tell its manager"], 0);
    let routed = PartnerState {
        support: Some(route("partner-success", 1, 4)),
        ..suspended("a", Tier::Healthy, Some(3))
    };
    check(&routed, &["partner-success P1, 4 h → none"], 0);
}

#[test]
fn the_capacity_of_a_plan_goes_to_the_largest_partners() {
    let mut policy = policy();
    policy.guardrails.capacity_per_minute = 700;
    policy.guardrails.reach = 1.0;
    let partners: Vec<_> =
        (0..3).map(|i| partner(&format!("t{i}"), Tier::Healthy, Some(3 - i))).collect();
    let plan = made(&input(partners), &policy);
    let changed: Vec<_> = plan.changes.iter().map(|c| c.partner_id.as_str()).collect();
    assert_eq!(changed, ["t1", "t2"]);
    let row = plan_table(&plan).pop().expect("a row");
    assert_eq!((row.partner.as_str(), row.change.as_str()), ("t0", "stopped: 600, asked 900"));
    assert_eq!(row.guardrails, "300 more a minute, 100 of 700 left");
}

#[test]
fn a_stopped_change_stands_in_the_plan() {
    let mut state = partner("t", Tier::Healthy, Some(1));
    state.name = Some("Harbourline".to_owned());
    let at = DAY.start_micros() - 3 * MICROS_PER_DAY;
    state.quota_changes = vec![QuotaChange { at, per_minute: 600 }];
    let plan = made(&input(vec![state]), &policy());
    assert!(plan.changes.is_empty());
    let stopped = &plan.stopped[0];
    assert_eq!(stopped.asked, Some(Setting::Quota { per_minute: 900 }));
    let row = &plan_table(&plan)[0];
    assert_eq!(row.partner, "Harbourline t");
    assert_eq!(row.guardrails, "Last change 3 days ago, 7 needed");
}

#[test]
fn a_cut_waits_for_a_complete_window() {
    let mut policy = policy();
    for rule in &mut policy.rules {
        if let crate::RuleAction::SetQuota(target) = &mut rule.action {
            *target = crate::QuotaTarget::Step(-0.1);
        }
    }
    let mut state = partner("t", Tier::Healthy, Some(1));
    state.highest_minute = Some(100);
    let mut input = input(vec![state]);
    let plan = made(&input, &policy);
    let cut = &plan.changes[0];
    assert_eq!(cut.to, Some(Setting::Quota { per_minute: 540 }));
    assert_eq!((cut.needs_approval, cut.expires_at), (true, None));
    input.watermark = Some(DAY.start_micros() - HOUR);
    let plan = made(&input, &policy);
    assert!(plan.changes.is_empty());
    assert!(plan_table(&plan)[0].guardrails.contains("Usage came late"));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let partners = vec![
        partner("t", Tier::AtRisk, Some(3)),
        partner("b", Tier::Watch, Some(1)),
        partner("c", Tier::Stuck, None),
    ];
    let json =
        |input: &PlanInput| serde_json::to_string_pretty(&made(input, &policy())).expect("JSON");
    let forwards = input(partners);
    let mut backwards = forwards.clone();
    backwards.partners.reverse();
    assert_eq!(json(&forwards), json(&backwards));
    // And a plan comes back from its file as it went in.
    let plan = made(&forwards, &policy());
    let read: Plan = serde_json::from_str(&json(&forwards)).expect("a plan");
    assert_eq!(read, plan);
    assert!(plan.plan_id.starts_with("2026-09-15-"), "{}", plan.plan_id);
    let top: Vec<_> = plan.changes[0].rationale.contributions.iter().map(|c| c.points).collect();
    assert_eq!(top, [-20.4001, -7.0, 1.0]);
    // Another state, another digest and id.
    let mut other = forwards.clone();
    other.partners[0].quota_per_minute = Some(601);
    let other = made(&other, &policy());
    assert_ne!(other.state_digest, plan.state_digest);
    assert_ne!(other.plan_id, plan.plan_id);
}

#[test]
fn errors_name_the_rule() {
    let input = input(vec![partner("a", Tier::Healthy, None)]);
    let (policy, partners) = (policy(), &input.partners);
    let error = match_rules(&policy, partners, &|_| Err("no column tierr".to_owned()));
    let error = error.expect_err("a broken condition").to_string();
    for part in ["Large partner at risk", "no column tierr", "tier = 'at_risk'", "policy line"] {
        assert!(error.contains(part), "{error}");
    }
    let error = match_rules(&policy, partners, &|_| Ok(BTreeSet::from(["zz".to_owned()])));
    assert!(matches!(error, Err(PlanError::UnknownPartner { .. })), "{error:?}");
    let twice =
        self::input(vec![partner("a", Tier::Healthy, None), partner("a", Tier::Healthy, None)]);
    let error = make_plan(&twice, &policy, &Vec::new());
    assert!(matches!(error, Err(PlanError::DuplicatePartner(_))), "{error:?}");
}
