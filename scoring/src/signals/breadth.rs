//! Breadth: the products and endpoints in use, beside those of the segment.

use domain::counted;
use domain::format::decimal;
use serde::Deserialize;

use super::signal::{Measured, NO_CALLS, Signal, SignalInput};
use crate::columns::{ColumnMath, Numbers};
use crate::frames::ScoreError;
use crate::sentences::Sentences;
use crate::value_check::{ValueCheck, is_positive, value_check};

/// The signal `breadth`, a candidate: 100 · the mean of min(1, products / those of the segment) and
/// min(1, endpoints / those of the segment), in use in W. Where the calls name only one of the two,
/// it is that one. More than usual is no better than usual.
///
/// Its value is the mean, a ratio; its n is the number of calls.
pub(crate) struct Breadth;

/// The table `[breadth]` of the scoring policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Days since go-live from which the signal applies.
    min_live_days: f64,
    /// The longest cadence, in days, with which the signal applies.
    max_cadence_days: f64,
}

impl Signal for Breadth {
    type Parameters = Parameters;

    const INPUT: &'static str = "scoring_breadth";
    const CANDIDATE: bool = true;

    fn checks(parameters: &Parameters) -> Vec<ValueCheck> {
        let Parameters { min_live_days: live, max_cadence_days: cadence } = *parameters;
        vec![
            value_check("breadth.min_live_days", &live, "more than 0", is_positive(live)),
            value_check("breadth.max_cadence_days", &cadence, "more than 0", is_positive(cadence)),
        ]
    }

    fn measure(input: &SignalInput<'_>, parameters: &Parameters) -> Result<Measured, ScoreError> {
        let Parameters { min_live_days: live, max_cadence_days: longest } = *parameters;
        let applies = input.partners.live_days.is(|days| days >= live)
            & input.partners.cadence.is(|cadence| cadence <= longest);
        let used = Used::of(input)?;
        let products = used.products.only_where(&applies).over(&used.usual_products);
        let endpoints = used.endpoints.only_where(&applies).over(&used.usual_endpoints);
        let [products, endpoints] = [products, endpoints].map(|ratio| ratio.map(|r| r.min(1.0)));
        let known = |ratio: &Numbers| ratio.map(|_| 1.0).or(0.0);
        let named = known(&products) + known(&endpoints);
        let mean = (products.or(0.0) + endpoints.or(0.0)).over(&named);
        Ok(Measured {
            score: mean.map(|mean| 100.0 * mean),
            value: mean,
            n: input.rows.i64("calls")?.clone(),
            applies,
            weight_share: None,
        })
    }

    fn reasons(
        input: &SignalInput<'_>,
        measured: &Measured,
        _parameters: &Parameters,
    ) -> Result<Sentences, ScoreError> {
        let used = Used::of(input)?;
        Ok(measured.sentences(|row, value| {
            if value.is_none() {
                let is_silent = measured.n.get(row).unwrap_or_default() == 0;
                let unnamed = "Its calls name neither a product nor an endpoint";
                return if is_silent { NO_CALLS } else { unnamed }.to_owned();
            }
            let products = used.products.get(row).zip(used.usual_products.get(row));
            let endpoints = used.endpoints.get(row).zip(used.usual_endpoints.get(row));
            let named = [(products, "product"), (endpoints, "endpoint")];
            let named = named.into_iter().filter_map(|(known, noun)| Some((known?, noun)));
            let (own, usual): (Vec<String>, Vec<String>) =
                named.map(|((own, usual), noun)| (counted(own as i64, noun), short(usual))).unzip();
            format!("Uses {}; usual: {}", own.join(" and "), usual.join(" and "))
        }))
    }
}

/// What partners use, and what is usual among their peers.
struct Used {
    products: Numbers,
    endpoints: Numbers,
    usual_products: Numbers,
    usual_endpoints: Numbers,
}

impl Used {
    fn of(input: &SignalInput<'_>) -> Result<Self, ScoreError> {
        let products = input.rows.count("products")?;
        let endpoints = input.rows.count("endpoints")?;
        let usual = |own: &Numbers| input.peers.median(&own.only_where(&input.partners.is_live));
        let (usual_products, usual_endpoints) = (usual(&products), usual(&endpoints));
        Ok(Self { products, endpoints, usual_products, usual_endpoints })
    }
}

/// Writes a number with one decimal place, or without any if it is whole.
fn short(value: f64) -> String {
    let text = decimal(value, 1);
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::test_input::{Answer, TestPartner, default_policy, live, live_for, measure};

    /// One partner's row: calls, products, endpoints.
    type Row = (Option<i64>, Option<i64>, Option<i64>);

    fn answers(rows: &[(TestPartner, Row)]) -> Vec<Answer> {
        let frame = df!(
            "calls" => rows.iter().map(|r| r.1.0).collect::<Vec<_>>(),
            "products" => rows.iter().map(|r| r.1.1).collect::<Vec<_>>(),
            "endpoints" => rows.iter().map(|r| r.1.2).collect::<Vec<_>>(),
        );
        let partners: Vec<TestPartner> = rows.iter().map(|r| r.0.clone()).collect();
        let parameters = default_policy().signals.breadth;
        let found = measure::<Breadth>(&partners, &frame.expect("a frame"), &parameters);
        (0..rows.len()).map(|row| found.of(row)).collect()
    }

    fn uses(products: i64, endpoints: i64) -> Row {
        (Some(100), Some(products), Some(endpoints))
    }

    #[test]
    fn less_than_the_peers_use_takes_points() {
        /// Of three partners two use two products and eight endpoints, which is usual.
        #[track_caller]
        fn check(row: Row, score: f64, reason: &str) {
            let peer = (live(), uses(2, 8));
            let answer = &answers(&[(live(), row), peer.clone(), peer])[0];
            answer.check(Some(score), reason);
            assert_eq!(answer.n, 100);
        }
        check(uses(2, 8), 100.0, "Uses 2 products and 8 endpoints; usual: 2 and 8");
        check(uses(9, 80), 100.0, "Uses 9 products and 80 endpoints; usual: 2 and 8");
        // (1/2 + 2/8) / 2
        check(uses(1, 2), 37.5, "Uses 1 product and 2 endpoints; usual: 2 and 8");
        // More of one does not make up for less of the other: (1 + 1/8) / 2.
        check(uses(4, 1), 56.25, "Uses 4 products and 1 endpoint; usual: 2 and 8");
        check((Some(100), None, Some(4)), 50.0, "Uses 4 endpoints; usual: 8");
        check((Some(100), Some(1), None), 50.0, "Uses 1 product; usual: 2");
    }

    #[test]
    fn one_product_is_enough_where_that_is_usual() {
        let found = &answers(&[(live(), uses(1, 3))])[0];
        found.check(Some(100.0), "Uses 1 product and 3 endpoints; usual: 1 and 3");
        // The median of 1 and 2 products is 1.5: (1 / 1.5 + 1) / 2.
        let found = &answers(&[(live(), uses(1, 3)), (live(), uses(2, 3))])[0];
        found.check(Some(250.0 / 3.0), "Uses 1 product and 3 endpoints; usual: 1.5 and 3");
        assert_eq!(short(1_234.96), "1,235");
    }

    #[test]
    fn it_needs_calls_that_name_something() {
        let peer = (live(), uses(2, 8));
        let found = |row| answers(&[(live(), row), peer.clone()])[0].clone();
        found((None, None, None)).check(None, NO_CALLS);
        let unnamed = "Its calls name neither a product nor an endpoint";
        found((Some(5), None, None)).check(None, unnamed);
    }

    #[test]
    fn partners_that_are_new_or_call_rarely_are_not_compared() {
        answers(&[(live_for(27.9), uses(1, 1))])[0].check_not_applicable();
        assert!(answers(&[(live_for(28.0), uses(1, 1))])[0].applies);
        let rare = |days| TestPartner { cadence: Some(days), ..live() };
        answers(&[(rare(14.5), uses(1, 1))])[0].check_not_applicable();
        assert!(answers(&[(rare(14.0), uses(1, 1))])[0].applies);
        answers(&[(TestPartner::default(), uses(1, 1))])[0].check_not_applicable();
    }
}
