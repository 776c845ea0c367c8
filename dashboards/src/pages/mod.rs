//! The lists of pages, and a file for each page.
//!
//! A new page is a file in this folder and one line in [`REPORT_SITE`]. The report writes its files
//! and draws its navigation from these lists.
//!
//! - `overview`: the figures of the last complete month, and what needs attention today
//! - `funnel`: from registration to revenue, by registration cohort
//! - `activation`: how soon partners make their first call and go live
//! - `growth`: growth accounting, churn and retention
//! - `revenue`: revenue by month and its concentration
//! - `health`: health scores, and the lists of all partners
//! - `partner`: a page for each partner
//! - `partner_list`: the list of partners that is searched, on served pages only
//! - `service`: how well the API serves partners
//! - `data`: the streams and tables of the lake, and what is wrong with the data
//! - `actions`: the pending plan, and the log of what was done
//! - `alerts`: the alerts that are open
//! - `ask`: SQL, on served pages only
//! - `usage`: what a partner itself sees, on served pages only
//! - `metrics`: the list of all queries, with their rows as files
//! - `query`: a page for each query

mod actions;
mod activation;
mod alerts;
mod ask;
mod data;
mod funnel;
mod growth;
mod health;
mod metrics;
mod overview;
mod partner;
pub(crate) mod partner_list;
mod query;
mod revenue;
mod service;
pub(crate) mod usage;

pub use overview::TILE_METRICS as HEADLINE_METRICS;
pub(crate) use overview::all_tiles as overview_tiles;

use crate::site::Navigation::{Group, Parent};
use crate::site::{Family, Site, family, single};

/// The pages of the report.
pub(crate) static REPORT_SITE: Site = Site {
    has_figures: true,
    pages: &[
        single("overview", "Overview", "index.html", Group("Programme"), overview::page),
        single("funnel", "Funnel", "funnel.html", Group("Programme"), funnel::page),
        single("activation", "Activation", "activation.html", Group("Programme"), activation::page),
        single("growth", "Growth and churn", "growth.html", Group("Programme"), growth::page),
        single("revenue", "Revenue", "revenue.html", Group("Programme"), revenue::page),
        single("service", "Service", "service.html", Group("Programme"), service::page),
        family("health", "Health", "health.html", Group("Partners"), health::FAMILY),
        family("partner", "Partner", "partners", Parent("health"), partner::FAMILY),
        single(
            "partners",
            "Find partners",
            partner_list::FILE,
            Group("Partners"),
            partner_list::page,
        )
        .only_live(),
        single("actions", "Actions", "actions.html", Group("Partners"), actions::page),
        single("alerts", "Alerts", "alerts.html", Group("Partners"), alerts::page),
        single("metrics", "Metrics", "metrics.html", Group("Evidence"), metrics::page),
        family("query", "Query", "sql", Parent("metrics"), query::FAMILY),
        single("ask", "SQL", ask::FILE, Group("Evidence"), ask::page).only_live(),
        single("data", "Data", "data.html", Group("Evidence"), data::page),
    ],
};

/// The page that a partner itself sees.
pub(crate) static USAGE_SITE: Site = Site {
    has_figures: true,
    pages: &[family("usage", "Usage", "usage", Group("Usage"), NO_PAGES)],
};

const NO_PAGES: Family = Family { all: |_| Box::new(std::iter::empty()), at: |_, _| None };

/// The pages of the documentation of queries, which needs no lake.
pub(crate) static DOCS_SITE: Site = Site {
    has_figures: false,
    pages: &[
        single("queries", "Queries", "index.html", Group("Evidence"), metrics::docs_page),
        family("query", "Query", "sql", Parent("queries"), query::FAMILY),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parent_is_a_page_with_a_link() {
        for site in [&REPORT_SITE, &DOCS_SITE] {
            for page in site.pages {
                let Parent(name) = page.navigation else { continue };
                let parent = site.pages.iter().find(|page| page.name == name);
                let parent = parent.unwrap_or_else(|| panic!("{}: no page {name}", page.name));
                assert!(matches!(parent.navigation, Group(_)), "{name} has no link");
            }
        }
    }
}
