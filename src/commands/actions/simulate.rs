//! `rapport actions simulate`: replays past days under a policy. Nothing is written or sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actions::log::{EntryKind, History, LogEntry};
use actions::{
    ChannelsInForce, Episodes, Holding, Plan, PlanInput, Policy, Snoozes, log_entry, make_plan,
    match_rules,
};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use domain::{AsOf, Day, MICROS_PER_DAY, Setting, Tier, counted};

use crate::action_plans::{
    Horizon, Mapping, PartnerTables, matching_partners, partners_sql, policy,
};
use crate::args::SimulateArgs;
use crate::commands::score_records::print_list;
use crate::errors::usage_error;
use crate::output::print_note;
use crate::progress::Spinner;
use crate::project::Project;

/// The longest stretch of days.
const MAX_DAYS: i32 = 730;
const MICROS_PER_HOUR: i64 = 3_600_000_000;
/// Who stands in the log that the simulation keeps for itself.
const BY: &str = "simulation";

/// What one rule would have done.
#[derive(Default)]
struct RuleOutcome {
    /// Changes that need nobody, and partners that they touch.
    changes: i64,
    partners: BTreeSet<String>,
    /// Changes that would have waited for a person, and those that guardrails stopped.
    for_a_person: i64,
    stopped: i64,
    /// Calls a minute above the quota before, times the days for which they were granted.
    quota_days: i64,
    /// The tier of each partner when it was first touched.
    tiers: BTreeMap<String, Tier>,
}

/// Replays the days and prints a row for each rule.
pub(super) async fn run(project: &Project, options: &SimulateArgs) -> anyhow::Result<()> {
    let to = match options.to {
        Some(day) => day,
        None => project.as_of(None).await?.day(),
    };
    let from = options.from.unwrap_or_else(|| to.plus(1 - options.days as i32));
    refuse_days(from, to, options.to.is_some()).map_err(usage_error)?;
    let policy = match &options.policy {
        None => policy(project)?.1,
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| {
                usage_error(format!("the policy {} can't be read: {e}", path.display()))
            })?;
            Policy::parse(&text).map_err(|e| usage_error(format!("{}:{e}", path.display())))?
        }
    };
    project.refresh().await?;
    let mut simulation = Simulation::new(project, policy);
    let spinner = Spinner::start("simulate", project.quiet);
    for day in (from.0..=to.0).map(Day) {
        spinner.set_message(day.to_string());
        simulation.day(day).await?;
    }
    drop(spinner);
    simulation.print(from, to, options)
}

/// Refuses days of which the last one lies before the first, and too many of them.
fn refuse_days(from: Day, to: Day, is_to_given: bool) -> Result<(), String> {
    if from > to {
        let last = match is_to_given {
            true => format!("--to {to}"),
            false => format!("{to}, the last day the data is complete to"),
        };
        return Err(format!("--from {from} lies after {last}: give the first day first"));
    }
    let days = to.0 - from.0 + 1;
    if days > MAX_DAYS {
        return Err(format!(
            "{from} to {to} are {}, and {MAX_DAYS} at most are replayed",
            counted(days, "day")
        ));
    }
    Ok(())
}

struct Simulation<'a> {
    project: &'a Project,
    policy: Policy,
    entries: Vec<LogEntry>,
    episodes: Episodes,
    outcomes: BTreeMap<String, RuleOutcome>,
    /// The tiers of the last day.
    tiers: BTreeMap<String, Tier>,
    days: usize,
    without_scores: usize,
}

impl<'a> Simulation<'a> {
    fn new(project: &'a Project, policy: Policy) -> Self {
        Self {
            project,
            policy,
            entries: Vec::new(),
            episodes: Episodes::default(),
            outcomes: BTreeMap::new(),
            tiers: BTreeMap::new(),
            days: 0,
            without_scores: 0,
        }
    }

    /// Plans one day from the scores that were stored of it, and takes what needs nobody for done.
    async fn day(&mut self, day: Day) -> anyhow::Result<()> {
        let as_of = AsOf::of_day(day);
        let engine = self.project.reading_engine();
        let session = Arc::new(engine.open_session(as_of, None).await?);
        let partner_rows = partners_sql(&session).await?;
        let tables = PartnerTables::read(&session, &partner_rows, Horizon::AsOf).await?;
        let mut history = History::of(&self.entries);
        history.end_grants_changed_outside(&tables.reported);
        let partners = tables.states(&history, &Mapping::default(), &BTreeMap::new())?;
        let partner_rows = tables.rows_by_books(&partner_rows, &partners);
        self.days += 1;
        if partners.is_empty() {
            self.without_scores += 1;
            return Ok(());
        }
        self.tiers = partners.iter().map(|state| (state.partner_id.clone(), state.tier)).collect();
        let mut found = BTreeMap::new();
        for rule in &self.policy.rules {
            let met = matching_partners(&session, &partner_rows, &rule.condition).await;
            found.insert(rule.condition.clone(), met.map_err(|error| error.to_string()));
        }
        let evaluate = |condition: &str| {
            found.get(condition).cloned().unwrap_or_else(|| Err("it was not evaluated".to_owned()))
        };
        let matches = match_rules(&self.policy, &partners, &evaluate)?;
        let holding: Holding<'_> =
            matches.iter().map(|(rule, ids)| (rule.id.as_str(), ids.clone())).collect();
        let now = as_of.micros() + 8 * MICROS_PER_HOUR;
        self.episodes.evaluate(as_of.micros(), now, &holding);
        let input = PlanInput {
            as_of,
            scored_as_of: Some(as_of),
            created_at: now,
            watermark: Some(as_of.micros()),
            stopped: None,
            versions: BTreeMap::new(),
            partners,
            history,
            episodes: self.episodes.clone(),
            overrides: Vec::new(),
            channels: ChannelsInForce::default(),
            snoozes: Snoozes::default(),
        };
        let plan = make_plan(&input, &self.policy, &matches)?;
        self.take(&plan, now);
        Ok(())
    }

    fn take(&mut self, plan: &Plan, now: i64) {
        for stopped in &plan.stopped {
            self.outcomes.entry(stopped.rationale.rule.clone()).or_default().stopped += 1;
        }
        for change in &plan.changes {
            if change.resolves() {
                self.entries.push(log_entry(plan, change, EntryKind::Acknowledged, now, BY));
                continue;
            }
            let outcome = self.outcomes.entry(change.rationale.rule.clone()).or_default();
            if change.needs_approval {
                outcome.for_a_person += 1;
                continue;
            }
            outcome.changes += 1;
            outcome.partners.insert(change.partner_id.clone());
            if let Some(tier) = change.rationale.tier {
                outcome.tiers.entry(change.partner_id.clone()).or_insert(tier);
            }
            if let (
                Some(Setting::Quota { per_minute: from }),
                Some(Setting::Quota { per_minute: to }),
                Some(expires_at),
            ) = (&change.from, &change.to, change.expires_at)
            {
                outcome.quota_days += (to - from) * ((expires_at - now) / MICROS_PER_DAY);
            }
            self.entries.push(log_entry(plan, change, EntryKind::Acknowledged, now, BY));
        }
    }

    fn print(&self, from: Day, to: Day, options: &SimulateArgs) -> anyhow::Result<()> {
        let rules: Vec<(&String, &RuleOutcome)> = self.outcomes.iter().collect();
        let now = |outcome: &RuleOutcome, is_counted: fn(Tier, Option<Tier>) -> bool| {
            let tiers = outcome.tiers.iter();
            let later = tiers.filter(|(id, then)| is_counted(**then, self.tiers.get(*id).copied()));
            later.count() as i64
        };
        let numbers = |of: &dyn Fn(&RuleOutcome) -> i64| -> ArrayRef {
            Arc::new(rules.iter().map(|(_, outcome)| Some(of(outcome))).collect::<Int64Array>())
        };
        let names: StringArray = rules.iter().map(|(name, _)| Some(name.as_str())).collect();
        let rows = RecordBatch::try_from_iter([
            ("rule", Arc::new(names) as ArrayRef),
            ("changes", numbers(&|o| o.changes)),
            ("partners", numbers(&|o| o.partners.len() as i64)),
            ("for_a_person", numbers(&|o| o.for_a_person)),
            ("stopped", numbers(&|o| o.stopped)),
            ("quota_days", numbers(&|o| o.quota_days)),
            ("better_now", numbers(&|o| now(o, |then, later| later.is_some_and(|l| l < then)))),
            ("worse_now", numbers(&|o| now(o, |then, later| later.is_some_and(|l| l > then)))),
            ("churned_now", numbers(&|o| now(o, |_, later| later == Some(Tier::Churned)))),
        ])?;
        print_list(&rows, options.format, "The policy would have done nothing")?;
        print_note(&format!(
            "{from} to {to}, {}, policy {}; quota_days are calls a minute above the quota before, times \
             days; tiers are compared with those of {to}",
            counted(self.days, "day"),
            self.policy.version
        ));
        if self.without_scores > 0 {
            print_note(&format!(
                "{} no stored scores and {} left out; `rapport score run --as-of DAY` makes them",
                counted(self.without_scores, "day has").replace("days has", "days have"),
                domain::agree(self.without_scores, "is", "are")
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_days_is_said() {
        #[track_caller]
        fn check(from: &str, to: &str, is_to_given: bool, expected: &str) {
            let day = |text: &str| text.parse::<Day>().expect("a date");
            let found = refuse_days(day(from), day(to), is_to_given).err().unwrap_or_default();
            assert_eq!(found, expected);
        }
        check("2026-01-01", "2026-01-01", true, "");
        check("2024-01-01", "2025-12-30", true, "");
        check(
            "2026-01-02",
            "2026-01-01",
            true,
            "--from 2026-01-02 lies after --to 2026-01-01: give the first day first",
        );
        check(
            "2026-01-02",
            "2026-01-01",
            false,
            "--from 2026-01-02 lies after 2026-01-01, the last day the data is complete to: give the first day first",
        );
        check(
            "2024-01-01",
            "2025-12-31",
            true,
            "2024-01-01 to 2025-12-31 are 731 days, and 730 at most are replayed",
        );
    }
}
