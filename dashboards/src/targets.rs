//! The goals that a project sets for headline figures.

use serde::{Deserialize, Serialize};

/// The goals of a project. `None`: there is none for that figure.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Targets {
    /// Partners with a successful production call in a month.
    pub active_partners: Option<f64>,
    /// Partners charged in a month.
    pub paying_partners: Option<f64>,
    /// The gross of a month in the reporting currency.
    pub gross_revenue: Option<f64>,
    /// 0–1: the share that churns in a month, at most.
    pub churn_rate: Option<f64>,
    /// 0–1: the share of a cohort that is live within 30 days.
    pub activation_rate: Option<f64>,
    /// Net revenue retention: 1 keeps what last month's payers paid.
    pub nrr: Option<f64>,
}
