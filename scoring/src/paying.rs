//! How likely a partner becomes paying, told from its first 28 days.
//!
//! A logistic regression on a few features of the first 28 days after go-live. Its outcome is a
//! first charge within 90 days after go-live. It is fitted and calibrated as the risk model is: models of
//! partners that went live earlier predict those that went live later, and a calibration makes
//! probabilities of these predictions. With few partners of either outcome there is no model.

use domain::{Day, next_month};
use polars::prelude::{ChunkCompareEq, DataFrame};
use serde::{Deserialize, Serialize};

use crate::columns::{ColumnMath, Numbers};
use crate::formulas::mixed_change;
use crate::frames::{InputFrame, ScoreError};
use crate::risk::{FeatureColumns, LogisticModel, TrainingRows, fit_model};

/// The query with the first 28 days of each partner.
pub const PAYING: &str = "scoring_paying";

/// Days after go-live that the features look at.
const FIRST_DAYS: i32 = 28;
/// Days after go-live from which the outcome counts as known.
const KNOWN_AFTER_DAYS: i32 = 118;
/// Partners that became paying, and that did not, of each as many, before anything is fitted.
const MIN_OF_EACH_OUTCOME: usize = 30;
/// Calls added to both fortnights, so that few calls make no large change.
const MIXED_CALLS: f64 = 5.0;

/// The model as the table `models` holds it in its column `parameters`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PayingModel {
    #[serde(flatten)]
    pub model: LogisticModel,
    /// The partners that it was fitted to, and how many of them became paying.
    pub partners: usize,
    pub paying: usize,
}

/// How likely partners became paying whose first 28 days look like those of one that has not paid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PayingLikelihood {
    /// 0–1.
    pub likelihood: f64,
    /// The share of all partners that became paying, 0–1.
    pub base_rate: f64,
}

impl PayingModel {
    /// Fits a model to the rows of [`PAYING`] as of a day. Only partners that went live at least 118
    /// days before count. Returns `None` with fewer than 30 of either outcome, or where too few of
    /// them went live early enough to predict the others.
    ///
    /// # Errors
    /// Names the column that is missing, of another type or null.
    pub fn fit(frame: DataFrame, as_of: Day) -> Result<Option<Self>, ScoreError> {
        let known = known_outcomes(&InputFrame::new(PAYING, frame), as_of)?;
        let outcomes: Vec<bool> =
            known.bool("became_paying")?.iter().map(|paid| paid == Some(true)).collect();
        let paying = outcomes.iter().filter(|paid| **paid).count();
        let partners = outcomes.len();
        if paying.min(partners - paying) < MIN_OF_EACH_OUTCOME {
            return Ok(None);
        }
        let (mut origin, mut label_end) = (Vec::new(), Vec::new());
        for (row, live_on) in known.i32("live_on")?.iter().enumerate() {
            let live_on = Day(known.required("live_on", row, live_on)?);
            // Partners are predicted together that went live in the same month or so.
            origin.push(next_month(live_on.plus(FIRST_DAYS)));
            label_end.push(live_on.plus(KNOWN_AFTER_DAYS));
        }
        let rows = TrainingRows {
            features: features(&known)?,
            origin,
            label_end,
            partner: (0..).take(partners).collect(),
            left: outcomes,
            weight: vec![1.0; partners],
            // Nothing is compared with the baselines of the risk.
            days_since_last_call: vec![0.0; partners],
            call_frequency: vec![0.0; partners],
        };
        Ok(fit_model(&rows, as_of).map(|model| Self { model, partners, paying }))
    }

    /// The share of partners that became paying.
    pub fn base_rate(&self) -> f64 {
        self.paying as f64 / self.partners.max(1) as f64
    }

    /// Returns the likelihood of one partner from the rows of [`PAYING`] of a day; `None` where its
    /// first 28 days are not over, or where it has paid.
    ///
    /// # Errors
    /// Names the column that is missing or of another type, or the feature that is missing.
    pub fn likelihood_of(
        &self,
        frame: &DataFrame,
        partner_id: &str,
    ) -> Result<Option<PayingLikelihood>, ScoreError> {
        let all = InputFrame::new(PAYING, frame.clone());
        let wanted = all.str("partner_id")?.equal(partner_id) & all.bool("is_unpaid")?.clone();
        let partner = InputFrame::new(PAYING, frame.filter(&wanted)?);
        let found = self.model.predict(&features(&partner)?)?.iter().next().flatten();
        Ok(found.map(|likelihood| PayingLikelihood { likelihood, base_rate: self.base_rate() }))
    }
}

/// Keeps the partners whose outcome is known as of a day.
fn known_outcomes(frame: &InputFrame, as_of: Day) -> Result<InputFrame, ScoreError> {
    let latest = as_of.plus(-KNOWN_AFTER_DAYS).0;
    let rows = frame.bool("became_paying")?.iter().zip(frame.i32("live_on")?.iter());
    let is_known = rows.map(|(outcome, live_on)| {
        Some(outcome.is_some() && live_on.is_some_and(|live_on| live_on <= latest))
    });
    let known = frame.frame.filter(&is_known.collect())?;
    Ok(InputFrame::new(&frame.name, known))
}

/// Returns the features of the first 28 days. Products are unknown where calls name none.
fn features(frame: &InputFrame) -> Result<FeatureColumns, ScoreError> {
    let (calls, later) = (frame.count("calls")?, frame.count("later_calls")?);
    let change = mixed_change(&(&calls - &later), &later, MIXED_CALLS);
    let columns: [(&str, Numbers); 5] = [
        ("success_rate", frame.count("successes")?.over(&calls)),
        ("calls", calls.map(f64::ln_1p)),
        ("active_days", frame.count("active_days")?),
        ("products", frame.count("products")?),
        ("growth", change.map(f64::ln_1p)),
    ];
    let named = columns.iter().map(|(name, column)| (*name, column));
    Ok(FeatureColumns::of_columns(named, calls.len()))
}

#[cfg(test)]
mod tests {
    use polars::df;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::risk::Calibration;

    /// The day as of which these tests fit: the first of a month.
    const AS_OF: Day = Day(20_454);

    /// The first 28 days of a partner, and what came of it.
    #[derive(Clone, Copy)]
    struct Beginning {
        live_on: i32,
        calls: i64,
        later_calls: i64,
        active_days: i64,
        products: Option<i64>,
        became_paying: Option<bool>,
    }

    fn frame(rows: &[Beginning]) -> DataFrame {
        let of = |value: fn(&Beginning) -> i64| rows.iter().map(value).collect::<Vec<_>>();
        let frame = df!(
            "partner_id" => (0..rows.len()).map(|row| format!("p{row}")).collect::<Vec<_>>(),
            "live_on" => rows.iter().map(|row| row.live_on).collect::<Vec<_>>(),
            "calls" => of(|row| row.calls),
            "later_calls" => of(|row| row.later_calls),
            "successes" => of(|row| row.calls),
            "active_days" => of(|row| row.active_days),
            "products" => rows.iter().map(|row| row.products).collect::<Vec<_>>(),
            "is_unpaid" => vec![true; rows.len()],
            "became_paying" => rows.iter().map(|row| row.became_paying).collect::<Vec<_>>(),
        );
        frame.expect("a frame")
    }

    /// The log-odds by which simulated partners become paying.
    fn true_log_odds(active_days: i64) -> f64 {
        -4.0 + 0.3 * active_days as f64
    }

    fn true_probability(active_days: i64) -> f64 {
        1.0 / (1.0 + (-true_log_odds(active_days)).exp())
    }

    /// Draws partners that went live over two years up to [`AS_OF`]. How many days they are active
    /// says whether they become paying; calls, products and growth say nothing.
    fn portfolio(partners: i32) -> Vec<Beginning> {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let days = 730;
        let draw = |partner: i32| {
            let active_days = random.random_range(1..=28);
            let calls = random.random_range(active_days..2_000);
            let is_paying = random.random_bool(true_probability(active_days));
            let live_on = AS_OF.0 - 1 - partner * days / partners;
            Beginning {
                live_on,
                calls,
                later_calls: random.random_range(0..=calls),
                active_days,
                products: Some(random.random_range(1..4)).filter(|_| partner % 5 > 0),
                became_paying: Some(is_paying).filter(|_| live_on <= AS_OF.0 - 118),
            }
        };
        (0..partners).map(draw).collect()
    }

    fn fitted(rows: &[Beginning]) -> Option<PayingModel> {
        PayingModel::fit(frame(rows), AS_OF).expect("columns")
    }

    /// Returns the likelihoods of partners that differ in their active days alone.
    fn by_active_days(model: &PayingModel) -> Vec<f64> {
        let row = |active_days| Beginning {
            live_on: AS_OF.0 - 40,
            calls: 500,
            later_calls: 250,
            active_days,
            products: Some(2),
            became_paying: None,
        };
        let rows: Vec<Beginning> = (1..=28).map(row).collect();
        let frame = frame(&rows);
        let of = |row| model.likelihood_of(&frame, &format!("p{row}")).expect("columns");
        (0..rows.len()).map(|row| of(row).expect("a likelihood").likelihood).collect()
    }

    #[test]
    fn the_likelihood_of_a_simulated_portfolio_is_recovered() {
        #[track_caller]
        fn check(partners: i32, is_isotonic: bool, within: f64) {
            let model = fitted(&portfolio(partners)).expect("a model");
            let calibration = &model.model.calibration;
            let found = matches!(calibration, Calibration::Isotonic { .. });
            assert_eq!(found, is_isotonic, "{calibration:?}");
            let errors = by_active_days(&model).into_iter().zip(1..).map(|(found, days)| {
                let expected = true_probability(days);
                (found - expected).abs()
            });
            let mean = errors.sum::<f64>() / 28.0;
            assert!(mean < within, "{mean}");
        }
        check(800, false, 0.08);
        check(6_000, true, 0.05);
    }

    #[test]
    fn more_of_what_payers_do_is_never_less_likely() {
        for partners in [800, 6_000] {
            let model = fitted(&portfolio(partners)).expect("a model");
            let likelihoods = by_active_days(&model);
            assert!(likelihoods.windows(2).all(|two| two[0] <= two[1]), "{likelihoods:?}");
            assert!(likelihoods[27] - likelihoods[0] > 0.5, "{likelihoods:?}");
            let known = portfolio(partners).into_iter().filter_map(|row| row.became_paying);
            let known: Vec<bool> = known.collect();
            let paying = known.iter().filter(|paid| **paid).count();
            assert_eq!((model.partners, model.paying), (known.len(), paying));
        }
    }

    #[test]
    fn few_of_either_outcome_have_no_model() {
        /// Lets only so many partners become paying, or not.
        #[track_caller]
        fn check(outcome: bool, count: usize, has_model: bool) {
            let mut rows = portfolio(2_000);
            let mut seen = 0;
            for row in &mut rows {
                seen += usize::from(row.became_paying == Some(outcome));
                if row.became_paying == Some(outcome) && seen > count {
                    row.became_paying = Some(!outcome);
                }
            }
            assert_eq!(fitted(&rows).is_some(), has_model, "{count} of {outcome}");
        }
        check(true, 29, false);
        check(false, 29, false);
        check(true, 300, true);
        assert_eq!(fitted(&[]), None);
        // All of one month: nobody went live before the others, so nothing could be calibrated.
        let mut rows = portfolio(2_000);
        rows.iter_mut().for_each(|row| row.live_on = AS_OF.0 - 200);
        assert_eq!(fitted(&rows), None);
    }

    #[test]
    fn what_is_not_known_yet_does_not_leak() {
        let rows = portfolio(2_000);
        let model = fitted(&rows).expect("a model");
        // Neither what partners did whose outcome is not known, nor an outcome that comes too early.
        let mut changed = rows.clone();
        for row in changed.iter_mut().filter(|row| row.live_on > AS_OF.0 - 118) {
            *row = Beginning { active_days: 1, became_paying: Some(true), ..*row };
        }
        assert_eq!(fitted(&changed), Some(model.clone()));
        // As of an earlier day the outcomes that became known since do not matter.
        let earlier = next_month(AS_OF.plus(-200));
        let as_of_earlier =
            |rows: &[Beginning]| PayingModel::fit(frame(rows), earlier).expect("columns");
        let mut changed = rows.clone();
        for row in changed.iter_mut().filter(|row| row.live_on > earlier.0 - 118) {
            row.became_paying = row.became_paying.map(|paid| !paid);
        }
        let before = as_of_earlier(&rows).expect("a model");
        assert_eq!(as_of_earlier(&changed), Some(before.clone()));
        assert!(before.partners < model.partners);
    }

    #[test]
    fn partners_that_paid_or_are_new_have_no_likelihood() {
        let rows = portfolio(800);
        let model = fitted(&rows).expect("a model");
        let mut frame = frame(&rows);
        let found = model.likelihood_of(&frame, "p3").expect("columns").expect("a likelihood");
        assert_eq!(found.base_rate, model.base_rate());
        // Its first 28 days are not over: it has no row.
        assert_eq!(model.likelihood_of(&frame, "new").expect("columns"), None);
        let paid: Vec<bool> = (0..rows.len()).map(|row| row != 3).collect();
        frame
            .with_column(df!("is_unpaid" => paid).expect("a frame").columns()[0].clone())
            .expect("a column");
        assert_eq!(model.likelihood_of(&frame, "p3").expect("columns"), None);
    }

    #[test]
    fn the_same_rows_give_the_same_bytes_and_json_round_trips() {
        let [first, second] = [(); 2].map(|()| fitted(&portfolio(800)).expect("a model"));
        let json = serde_json::to_string(&first).expect("JSON");
        assert_eq!(json, serde_json::to_string(&second).expect("JSON"));
        assert_eq!(serde_json::from_str::<PayingModel>(&json).expect("JSON"), first);
    }
}
