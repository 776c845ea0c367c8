//! Renders a comparison as text, as Markdown for a pull request, and as JSON.

use std::fmt::Write;

use domain::{counted, format_instant};
use serde_json::{Value, json};
use transform::{ColumnDiff, ResultDiff};

use super::comparison::{Baseline, Comparison, MetricChange};
use crate::args::DiffFormat;
use crate::output::{self, print_line, print_verbatim};
use crate::runs::Run;
use crate::table::Table;

/// Prints a comparison.
pub(super) fn print(comparison: &Comparison, format: DiffFormat) -> anyhow::Result<()> {
    match format {
        DiffFormat::Table => print_text(comparison),
        DiffFormat::Markdown => print_line(markdown(comparison).trim_end()),
        DiffFormat::Json => print_verbatim(&serde_json::to_string_pretty(&json(comparison))?),
    }
}

/// Returns a sentence on what is compared.
fn sides(comparison: &Comparison) -> String {
    let as_of = comparison.as_of;
    match &comparison.baseline {
        Baseline::Queries(revision) => format!(
            "Before: the queries of {revision}. Now: those of the working tree. Both on the newest \
             tables, as of {as_of}."
        ),
        Baseline::Tables(run) => format!(
            "Before: the tables of run {run}. Now: the newest. Both with the queries of the working \
             tree, as of {as_of}."
        ),
        Baseline::Both(revision, run) => format!(
            "Before: the queries of {revision} on the tables of run {run}. Now: those of the \
             working tree on the newest. Both as of {as_of}."
        ),
    }
}

fn share(part: usize, of: usize) -> String {
    match of {
        0 => "–".to_owned(),
        of if part == of => "100 %".to_owned(),
        // Rounded down, so that less than all is never shown as all.
        of => format!("{:.1} %", (part as f64 / of as f64 * 1000.0).floor() / 10.0),
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |v| {
        if v.fract() == 0.0 && v.abs() < 1e15 { format!("{v:.0}") } else { format!("{v:.4}") }
    })
}

fn relative(column: &ColumnDiff) -> String {
    match (column.before, column.after) {
        (Some(before), Some(after)) if before == after => "=".to_owned(),
        (Some(before), Some(after)) if before != 0.0 => {
            format!("{:+.2} %", (after / before - 1.0) * 100.0)
        }
        _ => String::new(),
    }
}

/// Returns a sentence on how a metric changed.
fn headline(change: &MetricChange) -> String {
    match change {
        MetricChange::Added => "new".to_owned(),
        MetricChange::Removed => "removed".to_owned(),
        MetricChange::Failed(why) => format!("can't be compared: {why}"),
        MetricChange::Rows(diff) if diff.is_empty() => match diff.rows_after {
            1 => "the same row".to_owned(),
            rows => format!("the same {}", counted(rows, "row")),
        },
        MetricChange::Rows(diff) => {
            let mut text =
                format!("{}, before {}", counted(diff.rows_after, "row"), diff.rows_before);
            let mut add = |what: &str, names: &[String], count: usize| {
                if count > 0 {
                    let more = if count > names.len() { ", …" } else { "" };
                    let _ = write!(text, "; {what} {count}: {}{more}", names.join("; "));
                }
            };
            add("rows gone", &diff.only_before, diff.rows_before - diff.joined);
            add("rows added", &diff.only_after, diff.rows_after - diff.joined);
            add("columns gone", &diff.removed, diff.removed.len());
            add("columns added", &diff.added, diff.added.len());
            text
        }
    }
}

/// Returns the columns that differ.
fn differing(diff: &ResultDiff) -> impl Iterator<Item = &ColumnDiff> {
    diff.columns.iter().filter(|c| c.same != diff.joined || c.before != c.after)
}

fn print_text(comparison: &Comparison) -> anyhow::Result<()> {
    print_line(&format!("{}\n", sides(comparison)))?;
    for (name, change) in &comparison.changes {
        print_line(&format!("{name}: {}", headline(change)))?;
        let MetricChange::Rows(diff) = change else { continue };
        if differing(diff).next().is_none() {
            continue;
        }
        let head = ["  column", "same cells", "sum or mean before", "now", "change"];
        let mut table = Table::new(head, &[1, 2, 3, 4]);
        for column in differing(diff) {
            table.row([
                format!("  {}", column.name),
                share(column.same, diff.joined),
                number(column.before),
                number(column.after),
                relative(column),
            ]);
        }
        output::print_table(&table)?;
        for cell in &diff.cells {
            print_line(&format!(
                "  {}: {} was {}, is {}",
                cell.row, cell.column, cell.before, cell.after
            ))?;
        }
        print_line("")?;
    }
    Ok(())
}

fn markdown(comparison: &Comparison) -> String {
    let changes = &comparison.changes;
    let (title, sides) =
        (escape_markdown(&comparison.baseline.to_string()), escape_markdown(&sides(comparison)));
    let mut text = format!("### Metrics beside {title}\n\n{sides}\n\n");
    let same: Vec<&str> =
        changes.iter().filter(|(_, c)| c.is_same()).map(|(name, _)| name.as_str()).collect();
    if !same.is_empty() {
        let _ = writeln!(text, "{} the same: {}\n", same.len(), same.join(", "));
    }
    for (name, change) in changes.iter().filter(|(_, c)| !c.is_same()) {
        let _ = writeln!(text, "**{name}**: {}\n", escape_markdown(&headline(change)));
        let MetricChange::Rows(diff) = change else { continue };
        if differing(diff).next().is_none() {
            continue;
        }
        text.push_str(
            "| column | same cells | sum or mean before | now | change |\n|---|--:|--:|--:|--:|\n",
        );
        for column in differing(diff) {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                escape_markdown(&column.name),
                share(column.same, diff.joined),
                number(column.before),
                number(column.after),
                relative(column)
            );
        }
        text.push('\n');
        for example in &diff.cells {
            let _ = writeln!(
                text,
                "- {}: {} was {}, is {}",
                escape_markdown(&example.row),
                escape_markdown(&example.column),
                escape_markdown(&example.before),
                escape_markdown(&example.after)
            );
        }
        text.push('\n');
    }
    text
}

/// Escapes text that Markdown would interpret.
fn escape_markdown(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if matches!(c, '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '\\' | '#') {
            out.push('\\');
        }
        out.push(if c == '\n' { ' ' } else { c });
    }
    out
}

/// Returns the JSON of a comparison. `queries` is null for those of the working tree, `run` for the
/// newest tables.
fn json(comparison: &Comparison) -> Value {
    let metric = |(name, change): &(String, MetricChange)| match change {
        MetricChange::Added => json!({"metric": name, "change": "added"}),
        MetricChange::Removed => json!({"metric": name, "change": "removed"}),
        MetricChange::Failed(why) => json!({"metric": name, "change": "broken", "why": why}),
        MetricChange::Rows(diff) => json!({
            "metric": name,
            "change": if diff.is_empty() { "same" } else { "different" },
            "rows_before": diff.rows_before,
            "rows_after": diff.rows_after,
            "rows_joined": diff.joined,
            "columns_removed": diff.removed,
            "columns_added": diff.added,
            "columns": diff.columns.iter().map(|c| json!({
                "column": c.name, "same": c.same, "before": c.before, "after": c.after
            })).collect::<Vec<_>>(),
        }),
    };
    let side = |queries: Option<&str>, run: Option<&Run>| {
        json!({
            "queries": queries,
            "run": run.map(|run| &run.id),
            "run_started_at": run.map(|run| format_instant(run.started_at)),
        })
    };
    let baseline = &comparison.baseline;
    json!({
        "as_of": comparison.as_of.to_string(),
        "before": side(baseline.revision(), baseline.run()),
        "now": side(None, None),
        "metrics": comparison.changes.iter().map(metric).collect::<Value>(),
    })
}
