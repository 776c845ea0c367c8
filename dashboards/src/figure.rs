//! Figures in sentences: what is read, its exact value, and the query that gives it.
//!
//! A figure is a `data` element: its text is for people, its `value` is not rounded, `data-sql` is
//! what `rapport sql` answers with that value, as of the page's instant. A sentence has no figure
//! outside one, so that every sentence can be held against the lake.

use std::fmt::Display;

use chrono::NaiveDate;
use maud::{Markup, Render, html};

use crate::words;

/// The newest scores of the page's instant.
const SCORES: &str = "partner_health WHERE as_of = $as_of AND revision = \
    (SELECT max(revision) FROM partner_health WHERE as_of = $as_of)";

/// One figure. `shown` may hold its noun: `2 partners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Figure {
    shown: String,
    value: String,
    query: String,
}

impl Figure {
    pub(crate) fn new(
        shown: impl Into<String>,
        value: impl Display,
        query: impl Into<String>,
    ) -> Self {
        Self { shown: shown.into(), value: value.to_string(), query: query.into() }
    }

    /// `1,080`.
    pub(crate) fn count(n: i64, query: impl Into<String>) -> Self {
        Self::new(words::count(n), n, query)
    }

    /// `1 partner`, `1,080 partners`.
    pub(crate) fn counted(n: i64, noun: &str, query: impl Into<String>) -> Self {
        Self::new(words::counted(n, noun), n, query)
    }

    /// A ratio in 0–1 as `79 %`.
    pub(crate) fn percent(ratio: f64, query: impl Into<String>) -> Self {
        Self::new(words::percent(ratio), ratio, query)
    }

    /// A ratio in 0–1 as `51.8 %`.
    pub(crate) fn percent_1(ratio: f64, query: impl Into<String>) -> Self {
        Self::new(words::percent_1(ratio), ratio, query)
    }

    /// `$170.2k`.
    pub(crate) fn money(amount: f64, currency: &str, query: impl Into<String>) -> Self {
        Self::new(words::money(amount, currency), amount, query)
    }

    /// `7.0 d`.
    pub(crate) fn duration(seconds: f64, query: impl Into<String>) -> Self {
        Self::new(words::duration(seconds), seconds, query)
    }
}

impl Render for Figure {
    fn render(&self) -> Markup {
        html! { data value=(self.value) data-sql=(self.query) { (self.shown) } }
    }
}

/// A count of the changes of the pending plan, which is a file and no table.
pub(crate) fn of_plan(n: usize) -> Markup {
    html! { data value=(n) data-plan="changes" { (words::thousands(n)) } }
}

/// Words that scoring or a plan chose, with figures of their own.
pub(crate) fn said(text: &str) -> Markup {
    html! { span.said { (text) } }
}

/// What a metric says of one month.
pub(crate) fn monthly(what: &str, metric: &str, month: NaiveDate) -> String {
    format!("SELECT {what} FROM {metric} WHERE month = '{month}'")
}

/// A comparison of two months of a metric, called `a` and `b`.
pub(crate) fn between(what: &str, metric: &str, a: NaiveDate, b: NaiveDate) -> String {
    format!("SELECT {what} FROM {metric} a, {metric} b WHERE a.month = '{a}' AND b.month = '{b}'")
}

/// What a metric says of a cohort; `None` is all of them.
pub(crate) fn of_cohort(what: &str, metric: &str, cohort: Option<NaiveDate>) -> String {
    match cohort {
        Some(month) => format!("SELECT {what} FROM {metric} WHERE cohort_month = '{month}'"),
        None => format!("SELECT {what} FROM {metric} WHERE cohort_month IS NULL"),
    }
}

/// What the newest scores say of the partners that meet a condition.
pub(crate) fn of_scores(what: &str, condition: &str) -> String {
    format!("SELECT {what} FROM {SCORES} AND {condition}")
}

/// What the scores of an earlier day said.
pub(crate) fn of_scores_on(what: &str, day: NaiveDate, condition: &str) -> String {
    format!(
        "SELECT {what} FROM partner_health WHERE as_of = '{day}' AND revision = \
         (SELECT max(revision) FROM partner_health WHERE as_of = '{day}') AND {condition}"
    )
}

/// A text in single quotes.
pub(crate) fn quoted(text: &str) -> String {
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
        assert_eq!(quoted("it's"), "'it''s'");
    }
}
