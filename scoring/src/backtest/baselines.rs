//! The two baselines a score must beat: days since the last call, and calls a day.

use domain::Day;

use super::bootstrap::Ranker;
use super::input::BacktestRow;
use crate::risk::Calibration;

/// Added to calls a day before the logarithm: one call in 28 days.
const ONE_CALL: f64 = 1.0 / 28.0;

/// What the baselines know of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BaselineRow {
    pub origin: Day,
    pub label_end: Day,
    pub left: bool,
    pub days_since_last_call: f64,
    pub call_frequency: f64,
}

impl From<&BacktestRow> for BaselineRow {
    fn from(row: &BacktestRow) -> Self {
        Self {
            origin: row.origin,
            label_end: row.label_end,
            left: row.left,
            days_since_last_call: row.days_since_last_call,
            call_frequency: row.call_frequency,
        }
    }
}

/// Returns the value by which a baseline ranks rows; higher is riskier.
pub(crate) fn baseline_value(ranker: Ranker, row: &BaselineRow) -> f64 {
    match ranker {
        Ranker::Frequency => -row.call_frequency,
        Ranker::Recency | Ranker::Score => row.days_since_last_call,
    }
}

/// Returns the value that is calibrated; the logarithm suits both, whose values are skewed.
fn calibrated_value(ranker: Ranker, row: &BaselineRow) -> f64 {
    match ranker {
        Ranker::Frequency => -(row.call_frequency + ONE_CALL).ln(),
        Ranker::Recency | Ranker::Score => row.days_since_last_call.ln_1p(),
    }
}

/// Returns the probability of leaving that a baseline gives each row, calibrated on the labels
/// known at the row's origin; `None` where too few are known.
pub(crate) fn baseline_probabilities(ranker: Ranker, rows: &[BaselineRow]) -> Vec<Option<f64>> {
    let mut origins: Vec<Day> = rows.iter().map(|row| row.origin).collect();
    origins.sort_unstable();
    origins.dedup();
    let mut probabilities = vec![None; rows.len()];
    for origin in origins {
        let known = rows.iter().filter(|row| row.origin < origin && row.label_end <= origin);
        let (values, labels): (Vec<f64>, Vec<bool>) =
            known.map(|row| (calibrated_value(ranker, row), row.left)).unzip();
        let calibration = Calibration::fit(&values, &labels);
        if calibration == Calibration::None {
            continue;
        }
        for (row, probability) in rows.iter().zip(&mut probabilities) {
            if row.origin == origin {
                *probability = Some(calibration.apply(calibrated_value(ranker, row)));
            }
        }
    }
    probabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns rows of one origin: 40 partners, of which the quarter that is silent longest and
    /// calls least leaves.
    fn origin(day: i32, label_days: i32) -> Vec<BaselineRow> {
        let row = |partner: u32| BaselineRow {
            origin: Day(day),
            label_end: Day(day + label_days),
            left: partner.is_multiple_of(4),
            days_since_last_call: f64::from(if partner.is_multiple_of(4) {
                6 + partner % 3
            } else {
                partner % 7
            }),
            call_frequency: if partner.is_multiple_of(4) { 0.1 } else { f64::from(partner % 5) },
        };
        (0..40).map(row).collect()
    }

    #[test]
    fn only_labels_known_at_the_origin_calibrate() {
        #[track_caller]
        fn check(label_days: i32, is_known: [bool; 3]) {
            let rows = [origin(100, label_days), origin(130, 28), origin(170, 28)].concat();
            for ranker in [Ranker::Recency, Ranker::Frequency] {
                let found = baseline_probabilities(ranker, &rows);
                let by_origin: Vec<bool> =
                    found.chunks(40).map(|rows| rows.iter().all(Option::is_some)).collect();
                assert_eq!(by_origin, is_known);
                assert!(found.iter().flatten().all(|p| (0.0..=1.0).contains(p)));
            }
        }
        check(28, [false, true, true]);
        // The labels of the first origin are known after the second one only.
        check(60, [false, false, true]);
    }

    #[test]
    fn riskier_values_get_higher_probabilities() {
        let rows = [origin(100, 28), origin(130, 28)].concat();
        for ranker in [Ranker::Recency, Ranker::Frequency] {
            let found = baseline_probabilities(ranker, &rows);
            let later = rows.iter().zip(&found).skip(40);
            let mut ranked: Vec<(f64, f64)> =
                later.map(|(row, p)| (baseline_value(ranker, row), p.expect("a value"))).collect();
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(ranked.windows(2).all(|pair| pair[0].1 <= pair[1].1));
            assert!(ranked[0].1 < ranked[39].1);
        }
    }
}
