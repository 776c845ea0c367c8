//! Metrics recomputed in plain Rust from the true events of a world, without SQL.
//!
//! The code follows the definitions, partner by partner. The results are compared with what the
//! program computes from the same events by Kafka, Parquet, rollups and SQL.
//!
//! - `history`: collects the events into one history for each partner
//! - `merges`: which partner survives a merge
//! - `survival`: the Kaplan–Meier estimate
//! - `metrics`: funnel, growth, retention, revenue
//! - `onboarding`: how partners come to production and to paying
//! - `money`: kinds of revenue, payments, reconciliation, the programme's value
//! - `traffic`: credentials, retries, endpoints
//! - `support`: tickets against revenue, causes of churn
//! - `programme_stage`: the stage of the programme
//! - `table`: compares rows with a CSV file

use std::collections::BTreeSet;

use domain::{Day, month_of};

mod history;
mod merges;
mod metrics;
mod money;
mod onboarding;
mod programme_stage;
mod support;
mod survival;
mod table;
mod traffic;

pub(crate) use history::{History, PartnerHistories, partner_histories};
pub(crate) use table::{Cell, Table};

/// What the metrics are told beside the events.
pub(crate) struct Settings<'a> {
    /// The CSV table of the programme's cost and the company's revenue.
    pub(crate) programme_csv: &'a str,
    /// Returns what the lake stores of a credential.
    pub(crate) hash_credential: &'a dyn Fn(&str) -> String,
}

/// Recomputes the metrics, and returns them by name.
pub(crate) fn all(
    histories: &PartnerHistories,
    settings: &Settings<'_>,
) -> Vec<(&'static str, Table)> {
    vec![
        ("funnel", metrics::funnel(histories)),
        ("growth", metrics::growth(histories)),
        ("revenue_summary", metrics::revenue_summary(histories)),
        ("cohort_retention", metrics::cohort_retention(histories)),
        ("time_to_first_call", onboarding::time_to_first_call(histories)),
        ("onboarding_steps", onboarding::onboarding_steps(histories)),
        ("time_to_production", onboarding::time_to_production(histories)),
        ("self_service", onboarding::self_service(histories)),
        ("free_to_paid", onboarding::free_to_paid(histories)),
        ("revenue_by_kind", money::revenue_by_kind(histories)),
        ("payment_failures", money::payment_failures(histories)),
        ("reconciliation", money::reconciliation(histories)),
        ("programme_value", money::programme_value(histories, settings.programme_csv)),
        ("attention", support::attention(histories)),
        ("churn_causes", support::churn_causes(histories)),
        ("credential_hygiene", traffic::credential_hygiene(histories, settings.hash_credential)),
        ("retry_hygiene", traffic::retry_hygiene(histories)),
        ("endpoint_usage", traffic::endpoint_usage(histories)),
        ("breadth", traffic::breadth(histories)),
        ("programme_stage", programme_stage::programme_stage(histories)),
    ]
}

/// Returns the partners of each month of an instant, such as their registration, and last all that
/// have one, without a month.
fn cohorts(
    histories: &PartnerHistories,
    instant: impl Fn(&History) -> Option<i64>,
) -> Vec<(Cell, Vec<&History>)> {
    let month = |p: &History| instant(p).map(|at| month_of(Day::of_micros(at)));
    let all: Vec<&History> = histories.partners.values().filter(|p| month(p).is_some()).collect();
    let months: BTreeSet<Day> = all.iter().filter_map(|p| month(p)).collect();
    let of = |m: Day| all.iter().copied().filter(|p| month(p) == Some(m)).collect();
    let mut cohorts: Vec<(Cell, Vec<&History>)> =
        months.into_iter().map(|m| (Cell::Date(m), of(m))).collect();
    cohorts.push((Cell::Null, all));
    cohorts
}

fn count(partners: &[&History], is: impl Fn(&History) -> bool) -> i64 {
    partners.iter().filter(|p| is(p)).count() as i64
}

/// Returns the nearest-rank median, NULL of nothing.
fn median(mut values: Vec<i64>) -> Cell {
    values.sort_unstable();
    match values.len() {
        0 => Cell::Null,
        n => Cell::Int(values[n.div_ceil(2) - 1]),
    }
}

#[test]
fn the_median_is_nearest_rank() {
    assert_eq!(median(vec![]), Cell::Null);
    assert_eq!(median(vec![9, 1]), Cell::Int(1));
    assert_eq!(median(vec![9, 1, 5]), Cell::Int(5));
}
