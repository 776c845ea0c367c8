//! The stage of the programme, by five measures.

use domain::{Day, MICROS_PER_DAY, month_of};

use super::history::last_days;
use super::onboarding::tickets_before_live;
use super::support::has_churned;
use super::survival::Waits;
use super::{Cell, History, PartnerHistories, Table, count};

pub(super) fn programme_stage(histories: &PartnerHistories) -> Table {
    let as_of = histories.as_of;
    let partners: Vec<&History> = histories.partners.values().collect();
    let window = last_days(as_of, 180);
    let time_to = |event: fn(&History) -> Option<i64>, unit: i64| {
        let start = |p: &&History| p.registered.filter(|at| window.contains(at));
        let pairs = partners.iter().filter_map(|p| Some((start(p)?, event(p))));
        let median = Waits::new(pairs, as_of.micros()).quantile(0.5);
        median.map(|time| time as f64 / unit as f64)
    };
    let days = time_to(|p| p.live, MICROS_PER_DAY);
    let hours = time_to(|p| p.first_call, MICROS_PER_DAY / 24);

    let last_month = month_of(month_of(as_of.day()).plus(-1));
    let current: Vec<&History> = partners
        .iter()
        .copied()
        .filter(|p| p.live.is_some() && !has_churned(p, as_of.micros()))
        .collect();
    let has_paid = |p: &History| p.billing.get(&last_month).is_some_and(|b| b.gross > 0);
    let recent = last_days(as_of, 90);
    let is_new = |p: &&History| p.live.is_some_and(|at| recent.contains(&at));
    let new: Vec<&History> = partners.iter().copied().filter(is_new).collect();
    let has_signed = |p: &History| {
        let signed = p.first_events.get("terms_signed");
        signed.zip(p.live).is_some_and(|(signed, live)| *signed < live)
    };

    let rows = vec![
        row("days_to_live", days, |days| at_most(days, [30.0, 7.0, 1.0])),
        row("hours_to_first_call", hours, |hours| at_most(hours, [168.0, 24.0, 1.0])),
        row("paying", share(&current, has_paid), |share| at_least(share, [0.1, 0.3, 0.5])),
        row("terms", share(&new, has_signed), |share| at_least(share, [0.5, 0.8, 0.95])),
        row("touchless", share(&new, |p| tickets_before_live(p) == 0), |share| {
            at_least(share, [0.2, 0.5, 0.8])
        }),
    ];
    Table { columns: vec!["measure", "value", "stage"], rows }
}

fn share(partners: &[&History], is: impl Fn(&History) -> bool) -> Option<f64> {
    let all = partners.len();
    (all > 0).then(|| count(partners, is) as f64 / all as f64)
}

fn row(measure: &str, value: Option<f64>, stage: impl Fn(f64) -> i64) -> Vec<Cell> {
    vec![Cell::text(measure), Cell::float(value), Cell::Int(value.map_or(1, stage))]
}

/// Returns the stage of a value that is to be low: 1 and how many bounds it keeps.
fn at_most(value: f64, bounds: [f64; 3]) -> i64 {
    1 + bounds.iter().filter(|bound| value <= **bound).count() as i64
}

/// Returns the stage of a value that is to be high.
fn at_least(value: f64, bounds: [f64; 3]) -> i64 {
    1 + bounds.iter().filter(|bound| value >= **bound).count() as i64
}

#[test]
fn bounds_belong_to_the_better_stage() {
    let days = [30.5, 30.0, 7.0, 1.0, 0.2].map(|days| at_most(days, [30.0, 7.0, 1.0]));
    assert_eq!(days, [1, 2, 3, 4, 4]);
    let shares = [0.09, 0.1, 0.3, 0.5, 1.0].map(|share| at_least(share, [0.1, 0.3, 0.5]));
    assert_eq!(shares, [1, 2, 3, 4, 4]);
    assert_eq!(month_of(month_of(Day(20_454)).plus(-1)), "2025-12-01".parse().expect("a day"));
}
