//! Metrics that read partners without the view that applies their merges.

use domain::Stream;

use crate::catalog::diagnostics::Diagnostics;
use crate::catalog::diagnostics::source_text::SourceText;
use crate::catalog::graph::DependencyGraph;
use crate::catalog::{Catalog, Query, QueryKind};

/// The view of merged partners; a view that reads it has merges applied.
const MERGES: &str = "merge_map";

/// Reports a metric that reads partners, traffic or money directly: it counts merged partners
/// twice.
pub(super) fn check(
    query: &Query,
    catalog: &Catalog,
    graph: &DependencyGraph,
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) {
    if query.kind != QueryKind::Metric {
        return;
    }
    for table in graph.reads(&query.name) {
        let plain = table.strip_prefix("raw.").unwrap_or(table);
        let is_stream = Stream::ALL.iter().any(|s| s.table() == plain);
        let is_rollup = catalog.get(plain).is_some_and(|q| q.kind == QueryKind::Rollup);
        if !is_stream && !is_rollup {
            continue;
        }
        let views: Vec<String> = catalog
            .of_kind(QueryKind::View)
            .filter(|view| {
                let tables = graph.reads(&view.name);
                tables.iter().any(|t| t == plain) && tables.iter().any(|t| t == MERGES)
            })
            .map(|view| format!("`{}`", view.name))
            .collect();
        if views.is_empty() {
            continue;
        }
        let span = source_text.find_table(table).unwrap_or_else(|| source_text.first_token());
        let message = format!("`{table}` read by itself knows no merges of partners");
        diagnostics.warning(
            "past_views",
            span,
            message,
            format!("read it through {}", views.join(" or ")),
        );
    }
}
