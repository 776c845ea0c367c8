//! The lake as `actions::apply` sees it: the log, the kill switch, and the partners as they are now.

use std::collections::BTreeMap;
use std::time::Duration;

use actions::deliver::TargetIds;
use actions::log::History;
use actions::{ActionStore, Change, PartnerState, Policy, StoreError, StoreState};
use async_trait::async_trait;
use domain::Setting;
use lake::Lake;

use super::channels::email_of;
use super::log_table::LogTable;
use super::mapping::Mapping;
use super::plan_maker::PlanMaker;
use super::switch::Switch;
use crate::config::Recipient;
use crate::project::Project;

/// The lake, with the partners as they were when a plan began to be applied.
pub(crate) struct LakeStore {
    lake: Lake,
    log: LogTable,
    /// The partners without what the plan itself has changed.
    partners: BTreeMap<String, PartnerState>,
    policy: Policy,
    mapping: Mapping,
    recipients: BTreeMap<String, Recipient>,
}

impl LakeStore {
    /// Reads the partners. Rows of the plan that is applied are no part of their state, so that a
    /// plan that was interrupted does not meet its own changes.
    pub(crate) fn new(
        project: &Project,
        maker: &PlanMaker<'_>,
        plan_id: &str,
    ) -> anyhow::Result<Self> {
        let lake = project.lake.clone();
        let others = maker.entries().iter().filter(|entry| entry.plan_id != plan_id);
        let states = maker.states_by(&History::of(others))?;
        Ok(Self {
            log: LogTable::new(lake.clone()),
            lake,
            partners: states.into_iter().map(|s| (s.partner_id.clone(), s)).collect(),
            policy: maker.policy().clone(),
            mapping: maker.mapping().clone(),
            recipients: project.config.recipients().clone(),
        })
    }
}

fn failed(error: impl Into<anyhow::Error>) -> StoreError {
    StoreError(format!("{:#}", error.into()))
}

#[async_trait]
impl ActionStore for LakeStore {
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
        let found = ids.iter().filter_map(|id| self.partners.get_key_value(id));
        Ok(found.map(|(id, state)| (id.clone(), state.clone())).collect())
    }

    fn floor(&self, partner: &PartnerState) -> Result<i64, String> {
        actions::lowest_quota(partner, &self.policy)
    }

    fn target(&self, change: &Change) -> TargetIds {
        let id = &change.partner_id;
        let mut target = self.mapping.target(id);
        let notice = change.to.as_ref().or(change.from.as_ref());
        if let Some(Setting::Notify { who, .. }) = notice {
            let manager = self.partners.get(id).and_then(|partner| partner.manager.as_deref());
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
