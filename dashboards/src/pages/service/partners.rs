//! The partners that come near their quota, and those whose errors rose above their usual.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use domain::format;
use maud::{Markup, html};

use super::small_rate;
use crate::components::partner_link;
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, bar, header_cell};
use crate::input::ReportInput;
use crate::metric_rows::ThrottlingRow;
use crate::service_rows::ErrorAlarmRow;

/// The number of partners in each table.
const MOST: usize = 12;
/// The days before `as_of` whose alarms are shown.
const ALARM_DAYS: u64 = 28;

pub(super) fn throttled_section(page: &Page) -> Markup {
    let mut section = Section {
        subtitle: html! { "Partners that need a larger quota: the busiest minute of the last four weeks beside the quota" },
        ..Section::new("throttled", "Near or over their quota", 7, "throttling")
    };
    let rows = &page.context.input.throttling;
    if rows.is_empty() {
        let none = "No production calls in the last four weeks, so no quota was used.";
        return page.section(&section, &empty_state(none));
    }
    let mut shown: Vec<&ThrottlingRow> = rows.iter().filter(|row| row.needs_upgrade).collect();
    if shown.is_empty() {
        let none = "None: nobody was throttled much or came near its quota.";
        return page.section(&section, &empty_state(none));
    }
    let rate = |row: &ThrottlingRow| row.throttled_rate.unwrap_or(0.0);
    shown.sort_by(|a, b| rate(b).total_cmp(&rate(a)).then_with(|| a.partner_id.cmp(&b.partner_id)));
    section.note = Some(html! {
        @if shown.len() > MOST { "The most throttled are shown; the CSV has all. " }
        "What the policy proposes for them is on the page " a href="actions.html" { "Actions" } "."
    });
    let body = html! {
        table.top {
            thead { tr {
                (header_cell(Column::Text("Partner"))) th.num.sorted scope="col" aria-sort="descending" { "Throttled ▾" } (header_cell(Column::Number("Busiest minute"))) (header_cell(Column::Number("Quota")))
                th.num scope="col" { "Used" } td.share.wide-only {}
            } }
            tbody { @for row in shown.iter().take(MOST) { tr {
                td.name { (partner_link::by_id(page.context.partners, &row.partner_id)) }
                td.num { b { (format::known_or_unknown(row.throttled_rate, small_rate)) } }
                td.num { (format::known_or_unknown(row.peak_per_minute, format::thousands)) }
                td.num { (format::known_or_unknown(row.quota_per_minute, format::thousands)) }
                td.num { (format::known_or_unknown(row.utilisation, format::percent)) }
                td.share.wide-only { (bar(row.utilisation.unwrap_or(0.0), "series", true)) }
            } } }
        }
    };
    page.section(&section, &body)
}

/// The alarms of one partner.
struct Alarms<'a> {
    days: usize,
    newest: &'a ErrorAlarmRow,
}

pub(super) fn alarms_section(page: &Page) -> Markup {
    let input = page.context.input;
    let mut section = Section {
        subtitle: html! { "Partners whose own errors rose clearly above their usual in the last four weeks" },
        ..Section::new("alarms", "Errors above usual", 5, "error_trend")
    };
    let alarms = alarms_by_partner(input);
    if input.throttling.is_empty() && alarms.is_empty() {
        let none = "No production calls in the last four weeks, so no errors either.";
        return page.section(&section, &empty_state(none));
    }
    if alarms.is_empty() {
        let none = "None: every partner’s client errors are as usual.";
        return page.section(&section, &empty_state(none));
    }
    let mut shown: Vec<(&str, Alarms)> = alarms.into_iter().collect();
    shown.sort_by(|(a, x), (b, y)| y.days.cmp(&x.days).then_with(|| a.cmp(b)));
    if shown.len() > MOST {
        section.note = Some(html! { "Those with the most days are shown; the CSV has every day." });
    }
    let body = html! {
        table.top {
            thead { tr {
                (header_cell(Column::Text("Partner"))) th.num.sorted scope="col" aria-sort="descending" { "Days ▾" } (header_cell(Column::Number("Newest")))
                (header_cell(Column::Number("4xx that day"))) (header_cell(Column::Number("Usual")))
            } }
            tbody { @for (id, alarms) in shown.iter().take(MOST) { tr {
                td.name { (partner_link::by_id(page.context.partners, id)) }
                td.num { b { (format::thousands(alarms.days)) } }
                td.num { (format::date(alarms.newest.event_date)) }
                td.num { (small_rate(alarms.newest.client_error_rate)) }
                td.num { (format::known_or_unknown(alarms.newest.baseline_rate, small_rate)) }
            } } }
        }
    };
    page.section(&section, &body)
}

fn alarms_by_partner(input: &ReportInput) -> BTreeMap<&str, Alarms<'_>> {
    let from: NaiveDate = input.as_of - Days::new(ALARM_DAYS);
    let mut partners: BTreeMap<&str, Alarms> = BTreeMap::new();
    for row in input.error_alarms.iter().filter(|row| row.event_date >= from) {
        let alarms =
            partners.entry(row.partner_id.as_str()).or_insert(Alarms { days: 0, newest: row });
        alarms.days += 1;
        if row.event_date > alarms.newest.event_date {
            alarms.newest = row;
        }
    }
    partners
}
