//! Registration cohorts: which are large enough and old enough to compare.

use chrono::{Days, NaiveDate};

use crate::metric_rows::ActivationRow;
use crate::months;

/// Rates of cohorts with fewer partners than this are not shown.
pub(crate) const SMALL_COHORT: i64 = 10;

/// Returns the day on which the last partner of a registration month has been observed for 30 days.
pub(crate) fn matures_on(month: NaiveDate) -> NaiveDate {
    months::next_month(month) + Days::new(29)
}

/// Returns the cohorts whose partners have all been observed for 30 days, without small cohorts.
pub(crate) fn mature_cohorts(rows: &[ActivationRow]) -> Vec<&ActivationRow> {
    let is_comparable = |row: &&ActivationRow| {
        row.cohort_month.is_some()
            && row.mature
            && row.partners >= SMALL_COHORT
            && row.activation_rate.is_some()
    };
    rows.iter().filter(is_comparable).collect()
}
