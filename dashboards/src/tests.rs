//! What holds for every page of a report: links lead somewhere, nothing is fetched, content is escaped.

use std::collections::{BTreeSet, HashSet};
use std::path::{Component, Path, PathBuf};

use crate::lead::{ROOM, visible};
use crate::sample::programme;
use crate::words::{THIN_SPACE, month_start, next_month};
use crate::{PolicyInForce, ReportInput, docs, pages, stylesheet, write_report};

/// The largest page, in bytes.
const LIMIT: usize = 200_000;

/// Values of an attribute in document order.
fn attribute<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    html.split(start.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// A path from one page to a file of the report, without `..`.
fn resolve(page: &str, href: &str) -> String {
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    let mut parts: Vec<String> = Vec::new();
    for part in folder.join(href).components() {
        match part {
            Component::ParentDir => drop(parts.pop().expect("inside the report")),
            Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            _ => panic!("{href} on {page} leads out of the report"),
        }
    }
    parts.join("/")
}

fn check_links(input: &ReportInput) {
    let csvs = input.csv.keys().map(|name| format!("data/{name}.csv"));
    let data: Vec<String> = csvs.flat_map(|csv| [format!("{csv}-metadata.json"), csv]).collect();
    check_pages(&pages(input), &data);
    let queries = ReportInput { queries: input.queries.clone(), ..ReportInput::default() };
    check_pages(&docs(&queries), &[]);
}

fn check_pages(pages: &[(String, String)], data: &[String]) {
    let mut files: BTreeSet<String> = pages.iter().map(|(path, _)| path.clone()).collect();
    files.insert("style.css".to_owned());
    files.extend(data.iter().cloned());
    assert_eq!(files.len(), pages.len() + 1 + data.len(), "two pages share a path");
    for (path, html) in pages {
        let ids: HashSet<&str> = attribute(html, "id").into_iter().collect();
        for href in attribute(html, "href") {
            match href.strip_prefix('#') {
                Some(id) => assert!(ids.contains(id), "{path}: no {href}"),
                None => {
                    assert!(files.contains(&resolve(path, href)), "{path}: {href} leads nowhere");
                }
            }
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    check_links(&programme(60, 30));
    check_links(&programme(230, 1));
    check_links(&ReportInput::default());
}

#[test]
fn pages_stand_alone_and_are_small() {
    let input = programme(2000, 60);
    for (path, html) in pages(&input) {
        assert!(html.len() < LIMIT, "{path} has {} bytes", html.len());
        for fetched in ["http://", "https://", "//cdn", "@import", "url(", " src="] {
            assert!(!html.contains(fetched), "{path} holds {fetched}");
        }
    }
    assert!(stylesheet().len() < 40_000);
}

#[test]
fn content_is_escaped() {
    let input = programme(60, 10);
    for (path, html) in pages(&input) {
        assert!(!html.contains("<script>alert"), "{path}");
        assert!(!html.contains("onload=\"alert"), "{path}");
        assert!(!html.contains("'<b>'"), "{path}");
        // No attribute value holds an angle bracket or runs into the next one.
        for name in ["href", "title", "class", "style"] {
            for value in attribute(&html, name) {
                assert!(!value.contains('<'), "{path}: {name}=\"{value}\"");
            }
        }
    }
}

#[test]
fn drawings_say_what_they_are() {
    for (path, html) in pages(&programme(60, 30)) {
        for drawing in html.split("<svg").skip(1) {
            let hidden = drawing.split('>').next().is_some_and(|tag| tag.contains("aria-hidden"));
            let named = drawing.starts_with(" role=\"img\"") && drawing.contains("<title>");
            assert!(hidden || named, "{path}: {}", &drawing[..80.min(drawing.len())]);
        }
        assert_eq!(html.matches("<h1").count(), 1, "{path}");
    }
}

#[test]
fn colours_of_drawings_have_a_role() {
    let known: HashSet<String> = crate::roles::all().map(|r| format!("#{:06X}", r.light)).collect();
    for (path, html) in pages(&programme(60, 30)) {
        for name in ["fill", "stroke"] {
            for colour in attribute(&html, name).into_iter().filter(|c| *c != "none") {
                assert!(known.contains(colour), "{path}: {colour} is no role");
            }
        }
    }
}

#[test]
fn an_empty_lake_says_what_to_do() {
    #[track_caller]
    fn check(pages: &[(String, String)], path: &str, words: &str) {
        let html = &pages.iter().find(|(p, _)| p == path).expect("the page").1;
        assert!(html.contains(words), "{path} does not say: {words}");
    }
    let pages = pages(&ReportInput::default());
    check(&pages, "index.html", "No events yet");
    check(&pages, "funnel.html", "rapport ingest load --stream partner-events");
    check(&pages, "growth.html", "first one starts this");
    check(&pages, "revenue.html", "Billing events fill this page");
    check(&pages, "health.html", "rapport score run");
    check(&pages, "metrics.html", "rapport metrics run");
}

#[test]
fn the_same_input_gives_the_same_pages() {
    assert_eq!(pages(&programme(60, 5)), pages(&programme(60, 5)));
}

#[test]
fn figures_reach_the_pages() {
    let input = programme(60, 5);
    let pages = pages(&input);
    let (now, _) = input.last_growth();
    let active = now.expect("a whole month").active;
    assert!(pages[0].1.contains(&format!("{active} active partners</data></b>")));
    let partner = pages.iter().find(|(path, _)| path == "partners/w-0001.html");
    assert!(partner.expect("a page a partner").1.contains("w-0001"));
    let lists: Vec<&str> =
        pages.iter().map(|(p, _)| p.as_str()).filter(|p| p.starts_with("health")).collect();
    // One of all, with a second page, and one of each standing.
    assert_eq!(lists.len(), 9, "{lists:?}");
}

/// The texts between the tags of a page, and of its titles; scripts left out.
fn texts(html: &str) -> Vec<String> {
    let mut found: Vec<String> = attribute(html, "title").into_iter().map(str::to_owned).collect();
    for piece in html.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or((piece, ""));
        if !text.trim().is_empty() && !tag.starts_with("script") {
            found.push(text.trim().to_owned());
        }
    }
    found
}

/// Whether a text holds a number, as one of its words.
fn names_number(text: &str, number: &str) -> bool {
    let part = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
    text.split(|c| !part(c)).any(|word| word.trim_end_matches(['.', ',']) == number)
}

#[test]
fn pages_say_the_policy_in_force_and_no_other() {
    let odd = PolicyInForce {
        at_risk_below: 33.0,
        healthy_above: 81.0,
        min_coverage: 0.45,
        min_live_days: 21,
        churned_after_days: 37,
        stuck_after_days: 47,
        stale_hours: 53,
    };
    // Few enough that no count is one of the numbers looked for.
    let mut input = programme(24, 20);
    let usual = input.policy.clone();
    input.policy = odd;
    input.stuck_partners = Some(Vec::new());
    // Reasons come from the scoring, which has the policy; dates have numbers of their own.
    for row in &mut input.health {
        row.top_reason = None;
        row.tier_since = None;
    }
    // A metric has its own window, whatever the policy says.
    let of_metrics = ["tuck for 30 days or more", "Last 28 days", "No production call in 28 days."];
    let speaks = [
        "healthy",
        "at risk",
        "churn",
        "stuck",
        "threshold",
        "score needs",
        "trend mark",
        "production success",
        "not live",
    ];
    let wrong = [usual.at_risk_below, usual.healthy_above, usual.min_coverage]
        .map(|number| number.to_string())
        .into_iter()
        .chain([usual.min_live_days, usual.stuck_after_days].map(|number| number.to_string()));
    let wrong: Vec<String> = wrong.collect();
    let mut said = BTreeSet::new();
    for (path, html) in pages(&input) {
        for text in texts(&html) {
            let lower = text.to_lowercase();
            let told = speaks.iter().any(|word| lower.contains(word));
            if !told || of_metrics.iter().any(|window| text.contains(window)) {
                continue;
            }
            for number in &wrong {
                assert!(!names_number(&text, number), "{path} says {number}: {text}");
            }
            for number in ["33", "81", "0.45", "21", "37", "47"] {
                if names_number(&text, number) {
                    said.insert(number);
                }
            }
        }
    }
    assert_eq!(said.len(), 6, "{said:?}");
}

#[test]
fn a_report_is_stale_after_the_hours_of_the_policy() {
    let mut input = programme(10, 1);
    let watermark = input.watermark.expect("a watermark");
    input.as_of = watermark.date_naive();
    for (hours, word) in [(53, "Fresh"), (54, "Stale")] {
        input.policy.stale_hours = 53;
        input.generated_at = Some(watermark + chrono::TimeDelta::hours(hours));
        assert!(pages(&input)[0].1.contains(word), "{hours} hours");
    }
}

/// Leaves the report under the build folder, to be looked at: `target/sample-report/index.html`.
#[test]
fn a_report_is_written() {
    let out = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sample-report"));
    // What an older program wrote there says not that it is ours.
    for name in ["", "-empty", "-first"] {
        let _ = std::fs::remove_dir_all(format!("{}{name}", out.display()));
    }
    let input = programme(450, 120);
    let summary = write_report(&input, &out).expect("a written report");
    assert_eq!(summary.index, out.join("index.html"));
    assert!(summary.pages > 450);
    assert!(out.join("data/growth.csv").exists() && out.join("style.css").exists());
    let stale = out.join("partners/gone.html");
    std::fs::write(&stale, "of a partner that was erased").expect("a page");
    let again = write_report(&input, &out).expect("written over");
    assert_eq!(again, summary);
    assert!(!stale.exists(), "a page that no longer belongs stays");
    let empty =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sample-report-empty"));
    let none = ReportInput {
        currency: "USD".to_owned(),
        as_of: input.as_of,
        rapport_version: "0.1.0".to_owned(),
        ..ReportInput::default()
    };
    write_report(&none, &empty).expect("an empty report");
    let first =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sample-report-first"));
    write_report(&programme(60, 1), &first).expect("a report of the first day scored");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml/report"));
    let error = write_report(&ReportInput::default(), &file).expect_err("a file is in the way");
    assert!(error.to_string().starts_with("cannot make "), "{error}");
}

/// The worlds that sentences are looked at in: of no partner, of one and two, of many.
fn worlds() -> Vec<ReportInput> {
    [0, 1, 2, 60, 230].into_iter().map(|n| programme(n, 30)).collect()
}

/// The inside of every element with this tag and class.
fn elements<'a>(html: &'a str, tag: &str, class: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag} class=\"{class}\">"), format!("</{tag}>"));
    let inner = |rest: &'a str| rest.split(close.as_str()).next();
    html.split(open.as_str()).skip(1).filter_map(inner).collect()
}

/// HTML without the elements of a tag that begin like this.
fn without(html: &str, open: &str, close: &str) -> String {
    let mut parts = html.split(open);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once(close).map_or("", |(_, rest)| rest));
    }
    out
}

const SENTENCES: [(&str, &str); 4] =
    [("p", "lead"), ("p", "subtitle"), ("p", "note"), ("p", "foot")];

/// What a number in a sentence may be without being a figure: part of a definition.
const DEFINITIONS: [&str; 11] = [
    "within 30 days",
    "in 30 days",
    "for 30 days or more",
    "fewer than 30 days",
    "fewer than 10 partners",
    "cohort of 10 yet",
    "9 in 10",
    "p90",
    "0 to 100",
    "8 of ",
    "00:00 UTC",
];

/// Where a sentence says a number of the policy.
const POLICY: [&str; 4] =
    ["healthy above", "trend mark", "A score needs", "No production success in"];

/// A number in a sentence is a figure that carries its query, a date or part of a definition.
#[test]
fn every_figure_in_a_sentence_has_its_query() {
    for input in worlds() {
        for (path, html) in pages(&input) {
            for (tag, class) in SENTENCES {
                for sentence in elements(&html, tag, class) {
                    let bare = without(
                        &without(sentence, "<data ", "</data>"),
                        "<span class=\"said\">",
                        "</span>",
                    );
                    let bare = without(&without(&bare, "<bdi", "</bdi>"), "<code>", "</code>");
                    let mut text = visible(&bare).replace(THIN_SPACE, " ");
                    for known in DEFINITIONS {
                        text = text.replace(known, "");
                    }
                    // A date holds together with unbreakable spaces.
                    let figure = |word: &&str| {
                        !word.contains('\u{a0}') && word.contains(|c: char| c.is_ascii_digit())
                    };
                    let left: Vec<&str> = text.split([' ', '-']).filter(figure).collect();
                    let policy = POLICY.iter().any(|said| text.contains(said));
                    assert!(left.is_empty() || policy, "{path}: {left:?} in {text}");
                }
            }
        }
    }
}

/// No count stands beside a noun that does not agree with it.
#[test]
fn counts_agree_with_their_nouns() {
    for input in worlds() {
        for (path, html) in pages(&input) {
            for (tag, class) in SENTENCES {
                for sentence in elements(&html, tag, class) {
                    let text = visible(sentence);
                    let words: Vec<&str> = text.split([' ', ':', ';']).collect();
                    for pair in words.windows(2) {
                        let many = pair[1].ends_with('s')
                            && !matches!(pair[1], "is" | "was" | "has" | "times");
                        assert!(!(pair[0] == "1" && many), "{path}: {text}");
                    }
                    for wrong in ["1 are ", "1 have ", "1 partners", "together it"] {
                        let at_start = text.starts_with(wrong);
                        assert!(
                            !at_start && !text.contains(&format!(" {wrong}")),
                            "{path}: {text}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn leads_hold_on_two_lines() {
    for input in worlds() {
        for (path, html) in pages(&input) {
            for lead in elements(&html, "p", "lead") {
                let length = visible(lead).chars().count();
                assert!(length <= ROOM, "{path}: {length} characters: {}", visible(lead));
            }
        }
    }
}

/// Text of a drawing lies inside of it, at 0.6 em a character.
#[test]
fn drawings_keep_their_text_inside() {
    for input in worlds() {
        for (path, html) in pages(&input) {
            for drawing in html.split("<svg role=\"img\"").skip(1) {
                let drawing = drawing.split("</svg>").next().unwrap_or_default();
                let of = |tag: &str, name: &str| {
                    attribute(tag, name).first().map(|v| v.parse::<f64>().expect("a number"))
                };
                let width = of(drawing, "width").expect("a width");
                for text in drawing.split("<text").skip(1) {
                    let (tag, rest) = text.split_once('>').expect("a tag");
                    let words = rest.split("</text>").next().unwrap_or_default();
                    let em = if tag.contains("bold") { 0.7 } else { 0.6 };
                    let room = visible(words).chars().count() as f64 * em * 12.0;
                    let at = of(tag, "x").expect("a place") / 4.0;
                    let (left, right) = match attribute(tag, "text-anchor").first() {
                        Some(&"middle") => (at - room / 2.0, at + room / 2.0),
                        Some(&"end") => (at - room, at),
                        _ => (at, at + room),
                    };
                    assert!(
                        left >= -1.0 && right <= width + 1.0,
                        "{path}: {words} at {left}..{right} of {width}"
                    );
                }
            }
        }
    }
}

/// Names of quotes, which HTML writes with six bytes each, and reasons as long as they come.
fn hostile(n: usize) -> ReportInput {
    let mut input = programme(n, 120);
    for (i, row) in input.health.iter_mut().enumerate() {
        let long = "\"'&<".repeat(75_000);
        row.name = Some(format!("{i}{long}"));
        row.manager = Some(long.clone());
        row.segment = Some(long.clone());
        row.region = Some(long.clone());
        row.plan = Some(long.clone());
        row.top_reason = Some(long.clone());
        for signal in &mut row.signals {
            signal.reason.clone_from(&long);
        }
    }
    for row in &mut input.plan {
        row.why = "<".repeat(300_000);
        row.to = Some("&".repeat(300_000));
        row.guardrails = vec!["\"".repeat(300_000); 8];
    }
    for rows in input.first_rows.values_mut() {
        *rows = vec![vec!["<".repeat(300_000); 2]; 12];
    }
    for query in input.queries.values_mut() {
        query.sql = "-- '<'\n".repeat(40_000);
    }
    input
}

#[test]
fn no_page_is_large_whatever_events_bring() {
    for (path, html) in pages(&hostile(180)) {
        assert!(html.len() < LIMIT, "{path} has {} bytes", html.len());
    }
}

/// One event of long ago makes a month of every month since.
#[test]
fn a_long_history_ends_with_its_newest_months() {
    let mut input = programme(60, 30);
    let mut month: chrono::NaiveDate = "2000-01-01".parse().expect("a date");
    let (growth, revenue) = (input.growth[0].clone(), input.revenue_summary[0].clone());
    let (funnel, first) = (input.funnel[0].clone(), input.time_to_first_call[0].clone());
    let (activation, cohort) = (input.activation[0].clone(), input.cohort_retention[0].clone());
    let of_partner = input.revenue_per_partner[0].clone();
    let mut since = 0;
    let mut old = ReportInput::default();
    while month < growth.month {
        old.growth.push(crate::GrowthRow { month, ..growth.clone() });
        old.revenue_summary.push(crate::RevenueSummaryRow { month, ..revenue.clone() });
        old.revenue_per_partner.push(crate::RevenuePerPartnerRow { month, ..of_partner.clone() });
        old.funnel.push(crate::FunnelRow { cohort_month: Some(month), ..funnel.clone() });
        let first = crate::TimeToFirstCallRow { cohort_month: Some(month), ..first.clone() };
        old.time_to_first_call.push(first);
        let activation = crate::ActivationRow { cohort_month: Some(month), ..activation.clone() };
        old.activation.push(activation);
        let row = crate::CohortRetentionRow { cohort_month: month, ..cohort.clone() };
        old.cohort_retention.push(row);
        let first_cohort = "2000-01-01".parse().expect("a date");
        let row = crate::CohortRetentionRow {
            cohort_month: first_cohort,
            months_since: since,
            cohort_size: 12,
            ..cohort.clone()
        };
        old.cohort_retention.push(row);
        since += 1;
        month = next_month(month_start(month));
    }
    input.growth.splice(0..0, old.growth);
    input.revenue_summary.splice(0..0, old.revenue_summary);
    input.revenue_per_partner.splice(0..0, old.revenue_per_partner);
    input.funnel.splice(0..0, old.funnel);
    input.time_to_first_call.splice(0..0, old.time_to_first_call);
    input.activation.splice(0..0, old.activation);
    input.cohort_retention.splice(0..0, old.cohort_retention);
    for day in 0..2_000 {
        let mut row = input.history[0].clone();
        row.as_of = input.as_of - chrono::Days::new(2_100 - day);
        input.history.push(row);
    }
    for (path, html) in pages(&input) {
        assert!(html.len() < LIMIT, "{path} has {} bytes", html.len());
    }
    let pages = pages(&input);
    let growth = &pages.iter().find(|(path, _)| path == "growth.html").expect("a page").1;
    assert!(growth.contains("earlier rows are in the <a href=\"data/growth.csv\">CSV</a> only."));
    assert!(!growth.contains("<td>Jan\u{a0}2000"));
}
