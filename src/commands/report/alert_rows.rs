//! The rows of the open alerts.

use actions::{Policy, rule_id_of};
use chrono::{DateTime, Utc};
use dashboards::{AlertRow, ReportInput};
use domain::parse_instant;
use lake::schema;
use serde::Deserialize;

use super::ReportPartners;
use super::text_table::TextTable;
use crate::action_plans::{self, read_rows};
use crate::commands::alerts::{OpenAlert, open_alerts};
use crate::project::Project;

const ALERTS: TextTable<'static, 10> = TextTable {
    name: "open_alerts",
    description: "The alerts and notices that were open when the report was made, whatever as_of",
    columns: [
        ("alert_id", "Utf8"),
        ("partner_id", "Utf8"),
        ("name", "Utf8"),
        ("about", "Utf8"),
        ("since", "Utf8"),
        ("state", "Utf8"),
        ("owner", "Utf8"),
        ("told", "Utf8"),
        ("snoozed_until", "Utf8"),
        ("note", "Utf8"),
    ],
};

/// Adds the open alerts to the report.
pub(super) async fn fill(
    project: &Project,
    partners: &ReportPartners,
    input: &mut ReportInput,
) -> anyhow::Result<()> {
    let (_, policy) = action_plans::policy(project)?;
    input.has_found_alerts = has_found_alerts(project, &policy).await?;
    let mut alerts = open_alerts(project, &policy).await?;
    alerts.retain(|alert| partners.include(&alert.partner_id));
    input.alerts = alerts.iter().map(row).collect();
    ALERTS.add(input, alerts.into_iter().map(cells))
}

/// A row of the table of episodes, as far as it is read here.
#[derive(Deserialize)]
struct EpisodeRow {
    rule_id: String,
}

/// Returns whether a check has ever found one of the alerts of the policy. The episodes of rules are
/// begun by plans too, and tell nothing of checks.
async fn has_found_alerts(project: &Project, policy: &Policy) -> anyhow::Result<bool> {
    let episodes = read_rows::<EpisodeRow>(&project.lake, schema::action_episodes()).await?;
    let is_alert =
        |row: &EpisodeRow| policy.alerts.iter().any(|alert| alert.id == rule_id_of(&row.rule_id));
    Ok(episodes.is_some_and(|(rows, _)| rows.iter().any(is_alert)))
}

fn row(alert: &OpenAlert) -> AlertRow {
    let told = alert.told.split(", ").filter(|who| !who.is_empty());
    AlertRow {
        alert_id: alert.alert_id.clone(),
        partner_id: alert.partner_id.clone(),
        name: alert.name.clone(),
        since: instant(&alert.since),
        misses: alert.misses,
        about: alert.about.clone(),
        owner: alert.owner.clone(),
        told: told.map(str::to_owned).collect(),
        snoozed_until: instant(&alert.snoozed_until),
        note: alert.note.clone(),
    }
}

/// Returns an instant that is written as text; an empty text is none.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    parse_instant(text).and_then(DateTime::<Utc>::from_timestamp_micros)
}

fn cells(alert: OpenAlert) -> [String; 10] {
    [
        alert.alert_id,
        alert.partner_id,
        alert.name,
        alert.about,
        alert.since,
        alert.state,
        alert.owner,
        alert.told,
        alert.snoozed_until,
        alert.note,
    ]
}
