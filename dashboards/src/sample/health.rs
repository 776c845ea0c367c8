//! The scores of the sample programme.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use domain::{SignalName, Stage, Tier};

use super::{SamplePartner, date};
use crate::health_rows::{HealthRow, SignalRow};
use crate::input::ReportInput;

/// Returns the newest score of a partner.
pub(super) fn health_row(
    partner: &SamplePartner,
    as_of: NaiveDate,
    tier: Tier,
    score: Option<f64>,
) -> HealthRow {
    let reason = match tier {
        Tier::AtRisk => "4xx tripled on 5 Sep: 0.8 % → 2.6 %, mostly 422 on POST /v2/charges",
        Tier::Watch => "Called on 3 of its 5 usual weekdays",
        Tier::InsufficientEvidence => "Live for 12 days; a score needs 28",
        Tier::Stuck => "Registered 47 days ago, never called",
        Tier::Onboarding => "Registered 9 days ago, in the sandbox",
        Tier::Churned => "No production success for 41 days",
        Tier::Healthy => "Nothing stands out",
    };
    let signals = score.map(signals).unwrap_or_default();
    HealthRow {
        as_of,
        partner_id: partner.id.clone(),
        name: partner.name.clone(),
        segment: Some("marketplaces".to_owned()),
        plan: Some(["starter", "growth", "scale"][partner.seed as usize % 3].to_owned()),
        manager: (!partner.seed.is_multiple_of(4)).then(|| {
            ["Mara Lindqvist", "Tomás Ortega", "Ines Haddad", "Jonah Pell"]
                [partner.seed as usize % 4]
                .to_owned()
        }),
        region: Some("EU".to_owned()),
        integration_level: Some("api".to_owned()),
        inactive: None,
        stage: if partner.live_at(as_of).is_some() { Stage::Live } else { Stage::Onboarding },
        tier,
        tier_since: Some(as_of - Days::new(partner.seed % 40)),
        score,
        coverage: score.map(|_| 0.95),
        gate: (tier == Tier::AtRisk).then(|| "collapse".to_owned()),
        risk: score.map(|score| 1.0 - score / 100.0),
        override_until: None,
        override_since: None,
        impact_share: None,
        impact_rank: None,
        top_reason: Some(reason.to_owned()),
        policy_version: "1".to_owned(),
        computed_tier: Some(tier),
        signals,
    }
}

fn signals(score: f64) -> Vec<SignalRow> {
    let one = |name: &'static str, s: Option<f64>, weight: f64, reason: &str| SignalRow {
        name: SignalName::new(name),
        value: s,
        score: s,
        contribution: s.map(|s| weight * (s - 78.0) / 45.0),
        n: 28,
        reason: reason.to_owned(),
        weight,
    };
    vec![
        one("onboarding", None, 10.0, "Stopped counting 90 days after go-live"),
        one("errors", Some((score * 1.1 - 12.0).clamp(0.0, 100.0)), 20.0, "9 alarm days in 28"),
        one("steadiness", Some((score * 0.9 + 9.0).min(100.0)), 15.0, "16 of 20 expected days"),
        one("growth", Some((score * 1.0).min(100.0)), 10.0, "Calls −11 % in four weeks"),
    ]
}

/// Sets the share and rank of each partner in the gross revenue of the last complete month.
pub(super) fn set_impact(input: &mut ReportInput) {
    let shares: BTreeMap<String, (Option<f64>, i64)> = input
        .revenue_per_partner
        .iter()
        .filter(|row| row.month == date("2026-08-01"))
        .map(|row| (row.partner_id.clone(), (row.share, row.rank)))
        .collect();
    for row in &mut input.health {
        if let Some((share, rank)) = shares.get(&row.partner_id) {
            row.impact_share = *share;
            row.impact_rank = Some(*rank);
        }
    }
}
