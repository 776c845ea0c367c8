//! `rapport score run | show`: signals, score and tier of every partner.

use std::sync::Arc;

use lake::schema;
use lake_types::{AsOf, Day, printable};
use scoring::{PartnerScore, Policy, ScoreInput, ScoreOutput, Tier};
use transform::Session;

use crate::args::Format;
use crate::failure::usage;
use crate::frames::{frame, score_rows};
use crate::output::{self, Rows, Table, line, note, show};
use crate::project::Project;
use crate::published::{Metrics, Told};
use crate::scores;

pub(crate) async fn run(
    project: &Project,
    as_of: Option<&str>,
    format: Format,
) -> anyhow::Result<()> {
    let as_of = project.as_of(as_of).await?;
    let session = Arc::new(project.session(as_of).await?);
    project.note_run(&session).await?;
    let scored = score(project, &session).await?;
    let revision = scores::keep(project, &session, &scored).await?;
    if format != Format::Table {
        let def = schema::partner_health();
        let rows = score_rows(&def, &scored.health, revision, project.now)?;
        return output::print(&Rows { schema: &def.schema, batches: &[rows] }, format);
    }
    print_tiers(&scored, as_of)
}

/// Scores every partner from what the session sees. A metric that is held back is said, and its
/// signals are unavailable.
pub(crate) async fn score(
    project: &Project,
    session: &Arc<Session>,
) -> anyhow::Result<ScoreOutput> {
    let policy = policy(project)?;
    let from = session.as_of().day().plus(-policy.looks_back_days());
    let read = async |sql: &str| -> anyhow::Result<_> { frame(&session.sql(sql).await?) };
    let metrics = Metrics::of_all(session).await;
    let mut told = Told::default();
    let mut metric = async |name: &str| -> anyhow::Result<_> {
        let outcome = metrics.outcome(name).await;
        told.tell(&outcome, "scores are made without it");
        outcome.rows.ok().as_ref().map(frame).transpose()
    };
    let previous = read(&format!(
        "SELECT partner_id, as_of, stage, tier, tier_since, score, coverage FROM ({})
         WHERE as_of < $as_of",
        scores::HISTORY
    ))
    .await?;
    let input = ScoreInput {
        partners: read(
            "SELECT partner_id, segment, registered AS registered_at, first_call AS first_call_at,
                    last_call_at, live AS live_at, last_success AS last_success_at
             FROM partners ORDER BY partner_id",
        )
        .await?,
        daily: read(&format!(
            "SELECT partner_id, event_date, sum(calls) AS calls, sum(successes) AS successes
             FROM usage_day WHERE environment = 'production' AND event_date >= '{from}'
             GROUP BY partner_id, event_date ORDER BY partner_id, event_date"
        ))
        .await?,
        errors: metric("error_trend").await?,
        revenue: metric("revenue_per_partner").await?,
        previous: Some(previous),
    };
    Ok(scoring::score(&input, &policy, session.as_of())?)
}

/// The policy in force: the project's, or the one that is shipped.
pub(crate) fn policy(project: &Project) -> anyhow::Result<Policy> {
    let given = project.config.scoring_policy()?;
    let (name, text) = match &given {
        Some((path, text)) => (path.display().to_string(), text.as_str()),
        None => ("the built-in scoring policy".to_owned(), scoring::DEFAULT_POLICY),
    };
    Policy::parse(text).map_err(|e| usage(format!("{name}:{e}")))
}

/// How many partners stand where.
pub(crate) fn tiers(scored: &ScoreOutput) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for partner in &scored.partners {
        let tier = partner.tier.name();
        match counts.iter_mut().find(|(name, _)| name == tier) {
            Some((_, n)) => *n += 1,
            None => counts.push((tier.to_owned(), 1)),
        }
    }
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    counts
}

fn print_tiers(scored: &ScoreOutput, as_of: AsOf) -> anyhow::Result<()> {
    let mut table = Table::new(["tier", "partners"], &[1]);
    for (tier, n) in tiers(scored) {
        table.row([spoken(&tier), n.to_string()]);
    }
    show(&table)?;
    let mut worst: Vec<&PartnerScore> =
        scored.partners.iter().filter(|p| p.tier.name() == "at_risk").collect();
    worst.sort_by(|a, b| b.impact_share.unwrap_or(0.0).total_cmp(&a.impact_share.unwrap_or(0.0)));
    if !worst.is_empty() {
        line("\nAt risk, by share of gross:")?;
        let mut table = Table::new(["partner", "score", "share", "why"], &[1, 2]);
        for partner in worst.iter().take(10) {
            let share =
                partner.impact_share.map_or_else(String::new, |s| format!("{:.1} %", s * 100.0));
            let score = partner.score.map_or_else(String::new, |s| format!("{s:.0}"));
            table.row([partner.partner_id.clone(), score, share, partner.top_reason.clone()]);
        }
        show(&table)?;
        if worst.len() > 10 {
            line(&format!("and {} more", worst.len() - 10))?;
        }
    }
    note(&format!(
        "\nAs of {}. Tiers are provisional: by thresholds alone, without their history.\n`rapport score show PARTNER` says why one has its score.",
        as_of.day()
    ));
    Ok(())
}

/// `at_risk` as "at risk".
fn spoken(name: &str) -> String {
    name.replace('_', " ")
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
            signal.signal.name().to_owned(),
            format!("{}", signal.weight),
            number(signal.score),
            number(signal.reference),
            signal.contribution.map_or_else(String::new, |v| format!("{v:+.1}")),
            signal.reason.clone().unwrap_or_default(),
        ]);
    }
    if !asked.is_empty() {
        line("")?;
        show(&table)?;
    }
    if partner.signals.is_empty() && partner.tier == Tier::Churned {
        line("Signals are not measured of a partner that has churned.")?;
    }
    if !not_asked.is_empty() {
        let names: Vec<_> = not_asked.iter().map(|s| s.signal.name()).collect();
        line(&format!("\nNot asked of this partner now: {}", names.join(", ")))?;
    }
    Ok(())
}

/// Who it is, where it stands, and the one reason.
fn head(partner: &PartnerScore) -> anyhow::Result<()> {
    let (tier, stage) = (partner.tier.name(), partner.stage.name());
    let mut text = format!("{}: {}", partner.partner_id, spoken(tier));
    if let Some(since) = partner.tier_since {
        text.push_str(&format!(" since {}", Day::of_micros(since)));
    }
    if tier != stage {
        text.push_str(&format!(", stage {}", spoken(stage)));
    }
    match partner.score {
        Some(score) if tier == "churned" => {
            text.push_str(&format!(", score {score:.0} on the day before"));
        }
        Some(score) => text.push_str(&format!(", score {score:.0} of 100")),
        None => text.push_str(", no score"),
    }
    line(&printable(&text))?;
    if let (Some(share), Some(rank)) = (partner.impact_share, partner.impact_rank) {
        line(&format!("Share of gross {:.1} %, rank {rank}", share * 100.0))?;
    }
    line(&printable(&partner.top_reason))?;
    if partner.coverage < 1.0 && !partner.signals.is_empty() {
        line(&format!(
            "Evidence for {:.0} % of the weight of the signals that apply",
            partner.coverage * 100.0
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
        Some(near) => usage(format!("no partner \"{id}\" in the lake; did you mean \"{near}\"?")),
        None => usage(format!(
            "no partner \"{id}\" in the lake; `rapport sql \"SELECT partner_id, name FROM partners\"` lists them"
        )),
    }
}
