//! Funnel, growth, retention and revenue, computed by their definitions from the partners'
//! histories.

use std::collections::BTreeSet;

use domain::{Day, MONEY_SCALE, month_of, next_month, to_f64};

use super::{Cell, History, PartnerHistories, Table, cohorts, count};

/// Returns every month from the given one to the one that holds `as_of` − 1 µs.
fn months_from(first: Day, histories: &PartnerHistories) -> Vec<Day> {
    let last = Day::of_micros(histories.as_of.micros() - 1);
    let mut months = Vec::new();
    let mut month = first;
    while month <= last {
        months.push(month);
        month = next_month(month);
    }
    months
}

fn complete(month: Day, histories: &PartnerHistories) -> Cell {
    Cell::Flag(histories.as_of.day() >= next_month(month))
}

fn active(partner: &History, month: Day) -> bool {
    partner.usage.get(&month).is_some_and(|usage| usage.successes > 0)
}

fn month_before(month: Day) -> Day {
    month_of(month.plus(-1))
}

pub(super) fn funnel(histories: &PartnerHistories) -> Table {
    let row = |(month, partners): (Cell, Vec<&History>)| {
        let registered = partners.len() as i64;
        let revenue = count(&partners, |p| p.first_charge.is_some());
        let production = count(&partners, |p| p.live.is_some() || p.first_charge.is_some());
        let sandbox = count(&partners, |p| {
            p.first_sandbox.is_some() || p.live.is_some() || p.first_charge.is_some()
        });
        vec![
            month,
            Cell::Int(registered),
            Cell::Int(sandbox),
            Cell::Int(production),
            Cell::Int(revenue),
            Cell::ratio(sandbox, registered),
            Cell::ratio(production, sandbox),
            Cell::ratio(revenue, production),
            Cell::ratio(revenue, registered),
        ]
    };
    Table {
        columns: vec![
            "cohort_month",
            "registered",
            "sandbox",
            "production",
            "revenue",
            "sandbox_rate",
            "production_rate",
            "revenue_rate",
            "overall_rate",
        ],
        rows: cohorts(histories, |p| p.registered).into_iter().map(row).collect(),
    }
}

pub(super) fn growth(histories: &PartnerHistories) -> Table {
    let partners: Vec<&History> = histories.partners.values().collect();
    let active_months = partners
        .iter()
        .flat_map(|p| p.usage.iter().filter(|(_, usage)| usage.successes > 0).map(|(m, _)| *m));
    let months = active_months.min().map_or(Vec::new(), |first| months_from(first, histories));
    let row = |month: Day| {
        let before = month_before(month);
        let ever_before =
            |p: &History| p.usage.iter().any(|(m, usage)| *m < month && usage.successes > 0);
        let active_now = count(&partners, |p| active(p, month));
        let active_before = count(&partners, |p| active(p, before));
        let new = count(&partners, |p| active(p, month) && !ever_before(p));
        let retained = count(&partners, |p| active(p, month) && active(p, before));
        let churned = count(&partners, |p| active(p, before) && !active(p, month));
        let resurrected = active_now - new - retained;
        vec![
            Cell::Date(month),
            Cell::Int(active_now),
            Cell::Int(new),
            Cell::Int(retained),
            Cell::Int(resurrected),
            Cell::Int(churned),
            Cell::float(
                (active_before != 0).then(|| active_now as f64 / active_before as f64 - 1.0),
            ),
            Cell::ratio(churned, active_before),
            Cell::ratio(new + resurrected, churned),
            complete(month, histories),
        ]
    };
    Table {
        columns: vec![
            "month",
            "active",
            "new",
            "retained",
            "resurrected",
            "churned",
            "growth_rate",
            "churn_rate",
            "quick_ratio",
            "complete",
        ],
        rows: months.into_iter().map(row).collect(),
    }
}

pub(super) fn cohort_retention(histories: &PartnerHistories) -> Table {
    let cohort_of = |p: &History| p.live.map(|at| month_of(Day::of_micros(at)));
    let cohorts: BTreeSet<Day> = histories.partners.values().filter_map(cohort_of).collect();
    let mut rows = Vec::new();
    for cohort in cohorts {
        let members: Vec<&History> =
            histories.partners.values().filter(|p| cohort_of(p) == Some(cohort)).collect();
        for (since, month) in (0..).zip(months_from(cohort, histories)) {
            let active_members = count(&members, |p| active(p, month));
            let gross = members.iter().filter_map(|p| p.billing.get(&month)).map(|b| b.gross);
            let calls = members.iter().filter_map(|p| p.usage.get(&month)).map(|u| u.calls);
            let before = month_before(month);
            rows.push(vec![
                Cell::Date(cohort),
                Cell::Int(since),
                Cell::Int(members.len() as i64),
                Cell::Int(active_members),
                Cell::ratio(active_members, members.len() as i64),
                Cell::Int(count(&members, |p| active(p, before) && !active(p, month))),
                Cell::Int(calls.sum()),
                Cell::Money(gross.sum()),
                complete(month, histories),
            ]);
        }
    }
    Table {
        columns: vec![
            "cohort_month",
            "months_since",
            "cohort_size",
            "active",
            "retention",
            "churned",
            "calls",
            "gross",
            "complete",
        ],
        rows,
    }
}

pub(super) fn revenue_summary(histories: &PartnerHistories) -> Table {
    let months: BTreeSet<Day> =
        histories.partners.values().flat_map(|p| p.billing.keys().copied()).collect();
    let row = |month: Day| {
        let billed = || histories.partners.values().filter_map(move |p| p.billing.get(&month));
        let gross: i128 = billed().map(|b| b.gross).sum();
        let net: i128 = billed().map(|b| b.gross - b.credited).sum();
        let mut paying: Vec<i128> = billed().map(|b| b.gross).filter(|g| *g > 0).collect();
        paying.sort_unstable();
        let mut cells = vec![
            Cell::Date(month),
            Cell::Money(gross),
            Cell::Money(net),
            Cell::Int(paying.len() as i64),
        ];
        cells.extend(concentration(&paying));
        cells.push(complete(month, histories));
        cells
    };
    Table {
        columns: vec![
            "month",
            "gross",
            "net",
            "paying_partners",
            "mean_gross",
            "median_gross",
            "top10_share",
            "hhi",
            "gini",
            "complete",
        ],
        rows: months.into_iter().map(row).collect(),
    }
}

/// Returns mean, median, share of the ten largest, Herfindahl–Hirschman index and Gini coefficient
/// of ascending amounts.
fn concentration(x: &[i128]) -> Vec<Cell> {
    if x.is_empty() {
        return vec![Cell::Null; 5];
    }
    let n = x.len();
    let float = |x: i128| to_f64(x, MONEY_SCALE);
    let total = float(x.iter().sum());
    let median = (x[(n - 1) / 2] + x[n / 2]) / 2;
    let ten: i128 = x.iter().rev().take(10).sum();
    let hhi: f64 = x.iter().map(|x| (float(*x) / total).powi(2)).sum();
    let weighted: f64 = (1..).zip(x).map(|(i, x)| f64::from(i) * float(*x)).sum();
    let n = n as f64;
    vec![
        Cell::Float(total / n),
        Cell::Money(median),
        Cell::Float(float(ten) / total),
        Cell::Float(hhi),
        Cell::Float(2.0 * weighted / (n * total) - (n + 1.0) / n),
    ]
}

#[test]
fn concentration_matches_a_worked_example() {
    // 10 20 30 40: as worked out in revenue_summary.test.toml.
    let x: Vec<i128> = (1..=4).map(|n| n * 10i128.pow(13)).collect();
    let cells = concentration(&x);
    let expected = [
        Cell::Float(25.0),
        Cell::Money(25 * 10i128.pow(12)),
        Cell::Float(1.0),
        Cell::Float(0.3),
        Cell::Float(0.25),
    ];
    for (cell, expected) in cells.iter().zip(&expected) {
        match (cell, expected) {
            (Cell::Float(a), Cell::Float(b)) => assert!((a - b).abs() < 1e-12, "{a} {b}"),
            _ => assert_eq!(cell, expected),
        }
    }
}
