//! The Actions page: what the pending plan proposes and why, what guardrails did, who must agree,
//! what was stopped, like partners that are treated unlike, and the log of what was done.
//!
//! - `proposed`: the changes of the plan, by rule
//! - `stopped`: what guardrails stopped, and unlike treatment
//! - `log`: what was approved, sent and answered

mod log;
mod proposed;
mod stopped;

use std::collections::BTreeSet;

use domain::format;
use maud::{Markup, html};

use crate::action_rows::{ChangeDelivery, PlanRow};
use crate::components::figure;
use crate::components::lead_paragraph;
use crate::components::shell::{Page, grid};
use crate::input::ReportInput;
use crate::site::PageContext;

/// The name of the CSV with the rows of the plan.
const PLAN_SOURCE: &str = "actions_plan";
/// The length of the longest reason on the page in characters. Partners' pages have them in full.
const REASON_LENGTH: usize = 110;

pub(crate) fn page(context: &PageContext) -> String {
    let page = Page { facts: blocked(context.input), ..Page::new(context, lead(context.input)) };
    let sections = html! {
        (grid(&[proposed::rules_section(&page), proposed::steps_section(&page)]))
        (grid(&[proposed::changes_section(&page)]))
        (grid(&[stopped::stopped_section(&page), stopped::unlike_section(&page)]))
        (grid(&[log::section(&page)]))
    };
    page.html(&sections)
}

/// Returns the notice that nothing may be changed, with the reasons.
fn blocked(input: &ReportInput) -> Option<Markup> {
    let reasons = &input.plan_facts.blocked;
    (!reasons.is_empty()).then(|| {
        html! {
            div.held {
                b { "Nothing may be changed now." }
                ul { @for reason in reasons.iter().take(6) { li { (format::truncate_to_chars(reason, 200)) } } }
            }
        }
    })
}

fn lead(input: &ReportInput) -> Markup {
    let n = input.plan.len();
    if n == 0 {
        return html! {
            @if !input.plan_facts.blocked.is_empty() { "The plan is blocked, so nothing is proposed; the reasons are above." }
            @else { "Nothing is proposed: no rule of the policy asks for a change. The rules are in " code { "policy.toml" } "." }
        };
    }
    let partners: BTreeSet<&str> = input.plan.iter().map(|row| row.partner_id.as_str()).collect();
    let waiting = input.plan.iter().filter(|row| row.is_waiting()).count();
    let unsent = input.plan.iter().filter(|row| is_approved_and_unsent(row)).count();
    let stopped = input.plan_facts.stopped.len();
    let count = |n: usize, noun: &str| figure::of_report(n, &format::counted(n, noun));
    let proposed = html! {
        "The plan proposes " b { (count(n, "change")) } " for " (count(partners.len(), "partner")) "."
    };
    let waits = (waiting > 0).then(|| {
        html! { b { (figure::of_report(waiting, &format::thousands(waiting))) " " (format::agree(waiting, "waits", "wait")) " for a person" } "." }
    });
    let agreed = (unsent > 0).then(|| {
        html! { b { (figure::of_report(unsent, &format::thousands(unsent))) } " " (format::agree(unsent, "is", "are")) " approved and not sent yet." }
    });
    let stops = (stopped > 0).then(|| {
        html! { "Guardrails stopped " (count(stopped, "other")) "." }
    });
    lead_paragraph::lead([Some(proposed), waits, agreed, stops].into_iter().flatten())
}

fn is_approved_and_unsent(row: &PlanRow) -> bool {
    let is_approved = row.status.decision.as_ref().is_some_and(|decision| decision.is_approved);
    is_approved && row.status.delivery == ChangeDelivery::NotSent
}
