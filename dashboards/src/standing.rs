//! Rows about single partners: health, its history, daily traffic, proposed actions.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer};

/// One signal of a score. `value` is raw, `score` 0–100, `contribution` in points of the score.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Signal {
    pub name: String,
    pub value: Option<f64>,
    pub score: Option<f64>,
    pub contribution: Option<f64>,
    #[serde(default)]
    pub n: i64,
    #[serde(default)]
    pub reason: String,
    pub weight: f64,
}

/// One row of `partner_health`, with the attributes of the partner where they are known.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HealthRow {
    #[serde(deserialize_with = "date")]
    pub as_of: NaiveDate,
    pub partner_id: String,
    pub name: Option<String>,
    pub segment: Option<String>,
    pub plan: Option<String>,
    pub manager: Option<String>,
    pub region: Option<String>,
    pub stage: String,
    pub tier: String,
    #[serde(default, deserialize_with = "optional_date")]
    pub tier_since: Option<NaiveDate>,
    /// 0–100; `None` where there is too little evidence or the partner is not live.
    pub score: Option<f64>,
    /// 0–1: weights of the signals that were available over those that apply.
    pub coverage: Option<f64>,
    /// 0–1: share of gross.
    pub impact_share: Option<f64>,
    pub impact_rank: Option<i64>,
    pub top_reason: Option<String>,
    #[serde(default)]
    pub policy_version: String,
    pub computed_tier: Option<String>,
    #[serde(default)]
    pub signals: Vec<Signal>,
}

/// One earlier or present score of a partner.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HistoryRow {
    #[serde(deserialize_with = "date")]
    pub as_of: NaiveDate,
    pub partner_id: String,
    pub score: Option<f64>,
    pub tier: String,
}

impl HistoryRow {
    /// The score of that day: one that had churned had none.
    pub fn current_score(&self) -> Option<f64> {
        self.score.filter(|_| Standing::of(&self.tier) != Standing::Churned)
    }
}

/// Production calls of one UTC date; a date without calls has no row.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PartnerDayRow {
    pub partner_id: String,
    #[serde(deserialize_with = "date")]
    pub event_date: NaiveDate,
    pub calls: i64,
    pub successes: i64,
    pub client_errors: i64,
    pub server_errors: i64,
    pub throttled: i64,
}

/// A proposed action of the pending plan. `kind` is `route_support`, `set_quota`, `notify` or
/// another; `from` and `to` are the quota in calls a minute (a raise that ends says `900, until 15 Oct`), the
/// queue, or who is told.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PlanRow {
    pub partner_id: String,
    pub kind: String,
    #[serde(default)]
    pub from: Option<String>,
    #[serde(default)]
    pub to: Option<String>,
    #[serde(default)]
    pub why: String,
    #[serde(default)]
    pub guardrails: Vec<String>,
}

/// Milestones of a partner, from the view `partners`; `None` where it has not got there.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PartnerRow {
    pub partner_id: String,
    pub registered_at: Option<DateTime<Utc>>,
    /// Earliest success in any environment.
    pub first_call_at: Option<DateTime<Utc>>,
    /// Earliest success in production.
    pub live_at: Option<DateTime<Utc>>,
    pub last_success_at: Option<DateTime<Utc>>,
}

/// Where a partner stands: a tier while it is live and scored, its lifecycle otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    Healthy,
    Watch,
    AtRisk,
    Thin,
    Onboarding,
    Stuck,
    Churned,
}

impl Standing {
    /// In the order they are listed everywhere.
    pub const ALL: [Self; 7] = [
        Self::Healthy,
        Self::Watch,
        Self::AtRisk,
        Self::Thin,
        Self::Onboarding,
        Self::Stuck,
        Self::Churned,
    ];

    /// Live partners have a tier or too little evidence for one.
    pub const LIVE: [Self; 4] = [Self::Healthy, Self::Watch, Self::AtRisk, Self::Thin];

    /// Its name in the lake.
    pub fn tier(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Watch => "watch",
            Self::AtRisk => "at_risk",
            Self::Thin => "insufficient_evidence",
            Self::Onboarding => "onboarding",
            Self::Stuck => "stuck",
            Self::Churned => "churned",
        }
    }

    /// A tier's name in the lake; one this report does not know is too little evidence.
    pub fn of(tier: &str) -> Self {
        match tier {
            "healthy" => Self::Healthy,
            "watch" => Self::Watch,
            "at_risk" => Self::AtRisk,
            "onboarding" => Self::Onboarding,
            "stuck" => Self::Stuck,
            "churned" => Self::Churned,
            _ => Self::Thin,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Watch => "Watch",
            Self::AtRisk => "At risk",
            Self::Thin => "Too little evidence",
            Self::Onboarding => "Onboarding",
            Self::Stuck => "Stuck",
            Self::Churned => "Churned",
        }
    }

    /// The word where room is short.
    pub fn short(self) -> &'static str {
        if self == Self::Thin { "Thin evidence" } else { self.word() }
    }

    /// In file names and CSS classes.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Watch => "watch",
            Self::AtRisk => "at-risk",
            Self::Thin => "thin",
            Self::Onboarding => "onboarding",
            Self::Stuck => "stuck",
            Self::Churned => "churned",
        }
    }

    pub fn is_live(self) -> bool {
        Self::LIVE.contains(&self)
    }
}

impl HealthRow {
    pub fn standing(&self) -> Standing {
        Standing::of(&self.tier)
    }

    /// The score of today: one that churned has none, only that of the day before.
    pub fn current_score(&self) -> Option<f64> {
        self.score.filter(|_| self.standing() != Standing::Churned)
    }

    /// The name, or the id where there is none.
    pub fn label(&self) -> String {
        crate::words::label(self.name.as_deref(), &self.partner_id)
    }

    /// The sentence behind the tier.
    pub fn reason(&self) -> &str {
        match self.top_reason.as_deref().map(str::trim) {
            Some(reason) if !reason.is_empty() => reason,
            _ => "Nothing stands out",
        }
    }
}

/// A date as `2026-01-31` or as an instant, which is the date it falls on.
#[derive(Deserialize)]
#[serde(untagged)]
enum Dated {
    Date(NaiveDate),
    Instant(DateTime<Utc>),
}

impl Dated {
    fn date(self) -> NaiveDate {
        match self {
            Self::Date(date) => date,
            Self::Instant(at) => at.date_naive(),
        }
    }
}

fn date<'de, D: Deserializer<'de>>(from: D) -> Result<NaiveDate, D::Error> {
    Dated::deserialize(from).map(Dated::date)
}

fn optional_date<'de, D: Deserializer<'de>>(from: D) -> Result<Option<NaiveDate>, D::Error> {
    Ok(Option::<Dated>::deserialize(from)?.map(Dated::date))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_row_is_read() {
        let json = r#"{"as_of":"2026-09-15T00:00:00Z","partner_id":"w-1","stage":"live",
            "tier":"at_risk","tier_since":"2026-09-14","score":37.1,"coverage":0.95,
            "signals":[{"name":"errors","score":0,"n":9,"reason":"9 alarm days","weight":20}]}"#;
        let row: HealthRow = serde_json::from_str(json).expect("a row");
        assert_eq!(row.as_of.to_string(), "2026-09-15");
        assert_eq!(row.tier_since.map(|d| d.to_string()).as_deref(), Some("2026-09-14"));
        assert_eq!(row.standing(), Standing::AtRisk);
        assert_eq!(row.label(), "w-1");
        assert_eq!(row.reason(), "Nothing stands out");
        assert_eq!(row.signals[0].contribution, None);
    }

    #[test]
    fn an_unknown_tier_is_too_little_evidence() {
        for (tier, standing) in
            [("healthy", Standing::Healthy), ("", Standing::Thin), ("x", Standing::Thin)]
        {
            assert_eq!(Standing::of(tier), standing);
        }
    }
}
