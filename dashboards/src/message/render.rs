//! The text and the HTML of a message.

use domain::{format, printable, printable_lines};
use maud::{DOCTYPE, Markup, html};

use super::{Message, MessageChart, MessageRow, MessageSection, plain};

/// Returns the message as lines of text.
pub(super) fn text(message: &Message) -> String {
    let mut lines: Vec<String> = message
        .head
        .iter()
        .map(|(label, value)| format!("{label}: {}", printable(value)))
        .collect();
    for section in &message.figures.sections {
        lines.extend([String::new(), section.title.clone()]);
        if section.rows.is_empty() {
            lines.push(section.none.to_owned());
        }
        lines.extend(section.rows.iter().map(|row| format!("- {}", row_text(row))));
        lines.extend(more(section));
        let (path, label) = section.link;
        lines.extend(message.pages.as_ref().map(|pages| format!("{label}: {pages}{path}")));
    }
    plain(&lines.join("\n")) + "\n"
}

/// Returns `Active partners: Oct, 40, +2 on Sep`.
fn row_text(row: &MessageRow) -> String {
    let cells: Vec<String> = row
        .cells
        .iter()
        .map(|cell| printable(cell).into_owned())
        .filter(|c| !c.is_empty())
        .collect();
    match cells.split_first() {
        Some((first, rest)) if !rest.is_empty() => format!("{first}: {}", rest.join(", ")),
        Some((first, _)) => first.clone(),
        None => String::new(),
    }
}

fn more(section: &MessageSection) -> Option<String> {
    (section.more > 0).then(|| format!("and {} more", format::thousands(section.more as i64)))
}

/// Returns the message as a page, with the charts after the figures.
pub(super) fn html(message: &Message, charts: &[MessageChart]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (message.subject) } }
            body {
                h1 { (message.subject) }
                table {
                    @for (label, value) in &message.head {
                        tr { th align="left" scope="row" { (label) } td { bdi { (value) } } }
                    }
                }
                @for section in &message.figures.sections { (section_html(message, section)) }
                @for chart in charts { (chart_html(chart)) }
            }
        }
    };
    printable_lines(&page.into_string()).into_owned()
}

/// Returns the picture of a chart at the size of its drawing, but no wider than mail programs show.
fn chart_html(chart: &MessageChart) -> Markup {
    const MAX_WIDTH: f64 = 640.0;
    let scale = (MAX_WIDTH / chart.drawing.width).min(1.0);
    let [width, height] =
        [chart.drawing.width, chart.drawing.height].map(|px| (px * scale).round());
    html! {
        p { img src={ "cid:" (chart.content_id) } alt=(chart.description) width=(width) height=(height); }
    }
}

fn section_html(message: &Message, section: &MessageSection) -> Markup {
    let pages = message.pages.as_deref();
    let (path, label) = section.link;
    html! {
        h2 { (section.title) }
        @if section.rows.is_empty() {
            p { (section.none) }
        } @else {
            table border="1" cellpadding="6" cellspacing="0" {
                thead { tr { @for column in &section.columns { th align="left" scope="col" { (column) } } } }
                tbody { @for row in &section.rows { (row_html(pages, row)) } }
            }
        }
        @if let Some(more) = more(section) { p { (more) } }
        @if let Some(pages) = pages { p { a href={ (pages) (path) } { (label) } } }
    }
}

fn row_html(pages: Option<&str>, row: &MessageRow) -> Markup {
    let link = pages.zip(row.path.as_ref());
    html! {
        tr {
            @for (number, cell) in row.cells.iter().enumerate() {
                @match link {
                    Some((pages, path)) if number == 0 => td { a href={ (pages) (path) } { bdi { (cell) } } },
                    _ => td { bdi { (cell) } },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::message::{MessageScope, headline_charts, manager_digest, overview_message};
    use crate::sample::programme;
    use crate::{MoverRow, ReportInput};

    const PAGES: &str = "https://rapport.example.com/";

    fn mover(input: &ReportInput, manager: &str) -> MoverRow {
        let own = input.health.iter().find(|row| row.manager.as_deref() == Some(manager));
        MoverRow {
            direction: "fell".to_owned(),
            partner_id: own.expect("a partner of the manager").partner_id.clone(),
            tier_then: Some("healthy".to_owned()),
            tier: "at_risk".to_owned(),
            score_then: Some(90.4),
            score: Some(35.2),
            reason: "Calls <fell>".to_owned(),
        }
    }

    #[test]
    fn the_overview_has_the_tiles_of_its_page() {
        let input = programme(60, 30);
        let filters = BTreeMap::from([("segment", "a<b>".to_owned())]);
        let scope = MessageScope { name: "weekly", filters: &filters, pages: Some(PAGES) };
        let message = overview_message(&input, &scope);
        let (text, html) = (message.text(), message.html(&[]));
        for label in ["Active partners", "Gross revenue", "Churn rate", "Time to first call"] {
            assert!(text.contains(label) && html.contains(label), "{text}");
        }
        assert!(text.contains("Partners: segment a<b>") && html.contains("a&lt;b&gt;"), "{html}");
        assert!(text.contains("Overview: https://rapport.example.com/index.html"), "{text}");
        assert!(!html.contains("style=") && !html.contains("<img"), "{html}");
        let drawn = message.html(&headline_charts(&input));
        assert!(
            drawn.contains("src=\"cid:gross-revenue@rapport\" alt=\"Gross revenue by"),
            "{drawn}"
        );
        assert!(!drawn.contains("style="), "{drawn}");
        assert!(message.subject.starts_with("weekly, ") && message.subject.contains("partners"));
        // The same figures of another day are no news.
        let later = ReportInput { generated_at: None, ..input.clone() };
        let figures = |input| overview_message(input, &scope).figures().expect("JSON");
        assert_eq!(figures(&later), figures(&input));
        let mut other = input.clone();
        other.growth.iter_mut().for_each(|row| row.active += 1);
        assert_ne!(figures(&other), figures(&input));
    }

    #[test]
    fn a_digest_has_the_partners_of_its_manager_alone() {
        let input = programme(60, 30);
        let managers: Vec<String> = input.health.iter().filter_map(|r| r.manager.clone()).collect();
        let one = managers.first().expect("a manager").clone();
        let other = managers.iter().find(|name| **name != one).expect("another").clone();
        let filters = BTreeMap::new();
        let scope = MessageScope { name: "managers", filters: &filters, pages: Some(PAGES) };
        let movers = [mover(&input, &one), mover(&input, &other)];
        let message = manager_digest(&input, &movers, &one, &scope);
        let (text, html) = (message.text(), message.html(&[]));
        assert!(text.contains("Healthy → At risk, 90 → 35, Calls <fell>"), "{text}");
        assert!(html.contains("Calls &lt;fell&gt;") && html.contains("/partners/"), "{html}");
        assert!(!html.contains(&crate::paths::partner(&movers[1].partner_id)), "{html}");
        assert!(text.contains("Waiting for a decision") && text.contains("Open alerts"), "{text}");
        let none = manager_digest(&input, &[], "nobody", &scope).text();
        for sentence in ["No partner moved", "Nothing waits", "No alert is open"] {
            assert!(none.contains(sentence), "{none}");
        }
    }
}
