//! Lints of the grain, which must identify a row, and of orders, which must be total.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;

use crate::analysis::grain::{ColumnId, ColumnSet, KeyAnalysis, RowKeys, UnstableOrder};
use crate::catalog::diagnostics::source_text::SourceText;
use crate::catalog::diagnostics::{Diagnostics, Span};
use crate::catalog::header::{Check, CheckRule};
use crate::catalog::{Catalog, Query, QueryKind};
use crate::testing::cells::text_of;
use crate::testing::runner::session_of;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrainProof {
    /// The plan shows that the grain is right, or a diagnostic says that it is wrong.
    Known,
    /// Only rows can show it.
    Unknown,
}

pub(super) fn check(
    query: &Query,
    plan: &LogicalPlan,
    keys: &dyn Fn(&str) -> Vec<Vec<String>>,
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) -> GrainProof {
    let (analysis, rows) = KeyAnalysis::of(plan, keys);
    for order in &analysis.unstable_orders {
        report_unstable_order(order, source_text, diagnostics);
    }
    let ids: Option<Vec<ColumnId>> = query
        .header
        .grain
        .iter()
        .map(|name| {
            let at = plan.schema().fields().iter().position(|f| f.name() == name)?;
            rows.columns.get(at).copied()
        })
        .collect();
    // A column of the grain that the query does not give has a diagnostic already.
    let Some(ids) = ids else { return GrainProof::Known };
    if query.kind == QueryKind::Metric {
        check_order(query, &analysis, &rows, &ids, source_text, diagnostics);
    }
    if ids.is_empty() {
        return GrainProof::Known;
    }
    check_grain(query, plan, &analysis, &rows, &ids, diagnostics)
}

fn check_grain(
    query: &Query,
    plan: &LogicalPlan,
    analysis: &KeyAnalysis<'_>,
    rows: &RowKeys,
    ids: &[ColumnId],
    diagnostics: &mut Diagnostics<'_>,
) -> GrainProof {
    let span = Span::from_position(query.header.grain_position);
    let all: ColumnSet = ids.iter().copied().collect();
    let shown = |id: &ColumnId| {
        let at = rows.columns.iter().position(|column| column == id);
        at.map_or_else(|| analysis.name(*id), |at| plan.schema().field(at).name().as_str())
            .to_owned()
    };
    let groups = analysis.group_columns.as_deref().unwrap_or_default();
    if analysis.check_unique(rows, &all).is_ok() {
        let follows = analysis.closure(&groups.iter().copied().collect());
        let extra = ids.iter().zip(&query.header.grain).find(|(id, _)| {
            let others: ColumnSet = all.iter().copied().filter(|other| other != *id).collect();
            !groups.contains(id)
                && follows.contains(id)
                && analysis.group_columns.is_some()
                && analysis.check_unique(rows, &others).is_ok()
        });
        if let Some((_, name)) = extra {
            let groups: Vec<String> = groups.iter().map(shown).collect();
            let message = format!("`{name}` is in the grain and not in GROUP BY");
            let help = if groups.is_empty() {
                "the query gives one row: leave the grain out".to_owned()
            } else {
                format!("write grain = {groups:?}, or group by `{name}` too")
            };
            diagnostics.error("grain", span, message, help);
        }
        return GrainProof::Known;
    }
    let closure = analysis.closure(&all);
    if groups.iter().any(|id| !closure.contains(id)) {
        let groups: Vec<String> = groups.iter().map(shown).collect();
        let message = format!(
            "the grain is {:?}, and the query gives a row for each ({})",
            query.header.grain,
            groups.join(", ")
        );
        let help = format!("write grain = {groups:?}, or group by the grain alone");
        diagnostics.error("grain", span, message, help);
        return GrainProof::Known;
    }
    GrainProof::Unknown
}

fn check_order(
    query: &Query,
    analysis: &KeyAnalysis<'_>,
    rows: &RowKeys,
    grain: &[ColumnId],
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) {
    if analysis.check_unique(rows, &ColumnSet::new()).is_ok() {
        return;
    }
    let names = &query.header.grain;
    let Some(order) = &rows.order else {
        let help = if names.is_empty() {
            "say its grain in the header, and end with ORDER BY over it".to_owned()
        } else {
            format!("end with `ORDER BY {}`", names.join(", "))
        };
        let message = "without ORDER BY the rows come in any order";
        diagnostics.error("order", source_text.first_token(), message, help);
        return;
    };
    let closure = analysis.closure(order);
    let lacking: Vec<&str> = grain
        .iter()
        .zip(names)
        .filter(|(id, _)| !closure.contains(id))
        .map(|(_, name)| name.as_str())
        .collect();
    if analysis.check_unique(rows, order).is_ok() || (!grain.is_empty() && lacking.is_empty()) {
        return;
    }
    let span = source_text.find_last_word("order").unwrap_or_else(|| source_text.first_token());
    if grain.is_empty() {
        let message = "nothing shows that this order is one: the header names no grain";
        diagnostics.error("order", span, message, "say the grain, and order by it".to_owned());
        return;
    }
    let lacking = lacking.join(", ");
    let message = format!("rows that differ only in `{lacking}` come in any order");
    diagnostics.error("order", span, message, format!("add `{lacking}` to ORDER BY"));
}

fn report_unstable_order(
    order: &UnstableOrder,
    source_text: &SourceText,
    diagnostics: &mut Diagnostics<'_>,
) {
    let operation = &order.operation;
    let word = operation.split(' ').next().unwrap_or_default();
    let span = order.position.and_then(|position| source_text.find_word_before(position, word));
    let span =
        span.or_else(|| source_text.find_word(word)).unwrap_or_else(|| source_text.first_token());
    if !order.has_order_by {
        let message = format!("`{operation}` without ORDER BY takes the rows as they come");
        let help = "order by columns that tell the rows apart".to_owned();
        diagnostics.error("order", span, message, help);
    } else if order.missing.is_empty() {
        let message =
            format!("nothing shows that the ORDER BY of `{operation}` tells its rows apart");
        let help = "order by columns that do, such as those of a GROUP BY below".to_owned();
        diagnostics.warning("order", span, message, help);
    } else {
        let missing: Vec<&str> = order.missing.iter().map(String::as_str).collect();
        let missing = missing.join(", ");
        let message = format!(
            "the ORDER BY of `{operation}` does not tell apart rows that differ only in `{missing}`"
        );
        diagnostics.error("order", span, message, format!("add `{missing}` to that ORDER BY"));
    }
}

/// Looks for two rows with the same grain among the results of the test cases.
pub(super) async fn check_cases(
    catalog: &Arc<Catalog>,
    query: &Query,
    diagnostics: &mut Diagnostics<'_>,
) {
    let span = Span::from_position(query.header.grain_position);
    let grain = &query.header.grain;
    let mut distinct = 0;
    for case in query.cases() {
        let Ok(Ok(session)) = session_of(catalog, case) else { continue };
        // The test run reports a case that fails.
        let Ok(result) = session.metric(&query.name).await else { continue };
        let mut seen: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        for batch in &result.batches {
            let columns: Option<Vec<_>> = grain.iter().map(|g| batch.column_by_name(g)).collect();
            let Some(columns) = columns else { return };
            for row in 0..batch.num_rows() {
                let key: Vec<String> = columns.iter().map(|c| text_of(c, row)).collect();
                *seen.entry(key).or_default() += 1;
            }
        }
        distinct += seen.len();
        if let Some((key, times)) = seen.iter().find(|(_, times)| **times > 1) {
            let values: Vec<String> =
                grain.iter().zip(key).map(|(name, value)| format!("{name} = {value}")).collect();
            let message =
                format!("{times} rows have {} in the case \"{}\"", values.join(", "), case.name);
            let help = "the grain lacks a column, or the query a GROUP BY".to_owned();
            diagnostics.error("grain", span, message, help);
            return;
        }
    }
    let is_of_grain = |check: &Check| matches!(&check.rule, CheckRule::Unique(columns) if columns.iter().all(|c| grain.contains(c)));
    if distinct < 2 && !query.header.checks.iter().any(is_of_grain) {
        let message = "nothing shows that the grain tells the rows apart";
        let help = format!("add a case with several rows, or [[checks]] unique = {grain:?}");
        diagnostics.warning("grain", span, message, help);
    }
}
