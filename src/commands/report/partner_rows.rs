//! The rows of partners: health, the history of scores, milestones, and the tables behind them.

use std::collections::BTreeMap;

use anyhow::Context;
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType};
use chrono::NaiveDate;
use dashboards::{
    HealthHistory, HealthRow, OverrideRow, PartnerRow, ReportInput, SignalRow, parse_tier,
};
use domain::Day;
use domain::format::plain_date_with_year;
use scoring::PartnerScore;
use serde::Deserialize;
use transform::Session;

use super::{Made, ReportPartners, Scope, period_rows, table};
use crate::partner_standing::inactive_partners;
use crate::polars_frames;

#[derive(Deserialize)]
struct Attributes {
    partner_id: String,
    name: Option<String>,
    segment: Option<String>,
    plan: Option<String>,
    manager: Option<String>,
    region: Option<String>,
    integration_level: Option<String>,
}

/// Adds the rows of partners. Returns the partners that the session is restricted to.
pub(super) async fn fill(
    session: &Session,
    made: &Made<'_>,
    scope: &Scope<'_>,
    input: &mut ReportInput,
) -> anyhow::Result<ReportPartners> {
    let attributes = session.metric("partner_attributes").await?;
    let attributes: BTreeMap<String, Attributes> =
        polars_frames::typed_rows::<Attributes>(&attributes)?
            .into_iter()
            .map(|row| (row.partner_id.clone(), row))
            .collect();
    let partners = match scope.condition {
        None => ReportPartners::All,
        Some(_) => ReportPartners::These(attributes.keys().cloned().collect()),
    };
    let mut set: Vec<SetTier> = Vec::new();
    for partner in made.scored.partners.iter().filter(|p| partners.include(&p.partner_id)) {
        let row = input.health.len();
        set.extend(partner.override_until.map(|end| SetTier { row, end }));
        input.health.push(health(&partner, attributes.get(&partner.partner_id)));
    }
    add_standing(made.session, &mut input.health).await?;
    add_override_days(made.session, &set, &mut input.health).await?;
    add_history(made.session, &partners, &mut input.history).await?;
    period_rows::fill(session, input).await?;
    let milestones = session.metric("partner_lifecycle").await?;
    input.partners = polars_frames::typed_rows::<PartnerRow>(&milestones)?;
    for (name, what, query) in [
        ("partner_health", "The newest score of each partner", "latest_scores"),
        ("partner_signals", "The signals behind these scores, a row each", "latest_signals"),
    ] {
        let kept = made.session.metric(query).await?;
        table(input, name, what, &partners.rows(&kept)?)?;
    }
    Ok(partners)
}

/// Adds the tiers and scores of every day, a batch at a time: they are many. The tables of scores hold
/// every partner, whatever a session is restricted to.
async fn add_history(
    session: &Session,
    partners: &ReportPartners,
    history: &mut HealthHistory,
) -> anyhow::Result<()> {
    const COLUMNS: &str = "SELECT as_of, partner_id, tier, score FROM score_history";
    let instant = DataType::Timestamp(TimeUnit::Microsecond, None);
    let mut rows = session.stream(COLUMNS, "score_history").await?;
    while let Some(batch) = rows.next().await? {
        let column = |at: usize, kind| arrow::compute::cast(batch.column(at), kind);
        let [days, ids] = [column(0, &instant)?, column(1, &DataType::Utf8)?];
        let [tiers, scores] = [column(2, &DataType::Utf8)?, column(3, &DataType::Float64)?];
        let days = days.as_primitive::<TimestampMicrosecondType>().iter();
        let (ids, tiers) = (ids.as_string::<i32>().iter(), tiers.as_string::<i32>().iter());
        let scores = scores.as_primitive::<Float64Type>().iter();
        for (((day, id), tier), score) in days.zip(ids).zip(tiers).zip(scores) {
            let known = day.zip(id).zip(tier);
            let ((day, id), tier) = known.context("a score without its day, partner or tier")?;
            if partners.include(id) {
                history.add(id, Day::of_micros(day).date(), parse_tier(tier), score);
            }
        }
    }
    history.shrink_to_fit();
    Ok(())
}

/// Adds since when partners are suspended or offboarded, as of the day of the scores.
async fn add_standing(session: &Session, health: &mut [HealthRow]) -> anyhow::Result<()> {
    let as_of = session.as_of().micros();
    let inactive = inactive_partners(session, |at| at < as_of).await?;
    for row in health {
        row.inactive = inactive.get(&row.partner_id).map(|inactive| {
            format!("{} since {}", inactive.what, plain_date_with_year(inactive.since))
        });
    }
    Ok(())
}

/// A tier that a person set.
struct SetTier {
    /// The position of the partner's row.
    row: usize,
    /// When the tier ends, in µs.
    end: i64,
}

/// Adds the days on which people set the tiers that are shown. The session is that of the scores, so
/// that it has the overrides that they show.
async fn add_override_days(
    session: &Session,
    set: &[SetTier],
    health: &mut [HealthRow],
) -> anyhow::Result<()> {
    if set.is_empty() {
        return Ok(());
    }
    let overrides = session.metric("override_history").await?;
    let overrides = polars_frames::typed_rows::<OverrideRow>(&overrides)?;
    for tier in set {
        let row = &mut health[tier.row];
        row.override_since = override_day(row, tier.end, &overrides);
    }
    Ok(())
}

/// Returns the day on which the tier of a row was set: that of the override of the same tier which
/// ends at the same instant.
fn override_day(row: &HealthRow, end: i64, overrides: &[OverrideRow]) -> Option<NaiveDate> {
    let is_it = |of: &&OverrideRow| {
        let ends = of.until.into_iter().chain(of.ended_at).min();
        of.partner_id == row.partner_id
            && of.tier == row.tier
            && ends.is_some_and(|ends| ends.timestamp_micros() == end)
    };
    overrides.iter().find(is_it).map(|of| of.at.date_naive())
}

fn health(partner: &PartnerScore, attributes: Option<&Attributes>) -> HealthRow {
    let date = |micros: i64| -> NaiveDate { Day::of_micros(micros).date() };
    let attribute = |of: fn(&Attributes) -> &Option<String>| attributes.and_then(|a| of(a).clone());
    HealthRow {
        as_of: partner.as_of.day().date(),
        partner_id: partner.partner_id.clone(),
        name: attribute(|a| &a.name),
        segment: attribute(|a| &a.segment),
        plan: attribute(|a| &a.plan),
        manager: attribute(|a| &a.manager),
        region: attribute(|a| &a.region),
        integration_level: attribute(|a| &a.integration_level),
        inactive: None,
        stage: partner.stage,
        tier: partner.tier,
        tier_since: partner.tier_since.map(date),
        score: partner.score,
        coverage: Some(partner.coverage),
        gate: partner.gate.map(|gate| gate.name().replace('_', " ")),
        risk: partner.risk,
        override_until: partner.override_until.map(date),
        override_since: None,
        impact_share: partner.impact_share,
        impact_rank: partner.impact_rank,
        top_reason: Some(partner.top_reason.clone()),
        policy_version: partner.policy_version.clone(),
        computed_tier: Some(partner.computed_tier),
        signals: partner
            .signals
            .iter()
            .filter(|s| s.applicable)
            .map(|s| SignalRow {
                name: s.signal.clone(),
                value: s.value,
                score: s.score,
                contribution: s.contribution,
                n: s.n,
                reason: s.reason.clone().unwrap_or_default(),
                weight: s.weight,
            })
            .collect(),
    }
}
