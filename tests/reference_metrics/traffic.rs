//! Credentials, retries after 429, endpoints, and how much of the platform partners use.

use std::collections::BTreeMap;

use domain::Day;

use super::history::CallCounts;
use super::survival::DAY;
use super::{Cell, History, PartnerHistories, Table};

pub(super) fn credential_hygiene(
    histories: &PartnerHistories,
    hash: impl Fn(&str) -> String,
) -> Table {
    let as_of = histories.as_of.micros();
    let mut rows = Vec::new();
    for (id, partner) in &histories.partners {
        let hashed: BTreeMap<String, _> =
            partner.credentials.iter().map(|(name, used)| (hash(name), used)).collect();
        for (credential, used) in hashed {
            let (age, unused) = ((as_of - used.first) / DAY, (as_of - used.last) / DAY);
            rows.push(vec![
                Cell::text(id),
                Cell::text(&credential),
                Cell::Instant(used.first),
                Cell::Instant(used.last),
                Cell::Int(age),
                Cell::Int(unused),
                Cell::Int(used.calls),
                Cell::ratio(used.auth_failures, used.calls),
                Cell::Flag(unused >= 90),
                Cell::Flag(age >= 365 && used.calls > 0),
            ]);
        }
    }
    Table {
        columns: vec![
            "partner_id",
            "credential_id",
            "first_seen",
            "last_seen",
            "age_days",
            "days_unused",
            "calls_28d",
            "auth_failure_rate_28d",
            "unused",
            "old",
        ],
        rows,
    }
}

pub(super) fn retry_hygiene(histories: &PartnerHistories) -> Table {
    let row = |(id, partner): (&String, &History)| {
        (partner.throttled > 0).then(|| {
            vec![
                Cell::text(id),
                Cell::Int(partner.throttled),
                Cell::Int(partner.retried_1s),
                Cell::ratio(partner.retried_1s, partner.throttled),
            ]
        })
    };
    Table {
        columns: vec!["partner_id", "throttled", "retried_1s", "retried_rate"],
        rows: histories.partners.iter().filter_map(row).collect(),
    }
}

pub(super) fn endpoint_usage(histories: &PartnerHistories) -> Table {
    // NULL comes after the names.
    type Key<'a> = (Day, [(bool, Option<&'a str>); 3]);
    let mut sums: BTreeMap<Key<'_>, (i64, CallCounts)> = BTreeMap::new();
    let mut months: BTreeMap<Day, i64> = BTreeMap::new();
    for partner in histories.partners.values() {
        for ((month, product, method, endpoint), counts) in &partner.endpoints {
            let names = [*product, *method, endpoint.as_deref()];
            let sum = sums.entry((*month, names.map(|name| (name.is_none(), name)))).or_default();
            sum.0 += 1;
            sum.1.merge(counts);
            *months.entry(*month).or_default() += counts.calls;
        }
    }
    let row = |((month, names), (partners, counts)): (Key<'_>, (i64, CallCounts))| {
        let latency = (counts.latency_count > 0)
            .then(|| counts.latency_us_sum as f64 / counts.latency_count as f64 / 1_000.0);
        let mut cells = vec![Cell::Date(month)];
        cells.extend(names.map(|(_, name)| Cell::optional(name)));
        cells.extend([
            Cell::Int(partners),
            Cell::Int(counts.calls),
            Cell::ratio(counts.calls, months[&month]),
            Cell::ratio(counts.successes, counts.calls),
            Cell::ratio(counts.throttled, counts.calls),
            Cell::ratio(counts.server_errors, counts.calls),
            Cell::float(latency),
        ]);
        cells
    };
    Table {
        columns: vec![
            "month",
            "product",
            "method",
            "endpoint",
            "partners",
            "calls",
            "share",
            "success_rate",
            "throttled_rate",
            "server_error_rate",
            "mean_latency_ms",
        ],
        rows: sums.into_iter().map(row).collect(),
    }
}

pub(super) fn breadth(histories: &PartnerHistories) -> Table {
    let row = |(id, partner): (&String, &History)| {
        let named = &partner.named;
        (named.calls > 0).then(|| {
            vec![
                Cell::text(id),
                Cell::Int(named.products.len() as i64),
                Cell::Int(named.endpoints.len() as i64),
                Cell::Int(named.versions.len() as i64),
                Cell::Int(named.credentials.len() as i64),
            ]
        })
    };
    Table {
        columns: vec!["partner_id", "products", "endpoints", "versions", "credentials"],
        rows: histories.partners.iter().filter_map(row).collect(),
    }
}
