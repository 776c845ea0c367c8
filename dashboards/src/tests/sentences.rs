//! Sentences: every number has its query, counts agree with their nouns, leads are short.

use domain::format::NARROW_NO_BREAK_SPACE;

use super::programmes;
use crate::components::lead_paragraph::{MAX_LENGTH, visible_text};
use crate::pages;

/// Returns the content of every element with this tag and class.
fn elements<'a>(html: &'a str, tag: &str, class: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag} class=\"{class}\">"), format!("</{tag}>"));
    let inner = |rest: &'a str| rest.split(close.as_str()).next();
    html.split(open.as_str()).skip(1).filter_map(inner).collect()
}

/// Returns the HTML without the elements that begin with `open`.
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

/// Definitions with numbers that are not figures.
const DEFINITIONS: [&str; 13] = [
    "within 30 days",
    "in 30 days",
    "for 30 days or more",
    "fewer than 30 days",
    "fewer than 10 partners",
    "cohort of 10 yet",
    "9 in 10",
    "p90",
    "p95",
    "p99",
    "0 to 100",
    "8 of ",
    "00:00 UTC",
];

/// Beginnings of sentences with a number of the policy.
const POLICY_SENTENCES: [&str; 4] =
    ["healthy above", "trend mark", "A score needs", "No production success in"];

/// A number in a sentence is a figure with its query, a date, or part of a definition.
#[test]
fn every_figure_in_a_sentence_has_its_query() {
    for input in programmes() {
        for (path, html) in pages(&input) {
            for (tag, class) in SENTENCES {
                for sentence in elements(&html, tag, class) {
                    let bare = without(
                        &without(sentence, "<data ", "</data>"),
                        "<span class=\"said\">",
                        "</span>",
                    );
                    let bare = without(&without(&bare, "<bdi", "</bdi>"), "<code>", "</code>");
                    let mut text = visible_text(&bare).replace(NARROW_NO_BREAK_SPACE, " ");
                    for known in DEFINITIONS {
                        text = text.replace(known, "");
                    }
                    // A date has no-break spaces.
                    let figure = |word: &&str| {
                        !word.contains('\u{a0}') && word.contains(|c: char| c.is_ascii_digit())
                    };
                    let left: Vec<&str> = text.split([' ', '-']).filter(figure).collect();
                    let policy = POLICY_SENTENCES.iter().any(|part| text.contains(part));
                    assert!(left.is_empty() || policy, "{path}: {left:?} in {text}");
                }
            }
        }
    }
}

/// Every count agrees with its noun.
#[test]
fn counts_agree_with_their_nouns() {
    for input in programmes() {
        for (path, html) in pages(&input) {
            for (tag, class) in SENTENCES {
                for sentence in elements(&html, tag, class) {
                    let text = visible_text(sentence);
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
fn leads_fit_on_two_lines() {
    for input in programmes() {
        for (path, html) in pages(&input) {
            for lead in elements(&html, "p", "lead") {
                let length = visible_text(lead).chars().count();
                assert!(
                    length <= MAX_LENGTH,
                    "{path}: {length} characters: {}",
                    visible_text(lead)
                );
            }
        }
    }
}
