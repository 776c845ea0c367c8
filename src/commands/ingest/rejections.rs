//! Explains rejections: which rules were broken, how often, where first, and how to open the
//! records.

use domain::{counted, printable, thousands};
use ingest::{BrokenRule, RecordPosition, Rejections};
use serde::Serialize;

use crate::output::{self, print_line};

/// The rules that are shown.
const MOST_RULES: usize = 20;

/// A broken rule as scripts read it.
#[derive(Debug, Serialize)]
pub(super) struct RejectionJson {
    stream: &'static str,
    reason: &'static str,
    field: Option<&'static str>,
    rule: String,
    count: u64,
    first: Vec<PositionJson>,
}

/// The position of a record: a line from 1, or an offset.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum PositionJson {
    File { file: String, line: i64 },
    Kafka { topic: String, partition: i32, offset: i64 },
}

/// Returns the broken rules, the most frequent first.
pub(super) fn rejections_json(rejections: &Rejections) -> Vec<RejectionJson> {
    let json = |rule: &BrokenRule| RejectionJson {
        stream: rule.stream.name(),
        reason: rule.reason.as_str(),
        field: rule.field,
        rule: sentence(rule).to_owned(),
        count: rule.count,
        first: rule.first.iter().map(position_json).collect(),
    };
    sorted(rejections).into_iter().map(json).collect()
}

fn position_json(position: &RecordPosition) -> PositionJson {
    match position.file() {
        Some(file) => PositionJson::File { file: file.to_owned(), line: position.offset + 1 },
        None => PositionJson::Kafka {
            topic: position.topic.clone(),
            partition: position.partition,
            offset: position.offset,
        },
    }
}

/// Prints the broken rules on standard output; nothing where none was broken.
pub(crate) fn print(rejections: &Rejections) -> anyhow::Result<()> {
    explain(rejections).iter().try_for_each(|line| print_line(line))
}

/// Prints the broken rules on standard error.
pub(super) fn print_note(rejections: &Rejections) {
    explain(rejections).iter().for_each(|line| output::print_note(line));
}

fn explain(rejections: &Rejections) -> Vec<String> {
    let mut lines = rule_lines(rejections);
    let mut shown: Vec<(&str, &str)> = Vec::new();
    for rule in sorted(rejections) {
        let of = (rule.stream.name(), rule.reason.as_str());
        if !shown.contains(&of) {
            let label = if shown.is_empty() { "Open them:" } else { "" };
            let (stream, reason) = of;
            lines.push(format!(
                "{label:<11}rapport ingest dead-letters --stream {stream} --reason {reason} --open"
            ));
            shown.push(of);
        }
    }
    lines
}

/// Returns the lines that tell each rule and its first records.
pub(super) fn rule_lines(rejections: &Rejections) -> Vec<String> {
    let rules = sorted(rejections);
    let name = |rule: &BrokenRule| rule.reason.as_str().len();
    let count = |rule: &BrokenRule| thousands(rule.count).len();
    let names = rules.iter().map(|rule| name(rule)).max().unwrap_or(0);
    let counts = rules.iter().map(|rule| count(rule)).max().unwrap_or(0);
    let mut lines = Vec::new();
    for rule in rules.iter().take(MOST_RULES) {
        let field = rule.field.map_or_else(String::new, |field| format!("{field}: "));
        lines.push(format!(
            "  {:<names$}  {:>counts$}  {field}{}",
            rule.reason.as_str(),
            thousands(rule.count),
            printable(sentence(rule))
        ));
        lines.push(format!("  {:<names$}  {:>counts$}  {}", "", "", places(rule)));
    }
    if let Some(more) = rules.len().checked_sub(MOST_RULES).filter(|more| *more > 0) {
        lines.push(format!("  and {}", counted(more as u64, "more rule")));
    }
    lines
}

/// Returns the rules, the most frequent first.
fn sorted(rejections: &Rejections) -> Vec<&BrokenRule> {
    let mut rules: Vec<&BrokenRule> = rejections.rules().iter().collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.count));
    rules
}

fn sentence(rule: &BrokenRule) -> &str {
    if rule.detail.is_empty() { "other rules" } else { &rule.detail }
}

/// Returns where the first records are: lines of files as editors count them, or offsets.
fn places(rule: &BrokenRule) -> String {
    let mut files: Vec<(&str, Vec<String>)> = Vec::new();
    let mut offsets: Vec<String> = Vec::new();
    for position in &rule.first {
        let RecordPosition { topic, partition, offset } = position;
        let Some(file) = position.file() else {
            offsets.push(format!("{}/{partition}@{offset}", printable(topic)));
            continue;
        };
        let line = (offset + 1).to_string();
        match files.iter_mut().find(|(name, _)| *name == file) {
            Some((_, lines)) => lines.push(line),
            None => files.push((file, vec![line])),
        }
    }
    let of_files = files.into_iter().map(|(file, lines)| {
        let word = if lines.len() == 1 { "line" } else { "lines" };
        format!("{}, {word} {}", printable(file), lines.join(", "))
    });
    let mut text = of_files.chain(offsets).collect::<Vec<_>>().join("; ");
    if rule.count > rule.first.len() as u64 {
        text.push_str(", …");
    }
    text
}
