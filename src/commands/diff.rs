//! `rapport metrics diff`: the metrics of these queries beside those of another revision of them, on
//! the same events.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde_json::json;
use transform::{Catalog, ColumnDiff, Engine, Kind, Query, ResultDiff, Session, diff_results};

use crate::args::{Diff, DiffFormat};
use crate::failure::{Found, usage};
use crate::output::{Table, line, show};
use crate::project::Project;

/// Rows and cells that are shown of what differs.
const EXAMPLES: usize = 5;

/// What became of a metric.
enum Change {
    Added,
    Removed,
    /// One side fails, with what it says.
    Broken(String),
    Rows(ResultDiff),
}

pub(crate) async fn run(project: &Project, options: &Diff) -> anyhow::Result<()> {
    let folder = project.config.queries().context(
        "the project has no queries/ folder, so there is no other revision of its queries",
    );
    let folder = folder.map_err(|e| usage(e.to_string()))?;
    let files = files_of(&folder, &options.revision)?;
    let label = format!("{}:queries", options.revision);
    let before = Catalog::built_in()?.with_files(&label, files);
    let before = project.engine.with_catalog(before);
    let as_of = project.as_of(options.as_of.as_deref()).await?;
    let now = project.session(as_of).await?;
    let then = before.at(as_of, Some(now.versions())).await?;
    let changes = changes(&project.engine, &now, &before, &then, &options.names).await?;
    match options.format {
        DiffFormat::Table => print(&changes)?,
        DiffFormat::Markdown => line(markdown(&changes, &options.revision).trim_end())?,
        DiffFormat::Json => line(&serde_json::to_string_pretty(&json(&changes))?)?,
    }
    let different = changes.iter().filter(|(_, change)| !is_same(change)).count();
    if different == 0 {
        return Ok(());
    }
    Err(Found(format!("{different} of {} metrics differ from {}", changes.len(), options.revision))
        .into())
}

fn is_same(change: &Change) -> bool {
    matches!(change, Change::Rows(diff) if diff.is_empty())
}

async fn changes(
    after: &Engine,
    now: &Session,
    before: &Engine,
    then: &Session,
    names: &[String],
) -> anyhow::Result<Vec<(String, Change)>> {
    let (new, old) = (after.catalog(), before.catalog());
    for name in names {
        let known = |c: &Catalog| c.get(name).is_some_and(|q| q.kind == Kind::Metric);
        if !known(new) && !known(old) {
            new.find(name).map_err(|e| usage(e.to_string()))?;
            return Err(usage(format!("{name} is no metric")));
        }
    }
    let mut all: Vec<&str> = new.names(Kind::Metric);
    all.extend(old.names(Kind::Metric));
    all.sort_unstable();
    all.dedup();
    let wanted = |name: &&str| names.is_empty() || names.iter().any(|n| n == name);
    let mut changes = Vec::new();
    for name in all.into_iter().filter(wanted) {
        let change = match (old.get(name), new.get(name)) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(_), Some(query)) => compared(query, then, now).await,
        };
        changes.push((name.to_owned(), change));
    }
    Ok(changes)
}

async fn compared(query: &Query, then: &Session, now: &Session) -> Change {
    let both = async {
        let before = then.metric(&query.name).await.map_err(|e| format!("before: {e}"))?;
        let after = now.metric(&query.name).await.map_err(|e| format!("now: {e}"))?;
        diff_results(&query.header.grain, &before, &after, EXAMPLES).map_err(|e| e.to_string())
    };
    match both.await {
        Ok(diff) => Change::Rows(diff),
        Err(why) => Change::Broken(why),
    }
}

/// The query files of a revision, by their paths below `queries/`.
fn files_of(folder: &Path, revision: &str) -> anyhow::Result<Vec<(String, String)>> {
    let list =
        git(folder, &["ls-tree", "-r", "-z", "--name-only", "--end-of-options", revision, "."])?;
    let mut files = Vec::new();
    for path in list.split('\0').filter(|p| p.ends_with(".sql") || p.ends_with(".test.toml")) {
        let text = git(folder, &["show", "--end-of-options", &format!("{revision}:./{path}")])?;
        files.push((path.to_owned(), text));
    }
    Ok(files)
}

fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let ran = Command::new("git").arg("-C").arg(folder).args(arguments).output();
    let ran = ran.context("git can't be run; it is needed to read another revision")?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        return Err(usage(format!("git in {}: {said}", folder.display())));
    }
    String::from_utf8(ran.stdout).context("a query file that is not UTF-8")
}

fn share(part: usize, of: usize) -> String {
    match of {
        0 => "–".to_owned(),
        of if part == of => "100 %".to_owned(),
        // Cut, not rounded: less than all is never shown as all.
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

/// One sentence of what became of a metric.
fn headline(change: &Change) -> String {
    match change {
        Change::Added => "new".to_owned(),
        Change::Removed => "removed".to_owned(),
        Change::Broken(why) => format!("can't be compared: {why}"),
        Change::Rows(diff) if diff.is_empty() => match diff.rows_after {
            1 => "the same row".to_owned(),
            rows => format!("the same {rows} rows"),
        },
        Change::Rows(diff) => {
            let mut text = format!("{} rows, before {}", diff.rows_after, diff.rows_before);
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

/// The columns in which something differs.
fn differing(diff: &ResultDiff) -> impl Iterator<Item = &ColumnDiff> {
    diff.columns.iter().filter(|c| c.same != diff.joined || c.before != c.after)
}

fn print(changes: &[(String, Change)]) -> anyhow::Result<()> {
    for (name, change) in changes {
        line(&format!("{name}: {}", headline(change)))?;
        let Change::Rows(diff) = change else { continue };
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
        show(&table)?;
        for cell in &diff.cells {
            line(&format!(
                "  {}: {} was {}, is {}",
                cell.row, cell.column, cell.before, cell.after
            ))?;
        }
        line("")?;
    }
    Ok(())
}

fn markdown(changes: &[(String, Change)], revision: &str) -> String {
    let mut text = format!("### Metrics beside `{revision}`\n\n");
    let same: Vec<&str> =
        changes.iter().filter(|(_, c)| is_same(c)).map(|(name, _)| name.as_str()).collect();
    if !same.is_empty() {
        let _ = writeln!(text, "{} the same: {}\n", same.len(), same.join(", "));
    }
    for (name, change) in changes.iter().filter(|(_, c)| !is_same(c)) {
        let _ = writeln!(text, "**{name}**: {}\n", cell(&headline(change)));
        let Change::Rows(diff) = change else { continue };
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
                cell(&column.name),
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
                cell(&example.row),
                cell(&example.column),
                cell(&example.before),
                cell(&example.after)
            );
        }
        text.push('\n');
    }
    text
}

/// Text of an event that Markdown would read as its own.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if matches!(c, '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '\\' | '#') {
            out.push('\\');
        }
        out.push(if c == '\n' { ' ' } else { c });
    }
    out
}

fn json(changes: &[(String, Change)]) -> serde_json::Value {
    let metric = |(name, change): &(String, Change)| match change {
        Change::Added => json!({"metric": name, "change": "added"}),
        Change::Removed => json!({"metric": name, "change": "removed"}),
        Change::Broken(why) => json!({"metric": name, "change": "broken", "why": why}),
        Change::Rows(diff) => json!({
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
    changes.iter().map(metric).collect()
}
