//! `rapport score run | show | …`: signals, score and tier of every partner.
//!
//! - `show`: why a partner has its score, and what made it change
//! - `movers`: the partners whose tier or score changed most
//! - `partner_rows`: the rows of a query that are one partner's
//! - `shell_command`: a command line that runs as it is printed
//! - `backtest`, `rows`: what scores of the past were worth, and the rows that say so
//! - `fit`, `adopt`: other weights and a risk model, proposed and taken into force

mod adopt;
mod backtest;
mod fit;
mod movers;
mod partner_rows;
mod rows;
mod shell_command;
mod show;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::format::plain_percent_with_places;
use domain::{AsOf, Day, Tier};
use scoring::{PartnerScore, ScoreOutput};

use crate::args::Format;
use crate::commands::plan;
use crate::errors::usage_error;
use crate::output::{self, print_line, print_note, print_table};
use crate::project::Project;
use crate::rows::Rows;
use crate::table::Table;

pub(crate) use adopt::adopt;
pub(crate) use backtest::backtest;
pub(crate) use fit::fit;
pub(crate) use movers::movers;
pub(crate) use show::show;

pub(crate) async fn run(
    project: &Project,
    as_of: Option<&str>,
    format: Format,
) -> anyhow::Result<()> {
    let as_of = project.as_of(as_of).await?;
    let session = Arc::new(project.session(as_of).await?);
    project.record_run(&session).await?;
    let (session, scored) = plan::scored_session(project, as_of).await?;
    if format != Format::Table {
        let rows = session.metric("latest_scores").await?;
        return output::print_rows(&Rows { schema: &rows.schema, batches: &rows.batches }, format);
    }
    print_tiers(&scored, as_of)
}

/// Counts the partners by tier, the largest tier first.
pub(crate) fn tiers(scored: &ScoreOutput) -> Vec<(Tier, usize)> {
    let mut counts: BTreeMap<Tier, usize> = BTreeMap::new();
    for tier in scored.partners.tiers() {
        *counts.entry(tier).or_default() += 1;
    }
    let mut counts: Vec<(Tier, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.name().cmp(b.0.name())));
    counts
}

fn print_tiers(scored: &ScoreOutput, as_of: AsOf) -> anyhow::Result<()> {
    let mut table = Table::new(["tier", "partners"], &[1]);
    for (tier, n) in tiers(scored) {
        table.row([tier.words(), n.to_string()]);
    }
    print_table(&table)?;
    let mut worst: Vec<PartnerScore> = scored.partners.of_tier(Tier::AtRisk).collect();
    worst.sort_by(|a, b| b.impact_share.unwrap_or(0.0).total_cmp(&a.impact_share.unwrap_or(0.0)));
    if !worst.is_empty() {
        print_line("\nAt risk, by share of gross:")?;
        let mut table = Table::new(["partner", "score", "share", "why"], &[1, 2]);
        for partner in worst.iter().take(10) {
            let share =
                partner.impact_share.map_or_else(String::new, |s| plain_percent_with_places(s, 1));
            let score = partner.score.map_or_else(String::new, |s| format!("{s:.0}"));
            table.row([partner.partner_id.clone(), score, share, partner.top_reason.clone()]);
        }
        print_table(&table)?;
        if worst.len() > 10 {
            print_line(&format!("and {} more", worst.len() - 10))?;
        }
    }
    print_note(&format!(
        "\nAs of {}. `rapport score show PARTNER` says why one has its score.",
        as_of.day()
    ));
    Ok(())
}

/// Returns the day to compare with: the one given with `--since`, or so many days before.
fn since_day(given: Option<&str>, days_before: i32, as_of: AsOf) -> anyhow::Result<Day> {
    let Some(given) = given else { return Ok(as_of.day().plus(-days_before)) };
    let since: AsOf = given.parse().map_err(|e| usage_error(format!("--since: {e}")))?;
    if since >= as_of {
        return Err(usage_error(format!(
            "--since {} must lie before the day that is shown, {}",
            since.day(),
            as_of.day()
        )));
    }
    Ok(since.day())
}
