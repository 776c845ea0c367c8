//! Plans and rollbacks from the tables of a session, the log and the policy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actions::log::{History, LogEntry};
use actions::{
    Channels, ChannelsInForce, Contribution, EpisodeEvent, GuardrailOverride, Holding, LiveQuota,
    Matches, PartnerState, Plan, PlanError, PlanInput, Policy, RuleKind, make_notices, make_plan,
    make_rollback, match_rules, rule_id_of,
};
use arrow::array::AsArray;
use domain::{ActionKind, Setting};
use scoring::ScoreOutput;
use transform::Session;

use super::condition_error::condition_error;
use super::episode_table::{append_episodes, read_episodes};
use super::finite_rows::finite_rows;
use super::log_table::LogTable;
use super::mapping::Mapping;
use super::partner_states::{Horizon, PartnerTables, contributions};
use super::snooze_table::read_snoozes;
use super::switch::Switch;
use crate::alerts::AlertFindings;
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

/// What an evaluation found.
struct Evaluation<'a> {
    holding: &'a Holding<'a>,
    /// What alerts say, by their id and partner.
    texts: &'a BTreeMap<(&'a str, &'a str), &'a str>,
    /// Tells by its id whether a rule was looked at.
    is_evaluated: &'a (dyn Fn(&str) -> bool + Sync),
}

impl<'a> PlanMaker<'a> {
    /// Reads everything. The session sees the scores of `scored`.
    pub(crate) async fn new(
        project: &'a Project,
        session: &'a Arc<Session>,
        scored: &ScoreOutput,
    ) -> anyhow::Result<Self> {
        let (policy_name, policy) = policy(project)?;
        let partner_rows = partners_sql(session).await?;
        let tables = PartnerTables::read(session, &partner_rows, Horizon::Newest).await?;
        let mapping = Mapping::read(project.config.actions_mapping().as_deref())?;
        let (entries, _) = LogTable::new(project.lake.clone()).read().await?;
        let mut history = History::of(&entries);
        history.end_grants_changed_outside(&tables.reported);
        let contributions = contributions(scored);
        let states = tables.states(&history, &mapping, &contributions)?;
        Ok(Self {
            project,
            session,
            partner_rows: tables.rows_by_books(&partner_rows, &states),
            policy,
            policy_name,
            tables,
            contributions,
            has_scores: !scored.partners.is_empty(),
            mapping,
            entries,
            history,
        })
    }

    /// Makes the plan that the policy asks for.
    pub(crate) async fn plan(&self, options: &PlanOptions<'_>) -> anyhow::Result<Plan> {
        let mut partners = self.states()?;
        let matches = self.matches(&partners).await?;
        if let Some(channels) = options.refresh {
            let quota_rules = matches.iter().filter(|(rule, _)| rule.kind == RuleKind::Quota);
            let mut asked: BTreeSet<&str> =
                quota_rules.flat_map(|(_, ids)| ids.iter().map(String::as_str)).collect();
            let over = self.history.grants().filter(|(_, g)| g.expires_at <= self.project.now);
            asked.extend(over.map(|(id, _)| id));
            self.read_live_quotas(&mut partners, &asked, channels, &options.channels).await;
        }
        let holding: Holding<'_> =
            matches.iter().map(|(rule, ids)| (rule.id.as_str(), ids.clone())).collect();
        let mut input = self.input(partners, options).await?;
        let is_blocked = !actions::blocking_reasons(&input, &self.policy).is_empty();
        // A plan from stale inputs knows nothing of who meets a condition now.
        if !is_blocked {
            let is_rule = |id: &str| !self.is_alert(id);
            let evaluation =
                Evaluation { holding: &holding, texts: &BTreeMap::new(), is_evaluated: &is_rule };
            input.episodes = self.evaluate_episodes(&evaluation, options.keeps_episodes).await?;
        }
        make_plan(&input, &self.policy, &matches).map_err(|error| self.named_error(error))
    }

    /// Makes a plan of the notices that are due now: those of the rules, and those of alerts.
    pub(crate) async fn notices(
        &self,
        findings: &AlertFindings<'_>,
        options: &PlanOptions<'_>,
    ) -> anyhow::Result<Plan> {
        let mut input = self.input(self.states()?, options).await?;
        // Stale inputs know nothing of partners; that they are stale is what an alert tells.
        let is_blocked = !actions::blocking_reasons(&input, &self.policy).is_empty();
        let mut matches = match is_blocked {
            true => Matches::new(),
            false => self.matches(&input.partners).await?,
        };
        matches.retain(|(rule, _)| rule.kind == RuleKind::Notice);
        let ids: Vec<String> = findings.found.iter().map(actions::FoundAlert::id).collect();
        let mut holding: Holding<'_> =
            matches.iter().map(|(rule, ids)| (rule.id.as_str(), ids.clone())).collect();
        let mut texts = BTreeMap::new();
        for (id, alert) in ids.iter().zip(&findings.found) {
            holding.entry(id.as_str()).or_default().insert(alert.partner_id.clone());
            texts.insert((id.as_str(), alert.partner_id.as_str()), alert.text.as_str());
        }
        let is_evaluated = |id: &str| {
            let rule_id = rule_id_of(id);
            let is_found = matches.iter().any(|(rule, _)| rule.id == rule_id);
            let is_left_out = findings.left_out.contains(rule_id);
            let is_gone = self.policy.rule_name(id).is_none();
            is_found || is_gone || self.is_alert(id) && !is_left_out
        };
        let evaluation =
            Evaluation { holding: &holding, texts: &texts, is_evaluated: &is_evaluated };
        input.episodes = self.evaluate_episodes(&evaluation, options.keeps_episodes).await?;
        make_notices(&input, &self.policy, &matches, &findings.found)
            .map_err(|error| self.named_error(error))
    }

    fn is_alert(&self, id: &str) -> bool {
        self.policy.alerts.iter().any(|alert| alert.id == rule_id_of(id))
    }

    /// Evaluates the conditions of all rules.
    async fn matches(&self, partners: &[PartnerState]) -> anyhow::Result<Matches<'_>> {
        let mut found: BTreeMap<&str, Result<BTreeSet<String>, String>> = BTreeMap::new();
        for rule in &self.policy.rules {
            let met = self.matching(&rule.condition).await;
            found.insert(&rule.condition, met.map_err(|e| condition_error(&e, ROW)));
        }
        let evaluate = |condition: &str| {
            found.get(condition).cloned().unwrap_or_else(|| Err("it was not evaluated".to_owned()))
        };
        match_rules(&self.policy, partners, &evaluate).map_err(|error| self.named_error(error))
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

    /// Returns where the policy is, for messages.
    pub(crate) fn policy_name(&self) -> &str {
        &self.policy_name
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    fn states(&self) -> anyhow::Result<Vec<PartnerState>> {
        self.tables.states(&self.history, &self.mapping, &self.contributions)
    }

    /// Returns the tables, the policy and the mapping.
    pub(crate) fn into_parts(self) -> (PartnerTables, Policy, Mapping) {
        (self.tables, self.policy, self.mapping)
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
            snoozes: read_snoozes(&self.project.lake).await?,
        })
    }

    /// Adds an evaluation to the episodes, and writes it where that is asked for.
    async fn evaluate_episodes(
        &self,
        evaluation: &Evaluation<'_>,
        is_kept: bool,
    ) -> anyhow::Result<actions::Episodes> {
        let (as_of, now) = (self.session.as_of().micros(), self.project.now);
        for _ in 0..ATTEMPTS {
            let (mut episodes, version) = read_episodes(&self.project.lake).await?;
            let mut rows =
                episodes.evaluate_some(as_of, now, evaluation.holding, evaluation.is_evaluated);
            for row in rows.iter_mut().filter(|row| row.event == EpisodeEvent::Started) {
                let text = evaluation.texts.get(&(row.rule_id.as_str(), row.subject.as_str()));
                row.about = text.map(|text| (*text).to_owned());
            }
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
        let is_asked = |state: &&mut PartnerState| {
            state.unmapped.is_none() && asked.contains(state.partner_id.as_str())
        };
        for state in partners.iter_mut().filter(is_asked) {
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
    let condition = session.finite_condition(condition)?;
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
pub(crate) async fn partners_sql(session: &Arc<Session>) -> anyhow::Result<String> {
    let outcome = MetricPipeline::of_all_partners(session).await.compute("throttling").await;
    OutcomePrinter::default().print_outcome(&outcome, "the plan is made without it");
    let partners = outcome.rows.map_or("plan_partners_without_throttling", |_| "plan_partners");
    let rows = format!(
        "(SELECT h.*, p.* EXCEPT (partner_id), o.* EXCEPT (partner_id) FROM ({}) h
         LEFT JOIN {partners} p ON p.partner_id = h.partner_id
         LEFT JOIN plan_onboarding o ON o.partner_id = h.partner_id)",
        scores::scores_and_signals()
    );
    finite_rows(session, &rows).await
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
