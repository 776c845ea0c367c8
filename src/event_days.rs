//! The days on which each stream has events, and what to say where an instant shows none of them.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use domain::format::joined_with_and;
use domain::{AsOf, Day, Stream, counted};
use lake::{Lake, schema};
use transform::{Catalog, QueryResult};

use crate::project::Project;

/// An API call that is older than this many days at the default instant is worth a note.
const QUIET_DAYS: i32 = 2;

/// The first and the last day with events, by stream. A stream without events is not listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventDays(Vec<(Stream, Day, Day)>);

/// The instant that a command looks up to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Viewpoint {
    pub(crate) as_of: AsOf,
    /// Whether the instant follows from the watermark, because none was given.
    pub(crate) is_default: bool,
    /// The clock, µs. An instant after it is refused.
    pub(crate) now: i64,
}

impl EventDays {
    /// Reads the days of the files that the raw tables have now.
    ///
    /// # Errors
    /// When the log of a table can't be read.
    pub(crate) async fn of(lake: &Lake) -> anyhow::Result<Self> {
        let mut days = Vec::new();
        for stream in Stream::ALL {
            let Some(table) = lake.snapshot(&schema::raw(stream).name, None).await? else {
                continue;
            };
            let of_files = || table.files.iter().filter(|file| file.rows > 0).filter_map(|f| f.day);
            if let Some((first, last)) = of_files().min().zip(of_files().max()) {
                days.push((stream, first, last));
            }
        }
        Ok(Self(days))
    }

    /// Returns the instant that ends with the newest event of any stream.
    pub(crate) fn end(&self) -> Option<AsOf> {
        self.0.iter().map(|(.., last)| AsOf::of_day(last.plus(1))).max_by_key(|end| end.micros())
    }

    /// Explains an instant that shows nothing, and a default one long after the newest API call.
    /// Returns `None` where there is nothing to explain.
    pub(crate) fn explain_instant(&self, viewpoint: Viewpoint) -> Option<String> {
        let day = viewpoint.as_of.day();
        let first = self.0.iter().map(|(_, first, _)| *first).min()?;
        let last = self.0.iter().map(|(.., last)| *last).max()?;
        if first >= day {
            return Some(format!(
                "As of {day} nothing is seen yet: the lake's events are of {}. {}",
                day_range(first, last),
                suggestion(last, viewpoint)
            ));
        }
        let (.., newest) = self.0.iter().find(|(stream, ..)| *stream == Stream::ApiCalls)?;
        if !viewpoint.is_default || newest.plus(QUIET_DAYS) >= day {
            return None;
        }
        Some(format!(
            "The newest API call is of {newest}, {} before {day}: figures of the last days and \
             weeks hold few calls or none. {}",
            counted(day.0 - newest.0, "day"),
            suggestion(*newest, viewpoint)
        ))
    }

    /// Explains why metrics that read these streams have no rows.
    pub(crate) fn explain_no_rows(
        &self,
        metrics: &[String],
        streams: &[Stream],
        viewpoint: Viewpoint,
    ) -> String {
        let subject = match metrics {
            [one] => format!("{one} has nothing to show"),
            several => format!("{} have nothing to show", joined_with_and(several)),
        };
        let day = viewpoint.as_of.day();
        let of = |stream: Stream| self.0.iter().find(|(found, ..)| *found == stream);
        let later: Vec<_> =
            streams.iter().filter_map(|s| of(*s)).filter(|(_, first, _)| *first >= day).collect();
        if let Some(last) = later.iter().map(|(.., last)| *last).max() {
            let of_days = |(stream, first, last): &&(Stream, Day, Day)| {
                format!("{stream} of {}", day_range(*first, *last))
            };
            let ranges: Vec<String> = later.iter().map(of_days).collect();
            return format!(
                "{subject} as of {day}: the lake has {}. {}",
                joined_with_and(&ranges),
                suggestion(last, viewpoint)
            );
        }
        let absent: Vec<String> =
            streams.iter().filter(|s| of(**s).is_none()).map(Stream::to_string).collect();
        if absent.is_empty() {
            return format!(
                "{subject} as of {day}: no event before it meets the definition \
                 (`rapport metrics show NAME` prints it)."
            );
        }
        format!(
            "{subject} as of {day}: of what is read for it the lake has no {}. \
             `rapport ingest load --stream NAME FILE` adds them.",
            joined_with_and(&absent)
        )
    }
}

/// Metrics that show nothing, by the streams that they read.
#[derive(Debug, Default)]
pub(crate) struct MetricsWithoutRows(BTreeMap<Vec<Stream>, Vec<String>>);

impl MetricsWithoutRows {
    /// Notes a metric whose rows show nothing.
    pub(crate) fn add_if_blank(&mut self, catalog: &Catalog, name: &str, rows: &QueryResult) {
        if is_blank(rows) {
            self.0.entry(streams_of(catalog, name)).or_default().push(name.to_owned());
        }
    }

    /// Returns a sentence for each group of metrics that read the same streams.
    ///
    /// # Errors
    /// When the log of a table can't be read.
    pub(crate) async fn explain(
        &self,
        project: &Project,
        viewpoint: Viewpoint,
    ) -> anyhow::Result<Vec<String>> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let days = project.event_days().await?;
        let explain = |(streams, metrics): (&Vec<Stream>, &Vec<String>)| {
            days.explain_no_rows(metrics, streams, viewpoint)
        };
        Ok(self.0.iter().map(explain).collect())
    }
}

/// Returns the streams that a metric reads, directly or through other queries.
fn streams_of(catalog: &Catalog, metric: &str) -> Vec<Stream> {
    let Ok(lineage) = transform::upstream(catalog, metric) else { return Vec::new() };
    let reads = |stream: &Stream| lineage.nodes.iter().any(|node| node.name == stream.table());
    Stream::ALL.into_iter().filter(reads).collect()
}

/// Returns whether there is no row, or one row of zeros: the row of all cohorts over no partner.
fn is_blank(rows: &QueryResult) -> bool {
    let is_zero = |column: &dyn Array| match column.data_type() {
        _ if column.is_null(0) => true,
        DataType::Int64 => column.as_primitive::<Int64Type>().value(0) == 0,
        DataType::Float64 => column.as_primitive::<Float64Type>().value(0) == 0.0,
        _ => false,
    };
    let mut batches = rows.batches.iter().filter(|batch| batch.num_rows() > 0);
    match (batches.next(), batches.next()) {
        (None, _) => true,
        (Some(batch), None) if batch.num_rows() == 1 => {
            batch.columns().iter().all(|column| is_zero(column.as_ref()))
        }
        _ => false,
    }
}

/// Says which `--as-of` shows the events up to a day, or when they are shown.
fn suggestion(last: Day, viewpoint: Viewpoint) -> String {
    let end = last.plus(1);
    if end.start_micros() > viewpoint.now {
        return format!(
            "The events of {last} are seen once that day is over, from {end} 00:00 UTC on."
        );
    }
    format!("--as-of {end} shows them.")
}

fn day_range(first: Day, last: Day) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    fn seen_from(as_of: &str, is_default: bool) -> Viewpoint {
        let now = day("2026-11-28").start_micros() + 1;
        Viewpoint { as_of: AsOf::of_day(day(as_of)), is_default, now }
    }

    #[test]
    fn an_instant_without_events_names_one_that_has_some() {
        let check = |days: &[(Stream, &str, &str)], viewpoint: Viewpoint, expected: &str| {
            let days = days.iter().map(|(s, first, last)| (*s, day(first), day(last))).collect();
            let found = EventDays(days).explain_instant(viewpoint).unwrap_or_default();
            assert!(
                if expected.is_empty() { found.is_empty() } else { found.contains(expected) },
                "{found:?} has no {expected:?}"
            );
        };
        let calls = Stream::ApiCalls;
        check(&[], seen_from("2026-11-27", true), "");
        let one_day = [(calls, "2026-11-27", "2026-11-27")];
        check(&one_day, seen_from("2026-11-27", true), "of 2026-11-27. --as-of 2026-11-28 shows");
        check(&one_day, seen_from("2026-11-28", true), "");
        let today = [(calls, "2026-11-28", "2026-11-28")];
        check(&today, seen_from("2026-11-28", true), "from 2026-11-29 00:00 UTC on");
        let with_partners = [
            (calls, "2026-11-27", "2026-11-27"),
            (Stream::PartnerEvents, "2026-01-01", "2026-02-01"),
        ];
        check(&with_partners, seen_from("2026-11-27", true), "");
        let old = [(calls, "2026-01-01", "2026-07-01")];
        check(&old, seen_from("2026-11-28", true), "of 2026-07-01, 150 days before 2026-11-28");
        check(&old, seen_from("2026-11-28", true), "--as-of 2026-07-02 shows");
        check(&old, seen_from("2026-11-28", false), "");
        check(&old, seen_from("2026-07-03", true), "");
        check(&old, seen_from("2026-07-04", true), "3 days before");
    }

    #[test]
    fn metrics_without_rows_are_explained() {
        let days = EventDays(vec![
            (Stream::ApiCalls, day("2026-11-27"), day("2026-11-27")),
            (Stream::PartnerEvents, day("2026-01-01"), day("2026-11-20")),
        ]);
        let check = |metrics: &[&str], streams: &[Stream], as_of: &str, expected: &str| {
            let metrics: Vec<String> = metrics.iter().map(|&m| m.to_owned()).collect();
            assert_eq!(days.explain_no_rows(&metrics, streams, seen_from(as_of, true)), expected);
        };
        check(
            &["growth"],
            &[Stream::ApiCalls, Stream::PartnerEvents],
            "2026-11-27",
            "growth has nothing to show as of 2026-11-27: the lake has api-calls of 2026-11-27. \
             --as-of 2026-11-28 shows them.",
        );
        check(
            &["support_load", "revenue_summary"],
            &[Stream::BillingEvents, Stream::SupportEvents],
            "2026-11-28",
            "support_load and revenue_summary have nothing to show as of 2026-11-28: of what is read \
             for it the lake has no billing-events and support-events. `rapport ingest load --stream \
             NAME FILE` adds them.",
        );
        check(
            &["growth"],
            &[Stream::ApiCalls],
            "2026-11-28",
            "growth has nothing to show as of 2026-11-28: no event before it meets the definition \
             (`rapport metrics show NAME` prints it).",
        );
    }
}
