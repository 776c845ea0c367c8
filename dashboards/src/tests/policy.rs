//! The pages show the numbers of the policy in force, and no others.

use std::collections::BTreeSet;

use super::attribute;
use crate::sample::programme;
use crate::{PolicyInForce, pages};

/// Returns the texts between the tags of a page and in its tooltips, without scripts.
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

/// Returns whether a number is one of the words of a text.
fn contains_number(text: &str, number: &str) -> bool {
    let part = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
    text.split(|c| !part(c)).any(|word| word.trim_end_matches(['.', ',']) == number)
}

#[test]
fn pages_show_the_policy_in_force_and_no_other() {
    let odd = PolicyInForce {
        at_risk_below: 33.0,
        healthy_above: 81.0,
        min_coverage: 0.45,
        min_live_days: 21,
        churned_after_days: 37,
        stuck_after_days: 47,
        stale_hours: 53,
    };
    // There are so few partners that no count equals one of the numbers of the policy.
    let mut input = programme(24, 20);
    let usual = input.policy.clone();
    input.policy = odd;
    input.stuck_partners = Some(Vec::new());
    // The scoring writes the reasons, and dates have numbers of their own.
    for row in &mut input.health {
        row.top_reason = None;
        row.tier_since = None;
    }
    // A metric has a window of its own, which the policy does not change.
    let of_metrics = ["tuck for 30 days or more", "Last 28 days", "No production call in 28 days."];
    let policy_words = [
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
    let mut found = BTreeSet::new();
    for (path, html) in pages(&input) {
        for text in texts(&html) {
            let lower = text.to_lowercase();
            let is_about_policy = policy_words.iter().any(|word| lower.contains(word));
            if !is_about_policy || of_metrics.iter().any(|window| text.contains(window)) {
                continue;
            }
            for number in &wrong {
                assert!(!contains_number(&text, number), "{path} says {number}: {text}");
            }
            for number in ["33", "81", "0.45", "21", "37", "47"] {
                if contains_number(&text, number) {
                    found.insert(number);
                }
            }
        }
    }
    assert_eq!(found.len(), 6, "{found:?}");
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
