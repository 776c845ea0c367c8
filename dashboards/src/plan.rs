//! Proposed actions in words.

use maud::{Markup, html};

use crate::standing::PlanRow;
use crate::words;

/// A headline: `Quota 600 → 900 calls a minute`.
pub(crate) fn headline(row: &PlanRow) -> String {
    let change = match (&row.from, &row.to) {
        (Some(from), Some(to)) if from != to => format!("{from} → {to}"),
        (_, Some(to)) => to.clone(),
        (Some(from), None) => from.clone(),
        (None, None) => String::new(),
    };
    let text = match row.kind.as_str() {
        "set_quota" => match change.split_once(", until ") {
            Some((change, end)) => format!("Quota {change} calls a minute until {end}"),
            None => format!("Quota {change} calls a minute"),
        },
        "route_support" => match (row.from.as_deref(), row.to.as_deref()) {
            (_, Some(queue)) => format!("Support queue {queue}"),
            (Some(queue), None) => format!("Leave the support queue {queue}"),
            (None, None) => "To support".to_owned(),
        },
        "notify" => format!("Tell {change}"),
        other => format!("{} {change}", words::capital(&other.replace('_', " "))),
    };
    words::clip(&words::label(None, text.trim()), HEADLINE)
}

/// Longest headline: names of queues and people may be of any length.
const HEADLINE: usize = 80;

/// The same inside a list: `Proposed: quota 600 → 900 calls a minute.`
pub(crate) fn sentence(row: &PlanRow) -> Markup {
    let text = headline(row);
    let mut chars = text.chars();
    let lower: String =
        chars.next().into_iter().flat_map(char::to_lowercase).chain(chars).collect();
    html! { "Proposed: " (crate::figure::said(&lower)) "." }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_named() {
        #[track_caller]
        fn check(kind: &str, from: Option<&str>, to: Option<&str>, expected: &str) {
            let row = PlanRow {
                partner_id: "p".to_owned(),
                kind: kind.to_owned(),
                from: from.map(str::to_owned),
                to: to.map(str::to_owned),
                why: String::new(),
                guardrails: Vec::new(),
            };
            assert_eq!(headline(&row), expected);
        }
        check("set_quota", Some("600"), Some("900"), "Quota 600 → 900 calls a minute");
        let raise = "Quota 5 → 7 calls a minute until 21 Dec 2026";
        check("set_quota", Some("5"), Some("7, until 21 Dec 2026"), raise);
        check("route_support", None, Some("integration-help"), "Support queue integration-help");
        let left = "Leave the support queue integration-help P2, 24 h";
        check("route_support", Some("integration-help P2, 24 h"), None, left);
        check("notify", None, Some("its manager"), "Tell its manager");
        check("do_more", None, None, "Do more");
    }
}
