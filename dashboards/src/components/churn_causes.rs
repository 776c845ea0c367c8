//! The section on what preceded each loss of a partner.

use domain::format;
use maud::{Markup, html};

use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, bar, header_cell};

/// The causes in the order in which the metric looks for them, each in words.
const CAUSES: [(&str, &str, &str); 7] = [
    ("locked_out", "Locked out", "Nothing but errors afterwards, most of them failed logins"),
    ("errors", "Errors rose", "Its own errors were twice the usual or more"),
    ("throttled", "Throttled", "One call in twenty or more met the quota"),
    ("service", "We failed", "One call in fifty or more was a server error"),
    ("price", "Price", "A day cost half as much again as before"),
    ("fade", "Faded", "The last two weeks had less than half the calls of the two before"),
    ("abrupt", "Stopped at once", "Nothing of the above was seen"),
];

/// Returns the section with the number of lost partners for each cause.
pub(crate) fn section(page: &Page) -> Markup {
    let input = page.context.input;
    let section = Section {
        subtitle: html! { "What was seen before partners left, for all that have churned; it does not prove why they left" },
        ..Section::new("causes", "What preceded each loss", 12, "churn_causes")
    };
    if input.churn_causes.is_empty() {
        let none = "No partner has churned yet, so there is nothing to explain.";
        return page.section(&section, &empty_state(none));
    }
    let count = |name: &str| input.churn_causes.iter().filter(|row| row.cause == name).count();
    let all = input.churn_causes.len() as f64;
    let body = html! {
        table {
            thead { tr {
                (header_cell(Column::Text("Before the last success"))) (header_cell(Column::Number("Partners"))) td.grow {}
                (header_cell(Column::Number("Share"))) th.wide-only scope="col" { "What it means" }
            } }
            tbody { @for (name, label, meaning) in CAUSES { tr {
                td.name { b { (label) } }
                td.num { b { (format::thousands(count(name))) } }
                td.grow { (bar(count(name) as f64 / all, "negative", true)) }
                td.num { (format::percent(count(name) as f64 / all)) }
                td.wide-only { (meaning) }
            } } }
        }
    };
    page.section(&section, &body)
}
