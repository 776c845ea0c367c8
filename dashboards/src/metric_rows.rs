//! The rows of the metrics. A field has the name and meaning of the column in its metric.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer};

/// A registration cohort in the funnel. On the row of all cohorts `cohort_month` is `None`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct FunnelRow {
    pub cohort_month: Option<NaiveDate>,
    pub registered: i64,
    pub sandbox: i64,
    pub production: i64,
    pub revenue: i64,
    pub sandbox_rate: Option<f64>,
    pub production_rate: Option<f64>,
    pub revenue_rate: Option<f64>,
    pub overall_rate: Option<f64>,
}

/// The time from registration to the first successful call, by registration cohort.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TimeToFirstCallRow {
    pub cohort_month: Option<NaiveDate>,
    pub partners: i64,
    pub reached: i64,
    pub median_seconds: Option<f64>,
    pub p90_seconds: Option<f64>,
    pub within_30m: Option<f64>,
    pub within_1d: Option<f64>,
    pub within_7d: Option<f64>,
    pub within_30d: Option<f64>,
}

/// A step of onboarding. On the rows of all cohorts `cohort_month` is `None`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct OnboardingStepRow {
    pub cohort_month: Option<NaiveDate>,
    /// 1 to 9.
    pub step: i64,
    pub name: String,
    pub reached: i64,
    pub median_seconds: Option<f64>,
    pub step_median_seconds: Option<f64>,
    pub waiting: i64,
    pub median_waiting_days: Option<i64>,
}

/// The time from registration to the first success in production, by registration cohort.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TimeToProductionRow {
    pub cohort_month: Option<NaiveDate>,
    pub partners: i64,
    pub reached: i64,
    pub median_seconds: Option<f64>,
    pub p90_seconds: Option<f64>,
    pub within_1d: Option<f64>,
    pub within_7d: Option<f64>,
    pub within_30d: Option<f64>,
    pub within_90d: Option<f64>,
}

/// The partners of a go-live cohort that needed no support ticket before.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SelfServiceRow {
    pub cohort_month: Option<NaiveDate>,
    pub live: i64,
    pub touchless: i64,
    pub touchless_rate: Option<f64>,
    pub tickets_before_live: i64,
    pub median_days_to_live: Option<i64>,
}

/// The partners of a registration cohort that went live within 30 days.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ActivationRow {
    pub cohort_month: Option<NaiveDate>,
    pub partners: i64,
    pub observed: i64,
    pub activated: i64,
    pub activation_rate: Option<f64>,
    pub ever_activated: i64,
    pub mature: bool,
}

/// A registered partner that is not live and has been in its stage for 30 days or more.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StuckPartnerRow {
    pub partner_id: String,
    pub stage: String,
    pub since: DateTime<Utc>,
    pub days_in_stage: i64,
    pub registered_at: DateTime<Utc>,
    pub last_call_at: Option<DateTime<Utc>>,
}

/// The growth accounting of a month.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct GrowthRow {
    pub month: NaiveDate,
    pub active: i64,
    pub new: i64,
    pub retained: i64,
    pub resurrected: i64,
    pub churned: i64,
    pub growth_rate: Option<f64>,
    pub churn_rate: Option<f64>,
    pub quick_ratio: Option<f64>,
    pub complete: bool,
}

/// A go-live cohort in one month since. `gross` is in the reporting currency.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CohortRetentionRow {
    pub cohort_month: NaiveDate,
    pub months_since: i64,
    pub cohort_size: i64,
    pub active: i64,
    pub retention: Option<f64>,
    pub churned: i64,
    pub calls: i64,
    #[serde(deserialize_with = "amount")]
    pub gross: f64,
    pub complete: bool,
}

/// What preceded the loss of a partner.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ChurnCauseRow {
    pub partner_id: String,
    /// `locked_out`, `errors`, `throttled`, `service`, `price`, `fade` or `abrupt`.
    pub cause: String,
}

/// The revenue of a partner in a month, in the reporting currency.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RevenuePerPartnerRow {
    pub month: NaiveDate,
    pub partner_id: String,
    #[serde(deserialize_with = "amount")]
    pub gross: f64,
    #[serde(deserialize_with = "amount")]
    pub credits: f64,
    #[serde(deserialize_with = "amount")]
    pub refunds: f64,
    #[serde(deserialize_with = "amount")]
    pub net: f64,
    pub share: Option<f64>,
    pub rank: i64,
}

/// The revenue of all partners in a month, in the reporting currency.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RevenueSummaryRow {
    pub month: NaiveDate,
    #[serde(deserialize_with = "amount")]
    pub gross: f64,
    #[serde(deserialize_with = "amount")]
    pub net: f64,
    pub paying_partners: i64,
    pub mean_gross: Option<f64>,
    #[serde(default, deserialize_with = "optional_amount")]
    pub median_gross: Option<f64>,
    pub top10_share: Option<f64>,
    pub hhi: Option<f64>,
    pub gini: Option<f64>,
    pub complete: bool,
}

/// The production calls of a partner in the 28 days before `as_of`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PartnerReliabilityRow {
    pub partner_id: String,
    pub calls: i64,
    pub success_rate: Option<f64>,
    pub client_error_rate: Option<f64>,
    pub auth_failure_rate: Option<f64>,
    pub throttled_rate: Option<f64>,
    pub server_error_rate: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub calls_per_day: Option<f64>,
}

/// The quota of a partner and its use.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ThrottlingRow {
    pub partner_id: String,
    pub quota_per_minute: Option<i64>,
    pub peak_per_minute: Option<i64>,
    pub utilisation: Option<f64>,
    pub throttled_rate: Option<f64>,
    pub needs_upgrade: bool,
}

/// A check of the data. `sample` is an example of what it found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DataQualityRow {
    pub check: String,
    pub failing: i64,
    pub sample: Option<String>,
}

/// A decimal as a JSON number, or as a JSON string that keeps all its digits.
#[derive(Deserialize)]
#[serde(untagged)]
enum DecimalValue {
    Number(f64),
    Text(String),
}

impl DecimalValue {
    fn parsed<E: serde::de::Error>(self) -> Result<f64, E> {
        match self {
            Self::Number(value) => Ok(value),
            Self::Text(text) => text.trim().parse().map_err(|_| {
                E::custom(format!("\"{text}\" is no decimal; write money as 12.50 or \"12.50\""))
            }),
        }
    }
}

pub(crate) fn amount<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    DecimalValue::deserialize(from)?.parsed()
}

fn optional_amount<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Option::<DecimalValue>::deserialize(from)?.map(DecimalValue::parsed).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_as_number_or_text() {
        #[track_caller]
        fn check(gross: &str, median: &str, expected: (f64, Option<f64>)) {
            let json = format!(
                r#"{{"month":"2026-08-01","gross":{gross},"net":1{median},"paying_partners":1,"complete":true}}"#
            );
            let row: RevenueSummaryRow = serde_json::from_str(&json).expect("a row");
            assert_eq!((row.gross, row.median_gross), expected);
        }
        check("12.5", "", (12.5, None));
        check("\"12.500000000000\"", ",\"median_gross\":null", (12.5, None));
        check("0", ",\"median_gross\":\"3.25\"", (0.0, Some(3.25)));
    }

    #[test]
    fn a_bad_amount_says_how_to_write_it() {
        let json =
            r#"{"month":"2026-08-01","gross":"much","net":1,"paying_partners":1,"complete":true}"#;
        let error = serde_json::from_str::<RevenueSummaryRow>(json).expect_err("no decimal");
        assert!(error.to_string().contains("\"much\" is no decimal"), "{error}");
    }

    #[test]
    fn absent_columns_are_unknown() {
        let json = r#"{"partner_id":"p","calls":0}"#;
        let row: PartnerReliabilityRow = serde_json::from_str(json).expect("a row");
        assert_eq!(row.success_rate, None);
        let json = r#"{"registered":3,"sandbox":2,"production":1,"revenue":0}"#;
        let row: FunnelRow = serde_json::from_str(json).expect("a row");
        assert_eq!(row.cohort_month, None);
    }
}
