//! Drawings have titles, colours of the theme, and text inside their edges.

use std::collections::HashSet;

use super::{attribute, programmes};
use crate::components::lead_paragraph::visible_text;
use crate::sample::programme;
use crate::{chart_file, pages};

/// Every chart of a page with a table of numbers is there as a file of its own.
#[test]
fn charts_are_files_of_their_own() {
    let mut files = 0;
    for (path, html) in pages(&programme(60, 10)) {
        for section in attribute(&html, "id") {
            let Some(chart) = chart_file(&html, section) else { continue };
            files += 1;
            let what = format!("{path}#{section}");
            assert!(
                chart.svg.contains(&format!("viewBox=\"0 0 {} {}\"", chart.width, chart.height)),
                "{what}"
            );
            assert!(chart.width >= 240.0 && chart.height > 0.0, "{what}");
            // The outer element is closed last, and every inner one before it.
            assert_eq!(
                chart.svg.matches("<svg ").count(),
                chart.svg.matches("</svg>").count(),
                "{what}"
            );
            assert!(!chart.svg.contains("class=\"narrow\""), "{what}");
        }
    }
    assert!(files >= 10, "{files} charts");
    let overview = pages(&programme(60, 10)).remove(0).1;
    assert_eq!(chart_file(&overview, "nothing"), None);
}

#[test]
fn drawings_have_titles() {
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
    let known: HashSet<String> = crate::theme::all().map(|r| format!("#{:06X}", r.light)).collect();
    for (path, html) in pages(&programme(60, 30)) {
        for name in ["fill", "stroke"] {
            for colour in attribute(&html, name).into_iter().filter(|c| *c != "none") {
                assert!(known.contains(colour), "{path}: {colour} is no role");
            }
        }
    }
}

/// The text of a drawing lies inside its edges, at 0.6 em per character.
#[test]
fn drawings_keep_their_text_inside() {
    for input in programmes() {
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
                    let room = visible_text(words).chars().count() as f64 * em * 12.0;
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
