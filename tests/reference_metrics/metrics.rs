//! Five metrics, computed by their definitions from the partners' histories.

use std::collections::BTreeSet;

use domain::{Day, MONEY_SCALE, month_of, next_month, to_f64};

use super::{Cell, History, PartnerHistories, Table};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Returns the partners of each registration month, and last all of them, without a month.
fn cohorts(histories: &PartnerHistories) -> Vec<(Cell, Vec<&History>)> {
    let month = |p: &History| p.registered.map(|at| month_of(Day::of_micros(at)));
    let registered: Vec<&History> =
        histories.partners.values().filter(|p| p.registered.is_some()).collect();
    let months: BTreeSet<Day> = registered.iter().filter_map(|p| month(p)).collect();
    let of = |m: Day| registered.iter().copied().filter(|p| month(p) == Some(m)).collect();
    let mut cohorts: Vec<(Cell, Vec<&History>)> =
        months.into_iter().map(|m| (Cell::Date(m), of(m))).collect();
    cohorts.push((Cell::Null, registered));
    cohorts
}

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

fn count(partners: &[&History], is: impl Fn(&History) -> bool) -> i64 {
    partners.iter().filter(|p| is(p)).count() as i64
}

pub(crate) fn funnel(histories: &PartnerHistories) -> Table {
    let row = |(month, partners): (Cell, Vec<&History>)| {
        let registered = partners.len() as i64;
        let revenue = count(&partners, |p| p.charged);
        let production = count(&partners, |p| p.live.is_some() || p.charged);
        let sandbox =
            count(&partners, |p| p.first_sandbox.is_some() || p.live.is_some() || p.charged);
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
        rows: cohorts(histories).into_iter().map(row).collect(),
    }
}

pub(crate) fn growth(histories: &PartnerHistories) -> Table {
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

pub(crate) fn cohort_retention(histories: &PartnerHistories) -> Table {
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

pub(crate) fn revenue_summary(histories: &PartnerHistories) -> Table {
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

pub(crate) fn time_to_first_call(histories: &PartnerHistories) -> Table {
    let as_of = histories.as_of.micros();
    let row = |(month, partners): (Cell, Vec<&History>)| {
        // (time until the first call or as_of, whether there was a call)
        let mut waits: Vec<(i64, bool)> = partners
            .iter()
            .filter_map(|p| {
                let from = p.registered?;
                Some(((p.first_call.unwrap_or(as_of) - from).max(0), p.first_call.is_some()))
            })
            .collect();
        waits.sort_by_key(|(t, called)| (*t, !called));
        let longest_observed = partners.iter().filter_map(|p| Some(as_of - p.registered?)).max();
        let within = |x: i64| {
            let known = longest_observed.is_some_and(|longest_observed| longest_observed >= x);
            Cell::float(known.then(|| 1.0 - survival(&waits, x)))
        };
        let quantile = |p: f64| {
            let mut times = waits.iter().filter(|(_, called)| *called).map(|(t, _)| *t);
            let found = times.find(|t| survival(&waits, *t) <= 1.0 - p + 1e-12);
            Cell::float(found.map(|t| t as f64 / SECOND as f64))
        };
        vec![
            month,
            Cell::Int(partners.len() as i64),
            Cell::Int(count(&partners, |p| p.first_call.is_some())),
            quantile(0.5),
            quantile(0.9),
            within(1800 * SECOND),
            within(DAY),
            within(7 * DAY),
            within(30 * DAY),
        ]
    };
    Table {
        columns: vec![
            "cohort_month",
            "partners",
            "reached",
            "median_seconds",
            "p90_seconds",
            "within_30m",
            "within_1d",
            "within_7d",
            "within_30d",
        ],
        rows: cohorts(histories).into_iter().map(row).collect(),
    }
}

/// Returns the Kaplan–Meier estimate, one partner at a time, events before censored partners at the
/// same time. Each event removes 1/(partners left) of the estimate, which for d of n events at one
/// time multiplies to 1 − d/n.
fn survival(waits: &[(i64, bool)], until: i64) -> f64 {
    let mut survival = 1.0;
    for (gone, (_, called)) in waits.iter().take_while(|(t, _)| *t <= until).enumerate() {
        if *called {
            let left = waits.len() - gone;
            survival *= (left - 1) as f64 / left as f64;
        }
    }
    survival
}

#[test]
fn survival_matches_a_worked_example() {
    // Events at 1 and 3 (two), censored at 3 and 5: 4/5, then 4/5 · 3/4 · 2/3 = 2/5.
    let waits = [(1, true), (3, true), (3, true), (3, false), (5, false)];
    assert_eq!(survival(&waits, 0), 1.0);
    assert_eq!(survival(&waits, 1), 0.8);
    assert!((survival(&waits, 3) - 0.4).abs() < 1e-15);
    assert!((survival(&waits, 9) - 0.4).abs() < 1e-15);
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
