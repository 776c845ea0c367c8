//! The lake as `actions::apply` sees it: the log, the kill switch, and the partners as they are now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use actions::deliver::TargetIds;
use actions::log::History;
use actions::{ActionStore, Change, PartnerState, Plan, Policy, StoreError, StoreState};
use async_trait::async_trait;
use domain::{AsOf, Setting};
use lake::Lake;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::channels::email_of;
use super::log_table::LogTable;
use super::mapping::Mapping;
use super::partner_states::{Horizon, PartnerTables};
use super::plan_maker::{PlanMaker, partners_sql, policy};
use super::switch::Switch;
use crate::config::Recipient;
use crate::project::Project;

/// How old the tables may be that a change is judged by. Reading them takes a second or more, so that
/// they are not read for each of many changes.
const MAX_AGE: Duration = Duration::from_secs(5);

/// The lake, with the partners as they are when a change is about to be sent.
pub(crate) struct LakeStore<'a> {
    project: &'a Project,
    as_of: AsOf,
    plan_id: String,
    lake: Lake,
    log: LogTable,
    tables: Mutex<TablesRead>,
    /// The lake's watermark when the tables were read, µs.
    watermark: AtomicI64,
    policy: Policy,
    mapping: Mapping,
    /// The manager of each partner.
    managers: BTreeMap<String, String>,
    recipients: BTreeMap<String, Recipient>,
}

/// The tables of partners, and when they were read.
struct TablesRead {
    tables: Arc<PartnerTables>,
    at: Instant,
}

impl<'a> LakeStore<'a> {
    /// Takes the tables that a maker has just read. Rows of the plan that is applied are no part of
    /// the state of partners, so that a plan that was interrupted does not meet its own changes.
    pub(crate) async fn new(
        project: &'a Project,
        as_of: AsOf,
        maker: PlanMaker<'_>,
        plan_id: &str,
    ) -> anyhow::Result<Self> {
        let (tables, policy, mapping) = maker.into_parts();
        let watermark = project.lake.watermark().await?;
        Ok(Self {
            project,
            as_of,
            plan_id: plan_id.to_owned(),
            lake: project.lake.clone(),
            log: LogTable::new(project.lake.clone()),
            watermark: AtomicI64::new(watermark.unwrap_or(i64::MIN)),
            managers: tables.managers(),
            tables: Mutex::new(TablesRead { tables: Arc::new(tables), at: Instant::now() }),
            policy,
            mapping,
            recipients: project.config.recipients().clone(),
        })
    }

    /// Returns the tables, read again where they are old: events may have arrived since.
    async fn tables(&self) -> anyhow::Result<Arc<PartnerTables>> {
        let mut read = self.tables.lock().await;
        if read.at.elapsed() > MAX_AGE {
            // The compiler can't prove that this future may move between threads, and here it stays.
            let reading = || Handle::current().block_on(self.read_tables());
            *read = tokio::task::block_in_place(reading)?;
        }
        Ok(Arc::clone(&read.tables))
    }

    async fn read_tables(&self) -> anyhow::Result<TablesRead> {
        let session = Arc::new(self.project.session(self.as_of).await?);
        let rows = partners_sql(&session).await?;
        let tables = PartnerTables::read(&session, &rows, Horizon::Newest).await?;
        let watermark = self.lake.watermark().await?;
        self.watermark.store(watermark.unwrap_or(i64::MIN), Ordering::Relaxed);
        Ok(TablesRead { tables: Arc::new(tables), at: Instant::now() })
    }

    async fn partners_now(&self, ids: &[String]) -> anyhow::Result<BTreeMap<String, PartnerState>> {
        let tables = self.tables().await?;
        let (entries, _) = self.log.read().await?;
        let history = History::of(entries.iter().filter(|entry| entry.plan_id != self.plan_id));
        let mut found = BTreeMap::new();
        for id in ids {
            if let Some(state) = tables.state_of(id, &history, &self.mapping)? {
                found.insert(id.clone(), state);
            }
        }
        Ok(found)
    }
}

fn failed(error: impl Into<anyhow::Error>) -> StoreError {
    StoreError(format!("{:#}", error.into()))
}

#[async_trait]
impl ActionStore for LakeStore<'_> {
    async fn read(&self) -> Result<StoreState, StoreError> {
        let stopped = Switch::stopped(&self.lake).await.map_err(failed)?;
        let (entries, version) = self.log.read().await.map_err(failed)?;
        Ok(StoreState { entries, version, stopped })
    }

    async fn append(
        &self,
        version: i64,
        rows: &[actions::log::LogEntry],
    ) -> Result<bool, StoreError> {
        self.log.append(version, rows).await.map_err(failed)
    }

    async fn partners(&self, ids: &[String]) -> Result<BTreeMap<String, PartnerState>, StoreError> {
        self.partners_now(ids).await.map_err(failed)
    }

    fn floor(&self, partner: &PartnerState) -> Result<i64, String> {
        actions::lowest_quota(partner, &self.policy)
    }

    fn stale(&self) -> Option<String> {
        let watermark = self.watermark.load(Ordering::Relaxed);
        actions::stale_data(self.now(), (watermark > i64::MIN).then_some(watermark), &self.policy)
    }

    async fn other_policy(&self, plan: &Plan) -> Result<Option<String>, StoreError> {
        let (name, policy) = policy(self.project).map_err(failed)?;
        let (made_by, in_force) = (&plan.policy_version, &policy.version);
        if made_by != in_force {
            return Ok(Some(format!(
                "the plan was made by version \"{made_by}\" of {name}, and \"{in_force}\" is in \
                 force. Make a new plan"
            )));
        }
        // Plans of an older program have no digest.
        let is_edited = !plan.policy_digest.is_empty() && plan.policy_digest != policy.digest;
        Ok(is_edited.then(|| {
            format!(
                "{name} was edited since the plan was made and kept its version \"{in_force}\". Raise \
                 the version and make a new plan"
            )
        }))
    }

    fn target(&self, change: &Change) -> TargetIds {
        let id = &change.partner_id;
        let mut target = self.mapping.target(id);
        let notice = change.to.as_ref().or(change.from.as_ref());
        if let Some(Setting::Notify { who, .. }) = notice {
            let manager = self.managers.get(id).map(String::as_str);
            let email = email_of(&self.recipients, who, manager).map(str::to_owned);
            // What is said among our own people must not reach the partner.
            target.recipient = manager.filter(|_| who == "manager").map(str::to_owned);
            target.email = if who == "partner" { email.or(target.email) } else { email };
        }
        target
    }

    fn now(&self) -> i64 {
        chrono::Utc::now().timestamp_micros()
    }

    async fn wait(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}
