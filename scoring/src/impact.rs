//! The impact of a partner: its share of gross in the last complete month, and its rank.

use std::collections::BTreeMap;

use domain::{AsOf, Day, month_of};

use crate::input::MonthlyGross;

/// What a partner pays against all partners.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Impact {
    /// Share of the month's gross, 0–1.
    pub share: f64,
    /// Rank from 1 among partners that paid.
    pub rank: Option<i64>,
}

/// Returns the impact of each partner with gross, and that of every other partner: a share of 0, or
/// `None` where nobody paid. The last complete month counts, or the running month if nobody paid in
/// the complete one (a programme in its first month).
pub(crate) fn impacts(
    rows: &[MonthlyGross],
    as_of: AsOf,
) -> (BTreeMap<&str, Impact>, Option<Impact>) {
    let running = month_of(as_of.day());
    let complete = month_of(running.plus(-1));
    for month in [complete, running] {
        let (total, by_partner) = month_gross(rows, month);
        if total > 0.0 {
            return (ranked(total, &by_partner), Some(Impact { share: 0.0, rank: None }));
        }
    }
    (BTreeMap::new(), None)
}

fn month_gross(rows: &[MonthlyGross], month: Day) -> (f64, BTreeMap<&str, f64>) {
    let mut by_partner = BTreeMap::new();
    for row in rows.iter().filter(|row| row.month == month && row.gross > 0.0) {
        *by_partner.entry(row.partner_id.as_str()).or_insert(0.0) += row.gross;
    }
    // Summed in the order of ids, so that the order of the rows does not change the sum.
    (by_partner.values().sum(), by_partner)
}

/// Ranks partners by gross, largest first, and equals by id, as in `revenue_per_partner`.
fn ranked<'a>(total: f64, by_partner: &BTreeMap<&'a str, f64>) -> BTreeMap<&'a str, Impact> {
    let mut order: Vec<(&str, f64)> = by_partner.iter().map(|(id, gross)| (*id, *gross)).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    let ranks = (1..).zip(order);
    ranks
        .map(|(rank, (id, gross))| (id, Impact { share: gross / total, rank: Some(rank) }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_input::day;

    #[test]
    fn shares_of_the_last_complete_month() {
        #[track_caller]
        fn check(as_of: &str, rows: &[(&str, &str, f64)], expected: &[(&str, f64, i64)]) {
            let rows: Vec<MonthlyGross> = rows
                .iter()
                .map(|(month, id, gross)| MonthlyGross {
                    month: day(month),
                    partner_id: (*id).to_owned(),
                    gross: *gross,
                })
                .collect();
            let (found, of_others) = impacts(&rows, AsOf::of_day(day(as_of)));
            let expected: BTreeMap<_, _> = expected
                .iter()
                .map(|(id, share, rank)| (*id, Impact { share: *share, rank: Some(*rank) }))
                .collect();
            assert_eq!(found, expected);
            let zero = Impact { share: 0.0, rank: None };
            assert_eq!(of_others, (!expected.is_empty()).then_some(zero));
        }
        let rows = [
            ("2026-07-01", "a", 500.0),
            ("2026-08-01", "b", 25.0),
            ("2026-08-01", "a", 25.0),
            ("2026-08-01", "c", 50.0),
            ("2026-08-01", "d", 0.0),
            ("2026-09-01", "d", 900.0),
        ];
        let august = [("c", 0.5, 1), ("a", 0.25, 2), ("b", 0.25, 3)];
        check("2026-09-15", &rows, &august);
        check("2026-09-01", &rows, &august);
        check("2026-08-31", &rows, &[("a", 1.0, 1)]);
        // Nobody paid in the month before: the running one; nor in that: nothing.
        check("2026-07-02", &rows, &[("a", 1.0, 1)]);
        check("2026-11-15", &rows, &[]);
        check("2026-09-15", &[], &[]);
    }
}
