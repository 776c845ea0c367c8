//! The pages of the documentation agree with each other, with the files and with the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::program::{Project, rapport_command, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The pages that name files of the repository, each of which must exist.
const PAGES_OF_THE_CODE: [&str; 4] =
    ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/benchmarks.md", "docs/glossary.md"];

/// The files that a page may name although they do not exist: the glossary says that they are
/// planned.
const PLANNED: [&str; 1] = ["actions/src/deliver/"];

/// Returns the text of every page, by its path in the repository.
fn pages() -> BTreeMap<String, String> {
    let files = |folder: &str| {
        let entries = std::fs::read_dir(Path::new(ROOT).join(folder)).expect("a folder of pages");
        entries.map(|entry| entry.expect("a file").path()).collect::<Vec<PathBuf>>()
    };
    let all = [files(""), files("docs"), files("ingest/fuzz")].concat();
    let pages: BTreeMap<String, String> = all
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| {
            let name = path.strip_prefix(ROOT).expect("a path in the repository");
            (name.display().to_string(), std::fs::read_to_string(path).expect("a page"))
        })
        .collect();
    assert!(pages.contains_key("README.md") && pages.contains_key("docs/metrics.md"));
    pages
}

/// A line of a page, with the language of the code block that it stands in.
struct Line<'a> {
    number: usize,
    text: &'a str,
    block: Option<&'a str>,
}

fn lines(page: &str) -> Vec<Line<'_>> {
    let mut block = None;
    let mut lines = Vec::new();
    for (at, text) in page.lines().enumerate() {
        match text.trim_start().strip_prefix("```") {
            Some(language) => block = if block.is_some() { None } else { Some(language.trim()) },
            None => lines.push(Line { number: at + 1, text, block }),
        }
    }
    lines
}

/// Returns the texts of a line between two marks.
fn between<'a>(line: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    let after = line.split(begin).skip(1);
    after.filter_map(|rest| rest.split_once(end).map(|(inside, _)| inside)).collect()
}

/// Returns the code spans of a line of prose.
fn code_spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// Returns the anchors of a page's headings, as GitHub forms them.
fn anchors(page: &str) -> BTreeSet<String> {
    let prose = lines(page).into_iter().filter(|line| line.block.is_none());
    let headings = prose.map(|line| line.text).filter(|text| text.starts_with('#'));
    let headings = headings.filter_map(|text| text.trim_start_matches('#').strip_prefix(' '));
    headings
        .map(|heading| {
            let kept = heading.to_lowercase();
            let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let pages = pages();
    let mut broken = Vec::new();
    for (name, page) in &pages {
        let folder = Path::new(name).parent().expect("a folder");
        for line in lines(page).iter().filter(|line| line.block.is_none()) {
            for link in between(line.text, "](", ")") {
                if link.starts_with("http") {
                    continue;
                }
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() { PathBuf::from(name) } else { folder.join(file) };
                let path = Path::new(ROOT).join(&target);
                let leads = path.exists()
                    && (anchor.is_empty()
                        || std::fs::read_to_string(&path)
                            .is_ok_and(|text| anchors(&text).contains(anchor)));
                if !leads {
                    broken.push(format!("{name}:{}: {link}", line.number));
                }
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn files_that_the_pages_name_exist() {
    let pages = pages();
    let folders: BTreeSet<String> = std::fs::read_dir(ROOT)
        .expect("the repository")
        .map(|entry| entry.expect("a folder").file_name().to_string_lossy().into_owned())
        .collect();
    let mut missing = Vec::new();
    let mut found = 0;
    for name in PAGES_OF_THE_CODE {
        for line in lines(&pages[name]).iter().filter(|line| line.block.is_none()) {
            for span in code_spans(line.text) {
                let is_a_path = span.split_once('/').is_some_and(|(top, _)| folders.contains(top))
                    && span.chars().all(|c| c.is_ascii_lowercase() || "0123456789_-./".contains(c));
                if !is_a_path || PLANNED.contains(&span) {
                    continue;
                }
                found += 1;
                if !Path::new(ROOT).join(span).exists() {
                    missing.push(format!("{name}:{}: {span}", line.number));
                }
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    assert!(found > 100, "{found} files");
}

/// Returns the names of the queries of one kind that the program has.
fn query_names(kind: &str) -> BTreeSet<String> {
    let listed = Project::new().run_ok(&["metrics", "list", "--format", "csv"]);
    let rows = listed.lines().filter_map(|line| {
        let mut cells = line.split(',');
        let (name, found) = (cells.next()?, cells.next()?);
        (found == kind).then(|| name.to_owned())
    });
    rows.collect()
}

#[test]
fn the_page_of_metrics_defines_each_metric_and_no_other() {
    let page = &pages()["docs/metrics.md"];
    let paragraphs = page.lines().filter_map(|line| line.strip_prefix("**`"));
    let defined: Vec<&str> = paragraphs.filter_map(|line| line.split('`').next()).collect();
    let names: BTreeSet<String> = defined.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names.len(), defined.len(), "a metric is defined twice: {defined:?}");
    assert_eq!(names, query_names("metric"));

    let (_, rollups) = page.split_once("\n## Rollups\n").expect("the section of the rollups");
    let rows = rollups.lines().filter_map(|line| line.strip_prefix("| `"));
    let rollups: BTreeSet<String> =
        rows.filter_map(|line| Some(line.split_once('`')?.0.to_owned())).collect();
    assert_eq!(rollups, query_names("rollup"));
}

#[test]
fn leadership_and_managers_are_led_to_every_metric() {
    let pages = pages();
    let named: BTreeSet<&str> = ["docs/leadership.md", "docs/partner-manager.md"]
        .iter()
        .flat_map(|page| pages[*page].lines().flat_map(code_spans))
        .flat_map(str::split_whitespace)
        .collect();
    let missing: Vec<String> =
        query_names("metric").into_iter().filter(|name| !named.contains(name.as_str())).collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_page_of_settings_names_every_setting() {
    let page = &pages()["docs/configuration.md"];
    let defaults = std::fs::read_to_string(Path::new(ROOT).join("src/config/default_rapport.toml"))
        .expect("the defaults");
    let defaults: toml::Table = defaults.parse().expect("TOML");
    let mut missing = Vec::new();
    let mut check = |section: &str, key: &str| {
        let section = format!("`[{section}]");
        let named = page.lines().any(|line| {
            line.contains(&section) && (key.is_empty() || line.contains(&format!("{key}`")))
        });
        if !named {
            missing.push(format!("{section} {key}"));
        }
    };
    for (section, keys) in &defaults {
        for (key, value) in keys.as_table().expect("a section") {
            match value.as_table() {
                Some(inner) if inner.is_empty() => check(&format!("{section}.{key}"), ""),
                Some(inner) => {
                    inner.keys().for_each(|inner| check(&format!("{section}.{key}"), inner));
                }
                None => check(section, key),
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_page_of_sources_names_every_recipe() {
    let page = &pages()["docs/sources.md"];
    let recipes = std::fs::read_dir(Path::new(ROOT).join("mappings")).expect("the recipes");
    let mut names: Vec<String> = recipes
        .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
        .filter_map(|file| Some(file.strip_suffix(".jq")?.to_owned()))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let named: BTreeSet<&str> =
        page.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))).collect();
    names.retain(|name| !named.contains(name.as_str()));
    assert_eq!(names, Vec::<String>::new());
}

/// Splits a line of a shell into commands of words. Quoted words stay whole; what follows a pipe or
/// a redirection is left out.
fn shell_commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word = String::new();
    let mut quote = None;
    let mut skip = false;
    for c in line.chars().chain([' ']) {
        match quote {
            Some(end) if c == end => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => {
                let finished = std::mem::take(&mut word);
                match finished.as_str() {
                    "" => {}
                    "#" => break,
                    "&&" | "||" | ";" => {
                        commands.push(Vec::new());
                        skip = false;
                    }
                    "|" | ">" | ">>" | "<" => skip = true,
                    _ if skip => {}
                    _ => commands.last_mut().expect("a command").push(finished),
                }
            }
            _ => word.push(c),
        }
    }
    commands
}

/// What the program is called on the pages.
const PROGRAM_NAMES: [&str; 2] = ["rapport", "target/release/rapport"];

#[test]
fn commands_on_the_pages_are_commands_of_the_program() {
    let mut seen: BTreeMap<Vec<String>, String> = BTreeMap::new();
    for (name, page) in pages() {
        for line in lines(&page).iter().filter(|line| line.block == Some("sh")) {
            for mut words in shell_commands(line.text.trim()) {
                if words.first().is_some_and(|word| PROGRAM_NAMES.contains(&word.as_str())) {
                    words.remove(0);
                    seen.entry(words).or_insert_with(|| format!("{name}:{}", line.number));
                }
            }
        }
    }
    assert!(seen.len() > 40, "{} commands", seen.len());
    for (words, place) in seen {
        let mut command = rapport_command();
        command.current_dir(std::env::temp_dir());
        // A variable of a loop stands for one of its values.
        let value = |word: &String| word.replace("$stream", "api-calls");
        command.args(words.iter().map(value)).arg("--help");
        let result = run(command);
        assert_eq!(result.code, Some(0), "{place}: {result}");
    }
}

#[test]
fn the_readme_is_short_and_begins_with_two_commands() {
    let readme = &pages()["README.md"];
    assert!(readme.lines().count() <= 120, "{} lines", readme.lines().count());
    let all = lines(readme);
    let commands: Vec<&str> =
        all.iter().filter(|line| line.block == Some("sh")).map(|l| l.text).collect();
    assert!(commands[0].starts_with("cargo run -- demo "), "{}", commands[0]);
    assert!(commands[1].starts_with("cargo test --workspace "), "{}", commands[1]);
}
