//! `rapport actions plan`: applies policy.toml to scores and metrics, and writes the plan to a file for
//! a person to review.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use actions::{Contribution, PartnerState, Plan, PlanInput, Policy, QuotaChange};
use arrow::array::AsArray;
use domain::{AsOf, counted, parse_instant, printable};
use scoring::ScoreOutput;
use serde::Deserialize;
use transform::{Session, TransformError};

use crate::atomic_file::write_file;
use crate::errors::usage_error;
use crate::metric_pipeline::{MetricPipeline, OutcomePrinter};
use crate::output::{print_line, print_note, print_table};
use crate::polars_frames;
use crate::project::Project;
use crate::scores;
use crate::table::Table;

/// Returns the SQL of one row for each partner with all columns that conditions may name. Those of
/// `throttling` are NULL while that metric is held back.
async fn partners_sql(session: &Arc<Session>) -> String {
    let outcome = MetricPipeline::of_all_partners(session).await.compute("throttling").await;
    OutcomePrinter::default().print_outcome(&outcome, "the plan is made without it");
    let partners = outcome.rows.map_or("plan_partners_without_throttling", |_| "plan_partners");
    format!(
        "SELECT h.*, p.* EXCEPT (partner_id) FROM ({}) h
         LEFT JOIN {partners} p ON p.partner_id = h.partner_id",
        scores::scores_and_signals()
    )
}

/// The alias of this row where a condition is evaluated.
const ROW: &str = "partner_row";

pub(crate) async fn run(project: &Project, out: &Path, as_of: Option<&str>) -> anyhow::Result<()> {
    let as_of = project.as_of(as_of).await?;
    let (session, scored) = scored_session(project, as_of).await?;
    project.record_run(&session).await?;
    let plan = make(project, &session, &scored).await?;
    write(&plan, out)?;
    print(&plan, out)
}

/// Scores as of an instant, stores the scores, and opens a session that sees them.
pub(crate) async fn scored_session(
    project: &Project,
    as_of: AsOf,
) -> anyhow::Result<(Arc<Session>, ScoreOutput)> {
    let before = Arc::new(project.session(as_of).await?);
    let scored = scores::score_partners(project, &before).await?;
    if project.is_read_only() {
        return Ok((before, scored));
    }
    let mut versions = before.versions().clone();
    for table in scores::tables() {
        if let Some(kept) = project.lake.snapshot(&table, None).await? {
            versions.insert(table, kept.version);
        }
    }
    let session = project.engine.open_session(as_of, Some(&versions)).await?;
    Ok((Arc::new(session), scored))
}

/// Makes the plan from the session's tables.
pub(crate) async fn make(
    project: &Project,
    session: &Arc<Session>,
    scored: &ScoreOutput,
) -> anyhow::Result<Plan> {
    let (name, policy) = policy(project)?;
    let partner_rows = partners_sql(session).await;
    let watermark = project.lake.watermark().await?;
    let input = PlanInput {
        as_of: session.as_of(),
        scored_as_of: (!scored.partners.is_empty()).then(|| session.as_of()),
        created_at: project.now,
        watermark,
        versions: session.versions().clone(),
        partners: partners(session, &partner_rows, scored, watermark).await?,
    };
    let mut matches: BTreeMap<&str, Result<BTreeSet<String>, String>> = BTreeMap::new();
    for rule in &policy.rules {
        let met = matching(session, &partner_rows, &rule.condition).await;
        matches.insert(&rule.condition, met.map_err(|e| condition_error(&e)));
    }
    let evaluate = |condition: &str| {
        matches.get(condition).cloned().unwrap_or_else(|| Err("it was not evaluated".to_owned()))
    };
    actions::make_plan(&input, &policy, &evaluate).map_err(|error| match error {
        actions::PlanError::Condition { line, rule, condition, message } => usage_error(format!(
            "{name}, line {line}: the rule \"{rule}\" can't be evaluated: {message}\n  when = {condition:?}"
        )),
        other => other.into(),
    })
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

/// Returns the partners that meet a condition.
async fn matching(
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

#[derive(Deserialize)]
struct PartnerFacts {
    partner_id: String,
    name: Option<String>,
    plan: Option<String>,
    quota_per_minute: Option<i64>,
    peak_per_minute: Option<i64>,
    throttled_rate: Option<f64>,
    utilisation: Option<f64>,
}

#[derive(Deserialize)]
struct QuotaRow {
    partner_id: String,
    occurred_at: String,
    quota_per_minute: i64,
}

async fn partners(
    session: &Session,
    partner_rows: &str,
    scored: &ScoreOutput,
    watermark: Option<i64>,
) -> anyhow::Result<Vec<PartnerState>> {
    let facts = session
        .sql(&format!(
            "SELECT partner_id, name, plan, quota_per_minute, peak_per_minute, throttled_rate,
                    utilisation
             FROM ({partner_rows})"
        ))
        .await?;
    let facts: BTreeMap<String, PartnerFacts> = polars_frames::typed_rows::<PartnerFacts>(&facts)?
        .into_iter()
        .map(|row| (row.partner_id.clone(), row))
        .collect();
    let quotas = session.metric("quota_changes").await?;
    let mut changes: BTreeMap<String, Vec<QuotaChange>> = BTreeMap::new();
    for row in polars_frames::typed_rows::<QuotaRow>(&quotas)? {
        let at = parse_instant(&row.occurred_at).unwrap_or_default();
        let change = QuotaChange { at, per_minute: row.quota_per_minute };
        changes.entry(row.partner_id).or_default().push(change);
    }
    let usage_late = watermark.is_none_or(|w| w < session.as_of().micros());
    let states = scored.partners.iter().map(|partner| {
        let facts = facts.get(&partner.partner_id);
        let contributions = partner.signals.iter().filter_map(|signal| {
            Some(Contribution {
                signal: signal.signal.clone(),
                points: signal.contribution?,
                reason: signal.reason.clone(),
            })
        });
        PartnerState {
            partner_id: partner.partner_id.clone(),
            name: facts.and_then(|f| f.name.clone()),
            plan: facts.and_then(|f| f.plan.clone()),
            tier: partner.tier,
            top_reason: partner.top_reason.clone(),
            contributions: contributions.collect(),
            impact_rank: partner.impact_rank,
            quota_per_minute: facts.and_then(|f| f.quota_per_minute),
            peak_per_minute: facts.and_then(|f| f.peak_per_minute),
            throttled_rate: facts.and_then(|f| f.throttled_rate),
            utilisation: facts.and_then(|f| f.utilisation),
            usage_late,
            quota_changes: changes.remove(&partner.partner_id).unwrap_or_default(),
            support: None,
            notified: Vec::new(),
        }
    });
    Ok(states.collect())
}

pub(crate) fn write(plan: &Plan, out: &Path) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(plan)?;
    text.push('\n');
    write_file(out, text.as_bytes())
}

/// Prints the plan as a table, and the path of its file.
pub(crate) fn print(plan: &Plan, out: &Path) -> anyhow::Result<()> {
    for why in &plan.blocked {
        print_line(&printable(&format!("Blocked: {why}")))?;
    }
    let rows = actions::plan_table(plan);
    if !rows.is_empty() {
        let mut table = Table::new(["partner", "action", "change", "why", "guardrails"], &[]);
        for row in &rows {
            table.row([
                row.partner.as_str(),
                row.action,
                row.change.as_str(),
                row.why.as_str(),
                row.guardrails.as_str(),
            ]);
        }
        print_table(&table)?;
        print_line("")?;
    }
    let approval = plan.changes.iter().filter(|c| c.needs_approval).count();
    print_line(&totals(plan.partners, plan.changes.len(), approval, plan.stopped.len()))?;
    print_note(&format!("Plan {} in {}; nothing has been sent", plan.plan_id, out.display()));
    Ok(())
}

/// Returns the totals of a plan: `40 partners looked at, 3 changes proposed, 1 of them for a person to
/// approve, 0 stopped`.
fn totals(partners: usize, changes: usize, approval: usize, stopped: usize) -> String {
    let partners = counted(partners, "partner");
    let for_a_person = match (changes, approval) {
        (0, _) => String::new(),
        (1, 1) => ", for a person to approve".to_owned(),
        (1, _) => ", not for a person to approve".to_owned(),
        _ => format!(", {approval} of them for a person to approve"),
    };
    let changes = counted(changes, "change");
    format!("{partners} looked at, {changes} proposed{for_a_person}, {stopped} stopped")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_of_none_one_and_two() {
        let check = |made: [usize; 4], due: &str| {
            let [partners, changes, approval, stopped] = made;
            assert_eq!(totals(partners, changes, approval, stopped), due);
        };
        check([0, 0, 0, 0], "0 partners looked at, 0 changes proposed, 0 stopped");
        let one = "1 partner looked at, 1 change proposed";
        check([1, 1, 1, 0], &format!("{one}, for a person to approve, 0 stopped"));
        check([1, 1, 0, 1], &format!("{one}, not for a person to approve, 1 stopped"));
        let two = "2,000 partners looked at, 2 changes proposed";
        check([2_000, 2, 1, 2], &format!("{two}, 1 of them for a person to approve, 2 stopped"));
    }

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
