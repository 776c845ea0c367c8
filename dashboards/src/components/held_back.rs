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

/// Returns the sentence on a metric that looks at the whole lake, in a report of some partners.
pub(crate) fn of_all_partners_notice() -> Markup {
    html! { p.held { b { "Of all partners only." } " It looks at the whole lake, so it is not shown for some of them." } }
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
