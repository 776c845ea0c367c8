//! The traffic of a partner or of all: four small charts by day, week or month.
//!
//! - `periods`: the calls of each period
//! - `charts`: the drawings, and the figures above them

mod charts;
mod periods;

use domain::format;
use maud::{Markup, html};

use self::charts::RateChart;
use self::periods::Traffic;
use crate::components::annotation_marks;
use crate::components::shell::{Page, Section, empty_state};
use crate::components::table::{Column, HistoryTable, Row, table};
use crate::grain::{Days, Grain};
use crate::health_rows::{HealthRow, TrafficRow};
use crate::theme::{NEGATIVE, SERIES_2};

const RATE_CHARTS: [RateChart; 3] = [
    RateChart { label: "Partner-caused errors", count: |row| row.client_errors, role: NEGATIVE },
    RateChart { label: "Server errors", count: |row| row.server_errors, role: NEGATIVE },
    RateChart { label: "Throttled", count: |row| row.throttled, role: NEGATIVE },
];

/// The charts of all partners together, with whose doing each is.
const PROGRAMME_CHARTS: [RateChart; 3] = [
    RateChart {
        label: "Ours: server errors (5xx)",
        count: |row| row.server_errors,
        role: NEGATIVE,
    },
    RateChart { label: "Ours: throttled (429)", count: |row| row.throttled, role: NEGATIVE },
    RateChart {
        label: "Theirs: client errors (4xx)",
        count: |row| row.client_errors,
        role: SERIES_2,
    },
];

/// Returns the section with the charts, and where wanted what explains the marks of the page.
pub(crate) fn section(page: &Page, row: &HealthRow, explains_marks: bool) -> Markup {
    let grain = grain(page);
    let rows = page.context.partners.traffic(&row.partner_id, grain);
    let traffic = Traffic::new(grain, page.context.input.as_of, &rows);
    let title = title("Traffic", &traffic);
    let mut section = Section {
        subtitle: html! { "Production, by " (grain.name()) "; errors and throttled calls as a share of all calls" (running(&traffic)) },
        ..Section::new("traffic", &title, 12, source(grain))
    };
    if traffic.is_empty() {
        let advice = "No production call in this time. The first one starts these charts.";
        return page.section(&section, &empty_state(advice));
    }
    section.table = Some(numbers(&traffic));
    let body = html! {
        (charts::all(page, &traffic, &RATE_CHARTS))
        @if explains_marks { (annotation_marks::explanation(page)) }
    };
    page.section(&section, &body)
}

/// Returns the section with the traffic of all partners together: what we did to them apart from
/// what they did themselves.
pub(crate) fn programme_section(page: &Page) -> Markup {
    let grain = grain(page);
    let total = periods::of_all_partners(page.context.input.traffic(grain));
    let total: Vec<&TrafficRow> = total.iter().collect();
    let traffic = Traffic::new(grain, page.context.input.as_of, &total);
    let title = title("Ours and theirs", &traffic);
    let mut section = Section {
        subtitle: html! { "Production calls of all partners, by " (grain.name()) ". Ours: the service failed, or a quota was too small. Theirs: the request was wrong" (running(&traffic)) },
        ..Section::new("traffic", &title, 12, source(grain))
    };
    if traffic.is_empty() {
        let advice = "No production call in this time. Load API calls with rapport ingest load --stream api-calls.";
        return page.section(&section, &empty_state(advice));
    }
    section.table = Some(numbers(&traffic));
    let body = html! {
        (charts::all(page, &traffic, &PROGRAMME_CHARTS))
        (annotation_marks::explanation(page))
    };
    page.section(&section, &body)
}

/// Returns the grain of the charts: days, unless the reader chose another one.
fn grain(page: &Page) -> Grain {
    page.context.grain().unwrap_or(Grain::Day)
}

/// Returns the table with the rows of a grain.
fn source(grain: Grain) -> &'static str {
    grain.table("partner_traffic").unwrap_or("partner_traffic")
}

fn title(what: &str, traffic: &Traffic) -> String {
    let until = traffic.as_of.pred_opt().unwrap_or(traffic.as_of);
    let (n, noun) = (traffic.periods.len(), traffic.grain.name());
    format!("{what}, {n} {noun}s to {}", format::long_date(until))
}

/// Returns how much of the last period has passed, if it is not over.
fn running(traffic: &Traffic) -> Markup {
    let elapsed = traffic.elapsed().filter(|_| traffic.is_last_running());
    html! {
        @if let Some((passed, all)) = elapsed {
            ". Now: " (passed) " of " (all) " days of the " (traffic.grain.name())
        }
    }
}

fn numbers(traffic: &Traffic) -> HistoryTable {
    let first = match traffic.grain {
        Grain::Day => "Day",
        Grain::Week => "Week from",
        Grain::Month => "Month",
    };
    let columns = [
        Column::Text(first),
        Column::Number("Calls"),
        Column::Number("Successes"),
        Column::Number("Client errors"),
        Column::Number("Server errors"),
        Column::Number("Throttled"),
    ];
    let line = |(days, row): (&Days, &Option<&TrafficRow>)| {
        let name = match traffic.grain {
            Grain::Month => format::month_year(days.0),
            Grain::Day | Grain::Week => format::date(days.0),
        };
        let counts = row.map_or([0; 5], |row| {
            [row.calls, row.successes, row.client_errors, row.server_errors, row.throttled]
        });
        let cells = std::iter::once(name).chain(counts.map(format::thousands)).collect();
        Row::period(cells, days.1 <= traffic.as_of)
    };
    let rows: Vec<Row> = traffic.periods.iter().zip(&traffic.rows).map(line).collect();
    HistoryTable { table: table(&columns, &rows), earlier_rows: 0 }
}
