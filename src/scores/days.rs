//! The days to evaluate: those without scores, and those whose inputs have changed since.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use domain::{AsOf, Day, Stream, month_of};
use lake::{TableSnapshot, content_identity, schema, sha256_hex};
use scoring::{HISTORY_DAYS, ScoreHistory, ScoreOutput};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use transform::Session;

use crate::polars_frames::typed_rows;
use crate::project::Project;

/// The tables that scores are made from, partitioned by the date of the events. The rollups of
/// endpoints and credentials change with `partner_day`, which counts the same calls.
const INPUT_TABLES: [&str; 5] = [
    "rollup/partner_day",
    "rollup/billing_day",
    "rollup/error_detail",
    "rollup/latency_histogram",
    "rollup/partner_minute_peak",
];

/// What the scores of each day are made from, and were made from.
pub(crate) struct DayInputs {
    /// A digest of every event before the day, for each day up to the newest with events.
    digests: BTreeMap<Day, String>,
    /// The digest that the newest revision of each day was made from.
    evaluated: BTreeMap<Day, String>,
    first_event: Option<Day>,
}

impl DayInputs {
    /// Reads the files of the lake's tables, and what earlier evaluations were made from.
    pub(crate) async fn of(project: &Project, session: &Session) -> anyhow::Result<Self> {
        let mut tables: Vec<TableSnapshot> = Vec::new();
        let streams = [Stream::PartnerEvents, Stream::SupportEvents];
        let raw = streams.into_iter().map(|stream| schema::raw(stream).name);
        for table in INPUT_TABLES.into_iter().map(str::to_owned).chain(raw) {
            let Some(version) = session.versions().get(&table) else { continue };
            tables.extend(project.lake.snapshot(&table, Some(*version)).await?);
        }
        let annotations = annotations(session).await?;
        let days = tables.iter().flat_map(|table| table.files.iter()).filter_map(|file| file.day);
        let first_event = days.min();
        let mut digests = BTreeMap::new();
        let mut digest = String::new();
        for day in first_event.into_iter().flat_map(|first| days_between(first, session.as_of())) {
            for table in &tables {
                digest.push_str(&content_identity(table.of_day(day)));
            }
            digest.push_str(annotations.get(&day).map_or("", String::as_str));
            digest = sha256_hex(digest.as_bytes());
            digests.insert(day.plus(1), digest.clone());
        }
        Ok(Self { digests, evaluated: evaluated(session).await?, first_event })
    }

    /// Returns the digest of every event before a day.
    pub(crate) fn digest(&self, day: Day) -> &str {
        self.digests.get(&day).map_or("", String::as_str)
    }

    /// Returns whether the newest scores of a day were made from its present inputs.
    pub(crate) fn is_known(&self, day: Day) -> bool {
        self.evaluated.get(&day).map(String::as_str) == Some(self.digest(day))
    }

    /// Returns the days to evaluate up to `as_of`, which is always one of them. Tiers fold over the
    /// days, so all days after a changed one are evaluated again.
    pub(crate) fn to_evaluate(&self, as_of: Day, history: &ScoreHistory) -> Vec<Day> {
        let earliest = as_of.plus(-HISTORY_DAYS);
        let first_event = self.first_event.map_or(as_of, |first| first.plus(1));
        let stored: BTreeSet<Day> = history.days().collect();
        let kept = stored.iter().copied().filter(|day| *day >= earliest);
        let start = kept.min().unwrap_or_else(|| earliest.max(first_event)).min(as_of);
        let is_current = |day: &Day| stored.contains(day) && self.is_known(*day);
        let first = days_between(start, AsOf::of_day(as_of)).find(|day| !is_current(day));
        let first = first.unwrap_or(as_of);
        days_between(first, AsOf::of_day(as_of.plus(1))).collect()
    }
}

#[derive(Deserialize)]
struct PartnerCount {
    partners: usize,
}

#[derive(Deserialize)]
struct EvaluatedRow {
    day: NaiveDate,
    inputs: String,
}

#[derive(Deserialize)]
struct AnnotatedRow {
    event_date: NaiveDate,
    annotations: String,
}

#[derive(Deserialize)]
struct RegroupRow {
    event_date: NaiveDate,
}

async fn typed<T: DeserializeOwned>(session: &Session, query: &str) -> anyhow::Result<Vec<T>> {
    typed_rows(&session.metric(query).await?)
}

/// Returns how many partners the lake has.
pub(crate) async fn partner_count(session: &Session) -> anyhow::Result<usize> {
    let rows: Vec<PartnerCount> = typed(session, "partner_count").await?;
    Ok(rows.first().map_or(0, |row| row.partners))
}

/// Returns the text of the annotations that cover each day.
async fn annotations(session: &Session) -> anyhow::Result<BTreeMap<Day, String>> {
    let rows: Vec<AnnotatedRow> = typed(session, "annotated_day").await?;
    Ok(rows.into_iter().map(|row| (Day::of_date(row.event_date), row.annotations)).collect())
}

/// Returns what the newest revision of each day was made from.
async fn evaluated(session: &Session) -> anyhow::Result<BTreeMap<Day, String>> {
    let rows: Vec<EvaluatedRow> = typed(session, "evaluated_day").await?;
    Ok(rows.into_iter().map(|row| (Day::of_date(row.day), row.inputs)).collect())
}

/// Returns the days from `first` to the day before an instant.
fn days_between(first: Day, end: AsOf) -> impl Iterator<Item = Day> {
    (first.0..end.day().0).map(Day)
}

/// Keeps those days of a history that the tiers of a day fold over: those right before it, none of which is
/// missing, 120 days at most.
pub(crate) fn keep_before(history: &mut ScoreHistory, day: Day) {
    let stored: BTreeSet<Day> = history.days().collect();
    let is_stored = |back: &i32| stored.contains(&day.plus(-back));
    let back = (1..=HISTORY_DAYS).take_while(is_stored).last().unwrap_or(0);
    history.keep(day.plus(-back)..day);
}

/// Adds the scores of days up to `last` to a history, and drops the days that are too old for the tiers of
/// later ones.
pub(crate) fn extend(
    history: &mut ScoreHistory,
    scored: &ScoreOutput,
    last: Day,
) -> anyhow::Result<()> {
    scored.add_to(history)?;
    history.keep(last.plus(1 - HISTORY_DAYS)..);
    Ok(())
}

/// Returns the days from which on partners are merged, or in segments, otherwise than before.
pub(crate) async fn regroup_days(session: &Session) -> anyhow::Result<BTreeSet<Day>> {
    let rows: Vec<RegroupRow> = typed(session, "scoring_regroup_day").await?;
    // An event of a date is seen from the next day on.
    Ok(rows.into_iter().map(|row| Day::of_date(row.event_date).plus(1)).collect())
}

/// Splits days, which follow each other, into stretches of at most `chunk_rows` partners times days
/// between which no partner was merged or changed its segment, and of one month each: models are
/// fitted monthly.
pub(crate) async fn groups(
    session: &Session,
    days: &[Day],
    partners: usize,
    chunk_rows: usize,
) -> anyhow::Result<Vec<Vec<Day>>> {
    let longest = (chunk_rows / partners.max(1)).max(1);
    let breaks = regroup_days(session).await?;
    let mut groups: Vec<Vec<Day>> = Vec::new();
    for day in days {
        let starts = breaks.contains(day) || month_of(*day) == *day;
        match groups.last_mut().filter(|group| !starts && group.len() < longest) {
            Some(group) => group.push(*day),
            None => groups.push(vec![*day]),
        }
    }
    Ok(groups)
}
