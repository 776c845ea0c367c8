//! `rapport metrics lineage`: what a query reads, or what reads it, down to the streams.

use std::fmt::Write as _;

use serde_json::json;
use transform::{Catalog, ColumnLineage, Lineage};

use crate::args::LineageFormat;
use crate::errors::usage_error;
use crate::output::{print_line, print_verbatim};

/// The options of `rapport metrics lineage`.
pub(super) struct LineageOptions {
    pub(super) name: String,
    pub(super) format: LineageFormat,
    pub(super) columns: bool,
    pub(super) down: bool,
}

/// Prints the lineage of a query.
pub(super) async fn run(catalog: &Catalog, options: &LineageOptions) -> anyhow::Result<()> {
    let LineageOptions { name, format, columns, down } = options;
    let tables = if *down {
        transform::downstream(catalog, name)
    } else {
        transform::upstream(catalog, name)
    };
    let tables = tables.map_err(|e| usage_error(e.to_string()))?;
    if *columns {
        catalog.find(name).map_err(|e| usage_error(e.to_string()))?;
        let columns = transform::column_lineage(catalog, name).await?;
        return match format {
            LineageFormat::Text => print_line(column_text(&columns).trim_end()),
            LineageFormat::Dot => print_line(column_dot(name, &columns).trim_end()),
            LineageFormat::Json => {
                let value = json!({ "name": name, "nodes": tables.nodes, "columns": columns });
                print_verbatim(&serde_json::to_string_pretty(&value)?)
            }
        };
    }
    match format {
        LineageFormat::Text => print_line(tree(&tables).trim_end()),
        LineageFormat::Dot => print_line(dot(&tables, *down).trim_end()),
        LineageFormat::Json => print_verbatim(&serde_json::to_string_pretty(&tables)?),
    }
}

/// Returns the lineage as a tree. What a query reads is shown at its first place only.
fn tree(lineage: &Lineage) -> String {
    let mut text = String::new();
    branch(lineage, &lineage.name, "", "", &mut Vec::new(), &mut text);
    text
}

fn branch(
    lineage: &Lineage,
    name: &str,
    before: &str,
    indent: &str,
    shown: &mut Vec<String>,
    text: &mut String,
) {
    let Some(node) = lineage.nodes.iter().find(|n| n.name == name) else { return };
    let again = shown.iter().any(|s| s == name) && !node.next.is_empty();
    let above = if again { ", see above" } else { "" };
    let _ = writeln!(text, "{before}{name} ({}{above})", node.kind);
    if again {
        return;
    }
    shown.push(name.to_owned());
    for (i, next) in node.next.iter().enumerate() {
        let last = i + 1 == node.next.len();
        let (mark, more) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let (before, inner) = (format!("{indent}{mark}"), format!("{indent}{more}"));
        branch(lineage, next, &before, &inner, shown, text);
    }
}

fn dot(lineage: &Lineage, down: bool) -> String {
    let mut text = format!("digraph \"{}\" {{\n  rankdir = LR;\n", lineage.name);
    for node in &lineage.nodes {
        let _ = writeln!(text, "  \"{0}\" [label = \"{0}\\n{1}\"];", node.name, node.kind);
    }
    for node in &lineage.nodes {
        for next in &node.next {
            // Arrows point in the direction of the data.
            let (from, to) = if down { (&node.name, next) } else { (next, &node.name) };
            let _ = writeln!(text, "  \"{from}\" -> \"{to}\";");
        }
    }
    text + "}\n"
}

fn column_text(columns: &[ColumnLineage]) -> String {
    let mut text = String::new();
    for column in columns {
        let list = |sources: &[String]| {
            if sources.is_empty() { "nothing".to_owned() } else { sources.join(", ") }
        };
        let _ = writeln!(text, "{}\n  from     {}", column.column, list(&column.from));
        let _ = writeln!(text, "  origins  {}", list(&column.origins));
    }
    text
}

fn column_dot(name: &str, columns: &[ColumnLineage]) -> String {
    let mut text = format!("digraph \"{name}\" {{\n  rankdir = LR;\n");
    for column in columns {
        for from in &column.from {
            let _ = writeln!(text, "  \"{from}\" -> \"{name}.{}\";", column.column);
        }
    }
    text + "}\n"
}

#[cfg(test)]
mod tests {
    use transform::LineageNode;

    use super::*;

    fn lineage() -> Lineage {
        let node = |name: &str, kind, next: &[&str]| LineageNode {
            name: name.to_owned(),
            kind,
            next: next.iter().map(|&n| n.to_owned()).collect(),
        };
        Lineage {
            name: "m".to_owned(),
            nodes: vec![
                node("m", "metric", &["v", "w"]),
                node("v", "view", &["calls"]),
                node("calls", "stream", &[]),
                node("w", "view", &["calls", "v"]),
            ],
        }
    }

    #[test]
    fn a_tree_shows_the_inputs_of_each_query_once() {
        assert_eq!(
            tree(&lineage()),
            "m (metric)\n├─ v (view)\n│  └─ calls (stream)\n└─ w (view)\n   ├─ calls (stream)\n   └─ v (view, see above)\n"
        );
    }

    #[test]
    fn arrows_follow_the_data() {
        assert!(dot(&lineage(), false).contains("  \"calls\" -> \"v\";\n"));
        assert!(dot(&lineage(), true).contains("  \"v\" -> \"calls\";\n"));
    }
}
