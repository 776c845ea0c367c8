//! Revenue by kind, failed payments, what was billed against what was metered, and the value of the
//! programme.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Day, MONEY_SCALE, parse_decimal};

use super::history::last_days;
use super::{Cell, PartnerHistories, Table};

pub(super) fn revenue_by_kind(histories: &PartnerHistories) -> Table {
    let mut sums: BTreeMap<(Day, &str), (i128, i64)> = BTreeMap::new();
    for partner in histories.partners.values() {
        for (key, amount) in &partner.kinds {
            let sum = sums.entry(*key).or_default();
            sum.0 += amount;
            sum.1 += 1;
        }
    }
    let row = |((month, kind), (amount, partners)): ((Day, &'static str), (i128, i64))| {
        let is_charge = ["usage", "subscription", "commission"].contains(&kind);
        let gross = gross_of_month(histories, month);
        let share = if is_charge { Cell::money_ratio(amount, gross) } else { Cell::Null };
        vec![Cell::Date(month), Cell::text(kind), Cell::Money(amount), Cell::Int(partners), share]
    };
    Table {
        columns: vec!["month", "kind", "amount", "partners", "share"],
        rows: sums.into_iter().map(row).collect(),
    }
}

fn gross_of_month(histories: &PartnerHistories, month: Day) -> i128 {
    histories.partners.values().filter_map(|p| p.billing.get(&month)).map(|b| b.gross).sum()
}

pub(super) fn payment_failures(histories: &PartnerHistories) -> Table {
    let window = last_days(histories.as_of, 90);
    let mut rows = Vec::new();
    for (id, partner) in &histories.partners {
        let failed = partner.payments_failed.iter().filter(|at| window.contains(at));
        let Some(last) = failed.clone().max() else { continue };
        let open = partner.payments_succeeded.iter().all(|at| at < last);
        rows.push(vec![
            Cell::text(id),
            Cell::Int(failed.count() as i64),
            Cell::Instant(*last),
            Cell::Flag(open),
        ]);
    }
    Table { columns: vec!["partner_id", "failed", "last_failed_at", "open"], rows }
}

pub(super) fn reconciliation(histories: &PartnerHistories) -> Table {
    // NULL comes after the names.
    type Key<'a> = (Day, &'a str, bool, Option<&'static str>);
    let mut sums: BTreeMap<Key<'_>, (i64, i128)> = BTreeMap::new();
    for (id, partner) in &histories.partners {
        for ((month, product), metered) in &partner.metered {
            sums.entry((*month, id, product.is_none(), *product)).or_default().0 += metered;
        }
        for ((month, product), billed) in &partner.billed {
            sums.entry((*month, id, product.is_none(), *product)).or_default().1 += billed;
        }
    }
    sums.retain(|_, (metered, billed)| *metered > 0 || *billed > 0);
    let row = |((month, id, _, product), (metered, billed)): (Key<'_>, (i64, i128))| {
        let difference = billed - i128::from(metered);
        let rate = (metered != 0).then(|| difference as f64 / metered as f64);
        vec![
            Cell::Date(month),
            Cell::text(id),
            Cell::optional(product),
            Cell::Int(metered),
            Cell::Whole(billed),
            Cell::Whole(difference),
            Cell::float(rate),
        ]
    };
    Table {
        columns: vec![
            "month",
            "partner_id",
            "product",
            "metered",
            "billed",
            "difference",
            "difference_rate",
        ],
        rows: sums.into_iter().map(row).collect(),
    }
}

pub(super) fn programme_value(histories: &PartnerHistories, csv: &str) -> Table {
    let mut figures: BTreeMap<Day, [Option<i128>; 2]> = BTreeMap::new();
    for row in csv.lines().skip(1) {
        let fields: Vec<&str> = row.split(',').collect();
        let amount = |field: usize| parse_decimal(fields[field], MONEY_SCALE);
        figures.insert(fields[0].parse().expect("a month"), [amount(1), amount(2)]);
    }
    let months: BTreeSet<Day> =
        histories.partners.values().flat_map(|p| p.billing.keys().copied()).collect();
    let row = |month: Day| {
        let gross = gross_of_month(histories, month);
        let [revenue, cost] = figures.get(&month).copied().unwrap_or_default();
        vec![
            Cell::Date(month),
            Cell::Money(gross),
            revenue.map_or(Cell::Null, Cell::Money),
            revenue.map_or(Cell::Null, |revenue| Cell::money_ratio(gross, revenue)),
            cost.map_or(Cell::Null, Cell::Money),
            cost.map_or(Cell::Null, |cost| Cell::money_ratio(gross - cost, cost)),
        ]
    };
    Table {
        columns: vec![
            "month",
            "gross",
            "company_revenue",
            "share_of_company",
            "cost",
            "return_on_cost",
        ],
        rows: months.into_iter().map(row).collect(),
    }
}
