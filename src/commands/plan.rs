//! `rapport actions plan`: applies policy.toml to scores and metrics, and writes the plan to a file for
//! a person to review.

use std::path::Path;
use std::sync::Arc;

use actions::{ChannelsInForce, GuardrailOverride, Plan};
use domain::{AsOf, counted, printable};
use scoring::ScoreOutput;
use transform::Session;

use crate::action_plans::{
    PlanMaker, PlanOptions, channels, channels_in_force, check_settings_and_recipients, write_plan,
};
use crate::args::PlanArgs;
use crate::commands::score_records::{author, check_partner};
use crate::errors::usage_error;
use crate::output::{print_line, print_message, print_note, print_table};
use crate::project::Project;
use crate::scores;
use crate::table::Table;

/// Makes a plan, writes it to its file and prints it.
pub(crate) async fn run(project: &Project, options: &PlanArgs) -> anyhow::Result<()> {
    let overrides = overrides(options)?;
    for given in &overrides {
        check_partner(project, &given.partner_id).await?;
    }
    check_settings_and_recipients(project)?;
    let as_of = project.as_of(options.as_of.as_deref()).await?;
    let (session, scored) = scored_session(project, as_of).await?;
    project.record_run(&session).await?;
    let plan = propose(project, &session, &scored, overrides, options.refresh).await?;
    write_plan(&plan, &options.out)?;
    print(&plan, &options.out)
}

/// Makes a plan that can be applied: with the channels of its changes, and as an evaluation of the
/// rules. Asks the gateway for the quotas in force if `is_refreshed`.
pub(crate) async fn propose(
    project: &Project,
    session: &Arc<Session>,
    scored: &ScoreOutput,
    overrides: Vec<GuardrailOverride>,
    is_refreshed: bool,
) -> anyhow::Result<Plan> {
    let maker = PlanMaker::new(project, session, scored).await?;
    let channels = channels(&project.config)?;
    let options = PlanOptions {
        refresh: is_refreshed.then_some(&channels),
        channels: channels_in_force(&project.config, &channels)?,
        overrides,
        keeps_episodes: true,
    };
    maker.plan(&options).await
}

/// Returns the guardrails that a person passes over, written `PARTNER:GUARDRAIL`.
fn overrides(options: &PlanArgs) -> anyhow::Result<Vec<GuardrailOverride>> {
    const KNOWN: [&str; 7] =
        ["step", "ceiling", "cooldown", "health", "floor", "usage", "capacity"];
    if options.overrides.is_empty() {
        return Ok(Vec::new());
    }
    let by = author(options.by.as_deref())?;
    let reason = options.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    let Some(reason) = reason else {
        return Err(usage_error("--override needs --reason: the log keeps it"));
    };
    let named = options.overrides.iter().map(|given| {
        let named = given.rsplit_once(':').filter(|(_, name)| KNOWN.contains(name));
        let Some((partner, guardrail)) = named else {
            return Err(usage_error(format!(
                "--override {given}: write PARTNER:GUARDRAIL; guardrails that can be passed over are {}",
                KNOWN.join(", ")
            )));
        };
        Ok(GuardrailOverride {
            partner_id: partner.to_owned(),
            guardrail: guardrail.to_owned(),
            by: by.clone(),
            reason: reason.to_owned(),
        })
    });
    named.collect()
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

/// Makes a plan that can be applied once somebody has decided on it. It leaves no trace: what holds
/// now is not kept as an evaluation of the rules.
pub(crate) async fn make_deliverable(
    project: &Project,
    session: &Arc<Session>,
    scored: &ScoreOutput,
) -> anyhow::Result<Plan> {
    let maker = PlanMaker::new(project, session, scored).await?;
    let channels = channels(&project.config)?;
    let channels = channels_in_force(&project.config, &channels)?;
    maker.plan(&PlanOptions { channels, ..PlanOptions::default() }).await
}

/// Makes the plan of a session's tables, without any trace: for pages.
pub(crate) async fn make(
    project: &Project,
    session: &Arc<Session>,
    scored: &ScoreOutput,
) -> anyhow::Result<Plan> {
    let maker = PlanMaker::new(project, session, scored).await?;
    maker
        .plan(&PlanOptions { channels: ChannelsInForce::default(), ..PlanOptions::default() })
        .await
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
    print_extensions(plan);
    let approval = plan.changes.iter().filter(|c| c.needs_approval).count();
    print_line(&totals(plan.partners, plan.changes.len(), approval, plan.stopped.len()))?;
    print_note(&format!("Plan {} in {}; nothing has been sent", plan.plan_id, out.display()));
    Ok(())
}

/// Tells of the grants that should end and can't.
pub(crate) fn print_extensions(plan: &Plan) {
    for extension in &plan.extensions {
        print_message(&printable(&format!(
            "{}: its grant should end and goes on: {}; a person decides",
            extension.partner_id, extension.reason
        )));
    }
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
}
