//! What is scored: the frames, their columns, and the partners read from them.

use std::collections::BTreeMap;

use lake_types::{AsOf, Day};
use polars::prelude::{
    BooleanChunked, DataFrame, DataType, Float64Chunked, Int32Chunked, Int64Chunked, PolarsError,
    StringChunked,
};

/// The frames a score is made from. Instants are Int64 µs UTC, days Int32 days since 1970; rows may
/// be in any order, columns beyond these are ignored, "?" marks those that may be null.
pub struct ScoreInput {
    /// The view `partners`, one row a partner: partner_id, segment?, registered_at?, first_call_at?
    /// (first success in any environment), last_call_at? (any status, any environment), live_at?
    /// (first production success), last_success_at? (last production success).
    pub partners: DataFrame,
    /// Production traffic with merges applied: partner_id, event_date, calls, successes (Int64).
    /// At least the last 112 days. The score of a partner that churned in the last 62 days is
    /// computed from it if it reaches 112 days back from then; later it must stand in `previous`.
    pub daily: DataFrame,
    /// The metric `error_trend`: partner_id, event_date, calls (Int64), client_error_rate?,
    /// baseline_rate? (Float64), alarm (Boolean). `None` where it is held back: the signal is
    /// unavailable then.
    pub errors: Option<DataFrame>,
    /// Gross by month, in the reporting currency: month (Int32), partner_id, gross (Float64). `None`
    /// where it is held back: nobody's share is known then.
    pub revenue: Option<DataFrame>,
    /// Rows of `partner_health` from before `as_of`, so that what was decided then stands:
    /// partner_id, as_of (Int64 µs), stage, tier, tier_since?, score?, coverage. The latest row of
    /// a partner counts.
    pub previous: Option<DataFrame>,
}

/// Why nothing could be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    #[error("scoring input: the frame `{frame}` has no column `{column}`")]
    MissingColumn { frame: &'static str, column: &'static str },
    #[error("scoring input: `{frame}.{column}` is {found}; it must be {wanted}")]
    ColumnType { frame: &'static str, column: &'static str, found: String, wanted: String },
    #[error("scoring input: `{frame}.{column}` is null in row {row}")]
    Null { frame: &'static str, column: &'static str, row: usize },
    #[error(
        "scoring input: `{frame}` names the partner \"{partner_id}\", which is not in `partners`"
    )]
    UnknownPartner { frame: &'static str, partner_id: String },
    #[error("scoring input: `partners` has two rows for \"{0}\"")]
    PartnerTwice(String),
    #[error("the frame of scores could not be built: {0}")]
    Output(#[from] PolarsError),
}

/// Calls of one day, in production.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DayCalls {
    pub day: Day,
    pub calls: i64,
    pub successes: i64,
}

/// One row of `error_trend`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ErrorDay {
    pub day: Day,
    pub calls: i64,
    pub client_error_rate: Option<f64>,
    pub baseline_rate: Option<f64>,
    pub alarm: bool,
}

/// The latest score before `as_of`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Previous {
    pub as_of: i64,
    pub stage: String,
    pub tier: String,
    pub tier_since: Option<i64>,
    pub score: Option<f64>,
    pub coverage: f64,
}

/// All that is known of one partner.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Partner {
    pub id: String,
    pub segment: Option<String>,
    pub registered_at: Option<i64>,
    pub first_call_at: Option<i64>,
    pub last_call_at: Option<i64>,
    pub live_at: Option<i64>,
    pub last_success_at: Option<i64>,
    /// By day, one entry a day with calls.
    pub days: Vec<DayCalls>,
    /// By day.
    pub errors: Vec<ErrorDay>,
    pub previous: Option<Previous>,
}

/// Every partner by id, and how far back the traffic reaches.
#[derive(Debug, Default)]
pub(crate) struct Portfolio {
    pub partners: BTreeMap<String, Partner>,
    pub first_day: Option<Day>,
}

/// Gross of one partner in one month.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gross {
    pub month: Day,
    pub partner_id: String,
    pub gross: f64,
}

/// Reads the frames; nothing at or after `as_of` is seen.
pub(crate) fn read(input: &ScoreInput, as_of: AsOf) -> Result<Portfolio, ScoreError> {
    let mut portfolio = read_partners(&input.partners, as_of)?;
    read_daily(&input.daily, as_of, &mut portfolio)?;
    if let Some(errors) = &input.errors {
        read_errors(errors, as_of, &mut portfolio)?;
    }
    if let Some(previous) = &input.previous {
        read_previous(previous, as_of, &mut portfolio)?;
    }
    Ok(portfolio)
}

fn read_partners(frame: &DataFrame, as_of: AsOf) -> Result<Portfolio, ScoreError> {
    let table = Table { name: "partners", frame };
    let instants = |column| -> Result<Vec<Option<i64>>, ScoreError> {
        let seen = |instant: &i64| *instant < as_of.micros();
        Ok(table.i64(column)?.iter().map(|instant| instant.filter(seen)).collect())
    };
    let registered = instants("registered_at")?;
    let (first_call, last_call) = (instants("first_call_at")?, instants("last_call_at")?);
    let (live, last_success) = (instants("live_at")?, instants("last_success_at")?);
    let mut partners = BTreeMap::new();
    let rows = table.str("partner_id")?.iter().zip(table.str("segment")?.iter());
    for (row, (id, segment)) in rows.enumerate() {
        let id = table.given("partner_id", row, id)?.to_owned();
        let partner = Partner {
            id: id.clone(),
            segment: segment.map(str::to_owned),
            registered_at: registered[row],
            first_call_at: first_call[row],
            last_call_at: last_call[row],
            live_at: live[row],
            last_success_at: last_success[row],
            ..Partner::default()
        };
        if partners.insert(id.clone(), partner).is_some() {
            return Err(ScoreError::PartnerTwice(id));
        }
    }
    Ok(Portfolio { partners, first_day: None })
}

fn read_daily(frame: &DataFrame, as_of: AsOf, portfolio: &mut Portfolio) -> Result<(), ScoreError> {
    let table = Table { name: "daily", frame };
    let (ids, dates) = (table.str("partner_id")?, table.i32("event_date")?);
    let (calls, successes) = (table.i64("calls")?, table.i64("successes")?);
    let rows = ids.iter().zip(dates.iter()).zip(calls.iter().zip(successes.iter()));
    for (row, ((id, day), (calls, successes))) in rows.enumerate() {
        let day = Day(table.given("event_date", row, day)?);
        if day >= as_of.day() {
            continue;
        }
        let calls = table.given("calls", row, calls)?;
        let successes = table.given("successes", row, successes)?;
        let partner = table.partner(portfolio, row, id)?;
        partner.days.push(DayCalls { day, calls, successes });
        portfolio.first_day = Some(portfolio.first_day.map_or(day, |first| first.min(day)));
    }
    for partner in portfolio.partners.values_mut() {
        partner.days.sort_by_key(|d| d.day);
        partner.days.dedup_by(|next, kept| {
            let same = next.day == kept.day;
            if same {
                kept.calls += next.calls;
                kept.successes += next.successes;
            }
            same
        });
    }
    Ok(())
}

fn read_errors(
    frame: &DataFrame,
    as_of: AsOf,
    portfolio: &mut Portfolio,
) -> Result<(), ScoreError> {
    let table = Table { name: "errors", frame };
    let (ids, dates) = (table.str("partner_id")?, table.i32("event_date")?);
    let (calls, alarms) = (table.i64("calls")?, table.bool("alarm")?);
    let (rates, baselines) = (table.f64("client_error_rate")?, table.f64("baseline_rate")?);
    let rows = ids.iter().zip(dates.iter()).zip(calls.iter().zip(alarms.iter()));
    let rows = rows.zip(rates.iter().zip(baselines.iter()));
    for (row, (((id, day), (calls, alarm)), (rate, baseline))) in rows.enumerate() {
        let error_day = ErrorDay {
            day: Day(table.given("event_date", row, day)?),
            calls: table.given("calls", row, calls)?,
            client_error_rate: rate,
            baseline_rate: baseline,
            alarm: table.given("alarm", row, alarm)?,
        };
        if error_day.day < as_of.day() {
            table.partner(portfolio, row, id)?.errors.push(error_day);
        }
    }
    for partner in portfolio.partners.values_mut() {
        partner.errors.sort_by_key(|d| d.day);
    }
    Ok(())
}

fn read_previous(
    frame: &DataFrame,
    as_of: AsOf,
    portfolio: &mut Portfolio,
) -> Result<(), ScoreError> {
    let table = Table { name: "previous", frame };
    let (ids, instants) = (table.str("partner_id")?, table.i64("as_of")?);
    let (stages, tiers) = (table.str("stage")?, table.str("tier")?);
    let (since, scores) = (table.i64("tier_since")?, table.f64("score")?);
    let rows = ids.iter().zip(instants.iter()).zip(stages.iter().zip(tiers.iter()));
    let rows = rows.zip(since.iter().zip(scores.iter())).zip(table.f64("coverage")?.iter());
    for (row, ((((id, at), (stage, tier)), (tier_since, score)), coverage)) in rows.enumerate() {
        let previous = Previous {
            as_of: table.given("as_of", row, at)?,
            stage: table.given("stage", row, stage)?.to_owned(),
            tier: table.given("tier", row, tier)?.to_owned(),
            tier_since,
            score,
            coverage: table.given("coverage", row, coverage)?,
        };
        let id = table.given("partner_id", row, id)?;
        // A partner merged away since has history but no row of its own any more.
        let Some(partner) = portfolio.partners.get_mut(id) else { continue };
        let newer = partner.previous.as_ref().is_none_or(|kept| kept.as_of <= previous.as_of);
        if previous.as_of < as_of.micros() && newer {
            partner.previous = Some(previous);
        }
    }
    Ok(())
}

/// Reads the frame `revenue`; months that begin at or after `as_of` are not seen.
pub(crate) fn read_revenue(frame: &DataFrame, as_of: AsOf) -> Result<Vec<Gross>, ScoreError> {
    let table = Table { name: "revenue", frame };
    let (months, ids) = (table.i32("month")?, table.str("partner_id")?);
    let rows = months.iter().zip(ids.iter()).zip(table.f64("gross")?.iter());
    let mut read = Vec::with_capacity(frame.height());
    for (row, ((month, id), gross)) in rows.enumerate() {
        let month = Day(table.given("month", row, month)?);
        let partner_id = table.given("partner_id", row, id)?.to_owned();
        let gross = table.given("gross", row, gross)?;
        if month < as_of.day() {
            read.push(Gross { month, partner_id, gross });
        }
    }
    Ok(read)
}

/// A frame with its name, for errors that say where.
struct Table<'a> {
    name: &'static str,
    frame: &'a DataFrame,
}

/// One typed column of a frame.
macro_rules! column {
    ($name:ident, $chunked:ty, $dtype:expr) => {
        fn $name(&self, column: &'static str) -> Result<&'a $chunked, ScoreError> {
            let frame = self.name;
            let missing = |_| ScoreError::MissingColumn { frame, column };
            let found = self.frame.column(column).map_err(missing)?;
            found.as_materialized_series().$name().map_err(|_| ScoreError::ColumnType {
                frame,
                column,
                found: found.dtype().to_string(),
                wanted: $dtype.to_string(),
            })
        }
    };
}

impl<'a> Table<'a> {
    column!(i32, Int32Chunked, DataType::Int32);
    column!(i64, Int64Chunked, DataType::Int64);
    column!(f64, Float64Chunked, DataType::Float64);
    column!(bool, BooleanChunked, DataType::Boolean);
    column!(str, StringChunked, DataType::String);

    fn given<T>(
        &self,
        column: &'static str,
        row: usize,
        value: Option<T>,
    ) -> Result<T, ScoreError> {
        value.ok_or(ScoreError::Null { frame: self.name, column, row })
    }

    fn partner<'p>(
        &self,
        portfolio: &'p mut Portfolio,
        row: usize,
        id: Option<&str>,
    ) -> Result<&'p mut Partner, ScoreError> {
        let id = self.given("partner_id", row, id)?;
        portfolio.partners.get_mut(id).ok_or_else(|| ScoreError::UnknownPartner {
            frame: self.name,
            partner_id: id.to_owned(),
        })
    }
}
