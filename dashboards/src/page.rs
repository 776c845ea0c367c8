//! The page shell: rail, header, freshness, lead sentence, sections under rules, footer.

use chrono::Datelike;
use lake_types::printable_lines;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::fresh::{self, State};
use crate::input::{Held, ReportInput};
use crate::table::Numbers;
use crate::{paths, words};

/// Which entry of the rail is current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Funnel,
    Growth,
    Revenue,
    Health,
    Metrics,
    /// The documentation of queries, which stands without a report.
    Docs,
}

/// An entry of the rail: its page, word and path.
type Entry = (Place, &'static str, &'static str);

const RAIL: [(&str, &[Entry]); 3] = [
    (
        "Programme",
        &[
            (Place::Overview, "Overview", "index.html"),
            (Place::Funnel, "Funnel", "funnel.html"),
            (Place::Growth, "Growth and churn", "growth.html"),
            (Place::Revenue, "Revenue", "revenue.html"),
        ],
    ),
    ("Partners", &[(Place::Health, "Health", "health.html")]),
    ("Evidence", &[(Place::Metrics, "Metrics", "metrics.html")]),
];

const DOCS_RAIL: [(&str, &[Entry]); 1] = [("Evidence", &[(Place::Docs, "Queries", "index.html")])];

/// A page before it is HTML. `root` leads from the page back to the report's folder.
pub(crate) struct Page<'a> {
    pub input: &'a ReportInput,
    pub root: &'a str,
    pub place: Place,
    pub title: String,
    /// Beside the title, smaller: an id.
    pub id: Option<&'a str>,
    /// Above the title: where this page hangs.
    pub above: Option<(&'a str, &'a str)>,
    /// Between freshness and lead: facts of a partner.
    pub facts: Option<Markup>,
    pub lead: Markup,
    pub scored: bool,
}

/// One section of a page.
pub(crate) struct Section<'a> {
    pub id: &'a str,
    pub title: &'a str,
    pub subtitle: Markup,
    /// Columns of the twelve.
    pub span: u8,
    /// Metric or table behind it, for the links CSV and SQL.
    pub source: &'a str,
    /// The numbers, opened by the link Table.
    pub table: Option<Numbers>,
    pub note: Option<Markup>,
    /// A list of what to do: moved above charts on a phone.
    pub first: bool,
}

impl<'a> Section<'a> {
    pub(crate) fn new(id: &'a str, title: &'a str, span: u8, source: &'a str) -> Self {
        let (subtitle, table, note) = (html! {}, None, None);
        Self { id, title, subtitle, span, source, table, note, first: false }
    }
}

impl Page<'_> {
    /// The whole page around its sections.
    pub(crate) fn html(&self, body: &Markup) -> String {
        let title = format!("{} · Rapport", self.title);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="referrer" content="no-referrer";
                    title { (title) }
                    link rel="stylesheet" href={ (self.root) "style.css" };
                }
                body {
                    a.skip href="#main" { "To the content" }
                    (self.topbar())
                    (self.rail())
                    main #main {
                        (self.header())
                        @if let Some(facts) = &self.facts { (facts) }
                        p.lead { (self.lead) }
                        (body)
                        (self.footer())
                    }
                    @if self.place != Place::Docs { (fresh::script()) }
                }
            }
        };
        // Names and ids may hold characters that command a terminal, or turn what is read.
        printable_lines(&page.into_string()).into_owned()
    }

    fn rail(&self) -> Markup {
        html! {
            nav.rail aria-label="Pages" {
                a.brand href={ (self.root) "index.html" } { (mark()) "Rapport" }
                (self.links())
            }
        }
    }

    fn topbar(&self) -> Markup {
        html! {
            div.topbar {
                a.brand href={ (self.root) "index.html" } { (mark()) "Rapport" }
                details.menu {
                    summary { "Menu" }
                    nav aria-label="Pages" { (self.links()) }
                }
            }
        }
    }

    fn entries(&self) -> &'static [(&'static str, &'static [Entry])] {
        if self.place == Place::Docs { &DOCS_RAIL } else { &RAIL }
    }

    fn links(&self) -> Markup {
        html! {
            @for (group, entries) in self.entries().iter().copied() {
                p.group { (group) }
                @for (place, word, path) in entries {
                    a aria-current=[(*place == self.place).then_some("page")]
                        href={ (self.root) (path) } { (word) }
                }
            }
        }
    }

    fn header(&self) -> Markup {
        let as_of = words::day_year(self.input.as_of);
        html! {
            header {
                @if let Some((word, path)) = self.above {
                    p.above { a href={ (self.root) (path) } { (word) } " / Partner" }
                }
                div.head {
                    h1 {
                        bdi { (self.title) }
                        @if let Some(id) = self.id { " " bdi.id { (id) } }
                    }
                    @if self.place != Place::Docs { div.controls {
                        span.asof { span { "As of " } (as_of) i.hour { ", 00:00" "\u{A0}" "UTC" } }
                        a.data href={ (self.root) "metrics.html" } { "CSV and SQL" }
                    } }
                }
                @if self.place != Place::Docs { (self.freshness()) }
            }
        }
    }

    fn freshness(&self) -> Markup {
        let input = self.input;
        let year = input.as_of.year();
        let state = State::of(input);
        html! {
            ul.fresh.stale[state.stale] data-until=[state.until()] {
                li.state { (state.glyph()) span.word { (state.word) } (state.made(year)) }
                @if let Some(watermark) = input.watermark {
                    li { "Data complete to " (words::instant(watermark, year)) }
                }
                @if let Some(seconds) = input.slowest_seconds.filter(|s| *s > 0) {
                    li { "Slowest partition " (words::duration(seconds as f64)) " behind" }
                }
                @if self.scored {
                    li {
                        @match (input.scored_at, &input.policy_version) {
                            (Some(at), Some(policy)) => { "Scored " (words::instant(at, year)) ", policy " (policy) }
                            (Some(at), None) => { "Scored " (words::instant(at, year)) }
                            (None, Some(policy)) => { "Scored with policy " (policy) }
                            (None, None) => "Not scored yet",
                        }
                    }
                }
                @if let Some(month) = input.running_month() {
                    @if let Some(part) = words::part_of_month(month, input.as_of) {
                        li { (words::long_month(month)) " is incomplete: " (part) }
                    }
                }
                li.advice hidden[state.advice.is_none()] { (state.advice.unwrap_or(fresh::OLD)) }
            }
        }
    }

    fn footer(&self) -> Markup {
        let input = self.input;
        html! {
            footer {
                p {
                    "Rapport " (input.rapport_version) "."
                    @if let Some(run) = &input.run {
                        " Run " (run)
                        @if let Some(policy) = &input.policy_version { ", policy " (policy) }
                        "."
                    }
                    " Times are UTC"
                    @if self.place != Place::Docs { "; money is in " (input.currency) " at each day’s rate" }
                    "."
                }
                @if self.place != Place::Docs { p { "Every figure: its numbers, its rows as CSV, its SQL" } }
            }
        }
    }

    /// A section: rule, title and links on one baseline, subtitle, body, note, numbers.
    pub(crate) fn section(&self, section: &Section, body: &Markup) -> Markup {
        html! {
            section #(section.id) class={ "c" (section.span) (if section.first { " first" } else { "" }) } {
                div.title.tabled[section.table.is_some()] {
                    h2 { (section.title) }
                    p.links {
                        @if self.input.csv.contains_key(section.source) {
                            a href={ (self.root) (paths::csv(section.source)) } { "CSV" }
                        }
                        @if self.input.queries.contains_key(section.source) {
                            a href={ (self.root) (paths::sql(section.source)) } { "SQL" }
                        }
                    }
                }
                p.subtitle { (section.subtitle) }
                @if let Some(held) = self.input.held.get(section.source) {
                    (held_elsewhere(self.root, section.source, held))
                }
                (body)
                @if let Some(note) = &section.note { p.note { (note) } }
                @if let Some(table) = &section.table {
                    // Its summary stands in the head of the section, beside CSV and SQL.
                    details class={ "numbers l" (self.evidence(section.source)) } {
                        summary { "Table" }
                        div.scroll { (table.table) }
                        (self.earlier(table.earlier, section.source))
                    }
                }
            }
        }
    }

    /// Where the rows of a long history are that a page has no room for.
    pub(crate) fn earlier(&self, rows: usize, source: &str) -> Markup {
        html! {
            @if rows > 0 { p.note {
                (words::counted(rows, "earlier row")) " " (words::agree(rows, "is", "are")) " in the "
                @if self.input.csv.contains_key(source) { a href={ (self.root) (paths::csv(source)) } { "CSV" } } @else { "CSV" }
                " only."
            } }
        }
    }

    /// How many links of evidence a source has: the toggle of the table stands left of them.
    fn evidence(&self, source: &str) -> usize {
        usize::from(self.input.csv.contains_key(source))
            + usize::from(self.input.queries.contains_key(source))
    }
}

/// That the newest rows are not shown, and why.
pub(crate) fn held_back(held: &Held) -> Markup {
    html! { p.held { (shown_instead(held)) " " (held.why) "." } }
}

/// The same of a metric whose page says why.
pub(crate) fn held_elsewhere(root: &str, metric: &str, held: &Held) -> Markup {
    html! {
        p.held {
            (shown_instead(held)) " "
            a href={ (root) (paths::sql(metric)) } { "Why " (metric) " is held back" }
        }
    }
}

/// That the newest rows are not shown, and which are.
fn shown_instead(held: &Held) -> Markup {
    html! {
        b { "Held back." } " "
        @match held.shown {
            Some(day) => { "What is shown is as of " (words::day_year(day)) "." },
            None => "There are no earlier rows to show.",
        }
    }
}

/// Sections side by side.
pub(crate) fn grid(sections: &[Markup]) -> Markup {
    html! { div.grid { @for section in sections { (section) } } }
}

/// A chart in its two drawings: at the section's width, and for phones.
pub(crate) fn drawings(wide: String, narrow: String) -> Markup {
    html! {
        div.wide { (PreEscaped(wide)) }
        div.narrow { (PreEscaped(narrow)) }
    }
}

/// In place of a chart: why there is none and what to do next.
pub(crate) fn empty(sentence: &str) -> Markup {
    html! { p.empty { (sentence) } }
}

fn mark() -> Markup {
    PreEscaped(
        r#"<svg class="mark" viewBox="0 0 22 16" aria-hidden="true"><circle class="a" cx="8" cy="8" r="6"/><circle class="b" cx="14" cy="8" r="6"/></svg>"#
            .to_owned(),
    )
}
