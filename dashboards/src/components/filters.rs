//! The controls of a served page: the day, the attributes of partners, what became of a form.

use chrono::Datelike;
use domain::format;
use maud::{Markup, html};

use crate::comparison::Comparison;
use crate::grain::Grain;
use crate::live_page::LivePage;
use crate::site::PageContext;

/// The length of the longest reason of an outage, in characters.
const OUTAGE_LENGTH: usize = 300;
/// The length of the longest value of an attribute in a menu, in characters.
const VALUE_LENGTH: usize = 40;

/// Returns the form that chooses the day and the partners of the report. It is sent to the page
/// itself, so that the choice stands in the URL.
pub(crate) fn form(context: &PageContext, live: &LivePage) -> Markup {
    let newest = context.input.as_of;
    let is_compared = live.comparison != Comparison::default();
    let chosen = [live.is_day_chosen, is_compared, live.grain.is_some()];
    let count = live.filters.len() + chosen.into_iter().filter(|is_chosen| *is_chosen).count();
    html! {
        details.choose {
            summary { "Filter" @if count > 0 { " (" (count) ")" } }
            form method="get" {
                label { span { "As of" } input type="date" name="as_of" value=[live.is_day_chosen.then(|| newest.to_string())]; }
                @for (attribute, values) in live.choices.as_ref() {
                    label {
                        span { (label(attribute)) }
                        select name=(attribute) {
                            option value="" { "All" }
                            @for value in values {
                                option value=(value) selected[live.filters.get(attribute) == Some(value)] {
                                    (format::truncate_to_chars(value, VALUE_LENGTH))
                                }
                            }
                        }
                    }
                }
                (comparison(context, live))
                (grain(context, live))
                button type="submit" { "Show" }
                @if count > 0 { a href=(live.unfiltered) { "Clear" } }
            }
        }
    }
}

/// The pages with tiles, which compare.
const COMPARING: [&str; 2] = ["index.html", "service.html"];

/// Returns the menu of comparisons, on other pages the one that was chosen, so that the form keeps it.
fn comparison(context: &PageContext, live: &LivePage) -> Markup {
    html! {
        @if COMPARING.contains(&context.page.file) {
            label {
                span { "Compare with" }
                select name="compare" {
                    @for comparison in Comparison::ALL {
                        option value=(comparison.name()) selected[comparison == live.comparison] { (comparison.label()) }
                    }
                }
            }
        } @else if live.comparison != Comparison::default() {
            input type="hidden" name="compare" value=(live.comparison.name());
        }
    }
}

/// The pages with charts that are there by day, week and month.
const CHARTING: [&str; 4] = ["revenue", "service", "health", "partner"];

/// Returns the menu of grains, on other pages the one that was chosen, so that the form keeps it.
fn grain(context: &PageContext, live: &LivePage) -> Markup {
    html! {
        @if CHARTING.contains(&context.page.name) {
            label {
                span { "Charts by" }
                select name="grain" {
                    option value="" { "Each its own" }
                    @for grain in Grain::ALL {
                        option value=(grain.name()) selected[live.grain == Some(grain)] { (format::capitalized(grain.name())) }
                    }
                }
            }
        } @else if let Some(grain) = live.grain {
            input type="hidden" name="grain" value=(grain.name());
        }
    }
}

/// Returns the line that says which partners the page is restricted to.
pub(crate) fn in_force(live: &LivePage) -> Markup {
    html! {
        @if !live.filters.is_empty() {
            p.filtered {
                "Only partners with "
                @for (i, (attribute, value)) in live.filters.iter().enumerate() {
                    @if i > 0 { " and " }
                    (label(attribute).to_lowercase()) " " b { bdi { (format::truncate_to_chars(value, VALUE_LENGTH)) } }
                }
                ". " a href=(live.unfiltered) { "Show all partners" }
            }
        }
    }
}

/// Returns what became of the form that was sent last, and why there is no newer data.
pub(crate) fn notice(context: &PageContext, live: &LivePage) -> Markup {
    html! {
        @if let Some(outage) = &live.outage {
            p.notice.refused role="status" {
                "New data could not be read since " (format::instant(outage.since, context.input.as_of.year())) ": "
                (format::truncate_to_chars(outage.why.trim_end_matches('.'), OUTAGE_LENGTH))
                ". The figures below are those read before; they count everything before " (format::date_with_year(context.input.as_of)) "."
            }
        }
        @if let Some(notice) = &live.notice {
            p.notice.refused[notice.is_error] role=(if notice.is_error { "alert" } else { "status" }) { (notice.text) }
        }
    }
}

fn label(attribute: &str) -> String {
    format::capitalized(&attribute.replace('_', " "))
}
