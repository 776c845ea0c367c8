//! The metrics on the service of the sample programme.

use chrono::{Days, NaiveDate};

use super::{SamplePartner, date, mix, months};
use crate::input::ReportInput;
use crate::service_rows::{
    EndpointUsageRow, ErrorAlarmRow, ProductUsageRow, SlaBreachRow, VersionAdoptionRow,
};

const ENDPOINTS: [(&str, &str, &str); 6] = [
    ("payments", "post", "/v2/charges"),
    ("payments", "get", "/v2/charges/{id}"),
    ("payments", "post", "/v1/charges"),
    ("accounts", "get", "/v2/accounts/{id}"),
    ("accounts", "post", "/v2/accounts"),
    ("reports", "get", "/v2/reports/\"<b>/{id}"),
];

pub(super) fn service_rows(input: &mut ReportInput, partners: &[SamplePartner]) {
    for (i, month) in months(input.as_of).into_iter().enumerate() {
        let of: Vec<&SamplePartner> =
            partners.iter().filter(|p| p.active(month, input.as_of)).collect();
        if of.is_empty() {
            continue;
        }
        let calls = of.iter().map(|p| (p.size * 90.0) as i64 + 6).sum::<i64>();
        usage(input, month, (of.len() as i64, calls), i as u64);
        versions(input, month, (of.len() as i64, calls), i as f64);
        for partner in of.iter().filter(|p| p.seed.is_multiple_of(3)) {
            promise(input, month, partner, i as u64);
        }
    }
    for partner in partners.iter().filter(|p| mix(p.seed, 13) < 0.12) {
        for back in 1..(2 + partner.seed % 6) {
            input.error_alarms.push(ErrorAlarmRow {
                partner_id: partner.id.clone(),
                event_date: input.as_of - Days::new(back),
                calls: 480,
                client_error_rate: 0.02 + 0.01 * mix(partner.seed, back),
                baseline_rate: Some(0.008),
            });
        }
    }
}

fn usage(input: &mut ReportInput, month: NaiveDate, (partners, calls): (i64, i64), i: u64) {
    for product in ["payments", "accounts", "reports"] {
        let seed = product.len() as u64;
        input.product_usage.push(ProductUsageRow {
            month,
            product: Some(product.to_owned()),
            partners: (partners * seed as i64 / 9).max(1),
            calls: calls * seed as i64 / 24,
            success_rate: 0.978 + 0.012 * mix(seed, i),
            p95_ms: (product != "reports").then(|| 180.0 + 60.0 * mix(seed, i + 50)),
        });
    }
    for (n, (product, method, endpoint)) in ENDPOINTS.into_iter().enumerate() {
        let share = (6 - n) as f64 / 21.0;
        let seed = n as u64 + 70;
        input.endpoint_usage.push(EndpointUsageRow {
            month,
            product: Some(product.to_owned()),
            method: Some(method.to_owned()),
            endpoint: (n != 4).then(|| endpoint.to_owned()),
            partners: (partners / (n as i64 + 1)).max(1),
            calls: ((calls as f64 * share) as i64).max(1),
            share,
            success_rate: 0.974 + 0.012 * mix(seed, i),
            throttled_rate: 0.004 * mix(seed, i + 100),
            server_error_rate: 0.002 * mix(seed, i + 200),
            mean_latency_ms: (n != 5).then(|| 60.0 + 120.0 * mix(seed, i + 300)),
        });
    }
}

fn versions(input: &mut ReportInput, month: NaiveDate, (partners, calls): (i64, i64), i: f64) {
    let old = (0.6 - 0.06 * i).max(0.02);
    let sunset = |day: &str| Some(date(day));
    let rows = [
        (Some("v2"), 0.97 - old, None),
        (Some("v1"), old - 0.01, sunset("2026-11-30")),
        (Some("v0"), 0.01, sunset("2026-08-31")),
        (None, 0.03, None),
    ];
    for (version, share, sunset_on) in rows {
        input.version_adoption.push(VersionAdoptionRow {
            month,
            api_version: version.map(str::to_owned),
            partners: ((partners as f64 * share) as i64).max(1),
            calls: ((calls as f64 * share) as i64).max(1),
            share,
            sunset_on,
            days_to_sunset: sunset_on.map(|day: NaiveDate| (day - input.as_of).num_days()),
        });
    }
}

fn promise(input: &mut ReportInput, month: NaiveDate, partner: &SamplePartner, i: u64) {
    let availability = 1.0 - 0.0012 * mix(partner.seed, i + 400);
    let p99 = 300.0 + 220.0 * mix(partner.seed, i + 500);
    let latency_target_ms = partner.seed.is_multiple_of(2).then_some(500.0);
    let late = latency_target_ms.is_some_and(|target| p99 > target);
    input.sla_breaches.push(SlaBreachRow {
        month,
        partner_id: partner.id.clone(),
        target: Some(0.999),
        availability,
        latency_target_ms,
        p99_ms: Some(p99),
        breached: availability < 0.999 || late,
    });
}
