//! A lake and a gateway in memory, for tests of apply: every call of apply is a moment at which a
//! test can step in, and any moment can be the last one of the program.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use domain::{ActionKind, Setting};

use super::store::{ActionStore, StoreError, StoreState};
use super::{Channels, Plan};
use crate::deliver::{Channel, Delivery, DeliveryError, Idempotency, Receipt, TargetIds};
use crate::guardrails::floor;
use crate::input::PartnerState;
use crate::log::{EntryKind, History, LogEntry};
use crate::policy::{DEFAULT_POLICY, Policy};

/// A moment of apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Read,
    BeforeAppend,
    AfterAppend,
    Partners,
    Asked,
    BeforeSend,
    AfterSend,
    Wait,
}

/// How the gateway answers the next delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Ok,
    /// It takes the change and sets this quota in place of the one asked for.
    Instead(i64),
    /// 429 with seconds; nothing is changed.
    TooMany(u64),
    /// 500; nothing is changed.
    Broken,
    /// 500 after the change was made.
    BrokenAfter,
    /// 404; nothing is changed.
    Permanent,
    /// A timeout after the change was made.
    TimeoutAfter,
    /// A timeout before anything was changed.
    TimeoutBefore,
}

/// A delivery as the gateway met it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Met {
    pub at: i64,
    pub key: String,
    pub partner_id: String,
    pub action: ActionKind,
    /// Quota in force before and after, calls a minute.
    pub before: Option<i64>,
    pub after: Option<i64>,
    /// It changed something, or became a message.
    pub had_effect: bool,
    /// The kill switch was on at the last reading before the delivery.
    pub saw_stop: bool,
    /// The lowest quota that a decrease could set then; `None`: none could, or there is no partner.
    pub floor: Option<i64>,
    /// The number of rows of the log then.
    pub rows: usize,
}

/// All that outlives a program: the lake, the gateway, the clock.
pub(crate) struct World {
    pub now: i64,
    pub entries: Vec<LogEntry>,
    pub version: i64,
    pub stopped: Option<String>,
    /// Why the data are too old to lower anything.
    pub stale: Option<String>,
    pub partners: BTreeMap<String, PartnerState>,
    pub policy: Policy,
    pub gateway: BTreeMap<String, i64>,
    pub class: Idempotency,
    pub can_read: bool,
    pub read_fails: Option<DeliveryError>,
    pub answers: VecDeque<Answer>,
    pub met: Vec<Met>,
    /// The moments of the running program.
    pub moments: Vec<Moment>,
    /// The program is killed at the moment of this number, from 0.
    pub kill_at: Option<usize>,
    pub is_dead: bool,
    pub waited: u64,
    saw_stop: bool,
}

impl World {
    pub(crate) fn new(now: i64) -> Self {
        Self {
            now,
            entries: Vec::new(),
            version: 0,
            stopped: None,
            stale: None,
            partners: BTreeMap::new(),
            policy: Policy::parse(DEFAULT_POLICY).expect("the shipped policy"),
            gateway: BTreeMap::new(),
            class: Idempotency::Upsert,
            can_read: true,
            read_fails: None,
            answers: VecDeque::new(),
            met: Vec::new(),
            moments: Vec::new(),
            kill_at: None,
            is_dead: false,
            waited: 0,
            saw_stop: false,
        }
    }

    /// Adds a partner with its quota, in the books and at the gateway.
    pub(crate) fn add(&mut self, state: PartnerState) {
        if let Some(quota) = state.quota_per_minute {
            self.gateway.insert(state.partner_id.clone(), quota);
        }
        self.partners.insert(state.partner_id.clone(), state);
    }

    /// Appends a row as another program would.
    pub(crate) fn append(&mut self, entry: LogEntry) {
        self.entries.push(entry);
        self.version += 1;
    }

    /// Returns how often deliveries with this key had an effect.
    pub(crate) fn effects(&self, key: &str) -> usize {
        self.met.iter().filter(|met| met.key == key && met.had_effect).count()
    }

    /// The partner with what our own log adds to its books.
    fn in_books(state: &PartnerState, history: &History) -> PartnerState {
        let mut state = state.clone();
        state.quota_changes.extend_from_slice(history.quotas(&state.partner_id));
        if let Some(newest) = state.quota_changes.iter().max_by_key(|change| change.at) {
            state.quota_per_minute = Some(newest.per_minute);
        }
        let route = history.route_of(&state.partner_id);
        state.support = route.map(|route| route.route.clone());
        state
    }

    /// Returns all partners with what our own log adds to their books.
    pub(crate) fn all_in_books(&self) -> Vec<PartnerState> {
        let history = History::of(&self.entries);
        self.partners.values().map(|state| Self::in_books(state, &history)).collect()
    }
}

type Hook = dyn Fn(Moment) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// The lake of a [`World`], as one program sees it.
#[derive(Clone)]
pub(crate) struct TestStore {
    world: Arc<Mutex<World>>,
    /// Is called at every moment.
    hook: Option<Arc<Hook>>,
}

impl TestStore {
    pub(crate) fn new(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)), hook: None }
    }

    /// Returns another program in the same world, with something that happens at every moment.
    pub(crate) fn with_hook<F>(&self, hook: impl Fn(Moment) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let hook: Arc<Hook> = Arc::new(move |moment| Box::pin(hook(moment)));
        Self { world: Arc::clone(&self.world), hook: Some(hook) }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no test panicked before")
    }

    /// Returns the one channel, `gateway`, to all that a plan sends.
    pub(crate) fn channels(&self) -> Channels {
        let gateway: Box<dyn Channel> = Box::new(TestGateway { store: self.clone() });
        Channels::from([("gateway".to_owned(), gateway)])
    }

    /// Is a moment of the program. A killed program does nothing more.
    async fn moment(&self, moment: Moment) -> Result<(), StoreError> {
        if let Some(hook) = &self.hook {
            hook(moment).await;
        }
        let mut world = self.world();
        let number = world.moments.len();
        world.moments.push(moment);
        world.is_dead |= world.kill_at == Some(number);
        if world.is_dead { Err(StoreError("killed".to_owned())) } else { Ok(()) }
    }

    /// Appends what a person says of a change.
    pub(crate) fn says(&self, plan: &Plan, key: &str, kind: EntryKind) {
        let mut world = self.world();
        let change = plan.changes.iter().find(|change| change.key == key).expect("a change");
        let entry = super::log_entry(plan, change, kind, world.now, "Ada");
        world.append(entry);
    }
}

#[async_trait]
impl ActionStore for TestStore {
    async fn read(&self) -> Result<StoreState, StoreError> {
        self.moment(Moment::Read).await?;
        let mut world = self.world();
        world.saw_stop = world.stopped.is_some();
        let (entries, version) = (world.entries.clone(), world.version);
        Ok(StoreState { entries, version, stopped: world.stopped.clone() })
    }

    async fn append(&self, version: i64, rows: &[LogEntry]) -> Result<bool, StoreError> {
        self.moment(Moment::BeforeAppend).await?;
        {
            let mut world = self.world();
            if world.version != version {
                return Ok(false);
            }
            world.entries.extend_from_slice(rows);
            world.version += 1;
        }
        self.moment(Moment::AfterAppend).await?;
        Ok(true)
    }

    async fn partners(&self, ids: &[String]) -> Result<BTreeMap<String, PartnerState>, StoreError> {
        self.moment(Moment::Partners).await?;
        let world = self.world();
        let history = History::of(&world.entries);
        let found = ids.iter().filter_map(|id| world.partners.get(id));
        let books = found.map(|state| World::in_books(state, &history));
        Ok(books.map(|state| (state.partner_id.clone(), state)).collect())
    }

    fn floor(&self, partner: &PartnerState) -> Result<i64, String> {
        floor(partner, &self.world().policy).map(|floor| floor.per_minute)
    }

    fn stale(&self) -> Option<String> {
        self.world().stale.clone()
    }

    async fn other_policy(&self, plan: &Plan) -> Result<Option<String>, StoreError> {
        let in_force = self.world().policy.version.clone();
        let is_other = plan.policy_version != in_force;
        Ok(is_other.then(|| format!("the policy \"{in_force}\" is in force")))
    }

    fn target(&self, change: &crate::Change) -> TargetIds {
        let partner_id = &change.partner_id;
        TargetIds { consumer: Some(partner_id.to_owned()), ..TargetIds::default() }
    }

    fn now(&self) -> i64 {
        self.world().now
    }

    async fn wait(&self, seconds: u64) {
        // A killed program sees it at its next call.
        drop(self.moment(Moment::Wait).await);
        let mut world = self.world();
        world.waited += seconds;
        world.now += i64::try_from(seconds).expect("a short time") * 1_000_000;
    }
}

/// The gateway of a world.
struct TestGateway {
    store: TestStore,
}

fn no_answer() -> DeliveryError {
    DeliveryError::Ambiguous("no answer".to_owned())
}

#[async_trait]
impl Channel for TestGateway {
    fn name(&self) -> &'static str {
        "gateway"
    }

    fn idempotency(&self) -> Idempotency {
        self.store.world().class
    }

    fn can_read(&self) -> bool {
        self.store.world().can_read
    }

    async fn read(&self, target: &TargetIds) -> Result<Option<Setting>, DeliveryError> {
        self.store.moment(Moment::Asked).await.map_err(|_| no_answer())?;
        let world = self.store.world();
        if let Some(error) = world.read_fails.clone() {
            return Err(error);
        }
        let id = target.consumer.clone().unwrap_or_default();
        let quota = world.gateway.get(&id).copied();
        Ok(quota.map(|per_minute| Setting::Quota { per_minute }))
    }

    async fn find(&self, delivery: &Delivery) -> Result<Option<Receipt>, DeliveryError> {
        self.store.moment(Moment::Asked).await.map_err(|_| no_answer())?;
        let is_there = self.store.world().effects(&delivery.key) > 0;
        Ok(is_there.then(|| Receipt { answer: "found".to_owned(), in_force: None }))
    }

    async fn send(&self, delivery: &Delivery) -> Result<Receipt, DeliveryError> {
        self.store.moment(Moment::BeforeSend).await.map_err(|_| no_answer())?;
        let answer = self.store.world().answers.pop_front().unwrap_or(Answer::Ok);
        let result = self.store.world().take(delivery, &answer);
        self.store.moment(Moment::AfterSend).await.map_err(|_| no_answer())?;
        result
    }
}

impl World {
    /// Takes a delivery as a gateway of its class does.
    fn take(&mut self, delivery: &Delivery, answer: &Answer) -> Result<Receipt, DeliveryError> {
        let id = &delivery.partner_id;
        let is_taken = matches!(
            answer,
            Answer::Ok | Answer::Instead(_) | Answer::BrokenAfter | Answer::TimeoutAfter
        );
        let is_known = self.effects(&delivery.key) > 0;
        let before = self.gateway.get(id).copied();
        let is_same = match &delivery.to {
            Some(Setting::Quota { per_minute }) => before == Some(*per_minute),
            _ => is_known,
        };
        let has_effect = is_taken
            && match self.class {
                Idempotency::Keyed => !is_known,
                Idempotency::Upsert => !is_same,
                Idempotency::SearchFirst | Idempotency::None => true,
            };
        let partner = self.partners.get(id);
        let floor = partner.and_then(|partner| floor(partner, &self.policy).ok());
        if let (true, Some(Setting::Quota { per_minute })) = (has_effect, &delivery.to) {
            let quota = if let Answer::Instead(other) = answer { *other } else { *per_minute };
            self.gateway.insert(id.clone(), quota);
        }
        self.met.push(Met {
            at: self.now,
            key: delivery.key.clone(),
            partner_id: id.clone(),
            action: delivery.action,
            before,
            after: self.gateway.get(id).copied(),
            had_effect: has_effect,
            saw_stop: self.saw_stop,
            floor: floor.map(|floor| floor.per_minute),
            rows: self.entries.len(),
        });
        let retryable = |text: &str, after_seconds| DeliveryError::Retryable {
            message: text.to_owned(),
            after_seconds,
        };
        match answer {
            Answer::Ok => Ok(Receipt { answer: "200".to_owned(), in_force: None }),
            Answer::Instead(per_minute) => {
                let in_force = Some(Setting::Quota { per_minute: *per_minute });
                Ok(Receipt { answer: "200".to_owned(), in_force })
            }
            Answer::TooMany(seconds) => Err(retryable("429", Some(*seconds))),
            Answer::Broken | Answer::BrokenAfter => Err(retryable("500", None)),
            Answer::Permanent => Err(DeliveryError::Permanent("404: no such consumer".to_owned())),
            Answer::TimeoutAfter | Answer::TimeoutBefore => Err(no_answer()),
        }
    }
}
