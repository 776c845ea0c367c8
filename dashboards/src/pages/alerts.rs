//! The Alerts page: the alerts and notices that are open, who owns them, and who was told.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Utc};
use domain::{Tier, format};
use maud::{Markup, html};

use crate::action_rows::AlertRow;
use crate::components::shell::{Page, Section, empty_state, grid};
use crate::components::table::{Column, bar, header_cell};
use crate::components::{decision_forms, figure, glyph, lead_paragraph, partner_link};
use crate::input::ReportInput;
use crate::site::PageContext;

/// The name of the CSV with the open alerts.
const SOURCE: &str = "open_alerts";
/// The number of alerts, and of rules, on the page.
const MOST: usize = 40;
const MOST_RULES: usize = 12;
/// The lengths of the longest texts in characters.
const NAME_LENGTH: usize = 60;
const ABOUT_LENGTH: usize = 120;
const NOTE_LENGTH: usize = 100;
const PERSON_LENGTH: usize = 32;

const NONE: &str = "No alert is open. Alerts are rules in policy.toml under [[alerts]]; rapport alerts check looks whether one holds and tells people.";
/// A check that finds nothing leaves no trace, and so the page cannot tell the two apart.
const NEVER_FOUND: &str = "Nobody has looked yet, or no check has found an alert so far. Run rapport alerts check, best from a scheduler: it looks whether a rule in policy.toml under [[alerts]] holds, and tells people.";

pub(crate) fn page(context: &PageContext) -> String {
    let page = Page::new(context, lead(context.input));
    let sections = html! {
        (grid(&[alerts_section(&page)]))
        (grid(&[rules_section(&page), steps_section(&page)]))
    };
    page.html(&sections)
}

fn lead(input: &ReportInput) -> Markup {
    let alerts = &input.alerts;
    if alerts.is_empty() && !input.has_found_alerts {
        return html! { "No alert is known. Nobody has looked yet, or no check has found one: " code { "rapport alerts check" } " looks." };
    }
    if alerts.is_empty() {
        return html! { "No alert is open." };
    }
    let count = |of: &dyn Fn(&&AlertRow) -> bool| alerts.iter().filter(|alert| of(alert)).count();
    let of_report = |n: usize| figure::of_report(n, &format::thousands(n));
    let open = alerts.len();
    let open = html! {
        b { (figure::of_report(open, &format::counted(open, "alert"))) " " (format::agree(open, "is", "are")) " open" } "."
    };
    let untold = count(&|alert| alert.told.is_empty() && !is_snoozed(input, alert));
    let untold = (untold > 0).then(|| {
        html! { b { "Nobody has been notified" } " of " (of_report(untold)) " of them; " code { "rapport alerts check" } " notifies people." }
    });
    let snoozed = count(&|alert| is_snoozed(input, alert));
    let snoozed = (snoozed > 0).then(|| {
        html! { (of_report(snoozed)) " " (format::agree(snoozed, "is", "are")) " snoozed." }
    });
    lead_paragraph::lead([Some(open), untold, snoozed].into_iter().flatten())
}

/// Returns what stands in place of alerts where there are none.
fn none(input: &ReportInput) -> Markup {
    empty_state(if input.has_found_alerts { NONE } else { NEVER_FOUND })
}

/// Returns whether an alert is snoozed beyond the instant of the report.
fn is_snoozed(input: &ReportInput, alert: &AlertRow) -> bool {
    let now = input.generated_at.or(input.scored_at);
    alert.snoozed_until.is_some_and(|until| now.is_none_or(|now| until > now))
}

fn alerts_section(page: &Page) -> Markup {
    let input = page.context.input;
    let alerts = &input.alerts;
    let mut section = Section {
        subtitle: html! { "What somebody should look at, longest open first; an alert closes by itself when it is no longer found" },
        ..Section::new("open", "Open alerts", 12, SOURCE)
    };
    if alerts.is_empty() {
        return page.section(&section, &none(page.context.input));
    }
    let mut rows: Vec<&AlertRow> = alerts.iter().collect();
    // Snoozed ones come last: nobody waits for them.
    rows.sort_by_key(|alert| (is_snoozed(input, alert), alert.misses > 0, alert.since));
    if rows.len() > MOST {
        let [shown, all] = [MOST, rows.len()].map(|n| figure::of_report(n, &format::thousands(n)));
        section.note = Some(
            html! { (shown) " of " (all) " are shown; the CSV has all, and so has " code { "rapport alerts list" } "." },
        );
    }
    let body = html! {
        table.stacked.alerts {
            thead { tr {
                (header_cell(Column::Text("State"))) (header_cell(Column::Text("Alert"))) (header_cell(Column::Text("Partner")))
                (header_cell(Column::Text("Since"))) (header_cell(Column::Text("Owner"))) (header_cell(Column::Text("Told")))
                (header_cell(Column::Text("Note")))
            } }
            tbody { @for alert in rows.into_iter().take(MOST) { (alert_row(page, alert)) } }
        }
    };
    page.section(&section, &body)
}

fn alert_row(page: &Page, alert: &AlertRow) -> Markup {
    let input = page.context.input;
    let told: Vec<String> = alert.told.iter().take(4).map(|who| person(who)).collect();
    html! {
        tr {
            td { (state(input, alert)) }
            td { b { (format::truncate_to_chars(&alert.name, NAME_LENGTH)) } br; bdi { (format::truncate_to_chars(&alert.about, ABOUT_LENGTH)) } }
            td.name {
                @if alert.partner_id.is_empty() { span.quiet { "the programme" } }
                @else { (partner_link::by_id(page.context.partners, &alert.partner_id)) }
            }
            td data-label="Since" { @match alert.since {
                Some(since) => { (format::date(since.date_naive())) br; " " span.quiet { (age(input, since)) } },
                None => span.quiet { "unknown" },
            } }
            td data-label="Owner" { bdi { (person(&alert.owner)) } }
            td data-label="Told" { @if told.is_empty() { span.quiet { "nobody yet" } } @else { bdi { (told.join(", ")) } } }
            td { bdi.quiet { (format::truncate_to_chars(&alert.note, NOTE_LENGTH)) } (decision_forms::for_alert(page, alert)) }
        }
    }
}

/// Returns whom a recipient of the policy stands for: `manager` is that of the partner.
fn person(who: &str) -> String {
    format::truncate_to_chars(&format::recipient(who), PERSON_LENGTH)
}

fn state(input: &ReportInput, alert: &AlertRow) -> Markup {
    if let Some(until) = alert.snoozed_until.filter(|_| is_snoozed(input, alert)) {
        let year = input.as_of.year();
        return html! {
            (glyph::with_text(Tier::Stuck, "Snoozed")) br;
            span.quiet { "until " (format::instant(until, year)) }
        };
    }
    match alert.misses {
        0 => glyph::with_text(Tier::AtRisk, "Holds"),
        misses => html! {
            (glyph::with_text(Tier::InsufficientEvidence, "Not found")) br;
            span.quiet { "at the last " @if misses == 1 { "check" } @else { (misses) " checks" } }
        },
    }
}

fn age(input: &ReportInput, since: DateTime<Utc>) -> String {
    let days = (input.as_of - since.date_naive()).num_days().max(0);
    format!("for {}", format::whole_days(days))
}

fn rules_section(page: &Page) -> Markup {
    let alerts = &page.context.input.alerts;
    let section = Section {
        subtitle: html! { "How many alerts each rule of the policy has open" },
        ..Section::new("rules", "By rule", 7, SOURCE)
    };
    if alerts.is_empty() {
        return page.section(&section, &none(page.context.input));
    }
    let mut rules: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for alert in alerts {
        let name = if alert.name.is_empty() { alert.alert_id.as_str() } else { &alert.name };
        rules.entry(name).or_insert((0, &alert.owner)).0 += 1;
    }
    let mut rules: Vec<(&str, (usize, &str))> = rules.into_iter().collect();
    rules.sort_by(|(a, x), (b, y)| y.0.cmp(&x.0).then_with(|| a.cmp(b)));
    let most = rules[0].1.0.max(1);
    let body = html! {
        table {
            thead { tr { (header_cell(Column::Text("Rule"))) (header_cell(Column::Text("Owner"))) td.grow {} th.num.sorted scope="col" aria-sort="descending" { "Open ▾" } } }
            tbody { @for (name, (n, owner)) in rules.iter().take(MOST_RULES) { tr {
                td.name { b { (format::truncate_to_chars(name, NAME_LENGTH)) } }
                td { bdi { (person(owner)) } }
                td.grow { (bar(*n as f64 / most as f64, "series", false)) }
                td.num { b { (format::thousands(*n)) } }
            } } }
        }
    };
    page.section(&section, &body)
}

fn steps_section(page: &Page) -> Markup {
    let section = Section {
        subtitle: match page.context.live {
            Some(_) => html! { "On the command line; the forms above note and snooze as well" },
            None => html! { "The pages only show; these commands do" },
        },
        ..Section::new("steps", "What to do with one", 5, "")
    };
    let steps = [
        (
            "rapport alerts check",
            "Look again, and notify whoever the policy names. Where nobody is notified all the same, rapport doctor says which recipient or channel is missing.",
        ),
        ("rapport alerts list", "See them with the ids that the other commands take."),
        ("rapport alerts note ID \"called them\"", "Say what was done, for whoever looks next."),
        ("rapport alerts snooze ID --days 7 --reason \"…\"", "Keep it quiet for some days."),
    ];
    let body =
        html! { ol.steps { @for (command, what) in steps { li { (what) code { (command) } } } } };
    page.section(&section, &body)
}
