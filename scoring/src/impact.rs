//! What a partner is worth: its share of gross in the last complete month, and its rank.

use std::collections::BTreeMap;

use lake_types::{AsOf, Day, month_of};

use crate::input::Gross;

/// Share of the month's gross, 0–1, and rank from 1, for those that paid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Impact {
    pub share: f64,
    pub rank: Option<i64>,
}

/// The impact of each partner with gross, and what a partner without any has: a share of 0, or
/// nothing where nobody paid. Counts the last complete month, or the running one when nobody paid
/// in that (a programme in its first month).
pub(crate) fn impacts(rows: &[Gross], as_of: AsOf) -> (BTreeMap<&str, Impact>, Option<Impact>) {
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

fn month_gross(rows: &[Gross], month: Day) -> (f64, BTreeMap<&str, f64>) {
    let mut by_partner = BTreeMap::new();
    for row in rows.iter().filter(|row| row.month == month && row.gross > 0.0) {
        *by_partner.entry(row.partner_id.as_str()).or_insert(0.0) += row.gross;
    }
    // Summed in the order of ids: the order of the rows must not show.
    (by_partner.values().sum(), by_partner)
}

/// By gross down, ties by id, as in `revenue_per_partner`.
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
    use crate::testing::day;

    #[test]
    fn shares_of_the_last_complete_month() {
        #[track_caller]
        fn check(as_of: &str, rows: &[(&str, &str, f64)], expected: &[(&str, f64, i64)]) {
            let rows: Vec<Gross> = rows
                .iter()
                .map(|(month, id, gross)| Gross {
                    month: day(month),
                    partner_id: (*id).to_owned(),
                    gross: *gross,
                })
                .collect();
            let (found, without) = impacts(&rows, AsOf::of_day(day(as_of)));
            let expected: BTreeMap<_, _> = expected
                .iter()
                .map(|(id, share, rank)| (*id, Impact { share: *share, rank: Some(*rank) }))
                .collect();
            assert_eq!(found, expected);
            let zero = Impact { share: 0.0, rank: None };
            assert_eq!(without, (!expected.is_empty()).then_some(zero));
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
