//! Who takes the programme's attention, and why partners have left.

use domain::{Day, MONEY_SCALE, to_f64};

use super::history::{CallCounts, last_days};
use super::survival::DAY;
use super::{Cell, History, PartnerHistories, Table};

pub(super) fn attention(histories: &PartnerHistories) -> Table {
    let window = last_days(histories.as_of, 90);
    let dates = histories.as_of.day().plus(-90)..histories.as_of.day();
    let of = |(id, partner): (&String, &History)| {
        let tickets = partner.tickets.values().filter(|at| window.contains(at)).count() as i64;
        let calls = partner.calls_of(dates.clone()).calls;
        (id.clone(), tickets, partner.gross_of(dates.clone()), calls)
    };
    let all: Vec<(String, i64, i128, i64)> = histories.partners.iter().map(of).collect();
    let all_tickets: i64 = all.iter().map(|(_, tickets, ..)| tickets).sum();
    let all_gross: i128 = all.iter().map(|(_, _, gross, _)| gross).sum();
    let row = |(id, tickets, gross, calls): &(String, i64, i128, i64)| {
        let ticket_share = (all_tickets > 0).then(|| *tickets as f64 / all_tickets as f64);
        let float = |amount: i128| to_f64(amount, MONEY_SCALE);
        let gross_share = (all_gross > 0).then(|| float(*gross) / float(all_gross));
        vec![
            Cell::text(id),
            Cell::Int(*tickets),
            Cell::float(ticket_share),
            Cell::Money(*gross),
            Cell::float(gross_share),
            Cell::Int(*calls),
            Cell::float(ticket_share.zip(gross_share).map(|(tickets, gross)| tickets - gross)),
        ]
    };
    let any = |(_, tickets, gross, calls): &&(String, i64, i128, i64)| {
        *tickets > 0 || *gross > 0 || *calls > 0
    };
    Table {
        columns: vec![
            "partner_id",
            "tickets",
            "ticket_share",
            "gross",
            "gross_share",
            "calls",
            "gap",
        ],
        rows: all.iter().filter(any).map(row).collect(),
    }
}

/// Whether a partner had churned at `as_of`.
pub(super) fn has_churned(partner: &History, as_of: i64) -> bool {
    partner.last_success.is_some_and(|last| last < as_of - 28 * DAY)
}

pub(super) fn churn_causes(histories: &PartnerHistories) -> Table {
    let as_of = histories.as_of;
    let mut rows = Vec::new();
    for (id, partner) in &histories.partners {
        let Some(last) = partner.last_success.filter(|_| has_churned(partner, as_of.micros()))
        else {
            continue;
        };
        let day = Day::of_micros(last);
        let counts = partner.calls_of(day.plus(-27)..day.plus(1));
        rows.push(vec![
            Cell::text(id),
            Cell::Instant(last),
            Cell::text(cause(partner, day, as_of.day())),
            Cell::Int(counts.calls),
            Cell::ratio(counts.client_errors, counts.calls),
            Cell::ratio(counts.throttled, counts.calls),
            Cell::ratio(counts.server_errors, counts.calls),
            Cell::Money(partner.gross_of(day.plus(-27)..day.plus(1))),
        ]);
    }
    Table {
        columns: vec![
            "partner_id",
            "last_success_at",
            "cause",
            "calls",
            "client_error_rate",
            "throttled_rate",
            "server_error_rate",
            "gross",
        ],
        rows,
    }
}

/// Returns why a partner left whose last success was on a day.
fn cause(partner: &History, last: Day, as_of: Day) -> &'static str {
    let after = partner.calls_of(last.plus(1)..last.plus(29).min(as_of));
    let weeks = last.plus(-27)..last.plus(1);
    let before = last.plus(-83)..last.plus(-27);
    let calls = partner.calls_of(weeks.clone());
    let calls_before = partner.calls_of(before.clone());
    let is_at_least = |part: i64, percent: i64| part * 100 >= calls.calls * percent;
    let errors_before = match calls_before.calls {
        0 => 0.0,
        all => calls_before.client_errors as f64 / all as f64,
    };
    let errors = calls.client_errors as f64 / calls.calls.max(1) as f64;
    let (gross, gross_before) = (partner.gross_of(weeks), partner.gross_of(before));
    let halves = [
        partner.calls_of(last.plus(-27)..last.plus(-13)),
        partner.calls_of(last.plus(-13)..last.plus(1)),
    ];
    if is_locked_out(&after) {
        "locked_out"
    } else if calls.calls >= 50
        && is_at_least(calls.client_errors, 5)
        && errors >= 2.0 * errors_before
    {
        "errors"
    } else if is_at_least(calls.throttled, 5) {
        "throttled"
    } else if is_at_least(calls.server_errors, 2) {
        "service"
    } else if gross_before > 0 && 4 * gross > 3 * gross_before {
        "price"
    } else if 2 * halves[1].calls < halves[0].calls {
        "fade"
    } else {
        "abrupt"
    }
}

fn is_locked_out(after: &CallCounts) -> bool {
    after.calls >= 10 && after.successes == 0 && 2 * after.auth_failures >= after.calls
}

#[test]
fn the_first_cause_that_holds_counts() {
    let last = Day(20_600);
    let day = |calls: i64, change: fn(&mut CallCounts)| {
        let mut counts = CallCounts { calls, successes: calls, ..CallCounts::default() };
        change(&mut counts);
        counts
    };
    let level = |change: fn(&mut CallCounts)| {
        let mut partner = History::default();
        for age in 0..84 {
            let change = if age < 28 { change } else { |_: &mut CallCounts| {} };
            partner.days.insert(last.plus(-age), day(10, change));
            partner.gross.insert(last.plus(-age), 1_000);
        }
        partner
    };
    let found = |partner: &History| cause(partner, last, last.plus(60));
    let mut partner = level(|_| {});
    assert_eq!(found(&partner), "abrupt");
    for age in 0..14 {
        partner.days.insert(last.plus(-age), day(4, |_| {}));
    }
    assert_eq!(found(&partner), "fade");
    partner.gross.insert(last, 16_000);
    assert_eq!(found(&partner), "price");
    assert_eq!(found(&level(|counts| counts.server_errors = 1)), "service");
    assert_eq!(
        found(&level(|counts| (counts.server_errors, counts.throttled) = (1, 1))),
        "throttled"
    );
    let mut partner = level(|counts| (counts.client_errors, counts.throttled) = (1, 1));
    assert_eq!(found(&partner), "errors");
    let locked = |counts: &mut CallCounts| (counts.successes, counts.auth_failures) = (0, 5);
    partner.days.insert(last.plus(28), day(10, locked));
    assert_eq!(found(&partner), "locked_out");
    assert_eq!(cause(&partner, last, last.plus(28)), "errors");
}
