//! Figures in sentences: the rounded text, the exact value, and the query that gives it.
//!
//! A figure is an HTML `data` element. Its text is rounded, its attribute `value` is not, and
//! `data-sql` is the query that `rapport sql` answers with that value as of the day of the report.
//! Every number of a sentence is such a figure, so that each can be checked against the lake.

use std::fmt::Display;

use chrono::NaiveDate;
use domain::format;
use maud::{Markup, Render, html};

/// The newest scores as of the day of the report.
const NEWEST_SCORES: &str = "partner_health WHERE as_of = $as_of AND revision = \
    (SELECT max(revision) FROM partner_health WHERE as_of = $as_of)";

/// A figure in a sentence. The text may include the noun: `2 partners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Figure {
    text: String,
    value: String,
    query: String,
}

impl Figure {
    /// Returns a figure with this text and exact value.
    pub(crate) fn new(
        text: impl Into<String>,
        value: impl Display,
        query: impl Into<String>,
    ) -> Self {
        Self { text: text.into(), value: value.to_string(), query: query.into() }
    }

    /// Returns the text without the query.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Writes a count: `1,080`.
    pub(crate) fn count(n: i64, query: impl Into<String>) -> Self {
        Self::new(format::thousands(n), n, query)
    }

    /// Writes a count with its noun: `1 partner`, `1,080 partners`.
    pub(crate) fn counted(n: i64, noun: &str, query: impl Into<String>) -> Self {
        Self::new(format::counted(n, noun), n, query)
    }

    /// Writes a ratio in 0–1 as `79 %`.
    pub(crate) fn percent(ratio: f64, query: impl Into<String>) -> Self {
        Self::new(format::percent(ratio), ratio, query)
    }

    /// Writes a ratio in 0–1 as `51.8 %`.
    pub(crate) fn percent_1(ratio: f64, query: impl Into<String>) -> Self {
        Self::new(format::percent_with_places(ratio, 1), ratio, query)
    }

    /// Writes an amount: `$170.2k`.
    pub(crate) fn money(amount: f64, currency: &str, query: impl Into<String>) -> Self {
        Self::new(format::money(amount, currency), amount, query)
    }

    /// Writes a duration: `7.0 d`.
    pub(crate) fn duration(seconds: f64, query: impl Into<String>) -> Self {
        Self::new(format::duration(seconds), seconds, query)
    }
}

impl Render for Figure {
    fn render(&self) -> Markup {
        html! { data value=(self.value) data-sql=(self.query) { (self.text) } }
    }
}

/// Returns the number of changes of the pending plan. The plan is a file, so there is no query.
pub(crate) fn plan_changes(n: usize) -> Markup {
    html! { data value=(n) data-plan="changes" { (format::thousands(n)) } }
}

/// Returns a figure about the report itself, such as the number of metrics held back. No table holds
/// it, so there is no query.
pub(crate) fn of_report(value: impl Display, text: &str) -> Markup {
    html! { data value=(value) data-report="made" { (text) } }
}

/// Returns a sentence that scoring or a plan wrote. Its figures have no query.
pub(crate) fn prewritten(text: &str) -> Markup {
    html! { span.said { (text) } }
}

/// Returns the query for columns of one month of a metric.
pub(crate) fn of_month(what: &str, metric: &str, month: NaiveDate) -> String {
    format!("SELECT {what} FROM {metric} WHERE month = '{month}'")
}

/// Returns the query that compares two months of a metric, named `a` and `b`.
pub(crate) fn between_months(what: &str, metric: &str, a: NaiveDate, b: NaiveDate) -> String {
    format!("SELECT {what} FROM {metric} a, {metric} b WHERE a.month = '{a}' AND b.month = '{b}'")
}

/// Returns the query for columns of one cohort of a metric. `None` stands for all cohorts together.
pub(crate) fn of_cohort(what: &str, metric: &str, cohort: Option<NaiveDate>) -> String {
    match cohort {
        Some(month) => format!("SELECT {what} FROM {metric} WHERE cohort_month = '{month}'"),
        None => format!("SELECT {what} FROM {metric} WHERE cohort_month IS NULL"),
    }
}

/// Returns the query over the newest scores of the partners that meet a condition.
pub(crate) fn of_scores(what: &str, condition: &str) -> String {
    format!("SELECT {what} FROM {NEWEST_SCORES} AND {condition}")
}

/// Returns the query over the scores of an earlier day.
pub(crate) fn of_scores_on(what: &str, day: NaiveDate, condition: &str) -> String {
    format!(
        "SELECT {what} FROM partner_health WHERE as_of = '{day}' AND revision = \
         (SELECT max(revision) FROM partner_health WHERE as_of = '{day}') AND {condition}"
    )
}

/// Returns a text as an SQL string literal.
pub(crate) fn sql_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_carries_its_query() {
        let query = of_cohort("registered", "funnel", None);
        let html = html! { (Figure::counted(1, "partner", query)) }.into_string();
        assert_eq!(
            html,
            "<data value=\"1\" data-sql=\"SELECT registered FROM funnel WHERE cohort_month IS NULL\">1 partner</data>"
        );
        assert_eq!(sql_literal("it's"), "'it''s'");
    }
}
