//! The charts beside the headline figures, for mails that show pictures.

use domain::format;

use super::plain;
use crate::chart_file::{ChartFile, chart_file};
use crate::input::ReportInput;
use crate::pages::REPORT_SITE;
use crate::partner_index::{PartnerIndex, PartnerRows};
use crate::tiers;

/// The number of months that a description names.
const MONTHS: usize = 6;

/// A chart of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageChart {
    /// The name of the picture within the mail (RFC 2392), without `cid:`.
    pub content_id: &'static str,
    /// The numbers of the chart in words, for whoever does not see it.
    pub description: String,
    pub drawing: ChartFile,
}

/// Where a chart stands on the pages.
struct Place {
    content_id: &'static str,
    page: &'static str,
    section: &'static str,
    describe: fn(&ReportInput) -> String,
}

const PLACES: [Place; 3] = [
    Place {
        content_id: "active-partners@rapport",
        page: "growth.html",
        section: "active",
        describe: active,
    },
    Place {
        content_id: "gross-revenue@rapport",
        page: "revenue.html",
        section: "gross",
        describe: gross,
    },
    Place { content_id: "tiers@rapport", page: "health.html", section: "tiers", describe: by_tier },
];

/// Returns the charts of the headline figures that have data: active partners, gross revenue, tiers.
pub fn headline_charts(input: &ReportInput) -> Vec<MessageChart> {
    let index = PartnerIndex::new(input);
    let rows = PartnerRows { input, index: &index };
    let chart = |place: &Place| {
        let html = REPORT_SITE.page_at(rows, place.page, None)?;
        Some(MessageChart {
            content_id: place.content_id,
            description: plain(&(place.describe)(input)),
            drawing: chart_file(&html, place.section)?,
        })
    };
    PLACES.iter().filter_map(chart).collect()
}

fn active(input: &ReportInput) -> String {
    let months = crate::charts::last(&input.growth, MONTHS);
    let figure = |row: &crate::GrowthRow| {
        let so_far = if row.complete { "" } else { " so far" };
        format!("{} {}{so_far}", format::month_year(row.month), format::thousands(row.active))
    };
    let figures: Vec<String> = months.iter().map(figure).collect();
    format!("Active partners by month: {}", figures.join(", "))
}

fn gross(input: &ReportInput) -> String {
    let months = crate::charts::last(&input.revenue_summary, MONTHS);
    let figure = |row: &crate::RevenueSummaryRow| {
        let so_far = if row.complete { "" } else { " so far" };
        let amount = format::money(row.gross, &input.currency);
        format!("{} {amount}{so_far}", format::month_year(row.month))
    };
    let figures: Vec<String> = months.iter().map(figure).collect();
    format!("Gross revenue by month: {}", figures.join(", "))
}

fn by_tier(input: &ReportInput) -> String {
    let counts = input.tier_counts().into_iter().filter(|(tier, ..)| tiers::is_live(*tier));
    let figures: Vec<String> = counts
        .map(|(tier, n, _)| {
            format!("{} {}", tiers::label(tier).to_lowercase(), format::thousands(n))
        })
        .collect();
    format!("Live partners by tier over time, now: {}", figures.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::programme;

    #[test]
    fn the_charts_say_their_numbers() {
        let input = programme(60, 30);
        let charts = headline_charts(&input);
        assert_eq!(charts.len(), 3);
        let growth = input.growth.last().expect("a month");
        let now = format!("{} so far", growth.active);
        assert!(charts[0].description.ends_with(&now), "{}", charts[0].description);
        assert!(charts[1].description.contains("Gross revenue by month: "), "{charts:?}");
        let healthy = input.health.iter().filter(|row| row.tier == domain::Tier::Healthy).count();
        let healthy = format!("healthy {healthy}");
        assert!(charts[2].description.contains(&healthy), "{}", charts[2].description);
        assert!(charts.iter().all(|chart| chart.drawing.svg.starts_with("<svg ")));
        assert!(headline_charts(&ReportInput::default()).is_empty());
    }
}
