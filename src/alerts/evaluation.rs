//! Evaluates the alerts of the policy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actions::log::History;
use actions::{AboutPart, AlertRule, FoundAlert, Policy};
use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use domain::format::plain_percent;
use domain::printable;
use transform::{QueryKind, QueryResult, Session};

use super::alert_tables::{alert_table, is_alert_table};
use crate::action_plans::{condition_error, finite_rows};
use crate::errors::usage_error;
use crate::metric_pipeline::{MetricPipeline, OutcomePrinter};
use crate::project::Project;
use crate::rows::cell_texts;

/// The alias of a row where a condition is evaluated.
const ROW: &str = "alert_row";
/// The most characters of what an alert says.
const MAX_TEXT: usize = 300;
/// The most characters of what an alert is about besides a partner.
const MAX_DETAIL: usize = 100;

/// What an evaluation found.
#[derive(Default)]
pub(crate) struct AlertFindings<'a> {
    /// In the order of the policy; of one alert in the order of what it is about.
    pub(crate) found: Vec<FoundAlert<'a>>,
    /// The ids of the alerts whose metric is held back: nobody knows whether they hold.
    pub(crate) left_out: BTreeSet<String>,
}

/// Evaluates all alerts.
///
/// # Errors
/// A table or a column that is not there, with the line in the policy.
pub(crate) async fn evaluate_alerts<'a>(
    project: &Project,
    session: &Arc<Session>,
    policy: &'a Policy,
    policy_name: &str,
    history: &History,
) -> anyhow::Result<AlertFindings<'a>> {
    let evaluation = Evaluation {
        project,
        session,
        pipeline: MetricPipeline::of_all_partners(session).await,
        history,
    };
    let mut findings = AlertFindings::default();
    let mut are_held_back: BTreeMap<&str, bool> = BTreeMap::new();
    let mut printer = OutcomePrinter::default();
    for rule in &policy.alerts {
        let is_held_back = match are_held_back.get(rule.over.as_str()) {
            Some(known) => *known,
            None => evaluation.is_held_back(&rule.over, &mut printer).await,
        };
        are_held_back.insert(&rule.over, is_held_back);
        if is_held_back {
            findings.left_out.insert(rule.id.clone());
            continue;
        }
        let found = evaluation.find(rule).await.map_err(|error| {
            let (line, name, over, when) = (rule.line, &rule.name, &rule.over, &rule.condition);
            usage_error(format!(
                "{policy_name}, line {line}: the alert \"{name}\" can't be evaluated: {}\n  \
                 over = {over:?}, when = {when:?}",
                condition_error(&error, ROW)
            ))
        })?;
        findings.found.extend(found);
    }
    Ok(findings)
}

struct Evaluation<'a> {
    project: &'a Project,
    session: &'a Arc<Session>,
    pipeline: MetricPipeline,
    history: &'a History,
}

impl Evaluation<'_> {
    /// Returns whether a table is a metric whose rows may not be used.
    async fn is_held_back(&self, name: &str, printer: &mut OutcomePrinter) -> bool {
        let catalog = self.project.engine.catalog();
        let is_metric = catalog.get(name).is_some_and(|query| query.kind == QueryKind::Metric);
        if is_alert_table(name) || !is_metric {
            return false;
        }
        let outcome = self.pipeline.compute(name).await;
        printer.print_outcome(&outcome, "its alerts stay as they are");
        outcome.rows.is_err()
    }

    /// Returns what an alert is about now. Several rows about the same thing are one alert, and the
    /// first of them says what it says.
    async fn find<'a>(&self, rule: &'a AlertRule) -> anyhow::Result<Vec<FoundAlert<'a>>> {
        let table = alert_table(self.project, &self.pipeline, self.history, &rule.over).await?;
        let (from, is_of_today) = match table {
            Some(table) => (format!("({})", table.sql), table.is_of_today),
            None => (rule.over.clone(), false),
        };
        let now;
        let session = match is_of_today {
            true => {
                now = self.project.session_up_to_now().await?;
                &now
            }
            false => self.session.as_ref(),
        };
        let rows = finite_rows(session, &from).await?;
        let condition = session.finite_condition(&rule.condition)?;
        let rows = session.sql(&alert_sql(rule, &format!("({rows})"), &condition)).await?;
        found_alerts(rule, &rows)
    }
}

/// Returns the query of an alert: the columns of `per`, then those that it names in what it says.
fn alert_sql(rule: &AlertRule, from: &str, condition: &str) -> String {
    let per = rule.per.iter().map(|name| format!("CAST({ROW}.\"{name}\" AS VARCHAR)"));
    let about = rule.about.iter().filter_map(|part| match part {
        AboutPart::Column { name, .. } => Some(format!("{ROW}.\"{name}\"")),
        AboutPart::Text(_) => None,
    });
    let columns: Vec<String> =
        per.chain(about).enumerate().map(|(i, sql)| format!("{sql} AS c{i}")).collect();
    let order: Vec<String> = (1..=columns.len()).map(|i| i.to_string()).collect();
    let (columns, order) = match columns.is_empty() {
        true => ("1 AS c0".to_owned(), "1".to_owned()),
        false => (columns.join(", "), order.join(", ")),
    };
    format!("SELECT {columns} FROM {from} AS {ROW} WHERE {condition} ORDER BY {order}")
}

fn found_alerts<'a>(
    rule: &'a AlertRule,
    rows: &QueryResult,
) -> anyhow::Result<Vec<FoundAlert<'a>>> {
    let mut found: Vec<FoundAlert<'a>> = Vec::new();
    let mut seen = BTreeSet::new();
    for cells in row_texts(rule, rows)? {
        let (per, about) = cells.split_at(rule.per.len().min(cells.len()));
        let mut partner_id = String::new();
        let mut details: Vec<String> = Vec::new();
        for (column, cell) in rule.per.iter().zip(per) {
            match column.as_str() {
                "partner_id" => partner_id.clone_from(cell),
                _ => details.push(shortened(cell, MAX_DETAIL)),
            }
        }
        let detail = details.join("/");
        if seen.insert((partner_id.clone(), detail.clone())) {
            let text = said(rule, about);
            found.push(FoundAlert { rule, partner_id, detail, text });
        }
    }
    Ok(found)
}

/// Returns the cells of each row as text; of NULL it is empty.
fn row_texts(rule: &AlertRule, rows: &QueryResult) -> anyhow::Result<Vec<Vec<String>>> {
    let columns = rule.about.iter().filter_map(|part| match part {
        AboutPart::Column { is_percent, .. } => Some(*is_percent),
        AboutPart::Text(_) => None,
    });
    let are_percent: Vec<bool> = rule.per.iter().map(|_| false).chain(columns).collect();
    let mut texts = Vec::new();
    for batch in &rows.batches {
        let mut columns = cell_texts(batch)?;
        for (index, column) in columns.iter_mut().enumerate() {
            let Some(numbers) = batch.column(index).as_primitive_opt::<Float64Type>() else {
                continue;
            };
            let is_percent = are_percent.get(index) == Some(&true);
            *column = numbers.iter().map(|n| n.map(|n| number_text(n, is_percent))).collect();
        }
        for row in 0..batch.num_rows() {
            let cell = |column: &Vec<Option<String>>| column[row].clone().unwrap_or_default();
            texts.push(columns.iter().map(cell).collect());
        }
    }
    Ok(texts)
}

/// Returns a number with as many digits as people read.
fn number_text(number: f64, is_percent: bool) -> String {
    if is_percent {
        return plain_percent(number);
    }
    let places = match number.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 4,
    };
    let text = format!("{number:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Fills the values of a row into what an alert says.
fn said(rule: &AlertRule, values: &[String]) -> String {
    let mut values = values.iter();
    let mut text = String::new();
    for part in &rule.about {
        match part {
            AboutPart::Text(part) => text.push_str(part),
            AboutPart::Column { .. } => {
                let value = values.next().map_or("", |value| value.trim());
                text.push_str(if value.is_empty() { "unknown" } else { value });
            }
        }
    }
    shortened(&text, MAX_TEXT)
}

/// Returns a text that can be shown, cut at so many characters.
fn shortened(text: &str, most: usize) -> String {
    let text = printable(text);
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};

    use super::*;

    fn rule(per: &[&str], about: Vec<AboutPart>) -> AlertRule {
        let policy = Policy::parse(actions::DEFAULT_POLICY).expect("the default policy");
        let per = per.iter().map(|name| (*name).to_owned()).collect();
        AlertRule { per, about, condition: "n > 1".to_owned(), ..policy.alerts[0].clone() }
    }

    fn column(name: &str) -> AboutPart {
        AboutPart::Column { name: name.to_owned(), is_percent: false }
    }

    #[test]
    fn numbers_have_the_digits_that_people_read() {
        let check = |number: f64, expected: &str| assert_eq!(number_text(number, false), expected);
        check(452.6075, "453");
        check(42.25, "42.2");
        check(4.0, "4");
        check(0.9908, "0.9908");
        check(100.0, "100");
        assert_eq!(number_text(0.25, true), "25 %");
    }

    #[test]
    fn the_query_of_an_alert() {
        let about = vec![AboutPart::Text("now ".to_owned()), column("n")];
        assert_eq!(
            alert_sql(&rule(&["partner_id"], about), "t", "n > 1"),
            "SELECT CAST(alert_row.\"partner_id\" AS VARCHAR) AS c0, alert_row.\"n\" AS c1 \
             FROM t AS alert_row WHERE n > 1 ORDER BY 1, 2"
        );
        assert_eq!(
            alert_sql(&rule(&[], Vec::new()), "t", "n > 1"),
            "SELECT 1 AS c0 FROM t AS alert_row WHERE n > 1 ORDER BY 1"
        );
    }

    #[test]
    fn rows_about_one_thing_are_one_alert() {
        let rule = rule(
            &["partner_id", "ticket_id"],
            vec![column("hours"), AboutPart::Text(" hours".to_owned())],
        );
        let texts = |texts: [&str; 3]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
        let hours: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), Some(2.0), None]));
        let batch = RecordBatch::try_from_iter([
            ("c0", texts(["p", "p", "q"])),
            ("c1", texts(["T\u{1b}1", "T\u{1b}1", "T2"])),
            ("c2", hours),
        ])
        .expect("a batch");
        let rows = QueryResult { schema: batch.schema(), batches: vec![batch] };
        let found = found_alerts(&rule, &rows).expect("alerts");
        let found: Vec<(&str, bool, &str)> = found
            .iter()
            .map(|f| (f.partner_id.as_str(), f.detail.contains('\u{1b}'), f.text.as_str()))
            .collect();
        assert_eq!(found, [("p", false, "1.5 hours"), ("q", false, "unknown hours")]);
    }
}
