//! The rows of the metrics on where revenue comes from. A field has the name and meaning of the column
//! in its metric; amounts are in the reporting currency.

use chrono::NaiveDate;
use serde::Deserialize;

use crate::metric_rows::amount;

/// The revenue of a day or a week with a billing event.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RevenuePeriodRow {
    /// The day itself, or a Monday.
    #[serde(alias = "day", alias = "week")]
    pub start: NaiveDate,
    #[serde(deserialize_with = "amount")]
    pub gross: f64,
    #[serde(deserialize_with = "amount")]
    pub net: f64,
}

/// Why the gross of a month differs from that of the month before.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RevenueBridgeRow {
    pub month: NaiveDate,
    #[serde(deserialize_with = "amount")]
    pub start: f64,
    #[serde(deserialize_with = "amount")]
    pub new: f64,
    #[serde(deserialize_with = "amount")]
    pub reactivation: f64,
    #[serde(deserialize_with = "amount")]
    pub expansion: f64,
    #[serde(deserialize_with = "amount")]
    pub contraction: f64,
    #[serde(deserialize_with = "amount")]
    pub churn: f64,
    #[serde(deserialize_with = "amount")]
    pub end: f64,
    /// Net revenue retention.
    pub nrr: Option<f64>,
    /// Gross revenue retention.
    pub grr: Option<f64>,
    pub complete: bool,
}

/// The revenue of a product in a month. `None` as product: what was billed without one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RevenueByProductRow {
    pub month: NaiveDate,
    pub product: Option<String>,
    #[serde(deserialize_with = "amount")]
    pub gross: f64,
    #[serde(deserialize_with = "amount")]
    pub net: f64,
    pub paying_partners: i64,
}

/// The billing events of one kind in a month. `share` is of the month's gross.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RevenueByKindRow {
    pub month: NaiveDate,
    pub kind: String,
    #[serde(deserialize_with = "amount")]
    pub amount: f64,
    pub partners: i64,
    pub share: Option<f64>,
}

/// How the partners of a registration month come to their first charge. `None` as month: all partners.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct FreeToPaidRow {
    pub cohort_month: Option<NaiveDate>,
    pub partners: i64,
    pub paid: i64,
    /// 0–1: the share of the partners with a charge.
    pub paid_rate: Option<f64>,
    /// From registration to the first charge. `None`: fewer than half have got there.
    pub median_seconds: Option<f64>,
    /// 0–1. `None`: nobody has been observed for so long.
    pub within_30d: Option<f64>,
    pub within_90d: Option<f64>,
    pub unpaid_live: i64,
    pub unpaid_calls: i64,
    pub unpaid_tickets: i64,
}
