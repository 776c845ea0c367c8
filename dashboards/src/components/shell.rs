//! The shell of a page: navigation, header, freshness, lead sentence, sections, footer.

use chrono::Datelike;
use domain::format;
use domain::into_printable_lines;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::charts::marks::Mark;
use crate::components::annotation_marks;
use crate::components::filters;
use crate::components::freshness::{self, Freshness};
use crate::components::held_back;
use crate::components::table::HistoryTable;
use crate::paths;
use crate::report;
use crate::site::{PageContext, PageDef};

/// The parts of a page other than its sections.
pub(crate) struct Page<'a> {
    pub context: &'a PageContext<'a>,
    /// The relative path from the page to the folder of the report: empty or `../`.
    pub root: &'a str,
    pub title: String,
    /// An id that stands beside the title in smaller type.
    pub id: Option<&'a str>,
    /// The page that the breadcrumb above the title leads to.
    pub breadcrumb: Option<&'static PageDef>,
    /// What stands between the freshness and the lead, such as the facts of a partner.
    pub facts: Option<Markup>,
    pub lead: Markup,
    /// Whether the header says when the scores were made.
    pub shows_scores: bool,
    /// The annotations that the charts of the page mark.
    pub marks: Vec<Mark>,
}

/// A section of a page.
pub(crate) struct Section<'a> {
    pub id: &'a str,
    pub title: &'a str,
    pub subtitle: Markup,
    /// The width in columns of a grid of twelve.
    pub span: u8,
    /// The metric or table behind the section, for the links CSV and SQL.
    pub source: &'a str,
    /// The numbers of the chart. The link Table opens them.
    pub table: Option<HistoryTable>,
    pub note: Option<Markup>,
    /// Whether the section stands above the charts on a phone, as a list of what to do does.
    pub first_on_phone: bool,
}

impl<'a> Section<'a> {
    pub(crate) fn new(id: &'a str, title: &'a str, span: u8, source: &'a str) -> Self {
        let (subtitle, table, note) = (html! {}, None, None);
        Self { id, title, subtitle, span, source, table, note, first_on_phone: false }
    }
}

impl<'a> Page<'a> {
    /// Returns a page with the title of its line in the list of pages, and a lead.
    pub(crate) fn new(context: &'a PageContext<'a>, lead: Markup) -> Self {
        Self {
            context,
            root: "",
            title: context.page.title.to_owned(),
            id: None,
            breadcrumb: None,
            facts: None,
            lead,
            shows_scores: false,
            marks: annotation_marks::of_page(context, None),
        }
    }

    /// Returns the HTML of the whole page around its sections.
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
                    @match self.printed_from() {
                        Some(url) => {
                            // A file has no header that says so: nothing is run or loaded.
                            meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                            base href=(url);
                            style { (PreEscaped(report::stylesheet())) }
                        }
                        None => link rel="stylesheet" href={ (self.root) "style.css" };
                    }
                }
                body.bare[self.is_for_partner()] {
                    a.skip href="#main" { "To the content" }
                    @if !self.is_for_partner() { (self.top_bar()) (self.side_bar()) }
                    main #main {
                        (self.header())
                        @if let Some(facts) = &self.facts { (facts) }
                        p.lead { (self.lead) }
                        (body)
                        (self.footer())
                    }
                    @if self.context.site.has_figures && self.printed_from().is_none() { script src={ (self.root) "script.js" } defer {} }
                }
            }
        };
        // Names and ids may hold control characters, and characters that change the direction of
        // the text around them.
        into_printable_lines(page.into_string())
    }

    /// Returns whether a partner itself reads.
    fn is_for_partner(&self) -> bool {
        self.context.live.is_some_and(|live| live.is_for_partner)
    }

    /// Returns the URL that the links of a printed page start from.
    fn printed_from(&self) -> Option<&str> {
        self.context.live.and_then(|live| live.printed_from.as_deref())
    }

    fn side_bar(&self) -> Markup {
        html! {
            nav.rail aria-label="Pages" {
                a.brand href={ (self.root) "index.html" } { (logo()) "Rapport" }
                (self.links())
            }
        }
    }

    fn top_bar(&self) -> Markup {
        html! {
            header.topbar {
                a.brand href={ (self.root) "index.html" } { (logo()) "Rapport" }
                details.menu {
                    summary { "Menu" }
                    nav aria-label="Pages" { (self.links()) }
                }
            }
        }
    }

    fn links(&self) -> Markup {
        let current = self.context.current_link().name;
        html! {
            @for (heading, pages) in self.context.site.navigation(self.context.live.is_some()) {
                p.group { (heading) }
                @for page in pages {
                    a aria-current=[(page.name == current).then_some("page")]
                        href={ (self.root) (page.file) } { (page.title) }
                }
            }
        }
    }

    fn header(&self) -> Markup {
        let as_of = format::date_with_year(self.context.input.as_of);
        html! {
            header {
                @if let Some(page) = self.breadcrumb {
                    p.above { a href={ (self.root) (page.file) } { (page.title) } " / " (self.context.page.title) }
                }
                div.head {
                    h1 {
                        bdi { (self.title) }
                        @if let Some(id) = self.id { " " bdi.id { (id) } }
                    }
                    @if self.context.site.has_figures { div.controls {
                        span.asof { span { "As of " } (as_of) i.hour { ", 00:00" "\u{A0}" "UTC" } }
                        @if let Some(live) = self.context.live.filter(|live| !live.is_for_partner) {
                            (filters::form(self.context, live))
                            a.data href=(live.permalink) { "Permalink" }
                            @if live.can_print { a.data href="?as=pdf" { "PDF" } }
                        }
                        @if !self.is_for_partner() { a.data href={ (self.root) "metrics.html" } { "CSV and SQL" } }
                    } }
                }
                @if let Some(live) = self.context.live { (filters::notice(self.context, live)) (filters::in_force(live)) }
                @if self.context.site.has_figures { (self.freshness()) }
            }
        }
    }

    fn freshness(&self) -> Markup {
        let input = self.context.input;
        let year = input.as_of.year();
        let freshness = Freshness::of(input);
        html! {
            ul.fresh.stale[freshness.is_stale] data-until=[freshness.stale_after()] {
                li.state { (freshness.glyph()) span.word { (freshness.label) } (freshness.made_at(year)) }
                @if let Some(watermark) = input.watermark {
                    li { "Data complete to " (format::instant(watermark, year)) }
                }
                @if let Some(seconds) = input.slowest_seconds.filter(|s| *s > 0) {
                    li { "Slowest partition " (format::duration(seconds as f64)) " behind" }
                }
                @if self.shows_scores {
                    li {
                        @match (input.scored_at, &input.policy_version) {
                            (Some(at), Some(policy)) => { "Scored " (format::instant(at, year)) ", policy " (policy) }
                            (Some(at), None) => { "Scored " (format::instant(at, year)) }
                            (None, Some(policy)) => { "Scored with policy " (policy) }
                            (None, None) => "Not scored yet",
                        }
                    }
                }
                @if let Some(month) = input.incomplete_month() {
                    @if let Some(elapsed) = format::elapsed_days_of_month(month, input.as_of) {
                        li { (format::long_month(month)) " is incomplete: " (elapsed) }
                    }
                }
                @if let Some(month) = input.unbilled_month().filter(|_| !self.is_for_partner()) {
                    li { "Nobody has been charged in " (format::long_month(month)) " yet" }
                }
                li.advice hidden[freshness.advice.is_none()] { (freshness.advice.unwrap_or(freshness::STALE_ADVICE)) }
            }
        }
    }

    fn footer(&self) -> Markup {
        let input = self.context.input;
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
                    @if self.context.site.has_figures { "; money is in " (input.currency) " at each day’s rate" }
                    "."
                }
                @if self.context.site.has_figures && !self.is_for_partner() { p { "Every figure: its numbers, its rows as CSV, its SQL" } }
                @if self.context.live.is_some_and(|live| live.is_signed_in) {
                    form method="post" action="/sign-out" { button.link type="submit" { "Sign out" } }
                }
            }
        }
    }

    /// Returns a section: title and links on one line, subtitle, body, note, numbers.
    pub(crate) fn section(&self, section: &Section, body: &Markup) -> Markup {
        let input = self.context.input;
        html! {
            section #(section.id) class={ "c" (section.span) (if section.first_on_phone { " first" } else { "" }) } {
                div.title.tabled[section.table.is_some()] {
                    h2 { (section.title) }
                    p.links {
                        @if self.has_csv(section.source) {
                            a href={ (self.root) (paths::csv(section.source)) } { "CSV" }
                        }
                        @if self.has_query(section.source) {
                            a href={ (self.root) (paths::sql(section.source)) } { "SQL" }
                        }
                    }
                }
                p.subtitle { (section.subtitle) }
                @if let Some(metric) = input.held_back.get(section.source).filter(|_| !self.is_for_partner()) {
                    (held_back::notice_with_link(self.root, section.source, metric))
                }
                (body)
                @if let Some(note) = &section.note { p.note { (note) } }
                @if let Some(table) = &section.table {
                    // The style sheet moves the summary to the title of the section.
                    details class={ "numbers l" (self.link_count(section.source)) } {
                        summary { "Table" }
                        div.scroll tabindex="0" role="group" aria-label=(section.title) { (table.table) }
                        (self.earlier_rows_note(table.earlier_rows, section.source))
                        (self.drawing_links(section, body))
                    }
                }
            }
        }
    }

    /// Returns the links to the charts of a section as files.
    fn drawing_links(&self, section: &Section, body: &Markup) -> Markup {
        let live = self.context.live.filter(|live| !live.is_for_partner);
        let live = live.filter(|_| body.0.contains("<svg role=\"img\""));
        html! {
            @if let Some(live) = live {
                p.note.drawing {
                    "The drawing as " a href={ "?chart=" (section.id) "&as=svg" } { "SVG" }
                    @if live.can_print { " or " a href={ "?chart=" (section.id) "&as=png" } { "PNG" } }
                }
            }
        }
    }

    /// Returns the note that says how many earlier rows of a long history are in the CSV only.
    pub(crate) fn earlier_rows_note(&self, rows: usize, source: &str) -> Markup {
        html! {
            @if rows > 0 { p.note {
                (format::counted(rows, "earlier row")) " " (format::agree(rows, "is", "are")) " in the "
                @if self.has_csv(source) { a href={ (self.root) (paths::csv(source)) } { "CSV" } } @else { "CSV" }
                " only."
            } }
        }
    }

    /// Returns the number of links to the CSV and SQL of a source. The link Table stands left of
    /// them.
    fn link_count(&self, source: &str) -> usize {
        usize::from(self.has_csv(source)) + usize::from(self.has_query(source))
    }

    /// Returns whether the page leads to the rows behind a section. Those hold all partners, which a
    /// partner does not see.
    fn has_csv(&self, source: &str) -> bool {
        !self.is_for_partner() && self.context.input.csv.contains_key(source)
    }

    fn has_query(&self, source: &str) -> bool {
        !self.is_for_partner() && self.context.input.queries.contains_key(source)
    }
}

/// Returns sections side by side.
pub(crate) fn grid(sections: &[Markup]) -> Markup {
    html! { div.grid { @for section in sections { (section) } } }
}

/// Returns the two drawings of a chart: one at the width of its section, one for phones.
pub(crate) fn wide_and_narrow(wide: String, narrow: String) -> Markup {
    html! {
        div.wide { (PreEscaped(wide)) }
        div.narrow { (PreEscaped(narrow)) }
    }
}

/// Returns what stands in place of a chart without data: why there is none, and what to do next.
pub(crate) fn empty_state(sentence: &str) -> Markup {
    html! { p.empty { (sentence) } }
}

pub(crate) fn logo() -> Markup {
    PreEscaped(
        r#"<svg class="mark" viewBox="0 0 22 16" aria-hidden="true"><circle class="a" cx="8" cy="8" r="6"/><circle class="b" cx="14" cy="8" r="6"/></svg>"#
            .to_owned(),
    )
}
