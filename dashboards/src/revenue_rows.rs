//! The rows of the metrics on where revenue comes from. A field has the name and meaning of the column
//! in its metric; amounts are in the reporting currency.

use chrono::NaiveDate;
use serde::Deserialize;

use crate::metric_rows::amount;
use crate::months::next_month;

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
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
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

/// Takes months after the last day on which anybody was charged as unfinished: bills arrive late far more
/// often than all partners leave at once.
pub fn mark_unbilled_months(rows: &mut [RevenueBridgeRow], charged_on: Option<NaiveDate>) {
    let is_unbilled = |row: &RevenueBridgeRow| charged_on.is_some_and(|day| row.month > day);
    for row in rows.iter_mut().filter(|row| is_unbilled(row)) {
        row.complete = false;
    }
}

/// Returns the first month that is over and in which nobody has been charged yet, if
/// [`mark_unbilled_months`] found one.
pub(crate) fn unbilled_month(rows: &[RevenueBridgeRow], as_of: NaiveDate) -> Option<NaiveDate> {
    let is_over = |row: &&RevenueBridgeRow| next_month(row.month) <= as_of;
    rows.iter().find(|row| !row.complete && is_over(row)).map(|row| row.month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_after_the_last_charge_are_unfinished() {
        #[track_caller]
        fn check(charged_on: Option<&str>, complete: [bool; 4], unbilled: Option<&str>) {
            let date = |text: &str| text.parse::<NaiveDate>().expect("a date");
            let as_of = date("2026-04-10");
            let mut rows: Vec<RevenueBridgeRow> = Vec::new();
            for month in ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"].map(date) {
                let complete = next_month(month) <= as_of;
                rows.push(RevenueBridgeRow { month, complete, ..RevenueBridgeRow::default() });
            }
            mark_unbilled_months(&mut rows, charged_on.map(date));
            assert_eq!(rows.iter().map(|row| row.complete).collect::<Vec<_>>(), complete);
            let found = unbilled_month(&rows, as_of).map(|month| month.to_string());
            assert_eq!(found.as_deref(), unbilled);
        }
        check(Some("2026-04-01"), [true, true, true, false], None);
        check(Some("2026-03-01"), [true, true, true, false], None);
        check(Some("2026-02-28"), [true, true, false, false], Some("2026-03-01"));
        check(Some("2026-01-01"), [true, false, false, false], Some("2026-02-01"));
        check(None, [true, true, true, false], None);
    }
}
