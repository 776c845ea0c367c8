//! `rapport score run | show`: signals, score and tier of every partner.

use arrow::array::RecordBatch;
use lake::{TableDef, schema};
use lake_types::{AsOf, format_instant};
use scoring::{PartnerScore, Policy, ScoreInput, ScoreOutput, Signal};
use transform::Session;

use crate::args::Format;
use crate::failure::usage;
use crate::frames::{frame, health_rows};
use crate::output::{self, Rows, line, note, plain_table};
use crate::project::Project;

/// Frozen scores of churned partners are computed as far back as this.
const HISTORY_DAYS: i32 = 280;

pub(crate) async fn run(
    project: &Project,
    as_of: Option<&str>,
    format: Format,
) -> anyhow::Result<()> {
    let as_of = project.as_of(as_of).await?;
    let session = project.session(as_of).await?;
    project.note_run(&session).await?;
    let scored = score(project, &session).await?;
    keep(project, &session, &scored).await?;
    if format != Format::Table {
        let def = health_table();
        let rows = health_rows(&def, &scored.frame, project.now)?;
        return output::print(&Rows { schema: &def.schema, batches: &[rows] }, format);
    }
    print_tiers(&scored, as_of)
}

/// The table that scores are kept in.
pub(crate) fn health_table() -> TableDef {
    schema::partner_health(&Signal::ALL.map(Signal::name))
}

/// Scores every partner from what the session sees.
pub(crate) async fn score(project: &Project, session: &Session) -> anyhow::Result<ScoreOutput> {
    let policy = policy(project)?;
    let from = session.as_of().day().plus(-HISTORY_DAYS);
    let read = async |sql: &str| -> anyhow::Result<_> { frame(&session.sql(sql).await?) };
    let previous = read(
        "SELECT partner_id, as_of, stage, tier, tier_since, score, coverage FROM (
           SELECT *, row_number() OVER (PARTITION BY partner_id, as_of ORDER BY scored_at DESC) AS nth
           FROM partner_health WHERE as_of < $as_of) WHERE nth = 1",
    )
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
        errors: read(
            "SELECT partner_id, event_date, calls, client_error_rate, baseline_rate, alarm
             FROM error_trend",
        )
        .await?,
        revenue: read(
            "SELECT month, partner_id, CAST(gross AS DOUBLE) AS gross FROM revenue_per_partner",
        )
        .await?,
        previous: Some(previous),
    };
    Ok(scoring::score(&input, &policy, session.as_of())?)
}

fn policy(project: &Project) -> anyhow::Result<Policy> {
    let given = project.config.scoring_policy()?;
    let (name, text) = match &given {
        Some((path, text)) => (path.display().to_string(), text.as_str()),
        None => ("the built-in scoring policy".to_owned(), scoring::DEFAULT_POLICY),
    };
    Policy::parse(text).map_err(|e| usage(format!("{name}: {e}")))
}

/// Appends the scores, unless the same ones stand there already.
pub(crate) async fn keep(
    project: &Project,
    session: &Session,
    scored: &ScoreOutput,
) -> anyhow::Result<()> {
    let def = health_table();
    let rows = health_rows(&def, &scored.frame, project.now)?;
    if rows.num_rows() == 0 || same(&rows, session).await? {
        return Ok(());
    }
    project.lake.append(&def, &[rows]).await?;
    Ok(())
}

/// Whether the newest revision of the session's day holds exactly these rows.
async fn same(rows: &RecordBatch, session: &Session) -> anyhow::Result<bool> {
    let kept = session
        .sql(
            "SELECT * FROM partner_health WHERE as_of = $as_of AND scored_at =
               (SELECT max(scored_at) FROM partner_health WHERE as_of = $as_of)
             ORDER BY partner_id",
        )
        .await?;
    let text = |batches: &[RecordBatch]| -> anyhow::Result<Vec<u8>> {
        let schema = rows.schema();
        let timeless: Vec<usize> = (0..schema.fields().len() - 1).collect();
        let batches: Vec<RecordBatch> =
            batches.iter().map(|b| b.project(&timeless)).collect::<Result<_, _>>()?;
        let schema = std::sync::Arc::new(schema.project(&timeless)?);
        output::csv_text(&Rows { schema: &schema, batches: &batches })
    };
    Ok(text(std::slice::from_ref(rows))? == text(&kept.batches)?)
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
    let mut table = plain_table();
    table.set_header(["tier", "partners"]);
    for (tier, n) in tiers(scored) {
        table.add_row([tier, n.to_string()]);
    }
    line(&table.to_string())?;
    let mut worst: Vec<&PartnerScore> =
        scored.partners.iter().filter(|p| p.tier.name() == "at_risk").collect();
    worst.sort_by(|a, b| b.impact_share.unwrap_or(0.0).total_cmp(&a.impact_share.unwrap_or(0.0)));
    if !worst.is_empty() {
        line("\nAt risk, by share of gross:")?;
        let mut table = plain_table();
        table.set_header(["partner", "score", "share", "why"]);
        for partner in worst.iter().take(10) {
            let share =
                partner.impact_share.map_or_else(String::new, |s| format!("{:.1} %", s * 100.0));
            let score = partner.score.map_or_else(String::new, |s| format!("{s:.0}"));
            table.add_row([partner.partner_id.clone(), score, share, partner.top_reason.clone()]);
        }
        line(&table.to_string())?;
    }
    note(&format!("Scored as of {as_of}; tiers by thresholds alone are provisional."));
    Ok(())
}

pub(crate) async fn show(project: &Project, id: &str, as_of: Option<&str>) -> anyhow::Result<()> {
    let as_of = project.as_of(as_of).await?;
    let session = project.session(as_of).await?;
    let scored = score(project, &session).await?;
    let Some(partner) = scored.partners.iter().find(|p| p.partner_id == id) else {
        return Err(unknown_partner(&scored, id));
    };
    let score = partner.score.map_or_else(|| "none".to_owned(), |s| format!("{s:.1}"));
    line(&format!("{id}: {} ({}), score {score}", partner.tier.name(), partner.stage.name()))?;
    line(&partner.top_reason)?;
    if let Some(since) = partner.tier_since {
        line(&format!("Since {}, coverage {:.2}", format_instant(since), partner.coverage))?;
    }
    line("")?;
    let mut table = plain_table();
    table.set_header(["signal", "weight", "score", "usual", "points", "what was seen"]);
    let number = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.1}"));
    for signal in &partner.signals {
        table.add_row([
            signal.signal.name().to_owned(),
            format!("{}", signal.weight),
            number(signal.score),
            number(signal.reference),
            signal.contribution.map_or_else(String::new, |v| format!("{v:+.1}")),
            signal.reason.clone().unwrap_or_default(),
        ]);
    }
    line(&table.to_string())
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
