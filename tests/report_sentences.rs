//! The figures in a report's sentences are what `rapport sql` answers, for no partner, one, two and
//! many partners. A count agrees with its noun, on pages and on the command line.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::program::{ProgramOutput, Project};
use crate::support::simulated_world::{SimulatedWorld, WorldSize};

/// How many figures of all worlds together are compared at least.
const MIN_FIGURES: usize = 100;
/// How many pages of partners are read.
const PARTNER_PAGES: usize = 40;

/// One figure of a page, with its query.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Figure {
    query: String,
    /// The exact value.
    value: String,
    shown: String,
    page: String,
}

/// Returns text or attributes without HTML escapes.
fn unescaped(html: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    entities.into_iter().fold(html.to_owned(), |text, (entity, c)| text.replace(entity, c))
}

fn without_tags(html: &str) -> String {
    let mut text = String::new();
    for (i, part) in html.split('<').enumerate() {
        text.push_str(if i == 0 { part } else { part.split_once('>').map_or("", |(_, t)| t) });
    }
    unescaped(&text)
}

/// Returns every figure of a page that has a query.
fn figures(page: &str, html: &str) -> Vec<Figure> {
    let figure = |rest: &str| {
        let (value, rest) = rest.split_once("\" data-sql=\"")?;
        let (query, rest) = rest.split_once("\">")?;
        let (shown, _) = rest.split_once("</data>")?;
        Some(Figure {
            query: unescaped(query),
            value: unescaped(value),
            shown: without_tags(shown),
            page: page.to_owned(),
        })
    };
    html.split("<data value=\"").skip(1).filter_map(figure).collect()
}

/// Returns the sentences of a page: leads, subtitles, notes, texts of tiles and lists.
fn sentences(html: &str) -> Vec<String> {
    let starts = ["lead", "subtitle", "note", "foot", "change", "who"];
    let mut found = Vec::new();
    for class in starts {
        for rest in html.split(&format!("<p class=\"{class}\">")).skip(1) {
            found.push(rest.split("</p>").next().unwrap_or_default().to_owned());
        }
    }
    found
}

/// Returns the pages of a report, with their paths; of the pages of partners the first ones.
fn pages(site: &Path) -> Vec<(String, String)> {
    let read_folder = |folder: &str| {
        let mut pages: Vec<(String, String)> = std::fs::read_dir(site.join(folder))
            .expect("a folder")
            .map(|entry| entry.expect("a page").path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "html"))
            .map(|path| {
                (path.display().to_string(), std::fs::read_to_string(&path).expect("a page"))
            })
            .collect();
        pages.sort();
        pages
    };
    let mut all = read_folder("");
    all.extend(read_folder("partners").into_iter().take(PARTNER_PAGES));
    all
}

/// Parses a shown figure. Returns its value, and how far the exact value may be from it.
fn parse_shown_figure(shown: &str) -> Option<(f64, f64)> {
    const WORDS: [&str; 11] =
        ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let text = shown.replace(['\u{202f}', '\u{a0}'], " ").replace('\u{2212}', "-");
    if let Some(n) = WORDS.iter().position(|word| text.trim() == *word) {
        return Some((n as f64, 0.0));
    }
    let negative = text.contains('-');
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let number: String = text[start..]
        .chars()
        .take_while(|c| c.is_ascii_digit() || matches!(c, ',' | '.'))
        .collect();
    let unit = text[start + number.len()..].trim();
    let digits = number.replace(',', "");
    let places = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let scale = match unit.split(' ').next().unwrap_or_default() {
        "k" => 1e3,
        "M" => 1e6,
        "bn" => 1e9,
        "%" | "pp" => 0.01,
        "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => 1.0,
    };
    let value: f64 = digits.parse().ok()?;
    let sign = if negative { -1.0 } else { 1.0 };
    let half = 0.5 * 10f64.powi(-(places as i32));
    // A figure such as "<$0.01" stands for any value below it.
    let slack = if text.contains(['<', '>']) { value } else { half };
    Some((sign * value * scale, slack * scale * (1.0 + 1e-9) + 1e-9))
}

/// Checks that the exact value of each figure is what SQL answers, and the text its rounding.
#[track_caller]
fn check_figures_against_sql(project: &Project, as_of: &str, figures: &[Figure]) {
    let queries: Vec<String> = figures
        .iter()
        .enumerate()
        .map(|(i, f)| format!("SELECT {i} AS i, CAST(({}) AS DOUBLE) AS v;", f.query))
        .collect();
    project.write("figures.sql", queries.join("\n"));
    let asked = ["sql", "-f", "figures.sql", "--as-of", as_of, "--format", "csv"];
    let answers = project.run_ok(&asked);
    let rows = answers.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let answers: BTreeMap<usize, f64> = rows
        .filter_map(|row| row.split_once(','))
        .filter_map(|(i, v)| Some((i.parse().ok()?, v.parse().ok()?)))
        .collect();
    for (i, figure) in figures.iter().enumerate() {
        let answer = answers.get(&i).unwrap_or_else(|| panic!("no answer to {figure:?}"));
        let value: f64 = figure.value.parse().unwrap_or_else(|_| panic!("{figure:?}"));
        let difference = (answer - value).abs();
        assert!(difference <= 1e-9 * answer.abs().max(1.0), "SQL says {answer}: {figure:?}");
        let (parsed, slack) =
            parse_shown_figure(&figure.shown).unwrap_or_else(|| panic!("{figure:?}"));
        assert!((parsed - value).abs() <= slack, "it reads as {parsed}: {figure:?}");
    }
}

/// Returns a count of one beside a plural such as `1 records`, or beside a plural verb.
fn disagreeing_count(text: &str) -> Option<String> {
    const SINGULAR: [&str; 8] = ["is", "was", "has", "times", "this", "its", "less", "as"];
    let words: Vec<&str> =
        text.split(|c: char| !(c.is_alphanumeric() || ",.\u{2212}-".contains(c))).collect();
    let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
    for pair in words.windows(2) {
        let noun = pair[1].trim_end_matches([',', '.']);
        let is_plural =
            noun.ends_with('s') && noun.len() > 2 && noun.chars().all(char::is_lowercase);
        if pair[0] == "1"
            && ((is_plural && !SINGULAR.contains(&noun)) || noun == "are" || noun == "have")
        {
            return Some(format!("{} {noun}", pair[0]));
        }
    }
    None
}

#[track_caller]
fn check_grammar(pages: &[(String, String)]) {
    for (path, html) in pages {
        for sentence in sentences(html) {
            let text = without_tags(&sentence);
            assert_eq!(disagreeing_count(&text), None, "{path}: {text}");
        }
    }
}

/// Returns a project with that many partners, each of which calls and is charged in January and
/// February.
fn small_project(partners: usize) -> Project {
    let project = Project::new();
    let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut add = |stream, line| files.entry(stream).or_default().push(line);
    for i in 0..partners {
        let event = |kind: &str, day: &str| {
            format!(
                r#"{{"event_id":"{kind}-{i}-{day}","partner_id":"p-{i}","occurred_at":"{day}T0{i}:00:00Z""#
            )
        };
        add(
            "partner-events",
            format!(
                r#"{},"type":"registered","name":"Partner {i}","quota_per_minute":5}}"#,
                event("r", "2026-01-02")
            ),
        );
        for day in ["2026-01-03", "2026-01-20", "2026-02-05", "2026-02-20"] {
            add("api-calls", format!(r#"{},"status":200,"latency_ms":12}}"#, event("c", day)));
            let bill = format!(r#","kind":"usage","amount_minor":{},"currency":"USD"}}"#, 49 + i);
            add("billing-events", event("b", day) + &bill);
        }
    }
    for (stream, lines) in files {
        let file = format!("{stream}.ndjson");
        project.write(&file, lines.join("\n"));
        let load = ["ingest", "load", "--stream", stream, "--arrival", "2026-03-10T01:00:00Z"];
        project.run_ok(&[&load[..], &[&file]].concat());
    }
    project
}

/// Writes a report as of an instant, and compares up to `most` of its figures with SQL, spread over
/// all pages. Returns the number of compared figures.
#[track_caller]
fn check_report(project: &Project, as_of: &str, most: usize) -> usize {
    project.run_ok(&["report", "--out", "site", "--as-of", as_of]);
    let pages = pages(&project.path("site"));
    check_grammar(&pages);
    let mut by_query: BTreeMap<String, Figure> = BTreeMap::new();
    for (path, html) in &pages {
        for figure in figures(path, html) {
            by_query.entry(figure.query.clone()).or_insert(figure);
        }
    }
    let all: Vec<Figure> = by_query.into_values().collect();
    let every = all.len().div_ceil(most).max(1);
    let sample: Vec<Figure> = all.into_iter().step_by(every).collect();
    check_figures_against_sql(project, as_of, &sample);
    sample.len()
}

#[test]
fn figures_in_sentences_agree_with_sql() {
    // A lake without partners: its one record is rejected.
    let empty = Project::new();
    empty.write("bad.ndjson", "{\n");
    let load = ["ingest", "load", "--stream", "api-calls", "--accept-rejects", "bad.ndjson"];
    empty.run_ok(&load);
    let none = check_report(&empty, "2026-03-10", 100);
    let one = check_report(&small_project(1), "2026-03-10", 100);
    let two = check_report(&small_project(2), "2026-03-10", 100);
    let world =
        SimulatedWorld::new(WorldSize { seed: 21, partners: 200, events: 12_000, days: 120 });
    let project = Project::new();
    world.load(&project);
    let many = check_report(&project, "2026-04-20", 60);
    let all = none + one + two + many;
    assert!(all >= MIN_FIGURES, "only {all} figures: {none}, {one}, {two} and {many}");
}

/// Runs with `RAPPORT_LARGE=1` only.
#[test]
fn figures_of_twenty_thousand_partners_agree_with_sql() {
    if std::env::var_os("RAPPORT_LARGE").is_none() {
        return;
    }
    let world =
        SimulatedWorld::new(WorldSize { seed: 22, partners: 20_000, events: 100_000, days: 90 });
    let project = Project::new();
    world.load(&project);
    let many = check_report(&project, "2026-03-20", 60);
    assert!(many >= 50, "only {many} figures");
    let site = project.path("site");
    let folders = ["", "partners", "sql"].map(|folder| std::fs::read_dir(site.join(folder)));
    for entry in folders.into_iter().flatten().flatten().flatten() {
        let size = entry.metadata().expect("a file").len();
        let html = entry.path().extension().is_some_and(|ending| ending == "html");
        assert!(!html || size < 200_000, "{} has {size} bytes", entry.path().display());
    }
}

#[test]
fn a_shown_figure_is_the_rounded_value() {
    #[track_caller]
    fn check(shown: &str, value: f64, is: bool) {
        let (parsed, slack) = parse_shown_figure(shown).expect("a figure");
        assert_eq!((parsed - value).abs() <= slack, is, "{shown} reads as {parsed} ± {slack}");
    }
    check("1,080 partners", 1_080.0, true);
    check("1,080 partners", 1_081.0, false);
    check("$170.2k", 170_234.0, true);
    check("$170.2k", 170_260.0, false);
    check("$0.49", 0.49, true);
    check("79\u{202f}%", 0.794, true);
    check("79\u{202f}%", 0.796, false);
    check("\u{2212}18.8\u{202f}pp", -0.188, true);
    check("7.0\u{202f}d", 604_800.0, true);
    check("two", 2.0, true);
    check("<$0.01", 0.001, true);
    assert_eq!(disagreeing_count("Of 1 partners"), Some("1 partners".to_owned()));
    assert_eq!(disagreeing_count("1 partner, 2 partners, 11 records, 1 is"), None);
}

/// Runs the commands over a lake of few records, in which many counts are one.
#[test]
fn counts_on_the_command_line_agree_with_their_noun() {
    let project = small_project(1);
    project.write("bad.ndjson", "{\n");
    let mut outputs: Vec<ProgramOutput> = Vec::new();
    let load = ["ingest", "load", "--stream", "support-events", "bad.ndjson"];
    let commands: [&[&str]; 18] = [
        &load,
        &["score", "run", "--as-of", "2026-03-10"],
        &["actions", "plan", "--out", "plan.json", "--as-of", "2026-03-10"],
        &["report", "--out", "site", "--as-of", "2026-03-10"],
        &["metrics", "run", "funnel", "--out", "metrics", "--as-of", "2026-03-10"],
        &["metrics", "test", "funnel"],
        &["metrics", "check", "funnel"],
        &["metrics", "docs", "--out", "docs"],
        &["metrics", "preview", "funnel", "--limit", "1", "--as-of", "2026-03-10"],
        &["metrics", "diff", "--run", "2100-01-01T00:00:00Z", "funnel"],
        &["ingest", "dead-letters"],
        &["ingest", "replay"],
        &["lake", "status"],
        &["lake", "verify"],
        &["lake", "compact"],
        &["lake", "vacuum"],
        &["lake", "erase", "--partner", "p-0", "--yes"],
        &["doctor"],
    ];
    for command in commands {
        outputs.push(project.run(command));
    }
    for result in outputs {
        assert_ne!(result.code, Some(2), "{result}");
        for line in result.stdout_text().lines().chain(result.stderr.lines()) {
            // A row of a table has columns apart by two spaces.
            let is_row = line.contains("  ");
            assert!(is_row || disagreeing_count(line).is_none(), "\"{line}\" in {result}");
        }
    }
}
