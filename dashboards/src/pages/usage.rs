//! The page that a partner itself sees: its calls, errors, quota and charges, and nothing of anybody
//! else. It says nothing of what we think of the partner.

use domain::format;
use maud::html;

use crate::components::shell::{Page, grid};
use crate::components::{reliability, traffic};
use crate::grain::Grain;
use crate::health_rows::HealthRow;
use crate::pages::partner;
use crate::site::PageContext;

/// The longest name in the title, in characters.
const NAME_LENGTH: usize = 64;

/// Returns the page of a partner.
pub(crate) fn page(context: &PageContext, row: &HealthRow) -> String {
    let title = format!("{}: usage", format::truncate_to_chars(&row.label(), NAME_LENGTH));
    let lead = html! {
        "Everything before " (format::date_with_year(context.input.as_of)) ", 00:00 UTC."
    };
    let page = Page { root: "../../", title, ..Page::new(context, lead) };
    let sections = html! {
        (grid(&[reliability::section(&page, row), partner::gross_section(&page, row, false)]))
        (grid(&[traffic::section(&page, row, false)]))
        p.more { a href="usage.csv" { "Calls by day as CSV" } }
    };
    page.html(&sections)
}

/// Returns the calls of a partner by day as CSV.
pub(crate) fn csv(context: &PageContext, id: &str) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header =
        ["event_date", "calls", "successes", "client_errors", "server_errors", "throttled"];
    // Writing to memory cannot fail.
    let _ = writer.write_record(header);
    for day in context.partners.traffic(id, Grain::Day) {
        let counts =
            [day.calls, day.successes, day.client_errors, day.server_errors, day.throttled];
        let cells = std::iter::once(day.start.to_string());
        let _ = writer.write_record(cells.chain(counts.map(|n| n.to_string())));
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}
