//! `rapport score show`: why a partner has its score.

use std::sync::Arc;

use domain::format::plain_percent_with_places;
use domain::{Day, Tier, printable};
use scoring::PartnerScore;

use super::unknown_partner;
use crate::output::{print_line, print_table};
use crate::project::Project;
use crate::scores::score_partners;
use crate::table::Table;

pub(crate) async fn show_partner(
    project: &Project,
    id: &str,
    as_of: Option<&str>,
) -> anyhow::Result<()> {
    let as_of = project.as_of(as_of).await?;
    let session = Arc::new(project.session(as_of).await?);
    let scored = score_partners(project, &session).await?;
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

