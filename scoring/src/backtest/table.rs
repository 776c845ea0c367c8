//! The table of a backtest: a row per statistic, the score beside both baselines.

use super::bootstrap::{Estimate, Verdict};
use super::figures::{Figure, Figures};
use super::statistic::Unit;

/// A row of the table, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    pub statistic: &'static str,
    pub score: String,
    pub recency: String,
    pub frequency: String,
    /// How the score does against both; says so where it does not beat them.
    pub verdict: &'static str,
}

/// Returns the rows of the table in the order of the figures.
pub fn table(figures: &Figures) -> Vec<TableRow> {
    figures.figures.iter().map(row).collect()
}

fn row(figure: &Figure) -> TableRow {
    let unit = figure.statistic.unit();
    let comparison = &figure.comparison;
    TableRow {
        statistic: figure.statistic.words(),
        score: estimate(comparison.score, unit),
        recency: estimate(comparison.recency, unit),
        frequency: estimate(comparison.frequency, unit),
        verdict: if figure.statistic.is_compared() { verdict(figure.verdict) } else { "" },
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::BeatsBoth => "beats both",
        Verdict::AheadOfBoth => "ahead of both, within chance",
        Verdict::BeatsOnlyRecency => "does not beat call frequency",
        Verdict::BeatsOnlyFrequency => "does not beat days since the last call",
        Verdict::BeatsNeither => "beats neither",
        Verdict::NotComparable => "not enough data",
    }
}

/// Writes a value with its interval: `0.812 (0.780 to 0.840)`.
fn estimate(estimate: Estimate, unit: Unit) -> String {
    match (estimate.value, estimate.low, estimate.high) {
        (Some(value), Some(low), Some(high)) => {
            format!("{} ({} to {})", number(value, unit), number(low, unit), number(high, unit))
        }
        (Some(value), ..) => number(value, unit),
        _ => "–".to_owned(),
    }
}

fn number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Number => format!("{value:.3}"),
        Unit::Share => format!("{:.1} %", value * 100.0),
        Unit::Days => format!("{value:.1} d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::bootstrap::Comparison;
    use crate::backtest::statistic::Statistic;

    #[test]
    fn rows_say_what_is_not_beaten() {
        #[track_caller]
        fn check(statistic: Statistic, verdict: Verdict, expected: [&str; 5]) {
            let exact = |value| Estimate { value: Some(value), low: None, high: None };
            let comparison = Comparison {
                score: Estimate { value: Some(0.8123), low: Some(0.78), high: Some(0.84) },
                recency: exact(0.5),
                frequency: Estimate::default(),
                ..Comparison::default()
            };
            let found = row(&Figure { statistic, rows: 9, comparison, verdict });
            let TableRow { statistic, score, recency, frequency, verdict } = found;
            let found = [statistic, score.as_str(), recency.as_str(), frequency.as_str(), verdict];
            assert_eq!(found, expected);
        }
        let number = ["AUC of risk", "0.812 (0.780 to 0.840)", "0.500", "–", "beats both"];
        check(Statistic::Auc, Verdict::BeatsBoth, number);
        let share = [
            "silent churn",
            "81.2 % (78.0 % to 84.0 %)",
            "50.0 %",
            "–",
            "does not beat call frequency",
        ];
        check(Statistic::SilentChurn, Verdict::BeatsOnlyRecency, share);
        let days = ["lead time", "0.8 d (0.8 d to 0.8 d)", "0.5 d", "–", "not enough data"];
        check(Statistic::LeadTime, Verdict::NotComparable, days);
        let same = ["uncertainty", "0.812 (0.780 to 0.840)", "0.500", "–", ""];
        check(Statistic::Uncertainty, Verdict::NotComparable, same);
    }
}
