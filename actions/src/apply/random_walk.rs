//! Random walks: months of plans, approvals, kills, failures and outside changes, with the promises of
//! [`super::walk_checks`] checked after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use domain::{Setting, Tier};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::test_plan::{DAY, HOUR, MINUTE, input, partner, policy, run, start};
use super::test_store::{Answer, Moment, TestStore, World};
use super::walk_checks::Promises;
use super::{Plan, log_entry};
use crate::deliver::Idempotency;
use crate::episodes::{Episodes, Holding};
use crate::input::QuotaChange;
use crate::log::{EntryKind, History};
use crate::policy::{QuotaTarget, RuleAction};
use crate::{make_plan, make_rollback, match_rules};

const WALKS: u64 = 1_000;
const PARTNERS: usize = 10;

/// What a walk knows besides the world.
struct Walk {
    rng: ChaCha8Rng,
    store: TestStore,
    episodes: Episodes,
    plans: Vec<Plan>,
    /// The partners for which each condition holds.
    holds: BTreeMap<&'static str, BTreeSet<String>>,
    /// Quota events of outside changes that the lake has not heard of.
    late: Vec<(String, QuotaChange)>,
    promises: Promises,
}

const CONDITIONS: [&str; 4] = [
    "stage = 'live' AND needs_upgrade",
    "cut",
    "tier = 'at_risk'",
    "stage = 'live' AND utilisation >= 1",
];

/// The partners for which a condition holds at first.
fn some((condition, ids): (&&'static str, [&str; 3])) -> (&'static str, BTreeSet<String>) {
    (*condition, ids.map(str::to_owned).into())
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut world = World::new(start());
        world.policy = policy();
        world.policy.guardrails.reach = [0.05, 0.25][rng.random_range(0..2)];
        world.policy.guardrails.capacity_per_minute = [1_000, 100_000][rng.random_range(0..2)];
        world.class =
            [Idempotency::Upsert, Idempotency::Keyed, Idempotency::SearchFirst, Idempotency::None]
                [rng.random_range(0..4)];
        world.can_read = rng.random_bool(0.7);
        for number in 0..PARTNERS {
            let mut state = partner(&format!("p{number}"));
            let plan = ["starter", "growth"][rng.random_range(0..2)];
            state.plan = Some(plan.to_owned());
            state.quota_per_minute = Some(rng.random_range(100..1_300));
            let quota = state.quota_per_minute.expect("a quota");
            state.quota_changes = vec![QuotaChange { at: start() - 90 * DAY, per_minute: quota }];
            state.highest_minute = Some(rng.random_range(1..quota));
            world.add(state);
        }
        let promises = Promises::new(&world);
        Self {
            rng,
            store: TestStore::new(world),
            episodes: Episodes::default(),
            plans: Vec::new(),
            holds: CONDITIONS[..2]
                .iter()
                .zip([["p0", "p1", "p2"], ["p3", "p4", "p5"]])
                .map(some)
                .collect(),
            late: Vec::new(),
            promises,
        }
    }

    async fn step(&mut self) {
        self.store.world().now += 1_000_000;
        match self.rng.random_range(0..20) {
            0 | 1 => self.usage(),
            2 | 3 => self.rules(),
            4 if self.rng.random_bool(0.3) => self.edit_policy(),
            4 | 5 => self.plan(),
            6 => self.person_says(),
            7 | 8 => self.apply().await,
            9..=12 => {
                self.plan();
                self.person_says();
                self.apply().await;
            }
            13 | 14 => self.clock(),
            15 => self.outside(),
            16 => {
                self.roll_back();
                self.person_says();
                self.apply().await;
            }
            17 => self.stop_or_go(),
            _ => self.fail_next(),
        }
        if self.rng.random_bool(0.3) {
            self.store.world().stopped = None;
        }
        if self.rng.random_bool(0.2) {
            self.settle();
        }
    }

    fn id(&mut self) -> String {
        format!("p{}", self.rng.random_range(0..PARTNERS))
    }

    fn usage(&mut self) {
        let id = self.id();
        let (highest, kind) = (self.rng.random_range(1..1_500), self.rng.random_range(0..10));
        let mut world = self.store.world();
        let Some(state) = world.partners.get_mut(&id) else { return };
        state.usage_gap = None;
        match kind {
            0 => state.highest_minute = None,
            1 => state.highest_minute = Some(0),
            2 => state.usage_gap = Some("a day is missing".to_owned()),
            3 => state.tier = Tier::AtRisk,
            4 => state.tier = Tier::Healthy,
            5 => state.unmapped = state.unmapped.is_none().then(|| "no consumer".to_owned()),
            6 if highest < 200 => {
                world.partners.remove(&id);
            }
            _ => state.highest_minute = Some(highest),
        }
    }

    fn rules(&mut self) {
        let condition = CONDITIONS[self.rng.random_range(0..CONDITIONS.len())];
        let id = self.id();
        let ids = self.holds.entry(condition).or_default();
        if !ids.remove(&id) {
            ids.insert(id);
        }
    }

    fn edit_policy(&mut self) {
        let step = [0.1, 0.5, 0.9][self.rng.random_range(0..3)];
        let days = [7, 30][self.rng.random_range(0..2)];
        let mut world = self.store.world();
        let version: u32 = world.policy.version.parse().expect("a number");
        world.policy.version = (version + 1).to_string();
        world.policy.guardrails.grant_days = days;
        let rules = &mut world.policy.rules;
        let rule = rules.iter_mut().find(|rule| rule.id == "throttled").expect("a rule");
        rule.action = RuleAction::SetQuota(QuotaTarget::Step(step));
    }

    fn plan(&mut self) {
        let mut world = self.store.world();
        world.now += 1_000_000;
        let mut input = input(&world);
        input.episodes = self.episodes.clone();
        let known: BTreeSet<String> = world.partners.keys().cloned().collect();
        let holds = |condition: &str| {
            let ids = self.holds.get(condition).into_iter().flatten();
            Ok(ids.filter(|id| known.contains(*id)).cloned().collect())
        };
        let matches = match_rules(&world.policy, &input.partners, &holds).expect("matches");
        let found: Holding<'_> =
            matches.iter().map(|(rule, ids)| (rule.id.as_str(), ids.clone())).collect();
        if input.stopped.is_none() {
            input.episodes.evaluate(input.as_of.micros(), input.created_at, &found);
            self.episodes = input.episodes.clone();
        }
        let plan = make_plan(&input, &world.policy, &matches).expect("a plan");
        self.promises.add(&plan);
        self.plans.push(plan);
    }

    /// Returns one of the newest plans.
    fn some_plan(&mut self) -> Option<Plan> {
        let back = [0, 0, 0, 1, 2, 3][self.rng.random_range(0..6)];
        self.plans.iter().rev().nth(back).cloned()
    }

    fn person_says(&mut self) {
        let Some(plan) = self.some_plan().filter(|plan| !plan.changes.is_empty()) else { return };
        for change in &plan.changes {
            let kind = match self.rng.random_range(0..4) {
                0 => continue,
                1 => EntryKind::Rejected,
                _ => EntryKind::Approved,
            };
            self.store.says(&plan, &change.key, kind);
        }
    }

    /// Applies a plan, and lets something happen at a random moment of it.
    async fn apply(&mut self) {
        let (Some(plan), Some(other)) = (self.some_plan(), self.some_plan()) else { return };
        let (event, at) = (self.rng.random_range(0..6), self.rng.random_range(0..50));
        let (id, quota) = (self.id(), self.rng.random_range(50..3_000));
        self.store.world().kill_at = (event == 0).then_some(at);
        let (store, count) = (self.store.clone(), Arc::new(AtomicUsize::new(0)));
        let hooked = self.store.with_hook(move |moment| {
            let is_it = count.fetch_add(1, Relaxed) == at;
            let (store, other, id) = (store.clone(), other.clone(), id.clone());
            async move {
                // Between asking and sending nobody can see what somebody else does.
                let is_seen = matches!(moment, Moment::Partners | Moment::Wait);
                // A request takes less time than the lease, and the other program may bake that long.
                let is_sending = matches!(moment, Moment::BeforeSend | Moment::AfterSend);
                match event {
                    1 if is_it => store.world().stopped = Some("half-way".to_owned()),
                    2 if is_it && !is_sending => drop(run(&store, &other).await),
                    3 if is_it && is_seen => {
                        let mut world = store.world();
                        let change = QuotaChange { at: world.now + 1, per_minute: quota };
                        world.gateway.insert(id.clone(), quota);
                        if let Some(state) = world.partners.get_mut(&id) {
                            state.quota_changes.push(change);
                        }
                    }
                    _ => {}
                }
            }
        });
        drop(run(&hooked, &plan).await);
        let mut world = self.store.world();
        (world.kill_at, world.is_dead) = (None, false);
    }

    fn clock(&mut self) {
        let many = self.rng.random_range(1..10);
        let unit = [MINUTE, 12 * MINUTE, HOUR, DAY, 4 * DAY][self.rng.random_range(0..5)];
        self.store.world().now += many * unit;
    }

    /// Somebody else sets a quota; the platform reports it now, or later where the gateway can say so
    /// itself.
    fn outside(&mut self) {
        let (id, quota) = (self.id(), self.rng.random_range(50..3_000));
        let mut world = self.store.world();
        if self.rng.random_bool(0.4) {
            for (id, change) in self.late.drain(..) {
                if let Some(state) = world.partners.get_mut(&id) {
                    state.quota_changes.push(change);
                }
            }
            return;
        }
        world.gateway.insert(id.clone(), quota);
        let change = QuotaChange { at: world.now, per_minute: quota };
        if world.can_read && self.rng.random_bool(0.5) {
            self.late.push((id, change));
        } else if let Some(state) = world.partners.get_mut(&id) {
            state.quota_changes.push(change);
        }
    }

    fn roll_back(&mut self) {
        let Some(plan) = self.some_plan() else { return };
        let world = self.store.world();
        let back = make_rollback(&input(&world), &world.policy, &plan.plan_id, &world.entries);
        let back = back.expect("a plan");
        self.promises.add(&back);
        self.plans.push(back);
    }

    fn stop_or_go(&mut self) {
        let mut world = self.store.world();
        world.stopped = world.stopped.is_none().then(|| "an incident".to_owned());
    }

    fn fail_next(&mut self) {
        let mut world = self.store.world();
        // A receiver that takes a change and says it did not is found out by reading it. Where nothing
        // can be read, a channel must call such an answer ambiguous.
        let can_ask = world.can_read && world.class != Idempotency::None;
        let answers = [
            Answer::Broken,
            Answer::TooMany(7_200),
            Answer::Permanent,
            Answer::TimeoutBefore,
            Answer::TimeoutAfter,
            Answer::BrokenAfter,
        ];
        let known = if can_ask { 6 } else { 5 };
        let answer = answers[self.rng.random_range(0..known)].clone();
        let number = self.rng.random_range(0..3);
        for _ in 0..number {
            world.answers.push_back(Answer::Ok);
        }
        world.answers.push_back(answer);
    }

    /// A person looks at what is unconfirmed for a day, and says what is in force.
    fn settle(&mut self) {
        let mut world = self.store.world();
        let history = History::of(&world.entries);
        for plan in &self.plans {
            for change in &plan.changes {
                let Some(found) = history.change(&change.key) else { continue };
                let newest = world.entries.iter().rfind(|entry| entry.key == change.key);
                let age = newest.map_or(0, |entry| world.now - entry.at);
                if !found.is_unconfirmed() || found.plan_id != plan.plan_id || age < DAY {
                    continue;
                }
                let quota = world.gateway.get(&change.partner_id);
                let live = quota.map(|per_minute| Setting::Quota { per_minute: *per_minute });
                let is_there = match change.to {
                    Some(Setting::Quota { .. }) => live == change.to,
                    _ => world.effects(&change.key) > 0,
                };
                let kind = if is_there { EntryKind::Acknowledged } else { EntryKind::Stopped };
                let mut entry = log_entry(plan, change, kind, world.now, "Ada");
                entry.answer = Some("settled".to_owned());
                world.append(entry);
            }
        }
    }

    /// Months in which nobody asks for anything: every grant ends.
    async fn calm(&mut self) {
        self.holds.clear();
        {
            let mut world = self.store.world();
            world.stopped = None;
            world.answers.clear();
            for state in world.partners.values_mut() {
                (state.highest_minute, state.usage_gap, state.unmapped) = (Some(1), None, None);
            }
        }
        for _ in 0..9 {
            self.store.world().now += 8 * DAY;
            self.settle();
            self.plan();
            let plan = self.plans.last().expect("a plan").clone();
            drop(run(&self.store, &plan).await);
            self.promises.check(&self.store.world());
        }
        self.promises.check_grants(&self.store.world());
    }
}

#[tokio::test]
async fn nothing_hurts_a_partner_on_a_thousand_random_walks() {
    let first = std::env::var("RAPPORT_WALK").ok().and_then(|seed| seed.parse().ok());
    let seeds = first.map_or(0..WALKS, |seed| seed..seed + 1);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for seed in seeds {
        let mut walk = Walk::new(seed);
        walk.promises.name = format!("RAPPORT_WALK={seed}");
        let steps = walk.rng.random_range(30..=60);
        for _ in 0..steps {
            walk.step().await;
            walk.promises.check(&walk.store.world());
        }
        walk.calm().await;
        let world = walk.store.world();
        let quotas = world.met.iter().filter(|met| met.had_effect && met.before != met.after);
        let kinds = quotas.map(|met| if met.after < met.before { "lowered" } else { "raised" });
        let rows = world.entries.iter().map(|entry| match entry.kind {
            EntryKind::Acknowledged => format!("{} {}", entry.kind, entry.origin.name()),
            kind => kind.to_string(),
        });
        for word in kinds.map(str::to_owned).chain(rows) {
            *seen.entry(word).or_default() += 1;
        }
    }
    // A walk on which nothing happens proves nothing.
    let often = [
        "raised",
        "lowered",
        "extended",
        "acknowledged rule",
        "acknowledged expiry",
        "acknowledged rollback",
        "ambiguous",
        "failed",
        "lapsed",
        "refused",
        "stopped",
    ];
    let is_rare = |word: &&&str| seen.get(**word).is_none_or(|count| *count < 50);
    let rare: Vec<&&str> = often.iter().filter(is_rare).collect();
    assert!(first.is_some() || rare.is_empty(), "{rare:?} of {seen:?}");
}
