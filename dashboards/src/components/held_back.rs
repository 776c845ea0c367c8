//! The notice that the newest rows of a metric are held back.

use domain::format;
use maud::{Markup, html};

use crate::input::HeldBackMetric;
use crate::paths;

/// Returns the notice with its reason.
pub(crate) fn notice(metric: &HeldBackMetric) -> Markup {
    html! { p.held { (rows_shown_instead(metric)) " " (metric.reason) "." } }
}

/// Returns the notice with a link to the page that gives the reason. `root` leads to the folder of
/// the report.
pub(crate) fn notice_with_link(root: &str, name: &str, metric: &HeldBackMetric) -> Markup {
    html! {
        p.held {
            (rows_shown_instead(metric)) " "
            a href={ (root) (paths::sql(name)) } { "Why " (name) " is held back" }
        }
    }
}

fn rows_shown_instead(metric: &HeldBackMetric) -> Markup {
    html! {
        b { "Held back." } " "
        @match metric.shown_as_of {
            Some(day) => { "What is shown is as of " (format::date_with_year(day)) "." },
            None => "There are no earlier rows to show.",
        }
    }
}
