//! No page is large, whatever events contain, and pages fetch nothing.

use domain::{Setting, Tier};

use super::{MAX_PAGE_BYTES, attribute};
use crate::months::{month_start, next_month};
use crate::sample::programme;
use crate::{
    AlertRow, EndpointUsageRow, GuardrailEffect, GuardrailHit, ProductUsageRow, RejectedRow,
    ReportInput, TableRow, VersionAdoptionRow, pages, stylesheet,
};

#[test]
fn pages_stand_alone_and_are_small() {
    let input = programme(2000, 60);
    for (path, html) in pages(&input) {
        assert!(html.len() < MAX_PAGE_BYTES, "{path} has {} bytes", html.len());
        for fetched in ["http://", "https://", "//cdn", "@import", "url("] {
            assert!(!html.contains(fetched), "{path} holds {fetched}");
        }
        // The one script stands beside the pages.
        let root = if path.contains('/') { "../" } else { "" };
        assert_eq!(attribute(&html, "src"), [format!("{root}script.js")], "{path}");
    }
    assert!(stylesheet().len() < 40_000);
}

/// Returns a programme with very long names and reasons of quotes, which take six bytes each in
/// HTML.
fn hostile(n: usize) -> ReportInput {
    let mut input = programme(n, 120);
    for (i, row) in input.health.iter_mut().enumerate() {
        let long = "\"'&<".repeat(75_000);
        row.name = Some(format!("{i}{long}"));
        row.manager = Some(long.clone());
        row.segment = Some(long.clone());
        row.region = Some(long.clone());
        row.plan = Some(long.clone());
        row.top_reason = Some(long.clone());
        for signal in &mut row.signals {
            signal.reason.clone_from(&long);
        }
    }
    for row in &mut input.plan {
        row.why = "<".repeat(300_000);
        row.to = Some(Setting::Notify { who: "&".repeat(300_000), about: String::new() });
        row.guardrails = vec!["\"".repeat(300_000); 8];
        row.rule = "\"".repeat(300_000);
        let hit = GuardrailHit { effect: GuardrailEffect::Stopped, reason: "\"".repeat(300_000) };
        row.hits = vec![hit; 8];
        if let Some(decision) = &mut row.status.decision {
            decision.by = "\"".repeat(300_000);
            decision.reason = Some("\"".repeat(300_000));
        }
    }
    hostile_actions(&mut input);
    hostile_records(&mut input);
    hostile_service(&mut input);
    hostile_lake(&mut input);
    for rows in input.first_rows.values_mut() {
        *rows = vec![vec!["<".repeat(300_000); 2]; 12];
    }
    for query in input.queries.values_mut() {
        query.sql = "-- '<'\n".repeat(40_000);
    }
    input
}

fn hostile_actions(input: &mut ReportInput) {
    let long = "\"".repeat(300_000);
    for row in &mut input.plan_facts.stopped {
        row.rule.clone_from(&long);
        row.why.clone_from(&long);
        row.stopped_by = vec![long.clone(); 8];
    }
    for group in &mut input.plan_facts.unlike {
        group.rule.clone_from(&long);
        group.plan = Some(long.clone());
        group.treatments = vec![(long.clone(), vec![long.clone(); 8]); 8];
    }
    let groups = vec![input.plan_facts.unlike[0].clone(); 20];
    input.plan_facts.unlike = groups;
    input.plan_facts.blocked = vec![long.clone(); 20];
    for row in &mut input.action_log {
        row.answer = Some(long.clone());
        row.by = Some(long.clone());
        row.channel = Some(long.clone());
    }
    let mut alert = input.alerts[0].clone();
    alert.name.clone_from(&long);
    alert.about.clone_from(&long);
    alert.owner.clone_from(&long);
    alert.note.clone_from(&long);
    alert.told = vec![long; 8];
    input.alerts =
        (0..60).map(|i| AlertRow { name: format!("{i}{}", alert.name), ..alert.clone() }).collect();
}

fn hostile_records(input: &mut ReportInput) {
    let long = "\"".repeat(300_000);
    for row in &mut input.notes {
        row.by.clone_from(&long);
        row.note = Some(long.clone());
    }
    let note = input.notes[0].clone();
    input.notes.extend(std::iter::repeat_n(note, 40));
    for row in &mut input.overrides {
        row.by.clone_from(&long);
        row.reason.clone_from(&long);
        row.end_reason = Some(long.clone());
    }
    let set = input.overrides[0].clone();
    input.overrides.extend(std::iter::repeat_n(set, 40));
    for row in &mut input.annotations {
        row.text.clone_from(&long);
    }
    let annotation = input.annotations[0].clone();
    input.annotations.extend(std::iter::repeat_n(annotation, 40));
}

fn hostile_service(input: &mut ReportInput) {
    let long = Some("\"".repeat(300_000));
    let (endpoint, product) = (input.endpoint_usage.pop(), input.product_usage.pop());
    let (endpoint, product) = (endpoint.expect("a row"), product.expect("a row"));
    let version = input.version_adoption.pop().expect("a row");
    for _ in 0..60 {
        input.endpoint_usage.push(EndpointUsageRow {
            product: long.clone(),
            method: long.clone(),
            endpoint: long.clone(),
            ..endpoint.clone()
        });
        input.product_usage.push(ProductUsageRow { product: long.clone(), ..product.clone() });
        let version = VersionAdoptionRow { api_version: long.clone(), ..version.clone() };
        input.version_adoption.push(version);
    }
}

fn hostile_lake(input: &mut ReportInput) {
    let long = "\"".repeat(300_000);
    for row in &mut input.data_quality {
        row.sample = Some(long.clone());
    }
    for metric in input.held_back.values_mut() {
        metric.reason = "\"".repeat(3_000);
    }
    for i in 0..100 {
        let reason = format!("{i}{long}");
        input.lake.rejected.push(RejectedRow { stream: long.clone(), reason, records: i });
        let table = TableRow { table: long.clone(), ..input.lake.tables[0].clone() };
        input.lake.tables.push(table);
    }
}

#[test]
fn no_page_is_large_whatever_events_bring() {
    for (path, html) in pages(&hostile(180)) {
        assert!(html.len() < MAX_PAGE_BYTES, "{path} has {} bytes", html.len());
    }
}

/// An event of long ago makes a row of every month since.
#[test]
fn a_long_history_ends_with_its_newest_months() {
    let mut input = programme(60, 30);
    let mut month: chrono::NaiveDate = "2000-01-01".parse().expect("a date");
    let (growth, revenue) = (input.growth[0].clone(), input.revenue_summary[0].clone());
    let (funnel, first) = (input.funnel[0].clone(), input.time_to_first_call[0].clone());
    let (activation, cohort) = (input.activation[0].clone(), input.cohort_retention[0].clone());
    let of_partner = input.revenue_per_partner[0].clone();
    let mut since = 0;
    let mut old = ReportInput::default();
    while month < growth.month {
        old.growth.push(crate::GrowthRow { month, ..growth.clone() });
        old.revenue_summary.push(crate::RevenueSummaryRow { month, ..revenue.clone() });
        old.revenue_per_partner.push(crate::RevenuePerPartnerRow { month, ..of_partner.clone() });
        old.funnel.push(crate::FunnelRow { cohort_month: Some(month), ..funnel.clone() });
        let first = crate::TimeToFirstCallRow { cohort_month: Some(month), ..first.clone() };
        old.time_to_first_call.push(first);
        let activation = crate::ActivationRow { cohort_month: Some(month), ..activation.clone() };
        old.activation.push(activation);
        let row = crate::CohortRetentionRow { cohort_month: month, ..cohort.clone() };
        old.cohort_retention.push(row);
        let first_cohort = "2000-01-01".parse().expect("a date");
        let row = crate::CohortRetentionRow {
            cohort_month: first_cohort,
            months_since: since,
            cohort_size: 12,
            ..cohort.clone()
        };
        old.cohort_retention.push(row);
        since += 1;
        month = next_month(month_start(month));
    }
    input.growth.splice(0..0, old.growth);
    input.revenue_summary.splice(0..0, old.revenue_summary);
    input.revenue_per_partner.splice(0..0, old.revenue_per_partner);
    input.funnel.splice(0..0, old.funnel);
    input.time_to_first_call.splice(0..0, old.time_to_first_call);
    input.activation.splice(0..0, old.activation);
    input.cohort_retention.splice(0..0, old.cohort_retention);
    for day in 0..2_000 {
        let as_of = input.as_of - chrono::Days::new(2_100 - day);
        input.history.add(&input.health[0].partner_id, as_of, Tier::Watch, Some(50.0));
    }
    for (path, html) in pages(&input) {
        assert!(html.len() < MAX_PAGE_BYTES, "{path} has {} bytes", html.len());
    }
    let pages = pages(&input);
    let growth = &pages.iter().find(|(path, _)| path == "growth.html").expect("a page").1;
    assert!(growth.contains("earlier rows are in the <a href=\"data/growth.csv\">CSV</a> only."));
    assert!(!growth.contains("<td>Jan\u{a0}2000"));
}
