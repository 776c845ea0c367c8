//! The figures of a partner's last 28 days: calls, rates, latency and the quota.

use domain::format;
use maud::{Markup, html};

use crate::components::shell::{Page, Section, empty_state};
use crate::health_rows::HealthRow;
use crate::metric_rows::{PartnerReliabilityRow, ThrottlingRow};

/// Returns the section with the figures of the last 28 days and the quota.
pub(crate) fn section(page: &Page, row: &HealthRow) -> Markup {
    let section = Section {
        subtitle: html! { "Production calls" },
        ..Section::new("reliability", "Last 28 days", 4, "partner_reliability")
    };
    let partners = page.context.partners;
    let Some(facts) = partners.reliability(&row.partner_id).filter(|r| r.calls > 0) else {
        return page.section(&section, &empty_state("No production call in 28 days."));
    };
    let quota = partners.throttling(&row.partner_id);
    let rate = |r: Option<f64>| format::known_or_unknown(r, format::short_percent);
    let lines = [
        (
            "Calls",
            format!(
                "{}, {} a day",
                format::thousands(facts.calls),
                format::known_or_unknown(facts.calls_per_day, |v| format::decimal(v, 0))
            ),
        ),
        (
            "Success rate",
            format::known_or_unknown(facts.success_rate, |r| format::percent_with_places(r, 1)),
        ),
        (
            "Client errors",
            format!("{}, auth {}", rate(facts.client_error_rate), rate(facts.auth_failure_rate)),
        ),
        ("Server errors", rate(facts.server_error_rate)),
        ("Throttled", rate(facts.throttled_rate)),
        ("Latency p50, p95, p99", latency(facts)),
        ("Peak a minute", peak_per_minute(quota)),
    ];
    let body = html! {
        table { tbody { @for (label, value) in lines { tr { td { (label) } td.num { b { (value) } } } } } }
    };
    page.section(&section, &body)
}

/// Returns the latency percentiles in ms, if the calls of the partner carry latencies.
fn latency(row: &PartnerReliabilityRow) -> String {
    let all = [row.p50_ms, row.p95_ms, row.p99_ms];
    if all.iter().all(Option::is_none) {
        return "none sent".to_owned();
    }
    let shown = all.map(|ms| format::known_or_unknown(ms, |ms| format::decimal(ms, 0)));
    format!("{} ms", shown.join(", "))
}

/// Returns the largest number of calls in a minute, and its share of the quota.
fn peak_per_minute(quota: Option<&ThrottlingRow>) -> String {
    let Some(row) = quota else { return format::UNKNOWN.to_owned() };
    let peak = format::known_or_unknown(row.peak_per_minute, format::thousands);
    match (row.quota_per_minute, row.utilisation) {
        (Some(quota), Some(share)) => {
            format!("{peak}, {} of {}", format::percent(share), format::thousands(quota))
        }
        _ => format!("{peak}, quota unknown"),
    }
}
