//! `rapport score run | show`: signals, score and tier of every partner.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::format::plain_percent_with_places;
use domain::{AsOf, Day, Tier, printable};
use lake::schema;
use scoring::{PartnerScore, Policy, ScoreInput, ScoreOutput, signal_metrics};
use transform::Session;

use crate::args::Format;
use crate::errors::usage_error;
use crate::metric_pipeline::{MetricPipeline, OutcomePrinter};
use crate::output::{self, print_line, print_note, print_table};
use crate::polars_frames::{data_frame, score_rows};
use crate::project::Project;
use crate::rows::Rows;
use crate::scores;
use crate::table::Table;

pub(crate) async fn run(
    project: &Project,
    as_of: Option<&str>,
    format: Format,
) -> anyhow::Result<()> {
    let as_of = project.as_of(as_of).await?;
    let session = Arc::new(project.session(as_of).await?);
    project.record_run(&session).await?;
    let scored = score(project, &session).await?;
    let revision = scores::keep(project, &session, &scored).await?;
    if format != Format::Table {
        let def = schema::partner_health();
        let rows = score_rows(&def, &scored.health, revision, project.now)?;
        return output::print_rows(&Rows { schema: &def.schema, batches: &[rows] }, format);
    }
    print_tiers(&scored, as_of)
}

/// Scores every partner from the session's tables. A metric that is held back is reported, and its
/// signals are unavailable.
pub(crate) async fn score(
    project: &Project,
    session: &Arc<Session>,
) -> anyhow::Result<ScoreOutput> {
    let policy = policy(project)?;
    let from = session.as_of().day().plus(-policy.lookback_days());
    let metrics = MetricPipeline::of_all_partners(session).await;
    let mut printer = OutcomePrinter::default();
    let mut metric = async |name: &str| -> anyhow::Result<_> {
        let outcome = metrics.compute(name).await;
        printer.print_outcome(&outcome, "scores are made without it");
        outcome.rows.ok().as_ref().map(data_frame).transpose()
    };
    let previous = data_frame(&session.metric("score_history").await?)?;
    let mut signal_rows = BTreeMap::new();
    for name in signal_metrics() {
        signal_rows.extend(metric(name).await?.map(|rows| (name.to_owned(), rows)));
    }
    let input = ScoreInput {
        partners: data_frame(&session.metric("partner_lifecycle").await?)?,
        daily: data_frame(&session.rows_since("production_day", from).await?)?,
        metrics: signal_rows,
        revenue: metric("revenue_per_partner").await?,
        previous: Some(previous),
    };
    Ok(scoring::score(&input, &policy, session.as_of())?)
}

/// Returns the policy in force: the project's, or the built-in one.
pub(crate) fn policy(project: &Project) -> anyhow::Result<Policy> {
    let given = project.config.scoring_policy()?;
    let (name, text) = match &given {
        Some((path, text)) => (path.display().to_string(), text.as_str()),
        None => ("the built-in scoring policy".to_owned(), scoring::DEFAULT_POLICY),
    };
    Policy::parse(text).map_err(|e| usage_error(format!("{name}:{e}")))
}

/// Counts the partners by tier, the largest tier first.
pub(crate) fn tiers(scored: &ScoreOutput) -> Vec<(Tier, usize)> {
    let mut counts: BTreeMap<Tier, usize> = BTreeMap::new();
    for partner in &scored.partners {
        *counts.entry(partner.tier).or_default() += 1;
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
    let mut worst: Vec<&PartnerScore> =
        scored.partners.iter().filter(|p| p.tier == Tier::AtRisk).collect();
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
        "\nAs of {}. Tiers are provisional: by thresholds alone, without their history.\n`rapport score show PARTNER` says why one has its score.",
        as_of.day()
    ));
    Ok(())
}

pub(crate) async fn show_partner(
    project: &Project,
    id: &str,
    as_of: Option<&str>,
) -> anyhow::Result<()> {
    let as_of = project.as_of(as_of).await?;
    let session = Arc::new(project.session(as_of).await?);
    let scored = score(project, &session).await?;
    let Some(partner) = scored.partners.iter().find(|p| p.partner_id == id) else {
        return Err(unknown_partner(&scored, id));
    };
    head(partner)?;
    let mut table = Table::new(
        ["signal", "weight", "score", "usual", "points", "what was seen"],
        &[1, 2, 3, 4],
    );
    let number = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.1}"));
    let (asked, not_asked): (Vec<_>, Vec<_>) = partner.signals.iter().partition(|s| s.applicable);
    for signal in &asked {
        table.row([
            signal.signal.to_string(),
            format!("{}", signal.weight),
            number(signal.score),
            number(signal.reference),
            signal.contribution.map_or_else(String::new, |v| format!("{v:+.1}")),
            signal.reason.clone().unwrap_or_default(),
        ]);
    }
    if !asked.is_empty() {
        print_line("")?;
        print_table(&table)?;
    }
    if partner.signals.is_empty() && partner.tier == Tier::Churned {
        print_line("Signals are not measured of a partner that has churned.")?;
    }
    if !not_asked.is_empty() {
        let names: Vec<_> = not_asked.iter().map(|s| s.signal.as_str()).collect();
        print_line(&format!("\nNot asked of this partner now: {}", names.join(", ")))?;
    }
    Ok(())
}

/// Prints the partner's tier, score, share of gross and top reason.
fn head(partner: &PartnerScore) -> anyhow::Result<()> {
    let mut text = format!("{}: {}", partner.partner_id, partner.tier.words());
    if let Some(since) = partner.tier_since {
        text.push_str(&format!(" since {}", Day::of_micros(since)));
    }
    if partner.tier.name() != partner.stage.name() {
        text.push_str(&format!(", stage {}", partner.stage));
    }
    match partner.score {
        Some(score) if partner.tier == Tier::Churned => {
            text.push_str(&format!(", score {score:.0} on the day before"));
        }
        Some(score) => text.push_str(&format!(", score {score:.0} of 100")),
        None => text.push_str(", no score"),
    }
    print_line(&printable(&text))?;
    if let (Some(share), Some(rank)) = (partner.impact_share, partner.impact_rank) {
        let share = plain_percent_with_places(share, 1);
        print_line(&format!("Share of gross {share}, rank {rank}"))?;
    }
    print_line(&printable(&partner.top_reason))?;
    if partner.coverage < 1.0 && !partner.signals.is_empty() {
        print_line(&format!(
            "Evidence for {} of the weight of the signals that apply",
            plain_percent_with_places(partner.coverage, 0)
        ))?;
    }
    Ok(())
}

fn unknown_partner(scored: &ScoreOutput, id: &str) -> anyhow::Error {
    let near = scored
        .partners
        .iter()
        .map(|p| p.partner_id.as_str())
        .find(|known| known.eq_ignore_ascii_case(id) || known.starts_with(id));
    match near {
        Some(near) => {
            usage_error(format!("no partner \"{id}\" in the lake; did you mean \"{near}\"?"))
        }
        None => usage_error(format!(
            "no partner \"{id}\" in the lake; `rapport sql \"SELECT partner_id, name FROM partners\"` lists them"
        )),
    }
}
