//! The fit of a dormancy model to the rows of the query `scoring_dormancy`.

use std::collections::HashMap;

use domain::Day;
use polars::prelude::DataFrame;

use super::empirical::Outcome;
use super::history::{RepeatHistory, count_histories};
use super::model::DormancyModel;
use crate::frames::{InputFrame, ScoreError};

/// Fits a model as of a day to rows of that day, or else to what the partners of an earlier day have
/// done since. Returns `None` where too little is known for either. The rows are those of
/// `scoring_dormancy`: day, partner_id, length, x, t_x, n, fit_x, fit_t_x, fit_n.
///
/// # Errors
/// Names the column that is missing or of another type.
pub fn fit_dormancy(
    rows: DataFrame,
    earlier: Day,
    as_of: Day,
) -> Result<Option<DormancyModel>, ScoreError> {
    let all = InputFrame::new("scoring_dormancy", rows);
    let (now, before) = (all.of_day(as_of)?, all.of_day(earlier)?);
    let cells = count_histories(now.i64("fit_x")?, now.i64("fit_t_x")?, now.i64("fit_n")?);
    let known: HashMap<&str, Seen> = histories(&before)?.into_iter().collect();
    let outcomes: Vec<Outcome> = histories(&now)?
        .into_iter()
        .filter_map(|(id, seen)| {
            let then = known.get(id)?;
            // Opportunities of another length cannot be compared.
            let is_comparable = then.length == seen.length;
            let passed = seen.history.n().checked_sub(then.history.n());
            let m = passed.filter(|m| is_comparable && *m > 0)?;
            let has_success = seen.history.t_x() > then.history.n();
            Some(Outcome { history: then.history, m, has_success })
        })
        .collect();
    Ok(DormancyModel::fit(&cells, &outcomes))
}

/// The history of a partner, and the length of its opportunities in days.
struct Seen {
    history: RepeatHistory,
    length: i64,
}

/// Returns the history of each partner of a frame.
fn histories(frame: &InputFrame) -> Result<Vec<(&str, Seen)>, ScoreError> {
    let (ids, length) = (frame.str("partner_id")?, frame.i64("length")?);
    let [x, t_x, n] = [frame.i64("x")?, frame.i64("t_x")?, frame.i64("n")?];
    let counts = x.iter().zip(t_x.iter()).zip(n.iter());
    let rows = ids.iter().zip(length.iter()).zip(counts);
    let seen = rows.filter_map(|((id, length), ((x, t_x), n))| {
        let history = RepeatHistory::new(x?, t_x?, n?)?;
        Some((id?, Seen { history, length: length? }))
    });
    Ok(seen.collect())
}

#[cfg(test)]
mod tests {
    use polars::prelude::Column;

    use super::*;
    use crate::dormancy::DormancyModel;

    /// Partners with five opportunities of seven days on day 100, and four more on day 128.
    fn rows(partners: usize) -> DataFrame {
        let per_day = |day: i32| vec![day; partners];
        let days = [per_day(100), per_day(128)].concat();
        let ids: Vec<String> = (0..partners).map(|i| format!("p{i:04}")).collect();
        let ids = [ids.clone(), ids].concat();
        let on_both = |then: i64, now: i64| [vec![then; partners], vec![now; partners]].concat();
        // Every second partner is silent after day 100.
        let t_x: Vec<i64> = (0..2 * partners)
            .map(|row| if row < partners || row % 2 == 0 { 5 } else { 9 })
            .collect();
        let count = |name: &str, values: &[i64]| Column::new(name.into(), values);
        DataFrame::new(
            2 * partners,
            vec![
                Column::new("day".into(), days),
                Column::new("partner_id".into(), ids),
                count("length", &on_both(7, 7)),
                count("x", &on_both(3, 4)),
                count("t_x", &t_x),
                count("n", &on_both(5, 9)),
                count("fit_x", &on_both(3, 4)),
                count("fit_t_x", &t_x),
                count("fit_n", &on_both(5, 9)),
            ],
        )
        .expect("equal lengths")
    }

    #[test]
    fn a_small_portfolio_has_the_rates_it_was_seen_with() {
        let model = fit_dormancy(rows(20), Day(100), Day(128)).expect("the columns are there");
        let Some(DormancyModel::EmpiricalRate { rate, .. }) = model else { panic!("{model:?}") };
        assert_eq!(rate.outcomes, 20);
        let history = RepeatHistory::new(3, 5, 5).expect("a history");
        assert!((rate.probability_of_a_success(history, 4) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn without_partners_there_is_no_model() {
        let none = fit_dormancy(rows(0), Day(100), Day(128)).expect("the columns are there");
        assert_eq!(none, None);
    }
}
