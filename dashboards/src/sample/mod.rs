//! A sample programme for tests and for viewing: different partners over nine months. All figures
//! are derived from the partners, so that the pages agree with each other.

mod actions;
mod health;
mod lake;
mod metrics;
mod records;
mod service;

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use domain::Tier;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::grain::Grain;
use crate::health_rows::{PartnerRow, TrafficRow};
use crate::input::{ColumnDoc, QueryDoc, ReportInput};
use crate::metric_rows::{ChurnCauseRow, PartnerReliabilityRow, StuckPartnerRow, ThrottlingRow};
use crate::months::{month_start, next_month};
use crate::policy_in_force::PolicyInForce;

/// A partner of the sample and what it did.
struct SamplePartner {
    id: String,
    name: Option<String>,
    registered: NaiveDate,
    /// Days from registration to the first call.
    first_call: Option<f64>,
    /// Days from registration to go-live.
    live: Option<u64>,
    /// The last day with production traffic.
    last: NaiveDate,
    /// A month without traffic in between.
    away: Option<NaiveDate>,
    /// The scale of traffic and revenue.
    size: f64,
    seed: u64,
}

fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

/// Returns a pseudo-random number in 0–1 that two numbers determine.
fn mix(a: u64, b: u64) -> f64 {
    ChaCha8Rng::seed_from_u64(a.rotate_left(32) ^ b).random()
}

const NAMES: [&str; 12] = [
    "Harbourline",
    "Osprey Ledger",
    "Tessera Pay",
    "Brightwater",
    "Northbank Labs",
    "Quayside",
    "Партнёр-17",
    "Kestrel Commerce",
    "Juniper Travel",
    "Fathom Books",
    "Alder & Finch",
    "Sable Logistics",
];

/// Returns names and ids as an attacker or a careless integration would send them.
fn hostile(i: usize) -> Option<(String, Option<String>)> {
    match i {
        3 => Some(("w-0003".to_owned(), Some("<script>alert(1)</script>".to_owned()))),
        8 => Some((r#"x" onload="alert(2)' \ ../../etc/passwd"#.to_owned(), None)),
        14 => Some(("w-0014".to_owned(), Some("شريك \u{202E}الدفع".to_owned()))),
        19 => Some(("w".repeat(128), Some("A very long name ".repeat(8).trim().to_owned()))),
        _ => None,
    }
}

fn partners(n: usize, as_of: NaiveDate) -> Vec<SamplePartner> {
    let start = date("2026-01-03");
    let span = (as_of - start).num_days() as f64 - 3.0;
    let partner = |i: usize| {
        let seed = i as u64 + 1;
        let (id, name) = hostile(i).unwrap_or_else(|| {
            let name = NAMES.get(i % 17).map(|name| {
                if i < 17 { (*name).to_owned() } else { format!("{name} {}", i / 17 + 1) }
            });
            (format!("w-{i:04}"), name)
        });
        let registered =
            start + Days::new((i as f64 / n as f64 * span + mix(seed, 1) * 3.0) as u64);
        let called = mix(seed, 2) > 0.14;
        let live = called && mix(seed, 3) > 0.12;
        let speed = (mix(seed, 4) * 6.5 - 2.5).exp();
        let gone = mix(seed, 5) < 0.25;
        let last = if gone {
            registered + Days::new(50 + (mix(seed, 6) * 150.0) as u64)
        } else {
            as_of - Days::new(1)
        };
        SamplePartner {
            id,
            name,
            registered,
            first_call: called.then_some(speed),
            live: live.then_some((speed * 1.8 + 2.0) as u64),
            last: last.min(as_of - Days::new(1)),
            away: (mix(seed, 7) < 0.08).then(|| month_start(registered) + Months::new(3)),
            size: (mix(seed, 8) * 6.4).exp() * 18.0,
            seed,
        }
    };
    (0..n).map(partner).collect()
}

impl SamplePartner {
    fn live_at(&self, as_of: NaiveDate) -> Option<NaiveDate> {
        self.live.map(|d| self.registered + Days::new(d)).filter(|d| *d < as_of && *d <= self.last)
    }

    fn called_at(&self, as_of: NaiveDate) -> Option<NaiveDate> {
        self.first_call.map(|d| self.registered + Days::new(d as u64)).filter(|d| *d < as_of)
    }

    fn active(&self, month: NaiveDate, as_of: NaiveDate) -> bool {
        let Some(live) = self.live_at(as_of) else { return false };
        live < next_month(month) && self.last >= month && self.away != Some(month)
    }

    fn gross(&self, month: NaiveDate, as_of: NaiveDate) -> f64 {
        if !self.active(month, as_of) || mix(self.seed, 9) < 0.2 {
            return 0.0;
        }
        let grown = 1.0 + 0.09 * f64::from(month.month0()) * mix(self.seed, 10);
        let seen = (as_of.min(next_month(month)) - month).num_days() as f64 / 30.0;
        (self.size * grown * seen.min(1.0) * 100.0).round() / 100.0
    }
}

fn instant(day: NaiveDate) -> DateTime<Utc> {
    day.and_hms_opt(9, 30, 0).expect("a time").and_utc()
}

fn months(as_of: NaiveDate) -> Vec<NaiveDate> {
    let mut month = date("2026-01-01");
    let mut out = Vec::new();
    while month < as_of {
        out.push(month);
        month = next_month(month);
    }
    out
}

fn ratio(a: i64, b: i64) -> Option<f64> {
    (b != 0).then(|| a as f64 / b as f64)
}

/// Returns a programme of `n` partners as of 15 September 2026, scored on `days` days.
pub(crate) fn programme(n: usize, days: u64) -> ReportInput {
    let as_of = date("2026-09-15");
    let partners = partners(n, as_of);
    let mut input = ReportInput {
        as_of,
        currency: "USD".to_owned(),
        rapport_version: "0.1.0".to_owned(),
        run: Some("12".to_owned()),
        policy_version: Some("1".to_owned()),
        policy: PolicyInForce {
            at_risk_below: 40.0,
            healthy_above: 75.0,
            min_coverage: 0.6,
            min_live_days: 28,
            churned_after_days: 28,
            stuck_after_days: 30,
            stale_hours: 36,
        },
        watermark: Some(instant(as_of) - chrono::TimeDelta::minutes(563)),
        slowest_seconds: Some(120),
        scored_at: Some(instant(as_of) - chrono::TimeDelta::minutes(561)),
        ..ReportInput::default()
    };
    metrics::registration_metrics(&mut input, &partners);
    metrics::growth_metrics(&mut input, &partners);
    metrics::revenue_metrics(&mut input, &partners);
    lake::lake_rows(&mut input, n);
    service::service_rows(&mut input, &partners);
    for partner in &partners {
        partner_rows(&mut input, partner, days);
    }
    longer_periods(&mut input);
    actions::finish(&mut input);
    records::annotations(&mut input);
    health::set_impact(&mut input);
    let names = [
        "funnel",
        "time_to_first_call",
        "time_to_production",
        "onboarding_steps",
        "self_service",
        "action_history",
        "activation",
        "growth",
        "cohort_retention",
        "revenue_summary",
        "revenue_bridge",
        "revenue_by_product",
        "revenue_by_kind",
        "free_to_paid",
        "churn_causes",
        "revenue_per_partner",
        "partner_reliability",
        "partner_health",
        "partner_signals",
        "partner_traffic",
        "partner_traffic_week",
        "partner_traffic_month",
        "revenue_day",
        "revenue_week",
        "stuck_partners",
        "data_quality",
        "product_usage",
        "endpoint_usage",
        "sla_breaches",
        "version_adoption",
        "error_trend",
        "throttling",
        "partner_notes",
        "override_history",
        "annotations",
    ];
    for name in names {
        input.csv.insert(name.to_owned(), "column\n1\n".to_owned());
        let row = ["2026-01-01", "<b>"].map(str::to_owned).to_vec();
        input.first_rows.insert(name.to_owned(), vec![row]);
        let column = |name: &str| ColumnDoc {
            name: name.to_owned(),
            kind: "Int64".to_owned(),
            unit: Some("partners".to_owned()),
            description: Some("with a success <b>".to_owned()),
        };
        let query = QueryDoc {
            kind: "metric".to_owned(),
            description: "How far the partners of each month have come".to_owned(),
            owner: Some("partner-analytics".to_owned()),
            grain: vec!["month".to_owned()],
            columns: vec![column("month"), column("partners")],
            checks: vec!["unique = [\"month\"]".to_owned()],
            cases: vec!["an empty lake".to_owned()],
            reads: vec!["partners".to_owned(), "growth".to_owned()],
            read_by: vec!["funnel".to_owned()],
            file: format!("queries/metrics/{name}.sql"),
            sql: "SELECT '<b>' AS x\nFROM partners\n".to_owned(),
            ..QueryDoc::default()
        };
        input.queries.insert(name.to_owned(), query);
    }
    input
}

/// Returns the tier and score of a partner on a day.
fn scored(partner: &SamplePartner, as_of: NaiveDate, day: NaiveDate) -> (Tier, Option<f64>) {
    let Some(live) = partner.live_at(day) else {
        return (
            if (day - partner.registered).num_days() >= 30 {
                Tier::Stuck
            } else {
                Tier::Onboarding
            },
            None,
        );
    };
    if partner.last + Days::new(28) < day {
        return (Tier::Churned, None);
    }
    if (day - live).num_days() < 28 {
        return (Tier::InsufficientEvidence, None);
    }
    let back = (as_of - day).num_days() as f64;
    let base = 45.0
        + mix(partner.seed, 12) * 50.0
        + (mix(partner.seed, day.num_days_from_ce() as u64) - 0.5) * 5.0;
    let drop = if mix(partner.seed, 13) < 0.12 { 45.0 * (1.0 - back / 14.0).max(0.0) } else { 0.0 };
    let score = (base - drop).clamp(3.0, 98.0);
    (
        if score > 75.0 {
            Tier::Healthy
        } else if score < 40.0 {
            Tier::AtRisk
        } else {
            Tier::Watch
        },
        Some(score),
    )
}

fn partner_rows(input: &mut ReportInput, partner: &SamplePartner, days: u64) {
    let as_of = input.as_of;
    for back in (0..days).rev() {
        let day = as_of - Days::new(back);
        if day >= partner.registered {
            let (tier, score) = scored(partner, as_of, day);
            input.history.add(&partner.id, day, tier, score);
        }
    }
    let (tier, score) = scored(partner, as_of, as_of);
    input.health.push(health::health_row(partner, as_of, tier, score));
    if tier == Tier::Churned {
        let causes = ["errors", "service", "fade", "abrupt"];
        let cause = causes[partner.seed as usize % 4].to_owned();
        input.churn_causes.push(ChurnCauseRow { partner_id: partner.id.clone(), cause });
    }
    if tier == Tier::Stuck {
        input.stuck_partners.get_or_insert_default().push(StuckPartnerRow {
            partner_id: partner.id.clone(),
            stage: if partner.first_call.is_some() { "sandbox" } else { "never_called" }.to_owned(),
            since: instant(partner.registered),
            days_in_stage: (as_of - partner.registered).num_days(),
            registered_at: instant(partner.registered),
            last_call_at: None,
        });
    }
    input.partners.push(PartnerRow {
        partner_id: partner.id.clone(),
        registered_at: Some(instant(partner.registered)),
        first_call_at: partner.called_at(as_of).map(instant),
        live_at: partner.live_at(as_of).map(instant),
        last_success_at: partner.live_at(as_of).map(|_| instant(partner.last)),
    });
    actions::partner_actions(input, partner, tier);
    records::partner_records(input, partner, tier);
    traffic(input, partner);
}

/// Fills the traffic by week and by month from that by day.
fn longer_periods(input: &mut ReportInput) {
    for grain in [Grain::Week, Grain::Month] {
        let mut sums: BTreeMap<(String, NaiveDate), TrafficRow> = BTreeMap::new();
        for row in &input.daily {
            let start = grain.period(row.start).0;
            let empty = || TrafficRow {
                partner_id: row.partner_id.clone(),
                start,
                ..TrafficRow::default()
            };
            sums.entry((row.partner_id.clone(), start)).or_insert_with(empty).add(row);
        }
        let rows = sums.into_values().collect();
        match grain {
            Grain::Week => input.weekly = rows,
            _ => input.monthly = rows,
        }
    }
}

fn traffic(input: &mut ReportInput, partner: &SamplePartner) {
    let as_of = input.as_of;
    let Some(live) = partner.live_at(as_of) else { return };
    let mut total = [0i64; 5];
    for back in (1..=90).rev() {
        let day = as_of - Days::new(back);
        let weekend = day.weekday().number_from_monday() > 5;
        let quiet = weekend && partner.seed.is_multiple_of(3);
        if day < live || day > partner.last || quiet {
            continue;
        }
        let wave = if weekend { 0.35 } else { 1.0 };
        let calls = (partner.size * 4.0 * wave * (0.85 + 0.3 * mix(partner.seed, back))) as i64 + 1;
        let bad = if mix(partner.seed, 13) < 0.12 && back < 12 { 0.031 } else { 0.008 };
        let client_errors =
            (calls as f64 * bad * (0.7 + 0.6 * mix(partner.seed, back + 100))) as i64;
        let server_errors = (calls as f64 * 0.001 * mix(partner.seed, back + 200)) as i64;
        let throttled = if mix(partner.seed, 14) < 0.2 { calls / 60 } else { 0 };
        let successes = calls - client_errors - server_errors - throttled;
        if back <= 28 {
            for (sum, n) in
                total.iter_mut().zip([calls, successes, client_errors, server_errors, throttled])
            {
                *sum += n;
            }
        }
        input.daily.push(TrafficRow {
            partner_id: partner.id.clone(),
            start: day,
            calls,
            successes,
            client_errors,
            server_errors,
            throttled,
        });
    }
    let [calls, successes, client, server, throttled] = total;
    if calls == 0 {
        return;
    }
    input.partner_reliability.push(PartnerReliabilityRow {
        partner_id: partner.id.clone(),
        calls,
        success_rate: ratio(successes, calls),
        client_error_rate: ratio(client, calls),
        auth_failure_rate: Some(0.0),
        throttled_rate: ratio(throttled, calls),
        server_error_rate: ratio(server, calls),
        p50_ms: Some(88.0),
        p95_ms: Some(212.0),
        p99_ms: (!partner.seed.is_multiple_of(5)).then_some(431.0),
        calls_per_day: Some(calls as f64 / 28.0),
    });
    let peak = 200 + (mix(partner.seed, 15) * 400.0) as i64;
    input.throttling.push(ThrottlingRow {
        partner_id: partner.id.clone(),
        quota_per_minute: (!partner.seed.is_multiple_of(6)).then_some(600),
        peak_per_minute: Some(peak),
        utilisation: (!partner.seed.is_multiple_of(6)).then_some(peak as f64 / 600.0),
        throttled_rate: ratio(throttled, calls),
        needs_upgrade: throttled * 100 >= calls || peak >= 580,
    });
}
