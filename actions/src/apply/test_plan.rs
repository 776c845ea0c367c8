//! Plans for tests of apply: partners whose id says which rule holds for them.

use std::collections::BTreeSet;

use domain::{ActionKind, AsOf, Day, MICROS_PER_DAY, Tier};

use super::test_store::{TestStore, World};
use super::{ApplyError, ApplyOptions, ApplyReport, ChangeReport, Plan, apply};
use crate::episodes::{Episodes, Holding};
use crate::input::{ChannelsInForce, PartnerState, PlanInput};
use crate::log::{EntryKind, History};
use crate::policy::{DEFAULT_POLICY, Policy, QuotaTarget, RuleAction};
use crate::{make_plan, match_rules};

pub(crate) const MINUTE: i64 = 60_000_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = MICROS_PER_DAY;

/// Seconds after which an attempt without an outcome was killed.
pub(crate) const LEASE: i64 = 600;

/// Nine o'clock on 15 September 2026.
pub(crate) fn start() -> i64 {
    Day(20_711).start_micros() + 9 * HOUR
}

/// The shipped policy, and a rule that cuts quotas.
pub(crate) fn policy() -> Policy {
    let mut policy = Policy::parse(DEFAULT_POLICY).expect("the shipped policy");
    let throttled = policy.rules.iter().find(|rule| rule.id == "throttled").expect("a rule");
    let mut cut = throttled.clone();
    cut.id = "cut".to_owned();
    cut.name = "Unused".to_owned();
    cut.condition = "cut".to_owned();
    cut.action = RuleAction::SetQuota(QuotaTarget::Step(-0.1));
    policy.rules.push(cut);
    policy
}

/// Returns a healthy partner with a quota of 600 and a floor of 360.
pub(crate) fn partner(id: &str) -> PartnerState {
    PartnerState {
        plan: Some("growth".to_owned()),
        top_reason: "Calls as ever".to_owned(),
        quota_per_minute: Some(600),
        highest_minute: Some(300),
        ..PartnerState::of_tier(id, Tier::Healthy)
    }
}

/// Returns the partners for which a condition holds, by the first letter of their id: throttled, cut,
/// used to 80 %, at risk, ready for production.
fn holding(partners: &[PartnerState], condition: &str) -> BTreeSet<String> {
    let first = match condition {
        "stage = 'live' AND needs_upgrade" => "t",
        "cut" => "c",
        "stage = 'live' AND utilisation >= 0.8 AND utilisation < 1" => "u",
        "tier = 'at_risk'" => "r",
        ready if ready.starts_with("stage IN") => "p",
        _ => return BTreeSet::new(),
    };
    let ids = partners.iter().map(|state| state.partner_id.clone());
    ids.filter(|id| id.starts_with(first)).collect()
}

/// Returns a world with these partners, all of which may be changed without a person.
pub(crate) fn world(ids: &[&str]) -> World {
    let mut world = World::new(start());
    world.policy = policy();
    world.policy.guardrails.reach = 1.0;
    for id in ids {
        world.add(partner(id));
    }
    world
}

/// Returns the input of a plan that is made now.
pub(crate) fn input(world: &World) -> PlanInput {
    let as_of = AsOf::at_or_before(world.now);
    let actions = ActionKind::ALL.into_iter();
    let by_action =
        actions.map(|action| (action, ("gateway".to_owned(), world.can_read))).collect();
    PlanInput {
        as_of,
        scored_as_of: Some(as_of),
        created_at: world.now,
        watermark: Some(world.now),
        stopped: world.stopped.clone(),
        versions: [("log".to_owned(), world.version.unsigned_abs())].into(),
        partners: world.all_in_books(),
        history: History::of(&world.entries),
        episodes: Episodes::default(),
        overrides: Vec::new(),
        channels: ChannelsInForce { by_action, ..ChannelsInForce::default() },
        snoozes: crate::Snoozes::default(),
    }
}

/// Makes a plan of an input.
pub(crate) fn plan_of(input: &PlanInput, policy: &Policy) -> Plan {
    let mut input = input.clone();
    let evaluate = |condition: &str| Ok(holding(&input.partners, condition));
    let matches = match_rules(policy, &input.partners, &evaluate).expect("matches");
    let found: Holding<'_> =
        matches.iter().map(|(rule, ids)| (rule.id.as_str(), ids.clone())).collect();
    input.episodes.evaluate(input.as_of.micros(), input.created_at, &found);
    make_plan(&input, policy, &matches).expect("a plan")
}

/// Makes a plan now.
pub(crate) fn plan(store: &TestStore) -> Plan {
    let world = store.world();
    plan_of(&input(&world), &world.policy)
}

/// Returns a world and the plan made in it.
pub(crate) fn planned(ids: &[&str]) -> (TestStore, Plan) {
    let store = TestStore::new(world(ids));
    let plan = plan(&store);
    (store, plan)
}

pub(crate) fn options() -> ApplyOptions {
    ApplyOptions { by: "test".to_owned(), bake_seconds: 600, lease_seconds: LEASE }
}

/// Applies a plan as a new program.
pub(crate) async fn run(store: &TestStore, plan: &Plan) -> Result<ApplyReport, ApplyError> {
    {
        let mut world = store.world();
        world.is_dead = false;
        world.moments.clear();
    }
    apply(plan, store, &store.channels(), &options()).await
}

/// Applies a plan that is not refused, and returns a line for each change:
/// `t1 delivered: 600 → 900`.
pub(crate) async fn lines(store: &TestStore, plan: &Plan) -> Vec<String> {
    let report = run(store, plan).await.expect("not refused");
    let line = |change: &ChangeReport| {
        format!("{} {}: {}", change.partner_id, change.outcome.words(), change.text)
    };
    let halted = report.halted.iter().map(|why| format!("halted: {why}"));
    report.changes.iter().map(line).chain(halted).collect()
}

/// Returns the sentence with which a plan is refused.
pub(crate) async fn refusal(store: &TestStore, plan: &Plan) -> String {
    let seen = || {
        let world = store.world();
        (world.version, world.met.len())
    };
    let before = seen();
    let error = run(store, plan).await.expect_err("refused").to_string();
    assert_eq!(before, seen(), "nothing is written and nothing is sent");
    error
}

/// Returns what the log says of a partner, a word a row.
pub(crate) fn log_of(store: &TestStore, partner_id: &str) -> Vec<EntryKind> {
    let world = store.world();
    let rows = world.entries.iter().filter(|entry| entry.partner_id == partner_id);
    rows.map(|entry| entry.kind).collect()
}
