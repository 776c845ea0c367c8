//! The text of a scoring policy with other weights; comments and the rest stay as they are.

use anyhow::ensure;
use scoring::{Policy, ProposedWeight, signal_names};

use crate::errors::usage_error;

/// Returns the text with the proposed weights and the next version. A candidate that the text leaves
/// out gets a line at the end of the weights.
///
/// # Errors
/// The weights are not written as a table with a line for each signal.
pub(crate) fn with_weights(text: &str, weights: &[ProposedWeight]) -> anyhow::Result<String> {
    let present = Policy::parse(text).map_err(|e| usage_error(format!("the policy: {e}")))?;
    let version = next_version(&present.version);
    let mut lines = Vec::new();
    let mut table = String::new();
    let mut missing: Vec<&ProposedWeight> = weights.iter().filter(|w| w.proposed > 0.0).collect();
    let mut end_of_weights = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            trimmed.split('#').next().unwrap_or_default().trim().clone_into(&mut table);
        }
        let key = trimmed.split(['=', '#']).next().unwrap_or_default().trim();
        let weight = weights.iter().find(|w| w.signal == key).filter(|_| table == "[weights]");
        missing.retain(|other| table != "[weights]" || other.signal != key);
        lines.push(match weight {
            Some(weight) => with_value(line, &weight.proposed.to_string()),
            None if table.is_empty() && key == "version" => {
                with_value(line, &format!("\"{version}\""))
            }
            None => line.to_owned(),
        });
        if weight.is_some() {
            end_of_weights = Some(lines.len());
        }
    }
    if let Some(end) = end_of_weights {
        let added = missing.iter().map(|weight| format!("{} = {}", weight.signal, weight.proposed));
        lines.splice(end..end, added);
    }
    let changed = lines.join("\n") + "\n";
    let parsed =
        Policy::parse(&changed).map_err(|e| usage_error(format!("the new policy: {e}")))?;
    let is_taken = |weight: &ProposedWeight| {
        let name = signal_names().find(|name| name.as_str() == weight.signal);
        name.is_some_and(|name| parsed.weight(&name) == weight.proposed)
    };
    ensure!(
        weights.iter().all(is_taken) && parsed.version == version,
        "the weights of the policy can't be replaced; write `version` and the table [weights] with \
         one key a line, as the built-in policy does"
    );
    Ok(changed)
}

/// Returns a line `key = value # comment` with another value.
fn with_value(line: &str, value: &str) -> String {
    let (key, rest) = line.split_once('=').unwrap_or((line, ""));
    // A version in quotes may hold the sign of a comment.
    let quoted = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
    let after = quoted.map_or(rest, |(_, after)| after);
    let comment = after.split_once('#').map_or(String::new(), |(_, text)| format!(" #{text}"));
    format!("{}= {value}{comment}", key.trim_end().to_owned() + " ")
}

/// Returns the version after one: its last number raised, or `-2` behind a name.
fn next_version(version: &str) -> String {
    let name = version.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = version.strip_prefix(name).and_then(|digits| digits.parse::<u64>().ok());
    match number {
        Some(number) => format!("{name}{}", number.saturating_add(1)),
        None => format!("{version}-2"),
    }
}

#[cfg(test)]
mod tests {
    use domain::SignalName;
    use scoring::DEFAULT_POLICY;

    use super::*;

    fn proposed(weight: impl Fn(&str) -> f64) -> Vec<ProposedWeight> {
        let of = |name: SignalName| ProposedWeight {
            signal: name.to_string(),
            present: 10.0,
            proposed: weight(name.as_str()),
            available: 1.0,
        };
        signal_names().map(of).collect()
    }

    #[test]
    fn only_the_weights_and_the_version_change() {
        let weights = proposed(|name| if name == "growth" { 55.0 } else { 5.0 });
        let changed = with_weights(DEFAULT_POLICY, &weights).expect("a policy");
        let policy = Policy::parse(&changed).expect("a policy");
        assert_eq!(policy.weight(&SignalName::new("growth")), 55.0);
        let differing: Vec<&str> = DEFAULT_POLICY
            .lines()
            .zip(changed.lines())
            .filter(|(before, after)| before != after)
            .map(|(_, after)| after)
            .collect();
        assert_eq!(DEFAULT_POLICY.lines().count(), changed.lines().count());
        let keys = differing.iter().map(|line| line.split(' ').next().unwrap_or_default());
        let expected = [
            "version",
            "errors",
            "steadiness",
            "growth",
            "revenue",
            "dormancy",
            "breadth",
            "credentials",
            "payments",
        ];
        assert_eq!(keys.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_candidate_that_is_left_out_gets_a_line() {
        let text = DEFAULT_POLICY.replacen("breadth = 0\ncredentials = 0\n", "", 1);
        let changed = with_weights(
            &text,
            &proposed(|name| match name {
                "breadth" => 7.0,
                "credentials" => 0.0,
                _ => 5.0,
            }),
        );
        let changed = changed.expect("a policy");
        assert!(changed.contains("\npayments = 5\nbreadth = 7\n\n"), "{changed}");
        assert_eq!(changed.lines().count(), text.lines().count() + 1);
    }

    #[test]
    fn comments_of_a_weight_stay() {
        #[track_caller]
        fn check(line: &str, value: &str, expected: &str) {
            assert_eq!(with_value(line, value), expected);
        }
        check("errors = 20", "7", "errors = 7");
        check("errors=20 # the most", "7", "errors = 7 # the most");
        check("version = \"2 # x\" # note", "\"3\"", "version = \"3\" # note");
    }

    #[test]
    fn weights_in_another_form_are_refused() {
        let (before, rest) = DEFAULT_POLICY.split_once("[weights]\n").expect("weights");
        let (table, after) = rest.split_once("\n\n").expect("the next table");
        let inline = format!("weights = {{ {} }}\n{before}\n{after}", table.replace('\n', ", "));
        Policy::parse(&inline).expect("the same policy");
        let error = with_weights(&inline, &proposed(|_| 10.0)).expect_err("refused").to_string();
        assert!(error.contains("one key a line"), "{error}");
    }

    #[test]
    fn versions_are_raised() {
        #[track_caller]
        fn check(version: &str, next: &str) {
            assert_eq!(next_version(version), next);
        }
        check("2", "3");
        check("2026-9", "2026-10");
        check("spring", "spring-2");
    }
}
