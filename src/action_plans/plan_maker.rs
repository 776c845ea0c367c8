//! Plans and rollbacks from the tables of a session, the log and the policy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actions::log::{History, LogEntry};
use actions::{
    Channels, ChannelsInForce, Contribution, GuardrailOverride, Holding, LiveQuota, PartnerState,
    Plan, PlanError, PlanInput, Policy, RuleKind, make_plan, make_rollback, match_rules,
};
use arrow::array::AsArray;
use domain::{ActionKind, Setting};
use scoring::ScoreOutput;
use transform::{Session, TransformError};

use super::episode_table::{append_episodes, read_episodes};
use super::log_table::LogTable;
use super::mapping::Mapping;
use super::partner_states::{PartnerTables, contributions};
use super::switch::Switch;
use crate::errors::usage_error;
use crate::metric_pipeline::{MetricPipeline, OutcomePrinter};
use crate::project::Project;
use crate::scores;

/// The alias of a partner's row where a condition is evaluated.
const ROW: &str = "partner_row";

/// How often episodes are tried to be written, which fails where another program writes them.
const ATTEMPTS: usize = 20;

/// What plans are made from.
pub(crate) struct PlanMaker<'a> {
    project: &'a Project,
    session: &'a Arc<Session>,
    partner_rows: String,
    policy: Policy,
    policy_name: String,
    tables: PartnerTables,
    contributions: BTreeMap<String, Vec<Contribution>>,
    has_scores: bool,
    mapping: Mapping,
    /// The log, and what it adds up to, without the grants that somebody else ended.
    entries: Vec<LogEntry>,
    history: History,
}

/// How a plan is made.
#[derive(Default)]
pub(crate) struct PlanOptions<'a> {
    /// Asks the gateway for the quotas of the partners that rules speak of.
    pub(crate) refresh: Option<&'a Channels>,
    pub(crate) channels: ChannelsInForce,
    pub(crate) overrides: Vec<GuardrailOverride>,
    /// Writes which rules hold, so that episodes begin and end.
    pub(crate) keeps_episodes: bool,
}

impl<'a> PlanMaker<'a> {
    /// Reads everything. The session sees the scores of `scored`.
    pub(crate) async fn new(
        project: &'a Project,
        session: &'a Arc<Session>,
        scored: &ScoreOutput,
    ) -> anyhow::Result<Self> {
        let (policy_name, policy) = policy(project)?;
        let partner_rows = partners_sql(session).await;
        let tables = PartnerTables::read(session, &partner_rows).await?;
        let mapping = Mapping::read(project.config.actions_mapping().as_deref())?;
        let (entries, _) = LogTable::new(project.lake.clone()).read().await?;
        let mut history = History::of(&entries);
        history.end_grants_changed_outside(&tables.events);
        Ok(Self {
            project,
            session,
            partner_rows,
            policy,
            policy_name,
            tables,
            contributions: contributions(scored),
            has_scores: !scored.partners.is_empty(),
            mapping,
            entries,
            history,
        })
    }

    /// Makes the plan that the policy asks for.
    pub(crate) async fn plan(&self, options: &PlanOptions<'_>) -> anyhow::Result<Plan> {
        let mut partners = self.states()?;
        let mut found: BTreeMap<&str, Result<BTreeSet<String>, String>> = BTreeMap::new();
        for rule in &self.policy.rules {
            let met = self.matching(&rule.condition).await;
            found.insert(&rule.condition, met.map_err(|e| condition_error(&e)));
        }
        let evaluate = |condition: &str| {
            found.get(condition).cloned().unwrap_or_else(|| Err("it was not evaluated".to_owned()))
        };
        let matches = match_rules(&self.policy, &partners, &evaluate)
            .map_err(|error| self.named_error(error))?;
        if let Some(channels) = options.refresh {
            let quota_rules = matches.iter().filter(|(rule, _)| rule.kind == RuleKind::Quota);
            let asked: BTreeSet<&str> =
                quota_rules.flat_map(|(_, ids)| ids.iter().map(String::as_str)).collect();
            self.read_live_quotas(&mut partners, &asked, channels, &options.channels).await;
        }
        let holding: Holding<'_> =
            matches.iter().map(|(rule, ids)| (rule.id.as_str(), ids.clone())).collect();
        let mut input = self.input(partners, options).await?;
        let is_blocked = !actions::blocking_reasons(&input, &self.policy).is_empty();
        // A plan from stale inputs knows nothing of who meets a condition now.
        if !is_blocked {
            input.episodes = self.evaluate_episodes(&holding, options.keeps_episodes).await?;
        }
        make_plan(&input, &self.policy, &matches).map_err(|error| self.named_error(error))
    }

    /// Makes the plan that takes another one back.
    pub(crate) async fn rollback(
        &self,
        plan_id: &str,
        options: &PlanOptions<'_>,
    ) -> anyhow::Result<Plan> {
        let mut partners = self.states()?;
        if let Some(channels) = options.refresh {
            let ours = self.entries.iter().filter(|entry| entry.plan_id == plan_id);
            let asked: BTreeSet<&str> = ours.map(|entry| entry.partner_id.as_str()).collect();
            self.read_live_quotas(&mut partners, &asked, channels, &options.channels).await;
        }
        let input = self.input(partners, options).await?;
        let plan = make_rollback(&input, &self.policy, plan_id, &self.entries);
        plan.map_err(|error| self.named_error(error))
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Returns the log as it was read.
    pub(crate) fn entries(&self) -> &[LogEntry] {
        &self.entries
    }

    /// Returns the partners as they are, by a log that may lack some rows.
    pub(crate) fn states_by(&self, history: &History) -> anyhow::Result<Vec<PartnerState>> {
        self.tables.states(history, &self.mapping, &self.contributions)
    }

    fn states(&self) -> anyhow::Result<Vec<PartnerState>> {
        self.states_by(&self.history)
    }

    async fn input(
        &self,
        partners: Vec<PartnerState>,
        options: &PlanOptions<'_>,
    ) -> anyhow::Result<PlanInput> {
        let as_of = self.session.as_of();
        Ok(PlanInput {
            as_of,
            scored_as_of: self.has_scores.then_some(as_of),
            created_at: self.project.now,
            watermark: self.project.lake.watermark().await?,
            stopped: Switch::stopped(&self.project.lake).await?,
            versions: self.session.versions().clone(),
            partners,
            history: self.history.clone(),
            episodes: read_episodes(&self.project.lake).await?.0,
            overrides: options.overrides.clone(),
            channels: options.channels.clone(),
        })
    }

    /// Adds an evaluation to the episodes, and writes it where that is asked for.
    async fn evaluate_episodes(
        &self,
        holding: &Holding<'_>,
        is_kept: bool,
    ) -> anyhow::Result<actions::Episodes> {
        let (as_of, now) = (self.session.as_of().micros(), self.project.now);
        for _ in 0..ATTEMPTS {
            let (mut episodes, version) = read_episodes(&self.project.lake).await?;
            let rows = episodes.evaluate(as_of, now, holding);
            if rows.is_empty() || !is_kept || self.project.is_read_only() {
                return Ok(episodes);
            }
            if append_episodes(&self.project.lake, version, &rows).await? {
                return Ok(episodes);
            }
        }
        anyhow::bail!("other programs write the episodes of actions all the time; try again")
    }

    /// Asks the channel of quotas for the quota of some partners.
    async fn read_live_quotas(
        &self,
        partners: &mut [PartnerState],
        asked: &BTreeSet<&str>,
        channels: &Channels,
        in_force: &ChannelsInForce,
    ) {
        let name = in_force.by_action.get(&ActionKind::SetQuota).map(|(name, _)| name);
        let channel = name.and_then(|name| channels.get(name)).filter(|c| c.can_read());
        let Some(channel) = channel else { return };
        for state in partners.iter_mut().filter(|state| asked.contains(state.partner_id.as_str())) {
            let target = self.mapping.target(&state.partner_id);
            state.live_quota = match channel.read(&target).await {
                Ok(Some(Setting::Quota { per_minute })) => LiveQuota::Is(Some(per_minute)),
                Ok(_) => LiveQuota::Is(None),
                Err(error) => LiveQuota::Unknown(error.to_string()),
            };
        }
    }

    /// Returns the partners that meet a condition.
    async fn matching(&self, condition: &str) -> anyhow::Result<BTreeSet<String>> {
        matching_partners(self.session, &self.partner_rows, condition).await
    }

    fn named_error(&self, error: PlanError) -> anyhow::Error {
        let name = &self.policy_name;
        match error {
            PlanError::Condition { line, rule, condition, message } => usage_error(format!(
                "{name}, line {line}: the rule \"{rule}\" can't be evaluated: {message}\n  when = {condition:?}"
            )),
            other => other.into(),
        }
    }
}

/// Returns the partners that meet a condition.
pub(crate) async fn matching_partners(
    session: &Session,
    partner_rows: &str,
    condition: &str,
) -> anyhow::Result<BTreeSet<String>> {
    let sql = format!("SELECT partner_id FROM ({partner_rows}) AS {ROW} WHERE {condition}");
    let mut ids = BTreeSet::new();
    for batch in session.sql(&sql).await?.batches {
        let text = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8)?;
        ids.extend(text.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(ids)
}

/// Returns the SQL of one row for each partner with all columns that conditions may name. Those of
/// `throttling` are NULL while that metric is held back.
pub(crate) async fn partners_sql(session: &Arc<Session>) -> String {
    let outcome = MetricPipeline::of_all_partners(session).await.compute("throttling").await;
    OutcomePrinter::default().print_outcome(&outcome, "the plan is made without it");
    let partners = outcome.rows.map_or("plan_partners_without_throttling", |_| "plan_partners");
    format!(
        "SELECT h.*, p.* EXCEPT (partner_id), o.* EXCEPT (partner_id) FROM ({}) h
         LEFT JOIN {partners} p ON p.partner_id = h.partner_id
         LEFT JOIN plan_onboarding o ON o.partner_id = h.partner_id",
        scores::scores_and_signals()
    )
}

/// Returns the policy and the name of its file.
pub(crate) fn policy(project: &Project) -> anyhow::Result<(String, Policy)> {
    let given = project.config.actions_policy()?;
    let (name, text) = match &given {
        Some((path, text)) => (path.display().to_string(), text.as_str()),
        None => ("the built-in policy".to_owned(), actions::DEFAULT_POLICY),
    };
    let policy = Policy::parse(text).map_err(|e| usage_error(format!("{name}:{e}")))?;
    Ok((name, policy))
}

/// Returns what is wrong with a condition, from the error of the query that evaluates it.
fn condition_error(error: &anyhow::Error) -> String {
    match error.downcast_ref::<TransformError>() {
        Some(TransformError::Sql { message, .. }) => condition_message(message),
        Some(TransformError::UnknownTable { name, hint, .. }) => {
            condition_message(&format!("there is no table \"{name}\"; {hint}"))
        }
        _ => condition_message(&error.to_string()),
    }
}

/// Removes from a message of DataFusion what belongs to the query around the condition: the position
/// in it, its table, and the list of its hundred columns if the message suggests one column.
fn condition_message(text: &str) -> String {
    let text = text.strip_prefix("Schema error: ").unwrap_or(text);
    let text = text.split(" at Line: ").next().unwrap_or(text);
    let text = match text.split_once("\nValid fields are") {
        Some((meant, _)) if meant.contains("Did you mean") => meant,
        _ => text,
    };
    text.replace(&format!("{ROW}."), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_condition() {
        let check = |engine: &str, ours: &str| assert_eq!(condition_message(engine), ours);
        check(
            "Schema error: No field named tear. Did you mean 'partner_row.tier'?\nValid fields are partner_row.as_of.",
            "No field named tear. Did you mean 'tier'?",
        );
        check(
            "Expected: end of statement, found: tier at Line: 7, Column: 68",
            "Expected: end of statement, found: tier",
        );
        check("no exchange rate for EUR: add one", "no exchange rate for EUR: add one");
    }
}
