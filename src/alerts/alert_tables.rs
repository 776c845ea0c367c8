//! The tables that only alerts have, as SQL: they depend on the clock, on checks and on the log.

use std::fmt::Write as _;

use actions::log::History;
use domain::{Stream, format_instant};
use transform::QueryKind;

use crate::metric_pipeline::MetricPipeline;
use crate::project::Project;

/// How far each stream is complete.
const FRESHNESS: &str = "freshness";
/// The metrics that are held back.
const HELD_BACK_CHECKS: &str = "held_back_checks";
/// The tickets of partners with a support route that nobody has answered.
const UNANSWERED_TICKETS: &str = "unanswered_tickets";

const MICROS_PER_HOUR: f64 = 3.6e9;

/// A table of an alert.
pub(super) struct AlertTable {
    pub(super) sql: String,
    /// Tickets are looked at up to now, and not up to the end of the window.
    pub(super) is_of_today: bool,
}

/// Returns a table that only alerts have; `None`: it is none of them.
pub(super) async fn alert_table(
    project: &Project,
    pipeline: &MetricPipeline,
    history: &History,
    name: &str,
) -> anyhow::Result<Option<AlertTable>> {
    let sql = match name {
        FRESHNESS => freshness(project).await?,
        HELD_BACK_CHECKS => held_back(project, pipeline).await,
        UNANSWERED_TICKETS => unanswered(project, history).await?,
        _ => return Ok(None),
    };
    Ok(Some(AlertTable { sql, is_of_today: name == UNANSWERED_TICKETS }))
}

/// Returns whether the data of an alert's table is another one than the tables of the lake.
pub(super) fn is_alert_table(name: &str) -> bool {
    [FRESHNESS, HELD_BACK_CHECKS, UNANSWERED_TICKETS].contains(&name)
}

/// A row for each stream that has events.
async fn freshness(project: &Project) -> anyhow::Result<String> {
    let mut rows = Vec::new();
    for stream in Stream::ALL {
        let table = lake::schema::raw(stream).name;
        let Some(until) = lake::watermark_of(&project.lake.transactions(&table).await?) else {
            continue;
        };
        let hours = tenths((project.now - until) as f64 / MICROS_PER_HOUR);
        rows.push(format!("({}, {hours}, {})", text(stream.name()), instant(until)));
    }
    let empty = "('', CAST(0 AS DOUBLE), CAST(NULL AS TIMESTAMP))";
    Ok(values(&rows, empty, "stream, hours_behind, complete_to"))
}

/// A row for each metric that is held back, and why.
async fn held_back(project: &Project, pipeline: &MetricPipeline) -> String {
    use futures::StreamExt;
    let catalog = project.engine.catalog();
    let names = catalog.names(QueryKind::Metric).into_iter().map(str::to_owned).collect();
    let mut outcomes = std::pin::pin!(pipeline.compute_all(names));
    let mut rows = Vec::new();
    while let Some(outcome) = outcomes.next().await {
        if let Err(why) = &outcome.rows {
            rows.push(format!("({}, {})", text(&outcome.name), text(&why.to_string())));
        }
    }
    for (name, why) in catalog.unreadable_of(QueryKind::Metric) {
        rows.push(format!("({}, {})", text(name), text(&why.message)));
    }
    values(&rows, "('', '')", "metric, reason")
}

/// A row for each unanswered ticket. It waits since it was opened, or since the partner was routed
/// where that was later, up to what the API calls are complete to: a stream of tickets is quiet while
/// nobody answers.
async fn unanswered(project: &Project, history: &History) -> anyhow::Result<String> {
    let routes = history.routes().map(|(partner_id, route)| {
        let (support, since) = (&route.route, instant(route.since));
        let queue = text(&support.queue);
        let (priority, hours) = (support.priority, support.sla_hours);
        format!("({}, {queue}, {priority}, {hours}, {since})", text(partner_id))
    });
    let routes: Vec<String> = routes.collect();
    let empty = "('', '', 1, 1, CAST(NULL AS TIMESTAMP))";
    let routes = values(&routes, empty, "partner_id, queue, priority, sla_hours, routed_at");
    let until = project.lake.watermark().await?.unwrap_or(project.now).min(project.now);
    Ok(format!(
        "SELECT t.partner_id, t.ticket_id, t.first_opened AS opened_at,
           floor((CAST({} AS BIGINT) - CAST(greatest(t.first_opened, r.routed_at) AS BIGINT)) / 3.6e8) / 10
             AS hours_waiting,
           r.queue, r.priority, r.sla_hours
         FROM tickets AS t JOIN ({routes}) AS r ON r.partner_id = t.partner_id
         WHERE t.first_opened IS NOT NULL AND t.first_response IS NULL AND t.last_resolved IS NULL",
        instant(until)
    ))
}

/// Returns rows as SQL. `empty` is a row that gives the columns their types, and is none of them.
fn values(rows: &[String], empty: &str, columns: &str) -> String {
    let mut sql = format!("SELECT * FROM (VALUES {empty}");
    for row in rows {
        write!(sql, ", {row}").expect("a string takes all text");
    }
    let first = columns.split(',').next().unwrap_or_default();
    sql.push_str(&format!(") AS alert_values({columns}) WHERE {first} <> ''"));
    sql
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn instant(micros: i64) -> String {
    format!("CAST('{}' AS TIMESTAMP)", format_instant(micros).trim_end_matches('Z'))
}

/// Returns a number with one decimal as SQL.
fn tenths(value: f64) -> String {
    format!("CAST({:.1} AS DOUBLE)", (value * 10.0).floor() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted() {
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(text("') OR ('1'='1"), "''') OR (''1''=''1'");
    }

    #[test]
    fn a_table_without_rows_has_its_columns() {
        assert_eq!(
            values(&[], "('', 0)", "name, n"),
            "SELECT * FROM (VALUES ('', 0)) AS alert_values(name, n) WHERE name <> ''"
        );
    }
}
