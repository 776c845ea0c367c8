//! The section with the steps of onboarding: who has taken each, how long it took, who waits.

use domain::format;
use maud::{Markup, html};

use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, bar, header_cell};
use crate::metric_rows::OnboardingStepRow;

/// Returns the section with the steps of all partners together.
pub(crate) fn section(page: &Page) -> Markup {
    let section = Section {
        subtitle: html! { "From registration to the first charge: how many have taken each step, the median time to it, and how many stand right before it" },
        ..Section::new("steps", "Steps of onboarding", 12, "onboarding_steps")
    };
    let steps = page.context.input.onboarding_steps.iter();
    let mut rows: Vec<&OnboardingStepRow> =
        steps.filter(|row| row.cohort_month.is_none()).collect();
    rows.sort_by_key(|row| row.step);
    if rows.iter().all(|row| row.reached == 0) {
        let none = "Nobody has taken a step yet. Partner events with a step, such as terms_signed, fill this table.";
        return page.section(&section, &empty_state(none));
    }
    let most = rows.iter().map(|row| row.reached).max().unwrap_or(1) as f64;
    let body = html! {
        div.scroll tabindex="0" role="group" aria-label="Onboarding steps" { table {
            thead { tr {
                (header_cell(Column::Text("Step"))) (header_cell(Column::Number("Taken by"))) td.grow {}
                (header_cell(Column::Number("Since registration"))) (header_cell(Column::Number("Since the step before")))
                (header_cell(Column::Number("Waiting before it"))) (header_cell(Column::Number("For, median")))
            } }
            tbody { @for row in rows { (step_row(row, most)) } }
        } }
    };
    page.section(&section, &body)
}

fn step_row(row: &OnboardingStepRow, most: f64) -> Markup {
    let time = |seconds: Option<f64>| match seconds {
        _ if row.step == 1 => "–".to_owned(),
        Some(seconds) => format::duration(seconds),
        None => "not reached".to_owned(),
    };
    html! {
        tr {
            td.name { b { (label(&row.name)) } }
            td.num { b { (format::thousands(row.reached)) } }
            td.grow { (bar(row.reached as f64 / most, "series", true)) }
            td.num { (time(row.median_seconds)) }
            td.num { (time(row.step_median_seconds)) }
            td.num { @if row.waiting > 0 { b { (format::thousands(row.waiting)) } } @else { "–" } }
            td.num { (row.median_waiting_days.map_or_else(|| "–".to_owned(), format::whole_days)) }
        }
    }
}

/// Returns a step in words.
fn label(name: &str) -> String {
    let words = match name {
        "registered" => "Registered",
        "terms_signed" => "Signed the terms",
        "sandbox_key_issued" => "Got a sandbox key",
        "sandbox_success" => "First success in the sandbox",
        "production_requested" => "Asked for production",
        "production_approved" => "Approved for production",
        "production_success" => "First success in production",
        "payment_method_added" => "Added a payment method",
        "charge" => "First charge",
        other => return format::capitalized(&other.replace('_', " ")),
    };
    words.to_owned()
}
