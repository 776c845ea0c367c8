//! Rows about single partners: health and its movement, traffic, milestones.

use chrono::{DateTime, NaiveDate, Utc};
use domain::{SignalName, Stage, Tier, format};
use serde::{Deserialize, Deserializer};

use crate::tiers;

/// One signal of a health score.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SignalRow {
    pub name: SignalName,
    /// The measured value, in the unit of the signal.
    pub value: Option<f64>,
    /// 0–100. `None`: the signal could not be measured.
    pub score: Option<f64>,
    /// Points that the signal adds to the score of the partner, or takes from it.
    pub contribution: Option<f64>,
    /// The number of observations behind the value.
    #[serde(default)]
    pub n: i64,
    #[serde(default)]
    pub reason: String,
    pub weight: f64,
}

/// One row of `partner_health`, with the attributes of the partner as far as they are known.
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
    pub integration_level: Option<String>,
    /// In words: since when it is suspended or offboarded.
    #[serde(default)]
    pub inactive: Option<String>,
    pub stage: Stage,
    #[serde(deserialize_with = "tier")]
    pub tier: Tier,
    /// Since when the computed tier holds.
    #[serde(default, deserialize_with = "optional_date")]
    pub tier_since: Option<NaiveDate>,
    /// 0–100. `None`: there is too little evidence, or the partner is not live.
    pub score: Option<f64>,
    /// 0–1: the weight of the measured signals over the weight of the applicable ones.
    pub coverage: Option<f64>,
    /// In words: the gate that decides the tier.
    #[serde(default)]
    pub gate: Option<String>,
    /// 0–1: the probability that the partner leaves.
    #[serde(default)]
    pub risk: Option<f64>,
    /// Until when the tier is one that a person set.
    #[serde(default, deserialize_with = "optional_date")]
    pub override_until: Option<NaiveDate>,
    /// The day on which a person set the tier.
    #[serde(default, deserialize_with = "optional_date")]
    pub override_since: Option<NaiveDate>,
    /// 0–1: the share of the programme's gross revenue.
    pub impact_share: Option<f64>,
    pub impact_rank: Option<i64>,
    pub top_reason: Option<String>,
    #[serde(default)]
    pub policy_version: String,
    /// The tier that the policy gives, if a person has overridden it.
    #[serde(default, deserialize_with = "optional_tier")]
    pub computed_tier: Option<Tier>,
    #[serde(default)]
    pub signals: Vec<SignalRow>,
}

/// The production calls of a partner in a period. A period without calls has no row.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct TrafficRow {
    pub partner_id: String,
    /// The first UTC date of the period: the day itself, a Monday, or the first of a month.
    #[serde(alias = "event_date", alias = "week", alias = "month", deserialize_with = "date")]
    pub start: NaiveDate,
    pub calls: i64,
    pub successes: i64,
    pub client_errors: i64,
    pub server_errors: i64,
    pub throttled: i64,
}

impl TrafficRow {
    /// Adds the calls of another row.
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.successes += other.successes;
        self.client_errors += other.client_errors;
        self.server_errors += other.server_errors;
        self.throttled += other.throttled;
    }
}

/// The milestones of a partner, from the view `partners`. `None`: the partner has not reached it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PartnerRow {
    pub partner_id: String,
    pub registered_at: Option<DateTime<Utc>>,
    /// The earliest successful call in any environment.
    pub first_call_at: Option<DateTime<Utc>>,
    /// The earliest successful call in production.
    pub live_at: Option<DateTime<Utc>>,
    pub last_success_at: Option<DateTime<Utc>>,
}

/// How a partner moved since a day, from the query `score_movers`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MoverRow {
    /// `fell`, `rose`, `moved`, `same` or `new`.
    pub direction: String,
    pub partner_id: String,
    pub tier_then: Option<String>,
    pub tier: String,
    pub score_then: Option<f64>,
    pub score: Option<f64>,
    pub reason: String,
}

impl MoverRow {
    /// Returns whether the partner moved by a tier or a point.
    pub(crate) fn has_moved(&self) -> bool {
        !matches!(self.direction.as_str(), "same" | "new")
    }
}

impl HealthRow {
    /// Returns the score of today. A churned partner has none: its row repeats the last one.
    pub fn current_score(&self) -> Option<f64> {
        self.score.filter(|_| self.tier != Tier::Churned)
    }

    /// Returns since when the partner has the tier that is shown. Of a tier that a person set it is the
    /// day on which that was done, whatever the computed tier was before.
    pub fn since(&self) -> Option<NaiveDate> {
        match self.override_until {
            Some(_) => self.override_since,
            None => self.tier_since,
        }
    }

    /// Returns the name, or the id of a partner without one.
    pub fn label(&self) -> String {
        format::name_or_id(self.name.as_deref(), &self.partner_id)
    }

    /// Returns the sentence that explains the tier.
    pub fn reason(&self) -> &str {
        match self.top_reason.as_deref().map(str::trim) {
            Some(reason) if !reason.is_empty() => reason,
            _ => "Nothing stands out",
        }
    }
}

/// A date as `2026-01-31`, or an instant that stands for its UTC date.
#[derive(Deserialize)]
#[serde(untagged)]
enum DateOrInstant {
    Date(NaiveDate),
    Instant(DateTime<Utc>),
}

impl DateOrInstant {
    fn date(self) -> NaiveDate {
        match self {
            Self::Date(date) => date,
            Self::Instant(at) => at.date_naive(),
        }
    }
}

fn date<'de, D: Deserializer<'de>>(from: D) -> Result<NaiveDate, D::Error> {
    DateOrInstant::deserialize(from).map(DateOrInstant::date)
}

fn optional_date<'de, D: Deserializer<'de>>(from: D) -> Result<Option<NaiveDate>, D::Error> {
    Ok(Option::<DateOrInstant>::deserialize(from)?.map(DateOrInstant::date))
}

pub(crate) fn tier<'de, D: Deserializer<'de>>(from: D) -> Result<Tier, D::Error> {
    String::deserialize(from).map(|name| tiers::parse(&name))
}

pub(crate) fn optional_tier<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Tier>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(|name| tiers::parse(&name)))
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
        assert_eq!(row.tier, Tier::AtRisk);
        assert_eq!(row.computed_tier, None);
        assert_eq!(row.label(), "w-1");
        assert_eq!(row.reason(), "Nothing stands out");
        assert_eq!(row.signals[0].contribution, None);
    }

    #[test]
    fn a_tier_that_a_person_set_holds_since_the_day_on_which_it_was_set() {
        #[track_caller]
        fn check(fields: &str, since: Option<&str>) {
            let json = format!(
                r#"{{"as_of":"2026-11-30","partner_id":"w-1","stage":"live","tier":"at_risk",
                "tier_since":"2026-08-01"{fields}}}"#
            );
            let row: HealthRow = serde_json::from_str(&json).expect("a row");
            assert_eq!(row.since().map(|day| day.to_string()).as_deref(), since);
        }
        check("", Some("2026-08-01"));
        let set = r#","override_until":"2026-12-07","override_since":"2026-11-30""#;
        check(set, Some("2026-11-30"));
        check(r#","override_until":"2026-12-07""#, None);
    }
}
