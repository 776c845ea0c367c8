//! The Activation page: how soon partners make their first call and go live, by registration cohort.
//!
//! - `curves`: the curves of time to first call and to production, and their tables
//! - `cohorts`: the registration cohorts, with the day on which each matures
//! - `touchless`: who goes live without a ticket

mod cohorts;
mod curves;
mod touchless;

use chrono::NaiveDate;
use domain::format;
use maud::{Markup, html};

use crate::components::cohorts::mature_cohorts;
use crate::components::figure::{self, Figure};
use crate::components::lead_paragraph;
use crate::components::shell::{Page, grid};
use crate::input::ReportInput;
use crate::site::PageContext;

use curves::{FIRST_CALL, PRODUCTION, Progress};

pub(crate) fn page(context: &PageContext) -> String {
    let input = context.input;
    let page = Page::new(context, lead(input));
    let first_call: Vec<Progress> = input.time_to_first_call.iter().map(Progress::from).collect();
    let production: Vec<Progress> = input.time_to_production.iter().map(Progress::from).collect();
    let sections = html! {
        (grid(&[FIRST_CALL.section(&page, &first_call), FIRST_CALL.within_section(&page, &first_call)]))
        (grid(&[PRODUCTION.section(&page, &production), PRODUCTION.within_section(&page, &production)]))
        (grid(&[cohorts::section(&page)]))
        (grid(&[touchless::section(&page)]))
    };
    page.html(&sections)
}

fn lead(input: &ReportInput) -> Markup {
    let all = input.time_to_first_call.iter().find(|row| row.cohort_month.is_none());
    let Some(all) = all.filter(|row| row.partners > 0) else {
        return html! { "Nobody has registered yet. Partner events are what fills this page: load them with " code { "rapport ingest load --stream partner-events" } "." };
    };
    let of = |what: &str| figure::of_cohort(what, "time_to_first_call", None);
    let half = match all.median_seconds {
        Some(seconds) => html! {
            "Half of all partners make their first call within " b { (Figure::duration(seconds, of("median_seconds"))) } "."
        },
        None => html! {
            "Fewer than half of all partners have made a first call: "
            (Figure::count(all.reached, of("reached"))) " of " (Figure::count(all.partners, of("partners"))) "."
        },
    };
    lead_paragraph::lead(std::iter::once(half).chain(newest_cohort(input)))
}

/// Returns a sentence on the activation of the newest mature cohort, beside the one before.
fn newest_cohort(input: &ReportInput) -> Option<Markup> {
    let cohorts = mature_cohorts(&input.activation);
    let mut back = cohorts.iter().rev();
    let of = |row: &&crate::metric_rows::ActivationRow| -> Option<(NaiveDate, f64)> {
        Some((row.cohort_month?, row.activation_rate?))
    };
    let (month, rate) = back.next().and_then(of)?;
    let figure = |month: NaiveDate, rate: f64| {
        Figure::percent(rate, figure::of_cohort("activation_rate", "activation", Some(month)))
    };
    Some(html! {
        "Of " (format::long_month(month)) "’s registrations " b { (figure(month, rate)) " went live in 30 days" }
        @if let Some((before, earlier)) = back.next().and_then(of) {
            ", against " (figure(before, earlier)) " of " (format::long_month(before)) "’s"
        }
        "."
    })
}
