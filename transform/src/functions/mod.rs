//! The SQL functions that the queries need beyond DataFusion's own.
//!
//! Reading order: `checked_sum` (money and counts), `histogram` and `histogram_aggregate`
//! (latency), `calendar` (months),
//! `concentration` (gini, HHI), `survival` (Kaplan–Meier), `trend` (error_trend); `collect` and
//! `scalar` turn plain functions into DataFusion's.

use datafusion::prelude::SessionContext;

mod calendar;
mod checked_sum;
mod collect;
mod concentration;
mod histogram;
mod histogram_aggregate;
mod scalar;
mod survival;
#[cfg(test)]
mod testing;
mod trend;

/// Makes every function known to a session.
pub(crate) fn register(context: &SessionContext) {
    for aggregate in [
        checked_sum::checked_sum(),
        histogram_aggregate::latency_histogram(),
        histogram_aggregate::merge_histograms(),
        concentration::gini(),
        concentration::hhi(),
        survival::kaplan_meier(),
        trend::cusum(),
        trend::median_deviation(),
    ] {
        context.register_udaf(aggregate);
    }
    for function in [
        histogram::histogram_percentile(),
        calendar::month_start(),
        calendar::next_month(),
        calendar::months_apart(),
        calendar::month_series(),
        survival::survival_quantile(),
        survival::survival_at(),
        trend::wilson_lower(),
    ] {
        context.register_udf(function);
    }
}
