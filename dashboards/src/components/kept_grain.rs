//! The sentence of a chart over time that keeps its grain, whatever the reader chose.

use maud::{Markup, html};

use crate::components::shell::Page;
use crate::grain::Grain;

/// Returns the sentence behind a subtitle: that the chart stays by `own`, and why. It is empty where
/// the reader chose no other grain.
pub(crate) fn sentence(page: &Page, own: Grain, why: &str) -> Markup {
    let is_other = page.context.grain().is_some_and(|chosen| chosen != own);
    html! { @if is_other { ". Stays by " (own.name()) ": " (why) } }
}

/// Why figures of distinct partners stay by month.
pub(crate) const DISTINCT: &str = "a partner of several weeks would count several times";
