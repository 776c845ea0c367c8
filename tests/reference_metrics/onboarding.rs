//! How long partners take to their first call, to production and to paying, and what they wait for.

use super::survival::{DAY, MINUTE, Waits};
use super::{Cell, History, PartnerHistories, Table, cohorts, count, median};

/// The steps of onboarding in their order.
const STEPS: [&str; 9] = [
    "registered",
    "terms_signed",
    "sandbox_key_issued",
    "sandbox_success",
    "production_requested",
    "production_approved",
    "production_success",
    "payment_method_added",
    "charge",
];

/// Returns when a partner first took a step.
fn step(partner: &History, name: &str) -> Option<i64> {
    match name {
        "sandbox_success" => partner.first_sandbox,
        "production_success" => partner.live,
        "charge" => partner.first_charge,
        event => partner.first_events.get(event).copied(),
    }
}

/// Returns the number of a partner's furthest step, counted from 0, and when it took it.
fn furthest(partner: &History) -> Option<(usize, i64)> {
    let steps = STEPS.iter().enumerate().rev();
    steps.filter_map(|(nth, name)| Some((nth, step(partner, name)?))).next()
}

pub(super) fn onboarding_steps(histories: &PartnerHistories) -> Table {
    let as_of = histories.as_of.micros();
    let mut rows = Vec::new();
    for (month, partners) in cohorts(histories, |p| p.registered) {
        for (nth, name) in STEPS.iter().enumerate() {
            let since = |start: &str| {
                let pair = |p: &&History| Some((step(p, start)?, step(p, name)));
                Waits::new(partners.iter().filter_map(pair), as_of).quantile_seconds(0.5)
            };
            let waiting: Vec<i64> = partners
                .iter()
                .filter_map(|p| furthest(p).filter(|(reached, _)| reached + 1 == nth))
                .map(|(_, at)| (as_of - at) / DAY)
                .collect();
            rows.push(vec![
                month.clone(),
                Cell::Int(nth as i64 + 1),
                Cell::text(name),
                Cell::Int(count(&partners, |p| step(p, name).is_some())),
                since("registered"),
                if nth == 0 { Cell::Null } else { since(STEPS[nth - 1]) },
                Cell::Int(waiting.len() as i64),
                median(waiting),
            ]);
        }
    }
    Table {
        columns: vec![
            "cohort_month",
            "step",
            "name",
            "reached",
            "median_seconds",
            "step_median_seconds",
            "waiting",
            "median_waiting_days",
        ],
        rows,
    }
}

/// Returns the rows of a metric of how long it takes from registration to an event: how many
/// partners reach it, the median and the ninth decile, and the shares that reach it in these times.
fn times_to(
    histories: &PartnerHistories,
    event: impl Fn(&History) -> Option<i64>,
    times: &[i64],
) -> Vec<Vec<Cell>> {
    let row = |(month, partners): (Cell, Vec<&History>)| {
        let waits = waits(&partners, histories, &event);
        let mut cells = vec![
            month,
            Cell::Int(partners.len() as i64),
            Cell::Int(count(&partners, |p| event(p).is_some())),
            waits.quantile_seconds(0.5),
            waits.quantile_seconds(0.9),
        ];
        cells.extend(times.iter().map(|time| waits.within(*time)));
        cells
    };
    cohorts(histories, |p| p.registered).into_iter().map(row).collect()
}

fn waits(
    partners: &[&History],
    histories: &PartnerHistories,
    event: impl Fn(&History) -> Option<i64>,
) -> Waits {
    let pairs = partners.iter().filter_map(|p| Some((p.registered?, event(p))));
    Waits::new(pairs, histories.as_of.micros())
}

pub(super) fn time_to_first_call(histories: &PartnerHistories) -> Table {
    let times = [5 * MINUTE, 30 * MINUTE, DAY, 7 * DAY, 30 * DAY];
    Table {
        columns: vec![
            "cohort_month",
            "partners",
            "reached",
            "median_seconds",
            "p90_seconds",
            "within_5m",
            "within_30m",
            "within_1d",
            "within_7d",
            "within_30d",
        ],
        rows: times_to(histories, |p| p.first_call, &times),
    }
}

pub(super) fn time_to_production(histories: &PartnerHistories) -> Table {
    Table {
        columns: vec![
            "cohort_month",
            "partners",
            "reached",
            "median_seconds",
            "p90_seconds",
            "within_1d",
            "within_7d",
            "within_30d",
            "within_90d",
        ],
        rows: times_to(histories, |p| p.live, &[DAY, 7 * DAY, 30 * DAY, 90 * DAY]),
    }
}

/// Returns how many tickets a partner opened before it went live.
pub(super) fn tickets_before_live(partner: &History) -> i64 {
    let is_before = |opened: &&i64| partner.live.is_some_and(|live| **opened < live);
    partner.tickets.values().filter(is_before).count() as i64
}

pub(super) fn self_service(histories: &PartnerHistories) -> Table {
    let row = |(month, partners): (Cell, Vec<&History>)| {
        let touchless = count(&partners, |p| tickets_before_live(p) == 0);
        let days = |p: &&History| Some((p.live? - p.registered?).max(0) / DAY);
        vec![
            month,
            Cell::Int(partners.len() as i64),
            Cell::Int(touchless),
            Cell::ratio(touchless, partners.len() as i64),
            Cell::Int(partners.iter().map(|p| tickets_before_live(p)).sum()),
            median(partners.iter().filter_map(days).collect()),
        ]
    };
    Table {
        columns: vec![
            "cohort_month",
            "live",
            "touchless",
            "touchless_rate",
            "tickets_before_live",
            "median_days_to_live",
        ],
        rows: cohorts(histories, |p| p.live).into_iter().map(row).collect(),
    }
}

pub(super) fn free_to_paid(histories: &PartnerHistories) -> Table {
    let row = |(month, partners): (Cell, Vec<&History>)| {
        let waits = waits(&partners, histories, |p| p.first_charge);
        let paid = count(&partners, |p| p.first_charge.is_some());
        let unpaid: Vec<&History> =
            partners.iter().copied().filter(|p| p.first_charge.is_none()).collect();
        let calls = unpaid.iter().flat_map(|p| p.usage.values()).map(|usage| usage.calls);
        let tickets: usize = unpaid.iter().map(|p| p.tickets.len()).sum();
        vec![
            month,
            Cell::Int(partners.len() as i64),
            Cell::Int(count(&partners, |p| p.live.is_some())),
            Cell::Int(paid),
            Cell::ratio(paid, partners.len() as i64),
            waits.quantile_seconds(0.5),
            waits.within(30 * DAY),
            waits.within(90 * DAY),
            Cell::Int(count(&unpaid, |p| p.live.is_some())),
            Cell::Int(calls.sum()),
            Cell::Int(tickets as i64),
        ]
    };
    Table {
        columns: vec![
            "cohort_month",
            "partners",
            "live",
            "paid",
            "paid_rate",
            "median_seconds",
            "within_30d",
            "within_90d",
            "unpaid_live",
            "unpaid_calls",
            "unpaid_tickets",
        ],
        rows: cohorts(histories, |p| p.registered).into_iter().map(row).collect(),
    }
}

#[test]
fn the_furthest_step_is_the_highest_numbered_one() {
    let mut partner = History { registered: Some(1), ..History::default() };
    partner.first_events.insert("registered", 1);
    assert_eq!(furthest(&partner), Some((0, 1)));
    partner.first_events.insert("production_approved", 5);
    partner.first_events.insert("terms_signed", 9);
    assert_eq!(furthest(&partner), Some((5, 5)));
    partner.first_charge = Some(3);
    assert_eq!(furthest(&partner), Some((8, 3)));
}
