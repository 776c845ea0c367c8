//! The rows of the metrics on the service: products, endpoints, versions, promises, errors. A field
//! has the name and meaning of the column in its metric.

use chrono::NaiveDate;
use serde::Deserialize;

/// The production calls of a product in a month. `None` as product: calls without one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ProductUsageRow {
    pub month: NaiveDate,
    pub product: Option<String>,
    pub partners: i64,
    pub calls: i64,
    pub success_rate: f64,
    pub p95_ms: Option<f64>,
}

/// The production calls of an endpoint in a month.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EndpointUsageRow {
    pub month: NaiveDate,
    pub product: Option<String>,
    pub method: Option<String>,
    pub endpoint: Option<String>,
    pub partners: i64,
    pub calls: i64,
    pub share: f64,
    pub success_rate: f64,
    pub throttled_rate: f64,
    pub server_error_rate: f64,
    pub mean_latency_ms: Option<f64>,
}

/// What a partner's plan promised for a month, and what it got.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SlaBreachRow {
    pub month: NaiveDate,
    pub partner_id: String,
    pub target: Option<f64>,
    pub availability: f64,
    pub latency_target_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub breached: bool,
}

/// The production calls of an API version in a month. `None` as version: calls without one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct VersionAdoptionRow {
    pub month: NaiveDate,
    pub api_version: Option<String>,
    pub partners: i64,
    pub calls: i64,
    pub share: f64,
    pub sunset_on: Option<NaiveDate>,
    pub days_to_sunset: Option<i64>,
}

/// A day on which a partner's client errors stood clearly above what is usual for it: a row of
/// `error_trend` with an alarm.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ErrorAlarmRow {
    pub partner_id: String,
    pub event_date: NaiveDate,
    pub calls: i64,
    pub client_error_rate: f64,
    pub baseline_rate: Option<f64>,
}
