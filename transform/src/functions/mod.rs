//! The SQL functions that the queries need and DataFusion lacks.
//!
//! - `documentation`: the documentation of a function
//! - `checked_sum`: exact sums of money and counts
//! - `histogram`, `histogram_counts`, `histogram_aggregate`: latency histograms and percentiles
//! - `calendar`: calendar months
//! - `finite`: NULL in place of NaN and the infinities
//! - `concentration`: the Gini coefficient and the Herfindahl–Hirschman index
//! - `survival`: Kaplan–Meier curves
//! - `median_deviation`: the median absolute deviation
//! - `trend`: CUSUM and the Wilson interval
//! - `trailing`: sums and deviations over the days before a row
//! - `utc_date_trunc`: DataFusion's own `date_trunc`, fast on UTC instants
//! - `distinct_count`: DataFusion's own `count`, with one table for the distinct values of all groups
//! - `collect`, `scalar`: adapters from plain functions to DataFusion's aggregates and scalars

use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::prelude::SessionContext;

mod calendar;
mod checked_sum;
mod collect;
mod concentration;
mod distinct_count;
mod documentation;
mod finite;
mod histogram;
mod histogram_aggregate;
mod histogram_counts;
mod median_deviation;
mod scalar;
mod survival;
#[cfg(test)]
mod test_queries;
mod trailing;
mod trend;
mod utc_date_trunc;

pub use documentation::FunctionDoc;

/// Returns the documentation of every function: first scalars, then aggregates, then windows.
pub fn functions() -> Vec<FunctionDoc> {
    let scalars = scalars().into_iter().map(|(function, _)| function);
    let aggregates = aggregates().into_iter().map(|(function, _)| function);
    let windows = windows().into_iter().map(|(function, _)| function);
    scalars.chain(aggregates).chain(windows).collect()
}

/// Registers every function in a session.
pub(crate) fn register(context: &SessionContext) {
    context.register_udf(utc_date_trunc::date_trunc());
    for (_, function) in scalars() {
        context.register_udf(function);
    }
    context.register_udaf(distinct_count::count());
    for (_, function) in aggregates() {
        context.register_udaf(function);
    }
    for (_, function) in windows() {
        context.register_udwf(function);
    }
}

fn scalars() -> Vec<(FunctionDoc, ScalarUDF)> {
    vec![
        (calendar::MONTH_START, calendar::month_start()),
        (calendar::NEXT_MONTH, calendar::next_month()),
        (calendar::MONTHS_APART, calendar::months_apart()),
        (calendar::MONTH_SERIES, calendar::month_series()),
        (finite::FINITE, finite::finite()),
        (histogram::HISTOGRAM_PERCENTILE, histogram::histogram_percentile()),
        (survival::SURVIVAL_QUANTILE, survival::survival_quantile()),
        (survival::SURVIVAL_AT, survival::survival_at()),
        (trend::WILSON_LOWER, trend::wilson_lower()),
    ]
}

fn aggregates() -> Vec<(FunctionDoc, AggregateUDF)> {
    vec![
        (checked_sum::CHECKED_SUM, checked_sum::checked_sum()),
        (histogram_aggregate::LATENCY_HISTOGRAM, histogram_aggregate::latency_histogram()),
        (histogram_aggregate::MERGE_HISTOGRAMS, histogram_aggregate::merge_histograms()),
        (concentration::GINI, concentration::gini()),
        (concentration::HHI, concentration::hhi()),
        (survival::KAPLAN_MEIER, survival::kaplan_meier()),
        (trend::CUSUM, trend::cusum()),
        (median_deviation::MEDIAN_DEVIATION, median_deviation::median_deviation()),
    ]
}

fn windows() -> Vec<(FunctionDoc, WindowUDF)> {
    vec![
        (trailing::TRAILING_SUM, trailing::trailing_sum()),
        (trailing::TRAILING_DEVIATION, trailing::trailing_deviation()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_function_is_described_under_its_name() {
        let ours = SessionContext::new();
        register(&ours);
        let names = |context: &SessionContext| -> BTreeSet<String> {
            let state = context.state();
            // Aliases are other names of the same function.
            let scalars = state.scalar_functions().values().map(|f| f.name().to_owned());
            let aggregates = state.aggregate_functions().values().map(|f| f.name().to_owned());
            let windows = state.window_functions().values().map(|f| f.name().to_owned());
            scalars.chain(aggregates).chain(windows).collect()
        };
        let registered = &names(&ours) - &names(&SessionContext::new());
        let described = functions().iter().map(|f| f.name().to_owned()).collect();
        assert_eq!(registered, described);
    }

    #[tokio::test]
    async fn every_example_gives_what_it_says() {
        for function in functions() {
            assert!(function.example.contains(function.name()), "{}", function.example);
            test_queries::check(function.example, &[function.example_result]).await;
        }
        let alias =
            "SELECT percentile_from_histogram(latency_histogram(x), 1) FROM (VALUES (64)) AS t(x)";
        test_queries::check(alias, &["64.0"]).await;
    }
}
